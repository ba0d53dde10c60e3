//! Carries boundary certificates to Committee.sol, one epoch after the other (R10), long before the trust period ends
//! (R5). Anybody may; who comes second is refused before he has paid for more than a look.

use crate::bindings::committee::Committee;
use crate::bindings::palisade::Palisade;
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, hash_of, unavailable, view_failed};
use crate::light::{self, Certified};
use crate::outbox::{Draft, Errand, Fate};
use alloy::providers::Provider;
use palisade_types::block::Header;
use palisade_types::chain::ChainError;
use palisade_types::ids::Hash;
use palisade_types::units::Epoch;

/// How far a hand-over has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedOver {
    /// The next committee is in office, whoever sent it there.
    Done,
    /// Our own transaction is on its way.
    Sent(Hash),
}

impl Ethereum {
    /// The newest epoch whose committee is in office at Committee.sol, in the newest block; `None` while no contract
    /// stands where genesis says (R6).
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`]: ask again.
    pub async fn epoch_in_office(&self) -> Result<Option<Epoch>, ChainError> {
        self.first(async |endpoint: Endpoint| in_office(&endpoint).await).await
    }

    /// Hands over with the certified boundary block of the epoch in office. The weights go with it when the contract may
    /// need them, also when the caller does not ask for that.
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] with the contract's reason, or when this operator has no account; nothing was sent then.
    pub async fn hand_over(&self, boundary: &Header, certified: &Certified<'_>) -> Result<HandedOver, ChainError> {
        self.first(async |endpoint: Endpoint| self.post(&endpoint, boundary, certified).await).await
    }

    async fn post(
        &self,
        endpoint: &Endpoint,
        boundary: &Header,
        certified: &Certified<'_>,
    ) -> Result<HandedOver, ChainError> {
        let epoch = boundary.epoch;
        // One at a time: nonces are given out in order.
        let mut outbox = self.outbox.lock().await;
        let errand = Errand::HandOver(epoch);
        if in_office(endpoint).await?.is_none_or(|office| office > epoch) {
            outbox.forget(&errand);
            return Ok(HandedOver::Done);
        }
        let account = self.account.as_ref();
        let account = account.ok_or_else(|| refused("this operator has no account that pays for hand-overs"))?;
        match outbox.follow(endpoint, account, &errand).await? {
            Some(Fate::Waiting(hash)) => return Ok(HandedOver::Sent(hash_of(hash))),
            Some(Fate::Included(receipt)) if receipt.status() => return Ok(HandedOver::Done),
            Some(Fate::Included(_)) => return Err(refused("the hand-over reverted in its block: somebody was faster")),
            Some(Fate::Replaced) | None => {}
        }
        // The contract looks for convicts when there may be some, and then it needs the weights.
        let with_weights =
            certified.with_weights || last_conviction(endpoint).await? >= certified.committee.ethereum.number;
        let input = light::hand_over(boundary, &Certified { with_weights, ..*certified });
        let input = input.map_err(|error| ChainError::Refused(error.to_string()))?;
        let to = alloy_address(&endpoint.genesis().contracts.committee);
        let hash =
            outbox.send(endpoint, account, errand, Draft { to, input: input.into(), spare_gas: SPARE_GAS }).await?;
        tracing::info!(%epoch, transaction = %hash, "sent a hand-over");
        Ok(HandedOver::Sent(hash_of(hash)))
    }
}

/// On top of the estimate: a conviction in between makes the contract look at more.
const SPARE_GAS: u64 = 50_000;

pub(crate) async fn in_office(endpoint: &Endpoint) -> Result<Option<Epoch>, ChainError> {
    let (provider, address) = (endpoint.provider().await?, alloy_address(&endpoint.genesis().contracts.committee));
    let code = provider.get_code_at(address).await;
    if code.map_err(|error| unavailable("asking for Committee.sol's code", error))?.is_empty() {
        return Ok(None);
    }
    let newest = Committee::new(address, provider).latest().call().await;
    let newest = newest.map_err(|error| view_failed("asking Committee.sol for its newest epoch", error))?;
    Ok(Some(Epoch::new(newest.epoch)))
}

/// The block of the newest conviction at Palisade.sol; zero without one.
async fn last_conviction(endpoint: &Endpoint) -> Result<u64, ChainError> {
    let palisade = Palisade::new(alloy_address(&endpoint.genesis().contracts.palisade), endpoint.provider().await?);
    let block = palisade.lastConvictionBlock().call().await;
    let block = block.map_err(|error| view_failed("asking Palisade.sol for its newest conviction", error))?;
    Ok(block.to::<u64>())
}

fn refused(why: &str) -> ChainError {
    ChainError::Refused(why.to_owned())
}
