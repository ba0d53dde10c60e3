//! Liquid restaking tokens, looked through: from a token to its restaking accounts, their operators, and the sets that may slash
//! these.
//!
//! A rate alone shows nothing: an issuer's figures are reports that were true when they were made, so each carries its age; a pod's
//! ether is as old as its last checkpoint; and what circulates on other chains is compared with what is locked here for it. What EigenLayer
//! itself holds is read from its views at the block: for every restaking account `getWithdrawableShares` and
//! `delegatedTo`, for its operator `getStrategyAllocations`. A set's part of an account is
//! floor(shares x floor(magnitude x 1e18 / max magnitude) / 1e18), as EigenLayer counts it, and zero when the set cannot slash the
//! operator or the strategy was taken out of it.
//!
//! Nothing of one issuer is needed for another, and no figure for the next: a view that reverts is a gap with a name (Renzo's
//! `calculateTVLs` reverts as a whole when one delegator is undelegated).

use crate::addresses::{Issue, Lrt};
use crate::bindings::core::{Allocation, Allocations, Delegations, OperatorSet, Pod, Pods, Token};
use crate::bindings::lrt::{EtherFi, Kelp, Puffer, Renzo};
use crate::endpoint::alloy_address;
use crate::inspect::core::Core;
use crate::inspect::{
    AsOf, Bridged, CORE, Exposure, Failed, Figure, Look, Origin, Remote, Row, ServiceTotal, TokenSeen, final_block,
    provider,
};
use crate::views::{Answer, Gaps, Views, each, expect};
use alloy::eips::BlockId;
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use std::collections::{BTreeMap, BTreeSet};

/// The most restaking accounts of one token: ether.fi has thousands of nodes.
const MOST_ACCOUNTS: usize = 5_000;
/// The most strategies of one account.
const MOST_STRATEGIES: usize = 64;
/// The most sets of one operator in one strategy.
const MOST_SETS: usize = 512;
/// The most assets of Kelp's and modules of Puffer's.
const MOST_PARTS: usize = 64;
/// How far back a report's log is looked for.
const REPORT_BLOCKS: u64 = 50_400;
/// 1e18: one token, and EigenLayer's whole magnitude.
const WAD: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Looks a token through.
///
/// # Errors
///
/// As [`crate::inspect::inspect`]; whatever a contract does not say is a gap and no error.
pub(crate) async fn look(views: &Views<'_>, core: &Core, lrt: &Lrt, look: &Look<'_>) -> Result<TokenSeen, Failed> {
    let mut teller = Teller { views, look, gaps: Gaps::default() };
    let told = teller.issuer(&lrt.issue, lrt).await?;
    let accounts = teller.gaps.first("restaking accounts", told.accounts, MOST_ACCOUNTS);
    let rows = teller.rows(core, &accounts).await?;
    let bridged = teller.bridged(lrt).await?;
    Ok(TokenSeen {
        issuer: lrt.issuer.to_owned(),
        symbol: lrt.symbol.to_owned(),
        token: lrt.token.to_string(),
        rate: told.rate,
        supply: told.supply,
        backing: told.backing,
        parts: told.parts,
        accounts: accounts.len(),
        services: services(&rows),
        rows,
        bridged,
        gaps: teller.gaps.told(),
    })
}

/// What an issuer's own contracts say.
struct Told {
    rate: Figure,
    supply: Figure,
    backing: Figure,
    parts: Vec<(String, Figure)>,
    accounts: Vec<Address>,
}

/// Asks, and keeps what was not answered.
struct Teller<'a> {
    views: &'a Views<'a>,
    look: &'a Look<'a>,
    gaps: Gaps,
}

impl Teller<'_> {
    async fn issuer(&mut self, issue: &Issue, lrt: &Lrt) -> Result<Told, Failed> {
        match *issue {
            Issue::EtherFi { pool, staking_manager, restaker, shares } => {
                let supply = self.supply(shares).await?;
                self.ether_fi(lrt.token, pool, staking_manager, restaker, supply).await
            }
            Issue::Renzo { rate, manager } => {
                let supply = self.supply(lrt.token).await?;
                self.renzo(rate, manager, supply).await
            }
            Issue::Kelp { oracle, pool } => {
                let supply = self.supply(lrt.token).await?;
                self.kelp(oracle, pool, supply).await
            }
            Issue::Puffer { oracle, protocol } => {
                let supply = self.supply(lrt.token).await?;
                self.puffer(lrt.token, oracle, protocol, supply).await
            }
        }
    }

    /// eETH rebases: its supply is what it stands for in ether, weETH's rate what one of its shares does.
    async fn ether_fi(
        &mut self,
        token: Address,
        pool: Address,
        staking_manager: Address,
        restaker: Address,
        supply: Figure,
    ) -> Result<Told, Failed> {
        let as_of = self.ether_fi_report(pool).await?;
        let rate = self.views.ask(token, EtherFi::getRateCall {}).await?;
        let rate = self.gaps.note("weETH's getRate", rate);
        let outside = self.views.ask(pool, EtherFi::totalValueOutOfLpCall {}).await?;
        let outside = self.gaps.note("LiquidityPool's totalValueOutOfLp", outside).map(U256::from);
        let inside = self.views.ask(pool, EtherFi::totalValueInLpCall {}).await?;
        let inside = self.gaps.note("LiquidityPool's totalValueInLp", inside).map(U256::from);
        let backing = outside.zip(inside).map(|(outside, inside)| outside.saturating_add(inside));
        let mut accounts = self.ether_fi_nodes(staking_manager).await?;
        accounts.push(restaker);
        Ok(Told {
            rate: reported(rate, as_of),
            supply: Figure { as_of, origin: Origin::Reported, ..supply },
            backing: reported(backing, as_of),
            parts: vec![
                ("outside the pool".to_owned(), reported(outside, as_of)),
                ("in the pool".to_owned(), self.of_the_chain(inside)),
            ],
            accounts,
        })
    }

    /// The block that ether.fi's last handled report is about.
    async fn ether_fi_report(&mut self, pool: Address) -> Result<AsOf, Failed> {
        let admin = self.views.ask(pool, EtherFi::etherFiAdminContractCall {}).await?;
        let Some(admin) = self.gaps.note("LiquidityPool's etherFiAdminContract (the report's age)", admin) else {
            return Ok(AsOf::default());
        };
        let block = self.views.ask(admin, EtherFi::lastHandledReportRefBlockCall {}).await?;
        match self.gaps.note("EtherFiAdmin's lastHandledReportRefBlock (the report's age)", block) {
            Some(block) => self.as_of(u64::from(block)).await,
            None => Ok(AsOf::default()),
        }
    }

    /// Every node that was deployed, each the owner of a pod, newest first. The contract lists none; its logs do.
    async fn ether_fi_nodes(&mut self, staking_manager: Address) -> Result<Vec<Address>, Failed> {
        let first = self.look.question().from_block.unwrap_or(0);
        let blocks = first..=self.look.block().number;
        let event = EtherFi::EtherFiNodeDeployed::SIGNATURE_HASH;
        let (logs, since) = self.views.logs_back(staking_manager, event, blocks, MOST_ACCOUNTS).await?;
        if since > first {
            self.gaps.say(format!(
                "ether.fi's nodes: those deployed before block {since} were not looked for (--from-block)"
            ));
        }
        let mut seen = BTreeSet::new();
        let nodes = logs.iter().filter_map(node).filter(|node| seen.insert(*node));
        Ok(nodes.collect())
    }

    async fn renzo(&mut self, rate: Address, manager: Address, supply: Figure) -> Result<Told, Failed> {
        let rate = self.views.ask(rate, Renzo::getRateCall {}).await?;
        let rate = self.gaps.note("Renzo's getRate", rate);
        let values = self.views.ask(manager, Renzo::calculateTVLsCall {}).await?;
        let values =
            self.gaps.note("RestakeManager's calculateTVLs (it reverts when one delegator is undelegated)", values);
        let accounts = self.renzo_delegators(manager).await?;
        let mut parts = Vec::new();
        if let Some(values) = &values {
            if values.perDelegator.len() == accounts.len() {
                let each = accounts.iter().zip(&values.perDelegator).take(MOST_PARTS);
                parts.extend(
                    each.map(|(account, value)| (account.to_string(), reported(Some(*value), AsOf::default()))),
                );
            } else {
                self.gaps.say("calculateTVLs speaks of another number of delegators than there are".to_owned());
            }
        }
        // Both convert with price feeds that may be a day old, and nobody says how old they are.
        Ok(Told {
            rate: reported(rate, AsOf::default()),
            supply,
            backing: reported(values.map(|values| values.total), AsOf::default()),
            parts,
            accounts,
        })
    }

    async fn renzo_delegators(&mut self, manager: Address) -> Result<Vec<Address>, Failed> {
        let length = self.views.ask(manager, Renzo::getOperatorDelegatorsLengthCall {}).await?;
        let length = self.gaps.note("RestakeManager's getOperatorDelegatorsLength", length).unwrap_or_default();
        let count = usize::try_from(length).unwrap_or(usize::MAX);
        if count > MOST_ACCOUNTS {
            self.gaps.say(format!("operator delegators: {MOST_ACCOUNTS} of {count} were looked at"));
        }
        let views = self.views;
        let delegators = each(0..count.min(MOST_ACCOUNTS), async |index| {
            views.ask(manager, Renzo::operatorDelegatorsCall { index: U256::from(index) }).await
        });
        let delegators = delegators.await?;
        Ok(delegators
            .into_iter()
            .filter_map(|one| self.gaps.note("RestakeManager's operatorDelegators", one))
            .collect())
    }

    async fn kelp(&mut self, oracle: Address, pool: Address, supply: Figure) -> Result<Told, Failed> {
        let rate = self.views.ask(oracle, Kelp::rsETHPriceCall {}).await?;
        let rate = self.gaps.note("LRTOracle's rsETHPrice", rate);
        let as_of =
            self.last_log(oracle, Kelp::RsETHPriceUpdate::SIGNATURE_HASH, "LRTOracle's RsETHPriceUpdate").await?;
        let accounts = self.views.ask(pool, Kelp::getNodeDelegatorQueueCall {}).await?;
        let accounts = self.gaps.note("LRTDepositPool's getNodeDelegatorQueue", accounts).unwrap_or_default();
        let (backing, parts) = self.kelp_assets(oracle, pool).await?;
        Ok(Told { rate: reported(rate, as_of), supply, backing, parts, accounts })
    }

    /// Σ over assets of floor(deposits x price / 1e18), as Kelp's oracle adds them up. Prices are reports without an age; one
    /// asset that does not answer leaves the sum unknown.
    async fn kelp_assets(&mut self, oracle: Address, pool: Address) -> Result<(Figure, Vec<(String, Figure)>), Failed> {
        let unknown = (reported(None, AsOf::default()), Vec::new());
        let config = self.views.ask(pool, Kelp::lrtConfigCall {}).await?;
        let Some(config) = self.gaps.note("LRTDepositPool's lrtConfig", config) else { return Ok(unknown) };
        let assets = self.views.ask(config, Kelp::getSupportedAssetListCall {}).await?;
        let Some(assets) = self.gaps.note("LRTConfig's getSupportedAssetList", assets) else { return Ok(unknown) };
        let count = assets.len();
        let assets = self.gaps.first("Kelp's assets", assets, MOST_PARTS);
        let mut sum = (count == assets.len()).then_some(U256::ZERO);
        let mut parts = Vec::new();
        for asset in assets {
            let deposits = self.views.ask(pool, Kelp::getTotalAssetDepositsCall { asset }).await?;
            let deposits = self.gaps.note(&format!("getTotalAssetDeposits of {asset}"), deposits);
            let price = self.views.ask(oracle, Kelp::getAssetPriceCall { asset }).await?;
            let price = self.gaps.note(&format!("getAssetPrice of {asset}"), price);
            let value = deposits.zip(price).and_then(|(deposits, price)| Some(deposits.checked_mul(price)? / WAD));
            sum = sum.zip(value).and_then(|(sum, value)| sum.checked_add(value));
            parts.push((asset.to_string(), reported(value, AsOf::default())));
        }
        Ok((reported(sum, AsOf::default()), parts))
    }

    async fn puffer(
        &mut self,
        token: Address,
        oracle: Address,
        protocol: Address,
        supply: Figure,
    ) -> Result<Told, Failed> {
        let rate = self.views.ask(token, Puffer::convertToAssetsCall { shares: WAD }).await?;
        let rate = self.gaps.note("pufETH's convertToAssets", rate);
        let backing = self.views.ask(token, Puffer::totalAssetsCall {}).await?;
        let backing = self.gaps.note("pufETH's totalAssets", backing);
        let locked = self.views.ask(oracle, Puffer::getLockedEthAmountCall {}).await?;
        let locked = self.gaps.note("PufferOracle's getLockedEthAmount", locked);
        let rest = backing.zip(locked).and_then(|(backing, locked)| backing.checked_sub(locked));
        let names = self.views.ask(protocol, Puffer::getModuleWeightsCall {}).await?;
        let names = self.gaps.note("PufferProtocol's getModuleWeights", names).unwrap_or_default();
        let names: BTreeSet<_> = self.gaps.first("Puffer's modules", names, MOST_PARTS).into_iter().collect();
        let views = self.views;
        let modules =
            each(names, async |name| views.ask(protocol, Puffer::getModuleAddressCall { moduleName: name }).await);
        let modules = modules.await?;
        let modules = modules.into_iter().filter_map(|one| self.gaps.note("PufferProtocol's getModuleAddress", one));
        // The oracle counts 32 ether for each validator in its list and never says since when.
        Ok(Told {
            rate: reported(rate, AsOf::default()),
            supply,
            backing: reported(backing, AsOf::default()),
            accounts: modules.filter(|module| !module.is_zero()).collect(),
            parts: vec![
                ("locked with validators".to_owned(), reported(locked, AsOf::default())),
                ("everything else".to_owned(), reported(rest, AsOf::default())),
            ],
        })
    }

    async fn supply(&mut self, token: Address) -> Result<Figure, Failed> {
        let supply = self.views.ask(token, Token::totalSupplyCall {}).await?;
        let supply = self.gaps.note("the token's totalSupply", supply);
        Ok(self.of_the_chain(supply))
    }

    fn of_the_chain(&self, value: Option<U256>) -> Figure {
        let block = self.look.block();
        let as_of = AsOf { block: Some(block.number), time: Some(block.time), age_seconds: Some(0) };
        Figure { value: value.map(|value| value.to_string()), origin: Origin::Chain, as_of }
    }

    /// What a report is worth that is about a block of the past.
    async fn as_of(&self, block: u64) -> Result<AsOf, Failed> {
        let time = self.look.time_of(block).await?;
        let age_seconds = time.and_then(|time| self.look.block().time.checked_sub(time));
        Ok(AsOf { block: Some(block), time, age_seconds })
    }

    /// When a contract last wrote a report, by its log.
    async fn last_log(&mut self, address: Address, event: alloy::primitives::B256, name: &str) -> Result<AsOf, Failed> {
        let last = self.look.block().number;
        let blocks = last.saturating_sub(REPORT_BLOCKS)..=last;
        let (logs, since) = self.views.logs_back(address, event, blocks, 1).await?;
        match logs.first() {
            Some(log) => self.as_of(Views::block_of(log)?).await,
            None => {
                self.gaps.say(format!("{name}: none since block {since}, so the report is older"));
                Ok(AsOf::default())
            }
        }
    }

    /// What the accounts have at stake, by operator and strategy.
    async fn rows(&mut self, core: &Core, accounts: &[Address]) -> Result<Vec<Row>, Failed> {
        let (views, block) = (self.views, self.look.block().number);
        let stakes = each(accounts, |account| stake(views, core, *account, block)).await?;
        let mut groups: BTreeMap<(Address, Address), Group> = BTreeMap::new();
        for (account, stake) in accounts.iter().zip(stakes) {
            if let Some(stake) = self.gaps.note(&format!("EigenLayer's views of the account {account}"), stake) {
                stake.into_groups(&mut groups);
            }
        }
        let groups = self.gaps.first("operators and strategies", groups.into_iter().collect(), MOST_ACCOUNTS);
        let rows = each(groups, |((operator, strategy), group)| row(views, core, operator, strategy, group)).await?;
        let mut told = Vec::new();
        for (row, gap) in rows {
            gap.into_iter().for_each(|gap| self.gaps.say(gap));
            told.push(row);
        }
        Ok(told)
    }

    /// What is locked here for what circulates elsewhere.
    async fn bridged(&mut self, lrt: &Lrt) -> Result<Bridged, Failed> {
        let question = self.look.question();
        let lockbox = question.lockbox.as_ref().map(alloy_address).or(lrt.lockbox);
        let locked = match lockbox {
            Some(lockbox) => {
                let asked = Token::balanceOfCall { account: lockbox };
                let locked = self.views.ask(lrt.token, asked).await?;
                self.gaps.note("the lockbox's balance", locked)
            }
            None => {
                self.gaps.say("bridged supply: no lockbox of this token is known (--lockbox)".to_owned());
                None
            }
        };
        if question.remotes.is_empty() {
            self.gaps.say("bridged supply: what circulates on other chains was not asked for (--remote)".to_owned());
        }
        let timeout = question.timeout_ms;
        let remotes = each(&question.remotes, |(url, token)| remote(url, alloy_address(token), timeout)).await?;
        let supplies = remotes.iter().map(|(_, supply)| *supply);
        let circulating = (!remotes.is_empty()).then(|| supplies.fold(U256::ZERO, U256::saturating_add));
        let missing = locked.zip(circulating).map(|(locked, circulating)| circulating.saturating_sub(locked));
        Ok(Bridged {
            lockbox: lockbox.map(|lockbox| lockbox.to_string()),
            locked: locked.map(|locked| locked.to_string()),
            remotes: remotes.into_iter().map(|(remote, _)| remote).collect(),
            circulating: circulating.map(|circulating| circulating.to_string()),
            missing: missing.map(|missing| missing.to_string()),
        })
    }
}

fn reported(value: Option<U256>, as_of: AsOf) -> Figure {
    Figure { value: value.map(|value| value.to_string()), origin: Origin::Reported, as_of }
}

/// The node that a log of ether.fi's names; an impostor's log that does not decode names none.
fn node(log: &Log) -> Option<Address> {
    EtherFi::EtherFiNodeDeployed::decode_log_data_validate(log.data()).ok().map(|event| event.etheFiNode)
}

/// A token's supply on another chain, at that chain's own final block.
async fn remote(url: &str, token: Address, timeout_ms: u64) -> Result<(Remote, U256), Failed> {
    let provider = provider(url, timeout_ms)?;
    let chain_id = provider.get_chain_id().await;
    let chain_id = chain_id.map_err(|error| Failed::unavailable("asking a remote chain for its id", error))?;
    let block = final_block(&provider, None).await?;
    let views = Views::new(&provider, BlockId::hash(block.hash()));
    let what = format!("a token at {token} on chain id {chain_id}");
    let supply = views.require(token, Token::totalSupplyCall {}, &what).await?;
    let (token, block) = (token.to_string(), block.number);
    Ok((Remote { chain_id, token, block, supply: supply.to_string() }, supply))
}

/// What one restaking account has at stake.
struct Stake {
    operator: Address,
    /// Strategy, withdrawable shares.
    shares: Vec<(Address, U256)>,
    /// Operator when it was queued, strategy, shares that are still slashable.
    queued: Vec<(Address, Address, U256)>,
    pod: Option<Checkpoint>,
    beacon_strategy: Address,
}

/// How old a pod's word is.
#[derive(Clone, Copy)]
enum Checkpoint {
    At(u64),
    /// Never, or begun and not done.
    Open,
}

/// What accounts with one operator have in one strategy.
#[derive(Default)]
struct Group {
    accounts: usize,
    shares: U256,
    queued: U256,
    oldest_checkpoint: Option<u64>,
    without_checkpoint: usize,
}

impl Stake {
    fn into_groups(self, groups: &mut BTreeMap<(Address, Address), Group>) {
        for (strategy, shares) in self.shares {
            let group = groups.entry((self.operator, strategy)).or_default();
            group.accounts += 1;
            group.shares = group.shares.saturating_add(shares);
            match self.pod.filter(|_| strategy == self.beacon_strategy) {
                Some(Checkpoint::At(time)) => {
                    group.oldest_checkpoint = Some(group.oldest_checkpoint.map_or(time, |oldest| oldest.min(time)));
                }
                Some(Checkpoint::Open) => group.without_checkpoint += 1,
                None => {}
            }
        }
        for (operator, strategy, shares) in self.queued {
            let group = groups.entry((operator, strategy)).or_default();
            group.queued = group.queued.saturating_add(shares);
        }
    }
}

/// Asks EigenLayer for one account. An account that it does not answer about is a gap.
async fn stake(views: &Views<'_>, core: &Core, staker: Address, block: u64) -> Result<Answer<Stake>, Failed> {
    let operator = views.require(core.delegations, Delegations::delegatedToCall { staker }, CORE).await?;
    let deposited = match views.ask(core.delegations, Delegations::getDepositedSharesCall { staker }).await? {
        Ok(deposited) => deposited,
        Err(missing) => return Ok(Err(missing)),
    };
    let mut strategies = deposited.strategies;
    strategies.truncate(MOST_STRATEGIES);
    let mut shares = Vec::new();
    if !strategies.is_empty() {
        let asked = Delegations::getWithdrawableSharesCall { staker, strategies: strategies.clone() };
        let withdrawable = match views.ask(core.delegations, asked).await? {
            Ok(answer) => answer.withdrawable,
            Err(missing) => return Ok(Err(missing)),
        };
        expect(withdrawable.len(), strategies.len())?;
        shares = strategies.into_iter().zip(withdrawable).collect();
    }
    let queued = match queued(views, core, staker, block).await? {
        Ok(queued) => queued,
        Err(missing) => return Ok(Err(missing)),
    };
    let has_ether = shares.iter().any(|(strategy, _)| *strategy == core.beacon_strategy);
    let pod = if has_ether { checkpoint(views, core, staker).await? } else { None };
    Ok(Ok(Stake { operator, shares, queued, pod, beacon_strategy: core.beacon_strategy }))
}

/// Withdrawals that a slash of the operator they were queued under still reaches: through `startBlock` + the delay.
async fn queued(
    views: &Views<'_>,
    core: &Core,
    staker: Address,
    block: u64,
) -> Result<Answer<Vec<(Address, Address, U256)>>, Failed> {
    let asked = Delegations::getQueuedWithdrawalsCall { staker };
    let answer = match views.ask(core.delegations, asked).await? {
        Ok(answer) => answer,
        Err(missing) => return Ok(Err(missing)),
    };
    expect(answer.shares.len(), answer.withdrawals.len())?;
    let mut queued = Vec::new();
    for (withdrawal, shares) in answer.withdrawals.into_iter().zip(answer.shares) {
        expect(shares.len(), withdrawal.strategies.len())?;
        let last = u64::from(withdrawal.startBlock).saturating_add(u64::from(core.withdrawal_delay));
        if block <= last && !withdrawal.delegatedTo.is_zero() {
            let each = withdrawal.strategies.into_iter().zip(shares).take(MOST_STRATEGIES);
            queued.extend(each.map(|(strategy, shares)| (withdrawal.delegatedTo, strategy, shares)));
        }
    }
    Ok(Ok(queued))
}

/// When the account's pod was last checkpointed; between two checkpoints its shares are what they were.
async fn checkpoint(views: &Views<'_>, core: &Core, owner: Address) -> Result<Option<Checkpoint>, Failed> {
    let Ok(pod) = views.ask(core.pods, Pods::ownerToPodCall { owner }).await? else { return Ok(None) };
    if pod.is_zero() {
        return Ok(None);
    }
    let last = views.ask(pod, Pod::lastCheckpointTimestampCall {}).await?.unwrap_or(0);
    let current = views.ask(pod, Pod::currentCheckpointTimestampCall {}).await?.unwrap_or(0);
    Ok(Some(if last == 0 || current != 0 { Checkpoint::Open } else { Checkpoint::At(last) }))
}

/// One row, and what of it could not be seen.
async fn row(
    views: &Views<'_>,
    core: &Core,
    operator: Address,
    strategy: Address,
    group: Group,
) -> Result<(Row, Option<String>), Failed> {
    let underlying = core.underlying(views, strategy, group.shares).await?;
    let (exposures, gap) = match operator.is_zero() {
        true => (Vec::new(), None),
        false => exposures(views, core, operator, strategy, group.shares, underlying).await?,
    };
    let row = Row {
        operator: (!operator.is_zero()).then(|| operator.to_string()),
        strategy: strategy.to_string(),
        token: core.token_of(views, strategy).await?,
        accounts: group.accounts,
        shares: group.shares.to_string(),
        underlying: underlying.map(|amount| amount.to_string()),
        queued: group.queued.to_string(),
        oldest_checkpoint: group.oldest_checkpoint,
        pods_without_checkpoint: group.without_checkpoint,
        exposures,
    };
    Ok((row, gap))
}

/// What each set may take of these shares.
async fn exposures(
    views: &Views<'_>,
    core: &Core,
    operator: Address,
    strategy: Address,
    shares: U256,
    underlying: Option<U256>,
) -> Result<(Vec<Exposure>, Option<String>), Failed> {
    let asked = Allocations::getStrategyAllocationsCall { operator, strategy };
    let answer = views.require(core.allocations, asked, CORE).await?;
    expect(answer.allocations.len(), answer.sets.len())?;
    let max = Allocations::getMaxMagnitudeCall { operator, strategy };
    let max = views.require(core.allocations, max, CORE).await?;
    let count = answer.sets.len();
    let gap = (count > MOST_SETS).then(|| format!("sets of {operator}: {MOST_SETS} of {count} were looked at"));
    let held: Vec<(OperatorSet, Allocation)> = answer
        .sets
        .into_iter()
        .zip(answer.allocations)
        .filter(|(_, held)| held.currentMagnitude > 0)
        .take(MOST_SETS)
        .collect();
    let exposures = each(held, async |(set, held)| {
        let asked = Allocations::isOperatorSlashableCall { operator, operatorSet: set.clone() };
        let can = views.require(core.allocations, asked, CORE).await?;
        let inside = Allocations::getStrategiesInOperatorSetCall { operatorSet: set.clone() };
        let inside = views.require(core.allocations, inside, CORE).await?.contains(&strategy);
        let slashable = can && inside;
        let exposed = if slashable { part(shares, held.currentMagnitude, max) } else { U256::ZERO };
        let value = underlying.map(|underlying| of(underlying, exposed, shares));
        Ok(Exposure {
            service: set.avs.to_string(),
            id: set.id,
            magnitude: held.currentMagnitude,
            max_magnitude: max,
            slashable,
            shares: exposed.to_string(),
            underlying: value.map(|value| value.to_string()),
        })
    });
    Ok((exposures.await?, gap))
}

/// floor(shares x floor(magnitude x 1e18 / max) / 1e18), at most all of them; nothing of an operator who has lost everything.
fn part(shares: U256, magnitude: u64, max: u64) -> U256 {
    if max == 0 {
        return U256::ZERO;
    }
    let part = (U256::from(magnitude) * WAD / U256::from(max)).min(WAD);
    of(shares, part, WAD)
}

/// floor(amount x part / whole) for part <= whole, without overflow.
fn of(amount: U256, part: U256, whole: U256) -> U256 {
    if whole.is_zero() {
        return U256::ZERO;
    }
    let product = amount.widening_mul::<256, 4, 512, 8>(part);
    let quotient = product / alloy::primitives::U512::from(whole);
    U256::from_limbs_slice(&quotient.as_limbs()[..4])
}

/// What each set may take over all rows, token by token.
fn services(rows: &[Row]) -> Vec<ServiceTotal> {
    let mut totals: BTreeMap<(String, u32), BTreeMap<String, U256>> = BTreeMap::new();
    for row in rows {
        let name = row.token.as_ref().and_then(|token| token.symbol.clone()).unwrap_or_else(|| row.strategy.clone());
        for exposure in row.exposures.iter().filter(|exposure| exposure.slashable) {
            let amount =
                exposure.underlying.as_ref().and_then(|amount| amount.parse::<U256>().ok()).unwrap_or_default();
            let total = totals.entry((exposure.service.clone(), exposure.id)).or_default();
            let sum = total.entry(name.clone()).or_default();
            *sum = sum.saturating_add(amount);
        }
    }
    let told = |sums: BTreeMap<String, U256>| sums.into_iter().map(|(name, sum)| (name, sum.to_string())).collect();
    let totals = totals.into_iter();
    totals.map(|((service, id), sums)| ServiceTotal { service, id, exposed: told(sums) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_rounds_as_eigenlayer_does() {
        // Executed on the real core: 25 % of a 40 % allocation of 1e21 taken leaves 299999999999999999700.
        let shares = U256::from(900_000_000_000_000_000_000_u128);
        let left = part(shares, 300_000_000_000_000_000, 900_000_000_000_000_000);
        assert_eq!(left, U256::from(299_999_999_999_999_999_700_u128));
        assert_eq!(part(shares, 1, 0), U256::ZERO);
        assert_eq!(part(U256::MAX, 7, 7), U256::MAX);
        assert_eq!(part(U256::MAX, 9, 7), U256::MAX);
        assert_eq!(of(U256::from(10), U256::from(1), U256::from(3)), U256::from(3));
        assert_eq!(of(U256::from(10), U256::ZERO, U256::ZERO), U256::ZERO);
    }

    #[test]
    fn a_service_takes_from_each_token_apart() {
        let exposure = |slashable, amount: &str| Exposure {
            service: "a".to_owned(),
            id: 1,
            magnitude: 1,
            max_magnitude: 1,
            slashable,
            shares: amount.to_owned(),
            underlying: Some(amount.to_owned()),
        };
        let row = |strategy: &str, exposures| Row {
            operator: Some("o".to_owned()),
            strategy: strategy.to_owned(),
            token: None,
            accounts: 1,
            shares: "9".to_owned(),
            underlying: Some("9".to_owned()),
            queued: "0".to_owned(),
            oldest_checkpoint: None,
            pods_without_checkpoint: 0,
            exposures,
        };
        let rows = [
            row("s", vec![exposure(true, "2"), exposure(false, "5")]),
            row("t", vec![exposure(true, "3")]),
            row("s", vec![exposure(true, "4")]),
        ];
        let totals = services(&rows);
        assert_eq!(totals.len(), 1);
        assert_eq!(totals[0].exposed, [("s".to_owned(), "6".to_owned()), ("t".to_owned(), "3".to_owned())]);
    }
}
