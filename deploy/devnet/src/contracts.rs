//! Our own contracts on a devnet, at addresses that genesis names before they exist (R17).

use crate::eigenlayer::EigenLayer;
use crate::sender::Sender;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolConstructor, SolEvent};
use anyhow::{Context, ensure};
pub use bindings::{EigenLayerAdapter, Orders, Palisade};
use palisade_ethereum::light;
use palisade_types::block::Header;
use palisade_types::genesis::Genesis;

/// The addresses that follow from the deployer and its next nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictedAddresses {
    /// The registry and judge: the first transaction.
    pub palisade: Address,
    /// The operator set on EigenLayer: the second.
    pub eigenlayer_adapter: Address,
    /// What carries certified orders out: the third.
    pub orders: Address,
    /// The light client: the next, sent when the first committee with weight is known (R6).
    pub committee: Address,
    /// What is claimed of vaults: right after it.
    pub bitcoin_vaults: Address,
}

/// Predicts where the contracts of a deployer come to stand whose next nonce is `nonce`.
#[must_use]
pub fn predict(deployer: Address, nonce: u64) -> PredictedAddresses {
    PredictedAddresses {
        palisade: deployer.create(nonce),
        eigenlayer_adapter: deployer.create(nonce + 1),
        orders: deployer.create(nonce + 2),
        committee: deployer.create(nonce + 3),
        bitcoin_vaults: deployer.create(nonce + 4),
    }
}

/// The next nonce of an account.
///
/// # Errors
///
/// The chain does not answer.
pub async fn next_nonce(endpoint: &str, account: &PrivateKeySigner) -> anyhow::Result<u64> {
    Sender::new(endpoint, account)?.nonce().await
}

/// What genesis fixes of the contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The hash of genesis.
    pub chain_id: B256,
    /// Ethereum blocks that evidence counts after a key's row closed (W).
    pub evidence_window_blocks: u64,
    /// The part of an allocation that an equivocation takes, of 1e18.
    pub equivocation_wad: U256,
    /// The part that an order takes, and the most it may.
    pub order_wad: u64,
    /// Ethereum blocks between an order's announcement and its execution.
    pub order_delay_blocks: u64,
    /// Adapters that are deployed by others, after EigenLayer's: Symbiotic's.
    pub other_adapters: Vec<Address>,
}

impl Parameters {
    /// What a genesis says, for its one kind of stake on EigenLayer.
    #[must_use]
    pub fn of(genesis: &Genesis) -> Self {
        let symbiotic = genesis.contracts.symbiotic.map(|symbiotic| symbiotic.adapter);
        Self {
            chain_id: B256::from(*genesis.chain_id().as_bytes()),
            evidence_window_blocks: genesis.parameters.ethereum_window(),
            equivocation_wad: U256::from(genesis.assets.first().map_or(1, |asset| asset.equivocation.get())),
            order_wad: genesis.parameters.order_part.get(),
            order_delay_blocks: genesis.parameters.order_delay_blocks,
            other_adapters: symbiotic.map(|adapter| Address::from(*adapter.as_bytes())).into_iter().collect(),
        }
    }
}

/// Deploys Palisade.sol, then its adapter and Orders.sol.
///
/// # Errors
///
/// The deployer's nonce is not the one that `predicted` was made from, or the chain refuses a transaction.
pub async fn deploy(
    endpoint: &str,
    deployer: &PrivateKeySigner,
    predicted: &PredictedAddresses,
    core: &EigenLayer,
    parameters: &Parameters,
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, deployer)?;
    let nonce = sender.nonce().await?;
    ensure!(
        predict(sender.account, nonce) == *predicted,
        "the deployer's nonce is {nonce}, so the contracts would not stand where genesis says"
    );
    let mut plan = sender.plan().await?;
    let judge = Palisade::constructorCall {
        chainId_: parameters.chain_id,
        adapters_: [&[predicted.eigenlayer_adapter], parameters.other_adapters.as_slice()].concat(),
        evidenceWindowBlocks_: parameters.evidence_window_blocks,
        lightClient_: predicted.committee,
        orders_: predicted.orders,
    };
    plan.create("Palisade", [&Palisade::BYTECODE[..], &judge.abi_encode()].concat());
    let adapter = EigenLayerAdapter::constructorCall {
        palisade_: predicted.palisade,
        orders_: predicted.orders,
        service_: B256::ZERO,
        allocationManager_: core.allocation_manager,
        delegationManager_: core.delegation_manager,
        strategies_: vec![core.strategy],
        equivocationWad_: parameters.equivocation_wad,
        metadataUri: "https://palisade.invalid/devnet".to_owned(),
    };
    plan.create("EigenLayerAdapter", [&EigenLayerAdapter::BYTECODE[..], &adapter.abi_encode()].concat());
    let orders = Orders::constructorCall {
        chainId_: parameters.chain_id,
        committee_: predicted.committee,
        delayBlocks_: parameters.order_delay_blocks,
        adapters: [&[predicted.eigenlayer_adapter], parameters.other_adapters.as_slice()].concat(),
        ownMaximum: parameters.order_wad,
    };
    plan.create("Orders", [&Orders::BYTECODE[..], &orders.abi_encode()].concat());
    let receipts = sender.send(plan).await?;
    let stand: Vec<_> = receipts.iter().map(|receipt| receipt.contract_address).collect();
    ensure!(
        stand == [predicted.palisade, predicted.eigenlayer_adapter, predicted.orders].map(Some),
        "the contracts stand at {stand:?}"
    );
    let bound = Palisade::new(predicted.palisade, &sender.provider).chainId().call().await?;
    ensure!(bound == parameters.chain_id, "Palisade.sol is bound to {bound}");
    Ok(())
}

/// Deploys the light client at the address that genesis predicts, and the vaults' contract over it at the next one.
/// `boundary` is the block whose state drew the first committee with weight (R6). What stands already is left.
///
/// # Errors
///
/// The deployer's nonce is not the one genesis was made from, or the chain refuses a transaction.
pub async fn deploy_light_client(
    endpoint: &str,
    deployer: &PrivateKeySigner,
    genesis: &Genesis,
    boundary: &Header,
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, deployer)?;
    let committee = Address::from(*genesis.contracts.committee.as_bytes());
    let vaults = vaults_over(deployer.address(), committee)?;
    let mut plan = sender.plan().await?;
    let mut expected = Vec::new();
    if !stands(&sender.provider, committee).await? {
        expected.push(Some(plan.create("Committee", light::deploy_committee(genesis, boundary))));
        ensure!(expected == [Some(committee)], "the light client would stand at {expected:?}, not where genesis says");
    }
    if !stands(&sender.provider, vaults).await? {
        expected.push(Some(plan.create("BitcoinVaults", light::deploy_vaults(&genesis.contracts.committee))));
    }
    let receipts = sender.send(plan).await?;
    let stand: Vec<_> = receipts.iter().map(|receipt| receipt.contract_address).collect();
    ensure!(stand == expected, "the contracts stand at {stand:?}");
    Ok(())
}

/// Where BitcoinVaults.sol comes to stand: the creation that follows the light client's.
///
/// # Errors
///
/// The light client is none of this deployer's first transactions.
pub fn vaults_over(deployer: Address, committee: Address) -> anyhow::Result<Address> {
    const NONCES: u64 = 10_000;
    let nonce = (0..NONCES).find(|nonce| deployer.create(*nonce) == committee);
    Ok(deployer.create(nonce.context("the light client is not predicted from this deployer")? + 1))
}

/// Sends calldata that anybody may send, after a look whether the contract would take it.
///
/// # Errors
///
/// The contract refuses it.
pub async fn send(endpoint: &str, account: &PrivateKeySigner, to: Address, input: Bytes) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, account)?;
    let request = TransactionRequest::default().with_from(sender.account).with_to(to).with_input(input.clone());
    sender.provider.call(request).await.context("the contract refuses it")?;
    let mut plan = sender.plan().await?;
    plan.raw("calldata", to, input);
    sender.send(plan).await.map(drop)
}

/// Registers an operator's keys and returns the id of its new row.
///
/// # Errors
///
/// The contract refuses the keys, or the chain the transaction.
pub async fn register(
    endpoint: &str,
    palisade: Address,
    operator: &PrivateKeySigner,
    keys: Palisade::Keys,
) -> anyhow::Result<u32> {
    let sender = Sender::new(endpoint, operator)?;
    let mut plan = sender.plan().await?;
    plan.call("register", palisade, &Palisade::registerCall { keys });
    let receipts = sender.send(plan).await?;
    let event = receipts
        .iter()
        .flat_map(|receipt| receipt.logs())
        .find_map(|log| Palisade::KeysRegistered::decode_log(&log.inner).ok())
        .context("no row was announced")?;
    Ok(event.keyId)
}

/// Whether there is code at an address: a devnet that is started again skips what stands.
///
/// # Errors
///
/// The chain does not answer.
pub async fn stands(provider: &impl Provider, address: Address) -> anyhow::Result<bool> {
    Ok(!provider.get_code_at(address).await?.is_empty())
}

/// The contracts' ABI and bytecode, as compiled and checked in.
#[allow(missing_docs, clippy::too_many_arguments)]
mod bindings {
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug)]
        Palisade,
        "../../chains/ethereum/contracts/artifacts/Palisade.json"
    }
    alloy::sol! {
        #[sol(rpc)]
        EigenLayerAdapter,
        "../../chains/ethereum/contracts/artifacts/EigenLayerAdapter.json"
    }
    alloy::sol! {
        #[sol(rpc)]
        #[derive(Debug)]
        Orders,
        "../../chains/ethereum/contracts/artifacts/Orders.json"
    }
}
