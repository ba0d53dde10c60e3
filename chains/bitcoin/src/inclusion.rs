//! Proof that a transaction stands in a block: its Merkle path.
//!
//! Three things can go wrong with such proofs, and each is refused. Bits of the index beyond the path would let one proof
//! stand for several positions, so that a coinbase could pose as an ordinary transaction: the index must be less than
//! `2^siblings`. A transaction of 64 bytes reads like an inner node, so that a made-up leaf could be proven below it. And
//! Bitcoin pairs an odd last node with itself, so that the same transaction has a second position that does not exist:
//! a left sibling equal to the node is no sibling.
//!
//! A made-up leaf below a 64-byte transaction lies deeper than its block's real ones. Who cannot see the whole transaction, or wants to be
//! sure without looking at lengths, asks for the coinbase's path too ([`CoinbaseProof`]): the coinbase starts with an input
//! of zeros, so that it cannot be ground to hold another's hash, and all transactions of a block lie equally deep.

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
    /// What is shown as the block's coinbase is an ordinary transaction.
    #[error("the transaction shown as the block's coinbase is none")]
    NoCoinbase,
    /// The transaction's path is not as long as the coinbase's.
    #[error("a path of {transaction} siblings in a block whose coinbase has {coinbase}")]
    OtherDepth {
        /// The length of the transaction's path.
        transaction: usize,
        /// The length of the coinbase's path.
        coinbase: usize,
    },
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

    /// As [`Self::verify`], and that the path ends as deep as the block's coinbase lies.
    ///
    /// # Errors
    ///
    /// [`InclusionError`].
    pub fn verify_with_coinbase(
        &self,
        transaction: &Transaction,
        coinbase: &CoinbaseProof,
        header: &Header,
    ) -> Result<(), InclusionError> {
        coinbase.bounds(self, header)?;
        self.verify(transaction, header)
    }
}

/// A block's coinbase and its path: what says how deep the block's tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseProof {
    /// The coinbase, whole.
    pub transaction: Transaction,
    /// Its siblings, leaf first, in internal byte order; its index is zero.
    pub siblings: Vec<[u8; 32]>,
}

impl CoinbaseProof {
    /// The coinbase of a whole block; `None` when the block has no transactions.
    pub fn of(block: &Block) -> Option<Self> {
        let MerkleProof { siblings, .. } = MerkleProof::of(block, 0)?;
        Some(Self { transaction: block.txdata.first()?.clone(), siblings })
    }

    /// Checks that the coinbase stands first in the block with this header, and that `proof` is as long as its path.
    fn bounds(&self, proof: &MerkleProof, header: &Header) -> Result<(), InclusionError> {
        if !self.transaction.is_coinbase() {
            return Err(InclusionError::NoCoinbase);
        }
        if self.transaction.base_size() == NODE_BYTES {
            return Err(InclusionError::LooksLikeNode);
        }
        let path = MerkleProof { index: 0, siblings: self.siblings.clone() };
        path.verify_id(self.transaction.compute_txid(), header.merkle_root)?;
        match (proof.siblings.len(), self.siblings.len()) {
            (transaction, coinbase) if transaction != coinbase => {
                Err(InclusionError::OtherDepth { transaction, coinbase })
            }
            _ => Ok(()),
        }
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
    fn a_leaf_below_a_real_transaction_is_deeper_than_the_coinbase() {
        // 64 bytes that are a transaction of the block, and two hashes of which the second is that of a made-up one
        let mut block = block(3);
        let made_up = block.txdata[1].clone();
        block.txdata.remove(1);
        block.txdata[1].output[0].script_pubkey = bitcoin::ScriptBuf::from_bytes(vec![0x51; 4]);
        let real = bitcoin::consensus::serialize(&block.txdata[1]);
        let (left, right): ([u8; 32], [u8; 32]) = (real[..32].try_into().unwrap(), real[32..].try_into().unwrap());
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        let coinbase = CoinbaseProof::of(&block).unwrap();
        let above = MerkleProof::of(&block, 1).unwrap();
        let below = MerkleProof { index: 3, siblings: [vec![left], above.siblings.clone()].concat() };
        // the attacker grinds `made_up` until its id is `right`; the path is right then, and only its length is not
        assert_eq!(below.verify_id(Txid::from_byte_array(right), block.header.merkle_root), Ok(()));
        let deeper = Err(InclusionError::OtherDepth { transaction: 3, coinbase: 2 });
        assert_eq!(below.verify_with_coinbase(&made_up, &coinbase, &block.header), deeper);
    }

    #[test]
    fn a_coinbase_bounds_the_depth_only_when_it_is_the_block_s_own() {
        let block = block(5);
        let (proof, transaction) = (MerkleProof::of(&block, 4).unwrap(), &block.txdata[4]);
        let coinbase = CoinbaseProof::of(&block).unwrap();
        let check = |coinbase: &CoinbaseProof| proof.verify_with_coinbase(transaction, coinbase, &block.header);
        assert_eq!(check(&coinbase), Ok(()));
        let mut other = coinbase.clone();
        other.transaction.lock_time = bitcoin::absolute::LockTime::from_consensus(1);
        assert_eq!(check(&other), Err(InclusionError::OtherRoot));
        let ordinary = CoinbaseProof { transaction: transaction.clone(), ..coinbase.clone() };
        assert_eq!(check(&ordinary), Err(InclusionError::NoCoinbase));
        let shorter = CoinbaseProof { siblings: coinbase.siblings[1..].to_vec(), ..coinbase.clone() };
        assert_eq!(check(&shorter), Err(InclusionError::OtherRoot));
        let longer = CoinbaseProof { siblings: vec![[0; 32]; MAX_SIBLINGS + 1], ..coinbase };
        assert_eq!(check(&longer), Err(InclusionError::TooLong(MAX_SIBLINGS + 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_made_up_path_is_believed_and_none_panics(
            index in any::<u32>(),
            siblings in prop::collection::vec(any::<[u8; 32]>(), 0..40),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let block = block(9);
            let proof = MerkleProof { index, siblings: siblings.clone() };
            prop_assert!(proof.verify(&block.txdata[3], &block.header).is_err());
            let coinbase = CoinbaseProof { transaction: block.txdata[0].clone(), siblings };
            prop_assert!(proof.verify_with_coinbase(&block.txdata[3], &coinbase, &block.header).is_err());
            if let Ok(transaction) = bitcoin::consensus::deserialize::<Transaction>(&bytes) {
                prop_assert!(proof.verify(&transaction, &block.header).is_err());
            }
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
