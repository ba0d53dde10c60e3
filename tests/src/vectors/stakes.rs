//! Real stakes on test networks: recognised, unbonded, explained.

use anyhow::{Context, Result, ensure};
use bitcoin::{Txid, XOnlyPublicKey};
use palisade_bitcoin::babylon::inspect::{Hints, Kind, Report, inspect};
use palisade_bitcoin::babylon::parameters::{Parameters, Table};
use palisade_bitcoin::babylon::phase1::Identification;
use palisade_bitcoin::babylon::transactions::{self, Known, Stake};
use palisade_bitcoin::witness;
use serde_json::Value;

use super::parsed::{key_of, keys_of, parameters, same, sats, short, signature, transaction};
use super::{File, Outcome, Tally, array, bytes, has, list, number, tally_list, text};

/// Stakes of bbn-test-5 with the covenant's unbonding signatures.
pub(super) fn unbonded(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| {
        has(&value["vectors"][0], &["staking_txid", "params_version", "unbonding_tx", "covenant_unbonding"])
    })?;
    Some(Outcome::of(tally_list(&file["vectors"], check_unbonded)))
}

fn check_unbonded(case: &Value) -> Result<()> {
    let table = Table::bbn_test_5();
    let version = u32::try_from(number(case, "params_version")?)?;
    let start = u32::try_from(number(case, "start_height")?)?;
    let parameters = table.version(version).context("no such version")?;
    same(table.at(start).map(|version| version.version), Ok(version), "the version of its height")?;
    let staking = transaction(case, "staking_tx")?;
    let terms = parameters.terms(
        key_of(case, "staker_btc_pk")?,
        keys_of(case, "fp_btc_pk_list")?,
        short(case, "staking_time")?,
    )?;
    let stake = Stake::find(parameters, terms, &staking)?;
    same(stake.outpoint.txid, text(case, "staking_txid")?.parse::<Txid>()?, "the id")?;
    same(stake.value, sats(case, "staking_value")?, "the value")?;
    let unbonding = transaction(case, "unbonding_tx")?;
    same(stake.unbonding(parameters), Some(unbonding.clone()), "the unbonding transaction")?;
    let known = Known::all(&stake.terms, stake.outpoint, stake.value);
    transactions::unbonding(parameters, &known, &unbonding).require()?;
    let leaf = stake.terms.staking_output().unbonding;
    let sighash = witness::sighash(&unbonding, 0, &[stake.output()], &leaf).context("no sighash")?;
    same(sighash, array(&case["computed"], "unbonding_sighash")?, "the sighash")?;
    same(leaf.control_block.serialize(), bytes(&case["computed"], "control_block_unbonding")?, "the control block")?;
    for signed in list(case, "covenant_unbonding")? {
        let good = witness::verify(&key_of(signed, "cov_pk")?, &sighash, &signature(signed, "sig")?);
        ensure!(good, "the signature of {} does not match", signed["cov_pk"]);
    }
    let identified = !list(case, "op_return_scripts")?.is_empty();
    explained(&table, case, "staking_tx", start, identified, version)
}

/// `vault inspect` says the same about it, from its identification or from hints.
fn explained(table: &Table, case: &Value, field: &str, height: u32, identified: bool, version: u32) -> Result<()> {
    let providers: Vec<_> = match has(case, &["fp_btc_pk_list"]) {
        true => keys_of(case, "fp_btc_pk_list")?.iter().map(XOnlyPublicKey::to_string).collect(),
        false => vec![],
    };
    let hints = match identified {
        true => Hints::none(),
        false => Hints::of(case["staker_btc_pk"].as_str(), &providers, None)?,
    };
    let report = inspect(&bytes(case, field)?, table, &hints.at(Some(height)))?;
    let [act] = &report.acts[..] else { anyhow::bail!("{} acts", report.acts.len()) };
    same((act.kind, act.versions.clone()), (Kind::Staking, vec![version]), "the explanation")?;
    same(act.staking_time, Some(64_000), "the staking time")?;
    obeys(&report)
}

fn obeys(report: &Report) -> Result<()> {
    let broken = report.acts.iter().flat_map(|act| &act.rules).find(|rule| rule.verdict == "broken");
    broken.map_or(Ok(()), |rule| Err(anyhow::anyhow!("{}: {:?}", rule.rule, rule.note)))
}

/// A stake of the first phase.
pub(super) fn identified(file: &File) -> Option<Outcome> {
    let file =
        file.json().filter(|value| has(&value["vectors"][0], &["tx", "timelock", "finality_provider_pk", "tag"]))?;
    Some(Outcome::of(tally_list(&file["vectors"], |case| {
        let (staking, table) = (transaction(case, "tx")?, Table::bbn_test_5());
        let found = Identification::of(&staking)?;
        same(found.tag, array(case, "tag")?, "the tag")?;
        same(found.staker, key_of(case, "staker_pk")?, "the staker")?;
        same(found.provider, key_of(case, "finality_provider_pk")?, "the provider")?;
        same(found.staking_time, short(case, "timelock")?, "the time")?;
        let start = u32::try_from(number(case, "start_height")?)?;
        let version = table.at(start)?;
        same(u64::from(version.version), number(case, "params_version")?, "the version")?;
        let stake =
            Stake::find(version, version.terms(found.staker, vec![found.provider], found.staking_time)?, &staking)?;
        same(u64::from(stake.outpoint.vout), number(case, "output_index")?, "the output")?;
        same(stake.value, sats(case, "staking_value")?, "the value")?;
        explained(&table, case, "tx", start, true, version.version)
    })))
}

/// The three transactions of one staker, as a wallet builds them.
pub(super) fn wallet(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(value, &["params", "staker_btc_pk", "staking_tx", "unbonding_tx", "slashing_tx"]))?;
    Some(Outcome::of(check_wallet(file, &file["params"])))
}

fn check_wallet(file: &Value, params: &Value) -> Result<Tally> {
    let parameters: Parameters = parameters(params)?;
    let terms = parameters.terms(
        key_of(file, "staker_btc_pk")?,
        keys_of(file, "fp_btc_pk_list")?,
        short(file, "staking_time")?,
    )?;
    let stake = Stake::find(&parameters, terms, &transaction(file, "staking_tx")?)?;
    let known = Known::all(&stake.terms, stake.outpoint, stake.value);
    let (unbonding, slashing) = (transaction(file, "unbonding_tx")?, transaction(file, "slashing_tx")?);
    transactions::unbonding(&parameters, &known, &unbonding).require()?;
    same(stake.unbonding(&parameters), Some(unbonding), "the unbonding transaction")?;
    transactions::slashing(&parameters, &known, &slashing).require()?;
    let fee = stake.value - slashing.output[0].value - slashing.output[1].value;
    let ours = stake.slashing(&parameters, stake.outpoint, stake.value, fee).context("nothing left")?;
    same(ours.output, slashing.output, "what a slash pays")?;
    Ok(Tally { checked: 3, left_out: 0 })
}
