//! `palisade evidence`

use super::{Node, node_error, read_text};
use crate::rpc::PalisadeClient;
use crate::rpc::forecast::{ConvictView, ForecastView, LossView, StrengthView, Supposed};
use crate::rpc::orders::CaseOrderView;
use crate::rpc::views::{CaseView, OrderView};
use anyhow::{Context, bail};
use palisade_types::{CaseId, OperatorId};
use std::path::Path;

/// The largest file that can be evidence: the node takes no larger request.
const MAX_FILE: u64 = 1 << 20;

#[derive(Debug, clap::Subcommand)]
pub enum Evidence {
    /// Hand in evidence
    Submit {
        /// Hex of its canonical bytes, or a file that holds such hex
        #[arg(value_name = "FILE|HEX")]
        evidence: String,
        #[command(flatten)]
        node: Node,
    },
    /// Tell who would lose what, and what would be left; nothing is handed in
    Simulate {
        /// Evidence: hex of its canonical bytes, or a file that holds such hex
        #[arg(value_name = "FILE|HEX", required_unless_present = "operator")]
        evidence: Option<String>,
        /// Instead of evidence: who would sign twice
        #[arg(long, value_name = "ID", conflicts_with = "evidence")]
        operator: Option<OperatorId>,
        /// Where he would: ledger, bitcoin, vault-claim or order
        #[arg(long, default_value = "ledger", requires = "operator")]
        domain: String,
        #[command(flatten)]
        node: Node,
    },
    /// Show one case
    Case {
        /// The case's id
        id: CaseId,
        #[command(flatten)]
        node: Node,
    },
    /// Show what is ordered of a case that no contract can judge, and what anybody sends to Orders.sol
    Orders {
        /// The case's id
        id: CaseId,
        #[command(flatten)]
        node: Node,
    },
    /// Show every case
    List {
        #[command(flatten)]
        node: Node,
    },
}

impl Evidence {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Submit { evidence, node } => {
                let accepted = node.client()?.submit_evidence(hex_of(&evidence)?).await.map_err(node_error)?;
                accepted.cases.iter().for_each(|case| println!("{case}"));
                if accepted.cases.is_empty() {
                    println!("taken; it opens no case");
                }
            }
            Self::Simulate { evidence, operator, domain, node } => {
                let fault = match (evidence, operator) {
                    (Some(evidence), _) => Supposed::Proven { evidence: hex_of(&evidence)? },
                    (None, Some(operator)) => Supposed::Guessed { operator: operator.to_string(), domain },
                    (None, None) => bail!("say which evidence, or which operator"),
                };
                print_forecast(&node.client()?.simulate(fault).await.map_err(node_error)?);
            }
            Self::Case { id, node } => print_case(&node.client()?.case(id.to_string()).await.map_err(node_error)?),
            Self::Orders { id, node } => {
                let orders = node.client()?.orders(id.to_string()).await.map_err(node_error)?;
                orders.iter().for_each(print_order);
                println!("{} orders", orders.len());
            }
            Self::List { node } => {
                let cases = node.client()?.cases().await.map_err(node_error)?;
                cases.iter().for_each(print_case);
                println!("{} cases", cases.len());
            }
        }
        Ok(())
    }
}

/// The hex itself, or what the file of that name holds.
fn hex_of(text: &str) -> anyhow::Result<String> {
    if text.starts_with("0x") || !Path::new(text).exists() {
        crate::text::parse_hex_bytes(text).with_context(|| format!("{text:.40} is neither a file nor evidence"))?;
        return Ok(text.to_owned());
    }
    let content = read_text(Path::new(text), MAX_FILE)?.trim().to_owned();
    crate::text::parse_hex_bytes(&content).with_context(|| text.to_owned())?;
    Ok(content)
}

fn print_forecast(foreseen: &ForecastView) {
    for ConvictView { case, operator, losses, .. } in &foreseen.convicts {
        println!("case      {case} would be opened");
        println!("operator  {operator}");
        for LossView { source, target, takes, of, value, .. } in losses {
            println!("loss      {source} {target}: {takes} of {of}, worth {value} micro-dollars");
        }
        if losses.is_empty() {
            println!("loss      none: nothing of his can be taken for it");
        }
    }
    for (when, strength) in [("now", &foreseen.before), ("then", &foreseen.after)] {
        let StrengthView { members, ether, bitcoin } = strength;
        println!("{when:<10}{members} members; {ether} micro-dollars of ETH-side stake, {bitcoin} satoshis");
    }
}

fn print_order(order: &CaseOrderView) {
    println!("order     {} of epoch {}", order.number, order.epoch);
    println!("operator  {}", order.operator);
    println!(
        "takes     {} of 1e18 on {} through {}, until Ethereum block {}",
        order.part, order.source, order.adapter, order.expiry
    );
    order.targets.iter().for_each(print_target);
    println!("bytes     {}", order.bytes);
    match &order.certificate {
        Some(certificate) => println!("certified by {} operators", certificate.signers.len()),
        None => println!("not certified yet"),
    }
    if let Some(calldata) = &order.calldata {
        println!("announce  {calldata}");
    }
    println!();
}

fn print_case(case: &CaseView) {
    println!("case      {}", case.id);
    println!("operator  {}", case.operator);
    println!("fault     {} domain, slot {}, proven in block {}", case.domain_kind, case.slot, case.opened);
    println!("status    {}", case.status);
    case.orders.iter().for_each(print_target);
    println!();
}

fn print_target(order: &OrderView) {
    let taken = order.taken.as_deref().map_or(String::new(), |taken| format!(", taken {taken}"));
    let transaction = order.transaction.as_deref().map_or(String::new(), |txid| format!(" by {txid}"));
    println!(
        "order     {} {}: asked {}, {}{taken}{transaction}",
        order.source, order.target, order.asked, order.status
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_given_as_hex_or_as_a_file_of_hex() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pair.hex");
        std::fs::write(&file, "0x0102\n").unwrap();
        assert_eq!(hex_of("0x0102").unwrap(), "0x0102");
        assert_eq!(hex_of(file.to_str().unwrap()).unwrap(), "0x0102");
        std::fs::write(&file, "pair").unwrap();
        assert!(hex_of(file.to_str().unwrap()).is_err());
        assert!(hex_of("nowhere.hex").unwrap_err().to_string().contains("neither a file nor evidence"));
    }
}
