//! What other operators know of Bitcoin, and our own endpoints do not show (R30).
//!
//! Operators tell each other their best header and work. Whoever claims more must prove it with headers, which are checked like
//! any others and believed for nothing but their work: blocks come from our own endpoints alone. As long as these do not show
//! as much work, our anchor stands still. So it does while their tip is hours behind the clock: then nobody shows them anything.

use std::time::{Duration, Instant};

use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Work};
use palisade_types::Hash;
use palisade_types::chain::ChainError;

use crate::bitcoin::{Bitcoin, Newest, header_error, now as clock};
use crate::headers::{self, HeaderChain};

/// The most hashes by which a peer says what it holds.
pub const MAX_LOCATOR: usize = 32;
/// The most headers of one answer.
pub const HEADERS_AT_ONCE: usize = 2_000;

/// Why the anchor stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Frozen {
    /// Our endpoints' newest block is old: they may be cut off.
    #[error("the newest block of our own endpoints is {age_s} s old")]
    Stale {
        /// By this machine's clock, seconds.
        age_s: u64,
    },
    /// Others proved more work than our endpoints show.
    #[error("other operators know a heavier chain, up to block {0}, than our own endpoints show")]
    Heavier(BlockHash),
}

/// A chain that another operator proved and our endpoints do not show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    work: Work,
    tip: BlockHash,
    since: Instant,
}

/// What a peer's headers are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Our endpoints show as much work.
    Known,
    /// They do not: the anchor stands still from soon on.
    Heavier,
}

impl Bitcoin {
    /// The heaviest chain's tip as of the last look at our endpoints; `None` only for a work that cannot be told.
    pub async fn best(&self) -> Option<Newest> {
        newest(&*self.headers().lock().await)
    }

    /// Hashes of our chain, from the tip down in steps that double.
    pub async fn locator(&self) -> Vec<Hash> {
        let headers = self.headers().lock().await;
        let (mut at, mut step, mut hashes) = (headers.tip(), 1_u32, Vec::new());
        while hashes.len() < MAX_LOCATOR - 1 && at > headers.start() {
            hashes.extend(headers.hash(at));
            at = at.saturating_sub(step).max(headers.start());
            step = step.saturating_mul(2);
        }
        hashes.extend(headers.hash(headers.start()));
        hashes.into_iter().map(|hash| Hash::new(hash.to_byte_array())).collect()
    }

    /// Headers of our chain after the newest block of `locator` that is on it, 80 bytes each; none when none is.
    pub async fn headers_after(&self, locator: &[Hash]) -> Vec<u8> {
        let headers = self.headers().lock().await;
        let heights = locator.iter().take(MAX_LOCATOR).map(|hash| BlockHash::from_byte_array(*hash.as_bytes()));
        let Some(shared) = heights.filter_map(|hash| headers.height(&hash)).max() else { return Vec::new() };
        let ours = (shared.saturating_add(1)..=headers.tip()).take(HEADERS_AT_ONCE);
        ours.filter_map(|height| headers.header(height)).flat_map(encode::serialize).collect()
    }

    /// Judges headers that a peer sent to prove its work, ascending; `now` is when.
    ///
    /// # Errors
    ///
    /// [`ChainError::Lied`]: no honest peer sends such headers. [`ChainError::Unavailable`] when they are ahead of our clock.
    pub async fn hear(&self, bytes: &[u8], now: Instant) -> Result<Heard, ChainError> {
        let branch = headers::read(bytes).map_err(header_error)?;
        // Weighed on a copy: what our own chain is, our own endpoints say.
        let mut theirs = self.headers().lock().await.clone();
        theirs.extend(&branch, clock()).map_err(header_error)?;
        let ours = self.headers().lock().await.work();
        let Some(tip) = theirs.hash(theirs.tip()).filter(|_| theirs.work() > ours) else {
            return Ok(Heard::Known);
        };
        let mut claim = self.claim();
        let since = claim.map_or(now, |claim| claim.since);
        if claim.is_none_or(|claim| theirs.work() > claim.work) {
            *claim = Some(Claim { work: theirs.work(), tip, since });
        }
        Ok(Heard::Heavier)
    }

    /// Refuses while others know a heavier chain for longer than our endpoints may take to show it.
    pub(crate) async fn check_elsewhere(&self) -> Result<(), ChainError> {
        let ours = self.headers().lock().await.work();
        let mut claim = self.claim();
        *claim = claim.filter(|claim| claim.work > ours);
        match *claim {
            Some(Claim { since, tip, .. }) if since.elapsed() >= self.grace() => Err(frozen(Frozen::Heavier(tip))),
            _ => Ok(()),
        }
    }

    /// Refuses while our endpoints' tip is too far behind the clock. `now` is in seconds since 1970.
    pub(crate) async fn check_age(&self, now: u64) -> Result<(), ChainError> {
        let headers = self.headers().lock().await;
        let time = headers.header(headers.tip()).map_or(0, |header| u64::from(header.time));
        match stale(time, now, self.max_tip_age()) {
            Some(reason) => Err(frozen(reason)),
            None => Ok(()),
        }
    }
}

fn frozen(reason: Frozen) -> ChainError {
    ChainError::Unavailable { doing: "moving Bitcoin's anchor".to_owned(), source: Box::new(reason) }
}

fn stale(time: u64, now: u64, limit: Duration) -> Option<Frozen> {
    let age_s = now.saturating_sub(time);
    (age_s > limit.as_secs()).then_some(Frozen::Stale { age_s })
}

pub(crate) fn newest(headers: &HeaderChain) -> Option<Newest> {
    let tip = headers.tip();
    let (hash, header) = (headers.hash(tip)?, headers.header(tip)?);
    Some(Newest { point: crate::bitcoin::point(tip, hash, header.time), work: headers.work().to_be_bytes() })
}

/// A header's block hash.
#[must_use]
pub fn name(header: &[u8; 80]) -> Hash {
    Hash::new(bitcoin::hashes::sha256d::Hash::hash(header).to_byte_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r30_a_tip_is_stale_when_it_is_older_than_the_limit_and_not_when_it_is_ahead_of_the_clock() {
        let limit = Duration::from_secs(100);
        assert_eq!(stale(1_000, 1_100, limit), None);
        assert_eq!(stale(1_000, 1_101, limit), Some(Frozen::Stale { age_s: 101 }));
        assert_eq!(stale(1_000, 900, limit), None);
    }
}
