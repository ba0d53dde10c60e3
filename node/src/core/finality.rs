//! From a committed block to its finality: confirmed by our own followers, attested, certified, voted for.
//!
//! Certificates are made anew from the tally whenever a block is drafted: what counts may have changed since the
//! first quorum (R9). The boundary block comes before every other, because only its certificate ends the epoch (R10).

use super::{Action, Attest, CHAINS, Core, REPEATED, Unconfirmed};
use crate::message::Message;
use palisade_agreement::anchors::Known;
use palisade_agreement::guard::Ancestry;
use palisade_agreement::tally::{AHEAD, Counted};
use palisade_types::attestation::{Attestation, FinalityVote, Statement};
use palisade_types::block::{Block, Header, Item};
use palisade_types::certificate::{BitcoinCertificate, QuorumCertificate};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::{BlockId, OperatorId};
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::row::RowKey;
use palisade_types::units::{Epoch, Height};

/// How many committed blocks above the newest certified one keep what their attestation needs; the boundary block
/// is kept besides.
const RECENT: usize = 256;
/// How many checkpoint slots one promise of nonces covers.
const COMMITTED_SLOTS: u32 = 2_048;
/// A new promise is made when fewer slots than this are left: long before they run out (R19).
const SLOTS_LEFT: u64 = 512;
/// How many heights past the head a promise starts, so that it is in a block before it is needed.
const COMMIT_AHEAD: u64 = 5;

/// What a committed block needs to be attested later.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    pub header: Header,
    /// Its state, for the proof of what it builds on (R16). Without it the signer can only repeat itself.
    pub tree: Option<palisade_ledger::Tree>,
}

impl Core {
    /// A block from before a restart that may still have to be attested, or published again: the head, and the
    /// boundary block while its certificate is not in the ledger. `tree` is its state, when it could be rebuilt.
    pub fn resume(&mut self, header: Header, tree: Option<palisade_ledger::Tree>) {
        if self.ledger.block_id(header.height) == Some(header.id()) {
            let tree = if header.id() == self.ledger.head().id { Some(self.ledger.tree().clone()) } else { tree };
            self.recent.insert(header.height, Recent { header, tree });
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
        self.recent.insert(header.height, Recent { header, tree: Some(self.ledger.tree().clone()) });
        let boundary = self.boundary();
        while self.recent.len() > RECENT {
            let Some(oldest) = self.recent.keys().copied().find(|height| Some(*height) != boundary) else { return };
            self.recent.remove(&oldest);
        }
    }

    /// The newest height up to which our own followers agree with every block since the last certified one.
    pub(super) fn confirmed(&self) -> Height {
        if self.unchecked.is_some() {
            return self.ledger.finality().ether.map_or(Height::new(0), |block| block.height);
        }
        self.unconfirmed.first_key_value().map_or(self.ledger.head().height, |(height, _)| height.previous())
    }

    /// Does whatever the last event made possible.
    pub(super) fn proceed(&mut self) {
        let certified = self.certified_height();
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
        self.certify_bitcoin(self.next_checkpoint());
        self.attest(confirmed);
        self.vote();
        self.promise();
    }

    /// Whether this operator may say anything about finality now (R7, R9).
    fn speaks(&self) -> bool {
        self.contradicted.is_empty() && !self.lags() && !self.convicted(&self.own)
    }

    /// Attests the oldest block that is confirmed and was not asked for since the start, one after the other.
    fn attest(&mut self, confirmed: Height) {
        let seated = self.ledger.committee().seat(&self.own).is_some_and(|(_, seat)| seat.ether > 0);
        if !seated || self.asking.is_some() || !self.speaks() {
            return;
        }
        let Some((height, recent)) = self.due(confirmed) else { return };
        let ancestry = self.attested.and_then(|last| {
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

    /// Votes for every checkpoint of this epoch that is ether-certified and not voted for. While Bitcoin is suspended none: what
    /// is left out is voted for afterwards, so that the run may go on (R2).
    fn vote(&mut self) {
        let Some((_, seat)) = self.ledger.committee().seat(&self.own) else { return };
        if seat.bitcoin == 0 || !self.speaks() || self.ledger.suspension(ChainKind::Bitcoin).is_some() {
            return;
        }
        let randomness = seat.randomness;
        let promise = self.ledger.commitments(&self.own).find(|promise| promise.commitment.id() == randomness);
        let Some(promise) = promise.map(|promise| promise.commitment) else { return };
        let interval = self.interval();
        let done = self.ledger.finality().bitcoin.map_or(Height::new(0), |block| block.height).max(self.voted);
        let mut slot = self.ledger.epoch().first.max(done.next()).get().div_ceil(interval) * interval;
        while slot <= self.certified_height().get() {
            let Some(id) = self.ledger.block_id(Height::new(slot)) else { break };
            // Past the promise that the committee's row names, a vote counts for nothing until the next epoch.
            if promise.leaf(Height::new(slot), interval).is_some() {
                self.actions.push(Action::Vote {
                    checkpoint: FinalBlock { height: Height::new(slot), id },
                    epoch_start: self.ledger.committee().ethereum.number,
                });
            }
            self.voted = Height::new(slot);
            slot += interval;
        }
    }

    fn interval(&self) -> u64 {
        self.ledger.genesis_of().parameters.checkpoint_interval
    }

    /// Promises nonces long before they run out (R19).
    fn promise(&mut self) {
        let registered = self.ledger.operator(&self.own).is_some_and(|operator| operator.keys_now().is_some());
        if !registered || self.convicted(&self.own) {
            return;
        }
        let (interval, head) = (self.interval(), self.ledger.head().height.get());
        let last = self.ledger.commitments(&self.own).map(|promise| promise.commitment.last(interval)).max();
        let covered = last.unwrap_or(Height::new(0)).max(self.promised).get();
        if covered.saturating_sub(head) / interval >= SLOTS_LEFT {
            return;
        }
        let first = (covered + 1).max(head + COMMIT_AHEAD).div_ceil(interval) * interval;
        self.promised = Height::new(first + u64::from(COMMITTED_SLOTS - 1) * interval);
        self.actions.push(Action::CommitRandomness { first: Height::new(first), count: COMMITTED_SLOTS });
    }

    /// The signer promised nonces, now or before a restart.
    pub fn committed_randomness(&mut self, commitment: RandomnessCommitment) {
        self.promised = commitment.commitment.last(self.interval());
        self.wait_in_pool(Item::Randomness(commitment));
        self.say(self.promised.get(), Message::Randomness(commitment));
    }

    /// The signer attested. It may be a repetition of what it said before a restart.
    pub fn attested(&mut self, attestation: Attestation) {
        let Statement { slot, digest, .. } = attestation.statement;
        let block = FinalBlock { height: Height::new(slot), id: BlockId::new(*digest.as_bytes()) };
        if self.attested.is_none_or(|last| last.height < block.height) {
            self.attested = Some(block);
        }
        self.asked = self.asked.max(block.height);
        self.asking = None;
        self.say(slot, Message::Attestation(attestation));
        self.count(&attestation);
        self.proceed();
    }

    /// The signer refused to attest. The next block is tried: a guard that waits will sign in a later epoch (R15).
    pub fn unattested(&mut self, height: Height) {
        self.asking = None;
        self.asked = self.asked.max(height);
        self.proceed();
    }

    /// The signer voted.
    pub fn voted(&mut self, vote: FinalityVote) {
        self.say(vote.statement.slot, Message::Vote(Box::new(vote.clone())));
        self.count_vote(&vote);
    }

    fn say(&mut self, slot: u64, message: Message) {
        self.actions.push(Action::Publish(message.clone()));
        self.said.push((slot, message));
        let boundary = self.boundary().map(Height::get);
        if self.said.len() > 2 * REPEATED
            && let Some(oldest) = self.said.iter().position(|(slot, _)| Some(*slot) != boundary)
        {
            self.said.remove(oldest);
        }
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

    pub(super) fn count(&mut self, attestation: &Attestation) -> bool {
        let Some(epoch) = self.open_epoch(attestation.statement.slot) else { return true };
        let Some(committee) = self.ledger.committee_of(epoch) else { return true };
        if attestation.statement.domain != self.ledger.domains().ledger {
            return false;
        }
        match self.tally.count(self.ledger.domains(), committee, attestation) {
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
        match self.tally.count_vote(self.ledger.domains(), committee, vote) {
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
        if !of_boundary && !newer {
            return;
        }
        let Some(certificate) = self.certificate(height) else { return };
        self.actions.push(Action::Certified(certificate.clone()));
        if of_boundary {
            self.boundary_certificate = Some(certificate.clone());
        }
        if newer {
            self.certified = Some(certificate);
        }
        self.proceed();
    }

    fn bitcoin_certificate(&self, height: Height) -> Option<BitcoinCertificate> {
        if height < self.ledger.epoch().first || self.ledger.suspension(ChainKind::Bitcoin).is_some() {
            return None;
        }
        let digest = self.ledger.block_id(height)?.into();
        let statement = Statement { domain: self.ledger.domains().bitcoin, slot: height.get(), digest };
        let gone = |operator: &OperatorId| self.convicted(operator);
        self.tally.bitcoin_certificate(self.ledger.domains(), self.ledger.committee(), &statement, gone)
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
    pub(super) fn ether_candidate(&self) -> Option<Item> {
        let boundary = self.boundary();
        let newest = self.certified.as_ref().map(|certificate| Height::new(certificate.slot));
        let newest = newest.filter(|height| boundary.is_none_or(|boundary| *height < boundary));
        boundary.into_iter().chain(newest).find_map(|height| {
            let made = [&self.boundary_certificate, &self.certified];
            let made = made.into_iter().flatten().filter(|made| made.slot == height.get()).cloned();
            let mut candidates = self.certificate(height).into_iter().chain(made).map(Item::EtherFinal);
            candidates.find(|item| self.ledger.admits(item).is_ok())
        })
    }

    pub(super) fn bitcoin_candidate(&self) -> Option<Item> {
        let next = self.next_checkpoint();
        let made = self.bitcoin_certified.get(&next.get()).cloned();
        let mut candidates = self.bitcoin_certificate(next).into_iter().chain(made).map(Item::BitcoinFinal);
        candidates.find(|item| self.ledger.admits(item).is_ok())
    }

    /// The checkpoint that the run goes on with, or restarts at in this epoch (R2).
    fn next_checkpoint(&self) -> Height {
        let interval = self.interval();
        let first = self.ledger.epoch().first.get().div_ceil(interval) * interval;
        let after = self.ledger.finality().bitcoin.map_or(0, |block| block.height.get() + interval);
        Height::new(first.max(after))
    }

    /// Drops what the new head has settled.
    pub(super) fn forget(&mut self) {
        let epoch = *self.ledger.epoch();
        let before = epoch.epoch.get().checked_sub(1).map(Epoch::new);
        let first_open = before.and_then(|before| match self.ledger.row(&RowKey::EpochFirst(before)) {
            Some(palisade_types::row::Row::EpochFirst(first)) => Some(*first),
            _ => None,
        });
        self.tally.forget_below(first_open.unwrap_or(epoch.first));
        let (certified, boundary) = (self.certified_height().min(self.ledger.head().height), self.boundary());
        self.recent.retain(|height, _| *height >= certified || Some(*height) == boundary);
        let final_bitcoin = self.ledger.finality().bitcoin.map_or(0, |block| block.height.get());
        self.bitcoin_certified.retain(|slot, _| *slot > final_bitcoin && *slot >= epoch.first.get());
        let of_this_epoch = |certificate: &Option<QuorumCertificate>| {
            certificate.clone().filter(|certificate| certificate.slot >= epoch.first.get())
        };
        self.boundary_certificate = of_this_epoch(&self.boundary_certificate);
        self.certified = of_this_epoch(&self.certified);
        self.forget_said(final_bitcoin);
    }

    /// What was said is said again until it is certified; what the hand-over needs, until the hand-over.
    pub(super) fn forget_said(&mut self, final_bitcoin: u64) {
        let (first, certified) = (self.ledger.epoch().first.get(), self.certified_height().get());
        let boundary = self.boundary().map(Height::get);
        let ledger = &self.ledger;
        self.said.retain(|(slot, message)| match message {
            Message::Attestation(_) => *slot >= first && (*slot > certified || Some(*slot) == boundary),
            Message::Vote(_) => *slot >= first && *slot > final_bitcoin,
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
        for (_, message) in &self.said {
            self.actions.push(Action::Publish(message.clone()));
        }
    }

    /// Whether everything up to and including a decided block agrees with what our own followers saw.
    #[must_use]
    pub fn agrees_with(&self, block: &Block) -> bool {
        self.confirmed() == self.ledger.head().height
            && self.contradicted.is_empty()
            && self.missing(block).is_ok_and(|missing| missing.is_empty())
    }

    /// Hears an attestation or a vote; one about a block we have not committed waits until we have.
    pub(super) fn hear_final(&mut self, message: Message) -> bool {
        let (operator, slot) = match &message {
            Message::Attestation(attestation) => (attestation.operator, attestation.statement.slot),
            Message::Vote(vote) => (vote.operator, vote.statement.slot),
            _ => return false,
        };
        let head = self.ledger.head().height.get();
        if slot > head {
            return slot > head + AHEAD || self.keep_early((slot, operator), message);
        }
        match message {
            Message::Attestation(attestation) => self.count(&attestation),
            Message::Vote(vote) => self.count_vote(&vote),
            _ => false,
        }
    }

    /// It may belong to the next epoch, whose committee we do not know: it must be signed by a key of a registered
    /// operator, and he has two places a slot for each kind, the second of which is a fault already.
    fn keep_early(&mut self, place: (u64, OperatorId), message: Message) -> bool {
        let Some(operator) = self.ledger.operator(&place.1) else { return true };
        if let Message::Attestation(attestation) = &message
            && !attestation.signed_by(&self.ledger.chain(), operator)
        {
            return false;
        }
        let held = self.early.entry(place).or_default();
        let kind = std::mem::discriminant(&message);
        if !held.contains(&message) && held.iter().filter(|one| std::mem::discriminant(*one) == kind).count() < 2 {
            held.push(message);
        }
        true
    }

    /// Hears what waited for the new head.
    pub(super) fn hear_early(&mut self) {
        let later = self.early.split_off(&(self.ledger.head().height.get() + 1, OperatorId::ZERO));
        let now = std::mem::replace(&mut self.early, later);
        for message in now.into_values().flatten() {
            self.hear_final(message);
        }
    }
}
