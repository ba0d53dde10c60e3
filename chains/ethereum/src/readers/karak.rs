//! Karak: vaults that operators have staked to the network's own service.
//!
//! A vault belongs to one operator and is staked whole, to other services too. Its assets, and whether it is staked, are views at
//! the anchor. One thing no view shows: a pending request to unstake, of which the core keeps a hash only. It is logged, and so is
//! its completion. An operator is known here before he can stake anything, because the adapter lets nobody without keys register,
//! so that no request is missed.
//!
//! What stakers have asked back does not count: it is slashed as long as it is there, and can be gone in the next block.

use crate::bindings::karak::{Core, Vault};
use crate::bindings::karak_adapter::KarakAdapter;
use crate::endpoint::{alloy_address, require_code, state_at, unavailable, view_failed, wrong};
use crate::facts::lied;
use alloy::contract;
use alloy::eips::BlockId;
use alloy::primitives::{self, U256};
use alloy::providers::RootProvider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use alloy::transports::RpcError;
use palisade_types::chain::{ChainError, ChainPoint, Watch};
use palisade_types::genesis::{Genesis, KarakContracts};
use palisade_types::ids::{Address, OperatorId};
use palisade_types::observation::StakeSeen;
use palisade_types::position::{KarakStake, Position, PositionId, StakeSource};
use std::collections::{BTreeMap, BTreeSet};

/// The most vaults an operator can have; an endpoint that says more lies.
const MAX_VAULTS: usize = 32;

/// Which Karak stands on the chain, as far as it matters to who slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The source as audited in July 2024: a request fixes amounts.
    Earmarked,
    /// As the published ABI says it is deployed: a request fixes percentages, of what is there when it is carried out.
    Percentages,
}

/// Looks whether the core is one that our adapter can slash on, and whether the adapter has genesis' numbers; `None` where no
/// stake there counts.
///
/// # Errors
///
/// [`ChainError::WrongChain`] names what is not as genesis has it.
pub(crate) async fn probe(provider: &RootProvider, genesis: &Genesis) -> Result<Option<Generation>, ChainError> {
    let Some(contracts) = genesis.contracts.karak else {
        return Ok(None);
    };
    require_code(provider, &contracts.core, &format!("Karak's Core at {}", contracts.core)).await?;
    require_code(provider, &contracts.adapter, &format!("the Karak adapter at {}", contracts.adapter)).await?;
    check_adapter(provider, genesis, &contracts).await?;
    let core = Core::new(alloy_address(&contracts.core), provider);
    let percentages = core.finalizeSlashing_0(Core::QueuedSlashing::default()).call().await;
    let earmarked = core.finalizeSlashing_1(Core::EarmarkedSlashing::default()).call().await;
    match (refuses(percentages)?, refuses(earmarked)?) {
        (true, false) => Ok(Some(Generation::Percentages)),
        (false, true) => Ok(Some(Generation::Earmarked)),
        (percentages, earmarked) => Err(wrong(
            "a Karak of a generation we know (earmarked amounts or percentages)",
            &format!("one that knows requests of percentages: {percentages}, of amounts: {earmarked}"),
        )),
    }
}

/// Whether a function is there: it refuses a request that nobody made, with a word; one that is not there reverts without.
fn refuses<T>(answer: Result<T, contract::Error>) -> Result<bool, ChainError> {
    match answer {
        Err(contract::Error::TransportError(RpcError::ErrorResp(error))) if error.message.contains("revert") => {
            Ok(error.as_revert_data().is_some_and(|reason| !reason.is_empty()))
        }
        Err(contract::Error::TransportError(error)) => Err(unavailable("asking Karak how it slashes", error)),
        Ok(_) | Err(_) => Err(wrong("a Karak that refuses a request nobody made", "one that does not")),
    }
}

async fn check_adapter(
    provider: &RootProvider,
    genesis: &Genesis,
    contracts: &KarakContracts,
) -> Result<(), ChainError> {
    let adapter = KarakAdapter::new(alloy_address(&contracts.adapter), provider);
    let failed = |error| view_failed("asking the Karak adapter what it was made for", error);
    let core = adapter.core().call().await.map_err(failed)?;
    let veto = adapter.vetoSeconds().call().await.map_err(failed)?;
    let fraction = adapter.equivocationWad().call().await.map_err(failed)?;
    let most = adapter.orderWad().call().await.map_err(failed)?;
    let listed = adapter.vaults().call().await.map_err(failed)?;
    if core != alloy_address(&contracts.core) {
        return Err(wrong(&format!("an adapter to Karak's Core at {}", contracts.core), &format!("one to {core}")));
    }
    if veto != U256::from(contracts.veto_seconds) {
        let expected = format!("a Karak adapter that waits {} seconds", contracts.veto_seconds);
        return Err(wrong(&expected, &format!("one that waits {veto}")));
    }
    if listed != vaults(genesis).collect::<Vec<_>>() {
        return Err(wrong("a Karak adapter of genesis' vaults", "one of others"));
    }
    let part = genesis.parameters.order_part;
    if most != U256::from(part.get()) {
        return Err(wrong(
            &format!("a Karak adapter whose orders take {part} of 1e18"),
            &format!("one that allows {most}"),
        ));
    }
    let karak = genesis.assets.iter().filter(|asset| matches!(asset.source, StakeSource::Karak(_)));
    if let Some(other) = karak.map(|asset| asset.equivocation).find(|wad| fraction != U256::from(wad.get())) {
        return Err(wrong(
            &format!("a Karak adapter that takes {other} of 1e18"),
            &format!("one that takes {fraction}"),
        ));
    }
    Ok(())
}

/// The vaults of genesis, ascending.
pub(crate) fn vaults(genesis: &Genesis) -> impl Iterator<Item = primitives::Address> {
    genesis.assets.iter().filter_map(|asset| match asset.source {
        StakeSource::Karak(vault) => Some(alloy_address(&vault)),
        StakeSource::EigenLayer(_) | StakeSource::Symbiotic(_) => None,
    })
}

/// The logs that say which vault is about to leave its service.
pub(crate) fn updates(contracts: &KarakContracts) -> Filter {
    let events = vec![Core::RequestedStakeUpdate::SIGNATURE_HASH, Core::FinishedStakeUpdate::SIGNATURE_HASH];
    Filter::new().address(alloy_address(&contracts.core)).event_signature(events)
}

/// Karak's views at one anchor.
pub(crate) struct Reader<'a> {
    provider: &'a RootProvider,
    contracts: KarakContracts,
    vaults: Vec<primitives::Address>,
    state: BlockId,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        provider: &'a RootProvider,
        genesis: &Genesis,
        contracts: KarakContracts,
        upto: &ChainPoint,
    ) -> Self {
        Self { provider, contracts, vaults: vaults(genesis).collect(), state: state_at(upto) }
    }

    /// Every position of `operators` that is not as `watch` has it, with what it has. `updates` are the logs of the gap.
    pub(crate) async fn changes(
        &self,
        operators: &BTreeSet<OperatorId>,
        updates: &[Log],
        watch: &Watch,
    ) -> Result<Vec<(Position, StakeSeen)>, ChainError> {
        let leaving = self.leaving(updates)?;
        let assets = self.assets().await?;
        let mut changes = Vec::new();
        for operator in operators {
            let staked = self.staked(operator).await?;
            for (vault, assets) in self.vaults.iter().zip(&assets) {
                let id =
                    PositionId { operator: *operator, source: StakeSource::Karak(Address::new(vault.into_array())) };
                let known = match watch.positions.get(&id) {
                    Some(Position::Karak(known)) => *known,
                    _ => KarakStake::NOTHING,
                };
                let seen = if staked.contains(vault) {
                    let leaving = leaving.get(&(*operator, *vault)).copied().unwrap_or(known.leaving);
                    KarakStake { assets: *assets, leaving, veto_duration: self.contracts.veto_seconds }
                } else {
                    KarakStake::NOTHING
                };
                if seen != known {
                    let position = Position::Karak(seen);
                    changes.push((Position::Karak(known), StakeSeen { id, position }));
                }
            }
        }
        Ok(changes)
    }

    /// When each vault can leave our service by the last that was logged of it; zero when it was taken in or let go since.
    fn leaving(&self, logs: &[Log]) -> Result<BTreeMap<(OperatorId, primitives::Address), u64>, ChainError> {
        let mut leaving = BTreeMap::new();
        for log in logs {
            let does_not_decode = |_| lied("a stake update of Karak's that does not decode");
            let is_request = log.topic0() == Some(&Core::RequestedStakeUpdate::SIGNATURE_HASH);
            let update = if is_request {
                Core::RequestedStakeUpdate::decode_log_data_validate(log.data()).map_err(does_not_decode)?.update
            } else {
                Core::FinishedStakeUpdate::decode_log_data_validate(log.data()).map_err(does_not_decode)?.update
            };
            let request = update.updateRequest;
            if request.dss != alloy_address(&self.contracts.adapter) || (is_request && request.toStake) {
                continue;
            }
            let start = update.startTimestamp.to::<u64>();
            let end = if is_request { start.saturating_add(self.contracts.unstake_seconds) } else { 0 };
            leaving.insert((OperatorId::new(update.operator.into_array()), request.vault), end);
        }
        Ok(leaving)
    }

    async fn staked(&self, operator: &OperatorId) -> Result<Vec<primitives::Address>, ChainError> {
        let core = Core::new(alloy_address(&self.contracts.core), self.provider);
        let operator = alloy_address(&Address::from(*operator));
        let staked = core.fetchVaultsStakedInDSS(operator, alloy_address(&self.contracts.adapter));
        let staked = staked.block(self.state).call().await;
        let staked = staked.map_err(|error| view_failed("reading Karak's staked vaults", error))?;
        if staked.len() > MAX_VAULTS {
            return Err(lied("more staked vaults than Karak allows"));
        }
        Ok(staked)
    }

    /// What counts of each vault of genesis, in their order. One whose views fail, or say what no token can, counts nothing and
    /// stops no other.
    async fn assets(&self) -> Result<Vec<u128>, ChainError> {
        let mut all = Vec::with_capacity(self.vaults.len());
        for vault in &self.vaults {
            all.push(match self.held(*vault).await? {
                Ok(assets) => assets,
                Err(why) => {
                    tracing::warn!(%vault, why, "a vault on Karak counts nothing");
                    0
                }
            });
        }
        Ok(all)
    }

    /// The assets behind shares that nobody has asked back, rounded down. Shares asked back lie with the vault itself.
    async fn held(&self, vault: primitives::Address) -> Result<Result<u128, &'static str>, ChainError> {
        let vault = Vault::new(vault, self.provider);
        let assets = said(vault.totalAssets().block(self.state).call().await)?;
        let shares = said(vault.totalSupply().block(self.state).call().await)?;
        let queued = said(vault.balanceOf(*vault.address()).block(self.state).call().await)?;
        let (Some(assets), Some(shares), Some(queued)) = (assets, shares, queued) else {
            return Ok(Err("its views fail"));
        };
        Ok(counted(assets, shares, queued))
    }
}

/// A view of a vault, which is code that genesis lists and Karak's owner may change; `None` when it fails.
fn said(answer: Result<U256, contract::Error>) -> Result<Option<U256>, ChainError> {
    match answer {
        Ok(amount) => Ok(Some(amount)),
        Err(contract::Error::TransportError(RpcError::ErrorResp(error))) if error.message.contains("revert") => {
            Ok(None)
        }
        Err(contract::Error::TransportError(error)) => Err(unavailable("reading a vault on Karak", error)),
        Err(_) => Ok(None),
    }
}

/// floor(assets x (shares - queued) / shares).
fn counted(assets: U256, shares: U256, queued: U256) -> Result<u128, &'static str> {
    if shares.is_zero() {
        return Ok(0); // assets without an owner are nobody's stake
    }
    let free = shares.checked_sub(queued).ok_or("more shares are asked back than there are")?;
    let counted = assets.checked_mul(free).ok_or("it says more than a token can hold")? / shares;
    u128::try_from(counted).map_err(|_| "it says more than a token can hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r04_what_stakers_asked_back_does_not_count() {
        let of =
            |assets: u64, shares: u64, queued: u64| counted(U256::from(assets), U256::from(shares), U256::from(queued));
        assert_eq!(of(1_000, 1_000, 0), Ok(1_000));
        assert_eq!(of(1_000, 1_000, 400), Ok(600));
        assert_eq!(of(750, 1_000, 1), Ok(749)); // a quarter was slashed; down
        assert_eq!(of(1_000, 1_000, 1_000), Ok(0));
        assert_eq!(of(5, 0, 0), Ok(0));
        assert!(of(1_000, 1_000, 1_001).is_err());
        assert!(counted(U256::MAX, U256::from(2), U256::ZERO).is_err());
        assert!(counted(U256::from(1) << 128, U256::from(1), U256::ZERO).is_err());
    }
}
