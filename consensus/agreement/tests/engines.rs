//! Four live engines in one process, over a wire without a transport: the real log, sync and consensus actors.
//! The same over real libp2p is in `node/tests/network.rs`.

#![allow(clippy::unwrap_used)] // clippy takes only functions marked as tests for tests

mod plain;

use bytes::Bytes;
use palisade_agreement::codec::WireCodec;
use palisade_agreement::context::{Level, Palisade};
use palisade_agreement::engine;
use palisade_agreement::malachite::sync::{OutboundFailureReason, Request, Response, ValueRequest};
use palisade_agreement::malachite::{Codec, PeerId};
use palisade_agreement::wire::{Inbound, Inlet, Message, Outbound, wire};
use palisade_types::units::Height;
use plain::live::{Live, PATIENCE, agree};
use plain::{FAST, Plain, committee, operator};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[0, 1, u8::try_from(index).unwrap()]).unwrap()
}

/// Who is connected, and the questions that are open.
#[derive(Default)]
struct Hub {
    inlets: BTreeMap<usize, Inlet>,
    questions: BTreeMap<u64, (usize, u64)>,
    next: u64,
    /// Who asked whom for which heights, and how many blocks he got; `None` without an answer.
    asked: BTreeMap<u64, (usize, usize, RangeInclusive<u64>, Option<usize>)>,
}

impl Hub {
    fn join(&mut self, index: usize, inlet: Inlet) {
        inlet.tell(Inbound::Listening);
        for (other, theirs) in &self.inlets {
            inlet.tell(Inbound::Connected(peer(*other)));
            theirs.tell(Inbound::Connected(peer(index)));
        }
        self.inlets.insert(index, inlet);
    }

    fn leave(&mut self, index: usize) {
        self.inlets.remove(&index);
        for theirs in self.inlets.values() {
            theirs.tell(Inbound::Disconnected(peer(index)));
        }
    }

    fn others(&self, index: usize) -> impl Iterator<Item = &Inlet> {
        self.inlets.iter().filter(move |(other, _)| **other != index).map(|(_, inlet)| inlet)
    }

    fn carry(&mut self, from: usize, outbound: Outbound) {
        match outbound {
            Outbound::Publish(topic, bytes) => {
                for inlet in self.others(from) {
                    let message = Message::decode(topic, bytes.clone()).expect("our own messages decode");
                    inlet.tell(Inbound::Gossip { from: peer(from), publisher: peer(from), message });
                }
            }
            Outbound::Status(bytes) => {
                for inlet in self.others(from) {
                    inlet.tell(Inbound::Status(peer(from), bytes.clone()));
                }
            }
            Outbound::Ask(id, asked, bytes) => {
                let target = self.inlets.iter().find(|(index, _)| peer(**index) == asked);
                if let Some((target, inlet)) = target {
                    self.next += 1;
                    let Ok(Request::<Palisade>::ValueRequest(wanted)) = WireCodec.decode(bytes.clone()) else {
                        unreachable!("an engine asks for blocks only")
                    };
                    let heights = wanted.range.start().0.get()..=wanted.range.end().0.get();
                    self.asked.insert(self.next, (from, *target, heights, None));
                    self.questions.insert(self.next, (from, id));
                    inlet.tell(Inbound::Asked(self.next, peer(from), bytes));
                } else if let Some(inlet) = self.inlets.get(&from) {
                    inlet.tell(Inbound::Unanswered(id, asked, OutboundFailureReason::DialFailure));
                }
            }
            Outbound::Answer(question, bytes) => self.answer(from, question, Some(bytes)),
            Outbound::Drop(question) => self.answer(from, question, None),
            Outbound::Blame(peer) => unreachable!("engines speak what engines understand, and so does {peer}"),
        }
    }

    fn answer(&mut self, from: usize, question: u64, answer: Option<Bytes>) {
        let Some((asker, id)) = self.questions.remove(&question) else { return };
        if let (Some(asked), Some(bytes)) = (self.asked.get_mut(&question), &answer) {
            let Response::<Palisade>::ValueResponse(given) = WireCodec.decode(bytes.clone()).unwrap();
            asked.3 = Some(given.values.len());
        }
        let Some(inlet) = self.inlets.get(&asker) else { return };
        inlet.tell(match answer {
            Some(bytes) => Inbound::Answered(id, peer(from), bytes),
            None => Inbound::Unanswered(id, peer(from), OutboundFailureReason::ConnectionClosed),
        });
    }
}

async fn join(node: &mut Live, name: &str, hub: &Arc<Mutex<Hub>>, dir: &Path) {
    let (ours, port) = wire();
    let index = node.index;
    let connected = watch::channel((0..4).map(operator).collect::<BTreeSet<_>>()).1;
    node.start(name, ours, peer(index), connected, dir).await;
    hub.lock().unwrap().join(index, port.inbound);
    let (hub, mut outbound) = (hub.clone(), port.outbound);
    tokio::spawn(async move {
        while let Some(message) = outbound.recv().await {
            hub.lock().unwrap().carry(index, message);
        }
    });
}

async fn leave(node: &mut Live, hub: &Arc<Mutex<Hub>>) {
    hub.lock().unwrap().leave(node.index);
    node.stop().await;
}

async fn network(name: &str, dir: &Path, change: impl Fn(&mut Plain)) -> (Arc<Mutex<Hub>>, Vec<Live>) {
    let (hub, committee) = (Arc::new(Mutex::new(Hub::default())), committee(4));
    let mut nodes = Vec::new();
    for index in 0..4 {
        let mut core = Plain::new(index, committee.clone(), FAST);
        change(&mut core);
        let mut node = Live::new(core);
        join(&mut node, name, &hub, dir).await;
        nodes.push(node);
    }
    (hub, nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn four_engines_decide_and_one_that_was_away_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut nodes) = network("away", dir.path(), |_| {}).await;
    for node in &mut nodes {
        node.reaches(20).await;
    }
    agree(&nodes);
    // One is stopped; three go on; it comes back with its log and catches up by sync.
    leave(&mut nodes[3], &hub).await;
    let left = nodes[3].core().height();
    nodes[0].reaches(left + 30).await;
    assert!(nodes[3].core().height() <= left);
    join(&mut nodes[3], "away-again", &hub, dir.path()).await;
    nodes[3].reaches(left + 40).await;
    // And votes again: without it and another one nothing would be decided.
    leave(&mut nodes[2], &hub).await;
    let now = nodes[0].height();
    for index in [0, 1, 3] {
        nodes[index].reaches(now + 5).await;
    }
    agree(&nodes);
    assert!(engine::metrics_text().contains("away-again-3"), "metrics are labelled by moniker");
    for index in [0, 1, 3] {
        leave(&mut nodes[index], &hub).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_engines_stop_in_the_middle_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut nodes) = network("all", dir.path(), |_| {}).await;
    nodes[0].reaches(7).await;
    for node in &mut nodes {
        leave(node, &hub).await;
    }
    for node in &mut nodes {
        join(node, "all-again", &hub, dir.path()).await;
    }
    let before = nodes.iter().map(|node| node.height()).max().unwrap();
    for node in &mut nodes {
        node.reaches(before + 10).await;
    }
    agree(&nodes);
    assert!(nodes.iter().all(|node| node.core().refused == 0), "the log led every engine to its own votes");
    for node in &mut nodes {
        leave(node, &hub).await;
    }
}

/// What a pruned store does for somebody who asks for what it has not: it says so, with no blocks, and nobody waits for it. Who has
/// only genesis takes them from whoever kept them. (Where nobody did, a snapshot is the node's way: `rejoin-from-snapshot` on the
/// devnet.)
#[tokio::test(flavor = "multi_thread")]
async fn r13_a_pruned_store_says_what_it_has_not_and_a_newcomer_turns_to_who_has() {
    const PRUNED: u64 = 15;
    let dir = tempfile::tempdir().unwrap();
    let (hub, committee) = (Arc::new(Mutex::new(Hub::default())), committee(4));
    let mut nodes: Vec<_> = (0..4).map(|index| Live::new(Plain::new(index, committee.clone(), FAST))).collect();
    for node in &mut nodes[..3] {
        join(node, "pruned", &hub, dir.path()).await;
    }
    for node in &mut nodes[..3] {
        node.reaches(20).await;
    }
    for node in &mut nodes[..2] {
        node.core().pruned = PRUNED;
    }
    // A stranger to histories asks for what is gone, and gets an answer without blocks.
    let (inlet, range) = (hub.lock().unwrap().inlets[&0].clone(), Level(Height::new(1))..=Level(Height::new(5)));
    let question = WireCodec.encode(&Request::<Palisade>::ValueRequest(ValueRequest { range })).unwrap();
    {
        let mut hub = hub.lock().unwrap();
        hub.asked.insert(u64::MAX, (3, 0, 1..=5, None));
        hub.questions.insert(u64::MAX, (3, 0));
    }
    inlet.tell(Inbound::Asked(u64::MAX, peer(3), question));
    until(|| hub.lock().unwrap().asked[&u64::MAX].3 == Some(0)).await;
    join(&mut nodes[3], "pruned", &hub, dir.path()).await;
    let now = nodes[0].height();
    nodes[3].reaches(now).await;
    agree(&nodes);
    for (asker, of, heights, given) in hub.lock().unwrap().asked.values().filter(|(asker, ..)| *asker == 3) {
        assert!(
            *of == 2 || *heights.start() > PRUNED || given.is_none_or(|given| given == 0),
            "{asker} {of} {heights:?}"
        );
    }
    let from_archive = |(_, of, heights, given): &(usize, usize, RangeInclusive<u64>, Option<usize>)| {
        *of == 2 && *heights.start() <= PRUNED && given.is_some_and(|given| given > 0)
    };
    assert!(hub.lock().unwrap().asked.values().any(from_archive), "the beginning came from who had it");
    for node in &mut nodes {
        leave(node, &hub).await;
    }
}

/// Waits for what must come.
async fn until(holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it never comes");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_an_engine_whose_guard_refuses_abstains_and_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, mut nodes) = network("refused", dir.path(), |core| core.silent = core.index == 0).await;
    for node in &mut nodes {
        node.reaches(8).await;
    }
    agree(&nodes);
    assert!(nodes[0].core().refused > 0);
    assert!(nodes[1].core().first.keys().all(|(who, ..)| *who != operator(0)), "nothing of it was published");
    for node in &mut nodes {
        leave(node, &hub).await;
    }
}
