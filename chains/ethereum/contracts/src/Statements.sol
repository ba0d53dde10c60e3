// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What attestation keys sign (R14)
/// @notice Domain = keccak256("PALISADE-DOM-1" | chain id 32 | Palisade.sol 20 | service id 32 | registration u64 |
/// kind u16), statement = keccak256("PALISADE-ATT-1" | chain id 32 | domain 32 | slot u64 | digest 32).
/// @dev Written out in memory that nobody has taken yet: each word is stored over the end of the one before.
library Statements {
    function domain(bytes32 chainId, address palisade, bytes32 serviceId, uint64 registration, uint16 kind)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 tag = "PALISADE-DOM-1";
        assembly ("memory-safe") {
            let from := mload(0x40)
            mstore(from, tag)
            mstore(add(from, 14), chainId)
            mstore(add(from, 46), shl(96, palisade))
            mstore(add(from, 66), serviceId)
            mstore(add(from, 98), shl(192, registration))
            mstore(add(from, 106), shl(240, kind))
            hash := keccak256(from, 108)
        }
    }

    function statement(bytes32 chainId, bytes32 domain_, uint64 slot, bytes32 digest)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 tag = "PALISADE-ATT-1";
        assembly ("memory-safe") {
            let from := mload(0x40)
            mstore(from, tag)
            mstore(add(from, 14), chainId)
            mstore(add(from, 46), domain_)
            mstore(add(from, 78), shl(192, slot))
            mstore(add(from, 86), digest)
            hash := keccak256(from, 118)
        }
    }
}
