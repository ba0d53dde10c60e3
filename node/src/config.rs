//! What one operator decides about his own node: one TOML file, checked once at start into values that need no
//! second look. What a network agrees on is in genesis and nowhere here.
//!
//! Relative paths count from the file's own folder. Flags and `PALISADE_…` variables exist only for what differs
//! between two runs ([`Overrides`]). Secrets never stand in the file, only the paths of files that hold them.

use crate::genesis_file;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use palisade_agreement::app::Pace;
use palisade_bitcoin::{Auth, Endpoint};
use palisade_types::Genesis;
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::OperatorId;
use palisade_types::units::Height;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// The largest configuration file, in bytes.
pub const MAX_CONFIG_FILE: u64 = 1 << 20;
/// A quiet day fits on a page: of the engine and the swarm only what an operator must notice.
pub const DEFAULT_FILTER: &str = "info,arc_malachitebft=warn,libp2p=warn";
/// The most endpoints, peers or addresses of one list.
pub const MAX_ENTRIES: usize = 64;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network's genesis file. No default.
    pub genesis: PathBuf,
    /// Folder of the ledger's database, the engine's log and the network key. A backup of it may be restored at
    /// any time. No default.
    pub data_dir: PathBuf,
    /// Folder of the signer's keys and of its record of everything it signed; outside `data_dir`, so that restoring
    /// one does not restore the other. No default.
    pub signer_dir: PathBuf,
    /// File outside everything that is backed up: by it the signer notices that its record was restored (R15).
    /// Default: `$XDG_STATE_HOME/palisade/<operator>.incarnation`, or the same below `~/.local/state`.
    #[serde(default)]
    pub incarnation: PathBuf,
    /// The operator: his account on Ethereum. No default.
    #[serde(deserialize_with = "from_text")]
    pub operator: OperatorId,
    /// His own Ethereum endpoints.
    pub ethereum: Ethereum,
    /// His own Bitcoin endpoints, at least one: a table `[bitcoin]`, or several `[[bitcoin]]`. All of them are asked, and the
    /// heaviest chain that any shows counts, so that one honest endpoint is enough.
    #[serde(deserialize_with = "from_one_or_more")]
    pub bitcoin: Vec<Bitcoin>,
    /// The network of operators.
    #[serde(default)]
    pub p2p: P2p,
    /// JSON-RPC.
    #[serde(default)]
    pub rpc: Rpc,
    /// Metrics and health.
    #[serde(default)]
    pub metrics: Metrics,
    /// How patiently the engine waits.
    #[serde(default)]
    pub engine: Engine,
    /// How a node that is behind catches up.
    #[serde(default)]
    pub sync: Sync,
    /// What is kept on the disk.
    #[serde(default)]
    pub store: Store,
    /// Whether this node presigns vaults.
    #[serde(default)]
    pub covenant: Covenant,
    /// See [`Service`].
    #[serde(default)]
    pub service: Service,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
}

/// `[ethereum]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ethereum {
    /// JSON-RPC endpoints, best first; at least one. No default.
    #[serde(deserialize_with = "from_texts")]
    pub rpc: Vec<HttpUrl>,
    /// How many of them must say the same before it counts. Default: more than half.
    #[serde(default)]
    pub agreeing: Option<usize>,
    /// File with the secret key (32 bytes of hex) of the account that pays for slashing transactions; only its owner
    /// may read it. Default: none, and this node leaves slashing on Ethereum to others.
    #[serde(default)]
    pub sender_key: Option<PathBuf>,
}

/// `[bitcoin]`
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "BitcoinTable")]
pub struct Bitcoin {
    /// Bitcoin Core's JSON-RPC endpoint. No default.
    pub rpc: HttpUrl,
    /// How to log in: key `cookie`, or `user` with `password_file`.
    pub login: BitcoinLogin,
    /// How old the newest block may be, in seconds, before nothing new is taken in (R30); the smallest of several counts.
    /// Default: three hours.
    pub max_tip_age: Duration,
}

/// How Bitcoin Core lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BitcoinLogin {
    /// The cookie file that bitcoind writes at each start.
    Cookie(PathBuf),
    /// A user, and a file with his password; only its owner may read it.
    Password {
        /// `rpcuser` or a name of `rpcauth`.
        user: String,
        /// The file.
        password_file: PathBuf,
    },
}

/// `[p2p]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct P2p {
    /// Addresses to listen on. Default: TCP port 26100 on every interface.
    #[serde(deserialize_with = "from_texts")]
    pub listen: Vec<Multiaddr>,
    /// Where peers reach this node when that is not where it listens, as behind a router. Default: where it listens.
    #[serde(deserialize_with = "from_texts")]
    pub announce: Vec<Multiaddr>,
    /// Whether to ask those we know where the other members are, and to call them. Default: true.
    pub discover: bool,
    /// Peers to keep a connection to, each ending in `/p2p/<peer id>`; they may follow, whoever they are. Default: none.
    #[serde(deserialize_with = "from_texts")]
    pub peers: Vec<PeerAddress>,
}

/// `[rpc]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpc {
    /// Address to listen on, HTTP and WebSocket. Default: 127.0.0.1:26110. Nothing is encrypted: put a proxy in
    /// front before opening it to others.
    pub listen: SocketAddr,
    /// Names and addresses, with a port or `:*`, that a request may have in its `Host` header; loopback and `listen`
    /// always may. Default: none.
    pub hosts: Vec<String>,
    /// Web pages (`https://host`) that may call from a browser. Default: none.
    pub origins: Vec<String>,
    /// Largest request, bytes. Default: 1048576.
    pub max_body_bytes: u32,
    /// Largest answer, bytes. Default: 16777216.
    pub max_response_bytes: u32,
    /// Most calls of one batch. Default: 32.
    pub max_batch: u32,
    /// Most connections at once. Default: 128.
    pub max_connections: u32,
}

/// `[metrics]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address of `/metrics` and `/health`. Default: 127.0.0.1:26120.
    pub listen: SocketAddr,
}

/// `[engine]`, all in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// Longest wait for a proposal. Default: 3000.
    #[serde(rename = "propose_ms", deserialize_with = "from_millis")]
    pub propose: Duration,
    /// Longest wait for prevotes after two thirds of them. Default: 1000.
    #[serde(rename = "prevote_ms", deserialize_with = "from_millis")]
    pub prevote: Duration,
    /// Longest wait for precommits after two thirds of them. Default: 1000.
    #[serde(rename = "precommit_ms", deserialize_with = "from_millis")]
    pub precommit: Duration,
    /// What each further round adds to the three. Default: 500.
    #[serde(rename = "step_ms", deserialize_with = "from_millis")]
    pub step: Duration,
    /// How long one height takes at least. Default: 1000.
    #[serde(rename = "target_ms", deserialize_with = "from_millis")]
    pub target: Duration,
    /// Longest wait at the start for peers with a quorum of power. Default: 10000.
    #[serde(rename = "quorum_wait_ms", deserialize_with = "from_millis")]
    pub quorum_wait: Duration,
    /// For how long after a start nothing is signed: signatures of our own key that come from elsewhere meanwhile stop the node
    /// before it can contradict them (R20). Default: 10000.
    #[serde(rename = "listen_ms", deserialize_with = "from_millis")]
    pub listen: Duration,
    /// How often peers are told how far we are. Default: 5000.
    #[serde(rename = "status_ms", deserialize_with = "from_millis")]
    pub status: Duration,
}

/// `[sync]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// Where a node with an empty store begins: `genesis`, or `snapshot`, the state after the last boundary block that Committee.sol has
    /// seen, taken from peers and proven. Without one it begins with genesis too. Default: genesis.
    #[serde(deserialize_with = "from_text")]
    pub from: Beginning,
    /// A block that this operator trusts, `height:id`: the chain must hold it, as it must hold Committee.sol's last boundary (R13). For
    /// a node that was away for longer than faults can be proven, from a source that its operator trusts. Default: none.
    #[serde(deserialize_with = "from_optional_text")]
    pub checkpoint: Option<Checkpoint>,
}

/// `[store]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Which blocks are kept: `all`, or `window`, those in which something that can still be slashed was said, and up to as many before
    /// them. The ledger itself is always whole. Default: all, so that others can replay the history.
    #[serde(deserialize_with = "from_text")]
    pub keep: KeptBlocks,
}

/// Which blocks are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptBlocks {
    /// Every one.
    #[default]
    All,
    /// Those of the last slashable window or two.
    Window,
}

/// Where an empty ledger begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// With genesis: every block is applied.
    #[default]
    Genesis,
    /// With the state after a later block.
    Snapshot,
}

/// A block that an operator trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint(pub FinalBlock);

/// `[covenant]`: by default this node signs for no vault.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Covenant {
    /// Whether this node itself holds the key of a covenant member, `keys/covenant.key` in `signer_dir`, and signs with it.
    /// Default: false.
    pub enabled: bool,
    /// The socket of a process of its own that holds the member's key (`palisade covenant run`); not together with
    /// `enabled`, nor with a key in `signer_dir`. Default: none.
    pub socket: Option<PathBuf>,
}

/// `[service]`: by default no module of a service reaches the signer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Where local modules of services hand in what they want attested (R14): a socket in a folder of its own, which only this user
    /// opens. Default: none.
    pub socket: Option<PathBuf>,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `pretty` for people, `json` for machines. Default: pretty.
    #[serde(deserialize_with = "from_text")]
    pub format: LogFormat,
    /// What is logged, as `tracing` writes filters. Default: [`DEFAULT_FILTER`].
    pub filter: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What may differ between two runs with one file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// Instead of `rpc.listen`
    #[arg(long, env = "PALISADE_RPC_LISTEN", value_name = "ADDRESS")]
    pub rpc_listen: Option<SocketAddr>,
    /// Instead of `metrics.listen`
    #[arg(long, env = "PALISADE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Instead of `log.format`: pretty or json
    #[arg(long, env = "PALISADE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Instead of `log.filter`
    #[arg(long, env = "PALISADE_LOG", value_name = "FILTER")]
    pub log_filter: Option<String>,
}

/// An `http://` or `https://` address. Its path may hold an access key, so it prints as scheme and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

/// Where a peer listens, and who must answer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Who.
    pub peer: PeerId,
    /// Where, without the peer id.
    pub address: Multiaddr,
}

/// Why a configuration is not taken: one readable line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that is needed is missing, closed to us or open to others.
    #[error("{}: {what}: {reason}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Which key names it.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The text is no TOML, a key is unknown or missing, or a value is not what its key asks for.
    #[error("{}:{line}: {place}{reason}", file.display())]
    Text {
        /// The configuration file.
        file: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// `key … : `, or nothing when the reason names it.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Two values do not go together, or one makes no sense.
    #[error("{}: key `{key}`: {reason}", file.display())]
    Value {
        /// The configuration file.
        file: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Config {
    /// Reads the file and the genesis it names, and checks everything that can be checked without a chain.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] is one line for the person who typed it.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<(Self, Genesis), ConfigError> {
        let (config, genesis) = Self::read(file, overrides)?;
        config.check_files()?;
        Ok((config, genesis))
    }

    /// The same for who only looks at a node's folders while it is stopped: he needs no key, and no Bitcoin Core that runs and has
    /// written its cookie.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_at_rest(file: &Path) -> Result<(Self, Genesis), ConfigError> {
        Self::read(file, &Overrides::default())
    }

    fn read(file: &Path, overrides: &Overrides) -> Result<(Self, Genesis), ConfigError> {
        let mut config: Self = parse(file)?;
        config.override_with(overrides);
        config.place(file.parent().unwrap_or(Path::new("")), file)?;
        config.check(file)?;
        let genesis =
            genesis_file::read(&config.genesis).map_err(|error| wrong_file(&config.genesis, "genesis", error))?;
        Ok((config, genesis))
    }

    /// Where the network key lies: libp2p's identity, which the registry binds to the operator.
    #[must_use]
    pub fn node_key(&self) -> PathBuf {
        self.data_dir.join("node.key")
    }

    /// Where a covenant member's key lies that the node holds itself.
    #[must_use]
    pub fn covenant_key(&self) -> PathBuf {
        self.signer_dir.join("keys").join("covenant.key")
    }

    fn override_with(&mut self, overrides: &Overrides) {
        self.rpc.listen = overrides.rpc_listen.unwrap_or(self.rpc.listen);
        self.metrics.listen = overrides.metrics_listen.unwrap_or(self.metrics.listen);
        self.log.override_with(overrides);
    }

    /// Makes every path count from the file's folder.
    fn place(&mut self, folder: &Path, file: &Path) -> Result<(), ConfigError> {
        if self.incarnation.as_os_str().is_empty() {
            self.incarnation = default_incarnation(&self.operator).ok_or_else(|| ConfigError::Value {
                file: file.to_owned(),
                key: "incarnation",
                reason: "has no default here, neither XDG_STATE_HOME nor HOME is set".to_owned(),
            })?;
        }
        let logins = self.bitcoin.iter_mut().map(|bitcoin| bitcoin.login.path_mut());
        let paths = [&mut self.genesis, &mut self.data_dir, &mut self.signer_dir, &mut self.incarnation];
        let optional = [self.ethereum.sender_key.as_mut(), self.covenant.socket.as_mut(), self.service.socket.as_mut()];
        for path in paths.into_iter().chain(optional.into_iter().flatten()).chain(logins) {
            *path = folder.join(&*path);
        }
        Ok(())
    }

    fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let wrong = |key, reason: String| Err(ConfigError::Value { file: file.to_owned(), key, reason });
        if self.signer_dir.starts_with(&self.data_dir) || self.data_dir.starts_with(&self.signer_dir) {
            return wrong("signer_dir", "must lie apart from `data_dir`: one is restored without the other".to_owned());
        }
        if self.incarnation.starts_with(&self.data_dir) || self.incarnation.starts_with(&self.signer_dir) {
            return wrong(
                "incarnation",
                "must lie outside `data_dir` and `signer_dir`, which are backed up".to_owned(),
            );
        }
        if self.ethereum.rpc.is_empty() {
            return wrong("ethereum.rpc", "names no endpoint".to_owned());
        }
        if self.ethereum.agreeing.is_some_and(|agreeing| agreeing == 0 || agreeing > self.ethereum.rpc.len()) {
            return wrong("ethereum.agreeing", "must be at least 1 and at most the number of endpoints".to_owned());
        }
        if self.bitcoin.is_empty() || self.bitcoin.len() > MAX_ENTRIES {
            return wrong("bitcoin", "names no endpoint, or too many".to_owned());
        }
        if self.p2p.listen.is_empty() {
            return wrong("p2p.listen", "names no address".to_owned());
        }
        if self.covenant.socket.is_some() && (self.covenant.enabled || self.covenant_key().exists()) {
            let reason = "the covenant's key is in a process of its own or in `signer_dir`, never in both";
            return wrong("covenant.socket", reason.to_owned());
        }
        self.log.check(file)?;
        let limits = [
            ("rpc.max_body_bytes", self.rpc.max_body_bytes),
            ("rpc.max_response_bytes", self.rpc.max_response_bytes),
            ("rpc.max_batch", self.rpc.max_batch),
            ("rpc.max_connections", self.rpc.max_connections),
        ];
        if let Some((key, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return wrong(key, "lets nothing through".to_owned());
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), ConfigError> {
        if let Some(key) = &self.ethereum.sender_key {
            check_secret(key, "ethereum.sender_key")?;
        }
        if self.covenant.enabled {
            check_secret(&self.covenant_key(), "covenant.key")?;
        }
        // Bitcoin Core writes its cookie when it starts: one that is down must not keep us from starting with another.
        let checks: Vec<_> = self.bitcoin.iter().map(Bitcoin::check_files).collect();
        match checks.iter().any(Result::is_ok) {
            true => Ok(()),
            false => checks.into_iter().collect(),
        }
    }
}

impl Bitcoin {
    /// Checks that we can log in with what the file names.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`].
    pub fn check_files(&self) -> Result<(), ConfigError> {
        match &self.login {
            BitcoinLogin::Cookie(cookie) => check_readable(cookie, "bitcoin.cookie (is bitcoind running?)"),
            BitcoinLogin::Password { password_file, .. } => check_secret(password_file, "bitcoin.password_file"),
        }
    }

    /// The endpoint as the reader of Bitcoin takes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`]: the password cannot be read.
    pub fn endpoint(&self) -> Result<Endpoint, ConfigError> {
        Ok(Endpoint { url: self.rpc.as_str().to_owned(), auth: self.login.auth()? })
    }
}

impl BitcoinLogin {
    /// What Bitcoin Core is shown; a password is read from its file here.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`]: the password cannot be read.
    pub fn auth(&self) -> Result<Auth, ConfigError> {
        Ok(match self {
            Self::Cookie(path) => Auth::Cookie(path.clone()),
            Self::Password { user, password_file } => {
                let password = fs::read_to_string(password_file)
                    .map_err(|error| wrong_file(password_file, "bitcoin.password_file", error))?;
                Auth::Password { user: user.clone(), password: password.trim_end().to_owned() }
            }
        })
    }

    /// The file it names.
    pub(crate) fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Cookie(cookie) => cookie,
            Self::Password { password_file, .. } => password_file,
        }
    }
}

impl Log {
    /// Takes what the command line says instead.
    pub(crate) fn override_with(&mut self, overrides: &Overrides) {
        self.format = overrides.log_format.unwrap_or(self.format);
        if let Some(filter) = &overrides.log_filter {
            self.filter.clone_from(filter);
        }
    }

    pub(crate) fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let wrong = |reason| ConfigError::Value { file: file.to_owned(), key: "log.filter", reason };
        EnvFilter::try_new(&self.filter).map(drop).map_err(|error| wrong(error.to_string()))
    }
}

impl Ethereum {
    /// The endpoints as the reader of Ethereum takes them.
    #[must_use]
    pub fn endpoints(&self) -> palisade_ethereum::Config {
        let first = self.rpc.first().map(HttpUrl::as_str).unwrap_or_default();
        palisade_ethereum::Config {
            endpoints: self.rpc.iter().map(|url| url.as_str().to_owned()).collect(),
            agreeing: self.agreeing,
            ..palisade_ethereum::Config::one(first)
        }
    }
}

impl Config {
    /// The endpoints of Bitcoin as its reader takes them.
    ///
    /// # Errors
    ///
    /// A password file cannot be read.
    pub fn bitcoin(&self, genesis: Arc<Genesis>, grace: Duration) -> Result<palisade_bitcoin::Config, ConfigError> {
        let endpoints = self.bitcoin.iter().map(Bitcoin::endpoint).collect::<Result<Vec<_>, _>>()?;
        let max_tip_age = self.bitcoin.iter().map(|bitcoin| bitcoin.max_tip_age).min().unwrap_or(Duration::MAX);
        Ok(palisade_bitcoin::Config { endpoints, genesis, max_tip_age, grace, kept: Vec::new() })
    }
}

impl Engine {
    /// The waits as the engine takes them.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        Pace {
            propose: self.propose,
            prevote: self.prevote,
            precommit: self.precommit,
            step: self.step,
            target: Some(self.target),
        }
    }
}

/// Reads a TOML file.
pub(crate) fn parse<T: DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    let text = read_text(file)?;
    toml::from_str(&text).map_err(|error| wrong_text(file, &text, &error))
}

fn read_text(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |error: std::io::Error| wrong_file(file, "configuration", error);
    if fs::metadata(file).map_err(unreadable)?.len() > MAX_CONFIG_FILE {
        return Err(wrong_file(file, "configuration", format!("is larger than {MAX_CONFIG_FILE} bytes")));
    }
    fs::read_to_string(file).map_err(unreadable)
}

fn wrong_file(file: &Path, what: &'static str, reason: impl ToString) -> ConfigError {
    ConfigError::File { file: file.to_owned(), what, reason: reason.to_string() }
}

fn check_readable(file: &Path, what: &'static str) -> Result<(), ConfigError> {
    fs::File::open(file).map(drop).map_err(|error| wrong_file(file, what, error))
}

/// A secret that others can read is no secret.
pub(crate) fn check_secret(file: &Path, what: &'static str) -> Result<(), ConfigError> {
    check_readable(file, what)?;
    let mode = fs::metadata(file).map_err(|error| wrong_file(file, what, error))?.permissions().mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(wrong_file(file, what, format!("others may read it (mode {:o}); chmod 600 it", mode & 0o777)))
    }
}

/// Where the copy of an operator's incarnation lies when nobody says otherwise; `None` without a home.
#[must_use]
pub fn default_incarnation(operator: &OperatorId) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("palisade").join(format!("{operator}.incarnation")))
}

/// Turns the reader's complaint, which is several lines with a drawing, into one line with the key.
fn wrong_text(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let before = &text.as_bytes()[..start];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let reason = error.message().lines().collect::<Vec<_>>().join("; ");
    let place = match key_on(text, line) {
        Some(key) if !reason.contains("field `") => format!("key `{key}`: "),
        _ => table_of(text, line).map_or(String::new(), |table| format!("[{table}]: ")),
    };
    ConfigError::Text { file: file.to_owned(), line, place, reason }
}

fn key_on(text: &str, line: usize) -> Option<String> {
    let (key, _) = text.lines().nth(line - 1)?.split_once('=')?;
    let key = key.trim();
    Some(table_of(text, line).map_or_else(|| key.to_owned(), |table| format!("{table}.{key}")))
}

fn table_of(text: &str, line: usize) -> Option<&str> {
    let before = text.lines().take(line).filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    before.last()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BitcoinTable {
    #[serde(deserialize_with = "from_text")]
    rpc: HttpUrl,
    cookie: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    #[serde(default = "max_tip_age_s")]
    max_tip_age_s: u64,
}

/// Bitcoin takes so long for one block once in a thousand years.
const fn max_tip_age_s() -> u64 {
    3 * 3_600
}

impl TryFrom<BitcoinTable> for Bitcoin {
    type Error = &'static str;
    fn try_from(table: BitcoinTable) -> Result<Self, Self::Error> {
        let login = match (table.cookie, table.user, table.password_file) {
            (Some(cookie), None, None) => BitcoinLogin::Cookie(cookie),
            (None, Some(user), Some(password_file)) => BitcoinLogin::Password { user, password_file },
            _ => return Err("needs either `cookie`, or `user` and `password_file`"),
        };
        if table.max_tip_age_s == 0 {
            return Err("needs a `max_tip_age_s` above zero");
        }
        Ok(Self { rpc: table.rpc, login, max_tip_age: Duration::from_secs(table.max_tip_age_s) })
    }
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(input: D) -> Result<T, D::Error> {
    String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
}

fn from_optional_text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    from_text(input).map(Some)
}

fn from_texts<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(input: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(input)?;
    if texts.len() > MAX_ENTRIES {
        return Err(serde::de::Error::custom(format!("more than {MAX_ENTRIES} entries")));
    }
    let parse = |text: &String| text.parse().map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")));
    texts.iter().map(parse).collect()
}

/// A table, or a list of tables.
fn from_one_or_more<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Bitcoin>, D::Error> {
    struct Tables;
    impl<'de> Visitor<'de> for Tables {
        type Value = Vec<Bitcoin>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table, or a list of tables")
        }
        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
            Bitcoin::deserialize(MapAccessDeserializer::new(table)).map(|one| vec![one])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(tables))
        }
    }
    input.deserialize_any(Tables)
}

fn from_millis<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    match u64::deserialize(input)? {
        0 => Err(serde::de::Error::custom("must be at least 1 millisecond")),
        millis @ 1..=600_000 => Ok(Duration::from_millis(millis)),
        _ => Err(serde::de::Error::custom("must be at most 600000 milliseconds")),
    }
}

impl HttpUrl {
    /// The whole address, for whoever connects; not for logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpUrl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected an http:// or https:// address with a host";
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong)?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut address: Multiaddr = text.parse().map_err(|error| format!("not a multiaddress: {error}"))?;
        match address.pop() {
            Some(Protocol::P2p(peer)) if !address.is_empty() => Ok(Self { peer, address }),
            _ => Err("must end in /p2p/<peer id>".to_owned()),
        }
    }
}

impl FromStr for Beginning {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "genesis" => Ok(Self::Genesis),
            "snapshot" => Ok(Self::Snapshot),
            _ => Err("expected `genesis` or `snapshot`"),
        }
    }
}

impl FromStr for KeptBlocks {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "window" => Ok(Self::Window),
            _ => Err("expected `all` or `window`"),
        }
    }
}

impl FromStr for Checkpoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (height, id) = text.split_once(':').ok_or("must be height:id")?;
        let height = height.parse().map_err(|error| format!("{height:?} is no height: {error}"))?;
        let id = id.parse().map_err(|error| format!("{id:?} is no block's id: {error}"))?;
        Ok(Self(FinalBlock { height: Height::new(height), id }))
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("expected `pretty` or `json`"),
        }
    }
}

impl Default for P2p {
    fn default() -> Self {
        let listen = "/ip4/0.0.0.0/tcp/26100".parse().expect("a literal multiaddress");
        Self { listen: vec![listen], announce: Vec::new(), discover: true, peers: Vec::new() }
    }
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 26_110)),
            hosts: Vec::new(),
            origins: Vec::new(),
            max_body_bytes: 1 << 20,
            max_response_bytes: 16 << 20,
            max_batch: 32,
            max_connections: 128,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 26_120)) }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            propose: Duration::from_secs(3),
            prevote: Duration::from_secs(1),
            precommit: Duration::from_secs(1),
            step: Duration::from_millis(500),
            target: Duration::from_secs(1),
            quorum_wait: Duration::from_secs(10),
            listen: Duration::from_secs(10),
            status: Duration::from_secs(5),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: DEFAULT_FILTER.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesis_file::tests::sample;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn file() -> String {
        format!(
            r#"
genesis = "genesis.json"
data_dir = "data"
signer_dir = "signer"
incarnation = "incarnation"
operator = "0x0909090909090909090909090909090909090909"

[ethereum]
rpc = ["http://127.0.0.1:8545/secret-key"]
sender_key = "ethereum.key"

[bitcoin]
rpc = "http://127.0.0.1:18443"
cookie = ".cookie"

[p2p]
peers = ["/ip4/127.0.0.1/tcp/26101/p2p/{PEER}"]

[engine]
propose_ms = 1500

[log]
format = "json"
filter = "palisade=debug,info"
"#
        )
    }

    /// Everything a good configuration needs, with `text` as the file.
    fn load(text: &str) -> Result<(Config, Genesis), ConfigError> {
        load_after(text, |_| {})
    }

    fn load_after(text: &str, change: impl FnOnce(&Path)) -> Result<(Config, Genesis), ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("palisade.toml"), text).unwrap();
        fs::write(path("genesis.json"), genesis_file::to_json(&sample())).unwrap();
        for secret in ["ethereum.key", ".cookie", "password"] {
            fs::write(path(secret), "00").unwrap();
            fs::set_permissions(path(secret), fs::Permissions::from_mode(0o600)).unwrap();
        }
        change(folder.path());
        Config::load(&path("palisade.toml"), &Overrides::default())
    }

    fn refusal(text: &str) -> String {
        let line = load(text).unwrap_err().to_string();
        assert!(!line.contains('\n'), "more than one line: {line}");
        line
    }

    #[test]
    fn a_good_file_is_taken_with_its_defaults() {
        let (config, genesis) = load(&file()).unwrap();
        assert_eq!(genesis, sample());
        assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("data"));
        assert_eq!(config.engine.propose, Duration::from_millis(1500));
        assert_eq!(config.engine.prevote, Duration::from_secs(1));
        assert_eq!(config.rpc.max_body_bytes, 1 << 20);
        assert!(config.rpc.listen.ip().is_loopback());
        assert_eq!(config.p2p.peers[0].peer.to_string(), PEER);
        assert_eq!(config.log.format, LogFormat::Json);
    }

    #[test]
    fn r13_a_checkpoint_is_a_height_and_an_id() {
        let id = format!("0x{}", "07".repeat(32));
        let text =
            file().replace("[engine]", &format!("[sync]\nfrom = \"snapshot\"\ncheckpoint = \"12:{id}\"\n[engine]"));
        let (config, _) = load(&text).unwrap();
        let block = config.sync.checkpoint.unwrap().0;
        assert_eq!((block.height.get(), block.id.to_string()), (12, id));
        assert_eq!(config.sync.from, Beginning::Snapshot);
        let Sync { from, checkpoint } = load(&file()).unwrap().0.sync;
        assert_eq!((from, checkpoint), (Beginning::Genesis, None));
        let (config, _) = load(&file().replace("[engine]", "[store]\nkeep = \"window\"\n[engine]")).unwrap();
        assert_eq!((config.store.keep, Store::default().keep), (KeptBlocks::Window, KeptBlocks::All));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_its_key() {
        let file = file();
        let cases = [
            ("data_dir = \"data\"", "dada_dir = \"data\"", "unknown field `dada_dir`"),
            ("[engine]", "[engine]\npropose = 3", "[engine]: unknown field `propose`"),
            ("operator = \"0x09", "operator = \"0x", "key `operator`: expected 20 bytes of hex"),
            ("data_dir = \"data\"\n", "", "missing field `data_dir`"),
            ("propose_ms = 1500", "propose_ms = 0", "key `engine.propose_ms`: must be at least 1 millisecond"),
            ("propose_ms = 1500", "propose_ms = \"soon\"", "key `engine.propose_ms`: invalid type"),
            ("http://127.0.0.1:8545/secret-key", "127.0.0.1:8545", "key `ethereum.rpc`"),
            ("[\"http://127.0.0.1:8545/secret-key\"]", "[]", "key `ethereum.rpc`: names no endpoint"),
            ("/p2p/", "/tcp/", "key `p2p.peers`"),
            ("cookie = \".cookie\"", "user = \"me\"", "needs either `cookie`"),
            ("[engine]", "[sync]\nfrom = \"yesterday\"\n[engine]", "key `sync.from`: expected `genesis` or `snapshot`"),
            ("[engine]", "[store]\nkeep = \"some\"\n[engine]", "key `store.keep`: expected `all` or `window`"),
            ("[engine]", "[sync]\ncheckpoint = \"12\"\n[engine]", "key `sync.checkpoint`: must be height:id"),
            ("[engine]", "[sync]\ncheckpoint = \"12:0x\"\n[engine]", "key `sync.checkpoint`: \"0x\" is no block's id"),
            ("\"json\"", "\"xml\"", "key `log.format`: expected `pretty` or `json`"),
            ("palisade=debug,info", "palisade=loud", "key `log.filter`"),
            ("\"incarnation\"", "\"data/incarnation\"", "key `incarnation`: must lie outside"),
            ("\"signer\"", "\"data/signer\"", "key `signer_dir`: must lie apart"),
            ("[log]", "[rpc]\nmax_batch = 0\n[log]", "key `rpc.max_batch`: lets nothing through"),
            ("[log]", "[log", "palisade.toml:"),
        ];
        for (from, to, said) in cases {
            let text = file.replacen(from, to, 1);
            assert_ne!(text, file, "{from}");
            let line = refusal(&text);
            assert!(line.contains(said), "{line:?} does not say {said:?}");
        }
    }

    #[test]
    fn r30_several_bitcoin_endpoints_are_a_list_of_tables_and_one_of_them_may_be_down() {
        let second =
            "[[bitcoin]]\nrpc = \"http://127.0.0.1:18444\"\ncookie = \"other/.cookie\"\nmax_tip_age_s = 60\n\n[p2p]";
        let text = file().replacen("[bitcoin]", "[[bitcoin]]", 1).replacen("[p2p]", second, 1);
        let (config, genesis) = load(&text).unwrap();
        let bitcoin = config.bitcoin(Arc::new(genesis), Duration::ZERO).unwrap();
        let urls: Vec<&str> = bitcoin.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:18443", "http://127.0.0.1:18444"]);
        assert_eq!(bitcoin.max_tip_age, Duration::from_secs(60));
        let down = load_after(&text, |folder| fs::remove_file(folder.join(".cookie")).unwrap());
        assert!(down.unwrap_err().to_string().contains("is bitcoind running?"));
        let line = refusal(&text.replacen("max_tip_age_s = 60", "max_tip_age = 60", 1));
        assert!(line.contains("unknown field `max_tip_age`"), "{line}");
        let none = file().replacen("[bitcoin]\nrpc = \"http://127.0.0.1:18443\"\ncookie = \".cookie\"\n", "", 1);
        let none = format!("bitcoin = []\n{none}");
        assert!(refusal(&none).contains("key `bitcoin`: names no endpoint"));
    }

    #[test]
    fn a_missing_file_is_named() {
        for (name, said) in
            [("genesis.json", "genesis"), (".cookie", "bitcoin.cookie"), ("ethereum.key", "ethereum.sender_key")]
        {
            let gone = load_after(&file(), |folder| fs::remove_file(folder.join(name)).unwrap());
            let line = gone.unwrap_err().to_string();
            assert!(line.contains(name) && line.contains(said) && line.contains("No such file"), "{line}");
        }
        let line = Config::load(Path::new("/nowhere/palisade.toml"), &Overrides::default()).unwrap_err().to_string();
        assert!(line.starts_with("/nowhere/palisade.toml: configuration: "), "{line}");
    }

    #[test]
    fn the_covenants_key_is_in_one_place() {
        let with = |covenant: &str| format!("{}\n[covenant]\n{covenant}\n", file());
        let (config, _) = load(&with("socket = \"run/covenant.sock\"")).unwrap();
        assert!(config.covenant.socket.unwrap().is_absolute());
        let both = refusal(&with("enabled = true\nsocket = \"run/covenant.sock\""));
        assert!(both.contains("key `covenant.socket`") && both.contains("never in both"), "{both}");
        let left = load_after(&with("socket = \"run/covenant.sock\""), |folder| {
            crate::keys::create_covenant(&folder.join("signer/keys")).unwrap();
        });
        assert!(left.unwrap_err().to_string().contains("never in both"));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let open = load_after(&file(), |folder| {
            fs::set_permissions(folder.join("ethereum.key"), fs::Permissions::from_mode(0o640)).unwrap();
        });
        assert!(open.unwrap_err().to_string().contains("others may read it (mode 640)"));
    }

    #[test]
    fn r17_a_genesis_with_an_unknown_key_is_refused() {
        let changed = load_after(&file(), |folder| {
            let text = genesis_file::to_json(&sample()).replacen("\"random\"", "\"extra\": 1, \"random\"", 1);
            fs::write(folder.join("genesis.json"), text).unwrap();
        });
        let line = changed.unwrap_err().to_string();
        assert!(line.contains("genesis.json") && line.contains("unknown field `extra`"), "{line}");
    }

    #[test]
    fn an_access_key_in_an_address_is_not_printed() {
        let url: HttpUrl = "https://me:pass@node.example:8545/v3/secret?k=v".parse().unwrap();
        assert_eq!(format!("{url:?}"), "https://node.example:8545");
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("palisade.toml"), file()).unwrap();
        let mut config: Config = toml::from_str(&file()).unwrap();
        config.override_with(&Overrides { log_format: Some(LogFormat::Pretty), ..Overrides::default() });
        assert_eq!(config.log.format, LogFormat::Pretty);
        assert_eq!(config.log.filter, "palisade=debug,info");
    }
}
