//! Where a block stands on the heaviest chain, by its hash.
//!
//! Block hashes are uniform already, so that nothing is hashed again, and an entry holds four bytes of the hash instead of all 32:
//! whether it is the right one is asked of the chain itself. Headers whose first bytes collide only make a search longer, and each takes
//! 2^32 times a header's own work to make.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use hashbrown::HashTable;

#[derive(Clone, Debug, Default)]
pub(super) struct Index(HashTable<Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    height: u32,
}

impl Index {
    pub(super) fn reserve(&mut self, more: usize) {
        self.0.reserve(more, |entry| spread(entry.tag));
    }

    /// Puts in a hash that is not there.
    pub(super) fn insert(&mut self, hash: &BlockHash, height: u32) {
        let tag = tag(hash);
        self.0.insert_unique(spread(tag), Entry { tag, height }, |entry| spread(entry.tag));
    }

    /// The height at which `is_at` finds the hash.
    pub(super) fn find(&self, hash: &BlockHash, is_at: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        self.0.find(spread(tag), |entry| entry.tag == tag && is_at(entry.height)).map(|entry| entry.height)
    }

    /// Takes out the hash that was put in with `height`.
    pub(super) fn remove(&mut self, hash: &BlockHash, height: u32) {
        if let Ok(entry) = self.0.find_entry(spread(tag(hash)), |entry| entry.height == height) {
            entry.remove();
        }
    }
}

/// The first bytes; the last ones are zero, for that is what work is.
fn tag(hash: &BlockHash) -> u32 {
    let bytes: [u8; 32] = hash.to_byte_array();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The table takes a place from the lower bits and a check from the upper ones.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
