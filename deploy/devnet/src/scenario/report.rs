//! What came out of a scenario, for a person to read.

use crate::progress::{seconds, table};
use alloy::primitives::U256;
use std::time::Duration;

/// What came out of a scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose keys equivocated; `None` in a quiet run.
    pub convict: Option<String>,
    /// What happened, and how long after the beginning: where there is evidence, after it was handed in.
    pub steps: Vec<Step>,
    /// What everybody had before and has now.
    pub holdings: Vec<Change>,
    /// How long it took in all.
    pub took: Duration,
    /// What slashes cost on Ethereum.
    pub gas: Vec<Gas>,
}

/// What a transaction used, as its receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gas {
    /// What it did.
    pub what: String,
    /// How much gas.
    pub used: u64,
}

/// Something that came true.
#[derive(Clone, Debug)]
pub struct Step {
    /// What.
    pub what: &'static str,
    /// How long after the start.
    pub after: Duration,
    /// What had to be waited for.
    pub waited_for: &'static str,
}

/// What one operator stands to lose, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub operator: String,
    /// Before.
    pub before: Holding,
    /// After.
    pub now: Holding,
}

/// What stands behind one operator, by the chains' own views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Slashable shares on EigenLayer.
    pub shares: U256,
    /// Satoshis in his vaults' unspent staking outputs.
    pub sats: u64,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = |shares: U256| {
            let thousandth = U256::from(1_000_000_000_000_000_u64);
            let thousandths = (shares / thousandth).to::<u64>();
            format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
        };
        let bitcoin = |sats: u64| format!("{}.{:08}", sats / 100_000_000, sats % 100_000_000);
        let rows: Vec<_> = self
            .holdings
            .iter()
            .map(|Change { operator, before, now }| {
                let lost = before.shares.saturating_sub(now.shares);
                vec![
                    operator.clone(),
                    token(before.shares),
                    token(now.shares),
                    token(lost),
                    bitcoin(before.sats),
                    bitcoin(now.sats),
                ]
            })
            .collect();
        let headings = ["operator", "slashable before", "slashable now", "lost", "vault before", "vault now"];
        writeln!(
            f,
            "\nWhat was lost where (tokens on EigenLayer, bitcoins in untouched vaults)\n{}",
            table(&headings, &rows)
        )?;
        let rows: Vec<_> = self
            .steps
            .iter()
            .map(|step| vec![step.what.to_owned(), seconds(step.after), step.waited_for.to_owned()])
            .collect();
        if !rows.is_empty() {
            writeln!(
                f,
                "\nWhen each step was done, from the beginning\n{}",
                table(&["step", "after", "waited for"], &rows)
            )?;
        }
        if !self.gas.is_empty() {
            let rows: Vec<_> = self.gas.iter().map(|gas| vec![gas.what.clone(), gas.used.to_string()]).collect();
            writeln!(f, "\nWhat whole transactions cost\n{}", table(&["transaction", "gas"], &rows))?;
        }
        write!(f, "\nin all {}", seconds(self.took))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_what_was_lost_where() {
        let holding = |tokens: u64, sats| Holding {
            shares: U256::from(tokens) * U256::from(1_000_000_000_000_000_000_u64),
            sats,
        };
        let report = Report {
            convict: Some("dave".to_owned()),
            steps: vec![Step {
                what: "both convictions in every ledger",
                after: Duration::from_millis(1_200),
                waited_for: "the next blocks",
            }],
            holdings: vec![Change {
                operator: "dave".to_owned(),
                before: holding(1_000, 100_000_000),
                now: holding(900, 0),
            }],
            took: Duration::from_secs(30),
            gas: vec![Gas { what: "the pair".to_owned(), used: 440_123 }],
        };
        let text = report.to_string();
        assert!(
            text.contains("dave      1000.000          900.000        100.000  1.00000000    0.00000000"),
            "{text}"
        );
        assert!(text.contains("1.2 s") && text.contains("the pair     440123"), "{text}");
    }
}
