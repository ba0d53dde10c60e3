//! An operator's machine is copied, and the copy is started beside it: the copy has the same keys, the same peer id and records
//! that say they are whole, so that only what its peers heard from its twin can tell it (R20). It stops, with an exit code of its
//! own, before it signs anything.

use super::kills::Play;
use super::report::Report;
use super::scene::copy_all;
use crate::constants::{READY_DEADLINE, STOP_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::process::Signal;
use crate::tools;
use anyhow::{Context, bail, ensure};
use palisade_node::cli::EXIT_DOPPELGANGER;
use palisade_node::rpc::PalisadeClient;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn doppelganger(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let victim = play.whole_guard().await?; // one that waits judges what it is told only when it holds the block
    victim.process().stop(Signal::Terminate, STOP_DEADLINE).await?;
    let copy = Copy::of(&victim)?;
    play.back(std::slice::from_ref(&victim)).await?;
    play.done("an operator's machine is copied while it is off, and he attests again", "new certificates");
    let pid = victim.process().pid();
    copy.run().await?;
    play.done("the copy is told what its twin said, and stops before it has signed anything", "peers' answers");
    let head = victim.client()?.status().await?.head.height;
    for operator in play.operators() {
        devnet.await_final_above(operator, head, READY_DEADLINE).await?;
    }
    ensure!(pid.is_some() && victim.process().pid() == pid, "{} himself stopped", victim.name());
    play.done("he himself goes on", "certificates");
    play.report().await
}

/// A copy of an operator's folder, beside it, so that its paths lead to the same chains.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn of(operator: &Operator) -> anyhow::Result<Self> {
        let from = operator.files().root();
        let copy = Self { folder: from.with_file_name(format!("{}-copy", operator.name())) };
        copy_all(from, &copy.folder)?;
        let path = copy.folder.join("palisade.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("listen", value)) if value.starts_with('[') => "listen = [\"/ip4/127.0.0.1/tcp/0\"]",
            Some(("listen", _)) => "listen = \"127.0.0.1:0\"",
            _ => line,
        });
        fs::write(&path, lines.collect::<Vec<_>>().join("\n"))?;
        Ok(copy)
    }

    /// Runs the copy until it stops by itself, and checks why it did.
    async fn run(&self) -> anyhow::Result<()> {
        let mut command = Command::new(tools::ours("palisade")?);
        command.arg("run").arg("--config").arg(self.folder.join("palisade.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(self.log())?).kill_on_drop(true);
        let ended = tokio::time::timeout(STOP_DEADLINE, command.status()).await;
        let said = fs::read_to_string(self.log())?;
        let Ok(ended) = ended else { bail!("the copy does not stop: {said}") };
        let status = ended?;
        ensure!(
            status.code() == Some(EXIT_DOPPELGANGER.into()) && said.contains("(R20)"),
            "the copy ended with {status}: {said}"
        );
        let voted = said.contains("another round") || said.contains("boundary block");
        ensure!(!voted, "the copy took part before it stopped: {said}");
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left would be a second set of keys.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
