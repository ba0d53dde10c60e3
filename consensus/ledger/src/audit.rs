//! Checks that rows are a ledger: what every other room relies on.

use crate::accounts;
use crate::cases;
use crate::ledger::Ledger;
use crate::root::Tree;
use crate::rows::Rows;
use crate::state::State;
use crate::verdicts;
use palisade_types::certificate::MAX_ENGINE_POWER;
use palisade_types::chain::ChainKind;
use palisade_types::service::SetProtocol;
use palisade_types::slash::{OrderStatus, SlashTarget};
use palisade_types::{BlockId, Case, Epoch, Evidence, Height, Numbers, Row, RowKey};

/// Why rows are not a ledger. The disk or our own code is wrong; the node halts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// A row's value does not belong under its key.
    #[error("the row {0:?} holds another row's value")]
    Misplaced(RowKey),
    /// A row that must be there is not.
    #[error("the row {0:?} is missing")]
    Missing(RowKey),
    /// A row says something that contradicts the others.
    #[error("the row {0:?} contradicts the rest of the ledger")]
    Contradicts(RowKey),
    /// The tree is not the rows'.
    #[error("the state tree is not that of the rows")]
    Tree,
}

/// Checks the rows, and that the tree is theirs.
pub(crate) fn check(ledger: &Ledger, rows: &Rows) -> Result<(), Unsound> {
    check_rows(ledger, rows)?;
    let hashed = rows.iter().map(|(key, row)| (key.path(), row.value_hash()));
    if Tree::build(hashed.collect()).root() == ledger.root() { Ok(()) } else { Err(Unsound::Tree) }
}

/// Checks the rows, of which the tree was made just now.
pub(crate) fn check_rows(ledger: &Ledger, rows: &Rows) -> Result<(), Unsound> {
    // Ids of blocks in a list cannot be misplaced.
    if let Some((key, _)) = rows.others().iter().find(|(key, row)| !fits(key, row)) {
        return Err(Unsound::Misplaced(*key));
    }
    check_blocks(ledger, rows)?;
    check_epochs(ledger)?;
    let state = ledger.state();
    accounts::check(state)?;
    for case in state.cases() {
        if !case_holds(state, case) {
            return Err(Unsound::Contradicts(RowKey::Case(case.id)));
        }
    }
    let counted = state.claims();
    for claim in state.all_claims() {
        if !is_counted(counted.numbers, claim.number, claim.epoch) {
            return Err(Unsound::Contradicts(RowKey::Claim(claim.vault)));
        }
    }
    for order in state.all_orders() {
        let is_its =
            |case: &&Case| case.operator == order.operator && case.needs_order() && case.service() == order.service;
        let case = state.case(&order.case).filter(is_its);
        if case.is_none() || !is_counted(state.order_numbers(), order.number, order.epoch) {
            return Err(Unsound::Contradicts(RowKey::Order(order.id())));
        }
    }
    for registration in state.registrations() {
        let service = state.service(&registration.id.service);
        let own = |adapter| service.is_some_and(|service| service.maximum(adapter).is_some());
        if registration.rules.check().is_err() || !registration.rules.sets.iter().all(own) {
            return Err(Unsound::Contradicts(RowKey::Registration(registration.id)));
        }
    }
    for (id, _) in state.service_stakes() {
        if state.set_protocol(&id.adapter) != Some(SetProtocol::EigenLayer) || state.operator(&id.operator).is_none() {
            return Err(Unsound::Contradicts(RowKey::ServiceStake(*id)));
        }
    }
    for docket in state.dockets() {
        let case = state.case(&docket.case).map(|case| (case.operator, case.slot));
        if case != Some((docket.verdict.operator, docket.verdict.slot)) {
            return Err(Unsound::Contradicts(RowKey::Docket(docket.number)));
        }
    }
    for (slot, roll) in state.rolls() {
        let members = state.committee_of(roll.epoch).map(|committee| committee.members.len());
        let open = roll.until > ledger.head().height && state.epoch_of(slot) == Some(roll.epoch);
        if !open || members.map(|members| members.div_ceil(8)) != Some(roll.signers.len()) {
            return Err(Unsound::Contradicts(RowKey::Roll(slot)));
        }
    }
    Ok(())
}

/// Whether a number was given out, in an epoch that has begun.
const fn is_counted(numbers: Numbers, number: u64, epoch: Epoch) -> bool {
    number > 0 && number < numbers.next && epoch.get() <= numbers.epoch.get()
}

/// Whether a value is of its key's kind and names the same thing.
fn fits(key: &RowKey, row: &Row) -> bool {
    match (key, row) {
        (RowKey::Block(_), Row::Block(_))
        | (RowKey::Anchor(_), Row::Anchor(_))
        | (RowKey::Epoch, Row::Epoch(_))
        | (RowKey::Finality, Row::Finality(_))
        | (RowKey::EpochFirst(_), Row::EpochFirst(_))
        | (RowKey::FeeRate, Row::FeeRate(_))
        | (RowKey::Suspension(_), Row::Suspension(_))
        | (RowKey::Claims, Row::Claims(_))
        | (RowKey::Orders, Row::Orders(_))
        | (RowKey::SetProtocol(_), Row::SetProtocol(_)) => true,
        (RowKey::ServiceStake(_), Row::ServiceStake(stake)) => {
            (stake.magnitude > 0 || stake.pending != 0) && stake.magnitude <= stake.max_magnitude
        }
        (RowKey::Price(_), Row::Price(quote)) => quote.price.get() > 0,
        (RowKey::Roll(slot), Row::Roll(roll)) => *slot < roll.until,
        (RowKey::Listing(id), Row::Listing(like)) => id.source != *like && id.source.protocol() == like.protocol(),
        (RowKey::Position(id), Row::Position(position)) => position.is_of(&id.source),
        (RowKey::Captured(id), Row::Captured(position)) => position.is_of(&id.position.source),
        (RowKey::Slashed(_), Row::Slashed(record)) => record.afterwards <= record.before,
        (RowKey::Account(_), Row::Account(account)) => account.is_balanced(),
        (RowKey::Committee(epoch), Row::Committee(committee)) => committee.epoch == *epoch,
        (RowKey::Operator(id), Row::Operator(operator)) => operator.id == *id,
        (RowKey::Vault(id), Row::Vault(vault)) => vault.id == *id,
        (RowKey::Randomness(id), Row::Randomness(promise)) => {
            (promise.operator, promise.commitment.first) == (id.operator, id.first)
        }
        (RowKey::Earlier(id), Row::Earlier(promise)) => {
            (promise.operator, promise.commitment.first) == (id.promise.operator, id.promise.first)
        }
        (RowKey::Case(id), Row::Case(case)) => case.id == *id,
        (RowKey::Exposed(key), Row::Exposed(exposure)) => exposure.provider.key() == Some(*key),
        (RowKey::Claim(id), Row::Claim(claim)) => claim.vault == *id,
        (RowKey::Order(id), Row::Order(order)) => order.id() == *id,
        (RowKey::Service(id), Row::Service(service)) => service.id == *id,
        (RowKey::Registration(id), Row::Registration(registration)) => registration.id == *id,
        (RowKey::Docket(number), Row::Docket(docket)) => docket.number == *number,
        (RowKey::Duty(_), Row::Duty(duty)) => {
            let whole = usize::from(duty.window).div_ceil(8) == duty.missed.len();
            whole && duty.next < duty.window && duty.seen <= duty.window
        }
        _ => false,
    }
}

/// Every height below the head has its block's id, and no other has (R1).
fn check_blocks(ledger: &Ledger, rows: &Rows) -> Result<(), Unsound> {
    let head = ledger.head();
    let count = rows.blocks().len() as u64;
    if count < head.height.get() {
        return Err(Unsound::Missing(RowKey::Block(Height::new(count))));
    }
    let beyond = (count > head.height.get()).then_some(RowKey::Block(head.height));
    let behind_a_gap = rows.others().keys().next().filter(|key| matches!(key, RowKey::Block(_)));
    if let Some(key) = beyond.or(behind_a_gap.copied()) {
        return Err(Unsound::Contradicts(key));
    }
    let chain = BlockId::new(*ledger.genesis_of().founder().as_bytes());
    let first = ledger.block_id(Height::new(0));
    if first == Some(chain) { Ok(()) } else { Err(Unsound::Contradicts(RowKey::Block(Height::new(0)))) }
}

/// The rows that every room expects, and every epoch's committee and first height up to now.
fn check_epochs(ledger: &Ledger) -> Result<(), Unsound> {
    let anchors = [ChainKind::Ethereum, ChainKind::Bitcoin].map(RowKey::Anchor);
    let always = anchors.into_iter().chain([RowKey::Finality, RowKey::Epoch]);
    let mut epoch_rows = Vec::new();
    if let Some(Row::Epoch(state)) = ledger.settled(&RowKey::Epoch) {
        for epoch in (0..=state.epoch.get()).map(Epoch::new) {
            epoch_rows.extend([RowKey::Committee(epoch), RowKey::EpochFirst(epoch)]);
        }
    }
    if let Some(missing) = always.chain(epoch_rows).find(|key| ledger.settled(key).is_none()) {
        return Err(Unsound::Missing(missing));
    }
    check_epoch(ledger)
}

fn check_epoch(ledger: &Ledger) -> Result<(), Unsound> {
    let state = ledger.epoch();
    let first = RowKey::EpochFirst(state.epoch);
    let next = ledger.head().height.next();
    if ledger.settled(&first) != Some(&Row::EpochFirst(state.first)) || state.first > next {
        return Err(Unsound::Contradicts(first));
    }
    let key = RowKey::Committee(state.epoch.next());
    let drawn = ledger.committee_of(state.epoch.next());
    let drawn = drawn.map(|committee| committee.hash(&ledger.chain()));
    if drawn != state.boundary.map(|boundary| boundary.next_committee) {
        return Err(Unsound::Contradicts(key));
    }
    let committee = ledger.committee();
    let mut members = committee.members.iter();
    let power = members.try_fold(0_u64, |sum, member| sum.checked_add(member.engine));
    if power.is_some_and(|power| power > 0 && power <= MAX_ENGINE_POWER) {
        Ok(())
    } else {
        Err(Unsound::Contradicts(RowKey::Committee(state.epoch)))
    }
}

/// A case names its convict, itself, and takes no more from a vault than the vault holds.
fn case_holds(state: State<'_>, case: &Case) -> bool {
    if let Some(Evidence::Verdict(verdict)) = &case.evidence {
        return verdicts::case_holds(state, case, verdict);
    }
    let named = cases::id(state, &case.operator, &case.domain) == case.id;
    let bounded = case.orders.iter().all(|order| match order.target {
        SlashTarget::EigenLayer(_) | SlashTarget::Symbiotic(_) | SlashTarget::Karak(_) => true,
        SlashTarget::Service(_) => false,
        SlashTarget::Vault(id) => state.vault(&id).is_some_and(|vault| {
            let held = u128::from(vault.registration.amount.get());
            let taken = match order.status {
                OrderStatus::Final(taken) => taken.amount,
                OrderStatus::Ordered
                | OrderStatus::Escaped
                | OrderStatus::Vetoed
                | OrderStatus::Expired
                | OrderStatus::Waiting => 0,
            };
            vault.registration.operator == case.operator && order.asked.max(taken) <= held
        }),
    });
    named && bounded && state.is_convicted(&case.operator)
}
