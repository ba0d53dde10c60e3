//! `covenant.toml`: what the covenant process is told. It shares nothing with the node's file but the look.
//!
//! Relative paths count from the file's own folder. The key, the record and the socket are closed to everybody but their owner.

use super::keeper::Quota;
use crate::config::{self, Bitcoin, ConfigError, Log, Overrides};
use crate::genesis_file;
use palisade_types::Genesis;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network's genesis file. No default.
    pub genesis: PathBuf,
    /// The keystore that `palisade covenant init` made. No default; either this or `devnet_plain_key`.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// A key file of 32 bytes of hex without any lock. Refused on Bitcoin's mainnet. Default: none.
    #[serde(default)]
    pub devnet_plain_key: Option<PathBuf>,
    /// Folder of the record of what was signed. No default.
    pub records: PathBuf,
    /// The UNIX socket, in a folder of its own that is closed to everybody else; at most 107 bytes. No default.
    pub socket: PathBuf,
    /// The member's own Bitcoin endpoints, best not the node's; at least one.
    pub bitcoin: Vec<Bitcoin>,
    /// Blocks, its own among them, that a staking transaction must have before it is signed for, when it names its block.
    /// Default: 1.
    #[serde(default = "one")]
    pub confirmations: u32,
    /// How much is signed.
    #[serde(default)]
    pub quota: QuotaTable,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
}

/// `[quota]`, of what is new in an hour.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaTable {
    /// Vaults in all. Default: 1000.
    pub vaults_per_hour: usize,
    /// Vaults of one operator. Default: 200.
    pub of_one_operator_per_hour: usize,
    /// Vaults whose coins are not locked yet (R32). Default: 200.
    pub unlocked_per_hour: usize,
    /// Vaults of one operator whose coins are not locked yet. Default: 32.
    pub unlocked_of_one_operator_per_hour: usize,
}

impl Default for QuotaTable {
    fn default() -> Self {
        Self {
            vaults_per_hour: 1_000,
            of_one_operator_per_hour: 200,
            unlocked_per_hour: 200,
            unlocked_of_one_operator_per_hour: 32,
        }
    }
}

impl QuotaTable {
    /// As the keeper takes it.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        Quota {
            vaults: self.vaults_per_hour,
            of_one: self.of_one_operator_per_hour,
            early: self.unlocked_per_hour,
            early_of_one: self.unlocked_of_one_operator_per_hour,
        }
    }
}

impl Config {
    /// Reads the file and checks what can be checked without the network's genesis: for the commands that only talk to the process.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] is one line for the person who typed it.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = config::parse(file)?;
        config.place(file.parent().unwrap_or(Path::new("")));
        config.check(file)?;
        Ok(config)
    }

    /// Reads the file and the genesis it names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn load(file: &Path, overrides: &Overrides) -> Result<(Self, Genesis), ConfigError> {
        let mut config = Self::read(file)?;
        config.log.override_with(overrides);
        config.check_files()?;
        let genesis = genesis_file::read(&config.genesis).map_err(|error| ConfigError::File {
            file: config.genesis.clone(),
            what: "genesis",
            reason: error.to_string(),
        })?;
        Ok((config, genesis))
    }

    fn place(&mut self, folder: &Path) {
        let paths = [&mut self.genesis, &mut self.records, &mut self.socket];
        let keys = self.key.iter_mut().chain(self.devnet_plain_key.iter_mut());
        let logins = self.bitcoin.iter_mut().map(|bitcoin| bitcoin.login.path_mut());
        for path in paths.into_iter().chain(keys).chain(logins) {
            *path = folder.join(&*path);
        }
    }

    fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let wrong =
            |key, reason: &str| Err(ConfigError::Value { file: file.to_owned(), key, reason: reason.to_owned() });
        if self.key.is_some() == self.devnet_plain_key.is_some() {
            return wrong("key", "either `key` or `devnet_plain_key` names the key, and not both");
        }
        if self.bitcoin.is_empty() || self.bitcoin.len() > config::MAX_ENTRIES {
            return wrong("bitcoin", "names no endpoint, or too many");
        }
        if self.confirmations == 0 {
            return wrong("confirmations", "must be at least 1");
        }
        if self.quota.vaults_per_hour == 0 || self.quota.of_one_operator_per_hour == 0 {
            return wrong("quota", "lets nothing through");
        }
        self.log.check(file)
    }

    fn check_files(&self) -> Result<(), ConfigError> {
        if let Some(key) = &self.key {
            config::check_secret(key, "key")?;
        }
        if let Some(key) = &self.devnet_plain_key {
            config::check_secret(key, "devnet_plain_key")?;
        }
        self.bitcoin.iter().try_for_each(Bitcoin::check_files)
    }
}

const fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::write_new;
    use std::fs;

    const FILE: &str = r#"
genesis = "genesis.json"
key = "covenant.json"
records = "records"
socket = "run/covenant.sock"

[[bitcoin]]
rpc = "http://127.0.0.1:18443"
cookie = ".cookie"

[[bitcoin]]
rpc = "http://127.0.0.1:18444"
user = "me"
password_file = "password"
"#;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("covenant.toml"), text).unwrap();
        Config::read(&dir.path().join("covenant.toml"))
    }

    #[test]
    fn a_good_file_is_taken_with_its_defaults() {
        let config = load(FILE).unwrap();
        assert!(config.socket.is_absolute() && config.socket.ends_with("run/covenant.sock"));
        assert!(config.key.unwrap().is_absolute());
        assert_eq!((config.bitcoin.len(), config.confirmations), (2, 1));
        assert_eq!(config.quota.quota(), Quota { vaults: 1_000, of_one: 200, early: 200, early_of_one: 32 });
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_its_key() {
        let cases = [
            ("records", "recrods", "unknown field `recrods`"),
            ("key = \"covenant.json\"", "", "key `key`: either"),
            ("records =", "devnet_plain_key = \"k\"\nrecords =", "key `key`: either"),
            ("records =", "confirmations = 0\nrecords =", "key `confirmations`"),
            ("records =", "quota = { vaults_per_hour = 0 }\nrecords =", "key `quota`"),
            ("records =", "log = { filter = \"palisade=loud\" }\nrecords =", "key `log.filter`"),
            ("user = \"me\"", "", "needs either `cookie`"),
        ];
        for (from, to, said) in cases {
            let text = FILE.replacen(from, to, 1);
            assert_ne!(text, FILE, "{from}");
            let line = load(&text).unwrap_err().to_string();
            assert!(line.contains(said) && !line.contains('\n'), "{line:?} does not say {said:?}");
        }
        let bare: String = FILE.split("[[").take(1).collect();
        assert!(load(&bare).unwrap_err().to_string().contains("missing field `bitcoin`"));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("covenant.toml");
        fs::write(&file, FILE).unwrap();
        for name in ["covenant.json", ".cookie", "password"] {
            write_new(&dir.path().join(name), b"x").unwrap();
        }
        let told = Config::load(&file, &Overrides::default()).unwrap_err().to_string();
        assert!(told.contains("genesis"), "{told}");
        fs::set_permissions(dir.path().join("covenant.json"), fs::Permissions::from_mode(0o640)).unwrap();
        let told = Config::load(&file, &Overrides::default()).unwrap_err().to_string();
        assert!(told.contains("others may read it (mode 640)"), "{told}");
    }
}
