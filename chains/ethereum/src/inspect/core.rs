//! Which EigenLayer stands there, asked of itself.

use super::report::{CoreSeen, TokenName};
use super::{CORE, Failed, unknown};
use crate::bindings::core::{Allocations, Delegations, OperatorSet, Strategies, Strategy, Token};
use crate::views::Views;
use alloy::primitives::{Address, U256};

/// What a core can be asked, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// 1.3 and 1.4: the service slashes, what is slashed is burnt.
    Slashing,
    /// 1.5 to 1.8: sets may redistribute, slashes are counted.
    Redistribution,
    /// 1.9 to 1.12: a set names its slasher.
    Slashers,
    /// 1.13: what was slashed rests before it moves.
    Resolution,
}

impl Age {
    const fn name(self) -> &'static str {
        match self {
            Self::Slashing => "1.3 to 1.4",
            Self::Redistribution => "1.5 to 1.8",
            Self::Slashers => "1.9 to 1.12",
            Self::Resolution => "1.13",
        }
    }
}

/// The newest minor version of the core whose views are known.
const NEWEST_MINOR: u32 = 13;

/// The core's contracts, each asked of the DelegationManager.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) delegations: Address,
    pub(crate) allocations: Address,
    pub(crate) strategies: Address,
    pub(crate) pods: Address,
    pub(crate) beacon_strategy: Address,
    pub(crate) age: Age,
    pub(crate) deallocation_delay: u32,
    pub(crate) withdrawal_delay: u32,
    version: Option<String>,
}

impl Core {
    /// Finds the core behind a DelegationManager and which one it is.
    ///
    /// # Errors
    ///
    /// [`Failed::Unknown`] when there is none, or one of which nothing is known.
    pub(crate) async fn find(views: &Views<'_>, delegations: Address) -> Result<Self, Failed> {
        if !views.has_code(delegations).await? {
            return Err(unknown(&format!("no code at {delegations}")));
        }
        let allocations = views.require(delegations, Delegations::allocationManagerCall {}, CORE).await?;
        let strategies = views.require(delegations, Delegations::strategyManagerCall {}, CORE).await?;
        let pods = views.require(delegations, Delegations::eigenPodManagerCall {}, CORE).await?;
        let beacon_strategy = views.require(delegations, Delegations::beaconChainETHStrategyCall {}, CORE).await?;
        let withdrawal_delay = views.require(delegations, Delegations::minWithdrawalDelayBlocksCall {}, CORE).await?;
        let deallocation_delay = views.require(allocations, Allocations::DEALLOCATION_DELAYCall {}, CORE).await?;
        let version = views.ask(allocations, Allocations::versionCall {}).await?.ok();
        if let Some(version) = &version {
            check_version(version)?;
        }
        let age = age(views, allocations, strategies).await?;
        Ok(Self {
            delegations,
            allocations,
            strategies,
            pods,
            beacon_strategy,
            age,
            deallocation_delay,
            withdrawal_delay,
            version: version.map(|version| plain(&version)),
        })
    }

    pub(crate) fn seen(&self) -> CoreSeen {
        CoreSeen {
            generation: self.age.name().to_owned(),
            version: self.version.clone(),
            delegation_manager: self.delegations.to_string(),
            allocation_manager: self.allocations.to_string(),
            deallocation_delay: self.deallocation_delay,
            withdrawal_delay: self.withdrawal_delay,
        }
    }

    /// What a strategy holds; the beacon strategy holds ether. A token that does not say what it is has only its address.
    pub(crate) async fn token_of(&self, views: &Views<'_>, strategy: Address) -> Result<Option<TokenName>, Failed> {
        if strategy == self.beacon_strategy {
            return Ok(Some(TokenName { address: None, symbol: Some("ETH".to_owned()), decimals: Some(18) }));
        }
        let Ok(token) = views.ask(strategy, Strategy::underlyingTokenCall {}).await? else {
            return Ok(None);
        };
        let symbol = views.ask(token, Token::symbolCall {}).await?.ok().map(|symbol| plain(&symbol));
        let decimals = views.ask(token, Token::decimalsCall {}).await?.ok();
        Ok(Some(TokenName { address: Some(token.to_string()), symbol, decimals }))
    }

    /// What shares of a strategy are worth in what it holds, rounded down by the strategy.
    pub(crate) async fn underlying(
        &self,
        views: &Views<'_>,
        strategy: Address,
        shares: U256,
    ) -> Result<Option<U256>, Failed> {
        if strategy == self.beacon_strategy || shares.is_zero() {
            return Ok(Some(shares));
        }
        Ok(views.ask(strategy, Strategy::sharesToUnderlyingViewCall { shares }).await?.ok())
    }
}

/// Each generation answers what the ones before it answer and one thing more. Anything else is a core we have never seen.
async fn age(views: &Views<'_>, allocations: Address, strategies: Address) -> Result<Age, Failed> {
    let any = OperatorSet { avs: allocations, id: 0 };
    let redistribution = Allocations::isRedistributingOperatorSetCall { operatorSet: any.clone() };
    let redistribution = views.ask(allocations, redistribution).await?.is_ok();
    let slashers = views.ask(allocations, Allocations::getSlasherCall { operatorSet: any.clone() }).await?.is_ok();
    let resolution = Strategies::getSlashResolutionBlockCall { operatorSet: any, slashId: U256::ZERO };
    let resolution = views.ask(strategies, resolution).await?.is_ok();
    match (redistribution, slashers, resolution) {
        (false, false, false) => Ok(Age::Slashing),
        (true, false, false) => Ok(Age::Redistribution),
        (true, true, false) => Ok(Age::Slashers),
        (true, true, true) => Ok(Age::Resolution),
        _ => Err(unknown("one that answers some views of a generation and not others")),
    }
}

/// What the core calls itself: `v1.4.0` or `1.12.0`. Older than 1.4 says nothing, and what says something else is not looked at.
fn check_version(version: &str) -> Result<(), Failed> {
    let numbers = version.strip_prefix('v').unwrap_or(version).split('-').next().unwrap_or_default();
    let mut numbers = numbers.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(minor))) if minor <= NEWEST_MINOR => Ok(()),
        _ => Err(unknown(&format!("one that calls itself {}", plain(version)))),
    }
}

/// A contract's words are shown to people: nothing in them may steer a terminal or fill it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_known_is_refused_by_its_name() {
        for version in ["v1.4.0", "1.12.0", "v1.13.0-rc.1", "1.9"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
        for version in ["v2.0.0", "1.14.0", "", "one", "1"] {
            let error = check_version(version).unwrap_err().to_string();
            assert!(error.contains(version), "{error}");
        }
        assert_eq!(plain("a\u{1b}[2Jb"), "a[2Jb");
    }
}
