//! A staker locks coins, changes his mind, and has them back.

use super::report::Report;
use super::vaults::{Hand, Vaults, part, unbonding_output};
use crate::constants::{STAKING_BLOCKS, UNBONDING_BLOCKS, VAULT_SATS};
use crate::devnet::Devnet;
use anyhow::{Context, ensure};

/// Stake, active, unbond, withdraw: by the staker's own commands, with his key in a wallet that knows nothing of Palisade, and
/// in every ledger.
///
/// # Errors
///
/// Names what does not hold.
pub async fn vault_life(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut life = Vaults::open(devnet)?;
    let before = life.scene.holdings().await?;
    let owner = life.teller().id()?;
    let weight = life.at_risk(owner).await?;
    let hand = Hand::new(devnet, "vault-life")?;
    let vault = life.stake_by_wallet(&hand, owner, STAKING_BLOCKS).await?;
    life.done(
        "a wallet signed the slashings, the covenant signed too, and only then the coins were locked",
        "the covenant",
    );
    life.scene.await_vault(&vault, "active").await?;
    ensure!(life.status(&vault).await? == "active", "vault status says something else than the ledger");
    life.done("it is active in every ledger", "a block, depth k");
    life.await_weight(owner, weight + part(VAULT_SATS)).await?;
    life.done("every committee counts it", "an epoch");

    life.sign_and_send(&hand, &["unbond", &vault]).await?;
    let view = life.scene.await_vault(&vault, "unbonding").await?;
    life.done("it unbonds in every ledger", "a block, depth k");
    let home = life.home()?.to_string();
    let withdraw = ["withdraw", &vault, "--to", &home];
    let early = life.sign_and_send(&hand, &withdraw).await.err().context("it was withdrawn early")?.to_string();
    ensure!(early.contains("non-BIP68-final"), "refused for another reason: {early}");
    life.await_weight(owner, weight).await?;
    life.done("no committee counts it, and the coins are still locked", "an epoch");

    let coins = unbonding_output(&view)?;
    let unspent = life.client.unspent(coins, false).await?.context("the unbonding output is there")?;
    let tip = u64::from(life.client.info().await?.blocks);
    life.pass(tip + u64::from(UNBONDING_BLOCKS).saturating_sub(u64::from(unspent.confirmations))).await?;
    life.done("the unbonding time is over", "120 blocks");
    life.sign_and_send(&hand, &withdraw).await?;
    let withdrawn = life.scene.await_vault(&vault, "withdrawn").await?;
    ensure!(life.client.unspent(coins, false).await?.is_none(), "withdrawn, and still there");
    let withdrawn = withdrawn.transaction.context("a withdrawn vault names its transaction")?.parse()?;
    let back = life.client.transaction(withdrawn, None).await?.output;
    ensure!(
        back.len() == 1 && back[0].script_pubkey == life.home()?.script_pubkey(),
        "the coins went elsewhere: {back:?}"
    );
    life.done("it is withdrawn in every ledger", "a block, depth k");
    life.report(None, before).await
}
