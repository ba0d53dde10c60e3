//! Palisade: the node's own parts, as `palisade run` connects them, over two chains on which nothing happens.

use crate::{Plan, Ran, cpu, same};
use anyhow::{Context as _, Result, ensure};
use palisade_agreement::wire::wire;
use palisade_bitcoin::vault::Versions;
use palisade_ledger::Ledger;
use palisade_ledger::fixture::{Network, OperatorKeys, network_with, point};
use palisade_node::config;
use palisade_node::core::Core;
use palisade_node::follower;
use palisade_node::handle::CoreHandle;
use palisade_node::keys;
use palisade_node::network::admission::{Admission, Standing};
use palisade_node::network::{self, Keypair, Multiaddr, PeerId};
use palisade_node::run::{Parts, connect};
use palisade_node::signer::{self, Signer};
use palisade_node::snapshot;
use palisade_storage::Store;
use palisade_types::chain::{Chain, ChainError, ChainKind, ChainPoint, Endpoints, Execution, Progress, Watch};
use palisade_types::evidence::Evidence;
use palisade_types::genesis::Genesis;
use palisade_types::ids::{Ed25519Key, OperatorId};
use palisade_types::observation::Fact;
use palisade_types::units::Height;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Heights in an epoch; certificates begin with the second.
pub const EPOCH: u64 = 60;
/// How often each chain has a new final block.
const BLOCK: Duration = Duration::from_secs(2);

/// Operators who can be stopped and started.
pub struct Operators {
    genesis: Arc<Genesis>,
    facts: Vec<Fact>,
    began: Instant,
    dir: tempfile::TempDir,
    seats: Vec<Seat>,
    admission: Admission,
    target: Duration,
}

struct Seat {
    operator: OperatorId,
    identity: Keypair,
    address: Option<Multiaddr>,
    running: Option<Running>,
}

struct Running {
    handle: CoreHandle,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
    /// Keeps states for others, and holds the store until it is done with the last.
    keeping: JoinHandle<()>,
}

impl Operators {
    /// Makes so many, with keys of their own, and starts none.
    pub fn new(count: usize, target: Duration) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let made = |index: usize| Ok(signer::create(&signer_dir(dir.path(), index), &incarnation(dir.path(), index))?);
        let keys = (0..count).map(made).collect::<Result<Vec<keys::OperatorKeys>>>()?;
        let identities: Vec<_> = (0..count).map(|_| Keypair::generate_ed25519()).collect();
        let mut network = network_with(count, 7, |genesis| {
            let mut seats = genesis.seats.to_vec();
            for ((seat, keys), identity) in seats.iter_mut().zip(&keys).zip(&identities) {
                seat.ed25519 = Ed25519Key::new(keys.ed25519.public().to_bytes());
                seat.peer = identity.public().to_peer_id().to_bytes().try_into().expect("a peer id is short");
            }
            genesis.seats = seats.try_into().expect("as many as before");
            genesis.parameters.epoch_heights = EPOCH;
        });
        let (chain, bitcoin) = (network.chain, network.bitcoin_domain);
        for (fixture, keys) in network.operators.iter_mut().zip(&keys) {
            let (bls, ed25519, eots) = (keys.bls.clone(), keys.ed25519.clone(), keys.eots(&chain, &bitcoin));
            *fixture = OperatorKeys { id: fixture.id, bls, ed25519, eots };
        }
        network.genesis.check().map_err(|unsafe_| anyhow::anyhow!("{unsafe_:?}"))?;
        let Network { genesis, operators, .. } = &network;
        let seats = operators.iter().zip(identities);
        let seats: Vec<_> =
            seats.map(|(keys, identity)| Seat { operator: keys.id, identity, address: None, running: None }).collect();
        let standing = |operator| Standing { operator: Some(operator), publishes: true, share: 0 };
        let admission =
            Admission::new(seats.iter().map(|seat| (seat.identity.public().to_peer_id(), standing(seat.operator))));
        Ok(Self {
            facts: network.joining_facts(),
            genesis: genesis.clone(),
            began: Instant::now(),
            dir,
            seats,
            admission,
            target,
        })
    }

    fn data(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("data-{index}"))
    }

    /// Opens an operator's part and takes part with it.
    pub async fn start(&mut self, index: usize) -> Result<()> {
        let (genesis, data) = (self.genesis.clone(), self.data(index));
        let chain = genesis.chain_id();
        std::fs::create_dir_all(&data)?;
        let store = Arc::new(Store::open(&data.join("ledger"), &chain)?);
        let ledger = match store.load()? {
            Some(loaded) => Ledger::restore(genesis.clone(), loaded.head, loaded.rows)?,
            None => {
                let ledger = Ledger::genesis(genesis.clone());
                store.begin(ledger.head(), ledger.rows())?;
                ledger
            }
        };
        let operator = self.seats[index].operator;
        let signer = Signer::open(&signer::Config {
            dir: signer_dir(self.dir.path(), index),
            incarnation: incarnation(self.dir.path(), index),
            operator,
            domains: genesis.domains(),
            palisade: genesis.contracts.palisade,
            ethereum_head: genesis.ethereum_start.number,
            vote_pause: signer::VOTE_PAUSE,
        })?;
        let signed = signer.signed_last().await?;
        let versions = Versions::of(&genesis)?;
        let mut core = Core::new(operator, versions, ledger, store.confirmed()?, signed);
        if let Some((head, _)) = store.block(core.ledger().head().height)? {
            core.resume(head.header, None);
        }
        let (engine_wire, port) = wire();
        let known = self.seats.iter().filter(|seat| seat.running.is_some());
        let peers: Vec<(PeerId, Multiaddr)> =
            known.filter_map(|seat| Some((seat.identity.public().to_peer_id(), seat.address.clone()?))).collect();
        let started = network::start(
            network::Config {
                identity: self.seats[index].identity.clone(),
                chain,
                listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
                peers,
                announce: Vec::new(),
                discover: false,
                admission: self.admission.clone(),
            },
            port,
        )
        .await?;
        let mut listening = started.network.listening();
        let address = listening.wait_for(|all| !all.is_empty()).await?.first().cloned();
        let (agreeing, sockets) = connect(Parts {
            operator,
            engine: config::Engine {
                propose: Duration::from_secs(3),
                target: self.target,
                listen: Duration::ZERO,
                status: Duration::from_secs(1),
                ..config::Engine::default()
            },
            log: data.join("engine.wal"),
            core,
            store: store.clone(),
            signer,
            network: started,
            wire: engine_wire,
        })
        .await?;
        for (kind, asked) in sockets.wanted {
            let chain = Quiet { kind, genesis: genesis.clone(), facts: self.facts.clone(), began: self.began };
            tokio::spawn(follower::follow(kind, Arc::new(chain), asked, sockets.seen.clone()));
        }
        let keeping = tokio::spawn(snapshot::keep(sockets.boundaries, store, None));
        let handle = sockets.handle.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (asks, presign) = (sockets.asks, sockets.presign);
        let ended = tokio::spawn(async move {
            let ended = agreeing.run(async { drop(stopped.await) }).await;
            drop((asks, presign));
            ended
        });
        handle.passes_through(None).await?;
        let seat = &mut self.seats[index];
        (seat.address, seat.running) = (address, Some(Running { handle, stop, ended, keeping }));
        Ok(())
    }

    /// Stops an operator and waits until he has let go of everything.
    pub async fn stop(&mut self, index: usize) -> Result<()> {
        let Running { handle, stop, ended, keeping } = self.seats[index].running.take().context("it does not run")?;
        drop((handle, stop));
        ended.await??;
        Ok(keeping.await?)
    }

    /// From the next start on one height takes at least so long.
    pub const fn pace(&mut self, target: Duration) {
        self.target = target;
    }

    /// Removes what an operator has of the ledger; what he signed stays.
    pub fn wipe(&self, index: usize) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.data(index))?)
    }

    /// The height of an operator's ledger.
    pub async fn height(&self, index: usize) -> Result<u64> {
        let running = self.seats[index].running.as_ref().context("it does not run")?;
        Ok(running.handle.read(|core| core.ledger().head().height.get()).await?)
    }

    /// The lowest height that a running one has.
    pub async fn lowest(&self) -> Result<u64> {
        let mut lowest = u64::MAX;
        for index in 0..self.seats.len() {
            if self.seats[index].running.is_some() {
                lowest = lowest.min(self.height(index).await?);
            }
        }
        Ok(lowest)
    }

    /// Waits until every running one is at `height`.
    pub async fn reach(&self, height: u64, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while self.lowest().await? < height {
            ensure!(Instant::now() < deadline, "{} of {height} after {patience:?}", self.lowest().await?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The block and state of everybody at `height`; everybody must be stopped.
    pub fn found(&self, height: u64) -> Result<String> {
        let one = |index: usize| {
            let store = Store::open(&self.data(index).join("ledger"), &self.genesis.chain_id())?;
            let (block, _) = store.block(Height::new(height))?.context("no such block")?;
            Ok(format!("block {height} is {}, its state {}", block.id(), block.header.state_root))
        };
        same((0..self.seats.len()).map(one).collect::<Result<Vec<_>>>()?)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.seats.len()
    }
}

fn signer_dir(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("signer-{index}"))
}

fn incarnation(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("incarnation-{index}"))
}

/// Runs a network for a while.
pub async fn run(plan: Plan) -> Result<Ran> {
    let took = Arc::new(Mutex::new(Vec::new()));
    let listening = tracing_subscriber::registry().with(Took(took.clone()));
    // One listener for the process: every round hears of its own operators only, because they stop before the next one begins.
    static HEARD: Mutex<Option<Arc<Mutex<Vec<Duration>>>>> = Mutex::new(None);
    let took = {
        let mut heard = HEARD.lock().expect("nobody panics with it");
        match &*heard {
            Some(took) => took.clone(),
            None => {
                tracing::subscriber::set_global_default(listening)?;
                heard.get_or_insert(took).clone()
            }
        }
    };
    let mut operators = Operators::new(plan.nodes, Duration::from_millis(1))?;
    for index in 0..plan.nodes {
        operators.start(index).await?;
    }
    operators.reach(plan.warm, Duration::from_secs(120)).await?;
    took.lock().expect("nobody panics with it").clear();
    let (began, from, used) = (Instant::now(), operators.lowest().await?, cpu());
    tokio::time::sleep(plan.time).await;
    let upto = operators.lowest().await?;
    let (time, cpu) = (began.elapsed(), cpu() - used);
    let certified = std::mem::take(&mut *took.lock().expect("nobody panics with it"));
    for index in 0..operators.count() {
        operators.stop(index).await?;
    }
    ensure!(!certified.is_empty(), "nothing was certified");
    Ok(Ran { blocks: upto - from, time, cpu, certified, found: operators.found(upto)? })
}

/// Hears how long certificates took, from the node's own log line.
struct Took(Arc<Mutex<Vec<Duration>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Took {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "palisade_node::run" && metadata.fields().field("micros").is_some()
            || *metadata.level() <= tracing::Level::WARN
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Micros(Option<u64>, String);
        impl Visit for Micros {
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "micros" {
                    self.0 = Some(value);
                }
            }
            fn record_u128(&mut self, field: &Field, value: u128) {
                self.record_u64(field, u64::try_from(value).unwrap_or(u64::MAX));
            }
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.1 += &format!(" {field}={value:?}");
            }
        }
        let mut micros = Micros(None, String::new());
        event.record(&mut micros);
        if let Some(micros) = micros.0 {
            self.0.lock().expect("nobody panics with it").push(Duration::from_micros(micros));
        } else if std::env::var_os("PALISADE_RACE_LOG").is_some() {
            eprintln!("{}{}", event.metadata().target(), micros.1);
        }
    }
}

/// A chain on which everybody registers and stakes in its first block, and nothing happens afterwards.
struct Quiet {
    kind: ChainKind,
    genesis: Arc<Genesis>,
    facts: Vec<Fact>,
    began: Instant,
}

impl Quiet {
    fn start(&self) -> u64 {
        match self.kind {
            ChainKind::Ethereum => self.genesis.ethereum_start.number,
            ChainKind::Bitcoin => self.genesis.bitcoin_start.number,
        }
    }
}

impl Chain for Quiet {
    fn endpoints(&self) -> Endpoints {
        Endpoints { configured: 1, well: 1, contradictions: 0 }
    }

    async fn tip(&self) -> Result<ChainPoint, ChainError> {
        let blocks = u64::try_from(self.began.elapsed().as_millis() / BLOCK.as_millis()).unwrap_or(0);
        Ok(point(self.kind, self.start() + 1 + blocks))
    }

    async fn observe(&self, after: &ChainPoint, upto: &ChainPoint, _: &Watch) -> Result<Vec<Fact>, ChainError> {
        let joins = after.number <= self.start() && upto.number > self.start();
        Ok(if self.kind == ChainKind::Ethereum && joins { self.facts.clone() } else { Vec::new() })
    }

    async fn resume(&self, upto: &ChainPoint, _: &Watch) -> Result<Vec<Fact>, ChainError> {
        Err(ChainError::NotThere { number: upto.number })
    }

    async fn exposed(&self, _: &ChainPoint, _: &ChainPoint, _: &Watch) -> Result<Vec<Evidence>, ChainError> {
        Ok(Vec::new())
    }

    async fn point(&self, number: u64) -> Result<ChainPoint, ChainError> {
        Ok(point(self.kind, number))
    }

    async fn execute(&self, _: &Execution) -> Result<Progress, ChainError> {
        Err(ChainError::Refused("there is nothing to carry out".to_owned()))
    }
}
