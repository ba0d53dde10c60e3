// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Loss} from "./IAdapter.sol";

/// @title One service's operator set at a restaking protocol, as Orders.sol sees it
interface IOrderTarget {
    /// @notice Takes a part of what the protocol lets this service take from `operator`: at once, or by a request that a
    /// later call of the same leads on.
    /// @dev Only Orders.sol may call. Reverts, and so takes nothing, unless the protocol's own views show a loss or a request is
    /// under way (R24).
    /// @param wad the part, of 1e18.
    /// @param capture the Ethereum block of the stake's snapshot, for protocols that ask for one (R26).
    /// @return losses what this very call took; empty while there are only requests.
    /// @return pending whether more may come of another call: the order is done only when not.
    function slashPart(address operator, bytes32 caseId, uint256 wad, uint64 capture)
        external
        returns (Loss[] memory losses, bool pending);

    /// @notice The gas that `slashPart` of this operator needs at most; with less Orders.sol does not try (R24).
    function gasFloor(address operator) external view returns (uint256);

    /// @notice Whose set it is: an account as 32 bytes, or zero for the network itself.
    function service() external view returns (bytes32);
}
