//! Reading a store that a node may have open, and copying it.
//!
//! RocksDB lets a second process follow a database without its lock ("secondary instance"): it sees one moment of it, the log's last
//! whole record at its opening, and keeps every file of that moment open, so that the node can delete them. It writes nothing but its
//! own log, into a directory of its own.

use crate::error::StoreError;
use crate::files::{Database, failed};
use crate::schema::{BLOCK_CACHE, FAMILIES, WRITE_BUFFERS};
use crate::store::{Loaded, Store};
use palisade_types::block::Block;
use palisade_types::certificate::QuorumCertificate;
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::ChainId;
use palisade_types::units::Height;
use rocksdb::{IteratorMode, WriteBatch};
use std::path::Path;

/// How many bytes a copy writes at once.
const COPY_BYTES: usize = 8 << 20;

/// One moment of a store, to be read only.
#[derive(Debug)]
pub struct Beside {
    store: Store,
}

impl Beside {
    /// Opens the store in `dir` for reading, whether a node runs on it or not. `scratch` is an empty directory for RocksDB's own log.
    ///
    /// # Errors
    ///
    /// [`StoreError::Nothing`] where there is no store; else as [`Store::open`].
    pub fn open(dir: &Path, chain: &ChainId, scratch: &Path) -> Result<Self, StoreError> {
        let database = Database::beside(dir, scratch, &FAMILIES, WRITE_BUFFERS, BLOCK_CACHE)?;
        let store = Store { database };
        store.check(chain)?;
        Ok(Self { store })
    }

    /// See [`Store::load`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load(&self) -> Result<Option<Loaded>, StoreError> {
        self.store.load()
    }

    /// See [`Store::first`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn first(&self) -> Result<Option<Loaded>, StoreError> {
        self.store.first()
    }

    /// See [`Store::tip`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn tip(&self) -> Result<Option<FinalBlock>, StoreError> {
        self.store.tip()
    }

    /// See [`Store::block`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn block(&self, height: Height) -> Result<Option<(Block, Vec<u8>)>, StoreError> {
        self.store.block(height)
    }

    /// See [`Store::certificate`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn certificate(&self, height: Height) -> Result<Option<QuorumCertificate>, StoreError> {
        self.store.certificate(height)
    }

    /// Writes everything of this moment into a new store in `dir`, with which a node can start: the backup of a running node. The
    /// signer's records are elsewhere and are never copied with it (R15). Gives the number of entries.
    ///
    /// # Errors
    ///
    /// [`StoreError::Begun`] when `dir` holds a store already; else reading or writing fails, and what is in `dir` is of no use.
    pub fn copy_to(&self, dir: &Path) -> Result<u64, StoreError> {
        let copy = Database::open(dir, &FAMILIES, WRITE_BUFFERS, BLOCK_CACHE)?;
        let family = |name: &str| copy.db().cf_handle(name).expect("every family is opened with the database");
        for name in FAMILIES {
            if copy.db().iterator_cf(family(name), IteratorMode::Start).next().is_some() {
                return Err(StoreError::Begun);
            }
        }
        let write = |batch: WriteBatch| copy.write(&batch, "writing the copy");
        let mut copied = 0;
        // The last family first: what names the store and its tip is written when all else is there.
        for name in FAMILIES.iter().rev() {
            let mut batch = WriteBatch::default();
            for entry in self.store.db().iterator_cf(self.store.family(name), IteratorMode::Start) {
                let (key, value) = entry.map_err(failed("reading what is copied"))?;
                batch.put_cf(family(name), key, value);
                copied += 1;
                if batch.size_in_bytes() > COPY_BYTES {
                    write(std::mem::take(&mut batch))?;
                }
            }
            write(batch)?;
        }
        Ok(copied)
    }
}
