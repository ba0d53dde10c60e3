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
        _pair(pad(key), hashToG1(message, dst), signature);
    }

    /// @notice As `verify`, for a key that is padded already and attests.
    function verifyPadded(bytes memory padded, bytes32 message, bytes calldata signature) internal view {
        _pair(padded, hashToG1(message, SIGNATURE), signature);
    }

    /// @notice Reverts unless `signatureSum` is the sum of the key's signatures over both messages.
    /// @dev e(s1 + s2, g2) = e(H(m1) + H(m2), key) proves that the key signed both messages, if they differ and
    /// the key came with a proof of possession: this is the ordinary aggregate check. It does not prove that
    /// each of two signatures handed in apart is good, and nobody needs that.
    function verifyPair(bytes memory key, bytes32 message1, bytes32 message2, bytes calldata signatureSum)
        internal
        view
    {
        _pair(pad(key), add(hashToG1(message1, SIGNATURE), hashToG1(message2, SIGNATURE)), signatureSum);
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
        bytes memory first = bytes.concat(hashToG1(message1, SIGNATURE), pad(key1));
        bytes memory second = bytes.concat(hashToG1(message2, SIGNATURE), pad(key2));
        _paired(bytes.concat(_padSignature(signatureSum), NEGATED_GENERATOR, first, second), PAIRING_OF_3_GAS);
    }

    /// @notice The key that is left when the keys of those who are absent are taken from the sum of all.
    /// @return left 256 bytes, padded; all zero when the keys cancel, and then it verifies nothing.
    function subtract(bytes memory sum, bytes[] memory absent) internal view returns (bytes memory left) {
        // Minus the sum, plus each of the absent: one precompile call a key. Turned round again at the end.
        left = pad(sum);
        _negate(left);
        for (uint256 i = 0; i < absent.length; ++i) {
            left = _call(G2_ADD, G2_ADD_GAS, bytes.concat(left, pad(absent[i])), 256);
        }
        _negate(left);
    }

    /// @dev Turns a padded point of G2 into its negative, in place: p - y, and zero stays zero. A coordinate that
    /// is not reduced comes out as one that the precompiles refuse.
    function _negate(bytes memory point) private pure {
        for (uint256 offset = 160; offset <= 224; offset += 64) {
            assembly ("memory-safe") {
                let at := add(point, offset)
                let high := mload(at)
                let low := mload(add(at, 32))
                if or(high, low) {
                    mstore(add(at, 32), sub(MODULUS_LOW, low))
                    mstore(at, sub(sub(MODULUS_HIGH, high), lt(MODULUS_LOW, low)))
                }
            }
        }
    }

    /// @notice Hashes 32 bytes to a point of G1 (RFC 9380, BLS12381G1_XMD:SHA-256_SSWU_RO_), padded to 128 bytes.
    function hashToG1(bytes32 message, bytes32 dst) internal view returns (bytes memory) {
        bytes memory tag = bytes.concat(dst, DST_TAIL);
        bytes32 b0 = sha256(bytes.concat(bytes32(0), bytes32(0), message, hex"008000", tag));
        bytes32 b1 = sha256(bytes.concat(b0, hex"01", tag));
        bytes32 b2 = sha256(bytes.concat(b0 ^ b1, hex"02", tag));
        bytes32 b3 = sha256(bytes.concat(b0 ^ b2, hex"03", tag));
        bytes32 b4 = sha256(bytes.concat(b0 ^ b3, hex"04", tag));
        return add(_mapToG1(b1, b2), _mapToG1(b3, b4)); // the map clears the cofactor itself
    }

    /// @notice The sum of two padded points of G1; a sum of zero is refused.
    function add(bytes memory a, bytes memory b) internal view returns (bytes memory sum) {
        sum = _call(G1_ADD, G1_ADD_GAS, bytes.concat(a, b), 128);
        if (_isZero(sum)) revert Cancelled();
    }

    /// @dev One pairing call of two pairs: e(signature, -g2) * e(point, key) = 1. The key is padded.
    function _pair(bytes memory key, bytes memory point, bytes calldata signature) private view {
        _paired(bytes.concat(_padSignature(signature), NEGATED_GENERATOR, point, key), PAIRING_GAS);
    }

    function _paired(bytes memory pairs, uint256 gasLimit) private view {
        bytes memory answer = _call(PAIRING, gasLimit, pairs, 32);
        if (bytes32(answer) != bytes32(uint256(1))) revert WrongSignature();
    }

    function _padSignature(bytes calldata signature) private pure returns (bytes memory padded) {
        if (signature.length != SIGNATURE_LENGTH) revert WrongLength(signature.length);
        padded = bytes.concat(bytes16(0), signature[:48], bytes16(0), signature[48:]);
        if (_isZero(padded)) revert ZeroSignature();
    }

    /// @dev Reduces 64 bytes modulo p and maps the residue to G1.
    function _mapToG1(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory residue = _call(MODEXP, MODEXP_GAS, bytes.concat(MODEXP_SIZES, high, low, hex"01", MODULUS), 64);
        return _call(MAP_TO_G1, MAP_TO_G1_GAS, residue, 128);
    }

    /// @notice Widens the four coordinates of a packed key from 48 to 64 bytes.
    function pad(bytes memory key) internal pure returns (bytes memory padded) {
        if (key.length != KEY_LENGTH) revert WrongLength(key.length);
        padded = new bytes(256);
        assembly ("memory-safe") {
            mcopy(add(padded, 48), add(key, 32), 48)
            mcopy(add(padded, 112), add(key, 80), 48)
            mcopy(add(padded, 176), add(key, 128), 48)
            mcopy(add(padded, 240), add(key, 176), 48)
        }
    }

    function _isZero(bytes memory point) private pure returns (bool zero) {
        assembly ("memory-safe") {
            zero := iszero(
                or(or(mload(add(point, 32)), mload(add(point, 64))), or(mload(add(point, 96)), mload(add(point, 128))))
            )
        }
    }

    function _call(uint256 precompile, uint256 gasLimit, bytes memory input, uint256 size)
        private
        view
        returns (bytes memory output)
    {
        output = new bytes(size);
        bool success;
        uint256 answered;
        assembly ("memory-safe") {
            success := staticcall(gasLimit, precompile, add(input, 32), mload(input), add(output, 32), size)
            answered := returndatasize()
        }
        if (!success || answered != size) revert PrecompileRefused(precompile);
    }

    /// @dev The last 11 letters of both tags, then the tag's length as RFC 9380 wants it appended.
    bytes12 private constant DST_TAIL = "SWU_RO_POP_\x2b";

    uint256 private constant MODEXP = 0x05;
    uint256 private constant G1_ADD = 0x0b;
    uint256 private constant G2_ADD = 0x0d;
    uint256 private constant PAIRING = 0x0f;
    uint256 private constant MAP_TO_G1 = 0x10;

    // A little above today's prices (500, 375, 600, 5,500, 102,900, 135,500), so that a refused point costs the sender little.
    uint256 private constant MODEXP_GAS = 2_000;
    uint256 private constant G1_ADD_GAS = 500;
    uint256 private constant G2_ADD_GAS = 800;
    uint256 private constant MAP_TO_G1_GAS = 6_500;
    uint256 private constant PAIRING_GAS = 120_000;
    uint256 private constant PAIRING_OF_3_GAS = 160_000;

    /// @dev MODEXP's lengths of base, exponent and modulus; the base is 64 bytes and the exponent is one.
    bytes private constant MODEXP_SIZES = hex"0000000000000000000000000000000000000000000000000000000000000040"
        hex"0000000000000000000000000000000000000000000000000000000000000001"
        hex"0000000000000000000000000000000000000000000000000000000000000040";

    /// @dev The field's modulus p, padded to 64 bytes.
    bytes private constant MODULUS = hex"000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7"
        hex"64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";

    /// @dev The same as two words.
    uint256 private constant MODULUS_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant MODULUS_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// @dev -g2: the generator of G2 with its y negated.
    bytes private constant NEGATED_GENERATOR = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";
}
