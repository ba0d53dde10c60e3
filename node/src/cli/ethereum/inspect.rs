//! `palisade ethereum inspect`

use std::path::PathBuf;

use anyhow::{Context, bail};
use palisade_ethereum::inspect::{Question, inspect};
use palisade_types::Address;

use super::lines::lines;

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// An address of an operator, a service or a vault of Symbiotic's, or a token by its address or name (weETH, ezETH, rsETH, pufETH)
    #[arg(value_name = "OPERATOR|SERVICE|VAULT|TOKEN")]
    what: String,
    /// JSON-RPC address of an Ethereum node. A credential in it belongs into the variable
    #[arg(long, env = "PALISADE_ETHEREUM_RPC", hide_env_values = true, value_name = "URL")]
    rpc: String,
    /// Look at this final block instead of the newest; the node must still have its state
    #[arg(long, value_name = "NUMBER")]
    block: Option<u64>,
    /// EigenLayer's DelegationManager, where the chain is neither mainnet nor Hoodi
    #[arg(long, value_name = "ADDRESS", conflicts_with = "genesis")]
    delegation_manager: Option<Address>,
    /// Symbiotic's factory of vaults, where the chain is not mainnet
    #[arg(long, value_name = "ADDRESS", conflicts_with = "genesis")]
    symbiotic: Option<Address>,
    /// Karak's core; nothing of Karak's is looked at without it
    #[arg(long, value_name = "ADDRESS", conflicts_with = "genesis")]
    karak: Option<Address>,
    /// A genesis of ours that names EigenLayer, Symbiotic and Karak
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// A strategy to look at besides those that are allocated or known; once for each
    #[arg(long = "strategy", value_name = "ADDRESS")]
    strategies: Vec<Address>,
    /// Who holds here what circulates of the token on other chains
    #[arg(long, value_name = "ADDRESS")]
    lockbox: Option<Address>,
    /// Where the token circulates besides, to be compared with what is locked; once for each chain
    #[arg(long = "remote", value_name = "URL,TOKEN", value_parser = remote)]
    remotes: Vec<(String, Address)>,
    /// The first block whose logs are searched, for ether.fi's nodes
    #[arg(long, value_name = "NUMBER")]
    from_block: Option<u64>,
    /// How long one answer may take, in milliseconds
    #[arg(long, default_value_t = 20_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
    /// Print what was seen as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub async fn act(self) -> anyhow::Result<()> {
        let json = self.json;
        let report = inspect(&self.question()?).await?;
        if json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            lines(&report).iter().for_each(|line| println!("{line}"));
        }
        Ok(())
    }

    fn question(self) -> anyhow::Result<Question> {
        if self.what.trim().is_empty() {
            bail!("nothing is given");
        }
        let (delegation_manager, symbiotic_factory, karak_core) = match &self.genesis {
            Some(file) => {
                let genesis = crate::genesis_file::read(file).with_context(|| file.display().to_string())?;
                if genesis.assets.is_empty() {
                    bail!("{}: no stake on Ethereum counts in this network", file.display());
                }
                let contracts = &genesis.contracts;
                let manager = Some(contracts.delegation_manager).filter(|manager| *manager != Address::ZERO);
                let factory = contracts.symbiotic.map(|symbiotic| symbiotic.vault_factory);
                (manager, factory, contracts.karak.map(|karak| karak.core))
            }
            None => (self.delegation_manager, self.symbiotic, self.karak),
        };
        Ok(Question {
            what: self.what,
            endpoint: self.rpc,
            timeout_ms: self.timeout,
            block: self.block,
            delegation_manager,
            symbiotic_factory,
            karak_core,
            strategies: self.strategies,
            lockbox: self.lockbox,
            remotes: self.remotes,
            from_block: self.from_block,
        })
    }
}

/// `URL,TOKEN`; a URL may hold a comma, an address none.
fn remote(typed: &str) -> Result<(String, Address), String> {
    let (url, token) = typed.rsplit_once(',').ok_or("URL,TOKEN is expected")?;
    if url.is_empty() {
        return Err("no URL before the comma".to_owned());
    }
    let token = token.trim().parse().map_err(|error| format!("the token after the comma: {error}"))?;
    Ok((url.to_owned(), token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_token_is_an_endpoint_and_an_address() {
        let token = "0x0909090909090909090909090909090909090909";
        assert_eq!(
            remote(&format!("http://a/?b=1,2,{token}")).unwrap(),
            ("http://a/?b=1,2".to_owned(), Address::new([9; 20]))
        );
        for typed in ["", "http://a", ",0x0909090909090909090909090909090909090909", "http://a,", "http://a,0x09"] {
            assert!(remote(typed).is_err(), "{typed}");
        }
    }
}
