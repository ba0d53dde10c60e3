//! Verdicts: what a service's quorum says of an operator, where no contradiction proves it. Equivocation is never one of them (R11).

use crate::canonical::{Canonical, canonical, canonical_enum};
use crate::certificate::QuorumCertificate;
use crate::ids::{CaseId, ChainId, Digest, Domain, OperatorId};
use crate::service::RegistrationId;
use crate::units::Wad;
use palisade_crypto::hash::{keccak256, keccak256_all};

/// "This operator failed this service in this way." It is attested in the first of the registration's domains. A slot holds one verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// By whose rules.
    pub registration: RegistrationId,
    /// Who failed.
    pub operator: OperatorId,
    /// How, in the service's own numbers.
    pub fault: u16,
    /// The part that is asked of what he allocates to the service, at most what its rule allows.
    pub part: Wad,
    /// The slot it is certified in; its high bits are the epoch whose snapshot it is charged to (R3, R26).
    pub slot: u64,
    /// That snapshot's Ethereum block.
    pub capture: u64,
}
canonical!(Verdict { registration, operator, fault, part, slot, capture });

impl Verdict {
    /// What the service's operators sign: keccak256("PALISADE-VERDICT-1" | the verdict).
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::new(keccak256(&[b"PALISADE-VERDICT-1", &self.to_bytes()[..]].concat()))
    }
}

/// A verdict with what proves that the service's quorum says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedVerdict {
    /// What is said.
    pub verdict: Verdict,
    /// By whom.
    pub certificate: QuorumCertificate,
}
canonical!(CertifiedVerdict { verdict, certificate });

impl CaseId {
    /// H(chain id | operator | domain | slot): a service may judge one operator again, in another slot. Contracts take once for each.
    #[must_use]
    pub fn of_verdict(chain: &ChainId, operator: &OperatorId, domain: &Domain, slot: u64) -> Self {
        Self::new(keccak256_all(&[chain.as_bytes(), operator.as_bytes(), domain.as_bytes(), &slot.to_be_bytes()]))
    }
}

/// A verdict on its way from its block to its orders, and for as long as others are weighed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Docket {
    /// Counts from 1 over all verdicts of the ledger.
    pub number: u64,
    /// Its case.
    pub case: CaseId,
    /// What it says.
    pub verdict: Verdict,
    /// The Ethereum anchor with which it came.
    pub came: u64,
    /// What the operator weighs in the committee of its epoch, micro-dollars,
    pub weight: u64,
    /// and what that committee weighs.
    pub total: u64,
    /// Whether it waits or has become orders.
    pub stage: Stage,
}
canonical!(Docket { number, case, verdict, came, weight, total, stage });

/// How far a verdict has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For others of the same cause, or for the throttle.
    Waiting,
    /// It became orders with this Ethereum anchor.
    Let(Released),
}
canonical_enum!(Stage { 0 => Waiting, 1 => Let(released) });

/// When a verdict became orders, and for what part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// The Ethereum anchor.
    pub block: u64,
    /// What is taken of each set, before what the set itself allows.
    pub part: Wad,
}
canonical!(Released { block, part });
