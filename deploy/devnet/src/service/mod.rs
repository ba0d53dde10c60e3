//! Two small services behind which the devnet's operators stand beside the network: notaries. Who sends one of them 32 bytes on Ethereum
//! gets a certificate that they were in that block, by more than two thirds of a committee.
//!
//! A service has an account of its own, which deploys its operator set on EigenLayer's core and registers it, its domains, bond,
//! rules of slashing and law of correlation at Orders.sol. Operators allocate to it, in a strategy that nobody else counts. Beside each
//! operator's node a module runs for each service ([`notary`]), which reaches the signer only by its socket (R14).

pub mod notary;

use crate::constants::{
    GAS_MONEY_ETHER, MIN_BOND_MICRO_USD, SERVICE_FAULT_WAD, SERVICE_LAW_HUNDREDTHS, SERVICE_MAGNITUDES,
    SERVICE_MAX_WAD, SERVICE_TOKENS, SERVICE_WINDOW_BLOCKS, STOP_DEADLINE,
};
use crate::contracts::{EigenLayerAdapter, Orders};
use crate::description::{read_json, write_json};
use crate::devnet::Devnet;
use crate::eigenlayer::{self, EigenLayer};
use crate::layout::{Layout, SERVICES, module, modules};
use crate::operator::Operator;
use crate::process::{Process, Signal};
use crate::progress::say;
use crate::sender::Sender;
use crate::tools;
use alloy::primitives::{Address, B256, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolConstructor;
use anyhow::{Context, ensure};
use futures::future::try_join_all;
use palisade_node::keys;
use palisade_types::canonical::Canonical;
use palisade_types::genesis::Genesis;
use palisade_types::service::{FIRST_KIND, FaultRule, Law, RegistrationId, ServiceDomain, ServiceRules};
use palisade_types::{MicroUsd, ServiceId, Wad};
use serde::{Deserialize, Serialize};
use std::process::Command;

/// The kind of domain in which verdicts are certified: the first of the registration's.
pub const VERDICTS: u16 = FIRST_KIND;
/// The kind of domain in which modules answer.
pub const ANSWERS: u16 = FIRST_KIND + 1;
/// Whoever gave no answer while a quorum did.
pub const MISSED: u16 = 1;
/// Whoever gave another answer than a quorum.
pub const WRONG: u16 = 2;

/// One service, as it stands on Ethereum; `service.json` in its folder, written when all of it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// One of [`SERVICES`].
    pub name: String,
    /// Its account, which requests are sent to.
    pub account: Address,
    /// Its operator set on EigenLayer.
    pub adapter: Address,
    /// What is staked there: a token that the devnet's services share,
    pub token: Address,
    /// and its strategy.
    pub strategy: Address,
    /// The number of its registration at Orders.sol.
    pub registration: u64,
}

impl Service {
    /// What stands in `layout`.
    ///
    /// # Errors
    ///
    /// It was not founded.
    pub fn read(layout: &Layout, name: &str) -> anyhow::Result<Self> {
        let file = layout.service(name).join("service.json");
        ensure!(file.exists(), "there is no service {name}; make it with: service up");
        read_json(&file)
    }

    /// Its name in orders and domains: its account as 32 bytes.
    #[must_use]
    pub fn id(&self) -> ServiceId {
        ServiceId::new(self.account.into_word().0)
    }

    /// One of its domains.
    #[must_use]
    pub fn domain(&self, kind: u16) -> ServiceDomain {
        let registration = RegistrationId { service: self.id(), number: self.registration };
        ServiceDomain { registration, kind }
    }

    /// The same as JSON-RPC names it.
    #[must_use]
    pub fn kind(&self, kind: u16) -> String {
        format!("service:{}:{}:{kind}", self.id(), self.registration)
    }

    /// The core with this service's token and strategy instead of the network's.
    #[must_use]
    pub fn core(&self, core: &EigenLayer) -> EigenLayer {
        EigenLayer { token: self.token, strategy: self.strategy, ..core.clone() }
    }

    /// What an operator allocates to it, of 1e18 of the strategy.
    ///
    /// # Errors
    ///
    /// It is none of the devnet's.
    pub fn magnitude(&self) -> anyhow::Result<u64> {
        let place = SERVICES.iter().position(|name| *name == self.name);
        Ok(SERVICE_MAGNITUDES[place.with_context(|| format!("there is no service {}", self.name))?])
    }
}

/// Its rules, alike for all.
///
/// # Errors
///
/// Never: they fit their bounds.
pub fn rules(adapter: Address) -> anyhow::Result<ServiceRules> {
    let rule = |fault| FaultRule { fault, most: Wad::new(SERVICE_FAULT_WAD), law: Law::Square(SERVICE_LAW_HUNDREDTHS) };
    let rules = ServiceRules {
        version: ServiceRules::VERSION,
        kinds: vec![VERDICTS, ANSWERS].try_into()?,
        sets: vec![palisade_types::Address::new(adapter.into_array())].try_into()?,
        threshold: ServiceRules::LEAST_THRESHOLD,
        bond: MicroUsd::new(MIN_BOND_MICRO_USD),
        window_blocks: SERVICE_WINDOW_BLOCKS,
        faults: vec![rule(MISSED), rule(WRONG)].try_into()?,
    };
    rules.check()?;
    Ok(rules)
}

/// Founds what services are missing, and starts their modules. What runs is left alone.
///
/// # Errors
///
/// The chain refuses a transaction, or the devnet does not run.
pub async fn up(devnet: &Devnet) -> anyhow::Result<Vec<Service>> {
    let genesis = devnet.genesis()?;
    ensure!(!genesis.is_bitcoin_only(), "behind a service stands stake on Ethereum, and here bitcoin stands alone");
    let mut services: Vec<Service> = Vec::new();
    for name in SERVICES {
        let service = match Service::read(devnet.layout(), name) {
            Ok(service) => service,
            Err(_) => {
                say(format!("founding the service {name}: its account, operator set and rules"));
                found(devnet, &genesis, name, services.first()).await?
            }
        };
        services.push(service);
    }
    for operator in devnet.operators()? {
        for service in &services {
            start(devnet, service, &operator, &[])?;
        }
    }
    Ok(services)
}

/// Ends the modules; what stands on Ethereum stays.
///
/// # Errors
///
/// One had to be killed.
pub async fn down(layout: &Layout) -> anyhow::Result<()> {
    for name in modules() {
        layout.process(&name).stop(Signal::Terminate, STOP_DEADLINE).await?;
    }
    Ok(())
}

/// One operator's module of a service.
#[must_use]
pub fn process(devnet: &Devnet, service: &Service, operator: &Operator) -> Process {
    devnet.layout().process(&module(&service.name, operator.name()))
}

/// Starts one operator's module, if it does not run.
///
/// # Errors
///
/// It cannot be started.
pub fn start(devnet: &Devnet, service: &Service, operator: &Operator, more: &[&str]) -> anyhow::Result<()> {
    let process = process(devnet, service, operator);
    if process.pid().is_some() {
        return Ok(());
    }
    let mut command = Command::new(tools::ours("palisade-devnet")?);
    command.arg("--dir").arg(devnet.layout().root()).args(["service", "run"]).args([&service.name, operator.name()]);
    process.start(command.args(more), &devnet.layout().log(&module(&service.name, operator.name())))?;
    Ok(())
}

/// Asks a service for its word on 32 bytes, from the deployer's account, and names the Ethereum block that holds the request.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn ask(devnet: &Devnet, service: &Service, epoch: u32, what: B256) -> anyhow::Result<u64> {
    let sender = Sender::new(&devnet.ports().ethereum_url(), &Devnet::deployer()?)?;
    let mut plan = sender.plan().await?;
    plan.raw("a request", service.account, notary::request(epoch, what));
    let receipts = sender.send(plan).await?;
    receipts.first().and_then(|receipt| receipt.block_number).context("the request is in a block")
}

/// Everything of one service: account, token and strategy (the first one's, for all), operator set, registration, and the operators.
async fn found(devnet: &Devnet, genesis: &Genesis, name: &str, first: Option<&Service>) -> anyhow::Result<Service> {
    let (url, core) = (devnet.ports().ethereum_url(), devnet.network()?.eigenlayer());
    let account = account(devnet.layout(), name)?;
    devnet.anvil().fund(account.address(), GAS_MONEY_ETHER).await?;
    let (token, strategy) = match first {
        Some(first) => (first.token, first.strategy),
        None => eigenlayer::new_strategy(&url, &core, &account).await?,
    };
    let adapter = deploy(&url, genesis, &core, &account, strategy).await?;
    let registration = register(&url, genesis, &account, adapter).await?;
    let address = account.address();
    let service = Service { name: name.to_owned(), account: address, adapter, token, strategy, registration };
    let operators = devnet.operators()?;
    try_join_all(operators.iter().map(|operator| allocate(&url, &core, &service, operator, first.is_none()))).await?;
    write_json(&devnet.layout().service(name).join("service.json"), &service)?;
    Ok(service)
}

/// The service's own account; its key is made once.
fn account(layout: &Layout, name: &str) -> anyhow::Result<PrivateKeySigner> {
    let file = layout.service(name).join("account.key");
    if !file.exists() {
        std::fs::create_dir_all(layout.service(name))?;
        keys::write_secret(&file, &keys::random())?;
    }
    PrivateKeySigner::from_slice(&*keys::read_secret(&file)?).context("an account's key")
}

/// The operator set: an adapter of its own, which only Orders.sol can make slash.
async fn deploy(
    url: &str,
    genesis: &Genesis,
    core: &EigenLayer,
    account: &PrivateKeySigner,
    strategy: Address,
) -> anyhow::Result<Address> {
    let at = |address: palisade_types::Address| Address::from(*address.as_bytes());
    let sender = Sender::new(url, account)?;
    let mut plan = sender.plan().await?;
    let adapter = EigenLayerAdapter::constructorCall {
        palisade_: at(genesis.contracts.palisade),
        orders_: at(genesis.contracts.orders),
        service_: account.address().into_word(),
        allocationManager_: core.allocation_manager,
        delegationManager_: core.delegation_manager,
        strategies_: vec![strategy],
        // Palisade.sol does not know this adapter, so that no pair ever takes it.
        equivocationWad_: U256::from(1),
        metadataUri: "https://palisade.invalid/devnet/service".to_owned(),
    };
    let code = [&EigenLayerAdapter::BYTECODE[..], &adapter.abi_encode()].concat();
    let address = plan.create("a service's operator set", code);
    sender.send(plan).await?;
    Ok(address)
}

/// What Orders.sol is told: the set with the most that an order may take, then the rules.
async fn register(url: &str, genesis: &Genesis, account: &PrivateKeySigner, adapter: Address) -> anyhow::Result<u64> {
    let orders = Address::from(*genesis.contracts.orders.as_bytes());
    let sender = Sender::new(url, account)?;
    let mut plan = sender.plan().await?;
    plan.call("register", orders, &Orders::registerCall { adapter, wad: SERVICE_MAX_WAD });
    plan.call("declare", orders, &Orders::declareCall { rules: rules(adapter)?.to_bytes().into() });
    sender.send(plan).await?;
    let contract = Orders::new(orders, &sender.provider);
    Ok(contract.registrations(account.address().into_word()).call().await?)
}

/// An operator's stake for services, deposited with the first of them, and what he allocates to this one.
async fn allocate(
    url: &str,
    core: &EigenLayer,
    service: &Service,
    operator: &Operator,
    deposits: bool,
) -> anyhow::Result<()> {
    let (core, account) = (service.core(core), operator.account()?);
    if deposits {
        let amount = U256::from(SERVICE_TOKENS) * U256::from(1_000_000_000_000_000_000_u64);
        eigenlayer::stake(url, &core, &account, &account, amount).await?;
    }
    eigenlayer::allocate(url, &core, &account, service.adapter, service.magnitude()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_the_rules_of_a_service_can_be_declared() {
        let rules = rules(Address::repeat_byte(1)).unwrap();
        let declared = rules.to_bytes().try_into().unwrap();
        assert_eq!(ServiceRules::read_declared(&declared).unwrap(), rules);
        assert_eq!(rules.verdict_kind(), Some(VERDICTS));
    }

    #[test]
    fn all_services_together_take_no_more_of_a_strategy_than_there_is() {
        assert!(SERVICE_MAGNITUDES.iter().sum::<u64>() <= 1_000_000_000_000_000_000);
        assert_eq!(SERVICE_MAGNITUDES.len(), SERVICES.len());
        let whole = rules(Address::ZERO).unwrap();
        assert!(whole.faults.iter().all(|rule| rule.most.get() <= SERVICE_MAX_WAD));
    }
}
