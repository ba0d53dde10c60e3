//! `palisade vault unbond` and `withdraw`: the two ways back.

use std::path::PathBuf;

use anyhow::{Context, bail};
use palisade_bitcoin::bitcoin::network;
use palisade_bitcoin::plan;
use palisade_bitcoin::psbt::Request;
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::vault::Held;

use super::core::Core;
use super::desk::{Signing, Where, carry_out};
use crate::rpc::views::VaultView;

/// How the transaction is signed and sent.
#[derive(Debug, clap::Args)]
struct Way {
    /// Where the PSBT for your wallet goes
    #[arg(long, default_value = "vault.psbt", value_name = "FILE")]
    out: PathBuf,
    /// The PSBT that your wallet signed
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    signed: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    core: Core,
}

const AFTER: &str = "then: palisade vault withdraw";

#[derive(Debug, clap::Args)]
pub struct Unbond {
    /// The vault, `txid:output`
    vault: String,
    #[command(flatten)]
    way: Way,
}

impl Unbond {
    pub async fn act(self) -> anyhow::Result<()> {
        let desk = self.way.place.open().await?;
        let presigned = desk.presigned(&self.vault).await?;
        let view = desk.view(&self.vault).await?;
        match view.status.as_str() {
            "verified" | "active" | "expired" => {}
            "unbonding" => bail!("vault {} is unbonding already; {AFTER}", self.vault),
            over => bail!("vault {} is {over}: there is nothing left to unbond", self.vault),
        }
        if self.way.carry_out(&desk.genesis, &Request::unbonding(&presigned)).await? {
            let blocks = presigned.vault().terms().unbonding_time();
            println!("Its coins are free {blocks} blocks after that one's; {AFTER}");
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub struct Withdraw {
    /// The vault, `txid:output`
    vault: String,
    /// Where the coins go
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// The fee, satoshis
    #[arg(long, default_value_t = 1_000, value_name = "SATS")]
    fee: u64,
    #[command(flatten)]
    way: Way,
}

impl Withdraw {
    pub async fn act(self) -> anyhow::Result<()> {
        let desk = self.way.place.open().await?;
        let presigned = desk.presigned(&self.vault).await?;
        let view = desk.view(&self.vault).await?;
        let to = plan::script(&self.to, network(&desk.genesis.bitcoin_genesis)?)?;
        let fee = palisade_bitcoin::Amount::from_sat(self.fee);
        let vault = presigned.vault();
        let request = match view.status.as_str() {
            "verified" | "active" | "expired" => Request::withdrawal(vault, Held::Staked, to, fee)?,
            "unbonding" => Request::withdrawal(vault, Held::Unbonding, to, fee)?,
            "slashed" => Request::change(vault, rung(&presigned, &view)?, to, fee)?,
            over => bail!("vault {} is {over}: there is nothing left in it", self.vault),
        };
        if let ("verified" | "active" | "expired", Some(end)) = (view.status.as_str(), view.end) {
            let now = desk.anchor().await?;
            if now < end {
                eprintln!("Its lock runs out at Bitcoin height {end}, now is {now}; unbonding may be faster.");
            }
        }
        self.way.carry_out(&desk.genesis, &request).await.map(drop)
    }
}

/// Which slashing transaction it was that left something.
fn rung(presigned: &Presigned, view: &VaultView) -> anyhow::Result<usize> {
    let wanted = view.transaction.as_deref().context("the node does not say which transaction slashed it")?;
    let slashings = presigned.vault().slashings();
    let found = slashings.iter().position(|slashing| slashing.transaction.compute_txid().to_string() == wanted);
    found.with_context(|| format!("{wanted} is none of the vault's slashing transactions"))
}

impl Way {
    async fn carry_out(&self, genesis: &palisade_types::genesis::Genesis, request: &Request) -> anyhow::Result<bool> {
        let wallet = self.signing.wallet(genesis)?;
        carry_out(request, wallet.as_ref(), (self.signed.as_deref(), &self.out), self.core.client()?).await
    }
}
