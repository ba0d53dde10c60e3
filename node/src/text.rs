//! Bytes as people read and type them.

use palisade_types::chain::ChainKind;
use palisade_types::ids::{Hash, NotHex};

/// Lower-case hex with `0x`.
#[must_use]
pub fn hex_bytes(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Why text is not hex.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("not hex: {0}")]
pub struct NotHexText(#[from] hex::FromHexError);

/// Hex of any length, with or without `0x`.
///
/// # Errors
///
/// [`NotHexText`] says what stands in the way.
pub fn parse_hex_bytes(text: &str) -> Result<Vec<u8>, NotHexText> {
    let text = text.trim();
    Ok(hex::decode(text.strip_prefix("0x").unwrap_or(text))?)
}

/// A hash of Bitcoin as Bitcoin shows it: byte-reversed, without `0x`, so that it can be pasted into any of its tools.
#[must_use]
pub fn bitcoin_hash(hash: &Hash) -> String {
    let mut bytes = *hash.as_bytes();
    bytes.reverse();
    hex::encode(bytes)
}

/// A block's hash as its chain shows it.
#[must_use]
pub fn chain_hash(chain: ChainKind, hash: &Hash) -> String {
    match chain {
        ChainKind::Ethereum => hash.to_string(),
        ChainKind::Bitcoin => bitcoin_hash(hash),
    }
}

/// Reads what [`bitcoin_hash`] writes.
///
/// # Errors
///
/// [`NotHex`] when it is not 32 bytes of hex.
pub fn parse_bitcoin_hash(text: &str) -> Result<Hash, NotHex> {
    let mut bytes = *text.parse::<Hash>()?.as_bytes();
    bytes.reverse();
    Ok(Hash::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_of_bitcoin_reads_backwards() {
        let hash = Hash::new(std::array::from_fn(|i| i as u8));
        assert!(bitcoin_hash(&hash).starts_with("1f1e1d"));
        assert_eq!(parse_bitcoin_hash(&bitcoin_hash(&hash)), Ok(hash));
        assert!(parse_bitcoin_hash("00").is_err());
        assert_eq!(parse_hex_bytes("0x0a"), Ok(vec![10]));
        assert!(parse_hex_bytes("0x0").is_err());
    }
}
