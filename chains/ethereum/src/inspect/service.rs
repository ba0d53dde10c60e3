//! A service: its sets, who is in them, what they may take and who may take it.

use super::core::{Age, Core};
use super::operator::{redistribution, slasher};
use super::report::{MemberSeen, ServiceSeen, ServiceSet};
use super::{CORE, Failed, Look};
use crate::bindings::core::{Allocations, OperatorSet};
use crate::views::{Gaps, Views, each, expect};
use alloy::primitives::{Address, U256};

/// The most sets that are looked at.
const MOST_SETS: usize = 64;
/// How many ids past its number of sets are tried: a service numbers them as it likes, and no view lists them.
const IDS_PAST: u32 = 256;
/// The most members of one set whose stake is looked at.
const MOST_MEMBERS: usize = 2_000;
/// The most strategies of one set.
const MOST_STRATEGIES: usize = 64;
/// Operators per view call.
const BATCH: usize = 50;

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
    let mut sets = Vec::new();
    for id in ids {
        sets.push(set_of(views, core, OperatorSet { avs: service, id }, look, &mut gaps).await?);
    }
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

async fn set_of(
    views: &Views<'_>,
    core: &Core,
    set: OperatorSet,
    look: &Look<'_>,
    gaps: &mut Gaps,
) -> Result<ServiceSet, Failed> {
    let asked = Allocations::getStrategiesInOperatorSetCall { operatorSet: set.clone() };
    let mut strategies = views.require(core.allocations, asked, CORE).await?;
    strategies.sort();
    let strategies = gaps.first(&format!("strategies of set {}", set.id), strategies, MOST_STRATEGIES);
    let asked = Allocations::getMembersCall { operatorSet: set.clone() };
    let mut members = views.require(core.allocations, asked, CORE).await?;
    members.sort();
    let member_count = members.len() as u64;
    let members = gaps.first(&format!("members of set {}", set.id), members, MOST_MEMBERS);
    let stakes = each(members.chunks(BATCH), |batch| stakes(views, core, &set, batch, &strategies, look)).await?;
    let stakes: Vec<Vec<U256>> = stakes.into_iter().flatten().collect();
    let slashable = (0..strategies.len()).map(|column| {
        let of = stakes.iter().map(|row| row[column]);
        of.fold(U256::ZERO, U256::saturating_add).to_string()
    });
    let slashes = match core.age {
        Age::Slashing => None,
        _ => {
            let asked = Allocations::getSlashCountCall { operatorSet: set.clone() };
            gaps.note("getSlashCount", views.ask(core.allocations, asked).await?).map(|count| count.to_string())
        }
    };
    let names = each(&strategies, async |strategy| Ok((strategy.to_string(), core.token_of(views, *strategy).await?)));
    Ok(ServiceSet {
        id: set.id,
        slasher: slasher(views, core, &set).await?,
        pending_slasher: pending_slasher(views, core, &set).await?,
        redistribution: redistribution(views, core, &set).await?,
        slashes,
        strategies: names.await?,
        slashable: slashable.collect(),
        members: members
            .iter()
            .zip(&stakes)
            .map(|(operator, row)| MemberSeen {
                operator: operator.to_string(),
                slashable: row.iter().map(U256::to_string).collect(),
            })
            .collect(),
        member_count,
    })
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
