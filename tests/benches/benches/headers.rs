//! Header validation and storing, against rust-bitcoin's bare `validate_pow` and (feature `kernel`) against Bitcoin Core's own code.
//!
//! Aims: 950,000 headers in less than two seconds, at least three times as fast as Core's, a reorganisation a hundred deep in
//! less than five milliseconds.
//!
//! What each does in a race with Core: both start with genesis in memory, get the same headers in the same order, parsed before the clock
//! runs, and check of each its link, its work against its target, the difficulty its place asks for (with the retargets), the median of the
//! eleven before it, the two hours ahead, and its version; both keep it so that it can be found by its hash and by its height, and know
//! the heaviest chain with its work. Core takes one header a call, for its interface has no other, under its own lock, into the block
//! index from which it also serves blocks; writing that index to the disk is not timed. Ours come in pieces of 2,000, as from a peer.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::{CompactTarget, Network, TxMerkleNode};
use palisade_bitcoin::headers::{Extension, HeaderChain, MAX_HEADERS, MAX_SIDE_HEADERS, read};
use palisade_race::{Effort, Race, Run, bench, timed};

/// As many headers as mainnet has had by 2026.
const MANY: u32 = 950_000;

/// A clock that no header is ahead of.
const NOW: u64 = u32::MAX as u64;

fn main() -> Result<()> {
    bench("headers", |effort| match effort {
        Effort::Whole => races(MANY, 5, 100_000),
        Effort::Short => races(4_000, 2, 1_000),
    })
}

fn races(many: u32, rounds: usize, light: u32) -> Result<()> {
    let chain = branch(&genesis_block(Network::Regtest).header, many, 1);
    let race = sync("regtest, validated and stored from genesis", Network::Regtest, &chain);
    race.run(rounds)?;

    // The longest real stretch from genesis; it is not part of this repository.
    match file("../../../../shared/vectors/btc-headers/mainnet-0-10236.csv") {
        Ok(first) => sync("mainnet's first headers, from genesis", Network::Bitcoin, &first[1..]).run(3 * rounds)?,
        Err(_) => println!("mainnet's first headers are not beside the checkout"),
    }
    let signet = file("signet-0-2015.csv")?;
    sync("signet's first period, from genesis", Network::Signet, &signet[1..]).run(5 * rounds)?;

    let mainnet = file("mainnet-822528-828575.csv")?;
    again("mainnet 822,528 to 828,575, again and again", &mainnet, many).run(rounds)?;

    for depth in [1, 100, 2_016] {
        reorganise(depth, &chain[..3_000])?.run(5 * rounds)?;
    }
    flood(light, &chain[..100])?.run(rounds)
}

/// A chain from genesis on, taken in pieces as a node gets them.
fn sync<'a>(title: &str, network: Network, headers: &'a [Header]) -> Race<'a> {
    let genesis = genesis_block(network).header;
    let ours = move || {
        let mut chain = HeaderChain::new(network, 0, genesis)?;
        let (took, outcome) = timed(|| headers.chunks(PIECE).try_for_each(|piece| chain.extend(piece, NOW).map(drop)));
        outcome?;
        tip_of(&chain, took)
    };
    let race =
        Race::new(title, (headers.len() as u64, "header"), ours).against("validate_pow", move || bare(headers, 1));
    // On regtest Core walks its whole index again after every header, to test itself: that is no race.
    if network == Network::Regtest { race } else { with_kernel(race, network, headers) }
}

/// The same stretch of headers for a new chain each time, until `many` have been seen.
fn again<'a>(title: &str, headers: &'a [Header], many: u32) -> Race<'a> {
    let times = many as usize / headers.len() + 1;
    let ours = move || {
        let mut last = None;
        let (took, outcome) = timed(|| {
            (0..times).try_for_each(|_| {
                let mut chain = HeaderChain::new(Network::Bitcoin, 822_528, headers[0])?;
                headers[1..].chunks(PIECE).try_for_each(|piece| chain.extend(piece, NOW).map(drop))?;
                last = Some(chain);
                Ok::<_, anyhow::Error>(())
            })
        });
        outcome?;
        tip_of(&last.context("no round")?, took)
    };
    let count = (headers.len() * times) as u64;
    Race::new(title, (count, "header"), ours).against("validate_pow", move || bare(headers, times))
}

/// rust-bitcoin's check that a header has the work it claims, and nothing else: no rule, no chain, nothing stored.
fn bare(headers: &[Header], times: usize) -> Result<Run> {
    let mut last = None;
    let (took, outcome) = timed(|| {
        (0..times)
            .flat_map(|_| headers)
            .try_for_each(|header| header.validate_pow(header.target()).map(|hash| last = Some(hash)))
    });
    outcome?;
    Ok(Run::of(took).found("tip", last.context("no header")?))
}

/// A branch that is one longer than the newest `depth` headers.
fn reorganise(depth: usize, headers: &[Header]) -> Result<Race<'_>> {
    let genesis = genesis_block(Network::Regtest).header;
    let mut chain = HeaderChain::new(Network::Regtest, 0, genesis)?;
    chain.extend(headers, NOW)?;
    let shared = headers.len() - depth;
    let rival = branch(&headers[shared - 1], u32::try_from(depth)? + 1, 2);
    let expected = Extension::Heavier { shared: u32::try_from(shared)?, replaced: u32::try_from(depth)? };
    let race = Race::new(format!("a reorganisation of {depth}"), (1, "reorganisation"), move || {
        let mut chain = chain.clone();
        let (took, outcome) = timed(|| chain.extend(&rival, NOW));
        ensure!(outcome? == expected, "the branch is not followed");
        Ok(Run::of(took).found("tip", chain.hash(chain.tip()).context("no tip")?))
    });
    Ok(race)
}

/// Light headers that all fork off at genesis, each alone.
fn flood(count: u32, headers: &[Header]) -> Result<Race<'_>> {
    let genesis = genesis_block(Network::Regtest).header;
    let light: Vec<Header> = (0..count).flat_map(|salt| branch(&genesis, 1, 1_000 + salt)).collect();
    let ours = move || {
        let mut chain = HeaderChain::new(Network::Regtest, 0, genesis)?;
        chain.extend(headers, NOW)?;
        let (took, outcome) = timed(|| light.iter().try_for_each(|header| chain.extend(&[*header], NOW).map(drop)));
        outcome?;
        ensure!(chain.aside() <= MAX_SIDE_HEADERS, "{} headers were kept", chain.aside());
        tip_of(&chain, took)
    };
    Ok(Race::new("a flood of light headers, one a call", (u64::from(count), "header"), ours))
}

fn tip_of(chain: &HeaderChain, took: std::time::Duration) -> Result<Run> {
    let tip = chain.hash(chain.tip()).context("no tip")?;
    Ok(Run::of(took).found("tip", tip).found("work", format!("{:x}", chain.work())))
}

/// Core's own code.
#[cfg(feature = "kernel")]
fn with_kernel<'a>(race: Race<'a>, network: Network, headers: &'a [Header]) -> Race<'a> {
    use bitcoin::BlockHash;
    use bitcoin::consensus::serialize;
    use bitcoinkernel::prelude::*;
    use bitcoinkernel::{BlockHeader, ChainType, ChainstateManager, ContextBuilder, ProcessBlockHeaderResult};

    let kind = match network {
        Network::Bitcoin => ChainType::Mainnet,
        Network::Testnet => ChainType::Testnet,
        Network::Testnet4 => ChainType::Testnet4,
        Network::Signet => ChainType::Signet,
        Network::Regtest => ChainType::Regtest,
    };
    let parse = |headers: &[Header]| {
        headers.iter().map(|header| Ok(BlockHeader::new(&serialize(header))?)).collect::<Result<Vec<_>>>()
    };
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(bitcoinkernel::disable_logging);
    race.against("bitcoinkernel", move || {
        let headers = parse(headers)?;
        let folder = tempfile::tempdir()?;
        let place = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let context = ContextBuilder::new().chain_type(kind).build()?;
        let manager = ChainstateManager::builder(&context, &place("data"), &place("blocks"))?.build()?;
        let take = |header: &BlockHeader| match manager.process_block_header(header)? {
            ProcessBlockHeaderResult::Valid => Ok(()),
            ProcessBlockHeaderResult::Invalid(_) => anyhow::bail!("Core refuses a header"),
        };
        let (took, outcome) = timed(|| headers.iter().try_for_each(take));
        outcome?;
        let tip = manager.best_entry().context("no tip")?.block_hash().to_bytes();
        Ok(Run::of(took).found("tip", BlockHash::from_byte_array(tip)))
    })
}

#[cfg(not(feature = "kernel"))]
fn with_kernel<'a>(race: Race<'a>, _: Network, _: &'a [Header]) -> Race<'a> {
    race
}

/// `height,header` rows of the repository's own vectors.
fn file(name: &str) -> Result<Vec<Header>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/btc-headers").join(name);
    let text = std::fs::read_to_string(path)?;
    let bytes = text.lines().skip(1).map(|line| Ok(hex::decode(line.split_once(',').context("no row")?.1)?));
    Ok(read(&bytes.collect::<Result<Vec<_>>>()?.concat())?)
}

/// Regtest headers with work on top of `below`; `salt` makes them others.
fn branch(below: &Header, length: u32, salt: u32) -> Vec<Header> {
    let merkle_root = TxMerkleNode::from_byte_array(std::array::from_fn(|place| salt.to_le_bytes()[place % 4]));
    let next = |below: &Header| {
        let mut header = Header {
            version: Version::from_consensus(4),
            prev_blockhash: below.block_hash(),
            merkle_root,
            time: below.time + 1,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        while header.validate_pow(header.target()).is_err() {
            header.nonce += 1;
        }
        header
    };
    std::iter::successors(Some(*below), |below| Some(next(below))).skip(1).take(length as usize).collect()
}

/// Headers in one message between nodes.
const PIECE: usize = 2_000;
const _: () = assert!(PIECE <= MAX_HEADERS);
