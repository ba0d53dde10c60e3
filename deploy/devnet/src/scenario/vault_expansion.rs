//! A vault grows, and its coins are never free.

use super::report::Report;
use super::vaults::{Hand, Vaults, output, part, told};
use crate::constants::{STAKING_BLOCKS, VAULT_SATS};
use crate::devnet::Devnet;
use crate::progress::say;
use anyhow::{Context, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::VaultView;
use std::path::Path;
use std::time::Duration;

/// What the new vault holds: half as much again.
const GROWN_SATS: u64 = VAULT_SATS + VAULT_SATS / 2;
/// Between two looks at both vaults.
const LOOK: Duration = Duration::from_millis(300);

/// `vault expand`: the parent is expanded and the child active at the same moment in every ledger.
///
/// # Errors
///
/// Names what does not hold.
pub async fn vault_expansion(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut life = Vaults::open(devnet)?;
    let before = life.scene.holdings().await?;
    let owner = life.teller().id()?;
    let weight = life.at_risk(owner).await?;
    let parent = life.stake(owner, STAKING_BLOCKS).await?;
    life.scene.await_vault(&parent, "active").await?;
    life.await_weight(owner, weight + part(VAULT_SATS)).await?;
    life.done("a vault is active in every ledger, and counts", "the covenant, a block, depth k, an epoch");

    let hand = Hand::new(devnet, "vault-expansion")?;
    let child = tokio::select! {
        child = expand(&life, &hand, &parent) => child?,
        broken = watch(&life, &parent) => return Err(broken),
    };
    life.scene.await_vault(&parent, "expanded").await?;
    let view = life.scene.await_vault(&child, "active").await?;
    ensure!(view.parent.as_ref() == Some(&parent), "the child names {:?} as its parent", view.parent);
    ensure!(life.client.unspent(output(&parent)?, false).await?.is_none(), "the parent's coins are still there");
    let coins = life.client.unspent(output(&child)?, false).await?.context("the child's coins are there")?;
    let held = coins.output().context("an output")?.value.to_sat();
    ensure!(held == GROWN_SATS, "the child holds {held} satoshis");
    life.done("the parent is expanded, its child active in every ledger; never both counted", "the covenant, depth k");
    life.await_weight(owner, weight + part(GROWN_SATS)).await?;
    life.done("every committee counts the child, and not the parent", "an epoch");
    life.sign_and_send(&hand, &["unbond", &child]).await?;
    life.scene.await_vault(&child, "unbonding").await?;
    life.await_weight(owner, weight).await?;
    life.done("the child unbonds, and nothing of either counts", "a block, depth k, an epoch");
    life.report(None, before).await
}

/// The staker's commands, with his key in a wallet of his own; the answer is the child.
async fn expand(life: &Vaults<'_>, hand: &Hand, parent: &str) -> anyhow::Result<String> {
    let (coin, home) = (life.coin().await?.outpoint.to_string(), life.home()?.to_string());
    let (amount, time) = (GROWN_SATS.to_string(), STAKING_BLOCKS.to_string());
    let choice = ["expand", parent, "--funding", &coin, "--amount", &amount, "--change", &home, "--time", &time];
    let said = life.vault(&[&choice[..], &["--out", &hand.plan()]].concat()).await?;
    let child = told(&said, "vault")?;
    hand.sign_plan()?;
    life.vault(&["register", &hand.plan()]).await?;
    let (asked, signed) = (hand.file("plan/expansion.psbt"), hand.file("plan/expansion.signed.psbt"));
    hand.wallet.sign(Path::new(&asked), Path::new(&signed))?;
    life.vault(&["send", &child, "--signed", &signed]).await?;
    life.scene.await_vault(&child, "active").await?;
    Ok(child)
}

/// Looks at both vaults in every ledger again and again; ends only when one of them counts both, or neither.
async fn watch(life: &Vaults<'_>, parent: &str) -> anyhow::Error {
    loop {
        for operator in &life.scene.operators {
            let look = async { anyhow::Ok(operator.client()?.vaults().await?) };
            match look.await {
                Ok(vaults) if counted(&vaults, parent) == 1 => {}
                Ok(vaults) => {
                    return anyhow::anyhow!("{} counts {} of both", operator.name(), counted(&vaults, parent));
                }
                Err(error) => say(format!("{} does not answer: {error:#}", operator.name())),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many of a vault and what grows out of it are active.
fn counted(vaults: &[VaultView], parent: &str) -> usize {
    let family = vaults.iter().filter(|vault| vault.id == parent || vault.parent.as_deref() == Some(parent));
    family.filter(|vault| vault.status == "active").count()
}
