//! `palisade succession`: the network that goes on from this one (R21). The node must be stopped where its ledger or signer is used.

use crate::config::{Config, Overrides};
use crate::succession::{self, Proposal};
use crate::{genesis_file, run};
use anyhow::{Context, ensure};
use palisade_storage::Store;
use palisade_types::{OperatorId, QuorumCertificate};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, clap::Subcommand)]
pub enum Succession {
    /// Write a folder that proposes a successor, from the newest ether-final block of this operator's ledger. Signs nothing
    Propose {
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// The folder to make
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// A member who goes on; the others are left behind, jailed. All, unless named
        #[arg(long = "seat", value_name = "OPERATOR")]
        seats: Vec<OperatorId>,
        /// A genesis file whose parameters, assets and terms the successor shall have. This network's, unless named
        #[arg(long, value_name = "FILE")]
        like: Option<PathBuf>,
    },
    /// Attest a proposal. It is the last thing this operator's keys sign in the old network
    Attest {
        /// The proposal
        dir: PathBuf,
        /// The configuration file
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
    /// Show a proposal, and who has attested it; write the certificate once they are enough
    Status {
        /// The proposal
        dir: PathBuf,
    },
    /// Begin the successor's ledger with a certified proposal
    Begin {
        /// The proposal
        dir: PathBuf,
        /// The configuration file of the successor: its genesis is the proposal's, its data directory has no ledger yet
        #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
}

impl Succession {
    pub async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Propose { config, out, seats, like } => propose(&config, &out, &seats, like),
            Self::Attest { dir, config } => attest(&dir, &config).await,
            Self::Status { dir } => status(&dir),
            Self::Begin { dir, config } => {
                let (config, genesis) = Config::load(&config, &Overrides::default())?;
                let proposal = Proposal::read(&dir)?;
                let store = Store::open(&config.data_dir.join("ledger"), &genesis.chain_id())?;
                proposal.begin(&dir, &genesis, &store)?;
                println!("the ledger of {} begins at height {}", genesis.chain_id(), proposal.first.header.height);
                Ok(())
            }
        }
    }
}

fn propose(
    config: &std::path::Path,
    out: &std::path::Path,
    seats: &[OperatorId],
    like: Option<PathBuf>,
) -> anyhow::Result<()> {
    let (config, genesis) = Config::load(config, &Overrides::default())?;
    let like = like.map(|file| genesis_file::read(&file).with_context(|| file.display().to_string())).transpose()?;
    let store = Store::open(&config.data_dir.join("ledger"), &genesis.chain_id()).context("opening the ledger")?;
    let genesis = Arc::new(genesis);
    let like = like.unwrap_or_else(|| (*genesis).clone());
    let proposal = succession::propose(&store, &genesis, like, seats, out)?;
    describe(&proposal);
    Ok(())
}

async fn attest(dir: &std::path::Path, config: &std::path::Path) -> anyhow::Result<()> {
    let (config, genesis) = Config::load(config, &Overrides::default())?;
    let proposal = Proposal::read(dir)?;
    let genesis = Arc::new(genesis);
    let ethereum = run::connect_ethereum(&config, &genesis).await?;
    let head = ethereum.newest().await.context("asking Ethereum for its newest block")?;
    let store = Store::open(&config.data_dir.join("ledger"), &genesis.chain_id()).context("opening the ledger")?;
    let signer = succession::signer_of(&config, &genesis, head);
    let attestation = succession::attest(&proposal, dir, &store, &genesis, &signer)?;
    describe(&proposal);
    println!("attested by {}; these keys sign nothing more in {}", attestation.operator, genesis.chain_id());
    Ok(())
}

fn status(dir: &std::path::Path) -> anyhow::Result<()> {
    let proposal = Proposal::read(dir)?;
    describe(&proposal);
    let standing = proposal.standing(dir)?;
    for (operator, weight, attested) in &standing.members {
        println!("{operator}  {weight}  {}", if *attested { "attested" } else { "missing" });
    }
    match standing.certificate {
        Some(_) => {
            let certificate: QuorumCertificate = proposal.certify(dir)?;
            ensure!(certificate.statement() == proposal.statement, "the certificate is of another successor");
            println!("certified");
        }
        None => println!("not certified: more than two thirds of the weight must attest it"),
    }
    Ok(())
}

fn describe(proposal: &Proposal) {
    let last = proposal.last();
    println!("network    {}", proposal.genesis.chain_id());
    println!("goes on    from block {} {} of {}", last.height, last.id(), proposal.before);
    println!("succession {}", proposal.statement.slot);
    println!("first      {}", proposal.first.id());
    for member in &proposal.ledger.committee().members {
        println!("member     {}  {}", member.operator, member.ether);
    }
}
