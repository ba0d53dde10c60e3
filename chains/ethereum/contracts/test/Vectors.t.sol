// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BitcoinVaults} from "../src/BitcoinVaults.sol";
import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {Headers} from "../src/Headers.sol";
import {KeyBlobs} from "../src/KeyBlobs.sol";
import {Palisade} from "../src/Palisade.sol";
import {RowProof} from "../src/RowProof.sol";
import {Certificate, packed} from "./Council.sol";
import {Signer} from "./Signer.sol";
import {vm} from "./Vm.sol";

/// @dev Takes what it is asked to take.
contract Taker {
    struct Loss {
        address asset;
        uint256 before;
        uint256 afterwards;
    }

    uint256 public slashes;

    function gasFloor(address) external pure returns (uint256) {
        return 60_000;
    }

    function slash(address, bytes32) external returns (Loss[] memory losses, bool) {
        ++slashes;
        losses = new Loss[](1);
        losses[0] = Loss(address(1), 100, 75);
    }
}

/// @dev Gives the library's functions a call of their own.
contract RowDoor {
    function check(bytes32 root, bytes32 path, bytes32 valueHash, bytes32[] calldata siblings) external pure {
        RowProof.check(root, path, valueHash, siblings);
    }

    function checkBlock(bytes32 root, uint64 height, bytes32 id, bytes32[] calldata siblings) external pure {
        RowProof.checkBlock(root, height, id, siblings);
    }
}

/// @title What Rust makes, read by the contracts; chains/ethereum/tests/certificates.rs writes the files
contract VectorsTest {
    Palisade private palisade;
    Taker private taker = new Taker();
    string private json;

    /// @dev Palisade.sol where Rust thinks it stands: the first creation of a certain account.
    function open(string memory file) private {
        json = vm.readFile(string.concat("test/vectors/", file));
        address[] memory adapters = new address[](1);
        adapters[0] = address(taker);
        vm.roll(900);
        // What is created next here is the light client.
        address light = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.prank(address(0x2020202020202020202020202020202020202020));
        palisade = new Palisade(bytes32(field(".chain")), adapters, 1_000, light, address(0));
        require(address(palisade) == address(bytes20(field(".palisade"))), "where Rust thinks it stands");
    }

    function field(string memory path) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, path);
    }

    function register(address operator, uint256 secret) private returns (uint32) {
        Palisade.Keys memory keys;
        keys.bls = Signer.key(secret);
        keys.blsProof = Signer.sign(secret, palisade.possession(operator, keys.bls), Bls.POSSESSION);
        keys.ed25519Proof = new bytes(64);
        keys.eotsProof = new bytes(64);
        vm.prank(operator);
        return palisade.register(keys);
    }

    // ---- Certificates

    function test_r03_certificates_of_1_member() public {
        certificates(0);
    }

    function test_r03_certificates_of_4_members() public {
        certificates(1);
    }

    function test_r03_certificates_of_16_members() public {
        certificates(2);
    }

    function test_r03_certificates_of_64_members() public {
        certificates(3);
    }

    function test_r03_certificates_of_256_members() public {
        certificates(4);
    }

    function certificates(uint256 index) private {
        open("certificates.json");
        string memory set = string(abi.encodePacked(".sets[", bytes1(uint8(48 + index)), "]"));
        address[] memory operators = vm.parseJsonAddressArray(json, string.concat(set, ".operators"));
        bytes32[] memory secrets = vm.parseJsonBytes32Array(json, string.concat(set, ".secrets"));
        for (uint256 i = 0; i < operators.length; ++i) {
            require(register(operators[i], uint256(secrets[i])) == i + 1, "ids in order");
        }
        vm.roll(vm.parseJsonUint(json, ".snapshot") + 25);
        uint256 cases = vm.parseJsonUint(json, string.concat(set, ".count"));
        for (uint256 i = 0; i < cases; ++i) {
            uint256 state = vm.snapshotState(); // each has a light client of its own at the one address
            certificate(set, string(abi.encodePacked(set, ".cases[", bytes1(uint8(48 + i)), "]")));
            require(vm.revertToState(state), "undone");
        }
    }

    function certificate(string memory set, string memory path) private {
        Committee light =
            new Committee(bytes32(field(".chain")), address(palisade), field(string.concat(set, ".origin")), 30, 40);
        BitcoinVaults vaults = new BitcoinVaults(light);
        bytes memory boundary = field(string.concat(set, ".boundary"));
        Certificate memory by;
        by.committee = field(string.concat(set, ".committee"));
        by.weights = field(string.concat(set, ".weights"));
        by.signers = uint256(bytes32(field(string.concat(path, ".signers"))));
        by.signature = field(string.concat(path, ".claimSignature"));
        bytes memory claim = field(string.concat(set, ".claim"));
        if (!vm.parseJsonBool(json, string.concat(path, ".quorum"))) {
            try vaults.post(claim, packed(by)) {
                require(false, "no quorum");
            } catch (bytes memory reason) {
                require(bytes4(reason) == Committee.NoQuorum.selector, "no quorum");
            }
            return;
        }
        vaults.post(claim, packed(by));
        require(vaults.collateral(bytes32(uint256(0x07) * (type(uint256).max / 255)), 1).sats == 1_000_000, "claimed");
        refused(light, boundary, by); // signed in another domain
        by.signature = field(string.concat(path, ".signature"));
        by.signers ^= 1; // one more or one less
        refused(light, boundary, by);
        by.signers ^= 1;
        light.handOver(boundary, packed(by));
        bytes memory next = field(string.concat(set, ".next"));
        require(light.inOffice(keccak256(bytes.concat(field(".chain"), next))), "the next committee");
    }

    function refused(Committee light, bytes memory boundary, Certificate memory by) private {
        try light.handOver(boundary, packed(by)) {
            require(false, "tampered");
        } catch (bytes memory reason) {
            bytes4 why = bytes4(reason);
            require(why == Bls.WrongSignature.selector || why == Committee.NoQuorum.selector, "named");
        }
    }

    // ---- Ancestors

    function test_r01_an_attestation_against_an_ancestor_convicts() public {
        ancestors(false);
    }

    function test_r01_also_with_two_keys_of_one_operator() public {
        ancestors(true);
    }

    /// @dev All faults are of one operator and so of one case: each is tried on its own, and undone.
    function ancestors(bool twoKeys) private {
        open("ancestors.json");
        address operator = address(0xA11CE);
        register(operator, uint256(bytes32(field(".secret"))));
        register(operator, uint256(bytes32(field(".secondSecret"))));
        register(address(0xB0B), 99);
        for (uint256 i = 0; i < 5; ++i) {
            Palisade.Ancestor memory fault = ancestor(i, twoKeys);
            tampered(fault);
            try this.convictThenUndo(operator, fault) {
                require(false, "it undoes itself");
            } catch (bytes memory reason) {
                require(bytes4(reason) == Undone.selector, "it was a fault");
            }
        }
    }

    error Undone();

    function convictThenUndo(address operator, Palisade.Ancestor calldata fault) external {
        palisade.slashAncestor(fault);
        bytes32 id = palisade.caseId(operator, palisade.domain(0, 0, 1));
        (bool convicted, uint8 done) = palisade.caseOf(operator, 1);
        require(convicted && done == 1, "slashed");
        require(palisade.convictedAt(operator) == block.number, "and seen");
        require(taker.slashes() == 1, "once");
        bytes memory once = abi.encodeWithSelector(Palisade.AlreadySlashed.selector, id);
        vm.expectRevert(once);
        palisade.slashAncestor(fault);
        Palisade.Pair memory pair; // a pair of the same domain is the same case (R25)
        (pair.keyId, pair.kind) = (1, 1);
        vm.expectRevert(once);
        palisade.slash(pair);
        revert Undone();
    }

    function ancestor(uint256 index, bool twoKeys) private view returns (Palisade.Ancestor memory fault) {
        string memory at_ = string(abi.encodePacked(".faults[", bytes1(uint8(48 + index)), "]"));
        fault.keyId = 1;
        fault.laterKeyId = twoKeys ? 2 : 1;
        fault.slot = uint64(vm.parseJsonUint(json, string.concat(at_, ".slot")));
        fault.digest = bytes32(field(string.concat(at_, ".digest")));
        fault.header = field(string.concat(at_, ".header"));
        fault.named = bytes32(field(string.concat(at_, ".named")));
        fault.siblings = vm.parseJsonBytes32Array(json, string.concat(at_, ".siblings"));
        fault.signatureSum = field(string.concat(at_, twoKeys ? ".sumOfTwoKeys" : ".sum"));
    }

    function refusedFault(Palisade.Ancestor memory fault, bytes memory reason) private {
        vm.expectRevert(reason);
        palisade.slashAncestor(fault);
    }

    /// @dev One change at a time, and back.
    function tampered(Palisade.Ancestor memory fault) private {
        bytes memory wrong = abi.encodeWithSelector(Bls.WrongSignature.selector);
        bytes memory honest = abi.encodeWithSelector(Palisade.Compatible.selector);
        bytes memory off = abi.encodeWithSelector(RowProof.WrongRoot.selector);
        (bytes32 digest, bytes32 named, uint64 slot) = (fault.digest, fault.named, fault.slot);
        fault.digest = named; // the later block agrees
        refusedFault(fault, honest);
        fault.digest = "another";
        refusedFault(fault, wrong);
        fault.digest = digest;
        fault.named = "another";
        refusedFault(fault, off);
        fault.named = digest;
        refusedFault(fault, honest);
        fault.named = named;
        fault.slot = slot + 1000;
        refusedFault(fault, honest); // not before
        fault.slot = slot - 1;
        refusedFault(fault, off);
        fault.slot = slot;
        uint32 second = fault.laterKeyId;
        fault.laterKeyId = 3;
        refusedFault(fault, abi.encodeWithSelector(Palisade.DifferentSigners.selector));
        fault.laterKeyId = 3 - second;
        refusedFault(fault, wrong); // the other key of the two
        fault.laterKeyId = 9;
        refusedFault(fault, abi.encodeWithSelector(KeyBlobs.UnknownKey.selector, 9));
        fault.laterKeyId = second;
        fault.header[80] ^= 0x01; // another block
        refusedFault(fault, wrong);
        fault.header[80] ^= 0x01;
        fault.header[3] ^= 0x01; // another network
        refusedFault(fault, abi.encodeWithSelector(Headers.NoHeader.selector));
        fault.header[3] ^= 0x01;
        if (fault.siblings.length == 0) return;
        fault.siblings[0] ^= bytes32(uint256(1));
        refusedFault(fault, off);
        fault.siblings[0] ^= bytes32(uint256(1));
    }

    function test_r01_evidence_of_an_ancestor_ends_with_either_key() public {
        open("ancestors.json");
        address operator = address(0xA11CE);
        register(operator, uint256(bytes32(field(".secret"))));
        vm.roll(1_000);
        register(operator, uint256(bytes32(field(".secondSecret"))));
        Palisade.Ancestor memory fault = ancestor(3, true);
        vm.roll(2_001);
        refusedFault(fault, abi.encodeWithSelector(Palisade.EvidenceTooLate.selector, 1_000));
        vm.roll(2_000);
        palisade.slashAncestor(fault);
    }

    function test_row_proofs_are_bounded_and_lead_to_one_root_only() public {
        RowDoor door = new RowDoor();
        bytes32 lone = keccak256(abi.encodePacked(uint8(0), bytes32("path"), bytes32("value")));
        door.check(lone, "path", "value", new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(RowProof.TooDeep.selector, 257));
        door.check(lone, "path", "value", new bytes32[](257));
        vm.expectRevert(abi.encodeWithSelector(RowProof.WrongRoot.selector));
        door.check(lone, "path", "value", new bytes32[](256));
        vm.expectRevert(abi.encodeWithSelector(RowProof.WrongRoot.selector));
        door.check(lone, "path", "other", new bytes32[](0));
    }
}
