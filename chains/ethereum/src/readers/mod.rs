//! What restaking protocols say an operator has at stake, by their own views at an anchor (R31).

pub mod eigenlayer;
pub mod karak;
pub(crate) mod lrt;
pub(crate) mod price;
pub(crate) mod services;
pub mod slashed;
pub mod symbiotic;

use palisade_types::observation::StakeSeen;
use palisade_types::position::{Moment, Position};

/// At most `room` of the changes (what the ledger has, what is seen), by id ascending. When more differ, those of
/// which less can be taken at the moment `end` than the ledger believes come first, since a stake seen too late is late and a
/// stake believed too long breaks R4; the rest still differs next time.
pub(crate) fn fit(mut changes: Vec<(Position, StakeSeen)>, room: usize, end: &Moment) -> Vec<StakeSeen> {
    if changes.len() > room {
        tracing::warn!(changes = changes.len(), room, "more positions changed than fit; the rest follows");
        changes.sort_by_key(|(known, seen)| {
            let falls = seen.position.slashable_at(end) < known.slashable_at(end);
            (!falls, seen.id)
        });
        changes.truncate(room);
    }
    let mut seen: Vec<StakeSeen> = changes.into_iter().map(|(_, seen)| seen).collect();
    seen.sort_by_key(|seen| seen.id);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::ids::{Address, OperatorId};
    use palisade_types::position::{Magnitudes, PositionId, StakeSource};

    fn change(operator: u8, known: u128, seen: u128) -> (Position, StakeSeen) {
        let position = |shares| {
            let magnitudes = Magnitudes { shares, max_magnitude: 1, magnitude: 1, member: true, ..Magnitudes::NOTHING };
            Position::EigenLayer(magnitudes)
        };
        let id =
            PositionId { operator: OperatorId::new([operator; 20]), source: StakeSource::EigenLayer(Address::ZERO) };
        let position_seen = position(seen);
        (position(known), StakeSeen { id, position: position_seen })
    }

    #[test]
    fn r32_when_not_all_changes_fit_a_loss_comes_before_a_gain() {
        let changes = vec![change(4, 9, 1), change(1, 1, 9), change(3, 1, 9), change(2, 9, 1)];
        let order = |room| -> Vec<u8> {
            let fitting = fit(changes.clone(), room, &Moment { block: 0, time: 0 });
            fitting.iter().map(|seen| seen.id.operator.as_bytes()[0]).collect()
        };
        assert_eq!(order(4), [1, 2, 3, 4]);
        assert_eq!(order(3), [1, 2, 4]);
        assert_eq!(order(2), [2, 4]);
        assert_eq!(order(1), [2]);
    }
}
