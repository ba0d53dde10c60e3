//! The node's database: blocks, the ledger's rows, and what must not be lost between two blocks.

use crate::error::StoreError;
use crate::files::{Database, failed};
use crate::schema::{
    BLOCK_CACHE, BLOCKS, CERTIFICATES, FAMILIES, HEADERS, MAX_ENGINE_CERTIFICATE, MAX_HEADER, MAX_PENDING, MAX_RELEASE,
    MAX_UNDECIDED, MAX_UNDECIDED_COUNT, META, META_CHAIN, META_CONFIRMED, META_RELEASE, META_SCHEMA, META_TIP, PENDING,
    ROWS, UNDECIDED, VERSION, WRITE_BUFFERS,
};
use palisade_ledger::{BadRow, Changes, Encoded, Stored};
use palisade_types::block::{Block, MAX_BLOCK};
use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::certificate::{BitcoinCertificate, QuorumCertificate};
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::{BlockId, ChainId, Domain, Hash};
use palisade_types::numbers::NumberedKind;
use palisade_types::row::{Row, RowKey};
use palisade_types::units::Height;
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions, WriteBatch};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The node's database. One writer at a time is the caller's promise; reading beside it is fine.
pub struct Store {
    pub(crate) database: Database,
}

/// What a ledger is rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The last committed block.
    pub head: FinalBlock,
    /// Every row after it, in key order.
    pub rows: Vec<(RowKey, Row)>,
}

/// A proposal that is kept until its height is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The round it was proposed in.
    pub round: u32,
    /// The block.
    pub id: BlockId,
    /// What the core gave to be kept.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Opens the database of one network, or makes an empty one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], [`StoreError::OtherChain`], [`StoreError::NewerSchema`]: do not start. Damage that shows
    /// at once is [`StoreError::Disk`] or [`StoreError::Corrupt`].
    pub fn open(dir: &Path, chain: &ChainId) -> Result<Self, StoreError> {
        let store = Self { database: Database::open(dir, &FAMILIES, WRITE_BUFFERS, BLOCK_CACHE)? };
        if store.get(META, META_SCHEMA)?.is_none() {
            store.stamp(chain)?;
        }
        match store.check(chain) {
            Err(StoreError::OlderSchema { found }) => store.migrate(found)?,
            checked => checked?,
        }
        store.sign()?;
        Ok(store)
    }

    /// Whether this is `chain`'s store, of the layout that is read here.
    pub(crate) fn check(&self, chain: &ChainId) -> Result<(), StoreError> {
        let found = self.read::<u32>(META, META_SCHEMA, "schema")?.unwrap_or(0);
        if found > VERSION {
            let release = self.get(META, META_RELEASE)?.unwrap_or_default();
            let release = String::from_utf8_lossy(&release[..release.len().min(MAX_RELEASE)]);
            let release = release.chars().filter(|shown| shown.is_ascii_graphic()).collect();
            return Err(StoreError::NewerSchema { found, release });
        }
        self.check_chain(chain)?;
        if found < VERSION { Err(StoreError::OlderSchema { found }) } else { Ok(()) }
    }

    /// What each column family takes on the disk and in memory, bytes, estimated by RocksDB.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64); FAMILIES.len()] {
        FAMILIES.map(|name| {
            let size = |property: &str| self.db().property_int_value_cf(self.family(name), property).ok().flatten();
            let (files, memory) = (size("rocksdb.total-sst-files-size"), size("rocksdb.cur-size-all-mem-tables"));
            (name, files.unwrap_or(0) + memory.unwrap_or(0))
        })
    }

    /// Writes the rows a ledger starts from, genesis's or a verified snapshot's, with their head. Once per store: blocks
    /// only carry what changes. What names the head is written last: without it nothing else counts.
    ///
    /// # Errors
    ///
    /// [`StoreError::Begun`], or the disk fails.
    pub fn begin(&self, head: FinalBlock, rows: impl IntoIterator<Item = (RowKey, Row)>) -> Result<(), StoreError> {
        if self.tip()?.is_some() {
            return Err(StoreError::Begun);
        }
        let mut batch = self.put_first_rows(rows)?;
        batch.put_cf(self.family(META), META_TIP, head.to_bytes());
        self.write(&batch, "writing the first rows")
    }

    /// Writes the first rows, after whatever an attempt before this one left, but for those in the batch that comes back.
    pub(crate) fn put_first_rows(
        &self,
        rows: impl IntoIterator<Item = (RowKey, Row)>,
    ) -> Result<WriteBatch, StoreError> {
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.family(ROWS), Vec::new(), vec![u8::MAX; 2]);
        for (key, row) in rows {
            batch.put_cf(self.family(ROWS), key.to_bytes(), row.to_bytes());
            if batch.size_in_bytes() > FIRST_BYTES {
                // The log keeps the order: when the last batch is synced, so is this one.
                self.note(&std::mem::take(&mut batch), "writing the first rows")?;
            }
        }
        Ok(batch)
    }

    /// The head and every row; `None` before [`Self::begin`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`]. Whoever loads compares the root with the head's header.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        let Some(head) = self.tip()? else { return Ok(None) };
        let rows = self.db().iterator_cf(self.family(ROWS), IteratorMode::Start);
        let rows = rows.map(|entry| {
            let (key, row) = entry.map_err(failed("reading rows"))?;
            Ok((decode(&key, "a row's key")?, decode(&row, "a row")?))
        });
        let mut rows = rows.collect::<Result<Vec<(RowKey, Row)>, StoreError>>()?;
        rows.sort_unstable_by_key(|(key, _)| *key);
        Ok(Some(Loaded { head, rows }))
    }

    /// The head and every row, hashed as they were read: what [`palisade_ledger::Ledger::wake`] starts from; `None` before
    /// [`Self::begin`]. As many threads read as there are processors. Nobody may commit meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn stored(&self) -> Result<Option<(FinalBlock, Vec<Stored>)>, StoreError> {
        let Some(head) = self.tip()? else { return Ok(None) };
        let edges = edges(head.height);
        let (next, threads) = (AtomicUsize::new(0), std::thread::available_parallelism().map_or(1, NonZero::get));
        let work = || {
            let mut done = Vec::new();
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                let Some([from, to]) = edges.get(piece..).and_then(|edges| edges.first_chunk()) else {
                    return Ok(done);
                };
                done.push((piece, self.piece(from, to)?));
            }
        };
        let pieces = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let done = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            done.collect::<Result<Vec<_>, StoreError>>()
        });
        let mut pieces: Vec<(usize, Stored)> = pieces?.into_iter().flatten().collect();
        pieces.sort_unstable_by_key(|(piece, _)| *piece);
        Ok(Some((head, pieces.into_iter().map(|(_, stored)| stored).collect())))
    }

    /// The rows between two keys, the second apart.
    fn piece(&self, from: &[u8], to: &[u8]) -> Result<Stored, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        options.set_readahead_size(READ_AHEAD);
        options.fill_cache(false);
        let mut stored = Stored::default();
        let mut rows = self.db().raw_iterator_cf_opt(self.family(ROWS), options);
        rows.seek(from);
        while let Some((key, row)) = rows.item() {
            stored.take(key, row).map_err(|bad| match bad {
                BadRow::Key(source) => StoreError::Corrupt { what: "a row's key", source },
                BadRow::Value(source) => StoreError::Corrupt { what: "a row", source },
            })?;
            rows.next();
        }
        rows.status().map_err(failed("reading rows"))?;
        stored.hash();
        Ok(stored)
    }

    /// The last committed block; `None` before [`Self::begin`].
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn tip(&self) -> Result<Option<FinalBlock>, StoreError> {
        self.read(META, META_TIP, "the tip")
    }

    /// Commits the decided block in one synced batch: block, the engine's certificate, rows and tip. Undecided proposals up
    /// to its height are forgotten with it. Either all of it is on the disk afterwards, or nothing.
    ///
    /// # Errors
    ///
    /// The node stops on every error: [`StoreError::NotNext`] is our own bug, the rest is the disk's.
    pub fn commit(&self, block: &Block, certificate: &[u8], changes: &Changes) -> Result<(), StoreError> {
        assert_eq!(changes.head().id, block.id(), "the changes are of this block");
        self.commit_rows(block, certificate, changes.head(), changes.encoded())
    }

    fn commit_rows(
        &self,
        block: &Block,
        certificate: &[u8],
        head: FinalBlock,
        rows: &Encoded,
    ) -> Result<(), StoreError> {
        let tip = self.tip()?.map(|tip| tip.height);
        if tip.map(Height::next) != Some(head.height) {
            return Err(StoreError::NotNext { given: head.height, tip });
        }
        let mut batch = WriteBatch::default();
        self.put_block(&mut batch, block, certificate)?;
        let rows_family = self.family(ROWS);
        for (key, row) in rows.iter() {
            match row {
                Some(row) => batch.put_cf(rows_family, key, row),
                None => batch.delete_cf(rows_family, key),
            }
        }
        for key in self.undecided_keys(head.height)? {
            batch.delete_cf(self.family(UNDECIDED), key);
        }
        batch.put_cf(self.family(META), META_TIP, head.to_bytes());
        self.write(&batch, "committing a block")
    }

    pub(crate) fn put_block(
        &self,
        batch: &mut WriteBatch,
        block: &Block,
        certificate: &[u8],
    ) -> Result<(), StoreError> {
        let bytes = block.to_bytes();
        within("a block", bytes.len(), MAX_BLOCK)?;
        within("an engine certificate", certificate.len(), MAX_ENGINE_CERTIFICATE)?;
        let value = [&length(&bytes), bytes.as_slice(), certificate].concat();
        batch.put_cf(self.family(BLOCKS), block.header.height.to_bytes(), value);
        Ok(())
    }

    /// A committed block with the engine's certificate.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn block(&self, height: Height) -> Result<Option<(Block, Vec<u8>)>, StoreError> {
        let Some(bytes) = self.get(BLOCKS, &height.to_bytes())? else {
            return Ok(None);
        };
        let (block, certificate) = split(&bytes).map_err(StoreError::corrupt("a block"))?;
        Ok(Some((decode(block, "a block")?, certificate.to_vec())))
    }

    /// Keeps a proposal (synced): the engine's log holds only the block's id. What is decided already is not kept. When a
    /// height has too many, the one of the oldest round goes: a long outage makes many rounds, and a block that anybody
    /// is locked on is proposed again in later ones.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] when the proposal is over its bound; else the disk fails.
    pub fn keep_undecided(&self, height: Height, round: u32, id: &BlockId, bytes: &[u8]) -> Result<(), StoreError> {
        within("an undecided block", bytes.len(), MAX_UNDECIDED)?;
        if self.tip()?.is_some_and(|tip| height <= tip.height) {
            return Ok(());
        }
        let key = [height.to_bytes(), round.to_bytes(), id.to_bytes()].concat();
        let kept = self.undecided_keys(height)?;
        let kept: Vec<_> = kept.iter().filter(|kept| kept.starts_with(&height.to_bytes())).collect();
        if kept.iter().any(|kept| kept[..] == key[..]) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        for oldest in kept.iter().take((kept.len() + 1).saturating_sub(MAX_UNDECIDED_COUNT)) {
            batch.delete_cf(self.family(UNDECIDED), oldest);
        }
        batch.put_cf(self.family(UNDECIDED), key, bytes);
        self.write(&batch, "keeping a proposal")
    }

    /// The proposals kept for a height, by round.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn undecided(&self, height: Height) -> Result<Vec<Undecided>, StoreError> {
        let start = height.to_bytes();
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut kept = Vec::new();
        for entry in self.db().iterator_cf(self.family(UNDECIDED), mode) {
            let (key, bytes) = entry.map_err(failed("reading proposals"))?;
            let Some(rest) = key.strip_prefix(start.as_slice()) else {
                break;
            };
            let (round, id) = decode(rest, "a proposal's key")?;
            kept.push(Undecided { round, id, bytes: bytes.into_vec() });
        }
        Ok(kept)
    }

    /// Keeps the quorum certificate of a block in the ledger's domain; the first one for a height stays. Not synced: it
    /// can be asked for again.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn put_certificate(&self, certificate: &QuorumCertificate) -> Result<(), StoreError> {
        self.put_first(&certificate_key(0, Height::new(certificate.slot)), &certificate.to_bytes())
    }

    /// The quorum certificate of the block at `height`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn certificate(&self, height: Height) -> Result<Option<QuorumCertificate>, StoreError> {
        self.read(CERTIFICATES, &certificate_key(0, height), "a certificate")
    }

    /// Keeps the Bitcoin certificate of a checkpoint, as [`Self::put_certificate`] does.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn put_bitcoin_certificate(&self, certificate: &BitcoinCertificate) -> Result<(), StoreError> {
        self.put_first(&certificate_key(1, Height::new(certificate.slot)), &certificate.to_bytes())
    }

    /// The Bitcoin certificate of the checkpoint at `height`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn bitcoin_certificate(&self, height: Height) -> Result<Option<BitcoinCertificate>, StoreError> {
        self.read(CERTIFICATES, &certificate_key(1, height), "a Bitcoin certificate")
    }

    /// Keeps the quorum certificate of a vault claim or an order; a later one, with more signers, takes its place. Not synced.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn put_numbered_certificate(
        &self,
        kind: NumberedKind,
        certificate: &QuorumCertificate,
    ) -> Result<(), StoreError> {
        let key = numbered_key(kind, certificate.slot);
        self.put(CERTIFICATES, &key, certificate.to_bytes(), "keeping the certificate of a number")
    }

    /// The quorum certificate of the vault claim or the order with this number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn numbered_certificate(
        &self,
        kind: NumberedKind,
        number: u64,
    ) -> Result<Option<QuorumCertificate>, StoreError> {
        self.read(CERTIFICATES, &numbered_key(kind, number), "the certificate of a number")
    }

    /// Forgets the certificates of claims or orders below `first`: no contract takes them any more.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn forget_numbered_certificates(&self, kind: NumberedKind, first: u64) -> Result<(), StoreError> {
        let (start, end) = (numbered_key(kind, 0), numbered_key(kind, first));
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.family(CERTIFICATES), start, end);
        self.note(&batch, "forgetting certificates of numbers")
    }

    /// Keeps the certificate of a service's slot.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn put_service_certificate(&self, certificate: &QuorumCertificate) -> Result<(), StoreError> {
        let key = service_key(&certificate.domain, certificate.slot);
        self.put(CERTIFICATES, &key, certificate.to_bytes(), "keeping a service's certificate")
    }

    /// The certificate of a service's slot.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn service_certificate(&self, domain: &Domain, slot: u64) -> Result<Option<QuorumCertificate>, StoreError> {
        self.read(CERTIFICATES, &service_key(domain, slot), "a service's certificate")
    }

    /// Forgets a domain's certificates below slot `first`.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn forget_service_certificates(&self, domain: &Domain, first: u64) -> Result<(), StoreError> {
        let (start, end) = (service_key(domain, 0), service_key(domain, first));
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.family(CERTIFICATES), start, end);
        self.note(&batch, "forgetting a service's certificates")
    }

    /// Remembers up to which block our own followers agree (R7). Not synced by itself: the next commit's sync makes it
    /// durable too, since the log keeps the order.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn put_confirmed(&self, block: &FinalBlock) -> Result<(), StoreError> {
        self.db()
            .put_cf(self.family(META), META_CONFIRMED, block.to_bytes())
            .map_err(failed("remembering what is confirmed"))
    }

    /// The newest block our own followers agreed with. It is written before the commit that it precedes in the log, so
    /// after a crash it may name the height after the tip.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn confirmed(&self) -> Result<Option<FinalBlock>, StoreError> {
        self.read(META, META_CONFIRMED, "what is confirmed")
    }

    /// Keeps a pool item under its hash, so that a restart loses nothing. The pool bounds how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`], or the disk fails.
    pub fn keep_pending(&self, hash: &Hash, bytes: &[u8]) -> Result<(), StoreError> {
        within("a pool item", bytes.len(), MAX_PENDING)?;
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(PENDING), hash.as_bytes(), bytes);
        self.write(&batch, "keeping a pool item")
    }

    /// Forgets a pool item: it is in a block, or worth nothing any more. Not synced: at worst it comes back once.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn drop_pending(&self, hash: &Hash) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.family(PENDING), hash.as_bytes());
        self.note(&batch, "dropping a pool item")
    }

    /// Every pool item, by hash.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn pending(&self) -> Result<Vec<(Hash, Vec<u8>)>, StoreError> {
        let items = self.db().iterator_cf(self.family(PENDING), IteratorMode::Start);
        let items = items.map(|entry| {
            let (hash, bytes) = entry.map_err(failed("reading pool items"))?;
            Ok((decode(&hash, "a pool item's hash")?, bytes.into_vec()))
        });
        items.collect()
    }

    /// Keeps headers of Bitcoin from height `first` on. All that was kept at these heights and above goes with the same write: it is
    /// of a branch that was replaced, or comes again.
    ///
    /// # Errors
    ///
    /// The disk fails. Nothing but time is lost: headers can be asked for again.
    pub fn keep_headers(&self, first: u32, headers: &[Vec<u8>]) -> Result<(), StoreError> {
        let family = self.family(HEADERS);
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(family, first.to_bytes(), u32::MAX.to_bytes());
        for (height, header) in (first..).zip(headers) {
            within("a header", header.len(), MAX_HEADER)?;
            batch.put_cf(family, height.to_bytes(), header);
        }
        self.write(&batch, "keeping headers")
    }

    /// Every header that is kept, by height.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn headers(&self) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        let headers = self.db().iterator_cf(self.family(HEADERS), IteratorMode::Start);
        let headers = headers.map(|entry| {
            let (height, header) = entry.map_err(failed("reading headers"))?;
            Ok((decode(&height, "a header's height")?, header.into_vec()))
        });
        headers.collect()
    }

    fn stamp(&self, chain: &ChainId) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(META), META_SCHEMA, VERSION.to_bytes());
        batch.put_cf(self.family(META), META_CHAIN, chain.to_bytes());
        self.write(&batch, "naming the store")
    }

    fn check_chain(&self, chain: &ChainId) -> Result<(), StoreError> {
        match self.read(META, META_CHAIN, "the chain id")? {
            Some(found) if found == *chain => Ok(()),
            Some(found) => Err(StoreError::OtherChain { expected: *chain, found }),
            None => Err(StoreError::Corrupt { what: "the chain id", source: Malformed::TooShort }),
        }
    }

    /// The keys of proposals up to and including `height`; earlier commits took those up to the tip.
    fn undecided_keys(&self, height: Height) -> Result<Vec<Box<[u8]>>, StoreError> {
        let (start, end) = (height.previous().to_bytes(), height.next().to_bytes());
        let mode = IteratorMode::From(&start, Direction::Forward);
        let keys = self.db().iterator_cf(self.family(UNDECIDED), mode);
        let keys = keys.map(|entry| entry.map(|(key, _)| key).map_err(failed("reading proposals")));
        keys.take_while(|key| !key.as_ref().is_ok_and(|key| **key >= *end)).collect()
    }

    fn put_first(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if self.get(CERTIFICATES, key)?.is_some() {
            return Ok(());
        }
        self.put(CERTIFICATES, key, value, "keeping a certificate")
    }

    /// One row, not synced.
    fn put(&self, family: &str, key: &[u8], value: impl AsRef<[u8]>, doing: &'static str) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(family), key, value);
        self.note(&batch, doing)
    }

    pub(crate) fn read<T: Canonical>(
        &self,
        family: &str,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.get(family, key)?.map(|bytes| decode(&bytes, what)).transpose()
    }

    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db().get_cf(self.family(family), key).map_err(failed("reading"))
    }

    pub(crate) fn write(&self, batch: &WriteBatch, doing: &'static str) -> Result<(), StoreError> {
        self.database.write(batch, doing)
    }

    /// Not synced: what the next synced write makes sure of, or what a crash may take.
    pub(crate) fn note(&self, batch: &WriteBatch, doing: &'static str) -> Result<(), StoreError> {
        self.database.note(batch, doing)
    }

    pub(crate) fn family(&self, name: &str) -> &ColumnFamily {
        self.db().cf_handle(name).expect("every family is opened with the database")
    }

    pub(crate) const fn db(&self) -> &DB {
        self.database.db()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.db().path()).finish()
    }
}

pub(crate) fn certificate_key(kind: u8, height: Height) -> Vec<u8> {
    [kind.to_bytes(), height.to_bytes()].concat()
}

fn numbered_key(kind: NumberedKind, number: u64) -> Vec<u8> {
    let of = match kind {
        NumberedKind::Claim => 2,
        NumberedKind::Order => 3,
    };
    certificate_key(of, Height::new(number))
}

fn service_key(domain: &Domain, slot: u64) -> Vec<u8> {
    [&[SERVICE][..], domain.as_bytes(), &slot.to_be_bytes()].concat()
}

/// What the keys of services' certificates begin with; other kinds have other first bytes.
const SERVICE: u8 = 4;

/// Where the rows of a ledger are cut, so that threads share them evenly: blocks' ids by height, all other kinds, whose keys are hashes or
/// addresses, by their first byte.
fn edges(head: Height) -> Vec<Vec<u8>> {
    let block = |part: u64| RowKey::Block(Height::new(head.get() / BLOCK_PIECES * part)).to_bytes();
    let blocks = (0..BLOCK_PIECES).map(block);
    let others =
        (1..=u8::MAX).flat_map(|kind| (0..KIND_PIECES).map(move |part| vec![kind, part * (u8::MAX / KIND_PIECES + 1)]));
    let last = vec![u8::MAX; RowKey::Epoch.to_bytes().len() + 64];
    blocks.chain(others.filter(|edge| edge[0] <= LAST_KIND)).chain([last]).collect()
}

/// How much of the first rows is written at once, bytes.
const FIRST_BYTES: usize = 8 << 20;
/// How many pieces blocks' ids are read in.
const BLOCK_PIECES: u64 = 16;
/// How many pieces every other kind of rows is read in.
const KIND_PIECES: u8 = 8;
/// What is above is read as one piece.
const LAST_KIND: u8 = 40;
/// How much of a table is read at once at a start, bytes.
const READ_AHEAD: usize = 2 << 20;

pub(crate) fn decode<T: Canonical>(bytes: &[u8], what: &'static str) -> Result<T, StoreError> {
    T::from_bytes(bytes).map_err(StoreError::corrupt(what))
}

fn within(what: &'static str, size: usize, bound: usize) -> Result<(), StoreError> {
    if size > bound { Err(StoreError::TooLarge { what, size, bound }) } else { Ok(()) }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a block is bounded far below 2^32").to_be_bytes()
}

/// The block's bytes, prefixed by their length, and the certificate's, which are the rest.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut input = Reader::new(bytes);
    let length = u32::read(&mut input)? as usize;
    let block = input.take(length)?;
    Ok((block, input.take(input.left())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::block::{HEADER_VERSION, Header};
    use palisade_types::canonical::List;
    use palisade_types::ids::{BlsSignature, Digest, Domain};
    use palisade_types::units::Epoch;

    const CHAIN: ChainId = ChainId::new([1; 32]);

    fn block(height: u64) -> Block {
        let header = Header {
            version: HEADER_VERSION,
            chain: CHAIN,
            height: Height::new(height),
            epoch: Epoch::new(0),
            parent: BlockId::ZERO,
            items_root: Hash::ZERO,
            state_root: Hash::ZERO,
            next_committee: Hash::ZERO,
        };
        Block { header, items: List::new() }
    }

    fn head(height: u64) -> FinalBlock {
        FinalBlock { height: Height::new(height), id: block(height).id() }
    }

    fn row(height: u64, id: u8) -> (RowKey, Row) {
        (RowKey::Block(Height::new(height)), Row::Block(BlockId::new([id; 32])))
    }

    fn begun(dir: &Path) -> Store {
        let store = Store::open(dir, &CHAIN).unwrap();
        let (key, row) = row(0, 9);
        store.begin(head(0), [(key, row)]).unwrap();
        store
    }

    fn commit(store: &Store, height: u64, rows: &[(RowKey, Option<Row>)]) -> Result<(), StoreError> {
        store.commit_rows(&block(height), b"certificate", head(height), &Encoded::of(rows))
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        let (old, new) = (row(0, 9), row(1, 1));
        commit(&store, 1, &[(new.0, Some(new.1.clone()))]).unwrap();
        let loaded = Loaded { head: head(1), rows: vec![old.clone(), new.clone()] };
        assert_eq!(store.load().unwrap(), Some(loaded.clone()));
        drop(store);
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        assert_eq!(store.load().unwrap(), Some(loaded));
        assert_eq!(store.block(Height::new(1)).unwrap(), Some((block(1), b"certificate".to_vec())));
        assert_eq!(store.block(Height::new(2)).unwrap(), None);
        commit(&store, 2, &[(old.0, None)]).unwrap();
        assert_eq!(store.load().unwrap(), Some(Loaded { head: head(2), rows: vec![new] }), "a removed row is gone");
    }

    #[test]
    fn only_the_next_block_is_committed_and_a_ledger_begins_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        assert_eq!(store.load().unwrap(), None);
        assert!(matches!(commit(&store, 1, &[]), Err(StoreError::NotNext { tip: None, .. })));
        drop(store);
        let store = begun(dir.path());
        assert!(matches!(commit(&store, 2, &[]), Err(StoreError::NotNext { .. })));
        assert!(matches!(commit(&store, 0, &[]), Err(StoreError::NotNext { .. })));
        commit(&store, 1, &[]).unwrap();
        assert!(matches!(commit(&store, 1, &[]), Err(StoreError::NotNext { .. })));
        assert!(matches!(store.begin(head(0), []), Err(StoreError::Begun)));
        assert_eq!(store.tip().unwrap(), Some(head(1)));
    }

    #[test]
    fn another_chain_a_newer_schema_and_a_second_opening_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        assert!(matches!(Store::open(dir.path(), &CHAIN), Err(StoreError::Locked { .. })));
        drop(store);
        let other = ChainId::new([2; 32]);
        let refused = Store::open(dir.path(), &other);
        assert!(
            matches!(refused, Err(StoreError::OtherChain { expected, found }) if (expected, found) == (other, CHAIN))
        );
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        store.db().put_cf(store.family(META), META_SCHEMA, (VERSION + 1).to_bytes()).unwrap();
        drop(store);
        assert!(matches!(Store::open(dir.path(), &CHAIN), Err(StoreError::NewerSchema { .. })));
    }

    #[test]
    fn proposals_are_kept_until_their_height_is_decided() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        let id = |byte| BlockId::new([byte; 32]);
        let keep = |height, round, byte| store.keep_undecided(Height::new(height), round, &id(byte), &[byte]).unwrap();
        keep(1, 1, 7);
        keep(1, 0, 8);
        keep(1, 0, 8);
        keep(2, 0, 9);
        let kept = |round, byte| Undecided { round, id: id(byte), bytes: vec![byte] };
        assert_eq!(store.undecided(Height::new(1)).unwrap(), [kept(0, 8), kept(1, 7)]);
        commit(&store, 1, &[]).unwrap();
        assert_eq!(store.undecided(Height::new(1)).unwrap(), []);
        assert_eq!(store.undecided(Height::new(2)).unwrap(), [kept(0, 9)]);
        keep(1, 2, 7);
        assert_eq!(store.undecided(Height::new(1)).unwrap(), [], "decided already");
    }

    #[test]
    fn the_oldest_rounds_make_room_and_oversized_values_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        for round in 0..300 {
            store.keep_undecided(Height::new(1), round, &BlockId::ZERO, b"").unwrap();
        }
        let kept: Vec<u32> = store.undecided(Height::new(1)).unwrap().iter().map(|kept| kept.round).collect();
        assert_eq!(kept, (44..300).collect::<Vec<_>>(), "a long outage makes many rounds and stops nobody");
        let large = vec![0; MAX_UNDECIDED + 1];
        assert!(store.keep_undecided(Height::new(2), 0, &BlockId::ZERO, &large[1..]).is_ok());
        assert!(store.keep_undecided(Height::new(2), 0, &BlockId::ZERO, &large).is_err());
        assert!(store.keep_pending(&Hash::ZERO, &large[..MAX_PENDING]).is_ok());
        assert!(store.keep_pending(&Hash::ZERO, &large[..=MAX_PENDING]).is_err());
    }

    #[test]
    fn certificates_and_pool_items_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        let certificate = |digest| QuorumCertificate {
            version: 1,
            chain: CHAIN,
            committee: Hash::ZERO,
            domain: Domain::ZERO,
            slot: 4,
            digest: Digest::new([digest; 32]),
            members: 3,
            signers: vec![7].try_into().unwrap(),
            signature: BlsSignature::ZERO,
        };
        store.put_certificate(&certificate(1)).unwrap();
        store.put_certificate(&certificate(2)).unwrap();
        let bitcoin = BitcoinCertificate {
            chain: CHAIN,
            committee: Hash::ZERO,
            domain: Domain::ZERO,
            slot: 5,
            digest: Digest::ZERO,
            votes: List::new(),
        };
        store.put_bitcoin_certificate(&bitcoin).unwrap();
        let (one, two) = (Hash::new([1; 32]), Hash::new([2; 32]));
        store.keep_pending(&two, b"two").unwrap();
        store.keep_pending(&one, b"one").unwrap();
        drop(store);
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        assert_eq!(store.certificate(Height::new(4)).unwrap(), Some(certificate(1)), "the first stays");
        assert_eq!(store.certificate(Height::new(5)).unwrap(), None);
        assert_eq!(store.bitcoin_certificate(Height::new(5)).unwrap(), Some(bitcoin));
        assert_eq!(store.pending().unwrap(), [(one, b"one".to_vec()), (two, b"two".to_vec())]);
        store.drop_pending(&one).unwrap();
        assert_eq!(store.pending().unwrap(), [(two, b"two".to_vec())]);
    }

    #[test]
    fn headers_above_the_first_of_a_write_are_replaced_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        assert_eq!(store.headers().unwrap(), []);
        let of = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte; 84]).collect::<Vec<_>>();
        store.keep_headers(254, &of(&[1, 2, 3, 4])).unwrap();
        store.keep_headers(258, &of(&[5])).unwrap();
        store.keep_headers(256, &of(&[6, 7])).unwrap();
        drop(store);
        let store = Store::open(dir.path(), &CHAIN).unwrap();
        let kept = [(254, 1), (255, 2), (256, 6), (257, 7)].map(|(height, byte)| (height, vec![byte; 84]));
        assert_eq!(store.headers().unwrap(), kept);
        assert!(store.keep_headers(1, &[vec![0; MAX_HEADER + 1]]).is_err());
        assert_eq!(store.headers().unwrap(), kept, "refused as a whole");
    }

    #[test]
    fn damage_is_named_and_never_read_as_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(dir.path());
        commit(&store, 1, &[]).unwrap();
        store.db().put_cf(store.family(BLOCKS), Height::new(1).to_bytes(), [0, 0, 0, 9, 1]).unwrap();
        assert!(matches!(store.block(Height::new(1)), Err(StoreError::Corrupt { what: "a block", .. })));
        store.db().put_cf(store.family(ROWS), [99], [0]).unwrap();
        assert!(matches!(store.load(), Err(StoreError::Corrupt { what: "a row's key", .. })));
    }
}
