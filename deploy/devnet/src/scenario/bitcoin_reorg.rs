//! Bitcoin takes blocks back (R30): fewer than k of them, which changes nothing that was final, and more than k, which suspends
//! it until the operators have accepted a new start.

use super::report::{Report, Step};
use super::scene::Scene;
use crate::constants::{BITCOIN_DEPTH, READY_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::staking::Staker;
use crate::tools;
use anyhow::{Context, ensure};
use bitcoin::{Address, Network};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::staker::Wallet;
use palisade_bitcoin::vault::Versions;
use palisade_crypto::eots;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::StatusView;
use palisade_node::text::parse_hex_bytes;
use palisade_types::VaultRegistration;
use palisade_types::canonical::Canonical;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Heights by which ether finality must go on while Bitcoin is suspended.
const WITHOUT_BITCOIN: u64 = 20;

/// A vault is taken through its states while one block and k-1 blocks are replaced under it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn bitcoin_reorg(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    let (began, before) = (Instant::now(), scene.holdings().await?);
    let heights = scene.final_heights(&scene.operators).await?;
    devnet.stop_miner().await?;
    let mut quarry = Quarry::new(&scene, began)?;
    let played = quarry.shallow().await;
    devnet.start_miner()?;
    played?;
    scene.finalised_since(&scene.operators, &heights).await?;
    scene.check_roots().await?;
    quarry.done("everybody finalised on, both sides; state roots equal", "the next certificates");
    let now = scene.holdings().await?;
    ensure!(before == now, "somebody lost something in a shallow reorganisation: before {before:?}, now {now:?}");
    Ok(Report {
        convict: None,
        steps: quarry.steps,
        holdings: scene.changes(before, now),
        took: began.elapsed(),
        gas: vec![],
    })
}

/// Blocks that were final are replaced.
///
/// # Errors
///
/// Names what does not hold.
pub async fn bitcoin_deep_reorg(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    let (began, before) = (Instant::now(), scene.holdings().await?);
    let mut quarry = Quarry::new(&scene, began)?;
    devnet.stop_miner().await?;
    let replaced = quarry.deep().await;
    devnet.start_miner()?;
    replaced?;
    quarry.live_without_bitcoin().await?;
    quarry.accept().await?;
    scene.check_roots().await?;
    let now = scene.holdings().await?;
    ensure!(before == now, "somebody lost something: before {before:?}, now {now:?}");
    Ok(Report {
        convict: None,
        steps: quarry.steps,
        holdings: scene.changes(before, now),
        took: began.elapsed(),
        gas: vec![],
    })
}

/// Where blocks are made and unmade, in place of the miner.
struct Quarry<'a> {
    scene: &'a Scene<'a>,
    client: Client,
    began: Instant,
    steps: Vec<Step>,
}

impl<'a> Quarry<'a> {
    fn new(scene: &'a Scene<'a>, began: Instant) -> anyhow::Result<Self> {
        Ok(Self { scene, client: scene.devnet.bitcoin()?, began, steps: Vec::new() })
    }

    fn done(&mut self, what: &'static str, waited_for: &'static str) {
        say(what);
        self.steps.push(Step { what, after: self.began.elapsed(), waited_for });
    }

    async fn mine(&self, blocks: u32) -> anyhow::Result<()> {
        self.client.mine(blocks, &nobody()).await?;
        Ok(())
    }

    /// Replaces the newest blocks by one more: an empty one first, so that what they held stands higher now.
    async fn replace(&self, blocks: u32) -> anyhow::Result<()> {
        let tip = self.client.info().await?.blocks;
        let first = self.client.block_hash(tip + 1 - blocks).await?;
        self.client.invalidate(first).await?;
        self.client.mine_empty(&nobody()).await?;
        self.mine(blocks).await?;
        say(format!("Bitcoin replaced its newest {blocks} blocks by {}", blocks + 1));
        Ok(())
    }

    // ---- fewer than k blocks ---------------------------------------------------------------------------------------

    async fn shallow(&mut self) -> anyhow::Result<()> {
        let few = u32::try_from(BITCOIN_DEPTH - 1)?;
        let staker = Staker::open(&self.scene.devnet.layout().staker_key())?;
        let versions = Versions::of(&self.scene.genesis)?;
        let rules = versions.at(self.scene.genesis.bitcoin_start.number).context("the devnet has vaults")?;
        let owner = self.scene.operators.first().context("a devnet has operators")?;
        let provider = owner.provider(&self.scene.genesis)?;
        let sent = staker.stake(&self.client, rules, &[(owner.id()?, provider)]).await?;
        let sent = sent.first().context("one stake was sent")?;
        let bytes = format!("0x{}", hex::encode(staker.register_unlocked(sent)?.to_bytes()));
        let vault = owner.client()?.register_vault(bytes).await?.vault;
        self.scene.await_vault(&vault, "verified").await?;
        self.done("a vault is registered before its coins are locked", "the covenant, a block");

        self.mine(1).await?;
        self.replace(1).await?;
        self.mine(1).await?;
        self.replace(few).await?;
        self.undisturbed().await?;
        let seen = self.scene.await_vault(&vault, "verified").await?;
        ensure!(seen.start.is_none(), "a vault counts before its coins are k deep");
        self.done("its block was replaced twice, and nothing is final yet", "1 and k-1 new blocks");

        self.mine(u32::try_from(BITCOIN_DEPTH)?).await?;
        let seen = self.scene.await_vault(&vault, "active").await?;
        let start = u32::try_from(seen.start.context("an active vault has a start")?)?;
        let block = self.client.block(self.client.block_hash(start).await?).await?;
        let txid = vault.split(':').next().unwrap_or_default();
        ensure!(
            block.txdata.iter().any(|transaction| transaction.compute_txid().to_string() == txid),
            "block {start}, where the ledger has the vault's coins, does not hold them"
        );
        self.done("it is active, as of the block that really holds its coins", "k blocks");

        self.replace(1).await?;
        self.replace(few).await?;
        self.undisturbed().await?;
        ensure!(self.scene.await_vault(&vault, "active").await? == seen, "an active vault changed");
        self.done("the newest 1 and k-1 blocks were replaced, and it stays", "1 and k-1 new blocks");

        let registration = owner.client()?.vault(vault.clone()).await?.registration.context("vault_get shows it")?;
        let registration = VaultRegistration::from_bytes(&parse_hex_bytes(&registration)?)?;
        let unbonding = staker.unbond(&self.client, &Presigned::held(&registration, &versions)?).await?.to_string();
        self.mine(1).await?;
        self.replace(1).await?;
        self.mine(1).await?;
        self.replace(few).await?;
        self.undisturbed().await?;
        ensure!(self.scene.await_vault(&vault, "active").await? == seen, "it unbonds before that is k deep");
        self.mine(u32::try_from(BITCOIN_DEPTH)?).await?;
        let left = self.scene.await_vault(&vault, "unbonding").await?;
        ensure!(left.transaction.as_ref() == Some(&unbonding), "it unbonds by {:?}, not {unbonding}", left.transaction);
        self.done("it unbonds, after that was replaced twice", "k blocks");

        self.replace(1).await?;
        self.replace(few).await?;
        self.undisturbed().await?;
        ensure!(self.scene.await_vault(&vault, "unbonding").await? == left, "an unbonding vault changed");
        self.done("the newest 1 and k-1 blocks were replaced again, and it stays so", "1 and k-1 new blocks");
        Ok(())
    }

    /// Every ledger takes in every block that is final now, none is suspended, and none alarms.
    async fn undisturbed(&self) -> anyhow::Result<()> {
        let final_height = u64::from(self.client.info().await?.blocks) - BITCOIN_DEPTH;
        let hash = self.client.block_hash(u32::try_from(final_height)?).await?.to_string();
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let what = format!("Bitcoin's block {final_height} on {}", operator.name());
            let status = until(&what, READY_DEADLINE, async || {
                let status = client.status().await?;
                let anchor = status.bitcoin.anchor.number;
                Ok(if anchor >= final_height { Seen::There(status) } else { Seen::NotYet(anchor.to_string()) })
            });
            let status = status.await?;
            ensure!(status.bitcoin.anchor.hash == hash, "{} took another block in", operator.name());
            ensure!(status.bitcoin.suspended.is_none(), "Bitcoin is suspended on {}", operator.name());
            ensure!(status.contradicted.is_empty(), "{} met a contradiction", operator.name());
        }
        Ok(())
    }

    // ---- more than k blocks ----------------------------------------------------------------------------------------

    /// Replaces every block from just below the anchor that all ledgers hold.
    async fn deep(&mut self) -> anyhow::Result<()> {
        let statuses = self.statuses().await?;
        let anchors = statuses.iter().map(|status| status.bitcoin.anchor.number);
        let lowest = anchors.min().context("a devnet has operators")?;
        let tip = self.client.info().await?.blocks;
        let depth = tip + 2 - u32::try_from(lowest)?;
        ensure!(u64::from(depth) > BITCOIN_DEPTH, "the anchor is not deep");
        self.replace(depth).await?;
        self.done("Bitcoin replaced more than k blocks", "nothing");
        Ok(())
    }

    async fn statuses(&self) -> anyhow::Result<Vec<StatusView>> {
        let mut statuses = Vec::new();
        for operator in &self.scene.operators {
            statuses.push(operator.client()?.status().await?);
        }
        Ok(statuses)
    }

    async fn await_all(&self, what: &str, holds: impl Fn(&StatusView) -> bool) -> anyhow::Result<Vec<StatusView>> {
        let mut statuses = Vec::new();
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let what = format!("{what} on {}", operator.name());
            let status = until(&what, READY_DEADLINE, async || {
                let status = client.status().await?;
                Ok(if holds(&status) { Seen::There(status) } else { Seen::NotYet(stands(&status)) })
            });
            statuses.push(status.await?);
        }
        Ok(statuses)
    }

    /// Everybody says the same, ether finality goes on, and Bitcoin's stands still.
    async fn live_without_bitcoin(&mut self) -> anyhow::Result<()> {
        let suspended = self.await_all("the suspension", |status| status.bitcoin.suspended.is_some()).await?;
        ensure!(
            suspended.windows(2).all(|pair| pair[0].bitcoin.suspended == pair[1].bitcoin.suspended),
            "they are suspended for different reasons: {suspended:?}"
        );
        self.done("Bitcoin is suspended in every ledger", "everybody's own endpoint, a block");
        let height = |status: &StatusView| status.bitcoin_final.as_ref().map_or(0, |block| block.height);
        let bitcoin = suspended.iter().map(height).max().unwrap_or(0);
        let ether = suspended.iter().filter_map(|status| status.ether_final.as_ref()).map(|block| block.height).max();
        let until_height = ether.unwrap_or(0) + WITHOUT_BITCOIN;
        let on = self.await_all("ether finality without Bitcoin", |status| {
            status.ether_final.as_ref().is_some_and(|block| block.height >= until_height)
        });
        for status in on.await? {
            // One certificate may have been complete when the suspension came.
            ensure!(height(&status) <= bitcoin, "checkpoint {} became final without Bitcoin", height(&status));
            ensure!(
                status.bitcoin.suspended.is_some() && status.contradicted.is_empty(),
                "not as it should be: {status:?}"
            );
        }
        for operator in &self.scene.operators {
            let members = operator.client()?.committee(None).await?.members;
            ensure!(members.iter().all(|member| member.bitcoin == "0"), "{} counts bitcoin", operator.name());
        }
        self.done("20 heights became ether-final, none bitcoin-final; no bitcoin in the committee", "20 heights");
        Ok(())
    }

    /// Every operator accepts the same new start, as a person would.
    async fn accept(&mut self) -> anyhow::Result<()> {
        let height = u64::from(self.client.info().await?.blocks) - BITCOIN_DEPTH;
        let block = self.client.block_hash(u32::try_from(height)?).await?.to_string();
        let finals = self.statuses().await?;
        let finals = finals.iter().filter_map(|status| status.bitcoin_final.as_ref()).map(|block| block.height).max();
        for operator in &self.scene.operators {
            accept(operator, height, &block).await?;
        }
        self.done("every operator accepted the same block", "their commands");
        self.await_all("the resumption", |status| status.bitcoin.suspended.is_none()).await?;
        self.done("Bitcoin goes on in every ledger", "a block");
        let more = finals.unwrap_or(0);
        let again = self.await_all("bitcoin finality", |status| {
            status.bitcoin_final.as_ref().is_some_and(|block| block.height > more)
        });
        again.await?;
        self.done("checkpoints are bitcoin-final again", "an epoch with bitcoin in its committee");
        Ok(())
    }
}

/// An address of nobody's, another one each time, so that no block is a copy of one that was replaced.
fn nobody() -> Address {
    Wallet::new(eots::SecretKey::generate()).address(Network::Regtest)
}

async fn accept(operator: &Operator, height: u64, block: &str) -> anyhow::Result<()> {
    let mut command = Command::new(tools::ours("palisade")?);
    command.args(["bitcoin", "accept", &height.to_string(), block, "--config"]).arg(operator.files().config());
    command.args(["--rpc", &operator.rpc()]).stdin(Stdio::null());
    let status = tokio::process::Command::from(command).kill_on_drop(true).status().await?;
    ensure!(status.success(), "palisade bitcoin accept failed with {status}");
    Ok(())
}

fn stands(status: &StatusView) -> String {
    let height = |block: Option<&palisade_node::rpc::views::BlockName>| block.map_or(0, |block| block.height);
    let suspended = if status.bitcoin.suspended.is_some() { "suspended" } else { "followed" };
    let (ether, bitcoin) = (height(status.ether_final.as_ref()), height(status.bitcoin_final.as_ref()));
    format!("Bitcoin is {suspended} at {}, ether-final {ether}, bitcoin-final {bitcoin}", status.bitcoin.anchor.number)
}
