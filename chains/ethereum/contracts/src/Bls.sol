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
        _pair(key, hashToG1(message, dst), signature);
    }

    /// @notice Reverts unless `signatureSum` is the sum of the key's signatures over both messages.
    /// @dev e(s1 + s2, g2) = e(H(m1) + H(m2), key) proves that the key signed both messages, if they differ and
    /// the key came with a proof of possession: this is the ordinary aggregate check. It does not prove that
    /// each of two signatures handed in apart is good, and nobody needs that.
    function verifyPair(bytes memory key, bytes32 message1, bytes32 message2, bytes calldata signatureSum)
        internal
        view
    {
        _pair(key, add(hashToG1(message1, SIGNATURE), hashToG1(message2, SIGNATURE)), signatureSum);
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

    /// @dev One pairing call of two pairs: e(signature, -g2) * e(point, key) = 1.
    function _pair(bytes memory key, bytes memory point, bytes calldata signature) private view {
        if (signature.length != SIGNATURE_LENGTH) revert WrongLength(signature.length);
        if (key.length != KEY_LENGTH) revert WrongLength(key.length);
        bytes memory padded = bytes.concat(bytes16(0), signature[:48], bytes16(0), signature[48:]);
        if (_isZero(padded)) revert ZeroSignature();
        bytes memory answer = _call(PAIRING, PAIRING_GAS, bytes.concat(padded, NEGATED_GENERATOR, point, _pad(key)), 32);
        if (bytes32(answer) != bytes32(uint256(1))) revert WrongSignature();
    }

    /// @dev Reduces 64 bytes modulo p and maps the residue to G1.
    function _mapToG1(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory residue = _call(MODEXP, MODEXP_GAS, bytes.concat(MODEXP_SIZES, high, low, hex"01", MODULUS), 64);
        return _call(MAP_TO_G1, MAP_TO_G1_GAS, residue, 128);
    }

    /// @dev Widens the four coordinates of a packed key from 48 to 64 bytes.
    function _pad(bytes memory key) private pure returns (bytes memory padded) {
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
    uint256 private constant PAIRING = 0x0f;
    uint256 private constant MAP_TO_G1 = 0x10;

    // A little above today's prices (500, 375, 5,500, 102,900), so that a refused point costs the sender little.
    uint256 private constant MODEXP_GAS = 2_000;
    uint256 private constant G1_ADD_GAS = 500;
    uint256 private constant MAP_TO_G1_GAS = 6_500;
    uint256 private constant PAIRING_GAS = 120_000;

    /// @dev MODEXP's lengths of base, exponent and modulus; the base is 64 bytes and the exponent is one.
    bytes private constant MODEXP_SIZES = hex"0000000000000000000000000000000000000000000000000000000000000040"
        hex"0000000000000000000000000000000000000000000000000000000000000001"
        hex"0000000000000000000000000000000000000000000000000000000000000040";

    /// @dev The field's modulus p, padded to 64 bytes.
    bytes private constant MODULUS = hex"000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7"
        hex"64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";

    /// @dev -g2: the generator of G2 with its y negated.
    bytes private constant NEGATED_GENERATOR = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";
}
