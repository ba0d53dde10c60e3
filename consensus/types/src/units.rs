//! Numbers with their meaning. None converts from a bare integer by `into()`: a height is not an epoch
//! and wei are not satoshis.

use crate::canonical::{Canonical, Malformed, Reader};
use std::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Names a bare number.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }
            /// The bare number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
            fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self(Canonical::read(input)?))
            }
        }
    };
}

unit! {
    /// How many blocks come before and including this one; genesis is 0, the first block 1.
    Height(u64)
}
unit! {
    /// One term of office of a committee. It fits in 24 bits, which is what a service's slot leaves for it (R3).
    Epoch(u32)
}
unit! {
    /// Satoshis: the only form in which bitcoin value enters the ledger.
    Sats(u64)
}
unit! {
    /// Millionths of a US dollar: the common unit in which the engine weighs stake (R23).
    MicroUsd(u64)
}
unit! {
    /// A part of 1e18, EigenLayer's way to write a fraction.
    Wad(u64)
}
unit! {
    /// Milliseconds of some clock that was handed in.
    Millis(u64)
}

impl Height {
    /// The height of the block after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
    /// The height of the block before this one; genesis stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Epoch {
    /// The last epoch that fits in a service's slot (R3).
    pub const MAX: Self = Self((1 << 24) - 1);
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Wad {
    /// The whole.
    pub const ONE: Self = Self(1_000_000_000_000_000_000);
}

impl Sats {
    /// Every satoshi there will ever be.
    pub const MAX: Self = Self(2_100_000_000_000_000);

    /// The part of this stake that `cut` takes, rounded down: dust stays with the staker.
    #[must_use]
    pub fn slashed_by(self, cut: BasisPoints) -> Self {
        let taken = u128::from(self.0) * u128::from(cut.get()) / 10_000;
        Self(u64::try_from(taken).expect("a cut is at most the whole"))
    }
}

/// Hundredths of a percent, at most the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Names a part of the whole; `None` above 10,000.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        if value <= 10_000 { Some(Self(value)) } else { None }
    }
    /// The bare number, 0 to 10,000.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Canonical for BasisPoints {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::new(u16::read(input)?).ok_or(Malformed::OutOfRange("basis points"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_takes_more_than_its_part() {
        let tenth = BasisPoints::new(1_000).unwrap();
        assert_eq!(Sats::new(1_009).slashed_by(tenth), Sats::new(100));
        assert_eq!(Sats::MAX.slashed_by(BasisPoints::new(10_000).unwrap()), Sats::MAX);
        assert_eq!(BasisPoints::new(10_001), None);
    }
}
