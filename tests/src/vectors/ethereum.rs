//! Recorded answers of Ethereum nodes, read as the follower and the outbox read theirs.

use anyhow::{Context, Result, bail, ensure};
use palisade_ethereum::answers;
use serde_json::{Value, json};

use super::{Exchange, File, Outcome, Tally, has, text};

/// Questions and answers of JSON-RPC.
pub(super) fn exchanges(file: &File) -> Option<Outcome> {
    let File::Exchanges(exchanges) = file else { return None };
    let method = exchanges.first()?.asked["method"].as_str().unwrap_or_default();
    let check: fn(&Exchange) -> Result<()> = match method {
        "eth_getBlockByNumber" => block,
        "eth_getLogs" => logs,
        "eth_getTransactionReceipt" => receipt,
        "eth_getBlockReceipts" => return Some(block_receipts(exchanges)),
        "eth_getProof" => return Some(Outcome::Skipped(PROOFS)),
        _ => return Some(Outcome::Skipped("a method that none of ours asks")),
    };
    let checked = exchanges.iter().try_for_each(check);
    Some(Outcome::of(checked.map(|()| Tally { checked: exchanges.len(), left_out: 0 })))
}

/// A block of mainnet by itself.
pub(super) fn header(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(value, &["parentHash", "stateRoot", "timestamp", "transactions"]))?;
    Some(Outcome::of(same_block(value).map(|()| Tally::one())))
}

/// Logs of mainnet by themselves: they answer a filter for what they are.
pub(super) fn list(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(&value[0], &["address", "topics", "blockHash", "logIndex"]))?;
    let check = || -> Result<Tally> {
        let logs = value.as_array().context("no list")?;
        let first = &logs[0];
        let filter =
            json!({ "blockHash": first["blockHash"], "address": first["address"], "topics": [first["topics"][0]] });
        ensure!(answers::logs(&filter, value)?.len() == logs.len(), "not every log is read");
        spoilt(&filter, value)?;
        Ok(Tally { checked: logs.len(), left_out: 0 })
    };
    Some(Outcome::of(check()))
}

/// One receipt of mainnet.
pub(super) fn receipt_alone(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(value, &["cumulativeGasUsed", "logsBloom", "transactionHash"]))?;
    Some(Outcome::of(same_receipt(value).map(|()| Tally::one())))
}

/// The receipts of one block of mainnet.
pub(super) fn receipts_alone(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(&value[0], &["cumulativeGasUsed", "logsBloom", "transactionHash"]))?;
    Some(Outcome::of(receipts(value)))
}

/// Fees of the past, as the outbox reads them: what it offers is bounded, but never less than the next block asks for.
pub(super) fn fee_history(file: &File) -> Option<Outcome> {
    let value = &file.json()?["result"];
    has(value, &["oldestBlock", "baseFeePerGas", "gasUsedRatio"]).then(|| Outcome::of(fees(value)))
}

fn fees(said: &Value) -> Result<Tally> {
    let (most, tip) = answers::fees(said)?;
    let next = said["baseFeePerGas"].as_array().and_then(|fees| fees.last()?.as_str()).context("no base fee")?;
    let next = u128::from_str_radix(next.trim_start_matches("0x"), 16)?;
    ensure!(most == 2 * next + tip, "{most} is offered where the next block asks for {next}");
    let tips: Vec<&str> =
        said["reward"].as_array().into_iter().flatten().filter_map(|block| block[0].as_str()).collect();
    ensure!(tips.contains(&format!("{tip:#x}").as_str()), "nobody was given {tip}");
    // What no market asks for must not stop us, and what is no history is none.
    let huge = format!("{:#x}", u128::MAX);
    let mut dear = said.clone();
    dear["baseFeePerGas"] = json!([huge]);
    dear["reward"] = json!([[huge]]);
    ensure!(answers::fees(&dear)? == (u128::MAX, u128::MAX), "the highest fee is read as another");
    for nothing in [json!({ "oldestBlock": "0x1", "baseFeePerGas": [], "gasUsedRatio": [] }), json!(null), json!([])] {
        ensure!(answers::fees(&nothing).is_err(), "{nothing} is no history of fees");
    }
    Ok(Tally::one())
}

fn block_receipts(exchanges: &[Exchange]) -> Outcome {
    let results = exchanges.iter().map(Exchange::result).collect::<Result<Vec<_>>>();
    match results {
        Err(error) => Outcome::Failed(format!("{error:#}")),
        Ok(results) if results.iter().all(|said| said.as_array().is_none_or(Vec::is_empty)) => {
            Outcome::Skipped(NO_RECEIPTS)
        }
        Ok(results) => {
            let checked = results.into_iter().map(receipts).collect::<Result<Vec<_>>>();
            Outcome::of(
                checked.map(|tallies| Tally { checked: tallies.iter().map(|tally| tally.checked).sum(), left_out: 0 }),
            )
        }
    }
}

/// Each of a block's receipts is one as the outbox reads its own.
fn receipts(said: &Value) -> Result<Tally> {
    let listed = said.as_array().context("no list")?;
    listed.iter().try_for_each(same_receipt)?;
    Ok(Tally { checked: listed.len(), left_out: 0 })
}

fn block(exchange: &Exchange) -> Result<()> {
    let said = exchange.result()?;
    ensure!(!said.is_null(), "these answers hold a block");
    let asked = exchange.asked["params"][0].as_str().context("no block is asked for")?;
    if let Some(number) = asked.strip_prefix("0x") {
        let number = u64::from_str_radix(number, 16)?;
        ensure!(
            answers::block(said)?.is_some_and(|point| point.number == number),
            "another block than the one asked for"
        );
    }
    same_block(said)
}

/// The point has what the answer says, and what is not a block is none.
fn same_block(said: &Value) -> Result<()> {
    let point = answers::block(said)?.context("no block")?;
    ensure!(format!("{:#x}", point.number) == text(said, "number")?, "another number: {}", point.number);
    ensure!(point.hash.to_string() == text(said, "hash")?, "another hash: {}", point.hash);
    ensure!(format!("{:#x}", point.time) == text(said, "timestamp")?, "another time: {}", point.time);
    for field in ["number", "hash", "timestamp", "parentHash"] {
        let mut cut = said.clone();
        cut[field] = json!("0xzz");
        ensure!(answers::block(&cut).is_err(), "a block whose {field} is no hex is read");
    }
    ensure!(answers::block(&Value::Null)?.is_none(), "no block is no block");
    Ok(())
}

fn logs(exchange: &Exchange) -> Result<()> {
    let filter = &exchange.asked["params"][0];
    let said = exchange.result()?;
    let places = answers::logs(filter, said)?;
    let listed = said.as_array().context("no list")?;
    ensure!(places.len() == listed.len(), "not every log is read");
    for ((block, index), log) in places.iter().zip(listed) {
        ensure!(format!("{block:#x}") == text(log, "blockNumber")?, "another block: {block}");
        ensure!(format!("{index:#x}") == text(log, "logIndex")?, "another place: {index}");
    }
    spoilt(filter, said)
}

/// The same answer in another order, told twice, from another contract or of a pending block is none.
fn spoilt(filter: &Value, said: &Value) -> Result<()> {
    let listed = said.as_array().context("no list")?;
    let twice: Vec<&Value> = listed.iter().chain(listed.last()).collect();
    ensure!(answers::logs(filter, &json!(twice)).is_err(), "a log is taken twice");
    if listed.len() > 1 {
        let backwards: Vec<&Value> = listed.iter().rev().collect();
        ensure!(answers::logs(filter, &json!(backwards)).is_err(), "logs are taken out of order");
    }
    let with = |field: &str, value: Value| {
        let mut changed = said.clone();
        changed[0][field] = value;
        answers::logs(filter, &changed)
    };
    ensure!(with("blockNumber", Value::Null).is_err(), "a pending log is taken");
    ensure!(with("removed", json!(true)).is_err(), "a removed log is taken");
    if filter.get("address").is_some() {
        ensure!(
            with("address", json!("0x00000000000000000000000000000000000000ee")).is_err(),
            "an impostor's log is taken"
        );
    }
    Ok(())
}

fn receipt(exchange: &Exchange) -> Result<()> {
    let said = exchange.result()?;
    if said.is_null() {
        ensure!(answers::receipt(said)?.is_none(), "no receipt is no receipt");
        return Ok(());
    }
    same_receipt(said)
}

fn same_receipt(said: &Value) -> Result<()> {
    let receipt = answers::receipt(said)?.context("no receipt")?;
    ensure!(receipt.transaction.to_string() == text(said, "transactionHash")?, "another transaction");
    ensure!(format!("{:#x}", receipt.block) == text(said, "blockNumber")?, "another block: {}", receipt.block);
    // Before Byzantium there was a root instead of a status.
    let status = said.get("status").map_or("0x1", |status| status.as_str().unwrap_or_default());
    match (status, receipt.succeeded) {
        ("0x1", true) | ("0x0", false) => Ok(()),
        _ => bail!("status {status} is read as {}", receipt.succeeded),
    }
}

const NO_RECEIPTS: &str =
    "a block without receipts: nothing that the outbox could read, which asks for its own transactions'";
const PROOFS: &str = "proofs of accounts, which none of ours reads: what enough endpoints say counts (R30)";
