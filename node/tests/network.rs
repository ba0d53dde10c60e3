//! Four live engines over real libp2p on the loopback: TCP and QUIC, gossip, direct requests, admission.

#![allow(clippy::unwrap_used)] // clippy takes only functions marked as tests for tests

#[path = "../../consensus/agreement/tests/plain/mod.rs"]
mod plain;

use bytes::Bytes;
use palisade_agreement::wire::wire;
use palisade_node::network::admission::{Admission, Standing};
use palisade_node::network::{
    Ask, AskError, Config, Gossip, Keypair, Multiaddr, Network, PeerId, Started, Topic, start,
};
use plain::live::{Live, PATIENCE, agree};
use plain::{CHAIN, FAST, Plain, committee, operator};
use std::path::Path;
use tokio::sync::mpsc;
use tokio::time::timeout;

fn identity(index: usize) -> Keypair {
    Keypair::ed25519_from_bytes([u8::try_from(index + 1).unwrap(); 32]).unwrap()
}

fn peer(index: usize) -> PeerId {
    identity(index).public().to_peer_id()
}

/// The first `publishers` publish, all of them follow.
fn admission(publishers: usize, all: usize) -> Admission {
    Admission::new(
        (0..all)
            .map(|index| (peer(index), Standing { operator: Some(operator(index)), publishes: index < publishers })),
    )
}

fn config(index: usize, listen: &[&str], peers: Vec<(PeerId, Multiaddr)>) -> Config {
    Config {
        identity: identity(index),
        chain: CHAIN,
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        peers,
        admission: admission(4, 4),
    }
}

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

async fn address(network: &Network, kind: &str) -> Multiaddr {
    let mut listening = network.listening();
    let found = timeout(PATIENCE, listening.wait_for(|all| all.iter().any(|one| one.to_string().contains(kind)))).await;
    found.unwrap().unwrap().iter().find(|one| one.to_string().contains(kind)).unwrap().clone()
}

async fn connected(network: &Network, count: usize) {
    let mut peers = network.peers_watch();
    assert!(timeout(PATIENCE, peers.wait_for(|peers| peers.len() >= count)).await.is_ok(), "has {:?}", network.peers());
}

/// A network that carries an engine.
struct Carrier {
    network: Network,
    _gossip: mpsc::Receiver<Gossip>,
    _asks: mpsc::Receiver<Ask>,
}

async fn carry(live: &mut Live, name: &str, config: Config, dir: &Path) -> Carrier {
    let (ours, port) = wire();
    let Started { network, gossip, asks, connected } = start(config, port).await.unwrap();
    live.start(name, ours, network.engine_peer(), connected, dir).await;
    Carrier { network, _gossip: gossip, _asks: asks }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_engines_decide_over_libp2p_and_one_that_was_away_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let committee = committee(4);
    let (mut nodes, mut carriers, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..4 {
        let mut live = Live::new(Plain::new(index, committee.clone(), FAST));
        // Half of the connections over each transport.
        let kind = if index % 2 == 0 { ("/tcp/", TCP) } else { ("/quic-v1", QUIC) };
        let carrier = carry(&mut live, "p2p", config(index, &[kind.1], known.clone()), dir.path()).await;
        known.push((peer(index), address(&carrier.network, kind.0).await));
        nodes.push(live);
        carriers.push(carrier);
    }
    for node in &mut nodes {
        node.reaches(20).await;
    }
    agree(&nodes);
    // One goes away with its network, and comes back at another port knowing only the others.
    nodes[3].stop().await;
    drop(carriers.pop());
    let left = nodes[3].height();
    nodes[0].reaches(left + 10).await;
    let known: Vec<_> = known[..3].to_vec();
    let again = carry(&mut nodes[3], "p2p-again", config(3, &[TCP], known), dir.path()).await;
    nodes[3].reaches(left + 20).await;
    agree(&nodes);
    // It votes again: with another one gone, nothing is decided without it.
    nodes[2].stop().await;
    drop(carriers.remove(2));
    let now = nodes[0].height();
    for index in [0, 1, 3] {
        nodes[index].reaches(now + 5).await;
    }
    agree(&nodes);
    for index in [0, 1, 3] {
        nodes[index].stop().await;
    }
    drop(again);
}

struct Bare {
    started: Started,
    address: Multiaddr,
    _wire: palisade_agreement::wire::Wire,
}

async fn bare(index: usize, peers: Vec<(PeerId, Multiaddr)>, admission: Admission) -> Bare {
    let (wire, port) = wire();
    let started = start(Config { admission, ..config(index, &[TCP], peers) }, port).await.unwrap();
    let address = address(&started.network, "/tcp/").await;
    Bare { started, address, _wire: wire }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_publishers_are_heard_and_only_what_is_accepted_goes_on() {
    // A line: 0 - 1 - 2. What 0 says comes to 2 only through 1.
    let lists = || admission(2, 3);
    let zero = bare(0, vec![], lists()).await;
    let mut one = bare(1, vec![(peer(0), zero.address.clone())], lists()).await;
    let mut two = bare(2, vec![(peer(1), one.address.clone())], lists()).await;
    connected(&one.started.network, 2).await;
    let say = |text: &'static str| Bytes::from_static(text.as_bytes());
    // Until the mesh is there, what is said may find nobody: say it until it is heard.
    let heard = loop {
        zero.started.network.publish(Topic::Evidence, say("good")).await;
        if let Ok(Some(gossip)) = timeout(std::time::Duration::from_millis(300), one.started.gossip.recv()).await {
            break gossip;
        }
    };
    assert_eq!((heard.topic, heard.publisher, &heard.bytes), (Topic::Evidence, peer(0), &say("good")));
    assert!(two.started.gossip.try_recv().is_err(), "it is not passed on before it is judged");
    heard.verdict.give(true);
    let passed = loop {
        if let Ok(Some(gossip)) = timeout(std::time::Duration::from_millis(300), two.started.gossip.recv()).await {
            break gossip;
        }
        zero.started.network.publish(Topic::Evidence, say("good")).await;
        while let Ok(gossip) = one.started.gossip.try_recv() {
            gossip.verdict.give(true);
        }
    };
    assert_eq!((passed.publisher, &passed.bytes), (peer(0), &say("good")), "whoever passed it on, 0 said it");
    passed.verdict.give(true);
    // 2 follows and does not publish: 1 drops what it says. What 1 says afterwards is heard, so the wire was open.
    two.started.network.publish(Topic::Evidence, say("bad")).await;
    let heard = loop {
        zero.started.network.publish(Topic::Evidence, say("end")).await;
        let gossip = timeout(PATIENCE, one.started.gossip.recv()).await.unwrap().unwrap();
        assert_ne!(gossip.bytes, say("bad"));
        if gossip.bytes == say("end") {
            break gossip;
        }
    };
    heard.verdict.refuse();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_let_in_until_they_are_admitted() {
    let zero = bare(0, vec![], admission(1, 1)).await;
    let one = bare(1, vec![(peer(0), zero.address.clone())], admission(2, 2)).await;
    // Nobody vouches for 1 yet: it calls and is sent away. A peer that is known gets in meanwhile.
    zero.started.network.admit(admission(3, 3).without(&peer(1)));
    let _two = bare(2, vec![(peer(0), zero.address.clone())], admission(3, 3)).await;
    connected(&zero.started.network, 1).await;
    assert!(!zero.started.network.peers().contains_key(&peer(1)));
    zero.started.network.admit(admission(3, 3));
    let mut peers = zero.started.network.peers_watch();
    timeout(PATIENCE, peers.wait_for(|peers| peers.contains_key(&peer(1)))).await.unwrap().unwrap();
    assert_eq!(zero.started.network.peers()[&peer(1)], Some(operator(1)));
    // And out again when the list forgets it.
    zero.started.network.admit(admission(3, 3).without(&peer(1)));
    timeout(PATIENCE, peers.wait_for(|peers| !peers.contains_key(&peer(1)))).await.unwrap().unwrap();
    drop(one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_the_peer_it_was_put_to() {
    let mut zero = bare(0, vec![], admission(2, 2)).await;
    let one = bare(1, vec![(peer(0), zero.address.clone())], admission(2, 2)).await;
    connected(&one.started.network, 1).await;
    let answering = tokio::spawn(async move {
        let ask = zero.started.asks.recv().await.unwrap();
        assert_eq!((ask.from, &ask.question), (peer(1), &Bytes::from_static(b"head?")));
        ask.answer(Bytes::from(vec![7; 5 << 20])).await;
        zero
    });
    let answer = one.started.network.ask(peer(0), Bytes::from_static(b"head?")).await.unwrap();
    assert_eq!(answer.len(), 5 << 20);
    let _zero = answering.await.unwrap();
    let nobody = one.started.network.ask(peer(3), Bytes::from_static(b"head?")).await;
    assert_eq!(nobody, Err(AskError::NotConnected));
}
