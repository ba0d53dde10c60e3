//! `palisade config`

use crate::config::{self, Overrides};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Config {
    /// Check a configuration and the genesis it names; no chain is asked
    Check {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        #[command(flatten)]
        overrides: Overrides,
    },
}

impl Config {
    pub fn act(self) -> anyhow::Result<()> {
        let Self::Check { config: file, overrides } = self;
        let (config, genesis) = config::Config::load(&file, &overrides)?;
        println!("{} is good", file.display());
        println!("chain id  {}", genesis.chain_id());
        println!("operator  {}", config.operator);
        println!("data      {}", config.data_dir.display());
        println!("signer    {}", config.signer_dir.display());
        println!("rpc       http://{}", config.rpc.listen);
        println!("metrics   http://{}/metrics", config.metrics.listen);
        Ok(())
    }
}
