//! `palisade signer`: the two things that only a person may decide. The node must be stopped.

use crate::config::{Config, Overrides};
use crate::signer;
use palisade_types::Height;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Signer {
    /// End the wait of a signer whose history is broken (R15). Saying it wrongly costs the stake
    Release {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// These keys signed nothing above this height that the records do not hold
        #[arg(long, value_name = "HEIGHT")]
        above: u64,
    },
    /// Let a signer go on that stopped because a block did not extend what it attested (R16)
    Resume {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
}

impl Signer {
    pub fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Release { config, above } => {
                let (config, genesis) = Config::load(&config, &Overrides::default())?;
                signer::release(&config.signer_dir, &genesis.chain_id(), Height::new(above))?;
                println!("released: attests above height {above}");
            }
            Self::Resume { config } => {
                let (config, genesis) = Config::load(&config, &Overrides::default())?;
                match signer::resume(&config.signer_dir, &genesis.chain_id())? {
                    Some(reason) => println!("resumed; it had stopped because {reason}"),
                    None => println!("it had not stopped"),
                }
            }
        }
        Ok(())
    }
}
