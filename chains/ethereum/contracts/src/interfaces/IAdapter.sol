// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What an adapter saw of one asset, in the target protocol's own views and its own unit. The difference was really lost.
struct Loss {
    /// The target's name for the asset (EigenLayer: the strategy; Symbiotic: the vault).
    address asset;
    /// What this network could take immediately before the slash.
    uint256 before;
    /// The same less what the slash took; where nobody else's stake lies, what it can still take.
    uint256 afterwards;
}

/// @title One restaking protocol, as the judge sees it
interface IAdapter {
    /// @notice Takes the fixed part of everything the protocol lets this network take from `operator`: at once, or by a
    /// request that a later call of the same leads on.
    /// @dev Only the judge may call. Reverts, and so takes nothing, unless the protocol's own views show a loss or a request is
    /// under way: a slash that took something invisible could be repeated (R24).
    /// @return losses what this very call took; empty while there are only requests.
    /// @return pending whether more may come of another call: the judge calls the case done only when not.
    function slash(address operator, bytes32 caseId) external returns (Loss[] memory losses, bool pending);

    /// @notice The gas that `slash` of this operator needs at most; with less the judge does not try (R24).
    function gasFloor(address operator) external view returns (uint256);
}
