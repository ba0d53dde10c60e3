//! Two operators fail one service in one window, one of them fails another service alone: a quorum's verdicts take from each what the law
//! of correlation says, more of those who failed together, out of that service's own set and of no other (R11).

use super::report::Report;
use super::services::Court;
use crate::devnet::Devnet;
use crate::service;
use anyhow::ensure;

/// Both answer the first service wrongly; the second's module of the second service is away.
///
/// # Errors
///
/// Names what does not hold.
pub async fn correlated_fault(devnet: &Devnet) -> anyhow::Result<Report> {
    let played = play(devnet).await;
    service::down(devnet.layout()).await?; // modules that nobody looks after fail their services
    played
}

async fn play(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut court = Court::open(devnet).await?;
    let [first, second] =
        <[_; 2]>::try_from(court.guilty.clone()).map_err(|all| anyhow::anyhow!("{} fail", all.len()))?;
    court.mislead(&first, 0).await?;
    court.mislead(&second, 0).await?;
    court.stop(&second, 1).await?;
    let requests = court.request().await?;
    court.done(
        "both services are asked; two operators answer one wrongly, one of them does not answer the other",
        "blocks",
    );

    let mut charges = court.charges(requests[0], &[&first, &second]).await?;
    charges.extend(court.charges(requests[1], &[&second]).await?);
    court.await_cases("of a verdict", &charges, |_| true).await?;
    court.check_judges(&charges).await?;
    court.done("a quorum without them judges them, and every ledger holds the cases", "Ethereum's finality, an epoch");

    let cases = court.await_cases("final", &charges, |case| case.status == "final").await?;
    court.done(
        "orders are certified, executed, final, and booked in every ledger",
        "the window, the delay, the finality tag",
    );
    let together = Court::law(&[&charges[0], &charges[1]])?;
    let alone = Court::law(&[&charges[2]])?;
    ensure!(together > 3 * alone, "two who failed together pay {together}, one alone {alone} of 1e18");
    court.check_losses(&charges, &cases, &[together, together, alone]).await?;
    court.done(
        "each lost in EigenLayer's own views what the law says, to the unit, and nothing anywhere else",
        "nothing",
    );
    court.report(&cases).await
}
