//! Work from genesis on at both ends of every difficulty period of mainnet.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bitcoin::Work;
use bitcoin::block::Header;
use palisade_bitcoin::headers::rules::PERIOD;

use super::{File, Outcome, Table, Tally, headers, tally};

/// `height,chainwork_be_hex`. The headers it is computed from are the repository's own.
pub(super) fn table(file: &File) -> Option<Outcome> {
    let table = file.table().filter(|table| table.has(&["height", "chainwork_be_hex"]))?;
    Some(Outcome::of(check(table)))
}

/// The first and last headers of mainnet's periods.
pub(super) fn mainnet() -> Result<BTreeMap<u32, Header>> {
    let table = Table::read(include_str!("../../vectors/btc-headers/mainnet-diff-change.csv"));
    table.rows().map(|row| Ok((row.text("height")?.parse()?, headers::header(&row.bytes("header_hex")?)?))).collect()
}

fn check(table: &Table) -> Result<Tally> {
    let headers = mainnet()?;
    let rows = table.rows().map(|row| Ok((row.text("height")?.parse()?, row.array("chainwork_be_hex")?)));
    let works = rows.collect::<Result<BTreeMap<u32, [u8; 32]>>>()?;
    tally(
        &works,
        |(height, _)| height.to_string(),
        |(height, claimed)| {
            let Some(header) = headers.get(height) else { return Ok(false) };
            // The last of a period is 2015 headers of the same work above the first, the first is one above the last before.
            let steps = if (height + 1).is_multiple_of(PERIOD) { PERIOD - 1 } else { 1 };
            let below = match height.checked_sub(steps) {
                Some(below) => Work::from_be_bytes(*works.get(&below).context("the work before is missing")?),
                None => Work::from_be_bytes([0; 32]),
            };
            let work = (0..steps).fold(below, |work, _| work + header.work());
            ensure!(work.to_be_bytes() == *claimed, "the work is {work:x}");
            Ok(true)
        },
    )
}
