//! Whole delegations: parameters, transactions, and everything signed over them.

use anyhow::{Context, Result, bail, ensure};
use bitcoin::{Network, XOnlyPublicKey};
use palisade_bitcoin::babylon::context::{Context as Bound, Purpose, module_address};
use palisade_bitcoin::babylon::delegation::{Checked, CovenantPart, Delegation, DelegationError};
use palisade_bitcoin::babylon::parameters::Parameters;
use palisade_bitcoin::babylon::possession::Possession;
use palisade_crypto::adaptor::AdaptorSignature;
use palisade_crypto::eots;
use serde_json::Value;

use super::parsed::{
    key_of, keys_of, parameters, parameters_of, same, same_leaf, sats, script, short, signature, transaction,
};
use super::{File, Outcome, Tally, array, bytes, has, list, number, text};

/// Test data of Babylon: every signature, and what the provider's secret makes of the covenant's.
pub(super) fn made(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(&value["vectors"][0], &["covenant_slashing", "covenant_unbonding", "computed"]))?;
    Some(Outcome::of((|| {
        let mut tally = Tally::default();
        for case in list(file, "vectors")? {
            tally.checked += check_made(case).with_context(|| case["name"].to_string())?;
        }
        Ok(tally)
    })()))
}

fn check_made(case: &Value) -> Result<usize> {
    let parameters = parameters_of(case)?;
    // what is not in the file is what check_transactions does not look at
    let delegation = read(case, Possession::Bip340([0; 64]), String::new())?;
    let checked = delegation.check_transactions(&parameters)?;
    let computed = &case["computed"];
    let [slashing, unbonding, unbonding_slashing] = checked.sighashes();
    same(*slashing, array(computed, "sighash_slashing")?, "sighash")?;
    same(*unbonding, array(computed, "sighash_unbonding")?, "sighash")?;
    same(*unbonding_slashing, array(computed, "sighash_unbonding_slashing")?, "sighash")?;
    scripts(&checked, computed)?;
    same(u64::from(checked.stake().outpoint.vout), number(case, "staking_output_index")?, "the output")?;
    let staker = eots::PublicKey::from_bytes(&delegation.staker.serialize())?;
    staker.verify_schnorr(unbonding, &array(case, "staker_sig_unbonding")?).context("staker_sig_unbonding")?;
    let parts = covenant(case)?;
    checked.check_covenant(&parts)?;
    refuses(&delegation, &checked, &parts, &parameters)?;
    let decrypted = decrypts(case, &delegation, &parts)?;
    Ok(4 + 3 * parts.len() + decrypted)
}

fn scripts(checked: &Checked, computed: &Value) -> Result<()> {
    let (staking, unbonding) = (checked.terms().staking_output(), checked.terms().unbonding_output());
    same_leaf(&staking.slashing, computed, "staking_slashing_script", "control_block_staking_slashing")?;
    same_leaf(&staking.unbonding, computed, "staking_unbonding_script", "control_block_staking_unbonding")?;
    same_leaf(&staking.timelock, computed, "staking_timelock_script", "control_block_staking_timelock")?;
    same_leaf(&unbonding.slashing, computed, "unbonding_slashing_script", "control_block_unbonding_slashing")?;
    same(staking.script_pubkey, script(computed, "staking_output_pk_script")?, "the staking output")?;
    same(unbonding.script_pubkey, script(computed, "unbonding_output_pk_script")?, "the unbonding output")?;
    same(checked.terms().change_output().script_pubkey, script(computed, "slashing_change_pk_script")?, "the change")
}

/// One thing changed makes another delegation, or none.
fn refuses(delegation: &Delegation, checked: &Checked, parts: &[CovenantPart], parameters: &Parameters) -> Result<()> {
    let mut swapped = parts.to_vec();
    swapped[0].slashing.clone_from(&parts[0].unbonding_slashing);
    let member = parts[0].member;
    let wrong = DelegationError::Covenant { member, transaction: "slashing" };
    same(checked.check_covenant(&swapped), Err(wrong), "a signature of another transaction")?;
    let twice = [parts[0].clone(), parts[0].clone()];
    same(checked.check_covenant(&twice), Err(DelegationError::Repeated(member)), "one member twice")?;
    let few = &parts[..usize::from(parameters.quorum) - 1];
    let expected = DelegationError::NoQuorum { signed: few.len(), quorum: parameters.quorum };
    same(checked.check_covenant(few), Err(expected), "too few members")?;
    let mut cheap = parameters.clone();
    cheap.unbonding_fee -= bitcoin::Amount::ONE_SAT;
    ensure!(delegation.check_transactions(&cheap).is_err(), "passes under another unbonding fee");
    let mut turned = delegation.clone();
    std::mem::swap(&mut turned.slashing_signature, &mut turned.unbonding_slashing_signature);
    let crossed = turned.check_transactions(parameters).map(drop);
    same(crossed, Err(DelegationError::Staker("slashing")), "crossed signatures")
}

/// The completed signatures, and the key that each gives away.
fn decrypts(case: &Value, delegation: &Delegation, parts: &[CovenantPart]) -> Result<usize> {
    let mut checked = 0;
    for (field, of) in [
        ("covenant_slashing", (|part: &CovenantPart| &part.slashing) as fn(&CovenantPart) -> &Vec<AdaptorSignature>),
        ("covenant_unbonding_slashing", |part: &CovenantPart| &part.unbonding_slashing),
    ] {
        for (signed, part) in list(case, field)?.iter().zip(parts) {
            for ((written, adaptor), provider) in
                list(signed, "adaptor_sigs")?.iter().zip(of(part)).zip(&delegation.providers)
            {
                let secret = &case["fp_secret_keys"][provider.to_string()];
                if !has(written, &["decrypted_bip340_sig"]) || !has(secret, &["sk"]) {
                    continue;
                }
                let secret = eots::SecretKey::from_bytes(&array(secret, "sk")?)?;
                let whole = adaptor.decrypt(&secret)?;
                same(whole, array(written, "decrypted_bip340_sig")?, "the completed signature")?;
                ensure!(adaptor.recover(&whole)?.public() == secret.public(), "another key is recovered");
                if has(written, &["adaptor_sig_65"]) {
                    same(adaptor.to_bytes(), array(written, "adaptor_sig_65")?, "the present form")?;
                }
                checked += 1;
            }
        }
    }
    Ok(checked)
}

fn read(case: &Value, possession: Possession, owner: String) -> Result<Delegation> {
    Ok(Delegation {
        owner,
        possession,
        staker: key_of(case, "staker_btc_pk")?,
        providers: keys_of(case, "fp_btc_pk_list")?,
        staking_time: short(case, "staking_time")?,
        staking_value: sats(case, "staking_value")?,
        staking: transaction(case, "staking_tx")?,
        slashing: transaction(case, "slashing_tx")?,
        slashing_signature: signature(case, "staker_sig_slashing")?,
        unbonding: transaction(case, "unbonding_tx")?,
        unbonding_slashing: transaction(case, "unbonding_slashing_tx")?,
        unbonding_slashing_signature: signature(case, "staker_sig_unbonding_slashing")?,
    })
}

fn covenant(case: &Value) -> Result<Vec<CovenantPart>> {
    let adaptors = |field: &str, member: XOnlyPublicKey| -> Result<Vec<AdaptorSignature>> {
        let of = list(case, field)?.iter().find(|signed| key_of(signed, "cov_pk").ok() == Some(member));
        let of = of.context("a member without adaptor signatures")?;
        list(of, "adaptor_sigs")?
            .iter()
            .map(|one| Ok(AdaptorSignature::from_bytes(&bytes(one, "adaptor_sig")?)?))
            .collect()
    };
    list(case, "covenant_slashing")?
        .iter()
        .map(|signed| {
            let member = key_of(signed, "cov_pk")?;
            let plain =
                list(case, "covenant_unbonding")?.iter().find(|signed| key_of(signed, "cov_pk").ok() == Some(member));
            Ok(CovenantPart {
                member,
                slashing: adaptors("covenant_slashing", member)?,
                unbonding: signature(plain.context("a member without a signature")?, "sig")?,
                unbonding_slashing: adaptors("covenant_unbonding_slashing", member)?,
            })
        })
        .collect()
}

/// Real registrations, with the proof of possession and under published parameters.
pub(super) fn registered(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["params"]))?;
    let one = &file["delegation"];
    let several = file["vectors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let cases: Vec<&Value> = if one.is_null() { several.iter().collect() } else { vec![one] };
    if cases.is_empty() || !cases.iter().all(|case| has(case, &["pop", "staker_addr", "slashing_tx"])) {
        return None;
    }
    Some(Outcome::of((|| {
        let parameters = parameters(&file["params"])?;
        let mut tally = Tally::default();
        for case in cases {
            tally.checked += check_registered(case, &parameters)?;
        }
        Ok(tally)
    })()))
}

fn check_registered(case: &Value, parameters: &Parameters) -> Result<usize> {
    let pop = &case["pop"];
    ensure!(pop["btc_sig_type"] == "BIP322", "another type of proof");
    let owner = text(case, "staker_addr")?.to_owned();
    let possession = match pop["proto"].as_str() {
        Some(_) => Possession::read(1, &bytes(pop, "proto")?)?,
        None => Possession::Bip322 { address: text(pop, "address")?.to_owned(), witness: bytes(pop, "sig")? },
    };
    let context = context(pop)?;
    same(format!("{}{owner}", context.as_str()), text(pop, "message")?.to_owned(), "the message")?;
    let delegation = read(case, possession, owner)?;
    let checked = delegation.check(parameters, &context, Network::Signet)?;
    let other = if context.as_bytes().is_empty() { staker_context() } else { Bound::none_to_verify_existing_data() };
    ensure!(delegation.check(parameters, &other, Network::Signet).is_err(), "passes in another context");
    ensure!(delegation.check(parameters, &context, Network::Bitcoin).is_err(), "passes on another network");
    let mut count = 3;
    for signed in case["covenant_unbonding"].as_array().into_iter().flatten() {
        let member = eots::PublicKey::from_bytes(&array(signed, "cov_pk")?)?;
        member.verify_schnorr(checked.sighashes()[1], &array(signed, "sig")?).context("covenant_unbonding")?;
        count += 1;
    }
    Ok(count)
}

/// The context that the message starts with: none, or that of stakers on the devnet whose data this is.
fn context(pop: &Value) -> Result<Bound> {
    match pop["signing_context_ascii"].as_str() {
        None => Ok(Bound::none_to_verify_existing_data()),
        Some(text) if text == staker_context().as_str() => Ok(staker_context()),
        Some(text) => bail!("{text} is no context we can make"),
    }
}

fn staker_context() -> Bound {
    Bound::new(Purpose::StakerPossession, "bsn-devnet-1", &module_address("btcstaking"))
}
