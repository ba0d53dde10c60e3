//! The operator behind a vault equivocates.

use super::report::Report;
use super::vaults::Vaults;
use crate::constants::STAKING_BLOCKS;
use crate::devnet::Devnet;
use palisade_bitcoin::vault::Held;

/// The staking output of a vault is slashed, by exactly the agreed part.
///
/// # Errors
///
/// Names what does not hold.
pub async fn vault_slashed(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut life = Vaults::open(devnet)?;
    let (convict, _) = life.scene.choose().await?;
    let before = life.scene.holdings().await?;
    let vault = life.stake(convict.id()?, STAKING_BLOCKS).await?;
    life.scene.await_vault(&vault, "active").await?;
    life.done("a vault is active behind him in every ledger", "the covenant, a block, depth k");
    let case = life.convict(&convict).await?;
    life.slashed(&case, &vault, Held::Staked).await?;
    life.report(Some(&convict), before).await
}
