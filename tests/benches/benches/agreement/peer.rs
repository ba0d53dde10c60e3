//! Malachite's own engine and network, as its crates start them by default, with an application that does nothing.

use crate::{Plan, Ran, cpu, same};
use anyhow::{Context as _, Result, anyhow, ensure};
use arc_malachitebft_app_channel::app::config::{
    ConsensusConfig, DiscoveryConfig, P2pConfig, PubSubProtocol, ValuePayload, ValueSyncConfig,
};
use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::engine::host::{Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::core::{
    CommitCertificate, HeightParams, LinearTimeouts, Round, SignedMessage, ValidatorProof, Validity, VoteExtensionScope,
};
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::sync::{RawDecidedValue, Request, Response, Status};
use arc_malachitebft_app_channel::app::types::{Keypair, LocallyProposedValue, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_app_channel::{
    AppMsg, Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkContext, NetworkIdentity, NetworkMsg,
    RequestContext, Signer, SyncContext, WalContext,
};
use arc_malachitebft_core_types::PolkaCertificate;
use arc_malachitebft_signing::Error as SigningError;
use async_trait::async_trait;
use bytes::Bytes;
use palisade_agreement::codec::{WireCodec, extended};
use palisade_agreement::context::{Level, Palisade, Proposal, Validator, ValidatorSet, Value, Verifier, Vote, Voter};
use palisade_agreement::parts::{Gathering, Part, Proposed, cut, whole_block};
use palisade_crypto::ed25519::SecretKey;
use palisade_types::block::{Block, HEADER_VERSION, Header};
use palisade_types::canonical::{Canonical, List, Malformed};
use palisade_types::ids::{BlockId, ChainId, Ed25519Signature, Hash, OperatorId};
use palisade_types::units::{Epoch, Height, Millis};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const CHAIN: ChainId = ChainId::new([7; 32]);

/// Its two default transports.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// Everybody sends to everybody.
    Broadcast,
    /// Gossipsub with its default mesh.
    Gossip,
}

/// What a node's application knows.
#[derive(Default)]
struct Known {
    decided: Vec<(Bytes, CommitCertificate<Palisade>)>,
    took: Vec<Duration>,
}

struct Node {
    known: Arc<Mutex<Known>>,
    engine: EngineHandle,
    app: JoinHandle<()>,
}

impl Node {
    fn height(&self) -> u64 {
        self.known.lock().expect("nobody panics with it").decided.len() as u64
    }
}

/// Runs a network for a while.
pub async fn run(plan: Plan, transport: Transport) -> Result<Ran> {
    let dir = tempfile::tempdir()?;
    let keys: Vec<_> = (0..plan.nodes).map(|index| SecretKey::from_seed(&[byte(index); 32])).collect();
    let seats = keys.iter().enumerate().map(|(index, key)| Validator {
        address: Voter(operator(index)),
        key: key.public(),
        power: 10,
    });
    let seats = ValidatorSet::new(seats)?;
    let ports = free_ports(plan.nodes)?;
    let mut nodes = Vec::new();
    for (index, key) in keys.into_iter().enumerate() {
        nodes.push(start(index, key, &seats, &ports, transport, dir.path()).await?);
    }
    let lowest = || nodes.iter().map(Node::height).min().unwrap_or(0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while lowest() < plan.warm {
        ensure!(Instant::now() < deadline, "{transport:?}: {} of {} after two minutes", lowest(), plan.warm);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for node in &nodes {
        node.known.lock().expect("nobody panics with it").took.clear();
    }
    let (began, from, used) = (Instant::now(), lowest(), cpu());
    tokio::time::sleep(plan.time).await;
    let (upto, time, cpu) = (lowest(), began.elapsed(), cpu() - used);
    let mut certified = Vec::new();
    for node in &nodes {
        certified.append(&mut node.known.lock().expect("nobody panics with it").took);
    }
    let at = usize::try_from(upto)?.checked_sub(1).context("nothing was decided")?;
    let block = |node: &Node| node.known.lock().expect("nobody panics with it").decided[at].1.value_id;
    let found = same(nodes.iter().map(|node| format!("block {upto} is {}", block(node))))?;
    for node in nodes {
        node.engine.actor.get_cell().stop_children_and_wait(None, None).await;
        node.engine.actor.stop(None);
        node.app.abort();
    }
    Ok(Ran { blocks: upto - from, time, cpu, certified, found })
}

fn byte(index: usize) -> u8 {
    u8::try_from(index + 1).expect("a small network")
}

fn operator(index: usize) -> OperatorId {
    OperatorId::new([byte(index); 20])
}

fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    Ok(held.iter().map(|held| held.local_addr().map(|address| address.port())).collect::<Result<_, _>>()?)
}

/// The crates' defaults, but for the transport, the addresses, and bounds that would keep sixteen nodes of one machine apart.
struct Config {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl arc_malachitebft_app_channel::app::config::NodeConfig for Config {
    fn moniker(&self) -> &str {
        &self.moniker
    }
    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }
    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }
    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }
    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

async fn start(
    index: usize,
    key: SecretKey,
    seats: &ValidatorSet,
    ports: &[u16],
    transport: Transport,
    dir: &Path,
) -> Result<Node> {
    static STARTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let start = STARTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let address = |port: &u16| format!("/ip4/127.0.0.1/tcp/{port}").parse();
    let others = ports.iter().enumerate().filter(|(other, _)| *other != index);
    let p2p = P2pConfig {
        listen_addr: address(&ports[index])?,
        persistent_peers: others.map(|(_, port)| address(port)).collect::<Result<_, _>>()?,
        protocol: match transport {
            Transport::Broadcast => PubSubProtocol::Broadcast,
            Transport::Gossip => PubSubProtocol::default(),
        },
        discovery: DiscoveryConfig { max_connections_per_ip: 1_000, ..DiscoveryConfig::default() },
        ..P2pConfig::default()
    };
    let config = Config {
        moniker: format!("peer-{start}"),
        consensus: ConsensusConfig { p2p, value_payload: ValuePayload::ProposalAndParts, ..ConsensusConfig::default() },
        sync: ValueSyncConfig { status_update_interval: Duration::from_secs(1), ..ValueSyncConfig::default() },
    };
    let own = operator(index);
    let identity =
        NetworkIdentity::new(config.moniker.clone(), Keypair::generate_ed25519(), Some(Voter(own).to_string()));
    let verifier = Box::new(Verifier::forgetful(CHAIN));
    let (channels, engine) = EngineBuilder::new(Palisade, config)
        .with_default_wal(WalContext::new(dir.join(format!("{index}.wal")), WireCodec))
        .with_default_network(NetworkContext::new(identity, PeerCodec))
        .with_default_sync(SyncContext::new(PeerCodec))
        .with_default_consensus(ConsensusContext::new_validator(Voter(own), verifier, Box::new(Hand(key))))
        .with_default_request(RequestContext::new(100))
        .build()
        .await
        .map_err(|error| anyhow!("{error:#}"))?;
    let known = Arc::new(Mutex::new(Known::default()));
    let app = App {
        own,
        seats: seats.clone(),
        known: known.clone(),
        gathering: Gathering::default(),
        blocks: BTreeMap::new(),
        seen: BTreeMap::new(),
        nonce: 0,
        began: Instant::now(),
    };
    Ok(Node { known, engine, app: tokio::spawn(app.run(channels)) })
}

/// The empty application: it makes up a block's header, keeps it in memory and finds everything valid.
struct App {
    own: OperatorId,
    seats: ValidatorSet,
    known: Arc<Mutex<Known>>,
    gathering: Gathering,
    blocks: BTreeMap<(Height, BlockId), Bytes>,
    /// When each height was first proposed here.
    seen: BTreeMap<Height, Instant>,
    nonce: u32,
    began: Instant,
}

impl App {
    async fn run(mut self, mut channels: Channels<Palisade>) {
        while let Some(message) = channels.consensus.recv().await {
            self.serve(message, &channels).await;
        }
    }

    fn next(&self) -> Height {
        Height::new(self.known.lock().expect("nobody panics with it").decided.len() as u64 + 1)
    }

    fn params(&self) -> HeightParams<Palisade> {
        let timeouts = LinearTimeouts {
            propose: Duration::from_secs(3),
            propose_delta: Duration::from_millis(500),
            prevote: Duration::from_secs(1),
            prevote_delta: Duration::from_millis(500),
            precommit: Duration::from_secs(1),
            precommit_delta: Duration::from_millis(500),
            rebroadcast: Duration::from_secs(5),
            max_timeout: Duration::from_secs(60),
        };
        HeightParams::new(self.seats.clone(), timeouts, None)
    }

    async fn serve(&mut self, message: AppMsg<Palisade>, channels: &Channels<Palisade>) {
        match message {
            AppMsg::ConsensusReady { reply } => drop(reply.send((Level(self.next()), self.params()))),
            AppMsg::StartedRound { reply_value, .. } => drop(reply_value.send(Vec::new())),
            AppMsg::GetValue { height, round, reply, .. } => {
                self.seen.entry(height.0).or_insert_with(Instant::now);
                let block = made_up(height.0, round, &self.own);
                let of = Proposed {
                    height: height.0,
                    round: round.as_u32().unwrap_or(0),
                    proposer: self.own,
                    block: block.id(),
                };
                let bytes = Bytes::from(block.to_bytes());
                self.blocks.insert((of.height, of.block), bytes.clone());
                self.nonce += 1;
                for part in cut(of, &bytes, self.nonce) {
                    let _ = channels.network.send(NetworkMsg::PublishProposalPart(part)).await;
                }
                let _ = reply.send(LocallyProposedValue::new(height, round, Value(of.block)));
            }
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                let now = Millis::new(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
                let arrived = self.gathering.take(now, self.next(), published_by.unwrap_or(from), part);
                let proposed = arrived.ok().flatten().map(|arrived| {
                    self.seen.entry(arrived.of.height).or_insert_with(Instant::now);
                    self.blocks.insert((arrived.of.height, arrived.of.block), arrived.bytes);
                    proposed(arrived.of)
                });
                // Not answered is not arrived.
                if let Some(proposed) = proposed {
                    let _ = reply.send(Some(proposed));
                } else {
                    let _ = reply.send(None);
                }
            }
            AppMsg::Decided { certificate, reply, .. } => {
                let height = certificate.height.0;
                let bytes = self.blocks.remove(&(height, certificate.value_id)).unwrap_or_default();
                let mut known = self.known.lock().expect("nobody panics with it");
                known.took.extend(self.seen.remove(&height).map(|since| since.elapsed()));
                known.decided.push((bytes, certificate));
                drop(known);
                self.blocks.retain(|(of, _), _| *of > height);
                self.gathering.forget_below(height.next());
                let _ = reply.send(());
            }
            AppMsg::Finalized { reply, .. } => {
                let _ = reply.send(Next::Start(Level(self.next()), self.params()));
            }
            AppMsg::GetHistoryMinHeight { reply } => drop(reply.send(Level(Height::new(1)))),
            AppMsg::GetDecidedValues { range, reply } => {
                let known = self.known.lock().expect("nobody panics with it");
                let of = |height: u64| known.decided.get(usize::try_from(height.checked_sub(1)?).ok()?);
                let values = (range.start().0.get()..=range.end().0.get()).map_while(of);
                let values = values
                    .map(|(bytes, certificate)| RawDecidedValue::new(bytes.clone(), extended(certificate.clone())));
                let _ = reply.send(values.take(20).collect());
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let outcome = match whole_block(&value_bytes) {
                    Some(block) => {
                        let round = round.as_u32().unwrap_or(0);
                        let of = Proposed { height: height.0, round, proposer: proposer.0, block: block.id() };
                        self.blocks.insert((of.height, of.block), value_bytes);
                        SyncedValueOutcome::Verdict(proposed(of))
                    }
                    None => SyncedValueOutcome::PeerFault,
                };
                let _ = reply.send(outcome);
            }
            AppMsg::RestreamProposal { .. } => {}
            AppMsg::ExtendVote { reply, .. } => drop(reply.send(None)),
            AppMsg::VerifyVoteExtensions { reply, .. } => drop(reply.send(Vec::new())),
        }
    }
}

fn proposed(of: Proposed) -> ProposedValue<Palisade> {
    ProposedValue {
        height: Level(of.height),
        round: Round::new(of.round),
        valid_round: Round::Nil,
        proposer: Voter(of.proposer),
        value: Value(of.block),
        validity: Validity::Valid,
    }
}

fn made_up(height: Height, round: Round, own: &OperatorId) -> Block {
    let items = List::new();
    let mark = palisade_crypto::hash::keccak256_all(&[
        &height.get().to_be_bytes(),
        &round.as_i64().to_be_bytes(),
        own.as_bytes(),
    ]);
    let header = Header {
        version: HEADER_VERSION,
        chain: CHAIN,
        height,
        epoch: Epoch::new(0),
        parent: BlockId::ZERO,
        items_root: Block::items_root(&items),
        state_root: Hash::new(mark),
        next_committee: Hash::ZERO,
    };
    Block { header, items }
}

/// A key that signs at once.
struct Hand(SecretKey);

impl Hand {
    fn sign(&self, message: &[u8]) -> Ed25519Signature {
        Ed25519Signature::new(self.0.sign(message).0)
    }
}

#[async_trait]
impl Signer<Palisade> for Hand {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Palisade, Vote>, SigningError> {
        let signature = self.sign(&vote.ballot(CHAIN).preimage());
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Palisade, Proposal>, SigningError> {
        let signature = self.sign(&proposal.ballot(CHAIN).preimage());
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Palisade>,
        (): (),
    ) -> Result<SignedMessage<Palisade, ()>, SigningError> {
        Err(SigningError::new())
    }

    async fn sign_validator_proof(&self, _: Vec<u8>, _: Vec<u8>) -> Result<ValidatorProof<Palisade>, SigningError> {
        Err(SigningError::new())
    }
}

/// Our codec, and for what our own network never sends.
#[derive(Clone, Copy)]
struct PeerCodec;

macro_rules! as_ours {
    ($($message:ty),* $(,)?) => {$(
        impl Codec<$message> for PeerCodec {
            type Error = Malformed;
            fn decode(&self, bytes: Bytes) -> Result<$message, Malformed> {
                WireCodec.decode(bytes)
            }
            fn encode(&self, message: &$message) -> Result<Bytes, Malformed> {
                WireCodec.encode(message)
            }
        }
    )*};
}

as_ours!(
    SignedConsensusMsg<Palisade>,
    LivenessMsg<Palisade>,
    StreamMessage<Part>,
    ProposedValue<Palisade>,
    PolkaCertificate<Palisade>,
    Status<Palisade>,
    Request<Palisade>,
    Response<Palisade>,
);

impl HasEncodedLen<Response<Palisade>> for PeerCodec {
    fn encoded_len(&self, response: &Response<Palisade>) -> Result<usize, Malformed> {
        WireCodec.encoded_len(response)
    }
}

/// Parts travel in streams only, and nobody sends proofs.
macro_rules! never {
    ($($message:ty),* $(,)?) => {$(
        impl Codec<$message> for PeerCodec {
            type Error = Malformed;
            fn decode(&self, _: Bytes) -> Result<$message, Malformed> {
                Err(Malformed::TooShort)
            }
            fn encode(&self, _: &$message) -> Result<Bytes, Malformed> {
                Err(Malformed::TooShort)
            }
        }
    )*};
}

never!(Part, ValidatorProof<Palisade>);
