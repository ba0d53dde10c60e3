//! The heaviest chain of headers, checked by ourselves.
//!
//! A header counts when it links to one we hold, carries the difficulty the rules ask for at its height, has done that work, and
//! is later than the median of the eleven before it. Of two chains the one with strictly more work stands; with equal work the one we
//! had first. A block is final at depth k: `tip - height >= k` (R30). No endpoint is believed about any of this,
//! so that the heaviest of several endpoints' chains wins whoever shows it.
//!
//! Networks with exceptional minimum-difficulty blocks (testnet 3 and 4) are refused: there, work does not measure cost.

use std::collections::HashMap;

use bitcoin::block::Header;
use bitcoin::consensus::Params;
use bitcoin::{BlockHash, CompactTarget, Network, Work};

/// The most headers one call may bring: a fork must come whole, and no honest one is longer.
pub const MAX_HEADERS: usize = 20_000;

/// Headers from a fixed start to the heaviest known tip.
#[derive(Clone, Debug)]
pub struct HeaderChain {
    params: Params,
    start: u32,
    links: Vec<Link>,
    heights: HashMap<BlockHash, u32>,
}

/// One header with the work of everything from the start up to it.
#[derive(Clone, Copy, Debug)]
struct Link {
    header: Header,
    hash: BlockHash,
    work: Work,
}

/// What new headers changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Nothing: all of them are known, or their chain has no more work than ours.
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
    /// The network's difficulty rules do not measure work.
    #[error("headers of {0} cannot be followed by work")]
    Network(Network),
    /// A chain can only start where the difficulty's period starts.
    #[error("a chain of headers cannot start at height {0}, inside a difficulty period")]
    Start(u32),
    /// More headers than one call may bring.
    #[error("{0} headers at once")]
    TooMany(usize),
    /// The first header's parent is unknown.
    #[error("the parent {0} is unknown")]
    Unlinked(BlockHash),
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
    /// Heights do not fit their type.
    #[error("too many headers")]
    Overflow,
}

impl HeaderChain {
    /// A chain that starts with one trusted header: genesis' anchor, or the first header of the period it lies in.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Network`] and [`HeaderError::Start`].
    pub fn new(network: Network, start: u32, header: Header) -> Result<Self, HeaderError> {
        let params = Params::new(network);
        if params.allow_min_difficulty_blocks && !params.no_pow_retargeting {
            return Err(HeaderError::Network(network));
        }
        if start != Self::start_for(network, start) {
            return Err(HeaderError::Start(start));
        }
        let link = Link { header, hash: header.block_hash(), work: header.work() };
        Ok(Self { params, start, links: vec![link], heights: HashMap::from([(link.hash, start)]) })
    }

    /// Where a chain must start so that every difficulty from `height` on can be checked.
    pub fn start_for(network: Network, height: u32) -> u32 {
        match Params::new(network).no_pow_retargeting {
            true => height,
            false => height - height % PERIOD,
        }
    }

    /// The first height held.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The tip's height.
    pub fn tip(&self) -> u32 {
        self.start + u32::try_from(self.links.len() - 1).expect("heights were checked when headers were added")
    }

    /// The work from the start to the tip.
    pub fn work(&self) -> Work {
        self.links.last().expect("a chain holds its start").work
    }

    /// The newest final height at depth `k`; `None` while the chain is too short.
    pub fn final_height(&self, k: u32) -> Option<u32> {
        self.tip().checked_sub(k).filter(|height| *height >= self.start)
    }

    /// The header at `height`.
    pub fn header(&self, height: u32) -> Option<&Header> {
        self.link(height).map(|link| &link.header)
    }

    /// The block hash at `height`.
    pub fn hash(&self, height: u32) -> Option<BlockHash> {
        self.link(height).map(|link| link.hash)
    }

    /// Where a block stands on the heaviest chain.
    pub fn height(&self, hash: &BlockHash) -> Option<u32> {
        self.heights.get(hash).copied()
    }

    fn link(&self, height: u32) -> Option<&Link> {
        self.links.get(usize::try_from(height.checked_sub(self.start)?).ok()?)
    }

    /// Checks headers in ascending order and takes them if their chain has strictly more work. A fork must come whole.
    ///
    /// # Errors
    ///
    /// [`HeaderError`]: nothing changes. Whoever sent an invalid header is no honest endpoint.
    pub fn extend(&mut self, headers: &[Header]) -> Result<Extension, HeaderError> {
        if headers.len() > MAX_HEADERS {
            return Err(HeaderError::TooMany(headers.len()));
        }
        let known = headers.iter().take_while(|header| self.heights.contains_key(&header.block_hash())).count();
        let Some(first) = headers.get(known) else {
            return Ok(Extension::Unchanged);
        };
        let shared = self.height(&first.prev_blockhash).ok_or(HeaderError::Unlinked(first.prev_blockhash))?;
        let branch = self.check(shared, &headers[known..])?;
        let heavier = branch.last().is_some_and(|link| link.work > self.work());
        if !heavier {
            return Ok(Extension::Unchanged);
        }
        let replaced = self.tip() - shared;
        self.replace(shared, branch);
        Ok(Extension::Heavier { shared, replaced })
    }

    fn check(&self, shared: u32, headers: &[Header]) -> Result<Vec<Link>, HeaderError> {
        let mut branch: Vec<Link> = Vec::with_capacity(headers.len());
        for header in headers {
            let link = self.check_next(shared, &branch, header)?;
            branch.push(link);
        }
        Ok(branch)
    }

    /// Checks one header on top of `branch`, which forks off after `shared`.
    fn check_next(&self, shared: u32, branch: &[Link], header: &Header) -> Result<Link, HeaderError> {
        let at = |height: u32| match height.checked_sub(shared + 1) {
            Some(above) => branch.get(usize::try_from(above).ok()?),
            None => self.link(height),
        };
        let grown = u32::try_from(branch.len()).map_err(|_| HeaderError::Overflow)?;
        let height = shared.checked_add(grown).and_then(|height| height.checked_add(1)).ok_or(HeaderError::Overflow)?;
        let parent = at(height - 1).ok_or(HeaderError::Gap(height))?;
        if header.prev_blockhash != parent.hash {
            return Err(HeaderError::Gap(height));
        }
        if header.bits != self.required_bits(height, parent, at) {
            return Err(HeaderError::Difficulty(height));
        }
        let hash = header.validate_pow(header.target()).map_err(|_| HeaderError::NoWork(height))?;
        if median_time(height, at).is_some_and(|median| header.time <= median) {
            return Err(HeaderError::TooEarly(height));
        }
        Ok(Link { header: *header, hash, work: parent.work + header.work() })
    }

    /// The difficulty changes every 2016 blocks, by how long the 2015 intervals of the period before took.
    fn required_bits<'a>(&self, height: u32, parent: &Link, at: impl Fn(u32) -> Option<&'a Link>) -> CompactTarget {
        if self.params.no_pow_retargeting || !height.is_multiple_of(PERIOD) {
            return parent.header.bits;
        }
        let first = height.checked_sub(PERIOD).and_then(at).expect("a chain starts with a period");
        let timespan = parent.header.time.saturating_sub(first.header.time);
        CompactTarget::from_next_work_required(parent.header.bits, u64::from(timespan), &self.params)
    }

    fn replace(&mut self, shared: u32, branch: Vec<Link>) {
        let keep = usize::try_from(shared - self.start + 1).expect("a height above the start fits");
        for link in self.links.drain(keep..) {
            self.heights.remove(&link.hash);
        }
        for (link, height) in branch.into_iter().zip(shared + 1..) {
            self.heights.insert(link.hash, height);
            self.links.push(link);
        }
    }
}

/// The median time of the eleven blocks below `height`; `None` when the chain starts less than eleven below, for then the real median
/// is unknown and an honest header could be refused.
fn median_time<'a>(height: u32, at: impl Fn(u32) -> Option<&'a Link>) -> Option<u32> {
    let lowest = height.checked_sub(MEDIAN_SPAN)?;
    let mut times = (lowest..height).map(|below| at(below).map(|link| link.header.time)).collect::<Option<Vec<_>>>()?;
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Blocks between two changes of difficulty.
const PERIOD: u32 = 2016;

/// Blocks whose median time a header must pass.
const MEDIAN_SPAN: u32 = 11;
