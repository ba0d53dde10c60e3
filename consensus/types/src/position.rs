//! One stake position of an operator: what a restaking protocol says it could take from him.

use crate::canonical::{canonical, canonical_enum};
use crate::ids::{Address, OperatorId};
use crate::units::Wad;

/// Where a stake lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StakeSource {
    /// EigenLayer, the network's own operator set; the strategy that holds the asset.
    EigenLayer(Address),
}
canonical_enum!(StakeSource { 0 => EigenLayer(strategy) });

/// Names one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositionId {
    /// Whose.
    pub operator: OperatorId,
    /// Where.
    pub source: StakeSource,
}
canonical!(PositionId { operator, source });

/// What EigenLayer's own views said at the anchor, pending change included (R4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Shares delegated to the operator in this strategy.
    pub shares: u128,
    /// His max magnitude, at most 1e18; it only ever falls.
    pub max_magnitude: u64,
    /// What of it the set may take now.
    pub magnitude: u64,
    /// The pending change of `magnitude`, zero when there is none.
    pub pending: i128,
    /// The Ethereum block at which `pending` takes effect.
    pub effect_block: u64,
    /// Whether he is a member of the operator set.
    pub member: bool,
    /// The last Ethereum block in which a former member can still be slashed; meaningless for a member.
    pub slashable_until: u64,
}
canonical!(Position { shares, max_magnitude, magnitude, pending, effect_block, member, slashable_until });

impl Position {
    /// Shares the set can still take at Ethereum block `future`, whatever the operator does from now on:
    /// EigenLayer's `getMinimumSlashableStake`. Deallocations due by then count, allocations that are still
    /// pending do not. Rounds down, in the operator's favour: floor(shares x floor(magnitude x 1e18 / max) / 1e18).
    #[must_use]
    pub fn slashable_at(&self, future: u64) -> u128 {
        let wad = u128::from(Wad::ONE.get());
        if self.max_magnitude == 0 || (!self.member && self.slashable_until < future) {
            return 0;
        }
        let mut magnitude = i128::from(self.magnitude);
        if self.pending < 0 && self.effect_block <= future {
            magnitude += self.pending;
        }
        let Ok(magnitude) = u128::try_from(magnitude) else {
            return 0;
        };
        let part = (magnitude * wad / u128::from(self.max_magnitude)).min(wad);
        mul_div(self.shares, part, wad)
    }
}

/// floor(a x b / c) for b <= c, without overflow for every u128 `a`.
#[must_use]
pub fn mul_div(a: u128, b: u128, c: u128) -> u128 {
    debug_assert!(b <= c && c > 0 && c < 1 << 64);
    a / c * b + a % c * b / c
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            shares: 1_000_000_000_000_000_000_000,
            max_magnitude: 1_000_000_000_000_000_000,
            magnitude: 400_000_000_000_000_000,
            pending: 0,
            effect_block: 0,
            member: true,
            slashable_until: 0,
        }
    }

    #[test]
    fn r04_stake_counts_only_if_it_can_still_be_taken_at_the_end() {
        let whole = position();
        assert_eq!(whole.slashable_at(100), 400_000_000_000_000_000_000);
        let leaving = Position { pending: -100_000_000_000_000_000, effect_block: 50, ..whole };
        assert_eq!(leaving.slashable_at(49), 400_000_000_000_000_000_000);
        assert_eq!(leaving.slashable_at(50), 300_000_000_000_000_000_000);
        let growing = Position { pending: 100_000_000_000_000_000, effect_block: 50, ..whole };
        assert_eq!(growing.slashable_at(100), 400_000_000_000_000_000_000);
        let left = Position { member: false, slashable_until: 50, ..whole };
        assert_eq!(left.slashable_at(50), 400_000_000_000_000_000_000);
        assert_eq!(left.slashable_at(51), 0);
    }

    #[test]
    fn r04_slashable_stake_rounds_as_eigenlayer_does() {
        // Executed on the real core: 25 % of a 40 % allocation of 1e21 taken leaves 299999999999999999700.
        let slashed = Position {
            shares: 900_000_000_000_000_000_000,
            max_magnitude: 900_000_000_000_000_000,
            magnitude: 300_000_000_000_000_000,
            ..position()
        };
        assert_eq!(slashed.slashable_at(0), 299_999_999_999_999_999_700);
    }
}
