//! BLS12-381: RFC 9380's hash to G1, Ethereum's suite, and the signature with a small-order part.
//!
//! Ethereum's scheme is the other way round (keys in G1), so its signing and verifying cases run on blst
//! itself; its encodings of points run through our parsers, whose groups they are.

use anyhow::{Context, Result, bail, ensure};
use blst::min_pk as core;
use blst::{BLST_ERROR, blst_p2_affine};
use palisade_crypto::bls::{self, BlsError, PublicKey, Signature, verify_aggregate, verify_same_message};
use serde_json::Value;

use super::{File, Outcome, Tally, array, bytes, has, list, sized, tally_list, text, unhex};

/// RFC 9380: our hash to G1 under the suite's own tag.
pub(super) fn hash_to_curve(file: &File) -> Option<Outcome> {
    let suite = file.json().filter(|value| has(value, &["ciphersuite", "dst", "vectors"]))?;
    if suite["ciphersuite"] != "BLS12381G1_XMD:SHA-256_SSWU_RO_" {
        return Some(Outcome::Skipped("our scheme hashes to G1 only, as a random oracle"));
    }
    Some(Outcome::of(tally_list(&suite["vectors"], |case| {
        let point = bls::hash_to_curve(text(case, "msg")?.as_bytes(), text(suite, "dst")?.as_bytes());
        let expected = [bytes(&case["P"], "x")?, bytes(&case["P"], "y")?].concat();
        ensure!(point[..] == expected[..], "another point");
        Ok(())
    })))
}

/// A signature that the pairing accepts and the subgroup check refuses.
pub(super) fn torsion(file: &File) -> Option<Outcome> {
    let case = file.json().filter(|value| has(&value["expected"], &["verify_with_subgroup_check"]))?;
    Some(Outcome::of(check_torsion(case).map(|()| Tally::one())))
}

fn check_torsion(case: &Value) -> Result<()> {
    let (message, signature) = (bytes(case, "message")?, array(case, "signature")?);
    let key = PublicKey::from_bytes(&array(case, "pubkey")?)?;
    match Signature::from_bytes(&signature) {
        // No such value exists, so neither a single check nor a batch can meet it.
        Err(BlsError::Subgroup) => Ok(()),
        Err(other) => bail!("refused because {other}"),
        Ok(signature) => {
            let single = key.verify(&message, &signature).is_ok();
            let batch = verify_same_message(&message, &[(key, signature); 2], &[1; 32]).is_ok();
            let sum = verify_aggregate(&[key], &message, &signature).is_ok();
            bail!("parsed; alone {single}, in a batch {batch}, as a sum {sum}")
        }
    }
}

/// Ethereum's suite: one case a file, told apart by what it takes.
pub(super) fn ethereum(file: &File) -> Option<Outcome> {
    let case = file.json().filter(|value| has(value, &["input", "output"]))?;
    let (input, output) = (&case["input"], &case["output"]);
    let operation: fn(&Value, &Value) -> Result<()> = match input {
        Value::Array(_) => aggregate,
        input if has(input, &["privkey", "message"]) => sign,
        input if has(input, &["pubkeys", "messages", "signatures"]) => batch_verify,
        input if has(input, &["pubkeys", "messages", "signature"]) => aggregate_verify,
        input if has(input, &["pubkeys", "message", "signature"]) => fast_aggregate_verify,
        input if has(input, &["pubkey", "message", "signature"]) => verify,
        input if has(input, &["pubkey"]) => parse_signature,
        input if has(input, &["signature"]) => parse_key,
        input if has(input, &["msg"]) => hash_to_g2,
        _ => return None,
    };
    Some(Outcome::of(operation(input, output).map(|()| Tally::one())))
}

fn sign(input: &Value, output: &Value) -> Result<()> {
    let signed = core::SecretKey::from_bytes(&bytes(input, "privkey")?)
        .ok()
        .map(|key| key.sign(&bytes(input, "message").unwrap_or_default(), MIN_PK_DST, &[]));
    same_point(signed.map(|signature| signature.to_bytes()), output)
}

fn aggregate(input: &Value, output: &Value) -> Result<()> {
    let signatures = input
        .as_array()
        .context("no list")?
        .iter()
        .map(|signature| parse_g2(signature.as_str().context("no text")?))
        .collect::<Result<Option<Vec<_>>>>()?;
    let sum = signatures
        .and_then(|signatures| core::AggregateSignature::aggregate(&signatures.iter().collect::<Vec<_>>(), true).ok());
    same_point(sum.map(|sum| sum.to_signature().to_bytes()), output)
}

fn verify(input: &Value, output: &Value) -> Result<()> {
    let held = holds(text(input, "pubkey")?, text(input, "message")?, text(input, "signature")?)?;
    same_verdict(held, output)
}

fn batch_verify(input: &Value, output: &Value) -> Result<()> {
    let (keys, messages, signatures) = (list(input, "pubkeys")?, list(input, "messages")?, list(input, "signatures")?);
    ensure!(keys.len() == messages.len() && keys.len() == signatures.len(), "lists differ in length");
    let mut all = true;
    for ((key, message), signature) in keys.iter().zip(messages).zip(signatures) {
        let part = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        all &= holds(&part(key)?, &part(message)?, &part(signature)?)?;
    }
    same_verdict(all, output)
}

fn aggregate_verify(input: &Value, output: &Value) -> Result<()> {
    let messages = list(input, "messages")?
        .iter()
        .map(|message| unhex(message.as_str().context("no text")?))
        .collect::<Result<Vec<_>>>()?;
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let held = match (parse_keys(input)?, parse_g2(text(input, "signature")?)?) {
        (Some(keys), Some(signature)) => {
            let keys: Vec<_> = keys.iter().collect();
            let outcome = signature.aggregate_verify(true, &messages, MIN_PK_DST, &keys, true);
            outcome == BLST_ERROR::BLST_SUCCESS
        }
        _ => false,
    };
    same_verdict(held, output)
}

fn fast_aggregate_verify(input: &Value, output: &Value) -> Result<()> {
    let message = bytes(input, "message")?;
    let held = match (parse_keys(input)?, parse_g2(text(input, "signature")?)?) {
        (Some(keys), Some(signature)) => {
            let keys: Vec<_> = keys.iter().collect();
            let outcome = signature.fast_aggregate_verify(true, &message, MIN_PK_DST, &keys);
            outcome == BLST_ERROR::BLST_SUCCESS
        }
        _ => false,
    };
    same_verdict(held, output)
}

/// An encoding of a point of G1, through our signature parser. The suite accepts the identity; we do not.
fn parse_signature(input: &Value, output: &Value) -> Result<()> {
    let encoded = bytes(input, "pubkey")?;
    let parsed = sized(&encoded).map(|encoded| Signature::from_bytes(&encoded));
    same_parse(parsed.map(|parsed| parsed.map(|point| point.to_bytes().to_vec())), &encoded, output)
}

/// An encoding of a point of G2, through our key parser.
fn parse_key(input: &Value, output: &Value) -> Result<()> {
    let encoded = bytes(input, "signature")?;
    let parsed = sized(&encoded).map(|encoded| PublicKey::from_bytes(&encoded));
    same_parse(parsed.map(|parsed| parsed.map(|point| point.to_bytes().to_vec())), &encoded, output)
}

/// A wrong length is a refusal by the parser's type.
fn same_parse(parsed: Result<Result<Vec<u8>, BlsError>>, encoded: &[u8], output: &Value) -> Result<()> {
    match (parsed, output.as_bool().context("no verdict")?) {
        (Ok(Ok(again)), true) => {
            ensure!(again == encoded, "another encoding of the same point");
            Ok(())
        }
        (Ok(Err(BlsError::Identity)), true) | (Ok(Err(_)) | Err(_), false) => Ok(()),
        (Ok(Ok(_)), false) => bail!("accepted"),
        (Ok(Err(error)), true) => bail!("refused: {error}"),
        (Err(error), true) => Err(error),
    }
}

/// Hashing to G2 is signing with the scalar one.
fn hash_to_g2(input: &Value, output: &Value) -> Result<()> {
    let mut one = [0; 32];
    one[31] = 1;
    let one = core::SecretKey::from_bytes(&one).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let point: blst_p2_affine = one.sign(text(input, "msg")?.as_bytes(), HASH_TO_G2_DST, &[]).into();
    let coordinates = core::Signature::from(point).serialize();
    let axis = |axis: &str| -> Result<Vec<u8>> {
        let parts: Vec<_> = text(output, axis)?.split(',').map(unhex).collect::<Result<_>>()?;
        ensure!(parts.len() == 2, "{axis} has {} parts", parts.len());
        Ok([parts[1].as_slice(), &parts[0]].concat())
    };
    ensure!(coordinates[..] == [axis("x")?, axis("y")?].concat()[..], "another point");
    Ok(())
}

fn holds(key: &str, message: &str, signature: &str) -> Result<bool> {
    let (key, signature) = (core::PublicKey::key_validate(&unhex(key)?), parse_g2(signature)?);
    Ok(match (key, signature) {
        (Ok(key), Some(signature)) => {
            let outcome = signature.verify(true, &unhex(message)?, MIN_PK_DST, &[], &key, true);
            outcome == BLST_ERROR::BLST_SUCCESS
        }
        _ => false,
    })
}

fn parse_g2(encoded: &str) -> Result<Option<core::Signature>> {
    Ok(core::Signature::sig_validate(&unhex(encoded)?, false).ok())
}

fn parse_keys(input: &Value) -> Result<Option<Vec<core::PublicKey>>> {
    list(input, "pubkeys")?
        .iter()
        .map(|key| Ok(core::PublicKey::key_validate(&unhex(key.as_str().context("no text")?)?).ok()))
        .collect()
}

fn same_point(found: Option<[u8; 96]>, output: &Value) -> Result<()> {
    let expected = output.as_str().map(unhex).transpose()?;
    ensure!(found.map(|point| point.to_vec()) == expected, "another result");
    Ok(())
}

fn same_verdict(found: bool, output: &Value) -> Result<()> {
    let expected = output.as_bool().context("no verdict")?;
    ensure!(found == expected, "{found} where {expected} is right");
    Ok(())
}

/// The tag of Ethereum's signatures.
const MIN_PK_DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
/// The tag of its `hash_to_G2` cases, which is RFC 9380's.
const HASH_TO_G2_DST: &[u8] = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_";
