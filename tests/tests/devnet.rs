//! The main job, end to end, on real chains: what a person does with `deploy/devnet.sh`, one step after the other on one
//! devnet of its own ports and its own folder. Every process ends with the test, however the test ends.

#![allow(clippy::unwrap_used)]

use anyhow::Context;
use jsonrpsee::core::ClientError;
use palisade_devnet::constants::{LATECOMER, OPERATORS};
use palisade_devnet::devnet::Devnet;
use palisade_devnet::equivocation::{Equivocation, hex_of};
use palisade_devnet::layout::Ports;
use palisade_devnet::progress::say;
use palisade_devnet::scenario;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::CaseView;
use palisade_node::text::parse_hex_bytes;
use palisade_types::canonical::Canonical;
use palisade_types::evidence::{BlsPair, Evidence};
use palisade_types::{DomainKind, OperatorId};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

/// A second start has this long, says issue 2.
const SECOND_START: Duration = Duration::from_secs(30);

/// One devnet at a time, also under a runner that knows no groups: a person's time limits are not a busy machine's.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn r24_stake_is_really_gone_on_both_chains_and_nobody_elses() {
    let _alone = ALONE.lock().await;
    let world = World::new("devnet");
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        done = the_main_job(&world.devnet) => if let Err(error) = done { panic!("{error:#}") },
        _ = terminated.recv() => panic!("terminated"),
    }
}

async fn the_main_job(devnet: &Devnet) -> anyhow::Result<()> {
    say("== up");
    let up = devnet.up().await?;
    assert!(up.first);
    assert!(!devnet.up().await?.first, "up can be run twice");

    say("== bad input");
    bad_input(devnet).await?;

    say("== scenario kill-all");
    println!("{}", scenario::kill_all(devnet).await?);

    say("== scenario equivocation");
    let report = scenario::equivocation(devnet).await?;
    println!("{report}");
    let convict = report.convict.clone().context("somebody was convicted")?;
    for change in &report.holdings {
        assert_eq!(change.before != change.now, change.operator == convict, "{change:?}");
    }

    say("== a run of the same length without evidence");
    scenario::quiet(devnet, report.took).await?;

    say("== the same pairs again");
    for evidence in evidence(devnet)? {
        assert_eq!(refused(devnet, &evidence).await?, "already_convicted");
    }

    say("== join");
    devnet.join().await?;
    let seats = devnet.operator("alice")?.client()?.committee(None).await?.members;
    let erin = devnet.operator(LATECOMER)?.id()?.to_string();
    assert!(seats.iter().any(|seat| seat.operator == erin));

    say("== scenario vault-slashed"); // the fifth operator makes a second convict bearable
    let report = scenario::vault_slashed(devnet).await?;
    println!("{report}");
    assert_ne!(report.convict.as_deref(), Some(convict.as_str()));

    say("== down, up, down");
    let before = cases(devnet).await?;
    assert_eq!(before.len(), 3);
    devnet.down().await?;
    devnet.down().await?;
    assert!(devnet.status().await?.contains("down"));
    let up = devnet.up().await?;
    assert!(!up.first);
    assert!(up.took < SECOND_START, "the second start took {:?}", up.took);
    assert_eq!(cases(devnet).await?, before, "a restart forgets nothing");
    devnet.down().await?;
    for name in OPERATORS {
        assert_eq!(devnet.operator(name)?.process().pid(), None);
    }
    devnet.reset().await?;
    devnet.reset().await?;
    Ok(())
}

/// What `scenario` plays that the main job has no time for; one devnet can play all that convict nobody, and one that does.
/// `tests/run.sh` chooses from the same list, some with every commit.
const OTHERS: [&str; 29] = [
    "vault-life",
    "vault-expansion",
    "vault-expiry",
    "vault-claim",
    "ethereum-reorg",
    "rpc-disagreement",
    "bitcoin-reorg",
    "bitcoin-deep-reorg",
    "kill-one",
    "kill-two-and-back",
    "rejoin-from-genesis",
    "rejoin-from-snapshot",
    "partition",
    "doppelganger",
    "restored-backup",
    "committee-change",
    "vault-unbonding-race",
    "equivocation-vote",
    "slash-order",
    "slash-pair",
    "deallocation",
    "withdrawal-queue",
    "partial-slash",
    "veto-executed",
    "veto-vetoed",
    "succession",
    "jail-unjail",
    "correlated-fault",
    "throttle",
];

/// Names with commas between them, or `all`; without it the first only.
const CHOICE: &str = "PALISADE_SCENARIOS";

#[tokio::test(flavor = "multi_thread")]
async fn r08_r30_vaults_live_through_what_can_happen_to_them() {
    let _alone = ALONE.lock().await;
    let world = World::new("others");
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        done = the_others(&world.devnet) => if let Err(error) = done { panic!("{error:#}") },
        _ = terminated.recv() => panic!("terminated"),
    }
}

async fn the_others(devnet: &Devnet) -> anyhow::Result<()> {
    let chosen = chosen(std::env::var(CHOICE).ok().as_deref())?;
    say(format!("chosen by {CHOICE}: {}", chosen.join(", ")));
    devnet.up().await?;
    let mut spent = false;
    for name in chosen {
        if spent {
            devnet.reset().await?; // with a second one convicted, or gone, nothing would be final any more
            devnet.up().await?;
        }
        say(format!("== scenario {name}"));
        let report = match name {
            "vault-life" => scenario::vault_life(devnet).await,
            "vault-expansion" => scenario::vault_expansion(devnet).await,
            "vault-expiry" => scenario::vault_expiry(devnet).await,
            "vault-claim" => scenario::vault_claim(devnet).await,
            "ethereum-reorg" => scenario::ethereum_reorg(devnet).await,
            "rpc-disagreement" => scenario::rpc_disagreement(devnet).await,
            "bitcoin-reorg" => scenario::bitcoin_reorg(devnet).await,
            "bitcoin-deep-reorg" => scenario::bitcoin_deep_reorg(devnet).await,
            "kill-one" => scenario::kill_one(devnet).await,
            "kill-two-and-back" => scenario::kill_two_and_back(devnet).await,
            "rejoin-from-genesis" => scenario::rejoin_from_genesis(devnet).await,
            "rejoin-from-snapshot" => scenario::rejoin_from_snapshot(devnet).await,
            "partition" => scenario::partition(devnet).await,
            "doppelganger" => scenario::doppelganger(devnet).await,
            "restored-backup" => scenario::restored_backup(devnet).await,
            "committee-change" => scenario::committee_change(devnet).await,
            "succession" => scenario::succession(devnet).await,
            "correlated-fault" => scenario::correlated_fault(devnet).await,
            "throttle" => scenario::throttle(devnet).await,
            "jail-unjail" => scenario::jail_unjail(devnet).await,
            "equivocation-vote" => scenario::equivocation_vote(devnet).await,
            "vault-unbonding-race" => scenario::vault_unbonding_race(devnet).await,
            "slash-order" => scenario::slash_order(devnet).await,
            "slash-pair" => scenario::slash_pair(devnet).await,
            "deallocation" => scenario::deallocation(devnet).await,
            "withdrawal-queue" => scenario::withdrawal_queue(devnet).await,
            "partial-slash" => scenario::partial_slash(devnet).await,
            "veto-executed" => scenario::veto_executed(devnet).await,
            "veto-vetoed" => scenario::veto_vetoed(devnet).await,
            unknown => anyhow::bail!("nobody plays {unknown}"),
        };
        let report = report.context(name)?;
        println!("{report}");
        spent = report.convict.is_some() || ["committee-change", "correlated-fault", "throttle"].contains(&name);
    }
    devnet.reset().await?;
    Ok(())
}

fn chosen(wanted: Option<&str>) -> anyhow::Result<Vec<&'static str>> {
    let Some(wanted) = wanted else { return Ok(OTHERS[..1].to_vec()) };
    let names: Vec<&str> = wanted.split(',').map(str::trim).collect();
    if let Some(unknown) = names.iter().find(|name| **name != "all" && !OTHERS.contains(name)) {
        anyhow::bail!("{CHOICE} names {unknown:?}; there are {}, or all", OTHERS.join(", "));
    }
    Ok(OTHERS.into_iter().filter(|name| names.contains(&"all") || names.contains(name)).collect())
}

#[test]
fn scenarios_are_chosen_by_name() {
    assert_eq!(chosen(None).unwrap(), ["vault-life"]);
    assert_eq!(chosen(Some("all")).unwrap(), OTHERS);
    assert_eq!(chosen(Some("bitcoin-reorg, vault-expiry")).unwrap(), ["vault-expiry", "bitcoin-reorg"]);
    let error = chosen(Some("vault-expiry,vault-exipry")).unwrap_err().to_string();
    assert!(error.contains("vault-exipry") && error.contains("vault-expansion"), "{error}");
    let script = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/run.sh")).unwrap();
    let list = script.split_once("OTHERS=(").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    assert_eq!(list.split_whitespace().collect::<Vec<_>>(), OTHERS, "tests/run.sh chooses from another list");
}

/// A stranger's mistakes are answered with a reason and change nothing.
async fn bad_input(devnet: &Devnet) -> anyhow::Result<()> {
    for (bytes, reason) in [("no hex", "not_hex"), ("0x", "malformed"), ("0xff00", "malformed")] {
        assert_eq!(refused_bytes(devnet, bytes.to_owned()).await?, reason, "{bytes}");
    }
    let made =
        Equivocation::sign(&devnet.operator("dave")?, &*devnet.genesis()?, &devnet.operator("alice")?.client()?, None)
            .await?;
    let Evidence::Pair(pair) = made.ledger else { anyhow::bail!("{made:?}") };
    let compatible = BlsPair { second: pair.first, ..pair };
    let swapped = BlsPair { first: (pair.first.0, pair.second.1), ..pair };
    let stranger = BlsPair { operator: OperatorId::new([7; 20]), ..pair };
    let elsewhere = BlsPair { domain: devnet.genesis()?.domain(DomainKind::Bitcoin), ..pair };
    for (pair, reason) in [
        (compatible, "compatible"),
        (swapped, "wrong_signature"),
        (stranger, "unknown_operator"),
        (elsewhere, "wrong_domain"),
    ] {
        assert_eq!(refused(devnet, &Evidence::Pair(pair)).await?, reason);
    }
    assert!(cases(devnet).await?.is_empty());
    Ok(())
}

/// The reason for which alice's node refuses evidence.
async fn refused(devnet: &Devnet, evidence: &Evidence) -> anyhow::Result<String> {
    refused_bytes(devnet, hex_of(evidence)).await
}

async fn refused_bytes(devnet: &Devnet, bytes: String) -> anyhow::Result<String> {
    let answer = devnet.operator("alice")?.client()?.submit_evidence(bytes).await;
    let Err(ClientError::Call(refusal)) = answer else { anyhow::bail!("not refused: {answer:?}") };
    let data: serde_json::Value = serde_json::from_str(refusal.data().context("a reason")?.get())?;
    Ok(data["reason"].as_str().context("a reason")?.to_owned())
}

/// What the scenario's tool wrote.
fn evidence(devnet: &Devnet) -> anyhow::Result<[Evidence; 2]> {
    let read = |name| -> anyhow::Result<Evidence> {
        let text = std::fs::read_to_string(devnet.layout().root().join("evidence").join(name))?;
        Ok(Evidence::from_bytes(&parse_hex_bytes(&text)?)?)
    };
    Ok([read("ledger.hex")?, read("bitcoin.hex")?])
}

async fn cases(devnet: &Devnet) -> anyhow::Result<Vec<CaseView>> {
    Ok(devnet.operator("alice")?.client()?.cases().await?)
}

/// A devnet that leaves no process behind.
struct World {
    devnet: Devnet,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    fn new(name: &str) -> Self {
        // run.sh names a folder, so that it can clean up even after a test that was killed.
        let named = std::env::var_os("PALISADE_TEST_DIR").map(PathBuf::from);
        let own = named.is_none().then(|| tempfile::tempdir().unwrap());
        let root = named.or_else(|| own.as_ref().map(|own| own.path().to_owned())).unwrap().join(name);
        Self { devnet: Devnet::open(&root, Ports::free().unwrap()).unwrap(), _folder: own }
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
