//! An operator's machine is copied, and the copy is started beside it: the copy has the same keys and records that say they are
//! whole, so that only its own ears can tell it (R20). It stops, with an exit code of its own, before it contradicts anything:
//! once as another peer, which hears what its twin says; and once as the same peer, to which gossip does not repeat its own words,
//! and which finds its name in the certificates of the blocks that it takes in.

use super::kills::Play;
use super::report::Report;
use crate::constants::{READY_DEADLINE, STOP_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::process::Signal;
use crate::tools;
use anyhow::{Context, bail, ensure};
use palisade_node::cli::EXIT_DOPPELGANGER;
use palisade_node::identity;
use palisade_node::rpc::PalisadeClient;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn doppelganger(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let victim = play.operators().last().context("a devnet has operators")?.clone();
    victim.process().stop(Signal::Terminate, STOP_DEADLINE).await?;
    let copies = [Copy::of(&victim, "another-peer")?, Copy::of(&victim, "same-peer")?];
    play.back(std::slice::from_ref(&victim)).await?;
    play.done("an operator's machine is copied while it is off, and he attests again", "new certificates");
    let pid = victim.process().pid();
    let [other, same] = &copies;
    other.become_another_peer()?;
    other.run().await?;
    play.done("its copy under another network key hears its twin, and stops", "its words");
    same.run().await?;
    play.done("its whole copy finds its name in a certificate, and stops", "a block");
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
    fn of(operator: &Operator, name: &str) -> anyhow::Result<Self> {
        let from = operator.files().root();
        let copy = Self { folder: from.with_file_name(format!("{}-{name}", operator.name())) };
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

    fn become_another_peer(&self) -> anyhow::Result<()> {
        let key = self.folder.join("data/node.key");
        fs::remove_file(&key).with_context(|| key.display().to_string())?;
        identity::create(&key)?;
        Ok(())
    }

    /// Runs the copy until it stops by itself, and checks why it did.
    async fn run(&self) -> anyhow::Result<()> {
        let mut command = Command::new(tools::ours("palisade")?);
        command.arg("run").arg("--config").arg(self.folder.join("palisade.toml"));
        let log = fs::File::create(self.folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::piped()).kill_on_drop(true);
        let ended = tokio::time::timeout(READY_DEADLINE, command.output()).await;
        let Ok(ended) = ended else {
            bail!("the copy in {} does not stop: {}", self.folder.display(), self.last_words())
        };
        let ended = ended?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(
            ended.status.code() == Some(EXIT_DOPPELGANGER.into()) && said.contains("(R20)"),
            "the copy ended with {}: {said} {}",
            ended.status,
            self.last_words()
        );
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left would be a second set of keys.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Copies files and folders; sockets and the like are nobody's state.
fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_all(&path, &to)?;
        } else if kind.is_file() {
            fs::copy(&path, &to)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}
