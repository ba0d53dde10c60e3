//! Signed messages: BIP-322 and Bitcoin's older ECDSA form.

use std::str::FromStr as _;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::Address;
use bitcoin::secp256k1::SECP256K1;
use bitcoin::sign_message::{MessageSignature, signed_msg_hash};
use palisade_bitcoin::babylon::possession::{message_hash, read_witness, to_sign, to_spend, verify_message};
use serde_json::Value;

use super::parsed::{key, same};
use super::{File, Outcome, Tally, bytes, has, list, tally, tally_list, text};

/// The hashes of messages and of the two transactions that carry them; one compact signature.
pub(super) fn hashing(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(&value["bip322"][0], &["message_hash", "to_spend_txid"]) && has(value, &["ecdsa"]))?;
    Some(Outcome::of((|| {
        let hashes = tally_list(&file["bip322"], |case| hashes(case, "to_spend_txid", "to_sign_txid"))?;
        let compact = tally_list(&file["ecdsa"], |case| {
            let signature = MessageSignature::from_slice(&bytes(case, "sig")?)?;
            let signer = signature.recover_pubkey(SECP256K1, signed_msg_hash(text(case, "message")?))?;
            same(signer.inner.x_only_public_key().0, key(text(case, "public_key")?)?, "the signer")
        })?;
        Ok(Tally { checked: hashes.checked + compact.checked, left_out: 0 })
    })()))
}

/// BIP-322's own vectors. Only a single key's address proves possession, so that P2WSH is left out.
pub(super) fn bip322(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["tx_hashes", "simple", "error"]))?;
    Some(Outcome::of((|| {
        let hashes = tally_list(&file["tx_hashes"], |case| hashes(case, "to_spend_tx_hash", "to_sign_tx_hash"))?;
        let simple = tally(list(file, "simple")?, |case| case["message"].to_string(), check_simple)?;
        let error = tally_list(&file["error"], |case| {
            let verified = verify(case, text(case, "signature")?);
            ensure!(verified.is_err(), "accepted: {}", case["description"]);
            Ok(())
        })?;
        let checked = hashes.checked + simple.checked + error.checked;
        Ok(Tally { checked, left_out: simple.left_out })
    })()))
}

fn hashes(case: &Value, spend: &str, sign: &str) -> Result<()> {
    let (address, message) = (address(case)?, text(case, "message")?.as_bytes());
    same(hex::encode(message_hash(message)), text(case, "message_hash")?.to_owned(), "the message's hash")?;
    same(to_spend(&address, message).compute_txid().to_string(), text(case, spend)?.to_owned(), spend)?;
    same(to_sign(&address, message).compute_txid().to_string(), text(case, sign)?.to_owned(), sign)
}

fn check_simple(case: &Value) -> Result<bool> {
    if address(case)?.script_pubkey().is_p2wsh() {
        return Ok(false);
    }
    for signature in list(case, "bip322_signatures")? {
        let signature = signature.as_str().context("no text")?;
        verify(case, signature)?;
        let mut other = case.clone();
        other["message"] = "another message".into();
        ensure!(verify(&other, signature).is_err(), "signs anything");
    }
    Ok(true)
}

fn address(case: &Value) -> Result<Address> {
    Ok(Address::from_str(text(case, "address")?)?.assume_checked())
}

/// `smp` in front of base64 says that the signature is a simple one; without a prefix it is one, too.
fn verify(case: &Value, signature: &str) -> Result<()> {
    let witness = read_witness(&STANDARD.decode(signature.strip_prefix("smp").unwrap_or(signature))?)?;
    Ok(verify_message(&address(case)?, &witness, text(case, "message")?.as_bytes())?)
}
