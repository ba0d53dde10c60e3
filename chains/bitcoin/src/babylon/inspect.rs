//! What a transaction does to a stake, for people: which leaf each input uses, and what that leaf says.

use bitcoin::consensus::encode;
use bitcoin::{Transaction, TxIn};
use serde::Serialize;

use super::leaf::LeafScript;

/// The largest transaction that is read, in bytes: as large as a block allows.
pub const MAX_TRANSACTION_BYTES: usize = 4_000_000;

/// Why there is nothing to explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// The bytes are longer than a block.
    #[error("a transaction of {0} bytes fits in no block")]
    TooLong(usize),
    /// The bytes are no transaction.
    #[error("the bytes are no transaction")]
    NoTransaction,
}

/// A transaction, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its id, as Bitcoin shows it.
    pub txid: String,
    /// What each input does.
    pub inputs: Vec<InputReport>,
}

/// An input, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputReport {
    /// The output it spends.
    pub spends: String,
    /// The leaf of a stake that its witness reveals.
    pub leaf: Option<&'static str>,
    /// The staker that leaf names.
    pub staker: Option<String>,
}

/// Explains the bytes of one transaction.
///
/// # Errors
///
/// [`InspectError`].
pub fn inspect(bytes: &[u8]) -> Result<Report, InspectError> {
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(InspectError::TooLong(bytes.len()));
    }
    let transaction: Transaction = encode::deserialize(bytes).map_err(|_| InspectError::NoTransaction)?;
    let inputs = transaction.input.iter().map(input).collect();
    Ok(Report { txid: transaction.compute_txid().to_string(), inputs })
}

fn input(input: &TxIn) -> InputReport {
    let leaf = input.witness.taproot_leaf_script().and_then(|leaf| LeafScript::read(leaf.script).ok());
    InputReport {
        spends: input.previous_output.to_string(),
        leaf: leaf.as_ref().map(LeafScript::name),
        staker: leaf.as_ref().map(|leaf| leaf.staker().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_transaction_are_named() {
        assert_eq!(inspect(&[]), Err(InspectError::NoTransaction));
        assert_eq!(inspect(&[0; 60]), Err(InspectError::NoTransaction));
        let long = vec![0; MAX_TRANSACTION_BYTES + 1];
        assert_eq!(inspect(&long), Err(InspectError::TooLong(MAX_TRANSACTION_BYTES + 1)));
    }
}
