//! What a seat weighs: what a proof can take from its holder, never more (R4, R8, R23).

use crate::state::State;
use crate::{exposure, suspension};
use palisade_types::certificate::{Committee, MAX_ENGINE_POWER};
use palisade_types::chain::ChainKind;
use palisade_types::genesis::{Asset, Caps};
use palisade_types::operator::KeyRow;
use palisade_types::position::{Moment, PositionId, StakeSource, mul_div, share_of};
use palisade_types::vault::{Phase, VaultStatus};
use palisade_types::{MicroUsd, OperatorId, SchnorrKey, Vault, Wad};
use std::collections::BTreeMap;

/// What equivocations take on Ethereum at one moment or any moment before it, whatever the operators do.
pub(crate) struct Ether<'a> {
    state: State<'a>,
    at: Moment,
    /// Where the stake of several operators lies together: what all of them could lose one by one, and what is there (R8).
    pools: BTreeMap<StakeSource, Pool>,
    /// What each asset of genesis weighs over all operators, by place, before caps.
    assets: Vec<u128>,
    /// What each protocol's assets weigh together once each is capped.
    kinds: BTreeMap<&'static str, u128>,
}

/// One vault that several operators' stake lies in.
#[derive(Clone, Copy)]
struct Pool {
    asked: u128,
    held: u128,
}

impl<'a> Ether<'a> {
    pub(crate) fn at(state: State<'a>, at: Moment) -> Self {
        let mut pools: BTreeMap<StakeSource, Pool> = BTreeMap::new();
        for (id, position) in state.positions() {
            if let Some(held) = position.pool() {
                let pool = pools.entry(id.source).or_insert(Pool { asked: 0, held });
                pool.asked = pool.asked.saturating_add(position.slashable_at(&at));
                // Rows that were seen at different anchors may say different things: the least holds.
                pool.held = pool.held.min(held);
            }
        }
        let mut ether = Self { state, at, pools, assets: Vec::new(), kinds: BTreeMap::new() };
        ether.weigh();
        ether
    }

    /// Adds up what every asset weighs over all operators who are not convicted: what caps are measured by (R23).
    fn weigh(&mut self) {
        let assets = &self.state.ledger.genesis_of().assets;
        let caps = self.state.ledger.genesis_of().parameters.caps;
        let is_capped = |asset: &Asset| asset.cap != Caps::ANY || caps.of(&asset.source) != Caps::ANY;
        self.assets = vec![0; assets.len()];
        if !assets.iter().any(is_capped) {
            return;
        }
        let operators = || self.state.operators().filter(|operator| operator.convicted.is_none());
        let sums = assets.iter().map(|asset| {
            let values = operators().map(|operator| u128::from(self.value(&operator.id, asset)));
            values.fold(0, u128::saturating_add)
        });
        let sums: Vec<u128> = sums.collect();
        let mut kinds: BTreeMap<&'static str, u128> = BTreeMap::new();
        for (asset, sum) in assets.iter().zip(&sums) {
            // At least what is left of it: single cuts round down.
            let left = (*sum).min(asset.cap.get().into());
            let kind = kinds.entry(asset.source.protocol()).or_default();
            *kind = kind.saturating_add(left);
        }
        (self.assets, self.kinds) = (sums, kinds);
    }

    /// Micro-dollars that an equivocation takes from `operator`: Σ over assets of floor(floor(slashable x fraction) x price /
    /// 1e18). What the asset's vault cannot lose to all of its operators is cut from each in proportion, and so is what an asset or
    /// its protocol weighs above its cap; at last what he himself weighs above an operator's. Each step rounds down, so that nobody weighs
    /// more than he can lose; a sum past 2^64 counts as 2^64 - 1.
    pub(crate) fn of(&self, operator: &OperatorId) -> u64 {
        let genesis = self.state.ledger.genesis_of();
        let caps = genesis.parameters.caps;
        let whole = genesis.assets.iter().zip(&self.assets).fold(0, |sum: u64, (asset, total)| {
            let value = u128::from(self.value(operator, asset));
            let value = share_of(value, asset.cap.get().into(), *total);
            let kind = self.kinds.get(asset.source.protocol()).copied().unwrap_or(0);
            let value = share_of(value, caps.of(&asset.source).get().into(), kind);
            sum.saturating_add(u64::try_from(value).unwrap_or(u64::MAX))
        });
        whole.min(caps.operator.get())
    }

    /// What an equivocation takes of one asset, wherever it lies, before any cap, micro-dollars.
    fn value(&self, operator: &OperatorId, asset: &Asset) -> u64 {
        let (wad, price) = (u128::from(Wad::ONE.get()), self.state.price(asset));
        self.state.sources(operator, asset).fold(0, |sum: u64, id| {
            let lost = mul_div(self.slashable(&id), u128::from(asset.equivocation.get()), wad);
            sum.saturating_add(worth(lost, price, wad))
        })
    }

    fn slashable(&self, id: &PositionId) -> u128 {
        let slashable = self.state.position(id).map_or(0, |position| position.slashable_at(&self.at));
        match self.pools.get(&id.source) {
            Some(pool) => share_of(slashable, pool.held, pool.asked),
            None => slashable,
        }
    }
}

/// Satoshis that an equivocation takes from `vault` (R8, R11) under the terms it was registered with, rounded down.
pub(crate) fn of_vault(state: State<'_>, vault: &Vault) -> u64 {
    let terms = state.ledger.genesis_of().terms(vault.registration.terms);
    terms.map_or(0, |terms| vault.registration.amount.slashed_by(terms.slash_rate).get())
}

/// Satoshis that count for a seat at Bitcoin height `now`: of vaults that are active, so that their coins stay locked for one
/// unbonding time at least and so for the whole window (R4), and that name the seat's finality key, since only that key's
/// fault unlocks them. None of a vault whose slash the market outbids (R28), or that anybody can
/// slash (R29). A vault and the one it expands into never are active together (R8). None while Bitcoin is suspended (R30).
pub(crate) fn bitcoin(state: State<'_>, operator: &OperatorId, keys: &KeyRow, now: u64) -> u64 {
    state
        .vaults_of(operator)
        .filter(|vault| counts(state, vault, &keys.eots, now))
        .fold(0, |sum: u64, vault| sum.saturating_add(of_vault(state, vault)))
}

/// Whether a vault counts at Bitcoin height `now` for a seat with finality key `key`. The market's rate is a row, so that every
/// committee and every claim is drawn by the same one.
pub(crate) fn counts(state: State<'_>, vault: &Vault, key: &SchnorrKey, now: u64) -> bool {
    if suspension::is_active(state, ChainKind::Bitcoin) {
        return false;
    }
    let terms = state.ledger.genesis_of().terms(vault.registration.terms);
    let is_active = terms.is_some_and(|terms| vault.phase(terms, now) == Phase::Active);
    let is_takeable = vault.registration.top_rate >= state.fee_rate();
    let is_free = !exposure::is_exposed(state, &vault.registration);
    is_active && is_takeable && is_free && vault.registration.providers.contains(key)
}

/// The first Bitcoin height at which an active vault does not count any more: one unbonding time before its coins can
/// move.
pub(crate) fn counts_until(state: State<'_>, vault: &Vault) -> u64 {
    let terms = state.ledger.genesis_of().terms(vault.registration.terms);
    let unbonding_time = terms.map_or(u64::MAX, |terms| terms.unbonding_time.into());
    vault.end_height().unwrap_or(0).saturating_sub(unbonding_time)
}

/// Satoshis that can still be taken for each seat by the key it votes with, also from vaults that unbond, and at most
/// what it weighs: a vault that is spent or lost is gone (R9), and so is one that anybody can slash (R29), one under a newer key is no replacement, and while Bitcoin is
/// suspended nobody knows what is left (R30). By seat.
pub(crate) fn bitcoin_left(state: State<'_>, committee: &Committee) -> Vec<u64> {
    if suspension::is_active(state, ChainKind::Bitcoin) {
        return vec![0; committee.members.len()];
    }
    let mut left: BTreeMap<OperatorId, u64> = BTreeMap::new();
    let takeable = |vault: &&Vault| {
        matches!(vault.status, VaultStatus::Active | VaultStatus::Unbonding(_))
            && !exposure::is_exposed(state, &vault.registration)
    };
    let of_its_seat = |vault: &&Vault| {
        let seat = committee.seat(&vault.registration.operator);
        seat.is_some_and(|(_, member)| vault.registration.providers.contains(&member.eots))
    };
    for vault in state.vaults().filter(takeable).filter(of_its_seat) {
        let sum = left.entry(vault.registration.operator).or_default();
        *sum = sum.saturating_add(of_vault(state, vault));
    }
    let of = |operator| left.get(operator).copied().unwrap_or(0);
    let seats = committee.members.iter();
    seats.map(|member| member.bitcoin.min(of(&member.operator))).collect()
}

/// floor(amount x price / unit) micro-dollars, at most 2^64 - 1. `unit` is at most 1e18.
pub(crate) fn worth(amount: u128, price: MicroUsd, unit: u128) -> u64 {
    let price = u128::from(price.get());
    let whole = (amount / unit).checked_mul(price);
    let part = amount % unit * price / unit; // below 1e18 x 2^64
    let sum = whole.and_then(|whole| whole.checked_add(part));
    sum.and_then(|sum| u64::try_from(sum).ok()).unwrap_or(u64::MAX)
}

/// Satoshis of one bitcoin.
pub(crate) const BITCOIN: u128 = 100_000_000;

/// Powers in the engine from values at risk, (ether, bitcoin) micro-dollars per seat (R23). Bitcoin is cut so that
/// its sum is less than half of ether's, less than a third of the whole; the sum is at most 2^60 with no seat at
/// zero. Every division rounds down; dust is nobody's.
pub(crate) fn engine(values: &[(u64, u64)]) -> Vec<u64> {
    let wide = |(ether, bitcoin): &(u64, u64)| (u128::from(*ether), u128::from(*bitcoin));
    let values: Vec<_> = values.iter().map(wide).collect();
    // Both sums fit into 60 bits after this, so that products fit into 128.
    let shift = excess_bits(sums(&values));
    let values: Vec<_> = values.iter().map(|(e, b)| (e >> shift, b >> shift)).collect();
    let (ether, bitcoin) = sums(&values);
    let limit = ether.saturating_sub(1) / 2;
    let cut = |value: u128| {
        if bitcoin <= limit { value } else { value * limit / bitcoin }
    };
    let powers: Vec<u128> = values.iter().map(|(e, b)| e + cut(*b)).collect();
    normalise(&powers)
}

/// Powers in the engine of a BTC-only network, from micro-dollars of bitcoin at risk per seat (R22): the sum is at most
/// 2^60 with no seat at zero. Division rounds down.
pub(crate) fn engine_of_bitcoin(values: &[u64]) -> Vec<u64> {
    normalise(&values.iter().copied().map(u128::from).collect::<Vec<_>>())
}

fn sums(values: &[(u128, u128)]) -> (u128, u128) {
    values.iter().fold((0, 0), |sums, value| (sums.0 + value.0, sums.1 + value.1))
}

fn excess_bits(sums: (u128, u128)) -> u32 {
    (u128::BITS - sums.0.max(sums.1).leading_zeros()).saturating_sub(60)
}

/// Leaves one unit of room for each seat that rounds to zero, so that the bound holds with them.
fn normalise(powers: &[u128]) -> Vec<u64> {
    let sum: u128 = powers.iter().sum();
    let bound = u128::from(MAX_ENGINE_POWER) - powers.len() as u128;
    let fit = |power: u128| {
        if sum > bound { power * bound / sum } else { power }
    };
    powers.iter().map(|power| u64::try_from(fit(*power)).expect("at most 2^60").max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn r23_bitcoin_weighs_less_than_a_third_and_the_sum_is_bounded(
            values in prop::collection::vec((1_u64.., any::<u64>()), 1..256),
        ) {
            let powers = engine(&values);
            prop_assert!(powers.iter().all(|power| *power > 0));
            let sum: u128 = powers.iter().map(|power| u128::from(*power)).sum();
            prop_assert!(sum <= u128::from(MAX_ENGINE_POWER));
        }

        #[test]
        fn r22_bitcoin_alone_keeps_the_shares_of_its_values(values in prop::collection::vec(0_u64..1 << 56, 1..256)) {
            let powers = engine_of_bitcoin(&values);
            let sum: u128 = powers.iter().copied().map(u128::from).sum();
            prop_assert!(powers.iter().all(|power| *power > 0));
            prop_assert!(sum <= u128::from(MAX_ENGINE_POWER));
            let total: u128 = values.iter().copied().map(u128::from).sum();
            for (value, power) in values.iter().zip(&powers) {
                // No seat weighs more than its share but for the one unit that nobody is without.
                prop_assert!(*power == 1 || u128::from(*power) * total.max(1) <= u128::from(*value) * sum.max(total));
            }
        }

        #[test]
        fn r23_ether_alone_keeps_more_than_two_thirds(
            values in prop::collection::vec((1_000_u64..1 << 50, 0_u64..1 << 50), 1..256),
        ) {
            let sum: u128 = engine(&values).iter().map(|power| u128::from(*power)).sum();
            let ether: u128 = values.iter().map(|value| u128::from(value.0)).sum();
            prop_assert!(ether * 3 > sum * 2);
        }

        #[test]
        fn worth_is_exact_and_rounds_down(amount in 0_u128..1 << 80, price in 0_u64..1 << 40) {
            let unit = u128::from(Wad::ONE.get());
            let exact = amount.checked_mul(u128::from(price)).map(|product| product / unit);
            if let Some(exact) = exact {
                prop_assert_eq!(u128::from(worth(amount, MicroUsd::new(price), unit)), exact.min(u64::MAX.into()));
            }
        }
    }

    #[test]
    fn worth_of_everything_is_the_largest_number() {
        assert_eq!(worth(u128::MAX, MicroUsd::new(u64::MAX), 1), u64::MAX);
    }
}
