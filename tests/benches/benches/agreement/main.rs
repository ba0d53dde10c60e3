//! Palisade's whole network against Malachite's own engine and network crates: blocks a second, and how long a certificate takes.
//!
//! On our side everything runs that agreement costs an operator: the ledger applied, a synced RocksDB commit, the guard's synced
//! records, the engine's log, the attestation after the commit and its quorum certificate, over real TCP on the loopback. Only the
//! chains are quiet ones of the bench. The peer has the same votes, keys and codec, its own log, and an application that does nothing
//! and stores nothing; it is driven with each of its two default transports, and the faster one counts. Both sides run all their nodes in
//! this one process, one after the other, in turn.
//!
//! Latency is from when a node first sees the proposal: with us to its BLS quorum certificate over the durable block, with the peer to the
//! engine's commit certificate.
//!
//! `PALISADE_RACE=ours,4` runs one side at one size, for a profiler; so do `broadcast,4`, `gossip,4`, `catch-up,BLOCKS` and `idle,1`.

mod ours;
mod peer;

use anyhow::{Result, ensure};
use palisade_race::{Effort, bench};
use palisade_types::attestation::Statement;
use palisade_types::canonical::Canonical;
use palisade_types::ids::Digest;
use peer::Transport;
use std::time::{Duration, Instant};

/// What one side did in one round.
pub struct Ran {
    /// Blocks that every node committed in the time that was measured.
    blocks: u64,
    /// That time.
    time: Duration,
    /// Processor time of the whole process meanwhile.
    cpu: Duration,
    /// From proposal to certificate, of every node and block.
    certified: Vec<Duration>,
    /// What everybody has at a fixed height.
    found: String,
}

impl Ran {
    fn blocks_a_second(&self) -> f64 {
        ratio(self.blocks as f64, self.time.as_secs_f64())
    }

    fn percentile(&self, hundredths: usize) -> Duration {
        let mut sorted = self.certified.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or_default()
    }
}

#[allow(clippy::float_arithmetic)] // figures for people
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// How long each side runs.
#[derive(Clone, Copy)]
pub struct Plan {
    nodes: usize,
    /// Until everybody is here nothing is measured.
    warm: u64,
    time: Duration,
}

fn main() -> Result<()> {
    bench("agreement", |effort| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        if let Ok(only) = std::env::var("PALISADE_RACE") {
            return runtime.block_on(profile(&only));
        }
        match effort {
            Effort::Short => runtime.block_on(race(4, 1, Duration::from_secs(1))),
            Effort::Whole => runtime.block_on(async {
                certificate()?;
                race(4, 3, Duration::from_secs(8)).await?;
                race(16, 3, Duration::from_secs(8)).await?;
                catch_up(400).await?;
                resident()
            }),
        }
    })
}

/// What a quorum certificate of 64 members weighs.
fn certificate() -> Result<()> {
    let network = palisade_ledger::fixture::network(64, 7);
    let committee = palisade_ledger::Ledger::genesis(network.genesis.clone()).committee().clone();
    let statement = Statement { domain: network.ledger_domain, slot: 7, digest: Digest::new([3; 32]) };
    let signers: Vec<_> = (0..43).collect();
    let bytes = network.certificate(&committee, statement, &signers).to_bytes().len();
    println!("n = 64: a quorum certificate has {bytes} bytes (aim 240)");
    ensure!(bytes <= 240, "a certificate of {bytes} bytes");
    Ok(())
}

/// Four operators make so many blocks as fast as they can; then, at the usual pace of a block a second, one comes back without
/// his ledger and takes them from the others.
async fn catch_up(blocks: u64) -> Result<()> {
    let mut operators = ours::Operators::new(4, Duration::from_millis(1))?;
    for index in 0..4 {
        operators.start(index).await?;
    }
    operators.reach(blocks, Duration::from_secs(300)).await?;
    for index in 0..4 {
        operators.stop(index).await?;
    }
    operators.wipe(3)?;
    operators.pace(Duration::from_secs(1));
    for index in 0..3 {
        operators.start(index).await?;
    }
    let (from, began) = (operators.lowest().await?, Instant::now());
    operators.reach(from + 5, Duration::from_secs(60)).await?;
    let live = ratio(5.0, began.elapsed().as_secs_f64());
    let behind = operators.lowest().await?;
    let began = Instant::now();
    operators.start(3).await?;
    operators.reach(behind, Duration::from_secs(120)).await?;
    let caught = ratio(behind as f64, began.elapsed().as_secs_f64());
    for index in 0..4 {
        operators.stop(index).await?;
    }
    println!(
        "n = 4: catch-up {caught:.0} blocks/s over {behind} blocks, from the start of the process; live {live:.2} blocks/s, ratio {:.0} (aim 10); {}",
        ratio(caught, live),
        operators.found(behind)?
    );
    Ok(())
}

/// How much memory a process takes in which one operator of four runs, alone, and one in which all four do, at a block a second: each in
/// a process of its own, which did nothing before.
fn resident() -> Result<()> {
    for running in ["1", "4"] {
        let mut child = std::process::Command::new(std::env::current_exe()?);
        let status = child.arg("--bench").env("PALISADE_RACE", format!("idle,{running}")).status()?;
        ensure!(status.success(), "the idle operators ended with {status}");
    }
    Ok(())
}

async fn idle(running: usize) -> Result<()> {
    let mut operators = ours::Operators::new(4, Duration::from_secs(1))?;
    for index in 0..running {
        operators.start(index).await?;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown").trim();
    let height = operators.lowest().await?;
    for index in 0..running {
        operators.stop(index).await?;
    }
    println!(
        "n = 4: {running} of the operators in one process, idle for 20 s, at height {height}: {resident} resident"
    );
    Ok(())
}

async fn profile(only: &str) -> Result<()> {
    let (side, nodes) = only.split_once(',').unwrap_or((only, "4"));
    if side == "catch-up" {
        return catch_up(nodes.parse()?).await;
    }
    if side == "idle" {
        return idle(nodes.parse()?).await;
    }
    let plan = plan(nodes.parse()?, Duration::from_secs(10));
    let ran = match side {
        "ours" => ours::run(plan).await?,
        "gossip" => peer::run(plan, Transport::Gossip).await?,
        _ => peer::run(plan, Transport::Broadcast).await?,
    };
    tell(side, plan.nodes, &ran);
    Ok(())
}

const fn plan(nodes: usize, time: Duration) -> Plan {
    Plan { nodes, warm: ours::EPOCH + 20, time }
}

async fn race(nodes: usize, rounds: usize, time: Duration) -> Result<()> {
    let plan = plan(nodes, time);
    let (mut ours, mut broadcast, mut gossip) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(ours::run(plan).await?);
        broadcast.push(peer::run(plan, Transport::Broadcast).await?);
        gossip.push(peer::run(plan, Transport::Gossip).await?);
    }
    for (side, runs) in [("Palisade", &ours), ("Malachite, broadcast", &broadcast), ("Malachite, gossipsub", &gossip)] {
        for ran in runs {
            tell(side, nodes, ran);
        }
    }
    let fastest = |runs: &[Ran]| middle(runs.iter().map(Ran::blocks_a_second).collect());
    let best = fastest(&broadcast).max(fastest(&gossip));
    let aim = if nodes < 16 { 1.0 } else { 1.5 };
    println!(
        "n = {nodes}: {:.1} blocks/s against {best:.1} with an empty application, ratio {:.2} (aim {aim:.1})",
        fastest(&ours),
        ratio(fastest(&ours), best)
    );
    Ok(())
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn tell(side: &str, nodes: usize, ran: &Ran) {
    println!(
        "n = {nodes}: {side}: {:.1} blocks/s, proposal to certificate p50 {:.1} ms, p99 {:.1} ms, processor {:.2} ms a node and block; {}",
        ran.blocks_a_second(),
        ratio(ran.percentile(50).as_micros() as f64, 1_000.0),
        ratio(ran.percentile(99).as_micros() as f64, 1_000.0),
        ratio(ran.cpu.as_micros() as f64, (1_000 * ran.blocks * nodes as u64) as f64),
        ran.found,
    );
}

/// Everybody must have found the same.
fn same(found: impl IntoIterator<Item = String>) -> Result<String> {
    let mut found = found.into_iter();
    let first = found.next().unwrap_or_default();
    for other in found {
        ensure!(other == first, "one node has {first}, another {other}");
    }
    Ok(first)
}

/// The processor time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
