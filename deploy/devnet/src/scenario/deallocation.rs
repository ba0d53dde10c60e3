//! An operator takes his allocation back. It leaves the committee's count as soon as it could be gone before the window ends (R4),
//! and a pair takes from it as long as the protocol says that it can be slashed.

use super::report::Report;
use super::stake::{Stake, taken, tenth};
use crate::constants::DEALLOCATION_DELAY_BLOCKS;
use crate::devnet::Devnet;
use crate::eigenlayer;
use alloy::primitives::U256;
use anyhow::ensure;

/// Everything is deallocated, stops counting, and is slashed while the delay runs.
///
/// # Errors
///
/// Names what does not hold.
pub async fn deallocation(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let before = stake.slashable().await?;
    stake.await_counted("a committee that counts his stake", |promised| promised == before).await?;
    eigenlayer::allocate(&stake.endpoint(), &stake.core, &stake.owner.account()?, stake.adapter(), 0).await?;
    let asked_in = stake.newest().await?;
    ensure!(stake.slashable().await? == before, "the core takes a deallocation for done at once");
    stake.done("he deallocates everything; EigenLayer can still take all of it", "his transaction");

    stake.await_anchor(asked_in).await?;
    let position = stake.position().await?;
    let effect = asked_in + u64::from(DEALLOCATION_DELAY_BLOCKS) + 1;
    ensure!(
        position.pending == format!("-{}", position.magnitude) && position.effect_block <= effect,
        "the ledgers do not hold the pending change: {position:?}"
    );
    let effect = position.effect_block;
    stake.done("every ledger holds the pending change and its effect block", "the finality tag");

    stake.await_counted("a committee that counts nothing of it", |promised| promised == U256::ZERO).await?;
    stake.done(
        "a committee counts him with nothing, as the core's own view promises",
        "a boundary in the last 20 blocks",
    );

    ensure!(stake.newest().await? < effect, "the delay is over already");
    let order = stake.convict().await?;
    let lost = before - stake.slashable().await?;
    Stake::expect("what EigenLayer's views lost", lost, tenth(before))?;
    ensure!(taken(&order)? == lost, "the ledgers say {:?}, EigenLayer {lost}", order.taken);
    stake.done("what counted no more was slashed all the same", "nothing");
    stake.report(true).await
}
