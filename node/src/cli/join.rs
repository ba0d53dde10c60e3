//! `palisade join`: registers the operator's keys, then watches his own node until the ledger has seen them, his
//! stake counts and a committee takes office with him in it (R10, R12). It can be run again after an interruption.

use super::{REQUEST_TIMEOUT, node_error};
use crate::config::{Config, Overrides};
use crate::identity;
use crate::keys::{self, OperatorKeys};
use crate::rpc::PalisadeClient;
use crate::rpc::views::{CommitteeView, OperatorView, PositionView, StatusView};
use anyhow::{Context, bail};
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use palisade_ethereum::{Account, Ethereum, Keys, Registered};
use palisade_types::genesis::Genesis;
use palisade_types::ids::OperatorId;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval};

/// How often the node is asked.
const GLANCE: Duration = Duration::from_secs(1);
/// A line is printed at least this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Join {
    /// The configuration file
    #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// File with the secret key of the operator's account, which authorises his keys and pays for it; needed only here
    #[arg(long, value_name = "FILE")]
    account_key: PathBuf,
    /// JSON-RPC address of the node to watch; `rpc.listen` of the configuration by default
    #[arg(long, env = "PALISADE_RPC", value_name = "URL")]
    rpc: Option<String>,
    /// Give up after so many seconds; nothing is undone
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    deadline: u64,
    #[command(flatten)]
    overrides: Overrides,
}

impl Join {
    pub async fn act(self) -> anyhow::Result<()> {
        let (config, genesis) = Config::load(&self.config, &self.overrides)?;
        let account = account(&self.account_key, &config.operator)?;
        let registered = register(&config, genesis, &account).await?;
        println!("keys registered as row {}, Ethereum block {}", registered.key_id, registered.from);
        let url = self.rpc.clone().unwrap_or_else(|| format!("http://{}", config.rpc.listen));
        let client = HttpClientBuilder::default().request_timeout(REQUEST_TIMEOUT).build(&url);
        let watch = Watch {
            client: client.with_context(|| format!("{url} is no JSON-RPC address"))?,
            operator: config.operator,
            row: registered.key_id,
        };
        watch.until_seated(Instant::now() + Duration::from_secs(self.deadline)).await
    }
}

fn account(file: &std::path::Path, operator: &OperatorId) -> anyhow::Result<Account> {
    let account = Account::from_bytes(&*keys::read_secret(file)?).with_context(|| file.display().to_string())?;
    if account.address().as_bytes() != operator.as_bytes() {
        bail!("{} is the key of {}, the operator is {operator}", file.display(), account.address());
    }
    Ok(account)
}

async fn register(config: &Config, genesis: Genesis, account: &Account) -> anyhow::Result<Registered> {
    let keys = OperatorKeys::read(&config.signer_dir.join("keys"))?;
    let possession = keys.possession(&genesis, &config.operator);
    let peer = identity::read(&config.node_key())?.public().to_peer_id();
    let keys = Keys {
        bls: possession.keys.bls,
        bls_proof: possession.bls,
        ed25519: possession.keys.ed25519,
        ed25519_proof: possession.ed25519,
        eots: possession.keys.eots,
        eots_proof: possession.eots,
        peer: peer.to_bytes().try_into().context("the peer id is too long")?,
    };
    let ethereum = Ethereum::connect(&config.ethereum.endpoints(), Arc::new(genesis), None).await?;
    println!("registering {} in Palisade.sol", config.operator);
    Ok(ethereum.register_keys(account, &keys).await?)
}

/// How far the operator has come; each step needs the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The ledger has not seen the registration.
    Unseen { anchor: u64 },
    /// No stake stands behind him.
    WithoutStake,
    /// He waits for the next committee.
    Waiting { epoch: u32 },
    /// He sits in the committee of this epoch.
    Seated { epoch: u32 },
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unseen { anchor } => {
                write!(f, "the ledger has not seen the registration yet; it has Ethereum up to block {anchor}")
            }
            Self::WithoutStake => {
                write!(f, "the ledger knows the keys; no stake allocated to the network's operator set is final yet")
            }
            Self::Waiting { epoch } => {
                write!(f, "keys and stake are in the ledger; waiting for the end of epoch {epoch}")
            }
            Self::Seated { epoch } => write!(f, "seated in the committee of epoch {epoch}"),
        }
    }
}

struct Watch {
    client: HttpClient,
    operator: OperatorId,
    row: u32,
}

impl Watch {
    /// Asks until the operator has a seat; prints every step and, in between, that it is still there.
    async fn until_seated(&self, deadline: Instant) -> anyhow::Result<()> {
        let mut glances = interval(GLANCE);
        let (mut last, mut printed) = (None, Instant::now());
        while Instant::now() < deadline {
            glances.tick().await;
            let step = self.step().await;
            let line = step.as_ref().map_or_else(super::one_line, ToString::to_string);
            if last.as_ref() != Some(&line) && !only_moved(last.as_deref(), &line) || printed.elapsed() >= HEARTBEAT {
                println!("{line}");
                printed = Instant::now();
                last = Some(line);
            }
            if let Ok(Step::Seated { .. }) = step {
                return Ok(());
            }
        }
        bail!("not seated before the deadline: {}; run it again to go on waiting", last.unwrap_or_default())
    }

    async fn step(&self) -> anyhow::Result<Step> {
        let status = self.client.status().await.map_err(node_error)?;
        let operators = self.client.operators().await.map_err(node_error)?;
        let committee = self.client.committee(None).await.map_err(node_error)?;
        Ok(self.step_of(&status, &operators, &committee))
    }

    fn step_of(&self, status: &StatusView, operators: &[OperatorView], committee: &CommitteeView) -> Step {
        let name = self.operator.to_string();
        let own = operators.iter().find(|operator| operator.id == name);
        let Some(own) = own.filter(|own| own.keys.iter().any(|row| row.id == self.row)) else {
            return Step::Unseen { anchor: status.ethereum.anchor.number };
        };
        let seated = committee.members.iter().any(|member| member.operator == name && member.key == self.row);
        match own.positions.iter().any(PositionView::is_stake) {
            _ if seated => Step::Seated { epoch: committee.epoch },
            true => Step::Waiting { epoch: status.epoch },
            false => Step::WithoutStake,
        }
    }
}

/// Whether two lines differ in their last number only: progress that the heartbeat shows often enough.
fn only_moved(last: Option<&str>, line: &str) -> bool {
    let text = |line: &str| line.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    last.is_some_and(|last| text(last) == text(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::views::{BlockName, ChainView, KeysView, MagnitudesView, MemberView, PointView, SignerView};

    const OPERATOR: OperatorId = OperatorId::new([9; 20]);

    fn status() -> StatusView {
        let point = PointView { number: 77, hash: String::new(), time: 0 };
        let chain = ChainView { anchor: point, own_final: None, suspended: None, fee_rate: None };
        StatusView {
            version: String::new(),
            chain_id: String::new(),
            operator: OPERATOR.to_string(),
            head: BlockName { height: 1, id: String::new() },
            state_root: String::new(),
            epoch: 3,
            committee_size: 4,
            seated: false,
            has_weight: true,
            bitcoin_only: false,
            confirmed: 0,
            attested: 0,
            voted: 0,
            ether_final: None,
            bitcoin_final: None,
            bitcoin_run: None,
            eots_slots_left: None,
            ethereum: chain.clone(),
            bitcoin: chain,
            contradicted: vec![],
            peers: vec![],
            signer: SignerView { history: "unbroken".to_owned(), attests: true, only_epochs_above: None },
            pending: 0,
            cases_open: 0,
            cases_final: 0,
        }
    }

    fn operator(row: u32, magnitude: &str) -> OperatorView {
        let keys = KeysView {
            id: row,
            from: 70,
            until: None,
            bls: String::new(),
            ed25519: String::new(),
            eots: String::new(),
            peer: String::new(),
        };
        let position = MagnitudesView {
            asset: String::new(),
            shares: "1".to_owned(),
            queued: "0".to_owned(),
            magnitude: magnitude.to_owned(),
            max_magnitude: "1".to_owned(),
            pending: "0".to_owned(),
            effect_block: 0,
            member: true,
        };
        OperatorView {
            id: OPERATOR.to_string(),
            keys: vec![keys],
            convicted: None,
            jailed: None,
            attested: 0,
            missed: 0,
            positions: vec![PositionView::Eigenlayer(position)],
            vaults: vec![],
            seat: None,
        }
    }

    fn committee(key: Option<u32>) -> CommitteeView {
        let point = PointView { number: 1, hash: String::new(), time: 0 };
        let amount = || "1".to_owned();
        let member = |key| MemberView {
            operator: OPERATOR.to_string(),
            key,
            ether: amount(),
            bitcoin: amount(),
            engine: amount(),
        };
        CommitteeView {
            epoch: 4,
            hash: String::new(),
            ethereum: point.clone(),
            bitcoin: point,
            total_ether: amount(),
            total_bitcoin: amount(),
            bytes: String::new(),
            members: key.map(member).into_iter().collect(),
        }
    }

    #[test]
    fn joining_goes_from_registration_over_stake_to_a_seat() {
        let client = HttpClientBuilder::default().build("http://127.0.0.1:1").unwrap();
        let watch = Watch { client, operator: OPERATOR, row: 5 };
        let step = |operators: &[OperatorView], seat| watch.step_of(&status(), operators, &committee(seat));
        assert_eq!(step(&[], None), Step::Unseen { anchor: 77 });
        assert_eq!(step(&[operator(4, "1")], Some(4)), Step::Unseen { anchor: 77 }); // still under the old keys
        assert_eq!(step(&[operator(5, "0")], None), Step::WithoutStake);
        assert_eq!(step(&[operator(5, "1")], None), Step::Waiting { epoch: 3 });
        assert_eq!(step(&[operator(5, "1")], Some(5)), Step::Seated { epoch: 4 });
    }

    #[test]
    fn a_line_that_only_counts_up_is_not_repeated_every_second() {
        assert!(only_moved(Some("up to block 7"), "up to block 18"));
        assert!(!only_moved(Some("up to block 7"), "waiting for the end of epoch 7"));
        assert!(!only_moved(None, "up to block 7"));
    }
}
