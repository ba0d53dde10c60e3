//! The staker leaves before the fault of his operator is told.

use super::report::Report;
use super::vaults::{Vaults, unbonding_output};
use crate::constants::STAKING_BLOCKS;
use crate::devnet::Devnet;
use anyhow::ensure;
use palisade_bitcoin::vault::Held;

/// The unbonding output of a vault is slashed: leaving helps nobody.
///
/// # Errors
///
/// Names what does not hold.
pub async fn vault_unbonding_race(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut life = Vaults::open(devnet)?;
    let (convict, _) = life.scene.choose().await?;
    let before = life.scene.holdings().await?;
    let vault = life.stake(convict.id()?, STAKING_BLOCKS).await?;
    life.scene.await_vault(&vault, "active").await?;
    life.done("a vault is active behind him in every ledger", "the covenant, a block, depth k");
    life.vault_by_key(&["unbond", &vault]).await?;
    let view = life.scene.await_vault(&vault, "unbonding").await?;
    let coins = unbonding_output(&view)?;
    ensure!(life.client.unspent(coins, false).await?.is_some(), "the unbonding output is not there");
    life.done("its staker has won the race: it unbonds in every ledger", "a block, depth k");
    let case = life.convict(&convict).await?;
    life.slashed(&case, &vault, Held::Unbonding).await?;
    life.report(Some(&convict), before).await
}
