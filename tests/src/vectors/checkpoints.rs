//! Electrum's checkpoints: of every difficulty period the hash of its last block and the target of the next period,
//! zero where the network's rules allow exceptions.

use anyhow::{Context as _, Result, ensure};
use bitcoin::params::Params;
use bitcoin::{BlockHash, Network, Target};
use palisade_bitcoin::headers::rules::PERIOD;
use serde_json::Value;

use super::{File, Outcome, Tally, chainwork, tally};

/// `[hash, target]` for each period.
pub(super) fn list(file: &File) -> Option<Outcome> {
    let list = file.json()?.as_array()?;
    let of_this_kind = |entry: &Value| entry.as_array().is_some_and(|pair| pair.len() == 2 && pair[1].is_number());
    (!list.is_empty() && list.iter().all(of_this_kind)).then(|| Outcome::of(check(list)))
}

fn check(list: &[Value]) -> Result<Tally> {
    let periods = list.iter().map(|entry| Ok((hash(&entry[0])?, target(&entry[1])?)));
    let periods = periods.collect::<Result<Vec<(BlockHash, Option<Target>)>>>()?;
    let ours = chainwork::mainnet()?;
    let is_mainnet = ours.get(&(PERIOD - 1)).is_some_and(|last| last.block_hash() == periods[0].0);
    // Signet's least difficulty is the least of all networks that retarget.
    let easiest = Params::new(Network::Signet).max_attainable_target;
    let cases = periods.iter().enumerate();
    tally(
        cases,
        |(place, _)| place.to_string(),
        |(place, (hash, next))| {
            let own = place.checked_sub(1).and_then(|before| periods[before].1);
            ensure!(own.unwrap_or(easiest).is_met_by(*hash), "the block lacks work");
            if let Some(next) = next {
                let mainnet = Params::MAINNET;
                ensure!(Target::from_compact(next.to_compact_lossy()) == *next, "the target has no compact form");
                let own = own.unwrap_or(mainnet.max_attainable_target);
                let least = Target::from_compact(own.min_transition_threshold().to_compact_lossy());
                ensure!(
                    *next <= own.max_transition_threshold(&mainnet) && *next >= least,
                    "more than a factor of four"
                );
            }
            let last = u32::try_from(place + 1)? * PERIOD - 1;
            if let (true, Some(last), Some(first)) = (is_mainnet, ours.get(&last), ours.get(&(last + 1))) {
                ensure!(last.block_hash() == *hash, "another block ends the period");
                ensure!(Some(first.target()) == *next, "another target");
            }
            Ok(true)
        },
    )
}

fn hash(value: &Value) -> Result<BlockHash> {
    Ok(value.as_str().context("no hash")?.parse()?)
}

/// A target out of a number of up to 68 digits, of which JSON keeps the leading ones: a target has no more than 24 bits that are not zero.
fn target(value: &Value) -> Result<Option<Target>> {
    let bits = value.as_f64().context("no target")?.to_bits();
    if bits == 0 {
        return Ok(None);
    }
    let fraction = (bits & ((1 << 52) - 1)) | 1 << 52;
    let mantissa = (fraction + (1 << 20)) >> 21;
    let shift = (bits >> 52).checked_sub(1_075 - 21).context("a target below one")?;
    let (bytes, shift) = (usize::try_from(shift / 8)?, shift % 8);
    let mut little = [0; 32];
    for (place, byte) in (mantissa << shift).to_le_bytes().into_iter().enumerate().filter(|(_, byte)| *byte != 0) {
        *little.get_mut(bytes + place).context("a target of more than 256 bits")? = byte;
    }
    Ok(Some(Target::from_le_bytes(little)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_survives_json() {
        for bits in [0x1d00_ffff_u32, 0x1b04_04cb, 0x1703_4219, 0x1c7f_ffff] {
            let wanted = Target::from_compact(bitcoin::CompactTarget::from_consensus(bits));
            let text = wanted.to_string();
            assert_eq!(target(&serde_json::from_str(&text).unwrap()).unwrap(), Some(wanted));
        }
        assert_eq!(target(&Value::from(0)).unwrap(), None);
    }
}
