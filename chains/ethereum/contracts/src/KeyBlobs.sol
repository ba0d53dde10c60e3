// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Keys as code
/// @notice The registry stores the keys that a judge may need once, as the code of an account of its own: a STOP, the
/// attestation key (192 bytes packed) and the finality key (32 bytes, the x coordinate). A row's id is the nonce with
/// which the registry created that account, so that its address follows from the id and any contract can read the keys
/// without asking the registry.
library KeyBlobs {
    /// No row has this id.
    error UnknownKey(uint32 keyId);

    uint256 internal constant LENGTH = 225;

    /// @notice The attestation key of a row, 192 bytes packed.
    function read(address registry, uint32 keyId) internal view returns (bytes memory key) {
        address blob = _blobOf(registry, keyId);
        assembly ("memory-safe") {
            key := mload(0x40)
            mstore(0x40, add(key, 224))
            mstore(key, 192)
            extcodecopy(blob, add(key, 32), 1, 192)
        }
    }

    /// @notice The finality key of a row.
    function readEots(address registry, uint32 keyId) internal view returns (bytes32 key) {
        address blob = _blobOf(registry, keyId);
        assembly ("memory-safe") {
            extcodecopy(blob, 0, 193, 32)
            key := mload(0)
        }
    }

    function _blobOf(address registry, uint32 keyId) private view returns (address blob) {
        blob = addressOf(registry, keyId);
        if (blob.code.length != LENGTH) revert UnknownKey(keyId);
    }

    /// @notice The address that CREATE gives `registry` at nonce `keyId`: keccak of RLP [registry, nonce].
    function addressOf(address registry, uint32 keyId) internal pure returns (address blob) {
        assembly ("memory-safe") {
            // A nonce below 0x80 is its own encoding; a greater one follows a byte that says 0x80 + its length.
            let size := 0
            let nonce := keyId
            if gt(keyId, 0x7f) {
                size := add(add(1, gt(keyId, 0xff)), add(gt(keyId, 0xffff), gt(keyId, 0xffffff)))
                nonce := or(shl(mul(8, size), add(0x80, size)), keyId)
            }
            // 0xc0 + length of the list | 0x94 | 20 bytes | nonce: 23 to 27 bytes, so that one word holds it.
            let rlp := or(shl(160, or(shl(8, add(0xd6, size)), 0x94)), and(registry, sub(shl(160, 1), 1)))
            rlp := or(shl(mul(8, add(size, 1)), rlp), nonce)
            let length := add(23, size)
            mstore(0, shl(sub(256, mul(8, length)), rlp))
            blob := and(keccak256(0, length), sub(shl(160, 1), 1))
        }
    }
}
