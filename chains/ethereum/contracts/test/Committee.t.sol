// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {Header, Headers} from "../src/Headers.sol";
import {Palisade} from "../src/Palisade.sol";
import {Council} from "./Council.sol";
import {Signer} from "./Signer.sol";
import {Vm, vm} from "./Vm.sol";

contract CommitteeTest is Council {
    uint16 private constant LEDGER = 1;
    uint16 private constant CLAIM = 3;

    function setUp() public {
        found(4);
    }

    function first() private pure returns (Seats memory) {
        return seats(1, SNAPSHOT, 4);
    }

    /// @dev The second committee: its snapshot lies ten blocks after the first one's.
    function second() private pure returns (Seats memory) {
        return seats(2, SNAPSHOT + 10, 4);
    }

    function third() private pure returns (Seats memory) {
        return seats(3, SNAPSHOT + 20, 4);
    }

    function refused(bytes memory block_, Committee.Certificate memory certificate, bytes memory reason) private {
        vm.expectRevert(reason);
        light.handOver(block_, certificate);
    }

    function claimRefused(Committee.Statement memory told, Committee.Certificate memory by, bytes memory reason)
        private
    {
        vm.expectRevert(reason);
        light.verify(told, by);
    }

    function failed(bytes4 selector) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    // ---- Beginning

    function test_r06_it_starts_at_the_first_committee_with_weight() public {
        (uint32 epoch, bytes32 blockId, uint64 height) = light.latest();
        bytes memory boundary = header(0, 10, hash(first()));
        require(epoch == 1 && blockId == keccak256(boundary) && height == 10, "the boundary before it");
        require(light.committeeHash(1) == hash(first()), "the committee");
        require(light.committeeHash(0) == 0 && light.committeeHash(2) == 0, "no other");
        require(!light.frozen(), "not frozen");

        vm.expectRevert(failed(Committee.NoBoundary.selector));
        new Committee(CHAIN, address(palisade), header(0, 10, 0), MAX_AGE, TRUST);
        vm.expectRevert(abi.encodeWithSelector(Committee.OtherChain.selector, CHAIN));
        new Committee("another genesis", address(palisade), boundary, MAX_AGE, TRUST);
        vm.expectRevert(failed(Headers.NoHeader.selector));
        new Committee(CHAIN, address(palisade), bytes.concat(boundary, hex"00"), MAX_AGE, TRUST);
    }

    function test_r06_an_epoch_without_weight_ends_the_hand_over() public {
        Seats memory weightless = seats(1, SNAPSHOT, 4);
        weightless.weights = new uint64[](4);
        light = lightAt(weightless);
        bytes memory block_ = header(1, 30, hash(second()));
        bytes memory none = abi.encodeWithSelector(Committee.NoQuorum.selector, 0, 0);
        refused(block_, certifyBlock(weightless, 15, block_), none);
    }

    // ---- Hand-over

    function test_r10_it_goes_on_certificate_by_certificate() public {
        vm.recordLogs();
        bytes memory block_ = header(1, 30, hash(second()));
        light.handOver(block_, certifyBlock(first(), 15, block_));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == Committee.HandedOver.selector, "one event");
        require(logs[0].topics[1] == bytes32(uint256(2)) && logs[0].topics[2] == keccak256(block_), "epoch, block");
        (uint32 epoch, bytes32 blockId, uint64 height) = light.latest();
        require(epoch == 2 && blockId == keccak256(block_) && height == 30, "the last boundary");
        require(light.committeeHash(2) == hash(second()) && light.committeeHash(1) == hash(first()), "both");

        bytes memory again = abi.encodeWithSelector(Committee.WrongEpoch.selector, 1, 2);
        refused(block_, certifyBlock(first(), 15, block_), again);
        vm.roll(SNAPSHOT + 25);
        bytes memory next = header(2, 50, hash(third()));
        light.handOver(next, certifyBlock(second(), 7, next)); // three of four
        require(light.committeeHash(3) == hash(third()) && light.committeeHash(1) == 0, "the oldest is gone");
    }

    function test_r10_only_a_boundary_block_of_the_newest_epoch_hands_over() public {
        bytes memory block_ = header(1, 30, 0);
        refused(block_, certifyBlock(first(), 15, block_), failed(Committee.NoBoundary.selector));
        block_ = header(2, 30, hash(second()));
        bytes memory wrong = abi.encodeWithSelector(Committee.WrongEpoch.selector, 2, 1);
        refused(block_, certifyBlock(first(), 15, block_), wrong);
        block_ = header(1, 10, hash(second()));
        wrong = abi.encodeWithSelector(Committee.WrongHeight.selector, 10, 10);
        refused(block_, certifyBlock(first(), 15, block_), wrong);
        block_ = header(1, 30, hash(second()));
        bytes memory other = header(1, 31, hash(second()));
        refused(block_, certifyBlock(first(), 15, other), failed(Bls.WrongSignature.selector));
        // The same block certified in another domain.
        Committee.Certificate memory claimed = certify(first(), 15, palisade.domain(0, 0, CLAIM), 30, keccak256(block_));
        refused(block_, claimed, failed(Bls.WrongSignature.selector));
        // The next committee cannot vouch for itself.
        wrong = abi.encodeWithSelector(Committee.UnknownCommittee.selector, 2);
        refused(block_, certifyBlock(second(), 15, block_), wrong);
        refused(Signer.slice(block_, 0, 173), claimed, failed(Headers.NoHeader.selector));
        block_[1] = 0x02; // another version
        refused(block_, certifyBlock(first(), 15, block_), failed(Headers.NoHeader.selector));
        block_[1] = 0x01;
        block_[2] ^= 0x01; // another network
        refused(block_, certifyBlock(first(), 15, block_), failed(Headers.NoHeader.selector));
    }

    function test_r05_a_committee_is_trusted_for_its_age_and_the_trust_period_only() public {
        bytes memory block_ = header(1, 30, hash(second()));
        Committee.Certificate memory certificate = certifyBlock(first(), 15, block_);
        uint256 last = SNAPSHOT + MAX_AGE + TRUST;
        vm.roll(last + 1);
        bytes memory expired = abi.encodeWithSelector(Committee.TrustExpired.selector, last);
        refused(block_, certificate, expired);
        claimRefused(statementOf(LEDGER, 30, keccak256(block_)), certificate, expired);
        vm.roll(SNAPSHOT - 1);
        refused(block_, certificate, abi.encodeWithSelector(Committee.FromTheFuture.selector, SNAPSHOT));
        vm.roll(last); // past the maximum age: hand-over is what is left
        light.handOver(block_, certificate);
    }

    // ---- Who signed, and what they weigh

    function test_signers_weigh_more_than_two_thirds() public {
        Seats memory six = seats(1, SNAPSHOT, 6);
        register(4);
        register(5);
        light = lightAt(six);
        Committee.Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 400, 600);
        claimRefused(told, certify(six, 15, domain, 9, DIGEST), few); // exactly two thirds
        Committee.Office memory office = light.verify(told, certify(six, 31, domain, 9, DIGEST));
        require(office.epoch == 1 && office.ethereumBlock == SNAPSHOT && office.bitcoinBlock == 700, "the office");
        light.verify(told, certify(six, 62, domain, 9, DIGEST));
        few = abi.encodeWithSelector(Committee.NoQuorum.selector, 0, 600);
        claimRefused(told, certifyNobody(six), few);
    }

    function certifyNobody(Seats memory all) private view returns (Committee.Certificate memory certificate) {
        certificate = certify(all, 1, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        certificate.signers = 0;
    }

    function test_the_bitmap_says_exactly_who_signed() public {
        Committee.Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        Committee.Certificate memory by = certify(first(), 7, domain, 9, DIGEST);
        light.verify(told, by);
        by.signers = 15; // claims the absentee
        claimRefused(told, by, wrong);
        by.signers = 14; // another three
        claimRefused(told, by, wrong);
        by = certify(first(), 15, domain, 9, DIGEST);
        by.signers = 7; // leaves out a signer
        claimRefused(told, by, wrong);
        by.signers = 31; // a fifth of four
        claimRefused(told, by, failed(Committee.NotMembers.selector));
        by.signers = 15 | 1 << 255;
        claimRefused(told, by, failed(Committee.NotMembers.selector));
        by.signers = 15;
        by.signature = new bytes(96);
        claimRefused(told, by, failed(Bls.ZeroSignature.selector));
        by.signature = Signer.negate(certify(first(), 15, domain, 9, DIGEST).signature);
        claimRefused(told, by, wrong);
    }

    function test_figures_and_weights_are_those_that_were_certified() public {
        Committee.Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        bytes memory unknown = abi.encodeWithSelector(Committee.UnknownCommittee.selector, 1);
        bytes memory good = figures(first());
        for (uint256 i = 4; i < 382; i += 21) {
            Committee.Certificate memory changed = certify(first(), 15, domain, 9, DIGEST);
            changed.committee[i] = ~good[i];
            claimRefused(told, changed, unknown);
        }
        Committee.Certificate memory by = certify(first(), 7, domain, 9, DIGEST);
        by.weights[11] = 0x65; // one of them a little heavier
        claimRefused(told, by, failed(Committee.WrongWeights.selector));
        by.weights = Signer.slice(by.weights, 0, 36);
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 36));
        by.weights = "";
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 0));
        by = certify(first(), 15, domain, 9, DIGEST);
        by.weights = "";
        light.verify(told, by); // nobody is absent
        by.committee = bytes.concat(good, hex"00");
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 383));
    }

    function testFuzz_a_certificate_holds_exactly_when_its_signers_are_a_quorum(uint64[7] calldata weights, uint256 bits)
        public
    {
        Seats memory all = seats(1, SNAPSHOT, 7);
        for (uint256 seat = 4; seat < 7; ++seat) {
            register(seat);
        }
        uint256 signed;
        uint256 total;
        bits %= 128;
        for (uint256 i = 0; i < 7; ++i) {
            all.weights[i] = weights[i];
            total += weights[i];
            if (bits >> i & 1 == 1) signed += weights[i];
        }
        vm.assume(bits != 0);
        light = lightAt(all);
        Committee.Certificate memory by = certify(all, bits, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        Committee.Statement memory told = statementOf(CLAIM, 9, DIGEST);
        if (signed * 3 <= total * 2) {
            vm.expectRevert(abi.encodeWithSelector(Committee.NoQuorum.selector, signed, total));
        }
        light.verify(told, by);
    }

    // ---- Convicts

    function test_r09_a_convict_leaves_signers_and_total() public {
        Committee.Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        Seats memory heavy = first();
        heavy.weights[0] = 300;
        light = lightAt(heavy);
        light.verify(told, certify(heavy, 7, domain, 9, DIGEST)); // 500 of 600
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 300, 600);
        claimRefused(told, certify(heavy, 14, domain, 9, DIGEST), few);

        vm.roll(SNAPSHOT); // the conviction may be known at the snapshot, or not
        convict(0);
        vm.roll(SNAPSHOT + 5);
        few = abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 300);
        claimRefused(told, certify(heavy, 7, domain, 9, DIGEST), few); // he signs, and counts nothing
        light.verify(told, certify(heavy, 14, domain, 9, DIGEST)); // the other three are all that is left
        light.verify(told, certify(heavy, 15, domain, 9, DIGEST)); // his signature does no harm
        Committee.Certificate memory by = certify(heavy, 15, domain, 9, DIGEST);
        by.weights = "";
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 0)); // nobody hides him
    }

    function test_r09_a_convict_of_any_domain_with_any_key_is_out() public {
        convict(1);
        Seats memory all = first();
        uint32[] memory ids = new uint32[](5);
        (ids[0], ids[1], ids[2], ids[3], ids[4]) = (1, 2, 3, 2, 77);
        require(palisade.convicts(ids) == 10, "bits");
        require(palisade.convictedAt(operator(1)) == block.number && palisade.convictedAt(operator(0)) == 0, "since");
        require(palisade.lastConvictionBlock() == block.number, "the newest");
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 300);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        claimRefused(statementOf(CLAIM, 9, DIGEST), certify(all, 7, domain, 9, DIGEST), few);
    }

    function test_r09_a_conviction_before_the_snapshot_is_the_ledgers_business() public {
        vm.roll(SNAPSHOT - 1);
        convict(0);
        vm.roll(SNAPSHOT + 5);
        Committee.Certificate memory by = certify(first(), 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        by.weights = "";
        light.verify(statementOf(CLAIM, 9, DIGEST), by);
    }

    function test_r09_everybody_convicted_is_no_quorum() public {
        for (uint256 seat = 0; seat < 4; ++seat) {
            convict(seat);
        }
        bytes memory none = abi.encodeWithSelector(Committee.NoQuorum.selector, 0, 0);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        claimRefused(statementOf(CLAIM, 9, DIGEST), certify(first(), 15, domain, 9, DIGEST), none);
    }

    // ---- Domains and epochs

    function test_r14_domains_are_derived_here() public {
        for (uint16 kind = 1; kind <= 5; ++kind) {
            Committee.Statement memory told = statementOf(kind, 9, DIGEST);
            Committee.Certificate memory by = certify(first(), 15, palisade.domain(0, 0, kind), 9, DIGEST);
            if (kind == 2) vm.expectRevert(failed(Committee.SignedWithEots.selector));
            light.verify(told, by);
        }
        Committee.Certificate memory claimed = certify(first(), 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        claimRefused(statementOf(4, 9, DIGEST), claimed, wrong);
        claimRefused(statementOf(CLAIM, 10, DIGEST), claimed, wrong);
        claimRefused(statementOf(CLAIM, 9, "another"), claimed, wrong);
    }

    function test_r03_a_services_slot_names_its_epoch() public {
        Committee.Statement memory told = statementOf(256, uint64(1) << 40 | 5, DIGEST);
        (told.serviceId, told.registration) = ("service", 2);
        bytes32 domain = palisade.domain("service", 2, 256);
        light.verify(told, certify(first(), 15, domain, told.slot, DIGEST));
        told.slot = uint64(2) << 40 | 5;
        bytes memory wrong = abi.encodeWithSelector(Committee.WrongEpoch.selector, 2, 1);
        claimRefused(told, certify(first(), 15, domain, told.slot, DIGEST), wrong);
    }

    function test_r03_a_block_is_final_under_the_committee_of_its_epoch() public {
        bytes memory block_ = header(1, 30, hash(second()));
        light.handOver(block_, certifyBlock(first(), 15, block_));
        bytes memory after_ = headerOver(1, 33, 0, "a state");
        (Header memory read, Committee.Office memory office) = light.verifyBlock(after_, certifyBlock(first(), 7, after_));
        require(read.id == keccak256(after_) && read.height == 33 && read.epoch == 1, "what it says");
        require(read.stateRoot == "a state" && read.nextCommittee == 0 && office.epoch == 1, "and more");
        bytes memory wrong = abi.encodeWithSelector(Committee.WrongEpoch.selector, 1, 2);
        Committee.Certificate memory by = certifyBlock(second(), 15, after_);
        vm.roll(SNAPSHOT + 15);
        vm.expectRevert(wrong);
        light.verifyBlock(after_, by);
        bytes memory newer = headerOver(2, 40, 0, "a state");
        light.verifyBlock(newer, certifyBlock(second(), 15, newer));
    }

    // ---- Contradictions

    function test_r10_two_boundaries_of_one_epoch_freeze_it_for_ever() public {
        bytes memory origin = header(0, 10, hash(first()));
        bytes memory accepted = header(1, 30, hash(second()));
        bytes memory other = header(1, 31, hash(third()));
        Committee.Certificate memory by = certifyBlock(first(), 14, other);
        notYet(origin, other, by); // nothing accepted that it could contradict
        light.handOver(accepted, certifyBlock(first(), 7, accepted));
        vm.roll(SNAPSHOT + 15);
        notYet(origin, accepted, certifyBlock(first(), 14, accepted)); // the same block again
        vm.expectRevert(failed(Committee.NoBoundary.selector));
        light.contradict(origin, header(1, 31, 0), by);
        vm.expectRevert(abi.encodeWithSelector(Committee.WrongEpoch.selector, 1, 1));
        light.contradict(accepted, other, by);
        Committee.Certificate memory few = certifyBlock(first(), 6, other);
        vm.expectRevert(abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 400));
        light.contradict(origin, other, few);
        bytes memory stranger = header(0, 11, hash(first()));
        vm.expectRevert(abi.encodeWithSelector(Committee.UnknownCommittee.selector, 1));
        light.contradict(stranger, other, by);

        // Slashing the guilty first does not make the contradiction disappear.
        convict(1);
        convict(2);
        vm.recordLogs();
        light.contradict(origin, other, by);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == Committee.Frozen.selector, "one event");
        require(keccak256(logs[0].data) == keccak256(abi.encode(keccak256(accepted), keccak256(other))), "both blocks");
        require(light.frozen() && light.committeeHash(2) == 0, "frozen");

        bytes memory next = header(2, 50, hash(third()));
        refused(next, certifyBlock(second(), 15, next), failed(Committee.HandOverFrozen.selector));
        bytes memory unknown = abi.encodeWithSelector(Committee.UnknownCommittee.selector, 2);
        Committee.Certificate memory claimed = certify(second(), 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        claimRefused(statementOf(CLAIM, 9, DIGEST), claimed, unknown);
        vm.expectRevert(failed(Committee.HandOverFrozen.selector));
        light.contradict(origin, other, by);
        (uint32 epoch, bytes32 blockId,) = light.latest();
        require(epoch == 2 && blockId == keccak256(accepted), "what was last is still told");
        convict(3); // pair slashing goes on
    }

    function notYet(bytes memory origin, bytes memory block_, Committee.Certificate memory by) private {
        vm.expectRevert(failed(Committee.NoContradiction.selector));
        light.contradict(origin, block_, by);
    }

    function test_r10_a_contradiction_is_seen_epochs_later_and_not_past_the_trust_period() public {
        bytes memory origin = header(0, 10, hash(first()));
        bytes memory other = header(1, 31, hash(third()));
        Committee.Certificate memory by = certifyBlock(first(), 15, other);
        for (uint32 epoch = 1; epoch < 34; ++epoch) {
            Seats memory now_ = seats(epoch, SNAPSHOT, 4);
            bytes memory block_ = header(epoch, 30 * epoch, hash(seats(epoch + 1, SNAPSHOT, 4)));
            light.handOver(block_, certifyBlock(now_, 15, block_));
            if (epoch == 31) continue;
            if (epoch >= 32) {
                notYet(origin, other, by); // its boundary is not kept any more
                bytes memory next = header(1, 30, hash(seats(2, SNAPSHOT, 4)));
                if (epoch == 32) late(next, seats(2, SNAPSHOT, 4));
            }
        }
    }

    /// @dev The oldest boundary that is kept still recognises its contradiction, within the trust period.
    function late(bytes memory origin, Seats memory all) private {
        bytes memory other = header(2, 61, keccak256("other"));
        Committee.Certificate memory by = certifyBlock(all, 15, other);
        uint256 last = SNAPSHOT + MAX_AGE + TRUST;
        vm.roll(last + 1);
        vm.expectRevert(abi.encodeWithSelector(Committee.TrustExpired.selector, last));
        light.contradict(origin, other, by);
        vm.roll(last);
        try this.contradictThenUndo(light, origin, other, by) {
            require(false, "it undoes itself");
        } catch (bytes memory reason) {
            require(bytes4(reason) == Undone.selector, "it was a contradiction");
        }
    }

    error Undone();

    function contradictThenUndo(
        Committee copy,
        bytes memory origin,
        bytes memory other,
        Committee.Certificate memory by
    ) external {
        copy.contradict(origin, other, by);
        require(copy.frozen(), "frozen");
        revert Undone();
    }
}
