//! What waits for a block: proofs, presigned vaults, promises of nonces. Everything in here was checked against
//! the ledger when it came; whether it still applies is decided when a block is drafted.

use palisade_crypto::hash::Tag;
use palisade_types::block::Item;
use palisade_types::canonical::Canonical;
use palisade_types::ids::Hash;
use std::collections::BTreeMap;

/// The most bytes that may wait.
pub const MAX_BYTES: usize = 16 << 20;

/// Items waiting, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    items: BTreeMap<u64, (Hash, Item, usize)>,
    names: BTreeMap<Hash, u64>,
    next: u64,
    bytes: usize,
}

impl Pool {
    /// Names an item by its content.
    #[must_use]
    pub fn name(item: &Item) -> Hash {
        Hash::new(Tag::Item.hash(&[&item.to_bytes()]))
    }

    /// Takes an item in; false when it is there already or the pool is full.
    pub fn add(&mut self, item: Item) -> bool {
        let (name, size) = (Self::name(&item), item.to_bytes().len());
        if self.names.contains_key(&name) || self.bytes + size > MAX_BYTES {
            return false;
        }
        self.names.insert(name, self.next);
        self.items.insert(self.next, (name, item, size));
        self.bytes += size;
        self.next += 1;
        true
    }

    /// Drops an item that stands in a block or can never stand in one.
    pub fn remove(&mut self, item: &Item) {
        let Some(at) = self.names.remove(&Self::name(item)) else { return };
        if let Some((_, _, size)) = self.items.remove(&at) {
            self.bytes -= size;
        }
    }

    /// Whether the item waits.
    #[must_use]
    pub fn holds(&self, item: &Item) -> bool {
        self.names.contains_key(&Self::name(item))
    }

    /// Everything that waits, oldest first.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(|(_, item, _)| item)
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::ids::{OperatorId, SchnorrKey, SchnorrSignature};
    use palisade_types::randomness::{Commitment, RandomnessCommitment};
    use palisade_types::units::Height;

    fn item(first: u64) -> Item {
        Item::Randomness(RandomnessCommitment {
            operator: OperatorId::ZERO,
            key: SchnorrKey::ZERO,
            commitment: Commitment { first: Height::new(first), count: 1, root: Hash::ZERO },
            signature: SchnorrSignature::ZERO,
        })
    }

    #[test]
    fn an_item_waits_once_and_leaves_in_the_order_it_came() {
        let mut pool = Pool::default();
        assert!(pool.add(item(2)) && pool.add(item(1)));
        assert!(!pool.add(item(2)));
        assert_eq!(pool.items().cloned().collect::<Vec<_>>(), [item(2), item(1)]);
        pool.remove(&item(2));
        assert!(pool.holds(&item(1)) && !pool.holds(&item(2)) && pool.len() == 1);
    }
}
