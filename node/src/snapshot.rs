//! Beginning with a later block than the first: a node with an empty store takes the state after the last boundary block that
//! Committee.sol has seen (R13), and goes on from there by blocks. Nobody is believed: the block's id stands on Ethereum, its header
//! commits to the state, and every chunk of that is proven by itself ([`palisade_ledger::snapshot`]). Whoever gives one that does not hold
//! is named, asked for nothing any more, and not heard; another goes on where he stopped.
//!
//! What a ledger needs of the past is in its rows: every block's id, every committee, every conviction.

use crate::boundary;
use crate::elsewhere::Question;
use crate::network::{Network, PeerId};
use bytes::Bytes;
use palisade_agreement::parts::whole_block;
use palisade_ethereum::Ethereum;
use palisade_ledger::snapshot::{Assembly, BadChunk, Chunk, chunks};
use palisade_storage::{NextBase, Store, StoreError};
use palisade_types::block::Block;
use palisade_types::canonical::Canonical;
use palisade_types::chain::ChainKind;
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::Hash;
use palisade_types::row::{Row, RowKey};
use palisade_types::units::Height;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// After so long without a proven chunk the node begins with genesis instead.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often peers that had nothing, or were not there, are asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest chunk that is read: [`palisade_ledger::snapshot::CHUNK_BYTES`], the proof, and one row that is larger than that.
pub const MAX_CHUNK: usize = 4 << 20;

// ---- giving -------------------------------------------------------------------------------------------------------

/// Keeps the state after each boundary block that it is told of, for as long as the core lives. One that came and went while the last one
/// was being written is left out: others have it. With a `window`, in Ethereum blocks, what came before a state that old is forgotten.
pub async fn keep(mut boundaries: watch::Receiver<Option<FinalBlock>>, store: Arc<Store>, window: Option<u64>) {
    while boundaries.changed().await.is_ok() {
        let Some(boundary) = *boundaries.borrow_and_update() else { continue };
        let store = store.clone();
        let kept = tokio::task::spawn_blocking(move || keep_one(&store, boundary, window));
        match kept.await {
            Ok(Ok(Some(chunks))) => tracing::debug!(height = %boundary.height, chunks, "a snapshot is kept"),
            Ok(Ok(None)) => tracing::debug!(height = %boundary.height, "the ledger has gone on, no snapshot is kept"),
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a snapshot could not be kept")
            }
            Err(_) => return,
        }
    }
}

/// Keeps the state after this block; gives in how many chunks, or `None` when the ledger has gone on.
fn keep_one(store: &Store, boundary: FinalBlock, window: Option<u64>) -> Result<Option<usize>, StoreError> {
    let Some(rows) = store.rows_after(&boundary)? else { return Ok(None) };
    let ethereum = ethereum_of(&rows);
    let chunks = chunks(rows);
    store.keep_snapshot(boundary.height, &chunks)?;
    if let Some(window) = window {
        prune(store, NextBase { block: boundary, ethereum }, window)?;
    }
    Ok(Some(chunks.len()))
}

/// Forgets what came before the state that was chosen for it, once that is a whole window old: nothing that can still be slashed was said
/// before it, and nobody who trusts a committee asks for it. Then, and at first, `newest` is chosen, so that between one and two windows are
/// kept. An Ethereum that stands still keeps everything, and so does a block that our own followers have not confirmed (R7).
fn prune(store: &Store, newest: NextBase, window: u64) -> Result<(), StoreError> {
    if let Some(chosen) = store.next_base()? {
        let is_old = chosen.ethereum.saturating_add(window) < newest.ethereum;
        let is_confirmed = store.confirmed()?.is_some_and(|confirmed| confirmed.height >= chosen.block.height);
        if !is_old || !is_confirmed {
            return Ok(());
        }
        store.prune()?;
        tracing::info!(height = %chosen.block.height, "the blocks before were pruned");
    }
    store.choose_base(&newest)
}

/// How far a state has taken Ethereum in.
fn ethereum_of(rows: &[(RowKey, Row)]) -> u64 {
    let anchor = rows.iter().find(|(key, _)| *key == RowKey::Anchor(ChainKind::Ethereum));
    anchor.map_or(0, |(_, row)| if let Row::Anchor(point) = row { point.number } else { 0 })
}

/// The block whose state is kept; nothing when it is not.
pub(crate) fn block(store: &Store, wanted: &FinalBlock) -> Result<Bytes, StoreError> {
    if !store.snapshots()?.contains(&wanted.height) {
        return Ok(Bytes::new());
    }
    let block = store.block(wanted.height)?.map(|(block, _)| block).filter(|block| block.id() == wanted.id);
    Ok(block.map_or_else(Bytes::new, |block| block.to_bytes().into()))
}

/// A chunk of a state that is kept; nothing when it is not.
pub(crate) fn chunk(store: &Store, height: Height, first: &Hash) -> Result<Bytes, StoreError> {
    if !store.snapshots()?.contains(&height) {
        return Ok(Bytes::new());
    }
    Ok(store.chunk(height, first)?.map_or_else(Bytes::new, Bytes::from))
}

// ---- taking -------------------------------------------------------------------------------------------------------

/// A state to begin with, and the block after which it is that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The block.
    pub block: Block,
    /// The state, proven against the block's header.
    pub chunks: Vec<Chunk>,
}

/// What a peer gave that no honest one gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Another block than the one that Ethereum names, or none.
    #[error("this is not the block that was asked for")]
    OtherBlock,
    /// Bytes that are no chunk.
    #[error("this is no chunk of a state")]
    NoChunk,
    /// A chunk that does not prove itself.
    #[error(transparent)]
    Chunk(#[from] BadChunk),
}

/// Why a peer could not be taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// He does not answer, or keeps no such state. Ask another.
    Unheld,
    /// He lies.
    Lied(Lie),
}

/// A state that is being taken, from whoever has it.
#[derive(Debug)]
struct Taking {
    wanted: FinalBlock,
    block: Option<(Block, Assembly)>,
    chunks: Vec<Chunk>,
}

impl Taking {
    const fn new(wanted: FinalBlock) -> Self {
        Self { wanted, block: None, chunks: Vec::new() }
    }

    /// Goes on with one peer until nothing is missing.
    async fn go_on(&mut self, ask: impl AsyncFn(Question) -> Option<Bytes>) -> Result<(), Refused> {
        let held = |answer: Option<Bytes>| answer.filter(|bytes| !bytes.is_empty()).ok_or(Refused::Unheld);
        // Each is asked for the block: who does not keep this state says so here.
        let bytes = held(ask(Question::Snapshot(self.wanted)).await)?;
        let block = whole_block(&bytes).filter(|block| block.id() == self.wanted.id);
        let block = block.ok_or(Refused::Lied(Lie::OtherBlock))?;
        let (_, assembly) = self.block.get_or_insert_with(|| {
            let root = block.header.state_root;
            (block, Assembly::new(root))
        });
        while let Some(first) = assembly.next() {
            let bytes = held(ask(Question::Chunk(self.wanted.height, first)).await)?;
            let chunk = (bytes.len() <= MAX_CHUNK).then(|| Chunk::from_bytes(&bytes).ok()).flatten();
            let chunk = chunk.ok_or(Refused::Lied(Lie::NoChunk))?;
            assembly.take(chunk.clone()).map_err(|bad| Refused::Lied(bad.into()))?;
            self.chunks.push(chunk);
        }
        Ok(())
    }

    fn whole(self) -> Option<Beginning> {
        let (block, assembly) = self.block?;
        assembly.next().is_none().then_some(Beginning { block, chunks: self.chunks })
    }
}

/// Takes the state after the newest block that Committee.sol, or our operator's checkpoint, names; `None` when there is none, or nobody
/// gives it in time: then the node begins with genesis.
pub async fn take(network: &Network, ethereum: &Ethereum, checkpoint: Option<FinalBlock>) -> Option<Beginning> {
    let (mut liars, mut last) = (BTreeSet::new(), Instant::now());
    let mut taking: Option<Taking> = None;
    while last.elapsed() < PATIENCE {
        let Ok(seen) = boundary::seen(ethereum).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let boundary = seen.map(|boundary| FinalBlock { height: boundary.height, id: boundary.block });
        let Some(wanted) = boundary.into_iter().chain(checkpoint).max_by_key(|block| block.height) else {
            tracing::info!("Committee.sol does not stand yet: the ledger begins with genesis");
            return None;
        };
        // What is begun is finished, as long as somebody still has it.
        let mut state = taking.take().unwrap_or(Taking::new(wanted));
        let had = state.chunks.len();
        for peer in network.peers().into_keys().filter(|peer| !liars.contains(peer)).collect::<Vec<_>>() {
            let ask = async |question: Question| network.ask(peer, question.to_bytes().into()).await.ok();
            match state.go_on(ask).await {
                Ok(()) => {
                    let (height, chunks) = (state.wanted.height, state.chunks.len());
                    tracing::info!(%height, chunks, %peer, "the state of a later block is whole");
                    return state.whole();
                }
                Err(Refused::Unheld) => {}
                Err(Refused::Lied(lie)) => {
                    told(peer, lie);
                    network.distrust(peer).await;
                    liars.insert(peer);
                }
            }
        }
        if state.chunks.len() > had {
            last = Instant::now();
            taking = Some(state);
        }
        tokio::time::sleep(AGAIN).await;
    }
    tracing::warn!("no peer gives a state to begin with: the ledger begins with genesis");
    None
}

fn told(peer: PeerId, lie: Lie) {
    tracing::error!(%peer, %lie, "a peer lies about the ledger's state; others are asked");
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use palisade_ledger::Ledger;
    use palisade_ledger::fixture::{Run, network};
    use palisade_storage::Loaded;
    use palisade_types::block::Header;
    use palisade_types::canonical::List;
    use palisade_types::ids::{BlockId, ChainId};
    use palisade_types::row::{Row, RowKey};
    use palisade_types::units::Epoch;
    use std::cell::RefCell;

    /// Epochs in which Ethereum moves on, each of which is kept and may prune; none is confirmed when `confirmed` is false.
    fn long_life(dir: &std::path::Path, window: Option<u64>, confirmed: bool) -> (Run, Store) {
        let mut run = Run::joined(network(4, 7));
        for epoch in 2..9 {
            let ethereum = run.ledger.anchor(ChainKind::Ethereum).number + 20;
            run.observe(ChainKind::Ethereum, ethereum, vec![]);
            run.until_epoch(epoch);
        }
        let store = Store::open(dir, &run.network.chain).unwrap();
        let mut ledger = Ledger::genesis(run.network.genesis.clone());
        store.begin(ledger.head(), ledger.rows()).unwrap();
        for block in &run.blocks {
            let changes = ledger.preview(block).unwrap();
            store.commit(block, b"certificate", &changes).unwrap();
            ledger.apply(changes);
            if confirmed {
                store.put_confirmed(&ledger.head()).unwrap();
            }
            if block.header.next_committee != Hash::ZERO {
                assert!(keep_one(&store, ledger.head(), window).unwrap().is_some());
            }
        }
        (run, store)
    }

    #[test]
    fn what_is_a_window_old_is_pruned_and_the_rest_makes_the_same_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let (run, store) = long_life(dir.path(), Some(50), true);
        let Loaded { head, rows } = store.first().unwrap().unwrap();
        let mut ledger = Ledger::restore(run.network.genesis.clone(), head, rows).unwrap();
        let begins = ledger.anchor(ChainKind::Ethereum).number;
        let ends = run.ledger.anchor(ChainKind::Ethereum).number;
        assert!(begins > 105 && begins + 50 < ends, "from {begins} to {ends}");
        assert!(store.block(head.height.previous()).unwrap().is_none());
        for block in run.blocks.iter().filter(|block| block.header.height > head.height) {
            assert_eq!(&store.block(block.header.height).unwrap().unwrap().0, block);
            ledger.apply(ledger.preview(block).unwrap());
        }
        assert_eq!((ledger.head(), ledger.root()), (run.ledger.head(), run.ledger.root()));
    }

    #[test]
    fn nothing_is_pruned_that_is_younger_or_unconfirmed_or_wanted_whole() {
        for (window, confirmed) in [(Some(50), false), (Some(1_000), true), (None, true)] {
            let dir = tempfile::tempdir().unwrap();
            let (run, store) = long_life(dir.path(), window, confirmed);
            assert_eq!(store.base().unwrap(), None);
            assert!(run.blocks.iter().all(|block| store.block(block.header.height).unwrap().is_some()));
        }
    }

    /// A state of several chunks, after a block that commits to it.
    fn state() -> (Block, Vec<Chunk>) {
        let row = |number| (RowKey::Block(Height::new(number)), Row::Block(BlockId::new([3; 32])));
        let rows: Vec<_> = (0..30_000).map(row).collect();
        let chunks = chunks(rows);
        assert!(chunks.len() > 3);
        let items = List::new();
        let header = Header {
            version: 1,
            chain: ChainId::ZERO,
            height: Height::new(40),
            epoch: Epoch::new(2),
            parent: BlockId::ZERO,
            items_root: Block::items_root(&items),
            state_root: root_of(&chunks[0]),
            next_committee: Hash::new([1; 32]),
        };
        (Block { header, items }, chunks)
    }

    /// The first chunk lies leftmost: its hash is the left half all the way up.
    fn root_of(chunk: &Chunk) -> Hash {
        let rows = chunk.rows.iter().map(|(key, row)| (key.path(), row.value_hash())).collect::<Vec<_>>();
        let depth = chunk.siblings.len();
        let end = subtree(&rows, depth);
        chunk.siblings.iter().rev().fold(end, |below, sibling| palisade_types::proof::inner(&below, sibling))
    }

    fn subtree(rows: &[([u8; 32], [u8; 32])], depth: usize) -> Hash {
        use palisade_types::proof::{EMPTY, bit, inner, leaf};
        match rows {
            [] => EMPTY,
            [(path, value)] => leaf(path, value),
            _ => {
                let half = |side| rows.iter().filter(|(path, _)| bit(path, depth) == side).copied().collect::<Vec<_>>();
                inner(&subtree(&half(false), depth + 1), &subtree(&half(true), depth + 1))
            }
        }
    }

    /// What one peer answers.
    #[derive(Clone, Copy)]
    enum Peer {
        Honest,
        /// Has nothing.
        Empty,
        /// Falls silent after so many chunks.
        Silent(usize),
        /// Gives another block.
        OtherBlock,
        /// Leaves a row out of the chunk with this number.
        Omits(usize),
        /// Gives one chunk in place of another.
        Reorders,
        /// Gives garbage.
        Garbage,
    }

    fn answer(peer: Peer, block: &Block, chunks: &[Chunk], given: &RefCell<usize>, asked: &Question) -> Option<Bytes> {
        let bytes = |chunk: &Chunk| Some(Bytes::from(chunk.to_bytes()));
        match (asked, peer) {
            (_, Peer::Empty) => Some(Bytes::new()),
            (Question::Snapshot(_), Peer::OtherBlock) => {
                let mut other = block.clone();
                other.header.height = Height::new(41);
                Some(other.to_bytes().into())
            }
            (Question::Snapshot(_), _) => Some(block.to_bytes().into()),
            (Question::Chunk(height, first), _) => {
                assert_eq!(*height, block.header.height);
                let at = chunks.iter().position(|chunk| chunk.first == *first)?;
                let number = given.replace_with(|given| *given + 1);
                match peer {
                    Peer::Silent(after) if number >= after => None,
                    Peer::Omits(which) if number == which => {
                        let mut chunk = chunks[at].clone();
                        let mut rows = chunk.rows.into_vec();
                        rows.pop();
                        chunk.rows = rows.try_into().unwrap();
                        bytes(&chunk)
                    }
                    Peer::Reorders => bytes(&chunks[(at + 1) % chunks.len()]),
                    Peer::Garbage => Some(Bytes::from_static(&[0xff; 40])),
                    _ => bytes(&chunks[at]),
                }
            }
            _ => panic!("asked {asked:?}"),
        }
    }

    #[test]
    fn r13_liars_are_named_and_another_goes_on_where_they_stopped() {
        let (block, chunks) = state();
        let wanted = FinalBlock { height: block.header.height, id: block.id() };
        let mut taking = Taking::new(wanted);
        let mut ask = |peer: Peer| {
            let given = RefCell::new(0);
            let before = taking.chunks.len();
            let asked = async |question: Question| answer(peer, &block, &chunks, &given, &question);
            let result = block_on(taking.go_on(asked));
            (result, taking.chunks.len() - before)
        };
        let lied = |lie: Lie, taken: usize| (Err(Refused::Lied(lie)), taken);
        assert_eq!(ask(Peer::Empty), (Err(Refused::Unheld), 0));
        assert_eq!(ask(Peer::OtherBlock), lied(Lie::OtherBlock, 0));
        assert_eq!(ask(Peer::Garbage), lied(Lie::NoChunk, 0));
        assert_eq!(ask(Peer::Omits(1)), lied(BadChunk::WrongRoot.into(), 1));
        assert_eq!(ask(Peer::Reorders), lied(BadChunk::Misplaced.into(), 0));
        assert_eq!(ask(Peer::Silent(1)), (Err(Refused::Unheld), 1));
        assert_eq!(ask(Peer::Honest), (Ok(()), chunks.len() - 2), "only what is missing");
        assert_eq!(taking.whole(), Some(Beginning { block, chunks }));
    }

    #[test]
    fn a_state_that_is_not_whole_is_none() {
        let (block, chunks) = state();
        let wanted = FinalBlock { height: block.header.height, id: block.id() };
        let mut taking = Taking::new(wanted);
        let given = RefCell::new(0);
        let asked = async |question: Question| answer(Peer::Silent(2), &block, &chunks, &given, &question);
        assert_eq!(block_on(taking.go_on(asked)), Err(Refused::Unheld));
        assert_eq!(taking.whole(), None);
    }
}
