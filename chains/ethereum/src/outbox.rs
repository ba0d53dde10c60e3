//! Our own transactions on their way: signed, sent, followed, and sent again for a higher fee when they stay behind.

use crate::account::Account;
use crate::endpoint::{Endpoint, unavailable};
use crate::facts::lied;
use alloy::eips::eip2718::Encodable2718;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::{NetworkTransactionBuilder, TransactionBuilder};
use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::Provider;
use alloy::providers::utils::{EIP1559_FEE_ESTIMATION_PAST_BLOCKS, EIP1559_FEE_ESTIMATION_REWARD_PERCENTILE};
use alloy::rpc::types::{FeeHistory, TransactionReceipt, TransactionRequest};
use alloy::transports::{RpcError, TransportError};
use palisade_types::chain::ChainError;
use palisade_types::ids::{CaseId, OperatorId};
use palisade_types::order::OrderId;
use palisade_types::units::Epoch;
use std::collections::BTreeMap;

/// A transaction that is in no block after so many is sent again for more.
const BUMP_BLOCKS: u64 = 3;
/// Of how many blocks' fees is asked, and for which part of a block's tips, as alloy does.
const FEE_BLOCKS: u64 = EIP1559_FEE_ESTIMATION_PAST_BLOCKS;
const FEE_PERCENTILE: f64 = EIP1559_FEE_ESTIMATION_REWARD_PERCENTILE;
/// Nodes replace a transaction only when both its fees rise by at least a tenth: we raise them by an eighth.
const BUMP_DIVISOR: u128 = 8;
/// The most that is ever paid for one gas, in wei: a lying endpoint must not empty the account.
const MAX_FEE_PER_GAS: u128 = 1_000_000_000_000;
/// What a transaction may use at most (EIP-7825).
const MAX_GAS: u64 = 1 << 24;
/// Raises until an older transaction of ours with the same nonce, which we know nothing of any more, is replaced.
const MAX_RAISES: usize = 24;
/// The most transactions we follow at once.
const MAX_SENT: usize = 1_024;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    /// Carries out the orders of a case.
    Case(CaseId),
    /// Hands over at Committee.sol from this epoch to the next.
    HandOver(Epoch),
    /// Shows the secret of this operator's finality key.
    Exposed(OperatorId),
    /// Announces the order with this number.
    Announcement(u64),
    /// Executes whichever order of a case is announced.
    Execution(OrderId),
    /// Has the Symbiotic adapter remember a moment.
    Note,
}

/// A call that is to become a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) to: Address,
    pub(crate) input: Bytes,
    /// Gas on top of the estimate. An estimate is the least with which the call does not revert, and a call that
    /// catches an inner failure does not revert when the inner call starves (R24).
    pub(crate) spare_gas: u64,
}

/// A transaction that was sent. Its hashes differ by fee only; at most one of them can be taken in.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    draft: Draft,
    nonce: u64,
    gas: u64,
    fees: Fees,
    /// The block that was newest when it was last sent.
    since: u64,
    /// The block that was newest when its nonce was first seen used, and no receipt of it was there.
    missing_since: Option<u64>,
    /// Newest last.
    hashes: Vec<B256>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fees {
    pub(crate) most: u128,
    pub(crate) tip: u128,
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum Fate {
    /// Not in a block; the hash that was sent last.
    Waiting(B256),
    /// In a block.
    Included(Box<TransactionReceipt>),
    /// Another transaction of the account took its nonce.
    Replaced,
}

/// What is on its way, by errand.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sent: BTreeMap<Errand, Sent>,
}

impl Outbox {
    pub(crate) fn forget(&mut self, errand: &Errand) {
        self.sent.remove(errand);
    }

    /// Looks after the transaction of an errand, if there is one.
    pub(crate) async fn follow(
        &mut self,
        endpoint: &Endpoint,
        account: &Account,
        errand: &Errand,
    ) -> Result<Option<Fate>, ChainError> {
        let Some(sent) = self.sent.get_mut(errand) else {
            return Ok(None);
        };
        let fate = sent.follow(endpoint, account).await?;
        if !matches!(fate, Fate::Waiting(_)) {
            self.forget(errand);
        }
        Ok(Some(fate))
    }

    /// Sends the transaction of an errand, behind all of ours that are on their way.
    pub(crate) async fn send(
        &mut self,
        endpoint: &Endpoint,
        account: &Account,
        errand: Errand,
        draft: Draft,
    ) -> Result<B256, ChainError> {
        if self.sent.len() >= MAX_SENT {
            return Err(ChainError::Refused("too many transactions are on their way".to_owned()));
        }
        let after = self.sent.values().map(|sent| sent.nonce + 1).max();
        let sent = Sent::send(endpoint, account, draft, after.unwrap_or(0)).await?;
        let hash = sent.hash();
        self.sent.insert(errand, sent);
        Ok(hash)
    }
}

impl Sent {
    /// Sends a call as a transaction whose nonce is the account's next, or `least` if that is more.
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] with the contract's reason when the call would revert: nothing was sent then.
    pub(crate) async fn send(
        endpoint: &Endpoint,
        account: &Account,
        draft: Draft,
        least: u64,
    ) -> Result<Self, ChainError> {
        let provider = endpoint.provider().await?;
        let call = draft.request().with_from(account.alloy_address());
        let gas = provider.estimate_gas(call).block(BlockId::latest()).await;
        let gas = gas.map_err(|error| refused_or("estimating a transaction's gas", error))?;
        let gas = gas.saturating_add(draft.spare_gas).min(MAX_GAS);
        let next = next_nonce(endpoint, account).await?;
        let mut sent = Self {
            draft,
            nonce: next.max(least),
            gas,
            fees: Fees::now(endpoint).await?,
            since: newest(endpoint).await?,
            missing_since: None,
            hashes: Vec::new(),
        };
        for _ in 0..MAX_RAISES {
            if sent.publish(endpoint, account).await? {
                return Ok(sent);
            }
            // A transaction of ours from before a restart holds the nonce. Whatever it was can be sent again.
            sent.fees = sent.fees.raised();
        }
        Err(ChainError::Refused("an older transaction of ours cannot be replaced".to_owned()))
    }

    /// The hash it was last sent under.
    pub(crate) fn hash(&self) -> B256 {
        *self.hashes.last().expect("what was sent has a hash")
    }

    /// Looks what became of it, and sends it again for more when it stays behind.
    pub(crate) async fn follow(&mut self, endpoint: &Endpoint, account: &Account) -> Result<Fate, ChainError> {
        // The nonce first: if it is used now, one of the receipts is there, or another transaction used it.
        let used = next_nonce(endpoint, account).await? > self.nonce;
        let provider = endpoint.provider().await?;
        for hash in self.hashes.iter().rev() {
            let receipt = provider.get_transaction_receipt(*hash).await;
            if let Some(receipt) = receipt.map_err(|error| unavailable("asking for a receipt", error))? {
                return Ok(Fate::Included(Box::new(receipt)));
            }
        }
        let newest = newest(endpoint).await?;
        if used {
            // An endpoint may count a block before it finds its receipts: a few blocks later it has no excuse.
            let missing_since = *self.missing_since.get_or_insert(newest);
            let replaced = newest >= missing_since.saturating_add(BUMP_BLOCKS);
            return Ok(if replaced { Fate::Replaced } else { Fate::Waiting(self.hash()) });
        }
        self.missing_since = None;
        if newest >= self.since.saturating_add(BUMP_BLOCKS) {
            self.fees = self.fees.raised().at_least(Fees::now(endpoint).await?);
            self.since = newest;
            match self.publish(endpoint, account).await {
                // Not taken: the fee is at its bound, and the one before still waits. Or the endpoint failed, or says
                // that the nonce is used, because a block took the one before in this moment: the next look tells.
                Ok(_) | Err(ChainError::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Fate::Waiting(self.hash()))
    }

    /// Signs and sends with the present fees. `false` when a node holds another transaction of this nonce and wants
    /// more for replacing it.
    async fn publish(&mut self, endpoint: &Endpoint, account: &Account) -> Result<bool, ChainError> {
        let request = self
            .draft
            .request()
            .with_from(account.alloy_address())
            .with_chain_id(endpoint.genesis().evm_chain_id)
            .with_nonce(self.nonce)
            .with_gas_limit(self.gas)
            .with_max_fee_per_gas(self.fees.most)
            .with_max_priority_fee_per_gas(self.fees.tip);
        let signed = request
            .build(&account.wallet())
            .await
            .map_err(|_| ChainError::Refused("the transaction cannot be signed".to_owned()))?;
        let hash = *signed.tx_hash();
        let sent = endpoint.provider().await?.send_raw_transaction(&signed.encoded_2718()).await;
        match sent.map(|_| ()) {
            Ok(()) => {}
            Err(error) if says(&error, "already known") || says(&error, "already imported") => {}
            Err(error) if says(&error, "underpriced") => return Ok(false),
            Err(error) if says(&error, "nonce too low") => return Err(unavailable("sending a transaction", error)),
            Err(error) => return Err(refused_or("sending a transaction", error)),
        }
        if self.hashes.last() != Some(&hash) {
            self.hashes.push(hash);
        }
        Ok(true)
    }
}

impl Draft {
    fn request(&self) -> TransactionRequest {
        TransactionRequest::default().with_to(self.to).with_input(self.input.clone())
    }
}

impl Fees {
    /// What the endpoint's recent blocks ask for, within our bound.
    async fn now(endpoint: &Endpoint) -> Result<Self, ChainError> {
        let provider = endpoint.provider().await?;
        let history = provider.get_fee_history(FEE_BLOCKS, BlockNumberOrTag::Latest, &[FEE_PERCENTILE]).await;
        let history = history.map_err(|error| unavailable("asking for fees", error))?;
        Ok(Self::of(&history).ok_or_else(|| lied("a history of fees without one"))?.bounded())
    }

    /// Twice what the next block asks for, so that it may be full six times until we are left behind, and the middle of what blocks
    /// were given beside it: the arithmetic of alloy's estimate, whose own sums overflow where an endpoint says so. Nothing where no
    /// block asks for anything.
    pub(crate) fn of(history: &FeeHistory) -> Option<Self> {
        let base = *history.base_fee_per_gas.last()?;
        let rewards = history.reward.iter().flatten().filter_map(|block| block.first().copied());
        let mut rewards: Vec<u128> = rewards.filter(|reward| *reward > 0).collect();
        rewards.sort_unstable();
        let tip = rewards.get(rewards.len() / 2).copied().unwrap_or(1);
        Some(Self { most: base.saturating_mul(2).saturating_add(tip), tip })
    }

    fn raised(self) -> Self {
        let raise = |fee: u128| fee + fee / BUMP_DIVISOR + 1;
        Self { most: raise(self.most), tip: raise(self.tip) }.bounded()
    }

    fn at_least(self, other: Self) -> Self {
        Self { most: self.most.max(other.most), tip: self.tip.max(other.tip) }
    }

    fn bounded(self) -> Self {
        let most = self.most.min(MAX_FEE_PER_GAS);
        Self { most, tip: self.tip.min(most) }
    }
}

async fn next_nonce(endpoint: &Endpoint, account: &Account) -> Result<u64, ChainError> {
    let nonce = endpoint.provider().await?.get_transaction_count(account.alloy_address()).latest().await;
    nonce.map_err(|error| unavailable("asking for the account's nonce", error))
}

async fn newest(endpoint: &Endpoint) -> Result<u64, ChainError> {
    let newest = endpoint.provider().await?.get_block_number().await;
    newest.map_err(|error| unavailable("asking for the newest block", error))
}

fn says(error: &TransportError, what: &str) -> bool {
    matches!(error, RpcError::ErrorResp(payload) if payload.message.to_lowercase().contains(what))
}

/// A node that answers with an error refuses the transaction; any other failure is the endpoint's.
pub(crate) fn refused_or(doing: &str, error: TransportError) -> ChainError {
    match &error {
        RpcError::ErrorResp(payload) => {
            let reason = payload
                .as_revert_data()
                .map_or_else(|| payload.message.chars().take(MAX_REASON).collect(), |data| crate::slash::reason(&data));
            ChainError::Refused(reason)
        }
        _ => unavailable(doing, error),
    }
}

/// How much of an endpoint's message is kept.
const MAX_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_that_no_market_asks_for_are_bounded_and_not_added_up_past_their_end() {
        let history = |base: &[u128], tips: &[u128]| FeeHistory {
            base_fee_per_gas: base.to_vec(),
            reward: Some(tips.iter().map(|tip| vec![*tip]).collect()),
            ..FeeHistory::default()
        };
        let of = |base: &[u128], tips: &[u128]| {
            Fees::of(&history(base, tips)).map(Fees::bounded).map(|fees| (fees.most, fees.tip))
        };
        assert_eq!(of(&[9, 7], &[3, 0, 1, 2]), Some((16, 2)));
        assert_eq!(of(&[7], &[]), Some((15, 1)));
        assert_eq!(of(&[u128::MAX], &[u128::MAX]), Some((MAX_FEE_PER_GAS, MAX_FEE_PER_GAS)));
        assert_eq!(of(&[], &[1]), None);
    }

    #[test]
    fn a_raise_is_an_eighth_and_ends_at_the_bound() {
        let fees = Fees { most: 80, tip: 0 }.raised();
        assert_eq!((fees.most, fees.tip), (91, 1));
        let most = Fees { most: u128::MAX / 2, tip: u128::MAX / 2 }.raised();
        assert_eq!((most.most, most.tip), (MAX_FEE_PER_GAS, MAX_FEE_PER_GAS));
    }
}
