//! The core: what an operator knows and what he does next, without a socket, a clock or a disk.
//!
//! It owns the ledger and everything that waits around it. Events come in as calls; what must be done comes out as
//! [`Action`]s, to be done in order. The live node (`run.rs`) and the seeded world (`tests/src/world.rs`) drive the
//! same code.
//!
//! The path of a block: [`Core::propose`] or [`Core::check`] → [`Core::prepare`] and, once it is durable,
//! [`Core::commit`] → confirmed by our own followers (R7) → attested (BLS) → certificate → finality votes (EOTS). In a
//! BTC-only network confirmation is followed by the votes at once (R22).

mod contradiction;
mod finality;
mod fork;
mod met;
mod numbered;
pub mod passage;
pub mod services;

use crate::handle::RegistrationRefused;
use crate::message::{Message, Presigned};
use crate::sessions::{self, Asked, Sessions, Taken};
use crate::signer::{Met, SignedLast};
use palisade_agreement::anchors::{Anchors, Compared, Gap, Known, Wanted};
use palisade_agreement::app::Verdict;
use palisade_agreement::ballot::{Overheard, contradiction};
use palisade_agreement::batch::Heard;
use palisade_agreement::guard::{Ancestry, Lineage};
use palisade_agreement::pool::Pool;
use palisade_agreement::tally::Tally;
use palisade_agreement::tap::Tap;
use palisade_bitcoin::registration::Presigned as WholeRegistration;
use palisade_bitcoin::vault::Versions;
use palisade_ledger::{Changes, Invalid, Ledger};
use palisade_types::block::{Block, Header, Item};
use palisade_types::certificate::{BitcoinCertificate, QuorumCertificate};
use palisade_types::chain::{CertifiedOrder, ChainKind, ChainPoint, Execution};
use palisade_types::contradiction::Company;
use palisade_types::duty::Unjail;
use palisade_types::epoch::FinalBlock;
use palisade_types::evidence::{Evidence, Unproven, VotePair};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{BlockId, BlsKey, CaseId, Domain, OperatorId, VaultId};
use palisade_types::numbers::{Numbered, NumberedKind};
use palisade_types::observation::{Fact, Observation};
use palisade_types::order::OrderId;
use palisade_types::randomness::Commitment;
use palisade_types::slash::{Case, SlashTarget};
use palisade_types::suspension::Suspended;
use palisade_types::units::{Epoch, Height, Millis};
use palisade_types::vault::VaultRegistration;
use passage::Passage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The chains an operator follows.
pub const CHAINS: [ChainKind; 2] = [ChainKind::Ethereum, ChainKind::Bitcoin];
/// How many own messages per kind are said again while nothing certifies them.
const REPEATED: usize = 32;
/// How often own messages are said again.
const REPEAT: Millis = Millis::new(2_000);
/// How long a block may be without a quorum before peers are asked what they know of it.
const PULL: Millis = Millis::new(3_000);
/// How long an operator leaves an order to those before him in rank.
const PATIENCE: Millis = Millis::new(15_000);
/// How long we leave other proposals in peace after one that asks what only an operator decides (R30).
const ASKING: Millis = Millis::new(10_000);

/// What the driver must do, in order.
#[derive(Debug)]
pub enum Action {
    /// Ask a follower what became true in a gap; the answer is [`Core::observed`].
    Observe(Wanted),
    /// Ask the signer to attest; the answer is [`Core::attested`] or [`Core::unattested`].
    Attest(Box<Attest>),
    /// Ask the signer to attest a claim or an order; the answer is [`Core::attested`]. A refusal needs no answer: the next
    /// epoch gives a new number out.
    AttestNumbered(Box<AttestNumbered>),
    /// Ask the signer for a finality vote; the answer is [`Core::voted`] or [`Core::unvoted`].
    Vote(Box<Vote>),
    /// Ask the signer to promise nonces; the answer is [`Core::committed_randomness`].
    CommitRandomness {
        /// The first checkpoint.
        first: Height,
        /// How many.
        count: u32,
    },
    /// Ask the covenant's member among us, if there is one, to sign; the answer is [`Core::presigned`].
    Presign(Box<Asked>),
    /// Tell every operator.
    Publish(Message),
    /// Keep a certificate for whoever asks.
    Certified(QuorumCertificate),
    /// Keep a checkpoint's certificate for whoever asks.
    BitcoinCertified(BitcoinCertificate),
    /// Keep a claim's or an order's certificate for whoever asks; it takes the place of an earlier one.
    NumberedCertified(NumberedKind, QuorumCertificate),
    /// Keep the certificate of a service's slot for whoever asks; it takes the place of an earlier one.
    ServiceCertified(QuorumCertificate),
    /// Certificates of a service's domain below this slot are told no more.
    ForgetService(Domain, u64),
    /// Certificates below this number are worth nothing any more.
    ForgetNumbered(NumberedKind, u64),
    /// Every block up to this one agrees with what our own followers saw: durable before it is relied on (R7).
    Confirmed(FinalBlock),
    /// A slot of this BLS domain has been without a quorum for a while: ask peers what they know of it. What they tell comes
    /// through [`Core::hear_checked`].
    Pull(Domain, u64),
    /// A signature of our own key was met: ask the signer whether he made it (R20). When he did not, the node stops.
    Met(Box<Met>),
    /// Keep an item that waits, so that a restart does not lose it.
    Keep(Item),
    /// An item no longer waits.
    Drop(Item),
    /// Something a person should know of.
    Notice(String),
    /// Something a person must look at.
    Alarm(String),
}

/// How far ahead nonces are promised (R19). Any operator may choose; the ledger only asks that no two promises overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// How many checkpoints one promise covers.
    pub slots: u32,
    /// A new one is made when fewer are left: long before they run out. When fewer than a quarter of it are left and no
    /// promise gets through, a person is told.
    pub least: u64,
}

impl Default for Promises {
    fn default() -> Self {
        Self { slots: 2_048, least: 512 }
    }
}

/// What the signer needs to attest a block.
#[derive(Clone, Debug)]
pub struct Attest {
    /// The block's header.
    pub header: Header,
    /// Shows in the header's state which block stands at the height attested before (R16).
    pub ancestry: Option<Ancestry>,
    /// The Ethereum anchor of the epoch's boundary block, which a waiting guard compares (R15).
    pub epoch_start: u64,
}

/// What the signer needs to vote for a checkpoint.
#[derive(Clone, Debug)]
pub struct Vote {
    /// The checkpoint and its block.
    pub checkpoint: FinalBlock,
    /// Shows in a committed block that it is of one chain with the checkpoint voted for before (R16).
    pub lineage: Option<Lineage>,
    /// The promise in the ledger that covers it.
    pub promise: Commitment,
    /// As in [`Attest`].
    pub epoch_start: u64,
}

/// What the signer needs to attest a claim or an order.
#[derive(Clone, Debug)]
pub struct AttestNumbered {
    /// What the ledger says in an ether-final block.
    pub numbered: Numbered,
    /// The first height of its epoch, below which nobody can have signed it.
    pub first: Height,
    /// As in [`Attest`].
    pub epoch_start: u64,
}

/// What a person wants to know at a glance.
#[derive(Clone, Debug, Default)]
pub struct CoreStatus {
    /// Our own newest final points.
    pub own_tips: BTreeMap<ChainKind, ChainPoint>,
    /// Items that wait for a block.
    pub pending: usize,
    /// The newest height our followers confirm without a gap.
    pub confirmed: Height,
    /// The newest height we attested.
    pub attested: Height,
    /// The newest checkpoint we voted for.
    pub voted: Height,
    /// The newest block certified, whether or not the certificate stands in a block yet.
    pub certified: Option<FinalBlock>,
    /// The newest checkpoint certified by bitcoin stake, in a block or not.
    pub bitcoin_certified: Option<FinalBlock>,
    /// Chains on which a proposal contradicted what we saw: we attest nothing until a person looks.
    pub contradicted: BTreeSet<ChainKind>,
    /// For how many checkpoints above the head nonces are promised in the ledger under our standing key (R19); `None`
    /// without one.
    pub eots_slots_left: Option<u64>,
}

/// A block whose check waits for a follower, or for our operator.
#[derive(Debug)]
struct Waiting {
    block: Arc<Block>,
    missing: BTreeSet<Missing>,
}

/// What keeps us from voting for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Missing {
    /// Our follower has not been there.
    Gap(Gap),
    /// Our follower does not show that this agreed anchor is gone.
    Loss(ChainKind, ChainPoint),
    /// Our operator has not accepted this new start anchor.
    Acceptance(ChainKind, ChainPoint),
}

/// What a committed block says of a chain and our own follower has not confirmed.
#[derive(Clone, Debug)]
struct Unconfirmed {
    said: Said,
    /// What the parent state knew; later states know more.
    known: Known,
}

#[derive(Clone, Debug)]
enum Said {
    /// What became true in a gap.
    Facts(Gap, Vec<Fact>),
    /// That the chain no longer holds its anchor (R30).
    Loss(ChainKind, ChainPoint),
}

impl Unconfirmed {
    /// What an item says of a chain. `known` are the parent state's.
    fn of(item: &Item, known: &BTreeMap<ChainKind, Known>) -> Option<Self> {
        let (chain, said) = match item {
            Item::Observed(seen) | Item::Resumed(seen) => {
                let known = known.get(&seen.chain)?.hash;
                let gap = Gap { chain: seen.chain, after: seen.after, upto: seen.upto, known };
                (seen.chain, Said::Facts(gap, seen.facts.to_vec()))
            }
            Item::Suspended(suspended) => (suspended.chain, Said::Loss(suspended.chain, suspended.anchor)),
            _ => return None,
        };
        Some(Self { said, known: known.get(&chain)?.clone() })
    }

    fn holds(&self, anchors: &Anchors) -> bool {
        match &self.said {
            Said::Facts(gap, facts) => anchors.compare(gap, facts) == Compared::Same,
            Said::Loss(chain, anchor) => anchors.is_gone(*chain, anchor),
        }
    }

    /// What our follower must be asked to find out.
    fn question(&self, anchors: &Anchors) -> Option<Gap> {
        match &self.said {
            Said::Facts(gap, _) => Some(*gap),
            Said::Loss(chain, anchor) => {
                let upto = anchors.tip(*chain).filter(|tip| tip.number > anchor.number)?;
                Some(Gap { chain: *chain, after: *anchor, upto, known: self.known.hash })
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Core {
    own: OperatorId,
    ledger: Ledger,
    known: BTreeMap<ChainKind, Known>,
    anchors: Anchors,
    tally: Tally,
    tap: Tap,
    pool: Pool,
    previews: BTreeMap<BlockId, Changes>,
    waiting: BTreeMap<BlockId, Waiting>,
    recent: BTreeMap<Height, finality::Recent>,
    unconfirmed: BTreeMap<Height, Vec<Unconfirmed>>,
    unchecked: Option<Height>,
    /// The newest confirmed height that was told.
    told: Height,
    /// What the signer attested and voted for last.
    signed: SignedLast,
    /// What it is being asked to attest.
    asking: Option<Height>,
    /// What it is being asked to vote for.
    voting: Option<Height>,
    /// The head's header, which a vote is shown to be of one chain with; `None` before the first block.
    newest: Option<Header>,
    /// The newest height it was asked for since the start, whatever it answered.
    asked: Height,
    /// Chains of which a block said what our own follower did not see. We attest and vote for nothing until a
    /// person has looked and starts the node again (R7).
    contradicted: BTreeSet<ChainKind>,
    /// New start anchors of suspended chains that our own operator accepted (R30).
    accepted: BTreeMap<ChainKind, ChainPoint>,
    /// When we last proposed one of them.
    resuming: Millis,
    voted: Height,
    passage: Passage,
    /// Certificates of our blocks of this epoch and the one before, by slot.
    certificates: BTreeMap<u64, QuorumCertificate>,
    certified: Option<QuorumCertificate>,
    boundary_certificate: Option<QuorumCertificate>,
    bitcoin_certified: BTreeMap<u64, BitcoinCertificate>,
    book: numbered::Book,
    desk: services::Desk,
    sessions: Sessions,
    early: BTreeMap<(u64, OperatorId), Vec<finality::Early>>,
    said: Vec<(u64, Message)>,
    fork: fork::Fork,
    repeated: Millis,
    /// A block that had no quorum then.
    lacking: Option<(Height, Millis)>,
    promises: Promises,
    /// The key that our signer attests with: what comes from him is not checked again.
    signer_key: Option<BlsKey>,
    /// The head at which nonces were asked for that are not in the ledger yet.
    promising: Option<Height>,
    /// Whether a person was told that nonces run out.
    told_low: bool,
    actions: Vec<Action>,
}

impl Core {
    /// Starts on a ledger from genesis or from disk. `confirmed` is the newest block our own followers agreed with
    /// before the restart, `signed` what the signer signed last.
    #[must_use]
    pub fn new(
        own: OperatorId,
        versions: Versions,
        ledger: Ledger,
        confirmed: Option<FinalBlock>,
        signed: SignedLast,
    ) -> Self {
        let head = ledger.head();
        // It is written before the block it names: what is confirmed beyond the head is confirmed up to the head.
        let checked = confirmed.map_or(Height::new(0), |block| block.height.min(head.height));
        let unchecked = (checked < head.height).then_some(head.height);
        let mut core = Self {
            own,
            known: BTreeMap::new(),
            anchors: Anchors::default(),
            tally: Tally::default(),
            tap: Tap::default(),
            pool: Pool::default(),
            previews: BTreeMap::new(),
            waiting: BTreeMap::new(),
            recent: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            unchecked,
            told: checked,
            signed,
            asking: None,
            voting: None,
            newest: None,
            asked: Height::new(0),
            contradicted: BTreeSet::new(),
            accepted: BTreeMap::new(),
            resuming: Millis::new(0),
            voted: Height::new(0),
            passage: Passage::default(),
            certificates: BTreeMap::new(),
            certified: None,
            boundary_certificate: None,
            bitcoin_certified: BTreeMap::new(),
            book: numbered::Book::of(&ledger),
            desk: services::Desk::default(),
            sessions: Sessions::new(versions),
            early: BTreeMap::new(),
            said: Vec::new(),
            fork: fork::Fork::default(),
            repeated: Millis::new(0),
            lacking: None,
            promises: Promises::default(),
            signer_key: None,
            promising: None,
            told_low: false,
            actions: Vec::new(),
            ledger,
        };
        let registrations: Vec<_> = core.ledger.registrations().cloned().collect();
        core.learn_services(&registrations);
        core.learn();
        core
    }

    /// Promises nonces further ahead, or less far.
    #[must_use]
    pub const fn promising(mut self, promises: Promises) -> Self {
        self.promises = promises;
        self
    }

    /// What [`Self::attested`] brings is signed with this key.
    #[must_use]
    pub const fn signing_with(mut self, key: BlsKey) -> Self {
        self.signer_key = Some(key);
        self
    }

    /// The ledger, for whoever reads.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Who we are.
    #[must_use]
    pub const fn own(&self) -> OperatorId {
        self.own
    }

    /// What a person wants to know at a glance.
    #[must_use]
    pub fn status(&self) -> CoreStatus {
        let certified = self.certified.as_ref().map(|certificate| FinalBlock {
            height: Height::new(certificate.slot),
            id: BlockId::new(*certificate.digest.as_bytes()),
        });
        let bitcoin = self.bitcoin_certified.values().next_back().map(|certificate| FinalBlock {
            height: Height::new(certificate.slot),
            id: BlockId::new(*certificate.digest.as_bytes()),
        });
        CoreStatus {
            own_tips: CHAINS.iter().filter_map(|chain| Some((*chain, self.anchors.tip(*chain)?))).collect(),
            pending: self.pool.len(),
            confirmed: self.confirmed(),
            attested: self.signed.attested.map_or(Height::new(0), |block| block.height),
            voted: self.signed.voted.map_or(Height::new(0), |block| block.height),
            certified: higher(certified, self.ledger.finality().ether),
            bitcoin_certified: higher(bitcoin, self.ledger.finality().bitcoin),
            contradicted: self.contradicted.clone(),
            eots_slots_left: self.eots_slots_left(),
        }
    }

    /// What has become due since it was last asked.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    // ---- blocks ------------------------------------------------------------------------------------------------

    /// Builds a block on the head from what we saw and what waits.
    pub fn propose(&mut self, now: Millis) -> Block {
        let mut items: Vec<Item> = CHAINS.iter().filter_map(|chain| self.seen_of(*chain, now)).collect();
        items.extend(self.pool.items().cloned());
        items.extend(self.supplements());
        items.extend(self.ether_candidate());
        self.vouch(&items);
        items.extend(self.bitcoin_candidates());
        let (block, changes, refused) = self.ledger.draft(items);
        for (item, why) in refused {
            if !matches!(why, Invalid::Early(_)) {
                self.leave_pool(&item);
            }
        }
        self.previews.insert(block.id(), changes);
        block
    }

    /// What we may propose about a chain: what we saw of it, that it is to be suspended, or that it goes on.
    fn seen_of(&mut self, chain: ChainKind, now: Millis) -> Option<Item> {
        let after = self.ledger.anchor(chain);
        let known = &self.known.get(&chain)?.hash;
        if self.ledger.suspension(chain).is_some() {
            let accepted = self.accepted.get(&chain)?;
            let seen = self.anchors.proposable(chain, after, known, now).filter(|seen| seen.upto == *accepted)?;
            if self.resuming.get() > 0 && self.resuming.get() + ASKING.get() > now.get() {
                return None;
            }
            self.resuming = now;
            return Some(Item::Resumed(seen));
        }
        if self.anchors.is_gone(chain, after) {
            return self.anchors.suspended(chain, after, now).map(Item::Suspended);
        }
        self.anchors.proposable(chain, after, known, now).map(Item::Observed)
    }

    /// Judges a proposed block. `None`: our followers have not been where it leads; [`Self::verdict`] will tell.
    /// A block that comes by sync is decided already: its observations are compared before we attest (R7).
    pub fn check(&mut self, block: &Arc<Block>, decided: bool) -> Option<Verdict> {
        let id = block.id();
        self.look_for_contradictions(block);
        // Beside a certificate that holds a peer may hand in any block at all: only what is decided says where the chain leads.
        if !decided && self.leads_elsewhere(block).is_some() {
            return Some(Verdict::Invalid);
        }
        if let Err(invalid) = self.preview(block) {
            self.actions.push(Action::Alarm(format!("proposed block {id} is invalid: {invalid}")));
            return Some(Verdict::Invalid);
        }
        if decided {
            return Some(Verdict::Valid);
        }
        let missing = self.missing(block);
        match missing {
            Ok(missing) if missing.is_empty() => Some(Verdict::Valid),
            Ok(missing) => {
                self.want(missing.iter().copied().filter_map(Missing::gap));
                self.waiting.insert(id, Waiting { block: block.clone(), missing });
                None
            }
            Err(chain) => {
                self.contradiction(chain);
                Some(Verdict::Invalid)
            }
        }
    }

    /// Blocks whose check has come to an end since it was last asked.
    pub fn verdicts(&mut self) -> Vec<(BlockId, Verdict)> {
        let ready: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.missing.is_empty())
            .map(|(id, waiting)| (*id, waiting.block.clone()))
            .collect();
        ready
            .into_iter()
            .map(|(id, block)| {
                self.waiting.remove(&id);
                match self.missing(&block) {
                    Ok(missing) if missing.is_empty() => (id, Verdict::Valid),
                    Ok(_) => (id, Verdict::Unknown),
                    Err(chain) => {
                        self.contradiction(chain);
                        (id, Verdict::Invalid)
                    }
                }
            })
            .collect()
    }

    /// What the decided block changes: to be made durable before [`Self::commit`].
    ///
    /// # Errors
    ///
    /// [`Invalid`]: two thirds decided what we cannot apply. The process must stop.
    pub fn prepare(&mut self, block: &Block) -> Result<Changes, Invalid> {
        self.preview(block)?;
        Ok(self.previews.get(&block.id()).cloned().expect("a valid preview is kept"))
    }

    /// The decided block is durable: it is the head now.
    pub fn commit(&mut self, block: &Block, changes: Changes) {
        let height = block.header.height;
        let said = block.items.iter().filter_map(|item| Unconfirmed::of(item, &self.known));
        self.unconfirmed.insert(height, said.collect());
        self.confirm();
        self.want_unconfirmed();
        for suspended in block.items.iter().filter_map(suspension) {
            let (chain, anchor) = (suspended.chain, suspended.anchor);
            self.actions.push(Action::Alarm(format!(
                "{chain:?} is SUSPENDED from height {height} on: its heaviest chain no longer holds the agreed block {} {}. Its \
                 stake weighs nothing until operators accept a new start anchor",
                anchor.number,
                crate::text::chain_hash(chain, &anchor.hash)
            )));
        }
        let run = self.ledger.finality().run;
        self.book.keep(height, changes.rows());
        let registrations = Self::registrations_in(changes.rows());
        self.ledger.apply(changes);
        self.learn_services(&registrations);
        self.tell_run(run);
        self.previews.clear();
        self.waiting.clear();
        for item in &block.items {
            self.leave_pool(item);
            if let Item::EtherFinal(certificate) = item {
                self.keep_certificate(certificate);
            }
        }
        if block.items.iter().any(|item| matches!(item, Item::Vault(_))) {
            self.recheck_expansions();
        }
        self.keep_recent(block.header);
        self.meet_in(&block.items);
        self.learn();
        self.tap.advance(height);
        self.forget();
        self.proceed();
        self.hear_early();
        self.hear_early_numbered();
    }

    /// Whether `block` applies to the head; what it changes is kept.
    fn preview(&mut self, block: &Block) -> Result<(), Invalid> {
        let id = block.id();
        if self.previews.contains_key(&id) {
            return Ok(());
        }
        self.vouch(&block.items);
        let changes = self.ledger.preview(block)?;
        for item in &block.items {
            self.check_item(item)?;
        }
        self.previews.insert(id, changes);
        Ok(())
    }

    /// What the ledger cannot judge, because it speaks neither Bitcoin nor the engine's language.
    fn check_item(&self, item: &Item) -> Result<(), Invalid> {
        match item {
            Item::Vault(registration) => self.check_vault(registration),
            Item::Evidence(Evidence::Votes(pair)) => contradiction(&self.ledger.chain(), pair)
                .map(|_| ())
                .ok_or(Invalid::Refused("two engine votes do not contradict each other")),
            _ => Ok(()),
        }
    }

    fn check_vault(&self, registration: &VaultRegistration) -> Result<(), Invalid> {
        let parent = sessions::parent(&self.ledger, registration);
        let whole = WholeRegistration::check(registration, parent, self.sessions.versions())
            .map_err(|_| Invalid::Refused("a vault registration's transactions or signatures do not hold"))?;
        match whole.draft().funding() {
            Some(coin) if self.ledger.vault(&coin).is_some() => {
                Err(Invalid::Refused("an expansion that is paid for by a vault"))
            }
            _ => Ok(()),
        }
    }

    // ---- what our own followers see ------------------------------------------------------------------------------

    /// Our follower stands at a new final point.
    pub fn stands(&mut self, now: Millis, chain: ChainKind, tip: ChainPoint) {
        if self.anchors.stand(chain, tip, now) {
            self.look_ahead();
            self.want_missing();
        }
        self.proceed();
    }

    /// Our follower tells what became true in a gap.
    pub fn observed(&mut self, gap: Gap, facts: Vec<Fact>) {
        self.anchors.saw(gap, facts);
        self.found(&Missing::Gap(gap));
        self.confirm();
        for chain in self.differing() {
            if self.contradicted.insert(chain) {
                self.contradiction(chain);
            }
        }
        self.proceed();
    }

    /// Our follower's own final points are gone from its chain, whatever the ledger took in (R30).
    pub fn rewound(&mut self, chain: ChainKind) {
        self.anchors.rewound(chain);
    }

    /// Our follower's chain is deep past the beginning of a gap, an agreed anchor, and does not hold it (R30).
    pub fn lost(&mut self, now: Millis, gap: &Gap) {
        let (chain, anchor) = (gap.chain, gap.after);
        self.anchors.unanswered(gap);
        if self.anchors.lost(chain, anchor, now) {
            self.actions.push(Action::Alarm(format!(
                "our own endpoint's {chain:?} no longer holds the agreed block {} {}",
                anchor.number,
                crate::text::chain_hash(chain, &anchor.hash)
            )));
        }
        self.found(&Missing::Loss(chain, anchor));
        self.confirm();
        self.proceed();
    }

    /// Our operator accepts `anchor` as the point from which a suspended chain goes on (R30). False when the chain is not
    /// suspended. Only the operator's own machine may call this.
    pub fn accept(&mut self, chain: ChainKind, anchor: ChainPoint) -> bool {
        if self.ledger.suspension(chain).is_none() {
            return false;
        }
        self.accepted.insert(chain, anchor);
        self.found(&Missing::Acceptance(chain, anchor));
        self.look_ahead();
        true
    }

    /// Something that blocks wait for is there.
    fn found(&mut self, missing: &Missing) {
        for waiting in self.waiting.values_mut() {
            waiting.missing.remove(missing);
        }
    }

    /// Our follower cannot tell (yet). It is asked again at the next tick.
    pub fn unobserved(&mut self, gap: &Gap) {
        self.anchors.unanswered(gap);
    }

    /// Drops what our own follower agrees with. What it contradicts stays, and with it everything that builds on
    /// it stays unattested (R7).
    ///
    /// A suspension that we see too settles what earlier blocks said of that chain: the state says since then that none of
    /// it counts.
    fn confirm(&mut self) {
        let mut settled = Vec::new();
        for (height, said) in &mut self.unconfirmed {
            for one in said.extract_if(.., |one| one.holds(&self.anchors)) {
                if let Said::Loss(chain, _) = one.said {
                    settled.push((*height, chain));
                }
            }
        }
        for (suspended, chain) in settled {
            self.contradicted.remove(&chain);
            for said in self.unconfirmed.range_mut(..suspended).map(|(_, said)| said) {
                said.retain(|one| !matches!(&one.said, Said::Facts(gap, _) if gap.chain == chain));
            }
        }
        self.unconfirmed.retain(|_, said| !said.is_empty());
    }

    /// Chains of which a committed block says what our own follower does not see.
    fn differing(&self) -> BTreeSet<ChainKind> {
        let different = |one: &Unconfirmed| match &one.said {
            Said::Facts(gap, facts) => (self.anchors.compare(gap, facts) == Compared::Different).then_some(gap.chain),
            Said::Loss(..) => None,
        };
        self.unconfirmed.values().flatten().filter_map(different).collect()
    }

    /// Asks (again) for what a proposed block waits for.
    fn want_missing(&mut self) {
        let missing = self.waiting.values().flat_map(|waiting| waiting.missing.iter().copied());
        let gaps: Vec<Gap> = missing.filter_map(Missing::gap).collect();
        self.want(gaps);
    }

    fn want_unconfirmed(&mut self) {
        for one in self.unconfirmed.values().flatten() {
            let Some(gap) = one.question(&self.anchors) else { continue };
            if let Some(wanted) = self.anchors.want(gap, &one.known) {
                self.actions.push(Action::Observe(wanted));
            }
        }
    }

    /// Asks for everything between the agreed anchor and where our follower stands; of a suspended chain, for everything
    /// up to where our operator wants to go on.
    fn look_ahead(&mut self) {
        let ahead = |chain: ChainKind| {
            let after = *self.ledger.anchor(chain);
            let upto = match self.ledger.suspension(chain) {
                Some(_) => *self.accepted.get(&chain)?,
                None => self.anchors.tip(chain).filter(|tip| tip.is_above(&after))?,
            };
            Some(Gap { chain, after, upto, known: self.known.get(&chain)?.hash })
        };
        let gaps: Vec<Gap> = CHAINS.into_iter().filter_map(ahead).collect();
        self.want(gaps);
    }

    fn want(&mut self, gaps: impl IntoIterator<Item = Gap>) {
        for gap in gaps {
            let Some(known) = self.known.get(&gap.chain).filter(|known| known.hash == gap.known) else {
                continue;
            };
            if let Some(wanted) = self.anchors.want(gap, known) {
                self.actions.push(Action::Observe(wanted));
            }
        }
    }

    fn gap(&self, observation: &Observation) -> Option<Gap> {
        let known = self.known.get(&observation.chain)?.hash;
        Some(Gap { chain: observation.chain, after: observation.after, upto: observation.upto, known })
    }

    /// What a block says of chains and we have not seen; `Err` names a chain on which we saw something else.
    fn missing(&self, block: &Block) -> Result<BTreeSet<Missing>, ChainKind> {
        let mut missing = BTreeSet::new();
        for item in &block.items {
            match item {
                Item::Observed(seen) => missing.extend(self.unseen(seen)?),
                Item::Suspended(suspended) if !self.anchors.is_gone(suspended.chain, &suspended.anchor) => {
                    missing.insert(Missing::Loss(suspended.chain, suspended.anchor));
                }
                Item::Resumed(seen) => {
                    missing.extend(self.unseen(seen)?);
                    if self.accepted.get(&seen.chain) != Some(&seen.upto) {
                        missing.insert(Missing::Acceptance(seen.chain, seen.upto));
                    }
                }
                _ => {}
            }
        }
        Ok(missing)
    }

    /// The observation's gap, when our follower has not been there; `Err` when it saw something else.
    fn unseen(&self, observation: &Observation) -> Result<Option<Missing>, ChainKind> {
        let gap = self.gap(observation).ok_or(observation.chain)?;
        match self.anchors.compare(&gap, &observation.facts) {
            Compared::Same => Ok(None),
            Compared::Different => Err(gap.chain),
            Compared::Unknown if self.anchors.contradicts(gap.chain, &gap.upto) => Err(gap.chain),
            Compared::Unknown => Ok(Some(Missing::Gap(gap))),
        }
    }

    fn contradiction(&mut self, chain: ChainKind) {
        self.actions.push(Action::Alarm(format!(
            "a block says of {chain:?} what our own endpoint does not show; nothing that builds on it is attested"
        )));
    }

    /// What the new head knows of each chain.
    fn learn(&mut self) {
        for chain in CHAINS {
            self.known.insert(chain, Known::new(self.ledger.watch(chain)));
            self.anchors.agreed(chain, self.ledger.anchor(chain));
            if self.ledger.suspension(chain).is_none() {
                self.accepted.remove(&chain);
            }
        }
        self.look_ahead();
    }

    // ---- what others say ---------------------------------------------------------------------------------------

    /// Hears a message of another operator. False when it was worthless: the sender pays, and it is not passed on.
    pub fn hear(&mut self, now: Millis, message: Message) -> bool {
        match message {
            Message::Attestation(attestation) => self.hear_attestation(&Heard::Unchecked(attestation)),
            Message::Vote(vote) => self.hear_vote(vote),
            Message::NumberedCertificate(certificate) => self.hear_numbered_certificate(*certificate),
            Message::Certificate(certificate) => self.hear_certificate(*certificate),
            Message::Evidence(evidence) => match self.submit_evidence(*evidence) {
                Ok(_) => true,
                Err(unproven) => unproven.depends_on_head(),
            },
            Message::Registration(registration) => match self.sessions.name(&self.ledger, &registration) {
                // Whether the operator is known and the vault new depends on the head, and theirs is another.
                Ok(_) => {
                    let _ = self.register(now, *registration);
                    true
                }
                Err(_) => false,
            },
            Message::Presigned(presigned) => self.presigned(*presigned, false),
            Message::Unjail(unjail) => {
                let item = Item::Unjail(unjail);
                let bad =
                    |why: &Invalid| matches!(why, Invalid::Refused(_) | Invalid::Unproven(Unproven::BadSignature));
                let worthless = self.ledger.admits(&item).is_err_and(|why| bad(&why));
                self.wait_in_pool(item);
                !worthless
            }
            Message::Randomness(commitment) => {
                let item = Item::Randomness(commitment);
                // What stands in a block already, or comes a little early, is honest: heads differ.
                let worthless = matches!(self.ledger.admits(&item), Err(Invalid::Refused(_)));
                self.wait_in_pool(item);
                !worthless
            }
        }
    }

    /// A ballot went by on the network: two that contradict each other are evidence (R18).
    pub fn heard_ballot(&mut self, heard: &Overheard) {
        let head = self.ledger.head().height;
        let Some(operator) = self.ledger.operator(&heard.signed.ballot.operator) else {
            return;
        };
        if let Some(pair) = self.tap.hear(head, operator, heard) {
            self.accuse(Evidence::Votes(pair));
        }
    }

    /// The engine met contradicting ballots.
    pub fn misbehaved(&mut self, pairs: Vec<VotePair>) {
        for pair in pairs {
            self.accuse(Evidence::Votes(pair));
        }
    }

    fn accuse(&mut self, evidence: Evidence) {
        // A fault that is judged already, or not provable, is nothing new.
        let _ = self.submit_evidence(evidence);
    }

    /// Takes evidence from anybody: judged at once, it waits for a block and is told to every operator. The answer names the cases
    /// that it opens.
    ///
    /// # Errors
    ///
    /// [`Unproven`]; nothing has changed then.
    pub fn submit_evidence(&mut self, evidence: Evidence) -> Result<Vec<CaseId>, Unproven> {
        let cases = if let Evidence::ExposedProvider(provider) = &evidence {
            self.ledger.judge_provider(provider)?;
            Vec::new()
        } else if let Evidence::Votes(pair) = &evidence {
            let operator = self.ledger.operator(&pair.operator).ok_or(Unproven::UnknownOperator)?;
            contradiction(&self.ledger.chain(), pair).ok_or(Unproven::Compatible)?;
            if !pair.signed_by(operator) {
                return Err(Unproven::BadSignature);
            }
            if operator.jailed.is_some() {
                return Err(Unproven::AlreadyConvicted);
            }
            Vec::new()
        } else if let Evidence::Verdict(verdict) = &evidence {
            vec![self.ledger.judge_verdict(verdict)?]
        } else if let Evidence::Certificates(pair) = &evidence {
            let convicts = self.ledger.judge_certificates(pair)?;
            convicts.iter().map(|convict| self.ledger.case_id(convict, &pair.first.domain)).collect()
        } else {
            let fault = self.ledger.judge(&evidence)?;
            vec![self.ledger.case_id(&fault.operator(), &fault.domain())]
        };
        let item = Item::Evidence(evidence.clone());
        if !self.pool.holds(&item) && self.wait_in_pool(item) {
            self.actions.push(Action::Publish(Message::Evidence(Box::new(evidence))));
        }
        Ok(cases)
    }

    /// Takes what transactions on a chain gave away (R29). As a rule the case whose slash it was stands already.
    pub fn exposed(&mut self, secrets: Vec<Evidence>) {
        for secret in secrets {
            match self.submit_evidence(secret.clone()) {
                Ok(_) => tracing::error!(?secret, "a slashing transaction nobody ordered gave a finality key away"),
                Err(reason) => tracing::debug!(?secret, %reason, "a finality key that was given away says nothing new"),
            }
        }
    }

    /// Takes a vault registration that the covenant has not signed: every operator hears of it.
    ///
    /// # Errors
    ///
    /// [`RegistrationRefused`] with the reason; nothing has changed then.
    pub fn register(&mut self, now: Millis, registration: VaultRegistration) -> Result<VaultId, RegistrationRefused> {
        let id = self.sessions.name(&self.ledger, &registration)?;
        if let Some(asked) = self.sessions.open(now, &self.ledger, &registration)? {
            self.ask_covenant(asked);
        }
        Ok(id)
    }

    fn ask_covenant(&mut self, asked: Asked) {
        self.actions.push(Action::Publish(Message::Registration(Box::new(asked.registration.clone()))));
        self.actions.push(Action::Presign(Box::new(asked)));
    }

    /// Takes a covenant member's answer, `own` when it is ours. False when it is worthless.
    pub fn presigned(&mut self, presigned: Presigned, own: bool) -> bool {
        if own {
            self.actions.push(Action::Publish(Message::Presigned(Box::new(presigned.clone()))));
        }
        match self.sessions.take(presigned) {
            Taken::Worthless => return false,
            Taken::Whole(registration) => drop(self.wait_in_pool(Item::Vault(registration))),
            Taken::Unneeded | Taken::Waiting => {}
        }
        true
    }

    // ---- the pool ------------------------------------------------------------------------------------------------

    /// Items that waited before a restart; what the ledger does not admit any more is dropped.
    pub fn remember(&mut self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            if !self.wait_in_pool(item.clone()) {
                self.actions.push(Action::Drop(item));
            }
        }
    }

    /// Lets an item wait for a block if the ledger would admit it now; false when it does not wait.
    fn wait_in_pool(&mut self, item: Item) -> bool {
        if self.pool.holds(&item) {
            return true;
        }
        if self.ledger.admits(&item).is_err() || self.check_item(&item).is_err() {
            return false;
        }
        if let Item::Randomness(commitment) = &item {
            let same = |other: &&Item| matches!(other, Item::Randomness(one) if one.operator == commitment.operator);
            if self.pool.items().any(|other| same(&other)) {
                return false;
            }
        }
        let waits = self.pool.add(item.clone());
        if waits {
            self.actions.push(Action::Keep(item));
        }
        waits
    }

    /// The block that put us into jail, when the time there is over.
    #[must_use]
    pub fn jailed(&self) -> Option<Height> {
        let blocks = self.ledger.genesis_of().parameters.epoch_ethereum_blocks;
        let since = self.ledger.duty(&self.own)?.jailed?.block;
        let is_over = self.ledger.anchor(ChainKind::Ethereum).number >= since.saturating_add(blocks);
        let operator = self.ledger.operator(&self.own).filter(|operator| operator.convicted.is_none() && is_over)?;
        operator.jailed
    }

    /// The signer signed that we leave jail: it waits for a block, here and at everybody's.
    pub fn unjailing(&mut self, unjail: Unjail) {
        self.wait_in_pool(Item::Unjail(unjail));
        self.actions.push(Action::Publish(Message::Unjail(unjail)));
    }

    /// What pays for a waiting expansion may have become a vault. The ledger, which reads no transactions, would take it all the same:
    /// but nobody votes for a block that holds it, and as long as it waits every block of ours would.
    fn recheck_expansions(&mut self) {
        let expands = |item: &&Item| matches!(item, Item::Vault(vault) if vault.expansion.is_some());
        let lost: Vec<Item> =
            self.pool.items().filter(expands).filter(|item| self.check_item(item).is_err()).cloned().collect();
        for item in &lost {
            self.leave_pool(item);
        }
    }

    fn leave_pool(&mut self, item: &Item) {
        if self.pool.holds(item) {
            self.pool.remove(item);
            self.actions.push(Action::Drop(item.clone()));
        }
    }

    // ---- time ----------------------------------------------------------------------------------------------------

    /// Time goes by: what was said and is not certified is said again, what could not be observed is asked again.
    pub fn tick(&mut self, now: Millis) {
        if self.repeated.get() + REPEAT.get() > now.get() {
            return;
        }
        self.repeated = now;
        self.look_ahead();
        self.want_unconfirmed();
        self.want_missing();
        self.say_again();
        self.pull(now);
        self.sessions.settle(now, &self.ledger);
        for asked in self.sessions.repeated(&self.ledger) {
            self.ask_covenant(asked);
        }
        self.proceed();
    }

    /// Orders of `chain` that nobody has carried out and whose turn ours is: in rank order, each with patience. What a covenant's
    /// breach costs on Ethereum stands open: no contract there can read Bitcoin's witnesses, and takes it by a certified order only.
    #[must_use]
    pub fn open_orders(&self, now: Millis, since: &BTreeMap<CaseId, Millis>, chain: ChainKind) -> Vec<Execution> {
        let mut open = Vec::new();
        for case in self.ledger.cases() {
            let waited = since.get(&case.id).map_or(0, |first| now.get().saturating_sub(first.get()));
            if waited < self.rank(&case.id) * PATIENCE.get() {
                continue;
            }
            for (order, slash) in case.orders.iter().enumerate() {
                let vault = match (chain, slash.target) {
                    (
                        ChainKind::Ethereum,
                        SlashTarget::EigenLayer(_)
                        | SlashTarget::Symbiotic(_)
                        | SlashTarget::Karak(_)
                        | SlashTarget::Service(_),
                    ) => None,
                    (ChainKind::Bitcoin, SlashTarget::Vault(id)) => self.ledger.vault(&id).cloned(),
                    _ => continue,
                };
                let Some(operator) = self.ledger.operator(&case.operator).cloned() else {
                    continue;
                };
                if slash.status.is_open() {
                    let certified = self.order_for(case, &slash.target).map(Box::new);
                    let company = self.company_of(case);
                    open.push(Execution { case: case.clone(), order, operator, vault, certified, company });
                }
            }
        }
        open
    }

    /// What is certified of a case that no contract can judge.
    fn order_for(&self, case: &Case, target: &SlashTarget) -> Option<CertifiedOrder> {
        let adapter = case.needs_order().then(|| self.ledger.genesis_of().contracts.taking_orders(target))??;
        self.certified_order(&OrderId { case: case.id, adapter })
    }

    /// Who signed with the convict of two certificates.
    fn company_of(&self, case: &Case) -> Option<Company> {
        let Some(Evidence::Certificates(pair)) = &case.evidence else { return None };
        pair.company(self.ledger.committee_of(pair.epoch)?, &case.operator)
    }

    /// How many operators go before us for this case.
    fn rank(&self, case: &CaseId) -> u64 {
        let accused = self.ledger.case(case).map(|case| case.operator);
        self.place(usize::from(case.as_bytes()[0]), accused)
    }

    /// How many operators go before us to hand over from `epoch`.
    #[must_use]
    pub fn turn(&self, epoch: Epoch) -> u32 {
        let place = self.place(usize::try_from(epoch.get()).unwrap_or(0), None);
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Our place in the committee without `accused`, counted from a member who is another one for each `first`.
    fn place(&self, first: usize, accused: Option<OperatorId>) -> u64 {
        let members: Vec<OperatorId> = self
            .ledger
            .committee()
            .members
            .iter()
            .map(|member| member.operator)
            .filter(|operator| Some(*operator) != accused)
            .collect();
        let Some(own) = members.iter().position(|operator| *operator == self.own) else {
            return members.len() as u64;
        };
        let first = first % members.len();
        ((own + members.len() - first) % members.len()) as u64
    }

    /// The genesis we live in.
    #[must_use]
    pub fn genesis(&self) -> &Arc<Genesis> {
        self.ledger.genesis_of()
    }
}

impl Missing {
    const fn gap(self) -> Option<Gap> {
        match self {
            Self::Gap(gap) => Some(gap),
            Self::Loss(..) | Self::Acceptance(..) => None,
        }
    }
}

const fn suspension(item: &Item) -> Option<&Suspended> {
    match item {
        Item::Suspended(suspended) => Some(suspended),
        _ => None,
    }
}

/// The higher of two final blocks.
fn higher(one: Option<FinalBlock>, other: Option<FinalBlock>) -> Option<FinalBlock> {
    one.into_iter().chain(other).max_by_key(|block| block.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_ledger::fixture::{Network, Run, network};

    /// A registration that nobody votes for any more, as one whose funding coin has become a vault, makes every block of whoever holds it
    /// one that nobody votes for. The fixture's vaults have no real scripts, so that all of them are such.
    #[test]
    fn r27_an_expansion_that_nobody_votes_for_any_more_is_proposed_no_more() {
        let mut run = Run::joined(network(4, 21));
        run.produce(vec![Item::Vault(Box::new(run.network.vault(0, 1, 100_000, 20)))]);
        let id = Network::vault_id(&run.network.vault(0, 1, 100_000, 20));
        let parent = run.ledger.vault(&id).unwrap().clone();
        let versions = Versions::of(run.ledger.genesis_of()).unwrap();
        let own = run.network.operators[0].id;
        let mut core = Core::new(own, versions, run.ledger.clone(), None, SignedLast::default());
        let waiting = Item::Vault(Box::new(run.network.expanded(&parent, 0, 2, 200_000)));
        assert!(core.check_item(&waiting).is_err() && core.pool.add(waiting.clone()));
        let next = |core: &mut Core, run: &mut Run, items| {
            let block = run.produce(items).clone();
            let changes = core.ledger.preview(&block).unwrap();
            core.commit(&block, changes);
        };
        next(&mut core, &mut run, vec![]);
        assert!(core.pool.holds(&waiting), "nothing has changed for it");
        core.actions();
        let other = Item::Vault(Box::new(run.network.vault(1, 3, 100_000, 20)));
        next(&mut core, &mut run, vec![other]);
        assert!(!core.pool.holds(&waiting));
        let dropped = |action: &Action| matches!(action, Action::Drop(item) if *item == waiting);
        assert!(core.actions().iter().any(dropped));
    }
}
