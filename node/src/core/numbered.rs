//! From what the ledger says under a number, a claim or an order, to its certificate.
//!
//! A member attests it when the block that holds it is ether-final, so that the ledger cannot say something else under the
//! same number, when his own followers stand at or past the blocks it speaks of and contradict none (R7), and when it is
//! still the newest of its subject: who knows of a revocation does not certify what it takes back. Members of an epoch
//! attest its numbers in the epoch after it too, while their committee is within its age (R10), so that what is said in an
//! epoch's last blocks does not get lost.
//!
//! Everybody says his attestation again until he knows the certificate. Who knows it and hears something said again
//! answers with the certificate, once per repetition.

use super::finality::checked_by;
use super::{Action, AttestNumbered, CHAINS, Core, REPEATED};
use crate::message::Message;
use palisade_agreement::batch::Heard;
use palisade_agreement::tally::{AHEAD, Counted};
use palisade_ledger::Ledger;
use palisade_types::attestation::Attestation;
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::{CertifiedOrder, ChainKind, ChainPoint};
use palisade_types::claim::Claim;
use palisade_types::evidence::Evidence;
use palisade_types::ids::{Digest, Domain, OperatorId};
use palisade_types::numbers::{Numbered, NumberedKind};
use palisade_types::order::{Order, OrderId};
use palisade_types::row::{Row, RowKey};
use palisade_types::units::{Epoch, Height};
use std::collections::BTreeMap;

/// Where something stands: its domain and number.
type Place = (NumberedKind, u64);

/// What we hold of claims and orders.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Those that can still be certified.
    open: BTreeMap<Place, Open>,
    /// Attestations of what our ledger does not hold yet.
    early: BTreeMap<(Place, OperatorId), Vec<Heard>>,
    /// Below which numbers certificates are forgotten.
    forgotten: BTreeMap<NumberedKind, u64>,
}

/// One of them on its way.
#[derive(Clone, Debug)]
struct Open {
    numbered: Numbered,
    /// The block that holds it, or a later one.
    held: Height,
    /// Whether the signer was asked since the start.
    asked: bool,
    said: Option<Attestation>,
    certificate: Option<QuorumCertificate>,
    /// Whether somebody seems to lack the certificate.
    wanted: bool,
}

impl Open {
    const fn new(numbered: Numbered, held: Height) -> Self {
        Self { numbered, held, asked: false, said: None, certificate: None, wanted: false }
    }
}

impl Book {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let head = ledger.head().height;
        let all = NumberedKind::ALL.into_iter().flat_map(|kind| ledger.numbered(kind));
        let open = all.filter(|numbered| is_open(ledger, numbered));
        Self { open: open.map(|numbered| (place(&numbered), Open::new(numbered, head))).collect(), ..Self::default() }
    }

    /// Takes in what the block at `height` says.
    pub(super) fn keep(&mut self, height: Height, rows: &[(RowKey, Option<Row>)]) {
        for (_, row) in rows {
            let numbered = match row {
                Some(Row::Claim(claim)) => Numbered::Claim(*claim),
                Some(Row::Order(order)) => Numbered::Order(**order),
                _ => continue,
            };
            self.open.insert(place(&numbered), Open::new(numbered, height));
        }
    }
}

fn place(numbered: &Numbered) -> Place {
    (numbered.kind(), numbered.number())
}

impl Core {
    /// What can still be certified.
    #[must_use]
    pub fn open_numbers(&self) -> Vec<(NumberedKind, u64)> {
        self.book.open.keys().copied().collect()
    }

    /// The certificate of a claim or an order from before a restart.
    pub fn resume_numbered(&mut self, certificate: &QuorumCertificate) {
        self.take_numbered_certificate(certificate);
    }

    /// Who said what in an open slot of a BLS domain.
    #[must_use]
    pub fn said(&self, domain: &Domain, slot: u64) -> BTreeMap<OperatorId, Digest> {
        self.tally.said(domain, slot).map(|(operator, digest)| (*operator, *digest)).collect()
    }

    /// The newest order for a case at an adapter, with its certificate, once there is one.
    pub(super) fn certified_order(&self, id: &OrderId) -> Option<CertifiedOrder> {
        let order = *self.ledger.order(id)?;
        let certificate = self.book.open.get(&(NumberedKind::Order, order.number))?.certificate.clone()?;
        Some(CertifiedOrder { order, certificate, committee: self.ledger.committee_of(order.epoch)?.clone() })
    }

    /// Asks the signer for everything that may be attested now and was not asked for since the start.
    pub(super) fn attest_numbered(&mut self) {
        if self.book.open.values().all(|open| open.asked) || !self.speaks() {
            return;
        }
        let certified = self.certified_height();
        let may = |open: &&Open| !open.asked && open.held <= certified && self.stands_behind(&open.numbered);
        let due: Vec<Numbered> = self.book.open.values().filter(may).map(|open| open.numbered).collect();
        for numbered in due {
            let epoch = numbered.epoch();
            let Some(Row::EpochFirst(first)) = self.ledger.row(&RowKey::EpochFirst(epoch)) else { continue };
            let Some(committee) = self.ledger.committee_of(epoch) else { continue };
            if let Some(open) = self.book.open.get_mut(&place(&numbered)) {
                open.asked = true;
            }
            self.actions.push(Action::AttestNumbered(Box::new(AttestNumbered {
                numbered,
                first,
                epoch_start: committee.ethereum.number,
            })));
        }
    }

    /// Whether we have a say in its epoch, and our own followers do not contradict it.
    fn stands_behind(&self, numbered: &Numbered) -> bool {
        let Some(committee) = self.ledger.committee_of(numbered.epoch()) else { return false };
        let seated = committee.seat(&self.own).is_some_and(|(_, seat)| seat.ether > 0);
        let is_seen = match numbered {
            Numbered::Claim(claim) => self.sees_claim(claim),
            Numbered::Order(order) => self.sees_order(order),
        };
        seated && !self.is_past_age(committee) && is_seen
    }

    /// A revocation needs no Bitcoin block: it stands also where Bitcoin lost one.
    fn sees_claim(&self, claim: &Claim) -> bool {
        let point = ChainPoint { number: claim.height, hash: claim.block, log: u32::MAX, time: 0 };
        let contradicted = self.anchors.contradicts(ChainKind::Bitcoin, &point);
        claim.revoked || (self.own_tip(ChainKind::Bitcoin) >= claim.height && !contradicted)
    }

    /// The order can still be executed, and our own Bitcoin follower is past the block that shows the fault. What it saw
    /// there it compared with the block that told of it, or we would not speak at all (R7).
    fn sees_order(&self, order: &Order) -> bool {
        let now = self.own_tip(ChainKind::Ethereum);
        let shown = match self.ledger.case(&order.case).and_then(|case| case.evidence.as_ref()) {
            Some(Evidence::Covenant(breach)) => self.own_tip(ChainKind::Bitcoin) >= breach.height,
            // The service's quorum said it, under its certificate in our ledger.
            Some(Evidence::Verdict(_)) => true,
            _ => false,
        };
        (order.capture..=order.expiry).contains(&now) && shown
    }

    fn own_tip(&self, chain: ChainKind) -> u64 {
        self.anchors.tip(chain).map_or(0, |tip| tip.number)
    }

    /// Whether a committee can only hand over any more (R10).
    fn is_past_age(&self, committee: &Committee) -> bool {
        let limit = self.ledger.genesis_of().parameters.max_age_blocks;
        let snapshot = |chain| match chain {
            ChainKind::Ethereum => committee.ethereum.number,
            ChainKind::Bitcoin => committee.bitcoin.number,
        };
        CHAINS.iter().any(|chain| self.ledger.anchor(*chain).number.saturating_sub(snapshot(*chain)) > limit)
    }

    /// Which of these domains an attestation or certificate is of.
    pub(super) fn numbered_kind(&self, domain: &Domain) -> Option<NumberedKind> {
        NumberedKind::of(self.ledger.domains(), domain)
    }

    /// The signer attested a claim or an order.
    pub(super) fn attested_numbered(&mut self, kind: NumberedKind, attestation: Attestation) {
        // What was superseded while the signer worked is not published.
        let Some(open) = self.book.open.get_mut(&(kind, attestation.statement.slot)) else { return };
        open.said = Some(attestation);
        self.actions.push(Action::Publish(Message::Attestation(attestation)));
        self.count_numbered(kind, &Heard::Unchecked(attestation));
    }

    /// Hears an attestation of a claim or an order; one that our ledger does not hold yet waits. False when it is worthless.
    pub(super) fn hear_numbered(&mut self, kind: NumberedKind, heard: &Heard) -> bool {
        let attestation = heard.attestation();
        let (number, next) = (attestation.statement.slot, self.ledger.numbers(kind).next);
        if number < next {
            return self.count_numbered(kind, heard);
        }
        let Some(operator) = self.ledger.operator(&attestation.operator) else { return true };
        if number >= next + AHEAD {
            return true;
        }
        // Its epoch's committee may be unknown here: any key that he registered, and two places, as for blocks.
        let chain = self.ledger.chain();
        let held = self.book.early.entry(((kind, number), attestation.operator)).or_default();
        if held.iter().any(|one| one.attestation() == attestation) || held.len() >= 2 {
            return true;
        }
        let checked = match heard {
            Heard::Unchecked(attestation) => checked_by(&chain, operator, attestation).map(Heard::Checked),
            Heard::Checked(_) => Some(*heard),
        };
        held.extend(checked);
        checked.is_some()
    }

    /// Hears what waited for the new head.
    pub(super) fn hear_early_numbered(&mut self) {
        let next = NumberedKind::ALL.map(|kind| (kind, self.ledger.numbers(kind).next));
        let is_due =
            |((kind, number), _): &(Place, OperatorId)| next.iter().any(|(of, next)| of == kind && number < next);
        let early = std::mem::take(&mut self.book.early);
        let (now, later) = early.into_iter().partition(|(place, _)| is_due(place));
        self.book.early = later;
        let now: BTreeMap<(Place, OperatorId), Vec<Heard>> = now;
        for (((kind, _), _), said) in now {
            for heard in said {
                self.count_numbered(kind, &heard);
            }
        }
    }

    fn count_numbered(&mut self, kind: NumberedKind, heard: &Heard) -> bool {
        let attestation = heard.attestation();
        let number = attestation.statement.slot;
        let Some(epoch) = self.epoch_of((kind, number)) else { return true }; // no longer open (R32)
        let Some(committee) = self.ledger.committee_of(epoch) else { return true };
        let counted = self.tally.count(self.ledger.domains(), committee, heard);
        let holds = matches!(counted, Counted::New | Counted::Conflict(_));
        let said = self.book.open.get(&(kind, number)).and_then(|open| open.said);
        if holds && attestation.operator == self.own && said.map(|said| said.statement) != Some(attestation.statement) {
            self.meet(attestation.statement, epoch);
        }
        match counted {
            Counted::New => self.certify_numbered((kind, number)),
            Counted::Known if attestation.operator != self.own => {
                if let Some(open) = self.book.open.get_mut(&(kind, number)) {
                    open.wanted = open.certificate.is_some();
                }
            }
            Counted::Known => {}
            Counted::Conflict(evidence) => self.accuse(*evidence),
            Counted::Worthless => return false,
        }
        true
    }

    /// The epoch of an open number: the newest in which such numbers were given, or the one before.
    fn epoch_of(&self, (kind, number): Place) -> Option<Epoch> {
        self.ledger.epoch_of_number(kind, number)
    }

    /// Makes a certificate, once there is a quorum, and again with everybody who joins.
    fn certify_numbered(&mut self, place: Place) {
        let Some(numbered) = self.book.open.get(&place).map(|open| open.numbered) else { return };
        let Some(committee) = self.ledger.committee_of(numbered.epoch()) else { return };
        let domains = self.ledger.domains();
        let convicted = |operator: &OperatorId| self.convicted(operator);
        let statement = numbered.statement(domains);
        if let Some(certificate) = self.tally.certificate(domains, committee, &statement, convicted) {
            self.certified_numbered(place, certificate);
        }
    }

    fn certified_numbered(&mut self, place: Place, certificate: QuorumCertificate) {
        if let Some(open) = self.book.open.get_mut(&place) {
            open.certificate = Some(certificate.clone());
            self.actions.push(Action::NumberedCertified(place.0, certificate));
        }
    }

    /// Hears a certificate that we may have asked for. False when it is worthless.
    pub(super) fn hear_numbered_certificate(&mut self, certificate: QuorumCertificate) -> bool {
        let Some(kind) = self.numbered_kind(&certificate.domain) else {
            let of_service = self.service_domain(&certificate.domain).is_some();
            return of_service && self.hear_service_certificate(certificate);
        };
        let place = (kind, certificate.slot);
        if let Some(open) = self.book.open.get(&place)
            && let Some(ours) = open.certificate.clone().filter(|ours| ours.digest != certificate.digest)
        {
            return self.contradict_numbered(open.numbered.epoch(), ours, &certificate);
        }
        match self.take_numbered_certificate(&certificate) {
            Some(true) => {
                self.certified_numbered((kind, certificate.slot), certificate);
                true
            }
            Some(false) => false,
            None => true,
        }
    }

    /// Whether a certificate of something open holds, which is noted; `None` when there is no use for it.
    fn take_numbered_certificate(&mut self, certificate: &QuorumCertificate) -> Option<bool> {
        let place = (self.numbered_kind(&certificate.domain)?, certificate.slot);
        let numbered = self.book.open.get(&place).filter(|open| open.certificate.is_none())?.numbered;
        let committee = self.ledger.committee_of(numbered.epoch())?;
        if certificate.statement() != numbered.statement(self.ledger.domains()) {
            return Some(false);
        }
        let convicted = |operator: &OperatorId| self.convicted(operator);
        match certificate.verify(&self.ledger.chain(), committee, convicted) {
            Ok(()) => {
                self.book.open.get_mut(&place)?.certificate = Some(certificate.clone());
                Some(true)
            }
            // Who sent it may not know of a conviction yet.
            Err(palisade_types::certificate::Worthless::NoQuorum { .. }) => None,
            Err(_) => Some(false),
        }
    }

    /// Drops what cannot be certified any more, or should not.
    pub(super) fn forget_numbered(&mut self) {
        let ledger = &self.ledger;
        self.book.open.retain(|_, open| is_open(ledger, &open.numbered));
        for kind in NumberedKind::ALL {
            let before = ledger.numbers(kind).before;
            let forgotten = self.book.forgotten.entry(kind).or_default();
            if *forgotten < before {
                *forgotten = before;
                self.tally.forget_below(&kind.domain(ledger.domains()), before);
                self.actions.push(Action::ForgetNumbered(kind, before));
            }
        }
    }

    /// Says again what is not certified, and answers whoever does.
    pub(super) fn say_numbered_again(&mut self) {
        let uncertified = self.book.open.values().filter(|open| open.certificate.is_none());
        let said = uncertified.filter_map(|open| open.said).map(Message::Attestation);
        self.actions.extend(said.take(REPEATED).map(Action::Publish));
        let wanted = self.book.open.values_mut().filter(|open| open.wanted).take(REPEATED);
        for open in wanted {
            open.wanted = false;
            if let Some(certificate) = open.certificate.clone() {
                self.actions.push(Action::Publish(Message::NumberedCertificate(Box::new(certificate))));
            }
        }
    }
}

/// Whether it is the newest of its subject, and its number still open.
fn is_open(ledger: &Ledger, numbered: &Numbered) -> bool {
    ledger.says(numbered) && ledger.epoch_of_number(numbered.kind(), numbered.number()).is_some()
}
