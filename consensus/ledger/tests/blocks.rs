//! What a block must be to follow, and that every way to the same blocks leads to the same state.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Network, Run, SHARES, network, network_with, point};
use palisade_ledger::{Invalid, Ledger, Unsound};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::epoch::EpochState;
use palisade_types::{Block, BlockId, ChainId, Epoch, Hash, Header, Height, Item, Row, RowKey};
use proptest::prelude::*;
use std::sync::Arc;

/// What storage holds.
type Rows = Vec<(RowKey, Row)>;

/// A life with a bit of everything: joining, vaults, finality on both chains, a conviction, a hand-over.
fn eventful() -> Run {
    let mut run = Run::new(network(4, 7));
    let mut items: Vec<_> = (0..4).map(|index| run.network.vault(index, 1, 100_000_000, 201)).collect();
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let ids: Vec<_> = items.iter().map(Network::vault_id).collect();
    let promises = (0..4).map(|index| Item::Randomness(run.network.randomness(index, 10, 20)));
    let promises: Vec<_> = promises.collect();
    let vaults = items.drain(..).map(|vault| Item::Vault(Box::new(vault)));
    run.produce(vaults.chain(promises).collect());
    let confirmed = ids.iter().map(|id| Network::confirmed(*id, 201)).collect();
    run.observe(Bitcoin, 210, confirmed);
    run.until_epoch(1);
    run.until_height(15);
    let certificate = run.certify(15, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    let id = run.ledger.block_id(Height::new(15)).unwrap();
    let votes: Vec<_> = (0..4).map(|index| run.network.finality_vote(index, 15, id.into(), 10, 20)).collect();
    let certificate = run.network.bitcoin_certificate(run.ledger.committee(), &votes);
    run.produce(vec![Item::BitcoinFinal(certificate)]);
    let pair = run.network.pair(2, 12);
    run.produce(vec![Item::Evidence(pair)]);
    run.until_epoch(2);
    run.until_height(run.ledger.head().height.get() + 3);
    run
}

#[test]
fn replay_equals_live_and_restoring_equals_replay() {
    let run = eventful();
    let mut replayed = Ledger::genesis(run.network.genesis.clone());
    for block in &run.blocks {
        let changes = replayed.preview(block).unwrap();
        assert_eq!(changes.head().id, block.id());
        replayed.apply(changes);
        assert_eq!(replayed.root(), block.header.state_root);
    }
    assert_eq!(replayed.head(), run.ledger.head());
    replayed.audit().unwrap();
    let rows = replayed.rows();
    let restored = Ledger::restore(run.network.genesis.clone(), replayed.head(), rows).unwrap();
    assert_eq!(restored.root(), run.ledger.root());
    assert!(restored.finality().bitcoin.is_some());
    assert_eq!(restored.cases().count(), 1);
}

#[test]
fn every_row_proves_itself_and_no_other_value() {
    let run = eventful();
    let root = run.ledger.root();
    for (key, row) in run.ledger.rows() {
        let proof = run.ledger.prove(&key);
        proof.proves(&root, &key, Some(&row)).unwrap();
        proof.proves(&root, &key, None).unwrap_err();
    }
    let beyond = RowKey::Block(Height::new(1 << 40));
    run.ledger.prove(&beyond).proves(&root, &beyond, None).unwrap();
}

#[test]
fn r01_every_state_names_the_block_at_every_height_before() {
    let run = eventful();
    assert_eq!(run.ledger.block_id(Height::new(0)), Some(BlockId::new(*run.ledger.chain().as_bytes())));
    for block in &run.blocks {
        let height = block.header.height;
        assert_eq!(run.ledger.block_id(height), Some(block.id()));
        if height < run.ledger.head().height {
            let row = Row::Block(block.id());
            assert_eq!(run.ledger.row(&RowKey::Block(height)), Some(row));
        }
    }
    assert_eq!(run.ledger.block_id(run.ledger.head().height.next()), None);
}

#[test]
fn a_header_says_exactly_what_the_ledger_derives() {
    let mut run = Run::joined(network(4, 3));
    run.until_height(13);
    let (block, _, _) = run.ledger.draft(vec![]);
    let check = |change: &dyn Fn(&mut Header), expected: Invalid| {
        let mut block = block.clone();
        change(&mut block.header);
        assert_eq!(run.ledger.preview(&block).unwrap_err(), expected);
    };
    let other = Hash::new([9; 32]);
    check(&|header| header.version = 2, Invalid::Header("version"));
    check(&|header| header.chain = ChainId::ZERO, Invalid::Header("chain"));
    check(&|header| header.epoch = Epoch::new(2), Invalid::Header("epoch"));
    check(&|header| header.items_root = other, Invalid::Header("items root"));
    check(&|header| header.state_root = other, Invalid::Header("state root"));
    check(&|header| header.next_committee = other, Invalid::Header("next committee"));
    let (height, parent) = (block.header.height, block.header.parent);
    let not_next = |height, parent| Invalid::NotNext { height, parent };
    let wrong = BlockId::new([9; 32]);
    check(&|header| header.parent = wrong, not_next(height, wrong));
    let next = height.next();
    check(&|header| header.height = next, not_next(next, parent));
    assert!(run.ledger.preview(&block).is_ok());
}

#[test]
fn items_stand_in_order_and_an_anchor_moves_once() {
    let mut run = Run::new(network(2, 4));
    let ethereum = run.network.observed(&run.ledger, Ethereum, 105, vec![]);
    let later = run.network.observed(&run.ledger, Ethereum, 106, vec![]);
    let bitcoin = run.network.observed(&run.ledger, Bitcoin, 205, vec![]);
    let block =
        |items: Vec<Item>| Block { header: run.ledger.draft(vec![]).0.header, items: items.try_into().unwrap() };
    for items in [
        vec![bitcoin.clone(), ethereum.clone()],
        vec![ethereum.clone(), later.clone()],
        vec![ethereum.clone(), ethereum.clone()],
    ] {
        let refused = run.ledger.preview(&block(items)).unwrap_err();
        assert!(matches!(refused, Invalid::Items(_)), "{refused}");
    }
    // A proposer's draft sorts, and gives back what does not fit.
    let (drafted, _, refused) = run.ledger.draft(vec![bitcoin.clone(), ethereum.clone(), later.clone()]);
    assert_eq!(drafted.items.to_vec(), [ethereum, bitcoin]);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, later);
    run.produce(drafted.items.into_vec());
    assert_eq!(*run.ledger.anchor(Ethereum), point(Ethereum, 105));
    assert_eq!(*run.ledger.anchor(Bitcoin), point(Bitcoin, 205));
}

#[test]
fn a_draft_takes_older_certificates_first() {
    let mut run = Run::joined(network(4, 10));
    run.until_height(14);
    let certificates = [13, 11, 12].map(|height| Item::EtherFinal(run.certify(height, &[0, 1, 2])));
    let (block, _, refused) = run.ledger.draft(certificates.to_vec());
    assert_eq!((block.items.len(), refused.len()), (3, 0));
    run.produce(block.items.into_vec());
    assert_eq!(run.ledger.finality().ether.unwrap().height, Height::new(13));
}

#[test]
fn an_anchor_moves_on_from_where_it_stands_and_only_forward() {
    let mut run = Run::new(network(2, 5));
    let stale = run.network.observed(&run.ledger, Ethereum, 105, vec![]);
    run.observe(Ethereum, 104, vec![]);
    assert!(matches!(run.refusal(stale), Invalid::Late(_)));
    let standing = run.network.observed(&run.ledger, Ethereum, 104, vec![]);
    assert!(matches!(run.refusal(standing), Invalid::Refused(_)));
    let vault = Network::vault_id(&run.network.vault(0, 1, 1, 1));
    let foreign = vec![Network::confirmed(vault, 201)];
    let foreign = run.network.observed(&run.ledger, Ethereum, 105, foreign);
    assert!(matches!(run.refusal(foreign), Invalid::Refused(_)));
}

#[test]
fn r32_a_huge_block_of_a_chain_spans_several_anchors() {
    let mut run = Run::new(network(2, 5));
    let upto = |run: &Run, number, log, hash: Option<Hash>| {
        let mut item = run.network.observed(&run.ledger, Bitcoin, number, vec![]);
        if let Item::Observed(observation) = &mut item {
            observation.upto.log = log;
            observation.upto.hash = hash.unwrap_or(observation.upto.hash);
        }
        item
    };
    for log in [7, 8, u32::MAX] {
        let item = upto(&run, 205, log, None);
        run.produce(vec![item]);
        assert_eq!((run.ledger.anchor(Bitcoin).number, run.ledger.anchor(Bitcoin).log), (205, log));
        assert!(matches!(run.refusal(upto(&run, 205, log, None)), Invalid::Refused(_)), "it moves forward");
        assert!(matches!(run.refusal(upto(&run, 205, 7, None)), Invalid::Refused(_)));
    }
    let item = upto(&run, 206, 3, None);
    run.produce(vec![item]);
    let other = upto(&run, 206, u32::MAX, Some(Hash::new([9; 32])));
    assert!(matches!(run.refusal(other), Invalid::Refused(_)), "within one block");
    let item = upto(&run, 208, u32::MAX, None);
    run.produce(vec![item]);
}

#[test]
fn a_refused_item_leaves_no_trace() {
    let run = Run::joined(network(3, 6));
    let bad = vec![
        Item::Evidence(run.network.pair_in(run.network.bitcoin_domain, 0, 3)),
        Item::Vault(Box::new(run.network.vault(0, 1, 1, 201))),
        Item::Randomness(run.network.randomness(0, 7, 3)),
        Item::EtherFinal(run.certify(run.ledger.head().height.get(), &[0])),
    ];
    let count = bad.len();
    let (with, changes, refused) = run.ledger.draft(bad);
    let (without, clean, _) = run.ledger.draft(vec![]);
    assert_eq!(refused.len(), count);
    assert_eq!(with, without);
    assert_eq!(changes.rows(), clean.rows());
}

#[test]
#[should_panic(expected = "changes of another parent")]
fn changes_of_another_parent_are_never_applied() {
    let mut run = Run::new(network(2, 8));
    let (_, changes, _) = run.ledger.draft(vec![]);
    run.observe(Ethereum, 105, vec![]);
    run.ledger.apply(changes);
}

#[test]
fn rows_that_are_no_ledger_are_not_restored() {
    let run = eventful();
    let head = run.ledger.head();
    let check = |change: &dyn Fn(&mut Rows), expected: Unsound| {
        let mut rows = run.ledger.rows().collect();
        change(&mut rows);
        let restored = Ledger::restore(run.network.genesis.clone(), head, rows);
        assert_eq!(restored.unwrap_err(), Invalid::Unsound(expected));
    };
    let block = RowKey::Block(Height::new(3));
    check(&|rows| rows.retain(|(key, _)| *key != block), Unsound::Missing(block));
    for key in [RowKey::Epoch, RowKey::Finality, RowKey::Anchor(Bitcoin)] {
        check(&|rows| rows.retain(|(found, _)| *found != key), Unsound::Missing(key));
    }
    let anchor = RowKey::Anchor(Ethereum);
    let misplaced = Row::EpochFirst(Height::new(1));
    check(&|rows| rows.push((anchor, misplaced.clone())), Unsound::Misplaced(anchor));
    let beyond = RowKey::Block(head.height);
    let extra = Row::Block(head.id);
    check(&|rows| rows.push((beyond, extra.clone())), Unsound::Contradicts(beyond));
    let state = *run.ledger.epoch();
    let wrong = EpochState { first: state.first.previous(), ..state };
    let key = RowKey::EpochFirst(state.epoch);
    check(&|rows| rows.push((RowKey::Epoch, Row::Epoch(wrong))), Unsound::Contradicts(key));
    let operator = run.network.operators[2].id;
    let mut free = run.ledger.operator(&operator).unwrap().clone();
    free.convicted = None;
    let case = run.ledger.cases().next().unwrap().id;
    let row = (RowKey::Operator(operator), Row::Operator(free));
    check(&|rows| rows.push(row.clone()), Unsound::Contradicts(RowKey::Case(case)));
}

#[test]
fn a_follower_is_told_what_the_ledger_knows() {
    let run = eventful();
    let watch = run.ledger.watch(Ethereum);
    assert_eq!((watch.operators.len(), watch.positions.len()), (4, 4));
    assert!(watch.vaults.is_empty());
    let watch = run.ledger.watch(Bitcoin);
    assert_eq!((watch.positions.len(), watch.vaults.len()), (0, 4));
}

#[test]
fn two_networks_have_two_chain_ids_and_one_seed_has_one() {
    let (one, same, other) = (network(2, 1), network(2, 1), network(2, 2));
    assert_eq!(one.chain, same.chain);
    assert_ne!(one.chain, other.chain);
    let ledger = Ledger::genesis(Arc::clone(&one.genesis));
    assert_eq!(ledger.head().id.as_bytes(), one.chain.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is thrown at a ledger, what it drafts it accepts, replay equals live and the audit holds.
    #[test]
    fn replay_equals_live_whatever_happens(steps in prop::collection::vec((0_u8..8, 0_usize..4, 1_u64..40), 1..50)) {
        let mut run = Run::new(network_with(4, 9, |genesis| genesis.parameters.epoch_heights = 4));
        let facts = run.network.joining_facts();
        run.observe(Ethereum, 105, facts);
        for (what, index, number) in steps {
            let items = step(&run, what, index, number);
            let (block, _, _) = run.ledger.draft(items);
            run.produce(block.items.into_vec());
        }
        run.ledger.audit().unwrap();
        let mut replayed = Ledger::genesis(run.network.genesis.clone());
        for block in &run.blocks {
            let changes = replayed.preview(block).unwrap();
            replayed.apply(changes);
        }
        prop_assert_eq!(replayed.root(), run.ledger.root());
        prop_assert!(replayed.rows().eq(run.ledger.rows()));
    }
}

fn step(run: &Run, what: u8, index: usize, number: u64) -> Vec<Item> {
    let (network, ledger) = (&run.network, &run.ledger);
    let head = ledger.head().height.get();
    match what {
        0 => {
            let upto = ledger.anchor(Ethereum).number + number;
            let shares = u128::from(number) * SHARES / 20;
            let facts = vec![network.stake_fact(index, shares)];
            vec![network.observed(ledger, Ethereum, upto, facts)]
        }
        1 => {
            let upto = ledger.anchor(Bitcoin).number + number;
            let facts = ledger.vaults().map(|vault| Network::confirmed(vault.id, 201));
            vec![network.observed(ledger, Bitcoin, upto, facts.collect())]
        }
        2 => vec![Item::Evidence(network.pair(index, number))],
        3 => {
            let vault = network.vault(index, number as u32, 50_000 * number, 201);
            vec![Item::Vault(Box::new(vault))]
        }
        4 => vec![Item::Randomness(network.randomness(index, number * 5, 4))],
        5 if ledger.committee().has_weight() => {
            vec![Item::EtherFinal(run.certify(head, &[0, 1, 2, 3]))]
        }
        6 => ledger
            .epoch()
            .boundary
            .filter(|_| ledger.committee().has_weight())
            .map(|boundary| Item::EtherFinal(run.certify(boundary.height.get(), &[0, 1, 2, 3])))
            .into_iter()
            .collect(),
        _ => vec![],
    }
}
