//! Babylon's versioned parameters, those of its first phase, and who its covenant is.

use anyhow::{Context, Result, ensure};
use palisade_bitcoin::babylon::parameters::Table;
use palisade_bitcoin::babylon::phase1;
use serde_json::Value;

use super::parsed::{key, same};
use super::{File, Outcome, Tally, has};

/// Tables of versions; one of a network that is checked in must say the same as ours.
pub(super) fn tables(file: &File) -> Option<Outcome> {
    let versions = &file.json()?["versions"];
    let first = versions.as_array().and_then(|list| list.first()).or_else(|| versions.get("0"))?;
    if !has(first, &["covenant_pks", "slashing_rate", "btc_activation_height"]) {
        return None;
    }
    Some(Outcome::of(check(file.json()?)))
}

fn check(file: &Value) -> Result<Tally> {
    let table = Table::read("file", &serde_json::to_vec(file)?)?;
    let ours = [Table::bbn_1(), Table::bbn_test_5()];
    let first = &table.versions()[0];
    let known = ours.iter().find(|ours| ours.versions()[0].activation == first.activation).context("of no network")?;
    same(table.versions(), known.versions(), known.network())?;
    for (at, version) in table.versions().iter().enumerate() {
        ensure!(table.at(version.activation) == Ok(version), "version {at} is not in force at its height");
        let before = table.at(version.activation - 1).map(|version| version.version);
        ensure!(before.ok() == version.version.checked_sub(1), "version {at} is in force too early");
    }
    Ok(Tally { checked: table.versions().len(), left_out: 0 })
}

/// The parameters of the first phase.
pub(super) fn first_phase(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(&value["versions"][0], &["activation_height", "tag", "covenant_pks"]))?;
    Some(Outcome::of(check_first_phase(file)))
}

fn check_first_phase(file: &Value) -> Result<Tally> {
    let versions = phase1::read(&serde_json::to_vec(file)?)?;
    same(&versions, &phase1::bbn_1(), "bbn-1")?;
    for version in &versions {
        let later = Table::bbn_1().at(version.activation).cloned()?;
        same((&version.covenant, version.quorum), (&later.covenant, later.quorum), "the covenant")?;
        same(version.unbonding_fee, later.unbonding_fee, "the unbonding fee")?;
    }
    Ok(Tally { checked: versions.len(), left_out: 0 })
}

/// Who the covenant's members are: keys with names.
pub(super) fn committee(file: &File) -> Option<Outcome> {
    let members = file.json()?.as_object()?;
    let is_key = |text: &str| text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if members.is_empty() || !members.iter().all(|(key, name)| is_key(key) && name.is_string()) {
        return None;
    }
    Some(Outcome::of((|| {
        let mut keys = members.keys().map(|text| key(text)).collect::<Result<Vec<_>>>()?;
        keys.sort_unstable_by_key(bitcoin::XOnlyPublicKey::serialize);
        for version in Table::bbn_1().versions() {
            same(&keys, &version.covenant, "the covenant of bbn-1")?;
        }
        Ok(Tally { checked: keys.len(), left_out: 0 })
    })()))
}
