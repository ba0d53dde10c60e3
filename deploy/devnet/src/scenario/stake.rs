//! What the scenarios of restaked ether share: a stake on the real EigenLayer core, Ethereum's time, and a pair that takes from it.

use super::report::{Gas, Holding, Report, Step};
use super::scene::Scene;
use crate::constants::{
    FINALITY_LAG_BLOCKS, READY_DEADLINE, SLASH_DEADLINE, SYMBIOTIC_EPOCH_SECONDS, SYMBIOTIC_VETO_SECONDS,
    TOKEN_PRICE_MICRO_USD, WINDOW_SECONDS,
};
use crate::devnet::Devnet;
use crate::eigenlayer::{self, EigenLayer};
use crate::equivocation::hex_of;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::symbiotic;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider};
use anyhow::{Context, bail, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::{CaseView, MagnitudesView, OrderView, PositionView};
use palisade_types::price::Price;
use palisade_types::{CaseId, DomainKind};
use std::time::Instant;

/// Blocks mined at once when time is made to pass: anchors and committees, which age in blocks, must keep up.
const STRIDE: u64 = FINALITY_LAG_BLOCKS;
/// How the stake rounds: EigenLayer's magnitudes lose less than this many of 1e18 shares' units.
const ROUNDING: u64 = 1_000_000;

/// One operator's stake, and somebody else who tells of his fault.
pub(super) struct Stake<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) owner: Operator,
    pub(super) core: EigenLayer,
    pub(super) provider: DynProvider,
    teller: Operator,
    before: Vec<Holding>,
    began: Instant,
    steps: Vec<Step>,
    gas: Vec<Gas>,
}

impl<'a> Stake<'a> {
    /// The stake of somebody who may be convicted.
    pub(super) async fn open(devnet: &'a Devnet) -> anyhow::Result<Self> {
        let scene = Scene::open(devnet)?;
        let (owner, honest) = scene.choose().await?;
        let teller = honest.into_iter().next().context("somebody is honest")?;
        Ok(Self {
            before: scene.holdings().await?,
            core: devnet.network()?.eigenlayer(),
            provider: devnet.anvil().provider()?,
            scene,
            owner,
            teller,
            began: Instant::now(),
            steps: Vec::new(),
            gas: Vec::new(),
        })
    }

    /// Somebody else, who tells.
    pub(super) const fn teller(&self) -> &Operator {
        &self.teller
    }

    /// Nobody has lost anything.
    pub(super) async fn unharmed(&self) -> anyhow::Result<()> {
        let now = self.scene.holdings().await?;
        ensure!(self.before == now, "somebody lost something: before {:?}, now {now:?}", self.before);
        Ok(())
    }

    pub(super) fn done(&mut self, what: &'static str, waited_for: &'static str) {
        say(what);
        self.steps.push(Step { what, after: self.began.elapsed(), waited_for });
    }

    pub(super) fn endpoint(&self) -> String {
        self.scene.devnet.anvil().url()
    }

    pub(super) fn adapter(&self) -> Address {
        Address::from(*self.scene.genesis.contracts.eigenlayer_adapter.as_bytes())
    }

    pub(super) fn account(&self) -> anyhow::Result<Address> {
        Ok(self.owner.account()?.address())
    }

    /// What EigenLayer's own view says that the set can take now.
    pub(super) async fn slashable(&self) -> anyhow::Result<U256> {
        self.scene.shares(&self.owner).await
    }

    /// What of the queue a slash still reaches.
    pub(super) async fn in_queue(&self) -> anyhow::Result<U256> {
        eigenlayer::slashable_in_queue(&self.provider, &self.core, self.account()?).await
    }

    // ---- time ------------------------------------------------------------------------------------------------------

    pub(super) async fn newest(&self) -> anyhow::Result<u64> {
        Ok(self.provider.get_block_number().await?)
    }

    /// Mines until Ethereum is this high, no faster than the ledgers follow.
    pub(super) async fn pass(&self, height: u64) -> anyhow::Result<()> {
        loop {
            let newest = self.newest().await?;
            let Some(left) = height.checked_sub(newest).filter(|left| *left > 0) else { return Ok(()) };
            self.scene.devnet.anvil().mine(left.min(STRIDE)).await?;
            self.await_anchor(newest.saturating_sub(FINALITY_LAG_BLOCKS)).await?;
            let head = self.teller.client()?.status().await?.head.height;
            self.scene.devnet.await_final_above(&self.teller, head, READY_DEADLINE).await?;
        }
    }

    /// Waits until every ledger has taken Ethereum in up to this block.
    pub(super) async fn await_anchor(&self, number: u64) -> anyhow::Result<()> {
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let what = format!("Ethereum's block {number} on {}", operator.name());
            until(&what, READY_DEADLINE, async || {
                let anchor = client.status().await?.ethereum.anchor.number;
                Ok(if anchor >= number { Seen::There(()) } else { Seen::NotYet(format!("at {anchor}")) })
            })
            .await?;
        }
        Ok(())
    }

    // ---- what the ledgers say --------------------------------------------------------------------------------------

    /// His position on EigenLayer, which all ledgers must have alike.
    pub(super) async fn position(&self) -> anyhow::Result<MagnitudesView> {
        let id = self.owner.id()?.to_string();
        let mut said = Vec::new();
        for operator in &self.scene.operators {
            let known = operator.client()?.operators().await?.into_iter().find(|known| known.id == id);
            let positions = known.context("the ledger knows every operator")?.positions;
            let magnitudes = positions.into_iter().find_map(|position| match position {
                PositionView::Eigenlayer(magnitudes) => Some(magnitudes),
                PositionView::Symbiotic(_) | PositionView::Karak(_) => None,
            });
            said.push(magnitudes.context("he has stake")?);
        }
        ensure!(said.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers differ about a position: {said:?}");
        said.into_iter().next().context("a devnet has operators")
    }

    /// Waits until a committee counts him with exactly what the core's own view promised at its snapshot for the end of the
    /// window (R4), and with what is `wanted` of that; the answer is the snapshot's block.
    pub(super) async fn await_counted(&self, what: &str, wanted: impl Fn(U256) -> bool) -> anyhow::Result<u64> {
        let client = self.teller.client()?;
        let window = self.scene.genesis.parameters.ethereum_window();
        let asset = self.scene.genesis.assets.iter().next().context("a devnet has an asset")?;
        let id = self.owner.id()?.to_string();
        until(what, READY_DEADLINE, async || {
            let committee = client.committee(None).await?;
            let snapshot = committee.ethereum.number;
            let (core, adapter) = (&self.core, self.adapter());
            let of = self.account()?;
            let promised =
                eigenlayer::slashable_from(&self.provider, core, of, adapter, snapshot, snapshot + window).await?;
            if !wanted(promised) {
                return Ok(Seen::NotYet(format!("{promised} shares at the snapshot in block {snapshot}")));
            }
            let member = committee.members.into_iter().find(|member| member.operator == id);
            let counted: U256 = member.map_or(Ok(U256::ZERO), |member| member.ether.parse())?;
            // Shares of 1e18, their price, and the part that a pair takes of them.
            let wad = U256::from(1_000_000_000_000_000_000_u64);
            let Price::Fixed(price) = asset.price else { bail!("devnet's price is fixed") };
            let value = promised * U256::from(price.get()) / wad;
            let at_risk = value * U256::from(asset.equivocation.get()) / wad;
            let at_risk = at_risk + self.at_risk_on_symbiotic(snapshot).await?;
            ensure!(
                counted.abs_diff(at_risk) <= U256::from(3), // each asset rounds on its own
                "the committee of block {snapshot} counts {counted} micro-dollars, the core promised {at_risk}"
            );
            Ok(Seen::There(snapshot))
        })
        .await
    }

    /// Micro-dollars that a pair takes from him on Symbiotic whatever happens until the end of the window after a block (R4): the
    /// most that any capture noted by then leaves for so long, by the slasher's own view.
    async fn at_risk_on_symbiotic(&self, snapshot: u64) -> anyhow::Result<U256> {
        let network = self.scene.devnet.network()?;
        let Some(vaults) = network.symbiotic() else { return Ok(U256::ZERO) };
        let block = self.provider.get_block_by_number(snapshot.into()).await?.context("the snapshot is final")?;
        let mut sum = U256::ZERO;
        for (vault, veto) in [(vaults.instant, 0), (vaults.veto, SYMBIOTIC_VETO_SECONDS)] {
            let end = block.header.timestamp + WINDOW_SECONDS + veto;
            let mut most = U256::ZERO;
            for note in symbiotic::notes(&self.provider, vaults.adapter, snapshot).await? {
                if note + SYMBIOTIC_EPOCH_SECONDS >= end {
                    let of = self.account()?;
                    let left =
                        symbiotic::slashable(&self.provider, vault, vaults.adapter, of, note, snapshot.into()).await?;
                    most = most.max(left);
                }
            }
            sum += most * U256::from(TOKEN_PRICE_MICRO_USD) / U256::from(1_000_000_000_000_000_000_u64);
        }
        Ok(sum)
    }

    // ---- a fault ---------------------------------------------------------------------------------------------------

    /// His attestation key signs two blocks, and somebody else tells; waits for the end of the case in every ledger. The answer is
    /// its order on EigenLayer.
    pub(super) async fn convict(&mut self) -> anyhow::Result<OrderView> {
        let (slashable, queued) = (self.slashable().await?, self.in_queue().await?);
        let case = self.accuse().await?;
        let orders = self.await_end(&case).await?;
        let of = |source: &'static str| orders.iter().filter(move |order| order.source == source);
        ensure!(of("symbiotic").all(|order| order.status == "final"), "Symbiotic's orders are {orders:?}");
        let [order] = of("eigenlayer").collect::<Vec<_>>()[..] else {
            bail!("not one order on EigenLayer: {orders:?}")
        };
        ensure!(order.status == "final", "the order is {order:?}");
        let taken = taken(order)?;
        let (now, queue) = (self.slashable().await?, self.in_queue().await?);
        say(format!(
            "asked {}, taken {taken} shares: slashable {slashable} -> {now}, in the queue {queued} -> {queue}",
            order.asked
        ));
        Ok(order.clone())
    }

    /// His attestation key signs two blocks, and somebody else tells. The answer is the case.
    pub(super) async fn accuse(&mut self) -> anyhow::Result<String> {
        let [pair, _] = self.scene.equivocate(&self.owner).await?;
        let accepted = self.teller.client()?.submit_evidence(hex_of(&pair)).await?;
        let case = self.case()?;
        ensure!(accepted.case.as_deref() == Some(&case), "evidence opened {:?} instead of {case}", accepted.case);
        self.done("his attestation key signed twice, and the pair is accepted over JSON-RPC", "two signature checks");
        Ok(case)
    }

    /// The case of his attestation key.
    pub(super) fn case(&self) -> anyhow::Result<String> {
        let genesis = &self.scene.genesis;
        let domain = genesis.domain(DomainKind::Ledger);
        Ok(CaseId::derive(&genesis.chain_id(), &self.owner.id()?, &domain).to_string())
    }

    /// Waits until the case is final in every ledger; all must hold the same orders.
    pub(super) async fn await_end(&mut self, case: &str) -> anyhow::Result<Vec<OrderView>> {
        let orders = self.await_orders(case, "the end of the case", |view| view.status == "final").await?;
        self.gas = self.scene.gas(&orders.iter().collect::<Vec<_>>()).await?;
        self.done("the case is final in every ledger", "Ethereum blocks, a veto's time, the finality tag, a block");
        Ok(orders)
    }

    /// Waits until the case is so in every ledger; all must hold the same orders.
    pub(super) async fn await_orders(
        &self,
        case: &str,
        what: &str,
        wanted: impl Fn(&CaseView) -> bool,
    ) -> anyhow::Result<Vec<OrderView>> {
        let mut orders = Vec::new();
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let what = format!("{what} on {}", operator.name());
            let seen = until(&what, SLASH_DEADLINE, async || {
                let view = match client.case(case.to_owned()).await {
                    Ok(view) => view,
                    Err(error) => return Ok(Seen::NotYet(error.to_string())),
                };
                if wanted(&view) {
                    return Ok(Seen::There(view.orders));
                }
                let states: Vec<_> =
                    view.orders.iter().map(|order| format!("{} {}", order.source, order.status)).collect();
                Ok(Seen::NotYet(format!("{}: {}", view.status, states.join(", "))))
            });
            orders.push(seen.await?);
        }
        ensure!(orders.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers hold different orders: {orders:?}");
        orders.into_iter().next().context("a devnet has operators")
    }

    /// Two amounts are the same but for EigenLayer's rounding.
    pub(super) fn expect(what: &str, found: U256, expected: U256) -> anyhow::Result<()> {
        ensure!(found.abs_diff(expected) < U256::from(ROUNDING), "{what}: {found}, not {expected}");
        Ok(())
    }

    /// The end of every scenario: all ledgers are one, and nobody else lost anything, nor he on Bitcoin.
    pub(super) async fn report(mut self, convicted: bool) -> anyhow::Result<Report> {
        self.scene.check_roots().await?;
        let now = self.scene.holdings().await?;
        for ((operator, before), now) in self.scene.operators.iter().zip(&self.before).zip(&now) {
            let his = operator.name() == self.owner.name();
            ensure!(before.sats == now.sats, "a fault on Ethereum's side took {}'s bitcoin", operator.name());
            ensure!(his || before.shares == now.shares, "{} lost stake without a fault", operator.name());
        }
        self.done("nobody else lost anything; state roots equal", "nothing");
        Ok(Report {
            convict: convicted.then(|| self.owner.name().to_owned()),
            holdings: self.scene.changes(self.before, now),
            steps: self.steps,
            took: self.began.elapsed(),
            gas: self.gas,
        })
    }
}

/// The order's amount.
pub(super) fn taken(order: &OrderView) -> anyhow::Result<U256> {
    Ok(order.taken.as_deref().context("a final order says what was taken")?.parse()?)
}

/// What a pair takes of an amount.
pub(super) fn tenth(amount: U256) -> U256 {
    amount * U256::from(crate::constants::EQUIVOCATION_WAD) / U256::from(1_000_000_000_000_000_000_u64)
}
