// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Whether a number is the secret of a finality key
/// @notice Finality keys are x coordinates on secp256k1, as in BIP 340: of the two points with this x, either may be the
/// secret times the generator.
/// @dev The precompile for ECDSA recovers the key (s R - z G) / r. With R = G, r its x coordinate, z = 0 and s = d r that
/// is d G, and the answer is the last 20 bytes of its keccak256. To compare, y comes out of y^2 = x^3 + 7 here: if anybody
/// could choose it, 2^80 tries with secrets and as many with y would find two that agree.
library Secp256k1 {
    /// A precompile refused its input, or too little gas was left for it.
    error PrecompileRefused(uint256 precompile);

    /// @notice Whether `secret` times the generator has the x coordinate `x`.
    function isSecretOf(uint256 secret, bytes32 x) internal view returns (bool) {
        if (secret == 0 || secret >= ORDER) return false;
        uint256 square = addmod(mulmod(mulmod(uint256(x), uint256(x), FIELD), uint256(x), FIELD), 7, FIELD);
        uint256 y = _root(square);
        if (uint256(x) >= FIELD || mulmod(y, y, FIELD) != square) return false; // no point has this x
        address made = ecrecover(0, 27, bytes32(GENERATOR_X), bytes32(mulmod(secret, GENERATOR_X, ORDER)));
        if (made == address(0)) revert PrecompileRefused(ECRECOVER);
        return made == _addressOf(x, y) || made == _addressOf(x, FIELD - y);
    }

    function _addressOf(bytes32 x, uint256 y) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(x, y)))));
    }

    /// @dev square^((p + 1) / 4): a square root if there is one, because p leaves 3 when divided by 4.
    function _root(uint256 square) private view returns (uint256) {
        (bool success, bytes memory answer) =
            address(uint160(MODEXP)).staticcall(abi.encode(32, 32, 32, square, (FIELD + 1) / 4, FIELD));
        if (!success || answer.length != 32) revert PrecompileRefused(MODEXP);
        return uint256(bytes32(answer));
    }

    uint256 private constant ECRECOVER = 0x01;
    uint256 private constant MODEXP = 0x05;
    uint256 private constant FIELD = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 private constant GENERATOR_X = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;
}
