//! Cases: one per (chain id, operator, domain) (R25). Later pairs of the same case are dropped before their
//! signatures are checked.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::state::State;
use crate::{accounts, duties, exposure, operators, slashing, verdicts};
use palisade_types::chain::ChainKind;
use palisade_types::contradiction::CertificatePair;
use palisade_types::evidence::{CovenantBreach, ExposedProvider, VotePair};
use palisade_types::observation::{ConvictedOnChain, SlashedOnChain, VetoedOnChain};
use palisade_types::position::PositionId;
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::slash::{OrderStatus, ServiceTarget, SlashOrder, SlashTarget, Taken};
use palisade_types::{
    Case, CaseId, ChainId, Domain, DomainKind, Epoch, Evidence, Genesis, Height, Operator, OperatorId, ProvenFault,
    Row, RowKey, Unproven,
};

/// Takes evidence in: a proven fault opens its case and convicts, two certificates everybody who signed both, a pair of engine votes
/// only jails (R18), a provider's secret only takes weight (R29).
pub(crate) fn convict(draft: &mut Draft<'_>, evidence: &Evidence) -> Result<(), Invalid> {
    if let Evidence::Votes(pair) = evidence {
        judge_votes(draft.state(), pair)?;
        duties::jail_for_votes(draft, &pair.operator);
        return Ok(());
    }
    if let Evidence::ExposedProvider(provider) = evidence {
        exposure::expose(draft, provider)?;
        return Ok(());
    }
    if let Evidence::Verdict(verdict) = evidence {
        return verdicts::enter(draft, verdict);
    }
    if let Evidence::Certificates(pair) = evidence {
        let (domain, slot) = (pair.first.domain, pair.first.slot);
        for operator in judge_certificates(draft.state(), pair)? {
            open(draft, Accusation { operator, domain, slot }, Some(evidence.clone()), None);
        }
        return Ok(());
    }
    let fault = judge(draft.state(), evidence)?;
    let fact = Accusation { operator: fault.operator(), domain: fault.domain(), slot: fault.slot() };
    open(draft, fact, Some(evidence.clone()), fault.exposed());
    Ok(())
}

/// Judges evidence by the rows of `state`.
pub(crate) fn judge(state: State<'_>, evidence: &Evidence) -> Result<ProvenFault, Unproven> {
    let domain = evidence.domain().ok_or(Unproven::WrongDomain)?;
    let accused = evidence.operator().and_then(|operator| state.operator(&operator));
    let operator = accused.ok_or(Unproven::UnknownOperator)?;
    if !is_judged_here(state, &domain) {
        return Err(Unproven::WrongDomain);
    }
    if state.case(&id(state, &operator.id, &domain)).is_some() {
        return Err(Unproven::AlreadyConvicted);
    }
    check_time(state, capture(state, &domain, slot_of(evidence)))?;
    let accused = accusable(state, operator);
    let genesis = state.ledger.genesis_of();
    let (chain, _) = genesis.origin(&domain).ok_or(Unproven::WrongDomain)?;
    let committed = |id: &_| promised(state, &chain, &operator.id).iter().any(|promise| promise.commitment.id() == *id);
    let domains = &genesis.domains_under(chain);
    match evidence.prove(domains, &accused, committed) {
        // A key whose row ended longer ago than W convicts nobody any more (R12).
        Err(Unproven::BadSignature) if accused.keys.len() < operator.keys.len() => {
            evidence.prove(domains, operator, committed)?;
            Err(Unproven::Expired)
        }
        judged => judged,
    }
}

/// Judges two certificates by the rows of `state`: whom they convict, by account ascending, who are not convicted in that domain yet
/// (R25). What holds for a pair of one of them holds here: its time is the slot's (R26), its key the one of his seat while its row
/// can convict (R12).
pub(crate) fn judge_certificates(state: State<'_>, pair: &CertificatePair) -> Result<Vec<OperatorId>, Unproven> {
    let (domain, slot) = (pair.first.domain, pair.first.slot);
    if !is_judged_here(state, &domain) {
        return Err(Unproven::WrongDomain);
    }
    check_time(state, capture(state, &domain, Some(slot)))?;
    let genesis = state.ledger.genesis_of();
    let (chain, _) = genesis.origin(&domain).ok_or(Unproven::WrongDomain)?;
    let committee = state.committee_of(pair.epoch).ok_or(Unproven::UnknownCommittee)?;
    let mut accused = pair.accused(&genesis.domains_under(chain), committee)?;
    accused.retain(|member| state.case(&id(state, &member.operator, &domain)).is_none());
    if accused.is_empty() {
        return Err(Unproven::AlreadyConvicted);
    }
    let counts = |operator: &Operator, key| accusable(state, operator).keys.iter().any(|row| row.bls == key);
    accused.retain(|member| state.operator(&member.operator).is_some_and(|one| counts(one, member.bls)));
    if accused.is_empty() {
        return Err(Unproven::Expired);
    }
    if !pair.holds(&chain, committee) {
        return Err(Unproven::BadSignature);
    }
    Ok(accused.into_iter().map(|member| member.operator).collect())
}

/// Judges the signatures of a pair of engine votes; `agreement` judges what they say.
pub(crate) fn judge_votes(state: State<'_>, pair: &VotePair) -> Result<(), Unproven> {
    let operator = state.operator(&pair.operator).ok_or(Unproven::UnknownOperator)?;
    if !operators::is_eligible(operator) {
        return Err(Unproven::AlreadyConvicted);
    }
    if state.duty(&pair.operator).is_some_and(|duty| pair.height <= duty.freed) {
        return Err(Unproven::AlreadyConvicted); // he has been in jail for it
    }
    check_time(state, state.epoch_of(pair.height))?;
    if pair.first.0 == pair.second.0 {
        return Err(Unproven::Compatible);
    }
    if pair.signed_by(&accusable(state, operator)) { Ok(()) } else { Err(Unproven::BadSignature) }
}

/// Whether the domain is one of the network's own, or of one before it (R21). A service's domain would take what is allocated
/// to the service, and no service is registered here; Palisade.sol refuses the same.
pub(crate) fn is_judged_here(state: State<'_>, domain: &Domain) -> bool {
    let origin = state.ledger.genesis_of().origin(domain);
    origin.is_some_and(|(_, kind)| kind != DomainKind::Covenant)
}

/// What an operator promised in a network of the line.
fn promised<'a>(state: State<'a>, chain: &ChainId, operator: &OperatorId) -> Vec<&'a RandomnessCommitment> {
    if *chain == state.ledger.chain() {
        state.commitments(operator).collect()
    } else {
        state.earlier_commitments(chain, operator).collect()
    }
}

/// The case of a fault: under the chain id of the network in whose domain it was committed (R21, R25).
pub(crate) fn id(state: State<'_>, operator: &OperatorId, domain: &Domain) -> CaseId {
    let chain = state.ledger.genesis_of().origin(domain).map_or_else(|| state.ledger.chain(), |(chain, _)| chain);
    CaseId::derive(&chain, operator, domain)
}

/// The Bitcoin finality domain of every network of the line.
pub(crate) fn finality_domains(genesis: &Genesis) -> Vec<Domain> {
    let networks = genesis.before().iter().copied().chain([genesis.chain_id()]);
    networks.map(|chain| genesis.domains_under(chain).bitcoin).collect()
}

/// The slot that evidence speaks of; an exposed key speaks of none.
const fn slot_of(evidence: &Evidence) -> Option<u64> {
    match evidence {
        Evidence::Pair(pair) => Some(pair.slot),
        Evidence::EotsPair(pair) => Some(pair.slot),
        Evidence::Ancestor(fault) => Some(fault.slot),
        Evidence::Verdict(verdict) => Some(verdict.verdict.slot),
        Evidence::Certificates(pair) => Some(pair.first.slot),
        Evidence::Votes(_) | Evidence::Covenant(_) | Evidence::ExposedKey(_) | Evidence::ExposedProvider(_) => None,
    }
}

/// The epoch whose snapshot the fault is charged to (R26): the slot's, where a slot is a height.
pub(crate) fn capture(state: State<'_>, domain: &Domain, slot: Option<u64>) -> Option<Epoch> {
    let (_, kind) = state.ledger.genesis_of().origin(domain)?;
    let slot = slot.filter(|_| matches!(kind, DomainKind::Ledger | DomainKind::Bitcoin))?;
    state.epoch_of(Height::new(slot))
}

/// Evidence counts while its execution still fits into W after the snapshot (R4, R26). An unknown epoch, and so
/// a slot of the future, is charged to the newest snapshot.
fn check_time(state: State<'_>, epoch: Option<Epoch>) -> Result<(), Unproven> {
    let committee = epoch.and_then(|epoch| state.committee_of(epoch)).unwrap_or_else(|| state.newest_committee());
    let grace = state.ledger.genesis_of().parameters.evidence_blocks();
    let last = committee.ethereum.number.saturating_add(grace);
    if state.anchor(ChainKind::Ethereum).number <= last { Ok(()) } else { Err(Unproven::Expired) }
}

fn accusable(state: State<'_>, operator: &Operator) -> Operator {
    let window = state.ledger.genesis_of().parameters.ethereum_window();
    let now = state.anchor(ChainKind::Ethereum).number;
    operators::accusable(operator, now, window)
}

/// Convicts without a proof, in a draft that is thrown away.
pub(crate) fn accuse(draft: &mut Draft<'_>, operator: OperatorId, domain: Domain, exposed: Option<[u8; 32]>) -> CaseId {
    open(draft, Accusation { operator, domain, slot: 0 }, None, exposed)
}

/// Who did it, where and when.
struct Accusation {
    operator: OperatorId,
    domain: Domain,
    slot: u64,
}

fn open(draft: &mut Draft<'_>, fact: Accusation, evidence: Option<Evidence>, exposed: Option<[u8; 32]>) -> CaseId {
    let id = id(draft.parent.state(), &fact.operator, &fact.domain);
    let orders = slashing::orders(draft.state(), &fact.operator, &fact.domain, exposed);
    let case = Case {
        id,
        operator: fact.operator,
        domain: fact.domain,
        slot: fact.slot,
        opened: draft.height,
        evidence,
        orders,
    };
    operators::convict(draft, &case.operator);
    // Others' vaults may name his key, too.
    if let Some(secret) = exposed {
        exposure::mark(draft, ExposedProvider { secret });
    }
    draft.put(RowKey::Case(id), Row::Case(Box::new(case)));
    id
}

/// The contract convicted by a pair of its own: the ledger follows, unless it was first.
pub(crate) fn follow(draft: &mut Draft<'_>, convicted: &ConvictedOnChain) {
    let (operator, domain, slot) = (convicted.operator, convicted.domain, convicted.slot);
    let id = id(draft.parent.state(), &operator, &domain);
    let known = draft.state().operator(&operator).is_some();
    if id == convicted.case && known && draft.state().case(&id).is_none() {
        let fact = Accusation { operator, domain, slot };
        open(draft, fact, None, None);
    }
}

/// Every voter's follower saw what a covenant member signed (R27): genesis says who answers for it. What his key did not sign, or
/// a key that no terms name, convicts nobody; nor does a member who is no operator here and so has nothing to lose.
pub(crate) fn breach(draft: &mut Draft<'_>, breach: &CovenantBreach) {
    let Some(operator) = accountable(draft.state(), breach).filter(|_| breach.is_signed()) else { return };
    let (chain, palisade) = (draft.parent.chain(), draft.parent.genesis_of().contracts.palisade);
    let domain = Domain::own(&chain, &palisade, DomainKind::Covenant);
    if draft.state().case(&CaseId::derive(&chain, &operator, &domain)).is_none() {
        let fact = Accusation { operator, domain, slot: breach.height };
        open(draft, fact, Some(Evidence::Covenant(*breach)), None);
    }
}

/// The operator who is the member, under the terms of the vault that was spent.
fn accountable(state: State<'_>, breach: &CovenantBreach) -> Option<OperatorId> {
    let terms = state.ledger.genesis_of().terms(state.vault(&breach.vault)?.registration.terms)?;
    let place = terms.covenant.iter().position(|member| *member == breach.member)?;
    state.operator(terms.members.get(place)?).map(|operator| operator.id)
}

/// A protocol's own views showed a loss (R24). No loss in an asset means that nothing of it was left to take.
pub(crate) fn slashed(draft: &mut Draft<'_>, slashed: &SlashedOnChain) {
    let Some(case) = draft.state().case(&slashed.case).filter(|case| case.operator == slashed.operator).cloned() else {
        return;
    };
    let status = match slashed.before.checked_sub(slashed.afterwards) {
        None | Some(0) => OrderStatus::Escaped,
        Some(amount) => OrderStatus::Final(Taken { amount, transaction: slashed.transaction }),
    };
    if matches!(case.evidence, Some(Evidence::Verdict(_))) {
        let target = ServiceTarget { adapter: slashed.adapter, asset: Some(slashed.asset) };
        accounts::record(draft, &case, SlashTarget::Service(target), slashed);
        let mut case = case;
        verdicts::slashed(&mut case, slashed.adapter, slashed.asset, status);
        draft.put(RowKey::Case(case.id), Row::Case(Box::new(case)));
        return;
    }
    let source = draft.parent.genesis_of().contracts.source_of(&slashed.adapter, slashed.asset);
    if let Some(source) = source {
        accounts::record(draft, &case, source.target(), slashed);
        settle(draft, &case.operator, &case.domain, source.target(), status);
    }
}

/// The one who may say no to a slash said it (R26): nothing will be taken there for this case.
pub(crate) fn vetoed(draft: &mut Draft<'_>, vetoed: &VetoedOnChain) {
    let Some(case) = draft.state().case(&vetoed.case) else {
        return;
    };
    let (operator, domain) = (case.operator, case.domain);
    let source = draft.parent.genesis_of().contracts.source_of(&vetoed.adapter, vetoed.asset);
    if let Some(source) = source.filter(|_| operator == vetoed.operator) {
        settle(draft, &operator, &domain, source.target(), OrderStatus::Vetoed);
    }
}

/// Notes how one order ended. What is final or vetoed stays; what seemed to escape may yet be shown as taken.
pub(crate) fn settle(
    draft: &mut Draft<'_>,
    operator: &OperatorId,
    domain: &Domain,
    target: SlashTarget,
    status: OrderStatus,
) {
    let id = id(draft.parent.state(), operator, domain);
    let Some(mut case) = draft.state().case(&id).cloned() else {
        return;
    };
    let is_over = |status| matches!(status, OrderStatus::Final(_) | OrderStatus::Vetoed);
    let is_open = |order: &&mut SlashOrder| order.target == target && !is_over(order.status);
    if let Some(order) = case.orders.as_mut_slice().iter_mut().find(is_open) {
        order.status = status;
        draft.put(RowKey::Case(id), Row::Case(Box::new(case)));
    }
}

/// The chain took back what it had shown of one order: it is to be carried out again (R30).
pub(crate) fn reopen(draft: &mut Draft<'_>, operator: &OperatorId, domain: &Domain, target: SlashTarget) {
    let id = id(draft.parent.state(), operator, domain);
    let Some(mut case) = draft.state().case(&id).cloned() else {
        return;
    };
    if let Some(order) = case.orders.as_mut_slice().iter_mut().find(|order| order.target == target) {
        order.status = OrderStatus::Ordered;
        draft.put(RowKey::Case(id), Row::Case(Box::new(case)));
    }
}

/// After Ethereum's anchor moved: orders against positions of which nothing can be taken any more have escaped.
pub(crate) fn let_go(draft: &mut Draft<'_>) {
    let state = draft.state();
    let now = slashing::now(state);
    let mut gone = Vec::new();
    for case in state.cases() {
        for order in &case.orders {
            let Some(source) = order.target.source() else {
                continue;
            };
            let id = PositionId { operator: case.operator, source };
            let left = state.position(&id).is_some_and(|position| position.is_takeable(&now));
            if order.status.is_open() && !left {
                gone.push((case.operator, case.domain, order.target));
            }
        }
    }
    for (operator, domain, target) in gone {
        settle(draft, &operator, &domain, target, OrderStatus::Escaped);
    }
}
