//! What a person types. Every mistake is one readable line on standard error and exit code 1; wrong flags are 2. A node that
//! stops because another signs with its key ends with [`EXIT_DOPPELGANGER`], one that holds another chain than the network's with
//! [`EXIT_OTHER_CHAIN`], so that nothing starts it again by itself.

mod bitcoin;
mod config;
mod covenant;
mod ethereum;
mod evidence;
mod genesis;
mod init;
mod join;
mod ledger;
mod proof;
mod run;
mod service;
mod signer;
mod status;
mod succession;
mod vault;

use crate::core::passage::OtherChain;
use crate::signer::interchange::ImportError;
use crate::signer::{Doppelganger, OpenError};
use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use palisade_storage::StoreError;
use std::future::Future;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// A node that keeps one ledger of stake on Ethereum and Bitcoin, together with the other operators
#[derive(Debug, Parser)]
#[command(name = "palisade", version, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the node
    Run(run::Run),
    /// Make the folders, keys and configuration of a new operator
    Init(init::Init),
    /// Register the operator's keys on Ethereum and wait until he sits in the committee
    Join(join::Join),
    /// Show what a node knows
    Status(status::Status),
    /// Hand in evidence, and follow cases
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// Look at a genesis file
    #[command(subcommand)]
    Genesis(genesis::Genesis),
    /// Look at a configuration
    #[command(subcommand)]
    Config(config::Config),
    /// Decide what only a person may decide about Bitcoin
    #[command(subcommand)]
    Bitcoin(bitcoin::Bitcoin),
    /// Look at a node's ledger on the disk, copy it, replay it
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Have a row of the ledger proven, and check such a proof without a node
    #[command(subcommand)]
    Proof(proof::Proof),
    /// Look at Ethereum with nothing but an endpoint
    #[command(subcommand)]
    Ethereum(Box<ethereum::Ethereum>),
    /// Decide what only a person may decide about a signer that stopped or waits
    #[command(subcommand)]
    Signer(signer::Signer),
    /// Ask the signer as a local module of a service does
    #[command(subcommand)]
    Service(service::Service),
    /// Name the network that goes on from this one, and begin it
    #[command(subcommand)]
    Succession(succession::Succession),
    /// Stake bitcoin, follow a vault's life, leave again; explain the transactions that make and take vaults apart
    #[command(subcommand)]
    Vault(Box<vault::Vault>),
    /// A covenant member's key in a process of its own
    #[command(subcommand)]
    Covenant(covenant::Covenant),
}

/// Which node is asked.
#[derive(Debug, clap::Args)]
struct Node {
    /// JSON-RPC address of a node
    #[arg(long, env = "PALISADE_RPC", default_value = "http://127.0.0.1:26110", value_name = "URL")]
    rpc: String,
}

impl Node {
    fn client(&self) -> anyhow::Result<HttpClient> {
        let client = HttpClientBuilder::default().request_timeout(REQUEST_TIMEOUT).build(&self.rpc);
        client.with_context(|| format!("{} is no JSON-RPC address", self.rpc))
    }
}

/// The exit code of a node that met a signature of its own key that its signer did not make (R20).
pub const EXIT_DOPPELGANGER: u8 = 20;

/// The exit code of a node whose chain does not pass through Committee.sol's last boundary, or through its operator's checkpoint (R13).
pub const EXIT_OTHER_CHAIN: u8 = 21;

/// JSON-RPC: the server knows no such method.
const NO_SUCH_METHOD: i32 = -32_601;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    match act(Command::parse().action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_remedy(&error));
            match () {
                () if error.is::<Doppelganger>() => ExitCode::from(EXIT_DOPPELGANGER),
                () if error.is::<OtherChain>() => ExitCode::from(EXIT_OTHER_CHAIN),
                () => ExitCode::FAILURE,
            }
        }
    }
}

fn act(action: Action) -> anyhow::Result<()> {
    match action {
        Action::Run(run) => wait(run.act()),
        Action::Init(init) => init.act(),
        Action::Join(join) => wait(join.act()),
        Action::Status(status) => wait(status.act()),
        Action::Evidence(evidence) => wait(evidence.act()),
        Action::Service(service) => wait(service.act()),
        Action::Genesis(genesis) => genesis.act(),
        Action::Config(config) => config.act(),
        Action::Bitcoin(bitcoin) => wait(bitcoin.act()),
        Action::Ledger(ledger) => ledger.act(),
        Action::Proof(proof) => wait(proof.act()),
        Action::Ethereum(ethereum) => wait(ethereum.act()),
        Action::Signer(signer) => signer.act(),
        Action::Succession(succession) => wait(succession.act()),
        Action::Vault(vault) => wait(vault.act()),
        Action::Covenant(covenant) => wait(covenant.act()),
    }
}

fn wait(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the threads")?.block_on(work)
}

/// The error and its causes, without line breaks, and without a cause that the error before it tells already.
fn one_line(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.last().is_some_and(|last| last.ends_with(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The line, with what helps where a store is what is wrong and the line does not say it yet.
fn with_remedy(error: &anyhow::Error) -> String {
    let line = one_line(error);
    let remedy = error.chain().find_map(|cause| store_error(cause)?.remedy());
    match remedy.filter(|remedy| !line.contains(remedy.as_str())) {
        Some(remedy) => format!("{line}; {remedy}"),
        None => line,
    }
}

/// A store's error, also where another speaks in its words.
fn store_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a StoreError> {
    match cause.downcast_ref::<ImportError>() {
        Some(ImportError::Open(OpenError::Store(error))) => Some(error),
        _ => cause.downcast_ref::<StoreError>(),
    }
}

/// The text of a file, of which no more is read than it may hold: also one that has no end is refused.
fn read_text(file: &Path, most: u64) -> anyhow::Result<String> {
    let name = || if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).with_context(name)?)
    };
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes).with_context(name)?;
    ensure!(bytes.len() as u64 <= most, "{} is longer than {most} bytes", name());
    String::from_utf8(bytes).with_context(name)
}

/// What a node answered instead: its own reason when it gave one.
fn node_error(error: jsonrpsee::core::ClientError) -> anyhow::Error {
    match error {
        jsonrpsee::core::ClientError::Call(refusal) if refusal.code() == NO_SUCH_METHOD => {
            anyhow::anyhow!("what answers there is no Palisade node: {} (--rpc)", refusal.message())
        }
        jsonrpsee::core::ClientError::Call(refusal) => {
            anyhow::anyhow!("{} (code {})", refusal.message(), refusal.code())
        }
        other => anyhow::Error::new(other).context("the node does not answer; does it run, at the address of --rpc?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn an_error_is_one_line_that_says_nothing_twice() {
        let error = anyhow::anyhow!("no number:\n  bad digit").context("is no genesis: no number:\n  bad digit");
        assert_eq!(one_line(&error.context("genesis.json")), "genesis.json: is no genesis: no number: bad digit");
    }

    #[test]
    fn what_a_person_types_is_understood_or_refused() {
        let typed = |line: &str| Command::try_parse_from(line.split(' '));
        assert!(typed("palisade run --config palisade.toml").is_ok());
        assert!(typed("palisade evidence submit 0x00 --rpc http://127.0.0.1:1").is_ok());
        assert!(typed("palisade genesis id genesis.json").is_ok());
        assert!(typed("palisade init --home x --operator 0x0909090909090909090909090909090909090909").is_ok());
        let wrong = typed("palisade init --home x --operator 0x09").unwrap_err().to_string();
        assert!(wrong.contains("expected 20 bytes of hex"), "{wrong}");
        assert!(typed("palisade covenant unlock --config covenant.toml --passphrase-fd 3").is_ok());
        assert!(typed("palisade covenant unlock --config covenant.toml --passphrase secret").is_err());
        assert!(typed("palisade run").is_err());
        assert!(typed("palisade dance").is_err());
    }

    #[test]
    fn what_helps_is_said_once() {
        let locked = || anyhow::Error::from(StoreError::Locked { dir: "records".into() });
        let told = "records is open already; stop the other process that runs on it";
        assert_eq!(with_remedy(&locked()), told);
        let records = OpenError::Store(StoreError::Locked { dir: "records".into() });
        assert_eq!(with_remedy(&ImportError::Open(records).into()), told);
        let said = locked().context("stop the other process that runs on it");
        assert_eq!(with_remedy(&said), "stop the other process that runs on it: records is open already");
        assert_eq!(with_remedy(&anyhow::anyhow!("no")), "no");
    }

    #[test]
    fn no_more_of_a_file_is_read_than_it_may_hold() {
        assert_eq!(read_text(Path::new("/dev/null"), 0).unwrap(), "");
        let endless = read_text(Path::new("/dev/zero"), 1 << 10).unwrap_err();
        assert_eq!(endless.to_string(), "/dev/zero is longer than 1024 bytes");
        assert!(one_line(&read_text(Path::new("/nowhere"), 9).unwrap_err()).starts_with("/nowhere: "));
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let error = anyhow::anyhow!("the\n  disk is full").context("cannot start");
        assert_eq!(one_line(&error), "cannot start: the disk is full");
    }
}
