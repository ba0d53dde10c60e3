//! A dry run: what one fault would cost whom, and what would be left of the network's security. It changes nothing.

use crate::changes::Draft;
use crate::protocols::EigenSlash;
use crate::state::State;
use crate::{cases, committee, weights};
use palisade_types::position::{Magnitudes, Position, PositionId};
use palisade_types::slash::{SlashOrder, SlashTarget};
use palisade_types::{CaseId, Domain, Evidence, Height, MicroUsd, OperatorId, Unproven, Wad};

/// What a fault would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Who would be convicted: of two certificates several (R1), else one.
    pub convicts: Vec<Foreseen>,
    /// The committee that would be drawn now.
    pub before: Strength,
    /// The one that would be drawn after the conviction, everything else as it is.
    pub after: Strength,
}

/// What a fault would cost one convict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The case that would be opened.
    pub case: CaseId,
    /// Whose.
    pub operator: OperatorId,
    /// Where.
    pub domain: Domain,
    /// What would be ordered, from where.
    pub losses: Vec<Loss>,
}

/// What one source of stake would lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which.
    pub target: SlashTarget,
    /// What would be asked: shares of the strategy, smallest units of the collateral, or satoshis.
    pub asked: u128,
    /// What the protocol's own rounding makes of it ([`crate::protocols`]), where it is all still there by then: the ledger rounds
    /// down, `EigenLayer` up.
    pub takes: u128,
    /// What lies there together, in the same unit: everybody whose stake it is loses `takes` / `of` of it. On EigenLayer what is
    /// delegated to the operator or was and waits in the queue, on Symbiotic the whole vault, to which several operators' delegators belong, on Bitcoin one vault.
    pub of: u128,
    /// What `takes` is worth, rounded down.
    pub value: MicroUsd,
}

/// What a committee can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    /// Members.
    pub members: usize,
    /// ETH-side stake that pairs can take, micro-dollars; zero when less is left than genesis asks (R6).
    pub ether: u128,
    /// Bitcoin, in satoshis.
    pub bitcoin: u128,
}

/// Of a fault that is proven.
pub(crate) fn of_evidence(draft: &mut Draft<'_>, evidence: &Evidence) -> Result<Forecast, Unproven> {
    if let Evidence::Certificates(pair) = evidence {
        let convicts = cases::judge_certificates(draft.state(), pair)?;
        return Ok(of(draft, &convicts, pair.first.domain, None));
    }
    let fault = cases::judge(draft.state(), evidence)?;
    Ok(of(draft, &[fault.operator()], fault.domain(), fault.exposed()))
}

/// Of a fault that nobody has shown.
pub(crate) fn of_fault(draft: &mut Draft<'_>, operator: OperatorId, domain: Domain) -> Result<Forecast, Unproven> {
    draft.state().operator(&operator).ok_or(Unproven::UnknownOperator)?;
    if !cases::is_judged_here(draft.state(), &domain) {
        return Err(Unproven::WrongDomain);
    }
    let case = CaseId::derive(&draft.parent.chain(), &operator, &domain);
    if draft.state().case(&case).is_some() {
        return Err(Unproven::AlreadyConvicted);
    }
    Ok(of(draft, &[operator], domain, None))
}

fn of(draft: &mut Draft<'_>, convicts: &[OperatorId], domain: Domain, exposed: Option<[u8; 32]>) -> Forecast {
    let height = draft.height;
    let before = strength(draft.state(), height);
    let convicts = convicts.iter().map(|operator| foresee(draft, *operator, domain, exposed)).collect();
    Forecast { convicts, before, after: strength(draft.state(), height) }
}

fn foresee(draft: &mut Draft<'_>, operator: OperatorId, domain: Domain, exposed: Option<[u8; 32]>) -> Foreseen {
    let case = cases::accuse(draft, operator, domain, exposed);
    let opened = draft.state().case(&case).map(|case| case.orders.to_vec()).unwrap_or_default();
    let losses = opened.iter().map(|order| loss(draft.state(), &operator, order)).collect();
    Foreseen { case, operator, domain, losses }
}

fn strength(state: State<'_>, height: Height) -> Strength {
    let drawn = committee::draw(state, height);
    Strength { members: drawn.members.len(), ether: drawn.total_ether(), bitcoin: drawn.total_bitcoin() }
}

fn loss(state: State<'_>, operator: &OperatorId, order: &SlashOrder) -> Loss {
    let genesis = state.ledger.genesis_of();
    let asked = order.asked;
    let (takes, of, price, unit) = match order.target {
        SlashTarget::Vault(id) => {
            let amount = state.vault(&id).map_or(0, |vault| vault.registration.amount.get().into());
            (asked, amount, genesis.parameters.bitcoin_price, weights::BITCOIN)
        }
        target => {
            let source = target.source();
            let position = source.and_then(|source| state.position(&PositionId { operator: *operator, source }));
            let asset = genesis.assets.iter().find(|asset| Some(asset.source) == source);
            let price = asset.map_or(MicroUsd::new(0), |asset| state.price(asset));
            let part = asset.map_or(Wad::new(0), |asset| asset.equivocation);
            let takes = position.map_or(0, |position| taken(position, asked, part));
            (takes, position.map_or(0, held), price, Wad::ONE.get().into())
        }
    };
    Loss { target: order.target, asked, takes, of, value: MicroUsd::new(weights::worth(takes, price, unit)) }
}

/// What an equivocation takes of a position: of `EigenLayer` a part of the magnitude, of the others what is asked.
fn taken(position: &Position, asked: u128, part: Wad) -> u128 {
    match position {
        Position::EigenLayer(magnitudes) => {
            let of_queue = Magnitudes { shares: magnitudes.queued, ..*magnitudes };
            let lost = |position: &Magnitudes| position.shares - EigenSlash::of_position(position, part).shares_left;
            lost(magnitudes).saturating_add(lost(&of_queue))
        }
        Position::Symbiotic(_) | Position::Karak(_) => asked,
    }
}

/// What lies there together.
const fn held(position: &Position) -> u128 {
    match position {
        Position::EigenLayer(magnitudes) => magnitudes.shares.saturating_add(magnitudes.queued),
        Position::Symbiotic(stake) => stake.pool,
        Position::Karak(stake) => stake.assets,
    }
}
