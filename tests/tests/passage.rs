//! Of two chains that begin with one genesis, one is the network's (R13). The other is made by the same keys: by operators who have taken
//! their stake away since, which costs them nothing.

#![allow(clippy::unwrap_used)]

use palisade_agreement::app::Verdict;
use palisade_bitcoin::vault::Versions;
use palisade_ledger::Ledger;
use palisade_ledger::snapshot::{Assembly, chunks};
use palisade_node::core::Core;
use palisade_node::core::passage::{OtherChain, Witness};
use palisade_node::signer::SignedLast;
use palisade_tests::world::World;
use palisade_types::block::Block;
use palisade_types::epoch::FinalBlock;
use palisade_types::genesis::Genesis;
use palisade_types::ids::Hash;
use palisade_types::units::{Epoch, Height};
use std::sync::Arc;

/// The seed is the keys and the genesis; what is lost on the wire makes another history of them.
const SEED: u64 = 11;

/// What four operators decide on such a wire until the third epoch.
fn history(loss: u16) -> (Arc<Genesis>, Vec<Block>) {
    let mut world = World::seeded(SEED).loss(loss).begin();
    assert!(world.run_until(600, |world| world.epoch() >= Epoch::new(3)), "{}", world.describe());
    world.agree();
    let operator = world.sim.node(0);
    let blocks = operator.disk.blocks.iter().map(|(block, _)| block.clone());
    (operator.ledger().genesis_of().clone(), blocks.collect())
}

/// The block whose state draws the committee of epoch 2.
fn boundary(blocks: &[Block]) -> FinalBlock {
    let is_boundary = |block: &&Block| block.header.epoch == Epoch::new(1) && block.header.next_committee != Hash::ZERO;
    let block = blocks.iter().find(is_boundary).unwrap();
    FinalBlock { height: block.header.height, id: block.id() }
}

fn newcomer(genesis: &Arc<Genesis>) -> Core {
    let own = genesis.seats[0].operator;
    let versions = Versions::of(genesis).unwrap();
    let mut core = Core::new(own, versions, Ledger::genesis(genesis.clone()), None, SignedLast::default());
    core.await_passage(None).unwrap();
    core
}

/// Offers decided blocks as sync does, and takes them in as the driver does; the answer is the one at which the node stops, and why.
fn offer(core: &mut Core, blocks: &[Block]) -> Option<(Height, OtherChain)> {
    for block in blocks {
        assert_eq!(core.check(&Arc::new(block.clone()), true), Some(Verdict::Valid));
        if let Some(other) = core.leads_elsewhere(block) {
            return Some((block.header.height, other));
        }
        let changes = core.prepare(block).unwrap();
        core.commit(block, changes);
    }
    None
}

#[test]
fn r13_a_chain_forged_by_an_old_committees_keys_is_refused_at_the_boundary_that_ethereum_has_seen() {
    let ((genesis, ours), (same, forged)) = (history(0), history(40));
    assert_eq!(genesis, same);
    let (seen, theirs) = (boundary(&ours), boundary(&forged));
    assert_ne!(seen.id, theirs.id, "the same keys made two histories");
    let at = usize::try_from(seen.height.get()).unwrap() - 1;
    let other = OtherChain { height: seen.height, ours: forged[at].id(), theirs: seen.id, by: Witness::Committee };

    // Told before it syncs: everything below looks alike, since certificates of these keys hold; the boundary itself is refused.
    let mut core = newcomer(&genesis);
    core.passes_through(Some(seen)).unwrap();
    assert!(!core.has_passed());
    assert_eq!(offer(&mut core, &forged), Some((seen.height, other)));
    assert!(!core.has_passed());
    assert_eq!(core.ledger().head().height, seen.height.previous());

    // Told afterwards, and at a start on what was stored.
    let mut core = newcomer(&genesis);
    assert_eq!(offer(&mut core, &forged), None);
    assert!(!core.has_passed(), "nobody was asked");
    assert_eq!(core.passes_through(Some(seen)), Err(other));
    let trusted = OtherChain { by: Witness::Checkpoint, ..other };
    assert_eq!(core.await_passage(Some(seen)), Err(trusted));

    // The network's own chain passes, by the boundary and by an operator's checkpoint.
    let mut core = newcomer(&genesis);
    core.await_passage(Some(seen)).unwrap();
    core.passes_through(None).unwrap();
    assert_eq!(offer(&mut core, &ours[..at]), None);
    assert!(!core.has_passed(), "one block below");
    assert_eq!(offer(&mut core, &ours[at..]), None);
    assert!(core.has_passed());
    core.passes_through(Some(seen)).unwrap();
    assert!(core.has_passed());
}

/// A lying peer hands in another block beside the network's own certificate, or a proposer another one when it is his turn. The engine
/// compares what is offered with the certificate only after the core has looked at it.
#[test]
fn r13_a_block_that_nobody_decided_stops_no_node() {
    let ((genesis, ours), (_, forged)) = (history(0), history(40));
    let seen = boundary(&ours);
    let at = usize::try_from(seen.height.get()).unwrap() - 1;
    let mut core = newcomer(&genesis);
    core.passes_through(Some(seen)).unwrap();
    assert_eq!(offer(&mut core, &ours[..at]), None);
    let mut lie = ours[at].clone();
    lie.header.state_root = Hash::ZERO;
    for lie in [lie, forged[at].clone()] {
        assert_ne!(lie.id(), seen.id);
        assert_eq!(core.check(&Arc::new(lie.clone()), true), Some(Verdict::Invalid), "by sync");
        assert_eq!(core.check(&Arc::new(lie), false), Some(Verdict::Invalid), "proposed");
    }
    // Nothing has come of it, and the network's own goes on.
    assert_eq!(offer(&mut core, &ours[at..]), None);
    assert!(core.has_passed());
}

#[test]
fn r13_who_begins_with_a_boundarys_state_goes_on_as_who_began_with_genesis() {
    let (genesis, blocks) = history(0);
    let boundary = boundary(&blocks);
    let at = usize::try_from(boundary.height.get()).unwrap();
    let mut whole = newcomer(&genesis);
    whole.passes_through(Some(boundary)).unwrap();
    assert_eq!(offer(&mut whole, &blocks[..at]), None);

    let rows = whole.ledger().rows();
    let header = blocks[at - 1].header;
    let mut state = Assembly::new(header.state_root);
    for chunk in chunks(rows) {
        state.take(chunk).unwrap();
    }
    let ledger = Ledger::restore(genesis.clone(), boundary, state.whole().unwrap()).unwrap();
    assert_eq!(ledger.root(), header.state_root);
    let versions = Versions::of(&genesis).unwrap();
    let mut later = Core::new(genesis.seats[0].operator, versions, ledger, Some(boundary), SignedLast::default());
    later.await_passage(None).unwrap();
    later.resume(header, None);
    later.passes_through(Some(boundary)).unwrap();
    assert!(later.has_passed(), "it begins with the boundary itself");

    for core in [&mut whole, &mut later] {
        assert_eq!(offer(core, &blocks[at..]), None);
    }
    assert_eq!(later.ledger().root(), blocks.last().unwrap().header.state_root);
    assert!(whole.ledger().rows().eq(later.ledger().rows()), "whatever the ledger needs of the past is in its rows");
    assert_eq!(whole.ledger().committee(), later.ledger().committee());
}

#[test]
fn r13_who_does_not_know_yet_which_chain_it_is_attests_nothing_and_the_others_go_on() {
    let mut world = World::seeded(SEED).begin();
    world.sim.node_mut(0).core.await_passage(None).unwrap();
    assert!(world.run_until(240, |world| world.ether_final() >= Height::new(20)), "{}", world.describe());
    assert_eq!(world.sim.node(0).core.status().attested, Height::new(0));
    world.sim.node_mut(0).core.passes_through(None).unwrap();
    let attests = |world: &World| world.sim.node(0).core.status().attested > Height::new(20);
    assert!(world.run_until(60, attests), "{}", world.describe());
    world.agree();
}
