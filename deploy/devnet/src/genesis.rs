//! The devnet's genesis: the constants, and what is only known on the day.

use crate::constants::*;
use crate::contracts::PredictedAddresses;
use crate::eigenlayer::EigenLayer;
use crate::symbiotic::Vaults;
use bitcoin::hashes::Hash as _;
use palisade_types::chain::ChainPoint;
use palisade_types::genesis::{Asset, Caps, Contracts, Genesis, Parameters, Seat, SymbioticContracts, VaultTerms};
use palisade_types::position::StakeSource;
use palisade_types::price::Price;
use palisade_types::{Address, BasisPoints, Hash, List, Malformed, MicroUsd, OperatorId, Sats, SchnorrKey, Wad};

/// What is only known on the day.
#[derive(Clone, Debug)]
pub struct Day {
    /// Makes this network differ from yesterday's (R17).
    pub random: Hash,
    /// A final Ethereum block before every registration.
    pub ethereum_start: ChainPoint,
    /// A final Bitcoin block before every vault.
    pub bitcoin_start: ChainPoint,
    /// Where our contracts will stand.
    pub contracts: PredictedAddresses,
    /// Where EigenLayer's core stands.
    pub core: EigenLayer,
    /// Where Symbiotic's stands, with vaults; `None` where nothing is staked there.
    pub symbiotic: Option<Vaults>,
    /// The covenant's keys and whose they are, in any order.
    pub covenant: Vec<(SchnorrKey, OperatorId)>,
    /// The founders, in any order.
    pub seats: Vec<Seat>,
    /// Whether bitcoin is to stand alone behind the network (R22).
    pub bitcoin_only: bool,
}

/// Makes the genesis of a devnet.
///
/// # Errors
///
/// There are more seats or covenant members than a genesis holds.
pub fn genesis(day: Day) -> Result<Genesis, Malformed> {
    let Day { contracts, core, mut covenant, mut seats, .. } = day;
    covenant.sort_unstable();
    seats.sort_unstable_by_key(|seat| seat.operator);
    Ok(Genesis {
        random: day.random,
        evm_chain_id: EVM_CHAIN_ID,
        bitcoin_genesis: regtest(),
        ethereum_start: day.ethereum_start,
        bitcoin_start: day.bitcoin_start,
        contracts: Contracts {
            palisade: address(contracts.palisade),
            eigenlayer_adapter: address(contracts.eigenlayer_adapter),
            committee: address(contracts.committee),
            allocation_manager: address(core.allocation_manager),
            delegation_manager: address(core.delegation_manager),
            orders: address(contracts.orders),
            symbiotic: day.symbiotic.as_ref().map(|vaults| SymbioticContracts {
                adapter: address(vaults.adapter),
                vault_factory: address(vaults.core.vault_factory),
                middleware_service: address(vaults.core.middleware_service),
            }),
            karak: None,
        },
        assets: if day.bitcoin_only { List::new() } else { assets(&core, day.symbiotic.as_ref()).try_into()? },
        vaults: vec![vault_terms(covenant)?].try_into()?,
        parameters: if day.bitcoin_only { parameters_of_bitcoin() } else { parameters() },
        seats: seats.try_into()?,
        continues: None,
    })
}

/// The kinds of ETH-side stake, ascending: one token, on EigenLayer and in the vaults on Symbiotic.
fn assets(core: &EigenLayer, symbiotic: Option<&Vaults>) -> Vec<Asset> {
    let vault = |vault| Asset {
        source: StakeSource::Symbiotic(address(vault)),
        price: Price::Fixed(MicroUsd::new(TOKEN_PRICE_MICRO_USD)),
        cap: Caps::ANY,
        equivocation: Wad::ONE,
    };
    let vaults = symbiotic.into_iter().flat_map(Vaults::all).map(vault);
    std::iter::once(token(core)).chain(vaults).collect()
}

fn token(core: &EigenLayer) -> Asset {
    Asset {
        source: StakeSource::EigenLayer(address(core.strategy)),
        price: Price::Fixed(MicroUsd::new(TOKEN_PRICE_MICRO_USD)),
        cap: Caps::ANY,
        equivocation: Wad::new(EQUIVOCATION_WAD),
    }
}

/// The terms of the devnet's vaults, with the covenant ascending.
fn vault_terms(covenant: Vec<(SchnorrKey, OperatorId)>) -> Result<VaultTerms, Malformed> {
    let (covenant, members): (Vec<_>, Vec<_>) = covenant.into_iter().unzip();
    Ok(VaultTerms {
        activation: 0,
        covenant: covenant.try_into()?,
        members: members.try_into()?,
        devnet: true,
        quorum: COVENANT_QUORUM,
        min_staking_time: MIN_STAKING_BLOCKS,
        max_staking_time: MAX_STAKING_BLOCKS,
        unbonding_time: UNBONDING_BLOCKS,
        unbonding_fee: Sats::new(UNBONDING_FEE_SATS),
        slash_rate: BasisPoints::new(VAULT_SLASH_BASIS_POINTS).expect("the constant is less than the whole"),
        slash_script: VAULT_SLASH_SCRIPT.to_vec().try_into()?,
        min_slash_fee: Sats::new(MIN_SLASH_FEE_SATS),
        min_stake: Sats::new(MIN_VAULT_SATS),
    })
}

/// The devnet's numbers as genesis holds them.
#[must_use]
pub fn parameters() -> Parameters {
    Parameters {
        epoch_heights: EPOCH_HEIGHTS,
        epoch_ethereum_blocks: EPOCH_ETHEREUM_BLOCKS,
        epoch_bitcoin_blocks: EPOCH_BITCOIN_BLOCKS,
        max_age_blocks: MAX_AGE_BLOCKS,
        trust_blocks: TRUST_BLOCKS,
        execution_blocks: EXECUTION_BLOCKS,
        observation_lag_blocks: OBSERVATION_LAG_BLOCKS,
        bitcoin_depth: BITCOIN_DEPTH,
        deallocation_delay: u64::from(DEALLOCATION_DELAY_BLOCKS),
        checkpoint_interval: CHECKPOINT_INTERVAL,
        attest_lag_blocks: ATTEST_LAG_BLOCKS,
        min_total: MicroUsd::new(MIN_TOTAL_MICRO_USD),
        min_bond: MicroUsd::new(MIN_BOND_MICRO_USD),
        bitcoin_price: MicroUsd::new(BITCOIN_PRICE_MICRO_USD),
        order_part: Wad::new(ORDER_WAD),
        order_delay_blocks: ORDER_DELAY_BLOCKS,
        window_seconds: WINDOW_SECONDS,
        caps: Caps::NONE,
        duty_slots: DUTY_SLOTS,
    }
}

/// The same where bitcoin stands alone: vaults weigh less than the founders' stake on Ethereum.
#[must_use]
pub fn parameters_of_bitcoin() -> Parameters {
    Parameters { min_total: MicroUsd::new(MIN_TOTAL_BITCOIN_MICRO_USD), ..parameters() }
}

/// Regtest's own genesis block, internal byte order.
fn regtest() -> Hash {
    let block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    Hash::new(block.block_hash().to_byte_array())
}

fn address(address: alloy::primitives::Address) -> Address {
    Address::new(address.into_array())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbiotic::Symbiotic;
    use palisade_types::Ed25519Key;

    fn sample(bitcoin_only: bool) -> Genesis {
        let number = |number: u8| alloy::primitives::Address::repeat_byte(number);
        let point = |number| ChainPoint { number, hash: Hash::ZERO, log: u32::MAX, time: 0 };
        let seat = |number: u8| Seat {
            operator: OperatorId::new([number; 20]),
            ed25519: Ed25519Key::new([number; 32]),
            peer: vec![number].try_into().unwrap(),
        };
        let day = Day {
            random: Hash::ZERO,
            ethereum_start: point(130),
            bitcoin_start: point(117),
            contracts: PredictedAddresses {
                palisade: number(1),
                eigenlayer_adapter: number(2),
                committee: number(3),
                bitcoin_vaults: number(6),
                orders: number(12),
            },
            core: EigenLayer {
                allocation_manager: number(4),
                delegation_manager: number(5),
                strategy_manager: number(6),
                eigen_pod_manager: number(7),
                permission_controller: number(8),
                strategy_factory: number(9),
                token: number(10),
                strategy: number(11),
            },
            symbiotic: (!bitcoin_only).then(|| Vaults {
                core: Symbiotic {
                    vault_factory: number(12),
                    network_registry: number(13),
                    operator_registry: number(14),
                    middleware_service: number(15),
                    vault_opt_in: number(16),
                    network_opt_in: number(17),
                    configurator: number(18),
                    token: number(10),
                },
                adapter: number(19),
                instant: number(21),
                veto: number(20),
            }),
            covenant: [3, 1, 2].map(|one| (SchnorrKey::new([one; 32]), OperatorId::new([9 - one; 20]))).to_vec(),
            seats: vec![seat(3), seat(1), seat(4), seat(2)],
            bitcoin_only,
        };
        genesis(day).unwrap()
    }

    #[test]
    fn r04_the_devnets_numbers_keep_every_window_inside_its_delay() {
        sample(false).check().unwrap();
        sample(true).check().unwrap();
        assert_eq!(parameters().ethereum_window(), 100);
        assert_eq!(parameters().bitcoin_window(), 96);
        // A capture counts until the next one is a quarter of an epoch later, with a minute to spare.
        let counted = SYMBIOTIC_EPOCH_SECONDS * 3 / 4 - SYMBIOTIC_VETO_SECONDS - 60;
        assert!(WINDOW_SECONDS <= counted, "{WINDOW_SECONDS} of {counted} seconds");
    }

    #[test]
    fn r06_one_operators_stake_alone_is_no_epoch_with_weight_and_two_are() {
        let tokens = u128::from(STAKE_TOKENS) * u128::from(TOKEN_PRICE_MICRO_USD);
        let at_risk = tokens * u128::from(EQUIVOCATION_WAD) / 1_000_000_000_000_000_000;
        assert!(at_risk >= u128::from(MIN_BOND_MICRO_USD));
        assert!(at_risk < u128::from(MIN_TOTAL_MICRO_USD) && 2 * at_risk >= u128::from(MIN_TOTAL_MICRO_USD));
        let vault = u128::from(VAULT_SATS) * u128::from(VAULT_SLASH_BASIS_POINTS) / 10_000;
        let vault = vault * u128::from(BITCOIN_PRICE_MICRO_USD) / 100_000_000;
        assert!(vault >= u128::from(MIN_BOND_MICRO_USD), "R22: a vault alone is a bond");
        let least = u128::from(MIN_TOTAL_BITCOIN_MICRO_USD);
        assert!(vault < least && 2 * vault >= least, "and two are weight enough");
        assert!(vault * 2 < at_risk, "R23: bitcoin stays below a third of the power");
    }

    #[test]
    fn r28_every_rung_pays_at_least_the_least_fee() {
        assert!(VAULT_SLASH_FEES.iter().all(|fee| *fee >= MIN_SLASH_FEE_SATS));
        assert!((MIN_STAKING_BLOCKS..=MAX_STAKING_BLOCKS).contains(&STAKING_BLOCKS));
    }
}
