//! A slash that may be vetoed: asked for by the proven pair, and carried to its end, one way or the other.

use super::report::Report;
use super::stake::{Stake, taken};
use crate::constants::{SLASH_DEADLINE, SYMBIOTIC_TOKENS};
use crate::devnet::Devnet;
use crate::progress::{Seen, say, until};
use crate::symbiotic::{self, Vaults};
use alloy::primitives::U256;
use anyhow::{Context, ensure};
use palisade_node::rpc::views::OrderView;

/// A convict's share of a veto vault is asked for, nobody vetoes, and when the time for that is over it is taken.
///
/// # Errors
///
/// Names what does not hold.
pub async fn veto_executed(devnet: &Devnet) -> anyhow::Result<Report> {
    play(devnet, false).await
}

/// The same, and somebody vetoes it: the stake stays, the ledger says so, and nobody asks again.
///
/// # Errors
///
/// Names what does not hold.
pub async fn veto_vetoed(devnet: &Devnet) -> anyhow::Result<Report> {
    play(devnet, true).await
}

/// What lies in both vaults and at the burner, by the core's own views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stakes {
    instant: U256,
    veto: U256,
    burned: U256,
}

async fn play(devnet: &Devnet, is_vetoed: bool) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let network = devnet.network()?;
    let vaults = network.symbiotic().context("this devnet has no stake on Symbiotic; reset, and start it anew")?;
    let part = part(&stake, vaults).await?;
    let before = stakes(&stake, vaults).await?;
    let requests = symbiotic::requests(&stake.provider, vaults.veto).await?;
    let case = stake.accuse().await?;
    until("the request at the veto vault", SLASH_DEADLINE, async || {
        let now = symbiotic::requests(&stake.provider, vaults.veto).await?;
        Ok(if now > requests { Seen::There(()) } else { Seen::NotYet(format!("{now} requests")) })
    })
    .await?;
    stake.done("the share of the veto vault is asked for", "an Ethereum block");
    ensure!(stakes(&stake, vaults).await?.veto == before.veto, "stake was taken though it may be vetoed");
    let orders = stake.await_orders(&case, "the orders", |view| view.orders.len() == 3).await?;
    ensure!(of(&orders, vaults.veto)?.status == "ordered", "an order ended before its time: {orders:?}");
    if is_vetoed {
        symbiotic::veto(&stake.endpoint(), &symbiotic::curator()?, vaults.veto, U256::from(requests)).await?;
        stake.done("the vault's resolver vetoes it", "an Ethereum block");
    }
    let orders = stake.await_end(&case).await?;
    check(&orders, vaults, part, is_vetoed)?;
    let now = stakes(&stake, vaults).await?;
    let veto = if is_vetoed { U256::ZERO } else { part };
    let expected =
        Stakes { instant: before.instant - part, veto: before.veto - veto, burned: before.burned + part + veto };
    ensure!(now == expected, "the vaults and the burner hold {now:?}, not {expected:?}");
    ensure!(
        symbiotic::requests(&stake.provider, vaults.veto).await? == requests + 1,
        "the share was asked for more than once"
    );
    say(format!("taken {part} of the instant vault and {veto} of the veto vault; the burner has {}", now.burned));
    stake.report(true).await
}

/// What the newest capture leaves of his stake, the same in both vaults.
async fn part(stake: &Stake<'_>, vaults: &Vaults) -> anyhow::Result<U256> {
    let block = stake.newest().await?;
    let newest = symbiotic::notes(&stake.provider, vaults.adapter, block).await?;
    let newest = *newest.first().context("a capture was noted")?;
    let expected = U256::from(SYMBIOTIC_TOKENS) * U256::from(1_000_000_000_000_000_000_u64);
    for vault in vaults.all() {
        let of = stake.account()?;
        let left = symbiotic::slashable(&stake.provider, vault, vaults.adapter, of, newest, block.into()).await?;
        ensure!(left == expected, "{left} can be slashed in {vault}, not {expected}; reset, and start the devnet anew");
    }
    Ok(expected)
}

async fn stakes(stake: &Stake<'_>, vaults: &Vaults) -> anyhow::Result<Stakes> {
    Ok(Stakes {
        instant: symbiotic::active_stake(&stake.provider, vaults.instant).await?,
        veto: symbiotic::active_stake(&stake.provider, vaults.veto).await?,
        burned: symbiotic::burned(&stake.provider, &vaults.core).await?,
    })
}

/// The ledgers must say of each vault exactly what the core says.
fn check(orders: &[OrderView], vaults: &Vaults, part: U256, is_vetoed: bool) -> anyhow::Result<()> {
    let instant = of(orders, vaults.instant)?;
    ensure!(instant.status == "final" && taken(instant)? == part, "the instant vault's order is {instant:?}");
    let veto = of(orders, vaults.veto)?;
    if is_vetoed {
        ensure!(veto.status == "vetoed" && veto.taken.is_none(), "the vetoed order is {veto:?}");
    } else {
        ensure!(veto.status == "final" && taken(veto)? == part, "the veto vault's order is {veto:?}");
    }
    let eigenlayer = orders.iter().find(|order| order.source == "eigenlayer");
    ensure!(eigenlayer.is_some_and(|order| order.status == "final"), "EigenLayer's order is {eigenlayer:?}");
    Ok(())
}

fn of(orders: &[OrderView], vault: alloy::primitives::Address) -> anyhow::Result<&OrderView> {
    let name = palisade_types::Address::new(vault.into_array()).to_string();
    let order = orders.iter().find(|order| order.source == "symbiotic" && order.target == name);
    order.with_context(|| format!("the case has no order about vault {name}"))
}
