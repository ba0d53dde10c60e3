//! EigenLayer: shares delegated to an operator, and what of them the network's own operator set may take.
//!
//! Positions are written down from views at the anchor and never from events: an `AllocationUpdated` states the future
//! magnitude, a completed deallocation logs nothing of it, and a slash logs twice. One thing no core has a view for:
//! until which block a former member can still be slashed. It is the block of his removal plus the deallocation delay,
//! and the removal is logged.
//!
//! All selectors used here are the same in cores 1.3 to 1.13. Generations differ in who may slash and in what becomes of what
//! was taken, which is probed: never told by a version's name.

use crate::bindings::eigenlayer::AllocationManager::{
    self, AllocationManagerInstance, OperatorRemovedFromOperatorSet as Removed,
};
use crate::bindings::eigenlayer::DelegationManager::{self, OperatorSharesDecreased as Decreased};
use crate::bindings::eigenlayer::{OperatorSet, StrategyManager};
use crate::endpoint::{alloy_address, require_code, state_at, unavailable, view_failed, wrong};
use crate::facts::{Place, lied, shares};
use alloy::contract;
use alloy::eips::BlockId;
use alloy::primitives::{self, U256};
use alloy::providers::RootProvider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use alloy::transports::RpcError;
use futures::{StreamExt, TryStreamExt};
use palisade_types::chain::{ChainError, ChainPoint, Watch};
use palisade_types::genesis::{Contracts, Genesis};
use palisade_types::ids::{Address, OperatorId};
use palisade_types::observation::StakeSeen;
use palisade_types::position::{Magnitudes, Position, PositionId, StakeSource};
use std::collections::{BTreeMap, BTreeSet};

/// The operator set of the network itself.
const OPERATOR_SET: u32 = 0;
/// Operators per view call: with this many an answer stays far below every endpoint's bound.
pub(crate) const BATCH: usize = 100;
/// Views of single positions that are on their way at one time.
const AT_ONCE: usize = 8;

/// Which EigenLayer stands on the chain, as far as it matters to a slasher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Cores 1.3 and 1.4: the service itself may slash, and what it takes is burnt.
    From1_3,
    /// Cores 1.5 to 1.8: slashes have numbers, and an operator set may name who gets what they take.
    From1_5,
    /// Cores 1.9 to 1.12: the operator set names its slasher, and it is our adapter.
    From1_9,
    /// Core 1.13 and later: what a slash took waits for the slash's resolution block.
    From1_13,
}

impl Generation {
    /// By the views that each of them brought; none that we know lacks an older one's.
    const fn of(redistributes: bool, names_slasher: bool, resolves: bool) -> Option<Self> {
        match (redistributes, names_slasher, resolves) {
            (false, false, false) => Some(Self::From1_3),
            (true, false, false) => Some(Self::From1_5),
            (true, true, false) => Some(Self::From1_9),
            (true, true, true) => Some(Self::From1_13),
            _ => None,
        }
    }
}

/// Looks which generation is deployed.
///
/// # Errors
///
/// [`ChainError::WrongChain`] when there is no EigenLayer that can be slashed by our adapter with genesis' delays.
pub(crate) async fn probe(provider: &RootProvider, genesis: &Genesis) -> Result<Generation, ChainError> {
    let contracts = &genesis.contracts;
    let manager = &contracts.allocation_manager;
    require_code(provider, manager, &format!("EigenLayer's AllocationManager at {manager}")).await?;
    let delegation = &contracts.delegation_manager;
    require_code(provider, delegation, &format!("EigenLayer's DelegationManager at {delegation}")).await?;
    let adapter = &contracts.eigenlayer_adapter;
    require_code(provider, adapter, &format!("the EigenLayer adapter at {adapter}")).await?;

    let manager = AllocationManager::new(alloy_address(manager), provider);
    let delay = manager.DEALLOCATION_DELAY().call().await;
    let delay = delay.map_err(|error| view_failed("asking EigenLayer for its deallocation delay", error))?;
    if u64::from(delay) != genesis.parameters.deallocation_delay {
        return Err(wrong(
            &format!("a deallocation delay of {} blocks (R4)", genesis.parameters.deallocation_delay),
            &format!("one of {delay}"),
        ));
    }
    let set = own_set(contracts);
    let redistributes = manager.isRedistributingOperatorSet(set.clone()).call().await;
    let redistributes = known("isRedistributingOperatorSet", redistributes)?;
    let slasher = known("getSlasher", manager.getSlasher(set.clone()).call().await)?;
    let funds = DelegationManager::new(alloy_address(delegation), provider).strategyManager().call().await;
    let funds = known("strategyManager", funds)?.ok_or_else(|| wrong(KNOWN, "one without a strategyManager"))?;
    let resolution = StrategyManager::new(funds, provider).getSlashResolutionBlock(set, U256::from(1)).call().await;
    let resolution = known("getSlashResolutionBlock", resolution)?;
    let generation = Generation::of(redistributes.is_some(), slasher.is_some(), resolution.is_some());
    let generation = generation.ok_or_else(|| {
        let has = [
            ("isRedistributingOperatorSet", redistributes.is_some()),
            ("getSlasher", slasher.is_some()),
            ("getSlashResolutionBlock", resolution.is_some()),
        ];
        let has: Vec<_> = has.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
        wrong(KNOWN, &format!("one that has, of what tells them apart, {}", has.join(" and ")))
    })?;
    if let Some(found) = slasher.filter(|slasher| *slasher != alloy_address(adapter)) {
        return Err(wrong("our adapter as slasher of its operator set", &format!("slasher {found}")));
    }
    if redistributes == Some(true) {
        return Err(wrong("an operator set whose slashes nobody gains from (R8)", "one that redistributes"));
    }
    Ok(generation)
}

const KNOWN: &str = "an EigenLayer of a generation we know (1.3 to 1.13)";

/// A view's answer; `None` when the contract has no such function, which reverts without a word.
fn known<T>(view: &str, answer: Result<T, contract::Error>) -> Result<Option<T>, ChainError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(contract::Error::TransportError(RpcError::ErrorResp(error))) if error.message.contains("revert") => {
            match error.as_revert_data() {
                Some(reason) if !reason.is_empty() => {
                    Err(wrong(KNOWN, &format!("one whose {view} reverts with {reason}")))
                }
                _ => Ok(None),
            }
        }
        Err(contract::Error::TransportError(error)) => {
            Err(unavailable(&format!("asking EigenLayer for {view}"), error))
        }
        Err(error) => Err(wrong(KNOWN, &format!("one whose {view} does not read: {error}"))),
    }
}

/// The strategies of genesis, ascending.
pub(crate) fn strategies(genesis: &Genesis) -> impl Iterator<Item = primitives::Address> {
    genesis.assets.iter().filter_map(|asset| match asset.source {
        StakeSource::EigenLayer(strategy) => Some(alloy_address(&strategy)),
        StakeSource::Symbiotic(_) | StakeSource::Karak(_) => None,
    })
}

/// The logs that say who left an operator set.
pub(crate) fn removals(contracts: &Contracts) -> Filter {
    Filter::new().address(alloy_address(&contracts.allocation_manager)).event_signature(vec![Removed::SIGNATURE_HASH])
}

/// The logs that say whose withdrawal queue may have grown: what is queued leaves the operator's shares.
pub(crate) fn decreases(contracts: &Contracts) -> Filter {
    Filter::new().address(alloy_address(&contracts.delegation_manager)).event_signature(vec![Decreased::SIGNATURE_HASH])
}

/// EigenLayer's views at one anchor.
pub(crate) struct Reader<'a> {
    genesis: &'a Genesis,
    allocations: AllocationManagerInstance<&'a RootProvider>,
    delegations: DelegationManager::DelegationManagerInstance<&'a RootProvider>,
    strategies: Vec<primitives::Address>,
    state: BlockId,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(provider: &'a RootProvider, genesis: &'a Genesis, upto: &ChainPoint) -> Self {
        let contracts = &genesis.contracts;
        Self {
            genesis,
            allocations: AllocationManager::new(alloy_address(&contracts.allocation_manager), provider),
            delegations: DelegationManager::new(alloy_address(&contracts.delegation_manager), provider),
            strategies: strategies(genesis).collect(),
            state: state_at(upto),
        }
    }

    /// Every position of `operators` that is not as `watch` has it, with what it has. `removals` and `decreases` are the logs of the
    /// gap.
    pub(crate) async fn changes(
        &self,
        operators: &BTreeSet<OperatorId>,
        removals: &[Log],
        decreases: &[Log],
        watch: &Watch,
    ) -> Result<Vec<(Position, StakeSeen)>, ChainError> {
        let removed = self.removed(&own_set(&self.genesis.contracts), removals)?;
        let queueing = queueing(decreases)?;
        let members = self.members().await?;
        let all: Vec<OperatorId> = operators.iter().copied().collect();
        let mut changes = Vec::new();
        for batch in all.chunks(BATCH) {
            let own = own_set(&self.genesis.contracts);
            let stakes = self.stakes(&own, &self.strategies, batch).await?;
            let named = |(operator, strategy, seen): (OperatorId, primitives::Address, Magnitudes)| {
                let source = StakeSource::EigenLayer(Address::new(strategy.into_array()));
                (PositionId { operator, source }, seen)
            };
            let stakes: Vec<_> = stakes.into_iter().map(named).collect();
            let known = |id: &PositionId| match watch.positions.get(id) {
                Some(Position::EigenLayer(known)) => Some(*known),
                _ => None,
            };
            // One view a position: only where a queue is known, may have grown, or was never looked at.
            let may_wait = |(id, seen): &&(PositionId, Magnitudes)| {
                let is_new = || seen.shares > 0 || !watch.operators.contains_key(&id.operator);
                queueing.contains(id) || known(id).map_or_else(is_new, |known| known.queued > 0)
            };
            let asked: Vec<PositionId> = stakes.iter().filter(may_wait).map(|(id, _)| *id).collect();
            let queues = self.queues(asked).await?;
            for (id, seen) in stakes {
                let known = known(&id).unwrap_or(Magnitudes::NOTHING);
                let queued = queues.get(&id).copied().unwrap_or(0);
                let member = members.contains(&id.operator);
                let left = removed.get(&id.operator).copied();
                let slashable_until = self.slashable_until(member, left, &known);
                let position = Magnitudes { queued, member, slashable_until, ..seen };
                if position != known {
                    let position = Position::EigenLayer(position);
                    changes.push((Position::EigenLayer(known), StakeSeen { id, position }));
                }
            }
        }
        Ok(changes)
    }

    /// The last block in which a former member can be slashed. Zero for a member, for whom it means nothing, and for
    /// one whose removal we did not see happen: then nothing of his is counted.
    pub(crate) fn slashable_until(&self, member: bool, left: Option<u64>, known: &Magnitudes) -> u64 {
        match left {
            _ if member => 0,
            Some(block) => block.saturating_add(self.genesis.parameters.deallocation_delay),
            None if known.member => 0,
            None => known.slashable_until,
        }
    }

    /// The block of each operator's last removal from a set.
    pub(crate) fn removed(&self, set: &OperatorSet, logs: &[Log]) -> Result<BTreeMap<OperatorId, u64>, ChainError> {
        let mut removed = BTreeMap::new();
        for log in logs {
            let event =
                Removed::decode_log_data_validate(log.data()).map_err(|_| lied("a removal that does not decode"))?;
            if event.operatorSet == *set {
                removed.insert(operator_of(event.operator), Place::of(log)?.block);
            }
        }
        Ok(removed)
    }

    async fn members(&self) -> Result<BTreeSet<OperatorId>, ChainError> {
        let members = self.allocations.getMembers(own_set(&self.genesis.contracts));
        let members = members.block(self.state).call().await;
        let members = members.map_err(|error| view_failed("reading EigenLayer's members", error))?;
        Ok(members.into_iter().map(operator_of).collect())
    }

    /// What of each position's withdrawal queue a slash still takes. It shrinks without a log, as delays pass.
    async fn queues(&self, asked: Vec<PositionId>) -> Result<BTreeMap<PositionId, u128>, ChainError> {
        let look = async |id: PositionId| {
            let (operator, strategy) = (alloy_address(&Address::from(id.operator)), alloy_address(id.source.asset()));
            let queued = self.delegations.getSlashableSharesInQueue(operator, strategy);
            let queued = queued.block(self.state).call().await;
            let queued = queued.map_err(|error| view_failed("reading EigenLayer's withdrawal queue", error))?;
            Ok::<_, ChainError>((id, shares(queued)?))
        };
        futures::stream::iter(asked.into_iter().map(look)).buffered(AT_ONCE).try_collect().await
    }

    /// Whether an operator is a member of a set.
    pub(crate) async fn is_member(&self, set: &OperatorSet, operator: &OperatorId) -> Result<bool, ChainError> {
        let account = alloy_address(&Address::from(*operator));
        let member = self.allocations.isMemberOfOperatorSet(account, set.clone()).block(self.state).call().await;
        member.map_err(|error| view_failed("asking EigenLayer for a member", error))
    }

    /// What some operators have of some strategies in a set, but for their membership.
    pub(crate) async fn stakes(
        &self,
        set: &OperatorSet,
        strategies: &[primitives::Address],
        operators: &[OperatorId],
    ) -> Result<Vec<(OperatorId, primitives::Address, Magnitudes)>, ChainError> {
        let accounts: Vec<_> = operators.iter().map(|id| alloy_address(&Address::from(*id))).collect();
        let delegated = self.delegations.getOperatorsShares(accounts.clone(), strategies.to_vec());
        let delegated = delegated.block(self.state).call().await;
        let delegated = delegated.map_err(|error| view_failed("reading EigenLayer's shares", error))?;
        expect(delegated.len(), operators.len())?;
        let mut positions = Vec::new();
        for (column, strategy) in strategies.iter().enumerate() {
            let maxima = self.allocations.getMaxMagnitudes(accounts.clone(), *strategy);
            let maxima = maxima.block(self.state).call().await;
            let maxima = maxima.map_err(|error| view_failed("reading EigenLayer's max magnitudes", error))?;
            let allocations = self.allocations.getAllocations(accounts.clone(), set.clone(), *strategy);
            let allocations = allocations.block(self.state).call().await;
            let allocations = allocations.map_err(|error| view_failed("reading EigenLayer's allocations", error))?;
            expect(maxima.len(), operators.len())?;
            expect(allocations.len(), operators.len())?;
            for (row, operator) in operators.iter().enumerate() {
                expect(delegated[row].len(), strategies.len())?;
                let allocation = &allocations[row];
                let pending = allocation.pendingDiff;
                let position = Magnitudes {
                    shares: shares(delegated[row][column])?,
                    max_magnitude: maxima[row],
                    magnitude: allocation.currentMagnitude,
                    pending,
                    // Without a pending change the block says nothing.
                    effect_block: if pending == 0 { 0 } else { u64::from(allocation.effectBlock) },
                    ..Magnitudes::NOTHING
                };
                positions.push((*operator, *strategy, position));
            }
        }
        Ok(positions)
    }
}

/// The positions from which shares went in the gap.
fn queueing(logs: &[Log]) -> Result<BTreeSet<PositionId>, ChainError> {
    let position = |log: &Log| {
        let event =
            Decreased::decode_log_data_validate(log.data()).map_err(|_| lied("a decrease that does not decode"))?;
        let source = StakeSource::EigenLayer(Address::new(event.strategy.into_array()));
        Ok(PositionId { operator: operator_of(event.operator), source })
    };
    logs.iter().map(position).collect()
}

fn expect(found: usize, expected: usize) -> Result<(), ChainError> {
    if found == expected {
        Ok(())
    } else {
        Err(ChainError::Lied(format!("a view with {found} answers to {expected} questions")))
    }
}

pub(crate) fn own_set(contracts: &Contracts) -> OperatorSet {
    OperatorSet { avs: alloy_address(&contracts.eigenlayer_adapter), id: OPERATOR_SET }
}

fn operator_of(account: primitives::Address) -> OperatorId {
    OperatorId::new(account.into_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_told_apart_by_what_each_brought() {
        let known = [
            ((false, false, false), Some(Generation::From1_3)),
            ((true, false, false), Some(Generation::From1_5)),
            ((true, true, false), Some(Generation::From1_9)),
            ((true, true, true), Some(Generation::From1_13)),
            ((false, true, false), None),
            ((false, false, true), None),
            ((true, false, true), None),
            ((false, true, true), None),
        ];
        for ((redistributes, names_slasher, resolves), expected) in known {
            assert_eq!(Generation::of(redistributes, names_slasher, resolves), expected);
        }
    }
}
