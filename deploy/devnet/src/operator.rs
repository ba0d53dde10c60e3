//! One operator of the devnet: made with `palisade init`, registered like everybody else, run as a process of his own.

use crate::constants::{COVENANT, ENGINE_TARGET_MILLIS, LISTEN_MILLIS, STAKE_TOKENS};
use crate::description::OperatorDescription;
use crate::eigenlayer::{self, EigenLayer};
use crate::layout::{Layout, OperatorFiles, OperatorPorts, Ports, member};
use crate::process::Process;
use crate::symbiotic::{self, Vaults};
use crate::tools;
use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::http::reqwest;
use anyhow::{Context, ensure};
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use palisade_ethereum::{Account, Ethereum, Keys};
use palisade_node::covenant;
use palisade_node::identity;
use palisade_node::keys::{self, OperatorKeys};
use palisade_types::genesis::{Genesis, Seat};
use palisade_types::{Blob, DomainKind, OperatorId, SchnorrKey, operator::MAX_PEER_ID};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// One operator, with his files and ports.
#[derive(Clone, Debug)]
pub struct Operator {
    name: String,
    layout: Layout,
    files: OperatorFiles,
    ports: OperatorPorts,
}

impl Operator {
    /// The operator called `name`, whether he exists yet or not.
    ///
    /// # Errors
    ///
    /// The devnet has no place for him.
    pub fn new(layout: &Layout, ports: Ports, name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            layout: layout.clone(),
            files: layout.operator(name),
            ports: ports.operator(name)?,
        })
    }

    /// What the devnet calls him.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// His files.
    #[must_use]
    pub const fn files(&self) -> &OperatorFiles {
        &self.files
    }

    /// Makes his account, keys and folders with `palisade init`, if he has none.
    ///
    /// # Errors
    ///
    /// The command fails, or the disk.
    pub fn create(&self) -> anyhow::Result<()> {
        if self.files.config().exists() {
            return Ok(());
        }
        let secret = keys::random();
        let account = Account::from_bytes(&secret).context("an account's key")?;
        let mut command = Command::new(tools::ours("palisade")?);
        command.arg("init").arg("--home").arg(self.files.root());
        command.arg("--operator").arg(account.address().to_string());
        command.arg("--incarnation").arg(self.files.incarnation());
        make(&mut command, "palisade init")?;
        if self.in_covenant() {
            let mut command = Command::new(tools::ours("palisade")?);
            command.args(["covenant", "init", "--devnet-plain-key", "--home"]).arg(self.files.covenant());
            make(&mut command, "palisade covenant init")?;
        }
        keys::write_secret(&self.files.account_key(), &secret)?;
        Ok(())
    }

    fn in_covenant(&self) -> bool {
        COVENANT.contains(&self.name.as_str())
    }

    /// His account, which authorises his keys and, on a devnet, also pays for slashing.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn account(&self) -> anyhow::Result<PrivateKeySigner> {
        let secret = keys::read_secret(&self.files.account_key())?;
        PrivateKeySigner::from_slice(&*secret).context("an account's key")
    }

    /// His name in the ledger: his account.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn id(&self) -> anyhow::Result<OperatorId> {
        Ok(OperatorId::new(self.account()?.address().into_array()))
    }

    /// His secret keys; only the deliberate equivocation and proofs of possession ask for them here.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn keys(&self) -> anyhow::Result<OperatorKeys> {
        Ok(OperatorKeys::read(&self.files.keys())?)
    }

    /// His finality provider's public key.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn provider(&self, genesis: &Genesis) -> anyhow::Result<SchnorrKey> {
        let bitcoin = genesis.domain(DomainKind::Bitcoin);
        Ok(self.keys()?.public(&genesis.chain_id(), &bitcoin).eots)
    }

    /// His key in the covenant, if he is a member.
    ///
    /// # Errors
    ///
    /// The key file does not do.
    pub fn covenant(&self) -> anyhow::Result<Option<SchnorrKey>> {
        let public = || {
            let config = covenant::Config::read(&self.files.covenant().join("covenant.toml"))?;
            anyhow::Ok(covenant::server::public(&config)?)
        };
        self.in_covenant().then(public).transpose()
    }

    /// His node's name on the network, as multihash bytes and as text.
    fn peer(&self) -> anyhow::Result<(Blob<MAX_PEER_ID>, String)> {
        let peer = identity::read(&self.files.data().join("node.key"))?.public().to_peer_id();
        Ok((peer.to_bytes().try_into()?, peer.to_string()))
    }

    /// His seat in epoch 0.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn seat(&self) -> anyhow::Result<Seat> {
        let keys = self.keys()?.public(&palisade_types::ChainId::ZERO, &palisade_types::Domain::ZERO);
        Ok(Seat { operator: self.id()?, ed25519: keys.ed25519, peer: self.peer()?.0 })
    }

    /// Registers his keys with their proofs of possession, as `palisade join` does.
    ///
    /// # Errors
    ///
    /// The contract refuses them, or the chain does not answer.
    pub async fn register(&self, ethereum_url: &str, genesis: &Arc<Genesis>) -> anyhow::Result<()> {
        let possession = self.keys()?.possession(genesis, &self.id()?);
        let keys = Keys {
            bls: possession.keys.bls,
            bls_proof: possession.bls,
            ed25519: possession.keys.ed25519,
            ed25519_proof: possession.ed25519,
            eots: possession.keys.eots,
            eots_proof: possession.eots,
            peer: self.peer()?.0,
        };
        let account = Account::from_bytes(&self.account()?.to_bytes().0)?;
        let config = palisade_ethereum::Config::one(ethereum_url);
        let ethereum = Ethereum::connect(&config, genesis.clone(), None).await?;
        ethereum.register_keys(&account, &keys).await?;
        Ok(())
    }

    /// Becomes an EigenLayer operator, with the devnet's stake delegated to him by himself.
    ///
    /// # Errors
    ///
    /// The chain refuses a transaction.
    pub async fn stake(&self, ethereum_url: &str, core: &EigenLayer) -> anyhow::Result<()> {
        let account = self.account()?;
        let amount = U256::from(STAKE_TOKENS) * U256::from(1_000_000_000_000_000_000_u64);
        eigenlayer::stake(ethereum_url, core, &account, &account, amount).await
    }

    /// Says on Symbiotic that he works for the network and that the devnet's vaults may back him.
    ///
    /// # Errors
    ///
    /// The chain refuses a transaction.
    pub async fn opt_in(&self, ethereum_url: &str, vaults: &Vaults) -> anyhow::Result<()> {
        symbiotic::opt_in(ethereum_url, &vaults.core, &self.account()?, vaults.adapter, &vaults.all()).await
    }

    /// Joins the network's operator set and allocates everything to it. His keys must stand in Palisade.sol.
    ///
    /// # Errors
    ///
    /// The chain refuses a transaction.
    pub async fn allocate(&self, ethereum_url: &str, core: &EigenLayer, adapter: Address) -> anyhow::Result<()> {
        let magnitude = crate::constants::ALLOCATED_MAGNITUDE;
        eigenlayer::allocate(ethereum_url, core, &self.account()?, adapter, magnitude).await
    }

    /// Writes the node's configuration; `peers` are the others.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn configure(&self, ports: Ports, peers: &[Self]) -> anyhow::Result<()> {
        self.configure_with(ports, peers, &[ports.ethereum_url()])
    }

    /// As [`Self::configure`], with these Ethereum endpoints.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn configure_with(&self, ports: Ports, peers: &[Self], ethereum: &[String]) -> anyhow::Result<()> {
        let others = peers.iter().filter(|peer| peer.name != self.name);
        self.write_config(&ConfigText {
            operator: self.id()?,
            ethereum: ethereum.to_vec(),
            bitcoin: ports.bitcoin_url(),
            ports: self.ports,
            host: LOOPBACK.to_owned(),
            rpc_host: LOOPBACK.to_owned(),
            peers: others.map(Self::address).collect::<anyhow::Result<_>>()?,
            covenant: self.in_covenant(),
        })?;
        if self.in_covenant() {
            let path = self.files.covenant().join("covenant.toml");
            fs::write(&path, covenant_config(&ports.bitcoin_url())).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Writes the node's configuration for a machine of its own, on which the chains and the other nodes have other addresses.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn configure_apart(&self, apart: &Apart<'_>) -> anyhow::Result<()> {
        self.write_config(&ConfigText {
            operator: self.id()?,
            ethereum: vec![format!("http://{}:{}", apart.chains, apart.ports.ethereum())],
            bitcoin: format!("http://{}:{}", apart.chains, apart.ports.bitcoin()),
            ports: self.ports,
            host: apart.host.to_owned(),
            rpc_host: apart.rpc.to_owned(),
            peers: apart.peers.iter().map(|(peer, host)| peer.address_at(host)).collect::<anyhow::Result<_>>()?,
            covenant: self.in_covenant(),
        })
    }

    fn write_config(&self, text: &ConfigText) -> anyhow::Result<()> {
        let path = self.files.config();
        fs::write(&path, config(text)?).with_context(|| path.display().to_string())
    }

    /// Where other nodes reach his.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn address(&self) -> anyhow::Result<String> {
        self.address_at(LOOPBACK)
    }

    fn address_at(&self, host: &str) -> anyhow::Result<String> {
        Ok(format!("/ip4/{host}/tcp/{}/p2p/{}", self.ports.p2p, self.peer()?.1))
    }

    /// The port of his JSON-RPC.
    #[must_use]
    pub const fn rpc_port(&self) -> u16 {
        self.ports.rpc
    }

    /// The socket by which modules of services reach his signer (R14).
    #[must_use]
    pub fn service_socket(&self) -> PathBuf {
        self.files.root().join(SERVICE_SOCKET)
    }

    /// His node's JSON-RPC address.
    #[must_use]
    pub fn rpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.rpc)
    }

    /// A client of his node.
    ///
    /// # Errors
    ///
    /// Its address is none.
    pub fn client(&self) -> anyhow::Result<HttpClient> {
        Ok(HttpClientBuilder::default().request_timeout(ANSWER).build(self.rpc())?)
    }

    /// One series of his node's metrics, named with its labels as it is printed; `None` when there is no such series.
    ///
    /// # Errors
    ///
    /// His node does not answer.
    pub async fn metric(&self, series: &str) -> anyhow::Result<Option<f64>> {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports.metrics);
        let client = reqwest::Client::builder().timeout(ANSWER).build()?;
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?)
    }

    /// His node's process.
    #[must_use]
    pub fn process(&self) -> Process {
        self.layout.process(&self.name)
    }

    /// His covenant process, if he is a member.
    #[must_use]
    pub fn covenant_process(&self) -> Option<Process> {
        self.in_covenant().then(|| self.layout.process(&member(&self.name)))
    }

    /// Starts his covenant process, if he is a member and it does not run.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start_covenant(&self) -> anyhow::Result<()> {
        let Some(process) = self.covenant_process().filter(|process| process.pid().is_none()) else { return Ok(()) };
        let mut command = Command::new(tools::ours("palisade")?);
        command.args(["covenant", "run", "--config"]).arg(self.files.covenant().join("covenant.toml"));
        process.start(&mut command, &self.layout.log(&member(&self.name)))?;
        Ok(())
    }

    /// Starts his node, and his covenant process when it does not run.
    ///
    /// # Errors
    ///
    /// The node runs already, or one of them cannot be started.
    pub fn start(&self) -> anyhow::Result<u32> {
        self.start_by(Command::new(tools::ours("palisade")?))
    }

    /// The same in a network namespace.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_in(&self, namespace: &str) -> anyhow::Result<u32> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(tools::ours("palisade")?);
        self.start_by(command)
    }

    fn start_by(&self, mut palisade: Command) -> anyhow::Result<u32> {
        self.start_covenant()?;
        palisade.arg("run").arg("--config").arg(self.files.config());
        self.process().start(&mut palisade, &self.layout.log(&self.name))
    }

    /// What others may know of him.
    ///
    /// # Errors
    ///
    /// He was not made yet.
    pub fn describe(&self) -> anyhow::Result<OperatorDescription> {
        Ok(OperatorDescription {
            name: self.name.clone(),
            id: self.id()?.to_string(),
            rpc: self.rpc(),
            p2p: self.address()?,
            data_dir: self.files.data(),
            signer_dir: self.files.signer(),
            pid: self.process().pid(),
        })
    }
}

fn make(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let made = command.stdin(Stdio::null()).output().with_context(|| format!("{what} cannot be started"))?;
    ensure!(made.status.success(), "{what} failed: {}", String::from_utf8_lossy(&made.stderr).trim());
    Ok(())
}

/// The covenant process' configuration. Nobody is there to type a passphrase, so the key is a plain file.
fn covenant_config(bitcoin: &str) -> String {
    format!(
        r#"# Written by palisade-devnet; reset makes it anew.
genesis = "../../../genesis.json"
devnet_plain_key = "covenant.key"
records = "records"
socket = "run/sock"

[[bitcoin]]
rpc = "{bitcoin}"
cookie = "../../../bitcoin/regtest/.cookie"
"#
    )
}

/// Where everything is for a node on a machine of its own.
#[derive(Clone, Copy, Debug)]
pub struct Apart<'a> {
    /// The devnet's.
    pub ports: Ports,
    /// The address at which it reaches the chains.
    pub chains: &'a str,
    /// The one on which it listens for other nodes,
    pub host: &'a str,
    /// and the one for JSON-RPC.
    pub rpc: &'a str,
    /// The others, and their addresses.
    pub peers: &'a [(&'a Operator, &'a str)],
}

/// Where a devnet listens as a rule.
const LOOPBACK: &str = "127.0.0.1";

/// Where modules of services reach his signer (R14), from his folder.
const SERVICE_SOCKET: &str = "service/sock";

/// What differs between two operators' configurations.
struct ConfigText {
    operator: OperatorId,
    ethereum: Vec<String>,
    bitcoin: String,
    ports: OperatorPorts,
    host: String,
    rpc_host: String,
    peers: Vec<String>,
    covenant: bool,
}

/// Paths count from the file's own folder, so that the whole devnet can be moved.
fn config(text: &ConfigText) -> anyhow::Result<String> {
    let ConfigText { operator, ethereum, bitcoin, ports, host, rpc_host, peers, covenant } = text;
    let OperatorPorts { p2p, rpc, metrics } = ports;
    let covenant = if *covenant { "[covenant]\nsocket = \"covenant/run/sock\"\n" } else { "" };
    // A list of strings is written alike in JSON and TOML.
    let (ethereum, peers) = (serde_json::to_string(ethereum)?, serde_json::to_string_pretty(peers)?);
    Ok(format!(
        r#"# Written by palisade-devnet; reset makes it anew.
genesis = "../../genesis.json"
data_dir = "data"
signer_dir = "signer"
incarnation = "incarnation"
operator = "{operator}"

[ethereum]
rpc = {ethereum}
sender_key = "signer/keys/ethereum.key"

[bitcoin]
rpc = "{bitcoin}"
cookie = "../../bitcoin/regtest/.cookie"

[p2p]
listen = ["/ip4/{host}/tcp/{p2p}"]
peers = {peers}

[rpc]
listen = "{rpc_host}:{rpc}"

[metrics]
listen = "127.0.0.1:{metrics}"

[engine]
target_ms = {ENGINE_TARGET_MILLIS}
listen_ms = {LISTEN_MILLIS}

[service]
socket = "{SERVICE_SOCKET}"

{covenant}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_configuration() {
        let ports = Ports::from(20_000).unwrap();
        let peer = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";
        let text = config(&ConfigText {
            operator: OperatorId::new([9; 20]),
            ethereum: vec![ports.ethereum_url(); 2],
            bitcoin: ports.bitcoin_url(),
            ports: ports.operator("bob").unwrap(),
            host: "198.18.0.2".to_owned(),
            rpc_host: LOOPBACK.to_owned(),
            peers: vec![peer.to_owned()],
            covenant: true,
        });
        let config: palisade_node::config::Config = toml::from_str(&text.unwrap()).unwrap();
        assert_eq!(config.operator, OperatorId::new([9; 20]));
        assert_eq!((config.ethereum.rpc.len(), config.p2p.peers.len()), (2, 1));
        assert!(config.covenant.socket.is_some() && config.service.socket.is_some());
    }

    #[test]
    fn the_covenants_file_is_a_configuration() {
        let folder = std::env::temp_dir().join(format!("palisade-covenant-toml-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("covenant.toml");
        fs::write(&path, covenant_config("http://127.0.0.1:1")).unwrap();
        let config = covenant::Config::read(&path).unwrap();
        assert!(config.devnet_plain_key.is_some() && config.socket.ends_with("run/sock"));
        fs::remove_dir_all(folder).unwrap();
    }
}
