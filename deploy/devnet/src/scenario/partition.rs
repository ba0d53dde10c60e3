//! The network falls apart. Two against two decide nothing, and go on within seconds when it is whole again; three against one go on,
//! and the one catches up. Nobody forks, and nobody is blamed.
//!
//! Where this process may make network namespaces, every node has one, and cables are pulled ([`Links`]). Elsewhere nodes are frozen
//! instead: then those on the other side see nothing, and also do nothing.

use super::kills::{Play, ether_final, status};
use super::report::Report;
use crate::constants::READY_DEADLINE;
use crate::devnet::Devnet;
use crate::links::Links;
use crate::operator::Operator;
use crate::process::Signal;
use crate::progress::{say, seconds};
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};

/// Ethereum blocks that pass while nobody can decide anything.
const ETHEREUM_PARTED: u64 = 10;
/// Heights by which three go on without the fourth.
const WITHOUT_HIM: u64 = 20;
/// By when a network that is whole again must finalise: calls that get no answer are given up after 10 s, and made again within 5.
const HEALS: Duration = Duration::from_secs(30);

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn partition(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let operators = play.operators().to_vec();
    ensure!(operators.len() == 4, "half of {} operators is no half of four; reset the devnet", operators.len());
    for operator in &operators {
        play.stop(operator).await?;
    }
    let laid = Links::lay(devnet.ports(), &operators).await;
    let played = match laid {
        Ok(Some(links)) => {
            let lines = Lines::Cables(links);
            play.apart(&lines).await
        }
        Ok(None) => {
            say("this process may not make network namespaces: nodes are frozen instead");
            play.apart(&Lines::Frozen(operators.clone())).await
        }
        Err(error) => Err(error),
    };
    // Whatever happened, everybody listens where a devnet listens again.
    for operator in &operators {
        play.stop(operator).await?;
        operator.configure(devnet.ports(), &operators)?;
    }
    play.back(&operators).await?;
    played?;
    play.done("all are on one machine again", "restarts");
    play.report().await
}

/// How nodes are kept from each other.
enum Lines {
    Cables(Links),
    Frozen(Vec<Operator>),
}

impl Lines {
    fn start(&self, operators: &[Operator]) -> anyhow::Result<()> {
        if let Self::Cables(links) = self {
            links.configure(operators)?;
        }
        for (at, operator) in operators.iter().enumerate() {
            match self {
                Self::Cables(links) => links.start(operator, at)?,
                Self::Frozen(_) => drop(operator.start()?),
            }
        }
        Ok(())
    }

    /// Keeps the nodes from `at` on from those before; who can still be asked is answered.
    fn part<'a>(&self, operators: &'a [Operator], at: usize) -> anyhow::Result<&'a [Operator]> {
        match self {
            Self::Cables(links) => links.part(at).map(|()| operators),
            Self::Frozen(all) => {
                all.iter().skip(at).try_for_each(|one| one.process().signal(Signal::Freeze))?;
                Ok(&operators[..at])
            }
        }
    }

    fn heal(&self) -> anyhow::Result<()> {
        match self {
            Self::Cables(links) => links.heal(),
            Self::Frozen(all) => all.iter().try_for_each(|one| one.process().signal(Signal::Thaw)),
        }
    }
}

impl Play<'_> {
    async fn apart(&mut self, lines: &Lines) -> anyhow::Result<()> {
        let operators = self.operators().to_vec();
        lines.start(&operators)?;
        self.all_well(&operators).await?;
        self.done("every node is on a machine of its own", "restarts, new certificates");
        let played = self.parted(lines, &operators).await;
        lines.heal()?; // a frozen process would not end
        played
    }

    async fn parted(&mut self, lines: &Lines, operators: &[Operator]) -> anyhow::Result<()> {
        let seen = lines.part(operators, 2)?;
        // What was under way may still be decided in the first of these blocks.
        let before = self.heads_when_ethereum_grew(seen, 2).await?;
        let after = self.heads_when_ethereum_grew(seen, ETHEREUM_PARTED).await?;
        ensure!(before == after, "half of the power decided: heads {before:?}, then {after:?}");
        self.done("two against two decide nothing", "12 blocks of Ethereum");
        let highest = after.into_iter().max().context("somebody is asked")?;
        self.healed(lines, operators, highest).await?;
        self.scene().check_roots().await?;
        self.done("whole again, they finalise within seconds; state roots equal", "lines that are called again");

        let (one, three) = operators.split_last().context("there are four")?;
        let cut_off = status(one).await?.head.height;
        let seen = lines.part(operators, three.len())?;
        let before = ether_final(&status(&three[0]).await?);
        for operator in three {
            self.scene().devnet.await_final_above(operator, before + WITHOUT_HIM, READY_DEADLINE).await?;
        }
        if seen.len() == operators.len() {
            let alone = status(one).await?;
            // What was under way when the cable was pulled he may still have decided.
            ensure!(alone.head.height <= cut_off + 3, "he decided alone: {} after {cut_off}", alone.head.height);
        }
        self.done("three against one: 20 heights became final without the one", "20 heights");
        let highest = status(&three[0]).await?.head.height;
        self.healed(lines, operators, highest).await?;
        self.all_well(std::slice::from_ref(one)).await?;
        self.scene().check_roots().await?;
        self.done("whole again, the one catches up and attests; state roots equal", "the blocks he missed");
        Ok(())
    }

    /// Joins everybody; returns when all finalise above `height`.
    async fn healed(&mut self, lines: &Lines, operators: &[Operator], height: u64) -> anyhow::Result<()> {
        lines.heal()?;
        let whole = Instant::now();
        for operator in operators {
            self.scene().devnet.await_final_above(operator, height, READY_DEADLINE).await?;
        }
        let took = whole.elapsed();
        say(format!("final everywhere {} after the network was whole again", seconds(took)));
        ensure!(took < HEALS, "a network that is whole again finalises after {} only", seconds(took));
        Ok(())
    }
}
