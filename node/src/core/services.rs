//! Statements of services (R14): from a digest that a local module handed in to its certificate.
//!
//! The ledger knows which registrations there are and which domains are theirs; what a digest says is between a service's modules. A
//! statement is asked for only in a slot of this epoch or the one before (R3), by a member of that epoch's committee who counts in the
//! service. Everything else is as in the network's own domains: one guard, one tally, one certificate type, gossip, repetition until the
//! certificate is known, and a doppelganger's signature ends the node (R20). What one operator fills is bounded (R32).
//!
//! Two digests of one operator in one slot are kept from being counted and told to a person; no contract and no ledger takes stake for
//! them, since a service's stake is taken by its quorum's verdicts alone.

use super::{Action, Core, REPEATED};
use crate::message::Message;
use palisade_agreement::batch::Heard;
use palisade_agreement::tally::Counted;
use palisade_types::attestation::{Attestation, Statement};
use palisade_types::canonical::canonical_refusal;
use palisade_types::certificate::{QuorumCertificate, Worthless};
use palisade_types::ids::{Domain, OperatorId};
use palisade_types::row::{Row, RowKey};
use palisade_types::service::{self, Registration, ServiceDomain, ServiceStatement};
use palisade_types::units::{Epoch, Height};
use std::collections::{BTreeMap, BTreeSet};

/// How many slots of one domain an operator fills in one epoch. Who says more is not heard, and his own node refuses it before.
pub const MAX_SLOTS: u32 = 256;
/// How many of all domains together: anybody may register services, and so domains without end.
pub const MAX_SLOTS_OF_ALL: u32 = 16 * MAX_SLOTS;

/// How many slots may be open when we hear of another's certificate: where only one counts, he alone makes certificates without end.
const MAX_OPEN: usize = 16_384;

/// What the signer needs to attest for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttestService {
    /// What the module wants said.
    pub statement: ServiceStatement,
    /// The first height of the slot's epoch, below which it cannot have been said.
    pub first: Height,
    /// As in [`super::Attest`].
    pub epoch_start: u64,
}

canonical_refusal! {
    /// Why the node asks its signer for nothing.
    pub enum NotAsked {
        /// No such registration stands in the ledger, or it names no such domain.
        0 => UnknownService("no such registration of a service stands in the ledger, or it has no such domain"),
        /// The slot is not of this epoch or the one before (R3).
        1 => WrongEpoch("the slot is not of this epoch or the one before"),
        /// We have no seat there, or weigh less than the service's bond.
        2 => NotMember("this operator is no member who counts in that service"),
        /// We say nothing now: our view of a chain lags or contradicts the ledger (R7), or we are convicted.
        3 => Silent("this node attests nothing at present"),
        /// The domain has as many slots of ours in this epoch as it may.
        4 => TooMany("too many slots of that domain in this epoch"),
    }
}

/// What we hold of services' statements.
#[derive(Debug, Default)]
pub(super) struct Desk {
    domains: BTreeMap<Domain, ServiceDomain>,
    open: BTreeMap<(Domain, u64), Open>,
    /// How many slots each operator has filled, by domain and epoch,
    filled: BTreeMap<(Domain, Epoch, OperatorId), u32>,
    /// and of all domains.
    filled_of_all: BTreeMap<(Epoch, OperatorId), u32>,
}

/// One slot.
#[derive(Debug, Default)]
struct Open {
    said: Option<Attestation>,
    certificate: Option<QuorumCertificate>,
    /// Whether somebody seems to lack the certificate.
    wanted: bool,
}

impl Core {
    /// Which of a service's domains this is.
    #[must_use]
    pub fn service_domain(&self, domain: &Domain) -> Option<ServiceDomain> {
        self.desk.domains.get(domain).copied()
    }

    /// Learns the domains of registrations: of all of the ledger's, or of those that a block brought.
    pub(super) fn learn_services<'a>(&mut self, registrations: impl IntoIterator<Item = &'a Registration>) {
        let (chain, palisade) = (self.ledger.chain(), self.ledger.genesis_of().contracts.palisade);
        for registration in registrations {
            for kind in &registration.rules.kinds {
                let named = ServiceDomain { registration: registration.id, kind: *kind };
                if let Some(domain) = named.derive(&chain, &palisade) {
                    self.desk.domains.insert(domain, named);
                }
            }
        }
    }

    /// The registrations among the rows that a block changes.
    pub(super) fn registrations_in(rows: &[(RowKey, Option<Row>)]) -> Vec<Registration> {
        let of = |(_, row): &(RowKey, Option<Row>)| match row {
            Some(Row::Registration(registration)) => Some((**registration).clone()),
            _ => None,
        };
        rows.iter().filter_map(of).collect()
    }

    /// What the signer is to be asked for a module of ours.
    ///
    /// # Errors
    ///
    /// [`NotAsked`].
    pub fn attest_for(&self, statement: &ServiceStatement) -> Result<AttestService, NotAsked> {
        let (chain, palisade) = (self.ledger.chain(), self.ledger.genesis_of().contracts.palisade);
        let domain = statement.domain.derive(&chain, &palisade).filter(|domain| self.service_domain(domain).is_some());
        let domain = domain.ok_or(NotAsked::UnknownService)?;
        let registration = self.ledger.registration(&statement.domain.registration).ok_or(NotAsked::UnknownService)?;
        let epoch = self.open_service_epoch(statement.slot).ok_or(NotAsked::WrongEpoch)?;
        let committee = self.ledger.committee_of(epoch).ok_or(NotAsked::WrongEpoch)?;
        let Some(Row::EpochFirst(first)) = self.ledger.row(&RowKey::EpochFirst(epoch)) else {
            return Err(NotAsked::WrongEpoch);
        };
        if !registration.rules.counts(committee, &self.own) {
            return Err(NotAsked::NotMember);
        }
        if !self.speaks() {
            return Err(NotAsked::Silent);
        }
        let known = self.desk.open.get(&(domain, statement.slot)).is_some_and(|open| open.said.is_some());
        if !known && self.is_full(&domain, epoch, &self.own) {
            return Err(NotAsked::TooMany);
        }
        Ok(AttestService { statement: *statement, first, epoch_start: committee.ethereum.number })
    }

    /// The epoch of a slot that can still be certified: this one or the one before.
    pub(super) fn open_service_epoch(&self, slot: u64) -> Option<Epoch> {
        let (epoch, now) = (service::epoch_of(slot), self.ledger.epoch().epoch);
        (epoch == now || epoch.next() == now).then_some(epoch)
    }

    /// Whether an operator has filled as many slots of an epoch as he may.
    fn is_full(&self, domain: &Domain, epoch: Epoch, operator: &OperatorId) -> bool {
        let of_domain = self.desk.filled.get(&(*domain, epoch, *operator)).copied().unwrap_or(0);
        let of_all = self.desk.filled_of_all.get(&(epoch, *operator)).copied().unwrap_or(0);
        of_domain >= MAX_SLOTS || of_all >= MAX_SLOTS_OF_ALL
    }

    /// Whether there is a place for what its operator says. What there is none for is worth no check.
    pub(super) fn has_room(&self, attestation: &Attestation, epoch: Epoch) -> bool {
        let Statement { domain, slot, .. } = attestation.statement;
        let has_said = || self.tally.said(&domain, slot).any(|(operator, _)| *operator == attestation.operator);
        !self.is_full(&domain, epoch, &attestation.operator) || has_said()
    }

    /// The signer attested for a service.
    pub(super) fn attested_for_service(&mut self, attestation: Attestation) {
        let Statement { domain, slot, .. } = attestation.statement;
        if self.open_service_epoch(slot).is_none() {
            return; // the epoch went on while the signer worked
        }
        self.desk.open.entry((domain, slot)).or_default().said = Some(attestation);
        self.actions.push(Action::Publish(Message::Attestation(attestation)));
        self.hear_for_service(&Heard::Unchecked(attestation));
    }

    /// Hears a statement in a service's domain. False when it is worthless.
    pub(super) fn hear_for_service(&mut self, heard: &Heard) -> bool {
        let attestation = *heard.attestation();
        let Statement { domain, slot, .. } = attestation.statement;
        let Some(epoch) = self.open_service_epoch(slot) else { return true }; // others are ahead, or behind (R32)
        let Some(named) = self.service_domain(&domain) else { return false };
        let Some(registration) = self.ledger.registration(&named.registration) else { return true };
        let Some(committee) = self.ledger.committee_of(epoch) else { return true };
        let counts = registration.rules.counts(committee, &attestation.operator);
        let place = (domain, epoch, attestation.operator);
        if !counts {
            return true;
        }
        if !self.has_room(&attestation, epoch) {
            return false; // it goes no further
        }
        let counted = self.tally.count(self.ledger.domains(), committee, heard);
        let holds = matches!(counted, Counted::New | Counted::Conflict(_));
        let said = self.desk.open.get(&(domain, slot)).and_then(|open| open.said);
        if holds && attestation.operator == self.own && said.map(|said| said.statement) != Some(attestation.statement) {
            self.meet(attestation.statement, epoch);
        }
        match counted {
            Counted::New => {
                *self.desk.filled.entry(place).or_default() += 1;
                *self.desk.filled_of_all.entry((epoch, attestation.operator)).or_default() += 1;
                self.certify_for_service(&attestation.statement);
            }
            Counted::Known if attestation.operator != self.own => {
                if let Some(open) = self.desk.open.get_mut(&(domain, slot)) {
                    open.wanted = open.certificate.is_some();
                }
            }
            Counted::Known => {}
            Counted::Conflict(_) => {
                let operator = attestation.operator;
                self.actions.push(Action::Notice(format!(
                    "{operator} said two things in slot {slot} of service domain {domain}"
                )));
            }
            Counted::Worthless => return false,
        }
        true
    }

    /// Makes a certificate once the service's quorum is there, and again with everybody who joins.
    fn certify_for_service(&mut self, statement: &Statement) {
        let Some(named) = self.service_domain(&statement.domain) else { return };
        let Some(registration) = self.ledger.registration(&named.registration) else { return };
        let Some(committee) = self.ledger.committee_of(service::epoch_of(statement.slot)) else { return };
        let (domains, rules) = (self.ledger.domains(), &registration.rules);
        let out = |operator: &OperatorId| self.convicted(operator) || !rules.counts(committee, operator);
        let made = self.tally.certificate(domains, committee, statement, out);
        if let Some(certificate) = made.filter(|made| self.judge_for_service(made) == Some(Ok(()))) {
            self.certified_for_service(certificate);
        }
    }

    fn certified_for_service(&mut self, certificate: QuorumCertificate) {
        let open = self.desk.open.entry((certificate.domain, certificate.slot)).or_default();
        open.certificate = Some(certificate.clone());
        self.actions.push(Action::ServiceCertified(certificate));
    }

    /// What the service's rules make of a certificate in an open slot; `None` when there is no use for it.
    fn judge_for_service(&self, certificate: &QuorumCertificate) -> Option<Result<(), Worthless>> {
        let named = self.service_domain(&certificate.domain)?;
        let registration = self.ledger.registration(&named.registration)?;
        let committee = self.ledger.committee_of(self.open_service_epoch(certificate.slot)?)?;
        let convicted = |operator: &OperatorId| self.convicted(operator);
        Some(registration.rules.judge(&self.ledger.chain(), committee, certificate, convicted))
    }

    /// Hears a certificate that we may lack. False when it is worthless.
    pub(super) fn hear_service_certificate(&mut self, certificate: QuorumCertificate) -> bool {
        let place = (certificate.domain, certificate.slot);
        if self.desk.open.get(&place).is_some_and(|open| open.certificate.is_some()) {
            return true;
        }
        if !self.desk.open.contains_key(&place) && self.desk.open.len() >= MAX_OPEN {
            return false;
        }
        match self.judge_for_service(&certificate) {
            Some(Ok(())) => {
                self.certified_for_service(certificate);
                true
            }
            // Who sent it may not know of a conviction yet.
            None | Some(Err(Worthless::NoQuorum { .. })) => true,
            Some(Err(_)) => false,
        }
    }

    /// Says again what is not certified, and answers whoever does.
    pub(super) fn say_for_services_again(&mut self) {
        let uncertified = self.desk.open.values().filter(|open| open.certificate.is_none());
        let said = uncertified.filter_map(|open| open.said).map(Message::Attestation);
        self.actions.extend(said.take(REPEATED).map(Action::Publish));
        for open in self.desk.open.values_mut().filter(|open| open.wanted).take(REPEATED) {
            open.wanted = false;
            if let Some(certificate) = open.certificate.clone() {
                self.actions.push(Action::Publish(Message::NumberedCertificate(Box::new(certificate))));
            }
        }
    }

    /// Drops slots that cannot be certified any more.
    pub(super) fn forget_for_services(&mut self) {
        let now = self.ledger.epoch().epoch;
        let first = Epoch::new(now.get().saturating_sub(1));
        let is_open = |slot: u64| service::epoch_of(slot) >= first;
        // Of most domains nothing was ever said.
        let mut over: BTreeSet<Domain> =
            self.desk.open.extract_if(.., |(_, slot), _| !is_open(*slot)).map(|((domain, _), _)| domain).collect();
        self.desk.filled_of_all.retain(|(epoch, _), _| *epoch >= first);
        let filled = self.desk.filled.extract_if(.., |(_, epoch, _), _| *epoch < first);
        over.extend(filled.map(|((domain, ..), _)| domain));
        for domain in over {
            self.tally.forget_below(&domain, service::first_slot(first));
            self.actions.push(Action::ForgetService(domain, service::first_slot(first)));
        }
    }
}
