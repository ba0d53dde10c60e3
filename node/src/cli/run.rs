//! `palisade run`

use crate::config::{Config, Overrides};
use crate::logs;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Run {
    /// The configuration file
    #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

impl Run {
    pub async fn act(self) -> anyhow::Result<()> {
        let (config, genesis) = Config::load(&self.config, &self.overrides)?;
        logs::start(&config.log).map_err(anyhow::Error::from_boxed)?;
        crate::run::run(config, genesis).await
    }
}
