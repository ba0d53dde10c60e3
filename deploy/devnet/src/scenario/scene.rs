//! The devnet as a scenario sees it: what every scenario asks and waits for.

use super::report::{Change, Gas, Holding};
use crate::constants::{READY_DEADLINE, SLASH_DEADLINE};
use crate::devnet::{Devnet, vault_of};
use crate::eigenlayer;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use anyhow::{Context, ensure};
use bitcoin::{OutPoint, Transaction, consensus::encode};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::{CaseView, OrderView, VaultView};
use palisade_types::OperatorId;
use palisade_types::genesis::Genesis;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The devnet as a scenario sees it.
pub(super) struct Scene<'a> {
    pub(super) devnet: &'a Devnet,
    pub(super) genesis: Arc<Genesis>,
    pub(super) operators: Vec<Operator>,
}

/// One operator's vault.
pub(super) struct VaultSeen {
    pub(super) outpoint: OutPoint,
    pub(super) amount: u64,
    pub(super) slashing: Transaction,
}

impl<'a> Scene<'a> {
    pub(super) fn open(devnet: &'a Devnet) -> anyhow::Result<Self> {
        let operators = devnet.operators()?;
        for operator in &operators {
            ensure!(operator.process().pid().is_some(), "{} does not run; start the devnet with: up", operator.name());
        }
        Ok(Self { devnet, genesis: devnet.genesis()?, operators })
    }
}

impl Scene<'_> {
    /// Every operator's own state root after one height is the same.
    pub(super) async fn check_roots(&self) -> anyhow::Result<()> {
        let mut heights = Vec::new();
        for operator in &self.operators {
            heights.push(operator.client()?.status().await?.head.height);
        }
        let height = heights.into_iter().max().context("a devnet has operators")?;
        let mut roots = Vec::new();
        for operator in &self.operators {
            let client = operator.client()?;
            let what = format!("height {height} on {}", operator.name());
            let root = until(&what, SLASH_DEADLINE, async || Ok(Seen::There(client.block(height).await?.state_root)));
            roots.push((operator.name(), root.await?));
        }
        ensure!(
            roots.windows(2).all(|pair| pair[0].1 == pair[1].1),
            "state roots at height {height} differ: {roots:?}"
        );
        say(format!("the state root at height {height} is {} on all {}", roots[0].1, roots.len()));
        Ok(())
    }

    /// Somebody who is not this one.
    pub(super) fn another(&self, than: &Operator) -> anyhow::Result<&Operator> {
        let mut others = self.operators.iter().filter(|operator| operator.name() != than.name());
        others.next().context("a devnet has operators")
    }

    /// Who is convicted, by every ledger alike.
    pub(super) async fn convicted(&self) -> anyhow::Result<BTreeSet<String>> {
        let mut said = Vec::new();
        for operator in &self.operators {
            let known = operator.client()?.operators().await?.into_iter();
            said.push(known.filter(|one| one.convicted.is_some()).map(|one| one.id).collect::<BTreeSet<_>>());
        }
        ensure!(said.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers differ about who is convicted: {said:?}");
        said.into_iter().next().context("a devnet has operators")
    }

    /// Waits until the vault is so in every ledger; all must say the same of it.
    pub(super) async fn await_vault(&self, vault: &str, wanted: &str) -> anyhow::Result<VaultView> {
        let mut views = Vec::new();
        for operator in &self.operators {
            let client = operator.client()?;
            let what = format!("vault {vault} {wanted} on {}", operator.name());
            let seen = until(&what, READY_DEADLINE, async || {
                let mut view = client.vault(vault.to_owned()).await?;
                view.confirmations = 0; // grows with the anchor
                Ok(if view.status == wanted { Seen::There(view) } else { Seen::NotYet(view.status) })
            });
            views.push(seen.await?);
        }
        ensure!(views.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers differ about a vault: {views:?}");
        views.into_iter().next().context("a devnet has operators")
    }

    /// Both chains' newest final heights of each of these.
    pub(super) async fn final_heights(&self, operators: &[Operator]) -> anyhow::Result<Vec<u64>> {
        let mut heights = Vec::new();
        for operator in operators {
            let status = operator.client()?.status().await?;
            let height = |block: Option<palisade_node::rpc::views::BlockName>| block.map_or(0, |block| block.height);
            heights.push(height(status.ether_final).max(height(status.bitcoin_final)));
        }
        Ok(heights)
    }

    /// Each of these has since finalised more, on both sides.
    pub(super) async fn finalised_since(&self, operators: &[Operator], since: &[u64]) -> anyhow::Result<()> {
        for (operator, height) in operators.iter().zip(since) {
            self.devnet.await_final_above(operator, *height, SLASH_DEADLINE).await?;
        }
        Ok(())
    }

    /// What the transactions used that took these orders, each once.
    pub(super) async fn gas(&self, orders: &[&OrderView]) -> anyhow::Result<Vec<Gas>> {
        let provider = self.devnet.anvil().provider()?;
        let mut by_transaction: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for order in orders {
            let Some(transaction) = &order.transaction else { continue };
            by_transaction.entry(transaction.clone()).or_default().push(&order.source);
        }
        let mut gas = Vec::new();
        for (transaction, sources) in by_transaction {
            let receipt = provider.get_transaction_receipt(transaction.parse()?).await?;
            let used = receipt.with_context(|| format!("there is no transaction {transaction}"))?.gas_used;
            gas.push(Gas { what: format!("taking from {}", sources.join(" and ")), used });
        }
        Ok(gas)
    }

    /// What one of the operators has, in the order of all.
    pub(super) fn holding_of<'h>(&self, operator: &Operator, holdings: &'h [Holding]) -> anyhow::Result<&'h Holding> {
        let named = self.operators.iter().zip(holdings).find(|(one, _)| one.name() == operator.name());
        Ok(named.context("he is one of them")?.1)
    }

    pub(super) fn changes(&self, before: Vec<Holding>, now: Vec<Holding>) -> Vec<Change> {
        let names = self.operators.iter().map(|operator| operator.name().to_owned());
        let pairs = names.zip(before).zip(now);
        pairs.map(|((operator, before), now)| Change { operator, before, now }).collect()
    }

    /// What stands behind each operator, by the chains' own views.
    pub(super) async fn holdings(&self) -> anyhow::Result<Vec<Holding>> {
        let client = self.devnet.bitcoin()?;
        let mut holdings = Vec::new();
        for operator in &self.operators {
            let sats = match operator.files().vault().exists() {
                false => 0,
                true => {
                    let vault = self.vault(operator)?;
                    client.unspent(vault.outpoint, true).await?.map_or(0, |_| vault.amount)
                }
            };
            holdings.push(Holding { shares: self.shares(operator).await?, sats });
        }
        Ok(holdings)
    }

    pub(super) async fn shares(&self, operator: &Operator) -> anyhow::Result<U256> {
        let adapter = Address::from(*self.genesis.contracts.eigenlayer_adapter.as_bytes());
        let core = self.devnet.network()?.eigenlayer();
        eigenlayer::slashable(&self.devnet.anvil().provider()?, &core, account(&operator.id()?), adapter).await
    }

    pub(super) fn vault(&self, operator: &Operator) -> anyhow::Result<VaultSeen> {
        let registration = vault_of(operator)?.with_context(|| format!("{} has no vault", operator.name()))?;
        let staking: Transaction = encode::deserialize(&registration.staking)?;
        let slashing = registration.slashings.first().context("a vault has a slashing transaction")?;
        Ok(VaultSeen {
            outpoint: OutPoint { txid: staking.compute_txid(), vout: registration.output },
            amount: registration.amount.get(),
            slashing: encode::deserialize(&slashing.transaction)?,
        })
    }

    pub(super) async fn cases(&self) -> anyhow::Result<Vec<CaseView>> {
        Ok(self.operators[0].client()?.cases().await?)
    }
}

fn account(operator: &OperatorId) -> Address {
    Address::from(*operator.as_bytes())
}

/// Copies files and folders; sockets and the like are nobody's state.
pub(super) fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_all(&path, &to)?;
        } else if kind.is_file() {
            fs::copy(&path, &to)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}
