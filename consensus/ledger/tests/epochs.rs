//! When epochs end, who sits in the next, and what their seats weigh.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_crypto::{bls, ed25519, eots};
use palisade_ledger::Invalid;
use palisade_ledger::fixture::{BOND, Network, OperatorKeys, Run, SHARES, network, network_with};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::observation::Fact;
use palisade_types::observation::{VaultConfirmed, VaultSpent};
use palisade_types::position::Magnitudes;
use palisade_types::vault::{Spend, VaultStatus};
use palisade_types::{Epoch, Hash, Height, Item, MicroUsd, Wad};

/// A joined run that stands right before the block that is due by height.
fn before_the_boundary(seed: u64) -> Run {
    let mut run = Run::joined(network(4, seed));
    run.until_height(run.ledger.epoch().first.get() + 8);
    run
}

fn boundary(run: &Run) -> Option<u64> {
    let boundary = run.ledger.epoch().boundary;
    boundary.map(|boundary| boundary.height.get())
}

fn vault_behind(run: &mut Run, index: usize, number: u32, sats: u64, included: u64) -> Fact {
    let vault = run.network.vault(index, number, sats, included);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    Network::confirmed(id, included)
}

#[test]
fn r06_epoch_0_orders_blocks_and_weighs_nothing() {
    let mut run = Run::new(network(4, 1));
    let seats = run.ledger.committee().clone();
    assert_eq!(seats.members.len(), 4);
    assert!(!seats.has_weight());
    assert!(seats.members.iter().all(|member| member.engine == 1));
    run.produce(vec![]);
    let certificate = run.certify(1, &[0, 1, 2, 3]);
    run.produce(vec![]);
    let refused = run.refusal(Item::EtherFinal(certificate));
    assert!(matches!(refused, Invalid::Refused(_)));
    run.until_height(9);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(0));
    // Nobody could certify the boundary block, so it is the epoch's last itself.
    let block = run.produce(vec![]);
    assert_ne!(block.header.next_committee, Hash::ZERO);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(1));
    assert_eq!(run.ledger.epoch().first, Height::new(11));
    // Nobody has stake: the seats go on.
    assert_eq!(run.ledger.committee().members, seats.members);
}

#[test]
fn r06_less_stake_than_genesis_asks_keeps_the_seats_without_weight() {
    let check = |min_total: u64, weighs: bool| {
        let network = network_with(3, 2, |genesis| {
            genesis.parameters.min_total = MicroUsd::new(min_total);
        });
        let run = Run::joined(network);
        assert_eq!(run.ledger.committee().has_weight(), weighs);
        assert_eq!(run.ledger.committee().members.len(), 3);
        run.ledger.committee().clone()
    };
    check(BOND * 3, true);
    let kept = check(BOND * 3 + 1, false);
    assert!(kept.members.iter().all(|seat| (seat.engine, seat.ether, seat.bitcoin) == (1, 0, 0)));
}

#[test]
fn r06_stake_that_leaves_keeps_the_engine_seats_of_the_epoch_before() {
    let mut run = Run::joined(network(3, 3));
    let powers: Vec<_> = run.ledger.committee().members.iter().map(|seat| seat.engine).collect();
    let facts = (0..3).map(|index| run.network.stake_fact(index, 0)).collect();
    run.observe(Ethereum, 110, facts);
    run.until_epoch(2);
    assert!(!run.ledger.committee().has_weight());
    let kept: Vec<_> = run.ledger.committee().members.iter().map(|seat| seat.engine).collect();
    assert_eq!(kept, powers);
    // Its epoch ends at its own boundary block, and stake that comes back counts again.
    let facts = (0..3).map(|index| run.network.stake_fact(index, SHARES)).collect();
    run.observe(Ethereum, 115, facts);
    run.until_epoch(3);
    assert!(run.ledger.committee().has_weight());
    run.ledger.audit().unwrap();
}

#[test]
fn r10_a_committee_takes_office_when_its_boundary_is_certified() {
    let mut run = Run::joined(network(4, 2));
    assert_eq!(run.ledger.committee().total_ether(), u128::from(BOND) * 4);
    run.until_height(run.ledger.epoch().first.get() + 8);
    let boundary = run.produce(vec![]).header;
    assert_ne!(boundary.next_committee, Hash::ZERO);
    for _ in 0..3 {
        let header = run.produce(vec![]).header;
        assert_eq!(header.next_committee, Hash::ZERO, "only one header names it");
        assert_eq!(header.epoch, Epoch::new(1));
    }
    let certificate = run.certify(boundary.height.get(), &[0, 1, 2]);
    let last = run.produce(vec![Item::EtherFinal(certificate)]).header;
    assert_eq!(last.epoch, Epoch::new(1));
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    assert_eq!(run.ledger.epoch().first, last.height.next());
    let hash = run.ledger.committee().hash(&run.ledger.chain());
    assert_eq!(hash, boundary.next_committee);
    assert_eq!(run.ledger.epoch_of(last.height), Some(Epoch::new(1)));
    assert_eq!(run.ledger.epoch_of(last.height.next()), Some(Epoch::new(2)));
    assert_eq!(run.ledger.epoch_of(last.height.next().next()), None);
    assert_eq!(run.ledger.epoch_of(Height::new(0)), None);
    run.ledger.audit().unwrap();
}

#[test]
fn r10_a_later_certificate_does_not_block_the_boundarys() {
    let mut run = before_the_boundary(4);
    let boundary = run.produce(vec![]).header.height.get();
    run.produce(vec![]);
    let later = run.certify(boundary + 1, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(later)]);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(1));
    let newest = run.ledger.finality().ether;
    let certificate = run.certify(boundary, &[1, 2, 3]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    assert_eq!(run.ledger.finality().ether, newest, "finality never goes back");
}

#[test]
fn r10_past_its_age_a_committee_can_only_hand_over() {
    let mut run = Run::joined(network(4, 5));
    let snapshot = run.ledger.committee().ethereum.number;
    let first = run.ledger.epoch().first.get();
    run.observe(Ethereum, snapshot + 100, vec![]);
    assert_eq!(boundary(&run), Some(first), "the anchor made the end due");
    run.produce(vec![]);
    // The last block of the window, and the first after it.
    let other = run.certify(first + 1, &[0, 1, 2, 3]);
    let taken = run.ledger.draft(vec![Item::EtherFinal(other.clone())]).2;
    assert!(taken.is_empty());
    run.observe(Ethereum, snapshot + 101, vec![]);
    let refused = run.refusal(Item::EtherFinal(other));
    assert!(matches!(refused, Invalid::Late(_)), "{refused}");
    let hand_over = run.certify(first, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(hand_over)]);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
}

#[test]
fn r05_a_late_hand_over_counts_only_stake_that_can_still_be_taken() {
    let mut run = Run::joined(network(4, 6));
    let snapshot = run.ledger.committee().ethereum.number;
    let first = run.ledger.epoch().first.get();
    // One of four withdrew in the meantime: the other three are enough only with all three.
    let facts = vec![run.network.stake_fact(3, 0)];
    run.observe(Ethereum, snapshot + 101, facts);
    let without = run.certify(first, &[0, 1, 3]);
    let refused = run.refusal(Item::EtherFinal(without));
    assert!(matches!(refused, Invalid::Worthless(_)), "{refused}");
    let with = run.certify(first, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(with)]);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
}

#[test]
fn r04_an_epoch_ends_by_heights_or_by_either_chains_blocks() {
    let run = Run::joined(network(4, 7));
    let snapshot = run.ledger.committee().clone();
    let check = |chain, upto: u64, due: bool| {
        let mut run = run.clone();
        run.observe(chain, upto, vec![]);
        assert_eq!(boundary(&run).is_some(), due, "{chain:?} {upto}");
    };
    check(Ethereum, snapshot.ethereum.number + 49, false);
    check(Ethereum, snapshot.ethereum.number + 50, true);
    check(Bitcoin, snapshot.bitcoin.number + 49, false);
    check(Bitcoin, snapshot.bitcoin.number + 50, true);
    let mut run = run;
    run.until_height(run.ledger.epoch().first.get() + 8);
    assert_eq!(boundary(&run), None);
    run.produce(vec![]);
    assert_eq!(boundary(&run), Some(run.ledger.head().height.get()));
}

#[test]
fn r04_only_stake_that_can_still_be_taken_at_the_end_counts() {
    let whole = Wad::ONE.get();
    let position = Magnitudes {
        shares: SHARES,
        queued: 0,
        max_magnitude: whole,
        magnitude: whole,
        pending: 0,
        effect_block: 0,
        member: true,
        slashable_until: 0,
    };
    let check = |position: Magnitudes, weight: Option<u64>| {
        let mut run = Run::new(network(2, 8));
        let mut facts = run.network.joining_facts();
        facts.push(run.network.position_fact(0, position));
        run.observe(Ethereum, 105, facts);
        run.until_epoch(1);
        let committee = run.ledger.committee();
        let seat = committee.seat(&run.network.operators[0].id);
        assert_eq!(seat.map(|(_, member)| member.ether), weight);
    };
    let end = 105 + 180; // the snapshot + W
    check(position, Some(BOND));
    let half = i128::from(whole / 2);
    let leaving = |effect_block| Magnitudes { pending: -half, effect_block, ..position };
    check(leaving(end + 1), Some(BOND));
    check(leaving(end), Some(BOND / 2));
    let growing = Magnitudes { magnitude: whole / 2, pending: half, effect_block: 0, ..position };
    check(growing, Some(BOND / 2));
    let left = |slashable_until| Magnitudes { member: false, slashable_until, ..position };
    check(left(end), Some(BOND));
    check(left(end - 1), None);
}

#[test]
fn r04_a_seat_needs_the_least_bond() {
    let check = |min_bond: u64, members: usize| {
        let network = network_with(2, 9, |genesis| {
            genesis.parameters.min_bond = MicroUsd::new(min_bond);
        });
        let mut run = Run::new(network);
        let mut facts = run.network.joining_facts();
        facts.push(run.network.stake_fact(1, SHARES * 2));
        run.observe(Ethereum, 105, facts);
        run.until_epoch(1);
        let committee = run.ledger.committee();
        assert_eq!((committee.has_weight(), committee.members.len()), (true, members));
    };
    check(BOND, 2);
    check(BOND + 1, 1);
}

#[test]
fn the_heaviest_256_sit_and_stand_by_account() {
    let network = network_with(260, 10, |genesis| {
        let seats = genesis.seats[..4].to_vec();
        genesis.seats = seats.try_into().unwrap();
        genesis.parameters.epoch_heights = 2;
    });
    let mut run = Run::new(network);
    let everybody = 0..260;
    let keys = everybody.clone().map(|index| run.network.keys_fact(index, 101)).collect();
    let stakes = everybody.map(|index| {
        let poor = matches!(index, 7 | 70 | 170 | 259);
        run.network.stake_fact(index, if poor { SHARES - 1_000_000_000 } else { SHARES })
    });
    let stakes = stakes.collect();
    run.observe(Ethereum, 102, keys);
    run.observe(Ethereum, 103, stakes);
    let committee = run.ledger.committee();
    assert_eq!(committee.members.len(), 256);
    assert!(committee.members.windows(2).all(|pair| pair[0].operator < pair[1].operator));
    for index in [7, 70, 170, 259] {
        assert_eq!(committee.seat(&run.network.operators[index].id), None);
    }
    // Seats do not change hands for a tenth more; for one that is more than that they do, and the last by account goes.
    let sits = |run: &Run, index: usize| run.ledger.committee().seat(&run.network.operators[index].id).is_some();
    let more = run.network.stake_fact(7, SHARES / 10 * 11);
    run.observe(Ethereum, 104, vec![more]);
    run.until_epoch(2);
    assert!(!sits(&run, 7) && sits(&run, 258));
    let enough = run.network.stake_fact(7, SHARES / 10 * 11 + 1_000_000_000_000);
    run.observe(Ethereum, 105, vec![enough]);
    run.until_epoch(3);
    assert!(sits(&run, 7) && !sits(&run, 258) && sits(&run, 257));
}

#[test]
fn r09_the_block_after_a_conviction_is_the_boundary_block() {
    let mut run = Run::joined(network(4, 11));
    run.produce(vec![]);
    let pair = run.network.pair(2, run.ledger.head().height.get());
    run.produce(vec![Item::Evidence(pair)]);
    assert_eq!(boundary(&run), None);
    run.produce(vec![]);
    assert_eq!(boundary(&run), Some(run.ledger.head().height.get()));
    // The engine keeps his seat until the hand-over; the next committee has none for him.
    let convict = run.network.operators[2].id;
    assert!(run.ledger.committee().seat(&convict).is_some());
    run.until_epoch(2);
    assert_eq!(run.ledger.committee().seat(&convict), None);
    assert_eq!(run.ledger.committee().members.len(), 3);
    run.until_height(run.ledger.epoch().first.get() + 3);
    assert_eq!(boundary(&run), None, "the new epoch is a whole one");
}

#[test]
fn r09_a_conviction_while_an_epoch_closes_ends_the_next_at_once() {
    let mut run = before_the_boundary(12);
    run.produce(vec![]);
    let closing = boundary(&run).unwrap();
    let pair = run.network.pair(1, closing);
    run.produce(vec![Item::Evidence(pair)]);
    let certificate = run.certify(closing, &[0, 2, 3]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    assert!(run.ledger.committee().seat(&run.network.operators[1].id).is_some());
    run.produce(vec![]);
    assert_eq!(boundary(&run), Some(run.ledger.epoch().first.get()));
    run.until_epoch(3);
    assert_eq!(run.ledger.committee().members.len(), 3);
}

#[test]
fn r09_a_convict_without_weight_does_not_end_every_epoch_at_once() {
    let mut run = Run::new(network(3, 13));
    let keys = (0..3).map(|index| run.network.keys_fact(index, 101)).collect();
    run.observe(Ethereum, 105, keys);
    let pair = run.network.pair(0, 1);
    run.produce(vec![Item::Evidence(pair)]);
    run.until_height(9);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(0));
    run.until_height(15);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(1));
    assert_eq!(run.ledger.committee().members.len(), 2, "he lost his seat at the hand-over");
}

#[test]
fn r12_an_epoch_uses_the_key_row_that_covers_its_snapshot() {
    let mut run = Run::joined(network(3, 14));
    let old = run.ledger.committee().members[1];
    assert_eq!((old.operator, old.key), (run.network.operators[1].id, 2));
    let fresh = new_keys(old.operator, 1);
    let change = run.network.registration(&fresh, 9, 112);
    run.observe(Ethereum, 115, vec![change]);
    assert_eq!(run.ledger.committee().members[1], old, "not in the middle of an epoch");
    let rows = run.ledger.operator(&old.operator).unwrap().keys.clone();
    assert_eq!((rows[0].until, rows[1].from, rows[1].until), (Some(112), 112, None));
    run.until_epoch(2);
    let new = run.ledger.committee().members[1];
    assert_eq!((new.key, new.ether), (9, old.ether));
    assert_ne!((new.bls, new.ed25519, new.eots), (old.bls, old.ed25519, old.eots));
}

#[test]
fn r12_a_row_that_proves_nothing_closes_the_old_one_and_adds_none() {
    let spoil: [fn(&mut palisade_types::observation::KeysRegistered, &Network); 6] = [
        |keys, _| keys.ed25519_proof = palisade_types::Ed25519Signature::ZERO,
        |keys, _| keys.eots_proof = palisade_types::SchnorrSignature::ZERO,
        |keys, _| keys.row.bls = palisade_types::BlsKey::ZERO,
        |keys, _| keys.row.until = Some(200),
        // Keys are unique for ever, also one's own old ones and those of others.
        |keys, network| keys.row.bls = registered(network, 1).bls,
        |keys, network| keys.row.ed25519 = registered(network, 0).ed25519,
    ];
    for spoil in spoil {
        let mut run = Run::joined(network(3, 15));
        let operator = run.network.operators[1].id;
        let Fact::Keys(mut keys) = run.network.registration(&new_keys(operator, 1), 9, 112) else { unreachable!() };
        spoil(&mut keys, &run.network);
        run.observe(Ethereum, 115, vec![Fact::Keys(keys.clone())]);
        let rows = &run.ledger.operator(&operator).unwrap().keys;
        assert_eq!(rows.iter().map(|row| row.until).collect::<Vec<_>>(), [Some(112)]);
        run.until_epoch(2);
        assert_eq!(run.ledger.committee().seat(&operator), None);
        // A stranger with such a row is nobody.
        keys.operator = palisade_types::OperatorId::new([0xee; 20]);
        run.observe(Ethereum, 130, vec![Fact::Keys(keys)]);
        assert_eq!(run.ledger.operators().count(), 3);
    }
}

#[test]
fn r23_the_engine_weighs_bitcoin_at_less_than_a_third() {
    let check = |sats: [u64; 2], powers: [u64; 3]| {
        let mut run = Run::new(network(3, 16));
        let mut facts = run.network.joining_facts();
        facts.push(run.network.stake_fact(2, SHARES * 2));
        run.observe(Ethereum, 105, facts);
        let mut confirmed = Vec::new();
        for (index, sats) in sats.into_iter().enumerate().filter(|(_, sats)| *sats > 0) {
            confirmed.push(vault_behind(&mut run, index, 1, sats, 201));
        }
        run.observe(Bitcoin, 205, confirmed);
        let promises = (0..2).map(|index| Item::Randomness(run.network.randomness(index, 10, 9)));
        let promises = promises.collect();
        run.produce(promises);
        run.until_epoch(1);
        let members = &run.ledger.committee().members;
        let found: Vec<_> = members.iter().map(|member| member.engine).collect();
        assert_eq!(found, powers);
        assert_eq!(members[0].bitcoin, sats[0] / 10);
    };
    let (bond, one) = (BOND, 100_000_000);
    check([0, 0], [bond, bond, 2 * bond]);
    // A tenth of one bitcoin at $60,000.
    check([one, 0], [bond + 6_000_000_000, bond, 2 * bond]);
    // $128,000 of ether let bitcoin weigh just below $64,000: 12 and 24 tenths of $60,000 are cut 1 : 2.
    let limit = (4 * bond - 1) / 2;
    check([12 * one, 24 * one], [bond + limit / 3, bond + limit * 2 / 3, 2 * bond]);
}

#[test]
fn r19_no_nonces_for_the_next_checkpoint_no_bitcoin_weight() {
    let check = |first: u64, count: u32, weight: u64| {
        let mut run = Run::new(network(2, 17));
        let facts = run.network.joining_facts();
        run.observe(Ethereum, 105, facts);
        let confirmed = vault_behind(&mut run, 0, 1, 100_000_000, 201);
        run.observe(Bitcoin, 205, vec![confirmed]);
        let promise = run.network.randomness(0, first, count);
        run.produce(vec![Item::Randomness(promise)]);
        run.until_epoch(1);
        let member = run.ledger.committee().members[0];
        assert_eq!(member.bitcoin, weight);
        let named = if weight > 0 { promise.commitment.id() } else { Hash::ZERO };
        assert_eq!(member.randomness, named);
    };
    // The boundary block stands at 10, so the first checkpoint of the epoch is 15.
    check(15, 1, 10_000_000);
    check(5, 3, 10_000_000);
    check(5, 2, 0);
    check(20, 5, 0);
}

#[test]
fn r04_a_vault_counts_only_while_its_lock_outlives_the_unbonding_time() {
    let check = |included: u64, weight: u64| {
        let mut run = Run::new(network(2, 18));
        let facts = run.network.joining_facts();
        run.observe(Ethereum, 105, facts);
        let confirmed = vault_behind(&mut run, 0, 1, 100_000_000, included);
        run.observe(Bitcoin, 1_300, vec![confirmed]);
        let promise = run.network.randomness(0, 5, 9);
        run.produce(vec![Item::Randomness(promise)]);
        // The anchor already ended epoch 0; the next one is drawn at its own end.
        run.until_epoch(2);
        assert_eq!(run.ledger.committee().members[0].bitcoin, weight);
    };
    // Locked for 1,000 blocks; the anchor is 1,300, the unbonding time 200, and the window 176.
    check(501, 10_000_000);
    check(500, 0);
}

#[test]
fn r09_a_lost_vault_ends_the_epoch_only_beyond_a_tenth() {
    let check = |lost: u64, due: bool| {
        let mut run = Run::new(network(3, 19));
        let facts = run.network.joining_facts();
        run.observe(Ethereum, 105, facts);
        let one = 100_000_000;
        let confirmed =
            vec![vault_behind(&mut run, 0, 1, 10 * one - lost, 201), vault_behind(&mut run, 0, 2, lost, 201)];
        let Fact::VaultConfirmed(VaultConfirmed { id: small, .. }) = confirmed[1] else { unreachable!() };
        run.observe(Bitcoin, 205, confirmed);
        let promise = run.network.randomness(0, 10, 9);
        run.produce(vec![Item::Randomness(promise)]);
        run.until_epoch(1);
        assert_eq!(run.ledger.committee().total_bitcoin(), u128::from(one));
        let txid = Hash::new([5; 32]);
        let spent = VaultSpent { id: small, spend: Spend::Unexpected(txid) };
        run.observe(Bitcoin, 206, vec![Fact::VaultSpent(spent)]);
        assert_eq!(run.ledger.vault(&small).unwrap().status, VaultStatus::Lost(txid));
        run.produce(vec![]);
        assert_eq!(boundary(&run).is_some(), due);
    };
    check(100_000_000, false);
    check(100_000_010, true);
}

fn new_keys(id: palisade_types::OperatorId, seed: u8) -> OperatorKeys {
    OperatorKeys {
        id,
        bls: bls::SecretKey::from_seed(&[seed; 32]),
        ed25519: ed25519::SecretKey::from_seed(&[seed; 32]),
        eots: eots::SecretKey::from_bytes(&[seed; 32]).unwrap(),
    }
}

fn registered(network: &Network, index: usize) -> palisade_types::operator::KeyRow {
    let Fact::Keys(keys) = network.keys_fact(index, 101) else { unreachable!() };
    keys.row
}
