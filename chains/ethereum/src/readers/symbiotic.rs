//! Symbiotic: what of an operator's stake in a vault the network's own subnetwork may take.
//!
//! Everything is asked of the vault's own slasher, which counts opt-ins, limits and shares of all four kinds of delegators, and
//! what was slashed before, at each moment that the adapter remembers ([`crate::bindings::symbiotic_adapter`]): through the
//! adapter's one view, at the anchor. Genesis' vaults are looked at for every operator, those that an operator listed for him.
//!
//! Of core 2 that is an AppAdapter, whose duration is an epoch and whose stake of a moment is a capture. A slash of it runs through
//! its vault's delegator, which can refuse, so that one that would be refused at the anchor counts for nothing.
//!
//! A vault that is not of the versions and kinds we know counts for nothing, and says why; the
//! others go on.

use crate::bindings::symbiotic::{AppAdapter, Factory, MiddlewareService, Vault};
use crate::bindings::symbiotic_adapter::SymbioticAdapter::{self, Seen};
use crate::endpoint::{alloy_address, require_code, state_at, view_failed, wrong};
use crate::facts::shares;
use crate::views;
use alloy::contract;
use alloy::eips::BlockId;
use alloy::primitives;
use alloy::providers::RootProvider;
use alloy::transports::RpcError;
use futures::{StreamExt, TryStreamExt};
use palisade_types::chain::{ChainError, ChainPoint, Watch};
use palisade_types::genesis::{Asset, Genesis, SymbioticContracts};
use palisade_types::ids::{Address, OperatorId};
use palisade_types::observation::StakeSeen;
use palisade_types::position::{Capture, MAX_CAPTURES, Position, PositionId, StakeSource, SymbioticStake};
use std::collections::{BTreeMap, BTreeSet};

/// Operators per view call. Each is asked about at [`MAX_CAPTURES`] moments, at about 60,000 gas, of the 50 million that nodes
/// grant a call.
const BATCH: usize = 50;
/// How many listed vaults are looked at at once.
const AT_ONCE: usize = 8;
/// Vault versions of core 1: plain, and with a token for its shares.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=2;
/// The version of core 2's vaults.
const APP_VERSION: u64 = 3;
/// Kinds of delegators: network restake, full restake, operator specific, operator and network specific.
const DELEGATORS: std::ops::RangeInclusive<u64> = 0..=3;
/// Kinds of slashers: instant and veto.
const SLASHERS: std::ops::RangeInclusive<u64> = 0..=1;
/// What the adapter calls the slasher and the delegator of core 2.
const APP: (u64, u64) = (2, 4);
/// What the adapter gives one vault's slash.
const SLASH_GAS: u64 = 1_500_000;

/// Why a vault counts for nothing at present.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is of version {0}; we know 1 and 2, and AppAdapters of 3")]
    Version(u64),
    #[error("its delegator is of kind {0}; we know 0 to 3")]
    Delegator(u64),
    #[error("its slasher is of kind {0}; we know 0 and 1")]
    Slasher(u64),
    #[error("what is slashed goes to somebody, not to a sink (R8)")]
    NoSink,
    #[error("its views revert")]
    Reverts,
    #[error("a slash of it is refused: {0}")]
    Refuses(String),
}

/// Looks whether our adapter is Symbiotic's network and middleware, and genesis' vaults are its own (R17).
///
/// # Errors
///
/// [`ChainError::WrongChain`] when not.
pub(crate) async fn probe(provider: &RootProvider, genesis: &Genesis) -> Result<(), ChainError> {
    let Some(contracts) = &genesis.contracts.symbiotic else { return Ok(()) };
    let adapter = contracts.adapter;
    require_code(provider, &adapter, &format!("the Symbiotic adapter at {adapter}")).await?;
    let contract = SymbioticAdapter::new(alloy_address(&adapter), provider);
    let judge = contract.palisade().call().await;
    let judge = judge.map_err(|error| view_failed("asking the Symbiotic adapter for its judge", error))?;
    if judge != alloy_address(&genesis.contracts.palisade) {
        return Err(wrong("a Symbiotic adapter of our Palisade.sol", &format!("one of {judge}")));
    }
    let known = contract.vaults().call().await;
    let known = known.map_err(|error| view_failed("asking the Symbiotic adapter for its vaults", error))?;
    let service = MiddlewareService::new(alloy_address(&contracts.middleware_service), provider);
    let middleware = service.middleware(alloy_address(&adapter)).call().await;
    let middleware = middleware.map_err(|error| view_failed("asking Symbiotic for our middleware", error))?;
    if middleware != alloy_address(&adapter) {
        return Err(wrong("our adapter as its own middleware", &format!("middleware {middleware}")));
    }
    let interval = contract.noteInterval().call().await;
    let interval = interval.map_err(|error| view_failed("asking the Symbiotic adapter for its interval", error))?;
    for vault in vaults(genesis) {
        if !known.iter().any(|one| one.vault == alloy_address(&vault)) {
            return Err(wrong(&format!("an adapter that slashes vault {vault}"), "one that does not"));
        }
        let factory = Factory::new(alloy_address(&contracts.vault_factory), provider);
        let is_its_own = factory.isEntity(alloy_address(&vault)).call().await;
        if !is_its_own.map_err(|error| view_failed("asking Symbiotic's factory for a vault", error))? {
            return Err(wrong(&format!("Symbiotic's vault {vault}"), "one that its factory did not make"));
        }
        let seen = contract.look(alloy_address(&vault), Vec::new()).call().await;
        // One that breaks counts for nothing, which its reader says.
        if let Some(seen) = unless_reverted("looking at a Symbiotic vault", seen)? {
            check_epoch(&vault, &seen, genesis.parameters.window_seconds, interval.to::<u64>())?;
        }
    }
    Ok(())
}

/// A vault whose epoch does not hold the window and a veto could never weigh anything (R4): to list it is a mistake. Captures come a
/// quarter of the longest epoch apart, so that one whose epoch holds little more weighs nothing for a part of that time.
fn check_epoch(vault: &Address, seen: &Seen, window: u64, interval: u64) -> Result<(), ChainError> {
    let epoch = seen.epochDuration.to::<u64>();
    let needed = window.saturating_add(seen.vetoDuration.to::<u64>());
    match epoch.checked_sub(needed) {
        None => Err(wrong(
            &format!("an epoch of Symbiotic's vault {vault} that holds the window and a veto, {needed} seconds (R4)"),
            &format!("one of {epoch} seconds"),
        )),
        Some(spare) if spare < interval => {
            tracing::warn!(%vault, spare, interval, "a vault's epoch is short: a capture counts for less time than goes by until the next");
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// Genesis' vaults, ascending.
fn vaults(genesis: &Genesis) -> Vec<Address> {
    let vault = |asset: &Asset| match asset.source {
        StakeSource::Symbiotic(vault) => Some(vault),
        StakeSource::EigenLayer(_) | StakeSource::Karak(_) => None,
    };
    genesis.assets.iter().filter_map(vault).collect()
}

/// Symbiotic's views at one anchor.
pub(crate) struct Reader<'a> {
    provider: &'a RootProvider,
    genesis: &'a Genesis,
    state: BlockId,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(provider: &'a RootProvider, genesis: &'a Genesis, upto: &ChainPoint) -> Self {
        Self { provider, genesis, state: state_at(upto) }
    }

    /// Every position of `operators` that is not as `watch` has it, with what it has: in genesis' vaults, and in those of
    /// `listings` that are theirs.
    pub(crate) async fn changes(
        &self,
        operators: &BTreeSet<OperatorId>,
        listings: &BTreeSet<PositionId>,
        watch: &Watch,
    ) -> Result<Vec<(Position, StakeSeen)>, ChainError> {
        let Some(contracts) = &self.genesis.contracts.symbiotic else { return Ok(Vec::new()) };
        let all: Vec<OperatorId> = operators.iter().copied().collect();
        let mut asked: Vec<(Address, Vec<OperatorId>)> = Vec::new();
        for vault in vaults(self.genesis) {
            asked.extend(all.chunks(BATCH).map(|batch| (vault, batch.to_vec())));
        }
        for (vault, owners) in listed(operators, listings) {
            asked.extend(owners.chunks(BATCH).map(|batch| (vault, batch.to_vec())));
        }
        let look = async |(vault, batch): (Address, Vec<OperatorId>)| {
            let stakes = self.stakes(contracts, &vault, &batch).await?;
            Ok::<_, ChainError>((StakeSource::Symbiotic(vault), batch, stakes))
        };
        let seen: Vec<_> = futures::stream::iter(asked.into_iter().map(look)).buffered(AT_ONCE).try_collect().await?;
        let mut changes = Vec::new();
        for (source, batch, stakes) in seen {
            for (operator, stake) in batch.into_iter().zip(stakes) {
                let id = PositionId { operator, source };
                let known = watch.positions.get(&id).copied().unwrap_or(Position::nothing(&source));
                let position = Position::Symbiotic(stake);
                if position != known {
                    changes.push((known, StakeSeen { id, position }));
                }
            }
        }
        Ok(changes)
    }

    /// What each of some operators has in a vault: nothing in one that cannot be read.
    async fn stakes(
        &self,
        contracts: &SymbioticContracts,
        vault: &Address,
        operators: &[OperatorId],
    ) -> Result<Vec<SymbioticStake>, ChainError> {
        match self.look(contracts, vault, operators).await? {
            Ok(seen) => stakes_of(&seen, operators.len()),
            Err(reason) => {
                tracing::error!(%vault, %reason, "a Symbiotic vault counts for nothing");
                Ok(vec![SymbioticStake::NOTHING; operators.len()])
            }
        }
    }

    async fn look(
        &self,
        contracts: &SymbioticContracts,
        vault: &Address,
        operators: &[OperatorId],
    ) -> Result<Result<Seen, Unreadable>, ChainError> {
        let accounts: Vec<primitives::Address> =
            operators.iter().map(|id| alloy_address(&Address::from(*id))).collect();
        let (own, vault) = (alloy_address(&contracts.adapter), alloy_address(vault));
        let seen = SymbioticAdapter::new(own, self.provider).look(vault, accounts).block(self.state).call().await;
        let Some(seen) = unless_reverted("looking at a Symbiotic vault", seen)? else {
            return Ok(Err(Unreadable::Reverts));
        };
        let is_app = (seen.slasher, seen.delegator) == APP;
        let versioned = if is_app { self.vault_of(vault).await? } else { Some(vault) };
        let version = match versioned {
            Some(vault) => Vault::new(vault, self.provider).version().block(self.state).call().await,
            None => return Ok(Err(Unreadable::Reverts)),
        };
        match unless_reverted("asking a Symbiotic vault for its version", version)? {
            Some(APP_VERSION) if is_app => {}
            Some(version) if !is_app && VERSIONS.contains(&version) => {}
            Some(other) => return Ok(Err(Unreadable::Version(other))),
            None => return Ok(Err(Unreadable::Reverts)),
        }
        let refusal = if is_app && !seen.pool.is_zero() { self.refusal(own, vault).await? } else { None };
        Ok(refusal.map_or_else(|| known(seen), Err))
    }

    /// The vault that an AppAdapter is of.
    async fn vault_of(&self, app: primitives::Address) -> Result<Option<primitives::Address>, ChainError> {
        let vault = AppAdapter::new(app, self.provider).vault().block(self.state).call().await;
        unless_reverted("asking an AppAdapter for its vault", vault)
    }

    /// Why a slash of an AppAdapter by our own, of the least it could take, would be refused at the anchor: it sweeps its vault
    /// first, whose curator chooses what that runs through. `None` where it would go through.
    async fn refusal(
        &self,
        own: primitives::Address,
        app: primitives::Address,
    ) -> Result<Option<Unreadable>, ChainError> {
        let app = AppAdapter::new(app, self.provider);
        let slash = app.slash(primitives::U256::ONE).from(own).gas(SLASH_GAS).block(self.state).call().await;
        match slash {
            Ok(_) => Ok(None),
            Err(error) => match &error {
                contract::Error::TransportError(RpcError::ErrorResp(said)) => views::refused(said)
                    .map(|why| Some(Unreadable::Refuses(why.to_string())))
                    .ok_or_else(|| view_failed("trying a slash of an AppAdapter", error)),
                _ => Err(view_failed("trying a slash of an AppAdapter", error)),
            },
        }
    }
}

/// Who of `operators` listed each vault, by vault ascending.
fn listed(operators: &BTreeSet<OperatorId>, listings: &BTreeSet<PositionId>) -> BTreeMap<Address, Vec<OperatorId>> {
    let mut vaults: BTreeMap<Address, Vec<OperatorId>> = BTreeMap::new();
    for id in listings.iter().filter(|id| operators.contains(&id.operator)) {
        if let StakeSource::Symbiotic(vault) = id.source {
            vaults.entry(vault).or_default().push(id.operator);
        }
    }
    vaults
}

/// Refuses what is of kinds that we do not know.
fn known(seen: Seen) -> Result<Seen, Unreadable> {
    match seen {
        seen if (seen.slasher, seen.delegator) == APP && seen.hasSink => Ok(seen),
        seen if (seen.slasher, seen.delegator) == APP => Err(Unreadable::NoSink),
        seen if !DELEGATORS.contains(&seen.delegator) => Err(Unreadable::Delegator(seen.delegator)),
        seen if !SLASHERS.contains(&seen.slasher) => Err(Unreadable::Slasher(seen.slasher)),
        seen if !seen.hasSink => Err(Unreadable::NoSink),
        seen => Ok(seen),
    }
}

/// The answer; `None` where the contract itself refused to give one, which every honest endpoint says alike.
fn unless_reverted<T>(doing: &str, answer: Result<T, contract::Error>) -> Result<Option<T>, ChainError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(contract::Error::TransportError(RpcError::ErrorResp(error))) if error.message.contains("revert") => {
            Ok(None)
        }
        Err(contract::Error::ZeroData(..)) => Ok(None),
        Err(error) => Err(view_failed(doing, error)),
    }
}

/// What the adapter's view says, operator by operator. Who has nothing at any moment has nothing, so that he needs no row.
fn stakes_of(seen: &Seen, operators: usize) -> Result<Vec<SymbioticStake>, ChainError> {
    if seen.left.len() != operators {
        return Err(ChainError::Lied(format!("a view with {} answers to {operators} questions", seen.left.len())));
    }
    let stake = |left: &[primitives::U256; MAX_CAPTURES]| -> Result<SymbioticStake, ChainError> {
        let mut stake = SymbioticStake {
            pool: shares(seen.pool)?,
            epoch_duration: seen.epochDuration.to::<u64>(),
            veto_duration: seen.vetoDuration.to::<u64>(),
            ..SymbioticStake::NOTHING
        };
        let moments = seen.captures.iter().zip(left).filter(|(_, left)| !left.is_zero());
        for (capture, (time, left)) in stake.captures.iter_mut().zip(moments) {
            *capture = Capture { time: time.to::<u64>(), stake: shares(*left)? };
        }
        let is_empty = stake.captures[0] == Capture::default();
        Ok(if is_empty { SymbioticStake::NOTHING } else { stake })
    };
    seen.left.iter().map(stake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{U256, aliases::U48};

    fn seen() -> Seen {
        Seen {
            slasher: 1,
            delegator: 0,
            hasSink: true,
            epochDuration: U48::from(600),
            vetoDuration: U48::from(60),
            pool: U256::from(90),
            captures: [1_200, 1_100, 1_000, 0].map(U48::from),
            left: vec![[0, 50, 40, 0].map(U256::from), [U256::ZERO; 4]],
        }
    }

    #[test]
    fn r26_moments_that_leave_something_are_kept_newest_first_and_nobody_gets_a_row_for_nothing() {
        let stakes = stakes_of(&seen(), 2).unwrap();
        let mut one = SymbioticStake { pool: 90, epoch_duration: 600, veto_duration: 60, ..SymbioticStake::NOTHING };
        one.captures[0] = Capture { time: 1_100, stake: 50 };
        one.captures[1] = Capture { time: 1_000, stake: 40 };
        assert_eq!(stakes, [one, SymbioticStake::NOTHING]);
        assert!(matches!(stakes_of(&seen(), 3), Err(ChainError::Lied(_))));
        let endless = Seen { pool: U256::MAX, ..seen() };
        assert!(matches!(stakes_of(&endless, 2), Err(ChainError::Lied(_))));
    }

    #[test]
    fn r04_a_vault_whose_epoch_does_not_hold_the_window_is_refused_by_name() {
        let check = |window| check_epoch(&Address::ZERO, &seen(), window, 151);
        assert!(check(540).is_ok()); // with the veto's 60 the whole epoch of 600
        let Err(ChainError::WrongChain { expected, found }) = check(541) else { panic!("it never weighs anything") };
        assert!(expected.contains("601 seconds (R4)") && found.contains("600"), "{expected}: {found}");
        assert!(check(u64::MAX).is_err());
    }

    #[test]
    fn r08_a_vault_of_another_kind_is_refused_by_name() {
        let refused = |change: fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            known(seen).unwrap_err()
        };
        assert_eq!(refused(|seen| seen.delegator = 4), Unreadable::Delegator(4));
        assert_eq!(refused(|seen| seen.slasher = 2), Unreadable::Slasher(2));
        assert_eq!(refused(|seen| seen.hasSink = false), Unreadable::NoSink);
        assert!(known(seen()).is_ok());
    }
}
