// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The registry, as our other contracts see it
interface IPalisade {
    /// @notice The hash of genesis.
    function chainId() external view returns (bytes32);

    /// @notice The light client that is told of convictions.
    function lightClient() external view returns (address);

    /// @notice The Ethereum block of the newest conviction; 0 while nobody is convicted.
    function lastConvictionBlock() external view returns (uint48);

    /// @notice The id of the operator's open row; 0 if it never registered.
    function openKeyId(address operator) external view returns (uint32);

    /// @notice An order of the network itself names this operator. Only Orders.sol may call.
    function convictOrdered(address operator) external;

    /// @notice Which of these keys belong to a convict; bit i is `keyIds[i]`.
    function convicts(uint32[] calldata keyIds) external view returns (uint256 bits);
}

/// @title The light client, as the registry sees it
interface ILightClient {
    /// @notice Somebody was convicted in this block. Only the registry may call.
    function convictionCame() external;
}
