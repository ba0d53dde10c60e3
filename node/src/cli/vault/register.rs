//! `palisade vault register` and `send`: a plan whose PSBTs a wallet has signed becomes a vault.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use palisade_bitcoin::plan::{self, Plan};
use palisade_bitcoin::psbt::{self, Request};
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::{Psbt, Transaction};

use super::core::Core;
use super::desk::{Desk, Where, read_psbt, send, write_new};
use super::stake::PLAN;
use crate::text::parse_hex_bytes;

#[derive(Debug, clap::Args)]
pub struct Register {
    /// Folder of the plan
    dir: PathBuf,
    /// A signed PSBT that is not in the folder; once for each
    #[arg(long = "signed", value_name = "FILE")]
    signed: Vec<PathBuf>,
    /// Height of the block that holds the staking transaction, when the coins are locked already
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u32>,
    /// Seconds to wait for the covenant
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    deadline: u64,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    core: Core,
}

impl Register {
    pub async fn act(self) -> anyhow::Result<()> {
        let desk = self.place.open().await?;
        let mut plan = read(&self.dir, &desk)?;
        for file in self.files(&plan) {
            let index = plan.take(&read_psbt(&file)?).with_context(|| file.display().to_string())?;
            println!("slashing {index} is signed");
        }
        let missing: Vec<_> = plan.unsigned().iter().map(|index| format!("slashing-{index}.psbt")).collect();
        if !missing.is_empty() {
            bail!("not signed yet: {}", missing.join(", "));
        }
        if let Some(height) = self.height {
            self.include(&mut plan, height).await?;
        }
        let parent = match plan.parent() {
            Some(parent) => Some(desk.registration(&parent.to_string()).await?),
            None => None,
        };
        let id = desk.register(plan.registration(parent.as_ref(), &desk.versions)?, self.deadline).await?;
        self.next(&desk, &id, &plan).await
    }

    /// What the wallet signed into the folder, and what was named.
    fn files(&self, plan: &Plan) -> Vec<PathBuf> {
        let of = |index| self.dir.join(format!("slashing-{index}.signed.psbt"));
        let there = (0..plan.requests().len()).map(of).filter(|file| file.exists());
        there.chain(self.signed.iter().cloned()).collect()
    }

    async fn include(&self, plan: &mut Plan, height: u32) -> anyhow::Result<()> {
        let client = self.core.client()?.context("--bitcoin-rpc or --config is missing: the block is read there")?;
        let block = client.block(client.block_hash(height).await?).await?;
        Ok(plan.include(&block, u64::from(height))?)
    }

    async fn next(&self, desk: &Desk, id: &str, plan: &Plan) -> anyhow::Result<()> {
        match (plan.parent(), self.height) {
            (Some(_), _) => {
                let file = self.dir.join("expansion.psbt");
                let presigned = desk.presigned(id).await?;
                let request = Request::expansion(presigned.draft()).context("the ledger shows no expansion")?;
                write_new(&file, psbt::text(&request.psbt(None)).as_bytes())?;
                println!(
                    "Sign both inputs of {} with your wallet; then: palisade vault send {id} --signed FILE",
                    file.display()
                );
            }
            (None, None) => {
                println!(
                    "Now sign the staking transaction with your wallet; then: palisade vault send {id} --signed FILE"
                );
            }
            (None, Some(_)) => println!("It counts once its block is deep enough: palisade vault status {id}"),
        }
        Ok(())
    }
}

fn read(dir: &Path, desk: &Desk) -> anyhow::Result<Plan> {
    let path = dir.join(PLAN);
    let length = std::fs::metadata(&path);
    let length =
        length.with_context(|| format!("no plan of palisade vault stake or expand in {}", dir.display()))?.len();
    if length > 2 * plan::MAX_PLAN_BYTES as u64 + 16 {
        bail!("{} is too large for a plan", path.display());
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Plan::read(&parse_hex_bytes(&text)?, &desk.versions).with_context(|| path.display().to_string())
}

fn signed(presigned: &Presigned, psbt: Psbt) -> anyhow::Result<Transaction> {
    let Some(request) = Request::expansion(presigned.draft()) else {
        return Ok(plan::finished(psbt, presigned.vault())?);
    };
    let funding = psbt::funding_witness(presigned.draft(), &psbt)?;
    presigned.expand(&request.signature(&psbt)?, funding).context("the ledger shows no expansion")
}

/// Locks the coins, after a look at the ledger: the covenant must have signed.
#[derive(Debug, clap::Args)]
pub struct Send {
    /// The vault, `txid:output`
    vault: String,
    /// The staking transaction as a PSBT that your wallet signed
    #[arg(long, value_name = "FILE")]
    signed: PathBuf,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    core: Core,
}

impl Send {
    pub async fn act(self) -> anyhow::Result<()> {
        let desk = self.place.open().await?;
        let presigned = desk.presigned(&self.vault).await?;
        let psbt = read_psbt(&self.signed)?;
        let transaction = signed(&presigned, psbt).with_context(|| self.signed.display().to_string())?;
        if send(&transaction, self.core.client()?).await? {
            println!("It counts once its block is deep enough: palisade vault status {}", self.vault);
        }
        Ok(())
    }
}
