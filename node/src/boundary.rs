//! Asks Committee.sol which chain is the network's (R13), at our own final Ethereum block: before the first answer nothing is attested
//! and no peer is given blocks, and as long as the node runs its chain must go through every boundary that was handed over since.

use crate::core::passage::Witness;
use crate::handle::CoreHandle;
use palisade_ethereum::Ethereum;
use palisade_ethereum::light::LastBoundary;
use palisade_types::chain::{Chain as _, ChainError};
use palisade_types::epoch::FinalBlock;
use std::sync::Arc;
use std::time::Duration;

/// How soon an endpoint that did not answer is asked again,
const AGAIN: Duration = Duration::from_secs(1);
/// and how soon the contract is looked at again after an answer: epochs are long.
const LOOK: Duration = Duration::from_secs(12);

/// Tells the core what the contract has seen, until the core is gone.
pub async fn watch(ethereum: Arc<Ethereum>, core: CoreHandle) {
    let (mut is_told, mut is_frozen) = (false, false);
    loop {
        let wait = match seen(&ethereum).await {
            Ok(boundary) => {
                if boundary.is_some_and(|boundary| boundary.frozen) && !std::mem::replace(&mut is_frozen, true) {
                    tracing::error!(
                        "Committee.sol has seen two certified boundary blocks of one epoch, and goes on no more (R10)"
                    );
                }
                let block = boundary.map(|boundary| FinalBlock { height: boundary.height, id: boundary.block });
                if !std::mem::replace(&mut is_told, true) {
                    match block {
                        Some(block) => {
                            tracing::info!(height = %block.height, id = %block.id, by = %Witness::Committee, "the chain must pass through this boundary")
                        }
                        None => tracing::info!("Committee.sol does not stand yet: genesis says which chain this is"),
                    }
                }
                if core.passes_through(block).await.is_err() {
                    return;
                }
                LOOK
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot ask Committee.sol for its last boundary"
                );
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// The last boundary at our own final block.
///
/// # Errors
///
/// [`ChainError`]: ask again.
pub async fn seen(ethereum: &Ethereum) -> Result<Option<LastBoundary>, ChainError> {
    let tip = ethereum.tip().await?;
    ethereum.last_boundary(&tip).await
}
