//! Carries certified orders to Orders.sol (R11): announces one, waits for the delay, executes it.
//!
//! Nothing is remembered here but what is on its way. How far an order has come is asked of the chain each time: whether
//! the case is executed, and which of its orders are announced, by the contract's own logs. So a crash at any step loses
//! nothing, and any operator goes on where another stopped. An order that was announced in an earlier epoch is executed as
//! well as the newest one: Orders.sol takes once a case, whatever the number. Where a slash may be vetoed, the execution asks for
//! it, and another execution, of whichever order is alive by then, carries it on when the time for a veto is over.

use crate::bindings::adapter::EigenLayerAdapter;
use crate::bindings::orders::Orders::{self, Announced, Executed, Pending, announceCall, executeCall};
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, hash_of, unavailable, view_failed};
use crate::facts::lied;
use crate::light::Certified;
use crate::outbox::{Draft, Errand, Fate};
use crate::slash::{self, Aim, MAX_SLASHED_LOGS, refused, search, taken_in};
use alloy::primitives::B256;
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionReceipt};
use alloy::sol_types::{SolCall, SolEvent};
use palisade_crypto::bls::BlsError;
use palisade_types::canonical::Canonical;
use palisade_types::chain::{CertifiedOrder, ChainError, Execution, Progress};
use palisade_types::ids::{Address, CaseId, Hash, OperatorId};
use palisade_types::order::{Order, OrderId};
use palisade_types::slash::Case;
use std::collections::BTreeSet;

/// How many announcements of one case at one adapter are looked at: one an epoch, and an order lives for a few epochs.
const MAX_ANNOUNCED: usize = 256;

/// Calldata of Orders.sol that announces an order. The weights go with the certificate: without them a conviction that
/// only Ethereum knows would refuse it.
///
/// # Errors
///
/// The certificate's signature is no point of the curve.
pub fn announcement(certified: &CertifiedOrder) -> Result<Vec<u8>, BlsError> {
    let by = Certified { certificate: &certified.certificate, committee: &certified.committee, with_weights: true };
    let call = announceCall { order: certified.order.to_bytes().into(), certificate: by.packed()? };
    Ok(call.abi_encode())
}

/// What the newest block shows of a case's orders.
enum Standing {
    /// An order of this case has taken its part.
    Executed,
    /// This one may be executed from a block on.
    Announced(Box<Order>, u64),
    /// None is known there, or all have expired.
    Unknown,
}

impl Ethereum {
    /// Carries the orders of a case that no contract can judge as far as they can be carried now.
    pub(crate) async fn carry_order(
        &self,
        endpoint: &Endpoint,
        execution: &Execution,
        aim: &Aim,
    ) -> Result<Progress, ChainError> {
        let (case, adapter) = (&execution.case, aim.adapter);
        let id = OrderId { case: case.id, adapter };
        // One at a time: nonces are given out in order.
        let mut outbox = self.outbox.lock().await;
        let newest = endpoint.newest().await?;
        // An order lives shorter than some vetoes last: while one waits, the next is announced all the same.
        let waits = match slash::standing(endpoint, case, aim).await? {
            slash::Standing::Taken => return Ok(Progress::Executed(taken_in(endpoint, case, aim, newest).await?)),
            slash::Standing::Vetoed => return Err(refused("the slash was vetoed")),
            slash::Standing::Waiting => true,
            slash::Standing::Open => false,
        };
        let standing = standing(endpoint, case, &id, newest).await?;
        if matches!(standing, Standing::Executed) {
            outbox.forget(&Errand::Execution(id));
            return Ok(Progress::Executed(executed_in(endpoint, &id, newest).await?));
        }
        let account = self.account.as_ref();
        let account = account.ok_or_else(|| refused("this operator has no account that pays for orders"))?;
        match outbox.follow(endpoint, account, &Errand::Execution(id)).await? {
            Some(Fate::Waiting(hash)) => return Ok(Progress::Sent(hash_of(hash))),
            Some(Fate::Included(receipt)) => return outcome(&receipt, &id),
            Some(Fate::Replaced) | None => {}
        }
        match standing {
            Standing::Executed => unreachable!("this returned above"),
            // An endpoint that estimates gas may do so as of the newest block.
            Standing::Announced(_, from) if waits || newest < from => Ok(Progress::Waiting),
            Standing::Announced(order, _) => {
                let input = executeCall { order: order.to_bytes().into() }.abi_encode();
                let spare_gas = gas_floor(endpoint, &adapter, &case.operator).await?;
                let draft = Draft { to: self.orders(), input: input.into(), spare_gas };
                let hash = outbox.send(endpoint, account, Errand::Execution(id), draft).await?;
                tracing::info!(number = order.number, case = %id.case, transaction = %hash, "executes an order");
                Ok(Progress::Sent(hash_of(hash)))
            }
            Standing::Unknown => {
                let Some(certified) = &execution.certified else { return Ok(Progress::Waiting) };
                let errand = Errand::Announcement(certified.order.number);
                match outbox.follow(endpoint, account, &errand).await? {
                    Some(Fate::Waiting(hash)) => return Ok(Progress::Sent(hash_of(hash))),
                    Some(Fate::Included(receipt)) if receipt.status() => return Ok(Progress::Waiting),
                    Some(Fate::Included(_)) => return Err(refused("the announcement reverted in its block")),
                    Some(Fate::Replaced) | None => {}
                }
                if !self.can_be_announced(endpoint, &certified.order, newest).await? {
                    return Ok(Progress::Waiting);
                }
                let input = announcement(certified).map_err(|error| ChainError::Refused(error.to_string()))?;
                let draft = Draft { to: self.orders(), input: input.into(), spare_gas: SPARE_GAS };
                let hash = outbox.send(endpoint, account, errand, draft).await?;
                tracing::info!(number = certified.order.number, case = %id.case, transaction = %hash, "announces an order");
                Ok(Progress::Sent(hash_of(hash)))
            }
        }
    }

    fn orders(&self) -> alloy::primitives::Address {
        alloy_address(&self.genesis.contracts.orders)
    }

    /// Whether Committee.sol knows the order's committee now, and the delay would be over before the order expires. When it
    /// is not, the hand-over comes first, or the next epoch's order does.
    async fn can_be_announced(&self, endpoint: &Endpoint, order: &Order, newest: u64) -> Result<bool, ChainError> {
        let Some(office) = crate::handover::in_office(endpoint).await? else { return Ok(false) };
        let known = order.epoch <= office && office.get() <= order.epoch.get().saturating_add(1);
        let delay = self.genesis.parameters.order_delay_blocks;
        // Announced in the next block, executed in the one after the delay.
        Ok(known && newest.saturating_add(2 + delay) <= order.expiry)
    }
}

/// What Orders.sol shows at block `newest`.
async fn standing(endpoint: &Endpoint, case: &Case, id: &OrderId, newest: u64) -> Result<Standing, ChainError> {
    let contract = Orders::new(alloy_address(&endpoint.genesis().contracts.orders), endpoint.provider().await?);
    let (operator, adapter) = (alloy_address(&Address::from(case.operator)), alloy_address(&id.adapter));
    let service = B256::from(*case.service().as_bytes());
    let executed = contract.isExecuted(word(&id.case), operator, service, adapter).block(newest.into()).call().await;
    if executed.map_err(|error| view_failed("asking Orders.sol for a case", error))? {
        return Ok(Standing::Executed);
    }
    let mut best: Option<(Order, u64)> = None;
    for (order, from) in announced(endpoint, id, newest).await? {
        if order.expiry > newest && order.expiry >= from && best.is_none_or(|(_, earliest)| from < earliest) {
            best = Some((order, from));
        }
    }
    Ok(best.map_or(Standing::Unknown, |(order, from)| Standing::Announced(Box::new(order), from)))
}

/// The orders of a case that were announced while they could still be alive at block `last`, with the blocks from which on
/// they may be executed.
async fn announced(endpoint: &Endpoint, id: &OrderId, last: u64) -> Result<Vec<(Order, u64)>, ChainError> {
    let genesis = endpoint.genesis();
    // An order is announced after its committee's snapshot, and expires so many blocks after that.
    let lasts = genesis.parameters.evidence_blocks() + genesis.parameters.execution_blocks;
    let first = last.saturating_sub(lasts).max(genesis.ethereum_start.number);
    let filter = Filter::new()
        .address(alloy_address(&genesis.contracts.orders))
        .event_signature(Announced::SIGNATURE_HASH)
        .topic2(word(&id.case))
        .topic3(alloy_address(&id.adapter).into_word());
    let logs = endpoint.logs(filter, first..=last, MAX_ANNOUNCED).await?;
    let read = logs.iter().map(|log| {
        let event = Announced::decode_log_data_validate(log.data());
        let event =
            event.map_err(|error| ChainError::Lied(format!("{} does not decode: {error}", Announced::SIGNATURE)))?;
        let order = Order::from_bytes(&event.order).map_err(|_| lied("an announced order that is none"))?;
        Ok((order, event.from))
    });
    read.collect()
}

/// The transaction in which the target showed its loss.
async fn executed_in(endpoint: &Endpoint, id: &OrderId, last: u64) -> Result<Hash, ChainError> {
    let filter = Filter::new()
        .address(alloy_address(&endpoint.genesis().contracts.orders))
        .event_signature(Executed::SIGNATURE_HASH)
        .topic2(word(&id.case))
        .topic3(alloy_address(&id.adapter).into_word());
    search(endpoint, filter, last, MAX_SLASHED_LOGS, |_| true).await
}

/// What an execution of ours that is in a block did.
fn outcome(receipt: &TransactionReceipt, id: &OrderId) -> Result<Progress, ChainError> {
    if !receipt.status() {
        return Err(refused("the execution reverted in its block"));
    }
    let ours = |topics: &[B256]| topics.get(2) == Some(&word(&id.case));
    let said = |event: B256| receipt.logs().iter().any(|log| log.topic0() == Some(&event) && ours(log.topics()));
    if said(Executed::SIGNATURE_HASH) {
        return Ok(Progress::Executed(hash_of(receipt.transaction_hash)));
    }
    if said(Pending::SIGNATURE_HASH) {
        return Ok(Progress::Waiting);
    }
    Err(refused("the execution did nothing for this case"))
}

/// What the adapter may need, so that its call cannot starve.
async fn gas_floor(endpoint: &Endpoint, adapter: &Address, operator: &OperatorId) -> Result<u64, ChainError> {
    let adapter = EigenLayerAdapter::new(alloy_address(adapter), endpoint.provider().await?);
    let floor = adapter.gasFloor(alloy_address(&Address::from(*operator))).call().await;
    let floor = floor.map_err(|error| view_failed("asking the adapter for its gas", error))?;
    u64::try_from(floor).map_err(|_| refused("the adapter needs more gas than there is"))
}

fn word(case: &CaseId) -> B256 {
    B256::from(*case.as_bytes())
}

/// On top of the estimate: a conviction in between makes the light client look at more.
const SPARE_GAS: u64 = 50_000;

/// Checks that what stands at genesis' address is this network's Orders.sol; for [`Endpoint::check`].
pub(crate) async fn check(endpoint: &Endpoint) -> Result<(), ChainError> {
    let (genesis, provider) = (endpoint.genesis(), endpoint.unchecked_provider());
    let wrong = |found: String| ChainError::WrongChain {
        expected: format!("Orders.sol of {} at {}", genesis.chain_id(), genesis.contracts.orders),
        found,
    };
    let address = alloy_address(&genesis.contracts.orders);
    let code = provider.get_code_at(address).await;
    if code.map_err(|error| unavailable("asking for Orders.sol's code", error))?.is_empty() {
        return Err(wrong("no contract".to_owned()));
    }
    let contract = Orders::new(address, provider);
    let failed = |error| view_failed("asking Orders.sol for what it is bound to", error);
    let (chain, committee) = (contract.chainId().call().await, contract.committee().call().await);
    let (chain, committee) = (chain.map_err(failed)?, committee.map_err(failed)?);
    let delay = contract.delayBlocks().call().await.map_err(failed)?;
    let parameters = &genesis.parameters;
    let bound = chain.0 == *genesis.founder().as_bytes()
        && committee == alloy_address(&genesis.contracts.committee)
        && delay == parameters.order_delay_blocks;
    if !bound {
        return Err(wrong(format!("a contract of {chain} over {committee}, delay {delay}")));
    }
    let adapters: BTreeSet<_> =
        genesis.assets.iter().filter_map(|asset| genesis.contracts.adapter_of(&asset.source)).collect();
    for adapter in adapters {
        let most = contract.maximum(B256::ZERO, alloy_address(&adapter)).call().await.map_err(failed)?;
        if most != parameters.order_part.get() {
            return Err(wrong(format!("one that takes at most {most} of 1e18 through {adapter}")));
        }
        // All three adapters answer this alike.
        let target = EigenLayerAdapter::new(alloy_address(&adapter), provider);
        let (listens, service) = (target.orders().call().await, target.service().call().await);
        let failed = |error| view_failed("asking an adapter whose orders it takes", error);
        let (listens, service) = (listens.map_err(failed)?, service.map_err(failed)?);
        if listens != address || !service.is_zero() {
            return Err(wrong(format!("an adapter {adapter} of service {service} that listens to {listens}")));
        }
    }
    Ok(())
}
