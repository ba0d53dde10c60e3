//! Has the Symbiotic adapter remember captures (R26): what an operator had at a moment that it remembers can be slashed for one
//! epoch of the vault, whatever he does afterwards, and counts for so long.

use crate::bindings::symbiotic_adapter::SymbioticAdapter::{self, noteCall};
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, hash_of, unavailable, view_failed};
use crate::outbox::{Draft, Errand, Fate};
use alloy::eips::BlockId;
use alloy::providers::Provider;
use alloy::sol_types::SolCall;
use palisade_types::chain::ChainError;
use palisade_types::ids::Hash;

/// What became of a wish to have a moment remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The last one is not so long ago, or genesis has no stake on Symbiotic.
    Kept,
    /// The adapter would remember one now.
    Due,
    /// Our own transaction is on its way.
    Sent(Hash),
}

impl Ethereum {
    /// Whether the adapter would remember a moment now.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`]: ask again.
    pub async fn note_due(&self) -> Result<Noted, ChainError> {
        self.first(async |endpoint: Endpoint| {
            let is_due = is_due(&endpoint).await?;
            Ok(if is_due { Noted::Due } else { Noted::Kept })
        })
        .await
    }

    /// Has the adapter remember a moment, if it would.
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] when this operator has no account; nothing was sent then.
    pub async fn note(&self) -> Result<Noted, ChainError> {
        self.first(async |endpoint: Endpoint| self.send_note(&endpoint).await).await
    }

    async fn send_note(&self, endpoint: &Endpoint) -> Result<Noted, ChainError> {
        // One at a time: nonces are given out in order.
        let mut outbox = self.outbox.lock().await;
        let Some(symbiotic) = endpoint.genesis().contracts.symbiotic else { return Ok(Noted::Kept) };
        if !is_due(endpoint).await? {
            outbox.forget(&Errand::Note);
            return Ok(Noted::Kept);
        }
        let account = self.account.as_ref();
        let account = account
            .ok_or_else(|| ChainError::Refused("this operator has no account that pays for notes".to_owned()))?;
        match outbox.follow(endpoint, account, &Errand::Note).await? {
            Some(Fate::Waiting(hash)) => return Ok(Noted::Sent(hash_of(hash))),
            Some(Fate::Included(_)) => return Ok(Noted::Kept),
            Some(Fate::Replaced) | None => {}
        }
        let to = alloy_address(&symbiotic.adapter);
        let draft = Draft { to, input: noteCall {}.abi_encode().into(), spare_gas: 0 };
        let hash = outbox.send(endpoint, account, Errand::Note, draft).await?;
        tracing::info!(transaction = %hash, "sent a note of captures");
        Ok(Noted::Sent(hash_of(hash)))
    }
}

async fn is_due(endpoint: &Endpoint) -> Result<bool, ChainError> {
    let Some(symbiotic) = endpoint.genesis().contracts.symbiotic else { return Ok(false) };
    let provider = endpoint.provider().await?;
    let block = provider.get_block(BlockId::latest()).await;
    let block = block.map_err(|error| unavailable("asking for the newest block", error))?;
    let Some(block) = block else { return Ok(false) };
    let adapter = SymbioticAdapter::new(alloy_address(&symbiotic.adapter), provider);
    let interval = adapter.noteInterval().call().await;
    let interval = interval.map_err(|error| view_failed("asking how often captures are noted", error))?;
    let notes = adapter.notes().call().await;
    let notes = notes.map_err(|error| view_failed("asking for captures", error))?;
    let newest = notes[0].to::<u64>();
    Ok(newest == 0 || block.header.timestamp >= newest.saturating_add(interval.to::<u64>()))
}
