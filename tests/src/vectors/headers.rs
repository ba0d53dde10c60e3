//! Headers with their heights: ranges, the ends of difficulty periods, or single ones.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::{BlockHash, Network};
use palisade_bitcoin::headers::rules::{PERIOD, Rules};
use palisade_bitcoin::headers::{Extension, HeaderChain, MAX_HEADERS, read};

use super::{File, Outcome, Tally, tally};

/// A clock that no header is ahead of.
pub(super) const NOW: u64 = u32::MAX as u64;

/// `height,header_hex`.
pub(super) fn table(file: &File) -> Option<Outcome> {
    let table = file.table().filter(|table| table.has(&["height", "header_hex"]))?;
    let rows = table.rows().map(|row| Ok((row.text("height")?.parse()?, header(&row.bytes("header_hex")?)?)));
    Some(Outcome::of(rows.collect::<Result<BTreeMap<u32, Header>>>().and_then(|rows| check(&rows))))
}

/// One header out of its bytes, read as the client reads them.
pub(super) fn header(bytes: &[u8]) -> Result<Header> {
    match read(bytes)?.as_slice() {
        [header] => Ok(*header),
        other => anyhow::bail!("{} headers where one belongs", other.len()),
    }
}

/// The hash of a header that has the work it claims.
pub(super) fn worked(header: &Header) -> Result<BlockHash> {
    header.validate_pow(header.target()).context("no work")
}

fn check(rows: &BTreeMap<u32, Header>) -> Result<Tally> {
    let network = network(rows);
    let rules = Rules::of(network);
    let single = tally(
        rows,
        |(height, _)| height.to_string(),
        |(height, header)| {
            worked(header)?;
            let below = |blocks: u32| rows.get(&height.checked_sub(blocks)?);
            if let Some(parent) = below(1) {
                ensure!(header.prev_blockhash == parent.block_hash(), "does not link to the one before");
            }
            if let (true, Some(first), Some(last)) = (height.is_multiple_of(PERIOD), below(PERIOD), below(1)) {
                ensure!(rules.retarget(first, last) == header.bits, "another difficulty");
            }
            Ok(true)
        },
    )?;
    follow(network, rows)?;
    Ok(single)
}

fn network(rows: &BTreeMap<u32, Header>) -> Network {
    let known = [Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];
    let of = |network: &Network| rows.get(&0) == Some(&genesis_block(*network).header);
    known.into_iter().find(of).unwrap_or(Network::Bitcoin)
}

/// Follows every unbroken range as a node does, from where a period starts, and sees one wrong bit in it.
fn follow(network: Network, rows: &BTreeMap<u32, Header>) -> Result<()> {
    let mut from = 0;
    while let Some(start) = rows.range(from..).map(|(height, _)| *height).find(|height| height % PERIOD == 0) {
        let range: Vec<Header> = (start..).map_while(|height| rows.get(&height)).copied().collect();
        let end = start + u32::try_from(range.len())?;
        let mut chain = HeaderChain::new(network, start, range[0])?;
        for piece in range[1..].chunks(MAX_HEADERS) {
            let mut wrong = piece.to_vec();
            wrong[piece.len() / 2].nonce ^= 1;
            ensure!(chain.clone().extend(&wrong, NOW).is_err(), "a changed nonce is not seen");
            let shared = chain.tip();
            ensure!(chain.extend(piece, NOW)? == Extension::Heavier { shared, replaced: 0 }, "not followed");
        }
        ensure!(chain.tip() + 1 == end, "followed to {} only", chain.tip());
        from = end;
    }
    Ok(())
}
