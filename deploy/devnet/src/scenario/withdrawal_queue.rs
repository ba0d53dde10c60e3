//! A staker queues a withdrawal: it counts no more, stays slashable for the protocol's delay, and is paid out with the loss.

use super::report::Report;
use super::stake::{Stake, taken, tenth};
use crate::constants::WITHDRAWAL_DELAY_BLOCKS;
use crate::devnet::Devnet;
use crate::eigenlayer;
use alloy::primitives::U256;
use anyhow::ensure;

/// What is withdrawn: four hundred tokens of a thousand.
const QUEUED: u128 = 400_000_000_000_000_000_000;

/// A part is queued, both parts are slashed, and the queue pays out what is left.
///
/// # Errors
///
/// Names what does not hold.
pub async fn withdrawal_queue(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let (before, queued) = (stake.slashable().await?, U256::from(QUEUED));
    ensure!(before > queued, "he has {before} shares, too few for this scenario; reset the devnet");
    let account = stake.owner.account()?;
    eigenlayer::queue_withdrawal(&stake.endpoint(), &stake.core, &account, queued).await?;
    let asked_in = stake.newest().await?;
    Stake::expect("what the set can take", stake.slashable().await?, before - queued)?;
    Stake::expect("what the queue holds", stake.in_queue().await?, queued)?;
    stake.done(
        "a withdrawal is queued: the set's stake falls at once, the queue can still be slashed",
        "his transaction",
    );

    stake.await_anchor(asked_in).await?;
    let held: U256 = stake.position().await?.shares.parse()?;
    Stake::expect("what the ledgers hold", held, before - queued)?;
    let waiting: U256 = stake.position().await?.queued.parse()?;
    Stake::expect("what the ledgers hold of the queue", waiting, queued)?;
    stake.await_counted("a committee without the queue", |promised| promised < before).await?;
    stake.done("every ledger holds it, and a committee counts what is left", "the finality tag, a boundary");

    let order = stake.convict().await?;
    let (now, queue) = (stake.slashable().await?, stake.in_queue().await?);
    Stake::expect("what the set can take", now, before - queued - tenth(before - queued))?;
    Stake::expect("what the queue holds", queue, queued - tenth(queued))?;
    Stake::expect("what the ledgers ask for", order.asked.parse()?, tenth(before))?;
    Stake::expect("what the ledgers book", taken(&order)?, tenth(before))?;
    stake.done("both parts are slashed, and booked", "nothing");

    stake.pass(asked_in + u64::from(WITHDRAWAL_DELAY_BLOCKS) + 1).await?;
    let paid = eigenlayer::complete_withdrawal(&stake.endpoint(), &stake.core, &account).await?;
    Stake::expect("what the queue paid out", paid, queued - tenth(queued))?;
    stake.done("the queue pays out nine tenths", "the withdrawal delay");
    let paid_in = stake.newest().await?;
    stake.await_anchor(paid_in).await?;
    let waiting: U256 = stake.position().await?.queued.parse()?;
    Stake::expect("what the ledgers hold of the queue at the end", waiting, U256::ZERO)?;
    stake.report(true).await
}
