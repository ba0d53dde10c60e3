//! How a network goes on from another (R21).

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::fixture::{Run, SHARES, network};
use palisade_ledger::{Invalid, Ledger, succession};
use palisade_types::canonical::Canonical;
use palisade_types::genesis::{Continues, Unsafe};
use palisade_types::{CaseId, DomainKind, Epoch, Evidence, Genesis, Hash, Header, Height, Item, Row, RowKey, Unproven};
use std::sync::Arc;

/// Four operators in an epoch with weight; the last is convicted, and the block after that is the last of the network.
fn ended() -> (Run, Header) {
    let mut run = Run::joined(network(4, 21));
    let (first, interval) = (run.ledger.epoch().first.get(), run.network.genesis.parameters.checkpoint_interval);
    let promises = (0..4).map(|index| Item::Randomness(run.network.randomness(index, first / interval * interval, 40)));
    let promises = promises.collect();
    run.produce(promises);
    let pair = run.network.pair(3, first);
    run.produce(vec![Item::Evidence(pair)]);
    let last = run.produce(vec![]).header;
    (run, last)
}

fn successor(before: &Genesis, last: Header, seats: &[usize]) -> Genesis {
    let seats = seats.iter().map(|index| before.seats[*index].clone()).collect::<Vec<_>>();
    Genesis {
        random: Hash::new([0x21; 32]),
        seats: seats.try_into().unwrap(),
        continues: Some(Continues { block: last, line: vec![last.chain].try_into().unwrap() }),
        ..before.clone()
    }
}

fn rows(run: &Run) -> Vec<(RowKey, Row)> {
    run.ledger.rows().collect()
}

#[test]
fn r21_a_successor_begins_with_the_state_before_it_and_leaves_behind_who_is_gone() {
    let (run, last) = ended();
    let genesis = Arc::new(successor(&run.network.genesis, last, &[0, 1]));
    genesis.check().unwrap();
    let (first, mut ledger) = Ledger::succeed(genesis.clone(), rows(&run)).unwrap();
    let chain = genesis.chain_id();
    assert_ne!(chain, run.network.chain);
    assert_eq!((first.header.chain, first.header.parent), (chain, last.id()));
    assert_eq!((first.header.height, first.header.state_root), (last.height.next(), ledger.root()));
    assert_eq!(ledger.head().id, first.id());
    // The next epoch, of the two who go on: one more is convicted, one was given no seat.
    assert_eq!(ledger.epoch().epoch, run.ledger.epoch().epoch.next());
    assert_eq!(first.header.next_committee, ledger.committee().hash(&chain));
    let ids: Vec<_> = run.network.operators.iter().map(|keys| keys.id).collect();
    let members: Vec<_> = ledger.committee().members.iter().map(|member| member.operator).collect();
    assert_eq!(members, ids[..2]);
    assert!(ledger.committee().members.iter().all(|member| member.ether > 0 && member.bitcoin == 0));
    assert!(ledger.operator(&ids[2]).unwrap().jailed.is_some());
    // Stake, convictions, cases, keys and history are there.
    assert!(ledger.positions().eq(run.ledger.positions()));
    assert_eq!(ledger.operator(&ids[3]).unwrap().convicted, run.ledger.operator(&ids[3]).unwrap().convicted);
    assert!(ledger.cases().eq(run.ledger.cases()) && ledger.cases().count() == 1);
    assert_eq!(ledger.operator(&ids[2]).unwrap().keys, run.ledger.operator(&ids[2]).unwrap().keys);
    assert_eq!(ledger.row(&RowKey::Block(last.height)), Some(Row::Block(last.id())));
    for epoch in 0..=run.ledger.epoch().epoch.get() {
        assert_eq!(ledger.committee_of(Epoch::new(epoch)), run.ledger.committee_of(Epoch::new(epoch)));
    }
    // It goes on, and what it stored is what comes back.
    for _ in 0..12 {
        let (block, _, refused) = ledger.draft(vec![]);
        assert!(refused.is_empty());
        let changes = ledger.preview(&block).unwrap();
        ledger.apply(changes);
    }
    let stored: Vec<_> = ledger.rows().collect();
    assert_eq!(Ledger::restore(genesis, ledger.head(), stored).unwrap().root(), ledger.root());
}

#[test]
fn r21_the_committee_before_certifies_the_first_block_in_the_domain_of_successions() {
    let (run, last) = ended();
    let genesis = Arc::new(successor(&run.network.genesis, last, &[0, 1]));
    let (first, _) = Ledger::succeed(genesis.clone(), rows(&run)).unwrap();
    let (chain, statement) = succession::statement(&genesis, &first.header).unwrap();
    assert_eq!((chain, statement.slot), (run.network.chain, 1));
    assert_eq!(statement.domain, run.network.genesis.domain(DomainKind::Succession));
    let committee = run.ledger.committee();
    let convicted = |id: &_| run.ledger.operator(id).unwrap().convicted.is_some();
    let check = |signers: &[usize]| {
        run.network.certificate(committee, statement, signers).verify(&chain, committee, convicted).is_ok()
    };
    assert!(check(&[0, 1, 2]));
    assert!(!check(&[0, 1]), "of the three that count, two are not more than two thirds");
    assert!(!check(&[0, 1, 3]), "a convict does not count");
    // Nobody but the guard keeps an operator from naming two: then he is convicted by the pair.
    assert!(run.ledger.judge(&run.network.pair_in(statement.domain, 0, 1)).is_ok());
}

#[test]
fn r21_faults_of_the_network_before_are_judged_in_the_successor_under_their_own_chain_id() {
    let (run, last) = ended();
    let old = run.network.chain;
    let genesis = Arc::new(successor(&run.network.genesis, last, &[0, 1]));
    let (_, mut ledger) = Ledger::succeed(genesis, rows(&run)).unwrap();
    let (pair, again) = (run.network.pair(0, last.height.get()), run.network.pair(3, last.height.get()));
    assert_eq!(ledger.judge(&again), Err(Unproven::AlreadyConvicted));
    let first = run.ledger.epoch().first.get();
    let interval = run.network.genesis.parameters.checkpoint_interval;
    let promised = first / interval * interval;
    let eots = run.network.eots_pair(1, promised + interval, promised, 40);
    assert!(ledger.judge(&eots).is_ok(), "by the nonces that were promised before");
    let (block, _, refused) = ledger.draft(vec![Item::Evidence(pair.clone()), Item::Evidence(eots)]);
    assert!(refused.is_empty(), "{refused:?}");
    let changes = ledger.preview(&block).unwrap();
    ledger.apply(changes);
    let guilty = run.network.operators[0].id;
    let id = CaseId::derive(&old, &guilty, &run.network.ledger_domain);
    let case = ledger.cases().find(|case| case.id == id).unwrap();
    assert_eq!((case.operator, case.orders[0].asked), (guilty, SHARES / 2));
    assert!(matches!(&case.evidence, Some(Evidence::Pair(told)) if Evidence::Pair(*told) == pair));
    assert!(ledger.audit().is_ok());
}

#[test]
fn r21_no_successor_is_made_of_other_rows_strangers_seats_or_nobodys_stake() {
    let (run, last) = ended();
    let before = &run.network.genesis;
    let good = successor(before, last, &[0, 1]);
    let make = |genesis: Genesis, rows| Ledger::succeed(Arc::new(genesis), rows).map(drop);
    assert_eq!(make(good.clone(), rows(&run)), Ok(()));
    let refused = |result| assert!(matches!(result, Err(Invalid::Refused(_))), "{result:?}");
    refused(make((**before).clone(), rows(&run)));
    for at in [0, rows(&run).len() / 2] {
        let mut fewer = rows(&run);
        fewer.remove(at);
        refused(make(good.clone(), fewer));
    }
    let mut stranger = good.clone();
    stranger.seats.as_mut_slice()[1].operator = palisade_types::OperatorId::new([0xff; 20]);
    refused(make(stranger, rows(&run)));
    refused(make(successor(before, last, &[3]), rows(&run)));
    // And what no genesis may say.
    let unsafe_line = |change: fn(&mut Continues)| {
        let mut genesis = good.clone();
        change(genesis.continues.as_mut().unwrap());
        assert!(matches!(genesis.check(), Err(Unsafe::Senseless(_))));
    };
    unsafe_line(|continues| continues.line = palisade_types::List::new());
    unsafe_line(|continues| continues.block.chain = palisade_types::ChainId::ZERO);
    unsafe_line(|continues| continues.block.height = Height::new(0));
    unsafe_line(|continues| continues.line.push(continues.block.chain).unwrap());
    assert_eq!(Genesis::from_bytes(&good.to_bytes()), Ok(good));
}
