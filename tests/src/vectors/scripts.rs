//! The scripts of stakes, and the numbers around them.

use anyhow::{Result, ensure};
use bitcoin::{Address, Network};
use palisade_bitcoin::babylon::leaf::LeafScript;
use palisade_bitcoin::babylon::parameters::{Parameters, SlashingRate};
use palisade_bitcoin::babylon::phase1::Identification;
use palisade_bitcoin::babylon::transactions::Stake;
use palisade_bitcoin::scripts::StakingTerms;
use palisade_bitcoin::vault::babylon_slash;
use serde_json::Value;

use super::parsed::{key_of, keys_of, same, same_leaf, sats, script, short, transaction};
use super::{File, Outcome, Tally, bytes, has, number, tally_list, text};

/// Babylon's own cases: scripts, output, unbonding transaction, identification, address.
pub(super) fn staking(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| {
        has(&value["vectors"][0], &["parameters", "expected"])
            && has(&value["vectors"][0]["expected"], &["staking_output_pkscript_hex"])
    })?;
    Some(Outcome::of(tally_list(&file["vectors"], check_staking)))
}

fn check_staking(case: &Value) -> Result<()> {
    let (given, expected) = (&case["parameters"], &case["expected"]);
    let terms = StakingTerms::new(
        key_of(given, "staker_public_key")?,
        keys_of(given, "finality_provider_public_keys")?,
        keys_of(given, "covenant_public_keys")?,
        short(given, "covenant_quorum")?,
        short(given, "staking_time")?,
        short(given, "unbonding_time")?,
    )?;
    let (staking, unbonding) = (terms.staking_output(), terms.unbonding_output());
    same(&staking.script_pubkey, &script(expected, "staking_output_pkscript_hex")?, "the staking output")?;
    for (ours, field) in [
        (&staking.timelock, "staking_transaction_timelock_script_hex"),
        (&staking.unbonding, "staking_transaction_unbonding_script_hex"),
        (&staking.slashing, "staking_transaction_slashing_script_hex"),
        (&unbonding.timelock, "unbonding_transaction_time_lock_script_hex"),
        (&unbonding.slashing, "unbonding_transaction_slashing_script_hex"),
    ] {
        let theirs = script(expected, field)?;
        same(&ours.script, &theirs, field)?;
        same(LeafScript::read(&theirs)?.script(), theirs, field)?;
    }
    let address = Address::from_script(&staking.script_pubkey, Network::Bitcoin)?;
    ensure!(address.to_string() == text(expected, "taproot_address_staking_output")?, "another address");
    let theirs = transaction(expected, "unbonding_transaction_hex")?;
    let stake = Stake { terms, outpoint: theirs.input[0].previous_output, value: sats(given, "staking_value")? };
    same(stake.unbonding(&fee_only(sats(given, "unbonding_fee")?)), Some(theirs), "the unbonding transaction")?;
    if let Some(theirs) = expected["op_return_script_hex"].as_str().filter(|text| !text.is_empty()) {
        let mut tag = [0; 4];
        hex::decode_to_slice(text(given, "tag")?, &mut tag)?;
        let [provider] = stake.terms.providers() else { anyhow::bail!("an identification of several providers") };
        let ours = Identification {
            tag,
            staker: stake.terms.staker(),
            provider: *provider,
            staking_time: stake.terms.staking_time(),
        };
        ensure!(ours.script().to_hex_string() == theirs, "another identification");
        ensure!(Identification::read(&ours.script()) == Some(ours), "the identification is not read back");
    }
    Ok(())
}

/// Parameters of which only the unbonding fee matters.
fn fee_only(fee: bitcoin::Amount) -> Parameters {
    let table = palisade_bitcoin::babylon::parameters::Table::bbn_1();
    Parameters { unbonding_fee: fee, ..table.versions()[0].clone() }
}

/// Our own derived cases.
pub(super) fn derived(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["scripts", "slash_amounts", "timelock_pushes", "dust"]))?;
    Some(Outcome::of((|| {
        let parts = [
            tally_list(&file["scripts"], check_scripts)?,
            tally_list(&file["slash_amounts"], check_slash)?,
            tally_list(&file["float_ties"], check_slash)?,
            tally_list(&file["dust"], check_dust)?,
            tally_list(&file["timelock_pushes"], check_push)?,
            tally_list(&file["finality_threshold"], check_threshold)?,
        ];
        Ok(Tally { checked: parts.iter().map(|part| part.checked).sum(), left_out: 0 })
    })()))
}

fn check_scripts(case: &Value) -> Result<()> {
    let terms = StakingTerms::new(
        key_of(case, "staker")?,
        keys_of(case, "finality_providers")?,
        keys_of(case, "covenant")?,
        short(case, "quorum")?,
        short(case, "staking_time")?,
        short(case, "unbonding_time")?,
    )?;
    let (staking, expected) = (terms.staking_output(), &case["staking"]);
    same_leaf(&staking.timelock, expected, "timelock", "cb_timelock")?;
    same_leaf(&staking.unbonding, expected, "unbonding", "cb_unbonding")?;
    same_leaf(&staking.slashing, expected, "slashing", "cb_slashing")?;
    same(&staking.script_pubkey, &script(expected, "spk")?, "the staking output")?;
    let (unbonding, expected) = (terms.unbonding_output(), &case["unbonding"]);
    same_leaf(&unbonding.timelock, expected, "timelock", "cb_timelock")?;
    same_leaf(&unbonding.slashing, expected, "slashing", "cb_slashing")?;
    same(&unbonding.script_pubkey, &script(expected, "spk")?, "the unbonding output")?;
    let change = terms.change_output().script_pubkey;
    same(change, script(case, "slashing_change_pk_script")?, "the change")?;
    for (name, network) in [("mainnet", Network::Bitcoin), ("signet", Network::Signet), ("regtest", Network::Regtest)] {
        let address = Address::from_script(&staking.script_pubkey, network)?;
        ensure!(address.to_string() == text(&case["staking_address"], name)?, "another {name} address");
    }
    Ok(())
}

fn check_slash(case: &Value) -> Result<()> {
    let rate: u16 = text(case, "rate")?.trim_start_matches("0.").parse()?;
    let rate = SlashingRate::new(rate).ok_or_else(|| anyhow::anyhow!("no rate"))?;
    let value = sats(case, "value")?;
    same(rate.of(value), sats(case, "slash_amount")?, "the slash")?;
    same(babylon_slash(value, rate.get()), sats(case, "slash_amount")?, "the slash")
}

fn check_dust(case: &Value) -> Result<()> {
    let script = script(case, "pk_script")?;
    let smallest = if script.is_op_return() { 0 } else { script.minimal_non_dust().to_sat() };
    same(smallest, number(case, "smallest_non_dust")?, "the smallest output")
}

fn check_push(case: &Value) -> Result<()> {
    let table = palisade_bitcoin::babylon::parameters::Table::bbn_1();
    let (members, blocks) = (&table.versions()[0].covenant, short(case, "blocks")?);
    let terms = StakingTerms::new(members[0], vec![members[1]], vec![members[2]], 1, blocks, 1)?;
    let leaf = terms.staking_output().timelock.script;
    ensure!(leaf.as_bytes().get(34..leaf.len() - 1) == Some(&bytes(case, "script_num_push")?[..]), "another push");
    Ok(())
}

fn check_threshold(case: &Value) -> Result<()> {
    let (total, voted) = (number(case, "total")?, number(case, "voted")?);
    same(voted * 3 > total * 2, case["finalized"] == true, "the quorum")
}
