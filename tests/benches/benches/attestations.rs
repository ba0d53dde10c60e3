//! Attestations of one slot, which all sign one message: checked together by our batch, against blst's own generic batch (the random
//! combination over pairings that its callers use for any messages); and what bad signatures among them cost.
//!
//! Both start from points that were decoded, and both check the subgroup of every signature: we when a signature is parsed, so that the
//! check is timed here beside the batch. Decoding is the same code on both sides and left out.

use anyhow::{Context as _, Result, ensure};
use blst::BLST_ERROR;
use blst::min_sig as core;
use palisade_crypto::bls::{PublicKey, SIGNATURE_DST, SecretKey, Signature, verify_same_message};
use palisade_crypto::hash::sha256;
use palisade_race::{Effort, Race, Run, bench, timed};

const MESSAGE: [u8; 32] = [7; 32];

fn main() -> Result<()> {
    bench("attestations", |effort| {
        let (counts, rounds): (&[usize], _) = match effort {
            Effort::Whole => (&[4, 64, 256, 1_000], 9),
            Effort::Short => (&[8], 2),
        };
        for count in counts {
            same_message(*count, rounds)?;
        }
        let count = *counts.last().context("no count")?;
        bad_ones(count, rounds)
    })
}

fn secret(index: usize) -> SecretKey {
    SecretKey::from_seed(&sha256(&index.to_be_bytes()))
}

/// Signatures of so many signers, of whom those at `liars` sign something else.
fn signed(count: usize, liars: &[usize]) -> Vec<(PublicKey, Signature)> {
    let one = |index| {
        let secret = secret(index);
        let message: &[u8] = if liars.contains(&index) { b"something else" } else { &MESSAGE };
        (secret.public(), secret.sign(message))
    };
    (0..count).map(one).collect()
}

/// Fresh for each run, as the weights must be.
fn seed(run: usize) -> [u8; 32] {
    sha256(&[&b"weights"[..], &run.to_be_bytes()].concat())
}

fn bytes(signatures: &[(PublicKey, Signature)]) -> Vec<[u8; 48]> {
    signatures.iter().map(|(_, signature)| signature.to_bytes()).collect()
}

/// What was found, as one hash: the verdict on every single place.
fn verdicts(count: usize, bad: &[usize]) -> String {
    let said: Vec<u8> = (0..count).map(|index| u8::from(!bad.contains(&index))).collect();
    hex::encode(sha256(&said))
}

/// The subgroup check that parsing makes of every signature, on points that are decoded.
fn in_subgroup(points: &[core::Signature]) -> Result<()> {
    for point in points {
        point.validate(true).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    }
    Ok(())
}

fn points(signatures: &[(PublicKey, Signature)]) -> Result<Vec<core::Signature>> {
    let read = |bytes: [u8; 48]| core::Signature::uncompress(&bytes).map_err(|error| anyhow::anyhow!("{error:?}"));
    bytes(signatures).into_iter().map(read).collect()
}

fn same_message(count: usize, rounds: usize) -> Result<()> {
    let pairs = signed(count, &[]);
    let signatures = points(&pairs)?;
    let keys: Vec<core::PublicKey> = pairs
        .iter()
        .map(|(key, _)| core::PublicKey::uncompress(&key.to_bytes()).map_err(|error| anyhow::anyhow!("{error:?}")))
        .collect::<Result<_>>()?;
    let mut run = 0;
    let ours = || {
        run += 1;
        let (took, outcome) = timed(|| {
            in_subgroup(&signatures)?;
            anyhow::Ok(verify_same_message(&MESSAGE, &pairs, &seed(run)).err().unwrap_or_default())
        });
        Ok(Run::of(took).found("verdicts", verdicts(count, &outcome?)))
    };
    let generic = || {
        let (key_list, signature_list): (Vec<_>, Vec<_>) = (keys.iter().collect(), signatures.iter().collect());
        let messages = vec![&MESSAGE[..]; count];
        let weights: Vec<blst::blst_scalar> = (0..count).map(|index| weight(index + 1)).collect();
        let (took, outcome) = timed(|| {
            core::Signature::verify_multiple_aggregate_signatures(
                &messages,
                SIGNATURE_DST,
                &key_list,
                false,
                &signature_list,
                true,
                &weights,
                64,
            )
        });
        ensure!(outcome == BLST_ERROR::BLST_SUCCESS, "blst refuses good signatures");
        Ok(Run::of(took).found("verdicts", verdicts(count, &[])))
    };
    let singly = || {
        let check = |(key, signature): &(PublicKey, Signature)| key.verify(&MESSAGE, signature).is_err();
        let (took, bad) = timed(|| {
            in_subgroup(&signatures)?;
            let bad = pairs.iter().enumerate().filter(|(_, pair)| check(pair)).map(|(index, _)| index);
            anyhow::Ok(bad.collect::<Vec<_>>())
        });
        Ok(Run::of(took).found("verdicts", verdicts(count, &bad?)))
    };
    Race::new(format!("{count} attestations of one slot"), (count as u64, "attestation"), ours)
        .against("blst's batch", generic)
        .against("one by one", singly)
        .run(rounds)
}

/// A weight of 64 bits that is not zero.
fn weight(index: usize) -> blst::blst_scalar {
    let mut scalar = blst::blst_scalar::default();
    scalar.b[..8].copy_from_slice(&sha256(&index.to_be_bytes())[..8]);
    scalar.b[0] |= 1;
    scalar
}

/// One in a hundred is bad, spread by a hash; every one of them is named.
fn bad_ones(count: usize, rounds: usize) -> Result<()> {
    let liars = count.div_ceil(100);
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by_key(|index| sha256(&[&b"liar"[..], &index.to_be_bytes()].concat()));
    let mut liars = places[..liars].to_vec();
    liars.sort_unstable();
    let (clean, dirty) = (signed(count, &[]), signed(count, &liars));
    let (clean_points, dirty_points) = (points(&clean)?, points(&dirty)?);
    let mut run = 0;
    let with_bad = || {
        run += 1;
        let (took, found) = timed(|| {
            in_subgroup(&dirty_points)?;
            anyhow::Ok(verify_same_message(&MESSAGE, &dirty, &seed(run)).err().unwrap_or_default())
        });
        let found = found?;
        ensure!(found == liars, "named {found:?}, bad are {liars:?}");
        Ok(Run::of(took).found("bad", found.len()))
    };
    let without = || {
        let (took, found) = timed(|| {
            in_subgroup(&clean_points)?;
            anyhow::Ok(verify_same_message(&MESSAGE, &clean, &seed(0)))
        });
        ensure!(found?.is_ok(), "a good signature was named");
        Ok(Run::of(took))
    };
    let title = format!("{count} attestations, {} of them bad, against none bad", liars.len());
    Race::new(title, (count as u64, "attestation"), without).against("with bad ones", with_bad).run(rounds)
}
