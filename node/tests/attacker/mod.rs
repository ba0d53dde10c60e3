//! One bad peer, in a process of its own: what it does to the nodes that it is given is measured by
//! `r32_bad_input_of_every_kind_holds_nobody_up_and_fills_nobodys_memory`. It prints when it begins and how long it was let.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, Codec, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{StreamProtocol, SwarmBuilder, identify, noise, ping, tcp, yamux};
use palisade_agreement::ballot::{Ballot, Step};
use palisade_agreement::codec::WireCodec;
use palisade_agreement::context::{Level, Palisade, Vote, Voter};
use palisade_agreement::malachite::{
    Codec as _, NilOrVal, Round, SignedConsensusMsg, SignedMessage, StreamMessage, VoteType, sync,
};
use palisade_agreement::parts::{Part, Proposed, cut};
use palisade_agreement::wire::wire;
use palisade_crypto::ed25519::SecretKey;
use palisade_node::network::admission::{Admission, Standing};
use palisade_node::network::{Config, Keypair, Multiaddr, Network, PeerId, Started, Topic, start};
use palisade_types::ids::{BlockId, ChainId, Ed25519Signature, OperatorId};
use palisade_types::units::Height;
use std::io;
use std::time::{Duration, Instant};

/// The test's network.
const CHAIN: ChainId = ChainId::new([7; 32]);
/// Messages between two looks at whether we are still let.
const BURST: u32 = 256;

fn operator(index: u8) -> OperatorId {
    OperatorId::new([index + 1; 20])
}

fn identity(index: u8) -> Keypair {
    Keypair::ed25519_from_bytes([index + 1; 32]).unwrap()
}

/// Names the order: `KIND INDEX HEIGHT PEER@ADDRESS…`. Member INDEX of that test's list attacks until everybody has sent it away, or it
/// is killed.
pub const ORDER: &str = "PALISADE_TEST_ATTACK";

pub async fn attack(order: &str) {
    let mut words = order.split(' ');
    let (kind, index) = (words.next().unwrap(), words.next().unwrap().parse::<u8>().unwrap());
    let height: u64 = words.next().unwrap().parse().unwrap();
    let victims: Vec<(PeerId, Multiaddr)> = words
        .map(|victim| {
            let (peer, address) = victim.split_once('@').unwrap();
            (peer.parse().unwrap(), address.parse().unwrap())
        })
        .collect();
    println!(); // the harness may have begun a line
    match kind {
        "connections" => connections(&victims),
        "oversized" | "liar" => raw(kind, index, &victims).await,
        _ => member(kind, index, height, victims).await,
    }
}

/// With our own network, whose limits hold for us too.
async fn member(kind: &str, index: u8, height: u64, victims: Vec<(PeerId, Multiaddr)>) {
    let count = victims.len();
    let standing = |index| Standing { operator: Some(operator(index)), publishes: true, share: 0 };
    let all = (0..u8::try_from(count).unwrap()).chain([index]);
    let admission = Admission::new(all.map(|index| (identity(index).public().to_peer_id(), standing(index))));
    let chain = if kind == "elsewhere" { ChainId::new([8; 32]) } else { CHAIN };
    let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    let (_wire, port) = wire();
    let config = Config {
        identity: identity(index),
        chain,
        listen,
        announce: Vec::new(),
        discover: false,
        peers: victims,
        admission,
    };
    let Started { network, .. } = start(config, port).await.unwrap();
    let mut peers = network.peers_watch();
    if kind == "elsewhere" {
        peers.wait_for(|peers| !peers.is_empty()).await.unwrap();
        println!("begins");
        let began = Instant::now();
        peers.wait_for(|peers| peers.is_empty()).await.unwrap();
        return println!("away {}", began.elapsed().as_millis());
    }
    peers.wait_for(|peers| peers.len() >= count).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await; // lines open a moment after connections
    println!("begins");
    let (began, mut said) = (Instant::now(), 0);
    while !network.peers().is_empty() {
        for _ in 0..BURST {
            said += 1;
            say(&network, kind, index, height, said).await;
        }
        // Ten thousand a second and more, but not all that a processor can.
        let due = Duration::from_micros(u64::from(said) * 80);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        if said.is_multiple_of(8_192) {
            println!("said {said} {}", began.elapsed().as_millis());
        }
    }
    println!("away {} after {said} messages", began.elapsed().as_millis());
}

async fn say(network: &Network, kind: &str, index: u8, height: u64, said: u32) {
    let at = height + u64::from(said % 8);
    let (topic, bytes) = match kind {
        "garbage" => (Topic::Consensus, vec![(said % 251) as u8; 1 + (said % 500) as usize]),
        "undecodable" => (Topic::Evidence, vec![(said % 9) as u8; 2_000]),
        "another" => (Topic::Consensus, vote(operator(0), at, None)),
        "replayed" => (Topic::Consensus, vote(operator(0), at, Some(0))),
        "own" => (Topic::Consensus, vote(operator(index), at, None)),
        "duplicated" => (Topic::Consensus, vote(operator(index), height, Some(index))),
        "parts" if said.is_multiple_of(64) => (Topic::Parts, stray(operator(index), at, said)),
        "parts" => return,
        other => panic!("{other} is no attack"),
    };
    network.publish(topic, bytes).await;
}

/// A prevote; signed by nobody or by this member.
pub fn vote(of: OperatorId, height: u64, by: Option<u8>) -> Vec<u8> {
    let (height, block) = (Height::new(height), BlockId::new([9; 32]));
    let (value, address) = (NilOrVal::Val(block), Voter(of));
    let vote = Vote { kind: VoteType::Prevote, height: Level(height), round: Round::ZERO, value, address };
    let ballot = Ballot {
        chain: CHAIN,
        operator: of,
        height,
        round: 0,
        step: Step::Prevote,
        block: Some(block),
        valid_round: None,
    };
    let sign = |index: u8| SecretKey::from_seed(&[index + 1; 32]).sign(&ballot.preimage()).0;
    let signature = Ed25519Signature::new(by.map_or([7; 64], sign));
    let signed = SignedMessage::new(vote, signature);
    WireCodec.encode(&SignedConsensusMsg::<Palisade>::Vote(signed)).unwrap().to_vec()
}

/// The first part of a block that nobody proposed.
fn stray(proposer: OperatorId, height: u64, nonce: u32) -> Vec<u8> {
    let block = BlockId::new([nonce.to_be_bytes()[3]; 32]);
    let of = Proposed { height: Height::new(height), round: 0, proposer, block };
    let part: StreamMessage<Part> = cut(of, &vec![1; 200_000].into(), nonce).remove(0);
    WireCodec.encode(&part).unwrap().to_vec()
}

/// Two hundred strangers from one address, some silent, some with what is no handshake.
fn connections(victims: &[(PeerId, Multiaddr)]) {
    let port = |address: &Multiaddr| address.to_string().split('/').nth(4).unwrap().parse::<u16>().unwrap();
    let mut calls = Vec::new();
    for number in 0..200 {
        let (_, victim) = &victims[number % victims.len()];
        let mut call = std::net::TcpStream::connect(("127.0.0.1", port(victim))).unwrap();
        if number % 2 == 0 {
            let _ = io::Write::write_all(&mut call, &[0x5a; 4_096]);
        }
        calls.push(call);
    }
    println!("begins");
    for mut call in calls {
        call.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut rest = Vec::new();
        if let Err(error) = io::Read::read_to_end(&mut call, &mut rest) {
            assert!(error.kind() != io::ErrorKind::WouldBlock, "a stranger is still on the line");
        }
    }
    println!("hung up on");
}

// ---- without our own network's limits -------------------------------------------------------------------------------

#[derive(NetworkBehaviour)]
struct Raw {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    sync: request_response::Behaviour<Frame>,
    status: request_response::Behaviour<Frame>,
    ask: request_response::Behaviour<Frame>,
}

/// Frames whose length is what the sender likes.
#[derive(Clone, Copy)]
struct Frame;

impl Codec for Frame {
    type Protocol = StreamProtocol;
    type Request = (u32, Vec<u8>);
    type Response = (u32, Vec<u8>);

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: futures::AsyncRead + Unpin + Send,
    {
        let mut length = [0; 4];
        io.read_exact(&mut length).await?;
        let mut frame = vec![0; (u32::from_be_bytes(length) as usize).min(1 << 20)];
        io.read_exact(&mut frame).await?;
        Ok((u32::from_be_bytes(length), frame))
    }

    async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Self::Response>
    where
        T: futures::AsyncRead + Unpin + Send,
    {
        self.read_request(protocol, io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Self::Request) -> io::Result<()>
    where
        T: futures::AsyncWrite + Unpin + Send,
    {
        io.write_all(&frame.0.to_be_bytes()).await?;
        io.write_all(&frame.1).await?;
        io.close().await
    }

    async fn write_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        frame: Self::Response,
    ) -> io::Result<()>
    where
        T: futures::AsyncWrite + Unpin + Send,
    {
        self.write_request(protocol, io, frame).await
    }
}

/// Requests that are longer than agreed, or a status far ahead with answers that verify nothing.
async fn raw(kind: &str, index: u8, victims: &[(PeerId, Multiaddr)]) {
    let protocol = format!("/palisade/{CHAIN}/1");
    let direct = |name| {
        let protocols = [(StreamProtocol::new(name), ProtocolSupport::Full)];
        request_response::Behaviour::with_codec(Frame, protocols, request_response::Config::default())
    };
    let mut swarm = SwarmBuilder::with_existing_identity(identity(index))
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Raw {
            identify: identify::Behaviour::new(identify::Config::new(protocol, key.public())),
            ping: ping::Behaviour::default(),
            sync: direct("/palisade/sync/1"),
            status: direct("/palisade/status/1"),
            ask: direct("/palisade/ask/1"),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build();
    for (peer, address) in victims {
        swarm.dial(address.clone().with_p2p(*peer).unwrap()).unwrap();
    }
    let (mut open, mut began, mut tick) = (0, None, tokio::time::interval(Duration::from_millis(20)));
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { .. } => open += 1,
                SwarmEvent::ConnectionClosed { num_established: 0, .. } => {
                    open -= 1;
                    if let (0, Some(began)) = (open, began) {
                        let began: Instant = began;
                        return println!("away {}", began.elapsed().as_millis());
                    }
                }
                SwarmEvent::Behaviour(RawEvent::Sync(request_response::Event::Message {
                    message: request_response::Message::Request { channel, .. }, ..
                })) => {
                    let _ = swarm.behaviour_mut().sync.send_response(channel, (900, vec![0xa5; 900]));
                }
                SwarmEvent::Behaviour(RawEvent::Status(request_response::Event::Message {
                    message: request_response::Message::Request { channel, .. }, ..
                })) => {
                    let _ = swarm.behaviour_mut().status.send_response(channel, (0, vec![]));
                }
                _ => {}
            },
            _ = tick.tick(), if open == victims.len() || began.is_some() => {
                if began.is_none() {
                    println!("begins");
                    began = Some(Instant::now());
                }
                for (peer, _) in victims {
                    if kind == "oversized" {
                        swarm.behaviour_mut().ask.send_request(peer, (u32::MAX, vec![0x11; 100_000]));
                    } else {
                        let status = status(identity(index));
                        let length = u32::try_from(status.len()).unwrap();
                        swarm.behaviour_mut().status.send_request(peer, (length, status));
                    }
                }
            }
        }
    }
}

/// "I have a million blocks."
fn status(own: Keypair) -> Vec<u8> {
    let peer_id = palisade_agreement::malachite::PeerId::from_bytes(&own.public().to_peer_id().to_bytes()).unwrap();
    let (tip_height, history_min_height) = (Level(Height::new(1_000_000)), Level(Height::new(1)));
    WireCodec.encode(&sync::Status::<Palisade> { peer_id, tip_height, history_min_height }).unwrap().to_vec()
}
