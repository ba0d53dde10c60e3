//! Ethereum: an observation of many logs, against a bare alloy loop over the same anvil's history. The follower also asks where the chain
//! stands, checks every log's place, order and origin, and makes a fact of it; the loop decodes and believes. The aim is at least half of the
//! loop's pace.
//!
//! The logs are of Palisade.sol's own event at its own address, written by a few bytes put in its place once the follower has checked
//! it: thousands of real slashes would measure anvil.
//!
//! And the other way to know: all that a service may take of all its operators, from the core's views ([`derivation`]).

#![allow(clippy::unwrap_used)] // the fixture's, which is for tests

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code, unused_imports)] // its tests stand at home
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
#[path = "ethereum/derivation.rs"]
mod derivation;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
#[allow(dead_code)]
#[path = "../../../chains/ethereum/tests/world/mod.rs"]
mod world;

use alloy::primitives::{Address, B256, U256, hex};
use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use anyhow::{Result, bail, ensure};
use palisade_crypto::hash::keccak256;
use palisade_ethereum::bindings::palisade::Palisade::Slashed;
use palisade_race::{Effort, Race, Run, bench, timed};
use palisade_types::chain::{Chain as _, Watch};
use palisade_types::observation::Fact;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use world::{Member, World};

/// Logs with four topics, which are the first words of what it is called with; the rest is their data.
const EMITTER: &str = "0x60803603806080600037606035604035602035600035608036036000a400";

fn main() -> Result<()> {
    bench("ethereum", |effort| {
        let (logs, rounds) = if effort == Effort::Whole { (1_000, 15) } else { (20, 2) };
        observations(logs, rounds)?;
        let (operators, sets, rounds) = if effort == Effort::Whole { (200, 50, 3) } else { (12, 3, 1) };
        derivation::run(operators, sets, rounds)
    })
}

fn observations(logs: u64, rounds: usize) -> Result<()> {
    let runtime = Runtime::new()?;
    let (world, ethereum, upto) = runtime.block_on(async {
        let world = World::without_stake().await;
        let ethereum = world.connect().await;
        emit(&world, logs).await?;
        world.finalize().await;
        let upto = ethereum.tip().await?;
        anyhow::Ok((world, ethereum, upto))
    })?;
    let after = world.genesis.ethereum_start;
    let ours = || {
        let (took, facts) = timed(|| runtime.block_on(ethereum.observe(&after, &upto, &Watch::default())));
        let mut bytes = Vec::new();
        let facts = facts?;
        ensure!(facts.len() as u64 == logs, "{} of {logs} logs were read", facts.len());
        for fact in &facts {
            let Fact::Slashed(slashed) = fact else { bail!("{fact:?} was not logged") };
            bytes.extend_from_slice(slashed.case.as_bytes());
            bytes.extend_from_slice(&slashed.afterwards.to_be_bytes());
        }
        Ok(Run::of(took).found("logs", facts.len()).found("hash", hex::encode(keccak256(&bytes))))
    };
    let filter = Filter::new().address(palisade(&world)).event_signature(Slashed::SIGNATURE_HASH);
    let filter = filter.from_block(after.number + 1).to_block(upto.number);
    let bare = || {
        let (took, events) = timed(|| {
            let found = runtime.block_on(world.provider.get_logs(&filter))?;
            let events = found.iter().map(|log| Slashed::decode_log_data(log.data()));
            anyhow::Ok(events.collect::<Result<Vec<_>, _>>()?)
        });
        let mut bytes = Vec::new();
        let events = events?;
        for event in &events {
            bytes.extend_from_slice(event.caseId.as_slice());
            bytes.extend_from_slice(&u128::try_from(event.afterwards)?.to_be_bytes());
        }
        Ok(Run::of(took).found("logs", events.len()).found("hash", hex::encode(keccak256(&bytes))))
    };
    println!("the aim: the bare loop takes at least 0.50 times as long");
    Race::new("logs of one observation", (logs, "log"), ours).against("bare alloy", bare).run(rounds)
}

/// Logs that differ, a block each.
async fn emit(world: &World, logs: u64) -> Result<()> {
    let place = palisade(world);
    let code: Value = world.provider.raw_request("anvil_setCode".into(), (place, EMITTER)).await?;
    drop(code);
    for number in 0..logs {
        let event = Slashed {
            caseId: B256::from(U256::from(number)),
            operator: Address::repeat_byte(1),
            adapter: Address::repeat_byte(2),
            asset: Address::repeat_byte(3),
            before: U256::from(2 * number + 1),
            afterwards: U256::from(number),
        };
        let log = event.encode_log_data();
        let topics: Vec<u8> = log.topics().iter().flat_map(|topic| topic.0).collect();
        let input = hex::encode_prefixed([topics.as_slice(), &log.data].concat());
        let from = Member::new(0).signer().address();
        let call = json!({ "from": from, "to": place, "input": input, "gas": "0x20000" });
        let _hash: B256 = world.provider.raw_request("eth_sendTransaction".into(), (call,)).await?;
    }
    Ok(())
}

fn palisade(world: &World) -> Address {
    Address::from(*world.genesis.contracts.palisade.as_bytes())
}
