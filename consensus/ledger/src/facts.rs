//! Facts of a chain become rows. The facts were agreed on because every voter's own follower saw the same; one
//! that does not fit the rows changes nothing, since whoever pays for a transaction can make odd facts, and an
//! anchor that could never move again would be worse.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::{cases, operators, services, suspension, vaults};
use palisade_types::chain::ChainKind;
use palisade_types::observation::{Fact, Listed, Observation, StakeSeen};
use palisade_types::position::MAX_LISTED;
use palisade_types::price::{Price, PriceSeen};
use palisade_types::{Row, RowKey};

/// Moves a chain's anchor and takes in all that became true on the way.
pub(crate) fn observe(draft: &mut Draft<'_>, observation: &Observation) -> Result<(), Invalid> {
    let chain = observation.chain;
    let anchor = draft.state().anchor(chain);
    if observation.after != *anchor {
        return Err(Invalid::Late("an observation after another anchor"));
    }
    if suspension::is_active(draft.state(), chain) {
        return Err(Invalid::Late("an observation of a suspended chain"));
    }
    if !observation.upto.is_above(anchor) {
        return Err(Invalid::Refused("an anchor that does not move forward"));
    }
    if observation.upto.number == anchor.number && observation.upto.hash != anchor.hash {
        return Err(Invalid::Refused("another block in the anchor's place"));
    }
    if observation.facts.iter().any(|fact| source(fact) != Some(chain)) {
        return Err(Invalid::Refused("a fact of the other chain"));
    }
    draft.put(RowKey::Anchor(chain), Row::Anchor(observation.upto));
    for fact in &observation.facts {
        take_in(draft, fact);
    }
    match chain {
        ChainKind::Ethereum => cases::let_go(draft),
        ChainKind::Bitcoin => vaults::lapse(draft),
    }
    Ok(())
}

pub(crate) fn take_in(draft: &mut Draft<'_>, fact: &Fact) {
    match fact {
        Fact::Keys(keys) => operators::register(draft, keys),
        Fact::Stake(seen) => stake(draft, seen),
        Fact::Listed(listed) => list(draft, listed),
        Fact::Convicted(convicted) => cases::follow(draft, convicted),
        Fact::Slashed(slashed) => cases::slashed(draft, slashed),
        Fact::Vetoed(vetoed) => cases::vetoed(draft, vetoed),
        Fact::VaultConfirmed(confirmed) => vaults::confirm(draft, confirmed),
        Fact::VaultSpent(spent) => vaults::spend(draft, spent),
        Fact::Price(seen) => price(draft, seen),
        Fact::ServiceSet(seen) => services::set(draft, seen),
        Fact::ServiceDeclared(declared) => services::declare(draft, declared),
        Fact::ServiceProtocol(seen) => services::protocol(draft, seen),
        Fact::ServiceStake(seen) => services::stake(draft, seen),
        Fact::FeeRate(rate) => draft.put(RowKey::FeeRate, Row::FeeRate(*rate)),
        Fact::CovenantBreach(breach) => cases::breach(draft, breach),
        // Refused but where it leads a resumption, which has rewound already.
        Fact::Rewound(_) => {}
    }
}

/// Which chain shows such a fact while it is not suspended.
pub(crate) const fn source(fact: &Fact) -> Option<ChainKind> {
    match fact {
        Fact::Rewound(_) => None,
        Fact::Keys(_)
        | Fact::Stake(_)
        | Fact::Listed(_)
        | Fact::Convicted(_)
        | Fact::Slashed(_)
        | Fact::Vetoed(_)
        | Fact::Price(_)
        | Fact::ServiceSet(_)
        | Fact::ServiceDeclared(_)
        | Fact::ServiceProtocol(_)
        | Fact::ServiceStake(_) => Some(ChainKind::Ethereum),
        Fact::VaultConfirmed(_) | Fact::VaultSpent(_) | Fact::FeeRate(_) | Fact::CovenantBreach(_) => {
            Some(ChainKind::Bitcoin)
        }
    }
}

/// A vault that an operator listed for himself beside genesis' own. The contract has looked at it and counted his listings; it
/// may be that his keys are refused and come later, so he need not be known. A listing is for ever, as the contract's is.
fn list(draft: &mut Draft<'_>, listed: &Listed) {
    let (assets, state) = (&draft.parent.genesis_of().assets, draft.state());
    let is_asset = |source| assets.iter().any(|asset| asset.source == source);
    let follows = is_asset(listed.like) && listed.like.protocol() == listed.id.source.protocol();
    let operator = listed.id.operator;
    let has = state.listings_from(operator).take_while(|(id, _)| id.operator == operator);
    let is_new = state.row(&RowKey::Listing(listed.id)).is_none() && !is_asset(listed.id.source);
    if follows && is_new && has.count() < MAX_LISTED {
        draft.put(RowKey::Listing(listed.id), Row::Listing(listed.like));
    }
}

/// A position as the protocol's views show it. Only listed collateral of known operators gets a row (R8).
fn stake(draft: &mut Draft<'_>, seen: &StakeSeen) {
    let assets = &draft.parent.genesis_of().assets;
    let listed = assets.iter().any(|asset| asset.source == seen.id.source)
        || draft.state().row(&RowKey::Listing(seen.id)).is_some();
    if listed && seen.position.is_of(&seen.id.source) && draft.state().operator(&seen.id.operator).is_some() {
        draft.put(RowKey::Position(seen.id), Row::Position(seen.position));
    }
}

/// What a listed feed said at the anchor; the bounds of genesis decide what becomes of it (R23).
fn price(draft: &mut Draft<'_>, seen: &PriceSeen) {
    let asset = draft.parent.genesis_of().assets.iter().find(|asset| asset.source == seen.source);
    let Some(Price::Feed(feed)) = asset.map(|asset| asset.price) else { return };
    let now = draft.state().anchor(ChainKind::Ethereum).time;
    let quote = feed.follow(draft.state().quote(&seen.source), &seen.answer, now);
    draft.put(RowKey::Price(seen.source), Row::Price(quote));
}
