// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The part of Symbiotic's core version 1 that Palisade uses
/// @dev Vault versions 1 (Vault) and 2 (VaultTokenized), delegators 0 to 3, slashers 0 (instant) and 1 (veto).
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
    function setMaxNetworkLimit(uint96 identifier, uint256 amount) external;
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
