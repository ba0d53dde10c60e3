//! Finality providers' promises of nonces (R19): block items, signed by the finality key; those of one key never overlap.

use crate::changes::Draft;
use crate::invalid::Invalid;
use palisade_crypto::eots;
use palisade_types::randomness::{Commitment, MAX_COMMITTED, RandomnessCommitment};
use palisade_types::row::RandomnessId;
use palisade_types::{Height, Operator, Row, RowKey, SchnorrKey};

/// How many promises of one key may have checkpoints ahead (R32). Blocks cost nothing, and whoever paid once for being registered could
/// else fill the ledger with ranges of which no checkpoint ever comes. An operator needs two.
const MAX_AHEAD: usize = 8;

/// Takes a commitment in.
pub(crate) fn commit(draft: &mut Draft<'_>, promise: &RandomnessCommitment) -> Result<(), Invalid> {
    let state = draft.state();
    let operator = state.operator(&promise.operator).ok_or(Invalid::Early("a commitment of an unknown operator"))?;
    if operator.convicted.is_some() {
        return Err(Invalid::Late("a commitment of a convict"));
    }
    let interval = state.ledger.domains().interval;
    check_range(&promise.commitment, interval, draft.height)?;
    let overlaps = |other: &RandomnessCommitment| {
        other.key == promise.key && overlap(&other.commitment, &promise.commitment, interval)
    };
    if state.commitments(&promise.operator).any(overlaps) {
        return Err(Invalid::Late("a commitment that overlaps another"));
    }
    let ahead =
        |other: &&RandomnessCommitment| other.key == promise.key && other.commitment.last(interval) > draft.height;
    if state.commitments(&promise.operator).filter(ahead).count() >= MAX_AHEAD {
        return Err(Invalid::Early("a commitment while enough of the same key lie ahead"));
    }
    check_signature(draft, promise)?;
    check_key(operator, &promise.key)?;
    let RandomnessCommitment { operator, key, commitment: Commitment { first, .. }, .. } = *promise;
    let id = RandomnessId { operator, key, first };
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

/// The key stands. A key that was replaced signs nothing any more; one that is not known may be registered yet (R12).
fn check_key(operator: &Operator, key: &SchnorrKey) -> Result<(), Invalid> {
    if operator.keys_now().is_some_and(|keys| keys.eots == *key) {
        return Ok(());
    }
    let was_replaced = operator.keys.iter().any(|row| row.eots == *key);
    Err(if was_replaced {
        Invalid::Late("a commitment under a key that was replaced")
    } else {
        Invalid::Early("a commitment without a standing key")
    })
}

fn check_signature(draft: &Draft<'_>, promise: &RandomnessCommitment) -> Result<(), Invalid> {
    let domains = draft.parent.domains();
    let message =
        RandomnessCommitment::message(&domains.chain, &domains.bitcoin, &promise.operator, &promise.commitment);
    eots::PublicKey::from_bytes(promise.key.as_bytes())
        .and_then(|key| key.verify_schnorr(&message, promise.signature.as_bytes()))
        .map_err(|_| Invalid::Refused("a commitment that the finality key did not sign"))
}
