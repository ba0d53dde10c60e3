//! Bundles that prove a row of the ledger to a reader without one, and lies made of them.

use super::{File, Outcome, Tally, has};
use anyhow::{Context, Result, ensure};
use palisade_types::proof::{BadProof, Clock, ProofBundle};
use palisade_types::{Canonical, Hash};
use serde_json::Value;

/// Recognises the file that `consensus/ledger/tests/proofs.rs` writes.
pub(super) fn bundles(file: &File) -> Option<Outcome> {
    let File::Json(value) = file else { return None };
    has(value, &["bundles", "cases"]).then(|| Outcome::of(cases(value)))
}

fn cases(value: &Value) -> Result<Tally> {
    let cases = value["cases"].as_array().context("no cases")?;
    for case in cases {
        let title = case["title"].as_str().context("a case without a title")?;
        let found = answer(value, case).with_context(|| title.to_owned())?;
        ensure!(case["answer"] == found, "{title}: {found}");
    }
    Ok(Tally { checked: cases.len(), left_out: 0 })
}

fn answer(value: &Value, case: &Value) -> Result<&'static str> {
    let mut bytes = bytes(&value["bundles"][case["bundle"].as_str().context("no bundle")?])?;
    let edit = &case["edit"];
    let number = |name: &str| edit[name].as_u64().and_then(|number| usize::try_from(number).ok()).context("no edit");
    let (from, to) = (number("at")?, number("at")? + number("remove")?);
    ensure!(to <= bytes.len(), "the edit lies outside");
    bytes.splice(from..to, self::bytes(&edit["insert"])?);
    let committee: Hash = case["committee"].as_str().context("no committee")?.parse()?;
    let now = match (case["now"]["ethereum"].as_u64(), case["now"]["bitcoin"].as_u64()) {
        (Some(block), _) => Clock::Ethereum(block),
        (None, height) => Clock::Bitcoin(height.context("no clock")?),
    };
    let Ok(bundle) = ProofBundle::from_bytes(&bytes) else { return Ok("malformed") };
    Ok(bundle.verify(&committee, now).map_or_else(name, |()| "ok"))
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    Ok(hex::decode(value.as_str().context("no hex")?.trim_start_matches("0x"))?)
}

const fn name(bad: BadProof) -> &'static str {
    match bad {
        BadProof::OtherCommittee => "other_committee",
        BadProof::TrustExpired { .. } => "trust_expired",
        BadProof::Certificate(_) => "certificate",
        BadProof::WrongHeader => "wrong_header",
        BadProof::WrongRoot => "wrong_root",
        BadProof::WrongClaim => "wrong_claim",
    }
}
