//! From a claim in the ledger to its certificate.
//!
//! A member attests a claim when the block that holds it is ether-final, so that the ledger cannot say something else
//! under the same number, when his own follower stands at or past the Bitcoin block it speaks of and shows no other
//! there (R7), and when it is still the newest about its vault: who knows of a revocation does not certify what it takes
//! back. Members of an epoch attest its claims in the epoch after it too, while their committee is within its age (R10),
//! so that what is said in an epoch's last blocks does not get lost.
//!
//! Everybody says his attestation again until he knows the certificate. Who knows it and hears something said again
//! answers with the certificate, once per repetition.

use super::{Action, AttestClaim, CHAINS, Core, REPEATED};
use crate::message::Message;
use palisade_agreement::tally::{AHEAD, Counted};
use palisade_ledger::Ledger;
use palisade_types::attestation::Attestation;
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::{ChainKind, ChainPoint};
use palisade_types::claim::Claim;
use palisade_types::ids::{Digest, Domain, OperatorId};
use palisade_types::row::{Row, RowKey};
use palisade_types::units::{Epoch, Height};
use std::collections::BTreeMap;

/// What we hold of claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Those that can still be certified, by number.
    open: BTreeMap<u64, Open>,
    /// Attestations of claims that our ledger does not hold yet, by number and operator.
    early: BTreeMap<(u64, OperatorId), Vec<Attestation>>,
    /// Below which number certificates are forgotten.
    forgotten: u64,
}

/// One claim on its way.
#[derive(Clone, Debug)]
struct Open {
    claim: Claim,
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
    const fn new(claim: Claim, held: Height) -> Self {
        Self { claim, held, asked: false, said: None, certificate: None, wanted: false }
    }
}

impl Claims {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let head = ledger.head().height;
        let open = ledger.claims().filter(|claim| is_open(ledger, claim));
        Self { open: open.map(|claim| (claim.number, Open::new(*claim, head))).collect(), ..Self::default() }
    }

    /// Takes in what the block at `height` says of vaults.
    pub(super) fn keep(&mut self, height: Height, rows: &[(RowKey, Option<Row>)]) {
        for (_, row) in rows {
            if let Some(Row::Claim(claim)) = row {
                self.open.insert(claim.number, Open::new(*claim, height));
            }
        }
    }
}

impl Core {
    /// The numbers of claims that can still be certified.
    #[must_use]
    pub fn open_claims(&self) -> Vec<u64> {
        self.claims.open.keys().copied().collect()
    }

    /// A claim's certificate from before a restart.
    pub fn resume_claim(&mut self, certificate: &QuorumCertificate) {
        self.take_claim_certificate(certificate);
    }

    /// Who said what in an open slot of a BLS domain.
    #[must_use]
    pub fn said(&self, domain: &Domain, slot: u64) -> BTreeMap<OperatorId, Digest> {
        self.tally.said(domain, slot).map(|(operator, digest)| (*operator, *digest)).collect()
    }

    /// Asks the signer for every claim that may be attested now and was not asked for since the start.
    pub(super) fn attest_claims(&mut self) {
        if self.claims.open.values().all(|open| open.asked) || !self.speaks() {
            return;
        }
        let certified = self.certified_height();
        let may = |open: &&Open| !open.asked && open.held <= certified && self.stands_behind(&open.claim);
        let due: Vec<u64> = self.claims.open.values().filter(may).map(|open| open.claim.number).collect();
        for number in due {
            let Some(open) = self.claims.open.get_mut(&number) else { continue };
            let epoch = open.claim.epoch;
            let Some(Row::EpochFirst(first)) = self.ledger.row(&RowKey::EpochFirst(epoch)) else { continue };
            let Some(committee) = self.ledger.committee_of(epoch) else { continue };
            open.asked = true;
            self.actions.push(Action::AttestClaim(Box::new(AttestClaim {
                claim: open.claim,
                first: *first,
                epoch_start: committee.ethereum.number,
            })));
        }
    }

    /// Whether we have a say in the claim's epoch, and our own follower does not contradict it. A revocation needs no
    /// Bitcoin block: it stands also where Bitcoin lost one.
    fn stands_behind(&self, claim: &Claim) -> bool {
        let Some(committee) = self.ledger.committee_of(claim.epoch) else { return false };
        let seated = committee.seat(&self.own).is_some_and(|(_, seat)| seat.ether > 0);
        let point = ChainPoint { number: claim.height, hash: claim.block, log: u32::MAX, time: 0 };
        let tip = self.anchors.tip(ChainKind::Bitcoin).map_or(0, |tip| tip.number);
        let is_seen = tip >= claim.height && !self.anchors.contradicts(ChainKind::Bitcoin, &point);
        seated && !self.is_past_age(committee) && (claim.revoked || is_seen)
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

    /// The signer attested a claim.
    pub(super) fn attested_claim(&mut self, attestation: Attestation) {
        // What was superseded while the signer worked is not published.
        let Some(open) = self.claims.open.get_mut(&attestation.statement.slot) else { return };
        open.said = Some(attestation);
        self.actions.push(Action::Publish(Message::Attestation(attestation)));
        self.count_claim(&attestation);
    }

    /// Hears an attestation of a claim; one that our ledger does not hold yet waits. False when it is worthless.
    pub(super) fn hear_claim(&mut self, attestation: Attestation) -> bool {
        let (number, next) = (attestation.statement.slot, self.ledger.claim_numbers().next);
        if number < next {
            return self.count_claim(&attestation);
        }
        let Some(operator) = self.ledger.operator(&attestation.operator) else { return true };
        if number >= next + AHEAD {
            return true;
        }
        // Its epoch's committee may be unknown here: any key that he registered, and two places, as for blocks.
        let held = self.claims.early.entry((number, attestation.operator)).or_default();
        if held.contains(&attestation) || held.len() >= 2 {
            return true;
        }
        let holds = attestation.signed_by(&self.ledger.chain(), operator);
        if holds {
            held.push(attestation);
        }
        holds
    }

    /// Hears what waited for the new head.
    pub(super) fn hear_early_claims(&mut self) {
        let later = self.claims.early.split_off(&(self.ledger.claim_numbers().next, OperatorId::ZERO));
        let now = std::mem::replace(&mut self.claims.early, later);
        for attestation in now.into_values().flatten() {
            self.count_claim(&attestation);
        }
    }

    fn count_claim(&mut self, attestation: &Attestation) -> bool {
        let number = attestation.statement.slot;
        let Some(epoch) = self.claim_epoch(number) else { return true }; // no longer open (R32)
        let Some(committee) = self.ledger.committee_of(epoch) else { return true };
        let counted = self.tally.count(self.ledger.domains(), committee, attestation);
        let holds = matches!(counted, Counted::New | Counted::Conflict(_));
        let said = self.claims.open.get(&number).and_then(|open| open.said);
        if holds && attestation.operator == self.own && said.map(|said| said.statement) != Some(attestation.statement) {
            self.meet(attestation.statement, epoch);
        }
        match counted {
            Counted::New => self.certify_claim(number),
            Counted::Known if attestation.operator != self.own => {
                if let Some(open) = self.claims.open.get_mut(&number) {
                    open.wanted = open.certificate.is_some();
                }
            }
            Counted::Known => {}
            Counted::Conflict(evidence) => self.accuse(*evidence),
            Counted::Worthless => return false,
        }
        true
    }

    /// The epoch of an open number: the newest in which claims were made, or the one before.
    fn claim_epoch(&self, number: u64) -> Option<Epoch> {
        self.ledger.claim_numbers().epoch_of(number)
    }

    /// Makes the certificate of a claim, once there is a quorum, and again with everybody who joins.
    fn certify_claim(&mut self, number: u64) {
        let Some(claim) = self.claims.open.get(&number).map(|open| open.claim) else { return };
        let Some(committee) = self.ledger.committee_of(claim.epoch) else { return };
        let domains = self.ledger.domains();
        let convicted = |operator: &OperatorId| self.convicted(operator);
        let statement = claim.statement(domains.claim);
        if let Some(certificate) = self.tally.certificate(domains, committee, &statement, convicted) {
            self.certified_claim(certificate);
        }
    }

    fn certified_claim(&mut self, certificate: QuorumCertificate) {
        if let Some(open) = self.claims.open.get_mut(&certificate.slot) {
            open.certificate = Some(certificate.clone());
            self.actions.push(Action::ClaimCertified(certificate));
        }
    }

    /// Hears a certificate that we may have asked for. False when it is worthless.
    pub(super) fn hear_claim_certificate(&mut self, certificate: QuorumCertificate) -> bool {
        match self.take_claim_certificate(&certificate) {
            Some(true) => {
                self.certified_claim(certificate);
                true
            }
            Some(false) => false,
            None => true,
        }
    }

    /// Whether a certificate of an open claim holds, which is noted; `None` when there is no use for it.
    fn take_claim_certificate(&mut self, certificate: &QuorumCertificate) -> Option<bool> {
        let domain = self.ledger.domains().claim;
        let claim = self.claims.open.get(&certificate.slot).filter(|open| open.certificate.is_none())?.claim;
        let committee = self.ledger.committee_of(claim.epoch)?;
        if certificate.statement() != claim.statement(domain) {
            return Some(false);
        }
        let convicted = |operator: &OperatorId| self.convicted(operator);
        match certificate.verify(&self.ledger.chain(), committee, convicted) {
            Ok(()) => {
                self.claims.open.get_mut(&certificate.slot)?.certificate = Some(certificate.clone());
                Some(true)
            }
            // Who sent it may not know of a conviction yet.
            Err(palisade_types::certificate::Worthless::NoQuorum { .. }) => None,
            Err(_) => Some(false),
        }
    }

    /// Drops what cannot be certified any more, or should not.
    pub(super) fn forget_claims(&mut self) {
        let ledger = &self.ledger;
        self.claims.open.retain(|_, open| is_open(ledger, &open.claim));
        let numbers = ledger.claim_numbers();
        if self.claims.forgotten < numbers.before {
            self.claims.forgotten = numbers.before;
            self.tally.forget_below(&ledger.domains().claim, numbers.before);
            self.actions.push(Action::ForgetClaims(numbers.before));
        }
    }

    /// Says again what is not certified, and answers whoever does.
    pub(super) fn say_claims_again(&mut self) {
        let uncertified = self.claims.open.values().filter(|open| open.certificate.is_none());
        let said = uncertified.filter_map(|open| open.said).map(Message::Attestation);
        self.actions.extend(said.take(REPEATED).map(Action::Publish));
        let wanted = self.claims.open.values_mut().filter(|open| open.wanted).take(REPEATED);
        for open in wanted {
            open.wanted = false;
            if let Some(certificate) = open.certificate.clone() {
                self.actions.push(Action::Publish(Message::ClaimCertificate(Box::new(certificate))));
            }
        }
    }
}

/// Whether a claim is the newest about its vault, and its number still open.
fn is_open(ledger: &Ledger, claim: &Claim) -> bool {
    ledger.claim(&claim.vault) == Some(claim) && ledger.claim_numbers().epoch_of(claim.number).is_some()
}
