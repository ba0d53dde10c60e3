//! A [`Plain`] core behind a live engine.

use super::{CHAIN, Plain, operator};
use palisade_agreement::app::Request;
use palisade_agreement::ballot::Overheard;
use palisade_agreement::context::{SignRequest, VoteSigner};
use palisade_agreement::engine::{self, Engine, Outlets};
use palisade_agreement::malachite::PeerId;
use palisade_agreement::sim::Node;
use palisade_agreement::wire::Wire;
use palisade_types::ids::OperatorId;
use palisade_types::units::{Height, Millis};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
const NOW: Millis = Millis::new(0);

/// One node: what it keeps, and its engine while it runs.
pub struct Live {
    pub index: usize,
    core: Arc<Mutex<Plain>>,
    heights: watch::Sender<usize>,
    height: watch::Receiver<usize>,
    engine: Option<Engine>,
}

impl Live {
    pub fn new(core: Plain) -> Self {
        let (heights, height) = watch::channel(core.height());
        Self { index: core.index, core: Arc::new(Mutex::new(core)), heights, height, engine: None }
    }

    pub fn core(&self) -> MutexGuard<'_, Plain> {
        self.core.lock().unwrap()
    }

    pub fn height(&self) -> usize {
        *self.height.borrow()
    }

    /// Starts an engine. `name` labels its metrics, so each start in one process has its own.
    pub async fn start(
        &mut self,
        name: &str,
        wire: Wire,
        peer: PeerId,
        connected: watch::Receiver<BTreeSet<OperatorId>>,
        dir: &Path,
    ) {
        let (signer, sign_requests) = VoteSigner::new(CHAIN, 16);
        let (requests, served) = mpsc::channel(64);
        let (heard, ballots) = mpsc::channel(1024);
        tokio::spawn(serve(self.core.clone(), served, self.heights.clone()));
        tokio::spawn(sign(self.core.clone(), sign_requests));
        tokio::spawn(hear(self.core.clone(), ballots));
        let config = engine::Config {
            moniker: format!("{name}-{}", self.index),
            chain: CHAIN,
            operator: operator(self.index),
            peer,
            log: dir.join(format!("{}.wal", self.index)),
            quorum_wait: Duration::from_secs(5),
            status_interval: Duration::from_millis(200),
        };
        self.engine = Some(engine::start(config, signer, wire, Outlets { requests, heard }, connected).await.unwrap());
    }

    pub async fn stop(&mut self) {
        self.engine.take().unwrap().stop().await;
    }

    pub async fn reaches(&mut self, height: usize) {
        let reached = tokio::time::timeout(PATIENCE, self.height.wait_for(|now| *now >= height)).await.is_ok();
        assert!(reached, "node {} stands at {}", self.index, self.height());
    }
}

async fn serve(core: Arc<Mutex<Plain>>, mut requests: mpsc::Receiver<Request>, heights: watch::Sender<usize>) {
    while let Some(request) = requests.recv().await {
        let mut core = core.lock().unwrap();
        match request {
            Request::Ready { reply } => drop(reply.send(core.start())),
            Request::Kept { height, reply } => {
                drop(reply.send(core.kept(height).into_iter().map(|block| (0, block)).collect()));
            }
            Request::Round { .. } => {}
            Request::Propose { height, round, reply, .. } => drop(reply.send(core.propose(NOW, height, round))),
            Request::Check { of, block, decided, reply } => drop(reply.send(core.check(NOW, &of, &block, decided))),
            Request::Keep { kept, reply } => {
                core.keep(&kept);
                let _ = reply.send(());
            }
            Request::Decided { of, block, certificate, reply } => {
                let start = core.decided(NOW, &of, &block, &certificate);
                heights.send_replace(core.height());
                let _ = reply.send(start);
            }
            Request::Misbehaved { pairs } => core.misbehaved(pairs),
            Request::Blocks { from, upto, reply } => {
                let blocks = (from.get()..=upto.get()).map_while(|height| core.block(Height::new(height)));
                let _ = reply.send(blocks.collect());
            }
            Request::HistoryMin { reply } => drop(reply.send(Height::new(core.pruned + 1))),
        }
    }
}

async fn sign(core: Arc<Mutex<Plain>>, mut requests: mpsc::Receiver<SignRequest>) {
    while let Some(SignRequest { ballot, reply }) = requests.recv().await {
        let _ = reply.send(core.lock().unwrap().sign(&ballot));
    }
}

async fn hear(core: Arc<Mutex<Plain>>, mut ballots: mpsc::Receiver<Overheard>) {
    while let Some(heard) = ballots.recv().await {
        core.lock().unwrap().heard(NOW, &heard.signed);
    }
}

/// No two nodes have different blocks at one height, and nobody was caught voting twice.
pub fn agree(nodes: &[Live]) {
    let chains: Vec<_> = nodes.iter().map(|node| node.core().ids()).collect();
    let longest = chains.iter().max_by_key(|chain| chain.len()).unwrap();
    for chain in &chains {
        assert_eq!(chain, &longest[..chain.len()]);
    }
    assert!(nodes.iter().all(|node| node.core().caught.is_empty() && node.core().pairs.is_empty()));
}
