// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {Signer} from "./Signer.sol";
import {vm} from "./Vm.sol";

/// @dev Gives the library's functions a call of their own, so that a revert can be expected.
contract BlsDoor {
    function verify(bytes memory key, bytes32 message, bytes32 dst, bytes calldata signature) external view {
        Bls.verify(key, message, dst, signature);
    }

    function verifyPair(bytes memory key, bytes32 message1, bytes32 message2, bytes calldata sum) external view {
        Bls.verifyPair(key, message1, message2, sum);
    }

    function add(bytes memory a, bytes memory b) external view returns (bytes memory points) {
        points = bytes.concat(a, b);
        Bls.addTo(content(points));
        assembly ("memory-safe") {
            mstore(points, 128)
        }
    }

    function hash(bytes32 message, bytes32 dst) external view returns (bytes memory points) {
        points = new bytes(256);
        Bls.hashTo(content(points), message, dst);
        assembly ("memory-safe") {
            mstore(points, 128)
        }
    }

    function content(bytes memory of_) private pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(of_, 32)
        }
    }
}

contract BlsTest {
    BlsDoor private door = new BlsDoor();
    bytes32 private constant MESSAGE = "one";
    bytes32 private constant OTHER = "two";

    bytes private constant WRONG = abi.encodeWithSelector(Bls.WrongSignature.selector);
    bytes private constant PAIRING_REFUSED = abi.encodeWithSelector(Bls.PrecompileRefused.selector, 0x0f);

    function refused(bytes memory reason, bytes memory key, bytes memory signature) private {
        vm.expectRevert(reason);
        door.verify(key, MESSAGE, Bls.SIGNATURE, signature);
    }

    function test_vectors_of_blst_agree_in_both_directions() public view {
        string memory json = vm.readFile("test/vectors/bls_min_sig.json");
        for (uint256 i = 0; i < 4; ++i) {
            string memory path = string(abi.encodePacked("[", bytes1(uint8(48 + i)), "]."));
            uint256 secret = vm.parseJsonUint(json, string.concat(path, "secret"));
            bytes memory key = field(json, path, "key");
            bytes32 message1 = bytes32(field(json, path, "message1"));
            bytes32 message2 = bytes32(field(json, path, "message2"));
            door.verify(key, message1, Bls.SIGNATURE, field(json, path, "signature1"));
            door.verify(key, message2, Bls.SIGNATURE, field(json, path, "signature2"));
            door.verify(key, message1, Bls.POSSESSION, field(json, path, "possession1"));
            door.verifyPair(key, message1, message2, field(json, path, "sum"));
            same(Signer.key(secret), key);
            same(Signer.sign(secret, message1, Bls.SIGNATURE), field(json, path, "signature1"));
            same(Signer.sign(secret, message1, Bls.POSSESSION), field(json, path, "possession1"));
            same(Signer.sum(field(json, path, "signature1"), field(json, path, "signature2")), field(json, path, "sum"));
        }
    }

    function field(string memory json, string memory path, string memory name) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(path, name));
    }

    function same(bytes memory a, bytes memory b) private pure {
        require(keccak256(a) == keccak256(b), "bytes differ");
    }

    function testFuzz_a_signature_verifies_for_its_key_message_and_tag_only(uint256 seed, bytes32 message) public {
        vm.assume(message != MESSAGE);
        uint256 secret = Signer.secret(seed);
        bytes memory key = Signer.key(secret);
        bytes memory signature = Signer.sign(secret, message, Bls.SIGNATURE);
        bytes memory other = Signer.key(Signer.secret(secret)); // of the secret plus one
        door.verify(key, message, Bls.SIGNATURE, signature);
        vm.expectRevert(WRONG);
        door.verify(key, MESSAGE, Bls.SIGNATURE, signature);
        vm.expectRevert(WRONG);
        door.verify(key, message, Bls.POSSESSION, signature);
        vm.expectRevert(WRONG);
        door.verify(other, message, Bls.SIGNATURE, signature);
    }

    function testFuzz_a_pair_needs_both_signatures_of_one_key(uint256 seed, bytes32 message1, bytes32 message2) public {
        vm.assume(message1 != message2);
        uint256 secret = Signer.secret(seed);
        vm.assume(secret != 7); // the other key below
        bytes memory key = Signer.key(secret);
        bytes memory one = Signer.sign(secret, message1, Bls.SIGNATURE);
        bytes memory two = Signer.sign(secret, message2, Bls.SIGNATURE);
        bytes memory sum = Signer.sum(one, two);
        door.verifyPair(key, message1, message2, sum);
        door.verifyPair(key, message2, message1, sum);
        notThePair(key, message1, message2, one);
        notThePair(key, message1, message2, Signer.sum(one, Signer.sign(7, message2, Bls.SIGNATURE)));
        notThePair(key, message1, message2, Signer.sum(one, one));
    }

    function notThePair(bytes memory key, bytes32 message1, bytes32 message2, bytes memory sum) private {
        vm.expectRevert(WRONG);
        door.verifyPair(key, message1, message2, sum);
    }

    function test_hashes_are_those_of_the_reference() public view {
        bytes32 message = MESSAGE;
        for (uint256 i = 0; i < 200; ++i) {
            bytes32 dst = i % 2 == 0 ? Bls.SIGNATURE : Bls.POSSESSION;
            same(door.hash(message, dst), Signer.hashToG1(message, dst));
            message = keccak256(abi.encode(message));
        }
    }

    function testFuzz_hashes_are_those_of_the_reference(bytes32 message) public view {
        same(door.hash(message, Bls.SIGNATURE), Signer.hashToG1(message, Bls.SIGNATURE));
    }

    function test_the_zero_signature_is_refused_also_for_the_identity_key() public {
        refused(abi.encodeWithSelector(Bls.ZeroSignature.selector), new bytes(192), new bytes(96));
        refused(abi.encodeWithSelector(Bls.ZeroSignature.selector), Signer.key(7), new bytes(96));
        refused(WRONG, new bytes(192), Signer.sign(7, MESSAGE, Bls.SIGNATURE));
        vm.expectRevert(abi.encodeWithSelector(Bls.ZeroSignature.selector));
        door.verifyPair(new bytes(192), MESSAGE, OTHER, new bytes(96));
    }

    function test_two_hashes_that_cancel_are_refused() public {
        bytes memory point = Signer.hashToG1(MESSAGE, Bls.SIGNATURE);
        bytes memory negated = Signer.pad(Signer.negate(Signer.pack(point)));
        vm.expectRevert(abi.encodeWithSelector(Bls.Cancelled.selector));
        door.add(point, negated);
        require(door.add(point, point).length == 128, "doubling is a sum");
    }

    function test_malformed_points_are_refused() public {
        bytes memory key = Signer.key(7);
        bytes memory good = Signer.sign(7, MESSAGE, Bls.SIGNATURE);
        door.verify(key, MESSAGE, Bls.SIGNATURE, good);
        refused(WRONG, key, Signer.negate(good));
        refused(PAIRING_REFUSED, key, bytes.concat(Signer.slice(good, 48, 48), Signer.slice(good, 0, 48)));
        refused(PAIRING_REFUSED, key, bytes.concat(plusModulus(Signer.slice(good, 0, 48)), Signer.slice(good, 48, 48)));
        refused(PAIRING_REFUSED, key, TORSION);
        refused(PAIRING_REFUSED, key, Signer.sum(good, TORSION)); // on the curve, outside the subgroup
        bytes memory swapped =
            bytes.concat(Signer.slice(key, 48, 48), Signer.slice(key, 0, 48), Signer.slice(key, 96, 96));
        refused(PAIRING_REFUSED, swapped, good);
        for (uint256 length = 94; length < 99; ++length) {
            if (length == 96) continue;
            refused(abi.encodeWithSelector(Bls.WrongLength.selector, length), key, new bytes(length));
        }
        refused(abi.encodeWithSelector(Bls.WrongLength.selector, 191), new bytes(191), good);
        refused(abi.encodeWithSelector(Bls.WrongLength.selector, 193), bytes.concat(key, hex"00"), good);
    }

    /// @dev x + p, as 48 bytes; it fits for the x used here.
    function plusModulus(bytes memory x) private pure returns (bytes memory result) {
        bytes memory modulus =
            hex"1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
        result = new bytes(48);
        uint256 carry;
        for (uint256 i = 48; i > 0; --i) {
            carry += uint256(uint8(x[i - 1])) + uint8(modulus[i - 1]);
            result[i - 1] = bytes1(uint8(carry));
            carry >>= 8;
        }
        require(carry == 0, "does not fit");
    }

    /// @dev (0, 2): on y^2 = x^3 + 4, of order 3.
    bytes private constant TORSION = hex"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        hex"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002";
}
