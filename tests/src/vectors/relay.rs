//! Headers as Summa's relay was tested with: a stretch of mainnet, with an orphan, a header of nowhere, or a change of difficulty.

use anyhow::{Context as _, Result, ensure};
use bitcoin::block::Header;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Network};
use palisade_bitcoin::headers::rules::{PERIOD, Rules};
use serde_json::Value;

use super::{File, Outcome, Tally, array, bytes, has, headers, list, number, tally_list};

/// `genesis` and the `chain` on top of it, each with its header and digest.
pub(super) fn stretch(file: &File) -> Option<Outcome> {
    let value =
        file.json().filter(|value| has(value, &["genesis", "chain"]) && has(&value["chain"][0], &["digest_le"]))?;
    Some(Outcome::of(check(value)))
}

fn check(value: &Value) -> Result<Tally> {
    let rules = Rules::of(Network::Bitcoin);
    let old = value.get("oldPeriodStart").map(read).transpose()?;
    let mut known = vec![read(&value["genesis"])?];
    let chain = tally_list(&value["chain"], |_| Ok(()))?;
    for entry in list(value, "chain")? {
        let (height, header) = read(entry).with_context(|| format!("header {}", known.len()))?;
        let (before, last) = known[known.len() - 1];
        ensure!(height == before + 1 && header.prev_blockhash == last.block_hash(), "{height} does not link");
        let expected = match height.is_multiple_of(PERIOD) {
            false => last.bits,
            true => rules.retarget(&old.context("no start of the period before")?.1, &last),
        };
        ensure!(header.bits == expected, "another difficulty at {height}");
        known.push((height, header));
    }
    let orphans = value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("orphan"));
    let mut others = 0;
    for (name, orphan) in orphans {
        let (height, header) = read(orphan).with_context(|| name.clone())?;
        let beside = |(at, other): &(u32, Header)| *at == height && other.prev_blockhash == header.prev_blockhash;
        ensure!(known.iter().any(beside), "{name} is beside nothing");
        others += 1;
    }
    if let Some(bad) = value.get("badHeader") {
        let header = headers::header(&bytes(bad, "hex")?)?;
        let linked = known.iter().any(|(_, known)| known.block_hash() == header.prev_blockhash);
        ensure!(!linked || headers::worked(&header).is_err(), "the bad header is good");
        others += 1;
    }
    Ok(Tally { checked: chain.checked + others, ..chain })
}

/// A header whose digest is as the file says and that has done its work.
fn read(value: &Value) -> Result<(u32, Header)> {
    let header = headers::header(&bytes(value, "hex")?)?;
    let digest = BlockHash::from_byte_array(array(value, "digest_le")?);
    ensure!(headers::worked(&header)? == digest, "another digest");
    if let Some(time) = value.get("timestamp") {
        ensure!(time.as_u64() == Some(u64::from(header.time)), "another time");
    }
    Ok((u32::try_from(number(value, "height")?)?, header))
}
