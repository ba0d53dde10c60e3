//! When an operator's core asks its signer for nonces (R19), on a ledger that goes on without an engine.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_bitcoin::vault::Versions;
use palisade_crypto::eots;
use palisade_ledger::fixture::{OperatorKeys, Run, network};
use palisade_node::core::{Action, Core, Promises};
use palisade_node::signer::SignedLast;
use palisade_types::block::Item;
use palisade_types::chain::ChainKind::Ethereum;

/// Operator 0's core on the ledger of a network of four, at the first height of epoch 1, which is 11.
fn core() -> (Run, Core) {
    let run = Run::joined(network(4, 1));
    let versions = Versions::new(run.network.chain, &[]).unwrap();
    let core = Core::new(run.network.operators[0].id, versions, run.ledger.clone(), None, SignedLast::default());
    (run, core.promising(Promises { slots: 8, least: 4 }))
}

/// The core commits the block that `run` has just made; what it asks the signer for, and whether it calls a person.
fn commit(run: &Run, core: &mut Core) -> (Option<(u64, u32)>, bool) {
    let block = run.blocks.last().unwrap();
    let changes = core.prepare(block).unwrap();
    core.commit(block, changes);
    let (mut asked, mut alarm) = (None, false);
    for action in core.actions() {
        match action {
            Action::CommitRandomness { first, count } => asked = Some((first.get(), count)),
            Action::Alarm(_) => alarm = true,
            _ => {}
        }
    }
    (asked, alarm)
}

#[test]
fn r19_nonces_are_asked_for_long_before_they_run_out() {
    let (mut run, mut core) = core();
    run.produce(vec![]);
    assert_eq!(core.eots_slots_left(), Some(0));
    assert_eq!(commit(&run, &mut core), (Some((20, 8)), false), "from head + 5 on");
    let promise = run.network.randomness(0, 20, 8); // up to 55
    run.produce(vec![Item::Randomness(promise)]);
    assert_eq!(commit(&run, &mut core), (None, false));
    let mut asked = Vec::new();
    while run.ledger.head().height.get() < 60 {
        run.produce(vec![]);
        let (asks, alarm) = commit(&run, &mut core);
        let head = run.ledger.head().height.get();
        let ahead = (20..=55).step_by(5).filter(|slot| *slot > head).count() as u64;
        assert_eq!(core.eots_slots_left(), Some(ahead), "at {head}");
        asked.extend(asks.map(|(first, count)| (head, first, count, alarm)));
    }
    // At 40 three are left: 45, 50, 55. It is asked for again when it takes too long, and in the end a person is.
    assert_eq!(asked, [(40, 60, 8, false), (60, 65, 8, true)]);
}

#[test]
fn r19_a_new_key_promises_nonces_of_its_own() {
    let (mut run, mut core) = core();
    let promise = run.network.randomness(0, 15, 1_000);
    run.produce(vec![Item::Randomness(promise)]);
    assert_eq!(commit(&run, &mut core), (None, false));
    let old = run.network.operators[0].clone();
    let other = network(1, 77).operators[0].clone();
    let new = OperatorKeys {
        eots: eots::SecretKey::derive(&[7; 32], &[1; 32], &[2; 32]),
        ..OperatorKeys { id: old.id, ..other }
    };
    let registration = run.network.registration(&new, 9, 120);
    run.observe(Ethereum, 125, vec![registration]);
    let (asked, _) = commit(&run, &mut core);
    assert_eq!((asked, core.eots_slots_left()), (Some((20, 8)), Some(0)), "the old key's are of no use to it");
    let promise = run.network.randomness_of(&new, 20, 8);
    run.produce(vec![Item::Randomness(promise)]);
    assert_eq!(commit(&run, &mut core), (None, false));
    assert_eq!(core.eots_slots_left(), Some(8));
}
