//! States that others may begin with: the rows after a few boundary blocks, in chunks that prove themselves. The one that this node's own
//! blocks follow stays, because later states are made again from it; a node that prunes takes a later one for that.

use crate::error::StoreError;
use crate::files::failed;
use crate::schema::{
    BLOCKS, CERTIFICATES, KEPT_SNAPSHOTS, META, META_BASE, META_NEXT_BASE, META_SNAPSHOTS, META_TIP, ROWS, SNAPSHOTS,
};
use crate::store::{Loaded, Store, certificate_key, decode};
use palisade_ledger::snapshot::Chunk;
use palisade_types::block::Block;
use palisade_types::canonical::{Canonical, List};
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::Hash;
use palisade_types::row::{Row, RowKey};
use palisade_types::units::Height;
use rocksdb::{Direction, IteratorMode, WriteBatch};

/// The heights of whole snapshots, oldest first.
type Kept = List<Height, KEPT_SNAPSHOTS>;

/// The state with which the blocks will begin when they are pruned next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBase {
    /// After this block.
    pub block: FinalBlock,
    /// The Ethereum block up to which that state has taken Ethereum in: what must be a whole window ago before anything is forgotten.
    pub ethereum: u64,
}

impl Store {
    /// Begins with the state after a later block than the first, as others gave it: the block with the engine's certificate, and the
    /// chunks that were proven against its state root. Once per store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Begun`], or the disk fails.
    pub fn begin_later(&self, block: &Block, certificate: &[u8], chunks: &[Chunk]) -> Result<(), StoreError> {
        if self.tip()?.is_some() {
            return Err(StoreError::Begun);
        }
        let head = FinalBlock { height: block.header.height, id: block.id() };
        let mut batch = self.put_first_rows(chunks.iter().flat_map(|chunk| chunk.rows.iter().cloned()))?;
        self.put_block(&mut batch, block, certificate)?;
        for chunk in chunks {
            batch.put_cf(self.family(SNAPSHOTS), place(head.height, &chunk.first), chunk.to_bytes());
        }
        batch.put_cf(self.family(META), META_BASE, head.to_bytes());
        batch.put_cf(self.family(META), META_TIP, head.to_bytes());
        self.write(&batch, "writing the first rows")
    }

    /// The block whose state this store began with; `None` when that is genesis'.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn base(&self) -> Result<Option<FinalBlock>, StoreError> {
        self.read(META, META_BASE, "the first block")
    }

    /// The state that the store began with, when that is not genesis'.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn first(&self) -> Result<Option<Loaded>, StoreError> {
        let Some(head) = self.base()? else { return Ok(None) };
        let start = head.height.to_bytes();
        let mut rows = Vec::new();
        for entry in self.db().iterator_cf(self.family(SNAPSHOTS), IteratorMode::From(&start, Direction::Forward)) {
            let (key, chunk) = entry.map_err(failed("reading the first rows"))?;
            if !key.starts_with(&start) {
                break;
            }
            let chunk: Chunk = decode(&chunk, "a chunk of the first rows")?;
            rows.extend(chunk.rows.into_vec());
        }
        rows.sort_unstable_by_key(|(key, _)| *key);
        Ok(Some(Loaded { head, rows }))
    }

    /// Every row after this block; `None` when the tip has gone on. It reads one moment, whatever is committed meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn rows_after(&self, block: &FinalBlock) -> Result<Option<Vec<(RowKey, Row)>>, StoreError> {
        let moment = self.db().snapshot();
        let tip = moment.get_cf(self.family(META), META_TIP).map_err(failed("reading"))?;
        if tip.as_deref() != Some(block.to_bytes().as_slice()) {
            return Ok(None);
        }
        let rows = moment.iterator_cf(self.family(ROWS), IteratorMode::Start).map(|entry| {
            let (key, row) = entry.map_err(failed("reading rows"))?;
            Ok((decode(&key, "a row's key")?, decode(&row, "a row")?))
        });
        rows.collect::<Result<Vec<_>, StoreError>>().map(Some)
    }

    /// Keeps the state after the block at `height` for others, and forgets the oldest when there are too many. Not synced: a crash costs
    /// nothing that the next boundary does not bring again.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn keep_snapshot(&self, height: Height, chunks: &[Chunk]) -> Result<(), StoreError> {
        let family = self.family(SNAPSHOTS);
        for chunk in chunks {
            let mut batch = WriteBatch::default();
            batch.put_cf(family, place(height, &chunk.first), chunk.to_bytes());
            self.note(&batch, "keeping a snapshot")?;
        }
        let pinned = [self.base()?, self.next_base()?.map(|next| next.block)].map(|pin| pin.map(|block| block.height));
        let mut kept: Vec<_> = self.snapshots()?.into_iter().filter(|other| *other != height).collect();
        let mut batch = WriteBatch::default();
        while kept.len() >= KEPT_SNAPSHOTS {
            let oldest = kept.remove(0);
            if !pinned.contains(&Some(oldest)) {
                batch.delete_range_cf(family, oldest.to_bytes(), oldest.next().to_bytes());
            }
        }
        kept.push(height);
        let kept = Kept::try_from(kept).expect("the oldest were taken out");
        batch.put_cf(self.family(META), META_SNAPSHOTS, kept.to_bytes()); // now it is whole
        self.note(&batch, "keeping a snapshot")
    }

    /// The heights of the states that are kept for others, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn snapshots(&self) -> Result<Vec<Height>, StoreError> {
        Ok(self.read::<Kept>(META, META_SNAPSHOTS, "the list of snapshots")?.unwrap_or_default().into_vec())
    }

    /// The state with which the blocks will begin when they are pruned next.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn next_base(&self) -> Result<Option<NextBase>, StoreError> {
        let next = self.read(META, META_NEXT_BASE, "the next first block")?;
        Ok(next.map(|(block, ethereum)| NextBase { block, ethereum }))
    }

    /// Keeps the state after a block, which was kept just now, until the blocks before it are pruned.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn choose_base(&self, next: &NextBase) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(META), META_NEXT_BASE, (next.block, next.ethereum).to_bytes());
        self.write(&batch, "choosing the next first block")
    }

    /// Forgets every block before [`Self::next_base`], its certificates, and the states before it, in one synced batch; then has RocksDB
    /// give the room back. `None` when nothing was chosen.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn prune(&self) -> Result<Option<FinalBlock>, StoreError> {
        let Some(NextBase { block, .. }) = self.next_base()? else { return Ok(None) };
        let height = block.height;
        let mut batch = WriteBatch::default();
        let ranges = [
            (BLOCKS, Vec::new(), height.to_bytes()),
            (CERTIFICATES, certificate_key(0, Height::new(0)), certificate_key(0, height)),
            (CERTIFICATES, certificate_key(1, Height::new(0)), certificate_key(1, height)),
            (SNAPSHOTS, Vec::new(), height.to_bytes()),
        ];
        for (family, from, to) in &ranges {
            batch.delete_range_cf(self.family(family), from, to);
        }
        let kept: Vec<_> = self.snapshots()?.into_iter().filter(|kept| *kept >= height).collect();
        let kept = Kept::try_from(kept).expect("no more than before");
        batch.put_cf(self.family(META), META_SNAPSHOTS, kept.to_bytes());
        batch.put_cf(self.family(META), META_BASE, block.to_bytes());
        batch.delete_cf(self.family(META), META_NEXT_BASE);
        self.write(&batch, "pruning blocks")?;
        for (family, from, to) in &ranges {
            self.db().compact_range_cf(self.family(family), Some(from), Some(to));
        }
        Ok(Some(block))
    }

    /// The chunk of a kept state that begins at `first`, encoded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Disk`].
    pub fn chunk(&self, height: Height, first: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(SNAPSHOTS, &place(height, first))
    }
}

fn place(height: Height, first: &Hash) -> Vec<u8> {
    [height.to_bytes(), first.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_ledger::snapshot::chunks;
    use palisade_types::block::Header;
    use palisade_types::ids::{BlockId, ChainId};
    use palisade_types::units::Epoch;

    const CHAIN: ChainId = ChainId::new([1; 32]);

    fn rows(count: u64) -> Vec<(RowKey, Row)> {
        (0..count).map(|number| (RowKey::Block(Height::new(number)), Row::Block(BlockId::new([3; 32])))).collect()
    }

    fn block(height: u64) -> Block {
        let items = List::new();
        let header = Header {
            version: 1,
            chain: CHAIN,
            height: Height::new(height),
            epoch: Epoch::new(0),
            parent: BlockId::ZERO,
            items_root: Block::items_root(&items),
            state_root: Hash::ZERO,
            next_committee: Hash::ZERO,
        };
        Block { header, items }
    }

    #[test]
    fn a_store_that_begins_later_knows_its_first_state_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        assert_eq!((store.base().unwrap(), store.first().unwrap()), (None, None));
        let (first, chunks) = (block(70), chunks(rows(9)));
        store.begin_later(&first, b"certificate", &chunks).unwrap();
        assert!(matches!(store.begin_later(&first, b"certificate", &chunks), Err(StoreError::Begun)));
        for height in 80..90 {
            store.keep_snapshot(Height::new(height), &chunks).unwrap();
        }
        drop(store);
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        let head = FinalBlock { height: Height::new(70), id: first.id() };
        let loaded = Loaded { head, rows: rows(9) };
        assert_eq!((store.base().unwrap(), store.load().unwrap()), (Some(head), Some(loaded.clone())));
        assert_eq!(store.first().unwrap(), Some(loaded));
        assert_eq!(store.block(Height::new(70)).unwrap(), Some((first, b"certificate".to_vec())));
        assert_eq!(store.block(Height::new(69)).unwrap(), None);
        assert_eq!(store.rows_after(&head).unwrap().map(|rows| rows.len()), Some(9));
        let elsewhere = FinalBlock { height: Height::new(71), ..head };
        assert_eq!(store.rows_after(&elsewhere).unwrap(), None, "the tip is another");
    }

    #[test]
    fn what_is_pruned_is_gone_and_what_follows_begins_with_the_chosen_state() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        let (first, states) = (block(10), chunks(rows(9)));
        store.begin_later(&first, b"certificate", &states).unwrap();
        assert_eq!(store.prune().unwrap(), None, "nothing is chosen");
        let mut batch = WriteBatch::default();
        for height in 11..=60 {
            store.put_block(&mut batch, &block(height), b"certificate").unwrap();
        }
        store.write(&batch, "writing blocks").unwrap();
        store.keep_snapshot(Height::new(20), &states).unwrap();
        let next = NextBase { block: FinalBlock { height: Height::new(20), id: block(20).id() }, ethereum: 7 };
        store.choose_base(&next).unwrap();
        for height in 30..=40 {
            store.keep_snapshot(Height::new(height), &states).unwrap();
        }
        assert_eq!(store.next_base().unwrap(), Some(next));
        assert_eq!(store.prune().unwrap(), Some(next.block));
        drop(store);
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        assert_eq!((store.base().unwrap(), store.next_base().unwrap()), (Some(next.block), None));
        let there = |height| store.block(Height::new(height)).unwrap().is_some();
        assert_eq!([10, 19, 20, 21, 60].map(there), [false, false, true, true, true]);
        assert_eq!(store.first().unwrap(), Some(Loaded { head: next.block, rows: rows(9) }));
        assert!(store.chunk(Height::new(10), &states[0].first).unwrap().is_none(), "the first beginning is gone");
        assert_eq!(store.snapshots().unwrap().len(), KEPT_SNAPSHOTS);
    }

    #[test]
    fn the_oldest_states_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        let chunks = chunks(rows(3));
        for height in 1..=6 {
            store.keep_snapshot(Height::new(height * 10), &chunks).unwrap();
        }
        let kept: Vec<u64> = store.snapshots().unwrap().iter().map(|height| height.get()).collect();
        assert_eq!(kept, [30, 40, 50, 60]);
        let held = |height| store.chunk(Height::new(height), &chunks[0].first).unwrap().is_some();
        assert_eq!([10, 20, 30, 60].map(held), [false, false, true, true]);
    }
}
