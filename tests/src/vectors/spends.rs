//! Complete spends, judged by Bitcoin Core's own verifier and by what we read out of their witnesses.

use anyhow::{Result, ensure};
use bitcoin::{OutPoint, Transaction, TxOut};
use palisade_bitcoin::babylon::spend::LeafSpend;
use serde_json::Value;

use super::parsed::{same, sats, script, transaction};
use super::{File, Outcome, has, tally_list, text};

/// Valid and invalid spends of staking and unbonding outputs.
pub(super) fn complete(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| {
        has(&value["vectors"][0], &["kind", "prevout_value", "prevout_pk_script", "signed_tx", "valid"])
    })?;
    Some(Outcome::of(tally_list(&file["vectors"], check)))
}

fn check(case: &Value) -> Result<()> {
    let signed = transaction(case, "signed_tx")?;
    let spent = TxOut { value: sats(case, "prevout_value")?, script_pubkey: script(case, "prevout_pk_script")? };
    let valid = case["valid"] == true;
    same(core_accepts(&signed, std::slice::from_ref(&spent)), valid, "Bitcoin Core's verdict")?;
    let read = LeafSpend::read(&signed, 0);
    let Ok(read) = read else {
        ensure!(!valid, "a valid spend is not read: {read:?}");
        return Ok(());
    };
    same(&read.output, &spent.script_pubkey, "the output that the witness leads to")?;
    ensure!(read.no_key_path, "there is a key path");
    let (leaf, origin) = match text(case, "kind")? {
        "unbonding" => ("unbonding", "staking output"),
        "slashing" => ("slashing", "staking output"),
        "unbonding_slashing" => ("slashing", "unbonding output"),
        "withdraw_staking" => ("timelock", "staking output"),
        "withdraw_unbonding" => ("timelock", "unbonding output"),
        other => anyhow::bail!("{other} is no kind of spend"),
    };
    same((read.leaf.name(), read.origin.name()), (leaf, origin), "the leaf")?;
    if valid {
        let outputs = [spent];
        let holds = |key: &bitcoin::XOnlyPublicKey, signature: &[u8]| read.verifies(&signed, &outputs, key, signature);
        ensure!(holds(&read.leaf.staker(), &read.staker), "the staker's signature does not match");
        for slot in LeafSpend::signers(&read.covenant).chain(LeafSpend::signers(&read.providers)) {
            ensure!(holds(&slot.key, &slot.signature), "the signature of {} does not match", slot.key);
        }
    }
    Ok(())
}

/// Bitcoin Core's own judgement on every input, with Taproot and relative locks checked.
pub(super) fn core_accepts(transaction: &Transaction, spent: &[TxOut]) -> bool {
    let outputs: Vec<bitcoinconsensus::Utxo> = spent
        .iter()
        .map(|output| bitcoinconsensus::Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: u32::try_from(output.script_pubkey.len()).unwrap_or(u32::MAX),
            value: i64::try_from(output.value.to_sat()).unwrap_or(i64::MAX),
        })
        .collect();
    let bytes = bitcoin::consensus::encode::serialize(transaction);
    let flags = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;
    debug_assert!(transaction.input.iter().all(|input| input.previous_output != OutPoint::null()));
    (0..spent.len()).all(|input| {
        let output = &spent[input];
        let script = output.script_pubkey.as_bytes();
        bitcoinconsensus::verify_with_flags(script, output.value.to_sat(), &bytes, Some(&outputs), input, flags).is_ok()
    })
}
