//! The directory of a database: locked against everybody else, opened with few options.
//!
//! A log whose last record is torn off is a crash and is read up to there; damage before that is refused, never skipped.

use crate::StoreError;
use crate::schema::ROWS;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Error, ErrorKind, Options,
    WriteBatch, WriteOptions,
};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

/// A database and the lock on its directory; the lock goes with it. Who reads beside another has none.
pub(crate) struct Database {
    db: DB,
    _lock: Option<File>,
}

impl Database {
    /// Opens or creates `<dir>/rocksdb` under the lock `<dir>/lock`.
    pub(crate) fn open(dir: &Path, families: &[&str], write_buffers: usize, cache: usize) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(StoreError::disk("making the directory"))?;
        let lock = lock(dir)?;
        let options = options(write_buffers);
        let cache = Cache::new_lru_cache(cache); // one for all of them
        let described =
            |name: &&str| ColumnFamilyDescriptor::new(*name, family_options(name, write_buffers / 4, &cache));
        let families = families.iter().map(described);
        let db = DB::open_cf_descriptors(&options, dir.join("rocksdb"), families).map_err(opened)?;
        Ok(Self { db, _lock: Some(lock) })
    }

    /// Opens `<dir>/rocksdb` for reading, whoever has it open. `scratch` is for RocksDB's own log.
    pub(crate) fn beside(
        dir: &Path,
        scratch: &Path,
        families: &[&str],
        write_buffers: usize,
        cache: usize,
    ) -> Result<Self, StoreError> {
        let database = dir.join("rocksdb");
        if !database.join("CURRENT").exists() {
            return Err(StoreError::Nothing { dir: dir.to_owned() });
        }
        let mut options = options(write_buffers);
        options.set_max_open_files(-1); // the owner may delete files of this moment
        let cache = Cache::new_lru_cache(cache); // one for all of them
        let described =
            |name: &&str| ColumnFamilyDescriptor::new(*name, family_options(name, write_buffers / 4, &cache));
        let families = families.iter().map(described);
        let db = DB::open_cf_descriptors_as_secondary(&options, database, scratch.to_owned(), families)
            .map_err(StoreError::disk("opening the database beside its owner"))?;
        Ok(Self { db, _lock: None })
    }

    /// Writes all of `batch` or nothing; it is on the disk when this returns.
    ///
    /// While its memory is full of what is not in tables yet, RocksDB lets a writer wait: on a full disk for as long as that is full,
    /// because it tries to make the tables again and again. Here such a wait has an end.
    pub(crate) fn write(&self, batch: &WriteBatch, doing: &'static str) -> Result<(), StoreError> {
        self.written(batch, &options_of_writes(true), doing)
    }

    /// The same without waiting for the disk: a crash may lose it, with everything after it that is not synced.
    pub(crate) fn note(&self, batch: &WriteBatch, doing: &'static str) -> Result<(), StoreError> {
        self.written(batch, &options_of_writes(false), doing)
    }

    fn written(&self, batch: &WriteBatch, options: &WriteOptions, doing: &'static str) -> Result<(), StoreError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.db.write_opt(WriteBatch::from_data(batch.data()), options) {
                Err(full) if full.kind() == ErrorKind::Incomplete && Instant::now() < deadline => {
                    std::thread::sleep(GLANCE);
                }
                written => return written.map_err(failed(doing)),
            }
        }
    }

    /// RocksDB itself.
    pub(crate) const fn db(&self) -> &DB {
        &self.db
    }
}

/// How long the log may grow, bytes, until what is in it is written into tables: a start reads all of it.
const LOG: u64 = 16 << 20;

/// How much of a table is compressed and read together, bytes.
const BLOCK: usize = 16 << 10;

/// How long a write waits for room in memory. A disk that is only slow makes it in less.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
const GLANCE: Duration = Duration::from_millis(5);

/// A write that is refused where it would have to wait for room; synced, it is on the disk when it returns.
fn options_of_writes(synced: bool) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(synced);
    options.set_no_slowdown(true);
    options
}

/// What a failed read means: RocksDB names what its checksums refuse.
pub(crate) fn failed(doing: &'static str) -> impl Fn(Error) -> StoreError {
    move |source| match source.kind() {
        ErrorKind::Corruption => StoreError::Damaged { doing, source: Box::new(source) },
        _ => StoreError::Disk { doing, source: Box::new(source) },
    }
}

/// What a database that does not open means: what the system did not refuse, RocksDB did not understand, and a file that its own
/// records name is missing. A directory that cannot be written, or a full disk, is the disk's.
fn opened(source: Error) -> StoreError {
    let doing = "opening the database";
    let is_missing = source.to_string().contains("No such file or directory");
    match source.kind() {
        ErrorKind::IOError | ErrorKind::Busy | ErrorKind::TimedOut if !is_missing => {
            StoreError::Disk { doing, source: Box::new(source) }
        }
        _ => StoreError::Damaged { doing, source: Box::new(source) },
    }
}

/// The lock is the system's, on an open file: it goes when the process does, however it dies.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("lock"))
        .map_err(StoreError::disk("opening the lock file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::disk("locking the directory")(source)),
    }
}

fn options(write_buffers: usize) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(write_buffers);
    options.set_max_total_wal_size(LOG);
    options.set_max_open_files(256);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

fn family_options(name: &str, write_buffer: usize, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(BLOCK);
    table.set_bloom_filter(10.0, false);
    table.set_block_cache(cache);
    let mut options = Options::default();
    options.set_write_buffer_size(write_buffer);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    if name != ROWS {
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
    }
    options
}
