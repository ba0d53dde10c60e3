//! Branches of headers or blocks: the heaviest must win in whatever order they come.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::constants::genesis_block;
use bitcoin::{Block, Network};
use palisade_bitcoin::block;
use palisade_bitcoin::headers::{Extension, HeaderChain};
use serde_json::Value;

use super::headers::{self, NOW};
use super::{File, Outcome, Tally, bytes, has, list, number};

/// `kind,header_hex` of testnet 3, from genesis on: the chain and what forked off.
pub(super) fn table(file: &File) -> Option<Outcome> {
    let table = file.table().filter(|table| table.has(&["kind", "header_hex"]))?;
    let rows = table.rows().map(|row| Ok((row.text("kind")? == "main", headers::header(&row.bytes("header_hex")?)?)));
    Some(Outcome::of(rows.collect::<Result<Vec<_>>>().and_then(|rows| testnet(&rows))))
}

fn testnet(rows: &[(bool, Header)]) -> Result<Tally> {
    let main: Vec<Header> = rows.iter().filter(|(main, _)| *main).map(|row| row.1).collect();
    let forks = rows.len() - main.len();
    ensure!(main.first() == Some(&genesis_block(Network::Testnet).header), "does not start with testnet's genesis");
    let mut chain = HeaderChain::new(Network::Testnet, 0, main[0])?;
    for (place, (_, header)) in rows.iter().enumerate() {
        chain.extend(&[*header], NOW).with_context(|| format!("row {place}"))?;
    }
    ensure!(ends_with(&chain, &main), "another chain won");
    ensure!(chain.aside() == forks, "{} headers were kept aside, not {forks}", chain.aside());
    Ok(Tally { checked: rows.len(), left_out: 0 })
}

/// Branches of whole regtest blocks, each on top of genesis or of a block of one before it.
pub(super) fn blocks(file: &File) -> Option<Outcome> {
    let branches = file.json()?.as_array()?.iter().map(|branch| branch.as_array()).collect::<Option<Vec<_>>>()?;
    let hex = |value: &Value| value.as_str().is_some_and(|text| text.len() >= 160);
    let of_this_kind = branches.len() > 1 && branches.iter().all(|branch| !branch.is_empty() && branch.iter().all(hex));
    of_this_kind.then(|| Outcome::of(regtest(&branches)))
}

fn regtest(branches: &[&Vec<Value>]) -> Result<Tally> {
    let whole = |text: &Value| {
        let text = text.as_str().context("no block")?;
        let hash = deserialize_hex::<Block>(text)?.block_hash();
        Ok(block::read(text, hash)?.header)
    };
    let read = |branch: &&Vec<Value>| branch.iter().map(whole).collect::<Result<Vec<Header>>>();
    let branches = branches.iter().map(read).collect::<Result<Vec<_>>>()?;
    let genesis = genesis_block(Network::Regtest).header;
    let mut heights = HashMap::from([(genesis.block_hash(), 0)]);
    for header in branches.iter().flatten() {
        let below = *heights.get(&header.prev_blockhash).context("a block on top of nothing")?;
        heights.insert(header.block_hash(), below + 1);
    }
    // On regtest all blocks have the same work. Of two as high as each other the first would stand.
    let (highest, height) = heights.into_iter().max_by_key(|(_, height)| *height).context("no block")?;
    for size in [1, usize::MAX] {
        let mut chain = HeaderChain::new(Network::Regtest, 0, genesis)?;
        for piece in branches.iter().flat_map(|branch| branch.chunks(size)) {
            chain.extend(piece, NOW)?;
        }
        ensure!((chain.tip(), chain.hash(chain.tip())) == (height, Some(highest)), "the heaviest branch did not win");
    }
    Ok(Tally { checked: branches.iter().map(Vec::len).sum(), left_out: 0 })
}

/// A regtest chain with the work of every header, and a fork that is one longer.
pub(super) fn works(file: &File) -> Option<Outcome> {
    let value = file.json().filter(|value| has(value, &["main_chain", "fork", "fork_parent_height"]))?;
    Some(Outcome::of(overtaken(value)))
}

fn overtaken(value: &Value) -> Result<Tally> {
    let read = |value: &Value| {
        Ok((number(value, "height")?, headers::header(&bytes(value, "header")?)?, number(value, "cumulative_work")?))
    };
    let rows = |field| list(value, field)?.iter().map(read).collect::<Result<Vec<(u64, Header, u64)>>>();
    let (main, fork) = (rows("main_chain")?, rows("fork")?);
    let (height, first, work) = *main.first().context("an empty chain")?;
    let mut chain = HeaderChain::new(Network::Regtest, u32::try_from(height)?, first)?;
    let offset = work - low(&chain)?;
    for (_, header, work) in &main[1..] {
        chain.extend(&[*header], NOW)?;
        ensure!(low(&chain)? + offset == *work, "another sum of work");
    }
    let shared = u32::try_from(number(value, "fork_parent_height")?)?;
    let replaced = chain.tip() - shared;
    let headers: Vec<Header> = fork.iter().map(|row| row.1).collect();
    let equal = usize::try_from(replaced)?;
    ensure!(chain.clone().extend(&headers[..equal], NOW)? == Extension::Unchanged, "equal work replaced ours");
    ensure!(chain.extend(&headers, NOW)? == Extension::Heavier { shared, replaced }, "the fork did not win");
    ensure!(low(&chain)? + offset == fork.last().context("an empty fork")?.2, "another sum of work");
    Ok(Tally { checked: main.len() + fork.len(), left_out: 0 })
}

fn ends_with(chain: &HeaderChain, branch: &[Header]) -> bool {
    let last = branch.last().map(Header::block_hash);
    last.is_some() && chain.hash(chain.tip()) == last
}

/// Work that fits into 64 bits.
fn low(chain: &HeaderChain) -> Result<u64> {
    let work = chain.work().to_be_bytes();
    let (high, low) = work.split_at(24);
    if high.iter().any(|byte| *byte != 0) {
        bail!("more work than regtest has");
    }
    Ok(u64::from_be_bytes(low.try_into()?))
}
