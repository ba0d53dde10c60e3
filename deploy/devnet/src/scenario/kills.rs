//! Operators' processes are killed (`kill -9`) and started again: one, two, and all of them. With too few left nothing is decided; nobody
//! who comes back signs anything twice, nothing that was told is lost, and the run of checkpoints goes on. (Not after an outage of
//! half the power: a committee may be past its age before it can fill a gap, R10.)

use super::report::{Holding, Report, Step};
use super::scene::Scene;
use crate::constants::{LATECOMER, READY_DEADLINE, STOP_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::process::Signal;
use crate::progress::{Seen, say, until};
use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::{CaseView, StatusView};
use std::time::Instant;

/// Heights by which the others go on without one.
const WITHOUT_HIM: u64 = 20;
/// Ethereum blocks that the others see come while they can decide nothing.
const ETHEREUM_WITHOUT_THEM: u64 = 10;
/// What a node says of a guard that holds everything its keys ever signed.
pub(super) const UNBROKEN: &str = "unbroken";

/// One of four is killed; the others go on, and he attests again.
///
/// # Errors
///
/// Names what does not hold.
pub async fn kill_one(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let (victim, others) = play.scene.operators.split_last().context("a devnet has operators")?;
    let (victim, others) = (victim.clone(), others.to_vec());
    let before = ether_final(&status(&others[0]).await?);
    play.kill(std::slice::from_ref(&victim)).await?;
    for operator in &others {
        play.scene.devnet.await_final_above(operator, before + WITHOUT_HIM, READY_DEADLINE).await?;
    }
    play.done("one operator is killed, and 20 heights became final without him", "20 heights");
    play.back(&[victim]).await?;
    play.done("he is back and attests again", "the blocks he missed");
    play.unbroken().await?;
    play.report().await
}

/// Two of four are killed; nothing is decided until they are back.
///
/// # Errors
///
/// Names what does not hold.
pub async fn kill_two_and_back(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let at = play.scene.operators.len().checked_sub(2).context("a devnet has operators")?;
    let (left, victims) = play.scene.operators.split_at(at);
    let (left, victims) = (left.to_vec(), victims.to_vec());
    ensure!(left.len() == 2, "half of {} operators is no half of four; reset the devnet", at + 2);
    play.kill(&victims).await?;
    // What was under way may still be decided in the first of these blocks.
    let before = play.heads_when_ethereum_grew(&left, 2).await?;
    let after = play.heads_when_ethereum_grew(&left, ETHEREUM_WITHOUT_THEM).await?;
    ensure!(before == after, "half of the power decided: heads {before:?}, then {after:?}");
    play.done("two operators are killed, and the others decide nothing", "12 blocks of Ethereum");
    play.back(&victims).await?;
    play.done("both are back, and blocks are final again", "the others' rounds");
    play.report().await
}

/// All are killed at once; what they told stands, and they go on.
///
/// # Errors
///
/// Names what does not hold.
pub async fn kill_all(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let all = play.scene.operators.clone();
    let mut told = Vec::new();
    for operator in &all {
        told.push(status(operator).await?);
    }
    play.kill(&all).await?;
    play.done("every operator is killed at once", "nothing");
    play.back(&all).await?;
    for (operator, before) in all.iter().zip(&told) {
        let now = status(operator).await?;
        let same = operator.client()?.block(before.head.height).await?;
        ensure!(same.id == before.head.id, "{} has another block at {}", operator.name(), before.head.height);
        ensure!(
            ether_final(&now) >= ether_final(before) && now.attested >= before.attested,
            "{} forgot what he told: {before:?}, {now:?}",
            operator.name()
        );
    }
    play.done("all are back, with everything they had told, and attest again", "new certificates");
    play.unbroken().await?;
    play.report().await
}

/// A scenario in which processes stop and come back, and at whose end nobody has lost anything.
pub(super) struct Play<'a> {
    scene: Scene<'a>,
    before: Vec<Holding>,
    cases: Vec<CaseView>,
    broken: Option<u64>,
    began: Instant,
    steps: Vec<Step>,
}

impl<'a> Play<'a> {
    pub(super) async fn open(devnet: &'a Devnet) -> anyhow::Result<Self> {
        let scene = Scene::open(devnet)?;
        let first = scene.operators.first().context("a devnet has operators")?;
        let head = status(first).await?.head.height;
        // What an earlier scenario left is settled when the ledger itself holds a newer checkpoint: a certificate is known before.
        let what = format!("a checkpoint above {head} in {}'s ledger", first.name());
        let settled = until(&what, READY_DEADLINE, async || {
            let status = status(first).await?;
            let last = status.bitcoin_run.as_ref().map_or(0, |run| run.last);
            Ok(if last > head { Seen::There(status) } else { Seen::NotYet(format!("the run reaches {last}")) })
        });
        let broken = broken(&settled.await?);
        let mut seated = 0;
        for operator in &scene.operators {
            devnet.await_final_above(operator, head, READY_DEADLINE).await?;
            seated += usize::from(status(operator).await?.seated);
        }
        ensure!(
            seated > 3,
            "only {seated} operators have a seat, and with fewer than three others nothing is final any more; join {LATECOMER}, or reset and start anew"
        );
        Ok(Self {
            before: scene.holdings().await?,
            cases: scene.cases().await?,
            scene,
            broken,
            began: Instant::now(),
            steps: Vec::new(),
        })
    }

    pub(super) const fn scene(&self) -> &Scene<'a> {
        &self.scene
    }

    /// Who takes part.
    pub(super) fn operators(&self) -> &[Operator] {
        &self.scene.operators
    }

    /// The last of them who has a seat and whose guard's history is unbroken: what an earlier scenario broke stays so (R15), and its
    /// owner no longer shows what a whole guard does.
    pub(super) async fn whole_guard(&self) -> anyhow::Result<Operator> {
        for operator in self.operators().iter().rev() {
            let status = status(operator).await?;
            if status.seated && status.signer.history == UNBROKEN {
                return Ok(operator.clone());
            }
        }
        bail!("nobody has both a seat and a guard that was never put back to a backup; reset the devnet")
    }

    pub(super) fn done(&mut self, what: &'static str, waited_for: &'static str) {
        say(what);
        self.steps.push(Step { what, after: self.began.elapsed(), waited_for });
    }

    /// Ends these nodes as a crash does; their covenant processes live on.
    pub(super) async fn kill(&self, victims: &[Operator]) -> anyhow::Result<()> {
        for victim in victims {
            victim.process().signal(Signal::Kill)?;
        }
        for victim in victims {
            until(&format!("{}'s end", victim.name()), STOP_DEADLINE, async || {
                Ok(match victim.process().pid() {
                    Some(pid) => Seen::NotYet(format!("process {pid} runs")),
                    None => Seen::There(()),
                })
            })
            .await?;
        }
        Ok(())
    }

    /// The heads of these once each has seen so many more final blocks of Ethereum.
    pub(super) async fn heads_when_ethereum_grew(
        &self,
        operators: &[Operator],
        blocks: u64,
    ) -> anyhow::Result<Vec<u64>> {
        let heads = operators.iter().map(async |operator: &Operator| {
            let goal = own_final(&status(operator).await?)? + blocks;
            let what = format!("Ethereum's final block {goal} at {}", operator.name());
            until(&what, READY_DEADLINE, async || {
                let status = status(operator).await?;
                let stands = format!("at {}, head {}", own_final(&status)?, status.head.height);
                Ok(if own_final(&status)? >= goal { Seen::There(status.head.height) } else { Seen::NotYet(stands) })
            })
            .await
        });
        try_join_all(heads).await
    }

    /// Starts them again; returns when everybody finalises new blocks and each of these has attested one himself.
    pub(super) async fn back(&self, victims: &[Operator]) -> anyhow::Result<()> {
        for victim in victims {
            victim.start()?;
        }
        self.all_well(victims).await
    }

    /// Returns when everybody finalises new blocks and each of these has attested one himself.
    pub(super) async fn all_well(&self, victims: &[Operator]) -> anyhow::Result<()> {
        let mut head = 0;
        for operator in &self.scene.operators {
            let what = format!("{}'s answer", operator.name());
            let answered = until(&what, READY_DEADLINE, async || {
                Ok(match status(operator).await {
                    Ok(status) => Seen::There(status.head.height),
                    Err(error) => Seen::NotYet(format!("{error:#}")),
                })
            });
            head = head.max(answered.await?);
        }
        for operator in &self.scene.operators {
            self.scene.devnet.await_final_above(operator, head, READY_DEADLINE).await?;
        }
        for victim in victims {
            until(&format!("{}'s own attestations above {head}", victim.name()), READY_DEADLINE, async || {
                let status = status(victim).await?;
                // Where bitcoin stands alone nobody attests, and finality above was by votes (R22).
                let attests = status.bitcoin_only || status.attested > head;
                Ok(if attests { Seen::There(()) } else { Seen::NotYet(format!("he attested {}", status.attested)) })
            })
            .await?;
        }
        Ok(())
    }

    /// The run of checkpoints is the same one in every ledger.
    pub(super) async fn unbroken(&mut self) -> anyhow::Result<()> {
        for operator in &self.scene.operators {
            let run = status(operator).await?;
            ensure!(broken(&run) == self.broken, "the run of checkpoints was broken: {:?}", run.bitcoin_run);
        }
        self.done("the run of checkpoints goes on", "nothing");
        Ok(())
    }

    /// The end of every scenario: nobody signed twice, nobody lost anything, and all ledgers are one.
    pub(super) async fn report(mut self) -> anyhow::Result<Report> {
        self.scene.check_roots().await?;
        let now = self.scene.holdings().await?;
        ensure!(self.before == now, "somebody lost something: before {:?}, now {now:?}", self.before);
        ensure!(self.cases == self.scene.cases().await?, "a case was opened: somebody signed twice");
        for operator in &self.scene.operators {
            let status = status(operator).await?;
            ensure!(status.contradicted.is_empty(), "{} met a contradiction", operator.name());
        }
        self.done("no case, no loss; state roots equal", "nothing");
        Ok(Report {
            convict: None,
            holdings: self.scene.changes(self.before, now),
            steps: self.steps,
            took: self.began.elapsed(),
            gas: vec![],
        })
    }
}

pub(super) async fn status(operator: &Operator) -> anyhow::Result<StatusView> {
    Ok(operator.client()?.status().await?)
}

pub(super) fn ether_final(status: &StatusView) -> u64 {
    status.ether_final.as_ref().map_or(0, |block| block.height)
}

fn own_final(status: &StatusView) -> anyhow::Result<u64> {
    Ok(status.ethereum.own_final.as_ref().context("his endpoint never answered")?.number)
}

/// Where the run of checkpoints was broken last.
fn broken(status: &StatusView) -> Option<u64> {
    status.bitcoin_run.as_ref().and_then(|run| run.broken)
}
