//! A whole network in one thread: the engine's pure core with our context, a seeded clock and a seeded wire.
//!
//! Every node runs the same consensus as the live engine, with its log, its parts and its codec; what is replaced is
//! time, the network, and the sync protocol (a lagging node is handed the next decided block by some peer). Nothing
//! reads a clock or iterates in an order that could differ, so the same seed gives the same [`Sim::trace`], and a seed
//! that fails is a test.
//!
//! The core stands behind [`Node`], which asks nothing that the live engine would not: the real core is one
//! implementation, a fake that builds empty blocks another. Villains are nodes too: [`Node::second_face`].

use crate::app::{Kept, Start, Stored, Verdict, pairs};
use crate::ballot::{Ballot, SignedBallot, Step};
use crate::codec::{WireCodec, certificate_bytes, certificate_from_bytes, encode, extended};
use crate::context::{ABSTAINED, Level, Palisade, Refused, ValidatorSet, Value, Verifier, Vote, Voter};
use crate::malachite::metrics::Metrics;
use crate::malachite::{
    Codec, CommitCertificate, Effect, Input, LinearTimeouts, LivenessMsg, LocallyProposedValue, NilOrVal, Params,
    PeerId, ProposedValue, Resumable, Resume, Round, SignedConsensusMsg, SignedMessage, State, StreamMessage, Timeout,
    TimeoutKind, Validity, ValueOrigin, ValuePayload, ValueResponse, VoteType, numbered_peer, process,
};
use crate::parts::{Gathering, Part, Proposed, cut, whole_block};
use arc_malachitebft_core_types::VoteExtensionPolicy;
use arc_malachitebft_signing::{Verifier as _, VerifierExt};
use bytes::Bytes;
use futures::FutureExt;
use palisade_crypto::hash::keccak256_all;
use palisade_types::block::Block;
use palisade_types::canonical::Canonical;
use palisade_types::evidence::VotePair;
use palisade_types::ids::{BlockId, ChainId, Ed25519Signature, OperatorId};
use palisade_types::units::{Height, Millis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What stands behind the engine of one simulated node. Each call may be the last before a crash.
pub trait Node {
    /// Whose votes it makes.
    fn operator(&self) -> OperatorId;
    /// The height after the last committed one; asked at every start, also after a crash.
    fn start(&mut self) -> Start;
    /// Undecided blocks of `height` that [`Self::keep`] made durable.
    fn kept(&mut self, height: Height) -> Vec<Block>;
    /// Builds a block.
    fn propose(&mut self, now: Millis, height: Height, round: u32) -> Block;
    /// Judges a block. [`Verdict::Unknown`] is asked again at every tick until the propose timeout.
    fn check(&mut self, now: Millis, of: &Proposed, block: &Block, decided: bool) -> Verdict;
    /// Makes an undecided block durable.
    fn keep(&mut self, kept: &Kept);
    /// Commits.
    fn decided(&mut self, now: Millis, of: &Proposed, block: &Block, certificate: &[u8]) -> Start;
    /// A committed block.
    fn block(&self, height: Height) -> Option<Stored>;
    /// The guard and the key.
    fn sign(&mut self, ballot: &Ballot) -> Result<Ed25519Signature, Refused>;
    /// The tap: a ballot heard, its signature unchecked.
    fn heard(&mut self, _now: Millis, _ballot: &SignedBallot) {}
    /// Pairs that the engine met.
    fn misbehaved(&mut self, _pairs: Vec<VotePair>) {}
    /// Time goes by.
    fn tick(&mut self, _now: Millis) {}
    /// A message of the node's own from node `from`.
    fn received(&mut self, _now: Millis, _from: usize, _message: &[u8]) {}
    /// The node's own messages to all others, asked for after every call above.
    fn outgoing(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }
    /// A villain's other vote for the slot of `ballot`: the others get it too, before or after.
    fn second_face(&mut self, _ballot: &SignedBallot) -> Option<SignedBallot> {
        None
    }
    /// Whether a villain keeps what he has to say from `to`.
    fn withholds(&self, _to: usize) -> bool {
        false
    }
    /// The process dies: forget all that is not durable.
    fn crash(&mut self) {}
}

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Decides everything that is not decided by the nodes.
    pub seed: u64,
    /// The network's chain id, for signatures.
    pub chain: ChainId,
    /// The least time a message takes.
    pub delay_min: Millis,
    /// The most.
    pub delay_max: Millis,
    /// Messages of a thousand that are lost.
    pub loss: u16,
    /// How often a node's time goes by.
    pub tick: Millis,
}

impl Config {
    /// One-way delays of 20 to 120 ms and no loss.
    #[must_use]
    pub const fn seeded(seed: u64, chain: ChainId) -> Self {
        Self { seed, chain, delay_min: Millis::new(20), delay_max: Millis::new(120), loss: 0, tick: Millis::new(250) }
    }
}

/// A network.
pub struct Sim<N> {
    config: Config,
    random: ChaCha8Rng,
    now: Millis,
    order: u64,
    events: BTreeMap<(Millis, u64), Event>,
    inputs: VecDeque<(usize, Input<Palisade>)>,
    slots: Vec<Slot<N>>,
    cut: BTreeSet<(usize, usize)>,
    trace: [u8; 32],
}

/// One node and what its engine holds.
struct Slot<N> {
    node: N,
    address: Voter,
    peer: PeerId,
    /// Counts the starts: what was scheduled for an earlier life is not delivered.
    life: u64,
    state: Option<State<Palisade>>,
    /// The engine counts its steps in it and insists that none is left out.
    metrics: Metrics,
    seats: Option<ValidatorSet>,
    timeouts: LinearTimeouts,
    target: Option<Duration>,
    began: Millis,
    timers: Vec<(Timeout, u64)>,
    gathering: Gathering,
    blocks: BTreeMap<(Height, BlockId), Arc<Block>>,
    checks: Vec<Check>,
    next: Option<Start>,
    finalized: bool,
    replaying: bool,
    hung: Option<String>,
    log: Log,
}

/// The write-ahead log: it survives a crash up to where it was flushed, and perhaps further.
#[derive(Default)]
struct Log {
    height: Height,
    entries: Vec<Input<Palisade>>,
    flushed: usize,
}

/// A block the node could not judge yet.
struct Check {
    of: Proposed,
    block: Arc<Block>,
    until: Millis,
    origin: ValueOrigin,
}

enum Event {
    Packet { from: usize, to: usize, life: u64, packet: Packet },
    Timer { node: usize, life: u64, id: u64 },
    Tick { node: usize, life: u64 },
    Begin { node: usize, life: u64 },
}

#[derive(Clone)]
enum Packet {
    Consensus(Bytes),
    Liveness(Bytes),
    Part(Bytes),
    Own(Bytes),
    Decided { block: Bytes, certificate: Bytes },
}

impl Packet {
    fn bytes(&self) -> [&[u8]; 2] {
        match self {
            Self::Consensus(bytes) | Self::Liveness(bytes) | Self::Part(bytes) | Self::Own(bytes) => [bytes, &[]],
            Self::Decided { block, certificate } => [block, certificate],
        }
    }
}

impl<N: Node> Sim<N> {
    /// Starts all nodes at time zero.
    pub fn new(config: Config, nodes: impl IntoIterator<Item = N>) -> Self {
        let slots = (0_u32..).zip(nodes).map(|(index, node)| Slot::new(index, node)).collect();
        let mut sim = Self {
            config,
            random: ChaCha8Rng::seed_from_u64(config.seed),
            now: Millis::new(0),
            order: 0,
            events: BTreeMap::new(),
            inputs: VecDeque::new(),
            slots,
            cut: BTreeSet::new(),
            trace: [0; 32],
        };
        for node in 0..sim.slots.len() {
            sim.restart(node);
        }
        sim
    }

    /// How many nodes there are, up or down.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The node at `index`.
    #[must_use]
    pub fn node(&self, index: usize) -> &N {
        &self.slots[index].node
    }

    /// The same, to be changed from outside: to tell it what a chain shows, for instance.
    pub fn node_mut(&mut self, index: usize) -> &mut N {
        &mut self.slots[index].node
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.slots.iter().map(|slot| &slot.node)
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.now
    }

    /// The hash of everything that was delivered and decided so far, in order.
    #[must_use]
    pub const fn trace(&self) -> [u8; 32] {
        self.trace
    }

    /// Whether the node runs.
    #[must_use]
    pub fn is_up(&self, node: usize) -> bool {
        self.slots[node].state.is_some()
    }

    /// Why the engine of `node` refused to go on, if it did: its log led it to another vote than the recorded one,
    /// or it decided a block that nobody kept. The live engine stops too, and a person looks at it.
    #[must_use]
    pub fn hung(&self, node: usize) -> Option<&str> {
        self.slots[node].hung.as_deref()
    }

    /// Loses every message between the two from now on.
    pub fn cut(&mut self, one: usize, other: usize) {
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Loses no more messages than the config says.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Changes how many messages of a thousand are lost.
    pub const fn lose(&mut self, loss: u16) {
        self.config.loss = loss;
    }

    /// Runs until `done` holds, at most until `limit`; says whether it held.
    pub fn run_until(&mut self, limit: Millis, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            match self.events.first_key_value() {
                Some(((at, _), _)) if *at <= limit => self.step(),
                _ => {
                    self.now = self.now.max(limit);
                    return done(self);
                }
            }
        }
        true
    }

    /// Runs for some time.
    pub fn run_for(&mut self, time: Millis) {
        let limit = Millis::new(self.now.get() + time.get());
        self.run_until(limit, |_| false);
    }

    /// Kills a node: what it had not flushed may be lost.
    pub fn crash(&mut self, node: usize) {
        let slot = &mut self.slots[node];
        slot.life += 1;
        slot.state = None;
        slot.timers.clear();
        slot.gathering = Gathering::default();
        slot.blocks.clear();
        slot.checks.clear();
        (slot.next, slot.finalized) = (None, false);
        let kept = self.random.gen_range(slot.log.flushed..=slot.log.entries.len());
        slot.log.entries.truncate(kept);
        slot.node.crash();
        self.inputs.retain(|(to, _)| *to != node);
    }

    /// What a node's engine logged is gone, with the machine it was on.
    pub fn forget(&mut self, node: usize) {
        self.slots[node].log = Log::default();
    }

    /// Starts a node with what it kept.
    pub fn restart(&mut self, node: usize) {
        let slot = &mut self.slots[node];
        slot.life += 1;
        slot.metrics = Metrics::new();
        let life = slot.life;
        let start = slot.node.start();
        let height = start.height;
        let logged = if slot.log.height == height { std::mem::take(&mut slot.log.entries) } else { Vec::new() };
        // What was kept must be at hand before the log is replayed: the log may lead straight to a decision.
        let kept: Vec<_> = slot.node.kept(height).into_iter().map(Arc::new).collect();
        slot.blocks.extend(kept.iter().map(|block| ((height, block.id()), block.clone())));
        self.begin(node, start);
        self.replay(node, logged);
        for block in kept {
            let Some(seats) = self.slots[node].seats.clone() else { continue };
            let proposer = seats.proposer(height, Round::ZERO).address.0;
            let of = Proposed { height, round: 0, proposer, block: block.id() };
            self.check(node, of, block, ValueOrigin::Consensus);
        }
        let first = self.random.gen_range(0..=self.config.tick.get());
        self.schedule(Millis::new(first), Event::Tick { node, life });
        self.settle();
    }

    // Time.

    fn schedule(&mut self, after: Millis, event: Event) {
        self.order += 1;
        self.events.insert((Millis::new(self.now.get() + after.get()), self.order), event);
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.events.pop_first() else { return };
        self.now = at;
        match event {
            Event::Packet { from, to, life, packet } if self.slots[to].life == life && self.is_up(to) => {
                let [first, second] = packet.bytes();
                self.note(&[&to.to_be_bytes(), &from.to_be_bytes(), first, second]);
                self.deliver(from, to, packet);
            }
            Event::Timer { node, life, id } if self.slots[node].life == life => self.elapsed(node, id),
            Event::Tick { node, life } if self.slots[node].life == life && self.is_up(node) => {
                self.tick(node);
                self.schedule(self.config.tick, Event::Tick { node, life });
            }
            Event::Begin { node, life } if self.slots[node].life == life => {
                if let Some(start) = self.slots[node].next.take() {
                    self.begin(node, start);
                }
            }
            Event::Packet { .. } | Event::Timer { .. } | Event::Tick { .. } | Event::Begin { .. } => {}
        }
        self.settle();
    }

    fn note(&mut self, parts: &[&[u8]]) {
        let mut all = vec![self.trace.to_vec(), self.now.get().to_be_bytes().to_vec()];
        all.extend(parts.iter().map(|part| part.to_vec()));
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        self.trace = keccak256_all(&all);
    }

    fn elapsed(&mut self, node: usize, id: u64) {
        let timers = &mut self.slots[node].timers;
        if let Some(place) = timers.iter().position(|(_, timer)| *timer == id) {
            let (timeout, _) = timers.remove(place);
            self.inputs.push_back((node, Input::TimeoutElapsed(timeout)));
        }
    }

    fn tick(&mut self, node: usize) {
        let now = self.now;
        self.slots[node].node.tick(now);
        for check in std::mem::take(&mut self.slots[node].checks) {
            if check.until >= now {
                self.judge(node, check);
            }
        }
        self.catch_up(node);
    }

    /// The sync protocol in one line: some peer that has the block of our height sends it.
    fn catch_up(&mut self, node: usize) {
        let slot = &self.slots[node];
        let Some(state) = slot.state.as_ref().filter(|_| slot.next.is_none()) else { return };
        let height = state.height().0;
        let able: Vec<_> = (0..self.slots.len())
            .filter(|peer| *peer != node && self.is_up(*peer))
            .filter_map(|peer| Some((peer, self.slots[peer].node.block(height)?)))
            .collect();
        if !able.is_empty() {
            let (peer, stored) = able[self.random.gen_range(0..able.len())].clone();
            self.send(peer, node, Packet::Decided { block: stored.block, certificate: stored.certificate });
        }
    }

    // The wire.

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        let delay = self.random.gen_range(self.config.delay_min.get()..=self.config.delay_max.get());
        let lost = self.random.gen_range(0..1000) < self.config.loss || self.cut.contains(&(from, to));
        if !lost && !self.slots[from].node.withholds(to) {
            let life = self.slots[to].life;
            self.schedule(Millis::new(delay), Event::Packet { from, to, life, packet });
        }
    }

    fn broadcast(&mut self, from: usize, packet: &Packet) {
        for to in 0..self.slots.len() {
            if to != from {
                self.send(from, to, packet.clone());
            }
        }
    }

    fn publish(&mut self, from: usize, message: &SignedConsensusMsg<Palisade>) {
        if *message.signature() == ABSTAINED {
            return;
        }
        let honest = Packet::Consensus(encode(message).into());
        let other = match message {
            SignedConsensusMsg::Vote(vote) => {
                let ballot = signed(vote.message.ballot(self.config.chain), vote.signature);
                self.slots[from].node.second_face(&ballot).and_then(|face| vote_of(&face))
            }
            SignedConsensusMsg::Proposal(_) => None,
        };
        let Some(other) = other else { return self.broadcast(from, &honest) };
        // Gossip brings both to everybody; which comes first, and is counted, is chance.
        self.broadcast(from, &Packet::Consensus(encode(&SignedConsensusMsg::Vote(other)).into()));
        self.broadcast(from, &honest);
    }

    fn stream(&mut self, from: usize, of: Proposed) {
        let Some(block) = self.slots[from].blocks.get(&(of.height, of.block)) else { return };
        let bytes = Bytes::from(block.to_bytes());
        let nonce = self.random.r#gen();
        for part in cut(of, &bytes, nonce) {
            self.broadcast(from, &Packet::Part(encode(&part).into()));
        }
    }

    fn deliver(&mut self, from: usize, to: usize, packet: Packet) {
        let input = match packet {
            Packet::Consensus(bytes) => match WireCodec.decode(bytes) {
                Ok(SignedConsensusMsg::Vote(vote)) => Some(Input::Vote(vote)),
                Ok(SignedConsensusMsg::Proposal(proposal)) => Some(Input::Proposal(proposal)),
                Err(_) => None,
            },
            Packet::Liveness(bytes) => match WireCodec.decode(bytes) {
                Ok(LivenessMsg::Vote(vote)) => Some(Input::Vote(vote)),
                Ok(LivenessMsg::PolkaCertificate(certificate)) => Some(Input::PolkaCertificate(certificate)),
                Ok(LivenessMsg::SkipRoundCertificate(certificate)) => Some(Input::RoundCertificate(certificate)),
                Err(_) => None,
            },
            Packet::Part(bytes) => {
                if let Ok(part) = WireCodec.decode(bytes) {
                    self.gather(from, to, part);
                }
                None
            }
            Packet::Own(bytes) => {
                let now = self.now;
                self.slots[to].node.received(now, from, &bytes);
                None
            }
            Packet::Decided { block, certificate } => certificate_from_bytes(&certificate)
                .ok()
                .map(|certificate| ValueResponse::new(self.slots[from].peer, block, extended(certificate)))
                .map(Input::SyncValueResponse),
        };
        // The swarm takes nothing that comes in its own name: to the engine it would be a record of what it said itself.
        let of_own = match &input {
            Some(Input::Vote(vote)) => vote.message.address == self.slots[to].address,
            Some(Input::Proposal(proposal)) => proposal.message.address == self.slots[to].address,
            _ => false,
        };
        if let Some(input) = input.filter(|_| !of_own) {
            self.tap(to, &input);
            self.inputs.push_back((to, input));
        }
    }

    fn tap(&mut self, to: usize, input: &Input<Palisade>) {
        let ballot = match input {
            Input::Vote(vote) => signed(vote.message.ballot(self.config.chain), vote.signature),
            Input::Proposal(proposal) => signed(proposal.message.ballot(self.config.chain), proposal.signature),
            _ => return,
        };
        let now = self.now;
        self.slots[to].node.heard(now, &ballot);
    }

    fn gather(&mut self, from: usize, to: usize, part: StreamMessage<Part>) {
        let (now, publisher) = (self.now, self.slots[from].peer);
        let slot = &mut self.slots[to];
        let Some(height) = slot.state.as_ref().map(|state| state.height().0) else { return };
        if let Ok(Some(arrived)) = slot.gathering.take(now, height, publisher, part) {
            self.check(to, arrived.of, Arc::new(arrived.block), ValueOrigin::Consensus);
        }
    }

    // Blocks.

    fn check(&mut self, node: usize, of: Proposed, block: Arc<Block>, origin: ValueOrigin) {
        let slot = &mut self.slots[node];
        slot.node.keep(&Kept { of, block: block.clone() });
        slot.blocks.insert((of.height, of.block), block.clone());
        let patience = u64::try_from(slot.timeouts.propose.as_millis()).unwrap_or(u64::MAX);
        let until = Millis::new(self.now.get().saturating_add(patience));
        self.judge(node, Check { of, block, until, origin });
    }

    fn judge(&mut self, node: usize, check: Check) {
        let now = self.now;
        let slot = &mut self.slots[node];
        // A block of the next height waits until we are there.
        let here = slot.state.as_ref().is_some_and(|state| state.height().0 == check.of.height);
        let verdict =
            if here { slot.node.check(now, &check.of, &check.block, check.origin.is_sync()) } else { Verdict::Unknown };
        if verdict == Verdict::Unknown {
            slot.checks.push(check);
            return;
        }
        let Proposed { height, round, proposer, block } = check.of;
        let proposed = ProposedValue {
            height: Level(height),
            round: Round::new(round),
            valid_round: Round::Nil,
            proposer: Voter(proposer),
            value: Value(block),
            validity: Validity::from_bool(verdict == Verdict::Valid),
        };
        self.inputs.push_back((node, Input::ProposedValue(proposed, check.origin)));
    }

    // The engine.

    fn begin(&mut self, node: usize, start: Start) {
        let Ok(seats) = ValidatorSet::try_from(&*start.committee) else {
            self.slots[node].hung = Some("the committee cannot decide".to_owned());
            return;
        };
        let now = self.now;
        let slot = &mut self.slots[node];
        slot.began = now;
        slot.timeouts = start.pace.timeouts();
        slot.target = start.pace.target;
        slot.seats = Some(seats.clone());
        slot.log = Log { height: start.height, ..Log::default() };
        slot.gathering.forget_below(start.height);
        slot.blocks.retain(|(height, _), _| *height >= start.height);
        slot.checks.retain(|check| check.of.height >= start.height);
        let params = Params {
            address: slot.address,
            threshold_params: Default::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: true,
        };
        let height = Level(start.height);
        slot.state.get_or_insert_with(|| State::new(Palisade, height, seats.clone(), params, 10, 500));
        // The core measures the rest of the target with a real clock; we measure it with ours, so any time will do
        // that no simulation reaches.
        let target = slot.target.map(|_| Duration::from_secs(1 << 20));
        let input = Input::StartHeight(height, seats, false, target, VoteExtensionPolicy::Disabled);
        self.feed(node, input);
        let waiting = std::mem::take(&mut self.slots[node].checks);
        for check in waiting {
            self.judge(node, check);
        }
    }

    fn replay(&mut self, node: usize, entries: Vec<Input<Palisade>>) {
        if let Some(state) = self.slots[node].state.as_mut() {
            state.index_wal_entries(entries.iter());
        }
        self.slots[node].replaying = true;
        self.slots[node].log.flushed = entries.len();
        self.slots[node].log.entries.clone_from(&entries);
        for entry in entries {
            self.feed(node, entry);
        }
        self.slots[node].replaying = false;
        if let Some(state) = self.slots[node].state.as_mut() {
            state.reset_entries_index();
        }
    }

    /// Feeds everything that came up until nothing more does.
    fn settle(&mut self) {
        loop {
            for node in 0..self.slots.len() {
                for message in self.slots[node].node.outgoing() {
                    self.broadcast(node, &Packet::Own(message.into()));
                }
                self.go_on(node);
            }
            let Some((node, input)) = self.inputs.pop_front() else { return };
            self.feed(node, input);
        }
    }

    /// Goes on once the last height is both committed and finalized; a moment later, so that a node which needs
    /// nobody else does not stop time.
    fn go_on(&mut self, node: usize) {
        let slot = &mut self.slots[node];
        if slot.finalized && slot.next.is_some() {
            slot.finalized = false;
            let life = slot.life;
            self.schedule(Millis::new(1), Event::Begin { node, life });
        }
    }

    fn feed(&mut self, node: usize, input: Input<Palisade>) {
        let Some(mut state) = self.slots[node].state.take() else { return };
        let metrics = self.slots[node].metrics.clone();
        let fed: Result<(), crate::malachite::ConsensusError<Palisade>> = process!(
            input: input,
            state: &mut state,
            metrics: &metrics,
            with: effect => self.effect(node, effect)
        );
        self.slots[node].state = Some(state);
        if let Err(error) = fed {
            self.slots[node].hung = Some(error.to_string());
            self.slots[node].state = None;
        }
    }

    fn effect(&mut self, node: usize, effect: Effect<Palisade>) -> Result<Resume<Palisade>, std::convert::Infallible> {
        let verifier = Verifier::forgetful(self.config.chain);
        Ok(match effect {
            Effect::CancelAllTimeouts(r) => {
                self.slots[node].timers.clear();
                r.resume_with(())
            }
            Effect::CancelTimeout(timeout, r) => {
                self.slots[node].timers.retain(|(timer, _)| *timer != timeout);
                r.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.set_timer(node, timeout);
                r.resume_with(())
            }
            Effect::StartRound(_, _, _, _, r) => {
                self.slots[node].log.flush();
                r.resume_with(())
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.slots[node].log.flush();
                self.publish(node, &message);
                r.resume_with(())
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.publish_liveness(node, &message);
                r.resume_with(())
            }
            Effect::RepublishVote(vote, r) => {
                self.publish_liveness(node, &LivenessMsg::Vote(vote));
                r.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                self.publish_liveness(node, &LivenessMsg::SkipRoundCertificate(certificate));
                r.resume_with(())
            }
            Effect::GetValue(height, round, _, r) => {
                self.propose(node, height.0, round.as_u32().unwrap_or(0));
                r.resume_with(())
            }
            Effect::RestreamProposal(height, round, _, address, block, r) => {
                let round = round.as_u32().unwrap_or(0);
                self.stream(node, Proposed { height: height.0, round, proposer: address.0, block });
                r.resume_with(())
            }
            Effect::CertVerifiedSyncValue(value, proposer, r) => {
                let height = value.certificate.height.0;
                if let Some(block) = whole_block(&value.value_bytes)
                    && block.id() == value.certificate.value_id
                {
                    let round = value.certificate.round.as_u32().unwrap_or(0);
                    let of = Proposed { height, round, proposer: proposer.0, block: block.id() };
                    self.check(node, of, Arc::new(block), ValueOrigin::Sync);
                }
                r.resume_with(())
            }
            Effect::CertRejectedSyncValue(_, _, _, r) => r.resume_with(()),
            Effect::Decide(certificate, _, r) => {
                self.slots[node].log.flush();
                self.decide(node, &certificate);
                r.resume_with(())
            }
            Effect::Finalize(_, _, evidence, r) => {
                let pairs = pairs(self.config.chain, &evidence);
                if !pairs.is_empty() {
                    self.slots[node].node.misbehaved(pairs);
                }
                self.slots[node].finalized = true;
                r.resume_with(())
            }
            Effect::SignVote(vote, r) => {
                let signature = self.sign(node, &vote.ballot(self.config.chain));
                r.resume_with(SignedMessage::new(vote, signature))
            }
            Effect::SignProposal(proposal, r) => {
                let signature = self.sign(node, &proposal.ballot(self.config.chain));
                r.resume_with(SignedMessage::new(proposal, signature))
            }
            Effect::VerifySignature(message, key, r) => {
                use crate::malachite::ConsensusMsg;
                let signature = message.signature;
                let checked = match &message.message {
                    ConsensusMsg::Vote(vote) => verifier.verify_signed_vote(vote, &signature, &key),
                    ConsensusMsg::Proposal(proposal) => verifier.verify_signed_proposal(proposal, &signature, &key),
                };
                r.resume_with(at_once(checked).is_ok_and(|result| result.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => {
                r.resume_with(at_once(verifier.verify_commit_certificate(&Palisade, &certificate, &set, thresholds)))
            }
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, policy, r) => r.resume_with(at_once(
                verifier.verify_extended_commit_certificate(&Palisade, &certificate, &set, thresholds, policy),
            )),
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => {
                r.resume_with(at_once(verifier.verify_polka_certificate(&Palisade, &certificate, &set, thresholds)))
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => {
                r.resume_with(at_once(verifier.verify_round_certificate(&Palisade, &certificate, &set, thresholds)))
            }
            Effect::WalAppend(height, entry, r) => {
                let slot = &mut self.slots[node];
                if !slot.replaying && slot.log.height == height.0 {
                    slot.log.entries.push(entry);
                }
                r.resume_with(())
            }
            Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
            Effect::VerifyVoteExtension(_, _, _, _, _, _, r) => {
                r.resume_with(Err(crate::malachite::VoteExtensionError::InvalidVoteExtension))
            }
        })
    }

    fn set_timer(&mut self, node: usize, timeout: Timeout) {
        let slot = &self.slots[node];
        let after = match timeout.kind {
            TimeoutKind::FinalizeHeight(_) => {
                let target = slot.target.map_or(0, |target| u64::try_from(target.as_millis()).unwrap_or(u64::MAX));
                (slot.began.get().saturating_add(target)).saturating_sub(self.now.get())
            }
            _ => u64::try_from(slot.timeouts.duration_for(timeout).as_millis()).unwrap_or(u64::MAX),
        };
        let life = slot.life;
        self.schedule(Millis::new(after), Event::Timer { node, life, id: self.order + 1 });
        let timers = &mut self.slots[node].timers;
        timers.retain(|(timer, _)| *timer != timeout);
        timers.push((timeout, self.order));
    }

    fn publish_liveness(&mut self, node: usize, message: &LivenessMsg<Palisade>) {
        if !matches!(message, LivenessMsg::Vote(vote) if vote.signature == ABSTAINED) {
            self.broadcast(node, &Packet::Liveness(encode(message).into()));
        }
    }

    fn propose(&mut self, node: usize, height: Height, round: u32) {
        let now = self.now;
        let slot = &mut self.slots[node];
        let block = Arc::new(slot.node.propose(now, height, round));
        let of = Proposed { height, round, proposer: slot.address.0, block: block.id() };
        slot.node.keep(&Kept { of, block: block.clone() });
        slot.blocks.insert((height, of.block), block);
        self.stream(node, of);
        let value = LocallyProposedValue::new(Level(height), Round::new(round), Value(of.block));
        self.inputs.push_back((node, Input::Propose(value)));
    }

    fn decide(&mut self, node: usize, certificate: &CommitCertificate<Palisade>) {
        let (now, height, id) = (self.now, certificate.height.0, certificate.value_id);
        self.note(&[b"decided", &node.to_be_bytes(), &height.get().to_be_bytes(), id.as_bytes()]);
        let slot = &mut self.slots[node];
        let (Some(block), Some(seats)) = (slot.blocks.get(&(height, id)).cloned(), &slot.seats) else {
            slot.hung = Some(format!("block {id} is decided and not at hand"));
            return;
        };
        let of = Proposed {
            height,
            round: certificate.round.as_u32().unwrap_or(0),
            proposer: seats.proposer(height, certificate.round).address.0,
            block: id,
        };
        slot.next = Some(slot.node.decided(now, &of, &block, &certificate_bytes(certificate)));
    }

    fn sign(&mut self, node: usize, ballot: &Ballot) -> Ed25519Signature {
        self.slots[node].node.sign(ballot).unwrap_or(ABSTAINED)
    }
}

impl<N: Node> Slot<N> {
    fn new(index: u32, node: N) -> Self {
        Self {
            address: Voter(node.operator()),
            node,
            peer: numbered_peer(index),
            life: 0,
            state: None,
            metrics: Metrics::new(),
            seats: None,
            timeouts: LinearTimeouts::default(),
            target: None,
            began: Millis::new(0),
            timers: Vec::new(),
            gathering: Gathering::default(),
            blocks: BTreeMap::new(),
            checks: Vec::new(),
            next: None,
            finalized: false,
            replaying: false,
            hung: None,
            log: Log::default(),
        }
    }
}

impl Log {
    fn flush(&mut self) {
        self.flushed = self.entries.len();
    }
}

/// Our verifier never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the verifier computes and never waits")
}

const fn signed(ballot: Ballot, signature: Ed25519Signature) -> SignedBallot {
    SignedBallot { ballot, signature }
}

/// The engine's form of a vote; `None` for a proposal.
fn vote_of(face: &SignedBallot) -> Option<SignedMessage<Palisade, Vote>> {
    let ballot = &face.ballot;
    let kind = match ballot.step {
        Step::Propose => return None,
        Step::Prevote => VoteType::Prevote,
        Step::Precommit => VoteType::Precommit,
    };
    let vote = Vote {
        kind,
        height: Level(ballot.height),
        round: Round::new(ballot.round),
        value: ballot.block.map_or(NilOrVal::Nil, NilOrVal::Val),
        address: Voter(ballot.operator),
    };
    Some(SignedMessage::new(vote, face.signature))
}
