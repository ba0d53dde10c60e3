//! What each protocol's own arithmetic takes: the set `ledger` of the risk vectors.

use super::{File, Outcome, Tally};
use anyhow::{Context, Result, bail, ensure};
use palisade_bitcoin::vault::babylon_slash;
use palisade_ledger::protocols::{EigenSlash, SymbioticVault, beacon_penalty, eigen_scaling, eigen_withdrawable};
use palisade_types::Wad;
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// Recognises the set.
pub(super) fn check(file: &File) -> Option<Outcome> {
    let File::Json(value) = file else { return None };
    let is_set = value["schema"].as_str()?.starts_with("palisade-risk/") && value["set"] == "ledger";
    is_set.then(|| Outcome::of(cases(value)))
}

fn cases(value: &Value) -> Result<Tally> {
    let cases = value["cases"].as_array().context("no cases")?;
    for case in cases {
        let name = case["id"].as_str().unwrap_or("a case without a name");
        let found = answer(&case["ask"]).with_context(|| name.to_owned())?;
        ensure!(found == case["answer"], "{name}: {found} is not {}", case["answer"]);
    }
    Ok(Tally { checked: cases.len(), left_out: 0 })
}

fn answer(ask: &Value) -> Result<Value> {
    match ask["op"].as_str().context("no op")? {
        "eigen_slash" => eigen_slash(ask),
        "eigen_deposit" => eigen_deposit(ask),
        "symbiotic_slash" => symbiotic_slash(ask),
        "babylon_slash" => babylon(ask),
        "beacon_penalty" => beacon(ask),
        other => bail!("no such question: {other}"),
    }
}

/// A number in a string; zero where the field is not there.
fn field<T: FromStr + Default>(ask: &Value, name: &str) -> Result<T> {
    match ask.get(name) {
        None => Ok(T::default()),
        Some(value) => {
            let text = value.as_str().with_context(|| format!("{name} is no string"))?;
            text.parse().ok().with_context(|| format!("{name}: {text}"))
        }
    }
}

/// One after another, on sets that share one max magnitude.
fn eigen_slash(ask: &Value) -> Result<Value> {
    let (mut max, mut shares) = (field::<u64>(ask, "max_magnitude")?, field::<u128>(ask, "operator_shares")?);
    let mut allocations = ask["allocations"].as_object().context("no allocations")?.clone();
    let mut steps = Vec::new();
    for slash in ask["slashes"].as_array().context("no slashes")? {
        let set = allocations.get_mut(slash["set"].as_str().context("no set")?).context("an unknown set")?;
        let (current, pending) = (field::<u64>(set, "current")?, field::<u64>(set, "pending_dealloc")?);
        let slashed = EigenSlash::of(shares, max, current, pending, Wad::new(field(slash, "wad")?));
        let left = pending - slashed.pending;
        *set = json!({ "current": (current - slashed.magnitude).to_string(), "pending_dealloc": left.to_string() });
        steps.push(json!({
            "slashed_magnitude": slashed.magnitude.to_string(),
            "wad_slashed": slashed.wad.to_string(),
            "max_magnitude": slashed.max_magnitude.to_string(),
            "pending_dealloc": left.to_string(),
            "shares_slashed": (shares - slashed.shares_left).to_string(),
            "operator_shares": slashed.shares_left.to_string(),
        }));
        (max, shares) = (slashed.max_magnitude, slashed.shares_left);
    }
    let encumbered = allocations.values().map(|set| field::<u128>(set, "current")).sum::<Result<u128>>()?;
    let mut found = json!({ "steps": steps, "encumbered": encumbered.to_string() });
    if let Some(stakers) = ask["stakers"].as_object() {
        found["withdrawable"] = Value::Object(withdrawable(stakers, max)?);
    }
    Ok(found)
}

fn withdrawable(stakers: &Map<String, Value>, max: u64) -> Result<Map<String, Value>> {
    let whole =
        |staker: &Value, name| if staker.get(name).is_some() { field(staker, name) } else { Ok(Wad::ONE.get()) };
    let of = |(name, staker): (&String, &Value)| {
        let scaling = u128::from(whole(staker, "dsf")?);
        let left = eigen_withdrawable(field(staker, "deposit_shares")?, scaling, max, whole(staker, "bcsf")?);
        Ok((name.clone(), Value::from(left.to_string())))
    };
    stakers.iter().map(of).collect()
}

fn eigen_deposit(ask: &Value) -> Result<Value> {
    let (deposit, added) = (field::<u128>(ask, "prev_deposit_shares")?, field::<u128>(ask, "added")?);
    let factor: u64 = field(ask, "slashing_factor")?;
    let scaling = eigen_scaling(deposit, added, field(ask, "dsf")?, factor.into()).context("the core refuses it")?;
    Ok(json!({
        "dsf": scaling.to_string(),
        "deposit_shares": (deposit + added).to_string(),
        "withdrawable": eigen_withdrawable(deposit + added, scaling, factor, Wad::ONE.get()).to_string(),
    }))
}

fn symbiotic_slash(ask: &Value) -> Result<Value> {
    let mut vault = SymbioticVault {
        active: field(ask, "active")?,
        withdrawals: field(ask, "withdrawals_current")?,
        next: field(ask, "withdrawals_next")?,
    };
    let (now, then) = (field(ask, "cumulative_now")?, field(ask, "cumulative_at_capture")?);
    let slashable = SymbioticVault::slashable(field(ask, "stake_at_capture")?, now, then);
    let taken = vault.slash(field::<u128>(ask, "amount")?.min(slashable), ask["capture"] == "current");
    Ok(json!({
        "slashable_stake": slashable.to_string(),
        "slashed": taken.to_string(),
        "active": vault.active.to_string(),
        "withdrawals_current": vault.withdrawals.to_string(),
        "withdrawals_next": vault.next.to_string(),
    }))
}

fn babylon(ask: &Value) -> Result<Value> {
    let (staking, fee) = (field::<u64>(ask, "staking_sat")?, field::<u64>(ask, "fee_sat")?);
    let rate = ask["rate"].as_str().and_then(basis_points).context("a rate that is no part of ten thousand")?;
    let slashed = babylon_slash(bitcoin::Amount::from_sat(staking), rate).to_sat();
    let change = staking.checked_sub(slashed).and_then(|left| left.checked_sub(fee)).context("no change is left")?;
    let divisor = common_divisor(slashed, staking);
    Ok(json!({
        "slashed_sat": slashed.to_string(),
        "change_sat": change.to_string(),
        "fee_sat": fee.to_string(),
        "exact_share": format!("{}/{}", slashed / divisor, staking / divisor),
    }))
}

/// A decimal fraction as parts of ten thousand.
fn basis_points(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0.").filter(|digits| (1..=4).contains(&digits.len()))?;
    format!("{digits:0<4}").parse().ok()
}

const fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

fn beacon(ask: &Value) -> Result<Value> {
    let of = |name| field::<u64>(ask, name);
    let (initial, correlation) =
        beacon_penalty(of("effective_balance")?, of("total_active")?, of("slashed_in_window")?);
    Ok(json!({
        "initial": initial.to_string(),
        "correlation": correlation.to_string(),
        "total": (initial + correlation).to_string(),
    }))
}
