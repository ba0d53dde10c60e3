//! `palisade bitcoin`

use super::{Node, node_error};
use crate::acceptance::Acceptance;
use crate::config::{Config, Overrides};
use crate::rpc::PalisadeClient;
use crate::text::{bitcoin_hash, parse_bitcoin_hash};
use anyhow::{Context, ensure};
use palisade_types::ids::Hash;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Bitcoin {
    /// Accept the block from which a suspended Bitcoin goes on; more than two thirds of the operators must accept the same one
    Accept {
        /// The block's height: at least as deep as the network asks
        height: u64,
        /// The block's hash, as Bitcoin shows it
        #[arg(value_parser = parse_bitcoin_hash)]
        block: Hash,
        /// The configuration file of the running node: the decision is kept in its data folder
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        node: Node,
    },
}

impl Bitcoin {
    pub async fn act(self) -> anyhow::Result<()> {
        let Self::Accept { height, block, config, node } = self;
        let (config, _) = Config::load(&config, &Overrides::default())?;
        let status = node.client()?.status().await.map_err(node_error)?;
        ensure!(
            status.operator == config.operator.to_string(),
            "the node at this address is {}'s, the configuration {}'s",
            status.operator,
            config.operator
        );
        let suspended = status.bitcoin.suspended.context("Bitcoin is not suspended: there is nothing to accept")?;
        let gone = parse_bitcoin_hash(&suspended.gone.hash).context("the node names no block")?;
        Acceptance { gone, height, block }.keep(&config.data_dir)?;
        println!(
            "accepted: Bitcoin goes on from block {height} {}, in place of {}",
            bitcoin_hash(&block),
            suspended.gone.hash
        );
        println!("the ledger follows when more than two thirds accept the same");
        Ok(())
    }
}
