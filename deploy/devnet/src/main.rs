//! The binary `palisade-devnet`; `deploy/devnet.sh` is its door.

use anyhow::Context;
use bitcoin::Network;
use clap::{Parser, Subcommand};
use palisade_bitcoin::staker::Wallet;
use palisade_crypto::eots;
use palisade_devnet::bitcoind::{self, Miner};
use palisade_devnet::constants::{BITCOIN_BLOCK, OPERATORS};
use palisade_devnet::devnet::Devnet;
use palisade_devnet::equivocation::{Equivocation, WARNING};
use palisade_devnet::layout::{Ports, names};
use palisade_devnet::progress::say;
use palisade_devnet::service::{self, Service};
use palisade_devnet::{logs, scenario, tools};
use palisade_node::rpc::PalisadeClient;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Four operators, an Ethereum and a Bitcoin on this machine: real processes on real chains
#[derive(Debug, Parser)]
#[command(name = "palisade-devnet", version, arg_required_else_help = true)]
struct Arguments {
    /// Where the devnet keeps everything
    #[arg(long, env = "PALISADE_DEVNET_DIR", default_value = ".devnet", global = true, value_name = "DIR")]
    dir: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start everything; returns when everything is final on both chains
    Up {
        /// Found a network behind which bitcoin stands alone; a later start goes on with what was founded
        #[arg(long)]
        bitcoin_only: bool,
    },
    /// Stop everything; the state stays
    Down,
    /// Show what runs and how far it is
    Status,
    /// Show what somebody logged
    Logs {
        /// An operator, anvil, bitcoind or miner; everybody's last lines by default
        name: Option<String>,
        /// Go on showing what is added
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop everything and forget it
    Reset,
    /// Add a fifth operator; returns when he sits in the committee
    Join,
    /// Play something and check how it ends
    #[command(subcommand)]
    Scenario(Scenario),
    /// Deliberately sign two contradicting statements with an operator's keys, around his guard
    Equivocate {
        /// Whose keys
        #[arg(long, value_name = "NAME")]
        operator: String,
        /// At which height; by default the newest ether-final one, or bitcoin-final where bitcoin stands alone
        #[arg(long)]
        height: Option<u64>,
        /// Folder for `ledger.hex` and `bitcoin.hex`
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Two small services that the operators stand behind beside the network
    #[command(subcommand)]
    Service(ServiceAction),
    /// Mine on regtest until stopped; `up` runs this
    Mine,
    /// Bring anvil and bitcoind into the cache, as `up` does when it needs them
    Tools,
}

#[derive(Debug, Subcommand)]
enum ServiceAction {
    /// Found them on Ethereum, if they are not, and start their modules beside every operator's node
    Up,
    /// Stop the modules
    Down,
    /// Ask a service for its word on 32 bytes in the next epoch
    Ask {
        /// `notary` or `archive`
        service: String,
        /// The bytes, in hex
        what: alloy::primitives::B256,
    },
    /// One operator's module of a service; `service up` runs this
    Run {
        /// `notary` or `archive`
        service: String,
        /// Whose
        operator: String,
        /// Answer deliberately wrongly, as a module with a broken source would: its operator loses stake
        #[arg(long)]
        wrong: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// One operator's keys equivocate; his stake must be gone on both chains, and nobody else's
    Equivocation {
        /// Leave out the quiet run of the same length that follows
        #[arg(long)]
        without_quiet_run: bool,
    },
    /// Bitcoin replaces one block, and k-1 blocks, under a vault's feet; nothing that was final is undone
    BitcoinReorg,
    /// Bitcoin replaces blocks that were final: it is suspended, ether goes on, and the operators accept a new start
    BitcoinDeepReorg,
    /// What the ledger claims of a vault reaches a contract on Ethereum, and its revocation when the vault unbonds
    VaultClaim,
    /// A staker locks coins, unbonds and withdraws, by his own commands
    VaultLife,
    /// The operator behind a vault equivocates: its staking output is slashed. Convicts somebody
    VaultSlashed,
    /// The same after the staker unbonded: the unbonding output is slashed. Convicts somebody
    VaultUnbondingRace,
    /// A vault grows with a further coin, and at no time both or neither of the two counts
    VaultExpansion,
    /// A vault's time runs out: it weighs nothing, stays locked, and is withdrawn by its timelock
    VaultExpiry,
    /// A covenant's quorum signs what nobody registered: a certified order takes the members' stake. Convicts two
    SlashOrder,
    /// An engine key votes twice: its operator is jailed and loses nothing (R18). Jails somebody
    EquivocationVote,
    /// Operators fail a service together and another alone: each pays by the law of correlation, out of that service's set only
    CorrelatedFault,
    /// More is at fault than may go at once: the rest waits in order
    Throttle,
    /// An operator's node is away until he is jailed for what he missed; he comes back by his own word
    JailUnjail,
    /// Two of four engines are gone for good: their operators name a successor by hand. Convicts somebody, and ends the network
    Succession,
    /// An attestation key signs twice: EigenLayer takes the agreed part of its stake. Convicts somebody
    #[command(visible_alias = "equivocation-attestation")]
    SlashPair,
    /// An operator deallocates: it stops counting in time, and is slashed while the protocol lets it. Convicts somebody
    Deallocation,
    /// A staker withdraws: the queue is slashed too, and pays out what is left. Convicts somebody
    WithdrawalQueue,
    /// A slash takes less than was asked, and that is what is booked. Convicts somebody
    PartialSlash,
    /// A slash on Symbiotic that nobody vetoes is carried to its end. Convicts somebody
    VetoExecuted,
    /// One that is vetoed ends there, and every ledger says so. Convicts somebody
    VetoVetoed,
    /// Ethereum takes back a deposit before it was final; no ledger ever saw it
    EthereumReorg,
    /// Ethereum endpoints lie: of three one is outvoted and named, of two none is believed
    RpcDisagreement,
    /// One operator is killed: the others go on, and he comes back
    KillOne,
    /// Two of four are killed: nothing is decided until they are back
    KillTwoAndBack,
    /// All are killed at once: nothing that was told is lost
    KillAll,
    /// An operator's machine is copied: the copy stops before it signs anything else
    Doppelganger,
    /// The network falls apart, two against two and three against one: nobody forks, and it heals within seconds
    Partition,
    /// An operator's ledger is lost, his guard is not: he takes it from the others, from genesis on
    RejoinFromGenesis,
    /// The same from a later block's state on, in chunks that prove themselves
    RejoinFromSnapshot,
    /// An operator's machine is put back to an old backup: his guard waits, and nobody sees two signatures
    RestoredBackup,
    /// An operator joins and another one leaves; both hand-overs are certified. Reset before the next scenario
    CommitteeChange,
    /// Nothing happens; nobody may lose anything
    Quiet {
        /// For how long
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    match act(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "));
            ExitCode::FAILURE
        }
    }
}

async fn act(arguments: Arguments) -> anyhow::Result<()> {
    let devnet = Devnet::open(&arguments.dir, Ports::chosen()?)?;
    match arguments.action {
        Action::Up { bitcoin_only } => {
            let devnet = if bitcoin_only { devnet.bitcoin_only() } else { devnet };
            let up = devnet.up().await;
            let up = up.context("the devnet is not ready; see `status` and `logs`, stop it with `down`")?;
            println!("\n{}\n", devnet.addresses()?);
            say(if up.first { "try: ./deploy/devnet.sh scenario equivocation" } else { "as it was" });
        }
        Action::Down => {
            devnet.down().await?;
            say("nothing runs");
        }
        Action::Status => println!("{}", devnet.status().await?),
        Action::Logs { name, follow } => logs::show(&devnet, name.as_deref(), follow).await?,
        Action::Reset => {
            devnet.reset().await?;
            say("nothing runs and nothing is left");
        }
        Action::Join => {
            devnet.join().await?;
        }
        Action::Scenario(scenario) => play(&devnet, scenario).await?,
        Action::Equivocate { operator, height, out } => equivocate(&devnet, &operator, height, out).await?,
        Action::Service(action) => serve(&devnet, action).await?,
        Action::Mine => mine(&devnet).await?,
        Action::Tools => {
            println!("{}", tools::anvil()?.display());
            println!("{}", bitcoind::locate_or_build()?.display());
        }
    }
    Ok(())
}

async fn serve(devnet: &Devnet, action: ServiceAction) -> anyhow::Result<()> {
    match action {
        ServiceAction::Up => {
            for service in service::up(devnet).await? {
                say(format!("{} is service {}, registration {}", service.name, service.id(), service.registration));
            }
        }
        ServiceAction::Down => service::down(devnet.layout()).await?,
        ServiceAction::Ask { service, what } => {
            let service = Service::read(devnet.layout(), &service)?;
            let epoch = devnet.operator(OPERATORS[0])?.client()?.status().await?.epoch + 1;
            let block = service::ask(devnet, &service, epoch, what).await?;
            let slot = service::notary::slot(epoch, block, 0, None).context("a slot")?;
            println!("block {block}\nslot {slot}\nkind {}", service.kind(service::ANSWERS));
        }
        ServiceAction::Run { service, operator, wrong } => {
            service::notary::run(devnet, &service, &operator, wrong).await?;
        }
    }
    Ok(())
}

async fn play(devnet: &Devnet, scenario: Scenario) -> anyhow::Result<()> {
    match scenario {
        Scenario::Equivocation { without_quiet_run } => {
            let report = scenario::equivocation(devnet).await?;
            if !without_quiet_run {
                scenario::quiet(devnet, report.took).await?;
            }
            println!("{report}\n");
            say("all of it holds");
        }
        Scenario::BitcoinReorg => println!("{}\n", scenario::bitcoin_reorg(devnet).await?),
        Scenario::BitcoinDeepReorg => println!("{}\n", scenario::bitcoin_deep_reorg(devnet).await?),
        Scenario::VaultClaim => println!("{}\n", scenario::vault_claim(devnet).await?),
        Scenario::VaultLife => println!("{}\n", scenario::vault_life(devnet).await?),
        Scenario::VaultSlashed => println!("{}\n", scenario::vault_slashed(devnet).await?),
        Scenario::VaultUnbondingRace => println!("{}\n", scenario::vault_unbonding_race(devnet).await?),
        Scenario::VaultExpansion => println!("{}\n", scenario::vault_expansion(devnet).await?),
        Scenario::VaultExpiry => println!("{}\n", scenario::vault_expiry(devnet).await?),
        Scenario::SlashOrder => println!("{}\n", scenario::slash_order(devnet).await?),
        Scenario::CorrelatedFault => println!("{}\n", scenario::correlated_fault(devnet).await?),
        Scenario::Throttle => println!("{}\n", scenario::throttle(devnet).await?),
        Scenario::JailUnjail => println!("{}\n", scenario::jail_unjail(devnet).await?),
        Scenario::Succession => println!("{}\n", scenario::succession(devnet).await?),
        Scenario::SlashPair => println!("{}\n", scenario::slash_pair(devnet).await?),
        Scenario::Deallocation => println!("{}\n", scenario::deallocation(devnet).await?),
        Scenario::WithdrawalQueue => println!("{}\n", scenario::withdrawal_queue(devnet).await?),
        Scenario::PartialSlash => println!("{}\n", scenario::partial_slash(devnet).await?),
        Scenario::VetoExecuted => println!("{}\n", scenario::veto_executed(devnet).await?),
        Scenario::VetoVetoed => println!("{}\n", scenario::veto_vetoed(devnet).await?),
        Scenario::EthereumReorg => println!("{}\n", scenario::ethereum_reorg(devnet).await?),
        Scenario::RpcDisagreement => println!("{}\n", scenario::rpc_disagreement(devnet).await?),
        Scenario::KillOne => println!("{}\n", scenario::kill_one(devnet).await?),
        Scenario::KillTwoAndBack => println!("{}\n", scenario::kill_two_and_back(devnet).await?),
        Scenario::KillAll => println!("{}\n", scenario::kill_all(devnet).await?),
        Scenario::Doppelganger => println!("{}\n", scenario::doppelganger(devnet).await?),
        Scenario::Partition => println!("{}\n", scenario::partition(devnet).await?),
        Scenario::RejoinFromGenesis => println!("{}\n", scenario::rejoin_from_genesis(devnet).await?),
        Scenario::RejoinFromSnapshot => println!("{}\n", scenario::rejoin_from_snapshot(devnet).await?),
        Scenario::RestoredBackup => println!("{}\n", scenario::restored_backup(devnet).await?),
        Scenario::CommitteeChange => println!("{}\n", scenario::committee_change(devnet).await?),
        Scenario::EquivocationVote => println!("{}\n", scenario::equivocation_vote(devnet).await?),
        Scenario::Quiet { seconds } => {
            println!("{}\n", scenario::quiet(devnet, Duration::from_secs(seconds)).await?);
        }
    }
    Ok(())
}

async fn equivocate(devnet: &Devnet, name: &str, height: Option<u64>, out: PathBuf) -> anyhow::Result<()> {
    eprintln!("{WARNING}");
    let operator = devnet.operator(name)?;
    // Somebody else is asked: the accused need not run.
    let other = names().find(|other| *other != name).context("there is somebody else")?;
    let node = devnet.operator(other)?.client()?;
    let made = Equivocation::sign(&operator, &*devnet.genesis()?, &node, height).await?;
    let [ledger, bitcoin] = made.write(&out)?;
    println!("two blocks at height {} in {}", made.height, ledger.display());
    println!("two blocks at checkpoint {} in {}", made.checkpoint, bitcoin.display());
    Ok(())
}

/// Mines to an address of nobody's: the staker has enough.
async fn mine(devnet: &Devnet) -> anyhow::Result<()> {
    let nobody = Wallet::new(eots::SecretKey::generate()).address(Network::Regtest);
    let auth = palisade_bitcoin::Auth::Cookie(bitcoind::cookie(&devnet.layout().bitcoin()));
    let endpoint = palisade_bitcoin::Endpoint { url: devnet.ports().bitcoin_url(), auth };
    let _miner = Miner::start(&endpoint, nobody, BITCOIN_BLOCK)?;
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}
