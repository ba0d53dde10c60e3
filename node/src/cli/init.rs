//! `palisade init`
//!
//! It comes before genesis (R17): the operator's account, his voting key and his peer id are what genesis asks of a
//! founder, and nothing made here depends on the network.

use crate::config::default_incarnation;
use crate::identity;
use crate::keys;
use crate::signer;
use crate::text::hex_bytes;
use anyhow::Context;
use libp2p::PeerId;
use palisade_types::ids::{ChainId, Domain, OperatorId, SchnorrKey};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder to make everything in
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The operator: his account on Ethereum, which stays cold
    #[arg(long, value_name = "ACCOUNT")]
    operator: OperatorId,
    /// File outside everything that is backed up, for the signer's incarnation; below XDG_STATE_HOME by default
    #[arg(long, value_name = "FILE")]
    incarnation: Option<PathBuf>,
    /// File with 32 bytes of hex, closed to others, from which the operator's keys follow (BIP-32, m/26100'/…) instead of
    /// from this machine's randomness. The guard then waits as for any imported key
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
    /// Make a covenant member's key, too
    #[arg(long)]
    covenant: bool,
    /// Print the public keys as JSON
    #[arg(long)]
    json: bool,
}

/// What the others must know of a new operator.
struct Made {
    keys: keys::PublicKeys,
    covenant: Option<SchnorrKey>,
    peer: PeerId,
}

impl Init {
    pub fn act(self) -> anyhow::Result<()> {
        let made = self.make()?;
        self.write_config()?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&self.json_of(&made))?);
        } else {
            self.print(&made);
        }
        Ok(())
    }

    fn make(&self) -> anyhow::Result<Made> {
        fs::create_dir_all(&self.home).with_context(|| self.home.display().to_string())?;
        let signer_dir = self.home.join("signer");
        let made = match &self.seed_file {
            None => signer::create(&signer_dir, &self.incarnation()?)?,
            Some(seed) => {
                let keys = keys::OperatorKeys::from_seed(&keys::read_secret(seed)?)?;
                signer::import(&signer_dir, &self.incarnation()?, &keys)?;
                keys
            }
        };
        let covenant = self.covenant.then(|| keys::create_covenant(&signer_dir.join("keys"))).transpose()?;
        let peer = identity::create(&self.home.join("data").join("node.key"))?;
        Ok(Made { keys: made.public(&ChainId::ZERO, &Domain::ZERO), covenant, peer })
    }

    fn write_config(&self) -> anyhow::Result<()> {
        let path = self.config();
        if path.exists() {
            return Ok(());
        }
        let text = template(&self.operator, &self.incarnation()?, self.covenant);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    fn incarnation(&self) -> anyhow::Result<PathBuf> {
        let given = self.incarnation.as_ref().map(std::path::absolute).transpose()?;
        let path = given.or_else(|| default_incarnation(&self.operator));
        path.context("--incarnation is needed, neither XDG_STATE_HOME nor HOME is set")
    }

    fn config(&self) -> PathBuf {
        self.home.join("palisade.toml")
    }

    fn json_of(&self, made: &Made) -> serde_json::Value {
        serde_json::json!({
            "operator": self.operator.to_string(),
            "ed25519": made.keys.ed25519.to_string(),
            "bls": made.keys.bls.to_string(),
            "covenant": made.covenant.map(|key| key.to_string()),
            "peer_id": made.peer.to_string(),
            "peer": hex_bytes(&made.peer.to_bytes()),
            "config": self.config(),
        })
    }

    fn print(&self, made: &Made) {
        println!("operator  {}", self.operator);
        println!("ed25519   {}", made.keys.ed25519);
        println!("bls       {}", made.keys.bls);
        if let Some(covenant) = made.covenant {
            println!("covenant  {covenant}");
        }
        println!("peer id   {}", made.peer);
        println!("The finality provider's key follows from the network's genesis.");
        println!();
        println!("Secrets are in {}; keep a copy offline.", shown(&self.home.join("signer").join("keys")));
        println!("Next: put genesis.json beside {}, fill it in, `palisade run`.", shown(&self.config()));
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A configuration with everything that has no default.
fn template(operator: &OperatorId, incarnation: &Path, covenant: bool) -> String {
    let incarnation = toml::Value::from(shown(incarnation));
    format!(
        r#"# Palisade. Paths count from this file's folder; every other key has a default (see README).
genesis = "genesis.json"
data_dir = "data"
signer_dir = "signer"
incarnation = {incarnation}
operator = "{operator}"

[ethereum]
rpc = ["http://127.0.0.1:8545"]
# sender_key = "ethereum.key"  # pays for slashing; 32 bytes of hex, chmod 600

[bitcoin]  # [[bitcoin]] for each, when there are several: one honest one is enough
rpc = "http://127.0.0.1:8332"
cookie = "/var/lib/bitcoind/.cookie"  # or user = "…" and password_file = "…"

[p2p]
listen = ["/ip4/0.0.0.0/tcp/26100"]
peers = []  # "/ip4/…/tcp/26100/p2p/<peer id>"

[covenant]
enabled = {covenant}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_template_is_a_configuration() {
        let text = template(&OperatorId::new([9; 20]), Path::new("/state/\"quoted\""), true);
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.operator, OperatorId::new([9; 20]));
        assert_eq!(config.incarnation, Path::new("/state/\"quoted\""));
        assert!(config.covenant.enabled);
    }

    #[test]
    fn a_new_operator_is_made_once_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let init = || Init {
            home: dir.path().join("home"),
            operator: OperatorId::new([9; 20]),
            incarnation: Some(dir.path().join("state/incarnation")),
            seed_file: None,
            covenant: true,
            json: false,
        };
        let made = init().make().unwrap();
        let peer = identity::read(&dir.path().join("home/data/node.key")).unwrap().public().to_peer_id();
        assert_eq!(peer, made.peer);
        assert!(made.covenant.is_some());
        assert!(init().make().is_err());
    }

    #[test]
    fn r19_one_seed_makes_the_same_operator_in_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let seed = dir.path().join("seed");
        keys::write_secret(&seed, &keys::random()).unwrap();
        let make = |place: &str, seed_file: Option<PathBuf>| {
            let home = dir.path().join(place);
            let incarnation = Some(dir.path().join("state").join(place));
            let operator = OperatorId::new([9; 20]);
            Init { home, operator, incarnation, seed_file, covenant: false, json: false }.make().unwrap().keys
        };
        let first = make("one", Some(seed.clone()));
        assert_eq!(first, make("two", Some(seed)));
        assert_ne!(first, make("three", None));
        let store = palisade_storage::SignatureStore::open(&dir.path().join("one/signer/records")).unwrap();
        let keys = keys::OperatorKeys::read(&dir.path().join("one/signer/keys")).unwrap();
        assert!(keys.names().iter().all(|name| store.origin(name).unwrap().is_none()), "not born here (R15)");
    }
}
