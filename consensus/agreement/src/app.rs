//! What the engine asks of its application, translated for the node's core.
//!
//! The engine speaks to one actor, which hands on to the loop here. The loop never waits: whatever takes time (the
//! core building, checking, keeping or committing a block) runs beside it and comes back as [`Done`]. The engine's
//! own bridge (`app-channel`'s connector) would wait for each answer before it takes the next message, and a check
//! that waits for a chain follower would stop the engine's rounds.
//!
//! Three promises are kept here. A block's bytes are durable in the core before the engine hears that the block
//! exists, because the engine's log holds only the id. The engine is answered after a decision only when the core has
//! committed it. And a height is never restarted: that would wipe the log and could make us equivocate; when the core
//! is gone the engine stops.

use crate::ballot::SignedBallot;
use crate::codec::{certificate_bytes, certificate_from_bytes, extended};
use crate::context::{BadSeats, Level, Palisade, Proposal, ValidatorSet, Value, Vote, Voter};
use crate::malachite::engine::consensus::{ConsensusRef, Msg as ConsensusMsg};
use crate::malachite::engine::host::{HostMsg, Next, SyncedValueOutcome};
use crate::malachite::engine::network::{Msg as NetworkMsg, NetworkRef};
use crate::malachite::{
    CommitCertificate, HeightParams, LinearTimeouts, LocallyProposedValue, MisbehaviorEvidence, PeerId, ProposedValue,
    RawDecidedValue, Round, SignedMessage, Validity, ValueOrigin,
};
use crate::parts::{Arrived, BadPart, Gathering, Proposed, cut, whole_block};
use crate::surplus::Seated;
use bytes::Bytes;
use palisade_types::block::Block;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::Committee;
use palisade_types::evidence::VotePair;
use palisade_types::ids::{BlockId, ChainId, OperatorId};
use palisade_types::units::{Height, Millis};
use ractor::RpcReplyPort;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How long the engine waits at each step. Every round adds [`Self::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For a proposal; also what the core may take to build or check one.
    pub propose: Duration,
    /// For prevotes, after two thirds of them.
    pub prevote: Duration,
    /// For precommits, after two thirds of them.
    pub precommit: Duration,
    /// What each round adds to the three.
    pub step: Duration,
    /// How long one height takes at least. Late votes are gathered meanwhile, which is when the engine sees most
    /// evidence. `None`: as fast as it goes.
    pub target: Option<Duration>,
}

impl Pace {
    /// For a devnet on one machine.
    pub const DEVNET: Self = Self {
        propose: Duration::from_secs(1),
        prevote: Duration::from_millis(500),
        precommit: Duration::from_millis(500),
        step: Duration::from_millis(500),
        target: Some(Duration::from_secs(1)),
    };
    /// For operators around the world.
    pub const MAINNET: Self = Self {
        propose: Duration::from_secs(3),
        prevote: Duration::from_secs(1),
        precommit: Duration::from_secs(1),
        step: Duration::from_millis(500),
        target: Some(Duration::from_secs(1)),
    };

    pub(crate) fn timeouts(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose,
            propose_delta: self.step,
            prevote: self.prevote,
            prevote_delta: self.step,
            precommit: self.precommit,
            precommit_delta: self.step,
            rebroadcast: self.propose + self.prevote + self.precommit,
            max_timeout: Duration::from_secs(60),
        }
    }
}

/// A height for the engine to decide, and by whom.
#[derive(Clone, Debug)]
pub struct Start {
    /// The height after the last committed one.
    pub height: Height,
    /// Whose `engine` weights decide it.
    pub committee: Arc<Committee>,
    /// How fast.
    pub pace: Pace,
}

/// A block that is proposed and not decided, as the core keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it is proposed.
    pub of: Proposed,
    /// The block.
    pub block: Arc<Block>,
}

/// A committed block, as a lagging peer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its encoding.
    pub block: Bytes,
    /// The certificate that came with [`Request::Decided`].
    pub certificate: Bytes,
}

/// What the core thinks of a proposed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// We vote for it.
    Valid,
    /// We vote for none.
    Invalid,
    /// We cannot know, for a reason of our own: no vote here, and a block from a peer is asked for again.
    Unknown,
}

/// What the engine wants from the core. A dropped reply means that the core is gone, and stops the engine.
#[derive(Debug)]
pub enum Request {
    /// Where to start.
    Ready {
        /// The height after the last committed one.
        reply: oneshot::Sender<Start>,
    },
    /// Undecided blocks kept for this height, asked once after [`Self::Ready`].
    Kept {
        /// The height.
        height: Height,
        /// The round and the block of each [`Self::Keep`]; a core that forgot the round says 0.
        reply: oneshot::Sender<Vec<(u32, Block)>>,
    },
    /// A new round began. Nothing is answered.
    Round {
        /// Its height.
        height: Height,
        /// The round.
        round: u32,
        /// Whose turn it is.
        proposer: OperatorId,
    },
    /// Build a block: it is our turn.
    Propose {
        /// On top of the block before this height.
        height: Height,
        /// In this round.
        round: u32,
        /// After this the others vote for none.
        timeout: Duration,
        /// The block.
        reply: oneshot::Sender<Block>,
    },
    /// Is this block valid on top of the last committed one? The core may take up to the propose timeout, since a
    /// follower may not be there yet.
    Check {
        /// Where it is proposed.
        of: Proposed,
        /// The block; its header commits to its items.
        block: Arc<Block>,
        /// It comes by sync with a certificate: more than two thirds of the power decided it already, so its
        /// observations are compared with ours only before we attest it (R7).
        decided: bool,
        /// What we think of it.
        reply: oneshot::Sender<Verdict>,
    },
    /// Make this undecided block durable. Several may be kept for one height; all go when the height is decided.
    Keep {
        /// The block and where it is proposed.
        kept: Kept,
        /// Done.
        reply: oneshot::Sender<()>,
    },
    /// The engine decided: commit. When that fails the core aborts the process.
    Decided {
        /// Where it was proposed.
        of: Proposed,
        /// The block.
        block: Arc<Block>,
        /// The precommits of more than two thirds, as [`certificate_bytes`] writes them.
        certificate: Bytes,
        /// The next height, once the commit is durable.
        reply: oneshot::Sender<Start>,
    },
    /// Contradicting ballots that the engine met; the signatures are checked. Nothing is answered.
    Misbehaved {
        /// The pairs.
        pairs: Vec<VotePair>,
    },
    /// Committed blocks from one height up to and including another, in order and without a gap, as far as there are.
    Blocks {
        /// The first.
        from: Height,
        /// The last.
        upto: Height,
        /// They.
        reply: oneshot::Sender<Vec<Stored>>,
    },
    /// The first height that [`Self::Blocks`] can give.
    HistoryMin {
        /// That height.
        reply: oneshot::Sender<Height>,
    },
}

/// The most different blocks taken in one round: more than one is a fault already.
const MAX_BLOCKS_PER_ROUND: usize = 2;
/// Rounds ahead of ours for which blocks are taken; the engine drops proposals further off.
const MAX_ROUNDS_AHEAD: u32 = 10;
/// Blocks of the next height that wait for us to get there.
const MAX_WAITING: usize = 8;
/// The most blocks answered to one request of the sync protocol.
pub(crate) const SYNC_BATCH: u64 = 20;

/// The loop.
pub(crate) struct App {
    chain: ChainId,
    own: OperatorId,
    started: Instant,
    requests: mpsc::Sender<Request>,
    connected: watch::Receiver<BTreeSet<OperatorId>>,
    quorum_wait: Duration,
    network: NetworkRef<Palisade>,
    /// Tells the wire which height the engine decides, and who decides it.
    seated: watch::Sender<Option<Seated>>,
    /// Whose seats these are: keys are decoded once a committee.
    committee: Option<Arc<Committee>>,
    work: JoinSet<Done>,
    gathering: Gathering,
    nonce: u32,
    height: Height,
    round: u32,
    seats: Option<ValidatorSet>,
    blocks: BTreeMap<(Height, BlockId), Held>,
    taken: BTreeSet<(Height, u32, BlockId)>,
    waiting: Vec<Kept>,
    next: Option<Start>,
    finalized: Option<RpcReplyPort<Next<Palisade>>>,
}

/// A block at hand.
struct Held {
    block: Arc<Block>,
    bytes: Bytes,
    /// Once valid, a block stays valid at its height; an invalid one may become valid when a follower catches up.
    valid: bool,
}

/// To whom a checked block goes.
enum Deliver {
    Port(RpcReplyPort<ProposedValue<Palisade>>),
    Engine,
    Sync(RpcReplyPort<SyncedValueOutcome<Palisade>>),
}

/// Work that is done.
enum Done {
    Ready {
        start: Start,
        kept: Vec<(u32, Block)>,
        reply: RpcReplyPort<(Level, HeightParams<Palisade>)>,
    },
    Built {
        kept: Kept,
        reply: RpcReplyPort<LocallyProposedValue<Palisade>>,
    },
    Checked {
        of: Proposed,
        verdict: Verdict,
        deliver: Deliver,
    },
    Committed {
        start: Start,
        reply: RpcReplyPort<()>,
    },
    Nothing,
    /// The core is gone.
    Lost(&'static str),
}

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the engine is gone")]
    Engine,
    #[error("the core did not answer {0}")]
    Core(&'static str),
    #[error("the core gave a committee that cannot decide")]
    Seats(#[from] BadSeats),
    #[error("block {0} is decided and nobody has it")]
    Missing(BlockId),
}

impl App {
    pub fn new(
        chain: ChainId,
        own: OperatorId,
        requests: mpsc::Sender<Request>,
        connected: watch::Receiver<BTreeSet<OperatorId>>,
        quorum_wait: Duration,
        network: NetworkRef<Palisade>,
        seated: watch::Sender<Option<Seated>>,
    ) -> Self {
        Self {
            chain,
            own,
            started: Instant::now(),
            requests,
            connected,
            quorum_wait,
            network,
            seated,
            committee: None,
            work: JoinSet::new(),
            gathering: Gathering::default(),
            nonce: 0,
            height: Height::new(0),
            round: 0,
            seats: None,
            blocks: BTreeMap::new(),
            taken: BTreeSet::new(),
            waiting: Vec::new(),
            next: None,
            finalized: None,
        }
    }

    /// Runs until the engine or the core is gone.
    pub async fn run(
        mut self,
        mut messages: mpsc::Receiver<HostMsg<Palisade>>,
        engine: oneshot::Receiver<ConsensusRef<Palisade>>,
    ) -> Ended {
        let Ok(engine) = engine.await else { return Ended::Engine };
        loop {
            let done = tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.serve(message),
                    None => Err(Ended::Engine),
                },
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.finish(done, &engine),
                    Err(_) => Err(Ended::Core("without panicking")),
                },
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    fn now(&self) -> Millis {
        Millis::new(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn serve(&mut self, message: HostMsg<Palisade>) -> Result<(), Ended> {
        match message {
            HostMsg::ConsensusReady { reply_to } => self.ready(reply_to),
            HostMsg::StartedRound { height, round, proposer, reply_to, .. } => {
                self.round(height.0, round, proposer.0);
                // What was kept over a crash is checked and handed in by itself; see `finish`.
                let _ = reply_to.send(Vec::new());
                self.start_waiting();
            }
            HostMsg::GetValue { height, round, timeout, reply_to } => {
                self.propose(height.0, round.as_u32().unwrap_or(0), timeout, reply_to);
            }
            HostMsg::RestreamValue { height, round, address, value_id, .. } => {
                let round = round.as_u32().unwrap_or(0);
                self.stream(Proposed { height: height.0, round, proposer: address.0, block: value_id });
            }
            HostMsg::ReceivedProposalPart { from, published_by, part, reply_to } => {
                let publisher = published_by.unwrap_or(from);
                match self.gathering.take(self.now(), self.height, publisher, part) {
                    Ok(Some(arrived)) => self.arrived(publisher, arrived, reply_to),
                    Ok(None) | Err(BadPart::WrongHeight) => {}
                    Err(fault) => tracing::warn!(%publisher, %fault, "dropped a block part"),
                }
            }
            HostMsg::Decided { certificate, reply_to, .. } => self.decided(&certificate, reply_to)?,
            HostMsg::Finalized { evidence, reply_to, .. } => {
                self.misbehaved(&evidence);
                self.finalized = Some(reply_to);
                self.go_on()?;
            }
            HostMsg::GetDecidedValues { range, reply_to } => {
                self.give_blocks(range.start().0, range.end().0, reply_to);
            }
            HostMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply_to } => {
                self.synced(height.0, round, proposer.0, value_bytes, reply_to);
            }
            HostMsg::GetHistoryMinHeight { reply_to } => {
                let requests = self.requests.clone();
                self.work.spawn(async move {
                    match ask(&requests, |reply| Request::HistoryMin { reply }).await {
                        Some(height) => {
                            let _ = reply_to.send(Level(height));
                            Done::Nothing
                        }
                        None => Done::Lost("from where its history reaches"),
                    }
                });
            }
            // Extensions are disabled, so neither is ever asked.
            HostMsg::ExtendVote { reply_to, .. } => drop(reply_to.send(None)),
            HostMsg::VerifyVoteExtensions { reply_to, .. } => drop(reply_to.send(Vec::new())),
        }
        Ok(())
    }

    fn finish(&mut self, done: Done, engine: &ConsensusRef<Palisade>) -> Result<(), Ended> {
        match done {
            Done::Ready { start, kept, reply } => {
                let (height, params) = self.begin(&start)?;
                for (round, block) in kept {
                    let proposer = params.validator_set.proposer(start.height, Round::new(round)).address.0;
                    let of = Proposed { height: start.height, round, proposer, block: block.id() };
                    let kept = Kept { of, block: Arc::new(block) };
                    self.hold(&kept);
                    self.wait(kept);
                }
                let _ = reply.send((height, params));
            }
            Done::Built { kept, reply } => {
                self.hold(&kept);
                let of = kept.of;
                if let Some(held) = self.blocks.get_mut(&(of.height, of.block)) {
                    held.valid = true; // our own core built it
                }
                self.stream(of);
                let value = Value(of.block);
                let _ = reply.send(LocallyProposedValue::new(Level(of.height), Round::new(of.round), value));
            }
            Done::Checked { of, verdict, deliver } => self.checked(of, verdict, deliver, engine),
            Done::Committed { start, reply } => {
                let _ = reply.send(());
                self.next = Some(start);
                self.go_on()?;
            }
            Done::Nothing => {}
            Done::Lost(what) => return Err(Ended::Core(what)),
        }
        Ok(())
    }

    // Starting.

    /// Asks where to start, then waits until peers with a quorum of power are connected: without them the first
    /// height would burn a round. It does not wait for ever, because a node that lags can catch up from one peer.
    fn ready(&mut self, reply: RpcReplyPort<(Level, HeightParams<Palisade>)>) {
        let (requests, own, patience) = (self.requests.clone(), self.own, self.quorum_wait);
        let mut connected = self.connected.clone();
        self.work.spawn(async move {
            let Some(start) = ask(&requests, |reply| Request::Ready { reply }).await else {
                return Done::Lost("where to start");
            };
            let height = start.height;
            let Some(kept) = ask(&requests, |reply| Request::Kept { height, reply }).await else {
                return Done::Lost("what it kept");
            };
            if let Ok(seats) = ValidatorSet::try_from(&*start.committee) {
                let quorum = connected.wait_for(|peers| seats.is_quorum(|seat| *seat == own || peers.contains(seat)));
                let _ = tokio::time::timeout(patience, quorum).await;
            }
            Done::Ready { start, kept, reply }
        });
    }

    /// Moves to the height of `start`.
    fn begin(&mut self, start: &Start) -> Result<(Level, HeightParams<Palisade>), Ended> {
        let seats = match self.seats.take() {
            Some(seats) if self.committee.as_deref() == Some(&*start.committee) => seats,
            _ => ValidatorSet::try_from(&*start.committee)?,
        };
        self.height = start.height;
        self.round = 0;
        (self.seats, self.committee) = (Some(seats.clone()), Some(start.committee.clone()));
        self.seated.send_replace(Some(Seated { height: start.height, seats: seats.clone() }));
        self.gathering.forget_below(self.height);
        self.blocks.retain(|(height, _), _| *height >= start.height);
        self.taken.retain(|(height, ..)| *height >= start.height);
        self.waiting.retain(|kept| kept.of.height >= start.height);
        Ok((Level(start.height), HeightParams::new(seats, start.pace.timeouts(), start.pace.target)))
    }

    fn round(&mut self, height: Height, round: Round, proposer: OperatorId) {
        let round = round.as_u32().unwrap_or(0);
        self.round = round;
        tracing::debug!(%height, round, %proposer, "a round begins");
        self.tell(Request::Round { height, round, proposer });
    }

    /// Goes on to the next height once the last one is both committed and finalized.
    fn go_on(&mut self) -> Result<(), Ended> {
        if self.next.is_none() || self.finalized.is_none() {
            return Ok(());
        }
        if let (Some(start), Some(reply)) = (self.next.take(), self.finalized.take()) {
            let (height, params) = self.begin(&start)?;
            let _ = reply.send(Next::Start(height, params));
        }
        Ok(())
    }

    // Blocks that are proposed.

    /// Keeps a block at hand.
    fn hold(&mut self, kept: &Kept) {
        let Kept { of, block } = kept;
        self.taken.insert((of.height, of.round, of.block));
        self.blocks.entry((of.height, of.block)).or_insert_with(|| Held {
            block: block.clone(),
            bytes: block.to_bytes().into(),
            valid: false,
        });
    }

    /// Whether a block proposed there is worth keeping: the proposer's turn, a round near ours, not too many of it.
    fn wanted(&self, of: &Proposed) -> bool {
        let there = (of.height, of.round, BlockId::ZERO)..=(of.height, of.round, BlockId::new([0xff; 32]));
        let known = self.taken.contains(&(of.height, of.round, of.block));
        let near = of.height > self.height || of.round <= self.round.saturating_add(MAX_ROUNDS_AHEAD);
        let turn = of.height > self.height
            || self
                .seats
                .as_ref()
                .is_some_and(|seats| seats.proposer(of.height, Round::new(of.round)).address == Voter(of.proposer));
        near && turn && (known || self.taken.range(there).count() < MAX_BLOCKS_PER_ROUND)
    }

    fn arrived(&mut self, publisher: PeerId, arrived: Arrived, reply: RpcReplyPort<ProposedValue<Palisade>>) {
        let kept = Kept { of: arrived.of, block: Arc::new(arrived.block) };
        if kept.of.height > self.height {
            return self.wait(kept);
        }
        if !self.wanted(&kept.of) {
            return tracing::warn!(%publisher, of = ?kept.of, "a block nobody was asked for");
        }
        self.check(kept, false, Deliver::Port(reply));
    }

    /// A block of a height that the engine has not reached.
    fn wait(&mut self, kept: Kept) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(kept);
        }
    }

    /// Checks what waited for this height. The engine hears of it by itself.
    fn start_waiting(&mut self) {
        let (here, later) =
            std::mem::take(&mut self.waiting).into_iter().partition(|kept: &Kept| kept.of.height == self.height);
        self.waiting = later;
        for kept in here {
            if self.wanted(&kept.of) {
                self.check(kept, false, Deliver::Engine);
            }
        }
    }

    /// Makes the block durable, then asks the core what it thinks of it.
    fn check(&mut self, kept: Kept, decided: bool, deliver: Deliver) {
        let Kept { of, block } = kept.clone();
        self.hold(&kept);
        if self.blocks.get(&(of.height, of.block)).is_some_and(|held| held.valid) {
            let requests = self.requests.clone();
            self.work.spawn(async move {
                match ask(&requests, |reply| Request::Keep { kept, reply }).await {
                    Some(()) => Done::Checked { of, verdict: Verdict::Valid, deliver },
                    None => Done::Lost("whether a block is kept"),
                }
            });
            return;
        }
        let requests = self.requests.clone();
        self.work.spawn(async move {
            if ask(&requests, |reply| Request::Keep { kept, reply }).await.is_none() {
                return Done::Lost("whether a block is kept");
            }
            match ask(&requests, |reply| Request::Check { of, block, decided, reply }).await {
                Some(verdict) => Done::Checked { of, verdict, deliver },
                None => Done::Lost("whether a block is valid"),
            }
        });
    }

    fn checked(&mut self, of: Proposed, verdict: Verdict, deliver: Deliver, engine: &ConsensusRef<Palisade>) {
        if let Some(held) = self.blocks.get_mut(&(of.height, of.block)) {
            held.valid |= verdict == Verdict::Valid;
        }
        if verdict == Verdict::Invalid {
            tracing::warn!(?of, "a proposed block is not valid");
        }
        let proposed = ProposedValue {
            height: Level(of.height),
            round: Round::new(of.round),
            valid_round: Round::Nil,
            proposer: Voter(of.proposer),
            value: Value(of.block),
            validity: Validity::from_bool(verdict == Verdict::Valid),
        };
        match deliver {
            Deliver::Port(_) | Deliver::Engine if verdict == Verdict::Unknown => {}
            Deliver::Port(reply) => drop(reply.send(proposed)),
            Deliver::Engine => {
                let _ = engine.cast(ConsensusMsg::ReceivedProposedValue(proposed, ValueOrigin::Consensus));
            }
            Deliver::Sync(reply) => drop(reply.send(match verdict {
                Verdict::Unknown => SyncedValueOutcome::LocalTransientError,
                Verdict::Valid | Verdict::Invalid => SyncedValueOutcome::Verdict(proposed),
            })),
        }
    }

    fn propose(
        &mut self,
        height: Height,
        round: u32,
        timeout: Duration,
        reply: RpcReplyPort<LocallyProposedValue<Palisade>>,
    ) {
        let (requests, proposer) = (self.requests.clone(), self.own);
        // Kept before a crash: propose the same again rather than a second block in one round.
        if let Some(kept) = self.own_block(height, round) {
            self.work.spawn(async move { Done::Built { kept, reply } });
            return;
        }
        self.work.spawn(async move {
            let Some(block) = ask(&requests, |reply| Request::Propose { height, round, timeout, reply }).await else {
                return Done::Lost("with a block to propose");
            };
            let of = Proposed { height, round, proposer, block: block.id() };
            let kept = Kept { of, block: Arc::new(block) };
            let keep = kept.clone();
            match ask(&requests, |reply| Request::Keep { kept: keep, reply }).await {
                Some(()) => Done::Built { kept, reply },
                None => Done::Lost("whether a block is kept"),
            }
        });
    }

    fn own_block(&self, height: Height, round: u32) -> Option<Kept> {
        let ours = self.seats.as_ref()?.proposer(height, Round::new(round)).address == Voter(self.own);
        let there = (height, round, BlockId::ZERO)..=(height, round, BlockId::new([0xff; 32]));
        let (.., block) = *self.taken.range(there).next().filter(|_| ours)?;
        let held = self.blocks.get(&(height, block))?;
        Some(Kept { of: Proposed { height, round, proposer: self.own, block }, block: held.block.clone() })
    }

    /// Publishes the parts of a block at hand, as a new stream.
    fn stream(&mut self, of: Proposed) {
        let Some(held) = self.blocks.get(&(of.height, of.block)) else {
            return tracing::warn!(?of, "asked to send a block that is not at hand");
        };
        self.nonce = self.nonce.wrapping_add(1);
        for part in cut(of, &held.bytes, self.nonce) {
            let _ = self.network.cast(NetworkMsg::PublishProposalPart(part));
        }
    }

    // Decisions.

    fn decided(&mut self, certificate: &CommitCertificate<Palisade>, reply: RpcReplyPort<()>) -> Result<(), Ended> {
        let (height, block) = (certificate.height.0, certificate.value_id);
        let held = self.blocks.get(&(height, block)).ok_or(Ended::Missing(block))?;
        let seats = self.seats.as_ref().ok_or(Ended::Engine)?;
        let of = Proposed {
            height,
            round: certificate.round.as_u32().unwrap_or(0),
            proposer: seats.proposer(height, certificate.round).address.0,
            block,
        };
        let certificate = Bytes::from(certificate_bytes(certificate));
        let (requests, block) = (self.requests.clone(), held.block.clone());
        self.work.spawn(async move {
            match ask(&requests, |reply| Request::Decided { of, block, certificate, reply }).await {
                Some(start) => Done::Committed { start, reply },
                None => Done::Lost("with a commit"),
            }
        });
        Ok(())
    }

    fn misbehaved(&mut self, evidence: &MisbehaviorEvidence<Palisade>) {
        let pairs = pairs(self.chain, evidence);
        if !pairs.is_empty() {
            self.tell(Request::Misbehaved { pairs });
        }
    }

    /// Sends a request that is not answered.
    fn tell(&mut self, request: Request) {
        let requests = self.requests.clone();
        self.work.spawn(async move {
            match requests.send(request).await {
                Ok(()) => Done::Nothing,
                Err(_) => Done::Lost("at all"),
            }
        });
    }

    // Sync.

    fn give_blocks(&mut self, from: Height, upto: Height, reply: RpcReplyPort<Vec<RawDecidedValue<Palisade>>>) {
        let last = from.get().saturating_add(SYNC_BATCH - 1).min(upto.get());
        let requests = self.requests.clone();
        self.work.spawn(async move {
            let blocks = ask(&requests, |reply| Request::Blocks { from, upto: Height::new(last), reply }).await;
            let Some(blocks) = blocks else { return Done::Lost("with committed blocks") };
            let values = (from.get()..=last).zip(blocks).map_while(|(height, stored)| {
                let certificate = certificate_from_bytes(&stored.certificate).ok()?;
                (certificate.height.0.get() == height)
                    .then(|| RawDecidedValue::new(stored.block, extended(certificate)))
            });
            let _ = reply.send(values.collect());
            Done::Nothing
        });
    }

    /// A block that a peer says is decided. The engine has checked the certificate and compares the id.
    fn synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: OperatorId,
        bytes: Bytes,
        reply: RpcReplyPort<SyncedValueOutcome<Palisade>>,
    ) {
        match whole_block(&bytes).filter(|block| block.header.height == height) {
            Some(block) => {
                let of = Proposed { height, round: round.as_u32().unwrap_or(0), proposer, block: block.id() };
                self.check(Kept { of, block: Arc::new(block) }, true, Deliver::Sync(reply));
            }
            None => drop(reply.send(SyncedValueOutcome::PeerFault)),
        }
    }
}

/// Asks the core; `None` when it is gone.
async fn ask<T>(requests: &mpsc::Sender<Request>, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    requests.send(request(reply)).await.ok()?;
    answer.await.ok()
}

/// The engine's evidence as pairs of ballots.
pub(crate) fn pairs(chain: ChainId, evidence: &MisbehaviorEvidence<Palisade>) -> Vec<VotePair> {
    let vote = |vote: &SignedMessage<Palisade, Vote>| SignedBallot {
        ballot: vote.message.ballot(chain),
        signature: vote.signature,
    };
    let proposal = |proposal: &SignedMessage<Palisade, Proposal>| SignedBallot {
        ballot: proposal.message.ballot(chain),
        signature: proposal.signature,
    };
    let votes = evidence.votes.iter().flat_map(|(_, pairs)| pairs);
    let proposals = evidence.proposals.iter().flat_map(|(_, pairs)| pairs);
    votes
        .filter_map(|(first, second)| vote(first).pair(&vote(second)))
        .chain(proposals.filter_map(|(first, second)| proposal(first).pair(&proposal(second))))
        .collect()
}
