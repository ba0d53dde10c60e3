//! An operator's attestation key equivocates: his stake on EigenLayer is slashed by the pair, and nothing else is.

use super::report::Report;
use super::stake::{Stake, taken, tenth};
use crate::devnet::Devnet;
use alloy::primitives::U256;
use anyhow::ensure;

/// The pair takes exactly the configured part of what is allocated to the network's own set.
///
/// # Errors
///
/// Names what does not hold.
pub async fn slash_pair(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let before = stake.slashable().await?;
    let mut convicted = stake.scene.convicted().await?;
    let order = stake.convict().await?;
    let lost = before - stake.slashable().await?;
    Stake::expect("what EigenLayer's views lost", lost, tenth(before))?;
    ensure!(taken(&order)? == lost, "the ledgers say {:?}, EigenLayer {lost}", order.taken);
    ensure!(order.asked.parse::<U256>()? == tenth(before), "asked {}, configured {}", order.asked, tenth(before));
    convicted.insert(stake.owner.id()?.to_string());
    let now = stake.scene.convicted().await?;
    ensure!(now == convicted, "convicted are {now:?}, not {convicted:?}");
    stake.done("he and nobody else is convicted, in every ledger", "nothing");
    stake.report(true).await
}
