//! A network behind which bitcoin stands alone (R22), on real chains: what `up --bitcoin-only` founds is final by EOTS, survives
//! any kill, and takes the bitcoin of one who signs twice. Every process ends with the test, however the test ends.

#![allow(clippy::unwrap_used)]

use palisade_devnet::constants::{OPERATORS, READY_DEADLINE};
use palisade_devnet::devnet::Devnet;
use palisade_devnet::layout::Ports;
use palisade_devnet::process::Signal;
use palisade_devnet::progress::{Seen, say, until};
use palisade_devnet::scenario;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::StatusView;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::test(flavor = "multi_thread")]
async fn r22_where_bitcoin_stands_alone_it_is_final_survives_kills_and_is_slashed() {
    let world = World::new();
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        done = bitcoin_alone(&world.devnet) => if let Err(error) = done { panic!("{error:#}") },
        _ = terminated.recv() => panic!("terminated"),
    }
}

async fn bitcoin_alone(devnet: &Devnet) -> anyhow::Result<()> {
    say("== up --bitcoin-only");
    assert!(devnet.up().await?.first);
    assert!(!devnet.up().await?.first, "up can be run twice");
    let before = status(devnet, "alice").await?;
    assert!(before.bitcoin_only && before.ether_final.is_none() && before.attested == 0);
    let run = before.bitcoin_run.clone().unwrap();

    say("== kill -9 of one, who comes back and votes again");
    kill(devnet, &["bob"]).await?;
    let head = status(devnet, "alice").await?.head.height;
    devnet.await_final_above(&devnet.operator("alice")?, head, READY_DEADLINE).await?;
    devnet.operator("bob")?.start()?;
    votes_above(devnet, "bob", head).await?;

    say("== kill -9 of all");
    let head = status(devnet, "alice").await?.head.height;
    kill(devnet, &OPERATORS).await?;
    assert!(!devnet.up().await?.first);
    for name in OPERATORS {
        votes_above(devnet, name, head).await?;
    }
    let now = status(devnet, "alice").await?.bitcoin_run.unwrap();
    assert_eq!((now.first, now.broken), (run.first, run.broken), "late slots were filled in: the run is unbroken");

    say("== scenario equivocation");
    let report = scenario::equivocation(devnet).await?;
    println!("{report}");
    for change in &report.holdings {
        assert_eq!(change.before.shares, change.now.shares, "nothing is staked on Ethereum: {change:?}");
        assert_eq!(change.before != change.now, Some(&change.operator) == report.convict.as_ref(), "{change:?}");
    }
    devnet.down().await?;
    devnet.reset().await
}

async fn kill(devnet: &Devnet, names: &[&str]) -> anyhow::Result<()> {
    for name in names {
        devnet.operator(name)?.process().signal(Signal::Kill)?;
    }
    for name in names {
        let process = devnet.operator(name)?.process();
        until(&format!("{name}'s end"), READY_DEADLINE, async || {
            Ok(match process.pid() {
                Some(pid) => Seen::NotYet(format!("process {pid} runs")),
                None => Seen::There(()),
            })
        })
        .await?;
    }
    Ok(())
}

/// He votes for checkpoints above `height`, and they become final.
async fn votes_above(devnet: &Devnet, name: &str, height: u64) -> anyhow::Result<()> {
    devnet.await_final_above(&devnet.operator(name)?, height, READY_DEADLINE).await?;
    until(&format!("{name}'s own votes"), READY_DEADLINE, async || {
        let voted = status(devnet, name).await?.voted;
        Ok(if voted > height { Seen::There(()) } else { Seen::NotYet(format!("he voted for {voted}")) })
    })
    .await
}

async fn status(devnet: &Devnet, name: &str) -> anyhow::Result<StatusView> {
    Ok(devnet.operator(name)?.client()?.status().await?)
}

/// A devnet that leaves no process behind.
struct World {
    devnet: Devnet,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    fn new() -> Self {
        // run.sh names a folder, so that it can clean up even after a test that was killed.
        let named = std::env::var_os("PALISADE_TEST_DIR").map(PathBuf::from);
        let own = named.is_none().then(|| tempfile::tempdir().unwrap());
        let root = named.or_else(|| own.as_ref().map(|own| own.path().to_owned())).unwrap().join("bitcoin-only");
        Self { devnet: Devnet::open(&root, Ports::free().unwrap()).unwrap().bitcoin_only(), _folder: own }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["alice", "dave"] {
                let log = std::fs::read_to_string(self.devnet.layout().log(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                println!("==> {name} <==\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
        self.devnet.kill();
    }
}
