//! A finality provider's promise of one-time nonces: a Merkle root over the nonces of a range of checkpoint
//! slots (R2, R19). A vote with a nonce that was not promised counts for nothing.

use crate::canonical::{List, canonical};
use crate::ids::{ChainId, Domain, Hash, OperatorId, SchnorrKey, SchnorrSignature};
use crate::units::Height;
use palisade_crypto::eots::MerkleProof;
use palisade_crypto::hash::Tag;

/// The most nonces one commitment may cover.
pub const MAX_COMMITTED: u32 = 100_000;

/// Which nonces, without the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The checkpoint height of leaf 0.
    pub first: Height,
    /// How many leaves; leaf `i` is the checkpoint `first + i x N`.
    pub count: u32,
    /// The Merkle root.
    pub root: Hash,
}
canonical!(Commitment { first, count, root });

impl Commitment {
    /// Binds root, start and length: what stands in a committee's row as "EOTS root", so that a leaf's index
    /// follows from its slot and nobody can shift it.
    #[must_use]
    pub fn id(&self) -> Hash {
        Hash::new(Tag::Commitment.hash(&[
            &self.first.get().to_be_bytes(),
            &self.count.to_be_bytes(),
            self.root.as_bytes(),
        ]))
    }

    /// The leaf of checkpoint `slot`, when it is one of these. `interval` is R2's N.
    #[must_use]
    pub fn leaf(&self, slot: Height, interval: u64) -> Option<u64> {
        let ahead = slot.get().checked_sub(self.first.get())?;
        let leaf = ahead.checked_div(interval)?;
        (ahead % interval == 0 && leaf < u64::from(self.count)).then_some(leaf)
    }

    /// The last checkpoint it covers.
    #[must_use]
    pub fn last(&self, interval: u64) -> Height {
        Height::new(self.first.get() + u64::from(self.count.saturating_sub(1)) * interval)
    }
}

/// A commitment as a block carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomnessCommitment {
    /// Whose nonces.
    pub operator: OperatorId,
    /// The EOTS key that they belong to and that signs: nonces of a key that was replaced are no use to the next.
    pub key: SchnorrKey,
    /// Which.
    pub commitment: Commitment,
    /// BIP-340 by the key over [`Self::message`].
    pub signature: SchnorrSignature,
}
canonical!(RandomnessCommitment { operator, key, commitment, signature });

impl RandomnessCommitment {
    /// What the EOTS key signs.
    #[must_use]
    pub fn message(chain: &ChainId, domain: &Domain, operator: &OperatorId, commitment: &Commitment) -> [u8; 32] {
        Tag::CommitmentProof.hash(&[
            chain.as_bytes(),
            domain.as_bytes(),
            operator.as_bytes(),
            commitment.id().as_bytes(),
        ])
    }
}

/// Shows that a nonce was promised for its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Into which commitment.
    pub commitment: Commitment,
    /// The other halves of the path, leaf first.
    pub aunts: List<Hash, 32>,
}
canonical!(Opening { commitment, aunts });

impl Opening {
    /// Whether `nonce` is the one promised for `slot`.
    #[must_use]
    pub fn opens(&self, nonce: &Hash, slot: Height, interval: u64) -> bool {
        self.commitment.leaf(slot, interval).is_some_and(|index| {
            let proof = MerkleProof {
                index,
                total: u64::from(self.commitment.count),
                aunts: self.aunts.iter().map(|aunt| *aunt.as_bytes()).collect(),
            };
            proof.verify(self.commitment.root.as_bytes(), nonce.as_bytes()).is_ok()
        })
    }
}
