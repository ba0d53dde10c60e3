//! Symbiotic, core 1: who backs whom in its vaults, and what a slash could take. Everything is found from the factory of vaults: its
//! vaults, their delegators, and the registries and services that these name.
//!
//! A vault of another version than 1 and 2 is named and not looked at: version 3 has another core, whose stake lies with adapters of
//! its delegator and is slashed without a capture.

use super::core::plain;
use super::report::{BackingSeen, RequestSeen, Standing, SymbioticSeen, TokenName, VaultSeen};
use super::{Block, Failed};
use crate::bindings::core::Token;
use crate::bindings::symbiotic_core::{Delegator, Middlewares, OptIns, Registry, Slasher, Vault};
use crate::views::{Gaps, Views, each};
use alloy::primitives::{Address, B256, Bytes, U256, aliases::U48};

/// The most vaults, networks and operators of a core.
const MOST_ENTITIES: usize = 2_000;
/// Subnetworks that are tried of each network: they are numbered as it likes, and no view lists them.
const SUBNETWORKS: u64 = 4;
/// How many of a slasher's newest requests are looked at.
const MOST_REQUESTS: u64 = 256;
/// The most pairs of a subnetwork's vault and an operator that are looked at.
const MOST_PAIRS: usize = 5_000;
/// Vault versions that are known.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=2;
const CORE: &str = "Symbiotic's core 1";

/// What Symbiotic has of an address: it may be several things at once. Empty where it is nothing there.
///
/// # Errors
///
/// [`Failed::Unknown`] when there is no such core.
pub(super) async fn look(
    views: &Views<'_>,
    factory: Address,
    who: Address,
    block: &Block,
) -> Result<Vec<SymbioticSeen>, Failed> {
    let mut gaps = Gaps::default();
    let core = Core::find(views, factory, &mut gaps).await?;
    let teller = Teller { views, core: &core, time: block.time };
    let mut seen = Vec::new();
    if teller.is_entity(core.operators, who).await? {
        seen.push(teller.operator(who).await?);
    }
    if teller.is_entity(core.networks, who).await? {
        seen.push(teller.network(who).await?);
    }
    if teller.is_entity(core.factory, who).await? {
        seen.push(teller.vault(who).await?);
    }
    let held = teller.vaults_of(who).await?;
    if !held.is_empty() {
        seen.push(teller.collateral(held).await?);
    }
    let gaps = gaps.told();
    seen.iter_mut().for_each(|seen| seen.gaps.extend(gaps.iter().cloned()));
    Ok(seen)
}

/// A core, as its vaults name it.
struct Core {
    factory: Address,
    networks: Address,
    operators: Address,
    vault_opt_in: Address,
    network_opt_in: Address,
    middlewares: Option<Address>,
    vaults: Vec<Place>,
}

/// A vault of a known version.
#[derive(Clone, Copy, Debug)]
struct Place {
    vault: Address,
    version: u64,
    delegator: Address,
    slasher: Address,
}

/// A subnetwork that a vault may back.
#[derive(Clone, Copy, Debug)]
struct Backs {
    network: Address,
    id: u64,
    max_limit: U256,
}

impl Core {
    async fn find(views: &Views<'_>, factory: Address, gaps: &mut Gaps) -> Result<Self, Failed> {
        if !views.has_code(factory).await? {
            return Err(Failed::unknown(CORE, &format!("no code at {factory}")));
        }
        let all = entities(views, factory, "vaults", gaps).await?;
        let places = each(&all, |vault| place(views, *vault)).await?;
        let mut vaults = Vec::new();
        for (vault, place) in all.iter().zip(places) {
            match place {
                Ok(place) => vaults.push(place),
                Err(why) => gaps.say(format!("vault {vault} {why}")),
            }
        }
        for Place { delegator, slasher, .. } in vaults.iter().copied() {
            let vault_opt_in = views.ask(delegator, Delegator::OPERATOR_VAULT_OPT_IN_SERVICECall {}).await?;
            let network_opt_in = views.ask(delegator, Delegator::OPERATOR_NETWORK_OPT_IN_SERVICECall {}).await?;
            let networks = views.ask(delegator, Delegator::NETWORK_REGISTRYCall {}).await?;
            let (Ok(vault_opt_in), Ok(network_opt_in), Ok(networks)) = (vault_opt_in, network_opt_in, networks) else {
                continue;
            };
            let operators = views.require(vault_opt_in, OptIns::WHO_REGISTRYCall {}, CORE).await?;
            let middlewares = views.ask(slasher, Slasher::NETWORK_MIDDLEWARE_SERVICECall {}).await?.ok();
            return Ok(Self { factory, networks, operators, vault_opt_in, network_opt_in, middlewares, vaults });
        }
        Err(Failed::unknown(CORE, &format!("a factory at {factory} with {} vaults, none of which names it", all.len())))
    }
}

/// What leads on from a vault, or why it is not looked at.
async fn place(views: &Views<'_>, vault: Address) -> Result<Result<Place, String>, Failed> {
    let version = match views.ask(vault, Vault::versionCall {}).await? {
        Ok(version) if VERSIONS.contains(&version) => version,
        Ok(version) => return Ok(Err(format!("is of version {version}; 1 and 2 are known"))),
        Err(missing) => return Ok(Err(format!("says no version: it {missing}"))),
    };
    let delegator = views.ask(vault, Vault::delegatorCall {}).await?;
    let slasher = views.ask(vault, Vault::slasherCall {}).await?;
    Ok(match (delegator, slasher) {
        (Ok(delegator), Ok(slasher)) => Ok(Place { vault, version, delegator, slasher }),
        _ => Err("names no delegator or no slasher".to_owned()),
    })
}

/// All members of a registry, as many as are looked at.
async fn entities(views: &Views<'_>, registry: Address, what: &str, gaps: &mut Gaps) -> Result<Vec<Address>, Failed> {
    let count = views.require(registry, Registry::totalEntitiesCall {}, CORE).await?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > MOST_ENTITIES {
        gaps.say(format!("{what}: {MOST_ENTITIES} of {count} were looked at"));
    }
    each(0..count.min(MOST_ENTITIES), async |index| {
        views.require(registry, Registry::entityCall { index: U256::from(index) }, CORE).await
    })
    .await
}

struct Teller<'a> {
    views: &'a Views<'a>,
    core: &'a Core,
    time: u64,
}

impl Teller<'_> {
    async fn is_entity(&self, registry: Address, account: Address) -> Result<bool, Failed> {
        self.views.require(registry, Registry::isEntityCall { account }, CORE).await
    }

    /// An operator: the vaults that may back him by his own word, and what of them stands behind him for whom.
    async fn operator(&self, operator: Address) -> Result<SymbioticSeen, Failed> {
        let mut gaps = Gaps::default();
        let networks = entities(self.views, self.core.networks, "networks", &mut gaps).await?;
        let networks = self.opted(self.core.network_opt_in, &networks, |network| (operator, network)).await?;
        let places: Vec<Address> = self.core.vaults.iter().map(|place| place.vault).collect();
        let opted = self.opted(self.core.vault_opt_in, &places, |vault| (operator, vault)).await?;
        let mut vaults = Vec::new();
        for place in self.core.vaults.iter().filter(|place| opted.contains(&place.vault)) {
            let backs = self.backs(place, &networks).await?;
            let pairs = backs.into_iter().map(|backs| (backs, operator)).collect();
            vaults.push(self.seen(place, pairs, true, &mut gaps).await?);
        }
        gaps.say(format!(
            "subnetworks above {} are not looked at; vaults and networks that he opted out of can slash him for one epoch and are not listed",
            SUBNETWORKS - 1
        ));
        let networks = networks.iter().map(Address::to_string).collect();
        Ok(self.told(Standing::Operator { networks }, vaults, gaps))
    }

    /// A network: the vaults that may back it, and the operators who have stake there.
    async fn network(&self, network: Address) -> Result<SymbioticSeen, Failed> {
        let mut gaps = Gaps::default();
        let operators = entities(self.views, self.core.operators, "operators", &mut gaps).await?;
        let operators = self.opted(self.core.network_opt_in, &operators, |operator| (operator, network)).await?;
        let mut vaults = Vec::new();
        for place in &self.core.vaults {
            let backs = self.backs(place, &[network]).await?;
            if !backs.is_empty() {
                let pairs = backs.iter().flat_map(|backs| operators.iter().map(|operator| (*backs, *operator)));
                vaults.push(self.seen(place, pairs.collect(), false, &mut gaps).await?);
            }
        }
        gaps.say(format!("subnetworks above {} are not looked at", SUBNETWORKS - 1));
        let middleware = match self.core.middlewares {
            Some(service) => {
                let asked = Middlewares::middlewareCall { network };
                gaps.note("middleware", self.views.ask(service, asked).await?).map(|found| found.to_string())
            }
            None => None,
        };
        Ok(self.told(Standing::Network { middleware }, vaults, gaps))
    }

    /// A vault: whom it backs for which network.
    async fn vault(&self, vault: Address) -> Result<SymbioticSeen, Failed> {
        let mut gaps = Gaps::default();
        let mut vaults = Vec::new();
        match self.core.vaults.iter().find(|place| place.vault == vault) {
            Some(place) => vaults.push(self.whole(place, &mut gaps).await?),
            None => gaps.say(format!("{vault} is none that is looked at")),
        }
        Ok(self.told(Standing::Vault, vaults, gaps))
    }

    /// A token that vaults hold: what its holders stand to lose there.
    async fn collateral(&self, held: Vec<Place>) -> Result<SymbioticSeen, Failed> {
        let mut gaps = Gaps::default();
        let mut vaults = Vec::new();
        for place in &held {
            vaults.push(self.whole(place, &mut gaps).await?);
        }
        Ok(self.told(Standing::Collateral, vaults, gaps))
    }

    /// The vaults that hold a token.
    async fn vaults_of(&self, token: Address) -> Result<Vec<Place>, Failed> {
        let held = each(&self.core.vaults, async |place| {
            let collateral = self.views.ask(place.vault, Vault::collateralCall {}).await?;
            Ok((collateral == Ok(token)).then_some(*place))
        });
        Ok(held.await?.into_iter().flatten().collect())
    }

    async fn whole(&self, place: &Place, gaps: &mut Gaps) -> Result<VaultSeen, Failed> {
        let networks = entities(self.views, self.core.networks, "networks", gaps).await?;
        let backs = self.backs(place, &networks).await?;
        let operators = entities(self.views, self.core.operators, "operators", gaps).await?;
        let operators = self.opted(self.core.vault_opt_in, &operators, |operator| (operator, place.vault)).await?;
        let pairs = backs.iter().flat_map(|backs| operators.iter().map(|operator| (*backs, *operator)));
        gaps.say(format!("subnetworks above {} are not looked at", SUBNETWORKS - 1));
        self.seen(place, pairs.collect(), false, gaps).await
    }

    /// Those of some that have opted in, as `pair` says who does so where.
    async fn opted(
        &self,
        service: Address,
        all: &[Address],
        pair: impl Fn(Address) -> (Address, Address),
    ) -> Result<Vec<Address>, Failed> {
        let opted = each(all, async |one| {
            let (who, r#where) = pair(*one);
            let opted = self.views.require(service, OptIns::isOptedInCall { who, r#where }, CORE).await?;
            Ok(opted.then_some(*one))
        });
        Ok(opted.await?.into_iter().flatten().collect())
    }

    /// The subnetworks of some networks that may use a vault, by the networks' own word.
    async fn backs(&self, place: &Place, networks: &[Address]) -> Result<Vec<Backs>, Failed> {
        let wanted = networks.iter().flat_map(|network| (0..SUBNETWORKS).map(move |id| (*network, id)));
        let backs = each(wanted, async |(network, id)| {
            let asked = Delegator::maxNetworkLimitCall { subnetwork: subnetwork(network, id) };
            let max_limit = self.views.ask(place.delegator, asked).await?.unwrap_or_default();
            Ok((!max_limit.is_zero()).then_some(Backs { network, id, max_limit }))
        });
        Ok(backs.await?.into_iter().flatten().collect())
    }

    fn told(&self, standing: Standing, vaults: Vec<VaultSeen>, gaps: Gaps) -> SymbioticSeen {
        SymbioticSeen { vault_factory: self.core.factory.to_string(), standing, vaults, gaps: gaps.told() }
    }

    /// A vault with what stands behind these pairs; without those who have and had nothing unless `all` are wanted.
    async fn seen(
        &self,
        place: &Place,
        pairs: Vec<(Backs, Address)>,
        all: bool,
        gaps: &mut Gaps,
    ) -> Result<VaultSeen, Failed> {
        let views = self.views;
        let vault = place.vault;
        let name = |view: &str| format!("{view} of vault {vault}");
        let collateral = gaps.note(&name("collateral"), views.ask(vault, Vault::collateralCall {}).await?);
        let collateral = match collateral {
            Some(token) => Some(self.name_of(token).await?),
            None => None,
        };
        let burner = gaps.note(&name("burner"), views.ask(vault, Vault::burnerCall {}).await?);
        let epoch_duration = gaps.note(&name("epochDuration"), views.ask(vault, Vault::epochDurationCall {}).await?);
        let epoch_duration = epoch_duration.unwrap_or_default().to::<u64>();
        let epoch = gaps.note(&name("currentEpoch"), views.ask(vault, Vault::currentEpochCall {}).await?);
        let next_epoch = gaps.note(&name("nextEpochStart"), views.ask(vault, Vault::nextEpochStartCall {}).await?);
        let active = gaps.note(&name("activeStake"), views.ask(vault, Vault::activeStakeCall {}).await?);
        let total = gaps.note(&name("totalStake"), views.ask(vault, Vault::totalStakeCall {}).await?);
        let mut withdrawals = [None, None];
        for (after, amount) in withdrawals.iter_mut().enumerate() {
            let Some(epoch) = epoch.and_then(|epoch| epoch.checked_add(U256::from(after))) else { continue };
            let asked = Vault::withdrawalsCall { epoch };
            *amount = gaps.note(&name("withdrawals"), views.ask(vault, asked).await?).map(|it| it.to_string());
        }
        let delegator = gaps.note(&name("delegator's TYPE"), views.ask(place.delegator, Delegator::TYPECall {}).await?);
        let hook = views.ask(place.delegator, Delegator::hookCall {}).await?.ok().filter(|hook| !hook.is_zero());
        let slasher = if place.slasher.is_zero() {
            None
        } else {
            gaps.note(&name("slasher's TYPE"), views.ask(place.slasher, Slasher::TYPECall {}).await?)
        };
        let veto_duration = match slasher {
            Some(1) => gaps.note(&name("vetoDuration"), views.ask(place.slasher, Slasher::vetoDurationCall {}).await?),
            _ => None,
        };
        let pairs = gaps.first(&format!("operators of vault {vault}"), pairs, MOST_PAIRS);
        let requests = if slasher == Some(1) { self.requests(place, epoch_duration, gaps).await? } else { Vec::new() };
        let veto = slasher == Some(1);
        let backings = each(pairs, |(backs, operator)| self.backing(place, backs, operator, epoch_duration, veto));
        let mut told = Vec::new();
        for (mut backing, subnetwork, operator) in backings.await? {
            let his = |(of, who, _): &&(B256, Address, RequestSeen)| *of == subnetwork && *who == operator;
            backing.requests = requests.iter().filter(his).map(|(.., request)| request.clone()).collect();
            if all || !backing.is_nothing() {
                told.push(backing);
            }
        }
        Ok(VaultSeen {
            vault: vault.to_string(),
            version: place.version,
            collateral,
            delegator: delegator.map(delegator_name),
            slasher: slasher.map(slasher_name),
            veto_duration: veto_duration.map(|seconds| seconds.to::<u64>()),
            burner: burner.map(|burner| burner.to_string()),
            hook: hook.map(|hook| hook.to_string()),
            epoch_duration,
            epoch: epoch.map(|epoch| epoch.to_string()),
            next_epoch: next_epoch.map(|time| time.to::<u64>()),
            active_stake: active.map(|amount| amount.to_string()),
            withdrawals,
            total_stake: total.map(|amount| amount.to_string()),
            backings: told,
        })
    }

    /// What stands behind an operator in one subnetwork.
    async fn backing(
        &self,
        place: &Place,
        backs: Backs,
        operator: Address,
        epoch_duration: u64,
        veto: bool,
    ) -> Result<(BackingSeen, B256, Address), Failed> {
        let (views, subnetwork) = (self.views, subnetwork(backs.network, backs.id));
        let stake = views.ask(place.delegator, Delegator::stakeCall { subnetwork, operator }).await?.ok();
        let limit = views.ask(place.delegator, Delegator::networkLimitCall { subnetwork }).await?.ok();
        let slashable = |capture: u64| {
            let capture = U48::try_from(capture).unwrap_or(U48::MAX);
            views.ask(place.slasher, Slasher::slashableStakeCall { subnetwork, operator, capture, hints: Bytes::new() })
        };
        let (newest, oldest) = (self.time.saturating_sub(1), self.time.saturating_sub(epoch_duration));
        let newest = slashable(newest).await?.ok();
        let oldest = slashable(oldest).await?.ok();
        let cumulative = views.ask(place.slasher, Slasher::cumulativeSlashCall { subnetwork, operator }).await?.ok();
        let latest = Slasher::latestSlashedCaptureTimestampCall { subnetwork, operator };
        let latest = views.ask(place.slasher, latest).await?.ok().map(|time| time.to::<u64>());
        let resolver = match veto {
            true => views.ask(place.slasher, Slasher::resolverCall { subnetwork, hint: Bytes::new() }).await?.ok(),
            false => None,
        };
        let text = |amount: Option<U256>| amount.map(|amount| amount.to_string());
        let seen = BackingSeen {
            network: backs.network.to_string(),
            subnetwork: backs.id,
            operator: operator.to_string(),
            limit: text(limit),
            max_limit: backs.max_limit.to_string(),
            stake: text(stake),
            slashable: text(newest),
            slashable_by_oldest: text(oldest),
            slashed: text(cumulative),
            latest_capture: latest.filter(|time| *time > 0),
            resolver: resolver.filter(|resolver| !resolver.is_zero()).map(|resolver| resolver.to_string()),
            requests: Vec::new(),
        };
        Ok((seen, subnetwork, operator))
    }

    /// A veto slasher's requests that are neither done nor vetoed, of its newest ones.
    async fn requests(
        &self,
        place: &Place,
        epoch_duration: u64,
        gaps: &mut Gaps,
    ) -> Result<Vec<(B256, Address, RequestSeen)>, Failed> {
        let count = self.views.ask(place.slasher, Slasher::slashRequestsLengthCall {}).await?;
        let count = gaps.note(&format!("slashRequestsLength of vault {}", place.vault), count).unwrap_or_default();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let first = count.saturating_sub(MOST_REQUESTS);
        if first > 0 {
            gaps.say(format!("requests of vault {} before number {first} were not looked at", place.vault));
        }
        let requests = each(first..count, async |index| {
            let asked = Slasher::slashRequestsCall { index: U256::from(index) };
            let Ok(request) = self.views.ask(place.slasher, asked).await? else { return Ok(None) };
            let capture = request.capture.to::<u64>();
            let seen = RequestSeen {
                index,
                amount: request.amount.to_string(),
                capture,
                veto_deadline: request.vetoDeadline.to::<u64>(),
                executable_until: capture.saturating_add(epoch_duration),
            };
            let open = !request.completed && seen.executable_until >= self.time;
            Ok(open.then_some((request.subnetwork, request.operator, seen)))
        });
        Ok(requests.await?.into_iter().flatten().collect())
    }

    async fn name_of(&self, token: Address) -> Result<TokenName, Failed> {
        let symbol = self.views.ask(token, Token::symbolCall {}).await?.ok().map(|symbol| plain(&symbol));
        let decimals = self.views.ask(token, Token::decimalsCall {}).await?.ok();
        Ok(TokenName { address: Some(token.to_string()), symbol, decimals })
    }
}

/// The network in the high 160 bits, its number in the low 96.
fn subnetwork(network: Address, id: u64) -> B256 {
    let mut bytes = [0; 32];
    bytes[..20].copy_from_slice(network.as_slice());
    bytes[24..].copy_from_slice(&id.to_be_bytes());
    B256::new(bytes)
}

fn delegator_name(kind: u64) -> String {
    match kind {
        0 => "0, shares among operators".to_owned(),
        1 => "1, the same stake for each operator (full restake)".to_owned(),
        2 => "2, one operator".to_owned(),
        3 => "3, one operator in one network".to_owned(),
        other => format!("{other}, which is not known"),
    }
}

fn slasher_name(kind: u64) -> String {
    match kind {
        0 => "0, at once".to_owned(),
        1 => "1, with a veto".to_owned(),
        other => format!("{other}, which is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnetwork_is_its_network_and_a_number() {
        let found = subnetwork(Address::repeat_byte(0xab), 3);
        assert_eq!(found.as_slice()[..20], [0xab; 20]);
        assert_eq!(found.as_slice()[20..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    }
}
