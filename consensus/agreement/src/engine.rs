//! Builds and starts the engine: its own log, sync and consensus actors, our network and our application.

use crate::app::{App, Request, SYNC_BATCH};
use crate::ballot::Overheard;
use crate::codec::WireCodec;
use crate::context::{Palisade, Verifier, VoteSigner, Voter};
use crate::forward::Forward;
use crate::malachite::PeerId;
use crate::malachite::config::{ConsensusConfig, ValuePayload, ValueSyncConfig};
use crate::malachite::engine::node::NodeRef;
use crate::malachite::engine::util::events::TxEvent;
use crate::malachite::engine::util::output_port::{OutputPort, OutputPortSubscriberTrait};
use crate::malachite::metrics::{Metrics, SharedRegistry};
use crate::malachite::spawn::{spawn_consensus_actor, spawn_node_actor, spawn_sync_actor, spawn_wal_actor};
use crate::wire::Wire;
use palisade_types::certificate::MAX_MEMBERS;
use palisade_types::ids::{ChainId, OperatorId};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// What one engine needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Labels its metrics. Two engines in one process need two names.
    pub moniker: String,
    /// The network.
    pub chain: ChainId,
    /// Whose votes it makes. Without a seat in a height's committee it follows and votes for nothing.
    pub operator: OperatorId,
    /// Our own peer id.
    pub peer: PeerId,
    /// The log's file. It is never deleted: after a crash it keeps us from voting twice.
    pub log: PathBuf,
    /// How long to wait at the start for peers with a quorum of power.
    pub quorum_wait: Duration,
    /// How often to tell peers how far we are.
    pub status_interval: Duration,
}

/// Where the engine's questions and findings go.
pub struct Outlets {
    /// To the core.
    pub requests: mpsc::Sender<Request>,
    /// Every ballot heard on the network, signatures unchecked. What does not fit is lost.
    pub heard: mpsc::Sender<Overheard>,
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    node: NodeRef,
    actors: JoinHandle<()>,
    app: JoinHandle<()>,
    log: PathBuf,
}

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the engine could not be started: {0}")]
pub struct NotStarted(String);

/// Inputs of one future height that may wait: ten rounds of a full committee.
const QUEUE_PER_HEIGHT: usize = 10 * MAX_MEMBERS;

/// Starts the engine. `connected` says which operators' peers are connected, for the wait at the start.
///
/// # Errors
///
/// [`NotStarted`]: mostly that the log cannot be opened, because another process has it or its directory is gone.
pub async fn start(
    config: Config,
    signer: VoteSigner,
    wire: Wire,
    outlets: Outlets,
    connected: watch::Receiver<BTreeSet<OperatorId>>,
) -> Result<Engine, NotStarted> {
    let registry = SharedRegistry::global().with_moniker(&config.moniker);
    let metrics = Metrics::register(&registry);
    let (node, actors) = spawn_node_actor(metrics.clone()).await.map_err(not_started)?;
    let started = build(&config, signer, wire, outlets, connected, &node, &registry, metrics).await;
    match started {
        Ok(app) => Ok(Engine { node, actors, app, log: config.log }),
        Err(error) => {
            node.get_cell().stop_children(None);
            node.stop(None);
            Err(error)
        }
    }
}

/// The steps of the engine's own builder, with our application in place of its bridge; see [`crate::app`].
#[allow(clippy::too_many_arguments)]
async fn build(
    config: &Config,
    signer: VoteSigner,
    wire: Wire,
    outlets: Outlets,
    connected: watch::Receiver<BTreeSet<OperatorId>>,
    node: &NodeRef,
    registry: &SharedRegistry,
    metrics: Metrics,
) -> Result<JoinHandle<()>, NotStarted> {
    let (seated, seats_now) = watch::channel(None);
    let verifier = Verifier::new(config.chain);
    let network = wire.spawn(verifier.clone(), config.chain, config.peer, outlets.heard, seats_now);
    let network = network.await.map_err(not_started)?;
    network.link(node.get_cell());
    let log = spawn_wal_actor(&Palisade, WireCodec, &config.log, registry, node.clone()).await.map_err(not_started)?;
    log.link(node.get_cell());
    let (host, messages) = Forward::spawn().await.map_err(not_started)?;
    host.link(node.get_cell());
    let sync_port = Arc::new(OutputPort::with_capacity(256));
    let consensus = spawn_consensus_actor(
        Palisade,
        Voter(config.operator),
        consensus_config(),
        Box::new(verifier),
        Some(Box::new(signer)),
        network.clone(),
        host.clone(),
        log,
        sync_port.clone(),
        metrics,
        TxEvent::new(),
        node.clone(),
    )
    .await
    .map_err(not_started)?;
    consensus.link(node.get_cell());
    let sync = spawn_sync_actor(
        Palisade,
        network.clone(),
        host,
        consensus.clone(),
        WireCodec,
        &sync_config(config.status_interval),
        registry,
    )
    .await
    .map_err(not_started)?;
    if let Some(sync) = &sync {
        sync.link(node.get_cell());
        sync.subscribe_to_port(&sync_port);
    }
    let (engine, engine_known) = oneshot::channel();
    let app = App::new(config.chain, config.operator, outlets.requests, connected, config.quorum_wait, network, seated);
    let moniker = config.moniker.clone();
    let app = tokio::spawn(async move {
        let ended = app.run(messages, engine_known).await;
        tracing::warn!(moniker, %ended, "the engine's application ends");
    });
    // The application waits for it; it cannot have ended before.
    let _ = engine.send(consensus);
    Ok(app)
}

fn not_started(error: impl std::fmt::Display) -> NotStarted {
    NotStarted(format!("{error:#}"))
}

/// The network part of it is not used: the swarm is ours.
fn consensus_config() -> ConsensusConfig {
    ConsensusConfig {
        value_payload: ValuePayload::ProposalAndParts,
        queue_per_height_capacity: QUEUE_PER_HEIGHT,
        ..ConsensusConfig::default()
    }
}

fn sync_config(status_interval: Duration) -> ValueSyncConfig {
    ValueSyncConfig {
        status_update_interval: status_interval,
        batch_size: usize::try_from(SYNC_BATCH).unwrap_or(usize::MAX),
        ..ValueSyncConfig::default()
    }
}

impl Engine {
    /// Waits until the engine has ended by itself: an actor failed, or the core is gone. After a failure of the log
    /// it deliberately hangs instead, with the metric `node_safety_failure` set, because a restart could make us vote
    /// twice: a person decides.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = &mut self.actors => {}
            _ = &mut self.app => {}
        }
    }

    /// Stops it and waits until the log is closed.
    pub async fn stop(mut self) {
        self.node.get_cell().stop_children_and_wait(None, None).await;
        self.node.stop(None);
        if !self.actors.is_finished() {
            let _ = (&mut self.actors).await;
        }
        self.app.abort();
        self.log_closed().await;
    }

    /// The log's thread outlives its actor by a moment and holds the file's lock until it ends. Five seconds are more
    /// than it ever needs; who starts an engine on the file before then is refused, not harmed.
    async fn log_closed(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let held = || std::fs::File::open(&self.log).is_ok_and(|log| log.try_lock().is_err());
        while held() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The metrics of every engine in this process, in the text format of Prometheus.
#[must_use]
pub fn metrics_text() -> String {
    let mut text = String::new();
    crate::malachite::metrics::export(&mut text);
    text
}
