//! What the engine signs, as bytes that carry their own meaning.
//!
//! A vote or proposal is signed over its [`Ballot`]: chain id, operator, height, round, step and block. Two different
//! ballots of one (height, round, step) are a fault that anybody can check with the key and these bytes alone, for
//! ever; it jails and takes no stake (R18). The guard, the tap on the network, the evidence pool and whoever checks a
//! block all read the same bytes here.

use palisade_crypto::ed25519::{PublicKey, Signature};
use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::evidence::VotePair;
use palisade_types::ids::{BlockId, ChainId, Ed25519Signature, OperatorId};
use palisade_types::units::Height;

/// Starts every preimage. The version is here and nowhere else (R17).
const TAG: &[u8; 15] = b"PALISADE-VOTE-1";

/// What kind of message: the third part of a slot in which the engine signs at most once (R18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A proposal.
    Propose,
    /// A prevote.
    Prevote,
    /// A precommit.
    Precommit,
}

impl Canonical for Step {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Propose => 0,
            Self::Prevote => 1,
            Self::Precommit => 2,
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Propose),
            1 => Ok(Self::Prevote),
            2 => Ok(Self::Precommit),
            tag => Err(Malformed::UnknownTag { of: "step", tag }),
        }
    }
}

/// One vote or proposal of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// In which network.
    pub chain: ChainId,
    /// By whom.
    pub operator: OperatorId,
    /// At which height.
    pub height: Height,
    /// In which round of it.
    pub round: u32,
    /// In which step of that.
    pub step: Step,
    /// For which block; `None` is a vote for none. A proposal always names one.
    pub block: Option<BlockId>,
    /// In a proposal, the earlier round in which the block had a quorum of prevotes. Always `None` in a vote.
    pub valid_round: Option<u32>,
}

impl Ballot {
    /// The signed bytes.
    #[must_use]
    pub fn preimage(&self) -> Vec<u8> {
        let mut out = TAG.to_vec();
        self.chain.write(&mut out);
        self.operator.write(&mut out);
        self.height.write(&mut out);
        self.round.write(&mut out);
        self.step.write(&mut out);
        self.block.write(&mut out);
        self.valid_round.write(&mut out);
        out
    }

    /// Reads signed bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are not exactly what [`Self::preimage`] makes of some ballot.
    pub fn from_preimage(bytes: &[u8]) -> Result<Self, Malformed> {
        let rest = bytes.strip_prefix(TAG).ok_or(Malformed::OutOfRange("tag of a ballot"))?;
        let mut input = Reader::new(rest);
        let ballot = Self {
            chain: Canonical::read(&mut input)?,
            operator: Canonical::read(&mut input)?,
            height: Canonical::read(&mut input)?,
            round: Canonical::read(&mut input)?,
            step: Canonical::read(&mut input)?,
            block: Canonical::read(&mut input)?,
            valid_round: Canonical::read(&mut input)?,
        };
        let proposes = ballot.step == Step::Propose;
        if proposes && ballot.block.is_none() || !proposes && ballot.valid_round.is_some() {
            return Err(Malformed::OutOfRange("ballot"));
        }
        if input.is_empty() { Ok(ballot) } else { Err(Malformed::TrailingBytes) }
    }

    /// Where it stands: an operator signs at most one ballot in each (R18).
    #[must_use]
    pub const fn slot(&self) -> (Height, u32, Step) {
        (self.height, self.round, self.step)
    }
}

/// A ballot with a signature, which nobody has checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedBallot {
    /// What is said.
    pub ballot: Ballot,
    /// By whose key it claims to be said.
    pub signature: Ed25519Signature,
}

/// A ballot that went by on the network, its signature unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overheard {
    /// It.
    pub signed: SignedBallot,
    /// His own peer said it, by the transport's proof, so that nobody else can fill his places; in a certificate anybody shows it.
    pub firsthand: bool,
}

impl SignedBallot {
    /// Whether `key` made the signature.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.verify(&self.ballot.preimage(), &Signature(*self.signature.as_bytes())).is_ok()
    }

    /// Whether the two contradict: one slot and operator, and not the same.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.ballot.chain == other.ballot.chain
            && self.ballot.operator == other.ballot.operator
            && self.ballot.slot() == other.ballot.slot()
            && self.ballot != other.ballot
    }

    /// The pair as evidence, the smaller preimage first so that one fault has one form; `None` unless the two
    /// [contradict](Self::contradicts). The signatures are the reader's to check.
    #[must_use]
    pub fn pair(&self, other: &Self) -> Option<VotePair> {
        let (first, second) = if self.ballot <= other.ballot { (self, other) } else { (other, self) };
        let signed = |side: &Self| Some((side.ballot.preimage().try_into().ok()?, side.signature));
        self.contradicts(other).then_some(())?;
        Some(VotePair {
            operator: self.ballot.operator,
            height: self.ballot.height,
            first: signed(first)?,
            second: signed(second)?,
        })
    }
}

/// What a pair of signed bytes contradicts itself about, whoever made the signatures; `None` when it proves nothing.
#[must_use]
pub fn contradiction(chain: &ChainId, pair: &VotePair) -> Option<(Height, u32, Step)> {
    let read = |bytes: &[u8]| Ballot::from_preimage(bytes).ok();
    let (first, second) = (read(&pair.first.0)?, read(&pair.second.0)?);
    let ours =
        |ballot: &Ballot| ballot.chain == *chain && ballot.operator == pair.operator && ballot.height == pair.height;
    (ours(&first) && ours(&second) && first.slot() == second.slot() && first != second).then(|| first.slot())
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_crypto::ed25519::SecretKey;

    const CHAIN: ChainId = ChainId::new([1; 32]);

    fn vote(block: Option<u8>) -> Ballot {
        Ballot {
            chain: CHAIN,
            operator: OperatorId::new([2; 20]),
            height: Height::new(7),
            round: 1,
            step: Step::Precommit,
            block: block.map(|byte| BlockId::new([byte; 32])),
            valid_round: None,
        }
    }

    fn signed(ballot: Ballot) -> SignedBallot {
        let signature = SecretKey::from_seed(&[3; 32]).sign(&ballot.preimage());
        SignedBallot { ballot, signature: Ed25519Signature::new(signature.0) }
    }

    #[test]
    fn a_ballot_is_read_back_from_what_was_signed_and_from_nothing_else() {
        for ballot in [vote(None), vote(Some(4)), Ballot { step: Step::Propose, valid_round: Some(0), ..vote(Some(4)) }]
        {
            let bytes = ballot.preimage();
            assert_eq!(Ballot::from_preimage(&bytes), Ok(ballot));
            for length in 0..bytes.len() {
                assert!(Ballot::from_preimage(&bytes[..length]).is_err());
            }
            assert!(Ballot::from_preimage(&[bytes, vec![0]].concat()).is_err());
        }
        let nonsense = Ballot { valid_round: Some(0), ..vote(Some(4)) };
        assert!(Ballot::from_preimage(&nonsense.preimage()).is_err(), "a vote has no valid round");
        let nothing = Ballot { step: Step::Propose, ..vote(None) };
        assert!(Ballot::from_preimage(&nothing.preimage()).is_err(), "a proposal proposes something");
    }

    #[test]
    fn r18_two_ballots_of_one_slot_are_a_contradiction_and_nothing_else_is() {
        let base = vote(Some(4));
        let slot = Some(base.slot());
        let check = |other: Ballot, expected| {
            let pair = signed(base).pair(&signed(other));
            assert_eq!(pair.as_ref().and_then(|pair| contradiction(&CHAIN, pair)), expected);
            assert_eq!(pair, signed(other).pair(&signed(base)), "one fault has one form");
        };
        check(vote(Some(5)), slot);
        check(vote(None), slot);
        check(base, None); // resent
        check(Ballot { round: 2, ..vote(Some(5)) }, None);
        check(Ballot { height: Height::new(8), ..vote(Some(5)) }, None);
        check(Ballot { step: Step::Prevote, ..vote(Some(5)) }, None);
        check(Ballot { chain: ChainId::new([9; 32]), ..vote(Some(5)) }, None);
        check(Ballot { operator: OperatorId::new([9; 20]), ..vote(Some(5)) }, None);
        let pair = signed(base).pair(&signed(vote(None))).unwrap();
        assert_eq!(contradiction(&ChainId::new([9; 32]), &pair), None, "of another network");
        let moved = VotePair { height: Height::new(8), ..pair };
        assert_eq!(contradiction(&CHAIN, &moved), None, "filed under another height");
    }

    #[test]
    fn a_signature_is_by_the_key_that_made_it() {
        let ours = signed(vote(None));
        assert!(ours.is_by(&SecretKey::from_seed(&[3; 32]).public()));
        assert!(!ours.is_by(&SecretKey::from_seed(&[4; 32]).public()));
    }
}
