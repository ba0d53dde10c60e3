//! What waits for a block: proofs, presigned vaults, promises of nonces. Everything in here was checked against
//! the ledger when it came; whether it still applies is decided when a block is drafted.
//!
//! Its bytes are bounded, and so is what any one source fills: an operator who is guilty can sign any number of contradictions, each of
//! them a proof, and one is enough (R25). So one proof waits for each of an operator's faults, one promise of nonces of each of his
//! keys, and a few of his registrations. The driver keeps what waits on the disk.

use palisade_crypto::hash::Tag;
use palisade_types::block::Item;
use palisade_types::canonical::Canonical;
use palisade_types::evidence::Evidence;
use palisade_types::ids::{Domain, Hash, OperatorId, SchnorrKey};
use std::collections::BTreeMap;

/// The most bytes that may wait.
pub const MAX_BYTES: usize = 16 << 20;

/// How many registrations behind one operator may wait,
pub const MAX_REGISTRATIONS: usize = 64;
/// how many verdicts of one service against one operator,
pub const MAX_VERDICTS: usize = 16;
/// how many pairs of certificates of one domain, each of which convicts somebody,
pub const MAX_CERTIFICATES: usize = 4;
/// and the most bytes of one source.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;

/// Who or what an item is about, of which only so many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// A fault of an operator in a domain.
    Fault(OperatorId, Domain),
    /// A fault in the engine's votes.
    Votes(OperatorId),
    /// Evidence against a key that is not an operator's: a covenant member's, or a foreign provider's.
    Key(Hash),
    /// Registrations behind an operator.
    Registrations(OperatorId),
    /// Verdicts against an operator in a service's domain.
    Verdicts(OperatorId, Domain),
    /// Contradicting certificates of a domain.
    Certificates(Domain),
    /// An operator who wants to leave jail.
    Unjail(OperatorId),
    /// Promises of nonces under a key.
    Promises(OperatorId, SchnorrKey),
    /// What no stranger hands in.
    Own,
}

impl Source {
    fn of(item: &Item) -> Self {
        match item {
            Item::Evidence(Evidence::Pair(pair)) => Self::Fault(pair.operator, pair.domain),
            Item::Evidence(Evidence::EotsPair(pair)) => Self::Fault(pair.operator, pair.domain),
            Item::Evidence(Evidence::Ancestor(fault)) => Self::Fault(fault.operator, fault.domain),
            Item::Evidence(Evidence::Votes(pair)) => Self::Votes(pair.operator),
            Item::Evidence(Evidence::Covenant(breach)) => Self::Key(Hash::new(*breach.member.as_bytes())),
            Item::Evidence(Evidence::ExposedKey(key)) => Self::Key(Hash::new(Tag::Item.hash(&[&key.to_bytes()]))),
            Item::Evidence(Evidence::ExposedProvider(key)) => Self::Key(Hash::new(Tag::Item.hash(&[&key.to_bytes()]))),
            Item::Evidence(Evidence::Verdict(verdict)) => {
                Self::Verdicts(verdict.verdict.operator, verdict.certificate.domain)
            }
            Item::Evidence(Evidence::Certificates(pair)) => Self::Certificates(pair.first.domain),
            Item::Unjail(unjail) => Self::Unjail(unjail.operator),
            Item::Vault(registration) => Self::Registrations(registration.operator),
            Item::Randomness(promise) => Self::Promises(promise.operator, promise.key),
            _ => Self::Own,
        }
    }

    const fn most(self) -> usize {
        match self {
            Self::Registrations(_) => MAX_REGISTRATIONS,
            Self::Verdicts(..) => MAX_VERDICTS,
            Self::Certificates(_) => MAX_CERTIFICATES,
            Self::Own => usize::MAX,
            _ => 1,
        }
    }
}

/// Items waiting, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    items: BTreeMap<u64, (Hash, Item, usize)>,
    sources: BTreeMap<Source, (usize, usize)>,
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

    /// Takes an item in; false when it is there already, its source has as many as it may, or the pool is full.
    pub fn add(&mut self, item: Item) -> bool {
        let (name, size, source) = (Self::name(&item), item.to_bytes().len(), Source::of(&item));
        let (waiting, bytes) = self.sources.get(&source).copied().unwrap_or_default();
        let is_full = waiting >= source.most() || (source != Source::Own && bytes + size > MAX_SOURCE_BYTES);
        if self.names.contains_key(&name) || is_full || self.bytes + size > MAX_BYTES {
            return false;
        }
        self.sources.insert(source, (waiting + 1, bytes + size));
        self.names.insert(name, self.next);
        self.items.insert(self.next, (name, item, size));
        self.bytes += size;
        self.next += 1;
        true
    }

    /// Drops an item that stands in a block or can never stand in one.
    pub fn remove(&mut self, item: &Item) {
        let Some(at) = self.names.remove(&Self::name(item)) else { return };
        if let Some((_, item, size)) = self.items.remove(&at) {
            self.bytes -= size;
            let source = Source::of(&item);
            if let Some((waiting, bytes)) = self.sources.get_mut(&source) {
                (*waiting, *bytes) = (*waiting - 1, *bytes - size);
                if *waiting == 0 {
                    self.sources.remove(&source);
                }
            }
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
    use palisade_types::evidence::BlsPair;
    use palisade_types::ids::{BlsSignature, Digest, SchnorrSignature};
    use palisade_types::randomness::{Commitment, RandomnessCommitment};
    use palisade_types::units::Height;

    fn item(first: u64) -> Item {
        Item::Randomness(RandomnessCommitment {
            operator: OperatorId::ZERO,
            key: SchnorrKey::new([u8::try_from(first).unwrap(); 32]),
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

    fn pair(operator: u8, domain: u8, slot: u64) -> Item {
        let signed = |digest| (Digest::new([digest; 32]), BlsSignature::ZERO);
        Item::Evidence(Evidence::Pair(BlsPair {
            operator: OperatorId::new([operator; 20]),
            domain: Domain::new([domain; 32]),
            slot,
            first: signed(1),
            second: signed(2),
        }))
    }

    #[test]
    fn r25_one_who_signs_any_number_of_contradictions_fills_one_place() {
        let mut pool = Pool::default();
        assert!(pool.add(pair(1, 1, 0)));
        assert!((1..10_000).all(|slot| !pool.add(pair(1, 1, slot))));
        assert!(pool.add(pair(1, 2, 0)) && pool.add(pair(2, 1, 0)), "another domain, another operator");
        pool.remove(&pair(1, 1, 7));
        assert_eq!(pool.len(), 3, "what did not wait cannot leave");
        pool.remove(&pair(1, 1, 0));
        assert!(pool.add(pair(1, 1, 9)), "there is room again");
        assert_eq!((pool.len(), pool.sources.len()), (3, 3));
        for item in pool.items().cloned().collect::<Vec<_>>() {
            pool.remove(&item);
        }
        assert_eq!((pool.bytes, pool.sources.len(), pool.is_empty()), (0, 0, true));
    }
}
