//! Downtime: who misses more than four fifths of his last slots is jailed, and comes back by his own signature (R20).
//!
//! The window slides slot by slot, so that nobody hides behind its edge, and is judged only when it is full. Jail takes an operator out of
//! the next committees and nothing else. It goes by the throttle that verdicts go by: whom it holds up is looked at again with his next
//! slot. A convict is out for ever: no signature of his opens anything.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::state::State;
use crate::{operators, verdicts};
use palisade_types::chain::ChainKind;
use palisade_types::duty::{Duty, Jailed, MAX_DUTY_SLOTS, Unjail};
use palisade_types::{Operator, OperatorId, Row, RowKey, Unproven};

/// Notes whether the certificates of a slot name him, and jails who is down.
pub(crate) fn record(draft: &mut Draft<'_>, id: &OperatorId, named: bool) {
    let state = draft.state();
    let Some(operator) = state.operator(id) else { return };
    if !operators::is_eligible(operator) {
        return;
    }
    let mut duty = state.duty(id).cloned().unwrap_or_else(|| Duty::new(window(state)));
    duty.note(!named);
    let weight = state.committee().seat(id).map_or(0, |(_, seat)| seat.ether);
    if duty.is_down() && u128::from(weight) <= verdicts::allowance(state) {
        let block = state.anchor(ChainKind::Ethereum).number;
        jail(draft, id, duty, Jailed { block, weight });
        return;
    }
    draft.put(RowKey::Duty(*id), Row::Duty(Box::new(duty)));
}

/// Jails for two votes of the engine: at once, whatever the throttle says (R11, R18).
pub(crate) fn jail_for_votes(draft: &mut Draft<'_>, id: &OperatorId) {
    let state = draft.state();
    let duty = state.duty(id).cloned().unwrap_or_else(|| Duty::new(window(state)));
    let block = state.anchor(ChainKind::Ethereum).number;
    jail(draft, id, duty, Jailed { block, weight: 0 });
}

fn jail(draft: &mut Draft<'_>, id: &OperatorId, duty: Duty, jailed: Jailed) {
    operators::jail(draft, id);
    draft.put(RowKey::Duty(*id), Row::Duty(Box::new(Duty { jailed: Some(jailed), ..duty })));
}

/// An operator comes back: not before his time, and with a clean window.
pub(crate) fn unjail(draft: &mut Draft<'_>, unjail: &Unjail) -> Result<(), Invalid> {
    let (operator, duty) = check(draft.state(), unjail)?;
    let mut operator = operator.clone();
    operator.jailed = None;
    let duty = Duty { freed: draft.height, ..Duty::new(duty.window) };
    draft.put(RowKey::Operator(operator.id), Row::Operator(operator));
    draft.put(RowKey::Duty(unjail.operator), Row::Duty(Box::new(duty)));
    Ok(())
}

fn check<'a>(state: State<'a>, unjail: &Unjail) -> Result<(&'a Operator, &'a Duty), Invalid> {
    let operator = state.operator(&unjail.operator).ok_or(Unproven::UnknownOperator)?;
    if operator.convicted.is_some() {
        return Err(Invalid::Refused("a convict does not come back"));
    }
    if operator.jailed != Some(unjail.jailed) {
        return Err(Invalid::Late("nobody is in jail since that block"));
    }
    let stay = state.duty(&unjail.operator).and_then(|duty| Some((duty, duty.jailed?)));
    let (duty, jailed) = stay.ok_or(Invalid::Refused("a stay in jail that nobody noted"))?;
    let blocks = state.ledger.genesis_of().parameters.epoch_ethereum_blocks;
    if state.anchor(ChainKind::Ethereum).number < jailed.block.saturating_add(blocks) {
        return Err(Invalid::Early("the time in jail is not over"));
    }
    if unjail.signed_by(&state.ledger.chain(), operator) {
        Ok((operator, duty))
    } else {
        Err(Unproven::BadSignature.into())
    }
}

fn window(state: State<'_>) -> u16 {
    let slots = state.ledger.genesis_of().parameters.duty_slots;
    u16::try_from(slots).map_or(MAX_DUTY_SLOTS, |slots| slots.min(MAX_DUTY_SLOTS))
}

impl<'a> State<'a> {
    pub(crate) fn duty(self, id: &OperatorId) -> Option<&'a Duty> {
        match self.row(&RowKey::Duty(*id)) {
            Some(Row::Duty(duty)) => Some(duty),
            _ => None,
        }
    }

    pub(crate) fn duties(self) -> impl Iterator<Item = (&'a OperatorId, &'a Duty)> {
        self.rows_from(RowKey::Duty(OperatorId::ZERO)).map_while(|(key, row)| match (key, row) {
            (RowKey::Duty(id), Row::Duty(duty)) => Some((id, &**duty)),
            _ => None,
        })
    }
}
