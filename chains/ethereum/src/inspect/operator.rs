//! An operator: what is delegated to him, and what of it which set can take. Two figures that are mixed up too often.

use super::core::{Age, Core};
use super::report::{AllocationSeen, OperatorSeen, SetSeen, StrategySeen};
use super::{CORE, Failed, Look};
use crate::bindings::core::{Allocation, Allocations, Delegations, OperatorSet};
use crate::views::{Gaps, Views, each, expect};
use alloy::primitives::{Address, U256};
use std::collections::{BTreeMap, BTreeSet};

/// The most sets that are looked at.
const MOST_SETS: usize = 256;
/// The most strategies that are looked at.
const MOST_STRATEGIES: usize = 256;
/// Below this much magnitude or this many shares the core rounds a slash in steps that matter (ELIP-006).
const DUST: u64 = 1_000_000_000;

pub(super) async fn look(
    views: &Views<'_>,
    core: &Core,
    operator: Address,
    look: &Look<'_>,
) -> Result<OperatorSeen, Failed> {
    let mut gaps = Gaps::default();
    let registered = Allocations::getRegisteredSetsCall { operator };
    let registered: BTreeSet<OperatorSet> =
        views.require(core.allocations, registered, CORE).await?.into_iter().collect();
    let allocated = views.require(core.allocations, Allocations::getAllocatedSetsCall { operator }, CORE).await?;
    let all: BTreeSet<OperatorSet> = registered.iter().cloned().chain(allocated).collect();
    let all = gaps.first("operator sets", all.into_iter().collect(), MOST_SETS);
    let sets = each(&all, |set| set_of(views, core, operator, set, registered.contains(set), look)).await?;

    let allocated = sets.iter().flat_map(|set| set.allocations.iter()).filter_map(|seen| seen.strategy.parse().ok());
    let beacon = [core.beacon_strategy];
    let wanted: BTreeSet<Address> = allocated.chain(beacon).chain(look.strategies()).collect();
    let wanted = gaps.first("strategies", wanted.into_iter().collect(), MOST_STRATEGIES);
    let strategies = strategies(views, core, operator, &wanted).await?;
    gaps.say("strategies that no set is allocated and nobody named are not looked at: no view lists them".to_owned());

    let delay = Allocations::getAllocationDelayCall { operator };
    let delay = views.require(core.allocations, delay, CORE).await?;
    let allocation_delay = delay.isSet.then_some(delay.delay);
    let redistributable = match core.age {
        Age::Slashing => None,
        _ => {
            let asked = Allocations::isOperatorRedistributableCall { operator };
            gaps.note("isOperatorRedistributable", views.ask(core.allocations, asked).await?)
        }
    };
    let warnings = warnings(allocation_delay, redistributable, &strategies, &sets);
    Ok(OperatorSeen {
        operator: operator.to_string(),
        allocation_delay,
        redistributable,
        strategies,
        sets,
        warnings,
        gaps: gaps.told(),
    })
}

/// What is delegated to him, without what is empty.
async fn strategies(
    views: &Views<'_>,
    core: &Core,
    operator: Address,
    wanted: &[Address],
) -> Result<Vec<StrategySeen>, Failed> {
    let asked = Delegations::getOperatorSharesCall { operator, strategies: wanted.to_vec() };
    let delegated = views.require(core.delegations, asked, CORE).await?;
    expect(delegated.len(), wanted.len())?;
    let seen = each(wanted.iter().copied().zip(delegated), async |(strategy, delegated)| {
        let asked = Delegations::getSlashableSharesInQueueCall { operator, strategy };
        let queued = views.require(core.delegations, asked, CORE).await?;
        let encumbered = Allocations::getEncumberedMagnitudeCall { operator, strategy };
        let encumbered = views.require(core.allocations, encumbered, CORE).await?;
        if delegated.is_zero() && queued.is_zero() && encumbered == 0 {
            return Ok(None);
        }
        let max_magnitude = Allocations::getMaxMagnitudeCall { operator, strategy };
        let max_magnitude = views.require(core.allocations, max_magnitude, CORE).await?;
        let allocatable = Allocations::getAllocatableMagnitudeCall { operator, strategy };
        let allocatable = views.require(core.allocations, allocatable, CORE).await?;
        Ok(Some(StrategySeen {
            strategy: strategy.to_string(),
            token: core.token_of(views, strategy).await?,
            delegated: delegated.to_string(),
            underlying: core.underlying(views, strategy, delegated).await?.map(|amount| amount.to_string()),
            queued: queued.to_string(),
            max_magnitude,
            encumbered,
            allocatable,
        }))
    });
    Ok(seen.await?.into_iter().flatten().collect())
}

/// One set. What EigenLayer's views call slashable counts only in strategies that are still in the set.
async fn set_of(
    views: &Views<'_>,
    core: &Core,
    operator: Address,
    set: &OperatorSet,
    member: bool,
    look: &Look<'_>,
) -> Result<SetSeen, Failed> {
    let asked = Allocations::isOperatorSlashableCall { operator, operatorSet: set.clone() };
    let slashable = views.require(core.allocations, asked, CORE).await?;
    let inside = Allocations::getStrategiesInOperatorSetCall { operatorSet: set.clone() };
    let inside: BTreeSet<Address> = views.require(core.allocations, inside, CORE).await?.into_iter().collect();
    let asked = Allocations::getAllocatedStrategiesCall { operator, operatorSet: set.clone() };
    let mut allocated = views.require(core.allocations, asked, CORE).await?;
    allocated.sort();
    allocated.truncate(MOST_STRATEGIES);
    let now = stakes(views, core, set, operator, &allocated, look.block().number).await?;
    let end = look.block().number.saturating_add(u64::from(core.deallocation_delay));
    let lasting = stakes(views, core, set, operator, &allocated, end).await?;
    let allocations = each(allocated.iter().enumerate(), async |(at, strategy)| {
        let asked = Allocations::getAllocationCall { operator, operatorSet: set.clone(), strategy: *strategy };
        let allocation = views.require(core.allocations, asked, CORE).await?;
        let in_set = inside.contains(strategy);
        let counted = |stake: &U256| if in_set { stake.to_string() } else { "0".to_owned() };
        let pending = pending(&allocation);
        Ok(AllocationSeen {
            strategy: strategy.to_string(),
            in_set,
            magnitude: allocation.currentMagnitude,
            effect_block: pending.is_some().then_some(allocation.effectBlock),
            pending,
            slashable: counted(&now[at]),
            lasting: counted(&lasting[at]),
        })
    });
    Ok(SetSeen {
        service: set.avs.to_string(),
        id: set.id,
        member,
        slashable,
        slasher: slasher(views, core, set).await?,
        redistribution: redistribution(views, core, set).await?,
        allocations: allocations.await?,
    })
}

pub(super) fn pending(allocation: &Allocation) -> Option<String> {
    (allocation.pendingDiff != 0).then(|| allocation.pendingDiff.to_string())
}

/// What the core's own view says of one operator at a block not after its look-ahead.
async fn stakes(
    views: &Views<'_>,
    core: &Core,
    set: &OperatorSet,
    operator: Address,
    strategies: &[Address],
    block: u64,
) -> Result<Vec<U256>, Failed> {
    if strategies.is_empty() {
        return Ok(Vec::new());
    }
    let block = u32::try_from(block).map_err(|_| Failed::lied("a block number over 32 bits"))?;
    let asked = Allocations::getMinimumSlashableStakeCall {
        operatorSet: set.clone(),
        operators: vec![operator],
        strategies: strategies.to_vec(),
        futureBlock: block,
    };
    let mut stakes = views.require(core.allocations, asked, CORE).await?;
    expect(stakes.len(), 1)?;
    let stakes = stakes.remove(0);
    expect(stakes.len(), strategies.len())?;
    Ok(stakes)
}

/// Who may slash a set; nothing where it does not say, or says nobody.
pub(super) async fn slasher(views: &Views<'_>, core: &Core, set: &OperatorSet) -> Result<Option<String>, Failed> {
    if core.age < Age::Slashers {
        return Ok(None);
    }
    let asked = Allocations::getSlasherCall { operatorSet: set.clone() };
    let slasher = views.ask(core.allocations, asked).await?.ok();
    Ok(slasher.filter(|slasher| !slasher.is_zero()).map(|slasher| slasher.to_string()))
}

/// Who receives what a set slashes; nothing when it is burnt.
pub(super) async fn redistribution(
    views: &Views<'_>,
    core: &Core,
    set: &OperatorSet,
) -> Result<Option<String>, Failed> {
    if core.age < Age::Redistribution {
        return Ok(None);
    }
    let asked = Allocations::isRedistributingOperatorSetCall { operatorSet: set.clone() };
    if !views.ask(core.allocations, asked).await?.unwrap_or(false) {
        return Ok(None);
    }
    let asked = Allocations::getRedistributionRecipientCall { operatorSet: set.clone() };
    Ok(views.ask(core.allocations, asked).await?.ok().map(|recipient| recipient.to_string()))
}

/// What a delegator should know; each from what the report shows.
fn warnings(
    delay: Option<u32>,
    redistributable: Option<bool>,
    strategies: &[StrategySeen],
    sets: &[SetSeen],
) -> Vec<String> {
    let mut warnings = Vec::new();
    match delay {
        Some(0) => warnings.push(
            "allocation delay 0: whoever holds his key can put all of the stake under any slasher in one block"
                .to_owned(),
        ),
        None => warnings.push("no allocation delay is in force: nothing can be allocated yet".to_owned()),
        Some(_) => {}
    }
    if redistributable == Some(true) {
        warnings
            .push("he sits in a set that pays what it slashes to somebody: a stolen key is worth stealing".to_owned());
    }
    let delegated: BTreeMap<&str, &StrategySeen> =
        strategies.iter().map(|seen| (seen.strategy.as_str(), seen)).collect();
    for set in sets {
        for allocation in &set.allocations {
            let place = format!("{} of set {} of {}", allocation.strategy, set.id, set.service);
            if let (Some(pending), Some(block)) = (&allocation.pending, allocation.effect_block) {
                let change = match pending.strip_prefix('-') {
                    Some(less) => format!("loses {less} of magnitude, slashable until"),
                    None => format!("gains {pending} of magnitude, slashable from"),
                };
                warnings.push(format!("{place} {change} block {block}"));
            }
            if !allocation.in_set && allocation.magnitude > 0 {
                warnings.push(format!("{place} was taken out of the set: nobody can slash it there"));
            }
            let few = |shares: &str| shares.parse().is_ok_and(|shares: U256| shares < U256::from(DUST));
            let shares = delegated.get(allocation.strategy.as_str()).is_some_and(|seen| few(&seen.delegated));
            if allocation.magnitude > 0 && (allocation.magnitude < DUST || shares) {
                warnings.push(format!("{place} is dust: what a slash takes of it is rounded (ELIP-006)"));
            }
        }
        if !set.member && set.slashable {
            warnings.push(format!("he left set {} of {}, and it can still slash him", set.id, set.service));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(magnitude: u64, pending: Option<&str>) -> AllocationSeen {
        AllocationSeen {
            strategy: "s".to_owned(),
            in_set: true,
            magnitude,
            pending: pending.map(str::to_owned),
            effect_block: pending.map(|_| 9),
            slashable: "0".to_owned(),
            lasting: "0".to_owned(),
        }
    }

    fn set(member: bool, slashable: bool, allocation: AllocationSeen) -> SetSeen {
        let (service, slasher, redistribution) = ("a".to_owned(), None, None);
        SetSeen { service, id: 3, member, slashable, slasher, redistribution, allocations: vec![allocation] }
    }

    #[test]
    fn a_delegator_is_told_what_can_hurt_him() {
        let told = |delay, redistributable, set: SetSeen| warnings(delay, redistributable, &[], &[set]).join("; ");
        let quiet = set(true, true, allocation(2 * DUST, None));
        assert_eq!(told(Some(1), Some(false), quiet.clone()), "");
        assert!(told(Some(0), None, quiet.clone()).contains("allocation delay 0"));
        assert!(told(None, None, quiet.clone()).contains("no allocation delay"));
        assert!(told(Some(1), Some(true), quiet).contains("a stolen key"));
        let leaving = set(true, true, allocation(2 * DUST, Some("-5")));
        assert!(told(Some(1), None, leaving).contains("loses 5 of magnitude, slashable until block 9"));
        let coming = set(true, true, allocation(2 * DUST, Some("5")));
        assert!(told(Some(1), None, coming).contains("gains 5 of magnitude, slashable from block 9"));
        assert!(told(Some(1), None, set(false, true, allocation(2 * DUST, None))).contains("can still slash him"));
        assert!(told(Some(1), None, set(true, true, allocation(DUST - 1, None))).contains("dust"));
        let out = AllocationSeen { in_set: false, ..allocation(2 * DUST, None) };
        assert!(told(Some(1), None, set(true, true, out)).contains("nobody can slash it there"));
    }
}
