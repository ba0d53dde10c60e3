//! An operator joins and another one leaves: he deallocates on EigenLayer and takes his word back on Symbiotic. Every hand-over between
//! is certified by the committee before, Committee.sol follows, and finality goes on throughout.

use super::report::Report;
use super::stake::Stake;
use crate::constants::{
    FINALITY_LAG_BLOCKS, LATECOMER, READY_DEADLINE, SYMBIOTIC_EPOCH_SECONDS, SYMBIOTIC_VETO_SECONDS, WINDOW_SECONDS,
};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::{eigenlayer, symbiotic};
use alloy::eips::BlockNumberOrTag;
use alloy::providers::Provider as _;
use anyhow::{Context, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::CommitteeView;

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn committee_change(devnet: &Devnet) -> anyhow::Result<Report> {
    let first = devnet.operator("alice")?.client()?.committee(None).await?;
    let latecomer = devnet.operator(LATECOMER)?;
    devnet.join().await?;
    // Opened with the latecomer, so that everything below is asserted of him too.
    let mut stake = Stake::open(devnet).await?;
    stake.done("a fifth operator joins by the ordinary command", "his stake in the ledger, a boundary");
    let joined = stake.await_seat(&latecomer, true).await?;
    ensure!(
        joined.members.len() == first.members.len() + 1,
        "{} seats, then {}",
        first.members.len(),
        joined.members.len()
    );
    ensure!(joined.total_ether != first.total_ether, "the weights are as before: {}", joined.total_ether);
    stake.check_handovers(first.epoch, joined.epoch).await?;
    stake.done("every hand-over up to his first committee is certified, and seats and weights changed", "nothing");

    let heights = stake.scene.final_heights(&stake.scene.operators).await?;
    let account = stake.owner.account()?;
    eigenlayer::allocate(&stake.endpoint(), &stake.core, &account, stake.adapter(), 0).await?;
    let network = devnet.network()?;
    if let Some(vaults) = network.symbiotic() {
        for vault in vaults.all() {
            symbiotic::opt_out(&stake.endpoint(), &vaults.core, &account, vault).await?;
        }
    }
    stake.done("another one takes back his allocation, and his word that vaults may back him", "his transactions");
    // What a capture remembers of him counts until it is too old for the window (R4, R26).
    let old = stake.time().await? + SYMBIOTIC_EPOCH_SECONDS.saturating_sub(WINDOW_SECONDS) + SYMBIOTIC_VETO_SECONDS;
    while stake.time().await? <= old {
        stake.pass(stake.newest().await? + 1 + FINALITY_LAG_BLOCKS).await?;
    }
    let leaver = stake.owner.clone();
    let left = stake.await_seat(&leaver, false).await?;
    let sits = |operator: &Operator| {
        let id = operator.id()?.to_string();
        anyhow::Ok(left.members.iter().any(|member| member.operator == id))
    };
    ensure!(sits(&latecomer)? && !sits(&leaver)?, "epoch {} seats {:?}", left.epoch, left.members);
    ensure!(left.members.len() == first.members.len(), "{} seats", left.members.len());
    ensure!(left.total_ether != joined.total_ether, "the weights are as before: {}", left.total_ether);
    stake.check_handovers(joined.epoch, left.epoch).await?;
    stake.done(
        "he has no seat any more; every hand-over up to there is certified",
        "captures that grow old, a boundary",
    );

    stake.scene.finalised_since(&stake.scene.operators, &heights).await?;
    stake.await_office(left.epoch).await?;
    stake.done("everybody finalises on, and Committee.sol has followed", "the next certificates, a hand-over");
    stake.report(false).await
}

impl Stake<'_> {
    /// Waits until an operator sits, or does not, in the committee of every ledger's next block.
    async fn await_seat(&self, operator: &Operator, wanted: bool) -> anyhow::Result<CommitteeView> {
        let id = operator.id()?.to_string();
        let mut seen = None;
        for one in &self.scene.operators {
            let client = one.client()?;
            let what = format!(
                "a committee {} {} at {}",
                if wanted { "with" } else { "without" },
                operator.name(),
                one.name()
            );
            let committee = until(&what, READY_DEADLINE, async || {
                let committee = client.committee(None).await?;
                let sits = committee.members.iter().any(|member| member.operator == id);
                let stands = format!("epoch {}", committee.epoch);
                Ok(if sits == wanted { Seen::There(committee) } else { Seen::NotYet(stands) })
            });
            seen = Some(committee.await?);
        }
        seen.context("a devnet has operators")
    }

    /// Every epoch in `from..to` ended with a boundary block that its own committee certified and that names the next one (R10), in
    /// every ledger.
    async fn check_handovers(&self, from: u32, to: u32) -> anyhow::Result<()> {
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let mut height = client.status().await?.head.height;
            let mut certified = 0;
            while height > 0 {
                let block = client.block(height).await?;
                height -= 1;
                if block.epoch < from {
                    break;
                }
                let Some(next) = block.next_committee.filter(|_| block.epoch < to) else { continue };
                let certificate = client.certificate(block.height).await?.ether;
                let (old, new) =
                    (client.committee(Some(block.epoch)).await?, client.committee(Some(block.epoch + 1)).await?);
                ensure!(
                    certificate.digest == block.id && certificate.committee == old.hash && next == new.hash,
                    "{}: boundary block {} of epoch {} is not certified by its committee: {certificate:?}",
                    operator.name(),
                    block.height,
                    block.epoch
                );
                certified += 1;
            }
            ensure!(certified == to - from, "{}: {certified} of {} hand-overs", operator.name(), to - from);
        }
        say(format!("all hand-overs from epoch {from} to {to} are certified in every ledger"));
        Ok(())
    }

    /// Ethereum's newest time, seconds.
    async fn time(&self) -> anyhow::Result<u64> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await?;
        Ok(block.context("a chain has a block")?.header.timestamp)
    }

    /// Waits until Committee.sol knows this epoch's committee.
    async fn await_office(&self, epoch: u32) -> anyhow::Result<()> {
        let url = self.endpoint();
        let config = palisade_ethereum::Config::one(&url);
        let ethereum = palisade_ethereum::Ethereum::connect(&config, self.scene.genesis.clone(), None).await?;
        until(&format!("epoch {epoch} in office at Committee.sol"), READY_DEADLINE, async || {
            Ok(match ethereum.epoch_in_office().await? {
                Some(office) if office.get() >= epoch => Seen::There(()),
                office => Seen::NotYet(format!("{office:?}")),
            })
        })
        .await
    }
}
