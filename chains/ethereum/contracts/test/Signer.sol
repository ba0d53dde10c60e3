// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Keys and signatures made with the multiplication precompiles
/// @dev The vectors hold it equal to blst.
library Signer {
    uint256 internal constant ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

    /// @dev Any number becomes a secret key.
    function secret(uint256 seed) internal pure returns (uint256) {
        return seed % (ORDER - 1) + 1;
    }

    function key(uint256 secret_) internal view returns (bytes memory) {
        return pack(call(0x0e, bytes.concat(GENERATOR, bytes32(secret_))));
    }

    function sign(uint256 secret_, bytes32 message, bytes32 dst) internal view returns (bytes memory) {
        return pack(call(0x0c, bytes.concat(hashToG1(message, dst), bytes32(secret_))));
    }

    /// @dev RFC 9380 word by word, with the precompile MODEXP for the reduction: the contracts' own is another.
    function hashToG1(bytes32 message, bytes32 dst) internal view returns (bytes memory) {
        bytes memory tag = bytes.concat(dst, "SWU_RO_POP_", hex"2b");
        bytes32 b0 = sha256(bytes.concat(bytes32(0), bytes32(0), message, hex"008000", tag));
        bytes32 b1 = sha256(bytes.concat(b0, hex"01", tag));
        bytes32 b2 = sha256(bytes.concat(b0 ^ b1, hex"02", tag));
        bytes32 b3 = sha256(bytes.concat(b0 ^ b2, hex"03", tag));
        bytes32 b4 = sha256(bytes.concat(b0 ^ b3, hex"04", tag));
        return call(0x0b, bytes.concat(mapToG1(b1, b2), mapToG1(b3, b4)));
    }

    function mapToG1(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory sizes = abi.encode(64, 1, 64);
        bytes memory residue = call(0x05, bytes.concat(sizes, high, low, hex"01", bytes16(0), MODULUS));
        return call(0x10, residue);
    }

    bytes private constant MODULUS =
        hex"1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";

    function sum(bytes memory a, bytes memory b) internal view returns (bytes memory) {
        return pack(call(0x0b, bytes.concat(pad(a), pad(b))));
    }

    /// @dev Minus the point: multiplies by the order less one.
    function negate(bytes memory point) internal view returns (bytes memory) {
        return pack(call(0x0c, bytes.concat(pad(point), bytes32(ORDER - 1))));
    }

    function call(uint256 precompile, bytes memory input) internal view returns (bytes memory output) {
        bool success;
        (success, output) = address(uint160(precompile)).staticcall(input);
        require(success && output.length > 0, "precompile refused");
    }

    function pack(bytes memory padded) internal pure returns (bytes memory packed) {
        for (uint256 start = 16; start < padded.length; start += 64) {
            packed = bytes.concat(packed, slice(padded, start, 48));
        }
    }

    function pad(bytes memory packed) internal pure returns (bytes memory padded) {
        for (uint256 start = 0; start < packed.length; start += 48) {
            padded = bytes.concat(padded, bytes16(0), slice(packed, start, 48));
        }
    }

    function slice(bytes memory from, uint256 start, uint256 length) internal pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            part[i] = from[start + i];
        }
    }

    bytes private constant GENERATOR = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";
}
