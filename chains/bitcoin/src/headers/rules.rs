//! What a network asks of a header, from the headers below it.
//!
//! The rules are Bitcoin Core's (`pow.cpp`: `GetNextWorkRequired`; `validation.cpp`: `ContextualCheckBlockHeader`):
//! 1. The difficulty is the one before, and changes every 2016 blocks by how long the 2015 intervals of the period took, within a factor of four.
//!    Testnet 3 and 4 have an exception: a block more than twenty minutes after the one before must have the least difficulty, and the next
//!    one goes back to the last difficulty that was no exception. Testnet 4 (BIP-94) retargets from the first block of the period, which
//!    is never an exception; testnet 3 from the last, which may be, and then all difficulty is lost. Regtest always asks for the least.
//! 2. The hash is at or below the target.
//! 3. The time is later than the median of the eleven before. On testnet 4 the first of a period is at most ten minutes earlier than the one before it.
//! 4. The time is at most two hours ahead of the caller's clock.
//! 5. The version is at least 2, 3 and 4 from the heights of BIP-34, BIP-66 and BIP-65 on.
//!
//! What work costs follows from rule 1. On testnet 3 and 4 a difficulty-1 block can be made whenever twenty minutes of *claimed* time pass, on
//! signet a block is valid by a signature that is not in its header, and on regtest work is free: there the heaviest chain is whatever
//! somebody wants it to be, and only mainnet's work says anything about cost.

use bitcoin::block::Header;
use bitcoin::consensus::Params;
use bitcoin::{BlockHash, CompactTarget, Network, Target, Work};

use super::HeaderError;

/// Blocks between two changes of difficulty.
pub const PERIOD: u32 = 2_016;

/// How far ahead of the caller's clock a header's time may be, in seconds.
pub const MAX_FUTURE_SECONDS: u64 = 7_200;

/// One network's rules.
#[derive(Clone, Debug)]
pub struct Rules {
    params: Params,
    easiest: CompactTarget,
    /// BIP-94.
    testnet4: bool,
    /// From which heights on versions below 2, 3 and 4 are refused.
    versions: [u32; 3],
}

impl Rules {
    /// The rules of a network.
    #[must_use]
    pub fn of(network: Network) -> Self {
        let params = Params::new(network);
        let versions = match network {
            // Core has them in force from the first block; the crate's parameters carry Core's old test heights.
            Network::Regtest => [1; 3],
            _ => [params.bip34_height, params.bip66_height, params.bip65_height],
        };
        let easiest = params.max_attainable_target.to_compact_lossy();
        Self { params, easiest, testnet4: network == Network::Testnet4, versions }
    }

    /// Whether the difficulty ever changes: not on regtest.
    #[must_use]
    pub fn retargets(&self) -> bool {
        !self.params.no_pow_retargeting
    }

    /// Whether late blocks have the least difficulty: on testnet 3 and 4.
    fn excepts(&self) -> bool {
        self.params.allow_min_difficulty_blocks && self.retargets()
    }

    /// The difficulty of the period after the one that starts with `first` and ends with `last`. Times that run backwards count as none.
    #[must_use]
    pub fn retarget(&self, first: &Header, last: &Header) -> CompactTarget {
        self.after_period(Mark::of(first), Mark::of(last))
    }

    fn after_period(&self, first: Mark, last: Mark) -> CompactTarget {
        let timespan = u64::from(last.time.saturating_sub(first.time));
        let from = if self.testnet4 { first.bits } else { last.bits };
        CompactTarget::from_next_work_required(from, timespan, &self.params)
    }

    /// Whether a difficulty can be one of this network's at all.
    pub(super) fn allow(&self, bits: CompactTarget) -> bool {
        let target = Target::from_compact(bits);
        target <= self.params.max_attainable_target && target.to_compact_lossy() == bits
    }

    /// The lowest block version allowed at `height`.
    fn oldest_version(&self, height: u32) -> i32 {
        let in_force = self.versions.iter().zip(2..).filter(|(from, _)| **from <= height);
        in_force.map(|(_, version)| version).max().unwrap_or(i32::MIN)
    }
}

/// The time and difficulty of one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    time: u32,
    bits: CompactTarget,
}

impl Mark {
    fn of(header: &Header) -> Self {
        Self { time: header.time, bits: header.bits }
    }
}

/// All that checking the next header needs to know of the chain below it, so that no header is looked up twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// Of the header on top.
    pub(super) height: u32,
    /// Of the header on top.
    pub(super) hash: BlockHash,
    /// Of the whole chain, the header on top included.
    pub(super) work: Work,
    last: Mark,
    /// The first of the period the header on top lies in.
    first: Mark,
    /// The last difficulty that was no exception (testnet 3 and 4).
    base: CompactTarget,
    /// The times of the newest headers, each at its height modulo eleven. Unknown ones are never earlier than anything.
    times: [u32; MEDIAN_SPAN],
    known: u32,
}

impl Context {
    /// The context of a header of the heaviest chain, which `at` shows as far down as it is held.
    pub(super) fn of<'a>(
        rules: &Rules,
        height: u32,
        hash: BlockHash,
        work: Work,
        at: impl Fn(u32) -> Option<&'a Header>,
    ) -> Option<Self> {
        let last = at(height)?;
        // Where a chain starts inside a period, on regtest, nothing depends on the period's first.
        let first = at(height - height % PERIOD).unwrap_or(last);
        let mut base = (height, last.bits);
        while rules.excepts() && base.1 == rules.easiest && !base.0.is_multiple_of(PERIOD) {
            base = (base.0 - 1, at(base.0 - 1)?.bits);
        }
        let mut context = Self {
            height,
            hash,
            work,
            last: Mark::of(last),
            first: Mark::of(first),
            base: base.1,
            times: [u32::MAX; MEDIAN_SPAN],
            known: 0,
        };
        let newest = (0..SPAN).map_while(|below| height.checked_sub(below));
        for (height, header) in newest.map_while(|height| Some((height, at(height)?))) {
            context.remember(height, header.time);
        }
        Some(context)
    }

    /// Puts a header on top that was checked before.
    pub(super) fn put(&mut self, rules: &Rules, header: &Header, hash: BlockHash, work: Work) {
        self.height += 1;
        self.hash = hash;
        self.work = self.work + work;
        self.last = Mark::of(header);
        if self.height.is_multiple_of(PERIOD) {
            self.first = self.last;
            self.base = self.last.bits;
        } else if self.last.bits != rules.easiest {
            self.base = self.last.bits;
        }
        self.remember(self.height, header.time);
    }

    /// Checks the next header and puts it on top.
    ///
    /// # Errors
    ///
    /// [`HeaderError`]: the context is as it was.
    pub(super) fn take(
        &mut self,
        rules: &Rules,
        costs: &mut Costs,
        header: &Header,
        hash: BlockHash,
        now: u64,
    ) -> Result<(), HeaderError> {
        self.height.checked_add(1).ok_or(HeaderError::Overflow)?;
        self.check(rules, header, now)?;
        let cost = costs.of(header.bits);
        if !cost.target.is_met_by(hash) {
            return Err(HeaderError::NoWork(self.height + 1));
        }
        self.put(rules, header, hash, cost.work);
        Ok(())
    }

    /// Checks everything about the next header but its work.
    fn check(&self, rules: &Rules, header: &Header, now: u64) -> Result<(), HeaderError> {
        let height = self.height + 1;
        if header.prev_blockhash != self.hash {
            return Err(HeaderError::Gap(height));
        }
        if header.bits != self.required_bits(rules, header) {
            return Err(HeaderError::Difficulty(height));
        }
        if !self.after_median(header.time) {
            return Err(HeaderError::TooEarly(height));
        }
        let boundary = height.is_multiple_of(PERIOD);
        if rules.testnet4 && boundary && u64::from(header.time) + MAX_TIMEWARP_SECONDS < u64::from(self.last.time) {
            return Err(HeaderError::Timewarp(height));
        }
        if u64::from(header.time) > now.saturating_add(MAX_FUTURE_SECONDS) {
            return Err(HeaderError::TooFarAhead { height, time: header.time });
        }
        match header.version.to_consensus() < rules.oldest_version(height) {
            true => Err(HeaderError::Version(height)),
            false => Ok(()),
        }
    }

    fn required_bits(&self, rules: &Rules, header: &Header) -> CompactTarget {
        if !rules.retargets() {
            return rules.easiest;
        }
        if (self.height + 1).is_multiple_of(PERIOD) {
            return rules.after_period(self.first, self.last);
        }
        if !rules.excepts() {
            return self.last.bits;
        }
        let patience = 2 * rules.params.pow_target_spacing;
        match u64::from(header.time) > u64::from(self.last.time) + patience {
            true => rules.easiest,
            false => self.base,
        }
    }

    /// Whether a time is later than the median of the eleven before, of all before where there are fewer: then more than half are earlier, and
    /// nothing needs sorting. While a chain that starts above genesis holds fewer, the median is unknown, and an honest
    /// header could be refused: any time will do.
    fn after_median(&self, time: u32) -> bool {
        let all = self.known == self.height.saturating_add(1).min(SPAN);
        let earlier = self.times.iter().filter(|before| **before < time).count();
        !all || earlier > usize::try_from(self.known / 2).expect("at most eleven")
    }

    fn remember(&mut self, height: u32, time: u32) {
        self.times[usize::try_from(height % SPAN).expect("at most eleven")] = time;
        self.known = (self.known + 1).min(SPAN);
    }
}

/// What a difficulty means. Turning it into work takes a division of 256 bits, so that the two newest are remembered: the testnets
/// alternate between two, all others keep one for a period.
#[derive(Clone, Debug)]
pub(super) struct Costs([Cost; 2]);

#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    bits: CompactTarget,
    pub(super) target: Target,
    pub(super) work: Work,
}

impl Costs {
    pub(super) fn new(bits: CompactTarget) -> Self {
        Self([Cost::of(bits); 2])
    }

    pub(super) fn of(&mut self, bits: CompactTarget) -> Cost {
        if self.0[0].bits != bits {
            self.0.swap(0, 1);
        }
        if self.0[0].bits != bits {
            self.0[0] = Cost::of(bits);
        }
        self.0[0]
    }
}

impl Cost {
    fn of(bits: CompactTarget) -> Self {
        let target = Target::from_compact(bits);
        Self { bits, target, work: target.to_work() }
    }
}

/// Blocks whose median time a header must pass.
const MEDIAN_SPAN: usize = 11;
const SPAN: u32 = 11;

/// BIP-94: how much earlier than the last of a period the first of the next may be.
const MAX_TIMEWARP_SECONDS: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::block::Version;
    use bitcoin::hashes::Hash as _;
    use bitcoin::{TxMerkleNode, constants::genesis_block};

    const ALL: [Network; 5] =
        [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

    /// A time that is not ahead of any clock.
    const NOW: u64 = u32::MAX as u64;

    /// A header without work, which nothing here looks at; its version is allowed at any height.
    fn header(below: &Header, bits: CompactTarget, time: u32) -> Header {
        let version = Version::from_consensus(4);
        let merkle_root = TxMerkleNode::all_zeros();
        Header { version, prev_blockhash: below.block_hash(), merkle_root, time, bits, nonce: 0 }
    }

    fn begin(rules: &Rules, network: Network, height: u32) -> (Header, Context) {
        let first = genesis_block(network).header;
        let at = |asked| (asked == height).then_some(&first);
        (first, Context::of(rules, height, first.block_hash(), first.work(), at).unwrap())
    }

    fn put(context: &mut Context, rules: &Rules, header: &Header) {
        context.put(rules, header, header.block_hash(), header.work());
    }

    /// `GetNextWorkRequired` as Core writes it, with every header at hand from genesis on.
    fn core_bits(network: Network, headers: &[Header], time: u32) -> CompactTarget {
        let (params, last) = (Params::new(network), headers.last().unwrap());
        let easiest = params.max_attainable_target.to_compact_lossy();
        if !headers.len().is_multiple_of(2_016) {
            if !params.allow_min_difficulty_blocks {
                return last.bits;
            }
            if u64::from(time) > u64::from(last.time) + 1_200 {
                return easiest;
            }
            let mut at = headers.len() - 1;
            while !at.is_multiple_of(2_016) && headers[at].bits == easiest {
                at -= 1;
            }
            return headers[at].bits;
        }
        let first = &headers[headers.len() - 2_016];
        let span = (i64::from(last.time) - i64::from(first.time)).clamp(302_400, 4_838_400);
        let from = if network == Network::Testnet4 { first.bits } else { last.bits };
        CompactTarget::from_next_work_required(from, span.unsigned_abs(), &params)
    }

    fn core_median(headers: &[Header]) -> u32 {
        let mut times: Vec<u32> = headers.iter().rev().take(11).map(|header| header.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Three periods of each network: fast, with late blocks and steps back in time, with the least difficulty here and there.
    #[test]
    fn every_network_asks_for_what_core_asks_for() {
        for network in ALL {
            let rules = Rules::of(network);
            let (first, mut context) = begin(&rules, network, 0);
            let mut headers = vec![first];
            let mut seed = 7_u32;
            let mut changes = 0;
            while headers.len() < 3 * 2_016 + 40 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (last, median) = (headers[headers.len() - 1], core_median(&headers));
                let time = match seed >> 28 {
                    0 => last.time + 1_200,
                    1 => last.time + 1_201,
                    2 => median + 1,
                    _ => last.time + (seed >> 8) % 400,
                };
                let time = time.max(median + 1);
                let bits = core_bits(network, &headers, time);
                let next = header(&last, bits, time);
                assert_eq!(context.check(&rules, &next, NOW), Ok(()), "{network} {}", headers.len());
                let height = context.height + 1;
                let other = Header { bits: CompactTarget::from_consensus(bits.to_consensus() - 1), ..next };
                assert_eq!(context.check(&rules, &other, NOW), Err(HeaderError::Difficulty(height)));
                let early = Header { time: median, bits: core_bits(network, &headers, median), ..next };
                assert_eq!(context.check(&rules, &early, NOW), Err(HeaderError::TooEarly(height)));
                changes += u32::from(bits != last.bits);
                headers.push(next);
                put(&mut context, &rules, &next);
                let looked_up = Context::of(&rules, height, context.hash, context.work, |height| {
                    headers.get(usize::try_from(height).unwrap())
                });
                assert_eq!(looked_up, Some(context));
            }
            match network {
                Network::Regtest => assert_eq!(changes, 0),
                Network::Bitcoin | Network::Signet => assert_eq!(changes, 3),
                _ => assert!(changes > 100, "the exceptions were met: {changes}"),
            }
        }
    }

    #[test]
    fn versions_are_refused_from_core_s_heights_on() {
        let table = [
            (Network::Bitcoin, [227_931, 363_725, 388_381]),
            (Network::Testnet, [21_111, 330_776, 581_885]),
            (Network::Testnet4, [1, 1, 1]),
            (Network::Signet, [1, 1, 1]),
            (Network::Regtest, [1, 1, 1]),
        ];
        for (network, heights) in table {
            let rules = Rules::of(network);
            for (height, version) in heights.into_iter().zip(2..) {
                assert!(rules.oldest_version(height - 1) < version, "{network}");
                assert!(rules.oldest_version(height) >= version, "{network}");
            }
            assert_eq!((rules.oldest_version(0), rules.oldest_version(u32::MAX)), (i32::MIN, 4));
        }
        let rules = Rules::of(Network::Bitcoin);
        let (first, mut context) = begin(&rules, Network::Bitcoin, 227_929);
        let old =
            |version| Header { version: Version::from_consensus(version), ..header(&first, first.bits, u32::MAX - 1) };
        assert_eq!(context.check(&rules, &old(1), NOW), Ok(()));
        context.height += 1;
        for version in [1, 0, -1, i32::MIN] {
            assert_eq!(context.check(&rules, &old(version), NOW), Err(HeaderError::Version(227_931)));
        }
        assert_eq!(context.check(&rules, &old(2), NOW), Ok(()));
    }

    #[test]
    fn only_testnet_4_forbids_a_period_to_start_before_the_end_of_the_last() {
        for (network, forbidden) in [(Network::Testnet, false), (Network::Testnet4, true), (Network::Bitcoin, false)] {
            let rules = Rules::of(network);
            let (mut last, mut context) = begin(&rules, network, 0);
            for _ in 1..2_016 {
                last = header(&last, last.bits, last.time + 600);
                put(&mut context, &rules, &last);
            }
            let bits = |time| context.required_bits(&rules, &header(&last, last.bits, time));
            let at = |time| context.check(&rules, &header(&last, bits(time), time), NOW);
            assert_eq!(at(last.time - 600), Ok(()), "{network}");
            let expected = if forbidden { Err(HeaderError::Timewarp(2_016)) } else { Ok(()) };
            assert_eq!(at(last.time - 601), expected, "{network}");
        }
    }

    #[test]
    fn two_hours_ahead_of_the_clock_is_the_limit() {
        let rules = Rules::of(Network::Bitcoin);
        let (first, context) = begin(&rules, Network::Bitcoin, 0);
        let next = header(&first, first.bits, first.time + 9_000);
        let clock = u64::from(next.time) - MAX_FUTURE_SECONDS;
        assert_eq!(context.check(&rules, &next, clock), Ok(()));
        let refused = HeaderError::TooFarAhead { height: 1, time: next.time };
        assert_eq!(context.check(&rules, &next, clock - 1), Err(refused));
    }

    #[test]
    fn an_unknown_median_refuses_nobody() {
        let rules = Rules::of(Network::Bitcoin);
        let (mut last, mut context) = begin(&rules, Network::Bitcoin, 2_016);
        for height in 2_017..2_040 {
            let early = header(&last, last.bits, 1);
            let expected = if height < 2_027 { Ok(()) } else { Err(HeaderError::TooEarly(height)) };
            assert_eq!(context.check(&rules, &early, NOW), expected, "{height}");
            last = header(&last, last.bits, last.time + 1);
            put(&mut context, &rules, &last);
        }
    }
}
