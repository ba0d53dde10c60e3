//! A slash takes less than was asked, because the stake went between proof and execution: the ledgers book what was taken.

use super::report::Report;
use super::stake::{Stake, taken, tenth};
use crate::constants::{ALLOCATED_MAGNITUDE, FINALITY_LAG_BLOCKS};
use crate::devnet::Devnet;
use crate::eigenlayer;
use alloy::primitives::U256;
use anyhow::ensure;

/// Half of an allocation leaves at a block that Ethereum has reached and no ledger yet; the pair is handed in just then.
///
/// # Errors
///
/// Names what does not hold.
pub async fn partial_slash(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let before = stake.slashable().await?;
    let account = stake.owner.account()?;
    let half = ALLOCATED_MAGNITUDE / 2;
    eigenlayer::allocate(&stake.endpoint(), &stake.core, &account, stake.adapter(), half).await?;
    stake.await_anchor(stake.newest().await?).await?;
    let effect = stake.position().await?.effect_block;
    stake.done("he deallocates a half, which every ledger knows to leave later", "the finality tag");

    stake.pass(effect - FINALITY_LAG_BLOCKS).await?;
    stake.scene.devnet.anvil().mine(FINALITY_LAG_BLOCKS).await?;
    let left = stake.slashable().await?;
    Stake::expect("what is left of the allocation", left, before / U256::from(2))?;
    stake.done("the half is gone, in blocks that are not final yet", "the deallocation delay");

    let order = stake.convict().await?;
    let lost = left - stake.slashable().await?;
    Stake::expect("what EigenLayer's views lost", lost, tenth(left))?;
    ensure!(taken(&order)? == lost, "the ledgers say {:?}, EigenLayer {lost}", order.taken);
    let asked: U256 = order.asked.parse()?;
    ensure!(asked == tenth(before), "asked were {asked}, and the ledgers believed in {}", tenth(before));
    stake.done("half of what was asked was taken, and that is what the ledgers book", "nothing");
    stake.report(true).await
}
