// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The part of Karak's Core that Palisade uses
/// @dev Two generations are known: the audited source (July 2024) and what the published ABI (karak-contracts 0.2.2)
/// says of the deployed one. They differ in what a queued slashing holds, earmarked amounts or percentages, and so in
/// `finalizeSlashing`, which is not declared here for that reason; words and order are the same in both.
interface IKarakCore {
    struct SlashRequest {
        address operator;
        /// Of 100e18.
        uint96[] slashPercentagesWad;
        address[] vaults;
    }

    struct QueuedSlashing {
        address dss;
        uint96 timestamp;
        address operator;
        address[] vaults;
        /// Amounts in the audited source, percentages of 100e18 in the deployed generation.
        uint256[] amounts;
        uint256 nonce;
    }

    function registerDSS(uint256 maxSlashablePercentageWad) external;
    function requestSlashing(SlashRequest calldata request) external returns (QueuedSlashing memory);
    function fetchVaultsStakedInDSS(address operator, address dss) external view returns (address[] memory);
}

/// @title The part of a Karak vault that Palisade uses: an ERC 4626 vault of one operator
interface IKarakVault {
    function totalAssets() external view returns (uint256);
    function totalSupply() external view returns (uint256);
}

/// @title What Karak's Core asks of a service that says so by ERC 165
/// @dev Only hooks that Palisade answers. Gas is limited; a failure is ignored but for the first, and for the second
/// when a vault is staked.
interface IKarakHooks {
    struct StakeUpdateRequest {
        address vault;
        address dss;
        bool toStake;
    }

    function registrationHook(address operator, bytes calldata data) external;
    function requestUpdateStakeHook(address operator, StakeUpdateRequest calldata update) external;
    function cancelSlashingHook(address operator) external;
    function finishSlashingHook(address operator) external;
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}
