//! Bitcoin's headers on the disk: read at the start, and kept up with the chain while the node runs.
//!
//! Nothing depends on them but time: what cannot be read, or does not hold, is asked for again.

use palisade_bitcoin::Bitcoin;
use palisade_storage::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often new headers are written down.
const PACE: Duration = Duration::from_secs(1);
/// How long a disk that failed is left alone.
const REST: Duration = Duration::from_secs(60);

/// What an earlier run kept.
#[must_use]
pub fn load(store: &Store) -> Vec<(u32, Vec<u8>)> {
    store.headers().unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "kept headers cannot be read and are asked for again");
        Vec::new()
    })
}

/// Writes down what changes on the heaviest chain, for as long as we live.
pub async fn keep(bitcoin: Arc<Bitcoin>, store: Arc<Store>) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        while let Some(part) = bitcoin.keep_next().await {
            if let Err(error) = store.keep_headers(part.first, &part.rows) {
                tracing::error!(error = &error as &dyn std::error::Error, "headers could not be kept");
                bitcoin.unkeep().await;
                pace.reset_after(REST);
                break;
            }
        }
    }
}
