//! Operators: their keys as Palisade.sol registers them (R12), and what is known of how they served.

use crate::changes::Draft;
use palisade_crypto::{bls, ed25519, eots};
use palisade_types::observation::KeysRegistered;
use palisade_types::operator::{KeyRow, Operator};
use palisade_types::possession;
use palisade_types::{OperatorId, Row, RowKey};

/// Takes a registration in. The contract has closed the row before, so the ledger closes it too, whatever the
/// new row is worth: a key that counted here and no longer there would be weight that no pair can take. A row
/// whose keys are another row's, whose proofs do not hold, or that is one too many, adds nothing then, and the
/// operator is without keys.
pub(crate) fn register(draft: &mut Draft<'_>, keys: &KeysRegistered) {
    let known = draft.state().operator(&keys.operator).cloned();
    let good = keys.row.until.is_none() && is_unique(draft, &keys.row) && proves_possession(draft, keys);
    let mut operator = match known {
        Some(operator) => operator,
        None if good => newcomer(keys.operator),
        None => return,
    };
    if let Some(last) = operator.keys.as_mut_slice().last_mut() {
        last.until = last.until.or(Some(keys.row.from));
    }
    if good {
        // A full list takes no more rows; the operator stays closed.
        let _ = operator.keys.push(keys.row.clone());
    }
    draft.put(RowKey::Operator(operator.id), Row::Operator(operator));
}

const fn newcomer(id: OperatorId) -> Operator {
    Operator { id, keys: palisade_types::List::new(), convicted: None, jailed: None, attested: 0, missed: 0 }
}

/// Keys are unique for ever (R12). The contract keeps only BLS keys so, whose proofs it checks; two members with
/// one voting key would be one seat in the engine.
fn is_unique(draft: &Draft<'_>, new: &KeyRow) -> bool {
    let shares = |old: &KeyRow| old.bls == new.bls || old.ed25519 == new.ed25519 || old.eots == new.eots;
    !draft.state().operators().any(|operator| operator.keys.iter().any(shares))
}

/// The contract checked the BLS proof; here the key is only read. The other two proofs are checked in full.
fn proves_possession(draft: &Draft<'_>, keys: &KeysRegistered) -> bool {
    let chain = draft.parent.domains().founder; // the contract asks for proofs under its own (R21)
    let palisade = draft.parent.genesis_of().contracts.palisade;
    let (operator, row) = (&keys.operator, &keys.row);
    let votes = ed25519::PublicKey::from_bytes(row.ed25519.as_bytes()).is_ok_and(|key| {
        let message = possession::ed25519_message(&chain, &palisade, operator, &row.ed25519);
        key.verify(&message, &ed25519::Signature(*keys.ed25519_proof.as_bytes())).is_ok()
    });
    let finalises = eots::PublicKey::from_bytes(row.eots.as_bytes()).is_ok_and(|key| {
        let message = possession::eots_message(&chain, &palisade, operator, &row.eots);
        key.verify_schnorr(&message, keys.eots_proof.as_bytes()).is_ok()
    });
    votes && finalises && bls::PublicKey::from_bytes(row.bls.as_bytes()).is_ok()
}

/// Marks an operator as convicted at the draft's height, unless he is already.
pub(crate) fn convict(draft: &mut Draft<'_>, id: &OperatorId) {
    let height = draft.height;
    change(draft, id, |operator| {
        operator.convicted = operator.convicted.or(Some(height));
    });
}

/// Keeps an operator out of the next committees (R18, R20).
pub(crate) fn jail(draft: &mut Draft<'_>, id: &OperatorId) {
    let height = draft.height;
    change(draft, id, |operator| {
        operator.jailed = operator.jailed.or(Some(height));
    });
}

/// Books whether the certificates of a slot name him (R20).
pub(crate) fn record(draft: &mut Draft<'_>, id: &OperatorId, named: bool) {
    change(draft, id, |operator| {
        if named {
            operator.attested = operator.attested.saturating_add(1);
        } else {
            operator.missed = operator.missed.saturating_add(1);
        }
    });
}

/// Whether he may sit in the next committee.
pub(crate) const fn is_eligible(operator: &Operator) -> bool {
    operator.convicted.is_none() && operator.jailed.is_none()
}

fn change(draft: &mut Draft<'_>, id: &OperatorId, change: impl FnOnce(&mut Operator)) {
    if let Some(mut operator) = draft.state().operator(id).cloned() {
        change(&mut operator);
        draft.put(RowKey::Operator(*id), Row::Operator(operator));
    }
}

/// The operator as he can still be convicted at Ethereum block `now`: a key counts until its row's end + W (R12),
/// in Palisade.sol and so here.
pub(crate) fn accusable(operator: &Operator, now: u64, window: u64) -> Operator {
    let rows = operator.keys.iter();
    let rows = rows.filter(|row| row.until.is_none_or(|until| now <= until.saturating_add(window)));
    Operator {
        keys: rows.cloned().collect::<Vec<_>>().try_into().expect("no more rows than before"),
        ..operator.clone()
    }
}
