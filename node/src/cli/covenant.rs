//! `palisade covenant`: a covenant member as a process of his own.
//!
//! A passphrase is typed at the terminal, or read as one line from standard input or a file descriptor; it never
//! stands in an argument or a variable.

use crate::config::Overrides;
use crate::covenant::protocol::{Question, Reply, Status, ask};
use crate::covenant::record::Record;
use crate::covenant::server::now;
use crate::covenant::{Config, server, shield};
use crate::keys::{self, Secret, random};
use crate::keystore::{Keystore, MAX_PASSPHRASE, Passphrase};
use crate::logs;
use anyhow::{Context, bail, ensure};
use palisade_crypto::eots;
use palisade_types::ids::{SchnorrKey, VaultId};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the process may take to answer: opening a key takes a second on purpose.
const PATIENCE: Duration = Duration::from_secs(45);

#[derive(Debug, clap::Subcommand)]
pub enum Covenant {
    /// Make a member's key under a passphrase, and a configuration for it
    Init(Init),
    /// Run the process; it starts locked
    Run(Run),
    /// Hand the passphrase to the process
    Unlock {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        passphrase: From,
    },
    /// Make the process forget its key
    Lock(ConfigFile),
    /// Show how the process stands
    Status {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Allow that another registration of an output is signed. The process must be stopped
    Release {
        #[command(flatten)]
        file: ConfigFile,
        /// The vault, TXID:OUTPUT
        vault: VaultId,
    },
}

#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The covenant process' configuration
    #[arg(long, env = "PALISADE_COVENANT_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

/// Where a passphrase comes from.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct From {
    /// Read the passphrase as one line from this open file descriptor; from the terminal or standard input by default
    #[arg(long, value_name = "NUMBER")]
    passphrase_fd: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder to make everything in
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Take the key of this file, 32 bytes of hex, instead of a new one; the file stays where it is
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Leave the key open, without a passphrase: for devnets only
    #[arg(long)]
    devnet_plain_key: bool,
    #[command(flatten)]
    passphrase: From,
    /// Print the public key as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    overrides: Overrides,
}

impl Covenant {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.act(),
            Self::Run(run) => run.act().await,
            Self::Unlock { file, passphrase } => {
                let config = Config::read(&file.config)?;
                let passphrase = passphrase.read("passphrase: ")?;
                done(&config, Question::Unlock(passphrase)).await?;
                println!("unlocked");
                Ok(())
            }
            Self::Lock(file) => {
                done(&Config::read(&file.config)?, Question::Lock).await?;
                println!("locked");
                Ok(())
            }
            Self::Status { file, json } => status(&Config::read(&file.config)?, json).await,
            Self::Release { file, vault } => release(&file.config, vault),
        }
    }
}

impl Run {
    async fn act(self) -> anyhow::Result<()> {
        shield::close().context("closing the process to others")?;
        let (config, genesis) = Config::load(&self.file.config, &self.overrides)?;
        logs::start(&config.log).map_err(anyhow::Error::from_boxed)?;
        server::run(config, genesis).await
    }
}

impl Init {
    fn act(self) -> anyhow::Result<()> {
        shield::close().context("closing the process to others")?;
        let (secret, public) = self.secret()?;
        let name = if self.devnet_plain_key { "covenant.key" } else { "covenant.json" };
        let path = self.home.join(name);
        ensure!(!path.exists(), "{} exists already and is not overwritten", path.display());
        if self.devnet_plain_key {
            keys::write_secret(&path, &secret)?;
        } else {
            let passphrase = self.passphrase.read_twice()?;
            Keystore::seal(&secret, &public, &passphrase)?.write(&path)?;
        }
        let config = self.home.join("covenant.toml");
        if !config.exists() {
            fs::write(&config, template(self.devnet_plain_key)).with_context(|| config.display().to_string())?;
        }
        if self.json {
            println!("{}", serde_json::json!({ "covenant": public.to_string(), "config": config }));
        } else {
            println!("covenant  {public}");
            println!("The key is in {}; keep a copy of it and, apart from it, of the passphrase.", path.display());
            println!("Next: put genesis.json beside {}, fill it in,", config.display());
            println!("`palisade covenant run --config …`, then `palisade covenant unlock --config …`.");
        }
        Ok(())
    }

    fn secret(&self) -> anyhow::Result<(Secret, SchnorrKey)> {
        let secret = match &self.import {
            Some(path) => keys::read_secret(path)?,
            None => random(),
        };
        let key = eots::SecretKey::from_bytes(&secret).context("this is no key of the curve")?;
        Ok((secret, SchnorrKey::new(key.public().to_bytes())))
    }
}

/// Asks for something to be done.
async fn done(config: &Config, question: Question) -> anyhow::Result<()> {
    match ask(&config.socket, &question, PATIENCE).await.with_context(|| config.socket.display().to_string())? {
        Reply::Done => Ok(()),
        Reply::Refused(refusal) => bail!("{refusal}"),
        Reply::Presigned(_) | Reply::Status(_) => bail!("the process answers another question"),
    }
}

async fn status(config: &Config, json: bool) -> anyhow::Result<()> {
    let reply = ask(&config.socket, &Question::Status, PATIENCE).await;
    let Reply::Status(status) = reply.with_context(|| config.socket.display().to_string())? else {
        bail!("the process answers another question");
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&json_of(&status))?);
        return Ok(());
    }
    let bitcoin = status.bitcoin.map_or_else(|| "does not answer".to_owned(), |height| format!("block {height}"));
    println!("{:<10}{}", "chain id", status.chain);
    println!("{:<10}{}", "member", status.member);
    println!("{:<10}{}", "key", if status.unlocked { "unlocked" } else { "locked" });
    println!("{:<10}{} vaults, {} new in the last hour", "signed", status.signed, status.this_hour);
    println!("{:<10}{bitcoin}", "bitcoin");
    if status.failed {
        println!("{:<10}the record's disk failed; nothing is signed until the process is started again", "ALARM");
    }
    Ok(())
}

fn json_of(status: &Status) -> serde_json::Value {
    serde_json::json!({
        "chain_id": status.chain.to_string(),
        "member": status.member.to_string(),
        "unlocked": status.unlocked,
        "failed": status.failed,
        "signed": status.signed,
        "this_hour": status.this_hour,
        "bitcoin": status.bitcoin,
    })
}

fn release(file: &Path, vault: VaultId) -> anyhow::Result<()> {
    let (config, genesis) = Config::load(file, &Overrides::default())?;
    let member = server::public(&config)?;
    let mut record = Record::open(&config.records, &genesis.chain_id(), &member)?;
    match record.release(&vault, now())? {
        true => println!("released: another registration of {vault} may be signed"),
        false => println!("nothing was signed for {vault}"),
    }
    Ok(())
}

impl From {
    fn read(self, prompt: &str) -> anyhow::Result<Passphrase> {
        let line = match self.passphrase_fd {
            // The system gives every process its own open files there, and nobody else's.
            Some(number) => {
                let open = File::open(format!("/dev/fd/{number}"));
                line(open.with_context(|| format!("--passphrase-fd: {number} is no open file"))?)?
            }
            None if io::stdin().is_terminal() => typed(prompt)?,
            None => line(io::stdin().lock())?,
        };
        Passphrase::new(line).with_context(|| format!("a passphrase is text of at most {MAX_PASSPHRASE} bytes"))
    }

    /// For a new one: whoever types it types it twice.
    fn read_twice(self) -> anyhow::Result<Passphrase> {
        let first = self.read("new passphrase: ")?;
        if self.passphrase_fd.is_none() && io::stdin().is_terminal() {
            ensure!(self.read("once more: ")? == first, "these were two different passphrases");
        }
        Ok(first)
    }
}

/// One line from the terminal, which does not show it.
fn typed(prompt: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").context("there is no terminal")?;
    write!(terminal, "{prompt}")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let read = line(&terminal);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    writeln!(terminal)?;
    read
}

/// Reads up to the end of a line, byte by byte so that nothing of what follows is taken, into a buffer that does not grow.
fn line(mut from: impl Read) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE + 1));
    let mut byte = Zeroizing::new([0; 1]);
    while from.read(byte.as_mut_slice())? == 1 && byte[0] != b'\n' {
        ensure!(line.len() < MAX_PASSPHRASE, "a passphrase is text of at most {MAX_PASSPHRASE} bytes");
        line.push(byte[0]);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// A configuration with everything that has no default.
fn template(plain: bool) -> String {
    let key = if plain { "devnet_plain_key = \"covenant.key\"" } else { "key = \"covenant.json\"" };
    format!(
        r#"# Palisade, a covenant member. Paths count from this file's folder; every other key has a default.
genesis = "genesis.json"
{key}
records = "records"
socket = "run/covenant.sock"  # the node's [covenant] socket

[[bitcoin]]  # the member's own, best not the node's
rpc = "http://127.0.0.1:8332"
cookie = "/var/lib/bitcoind/.cookie"  # or user = "…" and password_file = "…"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(home: &Path, devnet_plain_key: bool, import: Option<PathBuf>) -> Init {
        Init { home: home.to_owned(), import, devnet_plain_key, passphrase: From { passphrase_fd: None }, json: true }
    }

    #[test]
    fn the_templates_are_configurations() {
        for plain in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("covenant.toml");
            fs::write(&file, template(plain)).unwrap();
            let config = Config::read(&file).unwrap();
            assert_eq!((config.key.is_some(), config.devnet_plain_key.is_some()), (!plain, plain));
        }
    }

    #[test]
    fn a_key_is_made_or_taken_over_once_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        init(&home, true, None).act().unwrap();
        assert!(init(&home, true, None).act().unwrap_err().to_string().contains("exists already"));
        let other = dir.path().join("other");
        init(&other, true, Some(home.join("covenant.key"))).act().unwrap();
        let secret = |home: &Path| keys::read_secret(&home.join("covenant.key")).unwrap();
        assert_eq!(secret(&home), secret(&other));
    }

    #[test]
    fn a_passphrase_is_one_line_and_bounded() {
        assert_eq!(*line(&b"correct horse\r\nnext"[..]).unwrap(), b"correct horse");
        assert_eq!(*line(&b"no end"[..]).unwrap(), b"no end");
        assert!(line(&vec![b'a'; MAX_PASSPHRASE + 1][..]).is_err());
        let long = vec![b'a'; MAX_PASSPHRASE];
        assert_eq!(*line(&long[..]).unwrap(), long);
    }
}
