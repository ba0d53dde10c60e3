//! `palisade vault inspect`

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use palisade_bitcoin::Client;
use palisade_bitcoin::babylon::inspect::{self, Act, Hints, Kind, MAX_TRANSACTION_BYTES, Report};
use palisade_bitcoin::babylon::parameters::{MAX_FILE_BYTES, Table};

use super::core::Core;

/// The most text that can hold a transaction: two digits for each byte, and some white space.
const MAX_TEXT: usize = 2 * MAX_TRANSACTION_BYTES + 1_024;

/// The digits of an id.
const TXID_DIGITS: usize = 64;

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Hex of a transaction, a file that holds such hex, `-` for standard input, or the id of one, or of a vault, that Bitcoin Core is asked for
    #[arg(value_name = "TX_HEX|FILE|-|TXID")]
    transaction: String,
    /// Whose rules are asked for: bbn-1, bbn-test-5, a file of Babylon's versioned parameters, or a genesis of ours
    #[arg(long, default_value = "bbn-1", value_name = "NAME|FILE")]
    network: String,
    /// The staker's key, x-only: a stake without identification is recognised by it and the providers
    #[arg(long, value_name = "KEY")]
    staker: Option<String>,
    /// A finality provider's key, x-only; once for each
    #[arg(long = "provider", value_name = "KEY")]
    providers: Vec<String>,
    /// The staking time in blocks; every one that is allowed is tried without it
    #[arg(long, value_name = "BLOCKS")]
    time: Option<u16>,
    /// The height of the stake's block: only the version in force there is meant
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u32>,
    /// A transaction whose output is spent, as hex or file; once for each
    #[arg(long = "previous", value_name = "TX_HEX|FILE")]
    previous: Vec<String>,
    #[command(flatten)]
    core: Core,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub async fn act(self) -> anyhow::Result<()> {
        let table = table(&self.network)?;
        let client = self.core.client()?;
        let mut hints = Hints::of(self.staker.as_deref(), &self.providers, self.time)?.at(self.height);
        for previous in &self.previous {
            hints = hints.with_previous(&bytes_of(previous)?).context("--previous")?;
        }
        let bytes = match (id(&self.transaction), &client) {
            (Some(id), Some(client)) => found(client, id).await?,
            (Some(_), None) => bail!("an id needs --bitcoin-rpc or --config, so that somebody can be asked"),
            (None, _) => bytes_of(&self.transaction)?,
        };
        if let Some(client) = &client {
            hints = with_parents(hints, client, &bytes).await?;
        }
        let report = inspect::inspect(&bytes, &table, &hints).with_context(|| format!("{:.40}", self.transaction))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            lines(&report).iter().for_each(|line| println!("{line}"));
        }
        Ok(())
    }
}

/// The transaction of that id, as the endpoint knows it.
async fn found(client: &Client, txid: &str) -> anyhow::Result<Vec<u8>> {
    client.transaction_bytes(txid).await.map_err(|error| match error.is_not_found() {
        true => anyhow::anyhow!("{txid} is not known at {}; it needs -txindex for what lies in blocks", client.url()),
        false => anyhow::Error::new(error).context(format!("asking {}", client.url())),
    })
}

/// Adds what the endpoint knows of the transactions whose outputs are spent. One it does not know leaves rules unknown, not broken.
async fn with_parents(mut hints: Hints, client: &Client, bytes: &[u8]) -> anyhow::Result<Hints> {
    for txid in inspect::parents(bytes)? {
        match client.transaction_bytes(&txid).await {
            Ok(previous) => hints = hints.with_previous(&previous)?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error).context("asking for what is spent"),
        }
    }
    Ok(hints)
}

fn table(network: &str) -> anyhow::Result<Table> {
    match network {
        "bbn-1" => Ok(Table::bbn_1()),
        "bbn-test-5" => Ok(Table::bbn_test_5()),
        file => {
            let open = || format!("{file:.80} is neither bbn-1 nor bbn-test-5 nor a file");
            let text = read(File::open(file).with_context(open)?, MAX_FILE_BYTES).with_context(|| file.to_owned())?;
            let value: serde_json::Value = serde_json::from_str(&text).with_context(|| file.to_owned())?;
            if value.get("versions").is_some() {
                return Table::read(file, text.as_bytes()).with_context(|| file.to_owned());
            }
            let genesis = crate::genesis_file::read(Path::new(file)).with_context(|| file.to_owned())?;
            Table::palisade(&genesis.vaults).with_context(|| file.to_owned())
        }
    }
}

/// The id that was given, be it a transaction's or, `txid:output`, a vault's.
fn id(given: &str) -> Option<&str> {
    let given = given.trim();
    let id = given.split_once(':').map_or(given, |(id, _)| id);
    let is_id = id.len() == TXID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_id && !Path::new(given).exists()).then_some(id)
}

fn bytes_of(given: &str) -> anyhow::Result<Vec<u8>> {
    let text = text_of(given)?;
    crate::text::parse_hex_bytes(&text).with_context(|| match text == given {
        true => format!("{given:.40} is neither a file nor a transaction"),
        false => format!("{given:.40} holds no transaction"),
    })
}

/// The text itself, what the file of that name holds, or what comes in.
fn text_of(given: &str) -> anyhow::Result<String> {
    if given == "-" {
        return read(std::io::stdin().lock(), MAX_TEXT).context("standard input");
    }
    if given.is_empty() {
        bail!("nothing is given");
    }
    if given.len() < MAX_PATH && Path::new(given).exists() {
        let file = File::open(given).with_context(|| given.to_owned())?;
        return read(file, MAX_TEXT).with_context(|| given.to_owned());
    }
    Ok(given.to_owned())
}

fn read(source: impl Read, most: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    source.take(most as u64 + 1).read_to_string(&mut text)?;
    if text.len() > most {
        bail!("more than {most} characters");
    }
    Ok(text)
}

/// The longest path that a system takes; anything longer is the transaction itself.
const MAX_PATH: usize = 4_096;

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![line("transaction", &report.txid)];
    if report.acts.is_empty() {
        let network = &report.network;
        lines.push(format!(
            "It has to do with no stake of {network} that can be recognised. A stake without identification"
        ));
        lines.push(
            "is a hash: name its staker and providers with --staker and --provider, its network with --network."
                .to_owned(),
        );
    }
    for act in &report.acts {
        lines.push(String::new());
        lines.extend(explain(act, &report.network));
    }
    lines
}

fn explain(act: &Act, network: &str) -> Vec<String> {
    let versions: Vec<_> = act.versions.iter().map(u32::to_string).collect();
    let does = match act.kind {
        Kind::Staking => "makes a stake",
        Kind::Unbonding => "unbonds a stake",
        Kind::Slashing => "slashes a stake",
        Kind::Withdrawal => "withdraws",
        Kind::Expansion => "expands a stake",
    };
    let mut lines = vec![line("does", &format!("{does}: {}", act.outpoint))];
    let mut add = |name: &str, value: Option<String>| lines.extend(value.map(|value| line(name, &value)));
    let sats = |value: Option<u64>| value.map(|value| format!("{value} sat"));
    let blocks = |value: Option<u16>| value.map(|value| format!("{value} blocks"));
    add("spends", act.spends.clone());
    add("parameters", Some(format!("{network}, version {}", versions.join(" or "))));
    add("staker", Some(act.staker.clone()));
    act.providers.iter().for_each(|provider| add("provider", Some(provider.clone())));
    add("slashed", act.slashed.clone());
    act.covenant.iter().for_each(|member| {
        let signed = if act.signed_by.contains(member) { ", has signed" } else { "" };
        add("covenant", Some(format!("{member}{signed}")));
    });
    add("quorum", act.quorum.map(|quorum| format!("{quorum} of {}", act.covenant.len())));
    add("staking time", blocks(act.staking_time));
    add("unbonding time", blocks(act.unbonding_time));
    add("value", sats(act.value));
    add("taken", sats(act.taken));
    add("fee", sats(act.fee));
    act.rules.iter().for_each(|rule| {
        let note = match (rule.verdict, rule.note.as_deref()) {
            ("unknown", Some(without)) => format!(" (without {without})"),
            (_, Some(found)) => format!(": {found}"),
            (_, None) => String::new(),
        };
        add(rule.verdict, Some(format!("{}{note}", rule.rule)));
    });
    lines
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<16}{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_given_as_text_as_a_file_or_by_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tx.hex");
        std::fs::write(&file, "0200\n").unwrap();
        assert_eq!(bytes_of("0200").unwrap(), [2, 0]);
        assert_eq!(bytes_of(file.to_str().unwrap()).unwrap(), [2, 0]);
        assert!(bytes_of("nowhere.hex").unwrap_err().to_string().contains("neither a file nor a transaction"));
        let zeros = "0".repeat(64);
        assert_eq!([id(&zeros), id(&format!("{zeros}:1"))], [Some(zeros.as_str()); 2]);
        assert_eq!([id(&"0".repeat(66)), id(&"g".repeat(64)), id(":0")], [None; 3]);
        assert!(read(&[b'0'; 9][..], 8).is_err());
    }

    #[test]
    fn networks_are_named_or_read() {
        assert_eq!(table("bbn-1").unwrap().versions().len(), 5);
        assert_eq!(table("bbn-test-5").unwrap().versions().len(), 7);
        assert!(table("bbn-2").unwrap_err().to_string().contains("neither bbn-1 nor bbn-test-5 nor a file"));
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().to_str().unwrap().to_owned();
        assert!(table(&named).unwrap_err().to_string().contains(&named), "a folder is called by its name");
        assert!(format!("{:#}", bytes_of(&named).unwrap_err()).contains(&named));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("parameters.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(table(file.to_str().unwrap()).is_err());
    }

    #[test]
    fn what_is_not_known_is_said() {
        let report = Report { txid: "00".to_owned(), network: "bbn-1".to_owned(), acts: vec![] };
        assert!(lines(&report).iter().any(|line| line.contains("--staker")));
    }
}
