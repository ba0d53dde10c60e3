//! What an asset is worth: a number of genesis, or what a feed on Ethereum says at the anchor (R23).
//!
//! A feed is somebody's word. An answer that is missing, not positive, from the future, too old or too far from the one before changes
//! nothing: the last good price stays, frozen, until an answer is good again, and what is wrong stands beside it for people to see. Nobody
//! gains weight in a moment by what one feed says in a moment.

use crate::canonical::{canonical, canonical_enum};
use crate::ids::Address;
use crate::position::StakeSource;
use crate::units::{BasisPoints, MicroUsd};

/// The most decimals of an asset or an answer; 10^38 is the largest power that 128 bits hold.
pub const MAX_DECIMALS: u8 = 38;
/// What prices are told for: 1e18 of an asset's smallest units, in millionths of a dollar.
const PRICE_DIGITS: i16 = 18 + 6;

/// How an asset's worth is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// A number for good: what 1e18 of its smallest units are worth; of EigenLayer, 1e18 shares.
    Fixed(MicroUsd),
    /// A feed on Ethereum.
    Feed(Feed),
}
canonical_enum!(Price { 0 => Fixed(price), 1 => Feed(feed) });

/// A Chainlink-style aggregator that says dollars for one whole token, and how far it is believed. Shares of a strategy count as
/// as many of the token's smallest units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The aggregator, or the proxy before it.
    pub aggregator: Address,
    /// The token's decimals, at most [`MAX_DECIMALS`]: how many smallest units the feed's one token is.
    pub asset_decimals: u8,
    /// The price until the first good answer, and what that answer is measured by.
    pub start: MicroUsd,
    /// How old an answer may be at the anchor, seconds.
    pub max_age: u64,
    /// How far an answer may be from the last good one, of that one.
    pub max_jump: BasisPoints,
}
canonical!(Feed { aggregator, asset_decimals, start, max_age, max_jump });

/// What an aggregator says at an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It reverts, is not there, or says what no number here holds.
    Nothing,
    /// Its newest round.
    Round(Round),
}
canonical_enum!(Answer { 0 => Nothing, 1 => Round(round) });

/// One round of an aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Dollars times 10^decimals for one whole token.
    pub answer: i128,
    /// The answer's decimals.
    pub decimals: u8,
    /// When it was made, seconds since 1970.
    pub updated: u64,
}
canonical!(Round { answer, decimals, updated });

/// What a feed was seen to say where the ledger says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceSeen {
    /// Of which asset.
    pub source: StakeSource,
    /// What it said.
    pub answer: Answer,
}
canonical!(PriceSeen { source, answer });

/// What the ledger holds of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The last good price: 1e18 of the asset's smallest units, rounded down.
    pub price: MicroUsd,
    /// When it was made, seconds since 1970; zero while it is genesis'.
    pub updated: u64,
    /// Why it is frozen.
    pub trouble: Option<Trouble>,
}
canonical!(Quote { price, updated, trouble });

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There was none.
    NoAnswer,
    /// Zero or less, or so little that nothing is left of it.
    NotPositive,
    /// Made after the anchor.
    FromTheFuture,
    /// Made too long before the anchor.
    Stale,
    /// More than 64 bits of micro-dollars, or decimals over [`MAX_DECIMALS`].
    TooLarge,
    /// Too far from the last good price.
    Jumped,
}
canonical_enum!(Trouble { 0 => NoAnswer, 1 => NotPositive, 2 => FromTheFuture, 3 => Stale, 4 => TooLarge, 5 => Jumped });

impl Trouble {
    /// As people and files have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::NotPositive => "not_positive",
            Self::FromTheFuture => "from_the_future",
            Self::Stale => "stale",
            Self::TooLarge => "too_large",
            Self::Jumped => "jumped",
        }
    }
}

impl Feed {
    /// What the ledger holds after `answer` at an anchor of second `now`.
    #[must_use]
    pub fn follow(&self, known: Option<&Quote>, answer: &Answer, now: u64) -> Quote {
        let before = known.copied().unwrap_or(Quote { price: self.start, updated: 0, trouble: None });
        match self.judge(before.price, answer, now) {
            Ok((price, updated)) => Quote { price, updated, trouble: None },
            Err(trouble) => Quote { trouble: Some(trouble), ..before },
        }
    }

    fn judge(&self, before: MicroUsd, answer: &Answer, now: u64) -> Result<(MicroUsd, u64), Trouble> {
        let Answer::Round(round) = answer else { return Err(Trouble::NoAnswer) };
        let answer = u128::try_from(round.answer).ok().filter(|answer| *answer > 0).ok_or(Trouble::NotPositive)?;
        if round.updated > now {
            return Err(Trouble::FromTheFuture);
        }
        if now - round.updated > self.max_age {
            return Err(Trouble::Stale);
        }
        let price = self.convert(answer, round.decimals).ok_or(Trouble::TooLarge)?;
        if price.get() == 0 {
            return Err(Trouble::NotPositive);
        }
        let distance = u128::from(price.get().abs_diff(before.get()));
        if distance * 10_000 > u128::from(before.get()) * u128::from(self.max_jump.get()) {
            return Err(Trouble::Jumped);
        }
        Ok((price, round.updated))
    }

    /// floor(answer / 10^decimals x 10^6 x 10^18 / 10^asset_decimals) micro-dollars; `None` where a number does not hold it.
    fn convert(&self, answer: u128, decimals: u8) -> Option<MicroUsd> {
        if decimals > MAX_DECIMALS {
            return None;
        }
        let digits = PRICE_DIGITS - i16::from(self.asset_decimals) - i16::from(decimals);
        let power = 10_u128.checked_pow(u32::from(digits.unsigned_abs()));
        let price = match (digits >= 0, power) {
            (true, power) => answer.checked_mul(power?)?,
            (false, Some(power)) => answer / power,
            (false, None) => 0, // a larger power than any answer
        };
        u64::try_from(price).ok().map(MicroUsd::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    fn feed() -> Feed {
        Feed {
            aggregator: Address::new([1; 20]),
            asset_decimals: 18,
            start: MicroUsd::new(3_000_000_000),
            max_age: 3_600,
            max_jump: BasisPoints::new(2_000).unwrap(),
        }
    }

    /// Dollars with Chainlink's eight decimals.
    fn round(answer: i128) -> Round {
        Round { answer, decimals: 8, updated: NOW }
    }

    fn check(answer: Answer, trouble: Option<Trouble>) {
        let quote = feed().follow(None, &answer, NOW);
        assert_eq!(quote.trouble, trouble, "{answer:?}");
        if trouble.is_some() {
            assert_eq!((quote.price, quote.updated), (feed().start, 0), "frozen");
        }
    }

    #[test]
    fn r23_an_answer_that_cannot_be_right_freezes_the_last_good_price() {
        check(Answer::Round(round(310_000_000_000)), None);
        check(Answer::Nothing, Some(Trouble::NoAnswer));
        check(Answer::Round(round(0)), Some(Trouble::NotPositive));
        check(Answer::Round(round(-1)), Some(Trouble::NotPositive));
        check(Answer::Round(round(i128::MIN)), Some(Trouble::NotPositive));
        check(Answer::Round(Round { answer: 1, decimals: 38, updated: NOW }), Some(Trouble::NotPositive));
        check(Answer::Round(Round { updated: NOW + 1, ..round(310_000_000_000) }), Some(Trouble::FromTheFuture));
        check(Answer::Round(Round { updated: NOW - 3_600, ..round(310_000_000_000) }), None);
        check(Answer::Round(Round { updated: NOW - 3_601, ..round(310_000_000_000) }), Some(Trouble::Stale));
        check(Answer::Round(Round { updated: 0, ..round(310_000_000_000) }), Some(Trouble::Stale));
        check(Answer::Round(round(i128::MAX)), Some(Trouble::TooLarge));
        check(Answer::Round(Round { decimals: 39, ..round(310_000_000_000) }), Some(Trouble::TooLarge));
        check(Answer::Round(Round { decimals: 255, ..round(310_000_000_000) }), Some(Trouble::TooLarge));
        // A fifth up or down, and one smallest part more.
        check(Answer::Round(round(360_000_000_000)), None);
        check(Answer::Round(round(240_000_000_000)), None);
        check(Answer::Round(round(360_000_000_100)), Some(Trouble::Jumped));
        check(Answer::Round(round(239_999_999_900)), Some(Trouble::Jumped));
    }

    #[test]
    fn r23_a_frozen_price_thaws_with_the_next_good_answer() {
        let good = feed().follow(None, &Answer::Round(round(310_000_000_000)), NOW);
        assert_eq!(good, Quote { price: MicroUsd::new(3_100_000_000), updated: NOW, trouble: None });
        let frozen = feed().follow(Some(&good), &Answer::Round(round(900_000_000_000)), NOW + 10);
        assert_eq!(frozen, Quote { trouble: Some(Trouble::Jumped), ..good });
        let round = Round { updated: NOW + 20, ..round(320_000_000_000) };
        let thawed = feed().follow(Some(&frozen), &Answer::Round(round), NOW + 20);
        assert_eq!(thawed, Quote { price: MicroUsd::new(3_200_000_000), updated: NOW + 20, trouble: None });
    }

    #[test]
    fn a_price_is_told_for_1e18_smallest_units_whatever_the_decimals() {
        let dollar = |asset_decimals| Feed { asset_decimals, ..feed() }.convert(100_000_000, 8);
        assert_eq!(dollar(18), Some(MicroUsd::new(1_000_000)));
        assert_eq!(dollar(6), Some(MicroUsd::new(1_000_000_000_000_000_000))); // 1e12 dollars
        assert_eq!(dollar(0), None); // 1e18 dollars are more than 64 bits of micro-dollars
        assert_eq!(dollar(38), Some(MicroUsd::new(0)));
        assert_eq!(feed().convert(99, 8), Some(MicroUsd::new(0))); // rounded down
    }

    proptest! {
        #[test]
        fn r23_no_answer_moves_a_price_further_than_its_bound(
            before in 1_u64.., answer: i128, decimals: u8, updated: u64, now: u64, max_jump in 0_u16..=10_000,
        ) {
            let feed = Feed { max_jump: BasisPoints::new(max_jump).unwrap(), ..feed() };
            let known = Quote { price: MicroUsd::new(before), updated: 7, trouble: None };
            let quote = feed.follow(Some(&known), &Answer::Round(Round { answer, decimals, updated }), now);
            let bound = u128::from(before) * u128::from(max_jump);
            prop_assert!(u128::from(quote.price.get().abs_diff(before)) * 10_000 <= bound);
            prop_assert!(quote.price.get() > 0);
            prop_assert_eq!(quote.trouble.is_some(), quote.price == known.price && quote.updated == known.updated && quote != known);
        }

        #[test]
        fn a_conversion_is_exact_and_rounds_down(answer in 1_u128..1 << 90, decimals in 0_u8..=24, asset_decimals in 0_u8..=24) {
            let feed = Feed { asset_decimals, ..feed() };
            // In whole numbers of 10^-48: nothing is lost, and 128 bits do not hold it.
            let digits = 24 - i32::from(asset_decimals) - i32::from(decimals);
            let expected = if digits >= 0 {
                answer.checked_mul(10_u128.pow(digits as u32))
            } else {
                Some(answer / 10_u128.pow(digits.unsigned_abs()))
            };
            let expected = expected.and_then(|price| u64::try_from(price).ok()).map(MicroUsd::new);
            prop_assert_eq!(feed.convert(answer, decimals), expected);
        }
    }
}
