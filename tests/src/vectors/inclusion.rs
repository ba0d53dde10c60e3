//! Merkle proofs of real transactions, and whole blocks to make them from.

use anyhow::{Context, Result, ensure};
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{Block, TxMerkleNode, Txid};
use palisade_bitcoin::babylon::checkpoint::op_return;
use palisade_bitcoin::inclusion::{InclusionError, MerkleProof};
use serde_json::Value;

use super::parsed::{same, transaction};
use super::{File, Outcome, Tally, array, bytes, has, list, number, sized, tally_list, text, unhex};

/// Proofs with the root they lead to.
pub(super) fn proofs(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(&value["vectors"][0], &["txid", "index", "proof_hex", "computed_merkle_root_internal"]))?;
    Some(Outcome::of(tally_list(&file["vectors"], |case| {
        let proof = proof(&bytes(case, "proof_hex")?, number(case, "index")?)?;
        let root = TxMerkleNode::from_byte_array(array(case, "computed_merkle_root_internal")?);
        let txid: Txid = text(case, "txid")?.parse()?;
        proof.verify_id(txid, root)?;
        let mut beyond = proof.clone();
        beyond.index |= 1 << proof.siblings.len();
        let refused = beyond.verify_id(txid, root);
        ensure!(matches!(refused, Err(InclusionError::IndexBeyondPath { .. })), "the same path by another index");
        ensure!(MerkleProof { index: proof.index ^ 1, ..proof }.verify_id(txid, root).is_err(), "another position");
        Ok(())
    })))
}

pub(super) fn proof(bytes: &[u8], index: u64) -> Result<MerkleProof> {
    ensure!(bytes.len().is_multiple_of(32), "siblings of 32 bytes");
    let siblings = bytes.chunks(32).map(sized).collect::<Result<_>>()?;
    Ok(MerkleProof { index: u32::try_from(index)?, siblings })
}

/// Whole blocks, and transactions by themselves.
pub(super) fn blocks(file: &File) -> Option<Outcome> {
    let file = file
        .json()
        .filter(|value| has(&value["blocks"][0], &["header", "transactions", "op_return_data", "computed_proof"]))?;
    Some(Outcome::of((|| {
        let blocks = tally_list(&file["blocks"], check_block)?;
        let single = tally_list(&file["transactions"], |case| {
            same(transaction(case, "tx")?.compute_txid(), text(case, "txid")?.parse()?, "the id")
        })?;
        Ok(Tally { checked: blocks.checked + single.checked, left_out: 0 })
    })()))
}

fn check_block(case: &Value) -> Result<()> {
    let header: Header = deserialize(&bytes(case, "header")?)?;
    same(header.block_hash().to_string(), text(case, "block_hash")?.to_owned(), "the block's hash")?;
    let txdata = list(case, "transactions")?
        .iter()
        .map(|transaction| Ok(deserialize(&unhex(transaction.as_str().context("no text")?)?)?))
        .collect::<Result<Vec<bitcoin::Transaction>>>()?;
    let block = Block { header, txdata };
    let index = number(case, "tx_index")?;
    let proof = MerkleProof::of(&block, u32::try_from(index)?).context("no such transaction")?;
    same(proof.siblings.concat(), bytes(case, "computed_proof")?, "the proof")?;
    let chosen = &block.txdata[usize::try_from(index)?];
    proof.verify(chosen, &header)?;
    same(chosen.compute_txid().to_string(), text(case, "txid")?.to_owned(), "the id")?;
    same(op_return(chosen)?.to_vec(), bytes(case, "op_return_data")?, "the data")?;
    let coinbase = MerkleProof::of(&block, 0).context("no coinbase")?.verify(&block.txdata[0], &header);
    same(coinbase, Err(InclusionError::Coinbase), "the coinbase")
}
