//! From a committed block to its finality: confirmed by our own followers, attested, certified, voted for.
//!
//! Certificates are made anew from the tally whenever a block is drafted: what counts may have changed since the
//! first quorum (R9). The boundary block comes before every other, because only its certificate ends the epoch (R10).
//!
//! In a BTC-only network (R22) there are no attestations and no BLS certificates: a block is final enough to vote for once
//! it is decided and our own followers confirm it, and what bitcoin certified needs no comparing any more.

use super::{Action, Attest, CHAINS, Core, PULL, Promises, REPEATED, Unconfirmed, Vote};
use crate::message::Message;
use palisade_agreement::anchors::Known;
use palisade_agreement::batch::{self, Checked, Heard};
use palisade_agreement::guard::{Ancestry, Lineage};
use palisade_agreement::tally::{AHEAD, Counted};
use palisade_crypto::bls;
use palisade_ledger::SUPPLEMENT_HEIGHTS;
use palisade_types::attestation::{Attestation, FinalityVote, Statement};
use palisade_types::block::{Block, Header, Item};
use palisade_types::canonical::List;
use palisade_types::certificate::{BitcoinCertificate, MAX_MEMBERS, Member, QuorumCertificate};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::{FinalBlock, Roll, Run};
use palisade_types::ids::{BlockId, ChainId, Domain, OperatorId};
use palisade_types::keyring::Keyring;
use palisade_types::operator::Operator;
use palisade_types::randomness::{Commitment, RandomnessCommitment};
use palisade_types::row::RowKey;
use palisade_types::units::{Epoch, Height, Millis};

/// How many committed blocks above the newest certified one keep what their attestation needs; the boundary block
/// is kept besides.
const RECENT: usize = 256;
/// How many heights past the head a promise starts, so that it is in a block before it is needed.
const COMMIT_AHEAD: u64 = 5;
/// How many heights a promise may take into a block before the signer is asked for it again.
const COMMIT_PATIENCE: u64 = 20;
/// How many own messages are kept to be said again where a late vote may fill a gap (R22).
const KEPT_LATE: usize = 1_024;
/// How many certificates of a run one block may catch up with.
const CAUGHT_UP: usize = 8;

/// What somebody said of a block that we have not committed; his key made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// That it stands at its height.
    Attestation(Box<Heard>),
    /// That it is a checkpoint.
    Vote(Box<FinalityVote>),
}

impl Early {
    pub(super) const fn operator(&self) -> OperatorId {
        match self {
            Self::Attestation(heard) => heard.attestation().operator,
            Self::Vote(vote) => vote.operator,
        }
    }

    /// Whether it says the same as another.
    fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Attestation(one), Self::Attestation(other)) => one.attestation() == other.attestation(),
            (Self::Vote(one), Self::Vote(other)) => one == other,
            _ => false,
        }
    }
}

/// What a committed block needs to be attested later.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    pub header: Header,
    /// Its state, for the proof of what it builds on (R16). Without it the signer can only repeat itself.
    pub tree: Option<palisade_ledger::Tree>,
    /// The Ethereum anchor in its state; of a block from before a restart, an older one.
    pub anchor: u64,
}

impl Core {
    /// A block from before a restart that may still have to be attested, or published again: the head, and the
    /// boundary block while its certificate is not in the ledger. `tree` is its state, when it could be rebuilt.
    pub fn resume(&mut self, header: Header, tree: Option<palisade_ledger::Tree>) {
        if self.ledger.block_id(header.height) == Some(header.id()) {
            let is_head = header.id() == self.ledger.head().id;
            let tree = if is_head { Some(self.ledger.tree().clone()) } else { tree };
            if is_head {
                self.newest = Some(header);
            }
            let anchor = match is_head {
                true => self.ledger.anchor(ChainKind::Ethereum).number,
                false => self.ledger.committee().ethereum.number,
            };
            self.recent.insert(header.height, Recent { header, tree, anchor });
        }
    }

    /// Compares a block from before a restart with our own followers again, because they had not agreed with it yet.
    /// `parent` is the state before it. The driver gives every block above the newest confirmed one, in order.
    pub fn recheck(&mut self, parent: &palisade_ledger::Ledger, block: &Block) {
        let known = CHAINS.into_iter().map(|chain| (chain, Known::new(parent.watch(chain)))).collect();
        let said = block.items.iter().filter_map(|item| Unconfirmed::of(item, &known));
        let unconfirmed: Vec<_> = said.collect();
        if !unconfirmed.is_empty() {
            self.unconfirmed.insert(block.header.height, unconfirmed);
        }
        if block.header.height == self.ledger.head().height {
            self.unchecked = None;
            self.want_unconfirmed();
        }
    }

    /// The first height that [`Self::recheck`] must be given, when there is one.
    #[must_use]
    pub fn unchecked(&self) -> Option<Height> {
        self.unchecked.map(|_| self.told.next())
    }

    /// The boundary block's certificate from before a restart.
    pub fn resume_certificate(&mut self, certificate: QuorumCertificate) {
        if self.ledger.admits(&Item::EtherFinal(certificate.clone())).is_ok() {
            self.keep_certificate(&certificate);
            self.boundary_certificate = Some(certificate);
        }
    }

    /// Where the boundary block of this epoch stands, once there is one.
    #[must_use]
    pub fn boundary(&self) -> Option<Height> {
        self.ledger.epoch().boundary.map(|boundary| boundary.height)
    }

    /// Keeps what the new head's attestation needs.
    pub(super) fn keep_recent(&mut self, header: Header) {
        self.newest = Some(header);
        if self.is_bitcoin_only() {
            return; // nobody attests
        }
        let (tree, anchor) = (Some(self.ledger.tree().clone()), self.ledger.anchor(ChainKind::Ethereum).number);
        self.recent.insert(header.height, Recent { header, tree, anchor });
        let boundary = self.boundary();
        while self.recent.len() > RECENT {
            let Some(oldest) = self.recent.keys().copied().find(|height| Some(*height) != boundary) else { return };
            self.recent.remove(&oldest);
        }
    }

    /// The newest height up to which our own followers agree with every block since the last certified one.
    pub(super) fn confirmed(&self) -> Height {
        if self.unchecked.is_some() {
            let finality = self.ledger.finality();
            let certified = if self.is_bitcoin_only() { finality.bitcoin } else { finality.ether };
            return certified.map_or(Height::new(0), |block| block.height);
        }
        self.unconfirmed.first_key_value().map_or(self.ledger.head().height, |(height, _)| height.previous())
    }

    /// Does whatever the last event made possible.
    pub(super) fn proceed(&mut self) {
        let certified = self.settled();
        if self.unchecked.is_some_and(|height| height <= certified) {
            self.unchecked = None;
        }
        self.unconfirmed = self.unconfirmed.split_off(&certified.next());
        let confirmed = self.confirmed();
        if confirmed > self.told
            && let Some(id) = self.ledger.block_id(confirmed)
        {
            self.told = confirmed;
            self.actions.push(Action::Confirmed(FinalBlock { height: confirmed, id }));
        }
        for due in self.ledger.due_checkpoints() {
            self.certify_bitcoin(due);
        }
        self.attest(confirmed);
        self.attest_numbered();
        self.vote();
        self.promise();
    }

    /// Whether this operator may say anything about finality now (R7, R9, R13).
    pub(super) fn speaks(&self) -> bool {
        self.has_passed() && self.contradicted.is_empty() && !self.lags() && !self.convicted(&self.own)
    }

    /// Attests the oldest block that is confirmed and was not asked for since the start, one after the other.
    fn attest(&mut self, confirmed: Height) {
        let seated = self.ledger.committee().seat(&self.own).is_some_and(|(_, seat)| seat.ether > 0);
        if !seated || self.asking.is_some() || !self.speaks() {
            return;
        }
        let Some((height, recent)) = self.due(confirmed) else { return };
        let ancestry = self.signed.attested.and_then(|last| {
            let named = self.ledger.block_id(last.height)?;
            let proof = recent.tree.as_ref()?.prove(&RowKey::Block(last.height).path());
            Some(Ancestry { height: last.height, named, proof })
        });
        self.actions.push(Action::Attest(Box::new(Attest {
            header: recent.header,
            ancestry,
            epoch_start: self.ledger.committee().ethereum.number,
        })));
        self.asking = Some(height);
    }

    /// The boundary block while it lacks a certificate, else the oldest above the newest certificate.
    fn due(&self, confirmed: Height) -> Option<(Height, &Recent)> {
        let first = self.ledger.epoch().first.max(self.asked.next());
        let boundary = self.boundary().filter(|height| self.boundary_certificate.is_none() && *height >= first);
        let next = first.max(self.certified_height().next());
        let next = self.recent.range(next..).next().map(|(height, _)| *height);
        let height = boundary.into_iter().chain(next).min().filter(|height| *height <= confirmed)?;
        Some((height, self.recent.get(&height)?))
    }

    /// Whether an agreed anchor lags our own final view by more than L (R7), or we have no view of our own. A suspended
    /// chain's anchor stands still by agreement, and the rest goes on (R30).
    fn lags(&self) -> bool {
        let limit = self.ledger.genesis_of().parameters.attest_lag_blocks;
        let followed = CHAINS.iter().filter(|chain| self.ledger.suspension(**chain).is_none());
        followed.into_iter().any(|chain| {
            let agreed = self.ledger.anchor(*chain).number;
            self.anchors.tip(*chain).is_none_or(|tip| tip.number.saturating_sub(agreed) > limit)
        })
    }

    /// Votes, in order, for every checkpoint with an open slot that was not voted for since the start: ether-certified
    /// ones, in a BTC-only network those our own followers confirm (R7, R22). A node that was away so fills its late slots
    /// in; its guard knows which of them it signed before. While Bitcoin is suspended there is no vote: what is left out is
    /// voted for afterwards, so that the run may go on (R2). One after the other, because each must be shown to be of one chain
    /// with the one before (R16).
    fn vote(&mut self) {
        if self.voting.is_some() || !self.speaks() || self.ledger.suspension(ChainKind::Bitcoin).is_some() {
            return;
        }
        // A ledger that is behind our own records can show nothing about them yet.
        if self.signed.voted.is_some_and(|last| last.height > self.ledger.head().height) {
            return;
        }
        let limit = if self.is_bitcoin_only() { self.confirmed() } else { self.certified_height() };
        let interval = self.interval();
        let done = self.ledger.finality().bitcoin.map_or(Height::new(0), |block| block.height).max(self.voted);
        let mut slot = self.ledger.first_open().max(done.next()).get().div_ceil(interval) * interval;
        while slot <= limit.get() {
            let height = Height::new(slot);
            let Some(id) = self.ledger.block_id(height) else { break };
            self.voted = height;
            if let Some((promise, epoch_start)) = self.promise_for(height) {
                let (checkpoint, lineage) = (FinalBlock { height, id }, self.lineage(height));
                self.voting = Some(height);
                self.actions.push(Action::Vote(Box::new(Vote { checkpoint, lineage, promise, epoch_start })));
                return;
            }
            slot += interval;
        }
    }

    /// Shows in the head's state which blocks stand at a checkpoint and at the one voted for last; `None` before the first vote.
    fn lineage(&self, checkpoint: Height) -> Option<Lineage> {
        let (last, header) = (self.signed.voted?.height, self.newest?);
        let proof = |height: Height| (height != header.height).then(|| self.ledger.prove(&RowKey::Block(height)));
        let (named, checkpoint, proof) = (self.ledger.block_id(last)?, proof(checkpoint), proof(last));
        Some(Lineage { header, checkpoint, last, named, proof })
    }

    /// The promise that our seat of a slot's epoch names, if it has bitcoin and covers the slot, and the Ethereum anchor
    /// of that epoch's committee. Past the promise a vote counts for nothing until the next epoch.
    fn promise_for(&self, slot: Height) -> Option<(Commitment, u64)> {
        let committee = self.ledger.committee_of(self.ledger.epoch_of(slot)?)?;
        let (_, seat) = committee.seat(&self.own).filter(|(_, seat)| seat.bitcoin > 0)?;
        let mut promises = self.ledger.commitments(&self.own).map(|promise| promise.commitment);
        let promise = promises.find(|promise| promise.id() == seat.randomness)?;
        promise.leaf(slot, self.interval())?;
        Some((promise, committee.ethereum.number))
    }

    fn interval(&self) -> u64 {
        self.ledger.genesis_of().parameters.checkpoint_interval
    }

    pub(super) fn is_bitcoin_only(&self) -> bool {
        self.ledger.genesis_of().is_bitcoin_only()
    }

    /// The newest height whose block stake has certified: what lies below is compared with our own followers no more
    /// (R7).
    fn settled(&self) -> Height {
        if !self.is_bitcoin_only() {
            return self.certified_height();
        }
        let own = self.bitcoin_certified.last_key_value().map_or(0, |(slot, _)| *slot);
        Height::new(self.ledger.finality().bitcoin.map_or(own, |block| own.max(block.height.get())))
    }

    /// How many checkpoints above the head our standing key has promised nonces for in the ledger; `None` without keys.
    #[must_use]
    pub fn eots_slots_left(&self) -> Option<u64> {
        let key = self.ledger.operator(&self.own)?.keys_now()?.eots;
        let (interval, head) = (self.interval(), self.ledger.head().height.get());
        let ahead = |promise: &Commitment| {
            let (first, last) = (promise.first.get(), promise.last(interval).get());
            let passed = (head + 1).saturating_sub(first).div_ceil(interval);
            ((last - first) / interval + 1).saturating_sub(passed)
        };
        let promises = self.ledger.commitments(&self.own).filter(|promise| promise.key == key);
        Some(promises.map(|promise| ahead(&promise.commitment)).sum())
    }

    /// Promises nonces long before they run out (R19): for whoever has a standing key, whether or not he sits in the
    /// committee, also while he is jailed. What does not reach a block in time is asked for again; the signer repeats
    /// itself.
    fn promise(&mut self) {
        let Some(left) = self.eots_slots_left().filter(|_| !self.convicted(&self.own)) else { return };
        let Promises { slots, least } = self.promises;
        if left >= least {
            (self.promising, self.told_low) = (None, false);
            return;
        }
        let (interval, head) = (self.interval(), self.ledger.head().height.get());
        let overdue = self.promising.map(|asked| head >= asked.get() + COMMIT_PATIENCE);
        if overdue == Some(true) && left < least / 4 && !self.told_low {
            self.told_low = true;
            self.actions.push(Action::Alarm(format!(
                "{left} checkpoints are left for which this operator has promised nonces, and a new promise reaches no block: \
                 without one his bitcoin does not count"
            )));
        }
        if overdue == Some(false) {
            return;
        }
        let key = self.ledger.operator(&self.own).and_then(|operator| operator.keys_now()).map(|keys| keys.eots);
        let ours = self.ledger.commitments(&self.own).filter(|promise| Some(promise.key) == key);
        let covered = ours.map(|promise| promise.commitment.last(interval).get()).max().unwrap_or(0);
        let first = (covered + 1).max(head + COMMIT_AHEAD).div_ceil(interval) * interval;
        self.promising = Some(self.ledger.head().height);
        self.actions.push(Action::CommitRandomness { first: Height::new(first), count: slots });
    }

    /// The signer promised nonces, now or before a restart.
    pub fn committed_randomness(&mut self, commitment: RandomnessCommitment) {
        self.wait_in_pool(Item::Randomness(commitment));
        self.say(commitment.commitment.last(self.interval()).get(), Message::Randomness(commitment));
    }

    /// Tells when a run of checkpoints has ended and another has begun (R22).
    pub(super) fn tell_run(&mut self, before: Option<Run>) {
        if let Some(Run { first, broken: Some(ended) }) = self.ledger.finality().run
            && before.is_some_and(|before| before.first != first)
        {
            self.actions.push(Action::Notice(format!(
                "the run of bitcoin-final checkpoints ended at {ended} and starts again at {first}"
            )));
        }
    }

    /// The signer attested. It may be a repetition of what it said before a restart.
    pub fn attested(&mut self, attestation: Attestation) {
        if let Some(kind) = self.numbered_kind(&attestation.statement.domain) {
            return self.attested_numbered(kind, attestation);
        }
        if self.service_domain(&attestation.statement.domain).is_some() {
            return self.attested_for_service(attestation);
        }
        let Statement { slot, digest, .. } = attestation.statement;
        let block = FinalBlock { height: Height::new(slot), id: BlockId::new(*digest.as_bytes()) };
        if self.signed.attested.is_none_or(|last| last.height < block.height) {
            self.signed.attested = Some(block);
        }
        self.asked = self.asked.max(block.height);
        self.asking = None;
        self.say(slot, Message::Attestation(attestation));
        let made = self.signer_key.and_then(|key| batch::made(attestation, key));
        self.count(&made.map_or(Heard::Unchecked(attestation), Heard::Checked));
        self.proceed();
    }

    /// The signer refused to attest. The next block is tried: a guard that waits will sign in a later epoch (R15).
    pub fn unattested(&mut self, height: Height) {
        self.asking = None;
        self.asked = self.asked.max(height);
        self.proceed();
    }

    /// The signer voted. It may be a repetition, as in [`Self::attested`].
    pub fn voted(&mut self, vote: FinalityVote) {
        let Statement { slot, digest, .. } = vote.statement;
        let block = FinalBlock { height: Height::new(slot), id: BlockId::new(*digest.as_bytes()) };
        if self.signed.voted.is_none_or(|last| last.height < block.height) {
            self.signed.voted = Some(block);
        }
        self.voting = None;
        self.say(slot, Message::Vote(Box::new(vote.clone())));
        self.count_vote(&vote);
        self.proceed();
    }

    /// The signer refused to vote. The next checkpoint is tried.
    pub fn unvoted(&mut self, checkpoint: Height) {
        self.voting = None;
        self.voted = self.voted.max(checkpoint);
        self.proceed();
    }

    fn say(&mut self, slot: u64, message: Message) {
        self.actions.push(Action::Publish(message.clone()));
        if self.said.iter().any(|(_, said)| *said == message) {
            return;
        }
        self.said.push((slot, message));
        let boundary = self.boundary().map(Height::get);
        // The oldest vote is what the run waits for when there is a gap.
        if self.said.len() > KEPT_LATE
            && let Some(oldest) = self.said.iter().position(|(slot, _)| Some(*slot) != boundary)
        {
            self.said.remove(oldest);
        }
    }

    /// Whether we said this since the start: then the signer has a record of it.
    fn has_said(&self, statement: &Statement) -> bool {
        self.said.iter().any(|(_, message)| match message {
            Message::Attestation(attestation) => attestation.statement == *statement,
            Message::Vote(vote) => vote.statement == *statement,
            _ => false,
        })
    }

    // ---- certificates ----------------------------------------------------------------------------------------

    pub(super) fn certified_height(&self) -> Height {
        let own = self.certified.as_ref().map_or(0, |certificate| certificate.slot);
        let ledger = self.ledger.finality().ether.map_or(0, |block| block.height.get());
        Height::new(own.max(ledger))
    }

    pub(super) fn convicted(&self, operator: &OperatorId) -> bool {
        self.ledger.operator(operator).is_some_and(|operator| operator.convicted.is_some())
    }

    fn finality_statement(&self, height: Height, id: BlockId) -> Statement {
        Statement { domain: self.ledger.domains().ledger, slot: height.get(), digest: id.into() }
    }

    /// The epoch of an open slot: this one or the one before, whose faults still cost (R32), up to a little past the head.
    fn open_epoch(&self, slot: u64) -> Option<Epoch> {
        let epoch = self.ledger.epoch();
        if slot >= epoch.first.get() {
            return (slot <= self.ledger.head().height.get() + AHEAD).then_some(epoch.epoch);
        }
        self.ledger.epoch_of(Height::new(slot)).filter(|of| of.next() == epoch.epoch)
    }

    /// Under which key the signature of an attestation is to be checked before [`Core::hear_checked`] takes it; `None` when there is
    /// nothing to check, and [`Core::hear`] says at once what it is worth.
    #[must_use]
    pub fn key_for(&self, attestation: &Attestation) -> Option<bls::PublicKey> {
        let Statement { domain, slot, .. } = attestation.statement;
        let of_ledger = domain == self.ledger.domains().ledger && !self.is_bitcoin_only();
        let epoch = match self.numbered_kind(&domain) {
            Some(kind) if slot < self.ledger.numbers(kind).next => self.ledger.epoch_of_number(kind, slot)?,
            None if of_ledger => self.open_epoch(slot)?,
            None if self.service_domain(&domain).is_some() => {
                let epoch = self.open_service_epoch(slot)?;
                self.has_room(attestation, epoch).then_some(epoch)?
            }
            Some(_) => self.ledger.epoch().epoch,
            None => return None,
        };
        if self.tally.knows(attestation) {
            return None;
        }
        let committee = self.ledger.committee_of(epoch)?;
        if let Some((seat, _)) = committee.seat(&attestation.operator) {
            return Keyring::of(committee).key(seat).copied();
        }
        // He may sit in the next committee.
        let keys = self.ledger.operator(&attestation.operator)?.keys_now()?;
        bls::PublicKey::from_bytes(keys.bls.as_bytes()).ok()
    }

    /// Hears an attestation whose signature holds. As [`Core::hear`].
    pub fn hear_checked(&mut self, checked: Checked) -> bool {
        self.hear_attestation(&Heard::Checked(checked))
    }

    /// Hears an attestation whose signature does not hold under the key of [`Core::key_for`]. `None` when no honest operator
    /// passes it on: what it is about stands in our ledger, and no key that its operator ever registered made it.
    pub fn hear_failed(&mut self, attestation: &Attestation) -> Option<bool> {
        let Statement { domain, slot, .. } = attestation.statement;
        let next = match self.numbered_kind(&domain) {
            Some(kind) => self.ledger.numbers(kind).next,
            None if self.service_domain(&domain).is_some() => u64::MAX,
            None => self.ledger.head().height.get() + 1,
        };
        let operator = self.ledger.operator(&attestation.operator)?;
        if slot < next && !attestation.signed_by(&self.ledger.chain(), operator) {
            return None;
        }
        Some(self.hear_attestation(&Heard::Unchecked(*attestation)))
    }

    /// Hears what an operator says in any BLS domain.
    pub(super) fn hear_attestation(&mut self, heard: &Heard) -> bool {
        let Statement { domain, slot, .. } = heard.attestation().statement;
        if let Some(kind) = self.numbered_kind(&domain) {
            return self.hear_numbered(kind, heard);
        }
        if self.service_domain(&domain).is_some() {
            return self.hear_for_service(heard);
        }
        match self.is_early(slot) {
            false => self.count(heard),
            true => self.hear_early_final(slot, Early::Attestation(Box::new(*heard))),
        }
    }

    pub(super) fn count(&mut self, heard: &Heard) -> bool {
        let attestation = heard.attestation();
        if self.is_bitcoin_only() {
            return false; // nobody attests there (R22)
        }
        let Some(epoch) = self.open_epoch(attestation.statement.slot) else { return true };
        let Some(committee) = self.ledger.committee_of(epoch) else { return true };
        if attestation.statement.domain != self.ledger.domains().ledger {
            return false;
        }
        let counted = self.tally.count(self.ledger.domains(), committee, heard);
        let holds = matches!(counted, Counted::New | Counted::Conflict(_));
        if holds && attestation.operator == self.own && !self.has_said(&attestation.statement) {
            self.meet(attestation.statement, epoch);
        }
        if counted != Counted::Worthless {
            self.look_for_fork(attestation, holds);
        }
        match counted {
            Counted::New => self.certify(Height::new(attestation.statement.slot)),
            Counted::Known => {}
            Counted::Conflict(evidence) => self.accuse(*evidence),
            Counted::Worthless => return false,
        }
        true
    }

    pub(super) fn count_vote(&mut self, vote: &FinalityVote) -> bool {
        let Some(epoch) = self.open_epoch(vote.statement.slot) else { return true };
        let Some(committee) = self.ledger.committee_of(epoch) else { return true };
        if vote.statement.domain != self.ledger.domains().bitcoin {
            return false;
        }
        let counted = self.tally.count_vote(self.ledger.domains(), committee, vote);
        let holds = matches!(counted, Counted::New | Counted::Conflict(_));
        if holds && vote.operator == self.own && !self.has_said(&vote.statement) {
            self.meet(vote.statement, epoch);
        }
        match counted {
            Counted::New => self.certify_bitcoin(Height::new(vote.statement.slot)),
            Counted::Known => {}
            Counted::Conflict(evidence) => self.accuse(*evidence),
            Counted::Worthless => return false,
        }
        true
    }

    /// What the tally certifies of a committed block of this epoch, by what counts now.
    fn certificate(&self, height: Height) -> Option<QuorumCertificate> {
        if height < self.ledger.epoch().first {
            return None;
        }
        let statement = self.finality_statement(height, self.ledger.block_id(height)?);
        let convicted = |operator: &OperatorId| self.convicted(operator);
        self.tally.certificate(self.ledger.domains(), self.ledger.committee(), &statement, convicted)
    }

    /// Makes the certificate of a committed block, once there is a quorum.
    fn certify(&mut self, height: Height) {
        let of_boundary = self.boundary() == Some(height) && self.boundary_certificate.is_none();
        let newer = height > self.certified_height();
        // Readers have use for one with more signers, too, for as long as supplements are taken (R20).
        let wider = height.get() + SUPPLEMENT_HEIGHTS > self.ledger.head().height.get();
        if !of_boundary && !newer && !wider {
            return;
        }
        let Some(certificate) = self.certificate(height) else { return };
        self.keep_certificate(&certificate);
        self.actions.push(Action::Certified(certificate.clone()));
        if !of_boundary && !newer {
            return;
        }
        if of_boundary {
            self.boundary_certificate = Some(certificate.clone());
        }
        if newer {
            self.certified = Some(certificate);
        }
        self.proceed();
    }

    fn bitcoin_certificate(&self, height: Height) -> Option<BitcoinCertificate> {
        if height < self.ledger.first_open() || self.ledger.suspension(ChainKind::Bitcoin).is_some() {
            return None;
        }
        let committee = self.ledger.committee_of(self.ledger.epoch_of(height)?)?;
        let digest = self.ledger.block_id(height)?.into();
        let statement = Statement { domain: self.ledger.domains().bitcoin, slot: height.get(), digest };
        let gone = |operator: &OperatorId| self.convicted(operator);
        self.tally.bitcoin_certificate(self.ledger.domains(), committee, &statement, gone)
    }

    fn certify_bitcoin(&mut self, height: Height) {
        if self.bitcoin_certified.contains_key(&height.get()) {
            return;
        }
        if let Some(certificate) = self.bitcoin_certificate(height) {
            self.actions.push(Action::BitcoinCertified(certificate.clone()));
            self.bitcoin_certified.insert(height.get(), certificate);
        }
    }

    /// The certificate the next block should hold: the boundary block's as soon as there is one, because it ends
    /// the epoch, else the newest; as the tally has it now, or as it was made, whichever the ledger admits.
    pub(super) fn ether_candidate(&mut self) -> Option<Item> {
        let boundary = self.boundary();
        let newest = self.certified.as_ref().map(|certificate| Height::new(certificate.slot));
        let newest = newest.filter(|height| boundary.is_none_or(|boundary| *height < boundary));
        boundary.into_iter().chain(newest).find_map(|height| {
            let made = [&self.boundary_certificate, &self.certified];
            let made = made.into_iter().flatten().filter(|made| made.slot == height.get()).cloned();
            let candidates: Vec<_> = self.certificate(height).into_iter().chain(made).map(Item::EtherFinal).collect();
            self.vouch(&candidates);
            candidates.into_iter().find(|item| self.ledger.admits(item).is_ok())
        })
    }

    /// Spares the ledger the signatures of certificates whose single ones we have counted.
    pub(super) fn vouch(&mut self, items: &[Item]) {
        for item in items {
            let Item::EtherFinal(certificate) = item else { continue };
            if certificate.domain != self.ledger.domains().ledger {
                continue;
            }
            let epoch = self.ledger.epoch_of(Height::new(certificate.slot));
            if epoch
                .and_then(|epoch| self.ledger.committee_of(epoch))
                .is_some_and(|of| self.tally.vouches(of, certificate))
            {
                self.ledger.vouch(certificate);
            }
        }
    }

    /// How many further attestations of a block make its quorum at the least, our own not counted, which is to come, and how many make
    /// it whole; zero and zero when all are there. What is not a block of this epoch or the one before waits for nobody else.
    #[must_use]
    pub fn lacking(&self, statement: &Statement) -> (usize, usize) {
        let epoch = self.open_epoch(statement.slot).filter(|_| statement.domain == self.ledger.domains().ledger);
        let Some(committee) = epoch.and_then(|epoch| self.ledger.committee_of(epoch)) else { return (1, 1) };
        let counts = |member: &&Member| member.ether > 0 && !self.convicted(&member.operator);
        let total: u128 = committee.members.iter().filter(counts).map(|member| u128::from(member.ether)).sum();
        let has_said =
            |member: &&Member| member.operator == self.own || self.tally.said_by(statement, &member.operator);
        let (said, mut silent): (Vec<&Member>, Vec<&Member>) =
            committee.members.iter().filter(counts).partition(has_said);
        let mut signed: u128 = said.iter().map(|member| u128::from(member.ether)).sum();
        let whole = silent.len();
        silent.sort_by_key(|member| std::cmp::Reverse(member.ether));
        let short = silent.into_iter().take_while(|member| {
            let is_short = signed * 3 <= total * 2;
            signed += u128::from(member.ether);
            is_short
        });
        (short.count(), whole)
    }

    /// Certificates that name more signers of blocks whose roll is still open, of which nothing is booked yet (R20).
    pub(super) fn supplements(&self) -> Vec<Item> {
        let more = |(slot, roll): (Height, &Roll)| {
            let committee = self.ledger.committee_of(roll.epoch)?;
            let statement = self.finality_statement(slot, self.ledger.block_id(slot)?);
            let new =
                |index: usize, operator: &OperatorId| !roll.names(index) && self.tally.said_by(&statement, operator);
            let mut members = committee.members.iter().enumerate();
            members.any(|(index, member)| new(index, &member.operator)).then_some(())?;
            let convicted = |operator: &OperatorId| self.convicted(operator);
            self.tally.certificate(self.ledger.domains(), committee, &statement, convicted).map(Item::EtherFinal)
        };
        self.ledger.rolls().filter_map(more).collect()
    }

    /// Certificates of checkpoints that the next block should hold: of the first due one that the ledger admits, and of those
    /// that follow it.
    pub(super) fn bitcoin_candidates(&self) -> Vec<Item> {
        let candidates = |slot: Height| {
            let made = self.bitcoin_certified.get(&slot.get()).cloned();
            self.bitcoin_certificate(slot).into_iter().chain(made).map(Item::BitcoinFinal)
        };
        let first = self.ledger.due_checkpoints().into_iter().find_map(|slot| {
            let item = candidates(slot).find(|item| self.ledger.admits(item).is_ok())?;
            Some((slot, item))
        });
        let Some((slot, item)) = first else { return Vec::new() };
        let interval = self.interval();
        let later =
            (1..CAUGHT_UP as u64).map_while(|step| candidates(Height::new(slot.get() + step * interval)).next());
        std::iter::once(item).chain(later).collect()
    }

    /// Drops what the new head has settled.
    pub(super) fn forget(&mut self) {
        let epoch = *self.ledger.epoch();
        let before = epoch.epoch.get().checked_sub(1).map(Epoch::new);
        let first_open = before.and_then(|before| match self.ledger.row(&RowKey::EpochFirst(before)) {
            Some(palisade_types::row::Row::EpochFirst(first)) => Some(first),
            _ => None,
        });
        let first_open = first_open.unwrap_or(epoch.first);
        self.tally.forget_below(&self.ledger.domains().ledger, first_open.get());
        self.tally.forget_votes_below(first_open);
        self.forget_strayed();
        self.forget_certificates(first_open);
        self.forget_numbered();
        self.forget_for_services();
        let (certified, boundary) = (self.certified_height().min(self.ledger.head().height), self.boundary());
        self.recent.retain(|height, _| *height >= certified || Some(*height) == boundary);
        let final_bitcoin = self.ledger.finality().bitcoin.map_or(0, |block| block.height.get());
        let first_vote = self.ledger.first_open().get();
        self.bitcoin_certified.retain(|slot, _| *slot > final_bitcoin && *slot >= first_vote);
        let of_this_epoch = |certificate: &Option<QuorumCertificate>| {
            certificate.clone().filter(|certificate| certificate.slot >= epoch.first.get())
        };
        self.boundary_certificate = of_this_epoch(&self.boundary_certificate);
        self.certified = of_this_epoch(&self.certified);
        self.forget_said(final_bitcoin);
    }

    /// What was said is said again until it is certified; what the hand-over needs, until the hand-over; the newest certified word by
    /// whoever stands still.
    pub(super) fn forget_said(&mut self, final_bitcoin: u64) {
        let (first, certified) = (self.ledger.epoch().first.get(), self.certified_height().get());
        let boundary = self.boundary().map(Height::get);
        let (ledger, first_vote) = (&self.ledger, self.ledger.first_open().get());
        self.said.retain(|(slot, message)| match message {
            Message::Attestation(_) => *slot >= first && (*slot >= certified || Some(*slot) == boundary),
            Message::Vote(_) => *slot >= first_vote && *slot > final_bitcoin,
            Message::Randomness(commitment) => {
                !ledger.commitments(&commitment.operator).any(|known| known.commitment == commitment.commitment)
            }
            _ => true,
        });
    }

    /// The time is not looked at here; the driver's tick calls it.
    pub(super) fn say_again(&mut self) {
        let final_bitcoin = self.ledger.finality().bitcoin.map_or(0, |block| block.height.get());
        self.forget_said(final_bitcoin);
        let (stands_still, certified) = (self.stands_still(), self.certified_height().get());
        let boundary = self.boundary().map(Height::get);
        let is_settled = |slot: u64, message: &Message| {
            matches!(message, Message::Attestation(_)) && slot == certified && Some(slot) != boundary
        };
        for (slot, message) in self.said.iter().take(2 * REPEATED) {
            if stands_still || !is_settled(*slot, message) {
                self.actions.push(Action::Publish(message.clone()));
            }
        }
        if stands_still {
            self.tell_certificate(u64::MAX);
        }
        self.say_numbered_again();
        self.say_for_services_again();
    }

    /// Notices a block that stays without a quorum. Everybody says his own again until he knows a certificate, and then no more: who
    /// heard too little by then must ask. It is the boundary block, without which the epoch does not end, or one that everybody has had
    /// time to attest.
    pub(super) fn pull(&mut self, now: Millis) {
        let confirmed = self.confirmed();
        let boundary = self.boundary().filter(|height| self.boundary_certificate.is_none() && *height <= confirmed);
        let newest = Some(confirmed).filter(|height| *height > self.certified_height());
        let lacks = |height: &Height| Some(*height) == boundary || *height > self.certified_height();
        match self.lacking.filter(|(height, _)| lacks(height)) {
            Some((_, since)) if since.get() + PULL.get() > now.get() => return,
            Some((height, _)) => self.actions.push(Action::Pull(self.ledger.domains().ledger, height.get())),
            None => {}
        }
        let weighs = !self.is_bitcoin_only() && self.ledger.committee().has_weight();
        self.lacking = boundary.or(newest).filter(|_| weighs).map(|height| (height, now));
    }

    /// Whether a block needs no more attestations.
    #[must_use]
    pub fn is_certified(&self, slot: u64) -> bool {
        let of_boundary = self.boundary().is_some_and(|height| height.get() == slot);
        slot <= self.certified_height().get() && (!of_boundary || self.boundary_certificate.is_some())
    }

    /// What we know of who attested a slot of a BLS domain, for a peer that lacks it.
    #[must_use]
    pub fn attestations(&self, domain: &Domain, slot: u64) -> List<Attestation, MAX_MEMBERS> {
        let known: Vec<_> = self.tally.attestations(domain, slot).take(MAX_MEMBERS).collect();
        known.try_into().expect("so many were taken")
    }

    /// Whether everything up to and including a decided block agrees with what our own followers saw.
    #[must_use]
    pub fn agrees_with(&self, block: &Block) -> bool {
        self.confirmed() == self.ledger.head().height
            && self.contradicted.is_empty()
            && self.missing(block).is_ok_and(|missing| missing.is_empty())
    }

    /// Hears a vote.
    pub(super) fn hear_vote(&mut self, vote: Box<FinalityVote>) -> bool {
        let slot = vote.statement.slot;
        match self.is_early(slot) {
            false => self.count_vote(&vote),
            true => self.hear_early_final(slot, Early::Vote(vote)),
        }
    }

    /// Whether a vote that was worthless is one that no honest operator passes on: it is about what stands in our ledger, and no key that
    /// its operator ever registered made it.
    #[must_use]
    pub fn is_forged(&self, vote: &FinalityVote) -> bool {
        let operator = self.ledger.operator(&vote.operator).filter(|_| !self.is_early(vote.statement.slot));
        operator.is_some_and(|operator| !vote.signed_by(&self.ledger.chain(), operator, self.interval()))
    }

    fn is_early(&self, slot: u64) -> bool {
        slot > self.ledger.head().height.get()
    }

    /// What is said of a block that we have not committed waits until we have.
    fn hear_early_final(&mut self, slot: u64, early: Early) -> bool {
        self.meet_early(&early);
        slot > self.ledger.head().height.get() + AHEAD || self.keep_early((slot, early.operator()), early)
    }

    /// It may belong to the next epoch, whose committee we do not know: it must be signed by a key of a registered
    /// operator, and he has two places a slot for each kind, the second of which is a fault already.
    fn keep_early(&mut self, place: (u64, OperatorId), early: Early) -> bool {
        let held = self.early.get(&place).map_or(&[][..], |held| held);
        let of_kind = |one: &&Early| std::mem::discriminant(*one) == std::mem::discriminant(&early);
        if held.iter().any(|one| one.says(&early)) || held.iter().filter(of_kind).count() >= 2 {
            return true;
        }
        let Some(operator) = self.ledger.operator(&place.1) else { return true };
        let chain = self.ledger.chain();
        let early = match early {
            Early::Attestation(_) if self.is_bitcoin_only() => return false,
            Early::Attestation(heard) => match *heard {
                Heard::Checked(_) => Early::Attestation(heard),
                Heard::Unchecked(attestation) => {
                    let Some(checked) = checked_by(&chain, operator, &attestation) else { return false };
                    Early::Attestation(Box::new(Heard::Checked(checked)))
                }
            },
            Early::Vote(vote) if vote.signed_by(&chain, operator, self.interval()) => Early::Vote(vote),
            Early::Vote(_) => return false,
        };
        self.early.entry(place).or_default().push(early);
        true
    }

    /// Hears what waited for the new head.
    pub(super) fn hear_early(&mut self) {
        let later = self.early.split_off(&(self.ledger.head().height.get() + 1, OperatorId::ZERO));
        let now = std::mem::replace(&mut self.early, later);
        for early in now.into_values().flatten() {
            match early {
                Early::Attestation(heard) => self.hear_attestation(&heard),
                Early::Vote(vote) => self.hear_vote(vote),
            };
        }
    }
}

/// The attestation, when a key that `operator` ever registered made it.
pub(super) fn checked_by(chain: &ChainId, operator: &Operator, attestation: &Attestation) -> Option<Checked> {
    let keys = operator.keys.iter().rev().filter_map(|row| bls::PublicKey::from_bytes(row.bls.as_bytes()).ok());
    // One signature is not weighed, so that no randomness is needed.
    keys.filter_map(|key| batch::check(chain, &[(*attestation, key)], &[0; 32]).pop()).flatten().next()
}
