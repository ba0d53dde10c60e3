// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Rows of the ledger under a state root
/// @notice The state tree is a binary Merkle tree over the bits of each row's path, most significant bit first.
/// A subtree without rows hashes to zero, one with a single row to that row's leaf, every other to its two
/// halves: leaf = keccak256(0x00 | path | value hash), inner = keccak256(0x01 | left | right). A row's path is the
/// keccak256 of its key, its value hash that of its value, both encoded with their tag.
library RowProof {
    /// The hashes do not lead to the state root.
    error WrongRoot();
    /// There are more siblings than a path has bits.
    error TooDeep(uint256 siblings);

    uint256 internal constant MAX_DEPTH = 256;

    /// @notice Reverts unless the row with this path and value hangs under `root`; siblings come root first.
    function check(bytes32 root, bytes32 path, bytes32 valueHash, bytes32[] calldata siblings) internal pure {
        uint256 depth = siblings.length;
        if (depth > MAX_DEPTH) revert TooDeep(depth);
        bytes32 below = keccak256(abi.encodePacked(uint8(0), path, valueHash));
        while (depth > 0) {
            --depth;
            bytes32 sibling = siblings[depth];
            bool right = uint256(path) >> (255 - depth) & 1 == 1;
            below = right
                ? keccak256(abi.encodePacked(uint8(1), sibling, below))
                : keccak256(abi.encodePacked(uint8(1), below, sibling));
        }
        if (below != root) revert WrongRoot();
    }

    /// @notice Reverts unless the ledger under `root` says that the block `id` stands at `height` (R1).
    function checkBlock(bytes32 root, uint64 height, bytes32 id, bytes32[] calldata siblings) internal pure {
        bytes32 path = keccak256(abi.encodePacked(BLOCK, height));
        check(root, path, keccak256(abi.encodePacked(BLOCK, id)), siblings);
    }

    /// @dev The tag of rows height -> block id, of key and value.
    uint8 private constant BLOCK = 0;
}
