//! Ethereum takes blocks back that were not final yet: no ledger ever saw them.

use super::report::{Report, Step};
use super::scene::Scene;
use crate::constants::{FINALITY_LAG_BLOCKS, READY_DEADLINE};
use crate::devnet::Devnet;
use crate::eigenlayer;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use alloy::primitives::U256;
use alloy::providers::Provider;
use anyhow::{Context, bail, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::PositionView;
use std::time::Instant;

/// What is deposited: a hundred tokens.
const DEPOSIT: u128 = 100_000_000_000_000_000_000;

/// A deposit is taken back by a reorganisation before it was final, then made again and left alone.
///
/// # Errors
///
/// Names what does not hold.
pub async fn ethereum_reorg(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    let (began, before) = (Instant::now(), scene.holdings().await?);
    let cases = scene.cases().await?;
    let heights = scene.final_heights(&scene.operators).await?;
    let staker = scene.operators.last().context("a devnet has operators")?;
    let mut steps = Vec::new();
    let mut done = |what, waited_for| {
        say(what);
        steps.push(Step { what, after: began.elapsed(), waited_for });
    };

    let first = newest(devnet).await? + 1;
    deposit(devnet, staker).await?;
    let booked = in_ledgers(&scene, staker).await?;
    let with = scene.shares(staker).await?;
    ensure!(with > scene.holding_of(staker, &before)?.shares, "the deposit adds nothing to the stake");
    let depth = newest(devnet).await? + 1 - first;
    ensure!(depth < FINALITY_LAG_BLOCKS, "the deposit took {depth} blocks: part of them may be final");
    devnet.anvil().reorg(depth).await?;
    ensure!(scene.holdings().await? == before, "the reorganisation left the deposit where it was");
    done("a deposit is made, and its blocks are taken back before they are final", "its transactions");

    let tip = newest(devnet).await?;
    await_anchor(&scene, tip).await?;
    ensure!(in_ledgers(&scene, staker).await? == booked, "a ledger booked what was never final");
    done("every ledger has taken in the blocks that stand there now, and no deposit", "the finality tag");

    deposit(devnet, staker).await?;
    await_anchor(&scene, newest(devnet).await?).await?;
    let now = in_ledgers(&scene, staker).await?;
    ensure!(now == booked + U256::from(DEPOSIT), "the ledgers say {now} shares, before the deposit {booked}");
    done("the deposit is made again, stays, and stands in every ledger", "the finality tag");

    scene.finalised_since(&scene.operators, &heights).await?;
    scene.check_roots().await?;
    done("everybody finalised on, both sides; state roots equal", "the next certificates");
    ensure!(cases == scene.cases().await?, "a case was opened");
    let now = scene.holdings().await?;
    for ((operator, before), now) in scene.operators.iter().zip(&before).zip(&now) {
        ensure!(operator.name() == staker.name() || before == now, "{}'s stake changed", operator.name());
    }
    Ok(Report { convict: None, steps, holdings: scene.changes(before, now), took: began.elapsed(), gas: vec![] })
}

async fn newest(devnet: &Devnet) -> anyhow::Result<u64> {
    Ok(devnet.anvil().provider()?.get_block_number().await?)
}

async fn deposit(devnet: &Devnet, staker: &Operator) -> anyhow::Result<()> {
    let (core, account) = (devnet.network()?.eigenlayer(), staker.account()?);
    eigenlayer::stake(&devnet.anvil().url(), &core, &account, &account, U256::from(DEPOSIT)).await
}

/// The operator's delegated shares as every ledger has them.
async fn in_ledgers(scene: &Scene<'_>, of: &Operator) -> anyhow::Result<U256> {
    let id = of.id()?.to_string();
    let mut said = Vec::new();
    for operator in &scene.operators {
        let known = operator.client()?.operators().await?;
        let known = known.into_iter().find(|known| known.id == id).context("the ledger knows every operator")?;
        let position = known.positions.first().context("he has stake")?;
        let PositionView::Eigenlayer(magnitudes) = position else { bail!("his first position is not on EigenLayer") };
        said.push(magnitudes.shares.parse::<U256>()?);
    }
    let first = *said.first().context("a devnet has operators")?;
    ensure!(said.iter().all(|shares| *shares == first), "the ledgers differ: {said:?}");
    Ok(first)
}

/// Waits until every ledger has taken Ethereum in up to `number`; nobody met a contradiction.
async fn await_anchor(scene: &Scene<'_>, number: u64) -> anyhow::Result<()> {
    for operator in &scene.operators {
        let client = operator.client()?;
        let what = format!("Ethereum's block {number} on {}", operator.name());
        let status = until(&what, READY_DEADLINE, async || {
            let status = client.status().await?;
            let anchor = status.ethereum.anchor.number;
            Ok(if anchor >= number { Seen::There(status) } else { Seen::NotYet(format!("at {anchor}")) })
        });
        ensure!(status.await?.contradicted.is_empty(), "{} met a contradiction", operator.name());
    }
    Ok(())
}
