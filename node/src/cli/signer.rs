//! `palisade signer`: what only a person may decide about a signer, and its records in a file. The node must be stopped.

use super::read_text;
use crate::config::Config;
use crate::keys;
use crate::signer;
use crate::signer::interchange::{self, Interchange, MAX_FILE};
use anyhow::Context;
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
    /// Write the records of everything this signer signed, in the shape of EIP-3076, to take them to another machine
    Export {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// The file to make; it must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Only the newest of each key and domain; whoever imports it signs nothing at or below that
        #[arg(long)]
        minified: bool,
    },
    /// Take over such records. They may be older than the keys' last signature, so the guard waits afterwards (R15)
    Import {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// The file that was exported
        file: PathBuf,
    },
    /// Forget the records below a height, where nothing is signed any more then
    Prune {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// The lowest height that is kept
        #[arg(long, value_name = "HEIGHT")]
        below: u64,
    },
}

impl Signer {
    pub fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Release { config, above } => {
                let (config, genesis) = Config::load_at_rest(&config)?;
                signer::release(&config.signer_dir, &genesis.chain_id(), Height::new(above))?;
                println!("released: attests above height {above}");
            }
            Self::Resume { config } => {
                let (config, genesis) = Config::load_at_rest(&config)?;
                match signer::resume(&config.signer_dir, &genesis.chain_id())? {
                    Some(reason) => println!("resumed; it had stopped because {reason}"),
                    None => println!("it had not stopped"),
                }
            }
            Self::Export { config, out, minified } => {
                let (config, genesis) = Config::load_at_rest(&config)?;
                let whole = interchange::export(&config.signer_dir, &genesis.domains())?;
                let file = if minified { whole.minified() } else { whole };
                keys::write_new(&out, file.to_json().as_bytes())?;
                let slots: usize = file.data.iter().map(|row| row.signed_slots.len()).sum();
                println!("wrote {slots} slots of {} rows to {}", file.data.len(), out.display());
                println!("do not let this signer run on: what it signs from now on is not in the file");
            }
            Self::Import { config, file } => {
                let (config, genesis) = Config::load_at_rest(&config)?;
                let text = read_text(&file, MAX_FILE)?;
                let file = Interchange::from_json(&text).with_context(|| file.display().to_string())?;
                let done = interchange::import(&config.signer_dir, &genesis.domains(), &file)?;
                println!("took over {} records; the guard waits from its next start on (R15)", done.merged.added);
                if done.merged.contradicting > 0 {
                    println!(
                        "WARNING: {} places hold two digests: these keys have equivocated, or a record is wrong",
                        done.merged.contradicting
                    );
                }
                if done.foreign_rows > 0 {
                    println!("left out {} rows of keys that are not here", done.foreign_rows);
                }
            }
            Self::Prune { config, below } => {
                let (config, genesis) = Config::load_at_rest(&config)?;
                let floors = interchange::prune(&config.signer_dir, &genesis.domains(), Height::new(below))?;
                for (what, floor) in ["attests", "votes for"].into_iter().zip(floors) {
                    match floor {
                        Some(floor) => println!("{what} nothing new up to height {floor}"),
                        None => println!("nothing is recorded of what it {what}"),
                    }
                }
            }
        }
        Ok(())
    }
}
