//! The one libp2p swarm: what is plugged together, and the loop that drives it.
//!
//! What is heard is validated, and before that never passed on: the engine's messages here (they must decode, come from the
//! committee and be of whom they name), the node's own by whoever takes them from the inbox. The loop never waits for a reader: what does
//! not fit is dropped, and whatever matters is sent again. Who does what no honest peer does is sent away ([`Conduct`]).

use super::admission::Admission;
use super::conduct::Conduct;
use super::dialing::Dialing;
use super::discovery::{self, Discovery};
use super::frames::{Frames, Request};
use super::lines::{self, Lines};
use super::reach::Reach;
use super::topic::{ENVELOPE, Topic};
use super::{Acceptance, Ask, AskError, Command, Config, Gossip, NotStarted, Ticket, Verdict};
use bytes::Bytes;
use futures::StreamExt;
use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentTopic, MessageAcceptance, MessageAuthenticity, PeerScoreParams, PeerScoreThresholds, PublishError,
    TopicScoreParams, ValidationMode,
};
use libp2p::identity::Keypair;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::request_response::{self, OutboundFailure, ProtocolSupport, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux};
use palisade_agreement::malachite::PeerId as EnginePeerId;
use palisade_agreement::malachite::sync::OutboundFailureReason;
use palisade_agreement::wire::{
    self, Inbound, Message, Outbound, STATUS_LIMIT, SYNC_REQUEST_LIMIT, SYNC_RESPONSE_LIMIT,
};
use palisade_types::ids::{ChainId, OperatorId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// The engine asks for blocks.
const SYNC: StreamProtocol = StreamProtocol::new("/palisade/sync/1");
/// How far a peer is, told to each neighbour.
const STATUS: StreamProtocol = StreamProtocol::new("/palisade/status/1");
/// The node's own questions.
const ASK: StreamProtocol = StreamProtocol::new("/palisade/ask/1");
/// The longest question of the node's own.
pub(super) const ASK_LIMIT: usize = 4 << 10;
/// The longest answer.
pub(super) const ANSWER_LIMIT: usize = 8 << 20;
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How often a line is tried. One that broke without a word would otherwise stay with TCP's own retries, which come ever more rarely.
const PING: Duration = Duration::from_secs(5);
/// How long the answer may take on a busy machine; then the line is closed, and the peer called again.
const PING_TIME: Duration = Duration::from_secs(10);
/// Connections to one peer: both sides may have dialled, over both transports.
const CONNECTIONS_PER_PEER: u32 = 4;
/// Direct messages taken from one peer between two ticks; more are dropped.
const DIRECT_PER_TICK: u32 = 32;
/// Messages taken from one peer between two ticks, on its line or by gossip; more are dropped, and on a line, where all are its own,
/// a fault. A member of a committee that decides fifty blocks a second has some fifty to say, a neighbour in a mesh of 256 that decides
/// one a second passes on some two hundred and fifty.
const MESSAGES_PER_TICK: u32 = 2_048;
/// How often peers are called that are due, and the counts of direct messages begin anew.
const TICK: Duration = Duration::from_millis(250);
/// Addresses that a peer may teach us for calling it back.
pub(super) const LEARNT_ADDRESSES: usize = 4;
/// Bytes of the node's own gossip that may wait in the inbox.
const INBOX_BYTES: usize = 32 << 20;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    admission: allow_block_list::Behaviour<AllowedPeers>,
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    table: kad::Behaviour<MemoryStore>,
    gossip: gossipsub::Behaviour,
    lines: Lines,
    sync: request_response::Behaviour<Frames>,
    status: request_response::Behaviour<Frames>,
    ask: request_response::Behaviour<Frames>,
}

/// Direct requests and answers are frames of bytes.
type DirectEvent = request_response::Event<Request, Bytes>;

pub(super) fn build(config: &Config) -> Result<Swarm<Behaviour>, NotStarted> {
    let protocol = protocol(&config.chain);
    let mut swarm = SwarmBuilder::with_existing_identity(config.identity.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(NotStarted::because)?
        .with_quic()
        .with_dns()
        .map_err(NotStarted::because)?
        .with_behaviour(|key| Ok(behaviour(key, protocol, config.announce.is_empty())?))
        .map_err(NotStarted::because)?
        // Neighbours are few and known: a connection stays until somebody closes it.
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(24 * 3600)))
        .build();
    for topic in Topic::ALL {
        swarm.behaviour_mut().gossip.subscribe(&IdentTopic::new(topic.name())).map_err(NotStarted::because)?;
    }
    for address in &config.listen {
        swarm.listen_on(address.clone()).map_err(NotStarted::because)?;
    }
    for address in &config.announce {
        swarm.add_external_address(address.clone());
    }
    Ok(swarm)
}

/// What identify calls us, and under which name we ask for addresses: nodes of two networks have nothing to say to each other.
fn protocol(chain: &ChainId) -> String {
    format!("/palisade/{chain}/1")
}

fn behaviour(key: &Keypair, protocol: String, tells_listening: bool) -> Result<Behaviour, NotStarted> {
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(64))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER));
    let direct = |protocol: StreamProtocol, request: usize, response: usize, streams: usize| {
        let config =
            request_response::Config::default().with_request_timeout(ANSWER_TIME).with_max_concurrent_streams(streams);
        let protocols = [(protocol, ProtocolSupport::Full)];
        request_response::Behaviour::with_codec(Frames { request, response }, protocols, config)
    };
    let table = StreamProtocol::try_from_owned(format!("{protocol}/table")).map_err(NotStarted::because)?;
    let identify = identify::Config::new(protocol, key.public()).with_hide_listen_addrs(!tells_listening);
    Ok(Behaviour {
        admission: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING).with_timeout(PING_TIME)),
        table: discovery::behaviour(key.public().to_peer_id(), table),
        gossip: gossip(key)?,
        lines: Lines::default(),
        sync: direct(SYNC, SYNC_REQUEST_LIMIT, SYNC_RESPONSE_LIMIT, 16),
        status: direct(STATUS, STATUS_LIMIT, 0, 4),
        ask: direct(ASK, ASK_LIMIT, ANSWER_LIMIT, 16),
    })
}

fn gossip(key: &Keypair) -> Result<gossipsub::Behaviour, NotStarted> {
    let mut config = gossipsub::ConfigBuilder::default();
    config
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        // The sequence number must be in the id: the engine sends the same bytes again when a vote seems lost, and
        // gossip would take them for a duplicate for a minute.
        .message_id_fn(|message| {
            let source = message.source.map(|peer| peer.to_bytes()).unwrap_or_default();
            let sequence = message.sequence_number.unwrap_or_default().to_be_bytes();
            gossipsub::MessageId::from([source.as_slice(), &sequence].concat())
        })
        .max_transmit_size(crate::message::MAX_MESSAGE + ENVELOPE);
    for topic in Topic::ALL {
        let hash = IdentTopic::new(topic.name()).hash();
        config.max_transmit_size_for_topic(topic.limit() + ENVELOPE, hash);
    }
    let config = config.build().map_err(NotStarted::because)?;
    let mut gossip =
        gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), config).map_err(NotStarted::because)?;
    gossip.with_peer_score(peer_score(), PeerScoreThresholds::default()).map_err(NotStarted::because)?;
    Ok(gossip)
}

/// The share of who was caught lying: his score falls under every threshold, so that nothing he gossips is heard any more.
const DISTRUSTED: f64 = -100_000.0;

/// What each hundredth of the committee's power adds to a member's score: of neighbours that behave, those with more at stake are kept,
/// and all of it makes up for no single fault.
const SCORE_OF_SHARE: f64 = 0.05;

/// Peers are known and bonded, so only messages that no honest peer passes on cost score: three of them in a minute
/// and a peer is not heard for a while. Being slow or sharing an address is no fault. Stake decides between those who behave.
fn peer_score() -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.97,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: Topic::ALL.map(|name| (IdentTopic::new(name.name()).hash(), topic.clone())).into(),
        app_specific_weight: SCORE_OF_SHARE,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: 0.0,
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

/// Everything the loop holds.
pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    protocol: String,
    admission: Admission,
    admitted: watch::Receiver<Admission>,
    dialing: Dialing,
    /// `None` when we call only whom our configuration names.
    discovery: Option<Discovery>,
    reach: Reach,
    conduct: Conduct,
    /// What each peer taught us of its own addresses.
    learnt: BTreeMap<PeerId, BTreeSet<Multiaddr>>,
    inbound: wire::Inlet,
    inbox: mpsc::Sender<Gossip>,
    inbox_room: Arc<Semaphore>,
    asks: mpsc::Sender<Ask>,
    commands: mpsc::WeakSender<Command>,
    connected: BTreeSet<PeerId>,
    operators: watch::Sender<BTreeSet<OperatorId>>,
    peers: watch::Sender<BTreeMap<PeerId, Option<OperatorId>>>,
    listening: watch::Sender<Vec<Multiaddr>>,
    last_status: Option<Bytes>,
    /// The engine's questions that are on their way.
    asked: BTreeMap<request_response::OutboundRequestId, u64>,
    /// Peers' questions to the engine.
    to_answer: BTreeMap<u64, (request_response::InboundRequestId, ResponseChannel<Bytes>)>,
    next_question: u64,
    /// The node's own questions that are on their way.
    own_asked: BTreeMap<request_response::OutboundRequestId, oneshot::Sender<Result<Bytes, AskError>>>,
    /// Direct requests of each peer since the last tick.
    direct: BTreeMap<PeerId, u32>,
    /// Messages of each peer since the last tick.
    messages: BTreeMap<PeerId, u32>,
}

/// Where the loop hands out.
pub(super) struct Outlets {
    pub inbox: mpsc::Sender<Gossip>,
    pub asks: mpsc::Sender<Ask>,
    pub operators: watch::Sender<BTreeSet<OperatorId>>,
    pub peers: watch::Sender<BTreeMap<PeerId, Option<OperatorId>>>,
    pub listening: watch::Sender<Vec<Multiaddr>>,
    pub commands: mpsc::WeakSender<Command>,
}

impl Driver {
    pub fn new(
        swarm: Swarm<Behaviour>,
        Config { chain, peers, discover, .. }: Config,
        mut admitted: watch::Receiver<Admission>,
        inbound: wire::Inlet,
        outlets: Outlets,
    ) -> Self {
        let admission = admitted.borrow_and_update().clone();
        let mut driver = Self {
            swarm,
            protocol: protocol(&chain),
            admission: Admission::default(),
            admitted,
            dialing: Dialing::default(),
            discovery: discover.then(Discovery::default),
            reach: Reach::default(),
            conduct: Conduct::default(),
            learnt: BTreeMap::new(),
            inbound,
            inbox: outlets.inbox,
            inbox_room: Arc::new(Semaphore::new(INBOX_BYTES)),
            asks: outlets.asks,
            commands: outlets.commands,
            connected: BTreeSet::new(),
            operators: outlets.operators,
            peers: outlets.peers,
            listening: outlets.listening,
            last_status: None,
            asked: BTreeMap::new(),
            to_answer: BTreeMap::new(),
            next_question: 0,
            own_asked: BTreeMap::new(),
            direct: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        for (peer, address) in peers {
            driver.dialing.keep(peer, address);
        }
        driver.admit(admission);
        driver
    }

    /// Runs until every handle on the network is gone.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, port: mpsc::Receiver<Outbound>) {
        let mut port = Some(port);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.happened(event),
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                outbound = next(&mut port) => match outbound {
                    Some(outbound) => self.send(outbound),
                    None => port = None, // the engine is gone; the node decides what that means
                },
                Ok(()) = self.admitted.changed() => {
                    let admission = self.admitted.borrow_and_update().clone();
                    self.admit(admission);
                }
                _ = tick.tick() => self.tick(),
            }
        }
    }

    fn tick(&mut self) {
        self.direct.clear();
        self.messages.clear();
        let now = Instant::now();
        for peer in self.conduct.released(now) {
            if self.admission.standing(&peer).is_some() {
                self.swarm.behaviour_mut().admission.allow_peer(peer);
            }
        }
        self.seek(now);
        for (peer, mut addresses) in self.dialing.due(now) {
            addresses.extend(self.learnt.get(&peer).into_iter().flatten().cloned());
            let call = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                .build();
            if let Err(error) = self.swarm.dial(call) {
                tracing::debug!(%peer, %error, "cannot call");
            }
        }
    }

    /// Asks where a member is who has no line to us.
    fn seek(&mut self, now: Instant) {
        let own = *self.swarm.local_peer_id();
        let is_operators = self.admission.standing(&own).is_some_and(|standing| standing.operator.is_some());
        let Some(discovery) = self.discovery.as_mut().filter(|_| is_operators && !self.connected.is_empty()) else {
            return;
        };
        let is_missing = |peer: &&PeerId| **peer != own && !self.connected.contains(*peer);
        if let Some(peer) = discovery.due(self.admission.publishers().filter(is_missing).copied(), now) {
            discovery.asked(self.swarm.behaviour_mut().table.get_closest_peers(peer));
        }
    }

    /// What is said of where peers are. Only members are called.
    fn table(&mut self, event: kad::Event) {
        let Some(discovery) = &mut self.discovery else { return };
        for (peer, addresses) in discovery.answered(event) {
            if self.admission.standing(&peer).is_some_and(|standing| standing.publishes)
                && !self.connected.contains(&peer)
            {
                self.dialing.found(peer, addresses);
            }
        }
    }

    // What we are told to do.

    fn obey(&mut self, command: Command) {
        match command {
            Command::Publish(topic, bytes) => self.publish(topic, &bytes),
            Command::Ask(peer, question, reply) => {
                if self.connected.contains(&peer) {
                    let id = self.swarm.behaviour_mut().ask.send_request(&peer, Ok(question));
                    self.own_asked.insert(id, reply);
                } else {
                    let _ = reply.send(Err(AskError::NotConnected));
                }
            }
            Command::Answer(channel, answer) => {
                let _ = self.swarm.behaviour_mut().ask.send_response(channel, answer); // too late is too late
            }
            Command::Distrust(peer) => {
                self.conduct.distrust(peer);
                self.score(&peer);
            }
            Command::Judge(ticket, acceptance) => {
                let acceptance = match acceptance {
                    Acceptance::Accept => MessageAcceptance::Accept,
                    Acceptance::Reject => MessageAcceptance::Reject,
                    Acceptance::Ignore => MessageAcceptance::Ignore,
                };
                self.judge(&ticket, acceptance);
            }
        }
    }

    fn send(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Publish(topic, bytes) => self.publish(topic.into(), &bytes),
            Outbound::Status(bytes) => {
                for peer in &self.connected {
                    self.swarm.behaviour_mut().status.send_request(peer, Ok(bytes.clone()));
                }
                self.last_status = Some(bytes);
            }
            Outbound::Ask(id, peer, bytes) => match transport_peer(peer) {
                Some(peer) if self.connected.contains(&peer) => {
                    let request = self.swarm.behaviour_mut().sync.send_request(&peer, Ok(bytes));
                    self.asked.insert(request, id);
                }
                _ => drop(self.inbound.tell(Inbound::Unanswered(id, peer, OutboundFailureReason::DialFailure))),
            },
            Outbound::Answer(id, bytes) => {
                if let Some((_, channel)) = self.to_answer.remove(&id) {
                    let _ = self.swarm.behaviour_mut().sync.send_response(channel, bytes);
                }
            }
            Outbound::Drop(id) => drop(self.to_answer.remove(&id)),
            Outbound::Blame(peer) => {
                if let Some(peer) = transport_peer(peer) {
                    self.fault(peer, "what the engine's wire refuses");
                }
            }
        }
    }

    fn publish(&mut self, topic: Topic, bytes: &Bytes) {
        if bytes.len() > topic.limit() {
            return tracing::error!(?topic, bytes = bytes.len(), "our own message is too long to publish");
        }
        if topic.is_direct() && !self.needs_gossip() {
            return self.send_to_all(topic, bytes);
        }
        match self.swarm.behaviour_mut().gossip.publish(IdentTopic::new(topic.name()), bytes.to_vec()) {
            Ok(_) | Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => {}
            Err(error) => tracing::warn!(?topic, %error, "cannot publish"),
        }
    }

    /// Whether a member may be there whom a line does not reach.
    fn needs_gossip(&mut self) -> bool {
        let own = *self.swarm.local_peer_id();
        let lines = &self.swarm.behaviour().lines;
        let is_cut_off = |peer: &&PeerId| **peer != own && !lines.is_open(peer) && !self.conduct.is_banned(peer);
        let cut_off = self.admission.publishers().filter(is_cut_off).copied();
        self.reach.needs_gossip(cut_off, Instant::now())
    }

    /// Sends directly to every peer, members and followers.
    fn send_to_all(&mut self, topic: Topic, bytes: &Bytes) {
        let frame = lines::frame(topic, bytes);
        for peer in &self.connected {
            if !self.swarm.behaviour_mut().lines.send(*peer, frame.clone()) {
                tracing::debug!(%peer, ?topic, "a peer that reads too slowly, or has no line, misses a message");
            }
        }
    }

    /// A peer did what no honest one does.
    fn fault(&mut self, peer: PeerId, what: &'static str) {
        tracing::debug!(%peer, what, "a fault");
        if self.conduct.fault(peer, Instant::now()) {
            tracing::warn!(%peer, what, "a peer is sent away for a while");
            self.swarm.behaviour_mut().admission.disallow_peer(peer);
        }
    }

    /// Takes a new list: who left it is disconnected, who came may connect.
    fn admit(&mut self, admission: Admission) {
        let own = *self.swarm.local_peer_id();
        let list = &mut self.swarm.behaviour_mut().admission;
        let gone: Vec<_> =
            list.allowed_peers().iter().filter(|peer| admission.standing(peer).is_none()).copied().collect();
        for peer in &gone {
            list.disallow_peer(*peer);
        }
        for peer in &gone {
            self.swarm.behaviour_mut().table.remove_peer(peer);
        }
        let list = &mut self.swarm.behaviour_mut().admission;
        for peer in admission.peers().filter(|peer| **peer != own && !self.conduct.is_banned(peer)) {
            list.allow_peer(*peer);
        }
        let publishes =
            |list: &Admission, peer: &PeerId| list.standing(peer).is_some_and(|standing| standing.publishes);
        let now = Instant::now();
        for member in admission.publishers().filter(|peer| !publishes(&self.admission, peer)) {
            self.reach.heard(*member, now);
        }
        self.reach.retain(|peer| publishes(&admission, peer));
        self.conduct.retain(|peer| admission.standing(peer).is_some());
        self.learnt.retain(|peer, _| admission.standing(peer).is_some());
        self.dialing.retain(|peer| publishes(&admission, peer));
        self.admission = admission;
        for peer in self.connected.clone() {
            self.score(&peer);
        }
        self.tell_peers();
    }

    // What happens.

    fn happened(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.listening.send_modify(|addresses| addresses.push(address));
                self.inbound.tell(Inbound::Listening);
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.connected(peer_id),
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => self.disconnected(peer_id),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(peer = ?peer_id, %error, "call failed");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                if info.protocol_version != self.protocol {
                    tracing::warn!(peer = %peer_id, theirs = info.protocol_version, "a peer of another network");
                    self.fault(peer_id, "another network");
                    let _ = self.swarm.disconnect_peer_id(peer_id);
                    return;
                }
                let addresses = self.learnt.entry(peer_id).or_default();
                addresses.extend(info.listen_addrs.into_iter().take(LEARNT_ADDRESSES));
                while addresses.len() > LEARNT_ADDRESSES {
                    addresses.pop_first();
                }
                if self.admission.standing(&peer_id).is_some_and(|standing| standing.operator.is_some()) {
                    let table = &mut self.swarm.behaviour_mut().table;
                    table.remove_peer(&peer_id); // as far as it is reached elsewhere now
                    for address in addresses.iter() {
                        table.add_address(&peer_id, address.clone());
                    }
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) })) => {
                tracing::info!(%peer, %error, "a line is broken");
                self.swarm.close_connection(connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => self.gossip(Ticket { from: propagation_source, id: Some(message_id) }, message),
            SwarmEvent::Behaviour(BehaviourEvent::Table(event)) => self.table(event),
            SwarmEvent::Behaviour(BehaviourEvent::Lines(event)) => self.line(event),
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.sync(event),
            SwarmEvent::Behaviour(BehaviourEvent::Status(event)) => self.status(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ask(event)) => self.ask(event),
            _ => {}
        }
    }

    fn connected(&mut self, peer: PeerId) {
        self.dialing.connected(&peer);
        if !self.connected.insert(peer) {
            return;
        }
        tracing::info!(%peer, "connected");
        self.score(&peer);
        if let Some(status) = self.last_status.clone() {
            self.swarm.behaviour_mut().status.send_request(&peer, Ok(status));
        }
        if let Some(peer) = engine_peer(peer) {
            self.inbound.tell(Inbound::Connected(peer));
        }
        self.tell_peers();
    }

    fn disconnected(&mut self, peer: PeerId) {
        self.dialing.disconnected(&peer, Instant::now());
        self.learnt.retain(|learnt, _| *learnt != peer || self.admission.standing(learnt).is_some());
        if !self.connected.remove(&peer) {
            return;
        }
        tracing::info!(%peer, "disconnected");
        if let Some(peer) = engine_peer(peer) {
            self.inbound.tell(Inbound::Disconnected(peer));
        }
        self.tell_peers();
    }

    /// Gossip's score of a connected peer, beside what it does.
    fn score(&mut self, peer: &PeerId) {
        let share = self.admission.standing(peer).map_or(0, |standing| standing.share);
        let score = if self.conduct.is_distrusted(peer) { DISTRUSTED } else { f64::from(share) };
        self.swarm.behaviour_mut().gossip.set_application_score(peer, score);
    }

    fn tell_peers(&self) {
        let operators = self.admission.operators(&self.connected);
        let peers = self
            .connected
            .iter()
            .map(|peer| (*peer, self.admission.standing(peer).and_then(|standing| standing.operator)));
        self.peers.send_replace(peers.collect());
        self.operators.send_replace(operators);
    }

    fn judge(&mut self, ticket: &Ticket, acceptance: MessageAcceptance) {
        if acceptance == MessageAcceptance::Reject {
            self.fault(ticket.from, "a message that no honest peer sends or passes on");
        }
        if let Some(id) = &ticket.id {
            self.swarm.behaviour_mut().gossip.report_message_validation_result(id, &ticket.from, acceptance);
        }
    }

    fn line(&mut self, event: lines::Event) {
        match event {
            lines::Event::Open(peer, is_open) => {
                tracing::debug!(%peer, is_open, "a line");
                if !is_open {
                    self.reach.heard(peer, Instant::now());
                }
            }
            lines::Event::Garbled(peer) => self.fault(peer, "what is no frame"),
            lines::Event::Heard(peer, topic, bytes) => {
                if !self.within_budget(peer) {
                    return self.spent(peer);
                }
                if !self.conduct.is_distrusted(&peer) {
                    self.heard(topic, Ticket { from: peer, id: None }, peer, bytes);
                }
            }
        }
    }

    /// Counts a message; false when the peer has sent too many since the last tick.
    fn within_budget(&mut self, peer: PeerId) -> bool {
        let count = self.messages.entry(peer).or_insert(0);
        *count += 1;
        *count <= MESSAGES_PER_TICK
    }

    /// Once a tick: what comes on a line is the peer's own.
    fn spent(&mut self, peer: PeerId) {
        if self.messages.get(&peer) == Some(&(MESSAGES_PER_TICK + 1)) {
            self.fault(peer, "more messages than anybody has to say");
        }
    }

    fn gossip(&mut self, ticket: Ticket, message: gossipsub::Message) {
        let known = Topic::named(message.topic.as_str()).zip(message.source);
        let Some((topic, publisher)) = known.filter(|_| self.within_budget(ticket.from)) else {
            return self.judge(&ticket, MessageAcceptance::Ignore);
        };
        if self.admission.publishes(&publisher, topic) {
            self.reach.heard(publisher, Instant::now());
        }
        self.heard(topic, ticket, publisher, Bytes::from(message.data));
    }

    /// A message that `publisher` made, however it came.
    fn heard(&mut self, topic: Topic, ticket: Ticket, publisher: PeerId, bytes: Bytes) {
        if !self.admission.publishes(&publisher, topic) {
            // Lists differ between nodes for a moment when an epoch turns, so this is nobody's fault.
            return self.judge(&ticket, MessageAcceptance::Ignore);
        }
        if bytes.len() > topic.limit() {
            return self.judge(&ticket, MessageAcceptance::Reject);
        }
        match topic.of_engine() {
            Some(topic) => self.engine_gossip(topic, &ticket, publisher, bytes),
            None => self.own_gossip(topic, ticket, publisher, bytes),
        }
    }

    fn engine_gossip(&mut self, topic: wire::Topic, ticket: &Ticket, publisher: PeerId, bytes: Bytes) {
        match Message::decode(topic, bytes) {
            Ok(message) => {
                let of = self.admission.standing(&publisher).and_then(|standing| standing.operator);
                if message.author().is_some_and(|author| Some(author) != of) {
                    tracing::warn!(from = %ticket.from, %publisher, "refused a vote in another's name");
                    return self.judge(ticket, MessageAcceptance::Reject);
                }
                self.judge(ticket, MessageAcceptance::Accept);
                if let Some((from, publisher)) = engine_peer(ticket.from).zip(engine_peer(publisher)) {
                    self.inbound.tell(Inbound::Gossip { from, publisher, message });
                }
            }
            Err(malformed) => {
                tracing::warn!(from = %ticket.from, ?topic, %malformed, "refused gossip");
                self.judge(ticket, MessageAcceptance::Reject);
            }
        }
    }

    fn own_gossip(&mut self, topic: Topic, ticket: Ticket, publisher: PeerId, bytes: Bytes) {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Ok(room) = self.inbox_room.clone().try_acquire_many_owned(size) else {
            tracing::debug!(?topic, "the inbox is full");
            return self.judge(&ticket, MessageAcceptance::Ignore);
        };
        let verdict = Verdict { ticket: Some(ticket), commands: self.commands.clone(), _room: room };
        // What does not fit is dropped, and so judged: ignored.
        let _ = self.inbox.try_send(Gossip { topic, publisher, bytes, verdict });
    }

    /// Counts a direct message; false when the peer has sent too many since the last tick.
    fn within_rate(&mut self, peer: PeerId) -> bool {
        let count = self.direct.entry(peer).or_insert(0);
        *count += 1;
        *count <= DIRECT_PER_TICK
    }

    fn status(&mut self, event: DirectEvent) {
        let request_response::Event::Message { peer, message, .. } = event else { return };
        let request_response::Message::Request { request, channel, .. } = message else { return };
        let Some(request) = self.bounded(peer, request) else { return };
        if !self.within_rate(peer) {
            return;
        }
        let _ = self.swarm.behaviour_mut().status.send_response(channel, Bytes::new());
        if let Some(peer) = engine_peer(peer) {
            self.inbound.tell(Inbound::Status(peer, request));
        }
    }

    fn sync(&mut self, event: DirectEvent) {
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                let Some(request) = self.bounded(peer, request) else { return };
                let Some(asker) = engine_peer(peer).filter(|_| self.within_rate(peer)) else {
                    return;
                };
                self.next_question += 1;
                self.to_answer.insert(self.next_question, (request_id, channel));
                self.inbound.tell(Inbound::Asked(self.next_question, asker, request));
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                if let Some((id, peer)) = self.asked.remove(&request_id).zip(engine_peer(peer)) {
                    self.inbound.tell(Inbound::Answered(id, peer, response));
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                if let Some((id, peer)) = self.asked.remove(&request_id).zip(engine_peer(peer)) {
                    self.inbound.tell(Inbound::Unanswered(id, peer, reason(&error)));
                }
            }
            Event::InboundFailure { peer, request_id, .. } => {
                let question = self.to_answer.iter().find(|(_, (id, _))| *id == request_id).map(|(id, _)| *id);
                if let Some((id, peer)) = question.zip(engine_peer(peer)) {
                    self.to_answer.remove(&id);
                    self.inbound.tell(Inbound::Abandoned(id, peer));
                }
            }
            Event::ResponseSent { .. } => {}
        }
    }

    fn ask(&mut self, event: DirectEvent) {
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let Some(request) = self.bounded(peer, request) else { return };
                if self.within_rate(peer) {
                    let commands = self.commands.clone();
                    let _ = self.asks.try_send(Ask { from: peer, question: request, channel, commands });
                }
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(reply) = self.own_asked.remove(&request_id) {
                    let _ = reply.send(Ok(response));
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(reply) = self.own_asked.remove(&request_id) {
                    let _ = reply.send(Err(AskError::Unanswered(error.to_string())));
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    /// A request that is as long as agreed; who sends a longer one is at fault.
    fn bounded(&mut self, peer: PeerId, request: Request) -> Option<Bytes> {
        let request = request.ok();
        if request.is_none() {
            self.fault(peer, "a request that is longer than agreed");
        }
        request
    }
}

/// The engine's next wish; never, once it is gone.
async fn next(port: &mut Option<mpsc::Receiver<Outbound>>) -> Option<Outbound> {
    match port {
        Some(port) => port.recv().await,
        None => std::future::pending().await,
    }
}

fn reason(failure: &OutboundFailure) -> OutboundFailureReason {
    match failure {
        OutboundFailure::DialFailure => OutboundFailureReason::DialFailure,
        OutboundFailure::Timeout => OutboundFailureReason::Timeout,
        OutboundFailure::ConnectionClosed => OutboundFailureReason::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => OutboundFailureReason::UnsupportedProtocols,
        OutboundFailure::Io(_) => OutboundFailureReason::Io,
    }
}

/// The engine has its own type for the same bytes. `None` only for a kind of peer id that neither would take.
fn engine_peer(peer: PeerId) -> Option<EnginePeerId> {
    EnginePeerId::from_bytes(&peer.to_bytes()).ok()
}

fn transport_peer(peer: EnginePeerId) -> Option<PeerId> {
    PeerId::from_bytes(&peer.to_bytes()).ok()
}
