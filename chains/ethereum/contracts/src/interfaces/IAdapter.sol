// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What an adapter saw of one asset, in the target protocol's own views and its own unit.
struct Loss {
    /// The target's name for the asset (EigenLayer: the strategy).
    address asset;
    /// What this network could take immediately before the slash.
    uint256 before;
    /// What it can still take immediately after.
    uint256 afterwards;
}

/// @title One restaking protocol, as the judge sees it
interface IAdapter {
    /// @notice Takes the fixed part of everything the protocol lets this network take from `operator`, at once.
    /// @dev Only the judge may call. Reverts, and so takes nothing, unless the protocol's own views show a loss:
    /// a slash that took something invisible could be repeated (R24).
    function slash(address operator, bytes32 caseId) external returns (Loss[] memory);

    /// @notice The gas that `slash` needs at most; with less the judge does not try (R24).
    function gasFloor() external view returns (uint256);
}
