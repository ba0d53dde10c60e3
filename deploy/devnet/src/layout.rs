//! Where a devnet keeps its things, and on which ports it listens.

use crate::constants::{
    BITCOIN_PORT, COVENANT, ETHEREUM_PORT, FIRST_PORT, LATECOMER, OPERATOR_PORT, OPERATORS, PORTS, PORTS_PER_OPERATOR,
};
use crate::process::Process;
use anyhow::{Context, ensure};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// The state folder of one devnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A devnet in `root`, which need not exist yet.
    ///
    /// # Errors
    ///
    /// The path cannot be made absolute.
    pub fn new(root: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("{} is no path", root.display()))?;
        Ok(Self { root })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Says that the folder is a devnet's, so that only such a folder is ever removed.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.root.join(".palisade-devnet")
    }
    /// What other programs may read of the devnet.
    #[must_use]
    pub fn description(&self) -> PathBuf {
        self.root.join("devnet.json")
    }
    /// What this program must know to go on; written last, so that it says that the first start was completed.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.root.join("network.json")
    }
    /// The network's genesis file.
    #[must_use]
    pub fn genesis(&self) -> PathBuf {
        self.root.join("genesis.json")
    }
    /// anvil's stored state.
    #[must_use]
    pub fn anvil_state(&self) -> PathBuf {
        self.root.join("anvil").join("state.json")
    }
    /// Is there while anvil runs: if it is there and anvil is not, the stored state is an old one.
    #[must_use]
    pub fn anvil_unsaved(&self) -> PathBuf {
        self.root.join("anvil").join("unsaved")
    }
    /// bitcoind's data.
    #[must_use]
    pub fn bitcoin(&self) -> PathBuf {
        self.root.join("bitcoin")
    }
    /// The key of the staker behind every vault.
    #[must_use]
    pub fn staker_key(&self) -> PathBuf {
        self.root.join("staker").join("staker.key")
    }
    /// What one operator has.
    #[must_use]
    pub fn operator(&self, name: &str) -> OperatorFiles {
        OperatorFiles { root: self.root.join("operators").join(name) }
    }
    /// What one service has.
    #[must_use]
    pub fn service(&self, name: &str) -> PathBuf {
        self.root.join("services").join(name)
    }
    /// Everything `name` says: an operator, his covenant process or one of his services' modules, `anvil`, `bitcoind` or `miner`.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        match name {
            "bitcoind" => self.bitcoin().join("regtest").join("debug.log"),
            _ => self.root.join("logs").join(format!("{name}.log")),
        }
    }
    /// The process called `name`.
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        Process::new(name, self.root.join("pids").join(format!("{name}.pid")))
    }
}

/// The folder of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorFiles {
    root: PathBuf,
}

impl OperatorFiles {
    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The node's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("palisade.toml")
    }
    /// The ledger and the network key.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }
    /// The guard's record and the keys.
    #[must_use]
    pub fn signer(&self) -> PathBuf {
        self.root.join("signer")
    }
    /// The folder of the keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.signer().join("keys")
    }
    /// By this file the signer notices that its record was restored; apart from both others.
    #[must_use]
    pub fn incarnation(&self) -> PathBuf {
        self.root.join("incarnation")
    }
    /// The operator's account on Ethereum, which also pays for slashing.
    #[must_use]
    pub fn account_key(&self) -> PathBuf {
        self.keys().join("ethereum.key")
    }
    /// The folder of his covenant process, if he is a member: its key, configuration, record and socket.
    #[must_use]
    pub fn covenant(&self) -> PathBuf {
        self.root.join("covenant")
    }
    /// The registration of his vault, as hex.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.root.join("vault.hex")
    }
}

/// The processes that are no nodes.
pub const CHAINS: [&str; 3] = ["anvil", "bitcoind", "miner"];

/// The covenant process of an operator who is a member.
#[must_use]
pub fn member(operator: &str) -> String {
    format!("{operator}-covenant")
}

/// Every covenant process.
pub fn members() -> impl Iterator<Item = String> {
    COVENANT.into_iter().map(member)
}

/// The devnet's services, which `service up` founds.
pub const SERVICES: [&str; 2] = ["notary", "archive"];

/// The process of one operator's module of a service.
#[must_use]
pub fn module(service: &str, operator: &str) -> String {
    format!("{operator}-{service}")
}

/// Every process of a module.
pub fn modules() -> impl Iterator<Item = String> {
    SERVICES.into_iter().flat_map(|service| names().map(move |operator| module(service, operator)))
}

/// Every process that there may be.
pub fn everybody() -> impl Iterator<Item = String> {
    CHAINS.into_iter().chain(names()).map(str::to_owned).chain(members()).chain(modules())
}

/// Every operator's name and place, the latecomer last.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.into_iter().chain([LATECOMER])
}

/// Where a devnet listens, on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
}

/// Where one operator listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorPorts {
    /// libp2p over TCP.
    pub p2p: u16,
    /// JSON-RPC.
    pub rpc: u16,
    /// Metrics and health.
    pub metrics: u16,
}

impl Ports {
    /// Counted from `first`.
    ///
    /// # Errors
    ///
    /// There are not enough ports above it.
    pub fn from(first: u16) -> anyhow::Result<Self> {
        ensure!(
            (1_024..=u16::MAX - PORTS).contains(&first),
            "the first port must be from 1024 to {}",
            u16::MAX - PORTS
        );
        Ok(Self { first })
    }

    /// `PALISADE_DEVNET_PORT`, or [`FIRST_PORT`].
    ///
    /// # Errors
    ///
    /// The variable holds no usable port.
    pub fn chosen() -> anyhow::Result<Self> {
        match std::env::var("PALISADE_DEVNET_PORT") {
            Ok(text) => Self::from(text.parse().with_context(|| format!("PALISADE_DEVNET_PORT is {text:?}"))?),
            Err(_) => Self::from(FIRST_PORT),
        }
    }

    /// A range in which nobody listens now, for tests.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn free() -> anyhow::Result<Self> {
        // Below the range that the system gives to outgoing connections, from a place that differs by process.
        let start = u16::try_from(std::process::id() % 600).expect("less than 600") * PORTS + 10_000;
        let candidates = (0..20_u16).map(|range| start + range * PORTS).filter_map(|first| Self::from(first).ok());
        candidates.into_iter().find(|ports| ports.check_free().is_ok()).context("no free range of ports")
    }

    /// The first.
    #[must_use]
    pub const fn first(&self) -> u16 {
        self.first
    }
    /// anvil's.
    #[must_use]
    pub const fn ethereum(&self) -> u16 {
        self.first + ETHEREUM_PORT
    }
    /// bitcoind's.
    #[must_use]
    pub const fn bitcoin(&self) -> u16 {
        self.first + BITCOIN_PORT
    }
    /// anvil's endpoint.
    #[must_use]
    pub fn ethereum_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ethereum())
    }
    /// bitcoind's endpoint.
    #[must_use]
    pub fn bitcoin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.bitcoin())
    }
    /// An operator's.
    ///
    /// # Errors
    ///
    /// There is no such operator.
    pub fn operator(&self, name: &str) -> anyhow::Result<OperatorPorts> {
        let place = names().position(|known| known == name);
        let place = place.with_context(|| {
            format!("there is no operator {name}; there are {}", names().collect::<Vec<_>>().join(", "))
        })?;
        let p2p = self.first + OPERATOR_PORT + PORTS_PER_OPERATOR * u16::try_from(place)?;
        Ok(OperatorPorts { p2p, rpc: p2p + 1, metrics: p2p + 2 })
    }

    /// Checks that nobody listens where the devnet will.
    ///
    /// # Errors
    ///
    /// Names the first port that is taken.
    pub fn check_free(&self) -> anyhow::Result<()> {
        let mut wanted = vec![("anvil", self.ethereum()), ("bitcoind", self.bitcoin())];
        for name in names() {
            let OperatorPorts { p2p, rpc, metrics } = self.operator(name)?;
            wanted.extend([p2p, rpc, metrics].map(|port| (name, port)));
        }
        for (who, port) in wanted {
            TcpListener::bind(("127.0.0.1", port)).with_context(|| {
                format!(
                    "port {port}, meant for {who}, is in use; PALISADE_DEVNET_PORT=… up takes others on a first start"
                )
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_a_port_of_its_own() {
        let ports = Ports::from(20_000).unwrap();
        let mut all = vec![ports.ethereum(), ports.bitcoin()];
        for name in names() {
            let OperatorPorts { p2p, rpc, metrics } = ports.operator(name).unwrap();
            all.extend([p2p, rpc, metrics]);
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|port| *port < ports.first() + PORTS));
        assert!(ports.operator("mallory").is_err());
        assert!(Ports::from(u16::MAX).is_err());
    }

    #[test]
    fn a_taken_port_is_named_with_whose_it_would_be() {
        let ports = Ports::free().unwrap();
        let taken = ports.operator("bob").unwrap().rpc;
        let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let error = ports.check_free().unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("bob"), "{error}");
    }
}
