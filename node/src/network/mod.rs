//! The node's one network: a libp2p swarm that carries the engine's messages and the node's own.
//!
//! TCP with Noise and Yamux, and QUIC; direct sends between members who are all connected, else gossip with validation before
//! forwarding; direct requests for blocks, status and the node's own questions. Nobody connects whom the registry, genesis or our own config does not name
//! ([`admission`]), and only the committee publishes more than promises of nonces. Every input has a bound in bytes, every queue a length, every
//! call to a silent peer a back-off.
//!
//! [`start`] takes the swarm's end of the engine's [`wire`](palisade_agreement::wire) and gives back a [`Network`], the
//! handle for the node's own topics, with channels to read them from.

pub mod admission;
mod conduct;
mod dialing;
mod discovery;
mod frames;
mod lines;
mod reach;
mod swarm;
mod topic;

use admission::Admission;
pub use libp2p::identity::Keypair;
pub use libp2p::{Multiaddr, PeerId};
pub use topic::Topic;

use bytes::Bytes;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::ResponseChannel;
use palisade_agreement::malachite::PeerId as EnginePeerId;
use palisade_agreement::wire::Port;
use palisade_types::ids::{ChainId, OperatorId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

/// Where to listen and whom to call.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our key towards peers.
    pub identity: Keypair,
    /// The network; peers of another one are not talked to.
    pub chain: ChainId,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Where peers reach us when that is not where we listen, as behind a router; empty when it is.
    pub announce: Vec<Multiaddr>,
    /// Whether to find members whose address nobody told us, and to call them.
    pub discover: bool,
    /// Peers to keep connected to. They may follow, whatever the list says.
    pub peers: Vec<(PeerId, Multiaddr)>,
    /// Who may connect and publish, until [`Network::admit`] says otherwise.
    pub admission: Admission,
}

/// Why the network could not be started: a bad address, or a port that is taken.
#[derive(Debug, thiserror::Error)]
#[error("the network could not be started: {0}")]
pub struct NotStarted(String);

impl NotStarted {
    fn because(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Splits `/ip4/…/tcp/…/p2p/<peer>` into peer and address; `None` without the peer, because whom one calls must be
/// known beforehand.
#[must_use]
pub fn peer_address(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut address = address.clone();
    match address.pop() {
        Some(Protocol::P2p(peer)) => Some((peer, address)),
        _ => None,
    }
}

/// Commands that may wait for the swarm.
const COMMANDS: usize = 1024;
/// Messages of the node's own topics that may wait for the node.
const INBOX: usize = 4096;
/// Peers' questions that may wait for the node.
const ASKS: usize = 64;

/// A running network.
#[derive(Debug)]
pub struct Started {
    /// The handle; the swarm ends when all its clones are dropped.
    pub network: Network,
    /// What others gossip on the node's own topics. Each message must be judged.
    pub gossip: mpsc::Receiver<Gossip>,
    /// What peers ask; each may be answered.
    pub asks: mpsc::Receiver<Ask>,
    /// Operators with a connected peer, for the engine's wait at the start.
    pub connected: watch::Receiver<BTreeSet<OperatorId>>,
}

/// Starts the swarm.
///
/// # Errors
///
/// [`NotStarted`] says which address cannot be used.
pub async fn start(config: Config, port: Port) -> Result<Started, NotStarted> {
    let swarm = swarm::build(&config)?;
    let peer = *swarm.local_peer_id();
    let (commands, obeyed) = mpsc::channel(COMMANDS);
    let (inbox, gossip) = mpsc::channel(INBOX);
    let (asked, asks) = mpsc::channel(ASKS);
    let (operators, connected) = watch::channel(BTreeSet::new());
    let (peers_seen, peers) = watch::channel(BTreeMap::new());
    let (listening_on, listening) = watch::channel(Vec::new());
    let named: Arc<[PeerId]> = config.peers.iter().map(|(peer, _)| *peer).collect();
    let (admission, admitted) = watch::channel(config.admission.clone().with_named(&*named));
    let outlets = swarm::Outlets {
        inbox,
        asks: asked,
        operators,
        peers: peers_seen,
        listening: listening_on,
        commands: commands.downgrade(),
    };
    let driver = swarm::Driver::new(swarm, config, admitted, port.inbound, outlets);
    tokio::spawn(driver.run(obeyed, port.outbound));
    let admission = Arc::new(admission);
    Ok(Started { network: Network { peer, commands, admission, named, peers, listening }, gossip, asks, connected })
}

/// A hand on the network. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network {
    peer: PeerId,
    commands: mpsc::Sender<Command>,
    admission: Arc<watch::Sender<Admission>>,
    /// Whom our own configuration names.
    named: Arc<[PeerId]>,
    peers: watch::Receiver<BTreeMap<PeerId, Option<OperatorId>>>,
    listening: watch::Receiver<Vec<Multiaddr>>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The peer is not connected. Ask another.
    #[error("the peer is not connected")]
    NotConnected,
    /// It did not answer in time or as agreed. Ask another.
    #[error("the peer did not answer: {0}")]
    Unanswered(String),
    /// Our own network has ended.
    #[error("the network has ended")]
    Ended,
}

impl Network {
    /// Our own peer id.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    /// Our own peer id, as the engine wants it.
    #[must_use]
    pub fn engine_peer(&self) -> EnginePeerId {
        EnginePeerId::from_bytes(&self.peer.to_bytes()).expect("both know the multihash of an Ed25519 key")
    }

    /// Gossips `bytes`. Whoever is connected gets them; nobody may be.
    pub async fn publish(&self, topic: Topic, bytes: impl Into<Bytes>) {
        let _ = self.commands.send(Command::Publish(topic, bytes.into())).await;
    }

    /// Asks one connected peer.
    ///
    /// # Errors
    ///
    /// [`AskError`] when there is no answer within ten seconds; then another peer may have one.
    pub async fn ask(&self, peer: PeerId, question: Bytes) -> Result<Bytes, AskError> {
        let (reply, answer) = oneshot::channel();
        let ask = Command::Ask(peer, question, reply);
        self.commands.send(ask).await.map_err(|_| AskError::Ended)?;
        answer.await.map_err(|_| AskError::Ended)?
    }

    /// A peer was caught lying: nothing that it gossips is heard any more.
    pub async fn distrust(&self, peer: PeerId) {
        let _ = self.commands.send(Command::Distrust(peer)).await;
    }

    /// Replaces the list of peers that may connect and publish, as the ledger's head says now.
    pub fn admit(&self, admission: Admission) {
        let admission = admission.with_named(&*self.named);
        self.admission.send_if_modified(|before| {
            let changed = *before != admission;
            *before = admission;
            changed
        });
    }

    /// Connected peers, and whose they are.
    #[must_use]
    pub fn peers(&self) -> BTreeMap<PeerId, Option<OperatorId>> {
        self.peers.borrow().clone()
    }

    /// The same, to be waited on.
    #[must_use]
    pub fn peers_watch(&self) -> watch::Receiver<BTreeMap<PeerId, Option<OperatorId>>> {
        self.peers.clone()
    }

    /// Addresses we listen on; grows while the transports come up.
    #[must_use]
    pub fn listening(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.listening.clone()
    }
}

/// What the swarm is told to do.
#[derive(Debug)]
enum Command {
    Publish(Topic, Bytes),
    Ask(PeerId, Bytes, oneshot::Sender<Result<Bytes, AskError>>),
    Answer(ResponseChannel<Bytes>, Bytes),
    Judge(Ticket, Acceptance),
    Distrust(PeerId),
}

/// Names one message for its judgement.
#[derive(Clone, Debug)]
struct Ticket {
    from: PeerId,
    /// `None` on a line, where nothing is passed on.
    id: Option<libp2p::gossipsub::MessageId>,
}

/// What becomes of a gossiped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acceptance {
    /// Passed on.
    Accept,
    /// Not passed on, and the neighbour that sent it pays.
    Reject,
    /// Not passed on, and nobody is to blame.
    Ignore,
}

/// One message of the node's own topics.
#[derive(Debug)]
pub struct Gossip {
    /// Of which topic.
    pub topic: Topic,
    /// Who made it: a member of the committee, by the transport's signature.
    pub publisher: PeerId,
    /// What it says.
    pub bytes: Bytes,
    /// Says what becomes of it. It is not passed on before that.
    pub verdict: Verdict,
}

/// What becomes of one message; dropped without a word, the message is ignored.
#[derive(Debug)]
pub struct Verdict {
    ticket: Option<Ticket>,
    commands: mpsc::WeakSender<Command>,
    /// The message's share of the inbox.
    _room: OwnedSemaphorePermit,
}

impl Verdict {
    /// Passes the message on if it is `worthy`. One that is not (old, known, about what we do not follow) goes no
    /// further and is nobody's fault.
    pub fn give(mut self, worthy: bool) {
        self.judge(if worthy { Acceptance::Accept } else { Acceptance::Ignore });
    }

    /// Whether neighbours hear the message only after it. What came on a line goes no further.
    #[must_use]
    pub fn passes_on(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| ticket.id.is_some())
    }

    /// No honest peer passes this on: it does not decode, or its proof is false. The neighbour pays.
    pub fn refuse(mut self) {
        self.judge(Acceptance::Reject);
    }

    fn judge(&mut self, acceptance: Acceptance) {
        if let Some((ticket, commands)) = self.ticket.take().zip(self.commands.upgrade()) {
            // A judgement that does not fit in the queue is one message that is not passed on.
            let _ = commands.try_send(Command::Judge(ticket, acceptance));
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.judge(Acceptance::Ignore);
    }
}

/// A peer's question. Dropped without an answer, the peer's deadline answers it.
#[derive(Debug)]
pub struct Ask {
    /// Who asks.
    pub from: PeerId,
    /// What.
    pub question: Bytes,
    channel: ResponseChannel<Bytes>,
    commands: mpsc::WeakSender<Command>,
}

impl Ask {
    /// Answers.
    pub async fn answer(self, answer: Bytes) {
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Answer(self.channel, answer)).await;
        }
    }
}
