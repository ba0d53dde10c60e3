//! `palisade status`

use super::{Node, node_error};
use crate::rpc::PalisadeClient;
use crate::rpc::views::{BlockName, ChainView, RunView, StatusView};

#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    node: Node,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub async fn act(self) -> anyhow::Result<()> {
        let status = self.node.client()?.status().await.map_err(node_error)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status)?);
        } else {
            table(&status).iter().for_each(|(name, value)| println!("{name:<16}{value}"));
        }
        Ok(())
    }
}

fn table(status: &StatusView) -> Vec<(&'static str, String)> {
    let seat = if status.seated { "seated" } else { "not in it" };
    let weight = if status.has_weight { "" } else { ", without weight" };
    let mut rows = vec![
        ("version", status.version.clone()),
        ("chain id", status.chain_id.clone()),
        ("operator", status.operator.clone()),
        ("head", block(Some(&status.head))),
        ("ether-final", if status.bitcoin_only { NEVER.to_owned() } else { block(status.ether_final.as_ref()) }),
        ("bitcoin-final", block(status.bitcoin_final.as_ref())),
        ("bitcoin run", run(status.bitcoin_run.as_ref())),
        (
            "nonces",
            status.eots_slots_left.map_or_else(|| "no keys".to_owned(), |left| format!("for {left} checkpoints ahead")),
        ),
        ("confirmed", confirmed(status)),
        ("epoch", format!("{}, committee of {} ({seat}{weight})", status.epoch, status.committee_size)),
        ("ethereum", chain(&status.ethereum)),
        ("bitcoin", chain(&status.bitcoin)),
        ("peers", status.peers.len().to_string()),
        ("signer", signer(status)),
        ("pending", status.pending.to_string()),
        ("cases", format!("{} open, {} final", status.cases_open, status.cases_final)),
    ];
    for (name, view) in [("Ethereum", &status.ethereum), ("Bitcoin", &status.bitcoin)] {
        if let Some(suspended) = &view.suspended {
            let (gone, since) = (&suspended.gone, suspended.since);
            let told = format!("{name} is SUSPENDED since height {since}: block {} {} is gone", gone.number, gone.hash);
            rows.push(("ALARM", format!("{told}; see palisade bitcoin accept")));
        }
    }
    if !status.contradicted.is_empty() {
        let chains = status.contradicted.join(" and ");
        rows.push(("ALARM", format!("a proposal contradicted what we saw of {chains}; nothing is attested")));
    }
    rows
}

/// Where bitcoin stands alone nobody attests: votes follow confirmation (R22).
fn confirmed(status: &StatusView) -> String {
    match status.bitcoin_only {
        true => format!("{}, voted for {}", status.confirmed, status.voted),
        false => format!("{}, attested {}, voted for {}", status.confirmed, status.attested, status.voted),
    }
}

fn block(name: Option<&BlockName>) -> String {
    name.map_or_else(|| "none yet".to_owned(), |name| format!("{}  {}", name.height, name.id))
}

fn run(run: Option<&RunView>) -> String {
    run.map_or_else(
        || "none yet".to_owned(),
        |run| match run.broken {
            None => format!("unbroken from {} to {}", run.first, run.last),
            Some(broken) => format!("from {} to {}; the run before it ended at {broken}", run.first, run.last),
        },
    )
}

fn chain(view: &ChainView) -> String {
    let own = view.own_final.as_ref().map_or_else(|| "not seen yet".to_owned(), |point| point.number.to_string());
    format!("taken in up to {}, final at our endpoint: {own}", view.anchor.number)
}

fn signer(status: &StatusView) -> String {
    match (status.signer.only_epochs_above, status.signer.attests) {
        (None, _) => "history unbroken".to_owned(),
        (Some(block), true) => format!("history broken, attests (this epoch starts above Ethereum block {block})"),
        (Some(block), false) => format!("history broken, waits for an epoch that starts above Ethereum block {block}"),
    }
}

const NEVER: &str = "never: bitcoin stands alone behind this network";
