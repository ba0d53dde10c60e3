//! `palisade genesis`

use crate::genesis_file;
use anyhow::Context;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Genesis {
    /// Check a genesis file and print the chain id
    Id {
        /// The genesis file
        file: PathBuf,
    },
}

impl Genesis {
    pub fn act(self) -> anyhow::Result<()> {
        let Self::Id { file } = self;
        let genesis = genesis_file::read(&file).with_context(|| file.display().to_string())?;
        println!("{}", genesis.chain_id());
        Ok(())
    }
}
