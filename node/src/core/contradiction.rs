//! Certificates that contradict ours: who signed both is convicted by the two alone (R1).
//!
//! Single attestations are counted for two epochs and sent on by nobody who has heard a quorum, so that of two chains each of which is
//! certified somebody may hold nothing but the certificates. We keep ours of these epochs; the newest is told again with our own words
//! while our head stands still, and to everybody when another chain is heard of. What others tell, offer in a block or hand in, is
//! compared.

use super::{Action, Core};
use crate::message::Message;
use palisade_types::certificate::QuorumCertificate;
use palisade_types::contradiction::{CertificatePair, LaterBlock};
use palisade_types::evidence::Evidence;
use palisade_types::ids::Hash;
use palisade_types::row::RowKey;
use palisade_types::units::{Epoch, Height};
use palisade_types::{Block, Item};

/// How many of our own certificates are kept, newest first.
const KEPT: usize = 1_024;
/// How many certificates of another chain are looked at in one block that is offered.
const LOOKED_AT: usize = 4;

impl Core {
    /// Keeps a certificate of a block of ours, the widest of its slot.
    pub(super) fn keep_certificate(&mut self, certificate: &QuorumCertificate) {
        self.certificates.insert(certificate.slot, certificate.clone());
        if self.certificates.len() > KEPT {
            self.certificates.pop_first();
        }
    }

    /// Hears a certificate of a block. False when its signature does not hold; what says the same as ours is not looked at.
    pub(super) fn hear_certificate(&mut self, certificate: QuorumCertificate) -> bool {
        if certificate.domain != self.ledger.domains().ledger || self.is_bitcoin_only() {
            return false;
        }
        if !self.is_elsewhere(&certificate) {
            return true;
        }
        self.tell_of_ours(certificate.slot);
        let Some(pair) = self.contradiction_of(certificate) else { return true };
        match self.submit_evidence(Evidence::Certificates(Box::new(pair))) {
            Ok(_) => true,
            Err(unproven) => unproven.depends_on_head(),
        }
    }

    /// An offered block may hold certificates of another chain than ours.
    pub(super) fn look_for_contradictions(&mut self, block: &Block) {
        let others = block.items.iter().filter_map(|item| match item {
            Item::EtherFinal(certificate) if self.is_elsewhere(certificate) => Some(certificate.clone()),
            _ => None,
        });
        for certificate in others.take(LOOKED_AT).collect::<Vec<_>>() {
            self.hear_certificate(certificate);
        }
    }

    /// Another certificate of a number that we hold one of: proof, if it holds.
    pub(super) fn contradict_numbered(
        &mut self,
        epoch: Epoch,
        ours: QuorumCertificate,
        other: &QuorumCertificate,
    ) -> bool {
        let pair = CertificatePair { epoch, first: ours, second: other.clone(), later: None };
        match self.submit_evidence(Evidence::Certificates(Box::new(pair))) {
            Ok(_) => true,
            Err(unproven) => unproven.depends_on_head(),
        }
    }

    /// Our newest certificate up to a slot, for whoever may be on another chain.
    pub(super) fn tell_certificate(&mut self, slot: u64) {
        let newest = self.certificates.range(..=slot).next_back().map(|(_, certificate)| certificate.clone());
        let told = newest.map(|certificate| Message::Certificate(Box::new(certificate)));
        self.actions.extend(told.map(Action::Publish));
    }

    /// Forgets certificates of epochs before the last.
    pub(super) fn forget_certificates(&mut self, first_open: Height) {
        self.certificates = self.certificates.split_off(&first_open.get());
    }

    /// Whether it certifies another block than the one that stands at that height in our ledger.
    fn is_elsewhere(&self, certificate: &QuorumCertificate) -> bool {
        let ours = self.ledger.block_id(Height::new(certificate.slot));
        ours.is_some_and(|ours| certificate.digest != ours.into())
    }

    /// The proof, if we hold what it takes: a certificate of ours by the same committee, in the same slot or of a later block whose
    /// state is at hand.
    fn contradiction_of(&self, other: QuorumCertificate) -> Option<CertificatePair> {
        let of_committee = |ours: &&QuorumCertificate| ours.committee == other.committee;
        if let Some(ours) = self.certificates.get(&other.slot).filter(of_committee) {
            let epoch = self.ledger.epoch_of(Height::new(ours.slot))?;
            return Some(CertificatePair { epoch, first: other, second: ours.clone(), later: None });
        }
        let mut later = self.certificates.range(other.slot + 1..).rev().map(|(_, ours)| ours).filter(of_committee);
        later.find_map(|ours| {
            let recent = self.recent.get(&Height::new(ours.slot))?;
            let earlier = Height::new(other.slot);
            let later = LaterBlock {
                header: recent.header,
                named: Hash::new(*self.ledger.block_id(earlier)?.as_bytes()),
                proof: recent.tree.as_ref()?.prove(&RowKey::Block(earlier).path()),
            };
            let epoch = self.ledger.epoch_of(Height::new(ours.slot))?;
            Some(CertificatePair { epoch, first: other.clone(), second: ours.clone(), later: Some(later) })
        })
    }
}
