// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "./Bls.sol";

/// @title Attestation keys as code
/// @notice The registry stores each key once, as the code of an account of its own: a STOP and 192 bytes. A key's
/// id is the nonce with which the registry created that account, so that its address follows from the id and
/// any contract can read the key without asking the registry.
library KeyBlobs {
    /// No key has this id.
    error UnknownKey(uint32 keyId);

    /// @notice The key of an id, 192 bytes packed.
    function read(address registry, uint32 keyId) internal view returns (bytes memory key) {
        address blob = addressOf(registry, keyId);
        if (blob.code.length != Bls.KEY_LENGTH + 1) revert UnknownKey(keyId);
        key = new bytes(Bls.KEY_LENGTH);
        assembly ("memory-safe") {
            extcodecopy(blob, add(key, 32), 1, 192)
        }
    }

    /// @notice The address that CREATE gives `registry` at nonce `keyId`: keccak of RLP [registry, nonce].
    function addressOf(address registry, uint32 keyId) internal pure returns (address) {
        bytes memory nonce;
        if (keyId < 0x80) nonce = abi.encodePacked(uint8(keyId));
        else if (keyId <= type(uint8).max) nonce = abi.encodePacked(hex"81", uint8(keyId));
        else if (keyId <= type(uint16).max) nonce = abi.encodePacked(hex"82", uint16(keyId));
        else if (keyId <= type(uint24).max) nonce = abi.encodePacked(hex"83", uint24(keyId));
        else nonce = abi.encodePacked(hex"84", keyId);
        bytes memory rlp = abi.encodePacked(uint8(0xc0 + 21 + nonce.length), hex"94", registry, nonce);
        return address(uint160(uint256(keccak256(rlp))));
    }
}
