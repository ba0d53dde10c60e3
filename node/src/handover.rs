//! One task: it takes Committee.sol from epoch to epoch (R10), with the boundary certificates that stand in the ledger, and
//! shows Palisade.sol the finality keys that came out, whose operators the light client would go on counting (R9), and has the
//! Symbiotic adapter remember captures (R26). Any operator may; each waits for those before him in turn, and the contracts themselves refuse a second time.

use crate::core::Core;
use crate::handle::CoreHandle;
use palisade_ethereum::light::Certified;
use palisade_ethereum::{Ethereum, ExposedFinality, Noted, Shown};
use palisade_storage::{Store, StoreError};
use palisade_types::block::{Header, Item};
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::{ChainError, ChainKind};
use palisade_types::genesis::Parameters;
use palisade_types::ids::{Hash, OperatorId};
use palisade_types::row::{Row, RowKey};
use palisade_types::units::{Epoch, Height};
use std::collections::BTreeMap;
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
    let mut urged = None;
    let mut told = String::new();
    let mut convicts = BTreeMap::new();
    let mut due_since = None;
    loop {
        look.tick().await;
        note(&ethereum, &core, &mut due_since).await;
        let office = match ethereum.epoch_in_office().await {
            Ok(Some(office)) => office,
            Ok(None) => continue, // it is deployed once there is a committee with weight (R6)
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot look at Committee.sol");
                continue;
            }
        };
        let Ok(exposed) = core.read(move |core| Exposed::known(core, office)).await else { return };
        show(&ethereum, exposed, &mut convicts).await;
        let Ok(due) = core.read(move |core| Due::after(core, office)).await else { return };
        let Some(due) = due else { continue };
        let begun = match since {
            Some((epoch, begun)) if epoch == office => begun,
            _ => Instant::now(),
        };
        since = Some((office, begun));
        if due.is_urgent && urged != Some(office) {
            urged = Some(office);
            tracing::error!(
                epoch = %office,
                blocks = due.left,
                "Committee.sol has not been handed over to the next epoch, and takes nothing any more after so many Ethereum blocks"
            );
        }
        // Each leaves it to those before him, but not until it is too late (R5).
        if begun.elapsed() < PATIENCE * due.turn && !due.is_urgent {
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
        let certified = Certified { certificate: &certificate, committee: &due.committee, with_weights: false };
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

/// Has the Symbiotic adapter remember captures as often as it does (R26), before the first hand-over too: without one no stake there
/// counts. Whoever's turn it is goes first.
async fn note(ethereum: &Ethereum, core: &CoreHandle, due_since: &mut Option<Instant>) {
    match ethereum.note_due().await {
        Ok(Noted::Kept) => {
            *due_since = None;
            return;
        }
        Ok(Noted::Due | Noted::Sent(_)) => {}
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot look at the captures");
            return;
        }
    }
    let since = *due_since.get_or_insert_with(Instant::now);
    let Ok(turn) = core.read(|core| core.turn(core.ledger().epoch().epoch)).await else { return };
    if since.elapsed() < PATIENCE * turn {
        return;
    }
    if let Err(error) = ethereum.note().await {
        tracing::debug!(error = &error as &dyn std::error::Error, "no capture is noted");
    }
}

/// What was tried for a convict by an exposed key.
enum Trial {
    /// Somebody before us may still do it.
    Since(Instant),
    /// The contract has convicted.
    Done,
    /// The contract refused, and said so.
    Refused,
}

/// Shows what came out, each once our turn has come.
async fn show(ethereum: &Ethereum, exposed: Exposed, convicts: &mut BTreeMap<OperatorId, Trial>) {
    for finality in exposed.keys {
        let trial = convicts.entry(finality.operator).or_insert_with(|| Trial::Since(Instant::now()));
        let Trial::Since(since) = trial else { continue };
        if since.elapsed() < PATIENCE * exposed.turn {
            continue;
        }
        match ethereum.show_exposed(&finality).await {
            Ok(Shown::Done) => *trial = Trial::Done,
            Ok(Shown::Sent(_)) => {}
            Err(ChainError::Refused(reason)) => {
                tracing::warn!(operator = %finality.operator, reason, "Palisade.sol takes no exposed finality key");
                *trial = Trial::Refused;
            }
            Err(error) => {
                tracing::debug!(operator = %finality.operator, error = &error as &dyn std::error::Error, "will try again");
            }
        }
    }
}

/// The finality keys of convicts whose secrets the ledger's cases hold.
struct Exposed {
    keys: Vec<ExposedFinality>,
    /// How many operators go before us.
    turn: u32,
}

impl Exposed {
    fn known(core: &Core, office: Epoch) -> Self {
        let ledger = core.ledger();
        let keys = ledger.cases().filter_map(|case| {
            let (chain, _) = ledger.genesis_of().origin(&case.domain)?;
            let operator = ledger.operator(&case.operator)?;
            let eots: Vec<_> = operator.keys.iter().map(|row| row.eots).collect();
            let secret = palisade_bitcoin::slash::exposed(case.evidence.as_ref()?, &chain, &eots).ok()?;
            let public = secret.public().to_bytes();
            let row = operator.keys.iter().find(|row| *row.eots.as_bytes() == public)?;
            Some(ExposedFinality { operator: case.operator, key: row.id, secret: *secret.to_bytes() })
        });
        Self { keys: keys.collect(), turn: core.turn(office) }
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
    /// For how many Ethereum blocks from the ledger's anchor on Committee.sol still takes that committee's certificates (R5).
    left: u64,
    /// Whether the trust period has begun: the committee's age limit is over, and nobody has handed over (R5, R10).
    is_urgent: bool,
}

impl Due {
    fn after(core: &Core, office: Epoch) -> Option<Self> {
        let ledger = core.ledger();
        let Some(Row::EpochFirst(first)) = ledger.row(&RowKey::EpochFirst(office.next())) else { return None };
        let committee = ledger.committee_of(office)?.clone();
        let parameters = &ledger.genesis_of().parameters;
        let left = blocks_left(committee.ethereum.number, parameters, ledger.anchor(ChainKind::Ethereum).number);
        let is_urgent = left < parameters.trust_blocks;
        Some(Self { committee, last: first.previous(), turn: core.turn(office), left, is_urgent })
    }
}

/// For how many Ethereum blocks after `now` a committee's certificates are taken (R5).
const fn blocks_left(snapshot: u64, parameters: &Parameters, now: u64) -> u64 {
    let lifetime = parameters.max_age_blocks.saturating_add(parameters.trust_blocks);
    snapshot.saturating_add(lifetime).saturating_sub(now)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r05_a_hand_over_is_urgent_once_the_trust_period_has_begun() {
        let parameters = crate::genesis_file::tests::sample().parameters; // 30 blocks of age, 40 of trust
        let left = |now| blocks_left(1_000, &parameters, now);
        assert_eq!([1_000, 1_030, 1_031, 1_070, 1_071].map(left), [70, 40, 39, 0, 0]);
        let urgent = [1_000, 1_030, 1_031, 1_070].map(|now| left(now) < parameters.trust_blocks);
        assert_eq!(urgent, [false, false, true, true], "in the last block of its age it is not late");
    }
}
