//! The one idea: a signature over (domain, slot, digest), of which an operator makes at most one per
//! (domain, slot), ever.

use crate::canonical::canonical;
use crate::certificate::verify_eots;
use crate::ids::{BlsSignature, ChainId, Digest, Domain, Hash, OperatorId};
use crate::operator::Operator;
use crate::randomness::Opening;
use crate::units::Height;
use palisade_crypto::bls;
use palisade_crypto::hash::{keccak256, sha256};

/// What is said: `digest` stands in `slot` of `domain`. The operator is not in it, so that all honest
/// attestations of a slot sign one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Statement {
    /// What kind of statement.
    pub domain: Domain,
    /// About what; a block height in the ledger's domains.
    pub slot: u64,
    /// What stands there.
    pub digest: Digest,
}
canonical!(Statement { domain, slot, digest });

impl Statement {
    /// "PALISADE-ATT-1" | chain id | domain | slot u64 | digest. The version is in the tag only (R17).
    #[must_use]
    pub fn preimage(&self, chain: &ChainId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(14 + 32 + 32 + 8 + 32);
        bytes.extend_from_slice(b"PALISADE-ATT-1");
        bytes.extend_from_slice(chain.as_bytes());
        bytes.extend_from_slice(self.domain.as_bytes());
        bytes.extend_from_slice(&self.slot.to_be_bytes());
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes
    }

    /// What BLS signs: the keccak256 of the preimage, cheap to rebuild in a contract.
    #[must_use]
    pub fn bls_message(&self, chain: &ChainId) -> [u8; 32] {
        keccak256(&self.preimage(chain))
    }

    /// What EOTS signs: the SHA-256 of the preimage.
    #[must_use]
    pub fn eots_message(&self, chain: &ChainId) -> [u8; 32] {
        sha256(&self.preimage(chain))
    }
}

/// Stands in a signer's records for what was signed in a slot and is not known any more: nothing is signed there again. No hash
/// is this.
pub const UNNAMED: Digest = Digest::new([0xff; 32]);

/// One operator's BLS attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// What he says.
    pub statement: Statement,
    /// Who.
    pub operator: OperatorId,
    /// His signature over [`Statement::bls_message`].
    pub signature: BlsSignature,
}
canonical!(Attestation { statement, operator, signature });

impl Attestation {
    /// Whether any key that `operator` ever registered made the signature.
    #[must_use]
    pub fn signed_by(&self, chain: &ChainId, operator: &Operator) -> bool {
        let Ok(signature) = bls::Signature::from_bytes(self.signature.as_bytes()) else { return false };
        let message = self.statement.bls_message(chain);
        self.operator == operator.id
            && operator.keys.iter().any(|row| {
                bls::PublicKey::from_bytes(row.bls.as_bytes()).is_ok_and(|key| key.verify(&message, &signature).is_ok())
            })
    }
}

/// One finality provider's EOTS attestation of a checkpoint (R2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalityVote {
    /// What he says; the slot is a checkpoint height.
    pub statement: Statement,
    /// Who.
    pub operator: OperatorId,
    /// The one-time nonce R.x.
    pub nonce: Hash,
    /// The signature's s over [`Statement::eots_message`].
    pub signature: Hash,
    /// Shows that the nonce was promised for this slot.
    pub opening: Opening,
}
canonical!(FinalityVote { statement, operator, nonce, signature, opening });

impl FinalityVote {
    /// Whether any key that `operator` ever registered made the signature, with the nonce it opens; whether that was
    /// promised in the ledger is another question. `interval` is R2's N.
    #[must_use]
    pub fn signed_by(&self, chain: &ChainId, operator: &Operator, interval: u64) -> bool {
        let message = self.statement.eots_message(chain);
        self.operator == operator.id
            && self.opening.opens(&self.nonce, Height::new(self.statement.slot), interval)
            && operator.keys.iter().any(|row| verify_eots(&row.eots, &self.nonce, &message, &self.signature).is_ok())
    }
}
