//! Blocks and transactions, as the client reads them from an endpoint.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Block, BlockHash, Transaction, hashes::Hash as _};
use palisade_bitcoin::babylon::checkpoint::{self, Part};
use palisade_bitcoin::babylon::inspect;
use palisade_bitcoin::babylon::phase1::Identification;
use palisade_bitcoin::block;
use palisade_bitcoin::inclusion::{CoinbaseProof, MerkleProof};

/// A block's bytes; the same bytes as text.
pub(crate) fn block(bytes: &[u8]) {
    let zero = BlockHash::all_zeros();
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(block::read(text, zero).is_err(), "nothing hashes to zero");
    }
    let text = hex::encode(bytes);
    let parsed = deserialize::<Block>(bytes);
    let hash = parsed.as_ref().map_or(zero, Block::block_hash);
    let Ok(read) = block::read(&text, hash) else { return };
    assert_eq!(serialize(&read), bytes);
    let coinbase = CoinbaseProof::of(&read).expect("a block with the right Merkle root has a coinbase");
    for (index, transaction) in (0..).zip(&read.txdata) {
        let proof = MerkleProof::of(&read, index).expect("it stands there");
        assert_eq!(proof.verify(transaction, &read.header).is_ok(), index > 0);
        if coinbase.transaction.is_coinbase() {
            assert_eq!(proof.verify_with_coinbase(transaction, &coinbase, &read.header).is_ok(), index > 0);
        }
    }
}

/// A transaction's bytes.
pub(crate) fn transaction(bytes: &[u8]) {
    let Ok(transaction) = deserialize::<Transaction>(bytes) else { return };
    assert_eq!(deserialize::<Transaction>(&serialize(&transaction)).ok().as_ref(), Some(&transaction));
    if let Ok(data) = checkpoint::op_return(&transaction) {
        let part = Part::read(data, TAG);
        assert_eq!(Part::of(&transaction, TAG), part);
    }
    if let Ok(identification) = Identification::of(&transaction) {
        assert!(transaction.output.iter().any(|output| output.script_pubkey == identification.script()));
    }
    if let Ok(parents) = inspect::parents(bytes) {
        assert!(parents.len() <= transaction.input.len());
    }
}

/// Mainnet's tag of checkpoints.
const TAG: &[u8; 4] = b"bbnt";
