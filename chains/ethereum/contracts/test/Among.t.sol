// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {KeyBlobs} from "../src/KeyBlobs.sol";
import {Palisade} from "../src/Palisade.sol";
import {RowProof} from "../src/RowProof.sol";
import {Signer} from "./Signer.sol";
import {Vm, vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @title Two certificates that contradict each other convict everybody who signed both
contract AmongTest is World {
    bytes32 private constant A = "digest a";
    bytes32 private constant B = "digest b";
    bytes32 private constant NAMED = "named";

    /// @dev Keys 1 to 4 are those of four operators; the first is staked.
    function setUp() public override {
        super.setUp();
        for (uint256 i = 1; i < 4; ++i) {
            register(operator(i), SECRET + i);
        }
    }

    function operator(uint256 index) private pure returns (address) {
        return index == 0 ? OPERATOR : address(uint160(0xC000 + index));
    }

    /// @dev The sum of the signatures of those whose bits are set.
    function signed(uint256 bits, bytes32 statement) private view returns (bytes memory sum) {
        for (uint256 i = 0; i < 4; ++i) {
            if (bits >> i & 1 == 0) continue;
            bytes memory one = Signer.sign(SECRET + i, statement, Bls.SIGNATURE);
            sum = sum.length == 0 ? one : Signer.sum(sum, one);
        }
    }

    /// @dev The key ids of those whose bits are set, without one of them.
    function others(uint256 bits, uint32 keyId) private pure returns (uint32[] memory ids) {
        uint256 count;
        ids = new uint32[](4);
        for (uint32 id = 1; id <= 4; ++id) {
            if (bits >> (id - 1) & 1 == 1 && id != keyId) ids[count++] = id;
        }
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    function pairBy(uint256 first, uint256 second) private view returns (Palisade.Pair memory pair) {
        bytes32 domain = palisade.domain(0, 0, 1);
        (pair.keyId, pair.kind, pair.slot, pair.digestA, pair.digestB) = (1, 1, 7, A, B);
        bytes memory one = signed(first, palisade.statement(domain, 7, A));
        pair.signatureSum = Signer.sum(one, signed(second, palisade.statement(domain, 7, B)));
    }

    function slashAmong(Palisade.Pair memory pair, uint256 first, uint256 second) private {
        palisade.slashAmong(pair, others(first, pair.keyId), others(second, pair.keyId));
    }

    function refusedAmong(Palisade.Pair memory pair, uint256 first, uint256 second, bytes memory reason) private {
        (uint32[] memory one, uint32[] memory other) = (others(first, pair.keyId), others(second, pair.keyId));
        vm.expectRevert(reason);
        palisade.slashAmong(pair, one, other);
    }

    function isConvicted(uint256 index) private view returns (bool yes) {
        (yes,) = palisade.caseOf(operator(index), 1);
    }

    function test_r01_who_stands_in_both_certificates_is_convicted_and_slashed_once() public {
        Palisade.Pair memory pair = pairBy(7, 11); // 0, 1, 2 and 0, 1, 3
        vm.recordLogs();
        slashAmong(pair, 7, 11);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.Convicted.selector) == 1, "one conviction");
        require(counted(logs, Palisade.Slashed.selector) == 1 && eigenlayer.slashes() == 1, "slashed");
        refusedAmong(pair, 7, 11, abi.encodeWithSelector(Palisade.AlreadySlashed.selector, ledgerCase()));
        refused(pairOf(9, A, B), abi.encodeWithSelector(Palisade.AlreadySlashed.selector, ledgerCase())); // R25
        pair.keyId = 2;
        slashAmong(pair, 7, 11);
        require(isConvicted(0) && isConvicted(1) && !isConvicted(2) && !isConvicted(3), "these two");
    }

    function test_r01_who_stands_in_one_certificate_only_cannot_be_accused() public {
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        Palisade.Pair memory pair = pairBy(7, 11);
        for (uint32 keyId = 3; keyId <= 4; ++keyId) {
            pair.keyId = keyId;
            for (uint256 bits = 0; bits < 256; ++bits) {
                if (bits & 15 == 15 || bits >> 4 == 15 || bits % 5 == 0) refusedAmong(pair, bits & 15, bits >> 4, wrong);
            }
        }
        require(palisade.lastConvictionBlock() == 0, "nobody is convicted");
    }

    function test_r01_the_sums_are_of_exactly_these_signatures() public {
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        Palisade.Pair memory pair = pairBy(7, 11);
        for (uint256 bits = 0; bits < 256; ++bits) {
            (uint256 first, uint256 second) = (bits & 15 | 1, bits >> 4 | 1);
            if (bits & 17 == 17 && (first != 7 || second != 11)) refusedAmong(pair, first, second, wrong);
        }
        pair.slot = 8;
        refusedAmong(pair, 7, 11, wrong);
        (pair.slot, pair.kind) = (7, 3);
        refusedAmong(pair, 7, 11, wrong);
        (pair.kind, pair.digestB) = (1, "digest c");
        refusedAmong(pair, 7, 11, wrong);
        pair.digestB = A; // one certificate twice is honest
        refusedAmong(pair, 7, 11, failed(Palisade.Compatible.selector));
        pair = pairBy(7, 11);
        uint32[] memory stranger = new uint32[](1);
        stranger[0] = 9;
        vm.expectRevert(abi.encodeWithSelector(KeyBlobs.UnknownKey.selector, uint32(9)));
        palisade.slashAmong(pair, stranger, stranger);
        pair.signatureSum = new bytes(96);
        refusedAmong(pair, 7, 11, failed(Bls.ZeroSignature.selector));
        require(palisade.lastConvictionBlock() == 0, "nobody is convicted");
        slashAmong(pairBy(7, 11), 7, 11);
    }

    /// @dev Whoever counts his own key several times has signed all the same.
    function test_r01_a_key_that_is_counted_twice_proves_no_less() public {
        Palisade.Pair memory pair = pairBy(1, 1);
        bytes32 domain = palisade.domain(0, 0, 1);
        bytes memory twice = signed(1, palisade.statement(domain, 7, A));
        twice = Signer.sum(Signer.sum(twice, twice), signed(1, palisade.statement(domain, 7, B)));
        pair.signatureSum = twice;
        uint32[] memory own = new uint32[](1);
        own[0] = 1;
        palisade.slashAmong(pair, own, new uint32[](0));
        require(isConvicted(0), "signed both");
    }

    function test_only_the_networks_own_bls_domains_and_rows_in_time() public {
        Palisade.Pair memory pair = pairBy(7, 11);
        pair.kind = 2;
        refusedAmong(pair, 7, 11, failed(Palisade.SignedWithEots.selector));
        (pair.kind, pair.serviceId) = (256, bytes32(uint256(1)));
        refusedAmong(pair, 7, 11, failed(Palisade.ServiceDomain.selector));
        register(OPERATOR, 99);
        register(operator(1), 98); // in company an old key of another's counts for ever
        vm.roll(1_000 + WINDOW + 1);
        pair = pairBy(7, 11);
        refusedAmong(pair, 7, 11, abi.encodeWithSelector(Palisade.EvidenceTooLate.selector, uint64(1_000)));
        vm.roll(1_000 + WINDOW);
        slashAmong(pair, 7, 11);
    }

    // ---- Ancestors

    /// @dev A block at height 30 whose state is one row: NAMED at height 7.
    function faultBy(uint256 first, uint256 second) private view returns (Palisade.Ancestor memory fault) {
        bytes32 path = keccak256(abi.encodePacked(uint8(0), uint64(7)));
        bytes32 root = keccak256(abi.encodePacked(uint8(0), path, keccak256(abi.encodePacked(uint8(0), NAMED))));
        (fault.keyId, fault.laterKeyId, fault.slot, fault.digest, fault.named) = (1, 1, 7, A, NAMED);
        bytes32 none = bytes32(0);
        fault.header = abi.encodePacked(uint16(1), CHAIN, uint64(30), uint32(1), none, none, root, none);
        bytes32 domain = palisade.domain(0, 0, 1);
        bytes memory earlier = signed(first, palisade.statement(domain, 7, A));
        bytes memory later = signed(second, palisade.statement(domain, 30, keccak256(fault.header)));
        fault.signatureSum = Signer.sum(earlier, later);
    }

    function refusedFault(Palisade.Ancestor memory fault, uint256 first, uint256 second, bytes memory reason) private {
        (uint32[] memory one, uint32[] memory other) = (others(first, fault.keyId), others(second, fault.keyId));
        vm.expectRevert(reason);
        palisade.slashAncestorAmong(fault, one, other);
    }

    function test_r01_a_certificate_against_a_certified_ancestor_convicts_too() public {
        Palisade.Ancestor memory fault = faultBy(7, 11);
        refusedFault(fault, 7, 15, failed(Bls.WrongSignature.selector));
        fault.keyId = 3;
        fault.laterKeyId = 3;
        refusedFault(fault, 7, 11, failed(Bls.WrongSignature.selector)); // not in the later one
        fault.keyId = 1;
        refusedFault(fault, 7, 11, failed(Palisade.DifferentSigners.selector));
        fault.laterKeyId = 1;
        fault.digest = NAMED;
        refusedFault(fault, 7, 11, failed(Palisade.Compatible.selector));
        (fault.digest, fault.named) = (A, B);
        refusedFault(fault, 7, 11, failed(RowProof.WrongRoot.selector));
        (fault.named, fault.slot) = (NAMED, 30);
        refusedFault(fault, 7, 11, failed(Palisade.Compatible.selector));
        fault.slot = 7;
        require(palisade.lastConvictionBlock() == 0, "nobody is convicted");
        palisade.slashAncestorAmong(fault, others(7, 1), others(11, 1));
        require(isConvicted(0) && eigenlayer.slashes() == 1, "slashed");
        refusedFault(fault, 7, 11, abi.encodeWithSelector(Palisade.AlreadySlashed.selector, ledgerCase()));
        (fault.keyId, fault.laterKeyId) = (2, 2);
        palisade.slashAncestorAmong(fault, others(7, 2), others(11, 2));
        require(isConvicted(1) && !isConvicted(2) && !isConvicted(3), "and the other");
    }
}
