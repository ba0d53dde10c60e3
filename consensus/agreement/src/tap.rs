//! The tap: every ballot heard is compared with what the same operator sent before in that (height, round, step),
//! before the engine can drop it. The engine alone reports few double precommits (facts/consensus.md, section 4).
//!
//! Almost no two ballots of a place differ, and the engine checks the signature of each that it counts. So what comes from an
//! operator's own peer is remembered as it comes, and its signature is checked when another ballot contradicts it: who equivocates
//! is caught all the same, because a ballot whose signature turns out to be bad gives its place up to the next.

use crate::ballot::{Overheard, SignedBallot, Step};
use palisade_crypto::ed25519::PublicKey;
use palisade_types::evidence::VotePair;
use palisade_types::ids::OperatorId;
use palisade_types::operator::Operator;
use palisade_types::units::Height;
use std::collections::BTreeMap;

/// For how many heights ballots are remembered.
const HEIGHTS: u64 = 128;
/// How far ahead of the head a ballot may be.
const AHEAD: u64 = 16;
/// Rounds per height that are remembered: beyond it a height is in trouble that no pair explains.
const ROUNDS: u32 = 64;

/// Ballots heard.
#[derive(Clone, Debug, Default)]
pub struct Tap {
    first: BTreeMap<(Height, u32, Step, OperatorId), First>,
}

/// What stands in a place.
#[derive(Clone, Copy, Debug)]
struct First {
    ballot: SignedBallot,
    is_checked: bool,
}

impl Tap {
    /// Hears one ballot; a contradiction comes back as evidence, with both signatures checked. What somebody else shows is remembered
    /// only when `operator` signed it, so that nobody fills another's places.
    pub fn hear(&mut self, head: Height, operator: &Operator, heard: &Overheard) -> Option<VotePair> {
        let Overheard { signed: ballot, firsthand } = *heard;
        let (height, round, step) = ballot.ballot.slot();
        let open = head.get().saturating_sub(HEIGHTS)..=head.get() + AHEAD;
        if !open.contains(&height.get()) || round > ROUNDS || ballot.ballot.operator != operator.id {
            return None;
        }
        let key = (height, round, step, operator.id);
        let Some(first) = self.first.get_mut(&key) else {
            if firsthand || signed(operator, &ballot) {
                self.first.insert(key, First { ballot, is_checked: !firsthand });
            }
            return None;
        };
        if first.ballot == ballot {
            return None;
        }
        if !first.is_checked && !signed(operator, &first.ballot) {
            let is_checked = !firsthand;
            if firsthand || signed(operator, &ballot) {
                *first = First { ballot, is_checked };
            } else {
                self.first.remove(&key);
            }
            return None;
        }
        first.is_checked = true;
        first.ballot.pair(&ballot).filter(|_| signed(operator, &ballot))
    }

    /// Forgets heights that are too old.
    pub fn advance(&mut self, head: Height) {
        let oldest = Height::new(head.get().saturating_sub(HEIGHTS));
        self.first = self.first.split_off(&(oldest, 0, Step::Propose, OperatorId::ZERO));
    }
}

fn signed(operator: &Operator, ballot: &SignedBallot) -> bool {
    operator.keys.iter().any(|row| PublicKey::from_bytes(row.ed25519.as_bytes()).is_ok_and(|key| ballot.is_by(&key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Ballot, contradiction};
    use palisade_crypto::ed25519::SecretKey;
    use palisade_types::ids::{BlockId, BlsKey, ChainId, Ed25519Key, Ed25519Signature, SchnorrKey};
    use palisade_types::operator::KeyRow;

    const CHAIN: ChainId = ChainId::new([1; 32]);
    const HEAD: Height = Height::new(100);

    fn operator() -> Operator {
        let row = KeyRow {
            id: 1,
            from: 0,
            until: None,
            bls: BlsKey::ZERO,
            ed25519: Ed25519Key::new(SecretKey::from_seed(&[3; 32]).public().to_bytes()),
            eots: SchnorrKey::ZERO,
            peer: Vec::new().try_into().unwrap(),
        };
        let keys = vec![row].try_into().unwrap();
        Operator { id: OperatorId::new([2; 20]), keys, convicted: None, jailed: None, attested: 0, missed: 0 }
    }

    /// A ballot for `block`, signed when `key` is the operator's, 3.
    fn ballot(block: u8, key: u8, firsthand: bool) -> Overheard {
        let ballot = Ballot {
            chain: CHAIN,
            operator: OperatorId::new([2; 20]),
            height: HEAD,
            round: 0,
            step: Step::Prevote,
            block: Some(BlockId::new([block; 32])),
            valid_round: None,
        };
        let signature = SecretKey::from_seed(&[key; 32]).sign(&ballot.preimage());
        Overheard { signed: SignedBallot { ballot, signature: Ed25519Signature::new(signature.0) }, firsthand }
    }

    /// Whatever was said before, by whomever, two ballots of his own are evidence as soon as both were heard, once and with good
    /// signatures; and what he did not sign is none.
    #[test]
    fn r18_two_ballots_of_one_key_are_caught_whatever_stands_between_them() {
        let junk = [ballot(1, 9, true), ballot(7, 9, true), ballot(1, 9, false), ballot(7, 9, false)];
        for firsthand in [true, false] {
            let said = [ballot(1, 3, firsthand), ballot(2, 3, !firsthand)];
            for places in 0..1_u32 << (2 * 3) {
                // In each of three places before, between and after stands one piece of junk, or the same ballot again.
                let (mut tap, mut pairs) = (Tap::default(), Vec::new());
                let at = |place: u32| junk[(places >> (2 * place) & 3) as usize];
                for heard in [at(0), said[0], at(1), said[0], said[1], at(2)] {
                    pairs.extend(tap.hear(HEAD, &operator(), &heard));
                }
                assert_eq!(pairs.len(), 1, "{places:b}");
                assert!(pairs[0].signed_by(&operator()) && contradiction(&CHAIN, &pairs[0]).is_some());
            }
        }
    }

    #[test]
    fn r18_nothing_but_two_signed_ballots_is_evidence() {
        let mut tap = Tap::default();
        for heard in
            [ballot(1, 9, true), ballot(2, 9, false), ballot(1, 3, true), ballot(2, 9, true), ballot(1, 3, false)]
        {
            assert_eq!(tap.hear(HEAD, &operator(), &heard), None);
        }
        let other = Operator { id: OperatorId::new([5; 20]), ..operator() };
        assert_eq!(tap.hear(HEAD, &other, &ballot(2, 3, true)), None, "of another operator");
        let late = Height::new(HEAD.get() + HEIGHTS + 1);
        assert_eq!(tap.hear(late, &operator(), &ballot(2, 3, true)), None, "too old");
    }

    #[test]
    fn r32_a_stranger_fills_no_places() {
        let mut tap = Tap::default();
        (0..9).for_each(|block| drop(tap.hear(HEAD, &operator(), &ballot(block, 9, false))));
        assert!(tap.first.is_empty());
        tap.hear(HEAD, &operator(), &ballot(1, 3, false));
        assert_eq!(tap.first.len(), 1);
    }
}
