//! What finality providers sign on Babylon: commitments to randomness, and votes with it.
//!
//! The signatures are those of [`palisade_crypto::eots`]; here is only which bytes they are over, and that a vote's randomness is the leaf of
//! its height. Two votes of one height for two blocks give the key away, whichever fork either stands on.

use palisade_crypto::eots::{self, EotsError, EotsSignature, MerkleProof, PublicKey, PublicNonce, SecretKey};
use palisade_crypto::{Hash32, sha256_all};

use super::context::Context;

/// A provider's promise of randomness for a range of heights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The provider.
    pub provider: PublicKey,
    /// The first height.
    pub start: u64,
    /// How many heights.
    pub count: u64,
    /// The Merkle root over the public randomness.
    pub root: Hash32,
    /// BIP-340 by the provider.
    pub signature: [u8; 64],
}

/// A provider's signature over one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The provider.
    pub provider: PublicKey,
    /// The height.
    pub height: u64,
    /// The block: an application hash, or a rollup's block hash.
    pub block: Hash32,
    /// The height's public randomness.
    pub randomness: PublicNonce,
    /// The way from the randomness to the commitment.
    pub proof: MerkleProof,
    /// The one-time signature.
    pub signature: EotsSignature,
}

/// Why a commitment, a vote or a pair of votes is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FinalityError {
    /// The commitment covers nothing, or runs over the end of heights.
    #[error("a commitment of {count} heights from {start} on")]
    Range {
        /// The first height.
        start: u64,
        /// How many.
        count: u64,
    },
    /// The provider did not sign the commitment.
    #[error("the commitment is not signed by its provider")]
    Signature,
    /// Vote and commitment, or two votes, are of different providers.
    #[error("the providers differ")]
    OtherProvider,
    /// The height is outside the commitment, or the proof is of another leaf or another length.
    #[error("the proof is not that of height {0}")]
    OtherHeight(u64),
    /// The votes name different randomness, so that nothing follows from them.
    #[error("the votes use different randomness")]
    OtherRandomness,
    /// Both votes are for the same block.
    #[error("both votes are for one block")]
    SameBlock,
    /// The signature or the proof does not hold.
    #[error(transparent)]
    Eots(#[from] EotsError),
}

impl Commitment {
    /// What the provider signs: `SHA256(context | start | count | root)`, numbers big-endian.
    pub fn message(&self, context: &Context) -> Hash32 {
        sha256_all(&[context.as_bytes(), &self.start.to_be_bytes(), &self.count.to_be_bytes(), &self.root])
    }

    /// Checks range and signature.
    ///
    /// # Errors
    ///
    /// [`FinalityError::Range`] and [`FinalityError::Signature`].
    pub fn verify(&self, context: &Context) -> Result<(), FinalityError> {
        if self.count == 0 || self.start.checked_add(self.count).is_none() {
            return Err(FinalityError::Range { start: self.start, count: self.count });
        }
        self.provider.verify_schnorr(&self.message(context), &self.signature).map_err(|_| FinalityError::Signature)
    }
}

impl Vote {
    /// What the provider signs, hashed: `SHA256(context | height | block)`.
    pub fn message(&self, context: &Context) -> Hash32 {
        sha256_all(&[context.as_bytes(), &self.height.to_be_bytes(), &self.block])
    }

    /// Checks that the randomness is that of the vote's height under the commitment, and the signature.
    ///
    /// # Errors
    ///
    /// [`FinalityError`].
    pub fn verify(&self, commitment: &Commitment, context: &Context) -> Result<(), FinalityError> {
        if self.provider != commitment.provider {
            return Err(FinalityError::OtherProvider);
        }
        let index = self.height.checked_sub(commitment.start).filter(|index| *index < commitment.count);
        if index != Some(self.proof.index) || self.proof.total != commitment.count {
            return Err(FinalityError::OtherHeight(self.height));
        }
        self.proof.verify(&commitment.root, &self.randomness.to_bytes())?;
        Ok(eots::verify(&self.provider, &self.randomness, &self.message(context), &self.signature)?)
    }
}

/// The key that two votes of one provider at one height give away, when they are for different blocks.
///
/// # Errors
///
/// [`FinalityError`].
pub fn extract(first: (&Vote, &Context), second: (&Vote, &Context)) -> Result<SecretKey, FinalityError> {
    let ((one, one_context), (other, other_context)) = (first, second);
    if one.provider != other.provider {
        return Err(FinalityError::OtherProvider);
    }
    if one.randomness != other.randomness {
        return Err(FinalityError::OtherRandomness);
    }
    let messages = (one.message(one_context), other.message(other_context));
    if messages.0 == messages.1 {
        return Err(FinalityError::SameBlock);
    }
    let pair = ((&messages.0, &one.signature), (&messages.1, &other.signature));
    Ok(eots::extract(&one.provider, &one.randomness, pair.0, pair.1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_crypto::eots::SecretNonce;

    fn secret() -> SecretKey {
        SecretKey::from_bytes(&[7; 32]).unwrap()
    }

    fn nonce(height: u8) -> SecretNonce {
        SecretNonce::from_bytes(&[100 + height; 32]).unwrap()
    }

    /// Heights 10 to 14.
    fn committed(context: &Context) -> (Commitment, eots::Commitment) {
        let tree = eots::commit(&(0..5).map(|height| nonce(height).public()).collect::<Vec<_>>()).unwrap();
        let mut commitment =
            Commitment { provider: secret().public(), start: 10, count: 5, root: tree.root(), signature: [0; 64] };
        commitment.signature = secret().sign_schnorr(&commitment.message(context));
        (commitment, tree)
    }

    fn vote(place: u8, block: u8, context: &Context, tree: &eots::Commitment) -> Vote {
        let mut vote = Vote {
            provider: secret().public(),
            height: 10 + u64::from(place),
            block: [block; 32],
            randomness: nonce(place).public(),
            proof: tree.proof(u64::from(place)).unwrap(),
            signature: EotsSignature([0; 32]),
        };
        vote.signature = eots::sign(&secret(), &nonce(place), &vote.message(context));
        vote
    }

    #[test]
    fn a_vote_counts_under_its_own_context_height_and_commitment() {
        let none = Context::none_to_verify_existing_data();
        let other = Context::new(super::super::context::Purpose::FinalityVote, "chain", "verifier");
        let (commitment, tree) = committed(&none);
        assert_eq!(commitment.verify(&none), Ok(()));
        assert_eq!(commitment.verify(&other), Err(FinalityError::Signature));
        let good = vote(2, 1, &none, &tree);
        assert_eq!(good.verify(&commitment, &none), Ok(()));
        assert_eq!(good.verify(&commitment, &other), Err(FinalityError::Eots(EotsError::Mismatch)));
        let with = |change: &dyn Fn(&mut Vote)| {
            let mut vote = good.clone();
            change(&mut vote);
            vote.verify(&commitment, &none).unwrap_err()
        };
        assert_eq!(with(&|v| v.height = 13), FinalityError::OtherHeight(13));
        assert_eq!(with(&|v| v.height = 9), FinalityError::OtherHeight(9));
        assert_eq!(with(&|v| v.height = 15), FinalityError::OtherHeight(15));
        assert_eq!(with(&|v| v.proof.total = 6), FinalityError::OtherHeight(12));
        assert_eq!(with(&|v| v.proof.aunts[0][0] ^= 1), FinalityError::Eots(EotsError::Proof));
        assert_eq!(with(&|v| v.randomness = nonce(3).public()), FinalityError::Eots(EotsError::Proof));
        assert_eq!(with(&|v| v.block[0] ^= 1), FinalityError::Eots(EotsError::Mismatch));
        assert_eq!(with(&|v| v.provider = nonce_key()), FinalityError::OtherProvider);
        let mut empty = commitment.clone();
        empty.count = 0;
        assert!(matches!(empty.verify(&none), Err(FinalityError::Range { .. })));
        (empty.start, empty.count) = (u64::MAX, 1);
        assert!(matches!(empty.verify(&none), Err(FinalityError::Range { .. })));
    }

    fn nonce_key() -> PublicKey {
        SecretKey::from_bytes(&[9; 32]).unwrap().public()
    }

    #[test]
    fn two_votes_of_one_height_give_the_key_away_even_across_contexts() {
        let none = Context::none_to_verify_existing_data();
        let other = Context::new(super::super::context::Purpose::FinalityVote, "chain", "verifier");
        let (_, tree) = committed(&none);
        let (first, second) = (vote(1, 1, &none, &tree), vote(1, 2, &none, &tree));
        fn key(first: (&Vote, &Context), second: (&Vote, &Context)) -> Result<PublicKey, FinalityError> {
            extract(first, second).map(|secret| secret.public())
        }
        assert_eq!(key((&first, &none), (&second, &none)), Ok(secret().public()));
        assert_eq!(key((&first, &none), (&first, &none)), Err(FinalityError::SameBlock));
        assert_eq!(key((&first, &none), (&vote(2, 2, &none, &tree), &none)), Err(FinalityError::OtherRandomness));
        // one block under two contexts: what a provider does who changes its software within one height
        let bound = vote(1, 1, &other, &tree);
        assert_eq!(key((&first, &none), (&bound, &other)), Ok(secret().public()));
    }
}
