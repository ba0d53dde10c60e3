//! Four live engines over real libp2p on the loopback: TCP and QUIC, gossip, direct requests, admission.

#![allow(clippy::unwrap_used)] // clippy takes only functions marked as tests for tests

mod attacker;
#[path = "../../consensus/agreement/tests/plain/mod.rs"]
mod plain;

use bytes::Bytes;
use palisade_agreement::app::Pace;
use palisade_agreement::ballot::SignedBallot;
use palisade_agreement::codec::WireCodec;
use palisade_agreement::context::{Level, Palisade, Vote, Voter};
use palisade_agreement::malachite::{
    Codec, NilOrVal, Round, SignedConsensusMsg, SignedMessage, StreamMessage, VoteType,
};
use palisade_agreement::parts::{Part, Proposed, cut};
use palisade_agreement::wire::wire;
use palisade_crypto::ed25519;
use palisade_node::message::Message;
use palisade_node::network::admission::{Admission, Standing};
use palisade_node::network::{
    Ask, AskError, Config, Gossip, Keypair, Multiaddr, Network, PeerId, Started, Topic, start,
};
use palisade_types::canonical::Canonical;
use palisade_types::ids::{BlockId, Ed25519Signature, OperatorId};
use palisade_types::units::Height;
use plain::live::{Live, PATIENCE, agree};
use plain::{CHAIN, FAST, Plain, committee, operator};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
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
    Admission::new((0..all).map(|index| {
        (peer(index), Standing { operator: Some(operator(index)), publishes: index < publishers, share: 0 })
    }))
}

fn config(index: usize, listen: &[&str], peers: Vec<(PeerId, Multiaddr)>) -> Config {
    Config {
        identity: identity(index),
        chain: CHAIN,
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        peers,
        announce: Vec::new(),
        discover: false,
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
    _asks: mpsc::Receiver<Ask>,
}

/// As the node does with what is none of its messages.
async fn judge(mut gossip: mpsc::Receiver<Gossip>) {
    while let Some(Gossip { bytes, verdict, .. }) = gossip.recv().await {
        match Message::from_bytes(&bytes) {
            Ok(_) => verdict.give(false),
            Err(_) => verdict.refuse(),
        }
    }
}

async fn carry(live: &mut Live, name: &str, config: Config, dir: &Path) -> Carrier {
    let (ours, port) = wire();
    let Started { network, gossip, asks, connected } = start(config, port).await.unwrap();
    live.start(name, ours, network.engine_peer(), connected, dir).await;
    tokio::spawn(judge(gossip));
    Carrier { network, _asks: asks }
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
        if let Ok(Some(gossip)) = timeout(Duration::from_millis(300), one.started.gossip.recv()).await {
            break gossip;
        }
    };
    assert_eq!((heard.topic, heard.publisher, &heard.bytes), (Topic::Evidence, peer(0), &say("good")));
    assert!(two.started.gossip.try_recv().is_err(), "it is not passed on before it is judged");
    heard.verdict.give(true);
    let passed = loop {
        if let Ok(Some(gossip)) = timeout(Duration::from_millis(300), two.started.gossip.recv()).await {
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
async fn members_find_each_other_by_one_whom_both_know() {
    let bare = |index, peers| async move {
        let (wire, port) = wire();
        let config = Config { admission: admission(3, 4), discover: true, ..config(index, &[TCP], peers) };
        let started = start(config, port).await.unwrap();
        let address = address(&started.network, "/tcp/").await;
        Bare { started, address, _wire: wire }
    };
    let zero = bare(0, vec![]).await;
    let known = || vec![(peer(0), zero.address.clone())];
    let (one, two) = (bare(1, known()).await, bare(2, known()).await);
    // One more has no seat yet, and finds the members too.
    let three = bare(3, known()).await;
    for node in [&one, &two, &three] {
        connected(&node.started.network, 3).await;
    }
    // Without him who brought them together they stay together.
    drop(zero);
    let mut peers = one.started.network.peers_watch();
    timeout(PATIENCE, peers.wait_for(|peers| !peers.contains_key(&peer(0)))).await.unwrap().unwrap();
    assert_eq!(one.started.network.peers().into_keys().collect::<BTreeSet<_>>(), [peer(2), peer(3)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_our_own_configuration_names_follows_whatever_the_list_says() {
    // A watchtower, which no registry knows: 0 names it, and it names 0.
    let tower = bare(3, vec![], admission(1, 1)).await;
    let zero = bare(0, vec![(peer(3), tower.address.clone())], admission(1, 1)).await;
    connected(&zero.started.network, 1).await;
    zero.started.network.admit(admission(2, 2));
    let two = bare(1, vec![(peer(0), zero.address.clone())], admission(2, 2)).await;
    connected(&two.started.network, 1).await;
    connected(&zero.started.network, 2).await;
    assert_eq!(zero.started.network.peers()[&peer(3)], None, "he belongs to no operator");
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

// ---- bad input ------------------------------------------------------------------------------------------------------

/// A vote that nobody signed.
fn forged(of: OperatorId, height: u64) -> Bytes {
    let vote = Vote {
        kind: VoteType::Prevote,
        height: Level(Height::new(height)),
        round: Round::ZERO,
        value: NilOrVal::Val(BlockId::new([9; 32])),
        address: Voter(of),
    };
    let signed = SignedMessage::new(vote, Ed25519Signature::new([7; 64]));
    WireCodec.encode(&SignedConsensusMsg::<Palisade>::Vote(signed)).unwrap()
}

/// The first part of a block that nobody proposed.
fn stray(proposer: OperatorId, height: u64, nonce: u32) -> Bytes {
    let of =
        Proposed { height: Height::new(height), round: 0, proposer, block: BlockId::new([nonce.to_be_bytes()[3]; 32]) };
    let part: StreamMessage<Part> = cut(of, &Bytes::from(vec![1; 200_000]), nonce).remove(0);
    WireCodec.encode(&part).unwrap()
}

/// Four honest engines, and what a fifth member does to them.
struct Besieged {
    nodes: Vec<Live>,
    carriers: Vec<Carrier>,
    known: Vec<(PeerId, Multiaddr)>,
    _dir: tempfile::TempDir,
}

/// Members of whom only the first four are honest, and run.
const MEMBERS: usize = 10;

impl Besieged {
    async fn begin(name: &str) -> Self {
        Self::paced(name, FAST, MEMBERS).await
    }

    async fn paced(name: &str, pace: Pace, members: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let committee = committee(4);
        let (mut nodes, mut carriers, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..4 {
            let mut live = Live::new(Plain::new(index, committee.clone(), pace));
            let config = Config { admission: admission(members, members), ..config(index, &[TCP], known.clone()) };
            let carrier = carry(&mut live, name, config, dir.path()).await;
            known.push((peer(index), address(&carrier.network, "/tcp/").await));
            nodes.push(live);
            carriers.push(carrier);
        }
        let mut besieged = Self { nodes, carriers, known, _dir: dir };
        besieged.goes_on(10).await;
        besieged
    }

    /// Everybody decides so many blocks more.
    async fn goes_on(&mut self, blocks: usize) {
        let from = self.nodes.iter().map(Live::height).max().unwrap();
        for node in &mut self.nodes {
            node.reaches(from + blocks).await;
        }
    }

    /// Member `index`, connected to everybody, with lines to the honest ones.
    async fn enters(&self, index: usize) -> Bare {
        let friends = Admission::new(
            (0..4)
                .chain([index])
                .map(|index| (peer(index), Standing { operator: Some(operator(index)), publishes: true, share: 0 })),
        );
        let hostile = bare(index, self.known.clone(), friends).await;
        connected(&hostile.started.network, 4).await;
        for carrier in &self.carriers {
            let mut peers = carrier.network.peers_watch();
            timeout(PATIENCE, peers.wait_for(|peers| peers.contains_key(&peer(index)))).await.unwrap().unwrap();
        }
        hostile
    }

    /// Whether everybody has sent `index` away.
    fn is_away(&self, index: usize) -> bool {
        self.carriers.iter().all(|carrier| !carrier.network.peers().contains_key(&peer(index)))
    }

    /// Member `index` says this until he is sent away; how long that took.
    async fn attacked_by(&mut self, index: usize, topic: Topic, say: impl Fn(u64, u32) -> Bytes) -> Duration {
        let hostile = self.enters(index).await;
        let (began, mut said) = (Instant::now(), 0);
        while !self.is_away(index) {
            assert!(began.elapsed() < PATIENCE, "nobody sends him away after {said} messages");
            let height = self.nodes[0].height() as u64 + 1;
            for _ in 0..64 {
                said += 1;
                hostile.started.network.publish(topic, say(height, said)).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed();
        // He calls again, and is not let in.
        self.goes_on(10).await;
        assert!(self.is_away(index));
        eprintln!("{topic:?}: sent away after {took:?} and {said} messages");
        took
    }

    async fn end(mut self) {
        agree(&self.nodes);
        for node in &mut self.nodes {
            node.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_who_sends_what_no_honest_member_sends_is_sent_away_and_the_others_go_on() {
    let mut besieged = Besieged::begin("besieged").await;
    let memory = resident();
    besieged.attacked_by(4, Topic::Consensus, |_, _| Bytes::from_static(b"garbage")).await;
    // In another's name.
    besieged.attacked_by(5, Topic::Consensus, |height, _| forged(operator(0), height)).await;
    besieged.attacked_by(6, Topic::Parts, |_, said| Bytes::from(vec![0xff; (said % 4_000) as usize])).await;
    let grown = resident().saturating_sub(memory);
    eprintln!("memory grew by {} kB, the attackers' own included", grown / 1_024);
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    besieged.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r32_parts_without_a_proposal_and_votes_nobody_signed_hold_nobody_up() {
    let mut besieged = Besieged::begin("strays").await;
    let (hostile, liar) = (besieged.enters(4).await, besieged.enters(5).await);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (network, lies) = (hostile.started.network.clone(), liar.started.network.clone());
    let height = besieged.nodes[0].height() as u64 + 1;
    let saying = tokio::spawn(async move {
        let mut stopped = std::pin::pin!(stopped);
        for nonce in 0.. {
            let ahead = height + u64::from(nonce / 50);
            network.publish(Topic::Parts, stray(operator(4), ahead, nonce)).await;
            for _ in 0..10 {
                lies.publish(Topic::Consensus, forged(operator(5), ahead)).await;
            }
            if timeout(Duration::from_millis(2), &mut stopped).await.is_ok() {
                return;
            }
        }
    });
    besieged.goes_on(20).await;
    drop(stop);
    saying.await.unwrap();
    besieged.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_strangers_at_the_door_keep_nobody_out() {
    let mut besieged = Besieged::begin("strangers").await;
    let door = besieged.known[0].1.to_string();
    let port: u16 = door.split('/').nth(4).unwrap().parse().unwrap();
    let call = || std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut calls: Vec<_> = (0..200).map(|_| call()).collect();
    for (index, stranger) in calls.iter_mut().enumerate() {
        // Some say nothing, some what is no handshake; a line that is closed already is what we want.
        if index % 2 == 0 {
            let _ = std::io::Write::write_all(stranger, &[0x5a; 4_096]);
        }
    }
    besieged.goes_on(20).await;
    // Whoever sends no handshake is hung up on, silent or not.
    tokio::task::spawn_blocking(move || {
        for mut stranger in calls {
            stranger.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut rest = Vec::new();
            if let Err(error) = stranger.read_to_end(&mut rest) {
                assert!(error.kind() != std::io::ErrorKind::WouldBlock, "a stranger is still on the line");
            }
        }
    })
    .await
    .unwrap();
    // A member comes in.
    let _late = besieged.enters(4).await;
    besieged.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_member_of_another_network_is_sent_away() {
    let mut besieged = Besieged::begin("elsewhere").await;
    let (_wire, port) = wire();
    let friends = admission(MEMBERS, MEMBERS);
    let chain = palisade_types::ids::ChainId::new([8; 32]);
    let config = Config { chain, admission: friends, ..config(4, &[TCP], besieged.known.clone()) };
    let elsewhere = start(config, port).await.unwrap();
    // He hangs up as they do, and calls again; the third time they do not let him in for a while.
    let mut peers = elsewhere.network.peers_watch();
    timeout(PATIENCE, peers.wait_for(|peers| !peers.is_empty())).await.unwrap().unwrap();
    timeout(PATIENCE, peers.wait_for(|peers| peers.is_empty())).await.unwrap().unwrap();
    besieged.goes_on(20).await;
    besieged.end().await;
}

/// Where [`Besieged::attacker`] starts this program again, it is the attacker itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_an_attacker_replays_is_a_vote_that_its_author_made() {
    if let Ok(order) = std::env::var(attacker::ORDER) {
        return attacker::attack(&order).await;
    }
    let decode = |bytes: Vec<u8>| WireCodec.decode(Bytes::from(bytes)).unwrap();
    let signed = |message: SignedConsensusMsg<Palisade>| match message {
        SignedConsensusMsg::Vote(vote) => {
            SignedBallot { ballot: vote.message.ballot(CHAIN), signature: vote.signature }
        }
        SignedConsensusMsg::Proposal(_) => unreachable!("it votes"),
    };
    let key = committee(4).members[0].ed25519;
    let key = ed25519::PublicKey::from_bytes(key.as_bytes()).unwrap();
    assert!(signed(decode(attacker::vote(operator(0), 5, Some(0)))).is_by(&key));
    assert!(!signed(decode(attacker::vote(operator(0), 5, None))).is_by(&key));
}

/// What the middle one of some blocks took: since the one before, and from its proposal until everybody had decided it.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    interval: Duration,
    decision: Duration,
}

/// A bad peer in a process of its own, so that memory here is the nodes' alone.
struct Attacker {
    child: Child,
    said: mpsc::UnboundedReceiver<String>,
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Attacker {
    /// The next line that begins so; `None` when there is none in time.
    async fn says(&mut self, beginning: &str, time: Duration) -> Option<String> {
        let wanted = async {
            loop {
                let line = self.said.recv().await?;
                if let Some(rest) = line.strip_prefix(beginning) {
                    return Some(rest.trim().to_owned());
                }
            }
        };
        timeout(time, wanted).await.ok().flatten()
    }
}

impl Besieged {
    /// Member `index`, in another process of this very program.
    fn attacker(&self, kind: &str, index: usize) -> Attacker {
        let victims = self.known.iter().map(|(peer, address)| format!("{peer}@{address}"));
        let height = (self.nodes[0].height() + 1).to_string();
        let order: Vec<_> = [kind.to_owned(), index.to_string(), height].into_iter().chain(victims).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_an_attacker_replays_is_a_vote_that_its_author_made", "--nocapture"])
            .env(attacker::ORDER, order.join(" "))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = mpsc::unbounded_channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        Attacker { child, said }
    }

    /// Everybody decides so many blocks more.
    async fn pulse(&self, blocks: usize) -> Pulse {
        let from = self.nodes.iter().map(Live::height).max().unwrap();
        let began = Instant::now();
        while self.nodes.iter().any(|node| node.height() < from + blocks) {
            assert!(began.elapsed() < PATIENCE, "no progress from {from}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let decided = |height: usize| self.nodes.iter().map(|node| node.core().decided_at[height]).max().unwrap();
        let proposed = |height: usize| {
            let number = height as u64 + 1;
            self.nodes.iter().filter_map(|node| node.core().proposed.get(&number).copied()).min().unwrap()
        };
        let heights = from..from + blocks;
        Pulse {
            interval: middle(heights.clone().map(|height| decided(height) - decided(height - 1)).collect()),
            decision: middle(heights.map(|height| decided(height) - proposed(height)).collect()),
        }
    }
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Bad input, kind after kind: who does what no honest peer does is sent away within a second of his beginning, blocks take less than
/// twice their quiet time, and memory grows by less than 20 MB. All four nodes share this process, so that the bound on memory is one
/// for all of them together. What comes by JSON-RPC is another matter; formats on the wire do not nest deeper than their types.
#[tokio::test(flavor = "multi_thread")]
async fn r32_bad_input_of_every_kind_holds_nobody_up_and_fills_nobodys_memory() {
    /// What each does, and whether he is sent away for it: who says once more what he said, or has a block to propose, may be honest.
    const KINDS: [(&str, bool); 11] = [
        ("garbage", true),
        ("undecodable", true),
        ("another", true),
        ("replayed", true),
        ("own", true),
        ("oversized", true),
        ("liar", true),
        ("elsewhere", true),
        ("duplicated", false),
        ("parts", false),
        ("connections", false),
    ];
    const BLOCKS: usize = 12;
    /// The machine may have something else to do just then: another of the kind comes, and one of them must find it free.
    const ATTEMPTS: usize = 3;
    let pace = Pace { target: Some(Duration::from_millis(200)), ..FAST };
    let besieged = Besieged::paced("besieged-by-all", pace, 4 + ATTEMPTS * KINDS.len()).await;
    besieged.pulse(BLOCKS).await; // what is taken once for all, is
    let (before, quiet) = (resident(), besieged.pulse(2 * BLOCKS).await);
    eprintln!("quiet: {quiet:?}");
    let (mut members, mut slowest) = (4.., quiet);
    for (kind, guilty) in KINDS {
        let mut best = None;
        for index in members.by_ref().take(ATTEMPTS) {
            let mut attacker = besieged.attacker(kind, index);
            attacker.says("begins", PATIENCE).await.unwrap_or_else(|| panic!("{kind} never begins"));
            let under = besieged.pulse(BLOCKS).await;
            let away = attacker.says("away", Duration::from_millis(1)).await;
            let grown = resident().saturating_sub(before);
            eprintln!("{kind}: {under:?}, memory +{} kB, sent away after {away:?} ms", grown / 1_024);
            assert!(grown < 20 << 20, "{kind}: memory grew by {grown} bytes");
            assert!(!guilty || (away.is_some() && besieged.is_away(index)), "{kind}: nobody sends him away");
            let took = away.map_or(0, |took| took.split(' ').next().unwrap().parse::<u64>().unwrap());
            best = Some((took, under));
            slowest = Pulse {
                interval: slowest.interval.max(under.interval),
                decision: slowest.decision.max(under.decision),
            };
            if took < 1_000 && under.interval < 2 * quiet.interval {
                break;
            }
        }
        let (took, under) = best.unwrap();
        assert!(took < 1_000, "{kind}: sent away after {took} ms");
        assert!(under.interval < 2 * quiet.interval, "{kind}: {under:?} instead of {quiet:?}");
    }
    eprintln!("quiet {quiet:?}, slowest {slowest:?}");
    besieged.end().await;
}

/// What this process holds in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}
