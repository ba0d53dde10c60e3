//! A whole block, checked against a header we already believe.
//!
//! A block is taken whole or not at all (R30): its hash, its work, its Merkle root and its witness commitment are computed again.
//! An endpoint that strips witnesses, repeats a transaction (which can leave the Merkle root unchanged), or slips in
//! one that looks like an inner node could otherwise hide or invent a spend of a vault.

use std::collections::HashSet;

use bitcoin::consensus::encode;
use bitcoin::{Block, BlockHash};

use crate::inclusion::NODE_BYTES;

/// The largest block, in bytes.
pub const MAX_BLOCK_BYTES: usize = 4_000_000;

/// Why bytes are not the block they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The bytes are no block, or too many.
    #[error("the bytes are not a block")]
    Malformed,
    /// The block has another hash.
    #[error("the block hashes to {0}")]
    OtherBlock(BlockHash),
    /// The header lacks the work it claims.
    #[error("the block lacks work")]
    NoWork,
    /// The transactions are not those of the header.
    #[error("the transactions do not hash to the Merkle root")]
    MerkleRoot,
    /// A transaction stands twice.
    #[error("a transaction is repeated")]
    Repeated,
    /// A transaction has the length of an inner node.
    #[error("a transaction is 64 bytes long")]
    LooksLikeNode,
    /// The witnesses are not those the coinbase commits to.
    #[error("the witnesses do not hash to the coinbase's commitment")]
    Witnesses,
}

/// Reads a block from hex and checks that it is the one with this hash.
///
/// # Errors
///
/// [`BlockError`]: whoever sent it is no honest endpoint.
pub fn read(text: &str, hash: BlockHash) -> Result<Block, BlockError> {
    if text.len() > 2 * MAX_BLOCK_BYTES {
        return Err(BlockError::Malformed);
    }
    let bytes = hex::decode(text).map_err(|_| BlockError::Malformed)?;
    let block: Block = encode::deserialize(&bytes).map_err(|_| BlockError::Malformed)?;
    check(&block, hash)?;
    Ok(block)
}

/// Checks that `block` is the one with this hash, whole and unchanged.
///
/// # Errors
///
/// [`BlockError`].
pub fn check(block: &Block, hash: BlockHash) -> Result<(), BlockError> {
    if block.block_hash() != hash {
        return Err(BlockError::OtherBlock(block.block_hash()));
    }
    block.header.validate_pow(block.header.target()).map_err(|_| BlockError::NoWork)?;
    if !block.check_merkle_root() {
        return Err(BlockError::MerkleRoot);
    }
    let mut seen = HashSet::with_capacity(block.txdata.len());
    if !block.txdata.iter().all(|transaction| seen.insert(transaction.compute_txid())) {
        return Err(BlockError::Repeated);
    }
    // A real block could hold one; it is refused as well, for nobody can tell it from an inner node (BIP-54 bans them).
    if block.txdata.iter().any(|transaction| transaction.base_size() == NODE_BYTES) {
        return Err(BlockError::LooksLikeNode);
    }
    if !block.check_witness_commitment() || stripped(block) {
        return Err(BlockError::Witnesses);
    }
    Ok(())
}

/// Whether the coinbase commits to witnesses and the block carries none at all, not even the coinbase's own.
fn stripped(block: &Block) -> bool {
    let commits = |script: &bitcoin::Script| script.len() >= 38 && script.as_bytes().starts_with(&COMMITMENT);
    let coinbase = block.coinbase();
    coinbase.is_some_and(|coinbase| {
        coinbase.output.iter().any(|output| commits(&output.script_pubkey))
            && coinbase.input.iter().all(|input| input.witness.is_empty())
    })
}

/// How a coinbase output that commits to the witnesses begins (BIP-141).
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
