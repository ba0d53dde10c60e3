//! `palisade vault list` and `status`

use crate::cli::{Node, node_error};
use crate::rpc::PalisadeClient;
use crate::rpc::views::VaultView;
use palisade_types::ids::{OperatorId, SchnorrKey};

#[derive(Debug, clap::Args)]
pub struct List {
    /// Only vaults behind this operator
    #[arg(long, value_name = "ACCOUNT")]
    operator: Option<OperatorId>,
    /// Only vaults of this staker, x-only key
    #[arg(long, value_name = "KEY")]
    staker: Option<SchnorrKey>,
    #[command(flatten)]
    node: Node,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn act(self) -> anyhow::Result<()> {
        let mut vaults = self.node.client()?.vaults().await.map_err(node_error)?;
        let operator = self.operator.map(|operator| operator.to_string());
        vaults.retain(|vault| operator.as_ref().is_none_or(|operator| *operator == vault.operator));
        let staker = self.staker.map(|staker| staker.to_string());
        vaults.retain(|vault| staker.as_ref().is_none_or(|staker| *staker == vault.staker));
        if self.json {
            println!("{}", serde_json::to_string_pretty(&vaults)?);
            return Ok(());
        }
        println!("{:<67} {:<9} {:>14} {:>8}  OPERATOR", "VAULT", "STATUS", "SATOSHIS", "UNTIL");
        for vault in &vaults {
            let until = vault.end.map_or_else(|| "-".to_owned(), |end| end.to_string());
            println!("{:<67} {:<9} {:>14} {until:>8}  {}", vault.id, vault.status, vault.amount, vault.operator);
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub struct Status {
    /// The vault, `txid:output`
    vault: String,
    #[command(flatten)]
    node: Node,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub async fn act(self) -> anyhow::Result<()> {
        let vault = self.node.client()?.vault(self.vault).await.map_err(node_error)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&vault)?);
        } else {
            table(&vault).iter().for_each(|(name, value)| println!("{name:<18}{value}"));
        }
        Ok(())
    }
}

fn table(vault: &VaultView) -> Vec<(&'static str, String)> {
    let height = |height: Option<u64>| height.map_or_else(|| "not known yet".to_owned(), |height| height.to_string());
    let mut rows = vec![
        ("vault", vault.id.clone()),
        ("status", vault.status.clone()),
        ("operator", vault.operator.clone()),
        ("staker", vault.staker.clone()),
        ("satoshis", vault.amount.clone()),
        ("terms", format!("version {}", vault.terms)),
        ("registered", format!("at Bitcoin height {}", vault.registered)),
        ("start", height(vault.start)),
        ("weightless from", height(vault.expires)),
        ("unlocked at", height(vault.end)),
        ("confirmations", vault.confirmations.to_string()),
        ("dearest slash", format!("{} satoshis per 1000 weight units", vault.top_rate)),
    ];
    if vault.outbid {
        rows.push(("outbid", "the market asks more than the dearest slash pays: it weighs nothing (R28)".to_owned()));
    }
    rows.extend(vault.exposed.iter().map(|key| ("exposed provider", format!("{key}: anybody can slash it (R29)"))));
    rows.extend(vault.providers.iter().map(|provider| ("provider", provider.clone())));
    let more = [("grows out of", &vault.parent), ("spent by", &vault.transaction), ("satoshis taken", &vault.taken)];
    rows.extend(more.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    rows.extend(next(vault).map(|next| ("next", next)));
    rows
}

/// What its staker can do now.
fn next(vault: &VaultView) -> Option<String> {
    let end = vault.end.map_or_else(|| "its end".to_owned(), |end| format!("Bitcoin height {end}"));
    match vault.status.as_str() {
        "verified" => Some("palisade vault send locks its coins, unless they are locked".to_owned()),
        "active" => Some(format!("palisade vault unbond to leave early, or withdraw from {end} on")),
        "expired" => Some(format!("palisade vault withdraw from {end} on")),
        "unbonding" => Some("palisade vault withdraw once the unbonding time is over".to_owned()),
        "slashed" => {
            Some("palisade vault withdraw takes what the slash left, once the unbonding time is over".to_owned())
        }
        _ => None,
    }
}
