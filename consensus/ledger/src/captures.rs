//! What stood behind an operator at the moments to which faults are charged (R26): the snapshots of committees.
//!
//! At every boundary block each position that has changed since its last capture is written down under the snapshot's Ethereum
//! block. What a capture says holds until the position's next one, so that a position which never changes has one row, and any
//! block of the slashable window has an answer. Captures that no fault can be charged to any more go when a newer one comes.

use crate::changes::Draft;
use crate::state::{FIRST_SOURCE, State};
use palisade_types::account::CapturedId;
use palisade_types::chain::ChainKind;
use palisade_types::position::{Position, PositionId};
use palisade_types::{OperatorId, Row, RowKey};

/// Writes down what has changed, at the snapshot of the committee that is being drawn.
pub(crate) fn take(draft: &mut Draft<'_>) {
    let state = draft.state();
    let block = state.anchor(ChainKind::Ethereum).number;
    // What stood before this block is what every later fault is charged to a newer snapshot than.
    let over = block.saturating_sub(state.ledger.genesis_of().parameters.ethereum_window());
    let mut changes: Vec<(CapturedId, Option<Position>)> = Vec::new();
    for (id, position) in state.positions() {
        let kept: Vec<(u64, &Position)> = state.captures(id).collect();
        if kept.last().is_some_and(|(_, newest)| *newest == position) {
            continue;
        }
        changes.push((CapturedId { position: *id, block }, Some(*position)));
        let blocks = kept.iter().map(|(block, _)| *block).chain([block]);
        let followed = kept.iter().zip(blocks.skip(1)).filter(|(_, next)| *next <= over);
        changes.extend(followed.map(|((block, _), _)| (CapturedId { position: *id, block: *block }, None)));
    }
    for (id, position) in changes {
        match position {
            Some(position) => draft.put(RowKey::Captured(id), Row::Captured(position)),
            None => draft.take_away(RowKey::Captured(id)),
        }
    }
}

impl<'a> State<'a> {
    /// What is written down of a position, by the snapshots' Ethereum blocks ascending.
    pub(crate) fn captures(self, position: &PositionId) -> impl Iterator<Item = (u64, &'a Position)> + use<'a> {
        let position = *position;
        let first = CapturedId { position, block: 0 };
        self.rows_from(RowKey::Captured(first)).map_while(move |(key, row)| match (key, row) {
            (RowKey::Captured(id), Row::Captured(held)) if id.position == position => Some((id.block, held)),
            _ => None,
        })
    }

    /// What stood in an operator's positions at the newest snapshot up to Ethereum block `block`, each with that snapshot's block.
    pub(crate) fn captured(self, operator: &OperatorId, block: u64) -> Vec<(PositionId, u64, &'a Position)> {
        let operator = *operator;
        let first = CapturedId { position: PositionId { operator, source: FIRST_SOURCE }, block: 0 };
        let rows = self.rows_from(RowKey::Captured(first)).map_while(move |(key, row)| match (key, row) {
            (RowKey::Captured(id), Row::Captured(held)) if id.position.operator == operator => Some((id, held)),
            _ => None,
        });
        let mut newest: Vec<(PositionId, u64, &'a Position)> = Vec::new();
        for (id, held) in rows.filter(|(id, _)| id.block <= block) {
            match newest.last_mut().filter(|(position, _, _)| *position == id.position) {
                Some(last) => *last = (id.position, id.block, held),
                None => newest.push((id.position, id.block, held)),
            }
        }
        newest
    }
}
