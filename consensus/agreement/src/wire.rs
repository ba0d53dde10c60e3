//! The engine's side of the network.
//!
//! The swarm (in `node/src/network`) moves bytes and knows peers; the engine speaks its own network messages. This
//! actor stands between: it encodes what goes out ([`Outbound`]), hands in what came and was decoded ([`Inbound`]),
//! and takes care of six of the engine's sharp edges.
//!
//! - Listening addresses and peers are replayed to whoever subscribes late; otherwise consensus never starts.
//! - The status of the sync protocol goes to each connected peer directly, never by gossip, and again to a peer
//!   that connects later.
//! - Every ballot heard is tapped for the core before the engine can drop it ([`Overheard`]): the engine keeps
//!   evidence for the current height only and loses most of it.
//! - Votes that the engine does not need are held back ([`Surplus`]).
//! - Votes of the height that is being decided are checked here, before the engine, which would check and forget them: who sends what
//!   his key did not sign, or votes without a seat, is blamed. What held, the engine does not check again.
//! - What the guard refused to sign ([`ABSTAINED`]) is not published.

use crate::ballot::{Overheard, SignedBallot};
use crate::codec::{Wire as Encoded, WireCodec, encode};
use crate::context::{ABSTAINED, Palisade, Verifier, Vote};
use crate::forward::Forward;
use crate::malachite::engine::network::{Msg, Multiaddr, NetworkEvent, NetworkRef, Status};
use crate::malachite::engine::util::output_port::OutputPort;
use crate::malachite::{
    Codec, LivenessMsg, PeerId, SignedConsensusMsg, SignedProposal, SignedVote, StreamMessage, sync,
};
use crate::parts::{MAX_PART, Part};
use crate::surplus::{Fate, Seated, Surplus};
use bytes::Bytes;
use palisade_types::canonical::Malformed;
use palisade_types::ids::{ChainId, OperatorId};
use palisade_types::units::Height;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// The longest message of [`Topic::Consensus`]: a proposal with its signature.
pub const CONSENSUS_LIMIT: usize = 512;
/// The longest message of [`Topic::Liveness`]: a round certificate with two votes of each member.
pub const LIVENESS_LIMIT: usize = 64 << 10;
/// The longest message of [`Topic::Parts`].
pub const PART_LIMIT: usize = MAX_PART + 256;
/// The longest request of the sync protocol.
pub const SYNC_REQUEST_LIMIT: usize = 64;
/// The longest response of the sync protocol: a batch of full blocks does not fit, so the engine cuts it to this.
pub const SYNC_RESPONSE_LIMIT: usize = 10 << 20;
/// The longest status.
pub const STATUS_LIMIT: usize = 128;

/// Messages between the swarm and the engine that may wait.
const QUEUE: usize = 1024;
/// Bytes of gossip that may wait for the engine.
const QUEUE_BYTES: usize = 32 << 20;

/// What the engine gossips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Votes and proposals.
    Consensus,
    /// Re-sent votes and certificates that move a round on.
    Liveness,
    /// Parts of proposed blocks.
    Parts,
}

/// What the swarm is to do.
#[derive(Debug)]
pub enum Outbound {
    /// Gossip this, also when the same bytes were gossiped before: re-sent votes are byte-identical.
    Publish(Topic, Bytes),
    /// Send this status to every connected peer directly, and to each that connects until the next one comes.
    Status(Bytes),
    /// Ask a peer for blocks. The answer is [`Inbound::Answered`] or [`Inbound::Unanswered`] with the same id.
    Ask(u64, PeerId, Bytes),
    /// Answer a peer's [`Inbound::Asked`].
    Answer(u64, Bytes),
    /// Drop a peer's [`Inbound::Asked`] without an answer.
    Drop(u64),
    /// This peer did what no honest one does: a vote in his own name that he may not make or did not sign, or a direct message that means nothing.
    Blame(PeerId),
}

/// What the swarm tells.
#[derive(Debug)]
pub enum Inbound {
    /// We listen; consensus starts with the first.
    Listening,
    /// The first connection to an admitted peer.
    Connected(PeerId),
    /// The last connection to that peer is gone.
    Disconnected(PeerId),
    /// Gossip of an admitted publisher, already decoded.
    Gossip {
        /// The neighbour that passed it on.
        from: PeerId,
        /// Who made it, by the transport's own signature.
        publisher: PeerId,
        /// What it is.
        message: Message,
    },
    /// A peer's status.
    Status(PeerId, Bytes),
    /// A peer asks for blocks.
    Asked(u64, PeerId, Bytes),
    /// A peer answered.
    Answered(u64, PeerId, Bytes),
    /// A peer did not answer.
    Unanswered(u64, PeerId, sync::OutboundFailureReason),
    /// The connection that waits for our answer is gone.
    Abandoned(u64, PeerId),
}

/// One gossiped message of the engine.
#[derive(Clone, Debug)]
pub enum Message {
    /// A vote or proposal.
    Consensus(SignedConsensusMsg<Palisade>),
    /// A re-sent vote or a certificate.
    Liveness(LivenessMsg<Palisade>),
    /// A part of a block.
    Part(StreamMessage<Part>),
}

impl Message {
    /// Decodes gossip, so that the swarm passes on only what can mean something.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the neighbour that passed it on should not have.
    pub fn decode(topic: Topic, bytes: Bytes) -> Result<Self, Malformed> {
        let limit = match topic {
            Topic::Consensus => CONSENSUS_LIMIT,
            Topic::Liveness => LIVENESS_LIMIT,
            Topic::Parts => PART_LIMIT,
        };
        if bytes.len() > limit {
            return Err(Malformed::TooLong { length: bytes.len(), bound: limit });
        }
        match topic {
            Topic::Consensus => WireCodec.decode(bytes).map(Self::Consensus),
            Topic::Liveness => WireCodec.decode(bytes).map(Self::Liveness),
            Topic::Parts => WireCodec.decode(bytes).map(Self::Part),
        }
    }

    /// Whose vote or proposal it says it is. Nobody sends another's: what proves something of others is a certificate.
    #[must_use]
    pub fn author(&self) -> Option<OperatorId> {
        match self {
            Self::Consensus(SignedConsensusMsg::Vote(signed)) | Self::Liveness(LivenessMsg::Vote(signed)) => {
                Some(signed.message.address.0)
            }
            Self::Consensus(SignedConsensusMsg::Proposal(signed)) => Some(signed.message.address.0),
            Self::Liveness(_) | Self::Part(_) => None,
        }
    }

    /// About how many bytes it holds in memory.
    fn weight(&self) -> usize {
        let signatures = match self {
            Self::Liveness(LivenessMsg::PolkaCertificate(certificate)) => certificate.polka_signatures.len(),
            Self::Liveness(LivenessMsg::SkipRoundCertificate(certificate)) => certificate.round_signatures.len(),
            Self::Part(part) => return CONSENSUS_LIMIT + part.content.as_data().map_or(0, |part| part.bytes.len()),
            Self::Consensus(_) | Self::Liveness(LivenessMsg::Vote(_)) => 0,
        };
        CONSENSUS_LIMIT + 128 * signatures
    }

    /// Every ballot in it, the signatures unchecked: a vote, a proposal, or the votes in a certificate.
    fn ballots(&self, chain: ChainId) -> Vec<SignedBallot> {
        let vote = |signed: &SignedVote<Palisade>| SignedBallot {
            ballot: signed.message.ballot(chain),
            signature: signed.signature,
        };
        match self {
            Self::Consensus(SignedConsensusMsg::Vote(signed)) | Self::Liveness(LivenessMsg::Vote(signed)) => {
                vec![vote(signed)]
            }
            Self::Consensus(SignedConsensusMsg::Proposal(signed)) => {
                vec![SignedBallot { ballot: signed.message.ballot(chain), signature: signed.signature }]
            }
            Self::Liveness(LivenessMsg::PolkaCertificate(certificate)) => {
                certificate.votes(&Palisade).map(|signed| vote(&signed)).collect()
            }
            Self::Liveness(LivenessMsg::SkipRoundCertificate(certificate)) => {
                certificate.votes(&Palisade).map(|signed| vote(&signed)).collect()
            }
            Self::Part(_) => Vec::new(),
        }
    }
}

/// The swarm's end.
#[derive(Debug)]
pub struct Port {
    /// What the swarm is to do.
    pub outbound: mpsc::Receiver<Outbound>,
    /// Where the swarm tells what happens.
    pub inbound: Inlet,
}

/// Where the swarm hands in. It never waits for the engine: gossip is dropped when too much of it waits (peers send
/// again), and of everything else there is at most one for each connection or open request.
#[derive(Clone, Debug)]
pub struct Inlet {
    events: mpsc::UnboundedSender<Inbound>,
    gossip: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// Gossip that waits, with its share of the room for it.
type Waiting = (Inbound, OwnedSemaphorePermit);

impl Inlet {
    /// Hands in one event; false when it was gossip and dropped, or when the engine is gone.
    pub fn tell(&self, event: Inbound) -> bool {
        let Inbound::Gossip { message, .. } = &event else { return self.events.send(event).is_ok() };
        let weight = u32::try_from(message.weight()).unwrap_or(u32::MAX);
        match self.room.clone().try_acquire_many_owned(weight) {
            Ok(room) => self.gossip.try_send((event, room)).is_ok(),
            Err(_) => false,
        }
    }
}

/// The engine's end: what [`crate::engine::start`] takes.
pub struct Wire {
    outbound: mpsc::Sender<Outbound>,
    events: mpsc::UnboundedReceiver<Inbound>,
    gossip: mpsc::Receiver<Waiting>,
}

/// Makes the two ends.
#[must_use]
pub fn wire() -> (Wire, Port) {
    let (to_swarm, outbound) = mpsc::channel(QUEUE);
    let (to_engine, events) = mpsc::unbounded_channel();
    let (gossip_in, gossip) = mpsc::channel(QUEUE);
    let room = Arc::new(Semaphore::new(QUEUE_BYTES));
    let port = Port { outbound, inbound: Inlet { events: to_engine, gossip: gossip_in, room } };
    (Wire { outbound: to_swarm, events, gossip }, port)
}

impl Wire {
    /// Starts the actor. Ballots heard are offered to `tap`; when it is full they are lost, which costs evidence
    /// and nothing else.
    pub(crate) async fn spawn(
        self,
        verifier: Verifier,
        chain: ChainId,
        own: PeerId,
        tap: mpsc::Sender<Overheard>,
        seated: watch::Receiver<Option<Seated>>,
    ) -> Result<NetworkRef<Palisade>, ractor::SpawnErr> {
        let (actor, messages) = Forward::spawn().await?;
        let desk = Desk {
            verifier,
            chain,
            own,
            tap,
            outbound: self.outbound,
            // Lossy when a subscriber lags by this many; the engine's own network uses 128.
            port: OutputPort::with_capacity(4 * QUEUE),
            listening: false,
            peers: BTreeSet::new(),
            next_request: 0,
            seated,
            surplus: Surplus::default(),
        };
        tokio::spawn(desk.run(messages, self.events, self.gossip));
        Ok(actor)
    }
}

struct Desk {
    verifier: Verifier,
    chain: ChainId,
    own: PeerId,
    tap: mpsc::Sender<Overheard>,
    outbound: mpsc::Sender<Outbound>,
    port: OutputPort<NetworkEvent<Palisade>>,
    listening: bool,
    peers: BTreeSet<PeerId>,
    next_request: u64,
    /// Which height the engine decides; `None` before the first.
    seated: watch::Receiver<Option<Seated>>,
    surplus: Surplus<NetworkEvent<Palisade>>,
}

/// The engine or the swarm is gone; this actor goes too.
struct Gone;

impl Desk {
    async fn run(
        mut self,
        mut messages: mpsc::Receiver<Msg<Palisade>>,
        mut events: mpsc::UnboundedReceiver<Inbound>,
        mut gossip: mpsc::Receiver<Waiting>,
    ) {
        loop {
            let release = self.surplus.next_release();
            let done = tokio::select! {
                biased;
                Some(event) = events.recv() => { self.tell(event); Ok(()) }
                message = messages.recv() => match message {
                    Some(message) => self.act(message).await,
                    None => Err(Gone),
                },
                Some((event, _room)) = gossip.recv() => { self.tell(event); Ok(()) }
                () = at(release) => { self.release(); Ok(()) }
            };
            if let Err(Gone) = done {
                return;
            }
        }
    }

    async fn send(&self, outbound: Outbound) -> Result<(), Gone> {
        self.outbound.send(outbound).await.map_err(|_| Gone)
    }

    /// What the engine wants.
    async fn act(&mut self, message: Msg<Palisade>) -> Result<(), Gone> {
        match message {
            Msg::Subscribe(subscriber) => {
                if self.listening {
                    subscriber.send(NetworkEvent::Listening(Multiaddr::empty()));
                }
                for peer in &self.peers {
                    subscriber.send(NetworkEvent::PeerConnected(*peer));
                }
                subscriber.subscribe_to_port(&self.port);
                Ok(())
            }
            Msg::PublishConsensusMsg(message) if *message.signature() == ABSTAINED => Ok(()),
            Msg::PublishConsensusMsg(message) => {
                if let SignedConsensusMsg::Vote(vote) = &message {
                    // Our own vote counts in the engine like any other.
                    let _ = self.fate(&vote.message);
                }
                self.publish(Topic::Consensus, &message).await
            }
            Msg::PublishLivenessMsg(LivenessMsg::Vote(vote)) if vote.signature == ABSTAINED => Ok(()),
            Msg::PublishLivenessMsg(message) => self.publish(Topic::Liveness, &message).await,
            Msg::PublishProposalPart(message) => self.publish(Topic::Parts, &message).await,
            Msg::BroadcastStatus(status) => {
                let status = sync::Status {
                    peer_id: self.own,
                    tip_height: status.tip_height,
                    history_min_height: status.history_min_height,
                };
                self.send(Outbound::Status(encode(&status).into())).await
            }
            Msg::OutgoingRequest(peer, request, reply) => {
                self.next_request += 1;
                let id = self.next_request;
                // The asker may be gone; then the answer will find nobody, which is harmless.
                let _ = reply.send(sync::OutboundRequestId::new(id));
                self.send(Outbound::Ask(id, peer, encode(&request).into())).await
            }
            Msg::OutgoingResponse(id, response) => {
                let Some(id) = number(&id) else { return Ok(()) };
                self.send(Outbound::Answer(id, encode(&response).into())).await
            }
            Msg::CancelInboundRequest(id) => match number(&id) {
                Some(id) => self.send(Outbound::Drop(id)).await,
                None => Ok(()),
            },
            Msg::DumpState(reply) => {
                let _ = reply.send(None);
                Ok(())
            }
            // A request that is no longer wanted runs into its own deadline. Peers come from the registry, and
            // nobody sends us the engine's own proofs of them.
            Msg::CancelRequest(_)
            | Msg::UpdatePersistentPeers(..)
            | Msg::UpdateValidatorSet(_)
            | Msg::ValidatorProofVerified { .. }
            | Msg::NewEvent(_) => Ok(()),
        }
    }

    /// What becomes of a vote. A re-sent one, which comes by another topic, is never held back.
    fn fate(&mut self, vote: &Vote) -> Fate {
        match &*self.seated.borrow() {
            Some(seated) => self.surplus.judge(seated, vote),
            None => Fate::Pass,
        }
    }

    /// Whether an honest peer may say this in his own name, as far as we know: of the height that we decide we know who sits there, and with
    /// which key. He may be ahead of us with other seats, and what is of a height before is dropped unread.
    fn is_honest(&self, vote: &SignedVote<Palisade>) -> bool {
        match &*self.seated.borrow() {
            Some(seated) if seated.height == vote.message.height.0 => {
                let seat = seated.seats.seat(&vote.message.address.0);
                seat.is_some_and(|seat| self.verifier.holds(vote, &seat.key))
            }
            _ => true,
        }
    }

    /// Not told when too much waits for the swarm: such a peer does it again.
    fn blame(&self, peer: PeerId, what: &'static str) {
        tracing::debug!(%peer, what, "a fault");
        let _ = self.outbound.try_send(Outbound::Blame(peer));
    }

    /// Hands on what was held back long enough and is still about something.
    fn release(&mut self) {
        let height = self.seated.borrow().as_ref().map_or(Height::new(0), |seated| seated.height);
        for event in self.surplus.release(Instant::now(), height) {
            self.port.send(event);
        }
    }

    async fn publish(&self, topic: Topic, message: &impl Encoded) -> Result<(), Gone> {
        self.send(Outbound::Publish(topic, encode(message).into())).await
    }

    /// What the network brings.
    fn tell(&mut self, event: Inbound) {
        let event = match event {
            Inbound::Listening => {
                self.listening = true;
                NetworkEvent::Listening(Multiaddr::empty())
            }
            Inbound::Connected(peer) => {
                self.peers.insert(peer);
                NetworkEvent::PeerConnected(peer)
            }
            Inbound::Disconnected(peer) => {
                self.peers.remove(&peer);
                NetworkEvent::PeerDisconnected(peer)
            }
            Inbound::Gossip { from, publisher, message } => {
                // The swarm takes a vote or proposal from its author's own peer only.
                let firsthand = message.author().is_some();
                for signed in message.ballots(self.chain) {
                    let _ = self.tap.try_send(Overheard { signed, firsthand });
                }
                let fate = match &message {
                    Message::Consensus(SignedConsensusMsg::Vote(vote)) => self.fate(&vote.message),
                    _ => Fate::Pass,
                };
                if let Message::Consensus(SignedConsensusMsg::Vote(vote)) | Message::Liveness(LivenessMsg::Vote(vote)) =
                    &message
                    && fate == Fate::Pass
                    && !self.is_honest(vote)
                {
                    return self.blame(publisher, "a vote that its author may not make or did not sign");
                }
                let height = match &message {
                    Message::Consensus(SignedConsensusMsg::Vote(vote)) => vote.message.height.0,
                    _ => Height::new(0),
                };
                let event = heard(from, publisher, message);
                match fate {
                    Fate::Pass => event,
                    Fate::Drop => return,
                    Fate::Hold => match self.surplus.hold(Instant::now(), height, event) {
                        Some(event) => event,
                        None => return,
                    },
                }
            }
            Inbound::Status(peer, bytes) => match WireCodec.decode(bytes) {
                Ok(sync::Status { peer_id, tip_height, history_min_height }) if peer_id == peer => {
                    NetworkEvent::Status(peer, Status::new(tip_height, history_min_height))
                }
                _ => return self.blame(peer, "a status that is not a status of its sender"),
            },
            Inbound::Asked(id, peer, bytes) => match WireCodec.decode(bytes) {
                Ok(request) => NetworkEvent::SyncRequest(sync::InboundRequestId::new(id), peer, request),
                Err(malformed) => {
                    tracing::debug!(%peer, %malformed, "what a request for blocks must be");
                    let _ = self.outbound.try_send(Outbound::Drop(id));
                    return self.blame(peer, "a request for blocks that is none");
                }
            },
            Inbound::Answered(id, peer, bytes) => {
                let response = WireCodec.decode(bytes).ok(); // the sync protocol asks others
                if response.is_none() {
                    self.blame(peer, "an answer that is none");
                }
                NetworkEvent::SyncResponse(sync::OutboundRequestId::new(id), peer, response)
            }
            Inbound::Unanswered(id, peer, reason) => {
                NetworkEvent::SyncRequestFailed(sync::OutboundRequestId::new(id), peer, reason)
            }
            Inbound::Abandoned(id, peer) => {
                NetworkEvent::SyncInboundRequestFailed(sync::InboundRequestId::new(id), peer)
            }
        };
        self.port.send(event);
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn heard(from: PeerId, publisher: PeerId, message: Message) -> NetworkEvent<Palisade> {
    let proposal = |signed: SignedProposal<Palisade>| NetworkEvent::Proposal(from, signed);
    match message {
        Message::Consensus(SignedConsensusMsg::Vote(vote)) | Message::Liveness(LivenessMsg::Vote(vote)) => {
            NetworkEvent::Vote(from, vote)
        }
        Message::Consensus(SignedConsensusMsg::Proposal(signed)) => proposal(signed),
        Message::Liveness(LivenessMsg::PolkaCertificate(certificate)) => {
            NetworkEvent::PolkaCertificate(from, certificate)
        }
        Message::Liveness(LivenessMsg::SkipRoundCertificate(certificate)) => {
            NetworkEvent::RoundCertificate(from, certificate)
        }
        Message::Part(part) => NetworkEvent::ProposalPart(from, Some(publisher), part),
    }
}

/// The engine carries our numbers as text.
fn number(id: &sync::InboundRequestId) -> Option<u64> {
    id.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Level, Value, Voter};
    use crate::malachite::{NilOrVal, Round, SignedMessage, VoteType, numbered_peer};
    use crate::parts::Proposed;
    use palisade_types::ids::{BlockId, Ed25519Signature, OperatorId};

    fn vote(signature: u8) -> SignedMessage<Palisade, Vote> {
        let vote = Vote {
            kind: VoteType::Precommit,
            height: Level(Height::new(3)),
            round: Round::ZERO,
            value: NilOrVal::Val(Value(BlockId::new([5; 32])).0),
            address: Voter(OperatorId::new([1; 20])),
        };
        SignedMessage::new(vote, Ed25519Signature::new([signature; 64]))
    }

    #[test]
    fn only_what_decodes_and_is_not_too_long_is_a_message() {
        let message = SignedConsensusMsg::Vote(vote(1));
        let bytes = Bytes::from(encode(&message));
        assert!(Message::decode(Topic::Consensus, bytes.clone()).is_ok());
        assert!(Message::decode(Topic::Parts, bytes).is_err());
        let long = Bytes::from(vec![0; CONSENSUS_LIMIT + 1]);
        assert!(matches!(Message::decode(Topic::Consensus, long), Err(Malformed::TooLong { .. })));
    }

    #[test]
    fn r32_gossip_that_waits_is_bounded_in_bytes() {
        let (_wire, port) = wire();
        let of = Proposed { height: Height::new(1), round: 0, proposer: OperatorId::ZERO, block: BlockId::ZERO };
        let part = crate::parts::cut(of, &Bytes::from(vec![0; MAX_PART]), 0).remove(0);
        let peer = numbered_peer(1);
        let gossip = || Inbound::Gossip { from: peer, publisher: peer, message: Message::Part(part.clone()) };
        let taken = (0..QUEUE).filter(|_| port.inbound.tell(gossip())).count();
        assert_eq!(taken, QUEUE_BYTES / (MAX_PART + CONSENSUS_LIMIT));
        assert!(port.inbound.tell(Inbound::Disconnected(peer)), "what must not be lost has its own way");
    }

    #[tokio::test]
    async fn r18_every_ballot_is_tapped_and_an_abstention_is_not_published() {
        let (ours, mut port) = wire();
        let (tap, mut tapped) = mpsc::channel(8);
        let chain = ChainId::new([1; 32]);
        let network =
            ours.spawn(Verifier::new(chain), chain, numbered_peer(0), tap, watch::channel(None).1).await.unwrap();
        let message = Message::Liveness(LivenessMsg::Vote(vote(1)));
        port.inbound.tell(Inbound::Gossip { from: numbered_peer(1), publisher: numbered_peer(1), message });
        let heard = tapped.recv().await.unwrap();
        assert_eq!(heard.signed.ballot, vote(1).message.ballot(chain));
        assert_eq!((heard.signed.signature, heard.firsthand), (vote(1).signature, true));
        network.cast(Msg::PublishConsensusMsg(SignedConsensusMsg::Vote(vote(0)))).unwrap();
        network.cast(Msg::PublishLivenessMsg(LivenessMsg::Vote(vote(0)))).unwrap();
        network.cast(Msg::PublishConsensusMsg(SignedConsensusMsg::Vote(vote(2)))).unwrap();
        let Some(Outbound::Publish(Topic::Consensus, bytes)) = port.outbound.recv().await else { panic!("a vote") };
        assert_eq!(bytes, encode(&SignedConsensusMsg::Vote(vote(2))), "the first that is published");
    }
}
