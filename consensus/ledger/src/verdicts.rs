//! Verdicts of services: from a certificate to orders (R11).
//!
//! A verdict opens one case for its operator, domain and slot: a service may judge an operator again, in another slot, and Orders.sol takes
//! once for each. It convicts nobody of anything here, so weight stays: it takes a part of what is allocated to that service's own sets,
//! and reaches nothing else.
//!
//! It becomes orders when three things allow it, in the order of captures (R26), then of arrival:
//! - **Correlation.** It waits for its service's window, so that everybody who failed for one cause is weighed alike: x is what the operators
//!   with a verdict of the same service and kind weigh that came within the window, before it or after, of their committee's weight; the
//!   service's law says which part of what was asked that takes.
//! - **Throttle.** What becomes orders and what is jailed for downtime within one span of an epoch's Ethereum blocks weighs at most a
//!   third of the committee, so that two thirds go on. The rest waits in order.
//! - **Once over.** Orders against one operator in one span never sum up to more than the service registered as its maximum.
//!
//! None of them makes a verdict late: when its snapshot is as old as evidence may be, it goes out, whatever else does (R4, R26). Its orders
//! then have what every order has, the time for execution. All divisions round down, in favour of whoever is judged. Equivocation knows none
//! of this.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::state::State;
use palisade_types::certificate::Worthless;
use palisade_types::chain::ChainKind;
use palisade_types::position::mul_div;
use palisade_types::service::{self, Registration, ServiceDomain};
use palisade_types::slash::{OrderStatus, ServiceTarget, SlashOrder, SlashTarget};
use palisade_types::verdict::{CertifiedVerdict, Docket, Released, Stage, Verdict};
use palisade_types::{Address, Case, CaseId, Domain, Evidence, OperatorId, Row, RowKey, ServiceId, Unproven, Wad};
use std::collections::{BTreeMap, BTreeSet};

/// How many verdicts a block holds; each costs a pairing.
const MAX_VERDICTS: usize = 16;
/// How many verdicts of one service wait for its window or the throttle (R32): two for every seat of the largest committee. Whoever's
/// module signs whatever it likes holds up its own service, not the ledger.
const MAX_WAITING: usize = 512;
/// The part of the committee's weight that one span may take orders against and jail: one of this many.
const THROTTLE: u128 = 3;

/// Takes a verdict in.
pub(crate) fn enter(draft: &mut Draft<'_>, certified: &CertifiedVerdict) -> Result<(), Invalid> {
    if draft.verdicts >= MAX_VERDICTS {
        return Err(Invalid::Early("enough verdicts in one block"));
    }
    let state = draft.state();
    let verdict = certified.verdict;
    let service = verdict.registration.service;
    let waits = |docket: &&Docket| docket.stage == Stage::Waiting && docket.verdict.registration.service == service;
    if state.dockets().filter(waits).count() >= MAX_WAITING {
        return Err(Invalid::Early("a verdict while too many of its service wait"));
    }
    let case = judge(state, certified)?;
    let (weight, total) = weight(state, &verdict);
    let registration = state.registration(&verdict.registration).ok_or(Unproven::UnknownService)?;
    let waiting = registration.rules.sets.iter().map(|adapter| SlashOrder {
        target: SlashTarget::Service(ServiceTarget { adapter: *adapter, asset: None }),
        asked: 0,
        status: OrderStatus::Waiting,
    });
    let orders = waiting.collect::<Vec<_>>().try_into().expect("a service has few sets");
    let number = state.dockets().last().map_or(1, |docket| docket.number + 1);
    let came = state.anchor(ChainKind::Ethereum).number;
    let docket = Docket { number, case, verdict, came, weight, total, stage: Stage::Waiting };
    let opened = Case {
        id: case,
        operator: verdict.operator,
        domain: certified.certificate.domain,
        slot: verdict.slot,
        opened: draft.height,
        evidence: Some(Evidence::Verdict(Box::new(certified.clone()))),
        orders,
    };
    draft.verdicts += 1;
    draft.put(RowKey::Case(case), Row::Case(Box::new(opened)));
    draft.put(RowKey::Docket(number), Row::Docket(Box::new(docket)));
    Ok(())
}

/// Judges a verdict by the rules of its registration; its pairing last.
pub(crate) fn judge(state: State<'_>, certified: &CertifiedVerdict) -> Result<CaseId, Unproven> {
    let CertifiedVerdict { verdict, certificate } = certified;
    let registration = state.registration(&verdict.registration).ok_or(Unproven::UnknownService)?;
    let domain = domain(state, registration).ok_or(Unproven::WrongDomain)?;
    if certificate.domain != domain || (certificate.slot, certificate.digest) != (verdict.slot, verdict.digest()) {
        return Err(Unproven::WrongDomain);
    }
    state.operator(&verdict.operator).ok_or(Unproven::UnknownOperator)?;
    let chain = state.ledger.chain();
    let case = CaseId::of_verdict(&chain, &verdict.operator, &domain, verdict.slot);
    if state.case(&case).is_some() {
        return Err(Unproven::AlreadyConvicted);
    }
    let committee = state.committee_of(service::epoch_of(verdict.slot)).ok_or(Unproven::NoQuorum)?;
    let rules = &registration.rules;
    let rule = rules.fault(verdict.fault).ok_or(Unproven::OverRules)?;
    let is_part = verdict.part.get() > 0 && verdict.part <= rule.most;
    let is_member = rules.counts(committee, &verdict.operator);
    if !is_part || !is_member || verdict.capture != committee.ethereum.number {
        return Err(Unproven::OverRules);
    }
    if now(state) > drains(state, verdict) {
        return Err(Unproven::Expired);
    }
    let convicted = |operator: &OperatorId| state.is_convicted(operator);
    rules.judge(&chain, committee, certificate, convicted).map_err(|worthless| match worthless {
        // Its own committee's, with the signers it takes: no head makes it better, and whoever passes it on has not looked.
        Worthless::BadSignature => Unproven::BadSignature,
        _ => Unproven::NoQuorum,
    })?;
    Ok(case)
}

/// Where a registration's verdicts are certified.
fn domain(state: State<'_>, registration: &Registration) -> Option<Domain> {
    let (chain, palisade) = (state.ledger.chain(), state.ledger.genesis_of().contracts.palisade);
    ServiceDomain { registration: registration.id, kind: registration.rules.verdict_kind()? }.derive(&chain, &palisade)
}

/// What the judged operator and everybody weigh in the committee of the verdict's epoch; at most 2^64 - 1.
fn weight(state: State<'_>, verdict: &Verdict) -> (u64, u64) {
    let Some(committee) = state.committee_of(service::epoch_of(verdict.slot)) else { return (0, 0) };
    let seat = committee.seat(&verdict.operator).map_or(0, |(_, seat)| seat.ether);
    (seat, u64::try_from(committee.total_ether()).unwrap_or(u64::MAX))
}

fn now(state: State<'_>) -> u64 {
    state.anchor(ChainKind::Ethereum).number
}

/// The last Ethereum block at which a verdict may come, and at which it goes out whatever else does.
fn drains(state: State<'_>, verdict: &Verdict) -> u64 {
    verdict.capture.saturating_add(state.ledger.genesis_of().parameters.evidence_blocks())
}

/// What may still be slashed or jailed now, micro-dollars of the committee's weight.
pub(crate) fn allowance(state: State<'_>) -> u128 {
    let since = span_start(state);
    let released = state.dockets().filter(|docket| released_after(docket, since).is_some());
    let slashed: u128 = released.map(|docket| u128::from(docket.weight)).sum();
    let jailed: u128 = state
        .duties()
        .filter_map(|(_, duty)| duty.jailed)
        .filter(|jailed| jailed.block > since)
        .map(|jailed| u128::from(jailed.weight))
        .sum();
    (state.committee().total_ether() / THROTTLE).saturating_sub(slashed).saturating_sub(jailed)
}

/// The Ethereum block after which this span began.
fn span_start(state: State<'_>) -> u64 {
    now(state).saturating_sub(state.ledger.genesis_of().parameters.epoch_ethereum_blocks)
}

const fn released_after(docket: &Docket, since: u64) -> Option<Released> {
    match docket.stage {
        Stage::Let(released) if released.block > since => Some(released),
        _ => None,
    }
}

/// Ends a block: turns verdicts into orders as far as they may, and drops what nobody is weighed by any more.
pub(crate) fn close(draft: &mut Draft<'_>) {
    let mut waiting: Vec<Docket> =
        draft.state().dockets().filter(|docket| docket.stage == Stage::Waiting).copied().collect();
    waiting.sort_by_key(|docket| (docket.verdict.capture, docket.number));
    // Of one service, nothing overtakes what was captured before it.
    let mut behind: BTreeSet<ServiceId> = BTreeSet::new();
    let mut full = false;
    for docket in waiting {
        let state = draft.state();
        let service = docket.verdict.registration.service;
        let is_last_call = now(state) >= drains(state, &docket.verdict);
        let is_due = now(state) >= docket.came.saturating_add(window(state, &docket)) && !behind.contains(&service);
        let fits = !full && u128::from(docket.weight) <= allowance(state);
        let (part, wads) = taken(state, &docket);
        let is_over = part.get() > 0 && wads.values().all(|wad| wad.get() == 0);
        if is_last_call || (is_due && fits && !is_over) {
            release(draft, docket, part, &wads);
        } else {
            full |= is_due && !fits;
            behind.insert(service);
        }
    }
    retire(draft);
}

/// A service's window, which may not hold a verdict up longer than evidence counts.
fn window(state: State<'_>, docket: &Docket) -> u64 {
    let parameters = &state.ledger.genesis_of().parameters;
    let rules = state.registration(&docket.verdict.registration).map(|registration| &registration.rules);
    rules.map_or(0, |rules| rules.window_blocks).min(parameters.evidence_blocks())
}

/// The part that the law takes now, and what of it each of the sets allows.
fn taken(state: State<'_>, docket: &Docket) -> (Wad, BTreeMap<Address, Wad>) {
    let verdict = &docket.verdict;
    let Some(registration) = state.registration(&verdict.registration) else { return (Wad::new(0), BTreeMap::new()) };
    let one = u128::from(Wad::ONE.get());
    let law = registration.rules.fault(verdict.fault).map(|rule| rule.law);
    let factor = law.map_or(Wad::new(0), |law| law.factor(share_at_fault(state, docket)));
    let part = narrow(mul_div(verdict.part.get().into(), factor.get().into(), one));
    let service = state.service(&verdict.registration.service);
    let since = span_start(state);
    let before = || {
        let same = |other: &&Docket| {
            other.verdict.operator == verdict.operator
                && other.verdict.registration.service == verdict.registration.service
        };
        state.dockets().filter(same).filter_map(move |other| released_after(other, since))
    };
    let of_set = |adapter: &Address| {
        let most = service.and_then(|service| service.maximum(adapter)).unwrap_or(Wad::new(0));
        let used = before().fold(0_u64, |sum, released| sum.saturating_add(released.part.min(most).get()));
        (*adapter, part.min(Wad::new(most.get().saturating_sub(used))))
    };
    (part, registration.rules.sets.iter().map(of_set).collect())
}

/// x: which share of the committee's weight failed this service in this way within the window around the verdict, of 1e18. One operator
/// counts once.
fn share_at_fault(state: State<'_>, docket: &Docket) -> Wad {
    let (window, verdict) = (window(state, docket), &docket.verdict);
    let is_near = |other: &&Docket| {
        other.verdict.registration.service == verdict.registration.service
            && other.verdict.fault == verdict.fault
            && other.came.abs_diff(docket.came) <= window
    };
    let near = state.dockets().filter(is_near).map(|other| (other.verdict.operator, other.weight));
    let at_fault: BTreeMap<OperatorId, u64> = near.collect();
    let sum: u128 = at_fault.values().map(|weight| u128::from(*weight)).sum();
    let total = u128::from(docket.total.max(1));
    narrow(mul_div(Wad::ONE.get().into(), sum.min(total), total))
}

fn narrow(wad: u128) -> Wad {
    Wad::new(u64::try_from(wad).unwrap_or(u64::MAX).min(Wad::ONE.get()))
}

/// A verdict becomes orders; what nothing is left to take from has escaped.
fn release(draft: &mut Draft<'_>, docket: Docket, part: Wad, wads: &BTreeMap<Address, Wad>) {
    let Some(mut case) = draft.state().case(&docket.case).cloned() else { return };
    for order in case.orders.as_mut_slice() {
        let SlashTarget::Service(target) = order.target else { continue };
        order.asked = wads.get(&target.adapter).map_or(0, |wad| wad.get().into());
        order.status = if order.asked > 0 { OrderStatus::Ordered } else { OrderStatus::Escaped };
    }
    draft.put(RowKey::Case(case.id), Row::Case(Box::new(case)));
    let stage = Stage::Let(Released { block: now(draft.state()), part });
    draft.put(RowKey::Docket(docket.number), Row::Docket(Box::new(Docket { stage, ..docket })));
}

/// Drops dockets that neither a later verdict nor the throttle is measured by.
fn retire(draft: &mut Draft<'_>) {
    let state = draft.state();
    let evidence = state.ledger.genesis_of().parameters.evidence_blocks();
    let is_over = |docket: &&Docket| {
        let lasts = docket.came.saturating_add(evidence.saturating_mul(2));
        docket.stage != Stage::Waiting && released_after(docket, span_start(state)).is_none() && now(state) > lasts
    };
    let over: Vec<u64> = state.dockets().filter(is_over).map(|docket| docket.number).collect();
    for number in over {
        draft.take_away(RowKey::Docket(number));
    }
}

/// The last Ethereum block in which an order of a verdict may be executed: what its snapshot counted can be taken until then (R4).
pub(crate) fn deadline(state: State<'_>, verdict: &Verdict) -> u64 {
    drains(state, verdict).saturating_add(state.ledger.genesis_of().parameters.execution_blocks)
}

/// What one set lost, as its own views showed it (R24). Nobody here knows beforehand what assets lie there: the first takes the order's
/// place, the others stand beside it.
pub(crate) fn slashed(case: &mut Case, adapter: Address, asset: Address, status: OrderStatus) {
    let of_set = |order: &SlashOrder| matches!(order.target, SlashTarget::Service(target) if target.adapter == adapter);
    let Some(order) = case.orders.iter().find(|order| of_set(order)).copied() else { return };
    let (empty, told) = (ServiceTarget { adapter, asset: None }, ServiceTarget { adapter, asset: Some(asset) });
    let place = |target| case.orders.iter().position(|order| order.target == SlashTarget::Service(target));
    let (known, open) = (place(told), place(empty));
    let booked = SlashOrder { target: SlashTarget::Service(told), asked: order.asked, status };
    match known.or(open) {
        Some(at) if case.orders[at].status.is_open() => case.orders.as_mut_slice()[at] = booked,
        Some(_) => {}
        // Beyond the bound there is no place; the protocol's adapters name 16 assets at most.
        None => drop(case.orders.push(booked)),
    }
}

/// Whether a case of a verdict takes from nothing but its own service's sets, and from none more than its maximum.
pub(crate) fn case_holds(state: State<'_>, case: &Case, certified: &CertifiedVerdict) -> bool {
    let verdict = &certified.verdict;
    let chain = state.ledger.chain();
    let named = CaseId::of_verdict(&chain, &case.operator, &case.domain, case.slot) == case.id;
    let told = (verdict.operator, verdict.slot) == (case.operator, case.slot);
    let Some(service) = state.service(&verdict.registration.service) else { return false };
    let bounded = case.orders.iter().all(|order| match order.target {
        SlashTarget::Service(target) => {
            let most = service.maximum(&target.adapter);
            most.is_some_and(|most| order.asked <= u128::from(most.get().min(verdict.part.get())))
        }
        _ => false,
    });
    named && told && bounded
}

impl<'a> State<'a> {
    /// Verdicts that wait, or that others are weighed by, as they came.
    pub(crate) fn dockets(self) -> impl Iterator<Item = &'a Docket> {
        self.rows_from(RowKey::Docket(0)).map_while(|(_, row)| match row {
            Row::Docket(docket) => Some(&**docket),
            _ => None,
        })
    }
}
