//! BTC-only networks (R22): bitcoin alone weighs, the engine's commit certifies, and votes follow commit.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{Network, Run, bitcoin_only, network, network_with, point};
use palisade_types::certificate::{BitcoinCertificate, MAX_ENGINE_POWER, Worthless};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::epoch::Run as Checkpoints;
use palisade_types::genesis::Unsafe;
use palisade_types::{Epoch, Genesis, Hash, Height, Item, List, MicroUsd};

/// Nonces for the checkpoints 5 to 500.
const NONCES: (u64, u32) = (5, 100);

/// Members 0 to 3 with vaults of 1 to 4 bitcoin, at the first height of epoch 1, which is 11.
fn joined(network: Network) -> Run {
    let mut run = registered(network);
    let items = (0..4).map(|index| Item::Randomness(run.network.randomness(index, NONCES.0, NONCES.1)));
    run.produce(items.collect());
    run.until_epoch(1);
    run
}

/// The same, before anybody has promised a nonce.
fn registered(network: Network) -> Run {
    let mut run = Run::new(network);
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let vaults: Vec<_> =
        (0..4).map(|index| run.network.vault(index, 1, 100_000_000 * (index as u64 + 1), 201)).collect();
    let confirmed = vaults.iter().map(|vault| Network::confirmed(Network::vault_id(vault), 201)).collect();
    run.produce(vaults.into_iter().map(|vault| Item::Vault(Box::new(vault))).collect());
    run.observe(Bitcoin, 205, confirmed);
    run
}

/// What `voters` say of a decided checkpoint, under the committee of its epoch.
fn checkpoint(run: &Run, slot: u64, voters: &[usize]) -> BitcoinCertificate {
    let height = Height::new(slot);
    let id = run.ledger.block_id(height).unwrap();
    let vote = |index: &usize| run.network.finality_vote(*index, slot, id.into(), NONCES.0, NONCES.1);
    let votes: Vec<_> = voters.iter().map(vote).collect();
    let epoch = run.ledger.epoch_of(height).unwrap();
    run.network.bitcoin_certificate(run.ledger.committee_of(epoch).unwrap(), &votes)
}

fn finalise(run: &mut Run, slot: u64) {
    let certificate = checkpoint(run, slot, &[1, 2, 3]);
    run.produce(vec![Item::BitcoinFinal(certificate)]);
}

fn refused(run: &Run, slot: u64) -> Invalid {
    run.refusal(Item::BitcoinFinal(checkpoint(run, slot, &[1, 2, 3])))
}

/// Which run the ledger shows, and its newest checkpoint.
fn shown(run: &Run) -> (Option<Checkpoints>, Option<u64>) {
    let finality = run.ledger.finality();
    (finality.run, finality.bitcoin.map(|block| block.height.get()))
}

fn due(run: &Run) -> Vec<u64> {
    run.ledger.due_checkpoints().into_iter().map(Height::get).collect()
}

#[test]
fn r22_a_network_is_btc_only_by_its_genesis_and_never_by_its_weights() {
    assert!(bitcoin_only(4, 1).genesis.is_bitcoin_only());
    assert!(!network(4, 1).genesis.is_bitcoin_only());
    let nothing =
        network_with(4, 1, |genesis: &mut Genesis| (genesis.assets, genesis.vaults) = (List::new(), List::new()));
    assert!(!nothing.genesis.is_bitcoin_only());
    assert!(matches!(nothing.genesis.check(), Err(Unsafe::Senseless("a network without any kind of stake"))));
    bitcoin_only(4, 1).genesis.check().unwrap();
    // What leaves EigenLayer is no window of a network that counts nothing there.
    let short = |genesis: &mut Genesis| genesis.parameters.deallocation_delay = 1;
    assert!(matches!(network_with(4, 1, short).genesis.check(), Err(Unsafe::EthereumWindow { .. })));
    let lonely = |genesis: &mut Genesis| {
        short(genesis);
        genesis.assets = List::new();
    };
    network_with(4, 1, lonely).genesis.check().unwrap();
    // A mixed network whose epoch has no ether has no weight either, whatever bitcoin is there.
    let mut run = Run::new(network(4, 1));
    let keys = (0..4).map(|index| run.network.keys_fact(index, 101)).collect();
    run.observe(Ethereum, 105, keys);
    let vault = run.network.vault(0, 1, 100_000_000, 201);
    let confirmed = Network::confirmed(Network::vault_id(&vault), 201);
    run.produce(vec![Item::Vault(Box::new(vault)), Item::Randomness(run.network.randomness(0, 5, 10))]);
    run.observe(Bitcoin, 205, vec![confirmed]);
    run.until_epoch(1);
    assert!(!run.ledger.committee().has_weight());
}

#[test]
fn r22_bitcoin_alone_decides_who_sits_and_what_he_weighs() {
    let run = joined(bitcoin_only(4, 2));
    let committee = run.ledger.committee();
    assert!(committee.has_weight());
    let weights: Vec<_> =
        committee.members.iter().map(|member| (member.ether, member.bitcoin, member.engine)).collect();
    let tenth = |index: u64| (0, 10_000_000 * index, 6_000_000_000 * index); // a tenth of each vault, at $60,000
    assert_eq!(weights, [tenth(1), tenth(2), tenth(3), tenth(4)]);
    assert!(committee.members.iter().map(|member| member.engine).sum::<u64>() <= MAX_ENGINE_POWER);
    // The least bond of a member, and the least of a committee, are then of bitcoin.
    let bond = |dollars: u64| {
        move |genesis: &mut Genesis| {
            genesis.assets = List::new();
            genesis.parameters.min_bond = MicroUsd::new(dollars * 1_000_000);
        }
    };
    let seats = |dollars| joined(network_with(4, 2, bond(dollars))).ledger.committee().members.len();
    assert_eq!([6_000, 6_001, 18_001, 24_000].map(seats), [4, 3, 1, 1]);
    let total = |dollars: u64| {
        move |genesis: &mut Genesis| {
            genesis.assets = List::new();
            genesis.parameters.min_total = MicroUsd::new(dollars * 1_000_000);
        }
    };
    let weighs = |dollars| joined(network_with(4, 2, total(dollars))).ledger.committee().has_weight();
    assert_eq!([60_000, 60_001].map(weighs), [true, false]);
}

#[test]
fn r22_without_nonces_there_is_no_weight_and_the_seats_stay() {
    let mut run = registered(bitcoin_only(4, 3));
    run.until_epoch(1);
    assert!(!run.ledger.committee().has_weight(), "no root, no BTC weight (R19)");
    assert_eq!(run.ledger.committee().members.len(), 4);
    let promise = run.network.randomness(1, 20, 20);
    run.produce(vec![Item::Randomness(promise)]);
    run.until_epoch(2);
    let seated: Vec<_> = run.ledger.committee().members.iter().map(|member| member.operator).collect();
    assert_eq!(seated, [run.network.operators[1].id]);
}

#[test]
fn r10_r22_the_height_after_the_boundary_block_is_the_next_committees() {
    let mut run = joined(bitcoin_only(4, 4));
    for epoch in 1..4 {
        assert_eq!(run.ledger.epoch().first.get(), u64::from(epoch) * 10 + 1);
        run.until_height(u64::from(epoch) * 10 + 10);
        let boundary = run.blocks.last().unwrap().header;
        assert_eq!(boundary.next_committee, run.ledger.committee().hash(&run.network.chain));
        assert_eq!((boundary.epoch, run.ledger.epoch().epoch), (Epoch::new(epoch), Epoch::new(epoch + 1)));
        assert_eq!(run.ledger.epoch().boundary, None);
    }
}

#[test]
fn r22_nothing_is_ever_ether_final() {
    let mut run = joined(bitcoin_only(4, 5));
    run.until_height(15);
    let certificate = run.certify(12, &[0, 1, 2, 3]);
    assert!(matches!(run.refusal(Item::EtherFinal(certificate)), Invalid::Refused(_)));
    finalise(&mut run, 15);
    assert_eq!(run.ledger.finality().ether, None);
}

#[test]
fn r22_eots_follow_commit_and_a_run_goes_on_over_hand_overs() {
    let mut run = joined(bitcoin_only(4, 6));
    assert_eq!(due(&run), Vec::<u64>::new(), "epoch 0 has no weight and so no checkpoints");
    run.until_height(15);
    assert_eq!(due(&run), [15]);
    let few = checkpoint(&run, 15, &[2, 1]); // 5 of 10
    assert!(matches!(run.refusal(Item::BitcoinFinal(few)), Invalid::Worthless(Worthless::NoQuorum { .. })));
    finalise(&mut run, 15);
    // 20 is the boundary block: the committee that voted for it is out of office when its votes come.
    run.until_height(20);
    assert_eq!((run.ledger.epoch().epoch, due(&run)), (Epoch::new(2), vec![20]));
    finalise(&mut run, 20);
    run.until_height(25);
    let wrong =
        BitcoinCertificate { committee: checkpoint(&run, 20, &[1]).committee, ..checkpoint(&run, 25, &[1, 2, 3]) };
    assert_eq!(run.refusal(Item::BitcoinFinal(wrong)), Invalid::Worthless(Worthless::OtherCommittee), "R3");
    finalise(&mut run, 25);
    let first = Height::new(15);
    assert_eq!(shown(&run), (Some(Checkpoints { first, broken: None }), Some(25)));
    assert!(matches!(refused(&run, 20), Invalid::Late(_)));
}

#[test]
fn r22_late_slots_fill_a_gap_in_order_and_several_fit_into_one_block() {
    let mut run = joined(bitcoin_only(4, 7));
    run.until_height(15);
    finalise(&mut run, 15);
    run.until_height(29); // in epoch 2, whose first checkpoint is 25
    assert_eq!(due(&run), [20]);
    assert!(matches!(refused(&run, 25), Invalid::Early(_)), "the gap can still be filled");
    let late = [20, 25].map(|slot| Item::BitcoinFinal(checkpoint(&run, slot, &[1, 2, 3])));
    run.produce(late.to_vec());
    assert_eq!(shown(&run), (Some(Checkpoints { first: Height::new(15), broken: None }), Some(25)));
}

#[test]
fn r22_a_gap_that_nobody_can_fill_ends_the_run_and_the_ledger_says_where() {
    let mut run = joined(bitcoin_only(4, 8));
    run.until_height(15);
    finalise(&mut run, 15);
    run.until_height(30); // epoch 3 begins with 31: 20, of epoch 1, is closed
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(3));
    assert!(matches!(refused(&run, 20), Invalid::Late(_)), "its epoch is over");
    assert_eq!(due(&run), [25], "the first of epoch 2; epoch 3 has none yet");
    assert!(matches!(refused(&run, 30), Invalid::Early(_)), "no first of an epoch");
    let mut other = run.clone();
    finalise(&mut run, 25);
    let restarted = Checkpoints { first: Height::new(25), broken: Some(Height::new(15)) };
    assert_eq!(shown(&run), (Some(restarted), Some(25)));
    finalise(&mut run, 30);
    assert_eq!(shown(&run), (Some(restarted), Some(30)));
    // Where the first of the epoch before is missing too, this epoch's will do.
    other.until_height(35);
    assert_eq!(due(&other), [25, 35]);
    finalise(&mut other, 35);
    let restarted = Checkpoints { first: Height::new(35), broken: Some(Height::new(15)) };
    assert_eq!(shown(&other), (Some(restarted), Some(35)));
    assert!(matches!(refused(&other, 30), Invalid::Late(_)));
}

#[test]
fn r10_r22_a_committee_past_its_age_leaves_a_gap() {
    let slow = |genesis: &mut Genesis| {
        genesis.assets = List::new();
        genesis.parameters.epoch_bitcoin_blocks = 90; // of 100 that a committee may grow old
    };
    let mut run = joined(network_with(4, 9, slow));
    run.observe(Bitcoin, 285, vec![]);
    run.until_height(15);
    finalise(&mut run, 15);
    run.until_height(20);
    let age = run.ledger.committee_of(Epoch::new(1)).unwrap().bitcoin.number + 100;
    run.observe(Bitcoin, age, vec![]);
    assert_eq!(due(&run), [20], "at its age it still counts");
    run.observe(Bitcoin, age + 1, vec![]);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    assert!(matches!(refused(&run, 20), Invalid::Late(_)));
    assert_eq!(due(&run), Vec::<u64>::new(), "epoch 2 has no checkpoint yet");
    run.until_height(25);
    assert_eq!(due(&run), [25]);
    finalise(&mut run, 25);
    assert_eq!(run.ledger.finality().run.unwrap().broken, Some(Height::new(15)));
}

#[test]
fn r09_r22_a_convict_is_out_of_the_total_at_once_and_out_of_his_seat_with_the_next_height() {
    let mut run = joined(bitcoin_only(4, 10));
    run.until_height(15);
    finalise(&mut run, 15);
    let pair = run.network.eots_pair(3, 15, NONCES.0, NONCES.1);
    run.produce(vec![Item::Evidence(pair)]);
    assert!(run.ledger.committee().seat(&run.network.operators[3].id).is_some());
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(1));
    run.produce(vec![]); // the boundary block (R9)
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    assert!(run.ledger.committee().seat(&run.network.operators[3].id).is_none());
    run.until_height(20);
    let without = checkpoint(&run, 20, &[1, 2]); // 5 of 6
    run.produce(vec![Item::BitcoinFinal(without)]);
    assert_eq!(run.ledger.finality().bitcoin.unwrap().height.get(), 20);
}

#[test]
fn r22_a_forged_gap_is_no_reason_to_restart() {
    // Somebody who would start a run anew to avoid a slot that he signed otherwise waits for two epochs.
    let mut run = joined(bitcoin_only(4, 11));
    run.until_height(15);
    finalise(&mut run, 15);
    for height in 21..30 {
        run.until_height(height);
        assert_eq!(due(&run), [20]);
    }
    let root = run.ledger.root();
    assert_ne!(root, Hash::ZERO);
    assert_eq!(run.ledger.anchor(Bitcoin), &point(Bitcoin, 205));
}
