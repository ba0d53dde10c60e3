//! One task: it takes Committee.sol from epoch to epoch (R10), with the boundary certificates that stand in the ledger. Any
//! operator may; each waits for those before him in turn, and the contract itself refuses a second time.

use crate::core::Core;
use crate::handle::CoreHandle;
use palisade_ethereum::Ethereum;
use palisade_ethereum::light::Certified;
use palisade_storage::{Store, StoreError};
use palisade_types::block::{Header, Item};
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::ChainError;
use palisade_types::ids::Hash;
use palisade_types::row::{Row, RowKey};
use palisade_types::units::{Epoch, Height};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often the contract is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long an operator leaves a hand-over to each of those before him.
const PATIENCE: Duration = Duration::from_secs(6);

/// Hands over until the core is gone.
pub async fn hand_over(ethereum: Arc<Ethereum>, core: CoreHandle, store: Arc<Store>) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since: Option<(Epoch, Instant)> = None;
    let mut told = String::new();
    loop {
        look.tick().await;
        let office = match ethereum.epoch_in_office().await {
            Ok(Some(office)) => office,
            Ok(None) => continue, // it is deployed once there is a committee with weight (R6)
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot look at Committee.sol");
                continue;
            }
        };
        let Ok(due) = core.read(move |core| Due::after(core, office)).await else { return };
        let Some(due) = due else { continue };
        let begun = match since {
            Some((epoch, begun)) if epoch == office => begun,
            _ => Instant::now(),
        };
        since = Some((office, begun));
        if begun.elapsed() < PATIENCE * due.turn {
            continue;
        }
        let (header, certificate) = match certified_boundary(&store, due.last) {
            Ok(Some(found)) => found,
            Ok(None) => continue, // an epoch without weight has no way on but a succession (R6)
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store cannot be read");
                continue;
            }
        };
        // The weights always go with it: without them a conviction that only the contract knows would refuse it.
        let certified = Certified { certificate: &certificate, committee: &due.committee, with_weights: true };
        match ethereum.hand_over(&header, &certified).await {
            Ok(_) => told.clear(),
            Err(ChainError::Refused(reason)) if reason != told => {
                tracing::warn!(epoch = %office, reason, "Committee.sol refuses a hand-over");
                told = reason;
            }
            Err(error) => {
                tracing::debug!(epoch = %office, error = &error as &dyn std::error::Error, "will try again");
            }
        }
    }
}

/// A hand-over that the ledger has made and the contract has not.
struct Due {
    /// Who is in office at the contract.
    committee: Committee,
    /// The last block of that committee's epoch, which holds the boundary's certificate (R10).
    last: Height,
    /// How many operators go before us.
    turn: u32,
}

impl Due {
    fn after(core: &Core, office: Epoch) -> Option<Self> {
        let ledger = core.ledger();
        let Some(Row::EpochFirst(first)) = ledger.row(&RowKey::EpochFirst(office.next())) else { return None };
        let committee = ledger.committee_of(office)?.clone();
        Some(Self { committee, last: first.previous(), turn: core.turn(office) })
    }
}

/// The boundary block whose certificate stands in the last block of its epoch.
fn certified_boundary(store: &Store, last: Height) -> Result<Option<(Header, QuorumCertificate)>, StoreError> {
    let Some((block, _)) = store.block(last)? else { return Ok(None) };
    for item in &block.items {
        let Item::EtherFinal(certificate) = item else { continue };
        let boundary = store.block(Height::new(certificate.slot))?.map(|(block, _)| block.header);
        if let Some(header) = boundary.filter(|header| header.next_committee != Hash::ZERO) {
            return Ok(Some((header, certificate.clone())));
        }
    }
    Ok(None)
}
