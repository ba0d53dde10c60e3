//! Where what EigenLayer's slashes took lies now: a slash takes shares from stakers at once, and they are burnt only when
//! somebody clears them, from core 1.13 on not before the slash's resolution block.

use crate::bindings::eigenlayer::{AllocationManager, DelegationManager, StrategyManager};
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, state_at, view_failed};
use crate::facts::{lied, shares};
use crate::readers::eigenlayer::{Generation, own_set};
use alloy::primitives::U256;
use palisade_types::chain::{ChainError, ChainPoint};
use palisade_types::ids::Address;

/// How many of the newest slashes are looked at.
const MAX_SLASHES: u64 = 32;

/// How far what a slash took has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearing {
    /// It lies in its strategies until this Ethereum block has passed, and is not burnt.
    Waits {
        /// The slash's resolution block.
        until: u64,
    },
    /// Anybody may clear it; it is not burnt before.
    Open,
    /// It was cleared, or nothing was taken.
    Cleared,
}

/// What one slash of the network's own operator set took and nobody cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlashedFunds {
    /// EigenLayer's number of the slash, from 1.
    pub slash: u64,
    /// Who will get it: EigenLayer's burn address for a set that redistributes nothing.
    pub recipient: Address,
    /// Strategies and shares.
    pub held: Vec<(Address, u128)>,
    /// How far it has come.
    pub clearing: Clearing,
}

impl Ethereum {
    /// What the newest slashes of the network's own operator set took and where it is, newest first, as of the newest final
    /// block. None before core 1.5, which numbers no slashes.
    ///
    /// # Errors
    ///
    /// As [`palisade_types::chain::Chain::tip`].
    pub async fn slashed_funds(&self) -> Result<Vec<SlashedFunds>, ChainError> {
        let at = palisade_types::chain::Chain::tip(self).await?;
        self.agreed(async |endpoint: Endpoint| read(&endpoint, &at).await).await
    }
}

async fn read(endpoint: &Endpoint, at: &ChainPoint) -> Result<Vec<SlashedFunds>, ChainError> {
    let generation = match endpoint.check().await? {
        None | Some(Generation::From1_3) => return Ok(Vec::new()),
        Some(generation) => generation,
    };
    let (provider, contracts, state) = (endpoint.provider().await?, &endpoint.genesis().contracts, state_at(at));
    let set = own_set(contracts);
    let manager = AllocationManager::new(alloy_address(&contracts.allocation_manager), provider);
    let failed = |error| view_failed("reading what EigenLayer's slashes took", error);
    let count = manager.getSlashCount(set.clone()).block(state).call().await.map_err(failed)?;
    let count = u64::try_from(count).map_err(|_| lied("more slashes than there can be"))?;
    let recipient = manager.getRedistributionRecipient(set.clone()).block(state).call().await.map_err(failed)?;
    let delegations = DelegationManager::new(alloy_address(&contracts.delegation_manager), provider);
    let funds = delegations.strategyManager().block(state).call().await.map_err(failed)?;
    let funds = StrategyManager::new(funds, provider);
    let mut slashes = Vec::new();
    for slash in (1..=count).rev().take(usize::try_from(MAX_SLASHES).unwrap_or(usize::MAX)) {
        let held = funds.getBurnOrRedistributableShares(set.clone(), U256::from(slash));
        let held = held.block(state).call().await.map_err(failed)?;
        if held.strategies.len() != held.shares.len() {
            return Err(lied("strategies without their shares"));
        }
        let resolution = if generation >= Generation::From1_13 {
            let resolution = funds.getSlashResolutionBlock(set.clone(), U256::from(slash));
            u64::from(resolution.block(state).call().await.map_err(failed)?)
        } else {
            0
        };
        let held = held.strategies.iter().zip(held.shares).filter(|(_, shares)| !shares.is_zero());
        let held = held.map(|(strategy, amount)| Ok((Address::new(strategy.into_array()), shares(amount)?)));
        let held = held.collect::<Result<Vec<_>, ChainError>>()?;
        let clearing = match resolution {
            _ if held.is_empty() => Clearing::Cleared,
            until if at.number <= until => Clearing::Waits { until },
            _ => Clearing::Open,
        };
        slashes.push(SlashedFunds { slash, recipient: Address::new(recipient.into_array()), held, clearing });
    }
    Ok(slashes)
}
