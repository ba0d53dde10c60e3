//! Services' own operator sets: whose protocol each is, and what operators allocate to those on EigenLayer.
//!
//! Anybody can register any contract as his operator set, so none is asked anything: whoever wrote it could have it answer by what differs
//! between endpoints and no block fixes, as the base fee of a call, and no two followers would ever agree. The core that genesis names is
//! asked instead, whether it has a set of that contract's, and of which strategies. What operators allocate to it is read from that core, in
//! those strategies and in those that the ledger has rows of. A set of another protocol, and so every one behind a veto, is named and not read.

use super::eigenlayer::{BATCH, Reader};
use crate::bindings::eigenlayer::AllocationManager::{self, AllocationManagerInstance};
use crate::bindings::eigenlayer::OperatorSet;
use crate::endpoint::{alloy_address, state_at, view_failed};
use crate::views;
use alloy::contract;
use alloy::primitives;
use alloy::providers::RootProvider;
use alloy::rpc::types::Log;
use alloy::transports::RpcError;
use palisade_types::chain::{ChainError, ChainPoint, Watch};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{Address, OperatorId};
use palisade_types::observation::{Fact, ServiceStakeSeen, SetProtocolSeen};
use palisade_types::position::Magnitudes;
use palisade_types::service::{ServiceStakeId, SetProtocol};
use std::collections::BTreeSet;

type Core<'a> = AllocationManagerInstance<&'a RootProvider>;

/// The operator set of an adapter.
const OPERATOR_SET: u32 = 0;
/// The most strategies of a set that are read; an adapter of ours has no more.
const MAX_STRATEGIES: usize = 16;
/// What a view of a set may cost, whose length its service decides: more than those of our adapters' sets do, less than an endpoint minds.
/// What a call costs is the same everywhere.
const VIEW_GAS: u64 = 1_000_000;

/// What of services' sets is not as `watch` has it: first protocols, then stakes. `removals` are the core's logs of the gap.
pub(crate) async fn changes(
    provider: &RootProvider,
    genesis: &Genesis,
    upto: &ChainPoint,
    operators: &BTreeSet<OperatorId>,
    removals: &[Log],
    watch: &Watch,
) -> Result<Vec<Fact>, ChainError> {
    let (mut protocols, mut stakes) = (Vec::new(), Vec::new());
    for (adapter, protocol) in &watch.service_sets {
        match protocol {
            None => {
                let protocol = protocol_of(&core(provider, genesis), upto, adapter).await?;
                protocols.push(Fact::ServiceProtocol(SetProtocolSeen { adapter: *adapter, protocol }));
            }
            Some(SetProtocol::EigenLayer) => {
                let reader = Reader::new(provider, genesis, upto);
                let strategies = strategies(&core(provider, genesis), upto, adapter, watch).await?;
                stakes.extend(stakes_in(&reader, adapter, &strategies, operators, removals, watch).await?);
            }
            Some(SetProtocol::Other | SetProtocol::Beyond) => {}
        }
    }
    stakes.sort_by_key(|seen| seen.id);
    Ok(protocols.into_iter().chain(stakes.into_iter().map(Fact::ServiceStake)).collect())
}

fn core<'a>(provider: &'a RootProvider, genesis: &Genesis) -> Core<'a> {
    AllocationManager::new(alloy_address(&genesis.contracts.allocation_manager), provider)
}

fn set_of(adapter: &Address) -> OperatorSet {
    OperatorSet { avs: alloy_address(adapter), id: OPERATOR_SET }
}

/// Whether the core has a set of the adapter's. One of ours makes its own when it is deployed, before it can be registered.
async fn protocol_of(core: &Core<'_>, upto: &ChainPoint, adapter: &Address) -> Result<SetProtocol, ChainError> {
    let is_set = core.isOperatorSet(set_of(adapter)).block(state_at(upto)).call().await;
    let is_set = is_set.map_err(|error| view_failed("asking EigenLayer for a service's set", error))?;
    Ok(if is_set { SetProtocol::EigenLayer } else { SetProtocol::Other })
}

/// The strategies to be read, ascending: those of the set, unless they are too many, and those the ledger has rows of.
async fn strategies(
    core: &Core<'_>,
    upto: &ChainPoint,
    adapter: &Address,
    watch: &Watch,
) -> Result<Vec<primitives::Address>, ChainError> {
    let named = core.getStrategiesInOperatorSet(set_of(adapter)).gas(VIEW_GAS).block(state_at(upto)).call().await;
    let named = unless_refused("asking EigenLayer for the strategies of a service's set", named)?.unwrap_or_default();
    let named = named.into_iter().take(MAX_STRATEGIES);
    let known = watch.service_stakes.keys().filter(|id| id.adapter == *adapter).map(|id| alloy_address(&id.asset));
    Ok(named.chain(known).collect::<BTreeSet<_>>().into_iter().collect())
}

async fn stakes_in(
    reader: &Reader<'_>,
    adapter: &Address,
    strategies: &[primitives::Address],
    operators: &BTreeSet<OperatorId>,
    removals: &[Log],
    watch: &Watch,
) -> Result<Vec<ServiceStakeSeen>, ChainError> {
    if strategies.is_empty() {
        return Ok(Vec::new());
    }
    let set = set_of(adapter);
    let (all, removed) = (operators.iter().copied().collect::<Vec<_>>(), reader.removed(&set, removals)?);
    let mut changes = Vec::new();
    for batch in all.chunks(BATCH) {
        for (operator, strategy, seen) in reader.stakes(&set, strategies, batch).await? {
            let id = ServiceStakeId { adapter: *adapter, operator, asset: Address::new(strategy.into_array()) };
            let known = watch.service_stakes.get(&id).copied();
            if seen.magnitude == 0 && seen.pending == 0 {
                changes.extend(known.map(|_| ServiceStakeSeen { id, stake: Magnitudes::NOTHING }));
                continue;
            }
            let known = known.unwrap_or(Magnitudes::NOTHING);
            let member = reader.is_member(&set, &operator).await?;
            let slashable_until = reader.slashable_until(member, removed.get(&operator).copied(), &known);
            let stake = Magnitudes { member, slashable_until, ..seen };
            if stake != known {
                changes.push(ServiceStakeSeen { id, stake });
            }
        }
    }
    Ok(changes)
}

/// The answer; `None` where the core refused to give one, as for a set of more strategies than the view may cost, which every honest
/// endpoint says alike.
fn unless_refused<T>(doing: &str, answer: Result<T, contract::Error>) -> Result<Option<T>, ChainError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(contract::Error::TransportError(RpcError::ErrorResp(said))) if views::refused(&said).is_some() => Ok(None),
        Err(contract::Error::ZeroData(..) | contract::Error::AbiError(_)) => Ok(None),
        Err(error) => Err(view_failed(doing, error)),
    }
}
