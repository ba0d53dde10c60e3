//! The tap: every ballot heard is compared with what the same operator sent before in that (height, round, step),
//! before the engine can drop it. The engine alone reports few double precommits (facts/consensus.md, section 4).

use crate::ballot::{SignedBallot, Step};
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
    first: BTreeMap<(Height, u32, Step, OperatorId), SignedBallot>,
}

impl Tap {
    /// Hears one ballot; a contradiction comes back as evidence. Only what `operator` signed is remembered, so that
    /// nobody fills another's places.
    pub fn hear(&mut self, head: Height, operator: &Operator, ballot: &SignedBallot) -> Option<VotePair> {
        let (height, round, step) = ballot.ballot.slot();
        let open = head.get().saturating_sub(HEIGHTS)..=head.get() + AHEAD;
        if !open.contains(&height.get()) || round > ROUNDS || ballot.ballot.operator != operator.id {
            return None;
        }
        let key = (height, round, step, operator.id);
        let before = self.first.get(&key);
        if before == Some(ballot) || !signed(operator, ballot) {
            return None;
        }
        let Some(before) = before else {
            self.first.insert(key, *ballot);
            return None;
        };
        before.pair(ballot)
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
