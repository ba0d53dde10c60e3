// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {Committee} from "../src/Committee.sol";
import {Header, Headers} from "../src/Headers.sol";
import {Palisade} from "../src/Palisade.sol";
import {Certificate, Council, Statement, packed} from "./Council.sol";
import {Signer} from "./Signer.sol";
import {Vm, vm} from "./Vm.sol";

contract CommitteeTest is Council {
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

    function refused(bytes memory block_, Certificate memory certificate, bytes memory reason) private {
        vm.expectRevert(reason);
        light.handOver(block_, packed(certificate));
    }

    function claimRefused(Statement memory told, Certificate memory by, bytes memory reason)
        private
    {
        vm.expectRevert(reason);
        verify(told, by);
    }

    function failed(bytes4 selector) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    // ---- Beginning

    function test_r06_it_starts_at_the_first_committee_with_weight() public {
        (uint32 epoch, bytes32 blockId, uint64 height) = light.latest();
        bytes memory boundary = header(0, 10, hash(first()));
        require(epoch == 1 && blockId == keccak256(boundary) && height == 10, "the boundary before it");
        require(light.inOffice(hash(first())) && !light.inOffice(hash(second())), "the committee and no other");
        require(!light.inOffice(0) && !light.inOffice(bytes32(uint256(1))), "nor nothing");
        require(!light.frozen(), "not frozen");

        born(CHAIN, header(0, 10, 0), failed(Committee.NoBoundary.selector));
        born("another genesis", boundary, abi.encodeWithSelector(Committee.OtherChain.selector, CHAIN));
        born(CHAIN, bytes.concat(boundary, hex"00"), failed(Headers.NoHeader.selector));
    }

    /// @dev Refused for this reason, where the registry expects its light client.
    function born(bytes32 chain, bytes memory boundary, bytes memory reason) private {
        foundRegistry();
        vm.expectRevert(reason);
        new Committee(chain, address(palisade), boundary, MAX_AGE, TRUST);
    }

    function test_r06_an_epoch_without_weight_ends_the_hand_over() public {
        Seats memory weightless = seats(1, SNAPSHOT, 4);
        weightless.weights = new uint64[](4);
        foundAt(weightless);
        bytes memory block_ = header(1, 30, hash(second()));
        bytes memory none = abi.encodeWithSelector(Committee.NoQuorum.selector, 0, 0);
        refused(block_, certifyBlock(weightless, 15, block_), none);
    }

    // ---- Hand-over

    function test_r10_it_goes_on_certificate_by_certificate() public {
        vm.recordLogs();
        bytes memory block_ = header(1, 30, hash(second()));
        light.handOver(block_, packed(certifyBlock(first(), 15, block_)));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == Committee.HandedOver.selector, "one event");
        require(logs[0].topics[1] == bytes32(uint256(2)) && logs[0].topics[2] == keccak256(block_), "epoch, block");
        (uint32 epoch, bytes32 blockId, uint64 height) = light.latest();
        require(epoch == 2 && blockId == keccak256(block_) && height == 30, "the last boundary");
        require(light.inOffice(hash(second())) && light.inOffice(hash(first())), "both");

        bytes memory again = abi.encodeWithSelector(Committee.WrongEpoch.selector, 1, 2);
        refused(block_, certifyBlock(first(), 15, block_), again);
        vm.roll(SNAPSHOT + 25);
        bytes memory next = header(2, 50, hash(third()));
        light.handOver(next, packed(certifyBlock(second(), 7, next))); // three of four
        require(light.inOffice(hash(third())) && !light.inOffice(hash(first())), "the oldest is gone");
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
        Certificate memory claimed = certify(first(), 15, palisade.domain(0, 0, CLAIM), 30, keccak256(block_));
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
        Certificate memory certificate = certifyBlock(first(), 15, block_);
        uint256 last = SNAPSHOT + MAX_AGE + TRUST;
        vm.roll(last + 1);
        bytes memory expired = abi.encodeWithSelector(Committee.TrustExpired.selector, last);
        refused(block_, certificate, expired);
        vm.expectRevert(expired);
        light.verifyBlock(block_, packed(certificate));
        vm.roll(SNAPSHOT - 1);
        refused(block_, certificate, abi.encodeWithSelector(Committee.FromTheFuture.selector, SNAPSHOT));
        vm.roll(last); // past the maximum age: hand-over is what is left
        light.handOver(block_, packed(certificate));
    }

    // ---- Who signed, and what they weigh

    function test_signers_weigh_more_than_two_thirds() public {
        Seats memory six = seats(1, SNAPSHOT, 6);
        foundAt(six);
        Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 400, 600);
        claimRefused(told, certify(six, 15, domain, 9, DIGEST), few); // exactly two thirds
        verify(told, certify(six, 31, domain, 9, DIGEST));
        verify(told, certify(six, 62, domain, 9, DIGEST));
        few = abi.encodeWithSelector(Committee.NoQuorum.selector, 0, 600);
        claimRefused(told, certifyNobody(six), few);
    }

    function certifyNobody(Seats memory all) private view returns (Certificate memory certificate) {
        certificate = certify(all, 1, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        certificate.signers = 0;
    }

    function test_the_bitmap_says_exactly_who_signed() public {
        Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        Certificate memory by = certify(first(), 7, domain, 9, DIGEST);
        verify(told, by);
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
        Statement memory told = statementOf(CLAIM, 9, DIGEST);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        bytes memory unknown = abi.encodeWithSelector(Committee.UnknownCommittee.selector, 1);
        bytes memory good = figures(first());
        for (uint256 i = 4; i < 382; i += 21) {
            Certificate memory changed = certify(first(), 15, domain, 9, DIGEST);
            changed.committee[i] = ~good[i];
            claimRefused(told, changed, unknown);
        }
        Certificate memory by = certify(first(), 7, domain, 9, DIGEST);
        by.weights[11] = 0x65; // one of them a little heavier
        claimRefused(told, by, failed(Committee.WrongWeights.selector));
        by.weights = Signer.slice(by.weights, 0, 36);
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 510 + 36));
        by.weights = "";
        claimRefused(told, by, failed(Bls.WrongSignature.selector)); // as if all had signed
        by = certify(first(), 15, domain, 9, DIGEST);
        verify(told, by); // all have signed, and the long form says so
        by.weights = "";
        verify(told, by); // the short one too
        by.signature = Signer.slice(by.signature, 0, 95);
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 477));
        by.signature = bytes.concat(by.signature, hex"0000");
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 479));
    }

    function test_a_committee_has_1_to_256_members() public {
        for (uint256 i = 0; i < 2; ++i) {
            Seats memory odd = seats(1, SNAPSHOT, 4);
            odd.claimed = i == 0 ? 257 : type(uint16).max;
            foundAt(odd);
            Certificate memory by = certify(odd, 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
            // Committees are certified, so this is the ledger's fault; nobody may be counted by wrong bits all the same.
            claimRefused(statementOf(CLAIM, 9, DIGEST), by, failed(Committee.NotMembers.selector));
        }
    }

    function testFuzz_a_certificate_holds_exactly_when_its_signers_are_a_quorum(uint64[7] calldata weights, uint256 bits)
        public
    {
        Seats memory all = seats(1, SNAPSHOT, 7);
        uint256 signed;
        uint256 total;
        bits %= 128;
        for (uint256 i = 0; i < 7; ++i) {
            all.weights[i] = weights[i];
            total += weights[i];
            if (bits >> i & 1 == 1) signed += weights[i];
        }
        vm.assume(bits != 0);
        foundAt(all);
        Certificate memory by = certify(all, bits, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        Statement memory told = statementOf(CLAIM, 9, DIGEST);
        if (signed * 3 <= total * 2) {
            vm.expectRevert(abi.encodeWithSelector(Committee.NoQuorum.selector, signed, total));
        }
        verify(told, by);
    }

    // ---- Convicts

    function test_r09_a_convict_leaves_signers_and_total() public {
        Statement memory told = statementOf(CLAIM, 9, DIGEST);
        Seats memory heavy = first();
        heavy.weights[0] = 300;
        foundAt(heavy);
        bytes32 domain = palisade.domain(0, 0, CLAIM);
        verify(told, certify(heavy, 7, domain, 9, DIGEST)); // 500 of 600
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 300, 600);
        claimRefused(told, certify(heavy, 14, domain, 9, DIGEST), few);

        vm.roll(SNAPSHOT); // the conviction may be known at the snapshot, or not
        convict(0);
        vm.roll(SNAPSHOT + 5);
        few = abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 300);
        claimRefused(told, certify(heavy, 7, domain, 9, DIGEST), few); // he signs, and counts nothing
        verify(told, certify(heavy, 14, domain, 9, DIGEST)); // the other three are all that is left
        verify(told, certify(heavy, 15, domain, 9, DIGEST)); // his signature does no harm
        Certificate memory by = certify(heavy, 15, domain, 9, DIGEST);
        by.weights = "";
        claimRefused(told, by, abi.encodeWithSelector(Committee.WrongLength.selector, 478)); // nobody hides him
    }

    function test_r09_the_mark_of_a_conviction_stays_until_a_snapshot_is_above_it() public {
        vm.roll(SNAPSHOT + 12); // after the second committee's snapshot, before it is in office
        convict(0);
        handOverTo(second(), first(), 30);
        refusedShort(second(), true);
        refusedShort(first(), true); // the one before is always looked up
        vm.roll(SNAPSHOT + 25);
        handOverTo(third(), second(), 50);
        refusedShort(third(), false); // its snapshot is above the conviction, but that is looked up still
        handOverTo(seats(4, SNAPSHOT + 24, 4), third(), 70);
        refusedShort(seats(4, SNAPSHOT + 24, 4), false);
        refusedShort(third(), false);
        convict(1);
        refusedShort(seats(4, SNAPSHOT + 24, 4), true);
        convict(2); // a mark is made once
        refusedShort(seats(4, SNAPSHOT + 24, 4), true);
    }

    function handOverTo(Seats memory next, Seats memory from, uint64 height) private {
        bytes memory block_ = header(from.epoch, height, hash(next));
        light.handOver(block_, packed(certifyBlock(from, 15, block_)));
    }

    /// @dev Whether certificates need weights though all have signed.
    function refusedShort(Seats memory all, bool refused_) private {
        Certificate memory by = certify(all, 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        by.weights = "";
        if (refused_) vm.expectRevert(abi.encodeWithSelector(Committee.WrongLength.selector, 478));
        verify(statementOf(CLAIM, 9, DIGEST), by);
    }

    function test_r09_a_light_client_that_comes_later_knows_that_somebody_was_convicted() public {
        vm.roll(SNAPSHOT);
        foundRegistry();
        for (uint256 seat = 0; seat < 4; ++seat) {
            register(seat);
        }
        convict(0);
        vm.roll(SNAPSHOT + 5);
        light = lightAt(first());
        refusedShort(first(), true);
        bytes memory few = abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 300);
        Certificate memory by = certify(first(), 7, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        claimRefused(statementOf(CLAIM, 9, DIGEST), by, few);
    }

    function test_r09_only_the_registry_tells_and_only_its_own_light_client() public {
        vm.expectRevert(abi.encodeWithSelector(Committee.WrongCaller.selector, address(this)));
        light.convictionCame();
        bytes memory boundary = header(0, 10, hash(first()));
        vm.expectRevert(abi.encodeWithSelector(Committee.OtherLightClient.selector, address(light)));
        new Committee(CHAIN, address(palisade), boundary, MAX_AGE, TRUST);
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

    function test_r09_whose_finality_key_is_exposed_does_not_count_either() public {
        Certificate memory by = certify(first(), 7, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        verify(statementOf(CLAIM, 9, DIGEST), by);
        // A third of the seats, which without this would stop every hand-over: two of four are convicts.
        palisade.convictExposed(4, finality(3));
        verify(statementOf(CLAIM, 9, DIGEST), by); // the three are all that is left
        palisade.convictExposed(3, finality(2));
        bytes memory block_ = header(1, 30, hash(second()));
        light.handOver(block_, packed(certifyBlock(first(), 3, block_)));
        require(light.inOffice(hash(second())), "handed over by the other two");
    }

    function test_r09_a_conviction_before_the_snapshot_is_the_ledgers_business() public {
        vm.roll(SNAPSHOT - 1);
        convict(0);
        vm.roll(SNAPSHOT + 5);
        Certificate memory by = certify(first(), 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        by.weights = "";
        verify(statementOf(CLAIM, 9, DIGEST), by);
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
        for (uint16 kind = 3; kind <= 5; ++kind) {
            verify(statementOf(kind, 9, DIGEST), certify(first(), 15, palisade.domain(0, 0, kind), 9, DIGEST));
        }
        Certificate memory claimed = certify(first(), 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        for (uint16 kind = 4; kind <= 5; ++kind) {
            claimRefused(statementOf(kind, 9, DIGEST), claimed, wrong);
        }
        claimRefused(statementOf(CLAIM, 10, DIGEST), claimed, wrong);
        claimRefused(statementOf(CLAIM, 9, "another"), claimed, wrong);
        // No service has a kind of the network's, whatever was signed there.
        for (uint16 kind = 0; kind < 256; kind += 51) {
            Statement memory told = statementOf(6 + kind % 250, uint64(1) << 40, DIGEST);
            claimRefused(told, claimed, abi.encodeWithSelector(Committee.UnknownKind.selector, told.kind));
        }
    }

    function test_r03_a_services_slot_names_its_epoch() public {
        Statement memory told = statementOf(256, uint64(1) << 40 | 5, DIGEST);
        (told.serviceId, told.registration) = ("service", 2);
        bytes32 domain = palisade.domain("service", 2, 256);
        verify(told, certify(first(), 15, domain, told.slot, DIGEST));
        told.slot = uint64(2) << 40 | 5;
        bytes memory wrong = abi.encodeWithSelector(Committee.WrongEpoch.selector, 2, 1);
        claimRefused(told, certify(first(), 15, domain, told.slot, DIGEST), wrong);
    }

    function test_r03_a_block_is_final_under_the_committee_of_its_epoch() public {
        bytes memory block_ = header(1, 30, hash(second()));
        light.handOver(block_, packed(certifyBlock(first(), 15, block_)));
        bytes memory after_ = headerOver(1, 33, 0, "a state");
        Header memory read = light.verifyBlock(after_, packed(certifyBlock(first(), 7, after_)));
        require(read.id == keccak256(after_) && read.height == 33 && read.epoch == 1, "what it says");
        require(read.stateRoot == "a state" && read.nextCommittee == 0, "and more");
        bytes memory wrong = abi.encodeWithSelector(Committee.WrongEpoch.selector, 1, 2);
        Certificate memory by = certifyBlock(second(), 15, after_);
        vm.roll(SNAPSHOT + 15);
        vm.expectRevert(wrong);
        light.verifyBlock(after_, packed(by));
        bytes memory newer = headerOver(2, 40, 0, "a state");
        light.verifyBlock(newer, packed(certifyBlock(second(), 15, newer)));
    }

    // ---- Contradictions

    function test_r10_two_boundaries_of_one_epoch_freeze_it_for_ever() public {
        bytes memory origin = header(0, 10, hash(first()));
        bytes memory accepted = header(1, 30, hash(second()));
        bytes memory other = header(1, 31, hash(third()));
        Certificate memory by = certifyBlock(first(), 14, other);
        notYet(origin, other, by); // nothing accepted that it could contradict
        light.handOver(accepted, packed(certifyBlock(first(), 7, accepted)));
        vm.roll(SNAPSHOT + 15);
        notYet(origin, accepted, certifyBlock(first(), 14, accepted)); // the same block again
        vm.expectRevert(failed(Committee.NoBoundary.selector));
        light.contradict(origin, header(1, 31, 0), packed(by));
        vm.expectRevert(abi.encodeWithSelector(Committee.WrongEpoch.selector, 1, 1));
        light.contradict(accepted, other, packed(by));
        Certificate memory few = certifyBlock(first(), 6, other);
        vm.expectRevert(abi.encodeWithSelector(Committee.NoQuorum.selector, 200, 400));
        light.contradict(origin, other, packed(few));
        bytes memory stranger = header(0, 11, hash(first()));
        vm.expectRevert(abi.encodeWithSelector(Committee.UnknownCommittee.selector, 1));
        light.contradict(stranger, other, packed(by));

        // Slashing the guilty first does not make the contradiction disappear.
        convict(1);
        convict(2);
        vm.recordLogs();
        light.contradict(origin, other, packed(by));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == Committee.Frozen.selector, "one event");
        require(keccak256(logs[0].data) == keccak256(abi.encode(keccak256(accepted), keccak256(other))), "both blocks");
        require(light.frozen() && !light.inOffice(hash(second())), "frozen");

        bytes memory next = header(2, 50, hash(third()));
        refused(next, certifyBlock(second(), 15, next), failed(Committee.HandOverFrozen.selector));
        bytes memory unknown = abi.encodeWithSelector(Committee.UnknownCommittee.selector, 2);
        Certificate memory claimed = certify(second(), 15, palisade.domain(0, 0, CLAIM), 9, DIGEST);
        claimRefused(statementOf(CLAIM, 9, DIGEST), claimed, unknown);
        vm.expectRevert(failed(Committee.HandOverFrozen.selector));
        light.contradict(origin, other, packed(by));
        (uint32 epoch, bytes32 blockId,) = light.latest();
        require(epoch == 2 && blockId == keccak256(accepted), "what was last is still told");
        convict(3); // pair slashing goes on
    }

    function notYet(bytes memory origin, bytes memory block_, Certificate memory by) private {
        vm.expectRevert(failed(Committee.NoContradiction.selector));
        light.contradict(origin, block_, packed(by));
    }

    function test_r10_a_contradiction_is_seen_epochs_later_and_not_past_the_trust_period() public {
        bytes memory origin = header(0, 10, hash(first()));
        bytes memory other = header(1, 31, hash(third()));
        Certificate memory by = certifyBlock(first(), 15, other);
        for (uint32 epoch = 1; epoch < 34; ++epoch) {
            Seats memory now_ = seats(epoch, SNAPSHOT, 4);
            bytes memory block_ = header(epoch, 30 * epoch, hash(seats(epoch + 1, SNAPSHOT, 4)));
            light.handOver(block_, packed(certifyBlock(now_, 15, block_)));
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
        Certificate memory by = certifyBlock(all, 15, other);
        uint256 last = SNAPSHOT + MAX_AGE + TRUST;
        vm.roll(last + 1);
        vm.expectRevert(abi.encodeWithSelector(Committee.TrustExpired.selector, last));
        light.contradict(origin, other, packed(by));
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
        Certificate memory by
    ) external {
        copy.contradict(origin, other, packed(by));
        require(copy.frozen(), "frozen");
        revert Undone();
    }
}
