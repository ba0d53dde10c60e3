//! Attestations in, certificates out; a second digest of one operator in one slot leaves as evidence.
//!
//! It serves every BLS domain: blocks by height, vault claims and orders by number. Only slots that can still be certified are kept
//! (R32): the caller brings those from the first slot of the epoch before up to [`AHEAD`] past the newest, each with the
//! committee of its epoch, and says what to forget; two digests per operator and slot, of which the second is already a
//! fault.

use crate::batch::Heard;
use palisade_crypto::bls;
use palisade_types::attestation::{Attestation, FinalityVote, Statement};
use palisade_types::canonical::List;
use palisade_types::certificate::{
    BitcoinCertificate, CERTIFICATE_VERSION, CertifiedVote, Committee, QuorumCertificate,
};
use palisade_types::evidence::{BlsPair, Domains, EotsPair, Evidence};
use palisade_types::ids::{BlsSignature, Digest, Domain, OperatorId};
use palisade_types::keyring::Keyring;
use palisade_types::units::Height;
use std::collections::BTreeMap;

/// How far past the head a slot may be: others commit a block some moments before us.
pub const AHEAD: u64 = 32;

/// Attestations of one domain by slot and operator, each checked under its committee.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    attestations: BTreeMap<(Domain, u64), BTreeMap<OperatorId, (Digest, bls::Signature)>>,
    votes: BTreeMap<u64, BTreeMap<OperatorId, FinalityVote>>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It is new and counts.
    New,
    /// We have it.
    Known,
    /// It contradicts what the same operator said before: proof of fault.
    Conflict(Box<Evidence>),
    /// Not by a member, not signed by his key, or without a committed nonce. The sender pays.
    Worthless,
}

impl Tally {
    /// Whether it was counted already: the signature may be another, what it says is not.
    #[must_use]
    pub fn knows(&self, attestation: &Attestation) -> bool {
        self.said_by(&attestation.statement, &attestation.operator)
    }

    /// Whether an operator was heard to say this.
    #[must_use]
    pub fn said_by(&self, statement: &Statement, operator: &OperatorId) -> bool {
        let slot = self.attestations.get(&(statement.domain, statement.slot));
        slot.and_then(|slot| slot.get(operator)).is_some_and(|(digest, _)| *digest == statement.digest)
    }

    /// Counts an attestation under the committee of its slot. One whose signature was checked under the key of his seat is not
    /// checked again.
    pub fn count(&mut self, domains: &Domains, committee: &Committee, heard: &Heard) -> Counted {
        let Attestation { statement, operator, .. } = *heard.attestation();
        let slot = self.attestations.entry((statement.domain, statement.slot)).or_default();
        let before = slot.get(&operator).copied();
        if before.is_some_and(|(digest, _)| digest == statement.digest) {
            return Counted::Known;
        }
        let Some(signature) = holds(domains, committee, heard) else { return Counted::Worthless };
        let Some(first) = before else {
            slot.insert(operator, (statement.digest, signature));
            return Counted::New;
        };
        let signed = |(digest, signature): (Digest, bls::Signature)| (digest, BlsSignature::new(signature.to_bytes()));
        Counted::Conflict(Box::new(Evidence::Pair(BlsPair {
            operator,
            domain: statement.domain,
            slot: statement.slot,
            first: signed(first),
            second: signed((statement.digest, signature)),
        })))
    }

    /// Counts a finality vote under the committee of its slot.
    pub fn count_vote(&mut self, domains: &Domains, committee: &Committee, vote: &FinalityVote) -> Counted {
        let statement = vote.statement;
        let slot = self.votes.entry(statement.slot).or_default();
        let before = slot.get(&vote.operator);
        if before.is_some_and(|before| before.statement.digest == statement.digest) {
            return Counted::Known;
        }
        let Some((index, member)) = committee.seat(&vote.operator) else { return Counted::Worthless };
        let message = statement.eots_message(&domains.chain);
        let height = Height::new(statement.slot);
        if certified(index, vote).verify(member, height, domains.interval, &message).is_err() {
            return Counted::Worthless;
        }
        let Some(first) = before else {
            slot.insert(vote.operator, vote.clone());
            return Counted::New;
        };
        Counted::Conflict(Box::new(Evidence::EotsPair(EotsPair {
            operator: vote.operator,
            domain: statement.domain,
            slot: statement.slot,
            nonce: vote.nonce,
            opening: vote.opening.clone(),
            first: (first.statement.digest, first.signature),
            second: (statement.digest, vote.signature),
        })))
    }

    /// The certificate of `statement`, once more than two thirds of the ETH-side weight that still counts (R9)
    /// have said it.
    #[must_use]
    pub fn certificate(
        &self,
        domains: &Domains,
        committee: &Committee,
        statement: &Statement,
        convicted: impl Fn(&OperatorId) -> bool,
    ) -> Option<QuorumCertificate> {
        let slot = self.attestations.get(&(statement.domain, statement.slot))?;
        let mut bitmap = vec![0_u8; committee.members.len().div_ceil(8)];
        let (mut signatures, mut signed, mut total) = (Vec::new(), 0, 0);
        for (index, member) in committee.members.iter().enumerate() {
            let weight = if convicted(&member.operator) { 0 } else { u128::from(member.ether) };
            total += weight;
            let Some((_, signature)) = slot.get(&member.operator).filter(|(digest, _)| *digest == statement.digest)
            else {
                continue;
            };
            bitmap[index / 8] |= 1 << (index % 8);
            signatures.push(*signature);
            signed += weight;
        }
        if signed * 3 <= total * 2 {
            return None;
        }
        Some(QuorumCertificate {
            version: CERTIFICATE_VERSION,
            chain: domains.chain,
            committee: committee.hash(&domains.chain),
            domain: statement.domain,
            slot: statement.slot,
            digest: statement.digest,
            members: u16::try_from(committee.members.len()).expect("at most 256 members"),
            signers: bitmap.try_into().expect("at most 256 members are at most 32 bytes"),
            signature: BlsSignature::new(bls::Signature::aggregate(&signatures).ok()?.to_bytes()),
        })
    }

    /// Whether every signature in a certificate was counted here under `committee`, the one of its slot, and they add up to the
    /// certificate's own: then that holds.
    #[must_use]
    pub fn vouches(&self, committee: &Committee, certificate: &QuorumCertificate) -> bool {
        let Some(slot) = self.attestations.get(&(certificate.domain, certificate.slot)) else { return false };
        let named = committee.members.iter().enumerate().filter(|(index, _)| certificate.names(*index));
        let counted = |operator: &OperatorId| slot.get(operator).filter(|(digest, _)| *digest == certificate.digest);
        let signatures: Option<Vec<_>> = named.map(|(_, member)| counted(&member.operator).map(|one| one.1)).collect();
        let sum = signatures.and_then(|signatures| bls::Signature::aggregate(&signatures).ok());
        sum.is_some_and(|sum| sum.to_bytes() == *certificate.signature.as_bytes())
    }

    /// The certificate of a checkpoint, once more than two thirds of the bitcoin that still counts have said it.
    #[must_use]
    pub fn bitcoin_certificate(
        &self,
        domains: &Domains,
        committee: &Committee,
        statement: &Statement,
        gone: impl Fn(&OperatorId) -> bool,
    ) -> Option<BitcoinCertificate> {
        let slot = self.votes.get(&statement.slot)?;
        let mut votes = List::new();
        let (mut signed, mut total) = (0, 0);
        for (index, member) in committee.members.iter().enumerate() {
            let weight = if gone(&member.operator) { 0 } else { u128::from(member.bitcoin) };
            total += weight;
            if let Some(vote) = slot.get(&member.operator).filter(|vote| vote.statement == *statement) {
                votes.push(certified(index, vote)).ok()?;
                signed += weight;
            }
        }
        (signed * 3 > total * 2).then(|| BitcoinCertificate {
            chain: domains.chain,
            committee: committee.hash(&domains.chain),
            domain: statement.domain,
            slot: statement.slot,
            digest: statement.digest,
            votes,
        })
    }

    /// Everybody's digest in one slot, for status.
    pub fn said(&self, domain: &Domain, slot: u64) -> impl Iterator<Item = (&OperatorId, &Digest)> {
        let slot = self.attestations.get(&(*domain, slot));
        slot.into_iter().flat_map(|slot| slot.iter().map(|(operator, (digest, _))| (operator, digest)))
    }

    /// The attestations of an operator in a domain, the highest slot first.
    pub fn by(&self, domain: &Domain, operator: &OperatorId) -> impl Iterator<Item = Attestation> {
        let (slots, operator) = (self.attestations.range((*domain, 0)..=(*domain, u64::MAX)).rev(), *operator);
        slots.filter_map(move |((domain, slot), said)| {
            let (digest, signature) = *said.get(&operator)?;
            let statement = Statement { domain: *domain, slot: *slot, digest };
            Some(Attestation { statement, operator, signature: BlsSignature::new(signature.to_bytes()) })
        })
    }

    /// Everybody's attestation in one slot.
    pub fn attestations(&self, domain: &Domain, slot: u64) -> impl Iterator<Item = Attestation> {
        let (domain, said) = (*domain, self.attestations.get(&(*domain, slot)));
        said.into_iter().flatten().map(move |(operator, (digest, signature))| Attestation {
            statement: Statement { domain, slot, digest: *digest },
            operator: *operator,
            signature: BlsSignature::new(signature.to_bytes()),
        })
    }

    /// The attestation of an operator in the highest slot of a domain.
    #[must_use]
    pub fn newest(&self, domain: &Domain, operator: &OperatorId) -> Option<Attestation> {
        self.by(domain, operator).next()
    }

    /// The vote of an operator for the highest checkpoint.
    #[must_use]
    pub fn newest_vote(&self, operator: &OperatorId) -> Option<&FinalityVote> {
        self.votes.values().rev().find_map(|said| said.get(operator))
    }

    /// Forgets slots of a BLS domain below `first`: nothing there can be certified any more.
    pub fn forget_below(&mut self, domain: &Domain, first: u64) {
        self.attestations.retain(|(of, slot), _| of != domain || *slot >= first);
    }

    /// The same for checkpoints.
    pub fn forget_votes_below(&mut self, first: Height) {
        self.votes = self.votes.split_off(&first.get());
    }
}

/// The signature, when the key of his seat made it.
fn holds(domains: &Domains, committee: &Committee, heard: &Heard) -> Option<bls::Signature> {
    let attestation = heard.attestation();
    let (seat, member) = committee.seat(&attestation.operator)?;
    if let Heard::Checked(checked) = heard
        && checked.key() == member.bls
    {
        return Some(checked.signature());
    }
    let signature = bls::Signature::from_bytes(attestation.signature.as_bytes()).ok()?;
    let message = attestation.statement.bls_message(&domains.chain);
    Keyring::of(committee).key(seat)?.verify(&message, &signature).is_ok().then_some(signature)
}

fn certified(index: usize, vote: &FinalityVote) -> CertifiedVote {
    CertifiedVote {
        member: u16::try_from(index).expect("at most 256 members"),
        nonce: vote.nonce,
        signature: vote.signature,
        opening: vote.opening.clone(),
    }
}
