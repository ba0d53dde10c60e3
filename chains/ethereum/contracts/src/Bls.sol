// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title BLS12-381 signatures in G1 under keys in G2, checked by the precompiles of EIP-2537
/// @notice The scheme is `BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_` (blst's `min_sig`) over messages of
/// exactly 32 bytes. Off chain and in calldata, points are packed: a signature is x | y (96 bytes) and a key is
/// x.c0 | x.c1 | y.c0 | y.c1 (192 bytes), each coordinate 48 bytes big-endian. There is no decompression here:
/// a square root would cost tens of thousands of gas.
/// @dev The precompiles refuse coordinates that are not reduced and points off the curve; the pairing also
/// refuses points outside the subgroup. They accept the identity, so the zero signature is refused here: without
/// that, the identity key would verify every message. A failing precompile burns all the gas it was given, and
/// a chain without it answers success with nothing, so gas is bounded and the size of every answer is checked.
library Bls {
    /// A signature or a key does not have its exact length.
    error WrongLength(uint256 length);
    /// The point at infinity stands where a signature is expected.
    error ZeroSignature();
    /// The hashes of the two messages cancel, so that their pair would prove nothing.
    error Cancelled();
    /// The precompile refused its input: not reduced, off the curve, outside the subgroup, or not on this chain.
    error PrecompileRefused(uint256 precompile);
    /// The points are well formed, and this key did not sign this.
    error WrongSignature();

    /// @dev The two domain separation tags differ in three letters; their first 32 bytes tell them apart.
    bytes32 internal constant SIGNATURE = "BLS_SIG_BLS12381G1_XMD:SHA-256_S";
    bytes32 internal constant POSSESSION = "BLS_POP_BLS12381G1_XMD:SHA-256_S";

    uint256 internal constant SIGNATURE_LENGTH = 96;
    uint256 internal constant KEY_LENGTH = 192;

    /// @notice Reverts unless `signature` is the key's signature over `message` under the tag `dst`.
    function verify(bytes memory key, bytes32 message, bytes32 dst, bytes calldata signature) internal view {
        uint256 pairs = openPairs(signature, 2);
        hashTo(pairs + FIRST_POINT, message, dst);
        padTo(pairs + FIRST_KEY, key);
        checkPairs(pairs, 2);
    }

    /// @notice Reverts unless `signatureSum` is the sum of the key's signatures over both messages.
    /// @dev e(s1 + s2, g2) = e(H(m1) + H(m2), key) proves that the key signed both messages, if they differ and
    /// the key came with a proof of possession: this is the ordinary aggregate check. It does not prove that
    /// each of two signatures handed in apart is good, and nobody needs that.
    function verifyPair(bytes memory key, bytes32 message1, bytes32 message2, bytes calldata signatureSum)
        internal
        view
    {
        uint256 pairs = openPairs(signatureSum, 2);
        uint256 point = pairs + FIRST_POINT;
        // The second hash stands where the key will: beside the first, as the precompile wants them.
        hashTo(point, message1, SIGNATURE);
        hashTo(point + 128, message2, SIGNATURE);
        addTo(point);
        padTo(pairs + FIRST_KEY, key);
        checkPairs(pairs, 2);
    }

    /// @notice Reverts unless `signatureSum` is the sum of one key's signature over one message and another
    /// key's over another.
    /// @dev The ordinary aggregate check again, with three pairs: the messages must differ, and both keys need a
    /// proof of possession.
    function verifyTwo(
        bytes memory key1,
        bytes32 message1,
        bytes memory key2,
        bytes32 message2,
        bytes calldata signatureSum
    ) internal view {
        uint256 pairs = openPairs(signatureSum, 3);
        hashTo(pairs + FIRST_POINT, message1, SIGNATURE);
        padTo(pairs + FIRST_KEY, key1);
        hashTo(pairs + FIRST_POINT + PAIR, message2, SIGNATURE);
        padTo(pairs + FIRST_KEY + PAIR, key2);
        checkPairs(pairs, 3);
    }

    // ---- Parts, for callers that build the pairs themselves. All take addresses in memory.

    /// @notice Takes memory for `count` pairs and writes the first one, (signature, -g2). In each of the others the
    /// caller writes a padded point of G1, 128 bytes, and a padded key, 256 bytes.
    function openPairs(bytes calldata signature, uint256 count) internal pure returns (uint256 pairs) {
        if (signature.length != SIGNATURE_LENGTH) revert WrongLength(signature.length);
        uint256 offset;
        assembly ("memory-safe") {
            offset := signature.offset
        }
        return openPairsAt(offset, count);
    }

    /// @notice As `openPairs`, with the 96 bytes of calldata from `signature` on, which must be there.
    function openPairsAt(uint256 signature, uint256 count) internal pure returns (uint256 pairs) {
        bool zero;
        assembly ("memory-safe") {
            pairs := mload(0x40)
            mstore(0x40, add(pairs, mul(count, PAIR)))
            mstore(pairs, 0)
            mstore(add(pairs, 64), 0)
            calldatacopy(add(pairs, 16), signature, 48)
            calldatacopy(add(pairs, 80), add(signature, 48), 48)
            let x := or(mload(pairs), mload(add(pairs, 32)))
            zero := iszero(or(x, or(mload(add(pairs, 64)), mload(add(pairs, 96)))))
            // -g2: the generator of G2 with its y negated, x.c0 | x.c1 | y.c0 | y.c1.
            mstore(add(pairs, 128), 0x00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051)
            mstore(add(pairs, 160), 0xc6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8)
            mstore(add(pairs, 192), 0x0000000000000000000000000000000013e02b6052719f607dacd3a088274f65)
            mstore(add(pairs, 224), 0x596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e)
            mstore(add(pairs, 256), 0x000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bc)
            mstore(add(pairs, 288), 0xb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa)
            mstore(add(pairs, 320), 0x0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d)
            mstore(add(pairs, 352), 0x993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed)
        }
        if (zero) revert ZeroSignature();
    }

    /// @notice One pairing call: reverts unless the product over all pairs is one.
    function checkPairs(uint256 pairs, uint256 count) internal view {
        uint256 gasLimit = count == 2 ? PAIRING_GAS : PAIRING_OF_3_GAS;
        bool answered;
        uint256 answer;
        assembly ("memory-safe") {
            answered := staticcall(gasLimit, PAIRING, pairs, mul(count, PAIR), 0, 32)
            answered := and(answered, eq(returndatasize(), 32))
            answer := mload(0)
        }
        if (!answered) revert PrecompileRefused(PAIRING);
        if (answer != 1) revert WrongSignature();
    }

    /// @notice Hashes 32 bytes to a padded point of G1 (RFC 9380, BLS12381G1_XMD:SHA-256_SSWU_RO_) at `to`, and spoils
    /// the 128 bytes after it: the point comes before its key.
    /// @dev A hash of zero, which nobody will find, would need a signature of zero, and that is refused. On a chain
    /// without the BLS precompiles the first of them that is missed is MAP_TO_G1, so that one is named.
    function hashTo(uint256 to, bytes32 message, bytes32 dst) internal view {
        bytes32 tail = DST_TAIL;
        bool hashed;
        assembly ("memory-safe") {
            // Reduces a number of 512 bits modulo p by Barrett's method, for a third of what the precompile MODEXP
            // costs, and maps the residue; the map clears the cofactor itself.
            // q = floor(high * floor(2^512 / p) / 2^256) is the quotient or at most two less: leaving out the low
            // word takes less than one from it, and each of the two roundings less than one. The high word of a
            // product of two words is (product mod 2^256 - 1) - (product mod 2^256), with borrow.
            function map(high, low, point) -> mapped {
                let product := mul(high, RECIPROCAL)
                let wrapped := mulmod(high, RECIPROCAL, not(0))
                let q := sub(sub(wrapped, product), lt(wrapped, product))
                product := mul(q, MODULUS_LOW)
                wrapped := mulmod(q, MODULUS_LOW, not(0))
                // q * MODULUS_HIGH fits a word because q * p does not exceed the number.
                let carried := add(sub(sub(wrapped, product), lt(wrapped, product)), mul(q, MODULUS_HIGH))
                high := sub(sub(high, carried), lt(low, product))
                low := sub(low, product)
                for {} 1 {} {
                    let taken := add(MODULUS_HIGH, lt(low, MODULUS_LOW)) // what p takes from the high word
                    if lt(high, taken) { break }
                    high := sub(high, taken)
                    low := sub(low, MODULUS_LOW)
                }
                mstore(0, high)
                mstore(32, low)
                mapped := staticcall(MAP_TO_G1_GAS, MAP_TO_G1, 0, 64, point, 128)
                mapped := and(mapped, eq(returndatasize(), 128))
            }
            // expand_message_xmd (5.3.1): b0 hashes 64 zeros | message | 128 as u16 | 0 | tag with its length.
            let from := mload(0x40)
            mstore(from, 0)
            mstore(add(from, 32), 0)
            mstore(add(from, 64), message)
            mstore(add(from, 96), 0x0080000000000000000000000000000000000000000000000000000000000000)
            mstore(add(from, 99), dst)
            mstore(add(from, 131), tail)
            hashed := staticcall(gas(), SHA256, from, 143, 0, 32)
            let b0 := mload(0)
            // b(i) hashes b0 xor b(i - 1) | i | tag with its length; b1 hashes b0 itself.
            mstore(from, b0)
            mstore(add(from, 33), dst)
            mstore(add(from, 65), tail)
            mstore8(add(from, 32), 1)
            hashed := and(hashed, staticcall(gas(), SHA256, from, 77, 0, 32))
            mstore(from, xor(b0, mload(0)))
            mstore8(add(from, 32), 2)
            hashed := and(hashed, staticcall(gas(), SHA256, from, 77, 32, 32))
            mstore(from, xor(b0, mload(32)))
            mstore8(add(from, 32), 3)
            let b1 := mload(0)
            let b2 := mload(32)
            hashed := and(hashed, staticcall(gas(), SHA256, from, 77, 0, 32))
            mstore(from, xor(b0, mload(0)))
            mstore8(add(from, 32), 4)
            hashed := and(hashed, staticcall(gas(), SHA256, from, 77, 32, 32))
            let b3 := mload(0)
            let b4 := mload(32)
            hashed := and(hashed, map(b1, b2, to))
            hashed := and(hashed, map(b3, b4, add(to, 128)))
            hashed := and(hashed, staticcall(G1_ADD_GAS, G1_ADD, to, 256, to, 128))
            hashed := and(hashed, eq(returndatasize(), 128))
        }
        if (!hashed) revert PrecompileRefused(MAP_TO_G1);
    }

    /// @notice Replaces the padded point of G1 at `points` by its sum with the one after it; a sum of zero is refused.
    function addTo(uint256 points) internal view {
        bool added;
        bool zero;
        assembly ("memory-safe") {
            added := staticcall(G1_ADD_GAS, G1_ADD, points, 256, points, 128)
            added := and(added, eq(returndatasize(), 128))
            let x := or(mload(points), mload(add(points, 32)))
            zero := iszero(or(x, or(mload(add(points, 64)), mload(add(points, 96)))))
        }
        if (!added) revert PrecompileRefused(G1_ADD);
        if (zero) revert Cancelled();
    }

    /// @notice Writes a packed key padded: the four coordinates of 48 bytes become 64.
    function padTo(uint256 to, bytes memory key) internal pure {
        if (key.length != KEY_LENGTH) revert WrongLength(key.length);
        assembly ("memory-safe") {
            mstore(to, 0)
            mcopy(add(to, 16), add(key, 32), 48)
            mstore(add(to, 64), 0)
            mcopy(add(to, 80), add(key, 80), 48)
            mstore(add(to, 128), 0)
            mcopy(add(to, 144), add(key, 128), 48)
            mstore(add(to, 192), 0)
            mcopy(add(to, 208), add(key, 176), 48)
        }
    }

    /// @notice As `padTo`, from calldata: the 192 bytes from `offset` on, which must be there.
    function padCalldataTo(uint256 to, uint256 offset) internal pure {
        assembly ("memory-safe") {
            mstore(to, 0)
            calldatacopy(add(to, 16), offset, 48)
            mstore(add(to, 64), 0)
            calldatacopy(add(to, 80), add(offset, 48), 48)
            mstore(add(to, 128), 0)
            calldatacopy(add(to, 144), add(offset, 96), 48)
            mstore(add(to, 192), 0)
            calldatacopy(add(to, 208), add(offset, 144), 48)
        }
    }

    /// @notice Turns a padded point of G2 into its negative, in place: p - y, and zero stays zero. A coordinate
    /// that is not reduced comes out as one that the precompiles refuse.
    function negate(uint256 point) internal pure {
        for (uint256 offset = 128; offset <= 192; offset += 64) {
            assembly ("memory-safe") {
                let y := add(point, offset)
                let high := mload(y)
                let low := mload(add(y, 32))
                if or(high, low) {
                    mstore(add(y, 32), sub(MODULUS_LOW, low))
                    mstore(y, sub(sub(MODULUS_HIGH, high), lt(MODULUS_LOW, low)))
                }
            }
        }
    }

    /// @notice Adds a packed key to the padded sum of keys at `sum`, in place. Neither is checked to be in the
    /// subgroup: the pairing checks what comes out in the end.
    function addKey(uint256 sum, bytes memory key) internal view {
        uint256 both;
        assembly ("memory-safe") {
            both := mload(0x40) // side by side in memory that nobody has taken yet
            mcopy(both, sum, 256)
        }
        padTo(both + 256, key);
        bool added;
        assembly ("memory-safe") {
            added := staticcall(G2_ADD_GAS, G2_ADD, both, 512, sum, 256)
            added := and(added, eq(returndatasize(), 256))
        }
        if (!added) revert PrecompileRefused(G2_ADD);
    }

    /// @notice Where the caller writes the point and the key of the first pair of its own.
    uint256 internal constant FIRST_POINT = 384;
    uint256 internal constant FIRST_KEY = 512;

    /// @dev The last 11 letters of both tags, then the tag's length as RFC 9380 wants it appended.
    bytes12 private constant DST_TAIL = "SWU_RO_POP_\x2b";

    /// @dev A pair's length: a padded point of G1 and one of G2.
    uint256 internal constant PAIR = 384;

    uint256 private constant SHA256 = 0x02;
    uint256 private constant G1_ADD = 0x0b;
    uint256 private constant G2_ADD = 0x0d;
    uint256 private constant PAIRING = 0x0f;
    uint256 private constant MAP_TO_G1 = 0x10;

    // A little above today's prices (375, 600, 5,500, 102,900, 135,500), so that a refused point costs the sender little.
    uint256 private constant G1_ADD_GAS = 500;
    uint256 private constant G2_ADD_GAS = 800;
    uint256 private constant MAP_TO_G1_GAS = 6_500;
    uint256 private constant PAIRING_GAS = 120_000;
    uint256 private constant PAIRING_OF_3_GAS = 160_000;

    /// @dev The field's modulus p as two words, and floor(2^512 / p).
    uint256 private constant MODULUS_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant MODULUS_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    uint256 private constant RECIPROCAL = 0x9d835d2f3cc9e45ce28101b0cc7a6ba29;
}
