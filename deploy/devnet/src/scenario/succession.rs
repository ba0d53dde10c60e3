//! Two of four engines are gone for good, so that nothing is decided any more. Their operators still hold their keys: with them and
//! the two who are left more than two thirds name a successor, each by hand (R21). It goes on from the last ether-final block with the
//! two, nothing is forgotten, and who signed twice in the network before is slashed all the same.

use super::report::Report;
use super::stake::{Stake, tenth};
use crate::constants::{READY_DEADLINE, STOP_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::process::Signal;
use crate::progress::{Seen, say, until};
use crate::tools;
use anyhow::{Context, bail, ensure};
use palisade_node::genesis_file;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::StatusView;
use palisade_types::{Evidence, OperatorId};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// For how many of Ethereum's blocks nothing may be decided.
const STILL: u64 = 6;
/// How often engines are killed until they know the last block as final.
const ATTEMPTS: usize = 5;
/// Heights of the successor that must become final.
const ONWARD: u64 = 10;

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn succession(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let before = stake.slashable().await?;
    // He signs while his network lives, and nobody hears of it yet.
    let [pair, _] = stake.scene.equivocate(&stake.owner).await?;
    let (left, gone) = parted(&stake)?;
    let last = halt(&stake, &left, &gone).await?;
    stake.done("two of four engines are killed for good, and the others decide nothing", "Ethereum's blocks");

    let folder = devnet.layout().root().join("succession");
    for operator in &left {
        operator.process().stop(Signal::Terminate, STOP_DEADLINE).await?;
    }
    name(&folder, &left, &gone)?;
    stake.done("three of the four name a successor by hand, and it is certified", "their commands");
    refuse_to_go_back(&left)?;

    for operator in &left {
        begin(&folder, operator)?;
    }
    stake.scene.operators.clone_from(&left);
    let successor = genesis_file::read(&folder.join("genesis.json"))?;
    for operator in &left {
        operator.start()?; // one alone decides nothing
    }
    for operator in &left {
        devnet.await_final_above(operator, last.head.height + ONWARD, READY_DEADLINE).await?;
        let status = operator.client()?.status().await?;
        let (chain, expected) = (status.chain_id, successor.chain_id().to_string());
        ensure!(chain == expected, "{} runs {chain}, not {expected}", operator.name());
        let before = operator.client()?.block(last.head.height).await;
        ensure!(before.is_err(), "a block of the network before is served as the successor's own");
    }
    let members = left[0].client()?.committee(None).await?.members;
    ensure!(members.len() == left.len(), "{} sit in the successor's committee", members.len());
    stake.done("the successor finalises blocks of its own, from the old state on", "an engine of two");

    let case = stake.tell(&pair).await?;
    stake.await_end(&case).await?;
    let lost = before - stake.slashable().await?;
    Stake::expect("what EigenLayer's views lost", lost, tenth(before))?;
    stake.report(true).await
}

/// Who goes on, and who is gone: the one who signed twice, and one more.
fn parted(stake: &Stake<'_>) -> anyhow::Result<(Vec<Operator>, Vec<Operator>)> {
    let owner = stake.owner.name();
    let others: Vec<_> = stake.scene.operators.iter().filter(|operator| operator.name() != owner).cloned().collect();
    ensure!(others.len() == 3, "this needs four operators, and there are {}; reset the devnet", others.len() + 1);
    let teller = stake.teller().name();
    let (mut left, mut gone) = (vec![stake.teller().clone()], vec![stake.owner.clone()]);
    let mut rest = others.into_iter().filter(|operator| operator.name() != teller);
    left.push(rest.next().context("there are two more")?);
    gone.extend(rest);
    Ok((left, gone))
}

/// Kills engines until nothing is decided, and what was decided last is ether-final, also by what the dead have: with their signers they
/// attest what goes on from it. When a block was decided in the very moment of their end they come back, and it is tried again.
async fn halt(stake: &Stake<'_>, left: &[Operator], gone: &[Operator]) -> anyhow::Result<StatusView> {
    for _ in 0..ATTEMPTS {
        let known = known_to_all(stake).await?;
        for operator in gone {
            operator.process().signal(Signal::Kill)?; // both, before either's end is waited for
        }
        for operator in gone {
            operator.process().stop(Signal::Kill, STOP_DEADLINE).await?;
        }
        let last = stillness(stake, left).await?;
        if last.head.id == known {
            return Ok(last);
        }
        say(format!(
            "block {} was decided while they were killed: they come back, and are killed again",
            last.head.height
        ));
        for operator in gone {
            operator.start()?;
        }
        for operator in gone {
            stake.scene.devnet.await_final_above(operator, last.head.height, READY_DEADLINE).await?;
        }
    }
    bail!("{ATTEMPTS} times a block was decided in the moment in which engines were killed")
}

/// Waits for a block that is the last one to everybody, and ether-final; the answer is its id.
async fn known_to_all(stake: &Stake<'_>) -> anyhow::Result<String> {
    until("a moment in which the last block is ether-final to everybody", READY_DEADLINE, async || {
        let mut heads = Vec::new();
        for operator in &stake.scene.operators {
            let status = operator.client()?.status().await?;
            heads.push((status.head.id, status.ether_final.map(|block| block.id)));
        }
        let (head, _) = heads.first().context("a devnet has operators")?;
        let all = heads.iter().all(|(id, ether_final)| id == head && ether_final.as_ref() == Some(head));
        Ok(if all { Seen::There(head.clone()) } else { Seen::NotYet(format!("{heads:?}")) })
    })
    .await
}

/// Waits until nothing has been decided for a while, and the last block is ether-final.
async fn stillness(stake: &Stake<'_>, left: &[Operator]) -> anyhow::Result<StatusView> {
    let since = stake.newest().await?;
    until("the end of all decisions, at an ether-final block", READY_DEADLINE, async || {
        let (one, other) = (left[0].client()?.status().await?, left[1].client()?.status().await?);
        let is_final = one.ether_final.as_ref().is_some_and(|block| block.id == one.head.id);
        let stands = format!("heads {} and {}, final {:?}", one.head.height, other.head.height, one.ether_final);
        let still = stake.newest().await? >= since + STILL && one.head.id == other.head.id;
        Ok(if still && is_final { Seen::There(one) } else { Seen::NotYet(stands) })
    })
    .await
}

/// One proposes, the others attest what he proposed, each with his own signer; those without an engine first.
fn name(folder: &Path, left: &[Operator], gone: &[Operator]) -> anyhow::Result<()> {
    let seats = left.iter().map(Operator::id).collect::<anyhow::Result<Vec<OperatorId>>>()?;
    let mut propose = palisade(&["propose"], &left[0])?;
    propose.arg("--out").arg(folder);
    for seat in seats {
        propose.args(["--seat", &seat.to_string()]);
    }
    run(&mut propose)?;
    let attest = |operator: &Operator| {
        let mut command = palisade(&["attest"], operator)?;
        run(command.arg(folder))
    };
    for operator in gone {
        attest(operator)?;
    }
    for operator in left {
        attest(operator)?;
    }
    let mut status = Command::new(tools::ours("palisade")?);
    let told = run(status.args(["succession", "status"]).arg(folder))?;
    ensure!(told.lines().last() == Some("certified"), "it is not certified: {told}");
    Ok(())
}

/// Whoever has named a successor names no other, whatever is proposed.
fn refuse_to_go_back(left: &[Operator]) -> anyhow::Result<()> {
    let other = left[0].files().root().join("another-successor");
    run(palisade(&["propose"], &left[0])?.arg("--out").arg(&other))?;
    let refused = run(palisade(&["attest"], &left[0])?.arg(&other));
    ensure!(refused.is_err(), "{} named two successors", left[0].name());
    Ok(fs::remove_dir_all(other)?)
}

/// The operator's configuration becomes the successor's: another genesis, and a ledger of its own. His signer stays.
fn begin(folder: &Path, operator: &Operator) -> anyhow::Result<()> {
    let (root, path) = (operator.files().root().to_owned(), operator.files().config());
    let old = fs::read_to_string(&path)?;
    let new = old
        .replace(
            "genesis = \"../../genesis.json\"",
            &format!("genesis = \"{}\"", folder.join("genesis.json").display()),
        )
        .replace("data_dir = \"data\"", "data_dir = \"successor\"");
    ensure!(new != old, "{} is no configuration of ours", path.display());
    fs::create_dir_all(root.join("successor"))?;
    fs::copy(operator.files().data().join("node.key"), root.join("successor").join("node.key"))?;
    fs::write(&path, new)?;
    run(palisade(&["begin"], operator)?.arg(folder)).map(drop)
}

fn palisade(action: &[&str], operator: &Operator) -> anyhow::Result<Command> {
    let mut command = Command::new(tools::ours("palisade")?);
    command.arg("succession").args(action).arg("--config").arg(operator.files().config());
    Ok(command)
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let made = command.stdin(Stdio::null()).output()?;
    let error = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "{command:?}: {}", error.lines().last().unwrap_or_default());
    Ok(String::from_utf8(made.stdout)?)
}

/// What is kept of a pair until somebody tells.
impl Stake<'_> {
    async fn tell(&mut self, pair: &Evidence) -> anyhow::Result<String> {
        let accepted = self.teller().client()?.submit_evidence(crate::equivocation::hex_of(pair)).await?;
        let case = self.case()?;
        ensure!(accepted.case.as_deref() == Some(&case), "evidence opened {:?} instead of {case}", accepted.case);
        self.done("a pair of the network before is accepted by the successor", "two signature checks");
        Ok(case)
    }
}
