//! Proof that a transaction stands in a block: its Merkle path.
//!
//! Three things can go wrong with such proofs, and each is refused. Bits of the index beyond the path would let one proof
//! stand for several positions, so that a coinbase could pose as an ordinary transaction: the index must be less than
//! `2^siblings`. A transaction of 64 bytes reads like an inner node, so that a made-up leaf could be proven below it. And
//! Bitcoin pairs an odd last node with itself, so that the same transaction has a second position that does not exist:
//! a left sibling equal to the node is no sibling.

use bitcoin::block::Header;
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::{Block, Transaction, TxMerkleNode, Txid};

/// The longest path: a block of four million weight units holds fewer than 2^15 transactions.
pub const MAX_SIBLINGS: usize = 15;

/// The other halves of a path from a transaction to its block's Merkle root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleProof {
    /// The transaction's position in the block.
    pub index: u32,
    /// The siblings, leaf first, in internal byte order.
    pub siblings: Vec<[u8; 32]>,
}

/// Why a path proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The path is longer than any block's.
    #[error("a path of {0} siblings is longer than any block's")]
    TooLong(usize),
    /// The index has bits beyond the path.
    #[error("index {index} does not fit into a path of {siblings} siblings")]
    IndexBeyondPath {
        /// The index.
        index: u32,
        /// The path's length.
        siblings: usize,
    },
    /// The position is the doubled last one of an odd row.
    #[error("index {0} is the shadow of an odd row's last node")]
    Shadow(u32),
    /// The path leads to another root.
    #[error("the path does not lead to the block's Merkle root")]
    OtherRoot,
    /// The transaction has the length of an inner node.
    #[error("a transaction of 64 bytes can be mistaken for an inner node")]
    LooksLikeNode,
    /// Index zero is the coinbase, which cannot stake.
    #[error("index 0 is the block's coinbase")]
    Coinbase,
}

impl MerkleProof {
    /// The path of transaction `index` in a whole block; `None` when the block has no such transaction.
    pub fn of(block: &Block, index: u32) -> Option<Self> {
        let mut at = usize::try_from(index).ok()?;
        block.txdata.get(at)?;
        let mut row: Vec<[u8; 32]> =
            block.txdata.iter().map(|transaction| transaction.compute_txid().to_byte_array()).collect();
        let mut siblings = Vec::new();
        while row.len() > 1 {
            siblings.push(*row.get(at ^ 1).unwrap_or(&row[at]));
            row = row.chunks(2).map(|pair| node(&pair[0], pair.last().unwrap_or(&pair[0]))).collect();
            at /= 2;
        }
        Some(Self { index, siblings })
    }

    /// Checks that a transaction with this id stands below `root`. For a transaction that was read whole use
    /// [`Self::verify`], which also refuses one that looks like an inner node.
    ///
    /// # Errors
    ///
    /// [`InclusionError`].
    pub fn verify_id(&self, txid: Txid, root: TxMerkleNode) -> Result<(), InclusionError> {
        let length = self.siblings.len();
        if length > MAX_SIBLINGS {
            return Err(InclusionError::TooLong(length));
        }
        if self.index >> length != 0 {
            return Err(InclusionError::IndexBeyondPath { index: self.index, siblings: length });
        }
        let mut hash = txid.to_byte_array();
        for (depth, sibling) in self.siblings.iter().enumerate() {
            let right = self.index >> depth & 1 == 1;
            if right && *sibling == hash {
                return Err(InclusionError::Shadow(self.index));
            }
            hash = if right { node(sibling, &hash) } else { node(&hash, sibling) };
        }
        if hash == root.to_byte_array() { Ok(()) } else { Err(InclusionError::OtherRoot) }
    }

    /// Checks that `transaction` stands in the block with this header and is not its coinbase.
    ///
    /// # Errors
    ///
    /// [`InclusionError`].
    pub fn verify(&self, transaction: &Transaction, header: &Header) -> Result<(), InclusionError> {
        if self.index == 0 {
            return Err(InclusionError::Coinbase);
        }
        if transaction.base_size() == NODE_BYTES {
            return Err(InclusionError::LooksLikeNode);
        }
        self.verify_id(transaction.compute_txid(), header.merkle_root)
    }
}

/// The length of an inner node before it is hashed.
pub(crate) const NODE_BYTES: usize = 64;

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; NODE_BYTES];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    sha256d::Hash::hash(&bytes).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{OutPoint, TxIn, TxOut};
    use proptest::prelude::*;

    /// A block of different transactions; it has no work, which nothing here looks at.
    fn block(transactions: u32) -> Block {
        let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let of = |vout| Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn { previous_output: OutPoint { txid: Txid::all_zeros(), vout }, ..TxIn::default() }],
            output: vec![TxOut::NULL],
        };
        block.txdata.extend((0..transactions).map(of));
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        block
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_transaction_has_one_position_and_no_other(transactions in 1_u32..70, at in 0_u32..70, other in 0_u32..256) {
            let block = block(transactions);
            let at = 1 + at % transactions;
            let proof = MerkleProof::of(&block, at).unwrap();
            let transaction = &block.txdata[usize::try_from(at).unwrap()];
            prop_assert_eq!(proof.verify(transaction, &block.header), Ok(()));
            let elsewhere = MerkleProof { index: other, ..proof.clone() };
            prop_assert_eq!(elsewhere.verify(transaction, &block.header).is_ok(), other == at);
            let longer = MerkleProof { siblings: [proof.siblings.clone(), vec![[0; 32]]].concat(), ..proof };
            prop_assert_eq!(longer.verify(transaction, &block.header), Err(InclusionError::OtherRoot));
        }
    }

    #[test]
    fn a_transaction_of_64_bytes_is_refused_before_its_path_is_looked_at() {
        let mut block = block(1);
        block.txdata[1].output[0].script_pubkey = bitcoin::ScriptBuf::from_bytes(vec![0x51; 4]);
        assert_eq!(block.txdata[1].base_size(), NODE_BYTES);
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        let proof = MerkleProof::of(&block, 1).unwrap();
        assert_eq!(proof.verify(&block.txdata[1], &block.header), Err(InclusionError::LooksLikeNode));
        assert_eq!(proof.verify_id(block.txdata[1].compute_txid(), block.header.merkle_root), Ok(()));
    }
}
