//! Builds everything and runs it: the one place that knows all the parts.
//!
//! One task owns the core. Requests of the engine, messages of peers, what followers saw, what the signer signed and
//! what people ask all come to it over channels, one at a time; nothing else changes the ledger. A block is on disk
//! before the core commits it and the engine hears of it; if the disk fails the process aborts.

use crate::acceptance;
use crate::boundary;
use crate::budget::Budget;
use crate::checking;
use crate::config::{self, Beginning, Config, KeptBlocks};
use crate::core::{Action, Core};
use crate::covenant;
use crate::covenant::protocol::Asked;
use crate::decided;
use crate::doppelganger;
use crate::elsewhere;
use crate::executor;
use crate::follower::{self, MAX_WANTED, Seen};
use crate::handle::{Command, CoreHandle};
use crate::handover;
use crate::headers;
use crate::health::{self, Health};
use crate::identity;
use crate::keys;
use crate::message::{MAX_MESSAGE, Message};
use crate::metrics::Metrics;
use crate::network::admission::{Admission, Standing};
use crate::network::{self, Gossip, Network, Topic};
use crate::pull;
use crate::rpc;
use crate::service;
use crate::sessions;
use crate::signer::{self, Signer};
use crate::signing::{self, Signed, Task};
use crate::snapshot;
use crate::socket;
use anyhow::{Context, bail};
use libp2p::PeerId;
use palisade_agreement::anchors::Wanted;
use palisade_agreement::app::{Kept, Pace, Request, Start, Stored, Verdict};
use palisade_agreement::ballot::Overheard;
use palisade_agreement::context::VoteSigner;
use palisade_agreement::engine::{self, Engine};
use palisade_agreement::parts::Proposed;
use palisade_agreement::pool::Pool;
use palisade_agreement::wire::{Wire, wire};
use palisade_bitcoin::Bitcoin;
use palisade_bitcoin::vault::Versions;
use palisade_ethereum::{Account, Ethereum};
use palisade_ledger::{Ledger, Tree};
use palisade_storage::{Store, StoreError};
use palisade_types::attestation::Attestation;
use palisade_types::block::{Block, Item};
use palisade_types::canonical::Canonical;
use palisade_types::certificate::{Member, QuorumCertificate};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::FinalBlock;
use palisade_types::genesis::Genesis;
use palisade_types::ids::{BlockId, Domain, OperatorId};
use palisade_types::slash::CaseStatus;
use palisade_types::units::{Height, Millis};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How often the core is told that time goes by.
const TICK: Duration = Duration::from_millis(250);
/// Messages from peers that may wait for the core.
const MAX_GOSSIP: usize = 1_024;
/// Requests of the engine that may wait for the core.
const MAX_REQUESTS: usize = 64;
/// Registrations that may wait for the covenant's member; what does not fit is asked again.
const MAX_PRESIGN: usize = 32;
/// A follower that sees nothing new for this long makes the node unwell.
const QUIET: Duration = Duration::from_secs(120);
/// A ledger that does not move for this long makes the node unwell.
const STUCK: Duration = Duration::from_secs(60);
/// For how long a peer may know a heavier Bitcoin than our own endpoint before nothing new is taken from that (R30).
const GRACE: Duration = Duration::from_secs(60);

/// Runs a node until it is told to stop, or until it must.
///
/// # Errors
///
/// Whatever keeps it from starting, as one readable line with its causes; nothing has been signed then.
pub async fn run(config: Config, genesis: Genesis) -> anyhow::Result<()> {
    let genesis = Arc::new(genesis);
    let chain = genesis.chain_id();
    let versions = Versions::of(&genesis).context("genesis: terms of vaults")?;
    tracing::info!(operator = %config.operator, %chain, "starting");

    let opened = Store::open(&config.data_dir.join("ledger"), &chain);
    let store =
        Arc::new(opened.map_err(|error| stored(error, &config.data_dir)).context("opening the ledger's store")?);
    let ethereum = Arc::new(connect_ethereum(&config, &genesis).await?);
    let bitcoin = Arc::new(connect_bitcoin(&config, &genesis, &store).await?);
    let (engine_wire, port) = wire();
    let identity = identity::read(&config.node_key()).context("reading the network key")?;
    let peer = identity.public().to_peer_id();
    let network = network::start(
        network::Config {
            identity,
            listen: config.p2p.listen.clone(),
            peers: config.p2p.peers.iter().map(|peer| (peer.peer, peer.address.clone())).collect(),
            admission: first_admission(&genesis),
            announce: config.p2p.announce.clone(),
            discover: config.p2p.discover,
            chain,
        },
        port,
    )
    .await
    .context("starting the network")?;
    begin(&config, &store, &network.network, &ethereum).await?;
    let ledger = load(&store, &genesis, &config.data_dir)?;
    let signer = open_signer(&config, &genesis, &ethereum).await?;
    let signed = signer.signed_last().await.context("reading the signer's records")?;
    let member_versions = versions.clone();
    let mut core = Core::new(config.operator, versions, ledger, store.confirmed()?, signed);
    core.await_passage(config.sync.checkpoint.map(|checkpoint| checkpoint.0))?;
    resume(&mut core, &store, &genesis, signed.attested)?;
    let waiting = store.pending().context("reading what waits for a block")?;
    if let Some(suspension) = core.ledger().suspension(ChainKind::Bitcoin) {
        tracing::error!(since = %suspension.since, gone = suspension.anchor.number, "Bitcoin is SUSPENDED; see palisade bitcoin accept");
    }
    core.remember(waiting.iter().filter_map(|(_, bytes)| Item::from_bytes(bytes).ok()));

    network.network.admit(admission(&core));

    let parts = Parts {
        operator: config.operator,
        engine: config.engine.clone(),
        log: config.data_dir.join("engine.wal"),
        core,
        store: store.clone(),
        signer: signer.clone(),
        network,
        wire: engine_wire,
    };
    let (agreeing, sockets) = connect(parts).await?;
    let Sockets { handle, asks, wanted, seen, presign, signed, boundaries, certified, metrics, health } = sockets;

    for (kind, asked) in wanted {
        match kind {
            ChainKind::Ethereum => tokio::spawn(follower::follow(kind, ethereum.clone(), asked, seen.clone())),
            ChainKind::Bitcoin => tokio::spawn(follower::follow(kind, bitcoin.clone(), asked, seen.clone())),
        };
    }
    if config.ethereum.sender_key.is_some() {
        tokio::spawn(executor::execute(ChainKind::Ethereum, ethereum.clone(), handle.clone()));
        tokio::spawn(handover::hand_over(ethereum.clone(), handle.clone(), store.clone()));
    }
    tokio::spawn(boundary::watch(ethereum, handle.clone()));
    tokio::spawn(executor::execute(ChainKind::Bitcoin, bitcoin.clone(), handle.clone()));
    tokio::spawn(headers::keep(bitcoin.clone(), store.clone()));
    tokio::spawn(elsewhere::serve(asks, bitcoin.clone(), handle.clone(), store.clone()));
    let window = (config.store.keep == KeptBlocks::Window).then(|| genesis.parameters.ethereum_window());
    tokio::spawn(snapshot::keep(boundaries, store.clone(), window));
    tokio::spawn(elsewhere::compare(agreeing.actor.network.clone(), bitcoin.clone()));
    let listen = config.engine.listen;
    tokio::spawn(doppelganger::listen(agreeing.actor.network.clone(), handle.clone(), config.operator, listen));
    tokio::spawn(acceptance::watch(config.data_dir.clone(), bitcoin.clone(), handle.clone()));
    let own = signer.covenant().filter(|_| config.covenant.enabled);
    match (&config.covenant.socket, own) {
        (Some(socket), _) => {
            tokio::spawn(covenant::ask::run(socket.clone(), member_versions, presign, signed));
        }
        (None, Some(secret)) => {
            tokio::spawn(signing::presign(secret.clone(), bitcoin, presign, signed));
        }
        (None, None) => {}
    }

    if let Some(path) = &config.service.socket {
        let listener = socket::listen(path).context("opening service.socket")?;
        tracing::info!(socket = %path.display(), "modules of services are heard");
        tokio::spawn(service::server::serve(listener, handle.clone()));
    }

    let (rpc_address, rpc_server) = rpc::start(
        &config.rpc,
        rpc::Sources {
            core: handle,
            store,
            operator: config.operator,
            connected: agreeing.inputs.connected.clone(),
            history: signer.history(),
            certified,
            metrics: metrics.clone(),
        },
    )
    .await?;
    let engine_text: health::EngineMetrics = Arc::new(engine::metrics_text);
    let metrics_address = health::start(config.metrics.listen, metrics, engine_text, health)
        .await
        .with_context(|| format!("listening for metrics on {}", config.metrics.listen))?;
    tracing::info!(rpc = %rpc_address, metrics = %metrics_address, %peer, "ready to take part");

    let ended = agreeing.run(stop_asked()).await;
    // Refused when it has stopped already, which is what we want.
    let _ = rpc_server.stop();
    ended
}

/// What an operator agrees with others by, opened and not yet connected. It knows no chain: whoever follows one is plugged into
/// [`Sockets`].
pub struct Parts {
    /// Who.
    pub operator: OperatorId,
    /// How fast, and how long it only listens at first.
    pub engine: config::Engine,
    /// The file of the engine's log.
    pub log: PathBuf,
    /// What was known when it stopped.
    pub core: Core,
    /// The ledger's store.
    pub store: Arc<Store>,
    /// The keys.
    pub signer: Signer,
    /// The network, started.
    pub network: network::Started,
    /// The engine's end of the network.
    pub wire: Wire,
}

/// Where everything else is plugged in.
pub struct Sockets {
    /// A hand on the core.
    pub handle: CoreHandle,
    /// What peers ask.
    pub asks: mpsc::Receiver<network::Ask>,
    /// What the core wants to know of each chain.
    pub wanted: BTreeMap<ChainKind, mpsc::Receiver<Wanted>>,
    /// Where a follower tells what it sees.
    pub seen: mpsc::Sender<Seen>,
    /// What the covenant's member among us is asked to sign.
    pub presign: mpsc::Receiver<Asked>,
    /// Where he answers.
    pub signed: mpsc::Sender<Signed>,
    /// The boundary block whose state is to be kept for others.
    pub boundaries: watch::Receiver<Option<FinalBlock>>,
    /// Every certificate that is made, for subscribers.
    pub certified: broadcast::Sender<QuorumCertificate>,
    /// The figures.
    pub metrics: Metrics,
    /// How the node fares.
    pub health: watch::Receiver<Health>,
}

/// An operator whose engine waits for the core to run.
pub struct Agreeing {
    engine: Engine,
    serving: JoinHandle<()>,
    signer: Signer,
    actor: Actor,
    inputs: Inputs,
}

/// Connects core, engine, signer and network with each other. Nothing is signed before [`Agreeing::run`].
///
/// # Errors
///
/// The engine's log cannot be opened.
pub async fn connect(parts: Parts) -> anyhow::Result<(Agreeing, Sockets)> {
    let Parts { operator, engine: config, log, core, store, signer, network, wire } = parts;
    let chain = core.genesis().chain_id();
    let core = core.signing_with(signer.keys().bls);
    let metrics = Metrics::new();
    let (votes, vote_requests) = VoteSigner::new(chain, 64);
    let (decided, decided_by_others) = watch::channel(Height::new(0));
    let serving = tokio::spawn(signer.clone().serve(vote_requests, decided_by_others));
    let (requests, engine_requests) = mpsc::channel(MAX_REQUESTS);
    let (heard, ballots) = mpsc::channel(MAX_GOSSIP);
    let engine = engine::start(
        engine::Config {
            moniker: operator.to_string(),
            chain,
            operator,
            peer: network.network.engine_peer(),
            log,
            quorum_wait: config.quorum_wait,
            status_interval: config.status,
        },
        votes,
        wire,
        engine::Outlets { requests, heard },
        network.connected.clone(),
    )
    .await?;

    let (handle, commands) = CoreHandle::channel();
    let (seen, sightings) = mpsc::channel(2 * MAX_WANTED);
    let (mut ask, mut wanted) = (BTreeMap::new(), BTreeMap::new());
    for kind in crate::core::CHAINS {
        let (asking, asked) = mpsc::channel(MAX_WANTED);
        ask.insert(kind, asking);
        wanted.insert(kind, asked);
    }
    let (boundaries, drawn) = watch::channel(None);
    let (tasks, signing_tasks) = mpsc::unbounded_channel();
    let (signed, signatures) = mpsc::channel(MAX_GOSSIP);
    let (presign, registrations) = mpsc::channel(MAX_PRESIGN);
    tokio::spawn(signing::sign(signer.clone(), signing_tasks, signed.clone()));
    let (certified, _) = broadcast::channel(rpc::MAX_NEWS);
    let (health, health_seen) = watch::channel(Health::Unwell("starting".to_owned()));
    let (pull, to_pull) = mpsc::channel(pull::MAX_WAITING);
    tokio::spawn(pull::pull(network.network.clone(), handle.clone(), chain, to_pull));
    let (check, to_check) = mpsc::channel(checking::MAX_WAITING);
    let (told, checked) = mpsc::channel(1);
    tokio::spawn(checking::check(chain, to_check, told));

    let actor = Actor {
        core,
        pull,
        certified: certified.clone(),
        check,
        budget: Budget::default(),
        store,
        metrics: metrics.clone(),
        health,
        network: network.network,
        wanted: ask,
        tasks,
        presign,
        pace: config.pace(),
        vote_pause: signer.history().vote_pause(),
        forgot: signer.history() != signer::History::Unbroken,
        listen: config.listen,
        decided,
        boundaries,
        held: Vec::new(),
        started: Instant::now(),
        checks: BTreeMap::new(),
        progress: Progress::default(),
    };
    let inputs = Inputs {
        requests: engine_requests,
        commands,
        sightings,
        signatures,
        gossip: network.gossip,
        checked,
        ballots,
        connected: network.connected,
    };
    let sockets = Sockets {
        handle,
        asks: network.asks,
        wanted,
        seen,
        presign: registrations,
        signed,
        boundaries: drawn,
        certified,
        metrics,
        health: health_seen,
    };
    Ok((Agreeing { engine, serving, signer, actor, inputs }, sockets))
}

impl Agreeing {
    /// Takes part until `stop` is ready, or until it must stop; then everything is closed.
    ///
    /// # Errors
    ///
    /// Why it had to stop.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { mut engine, serving, signer, actor, inputs } = self;
        let mut running = tokio::spawn(actor.run(inputs));
        let ended = tokio::select! {
            () = stop => Ok(()),
            ended = &mut running => ended.context("the core ended").and_then(|ended| ended),
            () = engine.ended() => Err(anyhow::anyhow!("the engine ended by itself")),
            _ = serving => Err(anyhow::anyhow!("the signer ended by itself")),
        };
        tracing::info!("stopping");
        engine.stop().await;
        if !running.is_finished() {
            running.abort();
            // It lets go of the store when it has ended.
            let _ = running.await;
        }
        signer.close().await;
        ended
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

pub(crate) async fn connect_ethereum(config: &Config, genesis: &Arc<Genesis>) -> anyhow::Result<Ethereum> {
    let account = config
        .ethereum
        .sender_key
        .as_ref()
        .map(|path| anyhow::Ok(Account::from_bytes(&*keys::read_secret(path)?)?))
        .transpose()
        .context("ethereum.sender_key")?;
    Ethereum::connect(&config.ethereum.endpoints(), genesis.clone(), account)
        .await
        .context("connecting to Ethereum (ethereum.rpc)")
}

async fn connect_bitcoin(config: &Config, genesis: &Arc<Genesis>, store: &Store) -> anyhow::Result<Bitcoin> {
    let config = palisade_bitcoin::Config { kept: headers::load(store), ..config.bitcoin(genesis.clone(), GRACE)? };
    Bitcoin::connect(config).await.context("connecting to Bitcoin (bitcoin.rpc)")
}

/// Gives an empty store the state that its operator wants to begin with. It was certified before Ethereum took it, by those who confirmed
/// it: only what comes after it is compared with our own followers (R7).
async fn begin(config: &Config, store: &Store, network: &Network, ethereum: &Ethereum) -> anyhow::Result<()> {
    if config.sync.from != Beginning::Snapshot || store.tip()?.is_some() {
        return Ok(());
    }
    let checkpoint = config.sync.checkpoint.map(|checkpoint| checkpoint.0);
    let Some(beginning) = snapshot::take(network, ethereum, checkpoint).await else { return Ok(()) };
    let head = FinalBlock { height: beginning.block.header.height, id: beginning.block.id() };
    store.begin_later(&beginning.block, &[], &beginning.chunks).context("storing the state to begin with")?;
    store.put_confirmed(&head)?;
    Ok(())
}

/// The ledger as it was committed last, or genesis.
fn load(store: &Store, genesis: &Arc<Genesis>, data: &Path) -> anyhow::Result<Ledger> {
    let Some((head, rows)) = store.stored().map_err(|error| stored(error, data)).context("loading the ledger")? else {
        if genesis.continues.is_some() {
            bail!(
                "a successor begins with the state before it: palisade succession begin, or [sync] from = \"snapshot\""
            );
        }
        let ledger = Ledger::genesis(genesis.clone());
        store.begin(ledger.head(), ledger.rows()).context("storing the ledger of genesis")?;
        return Ok(ledger);
    };
    let ledger = Ledger::wake(genesis.clone(), head, rows);
    let ledger = ledger.with_context(|| anew(data)).context("the stored ledger")?;
    let promised = match store.block(head.height)? {
        Some((block, _)) => block.header.state_root,
        None if head.height == Height::new(0) => Ledger::genesis(genesis.clone()).root(),
        None => bail!("the stored ledger has no block {}", head.height),
    };
    if promised != ledger.root() {
        bail!("the stored ledger's root is not what block {} says: {}", head.height, anew(data));
    }
    Ok(ledger)
}

/// What a person does about a damaged store. The signer's directory is another, and stays.
fn anew(data: &Path) -> String {
    let data = data.display();
    format!(
        "move {data}/ledger and {data}/engine.wal away, never the signer's directory, and run again: it syncs from its peers"
    )
}

/// A store's error, with what helps.
fn stored(error: StoreError, data: &Path) -> anyhow::Error {
    let remedy = if error.is_damage() { Some(anew(data)) } else { error.remedy() };
    let error = anyhow::Error::from(error);
    match remedy {
        Some(remedy) => error.context(remedy),
        None => error,
    }
}

/// Gives the core back what it needs to attest, or to say again, what a restart interrupted: the head, and the boundary
/// block while its certificate is not in the ledger (R10). A boundary that was never attested must be proven to extend
/// what was (R16), so its state is made again from the blocks.
fn resume(core: &mut Core, store: &Store, genesis: &Arc<Genesis>, attested: Option<FinalBlock>) -> anyhow::Result<()> {
    if let Some((head, _)) = store.block(core.ledger().head().height)? {
        core.resume(head.header, None);
    }
    let boundary = core.boundary();
    if let Some(height) = boundary
        && let Some(certificate) = store.certificate(height)?
    {
        core.resume_certificate(certificate);
    }
    for (kind, number) in core.open_numbers() {
        if let Some(certificate) = store.numbered_certificate(kind, number)? {
            core.resume_numbered(&certificate);
        }
    }
    let head = core.ledger().head().height;
    let unsaid = boundary.filter(|height| *height < head && attested.is_none_or(|last| last.height < *height));
    let tree = match (core.unchecked(), unsaid) {
        (None, None) => None,
        (unchecked, unsaid) => replay(core, store, genesis, unchecked, unsaid)?,
    };
    if let Some(height) = boundary
        && let Some((block, _)) = store.block(height)?
    {
        core.resume(block.header, tree);
    }
    Ok(())
}

/// Makes earlier states again from the blocks alone: to compare blocks from `unchecked` on with what our followers see,
/// and to return the state of `wanted`.
fn replay(
    core: &mut Core,
    store: &Store,
    genesis: &Arc<Genesis>,
    unchecked: Option<Height>,
    wanted: Option<Height>,
) -> anyhow::Result<Option<Tree>> {
    let head = core.ledger().head().height;
    tracing::info!(%head, ?unchecked, ?wanted, "making earlier states again from the blocks");
    let mut ledger = match store.first().context("loading the first state")? {
        Some(first) => Ledger::restore(genesis.clone(), first.head, first.rows).context("the first state")?,
        None => Ledger::genesis(genesis.clone()),
    };
    let mut tree = (wanted == Some(ledger.head().height)).then(|| ledger.tree().clone());
    while ledger.head().height < head {
        let height = ledger.head().height.next();
        let (block, _) = store.block(height)?.with_context(|| format!("block {height} is not stored"))?;
        if unchecked.is_some_and(|first| height >= first) {
            core.recheck(&ledger, &block);
        }
        let changes = ledger.preview(&block).with_context(|| format!("replaying block {height}"))?;
        ledger.apply(changes);
        if wanted == Some(height) {
            tree = Some(ledger.tree().clone());
        }
    }
    Ok(tree)
}

async fn open_signer(config: &Config, genesis: &Arc<Genesis>, ethereum: &Ethereum) -> anyhow::Result<Signer> {
    let opened = signer::Config {
        dir: config.signer_dir.clone(),
        incarnation: config.incarnation.clone(),
        operator: config.operator,
        domains: genesis.domains(),
        palisade: genesis.contracts.palisade,
        ethereum_head: ethereum.newest().await.context("asking Ethereum for its newest block")?,
        vote_pause: signer::VOTE_PAUSE,
    };
    let signer = tokio::task::spawn_blocking(move || Signer::open(&opened)).await?.context("opening the signer")?;
    match signer.history() {
        signer::History::Unbroken => tracing::info!("the guard's history is unbroken"),
        signer::History::Waiting(wait) => {
            tracing::warn!(cause = %wait.cause, wake_up = wait.wake_up, "the guard waits before it attests (R15)");
        }
    }
    Ok(signer)
}

/// Who may connect while there is no ledger yet to say so: the seats of genesis.
fn first_admission(genesis: &Genesis) -> Admission {
    let seats = genesis.seats.iter().filter_map(|seat| {
        let standing = Standing { operator: Some(seat.operator), publishes: true, share: 0 };
        Some((PeerId::from_bytes(&seat.peer).ok()?, standing))
    });
    Admission::new(seats)
}

/// Who may publish: members of this committee by the registry's peer ids and, in epoch 0, by genesis'. Every other
/// registered operator follows. Whoever named a peer first is named before who did later.
fn admission(core: &Core) -> Admission {
    let ledger = core.ledger();
    let seats = core.genesis().seats.iter().map(|seat| (seat.operator, &seat.peer[..]));
    let named = ledger.operators().filter_map(|operator| {
        let peer = &operator.keys_now()?.peer;
        let first = operator.keys.iter().find(|row| row.peer == *peer)?;
        Some((first.from, operator.id, &peer[..]))
    });
    let mut named: Vec<_> = named.collect();
    named.sort_by_key(|(since, ..)| *since);
    let keys = named.into_iter().map(|(_, operator, peer)| (operator, peer));
    let power: u128 = ledger.committee().members.iter().map(|member| u128::from(member.engine)).sum();
    let share = |member: &Member| u8::try_from(u128::from(member.engine) * 100 / power.max(1)).unwrap_or(100);
    let standing = |operator| {
        let seat = ledger.committee().seat(&operator).map(|(_, member)| member);
        Standing { operator: Some(operator), publishes: seat.is_some(), share: seat.map_or(0, share) }
    };
    let peers =
        seats.chain(keys).filter_map(|(operator, peer)| Some((PeerId::from_bytes(peer).ok()?, standing(operator))));
    Admission::new(peers)
}

/// Answers whoever asked, if he still waits.
fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    let _ = reply.send(answer);
}

/// Everything that comes to the core.
struct Inputs {
    requests: mpsc::Receiver<Request>,
    commands: mpsc::Receiver<Command>,
    sightings: mpsc::Receiver<Seen>,
    signatures: mpsc::Receiver<Signed>,
    gossip: mpsc::Receiver<Gossip>,
    checked: mpsc::Receiver<Vec<checking::Told>>,
    ballots: mpsc::Receiver<Overheard>,
    connected: watch::Receiver<std::collections::BTreeSet<OperatorId>>,
}

/// One of them.
enum Input {
    Request(Request),
    Signed(Box<Signed>),
    Seen(Seen),
    Command(Command),
    Ballot(Overheard),
    Checked(Vec<checking::Told>),
    Gossip(Gossip),
    Tick,
}

impl Inputs {
    /// What comes next: first what the engine, the signer and our own followers bring. What strangers can fill comes in no order, so
    /// that whoever asks without end keeps nobody from being heard, and no clock from striking.
    async fn next(&mut self, tick: &mut tokio::time::Interval) -> Input {
        let Self { requests, commands, sightings, signatures, gossip, checked, ballots, .. } = self;
        let others = async {
            tokio::select! {
                Some(command) = commands.recv() => Input::Command(command),
                Some(ballot) = ballots.recv() => Input::Ballot(ballot),
                Some(told) = checked.recv() => Input::Checked(told),
                Some(gossip) = gossip.recv() => Input::Gossip(gossip),
                _ = tick.tick() => Input::Tick,
            }
        };
        tokio::select! {
            biased;
            Some(request) = requests.recv() => Input::Request(request),
            Some(signed) = signatures.recv() => Input::Signed(Box::new(signed)),
            Some(seen) = sightings.recv() => Input::Seen(seen),
            other = others => other,
        }
    }
}

/// A block whose check waits for a follower.
struct Check {
    reply: oneshot::Sender<Verdict>,
    deadline: Instant,
}

/// What health is judged by.
#[derive(Default)]
struct Progress {
    moved: Option<Instant>,
    seen: BTreeMap<ChainKind, Instant>,
    proposed: Option<Instant>,
    /// When each uncertified height was first proposed here.
    certifying: BTreeMap<u64, Instant>,
}

/// The task that owns the core.
struct Actor {
    core: Core,
    pull: mpsc::Sender<(Domain, u64)>,
    /// Tells subscribers.
    certified: broadcast::Sender<QuorumCertificate>,
    check: mpsc::Sender<checking::Asked>,
    /// How long it worked for whom.
    budget: Budget,
    store: Arc<Store>,
    metrics: Metrics,
    health: watch::Sender<Health>,
    network: Network,
    wanted: BTreeMap<ChainKind, mpsc::Sender<Wanted>>,
    tasks: mpsc::UnboundedSender<Task>,
    presign: mpsc::Sender<Asked>,
    pace: Pace,
    /// For how long after the start the guard does not vote.
    vote_pause: Duration,
    /// Whether the guard may have forgotten votes (R15).
    forgot: bool,
    /// For how long after the start nothing is signed, while we listen for a doppelganger (R20).
    listen: Duration,
    /// Tells a guard that does not know what it voted up to where others have decided (R15).
    decided: watch::Sender<Height>,
    /// Tells which state is to be kept for others.
    boundaries: watch::Sender<Option<FinalBlock>>,
    /// What is to be signed after that.
    held: Vec<Task>,
    started: Instant,
    checks: BTreeMap<BlockId, Vec<Check>>,
    progress: Progress,
}

impl Actor {
    async fn run(mut self, mut inputs: Inputs) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.act().await?;
            self.answer_checks();
            match inputs.next(&mut tick).await {
                Input::Request(request) => self.serve(request)?,
                Input::Signed(signed) => self.signed(*signed)?,
                Input::Seen(seen) => self.seen(seen),
                Input::Command(command) => self.command(command)?,
                Input::Ballot(ballot) => self.core.heard_ballot(&ballot),
                Input::Checked(told) => self.hear_checked(told),
                Input::Gossip(gossip) => self.hear(gossip),
                Input::Tick => self.tick(&inputs),
            }
        }
    }

    fn now(&self) -> Millis {
        Millis::new(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    // ---- the engine ----------------------------------------------------------------------------------------------

    /// Answers the engine. A reply that nobody waits for any more is no fault: the engine has moved on.
    fn serve(&mut self, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Ready { reply } => self.ready(reply),
            Request::Kept { height, reply } => answer(reply, self.kept(height)?),
            Request::Round { height, round, proposer } => {
                self.metrics.round.set(i64::from(round));
                if round > 0 {
                    tracing::info!(%height, round, %proposer, "another round");
                }
            }
            Request::Propose { height, reply, .. } => {
                if height == self.core.ledger().head().height.next() {
                    self.proposed(height);
                    let block = self.core.propose(self.now());
                    answer(reply, block);
                }
            }
            Request::Check { of, block, decided, reply } => self.check(of, &block, decided, reply),
            Request::Keep { kept, reply } => {
                let Kept { of, block } = kept;
                self.store.keep_undecided(of.height, of.round, &of.block, &block.to_bytes())?;
                answer(reply, ());
            }
            Request::Decided { block, certificate, reply, .. } => {
                self.commit(&block, &certificate)?;
                answer(reply, self.start());
            }
            Request::Misbehaved { pairs } => self.core.misbehaved(pairs),
            Request::Blocks { from, upto, reply } => answer(reply, self.blocks(from, upto)?),
            Request::HistoryMin { reply } => {
                // Of the block that the ledger began with no certificate of the engine's is here.
                answer(reply, self.store.base()?.map_or(Height::new(1), |base| base.height.next()));
            }
        }
        Ok(())
    }

    /// Lets the engine start. While the guard keeps from voting (R15), and while we listen for a doppelganger (R20), it would
    /// only abstain, and a vote that was abstained from is not made later in that round: four such nodes would wait for each
    /// other for ever.
    fn ready(&self, reply: oneshot::Sender<Start>) {
        let start = self.start();
        let pause = self.vote_pause.max(self.listen).saturating_sub(self.started.elapsed());
        if pause.is_zero() && !self.forgot {
            return answer(reply, start);
        }
        tracing::info!(?pause, "the engine starts when the guard may vote");
        let (network, decided, forgot) = (self.network.clone(), self.decided.clone(), self.forgot);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if forgot {
                let height = decided::by_others(&network, &start.committee).await;
                tracing::info!(%height, "the guard votes only above what others have decided (R15)");
                decided.send_replace(height);
            }
            answer(reply, start);
        });
    }

    fn start(&self) -> Start {
        let ledger = self.core.ledger();
        Start { height: ledger.head().height.next(), committee: Arc::new(ledger.committee().clone()), pace: self.pace }
    }

    fn kept(&self, height: Height) -> Result<Vec<(u32, Block)>, StoreError> {
        let undecided = self.store.undecided(height)?.into_iter();
        Ok(undecided.filter_map(|one| Some((one.round, Block::from_bytes(&one.bytes).ok()?))).collect())
    }

    fn check(&mut self, of: Proposed, block: &Arc<Block>, decided: bool, reply: oneshot::Sender<Verdict>) {
        self.proposed(of.height);
        if of.height != self.core.ledger().head().height.next() {
            answer(reply, Verdict::Unknown);
            return;
        }
        match self.core.check(block, decided) {
            Some(verdict) => answer(reply, verdict),
            None => {
                let check = Check { reply, deadline: Instant::now() + self.pace.propose };
                self.checks.entry(block.id()).or_default().push(check);
            }
        }
    }

    /// Starts the clock of a height.
    fn proposed(&mut self, height: Height) {
        const UNCERTIFIED: usize = 256;
        let now = Instant::now();
        self.progress.proposed.get_or_insert(now);
        self.progress.certifying.entry(height.get()).or_insert(now);
        while self.progress.certifying.len() > UNCERTIFIED {
            self.progress.certifying.pop_first();
        }
    }

    fn answer_checks(&mut self) {
        for (id, verdict) in self.core.verdicts() {
            for check in self.checks.remove(&id).unwrap_or_default() {
                answer(check.reply, verdict);
            }
        }
        let now = Instant::now();
        for checks in self.checks.values_mut() {
            // Dropping the reply would stop the engine: a check that ran out of time says so.
            for check in checks.extract_if(.., |check| check.deadline <= now) {
                answer(check.reply, Verdict::Unknown);
            }
        }
        self.checks.retain(|_, checks| !checks.is_empty());
    }

    /// Makes a decided block durable, then real.
    fn commit(&mut self, block: &Block, certificate: &[u8]) -> anyhow::Result<()> {
        if let Some(other) = self.core.leads_elsewhere(block) {
            return Err(other.into());
        }
        let changes = match self.core.prepare(block) {
            Ok(changes) => changes,
            Err(invalid) => {
                tracing::error!(height = %block.header.height, %invalid, "two thirds decided a block we cannot apply");
                std::process::abort();
            }
        };
        if self.core.agrees_with(block) {
            self.kept_for_readers(self.store.put_confirmed(&changes.head()));
        }
        if let Err(error) = self.store.commit(block, certificate, &changes) {
            tracing::error!(height = %block.header.height, error = &error as &dyn std::error::Error, "commit failed");
            std::process::abort();
        }
        self.core.commit(block, changes);
        for (_, checks) in std::mem::take(&mut self.checks) {
            checks.into_iter().for_each(|check| answer(check.reply, Verdict::Unknown));
        }
        self.progress.moved = Some(Instant::now());
        if let Some(proposed) = self.progress.proposed.take() {
            self.metrics.commit_seconds.observe(proposed.elapsed().as_secs_f64());
        }
        self.network.admit(admission(&self.core));
        self.measure();
        tracing::debug!(height = %block.header.height, items = block.items.len(), "committed");
        for item in &block.items {
            match item {
                Item::Resumed(seen) => {
                    tracing::warn!(chain = ?seen.chain, anchor = seen.upto.number, "a suspended chain goes on from a new start");
                }
                // Who was away when they were made has them from here.
                Item::EtherFinal(certificate) => self.kept_for_readers(self.store.put_certificate(certificate)),
                Item::BitcoinFinal(certificate) => {
                    self.kept_for_readers(self.store.put_bitcoin_certificate(certificate));
                }
                _ => {}
            }
        }
        if block.header.next_committee != palisade_types::ids::Hash::ZERO {
            tracing::info!(height = %block.header.height, epoch = %block.header.epoch, "boundary block");
            self.boundaries.send_replace(Some(self.core.ledger().head()));
        }
        Ok(())
    }

    /// None before we know that our chain is the network's (R13): who syncs from us would only share our mistake.
    fn blocks(&self, from: Height, upto: Height) -> Result<Vec<Stored>, StoreError> {
        let mut blocks = Vec::new();
        if !self.core.has_passed() {
            return Ok(blocks);
        }
        for height in from.get()..=upto.get() {
            let Some((block, certificate)) = self.store.block(Height::new(height))? else {
                break;
            };
            blocks.push(Stored { block: block.to_bytes().into(), certificate: certificate.into() });
        }
        Ok(blocks)
    }

    // ---- everything else -------------------------------------------------------------------------------------------

    fn signed(&mut self, signed: Signed) -> anyhow::Result<()> {
        match signed {
            Signed::Attested(attestation) => {
                self.metrics.attestations_made.inc();
                self.core.attested(attestation);
            }
            Signed::Voted(vote) => {
                self.metrics.attestations_made.inc();
                self.core.voted(vote);
            }
            Signed::Committed(commitment) => self.core.committed_randomness(commitment),
            Signed::Presigned(presigned) => drop(self.core.presigned(presigned, true)),
            Signed::Unjailing(unjail) => self.core.unjailing(unjail),
            Signed::Learned(signed) => self.core.learned(signed),
            Signed::Doppelganger(doppelganger) => return Err(doppelganger.into()),
            Signed::Unattested(height) => {
                self.metrics.signer_refusals.inc();
                self.core.unattested(height);
            }
            Signed::Unvoted(checkpoint) => {
                self.metrics.signer_refusals.inc();
                self.core.unvoted(checkpoint);
            }
            Signed::Refused => drop(self.metrics.signer_refusals.inc()),
            Signed::Failed => bail!("the signer failed: nothing may be signed after that"),
        }
        Ok(())
    }

    fn seen(&mut self, seen: Seen) {
        let now = self.now();
        match seen {
            Seen::Stands(chain, tip) => {
                self.progress.seen.insert(chain, Instant::now());
                self.metrics.own_final(chain, tip.number);
                self.core.stands(now, chain, tip);
            }
            Seen::Observed(gap, facts) => self.core.observed(gap, facts),
            Seen::Exposed(secrets) => self.core.exposed(secrets),
            Seen::Unobserved(gap) => self.core.unobserved(&gap),
            Seen::Lost(gap) => self.core.lost(now, &gap),
            Seen::Rewound(chain) => self.core.rewound(chain),
            Seen::Failing(chain) => self.metrics.follower_failed(chain),
            Seen::Recovered(_) => {}
            Seen::Endpoints(chain, fare) => self.metrics.endpoints(chain, fare),
        }
    }

    fn command(&mut self, command: Command) -> anyhow::Result<()> {
        let now = self.now();
        match command {
            Command::Read(read) => read(&self.core),
            Command::SubmitEvidence(evidence, reply) => answer(reply, self.core.submit_evidence(*evidence)),
            Command::RegisterVault(registration, reply) => answer(reply, self.core.register(now, *registration)),
            Command::HearOwn(said) => {
                for said in said.into_iter().filter(|said| matches!(said, Message::Attestation(_) | Message::Vote(_))) {
                    self.core.hear(now, said);
                }
            }
            Command::HearChecked(checked) => {
                for checked in checked {
                    self.core.hear_checked(checked);
                }
            }
            Command::Accept(chain, anchor, reply) => answer(reply, self.core.accept(chain, anchor)),
            Command::AttestFor(statement, reply) => match self.core.attest_for(&statement) {
                Ok(asked) => self.ask_when_heard(Task::Service(Box::new(asked), reply)),
                Err(refused) => answer(reply, Err(refused.into())),
            },
            Command::Unjail(reply) => match self.core.jailed() {
                Some(jailed) => self.ask_when_heard(Task::Unjail(jailed, reply)),
                None => answer(reply, Err(service::protocol::Refusal::NotInJail)),
            },
            Command::PassesThrough(boundary) => self.core.passes_through(boundary)?,
        }
        Ok(())
    }

    fn hear(&mut self, gossip: Gossip) {
        let Gossip { publisher, bytes, verdict, .. } = gossip;
        if bytes.len() > MAX_MESSAGE {
            return verdict.refuse();
        }
        let Ok(message) = Message::from_bytes(&bytes) else {
            return verdict.refuse();
        };
        if matches!(message, Message::Evidence(_)) {
            self.metrics.evidence_received.inc();
        }
        let now = self.now();
        if let Message::Attestation(attestation) = &message {
            if let Some(verdict) = self.check_beside(*attestation, verdict) {
                verdict.give(self.core.hear(now, message));
            }
            return;
        }
        if !self.budget.allows(&publisher, self.core.ledger().committee().members.len()) {
            return verdict.give(false);
        }
        let began = Instant::now();
        let (is_proof, vote) = match &message {
            Message::Evidence(_) => (true, None),
            Message::Vote(vote) => (false, Some(vote.clone())),
            _ => (false, None),
        };
        let worthy = self.core.hear(now, message);
        // Evidence is worthless when it proves nothing, whatever the head; a vote also when somebody is ahead or behind.
        let forged = !worthy && (is_proof || vote.is_some_and(|vote| self.core.is_forged(&vote)));
        self.budget.spend(publisher, began.elapsed());
        if forged { verdict.refuse() } else { verdict.give(worthy) }
    }

    /// Has the signature checked beside the core. The verdict comes back when there is nothing to check, or no room.
    fn check_beside(&self, attestation: Attestation, verdict: network::Verdict) -> Option<network::Verdict> {
        let Some(key) = self.core.key_for(&attestation) else { return Some(verdict) };
        let (lacking, silent) = self.core.lacking(&attestation.statement);
        let asked = self.check.try_send(checking::Asked { attestation, key, lacking, silent, verdict });
        asked.err().map(|refused| refused.into_inner().verdict)
    }

    /// Hears attestations that were checked beside the core.
    fn hear_checked(&mut self, told: Vec<checking::Told>) {
        for checking::Told { attestation, checked, verdict } in told {
            let worthy = match checked {
                Some(checked) => Some(self.core.hear_checked(checked)),
                None => self.core.hear_failed(&attestation),
            };
            match worthy {
                Some(worthy) => verdict.give(worthy),
                None => verdict.refuse(),
            }
        }
    }

    fn tick(&mut self, inputs: &Inputs) {
        let now = self.now();
        self.budget.renew();
        self.core.tick(now);
        self.release_held();
        self.metrics.peers.set(i64::try_from(inputs.connected.borrow().len()).unwrap_or(i64::MAX));
        let health = self.judge_health();
        self.health.send_if_modified(|before| {
            let changed = *before != health;
            *before = health;
            changed
        });
    }

    fn judge_health(&self) -> Health {
        let quiet = |since: Option<&Instant>, limit| since.is_none_or(|since| since.elapsed() > limit);
        if quiet(self.progress.moved.as_ref(), STUCK) {
            return Health::Unwell("the ledger does not move".to_owned());
        }
        for chain in crate::core::CHAINS {
            if quiet(self.progress.seen.get(&chain), QUIET) {
                return Health::Unwell(format!("{chain:?} cannot be read"));
            }
        }
        Health::Well
    }

    /// Does what the core asks, in order.
    async fn act(&mut self) -> anyhow::Result<()> {
        for action in self.core.actions() {
            match action {
                Action::Observe(wanted) => {
                    let gap = wanted.gap;
                    let asked = self.wanted.get(&gap.chain).is_some_and(|chain| chain.try_send(wanted).is_ok());
                    if !asked {
                        self.core.unobserved(&gap);
                    }
                }
                Action::Attest(attest) => self.ask_when_heard(Task::Attest(attest)),
                Action::AttestNumbered(asked) => self.ask_when_heard(Task::Numbered(asked)),
                Action::Vote(vote) => self.ask_when_heard(Task::Vote(vote)),
                Action::CommitRandomness { first, count } => self.ask(Task::Commit { first, count }),
                // When too many wait, it is asked for again later.
                Action::Pull(domain, slot) => drop(self.pull.try_send((domain, slot))),
                Action::Met(met) => self.ask(Task::Met(met)),
                Action::Presign(asked) => self.presign(*asked),
                Action::Publish(message) => self.network.publish(Topic::of(&message), message.to_bytes()).await,
                Action::Certified(certificate) => {
                    if let Some(proposed) = self.progress.certifying.remove(&certificate.slot) {
                        let took = proposed.elapsed();
                        self.metrics.certificate_seconds.observe(took.as_secs_f64());
                        tracing::debug!(height = certificate.slot, micros = took.as_micros(), "certified by ether");
                    }
                    self.kept_for_readers(self.store.put_certificate(&certificate));
                    self.tell(certificate);
                }
                Action::BitcoinCertified(certificate) => {
                    tracing::debug!(height = certificate.slot, "certified by bitcoin");
                    self.kept_for_readers(self.store.put_bitcoin_certificate(&certificate));
                }
                Action::NumberedCertified(kind, certificate) => {
                    tracing::debug!(?kind, number = certificate.slot, "certified under its number");
                    self.kept_for_readers(self.store.put_numbered_certificate(kind, &certificate));
                    self.tell(certificate);
                }
                Action::ServiceCertified(certificate) => {
                    tracing::debug!(domain = %certificate.domain, slot = certificate.slot, "certified for a service");
                    self.kept_for_readers(self.store.put_service_certificate(&certificate));
                    self.tell(certificate);
                }
                Action::ForgetService(domain, first) => {
                    self.kept_for_readers(self.store.forget_service_certificates(&domain, first));
                }
                Action::ForgetNumbered(kind, first) => {
                    self.kept_for_readers(self.store.forget_numbered_certificates(kind, first));
                }
                Action::Confirmed(block) => self.kept_for_readers(self.store.put_confirmed(&block)),
                Action::Keep(item) => {
                    self.kept_for_readers(self.store.keep_pending(&Pool::name(&item), &item.to_bytes()))
                }
                Action::Drop(item) => self.kept_for_readers(self.store.drop_pending(&Pool::name(&item))),
                Action::Notice(notice) => tracing::warn!(notice, "a person should know"),
                Action::Alarm(alarm) => tracing::error!(alarm, "a person must look"),
            }
        }
        Ok(())
    }

    /// Asks the covenant's member among us. When he has too much to do, or there is none, others answer, and the core asks again.
    fn presign(&self, asked: sessions::Asked) {
        let (ledger, chain) = (self.core.ledger(), self.core.genesis().chain_id());
        let sessions::Asked { registration, parent, registered } = asked;
        if let Some(keys) = ledger.operator(&registration.operator).and_then(|operator| operator.keys_now()) {
            drop(self.presign.try_send(Asked { chain, provider: keys.eots, registration, parent, registered }));
        }
    }

    /// Asks the signer, but not while we only listen (R20).
    fn ask_when_heard(&mut self, task: Task) {
        self.held.push(task);
        self.release_held();
    }

    fn release_held(&mut self) {
        if self.started.elapsed() >= self.listen {
            for task in std::mem::take(&mut self.held) {
                self.ask(task);
            }
        }
    }

    fn ask(&self, task: Task) {
        // The signing task ends only with the process.
        let _ = self.tasks.send(task);
    }

    /// Tells subscribers of a certificate; there may be none.
    fn tell(&self, certificate: QuorumCertificate) {
        let _ = self.certified.send(certificate);
    }

    /// What only readers miss does not stop the node.
    fn kept_for_readers(&self, kept: Result<(), StoreError>) {
        if let Err(error) = kept {
            tracing::error!(error = &error as &dyn std::error::Error, "could not be stored");
        }
    }

    fn measure(&self) {
        let (ledger, status, metrics) = (self.core.ledger(), self.core.status(), &self.metrics);
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let height = |block: Option<FinalBlock>| signed(block.map_or(0, |block| block.height.get()));
        metrics.height.set(signed(ledger.head().height.get()));
        metrics.ether_final_height.set(height(status.certified));
        metrics.bitcoin_final_height.set(height(status.bitcoin_certified));
        metrics.attested_height.set(signed(status.attested.get()));
        metrics.epoch.set(i64::from(ledger.epoch().epoch.get()));
        metrics.committee_size.set(i64::try_from(ledger.committee().members.len()).unwrap_or(i64::MAX));
        metrics.pending.set(i64::try_from(status.pending).unwrap_or(i64::MAX));
        metrics.eots_slots_left.set(signed(status.eots_slots_left.unwrap_or(0)));
        let open = ledger.cases().filter(|case| case.status() == CaseStatus::Convicted).count();
        metrics.cases_open.set(i64::try_from(open).unwrap_or(i64::MAX));
        metrics.cases_final.set(i64::try_from(ledger.cases().count() - open).unwrap_or(i64::MAX));
        for (family, bytes) in self.store.sizes() {
            metrics.stored(family, bytes);
        }
        for chain in crate::core::CHAINS {
            metrics.anchor(chain, ledger.anchor(chain).number);
            metrics.suspended(chain, ledger.suspension(chain).is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::SignedLast;
    use palisade_ledger::fixture::{Run, network};
    use palisade_types::observation::Fact;

    #[test]
    fn r12_whoever_registers_a_members_peer_as_his_silences_nobody() {
        let mut run = Run::new(network(4, 22));
        let peers: Vec<_> = (0..4).map(|_| PeerId::random()).collect();
        let bytes = |peer: &PeerId| peer.to_bytes().try_into().unwrap();
        let mut facts = run.network.joining_facts();
        let rows = facts.iter_mut().filter_map(|fact| if let Fact::Keys(keys) = fact { Some(keys) } else { None });
        rows.zip(&peers).for_each(|(keys, peer)| keys.row.peer = bytes(peer));
        run.observe(ChainKind::Ethereum, 105, facts);
        run.until_epoch(1);
        let stranger = network(1, 99).operators[0].clone();
        let Fact::Keys(mut claim) = run.network.registration(&stranger, 9, 110) else { unreachable!() };
        claim.row.peer = bytes(&peers[0]);
        run.observe(ChainKind::Ethereum, 115, vec![Fact::Keys(claim)]);
        assert!(run.ledger.operator(&stranger.id).is_some_and(|known| known.keys_now().is_some()));
        let versions = Versions::of(run.ledger.genesis_of()).unwrap();
        let own = run.network.operators[1].id;
        let core = Core::new(own, versions, run.ledger.clone(), None, SignedLast::default());
        let admission = admission(&core);
        for peer in &peers {
            let standing = admission.standing(peer).unwrap();
            assert!(standing.publishes && standing.operator != Some(stranger.id), "{standing:?}");
        }
    }

    #[tokio::test]
    async fn who_asks_without_end_keeps_nobody_from_being_heard() {
        let (handle, commands) = CoreHandle::channel();
        let (requests, engine_requests) = mpsc::channel(1);
        let (signed, signatures) = mpsc::channel(1);
        let (seen, sightings) = mpsc::channel(1);
        let (told, checked) = mpsc::channel(1);
        let (heard, ballots) = mpsc::channel(1);
        let (passed, gossip) = mpsc::channel(1);
        let (operators, connected) = watch::channel(std::collections::BTreeSet::new());
        let mut inputs =
            Inputs { requests: engine_requests, commands, sightings, signatures, gossip, checked, ballots, connected };
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        told.send(Vec::new()).await.unwrap();
        let asking = tokio::spawn(async move { while handle.hear_own(Vec::new()).await.is_ok() {} });
        let (mut checked, mut ticks, mut asked, began) = (false, 0, 0, Instant::now());
        while !checked || ticks < 5 || asked < 5 {
            match inputs.next(&mut tick).await {
                Input::Checked(_) => checked = true,
                Input::Tick => ticks += 1,
                Input::Command(_) => asked += 1,
                _ => panic!("nothing else was sent"),
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{checked} {ticks} {asked}");
            tokio::task::yield_now().await; // whoever asks is never late
        }
        asking.abort();
        drop((requests, signed, seen, heard, passed, operators));
    }
}
