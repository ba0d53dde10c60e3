//! `palisade proof`: what a node says about one row of the ledger, to be believed by somebody who trusts no node.

use super::{Node, node_error, read_text};
use crate::rpc::PalisadeClient;
use crate::text::{hex_bytes, parse_hex_bytes};
use anyhow::{Context, bail};
use palisade_types::chain::ChainKind;
use palisade_types::position::{PositionId, StakeSource};
use palisade_types::proof::{Clock, ProofBundle};
use palisade_types::service::ServiceStakeId;
use palisade_types::{Address, Canonical, Epoch, Hash, Height, RowKey};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest file that can hold a bundle, in bytes: hex of a genesis, a committee, and a row.
const MAX_FILE: u64 = 5 << 20;

#[derive(Debug, clap::Subcommand)]
pub enum Proof {
    /// Ask a node for a row and everything that ties it to its committee
    Fetch {
        /// Which row: `operator ID`, `vault TXID:OUTPUT`, `case ID`, `position OPERATOR PROTOCOL ADDRESS`, `block HEIGHT`, `service ID`, `service-stake ADAPTER OPERATOR STRATEGY`,
        /// `committee EPOCH`, `anchor CHAIN`, `epoch`, `finality`, or canonical bytes of a key in hex
        #[arg(required = true, num_args = 1..=4, value_name = "ROW")]
        row: Vec<String>,
        /// The file to make; printed without
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        node: Node,
    },
    /// Check such a file, with nothing but a committee's hash and how far an own chain is
    Verify {
        /// What `fetch` made; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The committee's hash, from Committee.sol, an own node, or a proof of the epoch before
        #[arg(long, value_name = "HASH")]
        committee: Hash,
        #[command(flatten)]
        clock: ClockArgs,
    },
}

/// How far a chain of the reader's own is; never what the node says that gave the proof (R5).
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct ClockArgs {
    /// The newest block of your own Ethereum
    #[arg(long, value_name = "BLOCK")]
    ethereum_block: Option<u64>,
    /// The newest block of your own Bitcoin
    #[arg(long, value_name = "HEIGHT")]
    bitcoin_height: Option<u64>,
}

impl Proof {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Fetch { row, out, node } => fetch(&row, out.as_deref(), &node).await,
            Self::Verify { file, committee, clock } => {
                let clock = match (clock.ethereum_block, clock.bitcoin_height) {
                    (Some(block), _) => Clock::Ethereum(block),
                    (None, Some(height)) => Clock::Bitcoin(height),
                    (None, None) => bail!("say how far your own Ethereum or Bitcoin is"),
                };
                verify(&read(&file)?, &committee, clock)
            }
        }
    }
}

async fn fetch(row: &[String], out: Option<&Path>, node: &Node) -> anyhow::Result<()> {
    let key = key_of(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    let answer = node.client()?.proof_bundle(hex_bytes(&key.to_bytes())).await.map_err(node_error)?;
    let Some(out) = out else {
        println!("{}", answer.bundle); // what is said besides must not get into a pipe
        eprintln!("{}, block {}; its committee is {}", presence(answer.present), answer.height, answer.committee);
        return Ok(());
    };
    std::fs::write(out, format!("{}\n", answer.bundle)).with_context(|| out.display().to_string())?;
    println!("wrote {}: {}, block {}", out.display(), presence(answer.present), answer.height);
    println!("its committee is {}; compare it with what you know, not with this line", answer.committee);
    Ok(())
}

fn verify(bundle: &ProofBundle, committee: &Hash, clock: Clock) -> anyhow::Result<()> {
    let named = || format!("the proof is by committee {}", bundle.committee.hash(&bundle.genesis.chain_id()));
    bundle.verify(committee, clock).with_context(named)?;
    let (proof, lifetime) = (&bundle.proof, bundle.genesis.parameters.lifetime());
    println!("proven    {}", presence(proof.row.is_some()));
    println!("key       {}", serde_json::to_string(&proof.key)?);
    println!("row       {}", serde_json::to_string(&proof.row)?);
    println!("block     {} of epoch {}, {}", proof.header.height, proof.header.epoch, proof.header.id());
    println!("chain id  {}", proof.header.chain);
    let trusted = |snapshot: u64| snapshot.saturating_add(lifetime);
    println!(
        "trusted   up to Ethereum block {} and Bitcoin block {}",
        trusted(bundle.committee.ethereum.number),
        trusted(bundle.committee.bitcoin.number)
    );
    Ok(())
}

const fn presence(present: bool) -> &'static str {
    if present { "the row is there" } else { "there is no such row" }
}

/// Reads a bundle's hex, no more of it than a bundle can have.
fn read(file: &Path) -> anyhow::Result<ProofBundle> {
    let name = || if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let bytes = parse_hex_bytes(&read_text(file, MAX_FILE)?).with_context(name)?;
    ProofBundle::from_bytes(&bytes).with_context(|| format!("{}: no proof", name()))
}

/// A row as people name it.
fn key_of(words: &[&str]) -> anyhow::Result<RowKey> {
    Ok(match words {
        ["operator", operator] => RowKey::Operator(id(operator)?),
        ["vault", vault] => RowKey::Vault(id(vault)?),
        ["case", case] => RowKey::Case(id(case)?),
        ["position", operator, protocol, address] => {
            RowKey::Position(PositionId { operator: id(operator)?, source: source(protocol, id(address)?)? })
        }
        ["service", service] => RowKey::Service(id(service)?),
        ["service-stake", adapter, operator, asset] => {
            let (adapter, operator, asset) = (id(adapter)?, id(operator)?, id(asset)?);
            RowKey::ServiceStake(ServiceStakeId { adapter, operator, asset })
        }
        ["block", height] => RowKey::Block(Height::new(number(height)?)),
        ["committee", epoch] => RowKey::Committee(Epoch::new(u32::try_from(number(epoch)?).context("no epoch")?)),
        ["anchor", "ethereum"] => RowKey::Anchor(ChainKind::Ethereum),
        ["anchor", "bitcoin"] => RowKey::Anchor(ChainKind::Bitcoin),
        ["epoch"] => RowKey::Epoch,
        ["finality"] => RowKey::Finality,
        [key] if key.starts_with("0x") => RowKey::from_bytes(&parse_hex_bytes(key)?).context("no row's key")?,
        _ => bail!("{:?} names no row; rows are {ROWS}", words.join(" ")),
    })
}

/// How rows are named.
const ROWS: &str = "`operator ID`, `vault TXID:OUTPUT`, `case ID`, `position OPERATOR PROTOCOL ADDRESS`, `block HEIGHT`, \
    `service ID`, `service-stake ADAPTER OPERATOR STRATEGY`, `committee EPOCH`, `anchor ethereum|bitcoin`, `epoch`, `finality`, \
    or a key's bytes as 0x and hex";

fn id<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> anyhow::Result<T> {
    text.parse::<T>().with_context(|| format!("{text:?}"))
}

fn source(protocol: &str, address: Address) -> anyhow::Result<StakeSource> {
    let sources = [StakeSource::EigenLayer(address), StakeSource::Symbiotic(address), StakeSource::Karak(address)];
    let found = sources.into_iter().find(|source| source.protocol() == protocol);
    found.with_context(|| format!("{protocol} is none of {:?}", sources.map(|source| source.protocol())))
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("{text} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::OperatorId;

    #[test]
    fn a_row_is_named_in_words() {
        let zero = OperatorId::ZERO.to_string();
        let named = |words: &str| key_of(&words.split(' ').collect::<Vec<_>>());
        let keys = [
            (format!("operator {zero}"), RowKey::Operator(OperatorId::ZERO)),
            ("block 7".to_owned(), RowKey::Block(Height::new(7))),
            ("anchor bitcoin".to_owned(), RowKey::Anchor(ChainKind::Bitcoin)),
            (hex_bytes(&RowKey::Finality.to_bytes()), RowKey::Finality),
            (
                format!("position {zero} symbiotic {zero}"),
                RowKey::Position(PositionId {
                    operator: OperatorId::ZERO,
                    source: StakeSource::Symbiotic(Address::ZERO),
                }),
            ),
        ];
        for (words, key) in keys {
            assert_eq!(named(&words).unwrap(), key, "{words}");
        }
        for wrong in ["", "block", "block x", "anchor solana", "operator 0x01", "0xff", "position a b c"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
        assert!(named("anchor solana").unwrap_err().to_string().contains("`anchor ethereum|bitcoin`"));
        assert!(named("operator 0x01").unwrap_err().to_string().contains("0x01"));
    }

    #[test]
    fn what_is_no_bundle_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("proof");
        for (text, said) in [("0x00", "no proof"), ("proof", "proof"), ("", "no proof")] {
            std::fs::write(&file, text).unwrap();
            assert!(format!("{:#}", read(&file).unwrap_err()).contains(said), "{text}");
        }
        assert!(read(&dir.path().join("nothing")).is_err());
    }
}
