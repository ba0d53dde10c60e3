//! Rows on their way from a disk into a ledger: each is read and hashed once, from the very bytes that were stored.
//!
//! A value has one encoding, so that the hash of the bytes is the hash of the row; were it not, the root would differ from the one in the
//! head's header, and whoever starts compares them.

use crate::root::{Change, Leaf, Tree, both};
use crate::rows::Rows;
use palisade_crypto::hash::keccak256_each;
use palisade_types::canonical::Malformed;
use palisade_types::{BlockId, Canonical, Height, Row, RowKey};

/// Some of a ledger's rows with their hashes. Several, made in threads of their own, are one ledger's.
#[derive(Debug, Default)]
pub struct Stored {
    blocks: Vec<(Height, BlockId)>,
    others: Vec<(RowKey, Row)>,
    leaves: Vec<Leaf>,
    /// What waits to be hashed.
    unhashed: Encoded,
}

/// Changed rows as they are stored, one after the other: encoded once, to be hashed together and written.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
    /// Where each key ends, and the row that follows it; `None` where one is taken away.
    ends: Vec<(usize, Option<usize>)>,
}

/// So many rows are hashed at once.
const TOGETHER: usize = 64;

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
        let decoded = (RowKey::from_bytes(key).map_err(BadRow::Key)?, Row::from_bytes(row).map_err(BadRow::Value)?);
        self.unhashed.take(key, row);
        self.put(decoded);
        Ok(())
    }

    /// The same of rows that are not stored yet.
    pub(crate) fn of(rows: impl IntoIterator<Item = (RowKey, Row)>) -> Self {
        let mut stored = Self::default();
        for (key, row) in rows {
            stored.unhashed.write(&key, Some(&row));
            stored.put((key, row));
        }
        stored.hash();
        stored
    }

    fn put(&mut self, row: (RowKey, Row)) {
        if self.unhashed.ends.len() >= TOGETHER {
            self.hash();
        }
        match row {
            (RowKey::Block(height), Row::Block(id)) => self.blocks.push((height, id)),
            other => self.others.push(other),
        }
    }

    /// Hashes what still waits for it: whoever has no more rows does it in his own thread.
    pub fn hash(&mut self) {
        let hashed = std::mem::take(&mut self.unhashed).hashes();
        self.leaves.extend(hashed.into_iter().filter_map(|(path, value)| Some((path, value?))));
    }

    /// The rows of all of them, and the tree over those; `None` where one key came twice.
    pub(crate) fn join(mut parts: Vec<Self>) -> Option<(Rows, Tree)> {
        parts.iter_mut().for_each(Self::hash);
        let sum = |count: fn(&Self) -> usize| parts.iter().map(count).sum();
        let mut blocks = Vec::with_capacity(sum(|part| part.blocks.len()));
        let mut others = Vec::with_capacity(sum(|part| part.others.len()));
        let mut leaves = Vec::with_capacity(sum(|part| part.leaves.len()));
        for part in parts {
            blocks.extend(part.blocks);
            others.extend(part.others);
            leaves.extend(part.leaves);
        }
        let (tree, rows) = both(|| Tree::of(leaves), || Rows::new(blocks, others));
        Some((rows, tree?))
    }
}

impl Encoded {
    /// The encodings of these rows.
    #[must_use]
    pub fn of(rows: &[(RowKey, Option<Row>)]) -> Self {
        let mut encoded = Self::default();
        rows.iter().for_each(|(key, row)| encoded.write(key, row.as_ref()));
        encoded
    }

    /// Each key, with its row unless that is taken away.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let last = |(key, row): &(usize, Option<usize>)| row.unwrap_or(*key);
        let starts = std::iter::once(0).chain(self.ends.iter().map(last));
        let parts = starts.zip(&self.ends);
        parts.map(|(start, (key, row))| (&self.bytes[start..*key], row.map(|row| &self.bytes[*key..row])))
    }

    /// The hashes of each key and of its row.
    pub(crate) fn hashes(&self) -> Vec<Change> {
        let keys: Vec<_> = self.iter().map(|(key, _)| key).collect();
        let rows: Vec<_> = self.iter().filter_map(|(_, row)| row).collect();
        let (paths, mut values) = (keccak256_each(&keys), keccak256_each(&rows).into_iter());
        let value = |row: Option<usize>| row.and_then(|_| values.next());
        self.ends.iter().map(|(_, row)| *row).map(value).zip(paths).map(|(value, path)| (path, value)).collect()
    }

    fn write(&mut self, key: &RowKey, row: Option<&Row>) {
        key.write(&mut self.bytes);
        let end = self.bytes.len();
        let row = row.map(|row| {
            row.write(&mut self.bytes);
            self.bytes.len()
        });
        self.ends.push((end, row));
    }

    fn take(&mut self, key: &[u8], row: &[u8]) {
        self.bytes.extend_from_slice(key);
        let end = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.ends.push((end, Some(self.bytes.len())));
    }
}
