//! An endpoint's answers as our reading takes them, for whoever has some on file.

use crate::endpoint::{check_order, point_of};
use crate::facts::{Place, lied};
use crate::outbox::Fees;
use alloy::rpc::types::{Block, FeeHistory, Filter, FilterBlockOption, Log, TransactionReceipt};
use palisade_types::chain::{ChainError, ChainPoint};
use palisade_types::ids::Hash;
use serde_json::Value;

/// The block that an answer to `eth_getBlockByNumber` names; nothing where there is none.
///
/// # Errors
///
/// [`ChainError::Lied`] for an answer that is no block.
pub fn block(answer: &Value) -> Result<Option<ChainPoint>, ChainError> {
    let block: Option<Block> = read(answer, "a block")?;
    Ok(block.as_ref().map(point_of))
}

/// Where the logs stand that answer this filter of `eth_getLogs`, as (block, index in it): checked for their range, order, address and
/// first topic as the follower does.
///
/// # Errors
///
/// [`ChainError::Lied`] for logs that do not answer the question.
pub fn logs(filter: &Value, answer: &Value) -> Result<Vec<(u64, u32)>, ChainError> {
    let filter: Filter = read(filter, "a filter")?;
    let logs: Vec<Log> = read(answer, "logs")?;
    let places = logs.iter().map(Place::of).collect::<Result<Vec<_>, _>>()?;
    let ends = places.first().zip(places.last()).map_or((0, 0), |(first, last)| (first.block, last.block));
    let (from, to) = match &filter.block_option {
        FilterBlockOption::Range { from_block, to_block } => {
            let number = |end: &Option<alloy::eips::BlockNumberOrTag>| end.and_then(|end| end.as_number());
            (number(from_block).unwrap_or(0), number(to_block).unwrap_or(u64::MAX))
        }
        FilterBlockOption::AtBlockHash(hash) if logs.iter().any(|log| log.block_hash != Some(*hash)) => {
            return Err(lied("logs of another block"));
        }
        FilterBlockOption::AtBlockHash(_) => (ends.0, ends.0),
    };
    check_order(&filter, from, to, &logs)?;
    Ok(places.into_iter().map(|place| (place.block, place.index)).collect())
}

/// What a receipt says of a transaction that we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub transaction: Hash,
    /// The block it stands in.
    pub block: u64,
    /// Whether it did not revert.
    pub succeeded: bool,
}

/// The receipt that answers `eth_getTransactionReceipt`; nothing while the transaction stands in no block.
///
/// # Errors
///
/// [`ChainError::Lied`] for an answer that is none.
pub fn receipt(answer: &Value) -> Result<Option<Receipt>, ChainError> {
    let receipt: Option<TransactionReceipt> = read(answer, "a receipt")?;
    let told = |receipt: TransactionReceipt| {
        let block = receipt.block_number.ok_or_else(|| lied("a receipt without its block"))?;
        Ok(Receipt { transaction: Hash::new(receipt.transaction_hash.0), block, succeeded: receipt.status() })
    };
    receipt.map(told).transpose()
}

/// What a transaction of ours would offer by an answer to `eth_feeHistory`, wei per gas: at most, and of it to the proposer.
///
/// # Errors
///
/// [`ChainError::Lied`] for an answer that is none, or says nothing of fees.
pub fn fees(answer: &Value) -> Result<(u128, u128), ChainError> {
    let history: FeeHistory = read(answer, "a history of fees")?;
    let fees = Fees::of(&history).ok_or_else(|| lied("a history of fees without one"))?;
    Ok((fees.most, fees.tip))
}

fn read<T: serde::de::DeserializeOwned>(answer: &Value, what: &str) -> Result<T, ChainError> {
    T::deserialize(answer).map_err(|error| ChainError::Lied(format!("what is no {what}: {error}")))
}
