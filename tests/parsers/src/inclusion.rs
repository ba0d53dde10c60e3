//! Merkle paths.

use bitcoin::consensus::deserialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::{Network, Transaction, TxMerkleNode};
use palisade_bitcoin::inclusion::{CoinbaseProof, MAX_SIBLINGS, MerkleProof};

/// Four bytes of index, one that says how many siblings follow, the siblings, and a transaction. The header is made to fit
/// the path, so that everything but the root has to hold it off.
pub(crate) fn path(bytes: &[u8]) {
    let Some((index, rest)) = bytes.split_first_chunk::<4>() else { return };
    let Some((count, rest)) = rest.split_first() else { return };
    let Some((siblings, rest)) = rest.split_at_checked(32 * usize::from(*count)) else { return };
    let Ok(transaction) = deserialize::<Transaction>(rest) else { return };
    let proof = MerkleProof { index: u32::from_be_bytes(*index), siblings: siblings.as_chunks::<32>().0.to_vec() };
    let mut header = genesis_block(Network::Regtest).header;
    assert!(proof.verify(&transaction, &header).is_err(), "a path to a root nobody knows");
    header.merkle_root = fold(&proof, &transaction);
    if proof.verify(&transaction, &header).is_ok() {
        assert!(proof.index > 0 && proof.siblings.len() <= MAX_SIBLINGS);
        assert!(proof.index < 1 << proof.siblings.len() && transaction.base_size() != 64);
        let moved = MerkleProof { index: proof.index ^ 1, ..proof.clone() };
        assert!(moved.verify(&transaction, &header).is_err(), "one path, two places");
    }
    let coinbase = CoinbaseProof { transaction: transaction.clone(), siblings: proof.siblings.clone() };
    assert!(
        proof.verify_with_coinbase(&transaction, &coinbase, &header).is_err(),
        "a coinbase that is not first, or first and a stake"
    );
}

fn fold(proof: &MerkleProof, transaction: &Transaction) -> TxMerkleNode {
    let mut hash = transaction.compute_txid().to_byte_array();
    for (depth, sibling) in proof.siblings.iter().enumerate() {
        let right = depth < 32 && proof.index >> depth & 1 == 1;
        let pair = if right { [*sibling, hash] } else { [hash, *sibling] };
        hash = sha256d::Hash::hash(&pair.concat()).to_byte_array();
    }
    TxMerkleNode::from_byte_array(hash)
}
