//! BIP-340's table: sign with auxiliary randomness, and verify.

use anyhow::{Result, ensure};
use palisade_crypto::eots::{PublicKey, SecretKey};

use super::{File, Outcome, Row, sized};

/// The table, without the rows whose message is not 32 bytes: we sign hashes only.
pub(super) fn table(file: &File) -> Option<Outcome> {
    let table = file.table().filter(|table| table.has(&["public key", "signature", "verification result"]))?;
    Some(Outcome::of(table.check(check)))
}

fn check(row: &Row<'_>) -> Result<bool> {
    let (message, expected) = (row.bytes("message")?, row.verdict("verification result")?);
    let Ok(message) = sized(&message) else {
        return Ok(false);
    };
    let signature = row.array("signature")?;
    let key = row.array("public key").map(|bytes| PublicKey::from_bytes(&bytes))?;
    let held = key.is_ok_and(|key| key.verify_schnorr(&message, &signature).is_ok());
    ensure!(held == expected, "verified {held}");
    if !row.text("secret key")?.is_empty() {
        let secret = SecretKey::from_bytes(&row.array("secret key")?)?;
        ensure!(secret.public().to_bytes() == row.array("public key")?, "another public key");
        let signed = secret.sign_schnorr_with(&message, &row.array("aux_rand")?);
        ensure!(signed == signature, "another signature");
    }
    Ok(true)
}
