//! More is at fault than one span may take orders against, a third of the committee's weight: verdicts go out in order until it is
//! full, the rest waits and goes when the first are out of the span (R11).

use super::report::Report;
use super::services::Court;
use crate::constants::{EPOCH_ETHEREUM_BLOCKS, ORDER_DELAY_BLOCKS};
use crate::devnet::Devnet;
use crate::progress::say;
use crate::service;
use anyhow::{Context, ensure};
use palisade_types::verdict::{Docket, Stage};

/// By how many Ethereum blocks an anchor may jump over the first block at which a verdict could have gone.
const JUMP: u64 = 5;

/// Two operators are away from both services: four verdicts, of which three fit.
///
/// # Errors
///
/// Names what does not hold.
pub async fn throttle(devnet: &Devnet) -> anyhow::Result<Report> {
    let played = play(devnet).await;
    service::down(devnet.layout()).await?; // modules that nobody looks after fail their services
    played
}

async fn play(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut court = Court::open(devnet).await?;
    let guilty = court.guilty.clone();
    for operator in &guilty {
        for service in 0..court.services.len() {
            court.stop(operator, service).await?;
        }
    }
    let requests = court.request().await?;
    court.done("two operators are away from both services while these are asked", "blocks");

    let all: Vec<_> = guilty.iter().collect();
    let mut charges = Vec::new();
    for request in requests {
        charges.extend(court.charges(request, &all).await?);
    }
    court.await_cases("of a verdict", &charges, |_| true).await?;
    court.check_judges(&charges).await?;
    court.done(
        "a quorum without them judges both for both, and every ledger holds the cases",
        "Ethereum's finality, an epoch",
    );

    let waits = |status: &str| status == "waiting";
    let cases = court.await_cases("let go", &charges, |case| !case.orders.iter().any(|order| waits(&order.status)));
    cases.await?;
    let dockets = court.dockets(&charges).await?;
    let released = in_order(&dockets)?;
    court.done("the first went at once, the rest a span later, in order, as every ledger proves", "the window, a span");

    let cases = court.await_cases("final", &charges, |case| case.status == "final").await?;
    court.done("all orders are executed, final, and booked in every ledger", "the delay, the finality tag");
    let half = charges.len() / 2;
    let mut due = Vec::new();
    for of_service in charges.chunks(half) {
        let part = Court::law(&of_service.iter().collect::<Vec<_>>())?;
        due.extend(of_service.iter().map(|_| part));
    }
    let executed = court.check_losses(&charges, &cases, &due).await?;
    for (docket, block) in dockets.iter().zip(&executed) {
        let from = block_of(docket)?;
        ensure!(*block > from + ORDER_DELAY_BLOCKS, "executed in block {block}, let go at {from}");
        let (late, early) = (from == released.last, *block);
        let before = dockets.iter().zip(&executed).filter(|(other, _)| block_of(other).is_ok_and(|one| one < from));
        let first = before.map(|(_, block)| *block).max();
        ensure!(
            !late || first.is_none_or(|first| first < early),
            "block {early} took what waited, {first:?} what went first"
        );
    }
    court.done("the chain took what waited after what went first, each what the law says, to the unit", "nothing");
    court.report(&cases).await
}

/// When the last went.
struct Released {
    last: u64,
}

fn block_of(docket: &Docket) -> anyhow::Result<u64> {
    match docket.stage {
        Stage::Let(released) => Ok(released.block),
        Stage::Waiting => anyhow::bail!("{docket:?} waits"),
    }
}

/// No span holds more than a third, some had to wait, they went in the order of captures and then of arrival, and none later than it had to.
fn in_order(dockets: &[Docket]) -> anyhow::Result<Released> {
    let mut sorted = dockets.to_vec();
    sorted.sort_by_key(|docket| (docket.verdict.capture, docket.number));
    let blocks = sorted.iter().map(block_of).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(blocks.windows(2).all(|pair| pair[0] <= pair[1]), "let go out of order: {blocks:?}");
    let third = sorted.first().context("somebody was judged")?.total / 3;
    let within = |until: u64| {
        let near = sorted
            .iter()
            .zip(&blocks)
            .filter(move |(_, block)| **block <= until && **block + EPOCH_ETHEREUM_BLOCKS > until);
        near.map(|(docket, _)| docket.weight).sum::<u64>()
    };
    let all: u64 = sorted.iter().map(|docket| docket.weight).sum();
    ensure!(all > third, "all of them weigh {all}, and {third} may go at once");
    ensure!(blocks.iter().all(|block| within(*block) <= third), "more than {third} in one span: {sorted:?}");
    let mut sum = 0;
    let at_once = sorted.iter().take_while(|docket| {
        sum += docket.weight;
        sum <= third
    });
    let at_once = at_once.count();
    let (first, last) = (blocks[0], *blocks.last().context("somebody was judged")?);
    ensure!(at_once > 0 && blocks[..at_once].iter().all(|block| *block <= first + JUMP), "{at_once} fit: {blocks:?}");
    // Equal weights: what waits first goes as soon as the first is out of the span.
    let waited = blocks[at_once];
    let soon = first + EPOCH_ETHEREUM_BLOCKS;
    ensure!((soon..=soon + JUMP).contains(&waited), "what waited went at {waited}, and could at {soon}");
    say(format!("{at_once} of {} went at Ethereum's block {first}, the next at {waited}", blocks.len()));
    Ok(Released { last })
}
