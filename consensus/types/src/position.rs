//! One stake position of an operator: what a restaking protocol says it could take from him.

use crate::canonical::{Canonical, Malformed, Reader, canonical, canonical_enum, shown_struct};
use crate::ids::{Address, OperatorId};
use crate::slash::SlashTarget;
use crate::units::Wad;

/// How many moments the Symbiotic adapter remembers at which stake can be captured; its contract has the same number.
pub const MAX_CAPTURES: usize = 4;

/// The most vaults that one operator may list beside genesis' own; the contract has the same number.
pub const MAX_LISTED: usize = 4;

/// Where a stake lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StakeSource {
    /// EigenLayer, the network's own operator set; the strategy that holds the asset.
    EigenLayer(Address),
    /// Symbiotic, the network's own subnetwork 0; the vault that holds the collateral, of core 2 the AppAdapter.
    Symbiotic(Address),
    /// Karak, the network's own service; the vault that holds the asset.
    Karak(Address),
}
canonical_enum!(StakeSource { 0 => EigenLayer(strategy), 1 => Symbiotic(vault), 2 => Karak(vault) });

impl StakeSource {
    /// The protocol's name, as views, files and people have it.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::EigenLayer(_) => "eigenlayer",
            Self::Symbiotic(_) => "symbiotic",
            Self::Karak(_) => "karak",
        }
    }

    /// The protocol's name of the asset: EigenLayer's strategy, Symbiotic's or Karak's vault.
    #[must_use]
    pub const fn asset(&self) -> &Address {
        match self {
            Self::EigenLayer(asset) | Self::Symbiotic(asset) | Self::Karak(asset) => asset,
        }
    }

    /// What a slash of this stake is aimed at.
    #[must_use]
    pub const fn target(&self) -> SlashTarget {
        match self {
            Self::EigenLayer(strategy) => SlashTarget::EigenLayer(*strategy),
            Self::Symbiotic(vault) => SlashTarget::Symbiotic(*vault),
            Self::Karak(vault) => SlashTarget::Karak(*vault),
        }
    }
}

/// Names one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositionId {
    /// Whose.
    pub operator: OperatorId,
    /// Where.
    pub source: StakeSource,
}
canonical!(PositionId { operator, source });

/// A moment on Ethereum, in the unit of whoever counts: EigenLayer counts blocks, Symbiotic and Karak seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Block number.
    pub block: u64,
    /// Seconds since 1970.
    pub time: u64,
}

/// What a protocol's own views said at the anchor, in the protocol's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// See [`Magnitudes`].
    EigenLayer(Magnitudes),
    /// See [`SymbioticStake`].
    Symbiotic(SymbioticStake),
    /// See [`KarakStake`].
    Karak(KarakStake),
}
canonical_enum!(Position { 0 => EigenLayer(magnitudes), 1 => Symbiotic(stake), 2 => Karak(stake) });

impl Position {
    /// What stands where nothing was ever seen.
    #[must_use]
    pub const fn nothing(source: &StakeSource) -> Self {
        match source {
            StakeSource::EigenLayer(_) => Self::EigenLayer(Magnitudes::NOTHING),
            StakeSource::Symbiotic(_) => Self::Symbiotic(SymbioticStake::NOTHING),
            StakeSource::Karak(_) => Self::Karak(KarakStake::NOTHING),
        }
    }

    /// Whether a position of this source is told in these terms.
    #[must_use]
    pub const fn is_of(&self, source: &StakeSource) -> bool {
        matches!(
            (self, source),
            (Self::EigenLayer(_), StakeSource::EigenLayer(_))
                | (Self::Symbiotic(_), StakeSource::Symbiotic(_))
                | (Self::Karak(_), StakeSource::Karak(_))
        )
    }

    /// What the network can still take at the moment `future`, whatever the operator does from now on (R4), in the asset's
    /// smallest units. Rounds down.
    #[must_use]
    pub fn slashable_at(&self, future: &Moment) -> u128 {
        match self {
            Self::EigenLayer(magnitudes) => magnitudes.slashable_at(future.block),
            Self::Symbiotic(stake) => stake.slashable_at(future.time),
            Self::Karak(stake) => stake.slashable_at(future.time),
        }
    }

    /// What a slash of everything would take now, in the asset's smallest units: on `EigenLayer` also of what waits in the withdrawal
    /// queue, which counts for nothing. Rounds down.
    #[must_use]
    pub fn takeable(&self, now: &Moment) -> u128 {
        match self {
            Self::EigenLayer(magnitudes) => magnitudes.takeable(now.block),
            Self::Symbiotic(_) | Self::Karak(_) => self.slashable_at(now),
        }
    }

    /// Whether a slash that is sent, or already under way, may still take something now.
    #[must_use]
    pub fn is_takeable(&self, now: &Moment) -> bool {
        match self {
            Self::EigenLayer(magnitudes) => magnitudes.is_takeable(now.block),
            Self::Symbiotic(stake) => stake.is_takeable(now.time),
            Self::Karak(stake) => stake.is_takeable(now.time),
        }
    }

    /// The most that can be lost where this lies, by all operators together; `None` where nobody else's stake lies there (R8).
    #[must_use]
    pub const fn pool(&self) -> Option<u128> {
        match self {
            // A vault of Karak's is one operator's.
            Self::EigenLayer(_) | Self::Karak(_) => None,
            Self::Symbiotic(stake) => Some(stake.pool),
        }
    }
}

/// What EigenLayer's own views said at the anchor, pending change included (R4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Magnitudes {
    /// Shares delegated to the operator in this strategy.
    pub shares: u128,
    /// Shares that were his and wait in the withdrawal queue, as long as a slash takes of them too. They count for nothing (R4).
    pub queued: u128,
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
canonical!(Magnitudes { shares, queued, max_magnitude, magnitude, pending, effect_block, member, slashable_until });

impl Magnitudes {
    /// No shares, no magnitude, no member.
    pub const NOTHING: Self = Self {
        shares: 0,
        queued: 0,
        max_magnitude: 0,
        magnitude: 0,
        pending: 0,
        effect_block: 0,
        member: false,
        slashable_until: 0,
    };

    /// Shares the set can still take at Ethereum block `future`, whatever the operator does from now on:
    /// EigenLayer's `getMinimumSlashableStake`. Deallocations due by then count, allocations that are still
    /// pending do not. Rounds down, in the operator's favour: floor(shares x floor(magnitude x 1e18 / max) / 1e18).
    #[must_use]
    pub fn slashable_at(&self, future: u64) -> u128 {
        let wad = u128::from(Wad::ONE.get());
        let magnitude = self.magnitude_at(future);
        if magnitude == 0 {
            return 0;
        }
        let part = (magnitude * wad / u128::from(self.max_magnitude)).min(wad);
        mul_div(self.shares, part, wad)
    }

    /// Shares that a slash of everything would take at Ethereum block `now`: what counts, and the set's part of the queue, which our
    /// adapter measures in the same way. Rounds down.
    #[must_use]
    pub fn takeable(&self, now: u64) -> u128 {
        let max = u128::from(self.max_magnitude.max(1));
        let of_queue = mul_div(self.queued, self.magnitude_at(now).min(max), max);
        self.slashable_at(now).saturating_add(of_queue)
    }

    /// What the set may take at block `at`, whatever the operator does from now on; zero where it may take nothing.
    fn magnitude_at(&self, at: u64) -> u128 {
        if self.max_magnitude == 0 || (!self.member && self.slashable_until < at) {
            return 0;
        }
        let due = self.pending < 0 && self.effect_block <= at;
        let left = i128::from(self.magnitude) + if due { self.pending } else { 0 };
        u128::try_from(left).unwrap_or(0)
    }

    /// Whether the adapter would find a magnitude at Ethereum block `now`.
    #[must_use]
    pub fn is_takeable(&self, now: u64) -> bool {
        self.magnitude_at(now) > 0
    }
}

/// What Symbiotic's own views said at the anchor of one operator in one vault.
///
/// Symbiotic slashes what an operator had at a moment of the past, the capture, for one epoch of the vault after it. The
/// adapter remembers such moments and takes the one with the most: so that is what counts here, and what the operator had or has
/// besides does not.
///
/// Core 2's AppAdapter guarantees what was there at a moment for a duration after it, so that it is told in the same terms: its epoch is
/// that duration less the last second, its pool what can be taken of it now, and nobody can veto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbioticStake {
    /// The adapter's captures, newest first; those it has not are zero.
    pub captures: [Capture; MAX_CAPTURES],
    /// What the vault can lose at most, over all of its operators: its active stake and what leaves with the next epoch.
    pub pool: u128,
    /// For how long after its capture stake can be slashed, seconds.
    pub epoch_duration: u64,
    /// How long of that a request waits for a veto, seconds; zero where nobody can veto.
    pub veto_duration: u64,
}

/// What of an operator's stake can be slashed by one moment of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// The moment, seconds since 1970; zero where there is none.
    pub time: u64,
    /// The slasher's `slashableStake` by it, smallest units of the collateral.
    pub stake: u128,
}
canonical!(Capture { time, stake });

shown_struct!(SymbioticStake { captures, pool, epoch_duration, veto_duration });

impl Canonical for SymbioticStake {
    fn write(&self, out: &mut Vec<u8>) {
        self.captures.iter().for_each(|capture| capture.write(out));
        self.pool.write(out);
        self.epoch_duration.write(out);
        self.veto_duration.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut captures = [Capture::default(); MAX_CAPTURES];
        for capture in &mut captures {
            *capture = Capture::read(input)?;
        }
        Ok(Self {
            captures,
            pool: u128::read(input)?,
            epoch_duration: u64::read(input)?,
            veto_duration: u64::read(input)?,
        })
    }
}

impl SymbioticStake {
    /// No stake at any moment.
    pub const NOTHING: Self =
        Self { captures: [Capture { time: 0, stake: 0 }; MAX_CAPTURES], pool: 0, epoch_duration: 0, veto_duration: 0 };

    /// What can be taken at second `future` at least: the most of what one capture still leaves then, with the time a veto has.
    /// At a snapshot's end of the window W this is R4's `epochDuration >= W + veto, else zero`, counted from the capture.
    #[must_use]
    pub fn slashable_at(&self, future: u64) -> u128 {
        self.most(future.saturating_add(self.veto_duration))
    }

    /// Whether anything can be taken now, by a request that is under way at least.
    #[must_use]
    pub fn is_takeable(&self, now: u64) -> bool {
        self.most(now) > 0
    }

    /// The most by a capture whose epoch is not over at second `until`.
    fn most(&self, until: u64) -> u128 {
        let open = |capture: &&Capture| capture.time > 0 && capture.time.saturating_add(self.epoch_duration) >= until;
        self.captures.iter().filter(open).map(|capture| capture.stake).max().unwrap_or(0)
    }
}

/// What Karak's own views said at the anchor of one operator's vault.
///
/// A vault is staked to a service whole, and to others too: what it weighs here can be lost there. It leaves by a request that
/// can be completed some days later; a slash waits for a veto and must be carried out before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KarakStake {
    /// The vault's assets while it is staked to the network's own service, smallest units, less those whose stakers have asked
    /// for them back and may get them any moment.
    pub assets: u128,
    /// The second at which a pending request to unstake the vault can be completed; zero without one.
    pub leaving: u64,
    /// How long a slash waits for a veto, seconds: genesis' number.
    pub veto_duration: u64,
}
canonical!(KarakStake { assets, leaving, veto_duration });

impl KarakStake {
    /// Nothing is staked.
    pub const NOTHING: Self = Self { assets: 0, leaving: 0, veto_duration: 0 };

    /// What a slash asked for at second `future` still takes: all, unless a request to unstake is pending that can be completed
    /// before the veto's time is over. One that comes after the anchor cannot within the window W, which genesis bounds (R4).
    #[must_use]
    pub const fn slashable_at(&self, future: u64) -> u128 {
        let taken = future.saturating_add(self.veto_duration);
        if self.leaving == 0 || taken < self.leaving { self.assets } else { 0 }
    }

    /// Whether anything can be taken now, by a request that is under way at least.
    #[must_use]
    pub const fn is_takeable(&self, now: u64) -> bool {
        self.assets > 0 && (self.leaving == 0 || now < self.leaving)
    }
}

/// floor(a x b / c) for b <= c, without overflow for every u128 `a`.
#[must_use]
pub fn mul_div(a: u128, b: u128, c: u128) -> u128 {
    debug_assert!(b <= c && c > 0 && c < 1 << 64);
    a / c * b + a % c * b / c
}

/// `part` of a `pool` that `sum` asks for together: `part` while all fit, else at most floor(part x pool / sum), so that what all
/// get is never more than the pool (R8). Numbers past 2^64 lose their lowest bits, downwards.
#[must_use]
pub fn share_of(part: u128, pool: u128, sum: u128) -> u128 {
    if sum <= pool {
        return part;
    }
    let excess = (u128::BITS - sum.leading_zeros()).saturating_sub(63);
    mul_div(part, pool >> excess, sum.div_ceil(1 << excess))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position() -> Magnitudes {
        Magnitudes {
            shares: 1_000_000_000_000_000_000_000,
            queued: 0,
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
        let leaving = Magnitudes { pending: -100_000_000_000_000_000, effect_block: 50, ..whole };
        assert_eq!(leaving.slashable_at(49), 400_000_000_000_000_000_000);
        assert_eq!(leaving.slashable_at(50), 300_000_000_000_000_000_000);
        let growing = Magnitudes { pending: 100_000_000_000_000_000, effect_block: 50, ..whole };
        assert_eq!(growing.slashable_at(100), 400_000_000_000_000_000_000);
        let left = Magnitudes { member: false, slashable_until: 50, ..whole };
        assert_eq!(left.slashable_at(50), 400_000_000_000_000_000_000);
        assert_eq!(left.slashable_at(51), 0);
    }

    #[test]
    fn r04_a_queued_withdrawal_counts_for_nothing_and_is_taken_all_the_same() {
        let whole = Magnitudes { queued: 500, shares: 1_000, ..position() };
        assert_eq!((whole.slashable_at(10), whole.takeable(10)), (400, 400 + 200));
        let leaving = Magnitudes { pending: -300_000_000_000_000_000, effect_block: 11, ..whole };
        assert_eq!((leaving.takeable(10), leaving.takeable(11)), (600, 100 + 50));
        let gone = Magnitudes { member: false, slashable_until: 10, ..whole };
        assert_eq!((gone.takeable(10), gone.takeable(11)), (600, 0));
        assert_eq!(Magnitudes { max_magnitude: 0, magnitude: 0, ..whole }.takeable(10), 0);
    }

    #[test]
    fn r04_slashable_stake_rounds_as_eigenlayer_does() {
        // Executed on the real core: 25 % of a 40 % allocation of 1e21 taken leaves 299999999999999999700.
        let slashed = Magnitudes {
            shares: 900_000_000_000_000_000_000,
            max_magnitude: 900_000_000_000_000_000,
            magnitude: 300_000_000_000_000_000,
            ..position()
        };
        assert_eq!(slashed.slashable_at(0), 299_999_999_999_999_999_700);
    }

    fn captured(captures: &[(u64, u128)], epoch_duration: u64, veto_duration: u64) -> SymbioticStake {
        let mut stake = SymbioticStake { pool: 1_000, epoch_duration, veto_duration, ..SymbioticStake::NOTHING };
        for (place, (time, amount)) in stake.captures.iter_mut().zip(captures) {
            *place = Capture { time: *time, stake: *amount };
        }
        stake
    }

    #[test]
    fn r04_captured_stake_counts_while_its_epoch_holds_the_window_and_the_veto() {
        // Captured at 1000 for 600 seconds, of which a veto has 100: a slash asked for up to 1500 still comes in time.
        let stake = captured(&[(1_000, 70)], 600, 100);
        assert_eq!((stake.slashable_at(1_500), stake.slashable_at(1_501)), (70, 0));
        let instant = SymbioticStake { veto_duration: 0, ..stake };
        assert_eq!((instant.slashable_at(1_600), instant.slashable_at(1_601)), (70, 0));
        // An epoch shorter than window and veto is worth nothing, however new the capture is.
        let (now, window) = (1_000, 501);
        assert_eq!(stake.slashable_at(now + window), 0);
        // What waits for its veto can be taken until the epoch ends.
        assert!(stake.is_takeable(1_600) && !stake.is_takeable(1_601));
        assert_eq!(SymbioticStake::NOTHING.slashable_at(0), 0);
    }

    #[test]
    fn r26_the_capture_with_the_most_counts_as_long_as_it_lasts() {
        let stake = captured(&[(1_300, 10), (1_200, 0), (1_100, 70), (1_000, 40)], 600, 0);
        assert_eq!([1_600, 1_700, 1_701, 1_900, 1_901].map(|at| stake.slashable_at(at)), [70, 70, 10, 10, 0]);
    }

    #[test]
    fn r04_a_vault_on_karak_counts_while_its_unstake_cannot_come_before_the_slash() {
        let stake = KarakStake { assets: 70, leaving: 0, veto_duration: 100 };
        assert_eq!((stake.slashable_at(u64::MAX), stake.is_takeable(u64::MAX)), (70, true));
        // It can leave at 1000, and a slash that is asked for at 900 could be carried out then only.
        let leaving = KarakStake { leaving: 1_000, ..stake };
        assert_eq!((leaving.slashable_at(899), leaving.slashable_at(900)), (70, 0));
        assert!(leaving.is_takeable(999) && !leaving.is_takeable(1_000));
        assert!(!KarakStake::NOTHING.is_takeable(0));
    }

    #[test]
    fn a_position_reads_back_and_belongs_to_its_source() {
        let (eigenlayer, symbiotic) = (StakeSource::EigenLayer(Address::ZERO), StakeSource::Symbiotic(Address::ZERO));
        let stake = Position::Symbiotic(captured(&[(7, 8), (5, 6)], 3, 1));
        let karak = Position::Karak(KarakStake { assets: 7, leaving: 8, veto_duration: 9 });
        assert!(karak.is_of(&StakeSource::Karak(Address::ZERO)) && !karak.is_of(&symbiotic));
        for position in [stake, karak, Position::EigenLayer(position())] {
            assert_eq!(Position::from_bytes(&position.to_bytes()), Ok(position));
        }
        assert!(stake.is_of(&symbiotic) && !stake.is_of(&eigenlayer));
        assert!(Position::nothing(&eigenlayer).is_of(&eigenlayer));
        assert_eq!((stake.to_bytes()[0], symbiotic.to_bytes()[0], eigenlayer.to_bytes()[0]), (1, 1, 0));
    }

    proptest! {
        #[test]
        fn r08_shares_of_a_pool_never_sum_to_more_than_it(
            parts in prop::collection::vec(any::<u64>(), 1..20), pool in any::<u64>(), scale in 0_u32..60,
        ) {
            let parts: Vec<u128> = parts.into_iter().map(|part| u128::from(part) << scale).collect();
            let pool = u128::from(pool) << scale;
            let sum = parts.iter().sum();
            let shares = || parts.iter().map(|part| share_of(*part, pool, sum));
            prop_assert!(shares().sum::<u128>() <= pool.max(sum.min(pool)));
            prop_assert!(shares().zip(&parts).all(|(share, part)| share <= *part));
            // Nobody loses more by the rounding than one unit and one part in 2^61.
            for (share, part) in shares().zip(&parts).filter(|_| sum > pool) {
                let exact = share_exactly(*part, pool, sum);
                prop_assert!(exact - share <= 1 + (exact >> 61) + (part >> 61));
            }
        }
    }

    /// floor(part x pool / sum) bit by bit.
    fn share_exactly(part: u128, pool: u128, sum: u128) -> u128 {
        let (mut quotient, mut remainder) = (0_u128, 0_u128);
        for bit in (0..u128::BITS).rev() {
            (quotient, remainder) = (quotient << 1, remainder << 1);
            if part >> bit & 1 == 1 {
                remainder += pool;
            }
            (quotient, remainder) = (quotient + remainder / sum, remainder % sum);
        }
        quotient
    }
}
