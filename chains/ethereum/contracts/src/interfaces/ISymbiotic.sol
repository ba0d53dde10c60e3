// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The part of Symbiotic's cores 1 and 2 that Palisade uses
/// @dev Core 1: vault versions 1 (Vault) and 2 (VaultTokenized), delegators 0 to 3, slashers 0 (instant) and 1 (veto). Core 2:
/// vault version 3 (VaultV2), whose stake for one operator in one subnetwork lies in an AppAdapter.
interface IFactory {
    function isEntity(address account) external view returns (bool);
}

interface INetworkRegistry {
    function registerNetwork() external;
}

interface INetworkMiddlewareService {
    function setMiddleware(address middleware) external;
}

interface IVault {
    function version() external view returns (uint64);
    function collateral() external view returns (address);
    function burner() external view returns (address);
    function delegator() external view returns (address);
    function slasher() external view returns (address);
    function epochDuration() external view returns (uint48);
    function currentEpoch() external view returns (uint256);
    function activeStake() external view returns (uint256);
    function withdrawals(uint256 epoch) external view returns (uint256);
    /// @dev Active stake, and what leaves with this epoch and the next one.
    function totalStake() external view returns (uint256);
}

interface IDelegator {
    function TYPE() external view returns (uint64);
    function maxNetworkLimit(bytes32 subnetwork) external view returns (uint256);
    /// @dev Reverts when that is what it is.
    function setMaxNetworkLimit(uint96 identifier, uint256 amount) external;
    /// @dev Kinds 2 and 3.
    function operator() external view returns (address);
    /// @dev Kind 3.
    function network() external view returns (address);
}

/// @dev What both slashers have.
interface ISlasher {
    function TYPE() external view returns (uint64);
    /// @dev Zero for a capture that is not in (`now - epochDuration` to `now`), or before the newest one slashed.
    function slashableStake(bytes32 subnetwork, address operator, uint48 capture, bytes calldata hints)
        external
        view
        returns (uint256);
}

interface IInstantSlasher is ISlasher {
    function slash(bytes32 subnetwork, address operator, uint256 amount, uint48 capture, bytes calldata hints)
        external
        returns (uint256);
}

interface IVetoSlasher is ISlasher {
    function vetoDuration() external view returns (uint48);
    function resolverAt(bytes32 subnetwork, uint48 timestamp, bytes calldata hint) external view returns (address);
    function slashRequests(uint256 index)
        external
        view
        returns (
            bytes32 subnetwork,
            address operator,
            uint256 amount,
            uint48 capture,
            uint48 vetoDeadline,
            bool completed
        );
    function setResolver(uint96 identifier, address resolver, bytes calldata hints) external;
    function requestSlash(bytes32 subnetwork, address operator, uint256 amount, uint48 capture, bytes calldata hints)
        external
        returns (uint256 index);
    function executeSlash(uint256 index, bytes calldata hints) external returns (uint256);
}

/// @dev Core 2's vault: an ERC 4626 vault over adapters.
interface IVaultV2 {
    function version() external view returns (uint64);
    function asset() external view returns (address);
    function delegator() external view returns (address);
}

/// @dev Core 2's delegator. It takes adapters in that factories made which Symbiotic's registry of adapters lists.
interface IUniversalDelegator {
    /// @dev Zero for what it never took in.
    function adapterToIndex(address adapter) external view returns (uint16);
}

/// @dev Core 2's stake of one operator in one subnetwork. Its tokens lie here; nobody but the network's middleware takes them.
interface IAppAdapter {
    function vault() external view returns (address);
    function asset() external view returns (address);
    function burner() external view returns (address);
    function subnetwork() external view returns (bytes32);
    function operator() external view returns (address);
    function duration() external view returns (uint48);
    /// @dev What can be taken now.
    function slashable() external view returns (uint256);
    /// @dev What can be taken for `duration` from now on, whatever the vault's stakers and curator do.
    function stake() external view returns (uint256);
    /// @dev The same, as it was then: what was slashed since is in it. The kind whose asset is another vault's share has none.
    function stakeAt(uint48 timestamp) external view returns (uint256);
    /// @dev Takes at most that much, at once.
    function slash(uint256 amount) external;
}

interface IToken {
    function balanceOf(address account) external view returns (uint256);
}
