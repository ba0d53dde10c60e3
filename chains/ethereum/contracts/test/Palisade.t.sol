// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bls} from "../src/Bls.sol";
import {EigenLayerAdapter} from "../src/EigenLayerAdapter.sol";
import {KeyBlobs} from "../src/KeyBlobs.sol";
import {Palisade} from "../src/Palisade.sol";
import {FakeEigenLayer} from "./FakeEigenLayer.sol";
import {Signer} from "./Signer.sol";
import {Vm, vm} from "./Vm.sol";
import {World} from "./World.sol";

contract PalisadeTest is World {
    bytes32 private constant A = "digest a";
    bytes32 private constant B = "digest b";

    // ---- Registry

    function test_r12_registration_opens_a_row_and_closes_the_one_before() public {
        Palisade.Row memory first = palisade.row(1);
        require(first.operator == OPERATOR && first.from == 1_000 && first.until == 0, "open row");
        require(palisade.openKeyId(OPERATOR) == 1 && palisade.lastKeyId() == 1, "first id");
        require(keccak256(palisade.blsKey(1)) == keccak256(Signer.key(SECRET)), "stored key");
        vm.roll(1_010);
        require(register(OPERATOR, 43) == 2, "second id");
        require(palisade.row(1).until == 1_010 && palisade.row(2).from == 1_010, "rows meet");
        require(palisade.row(2).until == 0 && palisade.openKeyId(OPERATOR) == 2, "second row open");
        require(register(address(0xB0B), 44) == 3 && palisade.row(2).until == 0, "others close nothing");
    }

    function test_r12_keys_are_unique_for_ever() public {
        register(OPERATOR, 43); // 42 is closed now, and still taken
        address other = address(0xB0B);
        Palisade.Keys memory keys = keysOf(other, SECRET);
        (keys.ed25519, keys.eots) = ("fresh", "fresh");
        refusedKeys(other, keys, failed(Palisade.KeyTaken.selector));
        keys = keysOf(OPERATOR, 43);
        refusedKeys(OPERATOR, keys, failed(Palisade.KeyTaken.selector));
        require(register(other, 44) == 3, "a refusal uses up nothing");
    }

    function test_r12_nobody_burns_a_key_whose_proof_is_not_checked_here() public {
        address thief = address(0x7BEEF);
        Palisade.Keys memory keys = keysOf(thief, 44);
        (keys.ed25519, keys.eots) = (keysOf(OPERATOR, 43).ed25519, keysOf(OPERATOR, 43).eots);
        vm.prank(thief);
        palisade.register(keys);
        require(register(OPERATOR, 43) != 0, "the owner still registers");
    }

    function test_r12_a_key_needs_its_own_proof_of_possession() public {
        address other = address(0xB0B);
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        refusedKeys(other, keysOf(OPERATOR, 44), wrong); // copied by another sender
        Palisade.Keys memory keys = keysOf(other, 44);
        keys.blsProof = Signer.sign(44, palisade.possession(other, keys.bls), Bls.SIGNATURE);
        refusedKeys(other, keys, wrong); // under the tag of attestations
        keys = keysOf(other, 44);
        keys.bls = Signer.key(45);
        refusedKeys(other, keys, wrong);
        keys.bls = new bytes(192);
        keys.blsProof = new bytes(96);
        refusedKeys(other, keys, failed(Bls.ZeroSignature.selector)); // the identity
        keys.blsProof = Signer.sign(44, palisade.possession(other, keys.bls), Bls.POSSESSION);
        refusedKeys(other, keys, wrong);
    }

    function test_lengths_are_exact() public {
        address other = address(0xB0B);
        Palisade.Keys memory keys = keysOf(other, 44);
        keys.ed25519Proof = new bytes(63);
        refusedKeys(other, keys, abi.encodeWithSelector(Palisade.WrongLength.selector, 63));
        keys = keysOf(other, 44);
        keys.eotsProof = new bytes(65);
        refusedKeys(other, keys, abi.encodeWithSelector(Palisade.WrongLength.selector, 65));
        keys = keysOf(other, 44);
        keys.peerId = new bytes(65);
        refusedKeys(other, keys, abi.encodeWithSelector(Palisade.WrongLength.selector, 65));
        keys.peerId = new bytes(64);
        vm.prank(other);
        palisade.register(keys);
    }

    function refusedKeys(address operator, Palisade.Keys memory keys, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(operator);
        palisade.register(keys);
    }

    /// @dev Ids around every change of length of the nonce's encoding.
    function test_key_ids_are_nonces_of_every_length() public {
        uint32[10] memory ids =
            [uint32(2), 127, 128, 255, 256, 65_535, 65_536, 16_777_215, 16_777_216, type(uint32).max];
        for (uint256 i = 0; i < ids.length; ++i) {
            uint32 keyId = ids[i];
            if (i > 0) {
                vm.setNonce(address(palisade), keyId);
                setLastKeyId(keyId - 1);
            }
            require(register(address(uint160(0xC000 + i)), 1_000 + i) == keyId, "id");
            require(keccak256(palisade.blsKey(keyId)) == keccak256(Signer.key(1_000 + i)), "key of that id");
        }
        Palisade.Keys memory keys = keysOf(OPERATOR, 99);
        refusedKeys(OPERATOR, keys, abi.encodeWithSignature("Panic(uint256)", 0x11)); // ids never wrap
    }

    /// @dev `lastKeyId` is the contract's first storage slot.
    function setLastKeyId(uint32 keyId) private {
        vm.store(address(palisade), bytes32(0), bytes32(uint256(keyId)));
        require(palisade.lastKeyId() == keyId, "slot of lastKeyId");
    }

    function test_unknown_keys_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(KeyBlobs.UnknownKey.selector, uint32(2)));
        palisade.blsKey(2);
        refused(pairIn(2, SECRET, 1, 7, A, B), abi.encodeWithSelector(KeyBlobs.UnknownKey.selector, uint32(2)));
        refused(pairIn(0, SECRET, 1, 7, A, B), abi.encodeWithSelector(KeyBlobs.UnknownKey.selector, uint32(0)));
    }

    function test_r14_domains_bind_chain_contract_service_registration_and_kind() public {
        bytes32 ledger =
            keccak256(abi.encodePacked("PALISADE-DOM-1", CHAIN, address(palisade), bytes32(0), uint64(0), uint16(1)));
        require(palisade.domain(0, 0, 1) == ledger, "format");
        require(palisade.domain(0, 0, 3) != ledger && palisade.domain(0, 1, 1) != ledger, "parts");
        Palisade twin = new Palisade(CHAIN, palisade.adapters(), WINDOW, address(0), address(0));
        Palisade fork = new Palisade("another genesis", palisade.adapters(), WINDOW, address(0), address(0));
        require(twin.domain(0, 0, 1) != ledger && fork.domain(0, 0, 1) != ledger, "chain and contract");
        bytes32 statement = keccak256(abi.encodePacked("PALISADE-ATT-1", CHAIN, ledger, uint64(7), A));
        require(palisade.statement(ledger, 7, A) == statement, "statement");
    }

    function testFuzz_a_keys_address_is_that_of_its_nonce(address registry, uint32 keyId) public pure {
        if (keyId == 0) return; // the first creation of a contract has nonce 1
        require(KeyBlobs.addressOf(registry, keyId) == vm.computeCreateAddress(registry, keyId), "CREATE's own");
        uint32 short = 1 + (keyId >> 24) % 255; // one byte, and both of its encodings
        require(KeyBlobs.addressOf(registry, short) == vm.computeCreateAddress(registry, short), "short");
    }

    function test_a_row_keeps_its_finality_key_too() public view {
        require(palisade.eotsKey(1) == keccak256(abi.encode("eots", SECRET)), "as registered");
    }

    // ---- Exposed finality keys

    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// @dev The second row of OPERATOR, with the finality key of `secret`.
    function registerFinality(uint256 secret) private returns (uint32) {
        Palisade.Keys memory keys = keysOf(OPERATOR, 43);
        keys.eots = bytes32(vm.createWallet(secret).publicKeyX);
        vm.prank(OPERATOR);
        return palisade.register(keys);
    }

    function notExposed(uint32 keyId, uint256 secret, bytes memory reason) private {
        vm.expectRevert(reason);
        palisade.convictExposed(keyId, secret);
    }

    function testFuzz_r29_the_secret_of_a_finality_key_convicts_and_takes_nothing(uint256 secret, uint256 other) public {
        secret = secret % (ORDER - 1) + 1;
        uint32 keyId = registerFinality(secret);
        other = other % (ORDER - 1) + 1;
        bytes memory wrong = failed(Palisade.NotExposed.selector);
        if (other != secret && other != ORDER - secret) notExposed(keyId, other, wrong);
        notExposed(keyId, secret % 2 == 0 ? 0 : ORDER, wrong);
        notExposed(1, secret, wrong); // another row's key
        vm.recordLogs();
        // Both of the numbers that have this x: the points differ in the sign of y only.
        palisade.convictExposed(keyId, other % 2 == 0 ? secret : ORDER - secret);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == Palisade.KeyExposed.selector, "one event, and not Convicted");
        require(palisade.convictedAt(OPERATOR) == block.number && !convicted(), "a convict, in another case");
        (bool exposed, uint8 flags) = palisade.caseOf(OPERATOR, 2);
        require(exposed && flags == 0 && eigenlayer.slashes() == 0, "nothing is slashed");
        notExposed(keyId, secret, abi.encodeWithSelector(Palisade.AlreadyExposed.selector, OPERATOR));
        palisade.slash(pairIn(keyId, 43, 1, 7, A, B)); // what he signed twice is another case
        require(eigenlayer.slashes() == 1, "slashed for that");
    }

    function test_r29_numbers_beyond_the_order_and_the_field_are_no_secret_and_no_key() public {
        uint32 keyId = registerFinality(1);
        bytes memory wrong = failed(Palisade.NotExposed.selector);
        notExposed(keyId, ORDER + 1, wrong);
        notExposed(keyId, type(uint256).max, wrong);
        notExposed(9, 1, abi.encodeWithSelector(KeyBlobs.UnknownKey.selector, uint32(9)));
        // No point has x = 5; and x beyond the field is not the generator's once more.
        uint256 field = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
        for (uint256 i = 0; i < 3; ++i) {
            Palisade.Keys memory keys = keysOf(address(0xB0B), 50 + i);
            keys.eots = bytes32(i == 0 ? 5 : i == 1 ? field + 1 : 0);
            vm.prank(address(0xB0B));
            keyId = palisade.register(keys);
            for (uint256 secret = 1; secret < 5; ++secret) {
                notExposed(keyId, secret, wrong);
            }
        }
    }

    function test_r29_an_exposed_key_counts_as_long_as_a_pair_would() public {
        uint32 keyId = registerFinality(77);
        vm.roll(1_100);
        register(OPERATOR, 44);
        vm.roll(1_100 + WINDOW + 1);
        notExposed(keyId, 77, abi.encodeWithSelector(Palisade.EvidenceTooLate.selector, uint64(1_100)));
        vm.roll(1_100 + WINDOW);
        palisade.convictExposed(keyId, 77);
    }

    // ---- Judge

    function test_r09_what_stands_where_the_light_client_should_stops_no_conviction() public {
        Rogue rogue = new Rogue();
        palisade = new Palisade(CHAIN, palisade.adapters(), WINDOW, address(rogue), address(0));
        register(OPERATOR, SECRET);
        rogue.aim(palisade, pairOf(7, A, B));
        for (uint16 kind = 1; kind <= 5; ++kind) {
            if (kind == 2) continue;
            rogue.turn(kind);
            palisade.slash(pairIn(1, SECRET, kind, 7, A, B));
            (bool yes,) = palisade.caseOf(OPERATOR, kind);
            require(yes, "convicted");
        }
        require(rogue.told() == 1, "told, and it listened once");
        vm.expectRevert(abi.encodeWithSelector(Palisade.UnknownKind.selector, uint16(6)));
        palisade.caseOf(OPERATOR, 6);
    }

    function test_r09_the_light_client_cannot_be_starved() public {
        Rogue rogue = new Rogue();
        palisade = new Palisade(CHAIN, new address[](1), WINDOW, address(rogue), address(0));
        register(OPERATOR, SECRET);
        rogue.turn(5); // it listens
        Palisade.Pair memory pair = pairOf(7, A, B);
        for (uint256 gasGiven = 150_000; gasGiven < 400_000; gasGiven += 1_000) {
            try palisade.slash{gas: gasGiven}(pair) {
                require(rogue.told() == 1, "convicted and told");
                return;
            } catch {
                require(palisade.convictedAt(OPERATOR) == 0, "or neither");
            }
        }
        require(false, "enough gas convicts");
    }

    function testFuzz_r11_a_pair_convicts_and_takes_the_fixed_part(uint64 slot, bytes32 a, bytes32 b) public {
        vm.assume(a != b);
        uint256 before = eigenlayer.getMinimumSlashableStake(set(), list(OPERATOR), list(STRATEGY), 0)[0][0];
        vm.recordLogs();
        palisade.slash(pairOf(slot, a, b));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.Convicted.selector) == 1, "one conviction");
        require(counted(logs, Palisade.Slashed.selector) == 1, "one strategy");
        require(counted(logs, Palisade.SlashFailed.selector) == 0, "no failure");
        uint256 left = eigenlayer.getMinimumSlashableStake(set(), list(OPERATOR), list(STRATEGY), 0)[0][0];
        require(before == 400e18 && left == 300e18, "a quarter of what is allocated");
        require(convicted() && done() == 1, "done");
    }

    function test_r25_a_case_is_slashed_once() public {
        palisade.slash(pairOf(7, A, B));
        bytes memory once = abi.encodeWithSelector(Palisade.AlreadySlashed.selector, ledgerCase());
        refused(pairOf(7, A, B), once);
        refused(pairOf(8, A, B), once); // another slot is the same case
        Palisade.Pair memory junk = pairOf(9, A, B);
        junk.signatureSum = new bytes(0);
        refused(junk, once); // dropped before its signature is looked at
        register(OPERATOR, 43);
        refused(pairIn(2, 43, 1, 7, A, B), once); // a new key does not make a new case
        palisade.slash(pairIn(2, 43, 5, 7, A, B)); // another domain does
        require(eigenlayer.slashes() == 2, "two cases");
    }

    function test_a_pair_is_proof_only_when_no_honest_operator_signs_both() public {
        bytes memory wrong = failed(Bls.WrongSignature.selector);
        refused(pairOf(7, A, A), failed(Palisade.Compatible.selector)); // resent after a restart is honest
        Palisade.Pair memory pair = pairOf(7, A, B);
        pair.slot = 8;
        refused(pair, wrong);
        pair = pairOf(7, A, B);
        pair.kind = 3;
        refused(pair, wrong);
        pair = pairOf(7, A, B);
        pair.digestB = "digest c";
        refused(pair, wrong);
        refused(pairIn(1, 43, 1, 7, A, B), wrong); // another key's signatures
        pair.signatureSum = new bytes(96);
        refused(pair, failed(Bls.ZeroSignature.selector));
        pair.signatureSum = Signer.sign(SECRET, palisade.statement(palisade.domain(0, 0, 1), 7, A), Bls.SIGNATURE);
        refused(pair, wrong); // one signature alone
        require(!convicted(), "nobody is convicted");
    }

    function test_only_the_networks_own_bls_domains_are_judged_here() public {
        for (uint16 kind = 1; kind <= 5; ++kind) {
            if (kind != 2) palisade.slash(pairIn(1, SECRET, kind, 7, A, B));
        }
        require(eigenlayer.slashes() == 4, "four domains");
        refused(pairIn(1, SECRET, 2, 7, A, B), failed(Palisade.SignedWithEots.selector));
        refused(pairIn(1, SECRET, 0, 7, A, B), abi.encodeWithSelector(Palisade.UnknownKind.selector, uint16(0)));
        refused(pairIn(1, SECRET, 6, 7, A, B), abi.encodeWithSelector(Palisade.UnknownKind.selector, uint16(6)));
        Palisade.Pair memory pair = pairOf(7, A, B);
        (pair.serviceId, pair.kind) = (bytes32(uint256(1)), 256);
        refused(pair, failed(Palisade.ServiceDomain.selector));
        (pair.serviceId, pair.registration, pair.kind) = (0, 1, 1);
        refused(pair, failed(Palisade.ServiceDomain.selector));
    }

    function test_r12_a_pair_counts_until_the_row_has_been_closed_for_the_window() public {
        vm.roll(1_100);
        register(OPERATOR, 43);
        vm.roll(1_100 + WINDOW + 1);
        refused(pairOf(7, A, B), abi.encodeWithSelector(Palisade.EvidenceTooLate.selector, uint64(1_100)));
        vm.roll(1_100 + WINDOW);
        palisade.slash(pairOf(7, A, B));
    }

    function test_r24_a_failure_stays_open_to_everybody_and_success_closes_it() public {
        eigenlayer.goDown(true);
        vm.recordLogs();
        palisade.slash(pairOf(7, A, B));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.Convicted.selector) == 1, "convicted all the same");
        require(counted(logs, Palisade.Slashed.selector) == 0, "nothing taken");
        require(
            keccak256(reasonIn(logs)) == keccak256(failed(FakeEigenLayer.OperatorNotSlashable.selector)), "its reason"
        );
        require(done() == 0, "open");

        eigenlayer.goDown(false);
        vm.recordLogs();
        vm.prank(address(0xCAFE));
        palisade.slash(pairOf(7, A, B));
        logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.Convicted.selector) == 0, "convicted once");
        require(counted(logs, Palisade.Slashed.selector) == 1 && done() == 1, "done");
        refused(pairOf(7, A, B), abi.encodeWithSelector(Palisade.AlreadySlashed.selector, ledgerCase()));
    }

    function test_r24_a_conviction_can_be_carried_out_after_the_window() public {
        eigenlayer.goDown(true);
        palisade.slash(pairOf(7, A, B));
        register(OPERATOR, 43);
        vm.roll(block.number + WINDOW + 1);
        eigenlayer.goDown(false);
        palisade.slash(pairOf(7, A, B));
        require(done() == 1, "done");
    }

    function test_r24_no_loss_in_the_views_is_no_slash() public {
        eigenlayer.goBlind(true);
        vm.recordLogs();
        palisade.slash(pairOf(7, A, B));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.Slashed.selector) == 0 && eigenlayer.slashes() == 0, "undone");
        require(
            keccak256(reasonIn(logs))
                == keccak256(abi.encodeWithSelector(EigenLayerAdapter.LossNotSeen.selector, OPERATOR)),
            "its reason"
        );
        require(done() == 0, "open");
    }

    function test_r24_nothing_slashable_stays_open() public {
        eigenlayer.stake(STRATEGY, 0, 1_000e18, 0);
        vm.recordLogs();
        palisade.slash(pairOf(7, A, B));
        require(
            keccak256(reasonIn(vm.getRecordedLogs()))
                == keccak256(abi.encodeWithSelector(EigenLayerAdapter.NothingSlashable.selector, OPERATOR)),
            "its reason"
        );
        eigenlayer.stake(STRATEGY, 0.1e18, 1_000e18, 0);
        palisade.slash(pairOf(7, A, B));
        require(done() == 1, "done when there is something to take");
    }

    function test_r24_the_guilty_cannot_starve_the_inner_call(uint256 gasGiven) public {
        Palisade.Pair memory pair = pairOf(7, A, B);
        gasGiven = 200_000 + gasGiven % 1_800_000;
        try palisade.slash{gas: gasGiven}(pair) {
            require(done() == 1, "either all of it");
        } catch {
            require(!convicted(), "or nothing at all");
        }
    }

    function test_r24_too_little_gas_is_named() public {
        Palisade.Pair memory pair = pairOf(7, A, B);
        vm.expectRevert(abi.encodeWithSelector(Palisade.TooLittleGas.selector, address(adapter), adapter.gasFloor(OPERATOR)));
        palisade.slash{gas: 700_000}(pair);
    }

    function test_r24_one_adapters_failure_does_not_stop_the_next() public {
        address[] memory two = new address[](3);
        (two[0], two[1]) = (address(0xDEAD), address(adapter)); // no code at the first
        two[2] = address(new Liar());
        palisade = new Palisade(CHAIN, two, WINDOW, address(0), address(0));
        adapter = new EigenLayerAdapter(
            address(palisade),
            ORDERS,
            0,
            address(eigenlayer),
            address(eigenlayer),
            strategies(),
            CUT,
            "https://palisade.example"
        );
        two[1] = address(adapter);
        palisade = new Palisade(CHAIN, two, WINDOW, address(0), address(0));
        register(OPERATOR, SECRET);
        vm.recordLogs();
        palisade.slash(pairOf(7, A, B));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(counted(logs, Palisade.SlashFailed.selector) == 3, "missing, foreign judge, liar");
        require(done() == 0, "none is done");
    }

    function test_r24_targets_are_done_one_by_one() public {
        address[] memory both = new address[](2);
        Switchable first = new Switchable();
        Switchable second = new Switchable();
        (both[0], both[1]) = (address(first), address(second));
        palisade = new Palisade(CHAIN, both, WINDOW, address(0), address(0));
        register(OPERATOR, SECRET);
        second.turn(true);
        palisade.slash(pairOf(7, A, B));
        require(done() == 2, "the second only");
        first.turn(true);
        palisade.slash(pairOf(7, A, B));
        require(done() == 3, "both");
        require(first.slashes() == 1 && second.slashes() == 1, "each once");
    }

    function test_an_adapter_cannot_call_back() public {
        address[] memory one = new address[](1);
        Reentrant reentrant = new Reentrant();
        one[0] = address(reentrant);
        palisade = new Palisade(CHAIN, one, WINDOW, address(0), address(0));
        register(OPERATOR, SECRET);
        reentrant.aim(palisade, pairOf(7, A, B));
        vm.recordLogs();
        palisade.slash(pairOf(7, A, B));
        require(keccak256(reasonIn(vm.getRecordedLogs())) == keccak256(failed(Palisade.Reentered.selector)), "refused");
        palisade.slash(pairOf(7, A, B)); // the lock is open again in the same transaction
    }

    function test_there_are_one_to_eight_adapters() public {
        for (uint256 count = 0; count <= 9; ++count) {
            if (count == 0 || count == 9) {
                vm.expectRevert(abi.encodeWithSelector(Palisade.WrongAdapterCount.selector, count));
            }
            new Palisade(CHAIN, new address[](count), WINDOW, address(0), address(0));
        }
    }
}

/// @dev Stands where the light client should.
contract Rogue {
    Palisade private palisade;
    Palisade.Pair private pair;
    uint256 private how;
    uint256 public told;

    function aim(Palisade palisade_, Palisade.Pair memory pair_) external {
        (palisade, pair) = (palisade_, pair_);
    }

    function turn(uint256 how_) external {
        how = how_;
    }

    function convictionCame() external {
        if (how == 1) revert("no");
        if (how == 3) while (true) ++told;
        if (how == 4) palisade.slash(pair);
        ++told;
    }
}

/// @dev Says that it took something, and its own figures say otherwise.
contract Liar {
    struct Loss {
        address asset;
        uint256 before;
        uint256 afterwards;
    }

    function gasFloor(address) external pure returns (uint256) {
        return 10_000;
    }

    function slash(address, bytes32) external pure returns (Loss[] memory losses, bool) {
        losses = new Loss[](1);
        losses[0] = Loss(address(1), 100, 100);
    }
}

contract Switchable {
    struct Loss {
        address asset;
        uint256 before;
        uint256 afterwards;
    }

    bool private on;
    uint256 public slashes;

    function turn(bool on_) external {
        on = on_;
    }

    function gasFloor(address) external pure returns (uint256) {
        return 100_000;
    }

    function slash(address, bytes32) external returns (Loss[] memory losses, bool) {
        require(on, "off");
        ++slashes;
        losses = new Loss[](2);
        losses[0] = Loss(address(1), 100, 100); // one asset without loss does not keep the target open
        losses[1] = Loss(address(2), 100, 90);
    }
}

contract Reentrant {
    Palisade private palisade;
    Palisade.Pair private pair;

    function aim(Palisade palisade_, Palisade.Pair memory pair_) external {
        (palisade, pair) = (palisade_, pair_);
    }

    function gasFloor(address) external pure returns (uint256) {
        return 100_000;
    }

    function slash(address, bytes32) external {
        palisade.slash(pair);
    }
}
