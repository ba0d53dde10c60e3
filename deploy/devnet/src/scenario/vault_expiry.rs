//! A vault's lock runs out.

use super::report::Report;
use super::vaults::{Vaults, output, part};
use crate::constants::{MIN_STAKING_BLOCKS, VAULT_SATS};
use crate::devnet::Devnet;
use anyhow::{Context, ensure};

/// An expired vault weighs nothing, keeps its coins as long as the lock does, and is withdrawn by timelock.
///
/// # Errors
///
/// Names what does not hold.
pub async fn vault_expiry(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut life = Vaults::open(devnet)?;
    let before = life.scene.holdings().await?;
    let owner = life.teller().id()?;
    let weight = life.at_risk(owner).await?;
    let vault = life.stake(owner, MIN_STAKING_BLOCKS).await?;
    let view = life.scene.await_vault(&vault, "active").await?;
    let (expires, end) = (view.expires.context("it expires")?, view.end.context("it ends")?);
    life.done("a vault of the shortest time is active in every ledger", "the covenant, a block, depth k");
    life.await_weight(owner, weight + part(VAULT_SATS)).await?;
    life.done("every committee counts it", "an epoch");

    life.pass(expires).await?;
    life.scene.await_vault(&vault, "expired").await?;
    life.await_weight(owner, weight).await?;
    life.done("it is expired in every ledger, and no committee counts it", "80 blocks, depth k, an epoch");
    let coins = output(&vault)?;
    ensure!(life.client.unspent(coins, true).await?.is_some(), "its coins moved");
    let home = life.home()?.to_string();
    let withdraw = ["withdraw", &vault, "--to", &home];
    let early = life.vault_by_key(&withdraw).await.err().context("it was withdrawn early")?.to_string();
    ensure!(early.contains("non-BIP68-final"), "refused for another reason: {early}");
    life.done("its coins are still locked, so a slash could still take them", "nothing");

    life.pass(end).await?;
    life.vault_by_key(&withdraw).await?;
    life.scene.await_vault(&vault, "withdrawn").await?;
    ensure!(life.client.unspent(coins, false).await?.is_none(), "withdrawn, and still there");
    life.done("it is withdrawn by its timelock in every ledger", "120 blocks more, depth k");
    life.report(None, before).await
}
