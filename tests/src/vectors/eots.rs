//! EOTS: our own derived cases, Babylon's pair, and votes with their commitments.

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, Mac as _};
use palisade_bitcoin::babylon::context::{Context as Bound, Purpose};
use palisade_bitcoin::babylon::finality::{self, Commitment, Vote};
use palisade_crypto::eots::{
    self, EotsError, EotsSignature, MerkleProof, PublicKey, PublicNonce, SecretKey, SecretNonce,
};
use palisade_crypto::{Hash32, sha256};
use serde_json::Value;
use sha2::Sha256;

use super::{File, Outcome, Tally, array, bytes, has, list, number, sized, tally_list, text, unhex};

/// Keys and nonces of both parities, bad encodings, randomness and commitments.
pub(super) fn derived(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["eots", "pub_rand_commitments"]))?;
    Some(Outcome::of(check_derived(file)))
}

fn check_derived(file: &Value) -> Result<Tally> {
    let fields = Pair { sk: "sk", nonce: "nonce", pk: "pk", randomness: "pub_rand" };
    let parts = [
        tally_list(&file["eots"], |case| fields.check(case)).context("eots")?,
        tally_list(&file["invalid_signatures_for_first_vector_msg1"], |case| check_refused(&file["eots"][0], case))
            .context("invalid signatures")?,
        tally_list(&file["invalid_pub_rands"], |case| {
            let parsed = PublicNonce::from_bytes(&array(case, "pub_rand")?);
            ensure!(parsed == Err(EotsError::Point), "accepted: {}", case["why"]);
            Ok(())
        })
        .context("invalid randomness")?,
        tally_list(&file["randomness"], |case| {
            let nonce = SecretNonce::from_bytes(&array(case, "secret_rand")?)?;
            ensure!(nonce.public().to_bytes() == array(case, "pub_rand")?, "another point");
            let (key, chain) = (array(case, "sk")?, text(case, "chain_id")?);
            ensure!(
                babylon_nonce(&key, chain, number(case, "height")?)? == array(case, "secret_rand")?,
                "another nonce"
            );
            Ok(())
        })
        .context("randomness")?,
        tally_list(&file["pub_rand_commitments"], check_commitment).context("commitments")?,
    ];
    Ok(Tally { checked: parts.iter().map(|part| part.checked).sum(), left_out: 0 })
}

fn check_refused(vector: &Value, case: &Value) -> Result<()> {
    let verified = eots::verify(
        &PublicKey::from_bytes(&array(vector, "pk")?)?,
        &PublicNonce::from_bytes(&array(vector, "pub_rand")?)?,
        &sha256(&bytes(vector, "msg1")?),
        &EotsSignature(array(case, "sig")?),
    );
    ensure!(verified.is_err(), "accepted: {}", case["why"]);
    Ok(())
}

fn check_commitment(case: &Value) -> Result<()> {
    let nonces = list(case, "pub_rands")?
        .iter()
        .map(|nonce| Ok(PublicNonce::from_bytes(&sized(&unhex(nonce.as_str().context("no text")?)?)?)?))
        .collect::<Result<Vec<_>>>()?;
    let (tree, root) = (eots::commit(&nonces)?, array(case, "commitment")?);
    ensure!(tree.root() == root, "another root");
    ensure!(tree.total() == number(case, "num_pub_rand")?, "another count");
    for (index, (nonce, expected)) in (0..).zip(nonces.iter().zip(list(case, "proof_aunts")?)) {
        let proof = tree.proof(index).context("no proof")?;
        ensure!(proof.aunts == hashes(expected)?, "another proof of {index}");
        proof.verify(&root, &nonce.to_bytes())?;
    }
    let commitment = Commitment {
        provider: SecretKey::from_bytes(&array(case, "sk")?)?.public(),
        start: number(case, "start_height")?,
        count: number(case, "num_pub_rand")?,
        root,
        signature: [0; 64],
    };
    let none = Bound::none_to_verify_existing_data();
    ensure!(sha256(&bytes(case, "commit_message")?) == commitment.message(&none), "another message");
    ensure!(commitment.message(&none) == array::<32>(case, "commit_hash_no_context")?, "another message");
    let bound = Bound::new(Purpose::RandomnessCommitment, text(case, "chain_id")?, text(case, "context_address")?);
    ensure!(bound.as_str() == text(case, "signing_context_ascii")?, "another context");
    ensure!(commitment.message(&bound) == array::<32>(case, "commit_hash_with_context")?, "another message in context");
    Ok(())
}

/// Babylon's own nonce of a height: a function of key, height and chain, and of nothing else. Ours binds more (R19), and nothing of ours
/// signs with this one.
fn babylon_nonce(key: &[u8; 32], chain: &str, height: u64) -> Result<[u8; 32]> {
    for iteration in 0_u64..=8 {
        let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
        mac.update(&[&height.to_be_bytes()[..], chain.as_bytes(), &iteration.to_be_bytes()].concat());
        let candidate: [u8; 32] = mac.finalize().into_bytes().into();
        if SecretKey::from_bytes(&candidate).is_ok() {
            return Ok(candidate);
        }
    }
    anyhow::bail!("no scalar in nine tries")
}

/// One key, one nonce, two messages.
pub(super) fn pair(file: &File) -> Option<Outcome> {
    let vector = &file.json()?["vector"];
    if !has(vector, &["sk", "pk", "sr", "pr", "msg1", "sig1", "msg2", "sig2"]) {
        return None;
    }
    let fields = Pair { sk: "sk", nonce: "sr", pk: "pk", randomness: "pr" };
    Some(Outcome::of(fields.check(vector).map(|()| Tally::one())))
}

/// How a file names the parts of a pair.
struct Pair {
    sk: &'static str,
    nonce: &'static str,
    pk: &'static str,
    randomness: &'static str,
}

impl Pair {
    fn check(&self, case: &Value) -> Result<()> {
        let secret = SecretKey::from_bytes(&array(case, self.sk)?)?;
        let nonce = SecretNonce::from_bytes(&array(case, self.nonce)?)?;
        let key = PublicKey::from_bytes(&array(case, self.pk)?)?;
        let randomness = PublicNonce::from_bytes(&array(case, self.randomness)?)?;
        ensure!(secret.public() == key, "another key");
        ensure!(nonce.public() == randomness, "other randomness");
        let part = |message: &str, signature: &str| -> Result<(Hash32, EotsSignature)> {
            let hash = sha256(&bytes(case, message)?);
            let signature = EotsSignature(array(case, signature)?);
            ensure!(eots::sign(&secret, &nonce, &hash) == signature, "another signature");
            eots::verify(&key, &randomness, &hash, &signature)?;
            Ok((hash, signature))
        };
        let (first, second) = (part("msg1", "sig1")?, part("msg2", "sig2")?);
        let extracted = eots::extract(&key, &randomness, (&first.0, &first.1), (&second.0, &second.1))?;
        ensure!(extracted.public() == key, "extracted another key");
        if has(case, &["extracted_sk_even_y"]) {
            ensure!(*extracted.to_bytes() == array(case, "extracted_sk_even_y")?, "another scalar");
        }
        let (first, crossed) = ((&first.0, &first.1), (&second.0, &first.1));
        ensure!(eots::extract(&key, &randomness, first, crossed).is_err(), "crossed inputs passed");
        Ok(())
    }
}

/// A commitment, and conflicting votes under it that expose the key.
pub(super) fn votes(file: &File) -> Option<Outcome> {
    let vector = &file.json()?["vector"];
    if !has(vector, &["commit", "votes", "fp_btc_pk"]) {
        return None;
    }
    Some(Outcome::of(check_votes(vector)))
}

fn check_votes(vector: &Value) -> Result<Tally> {
    let (provider, commit) = (PublicKey::from_bytes(&array(vector, "fp_btc_pk")?)?, &vector["commit"]);
    let none = Bound::none_to_verify_existing_data();
    let commitment = Commitment {
        provider,
        start: number(commit, "start_height")?,
        count: number(commit, "num_pub_rand")?,
        root: array(commit, "commitment")?,
        signature: array(commit, "sig")?,
    };
    ensure!(commitment.message(&none) == array::<32>(commit, "message_hash")?, "another commitment message");
    commitment.verify(&none)?;
    let mut tally = tally_list(&vector["votes"], |vote| {
        check_vote(&read_vote(provider, vote, "block_app_hash")?, vote, &commitment, &none)
    })?;
    if let ([first, second], true) = (list(vector, "votes")?, has(vector, &["extracted_secret_key_even_y"])) {
        let read = |vote| read_vote(provider, vote, "block_app_hash");
        let extracted = finality::extract((&read(first)?, &none), (&read(second)?, &none))?;
        ensure!(*extracted.to_bytes() == array(vector, "extracted_secret_key_even_y")?, "another scalar");
        tally.checked += 1;
    }
    Ok(tally)
}

/// Real votes, each with the commitment its proof leads to and the verifier its context names.
pub(super) fn live_votes(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(&value["votes"][0], &["fp_btc_pk", "pub_rand", "finality_sig_s", "proof", "computed"]))?;
    Some(Outcome::of(tally_list(&file["votes"], |vote| {
        let provider = PublicKey::from_bytes(&array(vote, "fp_btc_pk")?)?;
        let computed = &vote["computed"];
        let context = Bound::new(Purpose::FinalityVote, text(file, "chain_id")?, text(vote, "verifier_address")?);
        ensure!(context.as_str() == text(computed, "signing_context_ascii")?, "another context");
        let commitment = Commitment {
            provider,
            start: number(computed, "commit_start_height")?,
            count: number(&vote["proof"], "total")?,
            root: array(computed, "pub_rand_commitment")?,
            signature: [0; 64], // not in the file
        };
        let read = read_vote(provider, vote, "block_hash")?;
        ensure!(sha256(&bytes(computed, "message")?) == read.message(&context), "another message");
        check_vote(&read, vote, &commitment, &context)
    })))
}

fn read_vote(provider: PublicKey, vote: &Value, block: &str) -> Result<Vote> {
    Ok(Vote {
        provider,
        height: number(vote, "height")?,
        block: array(vote, block)?,
        randomness: PublicNonce::from_bytes(&array(vote, "pub_rand")?)?,
        proof: MerkleProof {
            index: number(&vote["proof"], "index")?,
            total: number(&vote["proof"], "total")?,
            aunts: hashes(&vote["proof"]["aunts"])?,
        },
        signature: EotsSignature(array(vote, "finality_sig_s")?),
    })
}

/// A vote: the proof is of this height's leaf, leads to the root, and the signature uses that leaf.
fn check_vote(read: &Vote, vote: &Value, commitment: &Commitment, context: &Bound) -> Result<()> {
    if has(vote, &["message"]) {
        ensure!(sha256(&bytes(vote, "message")?) == read.message(context), "another message");
    }
    read.verify(commitment, context)?;
    let other = Bound::new(Purpose::FinalityVote, "elsewhere", "nobody");
    ensure!(read.verify(commitment, &other).is_err(), "signs in any context");
    Ok(())
}

fn hashes(list: &Value) -> Result<Vec<Hash32>> {
    list.as_array().context("no list")?.iter().map(|hash| sized(&unhex(hash.as_str().context("no text")?)?)).collect()
}
