//! Runs of bitcoin-final checkpoints (R2): which one may follow.
//!
//! A run starts with the first checkpoint of an epoch, behind a certified boundary, and goes on one interval at a time:
//! whoever certifies two histories must sign one slot twice. Votes come after the BLS certificate, in a BTC-only network
//! after the engine's commit (R22), so that an epoch's last checkpoint may be voted for after its hand-over, and
//! providers sign late slots of their epoch. So slots of the epoch before are open too (R32), under the committee of that
//! epoch (R3), as long as that is not past its age (R10). A gap ends the run only once no vote can fill it any more.

use crate::invalid::Invalid;
use crate::state::State;
use crate::{committee, epochs};
use palisade_types::certificate::Committee;
use palisade_types::epoch::{Finality, Run};
use palisade_types::{Epoch, Height};

/// The first height whose checkpoints can still be certified.
pub(crate) fn first_open(state: State<'_>) -> Height {
    let epoch = state.epoch();
    let before = epoch.epoch.get().checked_sub(1).map(Epoch::new);
    let first = before.and_then(|before| state.first_of(before)).unwrap_or(epoch.first);
    first.max(state.ledger.genesis_of().first_height()) // those of a network before are its own (R21)
}

/// The committee whose votes count in the slot of a decided block (R3).
pub(crate) fn committee(state: State<'_>, slot: Height) -> Option<&Committee> {
    state.committee_of(state.epoch_of(slot)?)
}

/// The run that a certificate of `slot` makes: the one there is, one longer, or a new one where that has ended.
pub(crate) fn extend(state: State<'_>, finality: &Finality, slot: Height) -> Result<Run, Invalid> {
    let newest = finality.bitcoin.map(|block| block.height);
    if newest.is_some_and(|newest| newest >= slot) {
        return Err(Invalid::Late("a certificate of a checkpoint that is final"));
    }
    let next = newest.and_then(|newest| following(state, newest));
    if next == Some(slot) {
        return Ok(finality.run.unwrap_or(Run { first: slot, broken: newest }));
    }
    let waits = next.is_some_and(|next| is_open(state, next));
    if waits || !starts_epoch(state, slot) {
        return Err(Invalid::Early("a checkpoint that breaks the run"));
    }
    Ok(Run { first: slot, broken: newest })
}

/// The checkpoints of which one may become final next: the one that the run goes on with, while it can; else those with
/// which a run can start.
pub(crate) fn due(state: State<'_>) -> Vec<Height> {
    let newest = state.finality().bitcoin.map(|block| block.height);
    let next = newest.and_then(|newest| following(state, newest));
    if let Some(next) = next
        && (next > state.ledger.head().height || is_open(state, next))
    {
        return vec![next];
    }
    let (interval, first) = (state.ledger.domains().interval, first_open(state));
    let mut starts: Vec<_> = [first, state.epoch().first]
        .into_iter()
        .filter_map(|first| committee::next_checkpoint(first.previous(), interval))
        .filter(|start| newest.is_none_or(|newest| *start > newest) && starts_epoch(state, *start))
        .filter(|start| is_open(state, *start))
        .collect();
    starts.dedup();
    starts
}

fn following(state: State<'_>, newest: Height) -> Option<Height> {
    newest.get().checked_add(state.ledger.domains().interval).map(Height::new)
}

/// Whether votes can still make the checkpoint `slot` final.
fn is_open(state: State<'_>, slot: Height) -> bool {
    slot >= first_open(state)
        && committee(state, slot)
            .is_some_and(|committee| committee.total_bitcoin() > 0 && !epochs::is_past_age(state, committee))
}

/// Whether `slot` is the first checkpoint of the epoch it belongs to.
fn starts_epoch(state: State<'_>, slot: Height) -> bool {
    let first = state.epoch_of(slot).and_then(|epoch| state.first_of(epoch));
    first.is_some_and(|first| {
        committee::next_checkpoint(first.previous(), state.ledger.domains().interval) == Some(slot)
    })
}
