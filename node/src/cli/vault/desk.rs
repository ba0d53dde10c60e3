//! What every command of a staker needs: the network's terms, a node to ask, perhaps a key, and PSBTs in files.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use jsonrpsee::http_client::HttpClient;
use palisade_bitcoin::bitcoin::network;
use palisade_bitcoin::psbt::{self, MAX_PSBT_BYTES, Request};
use palisade_bitcoin::registration::{self, Presigned};
use palisade_bitcoin::staker::Wallet;
use palisade_bitcoin::{Client, Versions};
use palisade_crypto::eots;
use palisade_types::canonical::Canonical;
use palisade_types::genesis::Genesis;
use palisade_types::ids::OperatorId;
use palisade_types::vault::VaultRegistration;
use tokio::time::{Instant, interval};

use crate::cli::{Node, node_error};
use crate::rpc::PalisadeClient;
use crate::rpc::views::VaultView;
use crate::text::{hex_bytes, parse_hex_bytes};
use crate::{genesis_file, keys};

/// How often a node is asked while something is waited for.
const GLANCE: Duration = Duration::from_secs(1);

/// The network, and a node that is asked about it.
#[derive(Debug, clap::Args)]
pub struct Where {
    /// The network's genesis file
    #[arg(long, env = "PALISADE_GENESIS", value_name = "FILE")]
    genesis: PathBuf,
    #[command(flatten)]
    node: Node,
}

/// Who signs: a wallet through PSBTs, or a key in a file.
#[derive(Debug, clap::Args)]
pub struct Signing {
    /// File with the staker's secret key, for devnets: everything is signed at once
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// A network whose genesis file and node agree.
pub struct Desk {
    pub genesis: Genesis,
    pub versions: Versions,
    pub node: HttpClient,
}

impl Where {
    /// Reads the terms, and checks that the node is one of this network.
    pub async fn open(&self) -> anyhow::Result<Desk> {
        let genesis = genesis_file::read(&self.genesis).with_context(|| self.genesis.display().to_string())?;
        let versions = Versions::of(&genesis)?;
        let node = self.node.client()?;
        let status = node.status().await.map_err(node_error)?;
        if status.chain_id != genesis.chain_id().to_string() {
            bail!("the node is one of network {}, the genesis file names {}", status.chain_id, genesis.chain_id());
        }
        Ok(Desk { genesis, versions, node })
    }
}

impl Signing {
    /// The wallet of the key file. A key that lies in a file guards no coin of value: regtest only.
    pub fn wallet(&self, genesis: &Genesis) -> anyhow::Result<Option<Wallet>> {
        let Some(path) = &self.key_file else { return Ok(None) };
        if network(&genesis.bitcoin_genesis)? != REGTEST {
            bail!("a key file is for regtest; sign the PSBTs with your wallet");
        }
        let secret = keys::read_secret(path)?;
        let secret = eots::SecretKey::from_bytes(&secret).with_context(|| path.display().to_string())?;
        Ok(Some(Wallet::new(secret)))
    }
}

const REGTEST: palisade_bitcoin::Network = palisade_bitcoin::Network::Regtest;

impl Desk {
    /// The ledger's Bitcoin anchor: which version of the terms is in force.
    pub async fn anchor(&self) -> anyhow::Result<u64> {
        Ok(self.node.status().await.map_err(node_error)?.bitcoin.anchor.number)
    }

    /// The finality key of an operator.
    pub async fn provider(&self, operator: &OperatorId) -> anyhow::Result<String> {
        let operators = self.node.operators().await.map_err(node_error)?;
        let named = operators.into_iter().find(|one| one.id == operator.to_string());
        let named = named.with_context(|| format!("the ledger knows no operator {operator}"))?;
        if named.convicted.is_some() {
            bail!("operator {operator} is convicted");
        }
        let row = named.keys.last().with_context(|| format!("operator {operator} has no keys"))?;
        Ok(row.eots.clone())
    }

    /// A vault as the ledger shows it now.
    pub async fn view(&self, vault: &str) -> anyhow::Result<VaultView> {
        self.node.vault(vault.to_owned()).await.map_err(node_error)
    }

    /// A vault's registration.
    pub async fn registration(&self, vault: &str) -> anyhow::Result<VaultRegistration> {
        let view = self.view(vault).await?;
        let bytes = view.registration.context("the node sends no registration")?;
        Ok(VaultRegistration::from_bytes(&parse_hex_bytes(&bytes)?)?)
    }

    /// A registered vault, rebuilt and checked here: the node is believed in nothing that is signed for.
    pub async fn presigned(&self, vault: &str) -> anyhow::Result<Presigned> {
        let registration = self.registration(vault).await?;
        let parent = match &registration.expansion {
            Some(expansion) => Some(self.registration(&expansion.parent.to_string()).await?),
            None => None,
        };
        let presigned = Presigned::check(&registration, parent.as_ref(), &self.versions)?;
        if presigned.draft().id().to_string() != vault {
            bail!("the node answered with another vault than {vault}");
        }
        Ok(presigned)
    }

    /// Hands a registration in, unless the ledger has it, and waits until its covenant has signed.
    pub async fn register(&self, registration: &VaultRegistration, deadline: u64) -> anyhow::Result<String> {
        let id = registration::vault(registration, &self.versions)?.id().to_string();
        let parent = registration.expansion.is_some();
        match self.view(&id).await {
            Ok(view) if is_released(&view)? => println!("vault {id} is in the ledger already"),
            _ => {
                let accepted = self.node.register_vault(hex_bytes(&registration.to_bytes())).await;
                let accepted = accepted.map_err(node_error)?;
                println!("vault {} handed in; the covenant is asked to sign", accepted.vault);
            }
        }
        self.until(&id, deadline, |view| view.status != "pending" && is_released(view).unwrap_or(false)).await?;
        println!("vault {id} is verified: its unbonding and its slashings are presigned");
        if parent {
            println!("its coins are still in the vault it grows out of");
        }
        Ok(id)
    }

    /// Waits until the ledger's view of a vault is as wanted.
    pub async fn until(
        &self,
        vault: &str,
        deadline: u64,
        wanted: impl Fn(&VaultView) -> bool,
    ) -> anyhow::Result<VaultView> {
        let end = Instant::now() + Duration::from_secs(deadline);
        let mut glances = interval(GLANCE);
        loop {
            glances.tick().await;
            let view = self.view(vault).await;
            match view {
                Ok(view) if wanted(&view) => return Ok(view),
                Ok(view) if Instant::now() >= end => bail!("after {deadline} s vault {vault} is still {}", view.status),
                Err(error) if Instant::now() >= end => {
                    return Err(error.context(format!("after {deadline} s vault {vault} is not in the ledger")));
                }
                _ => {}
            }
        }
    }
}

/// Whether everything of a vault is signed: of an expansion also its first input, which its covenant signs only when the ledger
/// holds it.
fn is_released(view: &VaultView) -> anyhow::Result<bool> {
    let bytes = view.registration.as_ref().context("the node sends no registration")?;
    let registration = VaultRegistration::from_bytes(&parse_hex_bytes(bytes)?)?;
    Ok(registration.expansion.is_none_or(|expansion| !expansion.covenant.is_empty()))
}

/// Signs with the key, or takes the signature out of a signed PSBT, and sends the transaction; or writes the PSBT for the wallet. Says
/// whether it was sent.
pub async fn carry_out(
    request: &Request,
    wallet: Option<&Wallet>,
    (signed, out): (Option<&Path>, &Path),
    client: Option<Client>,
) -> anyhow::Result<bool> {
    let signature = match (wallet, signed) {
        (Some(wallet), _) => wallet.answer(request)?,
        (None, Some(file)) => request.signature(&read_psbt(file)?).with_context(|| file.display().to_string())?,
        (None, None) => {
            write_new(out, psbt::text(&request.psbt(None)).as_bytes())?;
            println!("Sign {} with your wallet, and run this again with --signed FILE", out.display());
            return Ok(false);
        }
    };
    send(&request.complete(&signature), client).await
}

/// Sends a transaction, or prints it when nobody is named who could; says whether it was sent.
pub async fn send(transaction: &palisade_bitcoin::Transaction, client: Option<Client>) -> anyhow::Result<bool> {
    let Some(client) = client else {
        println!("{}", palisade_bitcoin::transaction_hex(transaction));
        eprintln!("Nobody is named who could send it: --bitcoin-rpc or --config does, or any other way to a node.");
        return Ok(false);
    };
    match client.send(transaction).await {
        Ok(txid) => println!("sent {txid}"),
        Err(error) if error.to_string().contains(STILL_LOCKED) => {
            return Err(anyhow::Error::new(error).context("the lock has not run out yet"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

/// What Bitcoin Core says of an input whose relative lock (BIP-68) has not run out.
const STILL_LOCKED: &str = "non-BIP68-final";

pub fn read_psbt(path: &Path) -> anyhow::Result<palisade_bitcoin::Psbt> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    // One byte more than allowed, so that what is too long is seen to be.
    file.take(MAX_PSBT_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    psbt::read(&bytes).with_context(|| path.display().to_string())
}

/// Writes a file that is not there yet: what a wallet has signed is never written over.
pub fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} is there already: name another place with --out, or move it away", path.display())
        }
        _ => anyhow::Error::new(error).context(path.display().to_string()),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| path.display().to_string())
}
