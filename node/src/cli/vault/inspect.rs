//! `palisade vault inspect`

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, bail};
use palisade_bitcoin::babylon::inspect::{self, InputReport, MAX_TRANSACTION_BYTES, Report};

/// The most text that can hold a transaction: two digits for each byte, and some white space.
const MAX_TEXT: u64 = 2 * MAX_TRANSACTION_BYTES as u64 + 1_024;

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Hex of a transaction, a file that holds such hex, or `-` for standard input
    #[arg(value_name = "TX_HEX|FILE|-")]
    transaction: String,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub async fn act(self) -> anyhow::Result<()> {
        let bytes = crate::text::parse_hex_bytes(&text_of(&self.transaction)?).context("the transaction")?;
        let report = inspect::inspect(&bytes)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            lines(&report).iter().for_each(|(name, value)| println!("{name:<16}{value}"));
        }
        Ok(())
    }
}

/// The text itself, what the file of that name holds, or what comes in.
fn text_of(given: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if given == "-" {
        std::io::stdin().lock().take(MAX_TEXT + 1).read_to_string(&mut text).context("standard input")?;
    } else if Path::new(given).is_file() {
        let file = std::fs::File::open(given).with_context(|| given.to_owned())?;
        file.take(MAX_TEXT + 1).read_to_string(&mut text).with_context(|| given.to_owned())?;
    } else {
        text.push_str(given);
    }
    if text.len() as u64 > MAX_TEXT {
        bail!("more text than any transaction has");
    }
    Ok(text)
}

fn lines(report: &Report) -> Vec<(&'static str, String)> {
    let mut lines = vec![("transaction", report.txid.clone())];
    report.inputs.iter().for_each(|input| lines.push(("input", spend(input))));
    lines
}

fn spend(input: &InputReport) -> String {
    match (input.leaf, &input.staker) {
        (Some(leaf), Some(staker)) => format!("{} by the {leaf} leaf of staker {staker}", input.spends),
        _ => format!("{}, by no leaf of a stake", input.spends),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_given_as_text_or_as_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tx.hex");
        std::fs::write(&file, "0200\n").unwrap();
        assert_eq!(text_of("0200").unwrap(), "0200");
        assert_eq!(text_of(file.to_str().unwrap()).unwrap(), "0200\n");
    }
}
