//! Rows on their way from a disk into a ledger: each is read and hashed once, from the very bytes that were stored.
//!
//! A value has one encoding, so that the hash of the bytes is the hash of the row; were it not, the root would differ from the one in the
//! head's header, and whoever starts compares them.

use crate::root::Leaf;
use crate::rows::Rows;
use palisade_crypto::hash::keccak256;
use palisade_types::canonical::Malformed;
use palisade_types::{BlockId, Canonical, Height, Row, RowKey};

/// Some of a ledger's rows with their hashes. Several, made in threads of their own, are one ledger's.
#[derive(Debug, Default)]
pub struct Stored {
    blocks: Vec<(Height, BlockId)>,
    others: Vec<(RowKey, Row)>,
    leaves: Vec<Leaf>,
}

/// Which half of a stored row does not read as what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// Its key.
    #[error("the key of a row")]
    Key(#[source] Malformed),
    /// Its value.
    #[error("a row")]
    Value(#[source] Malformed),
}

impl Stored {
    /// Takes one row in, as it is stored.
    ///
    /// # Errors
    ///
    /// [`BadRow`] when the bytes are not a row's; nothing has changed then.
    pub fn take(&mut self, key: &[u8], row: &[u8]) -> Result<(), BadRow> {
        let leaf = (keccak256(key), keccak256(row));
        let key = RowKey::from_bytes(key).map_err(BadRow::Key)?;
        let row = Row::from_bytes(row).map_err(BadRow::Value)?;
        self.put(key, row, leaf);
        Ok(())
    }

    /// The same of rows that are not stored yet.
    pub(crate) fn of(rows: impl IntoIterator<Item = (RowKey, Row)>) -> Self {
        let mut stored = Self::default();
        for (key, row) in rows {
            let leaf = (key.path(), row.value_hash());
            stored.put(key, row, leaf);
        }
        stored
    }

    fn put(&mut self, key: RowKey, row: Row, leaf: Leaf) {
        self.leaves.push(leaf);
        match (key, row) {
            (RowKey::Block(height), Row::Block(id)) => self.blocks.push((height, id)),
            other => self.others.push(other),
        }
    }

    /// The rows of all of them, and what hangs in the tree.
    pub(crate) fn join(parts: Vec<Self>) -> (Rows, Vec<Leaf>) {
        let mut whole = Self::default();
        whole.blocks.reserve_exact(parts.iter().map(|part| part.blocks.len()).sum());
        whole.leaves.reserve_exact(parts.iter().map(|part| part.leaves.len()).sum());
        for part in parts {
            whole.blocks.extend(part.blocks);
            whole.others.extend(part.others);
            whole.leaves.extend(part.leaves);
        }
        // A key that came twice has two leaves under one path, which is no tree.
        (Rows::new(whole.blocks, whole.others), whole.leaves)
    }
}
