//! The two files that describe a devnet: `devnet.json` for other programs, `network.json` for this one.

use crate::eigenlayer::EigenLayer;
use crate::layout::{Layout, Ports};
use crate::symbiotic::Vaults;
use alloy::primitives::Address;
use anyhow::Context;
use palisade_types::Genesis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// `devnet.json`: where everything listens and lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// anvil.
    pub ethereum_rpc: String,
    /// bitcoind.
    pub bitcoin_rpc: BitcoinRpc,
    /// Addresses on Ethereum.
    pub contracts: ContractsDescription,
    /// The operators, in the order in which they came.
    pub operators: Vec<OperatorDescription>,
}

/// How to ask bitcoind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitcoinRpc {
    /// Where.
    pub url: String,
    /// The file with `user:password`, new at every start.
    pub cookie: PathBuf,
}

/// Addresses on Ethereum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the contracts' own names
pub struct ContractsDescription {
    pub palisade: Address,
    pub eigenlayer_adapter: Address,
    pub orders: Address,
    /// Nothing stands here before the first committee with weight (R6).
    pub committee: Address,
    /// Nor here.
    pub bitcoin_vaults: Address,
    pub allocation_manager: Address,
    pub delegation_manager: Address,
    pub strategy_manager: Address,
    pub strategy: Address,
    pub token: Address,
    /// Symbiotic's core, our adapter and the vaults; `null` where nothing is staked there.
    pub symbiotic: Option<Vaults>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorDescription {
    /// What the devnet calls him.
    pub name: String,
    /// His account, by which the ledger names him.
    pub id: String,
    /// His node's JSON-RPC.
    pub rpc: String,
    /// His node's libp2p address.
    pub p2p: String,
    /// Ledger and network key.
    pub data_dir: PathBuf,
    /// Keys and record of signatures.
    pub signer_dir: PathBuf,
    /// His node's process, `null` while it is down.
    pub pid: Option<u32>,
}

/// `network.json`: what cannot be read from genesis or from the operators' own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFile {
    first_port: u16,
    operators: Vec<String>,
    allocation_manager: Address,
    delegation_manager: Address,
    strategy_manager: Address,
    eigen_pod_manager: Address,
    permission_controller: Address,
    strategy_factory: Address,
    token: Address,
    strategy: Address,
    symbiotic: Option<Vaults>,
}

impl NetworkFile {
    /// A network with these operators.
    #[must_use]
    pub fn new(ports: Ports, core: &EigenLayer, symbiotic: Option<Vaults>, operators: Vec<String>) -> Self {
        let core = core.clone();
        Self {
            first_port: ports.first(),
            operators,
            allocation_manager: core.allocation_manager,
            delegation_manager: core.delegation_manager,
            strategy_manager: core.strategy_manager,
            eigen_pod_manager: core.eigen_pod_manager,
            permission_controller: core.permission_controller,
            strategy_factory: core.strategy_factory,
            token: core.token,
            strategy: core.strategy,
            symbiotic,
        }
    }

    /// The ports of its first start, which peers' addresses name.
    ///
    /// # Errors
    ///
    /// The file was changed by hand.
    pub fn ports(&self) -> anyhow::Result<Ports> {
        Ports::from(self.first_port)
    }

    /// The restaking core.
    #[must_use]
    pub fn eigenlayer(&self) -> EigenLayer {
        EigenLayer {
            allocation_manager: self.allocation_manager,
            delegation_manager: self.delegation_manager,
            strategy_manager: self.strategy_manager,
            eigen_pod_manager: self.eigen_pod_manager,
            permission_controller: self.permission_controller,
            strategy_factory: self.strategy_factory,
            token: self.token,
            strategy: self.strategy,
        }
    }

    /// Symbiotic, where something is staked there.
    #[must_use]
    pub const fn symbiotic(&self) -> Option<&Vaults> {
        self.symbiotic.as_ref()
    }

    /// The operators' names.
    #[must_use]
    pub fn operators(&self) -> &[String] {
        &self.operators
    }

    /// Adds one who joined.
    pub fn add(&mut self, name: &str) {
        if !self.operators.iter().any(|known| known == name) {
            self.operators.push(name.to_owned());
        }
    }
}

/// Describes a devnet for other programs.
#[must_use]
pub fn describe(
    layout: &Layout,
    ports: Ports,
    network: &NetworkFile,
    genesis: &Genesis,
    bitcoin_vaults: Address,
    operators: Vec<OperatorDescription>,
) -> Description {
    let core = network.eigenlayer();
    let address = |address: palisade_types::Address| Address::from(*address.as_bytes());
    Description {
        ethereum_rpc: ports.ethereum_url(),
        bitcoin_rpc: BitcoinRpc { url: ports.bitcoin_url(), cookie: crate::bitcoind::cookie(&layout.bitcoin()) },
        contracts: ContractsDescription {
            palisade: address(genesis.contracts.palisade),
            eigenlayer_adapter: address(genesis.contracts.eigenlayer_adapter),
            orders: address(genesis.contracts.orders),
            committee: address(genesis.contracts.committee),
            bitcoin_vaults,
            allocation_manager: core.allocation_manager,
            delegation_manager: core.delegation_manager,
            strategy_manager: core.strategy_manager,
            strategy: core.strategy,
            token: core.token,
            symbiotic: network.symbiotic().cloned(),
        },
        operators,
    }
}

/// Writes a file that is read whole or not at all.
///
/// # Errors
///
/// The disk fails.
pub fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let text = serde_json::to_string_pretty(value)? + "\n";
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, path)).with_context(|| path.display().to_string())
}

/// Reads one of the two files.
///
/// # Errors
///
/// It is missing or was changed by hand.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}
