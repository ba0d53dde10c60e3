//! Orders, for faults that no contract can check: the operators certify one, and Orders.sol takes the stake (R11).
//!
//! The row of a case and an adapter holds the newest order; nothing else is kept, since only the newest is ever signed. An
//! order is drawn at the end of the block that opens its case, and again under a new number in every epoch with weight in
//! which the stake can still be taken (R3: an order counts under its own epoch's committee only), until the chain shows the
//! loss. Whatever number Orders.sol executes, it takes once a case (R25). On Symbiotic that is once a vault: one may wait for
//! its veto when another has lost its part, and the case's orders there go on until each vault's is over.
//!
//! An order expires when what its committee's snapshot counted may begin to leave, and not later (R4): maximum age, trust
//! period and execution after the snapshot. Orders.sol takes its certificate in no more than the first two, so that the
//! delay, which genesis keeps shorter, always fits. One that passed without a slash is shown as expired until it is drawn
//! again.

use crate::changes::Draft;
use crate::state::State;
use crate::verdicts;
use palisade_types::chain::ChainKind;
use palisade_types::slash::{OrderStatus, SlashOrder, SlashTarget};
use palisade_types::{Address, Case, CaseId, Evidence, Numbers, Order, OrderId, Row, RowKey, Wad};
use std::collections::BTreeSet;

/// The most orders of one block. Every member signs every one; the next block goes on.
pub(crate) const MAX_DRAWN: usize = 8;

/// What becomes of a case's orders at one adapter at the end of a block.
enum Next {
    /// A new order is drawn.
    Draw(Box<Order>),
    /// The newest has expired, and no new one can be drawn now.
    Expire(OrderId),
    /// The adapter has taken its part: what it did not take then, it never takes for this case.
    End(OrderId),
}

/// Ends a block: draws what is to be certified, and notes what has expired.
pub(crate) fn close(draft: &mut Draft<'_>) {
    let state = draft.state();
    let before = state.order_numbers();
    let mut numbers = before.entered(state.epoch().epoch);
    let waiting = state.cases().filter(|case| case.needs_order());
    let due: Vec<Next> = waiting.flat_map(|case| due(state, case)).collect();
    let mut drawn = 0;
    for next in due {
        match next {
            Next::Draw(order) if drawn < MAX_DRAWN => {
                drawn += 1;
                let order = Order { number: numbers.take(), ..*order };
                mark(draft, &order.id(), OrderStatus::Ordered);
                draft.put(RowKey::Order(order.id()), Row::Order(Box::new(order)));
            }
            Next::Draw(_) => {}
            Next::Expire(id) => mark(draft, &id, OrderStatus::Expired),
            Next::End(id) => mark(draft, &id, OrderStatus::Escaped),
        }
    }
    // Without an order there is nothing to count: a network without such faults has no such row.
    if numbers.next > 1 && numbers != before {
        draft.put(RowKey::Orders, Row::Orders(numbers));
    }
}

/// What is due for a case, by adapter ascending.
fn due(state: State<'_>, case: &Case) -> Vec<Next> {
    let contracts = &state.ledger.genesis_of().contracts;
    let at = |target: &SlashTarget| contracts.taking_orders(target);
    let is_due = |order: &&SlashOrder| order.status.is_open() && order.status != OrderStatus::Waiting;
    let open = case.orders.iter().filter(is_due).filter_map(|order| at(&order.target));
    // What one strategy, or one of Karak's vaults, has lost or was spared, all have.
    let at_once = |target: &SlashTarget| !matches!(target, SlashTarget::Symbiotic(_));
    let done = |adapter: &Address| {
        let mut orders = case.orders.iter().filter(|order| at(&order.target) == Some(*adapter));
        orders
            .any(|order| at_once(&order.target) && matches!(order.status, OrderStatus::Final(_) | OrderStatus::Vetoed))
    };
    let adapters: BTreeSet<Address> = open.collect();
    let next = adapters.into_iter().filter_map(|adapter| {
        let id = OrderId { case: case.id, adapter };
        if done(&adapter) { Some(Next::End(id)) } else { renewed(state, case, id) }
    });
    next.collect()
}

/// What is due instead of the newest order, if there is one and it does not stand.
fn renewed(state: State<'_>, case: &Case, id: OrderId) -> Option<Next> {
    let now = state.anchor(ChainKind::Ethereum).number;
    let newest = state.order(&id);
    if let Some(Evidence::Verdict(verdict)) = &case.evidence
        && now > verdicts::deadline(state, &verdict.verdict)
    {
        return Some(Next::End(id)); // what its snapshot counted may have left
    }
    if newest.is_some_and(|order| order.epoch == state.epoch().epoch && order.expiry >= now) {
        return None;
    }
    if let Some(order) = draw(state, case, &id).filter(|order| can_be_executed(state, order, now)) {
        return Some(Next::Draw(Box::new(order)));
    }
    newest.filter(|order| order.expiry < now).map(|_| Next::Expire(id))
}

/// The order of this epoch's committee, still without a number; `None` where nobody could certify it (R6).
fn draw(state: State<'_>, case: &Case, id: &OrderId) -> Option<Order> {
    let genesis = state.ledger.genesis_of();
    let (parameters, committee) = (&genesis.parameters, state.committee());
    let lasts = parameters.evidence_blocks() + parameters.execution_blocks;
    let expiry = committee.ethereum.number.saturating_add(lasts);
    let (wad, capture, expiry) = match &case.evidence {
        Some(Evidence::Verdict(verdict)) => {
            let verdict = &verdict.verdict;
            (asked_of(case, &id.adapter)?, verdict.capture, expiry.min(verdicts::deadline(state, verdict)))
        }
        _ => (parameters.order_part, committee.ethereum.number, expiry),
    };
    committee.has_weight().then(|| Order {
        number: 0,
        epoch: state.epoch().epoch,
        chain: state.ledger.domains().founder,
        contract: genesis.contracts.orders,
        evm_chain_id: genesis.evm_chain_id,
        case: case.id,
        operator: case.operator,
        service: case.service(),
        adapter: id.adapter,
        wad,
        capture,
        expiry,
    })
}

/// The part of a service's set that a verdict's case asks for; `None` while it waits.
fn asked_of(case: &Case, adapter: &Address) -> Option<Wad> {
    let of_set = |target: &SlashTarget| matches!(target, SlashTarget::Service(target) if target.adapter == *adapter);
    let order = case.orders.iter().find(|order| of_set(&order.target) && order.status != OrderStatus::Waiting)?;
    u64::try_from(order.asked).ok().filter(|wad| *wad > 0).map(Wad::new)
}

/// Whether the delay can still be over before the order expires.
fn can_be_executed(state: State<'_>, order: &Order, now: u64) -> bool {
    now.saturating_add(state.ledger.genesis_of().parameters.order_delay_blocks) < order.expiry
}

/// Notes how the case's open orders stand at one adapter.
fn mark(draft: &mut Draft<'_>, id: &OrderId, status: OrderStatus) {
    let contracts = draft.parent.genesis_of().contracts;
    let Some(case) = draft.state().case(&id.case) else { return };
    let mut case = case.clone();
    for order in case.orders.as_mut_slice() {
        if order.status.is_open() && contracts.taking_orders(&order.target) == Some(id.adapter) {
            order.status = status;
        }
    }
    if draft.state().case(&id.case) != Some(&case) {
        draft.put(RowKey::Case(id.case), Row::Case(Box::new(case)));
    }
}

impl<'a> State<'a> {
    /// The counter; it has a row from the first order on.
    pub(crate) fn order_numbers(self) -> Numbers {
        match self.row(&RowKey::Orders) {
            Some(Row::Orders(numbers)) => *numbers,
            _ => Numbers::default(),
        }
    }

    pub(crate) fn order(self, id: &OrderId) -> Option<&'a Order> {
        match self.row(&RowKey::Order(*id)) {
            Some(Row::Order(order)) => Some(order),
            _ => None,
        }
    }

    /// The newest order of every case and adapter that ever had one.
    pub(crate) fn all_orders(self) -> impl Iterator<Item = &'a Order> {
        let first = OrderId { case: CaseId::ZERO, adapter: Address::ZERO };
        self.rows_from(RowKey::Order(first)).map_while(|(_, row)| match row {
            Row::Order(order) => Some(&**order),
            _ => None,
        })
    }
}
