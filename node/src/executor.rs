//! One task per chain: it carries open slash orders out until the ledger shows them final. Any operator may; each
//! waits for those before him in rank, and the chain itself refuses a second time.

use crate::handle::CoreHandle;
use palisade_types::chain::{Chain, ChainError, ChainKind, Progress};
use palisade_types::ids::CaseId;
use palisade_types::slash::SlashTarget;
use palisade_types::units::Millis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often open orders are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Carries out orders on `chain` until the core is gone.
pub async fn execute<C: Chain>(kind: ChainKind, chain: Arc<C>, core: CoreHandle) {
    let started = Instant::now();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since: BTreeMap<CaseId, Millis> = BTreeMap::new();
    let mut progress: BTreeMap<(CaseId, SlashTarget), Progress> = BTreeMap::new();
    loop {
        look.tick().await;
        let now = Millis::new(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let seen = since.clone();
        let read = core.read(move |core| {
            let cases: BTreeSet<CaseId> = core.ledger().cases().map(|case| case.id).collect();
            (cases, core.open_orders(now, &seen, kind))
        });
        let Ok((cases, open)) = read.await else { return };
        for case in cases {
            since.entry(case).or_insert(now);
        }
        for execution in open {
            let order = execution.case.orders[execution.order];
            let (case, target) = (execution.case.id, order.target);
            match chain.execute(&execution).await {
                Ok(now) if progress.insert((case, target), now) == Some(now) => {}
                Ok(now) => tracing::info!(chain = ?kind, %case, ?target, progress = ?now, "carrying out a slash order"),
                Err(ChainError::Refused(reason)) => {
                    tracing::warn!(chain = ?kind, %case, ?target, reason, "the chain refuses a slash order");
                }
                Err(error) => {
                    tracing::debug!(chain = ?kind, %case, error = &error as &dyn std::error::Error, "will try again");
                }
            }
        }
    }
}
