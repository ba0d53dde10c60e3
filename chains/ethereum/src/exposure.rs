//! Shows Palisade.sol the secrets of finality keys that came out (R29). The ledger convicts by them on its own; the
//! contract must be told, or its light client would go on counting those convicts (R9).

use crate::bindings::palisade::Palisade::{self, convictExposedCall};
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, hash_of, view_failed};
use crate::outbox::{Draft, Errand, Fate};
use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use palisade_types::chain::ChainError;
use palisade_types::ids::{Address, Hash, OperatorId};

/// A finality key of an operator, with its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExposedFinality {
    /// Whose key it is.
    pub operator: OperatorId,
    /// The registry row that holds it.
    pub key: u32,
    /// The scalar: public since it came out.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for ExposedFinality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExposedFinality")
            .field("operator", &self.operator)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The operator is a convict at the contract, for whatever fault.
    Done,
    /// Our own transaction is on its way.
    Sent(Hash),
}

/// On top of the estimate: the light client may come to stand in between, and is told then.
const SPARE_GAS: u64 = 60_000;

impl Ethereum {
    /// Convicts an operator at Palisade.sol by the secret of its finality key, unless it is a convict there.
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] with the contract's reason, or when this operator has no account; nothing was sent then.
    pub async fn show_exposed(&self, exposed: &ExposedFinality) -> Result<Shown, ChainError> {
        self.first(async |endpoint: Endpoint| self.show(&endpoint, exposed).await).await
    }

    async fn show(&self, endpoint: &Endpoint, exposed: &ExposedFinality) -> Result<Shown, ChainError> {
        // One at a time: nonces are given out in order.
        let mut outbox = self.outbox.lock().await;
        let errand = Errand::Exposed(exposed.operator);
        let to = alloy_address(&endpoint.genesis().contracts.palisade);
        let since = Palisade::new(to, endpoint.provider().await?)
            .convictedAt(alloy_address(&Address::from(exposed.operator)))
            .call()
            .await
            .map_err(|error| view_failed("asking Palisade.sol for a convict", error))?;
        if !since.is_zero() {
            outbox.forget(&errand);
            return Ok(Shown::Done);
        }
        let account = self.account.as_ref();
        let account = account.ok_or_else(|| refused("this operator has no account that pays for convictions"))?;
        match outbox.follow(endpoint, account, &errand).await? {
            Some(Fate::Waiting(hash)) => return Ok(Shown::Sent(hash_of(hash))),
            Some(Fate::Included(receipt)) if receipt.status() => return Ok(Shown::Done),
            Some(Fate::Included(_)) => {
                return Err(refused("the conviction reverted in its block: somebody was faster"));
            }
            Some(Fate::Replaced) | None => {}
        }
        let call = convictExposedCall { keyId: exposed.key, secret: U256::from_be_bytes(exposed.secret) };
        let draft = Draft { to, input: call.abi_encode().into(), spare_gas: SPARE_GAS };
        let hash = outbox.send(endpoint, account, errand, draft).await?;
        tracing::info!(operator = %exposed.operator, transaction = %hash, "showed an exposed finality key");
        Ok(Shown::Sent(hash_of(hash)))
    }
}

fn refused(why: &str) -> ChainError {
    ChainError::Refused(why.to_owned())
}
