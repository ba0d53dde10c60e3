//! The heaviest chain of headers, checked by ourselves.
//!
//! A header counts when it obeys its network's [`rules`]. Of two chains the one with strictly more work stands; with equal work the one we
//! had first. A block is final at depth k: `tip - height >= k` (R30). No endpoint is believed about any of this,
//! so that the heaviest of several endpoints' chains wins whoever shows it.
//!
//! **What strangers can make us hold.** A chain starts at a trusted header, and nothing forks off below it. Headers on top of the heaviest chain are kept,
//! 80 bytes each: its hash stands in the header above it, and work is kept for every 64th. Valid headers that fork off are kept to the number of
//! [`MAX_SIDE_HEADERS`]; the lightest go first ([`side`]), and a fork of up to [`MAX_HEADERS`] may also come whole in
//! one call, whatever is kept. So a flood of headers with little work costs a fixed amount of memory and nothing else. It could cost more only where the
//! heaviest chain itself is light: while a node starts, and somebody shows it a long chain made of old, cheap difficulty. There
//! [`HeaderChain::with_floor`] helps: below the work that the real chain is known to have nothing is final.
//!
//! What the work of testnets, signet and regtest is worth is said in [`rules`]: nothing. They are checked all the same.

mod index;
pub mod kept;
pub mod rules;
mod side;

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Network, Work};
use sha2::{Digest as _, Sha256};

use index::Index;
use rules::{Context, Costs, PERIOD, Rules};
pub use side::MAX_SIDE_HEADERS;
use side::{Side, SideLink};

/// The most headers one call may bring: no honest fork is longer.
pub const MAX_HEADERS: usize = 20_000;

/// Headers from a fixed start to the heaviest known tip, and some that fork off.
#[derive(Clone, Debug)]
pub struct HeaderChain {
    rules: Rules,
    costs: Costs,
    start: u32,
    /// The height below which nothing is replaced.
    trusted: u32,
    floor: Work,
    headers: Vec<Header>,
    /// The work from the beginning up to the start and every [`STRIDE`]th header after it.
    works: Vec<Work>,
    tip: Context,
    index: Index,
    side: Side,
    /// How many of `headers` were handed out to be kept, and have not changed since.
    kept: usize,
}

/// A header that is trusted: the node's operator, or a genesis file, says that it is on the chain.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// The height of the last of `headers`.
    pub height: u32,
    /// The trusted header, below it those it takes to check the next ones: from the first of its difficulty period on (at a multiple of 2016, and
    /// on regtest, it needs none), and ten more if the median time of the very next header is to be checked. Ascending.
    pub headers: &'a [Header],
    /// The work from the beginning of the chain up to the trusted header; or the header's own, and then all
    /// work counts from it.
    pub work: Work,
}

/// What new headers changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Nothing on the heaviest chain: all of them are known, or their chain has no more work than ours. Such headers are kept
    /// beside it as long as there is room, so that a fork may come in pieces.
    Unchanged,
    /// The chain has more work than before.
    Heavier {
        /// The last height both chains share.
        shared: u32,
        /// How many of our blocks above it are gone.
        replaced: u32,
    },
}

/// Why headers are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Bytes that are no whole number of headers.
    #[error("{0} bytes are no whole number of headers")]
    Ragged(usize),
    /// A chain can only start where the difficulty's period starts, or with the headers since then.
    #[error("a chain of headers cannot start at height {0}, inside a difficulty period")]
    Start(u32),
    /// The work a checkpoint claims is less than its headers' own, or more than any chain can have.
    #[error("the checkpoint's work is impossible")]
    StartWork,
    /// More headers than one call may bring.
    #[error("{0} headers at once")]
    TooMany(usize),
    /// The first header's parent is unknown.
    #[error("the parent {0} is unknown")]
    Unlinked(BlockHash),
    /// A header forks off below the trusted one.
    #[error("header at {0} forks off below the trusted header")]
    BelowCheckpoint(u32),
    /// A header does not link to the one before.
    #[error("header at {0} does not link to the one before")]
    Gap(u32),
    /// A header carries another difficulty than the rules ask for.
    #[error("header at {0} has the wrong difficulty")]
    Difficulty(u32),
    /// A header's hash is above its target.
    #[error("header at {0} lacks work")]
    NoWork(u32),
    /// A header is not later than the median of the eleven before it.
    #[error("header at {0} is too early")]
    TooEarly(u32),
    /// A period starts more than ten minutes before the last one ended (BIP-94, testnet 4).
    #[error("header at {0} is earlier than the end of the period before it")]
    Timewarp(u32),
    /// A header's time is more than two hours ahead of our clock: it is refused now and may be taken later, or our clock is slow.
    #[error("header at {height} is of {time}, more than two hours ahead of this machine's clock")]
    TooFarAhead {
        /// Where it would stand.
        height: u32,
        /// Its time, in seconds since 1970.
        time: u32,
    },
    /// A header's version is no longer allowed at its height (BIP-34, BIP-65, BIP-66).
    #[error("header at {0} has a version that is no longer allowed")]
    Version(u32),
    /// Heights do not fit their type.
    #[error("too many headers")]
    Overflow,
}

/// Reads headers, 80 bytes each, one after the other.
///
/// # Errors
///
/// [`HeaderError::Ragged`] and [`HeaderError::TooMany`].
pub fn read(bytes: &[u8]) -> Result<Vec<Header>, HeaderError> {
    let (whole, rest) = bytes.as_chunks::<HEADER_BYTES>();
    if !rest.is_empty() {
        return Err(HeaderError::Ragged(bytes.len()));
    }
    if whole.len() > MAX_HEADERS {
        return Err(HeaderError::TooMany(whole.len()));
    }
    let header = |bytes: &[u8; HEADER_BYTES]| encode::deserialize(bytes).expect("every 80 bytes are a header");
    Ok(whole.iter().map(header).collect())
}

impl HeaderChain {
    /// A chain that starts with one trusted header: genesis' anchor, or the first header of the period it lies in. Its work counts
    /// from there.
    ///
    /// # Errors
    ///
    /// As [`Self::from_checkpoint`].
    pub fn new(network: Network, start: u32, header: Header) -> Result<Self, HeaderError> {
        Self::from_checkpoint(network, Checkpoint { height: start, headers: &[header], work: header.work() })
    }

    /// A chain that starts with a trusted header and what is needed of those below it.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Start`] when too few are given, [`HeaderError::Gap`] when they do not link,
    /// [`HeaderError::Difficulty`] and [`HeaderError::NoWork`] when one is of another network, and
    /// [`HeaderError::StartWork`].
    pub fn from_checkpoint(network: Network, checkpoint: Checkpoint<'_>) -> Result<Self, HeaderError> {
        let Checkpoint { height, headers, work } = checkpoint;
        let rules = Rules::of(network);
        let count = u32::try_from(headers.len()).map_err(|_| HeaderError::TooMany(headers.len()))?;
        let start = height.checked_add(1).and_then(|end| end.checked_sub(count)).ok_or(HeaderError::Start(height))?;
        let Some((first, above)) = headers.split_first().filter(|_| start <= Self::start_for(network, height)) else {
            return Err(HeaderError::Start(start));
        };
        let mut costs = Costs::new(first.bits);
        let own = check_trusted(&rules, &mut costs, start, headers)?;
        if own > work || work.to_be_bytes()[0] != 0 {
            return Err(HeaderError::StartWork);
        }
        let (hash, work) = (hash(first), work - own + costs.of(first.bits).work);
        let at = |height| (height == start).then_some(first);
        let tip = Context::of(&rules, start, hash, work, at).ok_or(HeaderError::Start(start))?;
        let mut index = Index::default();
        index.insert(&hash, start);
        let mut chain = Self {
            rules,
            costs,
            start,
            trusted: height,
            floor: Work::from_be_bytes([0; 32]),
            headers: vec![*first],
            works: vec![work],
            tip,
            index,
            side: Side::default(),
            kept: 0,
        };
        chain.put(above);
        Ok(chain)
    }

    /// The same chain, of which nothing is final before it has this much work (counted as the checkpoint's is): what the
    /// real chain is known to have had at some time.
    #[must_use]
    pub fn with_floor(self, floor: Work) -> Self {
        Self { floor, ..self }
    }

    /// Where a chain must start so that every difficulty from `height` on can be checked.
    pub fn start_for(network: Network, height: u32) -> u32 {
        match Rules::of(network).retargets() {
            true => height - height % PERIOD,
            false => height,
        }
    }

    /// The first height held.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The tip's height.
    pub fn tip(&self) -> u32 {
        self.tip.height
    }

    /// The work from the start to the tip; from the beginning, when the checkpoint said how much it had.
    pub fn work(&self) -> Work {
        self.tip.work
    }

    /// The newest final height at depth `k`; `None` while the chain is too short, or lighter than its floor.
    pub fn final_height(&self, k: u32) -> Option<u32> {
        self.tip().checked_sub(k).filter(|height| *height >= self.start && self.work() >= self.floor)
    }

    /// The header at `height`.
    pub fn header(&self, height: u32) -> Option<&Header> {
        self.headers.get(self.place(height)?)
    }

    /// The block hash at `height`.
    pub fn hash(&self, height: u32) -> Option<BlockHash> {
        let place = self.place(height)?;
        match self.headers.get(place + 1) {
            Some(above) => Some(above.prev_blockhash),
            None => (height == self.tip.height).then_some(self.tip.hash),
        }
    }

    /// Where a block stands on the heaviest chain.
    pub fn height(&self, hash: &BlockHash) -> Option<u32> {
        self.index.find(hash, |height| self.hash(height) == Some(*hash))
    }

    /// How many headers are held beside the heaviest chain.
    pub fn aside(&self) -> usize {
        self.side.len()
    }

    fn place(&self, height: u32) -> Option<usize> {
        usize::try_from(height.checked_sub(self.start)?).ok()
    }

    /// Checks headers in ascending order, and follows them if their chain has strictly more work. `now` is the caller's clock in
    /// seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`HeaderError`]: nothing changes, and none of them is kept. Whoever sent an invalid header is no honest endpoint, but for
    /// [`HeaderError::TooFarAhead`], which may be our own clock's fault.
    pub fn extend(&mut self, headers: &[Header], now: u64) -> Result<Extension, HeaderError> {
        if headers.len() > MAX_HEADERS {
            return Err(HeaderError::TooMany(headers.len()));
        }
        let hashes: Vec<BlockHash> = headers.iter().map(hash).collect();
        let known = hashes.iter().take_while(|hash| self.holds(hash)).count();
        let (headers, hashes) = (&headers[known..], &hashes[known..]);
        match headers.first() {
            None => Ok(Extension::Unchanged),
            Some(first) if first.prev_blockhash == self.tip.hash => self.extend_tip(headers, hashes, now),
            Some(first) => self.extend_side(&first.prev_blockhash, headers, hashes, now),
        }
    }

    fn extend_tip(&mut self, headers: &[Header], hashes: &[BlockHash], now: u64) -> Result<Extension, HeaderError> {
        let shared = self.tip.height;
        let mut tip = self.tip;
        for (header, hash) in headers.iter().zip(hashes) {
            tip.take(&self.rules, &mut self.costs, header, *hash, now)?;
        }
        self.append(headers, tip);
        Ok(Extension::Heavier { shared, replaced: 0 })
    }

    fn extend_side(
        &mut self,
        parent: &BlockHash,
        headers: &[Header],
        hashes: &[BlockHash],
        now: u64,
    ) -> Result<Extension, HeaderError> {
        let mut context = self.context(parent).ok_or(HeaderError::Unlinked(*parent))?;
        if context.height < self.trusted {
            return Err(HeaderError::BelowCheckpoint(context.height + 1));
        }
        let mut branch = Vec::with_capacity(headers.len());
        for (header, hash) in headers.iter().zip(hashes) {
            context.take(&self.rules, &mut self.costs, header, *hash, now)?;
            branch.push(SideLink { header: *header, context });
        }
        if context.work > self.tip.work {
            return Ok(self.follow(parent, branch));
        }
        self.keep(branch);
        Ok(Extension::Unchanged)
    }

    /// Makes a branch on top of `parent` the heaviest chain. What it replaces is kept beside it.
    fn follow(&mut self, parent: &BlockHash, branch: Vec<SideLink>) -> Extension {
        let mut whole = self.side.take_branch(parent);
        whole.extend(branch);
        let shared = whole[0].context.height - 1;
        let gone = self.tip.height - shared;
        let replaced = self.cut(shared);
        let headers: Vec<Header> = whole.iter().map(|link| link.header).collect();
        self.append(&headers, whole[whole.len() - 1].context);
        self.keep(replaced);
        Extension::Heavier { shared, replaced: gone }
    }

    fn keep(&mut self, branch: Vec<SideLink>) {
        branch.into_iter().for_each(|link| self.side.insert(link));
        self.side.shrink();
    }

    fn holds(&self, hash: &BlockHash) -> bool {
        self.height(hash).is_some() || self.side.context(hash).is_some()
    }

    /// What a header on top of the one with this hash has to be checked against.
    fn context(&self, hash: &BlockHash) -> Option<Context> {
        match self.height(hash) {
            Some(height) => self.context_at(height),
            None => self.side.context(hash).copied(),
        }
    }

    fn context_at(&self, height: u32) -> Option<Context> {
        let (hash, work) = (self.hash(height)?, self.work_at(height)?);
        Context::of(&self.rules, height, hash, work, |height| self.header(height))
    }

    fn work_at(&self, height: u32) -> Option<Work> {
        let place = self.place(height)?;
        let marked = place - place % STRIDE;
        let mut costs = self.costs.clone();
        let above = self.headers.get(marked + 1..=place)?;
        let work = *self.works.get(place / STRIDE)?;
        Some(above.iter().fold(work, |work, header| work + costs.of(header.bits).work))
    }

    /// Puts headers on top that need no check.
    fn put(&mut self, headers: &[Header]) {
        let mut tip = self.tip;
        for header in headers {
            tip.put(&self.rules, header, hash(header), self.costs.of(header.bits).work);
        }
        self.append(headers, tip);
    }

    /// Stores headers on top of the tip, which becomes `tip`.
    fn append(&mut self, headers: &[Header], tip: Context) {
        self.index.reserve(headers.len());
        let mut work = self.tip.work;
        let above = headers.iter().skip(1).map(|above| above.prev_blockhash).chain([tip.hash]);
        for ((header, hash), height) in headers.iter().zip(above).zip(self.tip.height + 1..) {
            work = work + self.costs.of(header.bits).work;
            if self.headers.len().is_multiple_of(STRIDE) {
                self.works.push(work);
            }
            self.headers.push(*header);
            self.index.insert(&hash, height);
        }
        self.tip = tip;
    }

    /// Takes everything above `shared` off the heaviest chain.
    fn cut(&mut self, shared: u32) -> Vec<SideLink> {
        let (old, keep) = (self.tip, self.place(shared).expect("a shared height is held") + 1);
        self.tip = self.context_at(shared).expect("a shared height is held");
        let gone = self.headers.split_off(keep);
        self.kept = self.kept.min(keep);
        self.works.truncate(keep.div_ceil(STRIDE));
        let mut context = self.tip;
        let hashes = gone.iter().skip(1).map(|above| above.prev_blockhash).chain([old.hash]);
        let mut links = Vec::with_capacity(gone.len());
        for (header, hash) in gone.iter().zip(hashes) {
            context.put(&self.rules, header, hash, self.costs.of(header.bits).work);
            self.index.remove(&hash, context.height);
            links.push(SideLink { header: *header, context });
        }
        links
    }
}

/// Checks what can be checked of trusted headers: that they link, did their work, and could be of this network. Returns their work.
fn check_trusted(rules: &Rules, costs: &mut Costs, start: u32, headers: &[Header]) -> Result<Work, HeaderError> {
    let mut sum = Work::from_be_bytes([0; 32]);
    let mut below = None;
    for (header, height) in headers.iter().zip(start..) {
        let (hash, cost) = (hash(header), costs.of(header.bits));
        if below.is_some_and(|below| header.prev_blockhash != below) {
            return Err(HeaderError::Gap(height));
        }
        if !rules.allow(header.bits) {
            return Err(HeaderError::Difficulty(height));
        }
        if !cost.target.is_met_by(hash) {
            return Err(HeaderError::NoWork(height));
        }
        sum = sum + cost.work;
        below = Some(hash);
    }
    Ok(sum)
}

/// A header's hash, computed where the processor's own SHA-256 is used.
fn hash(header: &Header) -> BlockHash {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&header.version.to_consensus().to_le_bytes());
    bytes[4..36].copy_from_slice(header.prev_blockhash.as_byte_array());
    bytes[36..68].copy_from_slice(header.merkle_root.as_byte_array());
    bytes[68..72].copy_from_slice(&header.time.to_le_bytes());
    bytes[72..76].copy_from_slice(&header.bits.to_consensus().to_le_bytes());
    bytes[76..].copy_from_slice(&header.nonce.to_le_bytes());
    BlockHash::from_byte_array(Sha256::digest(Sha256::digest(bytes)).into())
}

/// The length of a header.
pub const HEADER_BYTES: usize = 80;

/// Headers between two for which the work up to them is kept.
const STRIDE: usize = 64;
