//! An operator's machine is put back to an old backup: ledger, engine's log, keys and the guard's records. What lies outside of every
//! backup, his incarnation, gives it away. His guard waits for an epoch that starts above what Ethereum showed at its wake-up (R15), and
//! nobody ever sees two signatures of his in one place.

use super::kills::{Play, status};
use super::report::Report;
use super::scene::copy_all;
use crate::constants::READY_DEADLINE;
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::progress::{Seen, until};
use anyhow::{Context, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::{SignerView, StatusView};
use std::fs;
use std::path::{Path, PathBuf};

/// More heights than after which every ledger has booked who missed a slot.
const BOOKED_LATE: u64 = 12;

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn restored_backup(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let victim = play.whole_guard().await?;
    play.stop(&victim).await?;
    let backup = Backup::of(&victim)?;
    play.back(std::slice::from_ref(&victim)).await?;
    let signed = status(&victim).await?;
    play.done("a backup is made of an operator's machine, and he goes on attesting", "new certificates");

    play.stop(&victim).await?;
    let client = play.scene().another(&victim)?.client()?;
    // What he is told that he signed is recorded while he waits; above this height there is nothing of it.
    let above = client.status().await?.head.height;
    backup.restore()?;
    victim.start()?;
    let woken = woken(&victim).await?;
    ensure!(woken.attested < signed.attested, "the backup holds everything he attested: {}", woken.attested);
    let wake_up = wake_up(&woken.signer)?;
    play.done("the backup is put back: his guard says that its history is broken, and waits", "his first answer");

    let attested = until("an attestation in a later epoch", READY_DEADLINE, async || {
        let now = status(&victim).await?;
        ensure!(now.signer.history == "broken", "his guard forgot that it waits: {:?}", now.signer);
        if now.attested <= above {
            return Ok(Seen::NotYet(format!("attested {}, epoch {}", now.attested, now.epoch)));
        }
        Ok(Seen::There(now.attested))
    })
    .await?;
    let epoch = client.block(attested).await?.epoch;
    let committee = client.committee(Some(epoch)).await?;
    ensure!(
        committee.ethereum.number > wake_up,
        "he attested {attested} in epoch {epoch}, which starts at Ethereum's block {} and not above {wake_up}",
        committee.ethereum.number
    );
    play.done("he attests again, in an epoch that started above his wake-up", "Ethereum's finality, an epoch");
    play.all_well(std::slice::from_ref(&victim)).await?;
    // What he missed is booked some heights late; only then is it known that it was not too much.
    for operator in play.operators() {
        devnet.await_final_above(operator, attested + BOOKED_LATE, READY_DEADLINE).await?;
    }
    for operator in play.operators() {
        for known in operator.client()?.operators().await? {
            ensure!(
                known.convicted.is_none() && known.jailed.is_none(),
                "{} says of somebody: {known:?}",
                operator.name()
            );
        }
    }
    play.done("nobody is convicted, nobody is jailed", "nothing");
    play.report().await
}

/// His first answer after the start.
async fn woken(victim: &Operator) -> anyhow::Result<StatusView> {
    until(&format!("{}'s answer", victim.name()), READY_DEADLINE, async || Ok(Seen::There(status(victim).await?))).await
}

/// Above which Ethereum block an epoch must start; he attests nothing in this one.
fn wake_up(signer: &SignerView) -> anyhow::Result<u64> {
    ensure!(signer.history == "broken", "his guard found nothing: {signer:?}");
    signer.only_epochs_above.with_context(|| format!("his guard does not say what it waits for: {signer:?}"))
}

/// A copy of what a backup holds; it goes when the scenario ends.
struct Backup {
    copies: Vec<(PathBuf, PathBuf)>,
    folder: PathBuf,
}

impl Backup {
    fn of(operator: &Operator) -> anyhow::Result<Self> {
        let files = operator.files();
        let folder = files.root().with_file_name(format!("{}-backup", operator.name()));
        let copy = |from: PathBuf, name: &str| (from, folder.join(name));
        let copies = vec![copy(files.data(), "data"), copy(files.signer(), "signer")];
        let backup = Self { copies, folder };
        for (from, to) in &backup.copies {
            copy_all(from, to)?;
        }
        Ok(backup)
    }

    fn restore(&self) -> anyhow::Result<()> {
        for (to, from) in &self.copies {
            replace(from, to)?;
        }
        Ok(())
    }
}

fn replace(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(to).with_context(|| to.display().to_string())?;
    copy_all(from, to)
}

impl Drop for Backup {
    fn drop(&mut self) {
        // It holds keys.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
