//! Which Bitcoin Core a command asks.

use std::path::PathBuf;

use anyhow::{Context, bail};
use palisade_bitcoin::{Client, Endpoint};

use crate::config::{self, BitcoinLogin, Overrides};

/// Which Bitcoin Core is asked for transactions. It needs `-txindex` for those it has no wallet for.
#[derive(Debug, clap::Args)]
pub struct Core {
    /// A node's configuration: its Bitcoin endpoint and credentials are used
    #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE", conflicts_with = "bitcoin_rpc")]
    config: Option<PathBuf>,
    /// Bitcoin Core's JSON-RPC address
    #[arg(long, value_name = "URL")]
    bitcoin_rpc: Option<String>,
    /// The cookie file of that Bitcoin Core
    #[arg(long, value_name = "FILE", requires = "bitcoin_rpc", conflicts_with = "bitcoin_user")]
    bitcoin_cookie: Option<PathBuf>,
    /// The user of that Bitcoin Core
    #[arg(long, value_name = "NAME", requires_all = ["bitcoin_rpc", "bitcoin_password_file"])]
    bitcoin_user: Option<String>,
    /// A file that holds the user's password
    #[arg(long, value_name = "FILE", requires = "bitcoin_user")]
    bitcoin_password_file: Option<PathBuf>,
}

impl Core {
    /// Nobody, when no address was given.
    pub fn client(&self) -> anyhow::Result<Option<Client>> {
        let (url, login) = match (&self.config, &self.bitcoin_rpc) {
            (Some(file), _) => {
                let endpoints = config::Config::load(file, &Overrides::default())?.0.bitcoin;
                let bitcoin = endpoints.into_iter().next().context("the configuration names no Bitcoin endpoint")?;
                (bitcoin.rpc.as_str().to_owned(), bitcoin.login)
            }
            (None, Some(url)) => (url.clone(), self.login()?),
            (None, None) => return Ok(None),
        };
        let auth = login.auth()?;
        Ok(Some(Client::new(Endpoint { url, auth })?))
    }

    fn login(&self) -> anyhow::Result<BitcoinLogin> {
        match (&self.bitcoin_cookie, &self.bitcoin_user, &self.bitcoin_password_file) {
            (Some(cookie), ..) => Ok(BitcoinLogin::Cookie(cookie.clone())),
            (None, Some(user), Some(password_file)) => {
                Ok(BitcoinLogin::Password { user: user.clone(), password_file: password_file.clone() })
            }
            _ => bail!("--bitcoin-rpc needs --bitcoin-cookie, or --bitcoin-user with --bitcoin-password-file"),
        }
    }
}
