//! One endpoint, and what it alone says. Whether that is believed is decided in `client`.

use crate::bindings::palisade::Palisade::{self, Slashed};
use crate::facts::{EVENTS, OF_SERVICES, Place, lied, read};
use crate::health::Health;
use crate::orders;
use crate::readers::eigenlayer::{self, Generation};
use crate::readers::{self, karak, price, services, symbiotic};
use crate::transport::{TooLarge, Transport};
use alloy::contract;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::primitives::BlockResponse;
use alloy::primitives::{self, B256};
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::{Block, Filter, Log};
use alloy::sol_types::SolEvent;
use alloy::transports::http::reqwest::Url;
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use palisade_types::chain::{ChainError, ChainPoint, Watch};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{Address, Hash, OperatorId, ServiceId};
use palisade_types::observation::{Fact, MAX_FACTS};
use palisade_types::position::PositionId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The most blocks whose logs are asked for at once.
pub(crate) const MOST_LOG_BLOCKS: u64 = 10_000;
/// For how many an endpoint is asked first. It is asked again for half of what it would not grant, and from then on for what it
/// granted last and an eighth more.
const FIRST_LOG_BLOCKS: u64 = 2_000;
/// The most logs of a restaking protocol that one observation reads.
const MAX_LOGS: usize = 20_000;

/// One endpoint. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Inner>);

struct Inner {
    /// As the operator's configuration counts it, from 1; the URL may hold a credential.
    name: String,
    provider: RootProvider,
    genesis: Arc<Genesis>,
    /// Set once the endpoint was seen to serve genesis' chain; nothing it says is used before.
    checked: OnceCell<Option<Generation>>,
    health: Health,
    /// For how many blocks' logs it is asked next.
    log_blocks: AtomicU64,
}

impl Endpoint {
    pub(crate) fn new(number: usize, url: &str, timeout: Duration, genesis: Arc<Genesis>) -> Result<Self, ChainError> {
        let name = format!("Ethereum endpoint {number}");
        let bad = |what: &str| ChainError::Refused(format!("{name} {what}"));
        let url: Url = url.parse().map_err(|_| bad("is no URL"))?;
        let transport = Transport::new(url, timeout).map_err(|_| bad("cannot be spoken to"))?;
        let provider = RootProvider::new(RpcClient::new(transport, false));
        let log_blocks = AtomicU64::new(FIRST_LOG_BLOCKS);
        Ok(Self(Arc::new(Inner {
            name,
            provider,
            genesis,
            checked: OnceCell::new(),
            health: Health::default(),
            log_blocks,
        })))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        &self.0.genesis
    }

    /// The RPC itself, once the endpoint is known to serve the right chain.
    pub(crate) async fn provider(&self) -> Result<&RootProvider, ChainError> {
        self.check().await?;
        Ok(&self.0.provider)
    }

    /// The RPC itself, for the check that comes first.
    pub(crate) fn unchecked_provider(&self) -> &RootProvider {
        &self.0.provider
    }

    /// Checks once that the endpoint serves genesis' chain, with our contract and EigenLayer's on it (R17), and
    /// says which generation of EigenLayer it is; `None` when no asset of genesis lies there. Symbiotic's core and Karak's are looked at, too.
    pub(crate) async fn check(&self) -> Result<Option<Generation>, ChainError> {
        let checked = self.0.checked.get_or_try_init(|| async {
            self.check_chain().await?;
            self.check_palisade().await?;
            symbiotic::probe(&self.0.provider, self.genesis()).await?;
            karak::probe(&self.0.provider, self.genesis()).await?;
            let generation = match eigenlayer::strategies(self.genesis()).next() {
                Some(_) => Some(eigenlayer::probe(&self.0.provider, self.genesis()).await?),
                None => None,
            };
            tracing::info!(endpoint = self.name(), ?generation, "serves the chain of genesis");
            Ok(generation)
        });
        checked.await.copied()
    }

    async fn check_chain(&self) -> Result<(), ChainError> {
        let provider = &self.0.provider;
        let expected = self.genesis().evm_chain_id;
        let found = provider.get_chain_id().await;
        let found = found.map_err(|error| unavailable("asking for the chain id", error))?;
        if found != expected {
            return Err(wrong(&format!("chain id {expected}"), &format!("chain id {found}")));
        }
        let start = &self.genesis().ethereum_start;
        let block = self.block(BlockNumberOrTag::Number(start.number)).await?;
        match block.as_ref().map(point_of) {
            Some(found) if found.hash == start.hash && found.time == start.time => Ok(()),
            Some(found) => Err(wrong(
                &format!("block {} {} of time {}", start.number, start.hash, start.time),
                &format!("block {} {} of time {}", found.number, found.hash, found.time),
            )),
            None => Err(ChainError::NotThere { number: start.number }),
        }
    }

    async fn check_palisade(&self) -> Result<(), ChainError> {
        let (genesis, provider) = (self.genesis(), &self.0.provider);
        let address = genesis.contracts.palisade;
        let expected = format!("Palisade.sol of {} at {address}", genesis.founder());
        require_code(provider, &address, &expected).await?;
        let contract = Palisade::new(alloy_address(&address), provider);
        let chain = contract.chainId().call().await;
        let chain = chain.map_err(|error| view_failed("asking Palisade.sol for its chain id", error))?;
        if chain.0 != *genesis.founder().as_bytes() {
            return Err(wrong(&expected, &format!("a contract of {chain}")));
        }
        let window = contract.evidenceWindowBlocks().call().await;
        let window = window.map_err(|error| view_failed("asking Palisade.sol for its window", error))?;
        let ours = genesis.parameters.ethereum_window();
        if window != ours {
            return Err(wrong(&format!("an evidence window of {ours} blocks"), &format!("one of {window}")));
        }
        let told = contract.lightClient().call().await;
        let told = told.map_err(|error| view_failed("asking Palisade.sol whom it tells of convictions", error))?;
        if told != alloy_address(&genesis.contracts.committee) {
            return Err(wrong(&expected, &format!("a contract that tells {told} of convictions")));
        }
        let told = contract.orders().call().await;
        let told = told.map_err(|error| view_failed("asking Palisade.sol whose orders convict", error))?;
        if told != alloy_address(&genesis.contracts.orders) {
            return Err(wrong(&expected, &format!("a contract that convicts by orders of {told}")));
        }
        let needed: Vec<_> =
            genesis.assets.iter().filter_map(|asset| genesis.contracts.adapter_of(&asset.source)).collect();
        if !needed.is_empty() {
            let adapters = contract.adapters().call().await;
            let adapters = adapters.map_err(|error| view_failed("asking Palisade.sol for its adapters", error))?;
            if let Some(missing) = needed.iter().find(|adapter| !adapters.contains(&alloy_address(adapter))) {
                return Err(wrong(&expected, &format!("a contract without genesis' adapter {missing}")));
            }
        }
        if !needed.is_empty() {
            orders::check(self).await?;
        }
        Ok(())
    }

    /// The newest finalized point.
    pub(crate) async fn tip(&self) -> Result<ChainPoint, ChainError> {
        self.check().await?;
        let block = self.block(BlockNumberOrTag::Finalized).await?;
        // A node that has not heard from its consensus layer yet knows no finalized block.
        block.as_ref().map(point_of).ok_or(ChainError::NotThere { number: 0 })
    }

    /// The newest block's number, final or not.
    pub(crate) async fn newest(&self) -> Result<u64, ChainError> {
        let number = self.0.provider.get_block_number().await;
        number.map_err(|error| unavailable("asking for the newest block", error))
    }

    /// The final point at `number`.
    pub(crate) async fn point(&self, number: u64) -> Result<ChainPoint, ChainError> {
        let tip = self.tip().await?;
        if number > tip.number {
            return Err(ChainError::NotThere { number });
        }
        let block = self.block(BlockNumberOrTag::Number(number)).await?;
        match block.as_ref().map(point_of) {
            Some(point) if point.number == number => Ok(point),
            Some(_) => Err(lied("another block than the one asked for")),
            None => Err(ChainError::NotThere { number }),
        }
    }

    async fn block(&self, which: BlockNumberOrTag) -> Result<Option<Block>, ChainError> {
        let block = self.0.provider.get_block_by_number(which).await;
        block.map_err(|error| unavailable(&format!("asking for block {which}"), error))
    }

    /// What `Chain::observe` promises, at this endpoint.
    pub(crate) async fn observe(
        &self,
        after: &ChainPoint,
        upto: &ChainPoint,
        watch: &Watch,
    ) -> Result<Vec<Fact>, ChainError> {
        if !upto.is_above(after) {
            return Err(ChainError::Refused("a gap that holds no block".to_owned()));
        }
        self.stands(after).await?;
        self.stands(upto).await?;
        let mut facts = self.happened(after, upto).await?;
        if self.genesis().assets.is_empty() {
            return Ok(facts);
        }
        let operators = operators(watch, &facts);
        let (genesis, provider) = (self.genesis(), &self.0.provider);
        let (mut changes, mut of_services) = (Vec::new(), Vec::new());
        if eigenlayer::strategies(genesis).next().is_some() {
            let gap = after.number + 1..=upto.number;
            let removals = self.logs(eigenlayer::removals(&genesis.contracts), gap.clone(), MAX_LOGS).await?;
            let decreases = self.logs(eigenlayer::decreases(&genesis.contracts), gap, MAX_LOGS).await?;
            let reader = eigenlayer::Reader::new(provider, genesis, upto);
            changes = reader.changes(&operators, &removals, &decreases, watch).await?;
            of_services = services::changes(provider, genesis, upto, &operators, &removals, watch).await?;
        }
        let listings = listings(watch, &facts);
        changes.extend(symbiotic::Reader::new(provider, genesis, upto).changes(&operators, &listings, watch).await?);
        if let Some(contracts) = genesis.contracts.karak {
            let gap = after.number + 1..=upto.number;
            let updates = self.logs(karak::updates(&contracts), gap, MAX_LOGS).await?;
            let reader = karak::Reader::new(provider, genesis, contracts, upto);
            changes.extend(reader.changes(&operators, &updates, watch).await?);
        }
        let end = genesis.parameters.after(upto, genesis.parameters.ethereum_window());
        let mut prices = price::changes(provider, genesis, upto, watch).await?;
        prices.truncate(MAX_FACTS - facts.len());
        let room = MAX_FACTS - facts.len() - prices.len();
        facts.extend(readers::fit(changes, room, &end).into_iter().map(Fact::Stake));
        facts.extend(prices);
        of_services.truncate(MAX_FACTS - facts.len()); // the rest still differs next time
        facts.extend(of_services);
        Ok(facts)
    }

    async fn stands(&self, point: &ChainPoint) -> Result<(), ChainError> {
        let found = self.point(point.number).await?;
        if found.hash == point.hash && found.time == point.time {
            Ok(())
        } else {
            Err(ChainError::FinalityBroken { number: point.number })
        }
    }

    /// The facts that Palisade.sol, Orders.sol and the adapters logged from the first log not yet in `after` up to the last one in `upto`
    /// (R32). Orders.sol says what was taken, in the same words, and what services registered there.
    async fn happened(&self, after: &ChainPoint, upto: &ChainPoint) -> Result<Vec<Fact>, ChainError> {
        let contracts = &self.genesis().contracts;
        let symbiotic = contracts.symbiotic.map(|symbiotic| symbiotic.adapter);
        let karak = contracts.karak.map(|karak| karak.adapter);
        let told = [contracts.palisade, contracts.orders].into_iter().chain(symbiotic).chain(karak);
        let told: Vec<_> = told.map(|address| alloy_address(&address)).collect();
        let filter = Filter::new().address(told.clone());
        let filter = filter.event_signature(EVENTS.to_vec());
        let from = if after.log == u32::MAX { after.number + 1 } else { after.number };
        let mut facts = Vec::new();
        for log in self.logs(filter, from..=upto.number, MAX_FACTS).await? {
            let place = Place::of(&log)?;
            let early = place.block == after.number && place.index < after.log;
            let late = place.block == upto.number && place.index >= upto.log;
            let of_services = log.topic0().is_some_and(|event| OF_SERVICES.contains(event));
            if log.address() == told[1] {
                if !of_services && log.topic0() != Some(&Slashed::SIGNATURE_HASH) {
                    return Err(lied("a log that Orders.sol cannot write"));
                }
            } else if of_services {
                return Err(lied("a service's registration by another contract than Orders.sol"));
            }
            if early || late {
                continue;
            }
            match read(&log)? {
                // The network's own sets, which genesis knows.
                Fact::ServiceSet(seen) if seen.service == ServiceId::ZERO => {}
                fact => facts.push(fact),
            }
        }
        Ok(facts)
    }

    /// All logs of a range, in order, asked for in pieces as large as the endpoint has been seen to grant.
    ///
    /// # Errors
    ///
    /// [`ChainError::TooMany`] above `most` logs.
    pub(crate) async fn logs(
        &self,
        filter: Filter,
        blocks: std::ops::RangeInclusive<u64>,
        most: usize,
    ) -> Result<Vec<Log>, ChainError> {
        let (mut from, last) = (*blocks.start(), *blocks.end());
        let learned = &self.0.log_blocks;
        let mut logs: Vec<Log> = Vec::new();
        while from <= last {
            let step = learned.load(Ordering::Relaxed);
            let to = last.min(from.saturating_add(step - 1));
            let asked = filter.clone().from_block(from).to_block(to);
            match self.0.provider.get_logs(&asked).await {
                Ok(found) => {
                    if logs.len() + found.len() > most {
                        return Err(ChainError::TooMany { number: last });
                    }
                    check_order(&asked, from, to, &found)?;
                    logs.extend(found);
                    if to - from + 1 == step {
                        learned.store((step + step / 8 + 1).min(MOST_LOG_BLOCKS), Ordering::Relaxed);
                    }
                    from = to + 1;
                }
                Err(error) if to > from && asks_for_less(&error) => {
                    learned.store((to - from).div_ceil(2), Ordering::Relaxed);
                }
                Err(error) => {
                    return Err(unavailable(&format!("asking for logs of {from} to {to}"), error));
                }
            }
        }
        Ok(logs)
    }
}

/// Whoever has a position to look at: all we know, and those who came in the gap.
fn operators(watch: &Watch, facts: &[Fact]) -> BTreeSet<OperatorId> {
    let came = facts.iter().filter_map(|fact| match fact {
        Fact::Keys(keys) => Some(keys.operator),
        _ => None,
    });
    watch.operators.keys().copied().chain(came).collect()
}

/// What operators whose positions are looked at have listed, before the gap and in it.
fn listings(watch: &Watch, facts: &[Fact]) -> BTreeSet<PositionId> {
    let came = facts.iter().filter_map(|fact| match fact {
        Fact::Listed(listed) => Some(listed.id),
        _ => None,
    });
    watch.listings.keys().copied().chain(came).collect()
}

pub(crate) fn check_order(filter: &Filter, from: u64, to: u64, logs: &[Log]) -> Result<(), ChainError> {
    let mut before = None;
    for log in logs {
        let place = Place::of(log)?;
        if place.block < from || place.block > to || before.is_some_and(|before| before >= place) {
            return Err(lied("logs out of their range or order"));
        }
        if !filter.address.matches(&log.address()) || !log.topic0().is_some_and(|topic| filter.topics[0].matches(topic))
        {
            return Err(lied("logs that were not asked for"));
        }
        before = Some(place);
    }
    Ok(())
}

/// Whether the endpoint spoke and would not answer this much: no reason to ask for less if it did not speak at all.
pub(crate) fn asks_for_less(error: &TransportError) -> bool {
    match error {
        RpcError::ErrorResp(_) => true,
        RpcError::Transport(TransportErrorKind::Custom(error)) => error.is::<TooLarge>(),
        _ => false,
    }
}

pub(crate) fn point_of(block: &Block) -> ChainPoint {
    ChainPoint {
        number: block.header().number,
        hash: hash_of(block.header().hash),
        log: u32::MAX,
        time: block.header().timestamp,
    }
}

/// A contract is there, or the endpoint serves another chain.
pub(crate) async fn require_code(provider: &RootProvider, address: &Address, expected: &str) -> Result<(), ChainError> {
    let code = provider.get_code_at(alloy_address(address)).await;
    let code = code.map_err(|error| unavailable("asking for a contract's code", error))?;
    if code.is_empty() {
        return Err(wrong(expected, "no code there"));
    }
    Ok(())
}

pub(crate) fn wrong(expected: &str, found: &str) -> ChainError {
    ChainError::WrongChain { expected: expected.to_owned(), found: found.to_owned() }
}

pub(crate) fn unavailable(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ChainError {
    ChainError::Unavailable { doing: doing.to_owned(), source: source.into() }
}

/// A view of a contract that we checked gave no answer. It may be that the endpoint no longer has the state (R31);
/// an answer that does not decode is a lie.
pub(crate) fn view_failed(doing: &str, error: contract::Error) -> ChainError {
    match error {
        contract::Error::TransportError(error) => unavailable(doing, error),
        error => ChainError::Lied(format!("{doing}: {error}")),
    }
}

pub(crate) fn alloy_address(address: &Address) -> primitives::Address {
    primitives::Address::from(*address.as_bytes())
}

pub(crate) fn hash_of(hash: B256) -> Hash {
    Hash::new(hash.0)
}

/// The state right after the point's block, by its hash: a reorganised endpoint then has no answer instead of
/// another one.
pub(crate) fn state_at(point: &ChainPoint) -> BlockId {
    BlockId::hash(B256::from(*point.hash.as_bytes()))
}
