//! Drawing a committee from the state of a boundary block (R10).

use crate::state::State;
use crate::{operators, weights};
use palisade_types::certificate::{Committee, MAX_MEMBERS, Member};
use palisade_types::chain::ChainKind;
use palisade_types::operator::KeyRow;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::{Epoch, Genesis, Hash, Height, List, Operator};
use std::cmp::Reverse;

/// The seats of epoch 0: one unit each, no weight (R6).
pub(crate) fn first(genesis: &Genesis) -> Committee {
    let seats = genesis.seats.iter().map(|seat| Member {
        operator: seat.operator,
        key: 0,
        bls: palisade_types::BlsKey::ZERO,
        ed25519: seat.ed25519,
        eots: palisade_types::SchnorrKey::ZERO,
        randomness: Hash::ZERO,
        ether: 0,
        bitcoin: 0,
        engine: 1,
    });
    Committee {
        epoch: Epoch::new(0),
        ethereum: genesis.ethereum_start,
        bitcoin: genesis.bitcoin_start,
        members: bounded(seats.collect()),
    }
}

/// The committee of the epoch after this one, drawn by the state of the block at `height`: whoever has keys and a
/// bond that can still be taken at the end, at most 256 by weight, then by account. Who sits keeps his seat until somebody
/// outweighs him by more than a tenth, so that two who weigh about the same do not take turns.
pub(crate) fn draw(state: State<'_>, height: Height) -> Committee {
    let genesis = state.ledger.genesis_of();
    let parameters = &genesis.parameters;
    let end = parameters.after(state.anchor(ChainKind::Ethereum), parameters.ethereum_window());
    let ether = weights::Ether::at(state, end);
    let mut members: Vec<Member> = state
        .operators()
        .filter(|operator| operators::is_eligible(operator))
        .filter_map(|operator| seat(state, operator, height, ether.of(&operator.id)))
        .collect();
    let value = |member: &Member| bond(genesis, member.ether, member.bitcoin);
    if members.len() > MAX_MEMBERS {
        let sitting = state.committee();
        let sits = |member: &Member| sitting.seat(&member.operator).is_some();
        let rank = |member: &Member| u128::from(value(member)) * if sits(member) { 11 } else { 10 };
        members.sort_by_key(|member| (Reverse(rank(member)), !sits(member), member.operator));
        members.truncate(MAX_MEMBERS);
        members.sort_by_key(|member| member.operator);
    }
    let total: u128 = members.iter().map(|member| u128::from(value(member))).sum();
    let members = if members.is_empty() || total < u128::from(genesis.parameters.min_total.get()) {
        kept(state)
    } else {
        empower(state, members)
    };
    Committee {
        epoch: state.epoch().epoch.next(),
        ethereum: *state.anchor(ChainKind::Ethereum),
        bitcoin: *state.anchor(ChainKind::Bitcoin),
        members: bounded(members),
    }
}

/// An operator's seat, still without power in the engine; `None` when he has no key row at the snapshot (R12) or
/// too little that could be taken.
fn seat(state: State<'_>, operator: &Operator, height: Height, ether: u64) -> Option<Member> {
    let parameters = &state.ledger.genesis_of().parameters;
    let snapshot = state.anchor(ChainKind::Ethereum).number;
    let keys = operator.keys_at(snapshot)?;
    let (bitcoin, randomness) = bitcoin(state, operator, keys, height);
    if bond(state.ledger.genesis_of(), ether, bitcoin) < parameters.min_bond.get().max(1) {
        return None;
    }
    Some(Member {
        operator: operator.id,
        key: keys.id,
        bls: keys.bls,
        ed25519: keys.ed25519,
        eots: keys.eots,
        randomness,
        ether,
        bitcoin,
        engine: 0,
    })
}

/// Micro-dollars that decide whether a seat, or a committee, is there at all (R6): the ETH-side stake; where bitcoin
/// stands alone, its value (R22).
fn bond(genesis: &Genesis, ether: u64, bitcoin: u64) -> u64 {
    if genesis.is_bitcoin_only() { worth(genesis, bitcoin) } else { ether }
}

/// What satoshis are worth, in micro-dollars, rounded down.
fn worth(genesis: &Genesis, sats: u64) -> u64 {
    weights::worth(sats.into(), genesis.parameters.bitcoin_price, weights::BITCOIN)
}

/// Satoshis and the nonces they vote with: no nonces of this key for the first checkpoint ahead, no weight (R19).
fn bitcoin(state: State<'_>, operator: &Operator, keys: &KeyRow, height: Height) -> (u64, Hash) {
    let interval = state.ledger.domains().interval;
    let Some(checkpoint) = next_checkpoint(height, interval) else {
        return (0, Hash::ZERO);
    };
    let covers = |promise: &&RandomnessCommitment| {
        promise.key == keys.eots && promise.commitment.leaf(checkpoint, interval).is_some()
    };
    let promise = state.commitments(&operator.id).find(covers);
    let Some(promise) = promise else {
        return (0, Hash::ZERO);
    };
    let now = state.anchor(ChainKind::Bitcoin).number;
    (weights::bitcoin(state, &operator.id, keys, now), promise.commitment.id())
}

/// The first checkpoint above `height` (R2); `None` past the last height.
pub(crate) fn next_checkpoint(height: Height, interval: u64) -> Option<Height> {
    let number = height.get().checked_div(interval)?.checked_add(1)?;
    number.checked_mul(interval).map(Height::new)
}

/// Gives the seats their power in the engine: of both stakes, each within an operator's cap (R23), or of bitcoin where it stands
/// alone (R22).
fn empower(state: State<'_>, mut members: Vec<Member>) -> Vec<Member> {
    let genesis = state.ledger.genesis_of();
    let cap = genesis.parameters.caps.operator.get();
    let values = members.iter().map(|member| (member.ether, worth(genesis, member.bitcoin).min(cap)));
    let powers = if genesis.is_bitcoin_only() {
        weights::engine_of_bitcoin(&values.map(|(_, bitcoin)| bitcoin).collect::<Vec<_>>())
    } else {
        weights::engine(&values.collect::<Vec<_>>())
    };
    for (member, power) in members.iter_mut().zip(powers) {
        member.engine = power;
    }
    members
}

/// The engine seats of the epoch before, without weight (R6). Convicts and the jailed go at this hand-over (R9),
/// unless nobody would be left to order blocks.
fn kept(state: State<'_>) -> Vec<Member> {
    let seats = &state.committee().members;
    let may_stay = |member: &&Member| state.operator(&member.operator).is_none_or(operators::is_eligible);
    let weightless = |member: &Member| Member { randomness: Hash::ZERO, ether: 0, bitcoin: 0, ..*member };
    let staying: Vec<_> = seats.iter().filter(may_stay).map(weightless).collect();
    if staying.is_empty() { seats.iter().map(weightless).collect() } else { staying }
}

fn bounded(members: Vec<Member>) -> List<Member, MAX_MEMBERS> {
    members.try_into().expect("at most 256 were drawn")
}
