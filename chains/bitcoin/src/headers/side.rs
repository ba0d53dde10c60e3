//! Valid headers beside the heaviest chain, in bounded memory.
//!
//! Every header here has done the work its place asks for, and hangs on the heaviest chain over headers that are here as well. When there are more
//! than [`MAX_SIDE_HEADERS`], the tip with the least work of its whole chain goes, and of equals the one that came last. So a
//! flood from a point where work is cheap throws out its own headers, and a branch that comes near the heaviest chain is the last to go.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};

use super::rules::Context;

/// How many headers beside the heaviest chain are kept: as many as one call may bring, a few hundred bytes each.
pub const MAX_SIDE_HEADERS: usize = 20_000;

/// A checked header, and the context of the next one.
#[derive(Clone, Debug)]
pub(super) struct SideLink {
    pub(super) header: Header,
    pub(super) context: Context,
}

/// The headers beside the heaviest chain: a forest whose roots' parents are on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    links: HashMap<BlockHash, (u64, SideLink)>,
    /// How many links each parent has here, whether it is here itself or on the heaviest chain.
    children: HashMap<BlockHash, u32>,
    /// Links without children, the one to go next first.
    tips: BTreeSet<(Work, Reverse<u64>, BlockHash)>,
    /// Numbers the links in the order they came.
    count: u64,
}

impl Side {
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn context(&self, hash: &BlockHash) -> Option<&Context> {
        self.links.get(hash).map(|(_, link)| &link.context)
    }

    /// Takes in a link whose parent is here or on the heaviest chain. There may be too many until the next [`Self::shrink`].
    pub(super) fn insert(&mut self, link: SideLink) {
        let (hash, parent, work) = (link.context.hash, link.header.prev_blockhash, link.context.work);
        let number = self.count;
        self.count += 1;
        if self.links.insert(hash, (number, link)).is_some() {
            return;
        }
        *self.children.entry(parent).or_default() += 1;
        if let Some((number, above)) = self.links.get(&parent) {
            self.tips.remove(&(above.context.work, Reverse(*number), parent));
        }
        if !self.children.contains_key(&hash) {
            self.tips.insert((work, Reverse(number), hash));
        }
    }

    /// Drops the least tips until no more headers are held than may be.
    pub(super) fn shrink(&mut self) {
        while self.links.len() > MAX_SIDE_HEADERS {
            let least = self.tips.first().map(|(.., hash)| *hash);
            self.remove(&least.expect("a forest that is not empty has a tip"));
        }
    }

    /// Takes out the links from the heaviest chain up to `tip`, lowest first. What else hangs on them stays.
    pub(super) fn take_branch(&mut self, tip: &BlockHash) -> Vec<SideLink> {
        let mut branch: Vec<SideLink> = Vec::new();
        let mut next = *tip;
        while let Some(link) = self.remove(&next) {
            next = link.header.prev_blockhash;
            branch.push(link);
        }
        branch.reverse();
        branch
    }

    fn remove(&mut self, hash: &BlockHash) -> Option<SideLink> {
        let (number, link) = self.links.remove(hash)?;
        self.tips.remove(&(link.context.work, Reverse(number), *hash));
        let parent = link.header.prev_blockhash;
        let left = self.children.get_mut(&parent).expect("a link was counted at its parent when it came");
        *left -= 1;
        if *left == 0 {
            self.children.remove(&parent);
            if let Some((number, above)) = self.links.get(&parent) {
                self.tips.insert((above.context.work, Reverse(*number), parent));
            }
        }
        Some(link)
    }
}
