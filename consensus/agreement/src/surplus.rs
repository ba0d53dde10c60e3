//! Votes that the engine does not need.
//!
//! Once votes for one block of more than two thirds of the power went to the engine, in one (height, round, step), a further one for the same
//! block changes nothing that it does; yet it would check the signature, and write the vote into its log. With many
//! operators that is a third of its work. So such a vote waits here, for as long as it takes as a rule until the height is decided, and
//! is dropped then, as the engine itself would drop it. When the height is not decided by then, as where some of the votes before it were
//! badly signed, it goes on. Nothing is lost for evidence, since the tap hears every vote before it comes here, and nothing for whoever
//! gathers late votes of a paced height.

use crate::context::{ValidatorSet, Vote};
use crate::malachite::{NilOrVal, VoteType};
use arc_malachitebft_core_types::ValidatorSet as _;
use palisade_types::ids::{BlockId, OperatorId};
use palisade_types::units::Height;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// For how long a vote is held back.
const HOLD: Duration = Duration::from_millis(100);
/// How many votes are held back.
const MAX_HELD: usize = 1_024;
/// In how many (height, round, step) votes are counted: rounds of some heights.
const MAX_PLACES: usize = 64;
/// How many blocks are counted apart in one of them.
const MAX_BLOCKS: usize = 4;

/// A height that the engine decides.
#[derive(Clone, Debug)]
pub(crate) struct Seated {
    pub height: Height,
    /// Who decides it.
    pub seats: ValidatorSet,
}

/// What becomes of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The engine gets it.
    Pass,
    /// The engine has enough of its kind.
    Hold,
    /// It is of a height that the engine has left.
    Drop,
}

/// The votes that passed, by what they are for, and those that are held back.
#[derive(Debug)]
pub(crate) struct Surplus<E> {
    passed: BTreeMap<(Height, i64, bool), Vec<Passed>>,
    held: VecDeque<(Instant, Height, E)>,
}

impl<E> Default for Surplus<E> {
    fn default() -> Self {
        Self { passed: BTreeMap::new(), held: VecDeque::new() }
    }
}

/// Who voted for one block, and passed.
#[derive(Debug)]
struct Passed {
    block: Option<BlockId>,
    voters: BTreeSet<OperatorId>,
    power: u128,
}

impl<E> Surplus<E> {
    /// Judges a vote, and counts it when it passes. A later height is counted by the seats of this one: at worst a vote is late by
    /// [`HOLD`] when the committee changes.
    pub fn judge(&mut self, seated: &Seated, vote: &Vote) -> Fate {
        let height = vote.height.0;
        if height < seated.height {
            return Fate::Drop;
        }
        while self.passed.first_key_value().is_some_and(|((height, ..), _)| *height < seated.height) {
            self.passed.pop_first();
        }
        let place = (height, vote.round.as_i64(), vote.kind == VoteType::Precommit);
        if self.passed.len() >= MAX_PLACES && !self.passed.contains_key(&place) {
            return Fate::Pass;
        }
        let block = match vote.value {
            NilOrVal::Nil => None,
            NilOrVal::Val(block) => Some(block),
        };
        let blocks = self.passed.entry(place).or_default();
        let at = blocks.iter().position(|passed| passed.block == block);
        let at = match at {
            Some(at) => at,
            None if blocks.len() >= MAX_BLOCKS => return Fate::Pass,
            None => {
                blocks.push(Passed { block, voters: BTreeSet::new(), power: 0 });
                blocks.len() - 1
            }
        };
        let passed = &mut blocks[at];
        if passed.power * 3 > u128::from(seated.seats.total_voting_power()) * 2 {
            return Fate::Hold;
        }
        if let Some(seat) = seated.seats.seat(&vote.address.0)
            && passed.voters.insert(vote.address.0)
        {
            passed.power += u128::from(seat.power);
        }
        Fate::Pass
    }

    /// Holds a vote back, or gives it back when there is no room.
    pub fn hold(&mut self, now: Instant, height: Height, vote: E) -> Option<E> {
        if self.held.len() >= MAX_HELD {
            return Some(vote);
        }
        self.held.push_back((now + HOLD, height, vote));
        None
    }

    /// When there is something to release.
    pub fn next_release(&self) -> Option<Instant> {
        self.held.front().map(|(until, ..)| *until)
    }

    /// What has waited long enough and is not of a height below `height`.
    pub fn release(&mut self, now: Instant, height: Height) -> Vec<E> {
        let due = self.held.partition_point(|(until, ..)| *until <= now);
        self.held.drain(..due).filter(|(_, of, _)| *of >= height).map(|(.., vote)| vote).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Level, Validator, Voter};
    use crate::malachite::Round;
    use palisade_crypto::ed25519::SecretKey;

    fn seated(height: u64, powers: &[u64]) -> Seated {
        let seat = |(name, power): (u8, &u64)| Validator {
            address: Voter(OperatorId::new([name; 20])),
            key: SecretKey::from_seed(&[name; 32]).public(),
            power: *power,
        };
        let seats = ValidatorSet::new((0_u8..).zip(powers).map(seat)).unwrap();
        Seated { height: Height::new(height), seats }
    }

    fn vote(height: u64, kind: VoteType, block: Option<u8>, voter: u8) -> Vote {
        Vote {
            kind,
            height: Level(Height::new(height)),
            round: Round::ZERO,
            value: block.map_or(NilOrVal::Nil, |byte| NilOrVal::Val(BlockId::new([byte; 32]))),
            address: Voter(OperatorId::new([voter; 20])),
        }
    }

    #[test]
    fn what_is_more_than_a_quorum_for_one_block_is_held_and_nothing_else() {
        use Fate::{Drop, Hold, Pass};
        use VoteType::{Precommit, Prevote};
        let (mut surplus, seated) = (Surplus::<()>::default(), seated(5, &[1, 1, 1, 1]));
        let mut check = |vote: Vote, fate: Fate| assert_eq!(surplus.judge(&seated, &vote), fate, "{vote:?}");
        check(vote(5, Prevote, Some(1), 0), Pass);
        check(vote(5, Prevote, Some(1), 0), Pass); // a voter counts once
        check(vote(5, Prevote, Some(1), 9), Pass); // a stranger counts for nothing
        check(vote(5, Prevote, Some(1), 1), Pass);
        check(vote(5, Prevote, None, 3), Pass); // another choice
        check(vote(5, Prevote, Some(1), 2), Pass); // three of four
        check(vote(5, Prevote, Some(1), 3), Hold);
        check(vote(5, Precommit, Some(1), 3), Pass); // another step
        check(vote(5, Prevote, Some(2), 3), Pass); // another block
        check(vote(6, Prevote, Some(1), 3), Pass); // the next height
        check(vote(4, Prevote, Some(1), 3), Drop);
        check(Vote { round: Round::new(1), ..vote(5, Prevote, Some(1), 3) }, Pass);
    }

    #[test]
    fn power_counts_and_not_heads() {
        let (mut surplus, seated) = (Surplus::<()>::default(), seated(1, &[7, 1, 1, 1]));
        let mut fates =
            [1, 2, 3, 0, 0].map(|voter| surplus.judge(&seated, &vote(1, VoteType::Precommit, Some(1), voter)));
        assert_eq!(fates, [Fate::Pass, Fate::Pass, Fate::Pass, Fate::Pass, Fate::Hold]);
        surplus = Surplus::default();
        fates = [0, 1, 2, 3, 0].map(|voter| surplus.judge(&seated, &vote(1, VoteType::Precommit, Some(1), voter)));
        assert_eq!(fates, [Fate::Pass, Fate::Hold, Fate::Hold, Fate::Hold, Fate::Hold]);
    }

    #[test]
    fn what_is_held_goes_on_in_time_unless_its_height_is_left() {
        let (mut surplus, now) = (Surplus::default(), Instant::now());
        assert_eq!(surplus.hold(now, Height::new(5), "five"), None);
        assert_eq!(surplus.hold(now, Height::new(6), "six"), None);
        assert_eq!(surplus.next_release(), Some(now + HOLD));
        assert!(surplus.release(now + HOLD / 2, Height::new(6)).is_empty());
        assert_eq!(surplus.release(now + HOLD, Height::new(6)), ["six"]);
        assert_eq!(surplus.next_release(), None);
    }

    #[test]
    fn r32_what_is_counted_and_held_is_bounded() {
        let (mut surplus, seated) = (Surplus::default(), seated(1, &[1, 1, 1, 1]));
        for height in 1..1_000 {
            for block in 0..9 {
                surplus.judge(&seated, &vote(height, VoteType::Prevote, Some(block), 0));
            }
        }
        assert!(surplus.passed.len() <= MAX_PLACES);
        assert!(surplus.passed.values().all(|blocks| blocks.len() <= MAX_BLOCKS));
        let now = Instant::now();
        let kept = (0..5_000).filter(|vote| surplus.hold(now, Height::new(1), *vote).is_none()).count();
        assert_eq!(kept, MAX_HELD);
    }
}
