//! Adaptor signatures: Babylon's tables and our own derived cases. Those of whole delegations are checked with the delegations.

use anyhow::{Result, bail, ensure};
use bitcoin::secp256k1;
use palisade_crypto::adaptor::{self, AdaptorSignature};
use palisade_crypto::eots::{PublicKey, SecretKey};
use serde_json::Value;

use super::{File, Outcome, Row, array, bytes, has, tally_list};

/// The three tables: verify, complete, recover. Rows whose encryption point is odd are left out: a key is
/// always its even point.
pub(super) fn tables(file: &File) -> Option<Outcome> {
    let table = file.table().filter(|table| table.has(&["pre-signature", "result"]))?;
    let check = match () {
        () if table.has(&["aux_rand", "adaptor", "public key"]) => verify_row,
        () if table.has(&["pubkey", "secadaptor", "BIP340 signature"]) => complete_row,
        () if table.has(&["secadaptor", "BIP340 signature"]) => recover_row,
        () => return None,
    };
    Some(Outcome::of(table.check(check)))
}

fn verify_row(row: &Row<'_>) -> Result<bool> {
    let encryption = row.bytes("adaptor")?;
    let [2, x @ ..] = encryption.as_slice() else {
        return Ok(false);
    };
    let message = row.array("message")?;
    let verify = || -> Result<()> {
        let signature = AdaptorSignature::from_bytes(&row.bytes("pre-signature")?)?;
        let signer = PublicKey::from_bytes(&row.array("public key")?)?;
        Ok(signature.verify(&signer, &message, &PublicKey::from_bytes(x.try_into()?)?)?)
    };
    same_verdict(verify(), row)?;
    if !row.text("secret key")?.is_empty() {
        // The nonce of these rows is derived otherwise, so ours is another signature; both must hold.
        let (secret, encryption) =
            (SecretKey::from_bytes(&row.array("secret key")?)?, PublicKey::from_bytes(x.try_into()?)?);
        ensure!(secret.public().to_bytes() == row.array("public key")?, "another key");
        let ours = adaptor::sign(&secret, &message, &encryption, &row.array("aux_rand")?);
        ours.verify(&secret.public(), &message, &encryption)?;
    }
    Ok(true)
}

fn complete_row(row: &Row<'_>) -> Result<bool> {
    let Some(secret) = even_secret(row)? else {
        return Ok(false);
    };
    let complete = || -> Result<()> {
        let signature = AdaptorSignature::from_bytes(&row.bytes("pre-signature")?)?;
        let whole = signature.decrypt(&secret)?;
        ensure!(whole == row.array("BIP340 signature")?, "another signature");
        let key = PublicKey::from_bytes(&row.array("pubkey")?)?;
        Ok(key.verify_schnorr(&row.array("message")?, &whole)?)
    };
    same_verdict(complete(), row)?;
    Ok(true)
}

fn recover_row(row: &Row<'_>) -> Result<bool> {
    let recover = || -> Result<()> {
        let signature = AdaptorSignature::from_bytes(&row.bytes("pre-signature")?)?;
        let secret = signature.recover(&row.array("BIP340 signature")?)?;
        ensure!(*secret.to_bytes() == row.array("secadaptor")?, "another secret");
        Ok(())
    };
    same_verdict(recover(), row)?;
    Ok(true)
}

fn same_verdict(found: Result<()>, row: &Row<'_>) -> Result<()> {
    match (found, row.verdict("result")?) {
        (Ok(()), true) | (Err(_), false) => Ok(()),
        (Err(error), true) => Err(error),
        (Ok(()), false) => bail!("accepted: {}", row.text("comment").unwrap_or_default()),
    }
}

/// The row's secret, when its point is even.
fn even_secret(row: &Row<'_>) -> Result<Option<SecretKey>> {
    let bytes = row.array("secadaptor")?;
    let parity = secp256k1::SecretKey::from_slice(&bytes)?.x_only_public_key(secp256k1::SECP256K1).1;
    let secret = SecretKey::from_bytes(&bytes)?;
    Ok(Some(secret).filter(|_| parity == secp256k1::Parity::Even))
}

/// Both parities of the provider's secret, both encodings, exact bytes.
pub(super) fn derived(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(&value["vectors"][0], &["signer_sk", "fp_sk", "adaptor_sig", "legacy_66", "bip340_sig"]))?;
    Some(Outcome::of(tally_list(&file["vectors"], check_derived)))
}

fn check_derived(case: &Value) -> Result<()> {
    let (signer, provider) =
        (SecretKey::from_bytes(&array(case, "signer_sk")?)?, SecretKey::from_bytes(&array(case, "fp_sk")?)?);
    let message = array(case, "msg")?;
    ensure!(signer.public().to_bytes() == array(case, "signer_pk")?, "another signer");
    ensure!(provider.public().to_bytes() == array(case, "fp_pk_xonly")?, "another provider");
    let signature = adaptor::sign(&signer, &message, &provider.public(), &array(case, "aux_rand")?);
    ensure!(signature.to_bytes() == array(case, "adaptor_sig")?, "another adaptor signature");
    ensure!(AdaptorSignature::from_bytes(&bytes(case, "legacy_66")?)? == signature, "another legacy form");
    signature.verify(&signer.public(), &message, &provider.public())?;
    let whole = signature.decrypt(&provider)?;
    ensure!(whole == array(case, "bip340_sig")?, "another complete signature");
    signer.public().verify_schnorr(&message, &whole)?;
    let recovered = signature.recover(&whole)?;
    ensure!(*recovered.to_bytes() == array(case, "decryption_key")?, "another secret");
    Ok(())
}
