//! The devnet as a whole: what `up`, `down`, `status`, `reset` and `join` do, for the script and for tests alike.
//!
//! The first start follows R17: keys, genesis, contracts, registrations, stake and vaults, nodes. It is done when
//! `network.json` stands; what was interrupted before that is thrown away and begun again. Later starts only start
//! processes.

use crate::anvil::Anvil;
use crate::bitcoind::{self, Bitcoind, Lifetime};
use crate::constants::{
    GAS_MONEY_ETHER, JOIN_DEADLINE, LATECOMER, OPERATORS, READY_DEADLINE, START_DEADLINE, STOP_DEADLINE,
};
use crate::contracts;
use crate::description::{NetworkFile, describe, read_json, write_json};
use crate::eigenlayer::{self, EigenLayer};
use crate::genesis::{Day, genesis};
use crate::layout::{CHAINS, Layout, Ports, everybody, member, members, names};
use crate::operator::Operator;
use crate::process::Signal;
use crate::progress::{Seen, say, seconds, table, until};
use crate::service;
use crate::staking::Staker;
use crate::symbiotic::{self, Vaults};
use crate::tools;
use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, ensure};
use bitcoin::hashes::Hash as _;
use futures::future::{try_join, try_join_all};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::vault::Versions;
use palisade_node::genesis_file;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::StatusView;
use palisade_types::block::Header;
use palisade_types::canonical::Canonical;
use palisade_types::chain::ChainPoint;
use palisade_types::genesis::Genesis;
use palisade_types::{Hash, VaultRegistration};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// anvil's first account, rich and known to everybody: it deploys.
const DEPLOYER: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// One devnet, running or not.
#[derive(Clone, Debug)]
pub struct Devnet {
    layout: Layout,
    ports: Ports,
    bitcoin_only: bool,
}

/// How a start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Up {
    /// Whether everything had to be made.
    pub first: bool,
    /// From the command to everything being final.
    pub took: Duration,
}

impl Devnet {
    /// The devnet in `root`. `ports` are for a first start; later ones keep theirs.
    ///
    /// # Errors
    ///
    /// Its description was changed by hand.
    pub fn open(root: &Path, ports: Ports) -> anyhow::Result<Self> {
        let layout = Layout::new(root)?;
        let ports = match layout.network().exists() {
            true => read_json::<NetworkFile>(&layout.network())?.ports()?,
            false => ports,
        };
        Ok(Self { layout, ports, bitcoin_only: false })
    }

    /// Bitcoin is to stand alone behind the network that a first start founds (R22).
    #[must_use]
    pub const fn bitcoin_only(mut self) -> Self {
        self.bitcoin_only = true;
        self
    }

    /// Its files.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where it listens.
    #[must_use]
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// Its Ethereum.
    #[must_use]
    pub fn anvil(&self) -> Anvil {
        Anvil::new(self.layout.clone(), self.ports.ethereum())
    }

    /// Its Bitcoin, which must run.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn bitcoin(&self) -> anyhow::Result<Client> {
        let auth = palisade_bitcoin::Auth::Cookie(bitcoind::cookie(&self.layout.bitcoin()));
        Ok(Client::new(palisade_bitcoin::Endpoint { url: self.ports.bitcoin_url(), auth })?)
    }

    /// What the first start left.
    ///
    /// # Errors
    ///
    /// There was none.
    pub fn network(&self) -> anyhow::Result<NetworkFile> {
        let file = self.layout.network();
        ensure!(file.exists(), "there is no devnet in {}; make one with: up", self.layout.root().display());
        read_json(&file)
    }

    /// Its genesis.
    ///
    /// # Errors
    ///
    /// There is none, or it was changed by hand.
    pub fn genesis(&self) -> anyhow::Result<Arc<Genesis>> {
        let file = self.layout.genesis();
        Ok(Arc::new(genesis_file::read(&file).with_context(|| file.display().to_string())?))
    }

    /// The operator called `name`.
    ///
    /// # Errors
    ///
    /// There is no such operator.
    pub fn operator(&self, name: &str) -> anyhow::Result<Operator> {
        Operator::new(&self.layout, self.ports, name)
    }

    /// Everybody who is part of it.
    ///
    /// # Errors
    ///
    /// There is no devnet.
    pub fn operators(&self) -> anyhow::Result<Vec<Operator>> {
        self.network()?.operators().iter().map(|name| self.operator(name)).collect()
    }

    // ---- up --------------------------------------------------------------------------------------------------------

    /// Starts everything, makes what is missing, and returns when on every node a block of this start is ether-final
    /// and a checkpoint bitcoin-final.
    ///
    /// # Errors
    ///
    /// A port is taken, a tool is missing, or something does not come about in time. What was started runs on: look at
    /// its log, then `down`.
    pub async fn up(&self) -> anyhow::Result<Up> {
        let began = Instant::now();
        let first = !self.layout.network().exists();
        if !first {
            let was = self.genesis()?.is_bitcoin_only();
            ensure!(was || !self.bitcoin_only, "this devnet was founded with stake on both chains; reset it first");
        }
        if first && self.layout.marker().exists() {
            say(format!("an earlier first start in {} was interrupted; beginning again", self.layout.root().display()));
            self.reset().await?;
        }
        if self.chains_run() && !first {
            self.start_nodes()?;
        } else {
            self.down().await?; // nodes without their chains are no devnet
            self.ports.check_free()?;
            self.start(first).await?;
        }
        self.register_vaults().await?;
        // The light client needs a block of Ethereum, finality several: nobody waits for it.
        let ((), ()) = tokio::try_join!(self.await_finality(), self.deploy_light_client())?;
        if first && self.genesis()?.is_bitcoin_only() {
            self.await_seats().await?;
        }
        let took = began.elapsed();
        self.describe()?;
        say(format!("ready after {}", seconds(took)));
        Ok(Up { first, took })
    }

    async fn start(&self, first: bool) -> anyhow::Result<()> {
        self.make_folder()?;
        say("starting anvil");
        self.anvil().start().await?;
        say("starting bitcoind");
        self.start_bitcoind().await?;
        if first {
            self.make().await?;
        } else {
            self.start_miner()?;
        }
        self.start_nodes()
    }

    /// Starts whoever is missing.
    fn start_nodes(&self) -> anyhow::Result<()> {
        for operator in self.operators()? {
            match operator.process().pid() {
                Some(_) => {
                    operator.start_covenant()?;
                    say(format!("{} runs already", operator.name()));
                }
                None => {
                    operator.start()?;
                    say(format!("started {}", operator.name()));
                }
            }
        }
        self.describe()
    }

    fn make_folder(&self) -> anyhow::Result<()> {
        let root = self.layout.root();
        fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        if !self.layout.marker().exists() {
            ensure!(fs::read_dir(root)?.next().is_none(), "{} is no devnet's folder and not empty", root.display());
            fs::write(self.layout.marker(), "")?;
        }
        Ok(())
    }

    fn chains_run(&self) -> bool {
        CHAINS.iter().all(|name| self.layout.process(name).pid().is_some())
    }

    async fn start_bitcoind(&self) -> anyhow::Result<()> {
        // Finding one may mean building one, for minutes, on a thread that may block.
        let binary = tokio::task::spawn_blocking(bitcoind::locate_or_build).await??;
        let folder = self.layout.bitcoin();
        let bitcoind = Bitcoind::start(&binary, &folder, self.ports.bitcoin(), Lifetime::Detached).await?;
        drop(bitcoind); // it runs on
        let pid = fs::read_to_string(folder.join("bitcoind.pid")).context("bitcoind wrote no pid file")?;
        self.layout.process("bitcoind").record(pid.trim().parse().context("bitcoind's pid file")?)
    }

    /// Regtest has no other miner: a process of our own, which lives as long as the devnet.
    ///
    /// # Errors
    ///
    /// It runs already, or cannot be started.
    pub fn start_miner(&self) -> anyhow::Result<()> {
        let mut command = Command::new(tools::ours("palisade-devnet")?);
        command.arg("--dir").arg(self.layout.root()).arg("mine");
        command.env("PALISADE_DEVNET_PORT", self.ports.first().to_string()); // no file names them yet
        self.layout.process("miner").start(&mut command, &self.layout.log("miner"))?;
        Ok(())
    }

    /// Ends it, for a scenario that mines itself.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn stop_miner(&self) -> anyhow::Result<()> {
        self.layout.process("miner").stop(Signal::Terminate, STOP_DEADLINE).await
    }

    // ---- the first start (R17) -----------------------------------------------------------------------------------

    async fn make(&self) -> anyhow::Result<()> {
        let url = self.ports.ethereum_url();
        let operators: Vec<Operator> =
            OPERATORS.iter().map(|name| self.operator(name)).collect::<anyhow::Result<_>>()?;
        say("making the operators' keys");
        for operator in &operators {
            operator.create()?;
            self.anvil().fund(operator.account()?.address(), GAS_MONEY_ETHER).await?;
        }
        say("deploying the EigenLayer core");
        self.anvil().hurry().await?;
        let deployer = Self::deployer()?;
        let core = eigenlayer::deploy(&url, &deployer).await?;
        let symbiotic = match self.bitcoin_only {
            true => None,
            false => {
                say("deploying the Symbiotic core and two vaults");
                Some(Vaults::make(&url, &symbiotic::curator()?, core.token).await?)
            }
        };
        say("mining the staker's first bitcoins");
        let client = self.bitcoin()?;
        let staker = Staker::open(&self.layout.staker_key())?;
        staker.mine_first_coins(&client).await?;
        let genesis = self.found(&operators, &core, symbiotic.as_ref(), &deployer).await?;
        say(format!("the network's chain id is {}", genesis.chain_id()));
        say(match self.bitcoin_only {
            false => "registering keys, staking on EigenLayer and on Symbiotic",
            true => "registering keys; nothing is staked on Ethereum",
        });
        let adapter = Address::from(*genesis.contracts.eigenlayer_adapter.as_bytes());
        let entries = operators.iter().map(async |operator: &Operator| {
            operator.register(&url, &genesis).await?;
            if self.bitcoin_only {
                return Ok(());
            }
            operator.stake(&url, &core).await?;
            operator.allocate(&url, &core, adapter).await?;
            match &symbiotic {
                Some(vaults) => operator.opt_in(&url, vaults).await,
                None => Ok(()),
            }
        });
        let vaults = async {
            let Some(vaults) = &symbiotic else { return Ok(()) };
            let accounts = operators.iter().map(|operator| Ok(operator.account()?.address()));
            vaults.fill(&url, &symbiotic::curator()?, &accounts.collect::<anyhow::Result<Vec<_>>>()?).await
        };
        try_join(try_join_all(entries), vaults).await?;
        if let Some(vaults) = &symbiotic {
            symbiotic::note(&url, &symbiotic::curator()?, vaults.adapter).await?;
        }
        self.anvil().keep_time().await?;
        self.start_miner()?;
        say("staking bitcoin into a vault behind each operator");
        self.stake(&operators, &staker, &client, &genesis).await?;
        for operator in &operators {
            operator.configure(self.ports, &operators)?;
        }
        let names = OPERATORS.map(str::to_owned).to_vec();
        write_json(&self.layout.network(), &NetworkFile::new(self.ports, &core, symbiotic, names))
    }

    /// Genesis, then the contracts at the addresses it names.
    async fn found(
        &self,
        operators: &[Operator],
        core: &EigenLayer,
        symbiotic: Option<&Vaults>,
        deployer: &PrivateKeySigner,
    ) -> anyhow::Result<Arc<Genesis>> {
        let url = self.ports.ethereum_url();
        let nonce = contracts::next_nonce(&url, deployer).await?;
        let predicted = contracts::predict(deployer.address(), nonce);
        let member = |operator: &Operator| {
            let (key, id) = (operator.covenant()?, operator.id()?);
            anyhow::Ok(key.map(|key| (key, id)))
        };
        let covenant = operators.iter().filter_map(|operator| member(operator).transpose());
        let genesis = genesis(Day {
            random: Hash::new(rand::random()),
            ethereum_start: self.anvil().final_point().await?,
            bitcoin_start: final_point(&self.bitcoin()?).await?,
            contracts: predicted,
            core: core.clone(),
            symbiotic: symbiotic.cloned(),
            covenant: covenant.collect::<anyhow::Result<_>>()?,
            seats: operators.iter().map(Operator::seat).collect::<anyhow::Result<_>>()?,
            bitcoin_only: self.bitcoin_only,
        })?;
        genesis.check()?;
        fs::write(self.layout.genesis(), genesis_file::to_json(&genesis))?;
        say("deploying Palisade.sol, its adapters and Orders.sol");
        let parameters = contracts::Parameters::of(&genesis);
        contracts::deploy(&url, deployer, &predicted, core, &parameters).await?;
        if let Some(vaults) = symbiotic {
            vaults.deploy_adapter(&url, &symbiotic::curator()?, predicted.palisade, predicted.orders).await?;
        }
        Ok(Arc::new(genesis))
    }

    /// A vault for each, its registration written to his folder.
    async fn stake(
        &self,
        operators: &[Operator],
        staker: &Staker,
        client: &Client,
        genesis: &Genesis,
    ) -> anyhow::Result<()> {
        let versions = Versions::of(genesis)?;
        let rules = versions.at(genesis.bitcoin_start.number).context("the devnet's genesis has vaults")?;
        let whose = operators.iter().map(|operator| Ok((operator.id()?, operator.provider(genesis)?)));
        let sent = staker.stake(client, rules, &whose.collect::<anyhow::Result<Vec<_>>>()?).await?;
        for (operator, sent) in operators.iter().zip(&sent) {
            let registration = staker.register(client, sent).await?;
            fs::write(operator.files().vault(), format!("0x{}\n", hex::encode(registration.to_bytes())))?;
        }
        Ok(())
    }

    // ---- readiness -----------------------------------------------------------------------------------------------

    /// Hands every vault that the ledger does not know to a node, as soon as the ledger knows its operator.
    async fn register_vaults(&self) -> anyhow::Result<()> {
        let operators = self.operators()?;
        let teller = operators.first().context("a devnet has operators")?;
        self.await_answer(teller).await?;
        for operator in &operators {
            let Some(registration) = vault_of(operator)? else { continue };
            let (id, staker) = (operator.id()?.to_string(), registration.staker.to_string());
            let bytes = format!("0x{}", hex::encode(registration.to_bytes()));
            let client = teller.client()?;
            until(&format!("{}'s vault in the ledger", operator.name()), READY_DEADLINE, async || {
                let known = match client.vaults().await {
                    Ok(known) => known,
                    Err(error) => return Ok(self.unless_dead(teller, short(&error))),
                };
                if known.iter().any(|vault| vault.operator == id && vault.staker == staker) {
                    return Ok(Seen::There(()));
                }
                Ok(Seen::NotYet(match client.register_vault(bytes.clone()).await {
                    Ok(accepted) => format!("vault {} waits for the covenant and a block", accepted.vault),
                    Err(error) => short(&error),
                }))
            })
            .await?;
        }
        say("every vault is in the ledger");
        Ok(())
    }

    /// Waits until on every node a block of this start is ether-final and a checkpoint of it bitcoin-final.
    async fn await_finality(&self) -> anyhow::Result<()> {
        let operators = self.operators()?;
        let mut start = 0;
        for operator in &operators {
            let status = self.await_answer(operator).await?;
            start = start.max(status.head.height);
        }
        for operator in &operators {
            self.await_final_above(operator, start, READY_DEADLINE).await?;
        }
        Ok(())
    }

    /// Where bitcoin stands alone, only a vault gives a seat, and the first committee may be drawn before every vault is deep enough: as
    /// long as few sit in it, the loss of one stops all.
    async fn await_seats(&self) -> anyhow::Result<()> {
        let operators = self.operators()?;
        let teller = operators.first().context("a devnet has operators")?;
        let client = teller.client()?;
        until("everybody's seat", READY_DEADLINE, async || match client.status().await {
            Ok(status) if status.has_weight && status.committee_size == operators.len() => Ok(Seen::There(())),
            Ok(status) => Ok(Seen::NotYet(format!("{} sit in epoch {}", status.committee_size, status.epoch))),
            Err(error) => Ok(self.unless_dead(teller, short(&error))),
        })
        .await
    }

    /// Deploys Committee.sol as soon as the ledger has a committee with weight (R6), and BitcoinVaults.sol over it. Neither where
    /// bitcoin stands alone: no committee there ever has the ETH-side weight that they count (R22).
    async fn deploy_light_client(&self) -> anyhow::Result<()> {
        let (genesis, provider) = (self.genesis()?, self.anvil().provider()?);
        if genesis.is_bitcoin_only() || contracts::stands(&provider, self.bitcoin_vaults()?).await? {
            return Ok(());
        }
        let operators = self.operators()?;
        let client = operators.first().context("a devnet has operators")?.client()?;
        let mut height = 1;
        let boundary = until("the first committee with weight", READY_DEADLINE, async || {
            while let Ok(block) = client.block(height).await {
                if block.next_committee.is_some() {
                    let next = client.committee(Some(block.epoch + 1)).await?;
                    if next.total_ether != "0" {
                        return Ok(Seen::There(block.header));
                    }
                }
                height += 1;
            }
            Ok(Seen::NotYet(format!("none is drawn up to height {height}")))
        })
        .await?;
        let boundary = Header::from_bytes(&palisade_node::text::parse_hex_bytes(&boundary)?)?;
        contracts::deploy_light_client(&self.ports.ethereum_url(), &Self::deployer()?, &genesis, &boundary).await?;
        say(format!("Committee.sol stands, from the boundary block {} on", boundary.height));
        Ok(())
    }

    /// anvil's rich account, which deploys and pays for what is nobody's in particular.
    ///
    /// # Errors
    ///
    /// Never: its key is a constant.
    pub fn deployer() -> anyhow::Result<PrivateKeySigner> {
        Ok(DEPLOYER.parse()?)
    }

    /// Where BitcoinVaults.sol stands, or will.
    ///
    /// # Errors
    ///
    /// There is no devnet.
    pub fn bitcoin_vaults(&self) -> anyhow::Result<Address> {
        let committee = Address::from(*self.genesis()?.contracts.committee.as_bytes());
        contracts::vaults_over(Self::deployer()?.address(), committee)
    }

    async fn await_answer(&self, operator: &Operator) -> anyhow::Result<StatusView> {
        let client = operator.client()?;
        until(&format!("{}'s first answer", operator.name()), START_DEADLINE, async || match client.status().await {
            Ok(status) => Ok(Seen::There(status)),
            Err(error) => Ok(self.unless_dead(operator, short(&error))),
        })
        .await
    }

    /// Nothing is to be expected of a node whose process has ended.
    fn unless_dead<T>(&self, operator: &Operator, stands: String) -> Seen<T> {
        match operator.process().pid() {
            Some(_) => Seen::NotYet(stands),
            None => Seen::Never(format!("{} ended; {}", operator.name(), last_line(&self.layout.log(operator.name())))),
        }
    }

    /// Waits until a block above `height` is ether-final on a node and a checkpoint above it bitcoin-final.
    ///
    /// # Errors
    ///
    /// Not before the deadline.
    pub async fn await_final_above(&self, operator: &Operator, height: u64, deadline: Duration) -> anyhow::Result<()> {
        let client = operator.client()?;
        let bitcoin_only =
            until(&format!("finality above height {height} on {}", operator.name()), deadline, async || {
                let status = match client.status().await {
                    Ok(status) => status,
                    Err(error) => return Ok(self.unless_dead(operator, short(&error))),
                };
                let above = |block: &Option<palisade_node::rpc::views::BlockName>| {
                    block.as_ref().is_some_and(|block| block.height > height)
                };
                // Where bitcoin stands alone, nothing is ever ether-final (R22).
                let ether = status.bitcoin_only || above(&status.ether_final);
                Ok(match ether && above(&status.bitcoin_final) {
                    true => Seen::There(status.bitcoin_only),
                    false => Seen::NotYet(stands(&status)),
                })
            })
            .await?;
        let sides = if bitcoin_only { "bitcoin-final" } else { "final on both sides" };
        say(format!("{}: {sides} above height {height}", operator.name()));
        Ok(())
    }

    /// Writes `devnet.json`.
    fn describe(&self) -> anyhow::Result<()> {
        let operators = self.operators()?.iter().map(Operator::describe).collect::<anyhow::Result<Vec<_>>>()?;
        let network = self.network()?;
        let vaults = self.bitcoin_vaults()?;
        let description = describe(&self.layout, self.ports, &network, &*self.genesis()?, vaults, operators);
        write_json(&self.layout.description(), &description)
    }

    // ---- down, reset, join -----------------------------------------------------------------------------------------

    /// Stops everything that runs, nodes first, so that they see no chain fail. Fine when nothing runs.
    ///
    /// # Errors
    ///
    /// A process had to be killed.
    pub async fn down(&self) -> anyhow::Result<()> {
        let mut failed = Vec::new();
        failed.extend(service::down(&self.layout).await.err());
        let nodes: Vec<_> = names().map(|name| (name, self.layout.process(name))).collect();
        for (name, process) in nodes.iter().filter(|(_, process)| process.pid().is_some()) {
            say(format!("stopping {name}"));
            process.signal(Signal::Terminate)?;
        }
        for (_, process) in &nodes {
            failed.extend(process.stop(Signal::Terminate, STOP_DEADLINE).await.err());
        }
        for name in members() {
            failed.extend(self.layout.process(&name).stop(Signal::Terminate, STOP_DEADLINE).await.err());
        }
        failed.extend(self.layout.process("miner").stop(Signal::Terminate, STOP_DEADLINE).await.err());
        failed.extend(self.layout.process("bitcoind").stop(Signal::Terminate, STOP_DEADLINE).await.err());
        failed.extend(self.anvil().stop().await.err());
        if self.layout.network().exists() {
            failed.extend(self.describe().err());
        }
        match failed.into_iter().reduce(|all, error| all.context(format!("{error:#}"))) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Stops everything and forgets it.
    ///
    /// # Errors
    ///
    /// The folder cannot be removed.
    pub async fn reset(&self) -> anyhow::Result<()> {
        if let Err(error) = self.down().await {
            say(format!("{error:#}")); // what was killed is thrown away anyhow
        }
        for name in everybody() {
            ensure!(self.layout.process(&name).pid().is_none(), "{name} runs on");
        }
        let root = self.layout.root();
        if !root.exists() {
            return Ok(());
        }
        ensure!(self.layout.marker().exists(), "{} is no devnet's folder and is left alone", root.display());
        match fs::remove_dir_all(root) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", root.display()))
            }
            _ => Ok(()),
        }
    }

    /// Ends everything at once, without storing anything: for tests that failed.
    pub fn kill(&self) {
        for name in everybody() {
            // Nobody is left to hear of a failure here.
            let _ = self.layout.process(&name).signal(Signal::Kill);
        }
    }

    /// Adds the latecomer with the ordinary `palisade join` and returns when he sits in the committee. What was done
    /// before an interruption is not done again.
    ///
    /// # Errors
    ///
    /// The devnet does not run, or he does not get a seat in time.
    pub async fn join(&self) -> anyhow::Result<Duration> {
        self.network()?;
        ensure!(self.chains_run(), "the devnet does not run; start it with: up");
        ensure!(
            !self.genesis()?.is_bitcoin_only(),
            "a latecomer brings stake on Ethereum, and here bitcoin stands alone"
        );
        let began = Instant::now();
        let operator = self.operator(LATECOMER)?;
        let mut network = self.network()?;
        let genesis = self.genesis()?;
        let core = network.eigenlayer();
        let url = self.ports.ethereum_url();
        say(format!("making {LATECOMER}'s keys and funding his account"));
        operator.create()?;
        self.anvil().fund(operator.account()?.address(), GAS_MONEY_ETHER).await?;
        let mut everybody = self.operators()?;
        if !everybody.iter().any(|known| known.name() == LATECOMER) {
            everybody.push(operator.clone());
        }
        operator.configure(self.ports, &everybody)?;
        network.add(LATECOMER);
        write_json(&self.layout.network(), &network)?;
        if operator.process().pid().is_none() {
            operator.start()?;
        }
        self.describe()?;
        let adapter = Address::from(*genesis.contracts.eigenlayer_adapter.as_bytes());
        let account = operator.account()?.address();
        let stands = eigenlayer::slashable(&self.anvil().provider()?, &core, account, adapter).await?;
        if stands == U256::ZERO {
            say("depositing and delegating his stake on EigenLayer");
            operator.stake(&url, &core).await?;
        }
        let mut command = Command::new(tools::ours("palisade")?);
        command.arg("join").arg("--config").arg(operator.files().config());
        command.arg("--account-key").arg(operator.files().account_key());
        command.arg("--deadline").arg(JOIN_DEADLINE.as_secs().to_string()).stdin(Stdio::null());
        say("palisade join --config … --account-key …");
        let mut joining = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        self.await_registered(&operator, &genesis).await?;
        if stands == U256::ZERO {
            say("allocating his stake to the network's operator set");
            operator.allocate(&url, &core, adapter).await?;
        }
        let status = joining.wait().await?;
        ensure!(status.success(), "palisade join failed with {status}");
        let took = began.elapsed();
        say(format!("{LATECOMER} is in the committee after {}", seconds(took)));
        Ok(took)
    }

    /// Waits until Palisade.sol holds his keys: EigenLayer's operator set takes nobody else.
    async fn await_registered(&self, operator: &Operator, genesis: &Genesis) -> anyhow::Result<()> {
        let palisade = Address::from(*genesis.contracts.palisade.as_bytes());
        let account = operator.account()?.address();
        until("the registration in Palisade.sol", START_DEADLINE, async || {
            let contract = contracts::Palisade::new(palisade, self.anvil().provider()?);
            Ok(match contract.openKeyId(account).call().await? {
                0 => Seen::NotYet("no row yet".to_owned()),
                _ => Seen::There(()),
            })
        })
        .await
    }

    // ---- looking ---------------------------------------------------------------------------------------------------

    /// How everything stands, as a table.
    ///
    /// # Errors
    ///
    /// A file of it was changed by hand.
    pub async fn status(&self) -> anyhow::Result<String> {
        if !self.layout.network().exists() {
            return Ok(format!("no devnet in {}", self.layout.root().display()));
        }
        let shown = |pid: Option<u32>| pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let dash = || "-".to_owned();
        let mut rows = Vec::new();
        for (name, url) in
            [("anvil", self.ports.ethereum_url()), ("bitcoind", self.ports.bitcoin_url()), ("miner", dash())]
        {
            let pid = self.layout.process(name).pid();
            let how = if pid.is_some() { "runs" } else { "down" };
            rows.push(vec![name.to_owned(), how.to_owned(), shown(pid), url]);
        }
        for operator in self.operators()? {
            let pid = operator.process().pid();
            let how = match pid {
                None => vec!["down".to_owned()],
                Some(_) => match operator.client()?.status().await {
                    Err(error) => vec!["no answer".to_owned(), shown(pid), operator.rpc(), short(&error)],
                    Ok(status) => vec![
                        if status.seated { "seated" } else { "no seat" }.to_owned(),
                        shown(pid),
                        operator.rpc(),
                        stands(&status),
                    ],
                },
            };
            rows.push([vec![operator.name().to_owned()], how].concat());
            if let Some(process) = operator.covenant_process() {
                let how = if process.pid().is_some() { "runs" } else { "down" };
                let socket = operator.files().covenant().join("run/sock").display().to_string();
                rows.push(vec![member(operator.name()), how.to_owned(), shown(process.pid()), socket]);
            }
        }
        rows.iter_mut().for_each(|row| row.resize_with(5, dash));
        Ok(table(&["name", "state", "pid", "listens", "ledger"], &rows))
    }

    /// Where everything listens, for a person who wants to look.
    ///
    /// # Errors
    ///
    /// There is no devnet.
    pub fn addresses(&self) -> anyhow::Result<String> {
        let mut rows = vec![
            vec!["ethereum (anvil)".to_owned(), self.ports.ethereum_url()],
            vec!["bitcoin (regtest)".to_owned(), self.ports.bitcoin_url()],
        ];
        for operator in self.operators()? {
            rows.push(vec![operator.name().to_owned(), format!("{}  {}", operator.rpc(), operator.address()?)]);
        }
        rows.push(vec!["for programs".to_owned(), self.layout.description().display().to_string()]);
        Ok(table(&["what", "where"], &rows))
    }
}

/// The registration of an operator's vault, if he has one.
///
/// # Errors
///
/// The file was changed by hand.
pub fn vault_of(operator: &Operator) -> anyhow::Result<Option<VaultRegistration>> {
    let path = operator.files().vault();
    if !path.exists() {
        return Ok(None);
    }
    let bytes = palisade_node::text::parse_hex_bytes(&fs::read_to_string(&path)?)?;
    Ok(Some(VaultRegistration::from_bytes(&bytes).with_context(|| path.display().to_string())?))
}

/// Bitcoin's newest block that is deep enough to be final.
async fn final_point(client: &Client) -> anyhow::Result<ChainPoint> {
    let depth = u32::try_from(crate::constants::BITCOIN_DEPTH)?;
    let height = client.info().await?.blocks.checked_sub(depth).context("regtest is too short")?;
    let hash = client.block_hash(height).await?;
    let time = client.header(hash).await?.time;
    Ok(ChainPoint {
        number: u64::from(height),
        hash: Hash::new(hash.to_byte_array()),
        log: u32::MAX,
        time: u64::from(time),
    })
}

/// One node's ledger in a line.
fn stands(status: &StatusView) -> String {
    let height = |block: &Option<palisade_node::rpc::views::BlockName>| {
        block.as_ref().map_or_else(|| "none".to_owned(), |block| block.height.to_string())
    };
    let weight = if status.has_weight { "" } else { " without weight" };
    format!(
        "height {}, epoch {}{weight}, ether-final {}, bitcoin-final {}, ethereum {}, bitcoin {}, {} peers",
        status.head.height,
        status.epoch,
        height(&status.ether_final),
        height(&status.bitcoin_final),
        status.ethereum.anchor.number,
        status.bitcoin.anchor.number,
        status.peers.len(),
    )
}

/// What a node said, without what the transport adds.
fn short(error: &jsonrpsee::core::ClientError) -> String {
    match error {
        jsonrpsee::core::ClientError::Call(refusal) => refusal.message().to_owned(),
        _ => "no answer yet".to_owned(),
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty");
    format!("{}: {line}", log.display())
}
