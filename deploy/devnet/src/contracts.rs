//! Our own contracts on a devnet, at addresses that genesis names before they exist (R17).

use crate::eigenlayer::EigenLayer;
use crate::sender::Sender;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolConstructor, SolEvent};
use anyhow::{Context, ensure};
pub use bindings::{EigenLayerAdapter, Palisade};

/// The addresses that follow from the deployer and its next nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictedAddresses {
    /// The registry and judge: the first transaction.
    pub palisade: Address,
    /// The operator set on EigenLayer: the second.
    pub eigenlayer_adapter: Address,
    /// The light client: the third, sent when the first committee with weight is known (R6).
    pub committee: Address,
}

/// Predicts where the contracts of a deployer come to stand whose next nonce is `nonce`.
#[must_use]
pub fn predict(deployer: Address, nonce: u64) -> PredictedAddresses {
    PredictedAddresses {
        palisade: deployer.create(nonce),
        eigenlayer_adapter: deployer.create(nonce + 1),
        committee: deployer.create(nonce + 2),
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
}

/// Deploys Palisade.sol and then its adapter.
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
        adapters_: vec![predicted.eigenlayer_adapter],
        evidenceWindowBlocks_: parameters.evidence_window_blocks,
    };
    plan.create("Palisade", [&Palisade::BYTECODE[..], &judge.abi_encode()].concat());
    let adapter = EigenLayerAdapter::constructorCall {
        palisade_: predicted.palisade,
        allocationManager_: core.allocation_manager,
        delegationManager_: core.delegation_manager,
        strategies_: vec![core.strategy],
        equivocationWad_: parameters.equivocation_wad,
        metadataUri: "https://palisade.invalid/devnet".to_owned(),
    };
    plan.create("EigenLayerAdapter", [&EigenLayerAdapter::BYTECODE[..], &adapter.abi_encode()].concat());
    let receipts = sender.send(plan).await?;
    let stand: Vec<_> = receipts.iter().map(|receipt| receipt.contract_address).collect();
    ensure!(
        stand == [Some(predicted.palisade), Some(predicted.eigenlayer_adapter)],
        "the contracts stand at {stand:?}"
    );
    let bound = Palisade::new(predicted.palisade, &sender.provider).chainId().call().await?;
    ensure!(bound == parameters.chain_id, "Palisade.sol is bound to {bound}");
    Ok(())
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
}
