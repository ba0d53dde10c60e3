//! The nonces promised for checkpoints (R2, R19). They follow from the key and the slot, so that only the ranges are kept;
//! the trees are rebuilt in memory.

use super::Refused;
use palisade_crypto::eots;
use palisade_types::canonical::List;
use palisade_types::evidence::Domains;
use palisade_types::ids::Hash;
use palisade_types::randomness::{Commitment, MAX_COMMITTED, Opening};
use palisade_types::units::Height;

/// The promises of one key in one network.
pub(super) struct Nonces {
    key: eots::SecretKey,
    domains: Domains,
    promised: Vec<Commitment>,
    /// By first slot, the one used last at the end.
    trees: Vec<(Height, eots::Commitment)>,
}

impl Nonces {
    /// The promises as recorded. The tree of the newest is built at once.
    pub(super) fn new(key: eots::SecretKey, domains: Domains, promised: Vec<Commitment>) -> Self {
        let newest = promised.last().copied();
        let mut nonces = Self { key, domains, promised, trees: Vec::new() };
        if let Some(newest) = newest {
            nonces.tree(newest.first, newest.count);
        }
        nonces
    }

    /// The nonce of a checkpoint.
    pub(super) fn nonce(&self, slot: Height) -> eots::SecretNonce {
        let Domains { chain, bitcoin, .. } = self.domains;
        eots::nonce(&self.key, chain.as_bytes(), bitcoin.as_bytes(), slot.get())
    }

    /// The promise of a range: a new one, or the lowest recorded one that overlaps it, because a range asked for after a crash
    /// or on another head need not be the one asked for before, and promises never overlap (R19).
    pub(super) fn promise(&mut self, first: Height, count: u32) -> Result<Commitment, Refused> {
        let last = last(first, count, self.domains.interval).ok_or(Refused::BadRange)?;
        let interval = self.domains.interval;
        let overlaps = |known: &&Commitment| known.first <= last && first <= known.last(interval);
        if let Some(known) = self.promised.iter().filter(overlaps).min_by_key(|known| known.first) {
            return Ok(*known);
        }
        let root = Hash::new(self.tree(first, count).root());
        Ok(Commitment { first, count, root })
    }

    /// Takes in a promise that is on the disk now.
    pub(super) fn keep(&mut self, promise: Commitment) {
        if !self.promised.contains(&promise) {
            self.promised.push(promise);
        }
    }

    /// Shows that the nonce of a checkpoint was promised.
    pub(super) fn opening(&mut self, slot: Height) -> Result<Opening, Refused> {
        let interval = self.domains.interval;
        let found = self.promised.iter().find_map(|known| Some((*known, known.leaf(slot, interval)?)));
        let (commitment, leaf) = found.ok_or(Refused::NotCommitted)?;
        let proof =
            self.tree(commitment.first, commitment.count).proof(leaf).expect("the leaf is one of the promise's");
        let aunts: Vec<_> = proof.aunts.into_iter().map(Hash::new).collect();
        Ok(Opening { commitment, aunts: List::try_from(aunts).expect("a tree of 2^17 leaves is 17 deep") })
    }

    /// The tree of a range, built when it is not at hand.
    fn tree(&mut self, first: Height, count: u32) -> &eots::Commitment {
        let at = self.trees.iter().position(|(known, tree)| *known == first && tree.total() == u64::from(count));
        let tree = match at {
            Some(at) => self.trees.remove(at),
            None => (first, self.build(first, count)),
        };
        if self.trees.len() == MAX_TREES {
            self.trees.remove(0);
        }
        self.trees.push(tree);
        &self.trees[self.trees.len() - 1].1
    }

    fn build(&self, first: Height, count: u32) -> eots::Commitment {
        let slots = (0..u64::from(count)).map(|leaf| Height::new(first.get() + leaf * self.domains.interval));
        let nonces: Vec<_> = slots.map(|slot| self.nonce(slot).public()).collect();
        eots::commit(&nonces).expect("a promise covers at least one checkpoint")
    }
}

/// The last checkpoint of a range; `None` when there is no such range.
fn last(first: Height, count: u32, interval: u64) -> Option<Height> {
    let starts_at_checkpoint = first.get() > 0 && first.get().checked_rem(interval) == Some(0);
    let steps = u64::from(count).checked_sub(1).filter(|_| count <= MAX_COMMITTED && starts_at_checkpoint)?;
    steps.checked_mul(interval)?.checked_add(first.get()).map(Height::new)
}

/// How many trees are kept at hand: the one in use, the next, and two that late votes may ask for.
const MAX_TREES: usize = 4;
