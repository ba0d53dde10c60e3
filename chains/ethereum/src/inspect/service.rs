//! A service: its sets, who is in them, what they may take and who may take it.

use super::core::{Age, Core};
use super::operator::{pending, redistribution, slasher};
use super::report::{EscrowSeen, MagnitudeSeen, MemberSeen, ServiceSeen, ServiceSet, TokenName};
use super::{CORE, Failed, Look};
use crate::bindings::core::{Allocation, Allocations, OperatorSet, Strategies};
use crate::views::{Gaps, Views, each, expect};
use alloy::primitives::{Address, U256};
use std::collections::{BTreeMap, BTreeSet};

/// The most sets that are looked at.
const MOST_SETS: usize = 64;
/// How many ids past its number of sets are tried: a service numbers them as it likes, and no view lists them.
const IDS_PAST: u32 = 256;
/// The most members of one set whose stake is looked at.
const MOST_MEMBERS: usize = 2_000;
/// How many of a set's newest slashes are looked at.
const MOST_SLASHES: u64 = 32;
/// The most strategies of one set.
const MOST_STRATEGIES: usize = 64;
/// Operators times strategies per view call, at about 30,000 gas, of the 50 million that nodes grant a call.
const CELLS: usize = 500;

pub(super) async fn look(
    views: &Views<'_>,
    core: &Core,
    service: Address,
    count: U256,
    look: &Look<'_>,
) -> Result<ServiceSeen, Failed> {
    let mut gaps = Gaps::default();
    let ids = ids(views, core, service, count, &mut gaps).await?;
    let registrar = Allocations::getAVSRegistrarCall { avs: service };
    let registrar = gaps.note("getAVSRegistrar", views.ask(core.allocations, registrar).await?);
    let found = each(ids, |id| set_of(views, core, OperatorSet { avs: service, id }, look)).await?;
    let (mut sets, mut used) = (Vec::new(), BTreeSet::new());
    for mut found in found {
        std::mem::take(&mut found.gaps).into_iter().for_each(|gap| gaps.say(gap));
        used.extend(found.strategies.iter().copied());
        sets.push(found);
    }
    // Sets mostly share their strategies: each is asked once for what it holds.
    let names = each(used, async |strategy| Ok((strategy, core.token_of(views, strategy).await?))).await?;
    let names: BTreeMap<Address, Option<TokenName>> = names.into_iter().collect();
    let sets = sets.into_iter().map(|found| found.seen(&names)).collect();
    let registrar = registrar.map(|registrar| registrar.to_string());
    Ok(ServiceSeen { service: service.to_string(), registrar, sets, gaps: gaps.told() })
}

/// The sets' ids: its first ones, which almost every service uses.
async fn ids(
    views: &Views<'_>,
    core: &Core,
    service: Address,
    count: U256,
    gaps: &mut Gaps,
) -> Result<Vec<u32>, Failed> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let wanted = count.min(MOST_SETS);
    let last = u32::try_from(wanted).expect("a small bound").saturating_add(IDS_PAST);
    let mut ids = Vec::new();
    let mut next = 0;
    while ids.len() < wanted && next < last {
        let batch = next..last.min(next + 16);
        next = batch.end;
        let found = each(batch, async |id| {
            let asked = Allocations::isOperatorSetCall { operatorSet: OperatorSet { avs: service, id } };
            Ok((id, views.require(core.allocations, asked, CORE).await?))
        });
        ids.extend(found.await?.into_iter().filter(|(_, is_set)| *is_set).map(|(id, _)| id));
    }
    ids.truncate(wanted);
    if ids.len() < count {
        gaps.say(format!("{} of {count} sets were found by trying the ids below {next}", ids.len()));
    }
    Ok(ids)
}

/// A set, but for what its strategies hold.
struct Found {
    seen: ServiceSet,
    strategies: Vec<Address>,
    gaps: Vec<String>,
}

impl Found {
    fn seen(self, names: &BTreeMap<Address, Option<TokenName>>) -> ServiceSet {
        let name = |strategy: &Address| (strategy.to_string(), names.get(strategy).cloned().flatten());
        ServiceSet { strategies: self.strategies.iter().map(name).collect(), ..self.seen }
    }
}

async fn set_of(views: &Views<'_>, core: &Core, set: OperatorSet, look: &Look<'_>) -> Result<Found, Failed> {
    let mut gaps = Gaps::default();
    let asked = Allocations::getStrategiesInOperatorSetCall { operatorSet: set.clone() };
    let mut strategies = views.require(core.allocations, asked, CORE).await?;
    strategies.sort();
    let strategies = gaps.first(&format!("strategies of set {}", set.id), strategies, MOST_STRATEGIES);
    let asked = Allocations::getMembersCall { operatorSet: set.clone() };
    let mut members = views.require(core.allocations, asked, CORE).await?;
    members.sort();
    let member_count = members.len() as u64;
    let members = gaps.first(&format!("members of set {}", set.id), members, MOST_MEMBERS);
    let batch = (CELLS / strategies.len().max(1)).max(1);
    let rows = each(members.chunks(batch), |batch| rows(views, core, &set, batch, &strategies, look)).await?;
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let slashable = (0..strategies.len()).map(|column| {
        let of = rows.iter().map(|row| row.slashable[column]);
        of.fold(U256::ZERO, U256::saturating_add).to_string()
    });
    let slashes = match core.age {
        Age::Slashing => None,
        _ => {
            let asked = Allocations::getSlashCountCall { operatorSet: set.clone() };
            gaps.note("getSlashCount", views.ask(core.allocations, asked).await?)
        }
    };
    let escrow = escrow(views, core, &set, slashes.unwrap_or_default(), &mut gaps).await?;
    let seen = ServiceSet {
        id: set.id,
        slasher: slasher(views, core, &set).await?,
        pending_slasher: pending_slasher(views, core, &set).await?,
        redistribution: redistribution(views, core, &set).await?,
        slashes: slashes.map(|count| count.to_string()),
        escrow,
        strategies: Vec::new(), // named when all are known
        slashable: slashable.collect(),
        members: members.iter().zip(rows).map(|(operator, row)| row.of(*operator)).collect(),
        member_count,
    };
    Ok(Found { seen, strategies, gaps: gaps.told() })
}

/// What the newest slashes took and nobody cleared, newest first.
async fn escrow(
    views: &Views<'_>,
    core: &Core,
    set: &OperatorSet,
    count: U256,
    gaps: &mut Gaps,
) -> Result<Vec<EscrowSeen>, Failed> {
    let count = u64::try_from(count).map_err(|_| Failed::lied("more slashes than there can be"))?;
    let first = count.saturating_sub(MOST_SLASHES);
    if first > 0 {
        gaps.say(format!("what slashes up to number {first} of set {} took was not looked at", set.id));
    }
    let found = each((first..count).rev(), async |before| {
        let slash = before + 1; // they count from one
        let asked =
            Strategies::getBurnOrRedistributableSharesCall { operatorSet: set.clone(), slashId: U256::from(slash) };
        let held = views.require(core.strategies, asked, CORE).await?;
        expect(held.shares.len(), held.strategies.len())?;
        let held = held.strategies.iter().zip(&held.shares).filter(|(_, shares)| !shares.is_zero());
        let held: Vec<_> = held.map(|(strategy, shares)| (strategy.to_string(), shares.to_string())).collect();
        let resolution_block = match core.age {
            Age::Resolution if !held.is_empty() => {
                let asked =
                    Strategies::getSlashResolutionBlockCall { operatorSet: set.clone(), slashId: U256::from(slash) };
                Some(views.require(core.strategies, asked, CORE).await?)
            }
            _ => None,
        };
        Ok((!held.is_empty()).then_some(EscrowSeen { slash, held, resolution_block }))
    });
    Ok(found.await?.into_iter().flatten().collect())
}

/// What is known of one member, by strategy.
struct Row {
    slashable: Vec<U256>,
    allocated: Vec<Allocation>,
}

impl Row {
    fn of(self, operator: Address) -> MemberSeen {
        let allocated = self.allocated.iter().map(|allocation| {
            let pending = pending(allocation);
            let effect_block = pending.is_some().then_some(allocation.effectBlock);
            MagnitudeSeen { magnitude: allocation.currentMagnitude, pending, effect_block }
        });
        MemberSeen {
            operator: operator.to_string(),
            slashable: self.slashable.iter().map(U256::to_string).collect(),
            allocated: allocated.collect(),
        }
    }
}

/// What some members allocated, and what the set can take now of it.
async fn rows(
    views: &Views<'_>,
    core: &Core,
    set: &OperatorSet,
    operators: &[Address],
    strategies: &[Address],
    look: &Look<'_>,
) -> Result<Vec<Row>, Failed> {
    let stakes = stakes(views, core, set, operators, strategies, look).await?;
    let columns = each(strategies, async |strategy| {
        let asked = Allocations::getAllocationsCall {
            operators: operators.to_vec(),
            operatorSet: set.clone(),
            strategy: *strategy,
        };
        let column = views.require(core.allocations, asked, CORE).await?;
        expect(column.len(), operators.len())?;
        Ok(column)
    });
    let columns: Vec<Vec<Allocation>> = columns.await?;
    let row = |(at, slashable): (usize, Vec<U256>)| {
        let allocated = columns.iter().map(|column| column[at].clone()).collect();
        Row { slashable, allocated }
    };
    Ok(stakes.into_iter().enumerate().map(row).collect())
}

/// What the set can take now of some members, a row each.
async fn stakes(
    views: &Views<'_>,
    core: &Core,
    set: &OperatorSet,
    operators: &[Address],
    strategies: &[Address],
    look: &Look<'_>,
) -> Result<Vec<Vec<U256>>, Failed> {
    let now = u32::try_from(look.block().number);
    let asked = Allocations::getMinimumSlashableStakeCall {
        operatorSet: set.clone(),
        operators: operators.to_vec(),
        strategies: strategies.to_vec(),
        futureBlock: now.map_err(|_| Failed::lied("a block number over 32 bits"))?,
    };
    let stakes = views.require(core.allocations, asked, CORE).await?;
    expect(stakes.len(), operators.len())?;
    for row in &stakes {
        expect(row.len(), strategies.len())?;
    }
    Ok(stakes)
}

async fn pending_slasher(views: &Views<'_>, core: &Core, set: &OperatorSet) -> Result<Option<(String, u32)>, Failed> {
    if core.age < Age::Slashers {
        return Ok(None);
    }
    let asked = Allocations::getPendingSlasherCall { operatorSet: set.clone() };
    let pending = views.ask(core.allocations, asked).await?.ok();
    let pending = pending.filter(|pending| !pending.pendingSlasher.is_zero());
    Ok(pending.map(|pending| (pending.pendingSlasher.to_string(), pending.effectBlock)))
}
