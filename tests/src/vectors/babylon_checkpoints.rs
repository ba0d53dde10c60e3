//! Babylon's checkpoints in pairs of transactions.

use anyhow::{Context, Result, ensure};
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use palisade_bitcoin::babylon::checkpoint::{Checkpoint, CheckpointError, Part, op_return};
use serde_json::Value;

use super::inclusion::proof;
use super::parsed::{same, transaction};
use super::{File, Outcome, array, bytes, has, list, number, tally_list, text};

/// Both parts, what they join to, and where they stand in blocks. The BLS signature needs an epoch's validators and is not checked.
pub(super) fn pairs(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(&value["vectors"][0], &["tx1", "tx2", "part0", "part1", "decoded"]))?;
    Some(Outcome::of(tally_list(&file["vectors"], check)))
}

fn check(case: &Value) -> Result<()> {
    let decoded = &case["decoded"];
    let tag = array(decoded, "tag")?;
    let transactions = [transaction(case, "tx1")?, transaction(case, "tx2")?];
    for (transaction, (id, part)) in transactions.iter().zip([("txid1", "part0"), ("txid2", "part1")]) {
        same(transaction.compute_txid().to_string(), text(case, id)?.to_owned(), id)?;
        same(op_return(transaction)?.to_vec(), bytes(case, part)?, part)?;
    }
    let (first, second) = (Part::of(&transactions[0], &tag)?, Part::of(&transactions[1], &tag)?);
    let whole = Checkpoint::join(&first, &second)?;
    same(whole.epoch, number(decoded, "epoch")?, "the epoch")?;
    same(whole.block_hash, array(decoded, "block_hash")?, "the block hash")?;
    same(whole.bitmap, array(decoded, "bitmap")?, "the bitmap")?;
    same(whole.submitter, array(decoded, "submitter")?, "the submitter")?;
    same(whole.signature, array(decoded, "bls_sig")?, "the signature")?;
    if has(decoded, &["raw_checkpoint_bytes"]) {
        same(whole.to_bytes(), bytes(decoded, "raw_checkpoint_bytes")?, "the raw checkpoint")?;
    }
    let mut tag = tag;
    tag[0] ^= 1;
    same(Part::of(&transactions[0], &tag), Err(CheckpointError::Form), "another tag")?;
    ensure!(Checkpoint::join(&second, &first).is_err(), "the parts in the other order pass");
    if has(case, &["inclusion"]) {
        for (transaction, included) in transactions.iter().zip(list(case, "inclusion")?) {
            let header: Header = deserialize(&bytes(included, "header")?)?;
            same(header.block_hash().to_string(), text(included, "block_hash")?.to_owned(), "the block's hash")?;
            let proof = proof(&bytes(included, "proof")?, number(included, "index")?)?;
            proof.verify(transaction, &header).context("inclusion")?;
        }
    }
    Ok(())
}
