//! Wycheproof: Ed25519 through our strict verifier, ECDSA through the library `bitcoin` verifies with.

use anyhow::{Context, Result, bail, ensure};
use bitcoin::secp256k1::{self, SECP256K1, ecdsa};
use palisade_crypto::{ed25519, sha256};
use serde_json::Value;

use super::{File, Outcome, Tally, array, bytes, has, list, text};

/// Ed25519 verification.
pub(super) fn ed25519(file: &File) -> Option<Outcome> {
    groups(file, "EDDSA", |group, test| {
        let key = ed25519::PublicKey::from_bytes(&array(&group["publicKey"], "pk")?);
        let signature = bytes(test, "sig")?;
        let message = bytes(test, "msg")?;
        Ok(match (key, signature.try_into()) {
            (Ok(key), Ok(signature)) => key.verify(&message, &ed25519::Signature(signature)).is_ok(),
            _ => false,
        })
    })
}

/// ECDSA over secp256k1 as Bitcoin takes it: strict DER and low s.
pub(super) fn ecdsa(file: &File) -> Option<Outcome> {
    groups(file, "ECDSA", |group, test| {
        ensure!(group["sha"] == "SHA-256", "another hash");
        let key = secp256k1::PublicKey::from_slice(&bytes(&group["publicKey"], "uncompressed")?)?;
        let message = secp256k1::Message::from_digest(sha256(&bytes(test, "msg")?));
        let signature = bytes(test, "sig")?;
        let signature = match group["type"].as_str() {
            Some("EcdsaP1363Verify") => ecdsa::Signature::from_compact(&signature),
            _ => ecdsa::Signature::from_der(&signature),
        };
        Ok(signature.is_ok_and(|signature| SECP256K1.verify_ecdsa(&message, &signature, &key).is_ok()))
    })
}

/// Runs every test of every group and compares it with the result it names.
fn groups(file: &File, algorithm: &str, holds: fn(&Value, &Value) -> Result<bool>) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["algorithm", "testGroups"]))?;
    if file["algorithm"] != algorithm {
        return None;
    }
    Some(Outcome::of(list(file, "testGroups").and_then(|groups| {
        let mut tally = Tally::default();
        for group in groups {
            for test in list(group, "tests")? {
                check(group, test, holds).with_context(|| format!("test {}", test["tcId"]))?;
                tally.checked += 1;
            }
        }
        Ok(tally)
    })))
}

fn check(group: &Value, test: &Value, holds: fn(&Value, &Value) -> Result<bool>) -> Result<()> {
    let held = holds(group, test)?;
    match (text(test, "result")?, held) {
        ("valid", true) | ("invalid", false) | ("acceptable", _) => Ok(()),
        (expected, _) => bail!("verified {held}, said to be {expected}: {}", test["comment"]),
    }
}
