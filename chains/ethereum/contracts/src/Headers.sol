// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What a contract reads of a block's header.
struct Header {
    /// The block id: keccak256 of the header's bytes.
    bytes32 id;
    uint64 height;
    uint32 epoch;
    /// The Merkle root of the ledger's rows after this block.
    bytes32 stateRoot;
    /// The hash of the next committee in a boundary block (R10), zero in every other.
    bytes32 nextCommittee;
}

/// @title Headers of the ledger's blocks
/// @notice version u16 | chain id | height u64 | epoch u32 | parent | items root | state root | next committee:
/// 174 bytes, integers big-endian.
library Headers {
    /// The bytes are no header of this network, in the one version that there is.
    error NoHeader();

    uint256 internal constant LENGTH = 174;
    uint16 internal constant VERSION = 1;

    /// @notice Reads a header of the network `chainId`.
    function read(bytes memory encoded, bytes32 chainId) internal pure returns (Header memory header) {
        if (encoded.length != LENGTH) revert NoHeader();
        uint16 version = uint16(uint256(_word(encoded, 0)) >> 240);
        if (version != VERSION || _word(encoded, 2) != chainId) revert NoHeader();
        header.id = keccak256(encoded);
        header.height = uint64(uint256(_word(encoded, 34)) >> 192);
        header.epoch = uint32(uint256(_word(encoded, 42)) >> 224);
        header.stateRoot = _word(encoded, 110);
        header.nextCommittee = _word(encoded, 142);
    }

    function _word(bytes memory encoded, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(encoded, 32), offset))
        }
    }
}
