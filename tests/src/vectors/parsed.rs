//! Bitcoin's and Babylon's things as vectors write them.

use std::str::FromStr as _;

use anyhow::{Context, Result, anyhow, ensure};
use bitcoin::consensus::encode::deserialize;
use bitcoin::{Amount, ScriptBuf, Transaction, XOnlyPublicKey};
use palisade_bitcoin::babylon::parameters::{Parameters, SlashingRate, Table};
use palisade_bitcoin::scripts::Leaf;
use palisade_types::SchnorrSignature;
use serde_json::Value;

use super::{array, bytes, list, number, text};

/// An x-only key, written with or without its parity byte.
pub(super) fn key(text: &str) -> Result<XOnlyPublicKey> {
    let x = text.len().checked_sub(64).and_then(|at| text.get(at..)).context("no key")?;
    Ok(XOnlyPublicKey::from_str(x)?)
}

pub(super) fn key_of(value: &Value, field: &str) -> Result<XOnlyPublicKey> {
    key(text(value, field)?).with_context(|| field.to_owned())
}

pub(super) fn keys_of(value: &Value, field: &str) -> Result<Vec<XOnlyPublicKey>> {
    list(value, field)?.iter().map(|entry| key(entry.as_str().context("no text")?)).collect()
}

pub(super) fn transaction(value: &Value, field: &str) -> Result<Transaction> {
    deserialize(&bytes(value, field)?).with_context(|| field.to_owned())
}

pub(super) fn script(value: &Value, field: &str) -> Result<ScriptBuf> {
    Ok(ScriptBuf::from_bytes(bytes(value, field)?))
}

pub(super) fn sats(value: &Value, field: &str) -> Result<Amount> {
    Ok(Amount::from_sat(number(value, field)?))
}

pub(super) fn short(value: &Value, field: &str) -> Result<u16> {
    Ok(u16::try_from(number(value, field)?)?)
}

pub(super) fn signature(value: &Value, field: &str) -> Result<SchnorrSignature> {
    Ok(SchnorrSignature::new(array(value, field)?))
}

/// The one version of parameters that a file holds in its field `params`.
pub(super) fn parameters(params: &Value) -> Result<Parameters> {
    let mut params = params.clone();
    params.as_object_mut().context("no object")?.remove("version");
    let file = serde_json::json!({ "versions": [params] });
    Ok(Table::read("file", &serde_json::to_vec(&file)?)?.versions()[0].clone())
}

/// Parameters that nobody published: those under which a delegation of random test data was made.
pub(super) fn parameters_of(case: &Value) -> Result<Parameters> {
    let (slashing, unbonding) = (transaction(case, "slashing_tx")?, transaction(case, "unbonding_tx")?);
    let value = sats(case, "staking_value")?;
    let taken = slashing.output[0].value.to_sat();
    let rate = u16::try_from(taken * 10_000 / value.to_sat())?;
    let mut covenant = keys_of(case, "covenant_pks")?;
    covenant.sort_unstable_by_key(XOnlyPublicKey::serialize);
    let parameters = Parameters {
        version: 0,
        activation: 0,
        covenant,
        quorum: short(case, "covenant_quorum")?,
        min_stake: value,
        max_stake: value,
        min_time: 1,
        max_time: u16::MAX,
        sink: script(case, "slashing_pk_script")?,
        min_slashing_fee: sats(case, "min_slashing_tx_fee_sat")?,
        rate: SlashingRate::new(rate).context("no rate")?,
        unbonding_time: short(case, "unbonding_time")?,
        unbonding_fee: value.checked_sub(unbonding.output[0].value).context("no fee")?,
        max_providers: u32::try_from(list(case, "fp_btc_pk_list")?.len())?,
        allow_list_until: 0,
    };
    parameters.check()?;
    Ok(parameters)
}

/// A leaf is the script and the control block that the file names.
pub(super) fn same_leaf(leaf: &Leaf, value: &Value, script: &str, control_block: &str) -> Result<()> {
    ensure!(leaf.script.as_bytes() == bytes(value, script)?, "another {script}");
    ensure!(leaf.control_block.serialize() == bytes(value, control_block)?, "another {control_block}");
    Ok(())
}

/// Two things are one.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T, what: &str) -> Result<()> {
    if found == expected { Ok(()) } else { Err(anyhow!("{what}: {found:?} instead of {expected:?}")) }
}
