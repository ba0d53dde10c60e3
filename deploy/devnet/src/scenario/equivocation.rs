//! One operator's keys sign twice, in both domains; where bitcoin stands alone, in Bitcoin's.

use super::report::{Holding, Report, Step};
use super::scene::{Scene, VaultSeen};
use crate::constants::{EQUIVOCATION_WAD, LATECOMER, SLASH_DEADLINE, VAULT_SLASH_FEES, VAULT_SLASH_SCRIPT};
use crate::devnet::Devnet;
use crate::equivocation::{WARNING, hex_of};
use crate::operator::Operator;
use crate::progress::{Seen, say, seconds, until};
use crate::tools;
use alloy::primitives::U256;
use anyhow::{Context, bail, ensure};
use bitcoin::{Amount, OutPoint, Txid};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::accounts::SlashView;
use palisade_node::rpc::views::{CaseView, OrderView};
use palisade_types::canonical::Canonical;
use palisade_types::evidence::Evidence;
use palisade_types::{BasisPoints, CaseId, DomainKind, Sats};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How the stake rounds: EigenLayer's magnitudes lose less than this many of 1e18 shares' units.
const ROUNDING: u64 = 1_000_000;

/// One operator's keys equivocate in every domain that stake stands behind; everything that must follow is waited for and asserted.
///
/// # Errors
///
/// Names what does not hold.
pub async fn equivocation(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    let (convict, honest) = scene.choose().await?;
    let teller = honest.first().context("somebody is honest")?;
    let vault = scene.vault(&convict)?;
    let before = scene.holdings().await?;
    say(format!("{}'s keys equivocate; {} hands the evidence in", convict.name(), teller.name()));
    let both = scene.equivocate(&convict).await?;
    let evidence = &both[both.len() - scene.domains().len()..];
    let began = Instant::now();
    let mut steps = Vec::new();
    let mut step = |what, waited_for| {
        say(what);
        steps.push(Step { what, after: began.elapsed(), waited_for });
    };
    let cases = scene.submit(teller, &convict, evidence).await?;
    step("every pair accepted over JSON-RPC", "two signature checks each");
    let heights = scene.final_heights(&honest).await?;
    scene.await_cases(&cases, "convicted in every ledger", |_| true).await?;
    step("every conviction in every ledger", "the next block");
    let spend = async |confirmations| {
        scene.await_spend(&vault, confirmations).await?;
        anyhow::Ok(began.elapsed())
    };
    let loss = async {
        match scene.genesis.is_bitcoin_only() {
            true => anyhow::Ok(None),
            false => Ok(Some((scene.await_eigenlayer(&convict, &before).await?, began.elapsed()))),
        }
    };
    // Side by side: neither chain waits for the other.
    let (lost, accepted, confirmed) = tokio::try_join!(loss, spend(0), spend(1))?;
    let lost_there = lost.map(|(_, after)| ("EigenLayer's own views show the loss", after, "an Ethereum block"));
    for (what, after, waited_for) in [("the slashing transaction is accepted", accepted, "bitcoind's mempool")]
        .into_iter()
        .chain(lost_there)
        .chain([("the slashing transaction is confirmed", confirmed, "a Bitcoin block")])
    {
        say(format!("{what}, {} after the evidence", seconds(after)));
        steps.push(Step { what, after, waited_for });
    }
    let slashing = vault.slashing.compute_txid();
    let mut step = |what, waited_for| {
        say(what);
        steps.push(Step { what, after: began.elapsed(), waited_for });
    };
    let done = scene.await_cases(&cases, "final in every ledger", |case| case.status == "final").await?;
    step("every case final in every ledger", "finality tag (8 blocks), depth k (3 blocks), blocks with both anchors");
    scene.check_orders(&done, lost.map(|(taken, _)| taken), &slashing, &vault)?;
    scene.check_books(&convict, &done).await?;
    scene.check_roots().await?;
    scene.finalised_since(&honest, &heights).await?;
    step("everybody else finalised on; state roots equal", "the next certificates");
    let now = scene.holdings().await?;
    scene.check_others(&convict, &before, &now)?;
    Ok(Report {
        convict: Some(convict.name().to_owned()),
        steps,
        holdings: scene.changes(before, now),
        took: began.elapsed(),
        gas: vec![],
    })
}

impl Scene<'_> {
    /// The last unconvicted operator with an untouched vault, and all others that nobody convicted. What remains must be
    /// enough to go on.
    pub(super) async fn choose(&self) -> anyhow::Result<(Operator, Vec<Operator>)> {
        let known = self.operators[0].client()?.operators().await?;
        let mut honest = Vec::new();
        for operator in &self.operators {
            let id = operator.id()?.to_string();
            if known.iter().any(|one| one.id == id && one.convicted.is_none()) {
                honest.push(operator.clone());
            }
        }
        ensure!(
            honest.len() > 3,
            "only {} operators are not convicted, and with fewer than three others nothing is final any more; join {LATECOMER}, or reset and start anew",
            honest.len()
        );
        let client = self.devnet.bitcoin()?;
        for at in (0..honest.len()).rev() {
            let Ok(vault) = self.vault(&honest[at]) else { continue };
            if client.unspent(vault.outpoint, true).await?.is_some() {
                return Ok((honest.remove(at), honest));
            }
        }
        bail!("no unconvicted operator's first vault is untouched any more; reset, and start anew")
    }

    /// Of the two domains that the tool signs in, those behind which stake stands: the last ones.
    fn domains(&self) -> &'static [DomainKind] {
        const BOTH: [DomainKind; 2] = [DomainKind::Ledger, DomainKind::Bitcoin];
        if self.genesis.is_bitcoin_only() { &BOTH[1..] } else { &BOTH }
    }

    /// Runs the tool as a person would, and reads what it wrote.
    pub(super) async fn equivocate(&self, convict: &Operator) -> anyhow::Result<[Evidence; 2]> {
        say(WARNING);
        let folder = self.devnet.layout().root().join("evidence");
        let mut command = Command::new(tools::ours("palisade-devnet")?);
        command.arg("--dir").arg(self.devnet.layout().root());
        command.args(["equivocate", "--operator", convict.name(), "--out"]).arg(&folder).stdin(Stdio::null());
        let status = tokio::process::Command::from(command).kill_on_drop(true).status().await?;
        ensure!(status.success(), "palisade-devnet equivocate failed with {status}");
        let read = |name: &str| -> anyhow::Result<Evidence> {
            let text = std::fs::read_to_string(folder.join(name))?;
            Ok(Evidence::from_bytes(&palisade_node::text::parse_hex_bytes(&text)?)?)
        };
        Ok([read("ledger.hex")?, read("bitcoin.hex")?])
    }

    /// Hands every pair in and checks that each opens the case it must.
    async fn submit(
        &self,
        teller: &Operator,
        convict: &Operator,
        evidence: &[Evidence],
    ) -> anyhow::Result<Vec<String>> {
        let client = teller.client()?;
        let mut cases = Vec::new();
        for (one, kind) in evidence.iter().zip(self.domains()) {
            let accepted = client.submit_evidence(hex_of(one)).await?;
            let expected =
                CaseId::derive(&self.genesis.chain_id(), &convict.id()?, &self.genesis.domain(*kind)).to_string();
            ensure!(
                accepted.case.as_deref() == Some(&expected),
                "evidence opened {:?} instead of {expected}",
                accepted.case
            );
            cases.push(expected);
        }
        Ok(cases)
    }

    /// Waits until every operator's ledger holds the cases and they are as `wanted`; the answer is the first one's view.
    async fn await_cases(
        &self,
        cases: &[String],
        what: &str,
        wanted: impl Fn(&CaseView) -> bool,
    ) -> anyhow::Result<Vec<CaseView>> {
        let mut views: Vec<Vec<CaseView>> = Vec::new();
        for operator in &self.operators {
            let client = operator.client()?;
            let what = format!("every case {what} on {}", operator.name());
            let seen = until(&what, SLASH_DEADLINE, async || {
                let mut seen = Vec::new();
                for case in cases {
                    let view = client.case(case.clone()).await?;
                    if !wanted(&view) {
                        return Ok(Seen::NotYet(format!(
                            "the {} case is {}: {}",
                            view.domain_kind,
                            view.status,
                            orders(&view)
                        )));
                    }
                    seen.push(view);
                }
                Ok(Seen::There(seen))
            });
            views.push(seen.await?);
        }
        ensure!(views.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers hold different cases: {views:?}");
        views.into_iter().next().context("a devnet has operators")
    }

    /// Waits until EigenLayer's own views show that exactly the configured part is gone; the answer is what was taken.
    async fn await_eigenlayer(&self, convict: &Operator, before: &[Holding]) -> anyhow::Result<U256> {
        let at = self.place(convict)?;
        let before = before[at].shares;
        let now = until("the loss on EigenLayer", SLASH_DEADLINE, async || {
            let now = self.shares(convict).await?;
            Ok(if now < before { Seen::There(now) } else { Seen::NotYet(format!("{now} shares are slashable")) })
        })
        .await?;
        let (taken, configured) = (before - now, part(before, EQUIVOCATION_WAD));
        ensure!(
            taken.abs_diff(configured) < U256::from(ROUNDING),
            "EigenLayer took {taken} shares of {before}, configured are {configured}"
        );
        Ok(taken)
    }

    /// Waits until the vault's slashing transaction has so many confirmations; zero is the mempool.
    async fn await_spend(&self, vault: &VaultSeen, confirmations: u32) -> anyhow::Result<()> {
        let client = self.devnet.bitcoin()?;
        let txid = vault.slashing.compute_txid();
        until(&format!("slashing transaction {txid}"), SLASH_DEADLINE, async || {
            // Its change goes back to the staker: an output that can be looked up, unlike the burnt one.
            let change = OutPoint { txid, vout: 1 };
            Ok(match client.unspent(change, true).await? {
                Some(unspent) if unspent.confirmations >= confirmations => Seen::There(()),
                Some(_) => Seen::NotYet("it is in the mempool".to_owned()),
                None => Seen::NotYet("it is nowhere".to_owned()),
            })
        })
        .await
    }

    /// The ledgers must say of each loss exactly what the chains say.
    fn check_orders(
        &self,
        cases: &[CaseView],
        shares: Option<U256>,
        slashing: &Txid,
        vault: &VaultSeen,
    ) -> anyhow::Result<()> {
        let kinds: Vec<_> = cases.iter().map(|case| case.domain_kind.as_str()).collect();
        let expected: &[&str] = if shares.is_some() { &["ledger", "bitcoin"] } else { &["bitcoin"] };
        ensure!(kinds == expected, "R25: a case per domain, not {kinds:?}");
        let one = |case: &CaseView, source: &str| -> anyhow::Result<OrderView> {
            let of: Vec<_> = case.orders.iter().filter(|order| order.source == source).collect();
            let [order] = of[..] else { bail!("{} orders from {source} in the {} case", of.len(), case.domain_kind) };
            ensure!(case.orders.iter().all(|order| order.status == "final"), "the orders are {:?}", case.orders);
            Ok(order.clone())
        };
        if let (Some(shares), [ledger, _]) = (shares, cases) {
            let order = one(ledger, "eigenlayer")?;
            ensure!(
                order.taken == Some(shares.to_string()),
                "the ledger says {:?} shares, EigenLayer {shares}",
                order.taken
            );
        }
        let order = one(cases.last().context("there is a case")?, "vault")?;
        ensure!(
            order.transaction == Some(slashing.to_string()),
            "the ledger names {:?}, the chain {slashing}",
            order.transaction
        );
        let sink = vault.slashing.output.first().context("a slashing transaction has outputs")?;
        let rate = BasisPoints::new(crate::constants::VAULT_SLASH_BASIS_POINTS).context("a constant")?;
        let configured = Sats::new(vault.amount).slashed_by(rate).get();
        ensure!(
            sink.value == Amount::from_sat(configured),
            "the sink receives {}, configured are {configured}",
            sink.value
        );
        ensure!(sink.script_pubkey.as_bytes() == VAULT_SLASH_SCRIPT, "the sink is another than genesis names");
        ensure!(
            order.taken == Some(configured.to_string()),
            "the ledger says {:?} satoshis, the sink has {configured}",
            order.taken
        );
        let paid: Amount = vault.slashing.output.iter().map(|output| output.value).sum();
        ensure!(vault.amount - paid.to_sat() == VAULT_SLASH_FEES[0], "the fee is another than was signed");
        Ok(())
    }

    /// Every ledger must have a record of each loss, and books that balance and hold it.
    async fn check_books(&self, convict: &Operator, cases: &[CaseView]) -> anyhow::Result<()> {
        let id = convict.id()?.to_string();
        for operator in &self.operators {
            let client = operator.client()?;
            let records = client.slashes(Some(id.clone())).await?;
            let accounts = client.accounts().await?;
            for account in &accounts {
                let units = |text: &str| text.parse::<u128>();
                let (held, left, taken) = (units(&account.held)?, units(&account.left)?, units(&account.taken)?);
                ensure!(held + left + taken == units(&account.entered)?, "books that do not balance: {account:?}");
            }
            for (case, order) in cases.iter().flat_map(|case| case.orders.iter().map(move |order| (case, order))) {
                let is_its = |record: &&SlashView| {
                    record.case.as_ref() == Some(&case.id)
                        && (&record.source, &record.target) == (&order.source, &order.target)
                        && (Some(&record.taken), Some(&record.transaction))
                            == (order.taken.as_ref(), order.transaction.as_ref())
                };
                let of_order = records.iter().filter(is_its).count();
                ensure!(of_order == 1, "{} records of {order:?} at {}: {records:?}", of_order, operator.name());
                let asset = (order.source != "vault").then(|| order.target.clone());
                let booked = accounts.iter().filter(|account| account.asset == asset && account.taken != "0");
                ensure!(booked.count() == 1, "{order:?} is in no book: {accounts:?}");
            }
        }
        Ok(())
    }

    fn check_others(&self, convict: &Operator, before: &[Holding], now: &[Holding]) -> anyhow::Result<()> {
        for ((operator, before), now) in self.operators.iter().zip(before).zip(now) {
            ensure!(
                operator.name() == convict.name() || before == now,
                "{} lost stake without a fault",
                operator.name()
            );
        }
        Ok(())
    }

    fn place(&self, operator: &Operator) -> anyhow::Result<usize> {
        self.operators.iter().position(|one| one.name() == operator.name()).context("he is one of them")
    }
}

fn orders(case: &CaseView) -> String {
    case.orders.iter().map(|order| format!("{} {}", order.source, order.status)).collect::<Vec<_>>().join(", ")
}

/// `wad` of 1e18 parts.
fn part(whole: U256, wad: u64) -> U256 {
    whole * U256::from(wad) / U256::from(1_000_000_000_000_000_000_u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_thousand_is_a_hundred() {
        assert_eq!(part(U256::from(1_000), 100_000_000_000_000_000), U256::from(100));
    }
}
