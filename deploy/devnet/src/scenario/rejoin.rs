//! An operator loses his ledger and the engine's log, and keeps his guard. He takes the ledger from the others, and attests again as
//! soon as he has caught up: what he signed before is in his guard's own store (R15).

use super::kills::{Play, UNBROKEN, status};
use super::report::Report;
use crate::constants::{READY_DEADLINE, STOP_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::process::Signal;
use crate::progress::{Seen, say, until};
use anyhow::{Context, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_types::chain::Chain as _;
use std::fs;
use std::path::Path;

/// From genesis on, block by block.
///
/// # Errors
///
/// Names what does not hold.
pub async fn rejoin_from_genesis(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let victim = play.whole_guard().await?;
    let before = status(&victim).await?;
    play.stop(&victim).await?;
    forget_ledger(&victim)?;
    play.done("an operator's ledger and the engine's log are gone; his guard is not", "nothing");
    play.back(std::slice::from_ref(&victim)).await?;
    let now = status(&victim).await?;
    ensure!(now.signer.history == UNBROKEN, "his guard's history is {}", now.signer.history);
    ensure!(now.attested > before.attested, "he attested up to {}, before {}", now.attested, before.attested);
    let teller = play.scene().another(&victim)?;
    for height in [1, before.head.height] {
        let (his, theirs) = (victim.client()?.block(height).await?, teller.client()?.block(height).await?);
        ensure!(his == theirs, "he has another block at {height}: {his:?}, {theirs:?}");
    }
    play.done("he has every block from genesis on, and attests again", "the blocks, a certificate");
    play.unbroken().await?;
    play.report().await
}

/// With the state after the last boundary block that Committee.sol has seen, taken from the others in chunks that prove themselves.
///
/// # Errors
///
/// Names what does not hold.
pub async fn rejoin_from_snapshot(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let victim = play.whole_guard().await?;
    let before = status(&victim).await?;
    await_hand_over(devnet).await?;
    play.stop(&victim).await?;
    forget_ledger(&victim)?;
    let config = fs::read_to_string(victim.files().config())?;
    fs::write(victim.files().config(), format!("{config}\n[sync]\nfrom = \"snapshot\"\n"))?;
    play.done("an operator's ledger is gone, and his configuration says that he begins with a snapshot", "nothing");
    let back = play.back(std::slice::from_ref(&victim)).await;
    fs::write(victim.files().config(), config)?;
    back?;
    let (first, last) = held(&victim).await?;
    ensure!(first > 1, "he has every block from genesis on");
    let now = status(&victim).await?;
    ensure!(now.signer.history == UNBROKEN, "his guard's history is {}", now.signer.history);
    ensure!(now.attested > before.attested, "he attested up to {}, before {}", now.attested, before.attested);
    let teller = play.scene().another(&victim)?.client()?;
    for height in [first, last] {
        let (his, theirs) = (victim.client()?.block(height).await?, teller.block(height).await?);
        ensure!(his == theirs, "he has another block at {height}: {his:?}, {theirs:?}");
    }
    let boundary = teller.block(first).await?;
    ensure!(boundary.next_committee.is_some(), "he began with block {first}, which draws no committee");
    say(format!("he began with block {first} of {last}"));
    play.done("he began with a boundary block's state, went on by blocks, and attests again", "chunks, blocks");
    // What he began with is all that he can make earlier states from.
    play.kill(std::slice::from_ref(&victim)).await?;
    play.back(std::slice::from_ref(&victim)).await?;
    ensure!(held(&victim).await?.0 == first, "after a restart he begins elsewhere");
    play.done("killed and started again he goes on from there", "new certificates");
    play.unbroken().await?;
    play.report().await
}

/// Waits until Ethereum shows finally that Committee.sol has seen a hand-over: a young devnet's is still where it began, at block 1.
async fn await_hand_over(devnet: &Devnet) -> anyhow::Result<()> {
    let config = palisade_ethereum::Config::one(devnet.anvil().url());
    let ethereum = palisade_ethereum::Ethereum::connect(&config, devnet.genesis()?, None).await?;
    until("a final hand-over at Committee.sol", READY_DEADLINE, async || {
        let tip = ethereum.tip().await?;
        Ok(match ethereum.last_boundary(&tip).await? {
            Some(boundary) if boundary.height.get() > 1 => Seen::There(()),
            boundary => Seen::NotYet(format!("{boundary:?}")),
        })
    })
    .await
}

/// The first and the last block that a node has.
async fn held(operator: &Operator) -> anyhow::Result<(u64, u64)> {
    let client = operator.client()?;
    let last = client.status().await?.head.height;
    let (mut below, mut first) = (0, last); // he has `first`, and not what is `below`
    while below + 1 < first {
        let middle = below + (first - below) / 2;
        match client.block(middle).await {
            Ok(_) => first = middle,
            Err(jsonrpsee::core::ClientError::Call(_)) => below = middle,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((first, last))
}

/// Removes what a node can get again: not the network key, and nothing of the signer's.
fn forget_ledger(operator: &Operator) -> anyhow::Result<()> {
    let data = operator.files().data();
    fs::remove_dir_all(data.join("ledger")).context("his ledger")?;
    remove_file(&data.join("engine.wal"))
}

fn remove_file(file: &Path) -> anyhow::Result<()> {
    fs::remove_file(file).with_context(|| file.display().to_string())
}

impl Play<'_> {
    /// Ends a node in good order.
    pub(super) async fn stop(&self, operator: &Operator) -> anyhow::Result<()> {
        operator.process().stop(Signal::Terminate, STOP_DEADLINE).await
    }
}
