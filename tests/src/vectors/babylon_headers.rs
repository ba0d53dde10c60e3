//! Headers that Babylon's light client starts from, and BIP-54's.

use anyhow::{Context, Result, ensure};
use bitcoin::Network;
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use palisade_bitcoin::headers::{Extension, HeaderChain};
use serde_json::Value;

use super::headers::NOW;
use super::parsed::same;
use super::{File, Outcome, Tally, bytes, has, number, tally_list, text, unhex};

/// The headers light clients start from, with their work, and single ones.
pub(super) fn bases(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["base_headers", "single_headers"]))?;
    Some(Outcome::of((|| {
        let bases = tally_list(&file["base_headers"], |case| {
            // a number of this size is read as a float
            let digits = |number: f64| format!("{number:.12e}");
            let work: f64 = header(case)?.work().to_string().parse()?;
            same(digits(work), digits(case["work"].as_f64().context("no work")?), "the work")?;
            same(number(case, "height")? % 2_016, 0, "the place in its period")
        })?;
        let single = tally_list(&file["single_headers"], |case| header(case).map(drop))?;
        Ok(Tally { checked: bases.checked + single.checked, left_out: 0 })
    })()))
}

/// A header that hashes to what the file says and has the work it claims.
fn header(case: &Value) -> Result<Header> {
    let header: Header = deserialize(&bytes(case, "header")?)?;
    let hash = header.validate_pow(header.target())?;
    same(hash.to_string(), text(case, "hash")?.to_owned(), "the hash")?;
    Ok(header)
}

/// BIP-54's trees of headers. The BIP is not in force: what it calls valid must be followed, what it would refuse is left out.
pub(super) fn bip54(file: &File) -> Option<Outcome> {
    let file = file.json().filter(|value| has(value, &["block_headers", "extensions"]))?;
    Some(Outcome::of((|| {
        let first = raw(&file["block_headers"])?;
        let mut chain = HeaderChain::new(Network::Bitcoin, 0, *first.first().context("no header")?)?;
        chain.extend(&first[1..], NOW)?;
        let mut tally = Tally::default();
        walk(&chain, &file["extensions"], &mut tally)?;
        Ok(tally)
    })()))
}

fn walk(chain: &HeaderChain, extensions: &Value, tally: &mut Tally) -> Result<()> {
    for extension in extensions.as_array().context("no list")? {
        let (headers, mut longer) = (raw(&extension["block_headers"])?, chain.clone());
        if extension["valid"] == false {
            tally.left_out += 1;
            continue;
        }
        let grown = longer.extend(&headers, NOW).with_context(|| extension["comment"].to_string())?;
        ensure!(matches!(grown, Extension::Heavier { replaced: 0, .. }), "the chain did not grow");
        if has(extension, &["extensions"]) {
            walk(&longer, &extension["extensions"], tally)?;
        } else {
            tally.checked += 1;
        }
    }
    Ok(())
}

fn raw(headers: &Value) -> Result<Vec<Header>> {
    let read = |header: &Value| Ok(deserialize(&unhex(header.as_str().context("no text")?)?)?);
    headers.as_array().context("no list")?.iter().map(read).collect()
}
