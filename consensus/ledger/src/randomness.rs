//! Finality providers' promises of nonces (R19): block items, signed by the finality key, never overlapping.

use crate::changes::Draft;
use crate::invalid::Invalid;
use palisade_crypto::eots;
use palisade_types::operator::KeyRow;
use palisade_types::randomness::{Commitment, MAX_COMMITTED, RandomnessCommitment};
use palisade_types::row::RandomnessId;
use palisade_types::{Height, Row, RowKey};

/// Takes a commitment in.
pub(crate) fn commit(draft: &mut Draft<'_>, promise: &RandomnessCommitment) -> Result<(), Invalid> {
    let state = draft.state();
    let operator = state.operator(&promise.operator).ok_or(Invalid::Early("a commitment of an unknown operator"))?;
    if operator.convicted.is_some() {
        return Err(Invalid::Late("a commitment of a convict"));
    }
    let interval = state.ledger.domains().interval;
    check_range(&promise.commitment, interval, draft.height)?;
    if state.commitments(&promise.operator).any(|other| overlap(&other.commitment, &promise.commitment, interval)) {
        return Err(Invalid::Late("a commitment that overlaps another"));
    }
    let keys = operator.keys_now().ok_or(Invalid::Early("a commitment without a standing key"))?;
    check_signature(draft, promise, keys)?;
    let id = RandomnessId { operator: promise.operator, first: promise.commitment.first };
    draft.put(RowKey::Randomness(id), Row::Randomness(*promise));
    Ok(())
}

/// A range of checkpoints of which some lie ahead. Those that have passed do no harm: a committee's row is drawn for
/// checkpoints to come, and its votes count for no others.
fn check_range(commitment: &Commitment, interval: u64, height: Height) -> Result<(), Invalid> {
    let first = commitment.first.get();
    if commitment.count == 0 || commitment.count > MAX_COMMITTED || !first.is_multiple_of(interval) {
        return Err(Invalid::Refused("a commitment to no range of checkpoints"));
    }
    let length = u64::from(commitment.count).checked_mul(interval);
    if length.and_then(|length| length.checked_add(first)).is_none() {
        return Err(Invalid::Refused("a commitment beyond all heights"));
    }
    if commitment.last(interval) <= height {
        return Err(Invalid::Late("a commitment to checkpoints that have all passed"));
    }
    Ok(())
}

/// Both ranges were checked, so their last checkpoints exist.
fn overlap(one: &Commitment, other: &Commitment, interval: u64) -> bool {
    one.first <= other.last(interval) && other.first <= one.last(interval)
}

fn check_signature(draft: &Draft<'_>, promise: &RandomnessCommitment, keys: &KeyRow) -> Result<(), Invalid> {
    let domains = draft.parent.domains();
    let message =
        RandomnessCommitment::message(&domains.chain, &domains.bitcoin, &promise.operator, &promise.commitment);
    eots::PublicKey::from_bytes(keys.eots.as_bytes())
        .and_then(|key| key.verify_schnorr(&message, promise.signature.as_bytes()))
        .map_err(|_| Invalid::Refused("a commitment that the finality key did not sign"))
}
