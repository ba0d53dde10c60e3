//! A quorum of the covenant signs a spend that nobody registered (R27). No contract can check that fault: the ledger convicts the
//! members, the operators certify orders, and Orders.sol takes their stake on EigenLayer and on Symbiotic (R11).
//!
//! Both of the quorum are convicted. Committee.sol hears of it by the first order against each (R9), and counts them until
//! then: the others must weigh more than two thirds alone. They stake more before it happens.

use super::report::{Holding, Report, Step};
use super::scene::Scene;
use crate::constants::{
    COVENANT, COVENANT_QUORUM, ORDER_WAD, READY_DEADLINE, SLASH_DEADLINE, STAKE_TOKENS, SYMBIOTIC_TOKENS,
};
use crate::contracts::{Orders, Palisade};
use crate::devnet::Devnet;
use crate::eigenlayer;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::symbiotic;
use alloy::primitives::{Address, B256, U256};
use anyhow::{Context, ensure};
use bitcoin::{Amount, Network, OutPoint, Sequence, Transaction, TxIn, TxOut, Witness};
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::staker::Wallet;
use palisade_bitcoin::vault::{CheckedVault, Held, Versions};
use palisade_bitcoin::witness::sighash;
use palisade_crypto::eots;
use palisade_node::keys;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::orders::CaseOrderView;
use palisade_node::rpc::views::CaseView;
use palisade_node::text::parse_hex_bytes;
use palisade_types::canonical::Canonical;
use palisade_types::{CaseId, DomainKind, VaultRegistration};
use std::collections::BTreeMap;
use std::time::Instant;

/// What the honest add to their stake, in the devnet's usual stakes on EigenLayer: whatever lies elsewhere, the two guilty then
/// weigh less than a quarter.
const MORE: u64 = 6;
/// The fee of the spend, satoshis: more than any rung of a slash, so that it is first in a block.
const FEE: u64 = 50_000;
/// How EigenLayer rounds: magnitudes lose less than this many of 1e18 shares' units.
const ROUNDING: u64 = 1_000_000;

/// Two members of the covenant let a vault's coins go, and lose a fifth of what they have allocated on EigenLayer, and of what
/// backs them in each vault on Symbiotic.
///
/// # Errors
///
/// Names what does not hold.
pub async fn slash_order(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    ensure!(!scene.genesis.is_bitcoin_only(), "where bitcoin stands alone, no order takes anything");
    let plot = Plot::open(&scene).await?;
    let (began, mut steps) = (Instant::now(), Vec::new());
    let mut done = |what, waited_for| {
        say(what);
        steps.push(Step { what, after: began.elapsed(), waited_for });
    };
    plot.strengthen().await?;
    done("the others weigh more than two thirds alone", "a deposit, the finality tag, an epoch");
    let (before, burnable, pots) = (scene.holdings().await?, plot.burnable().await?, plot.pots().await?);
    plot.spend().await?;
    done("a quorum of the covenant lets a vault's coins go", "nothing");
    let since = scene.final_heights(&plot.honest).await?;
    let cases = plot.await_cases("convicted in every ledger", |_| true).await?;
    done("both members are convicted in every ledger", "k Bitcoin blocks, a block");
    for case in &cases {
        ensure!(case.domain_kind == "covenant" && case.evidence.is_some(), "the case is {case:?}");
        for order in plot.await_certified(&case.id).await? {
            plot.check(case, &order)?;
        }
    }
    done("all orders are certified, and say what the rule says", "a committee's signatures");
    let cases = plot.await_cases("final in every ledger", |case| case.status == "final").await?;
    done("all are executed and booked in every ledger", "the delay, a veto's time, the finality tag");
    let now = scene.holdings().await?;
    let lost = plot.lost(&before, &now, &cases)?;
    for case in &cases {
        plot.check_on_chain(case).await?;
    }
    let burnt = plot.burnable().await? - burnable;
    ensure!(burnt.abs_diff(lost) < U256::from(ROUNDING), "EigenLayer burns {burnt} shares of {lost} lost");
    plot.check_pots(&pots, &cases).await?;
    done("the protocols' own views say the same, and nobody else lost anything", "nothing");
    scene.finalised_since(&plot.honest, &since).await?;
    scene.check_roots().await?;
    done("the others finalise on; state roots equal", "the hand-over to those who are left");
    let names: Vec<_> = plot.guilty.iter().map(Operator::name).collect();
    Ok(Report {
        gas: scene.gas(&cases.iter().flat_map(|case| &case.orders).collect::<Vec<_>>()).await?,
        convict: Some(names.join(" and ")),
        steps,
        holdings: scene.changes(before, now),
        took: began.elapsed(),
    })
}

/// Who does it, to which vault, and who is left.
struct Plot<'a> {
    scene: &'a Scene<'a>,
    guilty: Vec<Operator>,
    honest: Vec<Operator>,
    /// The first of the guilty's own: nobody else's weight is touched.
    vault: CheckedVault,
}

impl<'a> Plot<'a> {
    async fn open(scene: &'a Scene<'a>) -> anyhow::Result<Self> {
        let quorum = usize::from(COVENANT_QUORUM);
        let is_guilty = |operator: &Operator| COVENANT[..quorum].contains(&operator.name());
        let (guilty, honest): (Vec<_>, Vec<_>) = scene.operators.iter().cloned().partition(is_guilty);
        let client = honest.first().context("somebody is honest")?.client()?;
        let known = client.operators().await?;
        ensure!(
            known.iter().all(|one| one.convicted.is_none()),
            "somebody is convicted already; reset, and start anew"
        );
        let id = scene.vault(&guilty[0])?.outpoint.to_string();
        let seen = client.vault(id.clone()).await?;
        ensure!(seen.status == "active", "vault {id} is {}; reset, and start anew", seen.status);
        let registration = parse_hex_bytes(&seen.registration.context("vault_get shows it")?)?;
        let registration = VaultRegistration::from_bytes(&registration)?;
        let presigned = Presigned::held(&registration, &Versions::of(&scene.genesis)?)?;
        Ok(Self { scene, guilty, honest, vault: presigned.vault().clone() })
    }

    /// The honest stake more, and a committee counts it.
    async fn strengthen(&self) -> anyhow::Result<()> {
        let core = self.scene.devnet.network()?.eigenlayer();
        let amount = U256::from(MORE * STAKE_TOKENS) * U256::from(1_000_000_000_000_000_000_u64);
        for operator in &self.honest {
            let account = operator.account()?;
            eigenlayer::stake(&self.scene.devnet.ports().ethereum_url(), &core, &account, &account, amount).await?;
        }
        let guilty = self.guilty.iter().map(|one| Ok(one.id()?.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
        for operator in &self.honest {
            let client = operator.client()?;
            until("a committee in which the guilty weigh little", READY_DEADLINE, async || {
                let (mut theirs, mut all) = (0_u128, 0_u128);
                for member in client.committee(None).await?.members {
                    let weight: u128 = member.ether.parse()?;
                    all += weight;
                    theirs += if guilty.contains(&member.operator) { weight } else { 0 };
                }
                Ok(if theirs * 4 < all {
                    Seen::There(())
                } else {
                    Seen::NotYet(format!("they weigh {theirs} of {all}"))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// The vault's coins go home to the staker by the unbonding leaf, in a transaction that no honest member signs.
    async fn spend(&self) -> anyhow::Result<()> {
        let secret = keys::read_secret(&self.scene.devnet.layout().staker_key())?;
        let staker = eots::SecretKey::from_bytes(&secret).context("the staker's key")?;
        let home = Wallet::new(staker.clone()).address(Network::Regtest);
        let leaf = &self.vault.staking_output().unbonding;
        let mut transaction = Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn { previous_output: self.outpoint(), sequence: Sequence::MAX, ..TxIn::default() }],
            output: vec![TxOut {
                value: self.vault.value() - Amount::from_sat(FEE),
                script_pubkey: home.script_pubkey(),
            }],
        };
        let message = sighash(&transaction, 0, &[self.vault.spent(Held::Staked)], leaf).context("it has one input")?;
        let mut signatures = BTreeMap::new();
        for member in &self.guilty {
            let secret = keys::read_covenant(&member.files().covenant())?.context("he is a member")?;
            signatures.insert(secret.public().to_bytes(), secret.sign_schnorr(&message));
        }
        let mut witness = Witness::new();
        for member in self.vault.terms().covenant().iter().rev() {
            witness.push(signatures.get(&member.serialize()).map_or(&[][..], |signature| &signature[..]));
        }
        witness.push(staker.sign_schnorr(&message));
        witness.push(leaf.script.as_bytes());
        witness.push(leaf.control_block.serialize());
        transaction.input[0].witness = witness;
        self.scene.devnet.bitcoin()?.send(&transaction).await?;
        Ok(())
    }

    fn outpoint(&self) -> OutPoint {
        self.vault.outpoint()
    }

    /// Waits until every ledger holds the cases of all the guilty, each as is `wanted`, and all alike.
    async fn await_cases(&self, what: &str, wanted: impl Fn(&CaseView) -> bool) -> anyhow::Result<Vec<CaseView>> {
        let genesis = &self.scene.genesis;
        let domain = genesis.domain(DomainKind::Covenant);
        let mut cases = Vec::new();
        for member in &self.guilty {
            let id = CaseId::derive(&genesis.chain_id(), &member.id()?, &domain).to_string();
            let mut views = Vec::new();
            for operator in &self.scene.operators {
                let client = operator.client()?;
                let waits = format!("{}'s case {what}, on {}", member.name(), operator.name());
                let seen = until(&waits, SLASH_DEADLINE, async || {
                    let cases = client.cases().await?;
                    Ok(match cases.into_iter().find(|case| case.id == id) {
                        Some(case) if wanted(&case) => Seen::There(case),
                        Some(case) => Seen::NotYet(format!("{}, orders {:?}", case.status, case.orders)),
                        None => Seen::NotYet("there is no case".to_owned()),
                    })
                });
                views.push(seen.await?);
            }
            let opened = |view: &CaseView| (view.operator.clone(), view.slot, view.opened, view.evidence.clone());
            ensure!(views.windows(2).all(|pair| opened(&pair[0]) == opened(&pair[1])), "the ledgers differ: {views:?}");
            cases.extend(views.into_iter().next());
        }
        Ok(cases)
    }

    /// Waits until a node shows the certificates of the case's newest orders, one for each adapter.
    async fn await_certified(&self, case: &str) -> anyhow::Result<Vec<CaseOrderView>> {
        let client = self.honest.first().context("somebody is honest")?.client()?;
        let wanted = 1 + usize::from(self.scene.devnet.network()?.symbiotic().is_some());
        until(&format!("certified orders for case {case}"), SLASH_DEADLINE, async || {
            let orders = client.orders(case.to_owned()).await?;
            let certified = orders.iter().filter(|order| order.certificate.is_some() && order.calldata.is_some());
            let numbers: Vec<_> = certified.map(|order| order.number).collect();
            Ok(if orders.len() == wanted && numbers.len() == wanted {
                Seen::There(orders)
            } else {
                Seen::NotYet(format!("{} orders, certified are {numbers:?}", orders.len()))
            })
        })
        .await
    }

    fn check(&self, case: &CaseView, order: &CaseOrderView) -> anyhow::Result<()> {
        let contracts = &self.scene.genesis.contracts;
        ensure!(order.operator == case.operator && order.case == case.id, "the order is {order:?}");
        let symbiotic = contracts.symbiotic.map(|symbiotic| symbiotic.adapter);
        let adapter = match order.source.as_str() {
            "eigenlayer" => Some(contracts.eigenlayer_adapter),
            "symbiotic" => symbiotic,
            _ => None,
        };
        ensure!(adapter.map(|adapter| adapter.to_string()).as_ref() == Some(&order.adapter), "the order is {order:?}");
        let vaults = if order.source == "symbiotic" { 2 } else { 1 };
        ensure!(order.targets.len() == vaults, "it aims at {:?}", order.targets);
        ensure!(order.part == ORDER_WAD.to_string(), "it takes {} of 1e18", order.part);
        let signers = &order.certificate.as_ref().context("it is certified")?.signers;
        let guilty = self.guilty.iter().map(|one| Ok(one.id()?.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(signers.iter().all(|signer| !guilty.contains(signer)), "a convict signed: {signers:?}");
        Ok(())
    }

    /// What EigenLayer's views lost in all: a fifth of what each of the guilty had allocated, exactly what the ledgers booked, and
    /// nothing of anybody else's.
    fn lost(&self, before: &[Holding], now: &[Holding], cases: &[CaseView]) -> anyhow::Result<U256> {
        let mut sum = U256::ZERO;
        for operator in &self.scene.operators {
            let (had, has) = (self.scene.holding_of(operator, before)?, self.scene.holding_of(operator, now)?);
            let lost = had.shares - has.shares;
            let id = operator.id()?.to_string();
            let Some(case) = cases.iter().find(|case| case.operator == id) else {
                ensure!(lost == U256::ZERO, "{} lost {lost} shares without a fault", operator.name());
                continue;
            };
            let part = had.shares * U256::from(ORDER_WAD) / U256::from(1_000_000_000_000_000_000_u64);
            ensure!(lost.abs_diff(part) < U256::from(ROUNDING), "{} lost {lost}, not {part}", operator.name());
            let order = case.orders.iter().find(|order| order.source == "eigenlayer");
            let order = order.context("one is against EigenLayer")?;
            ensure!(order.status == "final", "the order is {order:?}");
            let taken: U256 = order.taken.as_deref().context("a final order says what was taken")?.parse()?;
            ensure!(taken == lost, "the ledgers say {taken} shares of {}, EigenLayer {lost}", operator.name());
            sum += lost;
        }
        Ok(sum)
    }

    /// Orders.sol calls the case executed everywhere, and Palisade.sol calls him a convict, so that his weight counts no more
    /// there (R9).
    async fn check_on_chain(&self, case: &CaseView) -> anyhow::Result<()> {
        let contracts = &self.scene.genesis.contracts;
        let address = |address: &palisade_types::Address| Address::from(*address.as_bytes());
        let provider = self.scene.devnet.anvil().provider()?;
        let contract = Orders::new(address(&contracts.orders), &provider);
        let (id, operator): (B256, Address) = (case.id.parse()?, case.operator.parse()?);
        let symbiotic = contracts.symbiotic.map(|symbiotic| symbiotic.adapter);
        for adapter in std::iter::once(contracts.eigenlayer_adapter).chain(symbiotic) {
            let executed = contract.isExecuted(id, operator, B256::ZERO, address(&adapter)).call().await?;
            ensure!(executed, "Orders.sol does not call {} executed through {adapter}", case.id);
        }
        let registry = Palisade::new(address(&contracts.palisade), &provider);
        ensure!(!registry.convictedAt(operator).call().await?.is_zero(), "{operator} counts on");
        let by_pair = registry.caseOf(operator, DomainKind::Ledger.number()).call().await?;
        ensure!(!by_pair.convicted && by_pair.done == 0, "{operator} is convicted by a pair that nobody signed");
        Ok(())
    }

    /// What lies in each vault on Symbiotic, by vault, and what was burnt there.
    async fn pots(&self) -> anyhow::Result<(Vec<(Address, U256)>, U256)> {
        let network = self.scene.devnet.network()?;
        let Some(vaults) = network.symbiotic() else { return Ok((Vec::new(), U256::ZERO)) };
        let provider = self.scene.devnet.anvil().provider()?;
        let mut pots = Vec::new();
        for vault in vaults.all() {
            pots.push((vault, symbiotic::active_stake(&provider, vault).await?));
        }
        Ok((pots, symbiotic::burned(&provider, &vaults.core).await?))
    }

    /// Each vault lost a fifth of what backs each of the guilty, exactly as the ledgers booked, and all of it was burnt.
    async fn check_pots(&self, before: &(Vec<(Address, U256)>, U256), cases: &[CaseView]) -> anyhow::Result<()> {
        let (pots, burned) = self.pots().await?;
        let part = U256::from(SYMBIOTIC_TOKENS) * U256::from(ORDER_WAD);
        let mut all = U256::ZERO;
        for ((vault, had), (_, has)) in before.0.iter().zip(pots) {
            let name = palisade_types::Address::new(vault.into_array()).to_string();
            let mut booked = U256::ZERO;
            for case in cases {
                let order = case.orders.iter().find(|order| order.source == "symbiotic" && order.target == name);
                let order = order.with_context(|| format!("no order is about vault {name}"))?;
                let taken: U256 = order.taken.as_deref().unwrap_or("0").parse()?;
                ensure!(order.status == "final" && taken == part, "not {part} was taken: {order:?}");
                booked += taken;
            }
            ensure!(had - has == booked, "vault {name} had {had} and has {has}, the ledgers say {booked}");
            all += booked;
        }
        ensure!(burned - before.1 == all, "{burned} were burnt, before {}, and {all} taken", before.1);
        Ok(())
    }

    /// Shares that EigenLayer will burn, or has burnt.
    async fn burnable(&self) -> anyhow::Result<U256> {
        let core = self.scene.devnet.network()?.eigenlayer();
        eigenlayer::burnable(&self.scene.devnet.anvil().provider()?, &core).await
    }
}
