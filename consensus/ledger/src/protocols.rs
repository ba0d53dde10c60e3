//! What a slash takes by each protocol's own arithmetic, rounding included. Forecasts are told by it; what is booked is only ever
//! what the chain shows.

use palisade_types::Wad;
use palisade_types::position::{Magnitudes, mul_div};

const WAD: u128 = 1_000_000_000_000_000_000;

/// What EigenLayer's `AllocationManager._slashOperator` and `DelegationManager.slashOperatorShares` do (SlashingLib of core 1.0 to
/// 1.4): every rounding is up, against whoever is slashed for the magnitude and for him for the shares that stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EigenSlash {
    /// ceil(current x wad / 1e18): taken from the set's magnitude and from the max magnitude.
    pub magnitude: u64,
    /// ceil(pending x wad / 1e18): taken from a deallocation that is queued.
    pub pending: u64,
    /// floor(magnitude x 1e18 / max magnitude before): the part of all shares, in 1e18.
    pub wad: u64,
    /// The max magnitude afterwards.
    pub max_magnitude: u64,
    /// ceil(shares x max magnitude afterwards / before): the operator's shares that stay.
    pub shares_left: u128,
}

impl EigenSlash {
    /// Takes `wad` of what a set was allocated; `current` includes `pending`, the part of it that waits to be free again.
    #[must_use]
    pub fn of(shares: u128, max_magnitude: u64, current: u64, pending: u64, wad: Wad) -> Self {
        let part = |of: u64| narrow(up(u128::from(of), u128::from(wad.get()), WAD));
        let magnitude = part(current).min(max_magnitude);
        let left = max_magnitude - magnitude;
        let before = u128::from(max_magnitude.max(1));
        Self {
            magnitude,
            pending: part(pending),
            wad: narrow(u128::from(magnitude) * WAD / before),
            max_magnitude: left,
            shares_left: up(shares, left.into(), before),
        }
    }

    /// The same of a position as the ledger has it.
    #[must_use]
    pub fn of_position(position: &Magnitudes, wad: Wad) -> Self {
        let pending = u64::try_from(position.pending.unsigned_abs()).unwrap_or(u64::MAX);
        let leaving = if position.pending < 0 { pending } else { 0 };
        Self::of(position.shares, position.max_magnitude, position.magnitude, leaving, wad)
    }
}

/// What a staker can withdraw of `deposit` shares: floor(floor(deposit x scaling / 1e18) x floor(max magnitude x beacon chain's
/// factor / 1e18) / 1e18).
#[must_use]
pub fn eigen_withdrawable(deposit: u128, scaling: u128, max_magnitude: u64, beacon_factor: u64) -> u128 {
    let factor = mul_div(max_magnitude.into(), beacon_factor.into(), WAD);
    mul_div(down(deposit, scaling, WAD), factor, WAD)
}

/// A staker's deposit scaling factor after he deposits `added` shares to an operator whose slashing factor is `factor`, floors at
/// every division: whoever comes after a slash pays nothing for it (`DepositScalingFactor.update`). `None` when the factor is zero,
/// as where all was slashed: the core refuses the deposit.
#[must_use]
pub fn eigen_scaling(deposit: u128, added: u128, scaling: u128, factor: u128) -> Option<u128> {
    if factor == 0 || factor > WAD {
        return None;
    }
    if deposit == 0 {
        return Some(down(scaling, WAD, factor));
    }
    let worth = mul_div(down(deposit, scaling, WAD), factor, WAD);
    let shares = deposit.checked_add(added)?;
    Some(down(down(worth.checked_add(added)?, WAD, shares), WAD, factor))
}

/// A Symbiotic vault: its active stake, what is withdrawn with this epoch and with the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbioticVault {
    /// Stake that stays.
    pub active: u128,
    /// What can be claimed when this epoch is over.
    pub withdrawals: u128,
    /// What can be claimed when the next one is over.
    pub next: u128,
}

impl SymbioticVault {
    /// What the slasher still gives of an operator's stake at a capture: `stake` less what was slashed since (`BaseSlasher`).
    #[must_use]
    pub const fn slashable(stake: u128, slashed_now: u128, slashed_at_capture: u128) -> u128 {
        stake.saturating_sub(slashed_now.saturating_sub(slashed_at_capture))
    }

    /// Takes `amount`, at most what is there, from what the capture's epoch reaches, in proportion: floors for active stake and for
    /// the next epoch's withdrawals, the rest from this epoch's (`Vault.onSlash`, core 1). Gives what is taken.
    #[must_use]
    pub fn slash(&mut self, amount: u128, captured_this_epoch: bool) -> u128 {
        let now = if captured_this_epoch { 0 } else { self.withdrawals };
        let whole = self.active.saturating_add(now).saturating_add(self.next);
        let taken = amount.min(whole);
        if taken == 0 {
            return 0;
        }
        let active = down(taken, self.active, whole);
        let (mut withdrawals, mut next) = (0, taken - active);
        if !captured_this_epoch {
            next = down(taken, self.next, whole);
            withdrawals = taken - active - next;
            next += withdrawals.saturating_sub(self.withdrawals);
            withdrawals = withdrawals.min(self.withdrawals);
        }
        self.active -= active;
        self.withdrawals -= withdrawals;
        self.next -= next;
        taken
    }
}

/// What the beacon chain takes of a slashed validator since Electra, in gwei: 1/4096 of the effective balance at once, and half a
/// withdrawal period later its share of three times what was slashed around it (`slash_validator`, `process_slashings`).
#[must_use]
pub fn beacon_penalty(effective: u64, total_active: u64, slashed_in_window: u64) -> (u64, u64) {
    const GWEI: u64 = 1_000_000_000; // EFFECTIVE_BALANCE_INCREMENT
    let increments = (total_active / GWEI).max(1);
    let adjusted = slashed_in_window.saturating_mul(3).min(total_active);
    (effective / 4_096, adjusted / increments * (effective / GWEI))
}

/// floor(a x b / c).
fn down(a: u128, b: u128, c: u128) -> u128 {
    wide(a, b, c).0
}

/// ceil(a x b / c).
fn up(a: u128, b: u128, c: u128) -> u128 {
    let (quotient, rest) = wide(a, b, c);
    quotient.saturating_add(u128::from(rest))
}

/// floor(a x b / c), at most 2^128 - 1, and whether anything is left over; by long division, since the product may have 256 bits.
fn wide(a: u128, b: u128, c: u128) -> (u128, bool) {
    if let Some(product) = a.checked_mul(b) {
        return (product / c, product % c != 0);
    }
    let (mut quotient, mut rest) = (0_u128, 0_u128);
    for bit in (0..128).rev() {
        // Twice what was, and a once more where b has a bit; `rest` stays below c.
        let (twice, over) = add_mod(rest, rest, c);
        let (with, more) = if b >> bit & 1 == 1 { add_mod(twice, a % c, c) } else { (twice, 0) };
        let whole = if b >> bit & 1 == 1 { a / c } else { 0 };
        let next = quotient.checked_mul(2).and_then(|twice| twice.checked_add(whole)?.checked_add(over + more));
        let Some(next) = next else { return (u128::MAX, false) };
        (quotient, rest) = (next, with);
    }
    (quotient, rest != 0)
}

/// (a + b) mod c, and how often c was taken out, for a and b below c.
const fn add_mod(a: u128, b: u128, c: u128) -> (u128, u128) {
    if a >= c - b { (a - (c - b), 1) } else { (a + b, 0) }
}

fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wide_products_divide_exactly(a: u128, b in 0_u128..1 << 64, c in 1_u128..1 << 64) {
            // (a / c) b + (a mod c) b / c, the way that fits when b and c are short.
            let exact = (a / c).checked_mul(b).and_then(|whole| whole.checked_add(a % c * b / c));
            prop_assert_eq!(wide(a, b, c).0, exact.unwrap_or(u128::MAX));
            prop_assert_eq!(wide(b, a, c).0, exact.unwrap_or(u128::MAX));
        }

        #[test]
        fn a_slash_never_makes_anything(
            shares in 0_u128..1 << 100, max in 1_u64..=1_000_000_000_000_000_000, part: u64, wad in 0_u64..=1_000_000_000_000_000_000,
        ) {
            let current = part % (max + 1);
            let slash = EigenSlash::of(shares, max, current, current / 3, Wad::new(wad));
            prop_assert!(slash.shares_left <= shares && slash.magnitude <= current && slash.pending <= current / 3 + 1);
            prop_assert_eq!(slash.max_magnitude + slash.magnitude, max);
        }

        #[test]
        fn a_vault_loses_what_is_taken_and_nothing_else(
            active in 0_u128..1 << 90, withdrawals in 0_u128..1 << 90, next in 0_u128..1 << 90, amount in 0_u128..1 << 93, current: bool,
        ) {
            let before = SymbioticVault { active, withdrawals, next };
            let mut after = before;
            let taken = after.slash(amount, current);
            let sum = |vault: &SymbioticVault| vault.active + vault.withdrawals + vault.next;
            prop_assert_eq!(sum(&before) - sum(&after), taken);
            prop_assert!(!current || after.withdrawals == withdrawals);
        }
    }

    #[test]
    fn a_third_slashed_together_loses_everything() {
        let eth = 1_000_000_000;
        assert_eq!(beacon_penalty(32 * eth, 3_000 * eth, 1_000 * eth), (7_812_500, 32 * eth));
        assert_eq!(eigen_scaling(0, 1, WAD, 0), None);
    }
}
