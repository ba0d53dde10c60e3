//! What is kept. Keys and values are canonical encodings; integers in keys are big-endian, so that RocksDB's order is ours.
//!
//! The node's database ([`crate::Store`], `<data>/store`):
//!
//! | column family | key | value | written by | lives |
//! |---|---|---|---|---|
//! | `meta` | "schema" | u32, [`VERSION`] | the first open, each step of a migration | replaced by each step |
//! | `meta` | "release" | the release's version, as text (since layout 2) | the first open of each release | replaced by the next one's |
//! | `meta` | "chain" | chain id | the first open | for ever |
//! | `meta` | "tip" | height, block id | `begin`, `commit` | replaced by each commit |
//! | `meta` | "confirmed" | height, block id | `put_confirmed` | replaced when the own followers confirm more |
//! | `meta` | "base" | height, block id: the first block that is kept, with the state after it | `begin_later`, `prune` | until pruned further |
//! | `meta` | "next base" | height, block id, Ethereum block | `choose_base` | until `prune` |
//! | `meta` | "snapshots" | heights of whole snapshots | `keep_snapshot` | replaced by each |
//! | `rows` | row key | row | `begin`, `commit` | until a block removes the row |
//! | `blocks` | height | block, engine's commit certificate | `commit` | for ever: a node serves history; where `[store] keep = "window"`, until `prune` |
//! | `undecided` | height, round, block id | opaque bytes of the proposal | `keep_undecided` (synced) | until a block of that height is committed |
//! | `certificates` | 0, height | quorum certificate of the ledger's domain | `put_certificate` | as long as its block |
//! | `certificates` | 1, height | Bitcoin certificate | `put_bitcoin_certificate` | as long as its block |
//! | `certificates` | 2, number | quorum certificate of a vault claim | `put_numbered_certificate` | until its epoch and the next are over |
//! | `certificates` | 3, number | quorum certificate of an order | `put_numbered_certificate` | until its epoch and the next are over |
//! | `certificates` | 4, domain, slot | quorum certificate of a service | `put_service_certificate` | until its epoch and the next are over |
//! | `pending` | hash | opaque bytes of a pool item | `keep_pending` | until `drop_pending` |
//! | `headers` | Bitcoin height, u32 | opaque bytes of a header | `keep_headers` | until a fork replaces it |
//! | `snapshots` | height, first path | a chunk of the state after that block | `begin_later`, `keep_snapshot` | the last [`KEPT_SNAPSHOTS`], and those of "base" and "next base" |
//!
//! The guard's database ([`crate::SignatureStore`], `<signer>/records`), every write synced:
//!
//! | key | value | written by | lives |
//! |---|---|---|---|
//! | 0 | u32, [`GUARD_VERSION`] | the first open | for ever |
//! | 1 | incarnation id, and the next while it is being renewed (R15) | each start | replaced by each start |
//! | 2 | u64: how many records were ever made | each record | grows |
//! | 3 | why and since when the guard waits (R15) | a start that finds its history broken | for ever |
//! | 4, key's name | born here, or imported (R15) | key creation, a start that meets an unknown key | for ever |
//! | 5, chain id | reason, as text | a contradiction (R16) | until a person acts |
//! | 6, domain and key (hashed), first slot | count, Merkle root (R19) | `keep_commitment` | for ever |
//! | 7, domain, slot | digest, or all ones: something that is not known any more | each attestation and finality vote, an import | until pruned |
//! | 8, chain id, height, round, step | digest | each ballot (R18) | [`BALLOT_HEIGHTS`] heights |
//! | 9, domain | u64: up to which slot everything counts as signed | an import, pruning | for ever; only rises |
//!
//! Options are the same for every family but for one, because each is small, read by key or in order, and never hot: the ledger is in
//! memory.
//! - a Bloom filter of 10 bits a key, since most lookups by key (certificates, undecided proposals) find nothing;
//! - LZ4, and Zstandard on the last level, where a block's history rests; never for `rows`, which change again, are mostly hashes and
//!   amounts, and are read whole by every start;
//! - tables are made of pieces of 16 KB: a start reads them all, and their index is a quarter as large as RocksDB would make it;
//! - one cache of [`BLOCK_CACHE`] bytes for all families; a start reads past it, so that it does not push everything out;
//! - a write buffer of a quarter of [`WRITE_BUFFERS`], which bounds all together; the log is kept to 16 MB, because a start reads all of it;
//! - a torn end of the log is a crash and is dropped; damage before it is refused (`kTolerateCorruptedTailRecords`).

/// The layout above. A store with a larger number is refused, never guessed at; one with a smaller number is migrated step by step.
pub const VERSION: u32 = 2;

/// The layout of the guard's database, which is numbered by itself.
pub const GUARD_VERSION: u32 = 1;

/// What a store says of who wrote it last.
pub(crate) const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// The longest name of a release that is shown, in bytes.
pub(crate) const MAX_RELEASE: usize = 32;

/// The largest engine certificate that is kept with a block, in bytes.
pub const MAX_ENGINE_CERTIFICATE: usize = 1 << 20;

/// The largest undecided proposal, in bytes: a block and what the core keeps beside it.
pub const MAX_UNDECIDED: usize = palisade_types::block::MAX_BLOCK + (1 << 16);

/// The most undecided proposals of one height; beyond it the oldest rounds go.
pub const MAX_UNDECIDED_COUNT: usize = 256;

/// The largest pool item, in bytes.
pub const MAX_PENDING: usize = 1 << 20;

/// How many states are kept for nodes that begin later: the newest boundary that Ethereum shows finally is one of the last few.
pub const KEPT_SNAPSHOTS: usize = 4;

/// The largest header that is kept, in bytes.
pub const MAX_HEADER: usize = 256;

/// For how many heights below the highest the ballots are kept. The guard refuses new ones there anyway (R18); the
/// records only let the engine have the same signature again.
pub const BALLOT_HEIGHTS: u64 = 256;

/// What all write buffers of the node's database may hold together, in bytes.
pub const WRITE_BUFFERS: usize = 64 << 20;

/// The block cache of the node's database, in bytes. The ledger itself is in memory.
pub const BLOCK_CACHE: usize = 16 << 20;

pub(crate) const META: &str = "meta";
pub(crate) const ROWS: &str = "rows";
pub(crate) const BLOCKS: &str = "blocks";
pub(crate) const UNDECIDED: &str = "undecided";
pub(crate) const CERTIFICATES: &str = "certificates";
pub(crate) const PENDING: &str = "pending";
pub(crate) const HEADERS: &str = "headers";
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// Every column family of the node's database.
pub const FAMILIES: [&str; 8] = [META, ROWS, BLOCKS, UNDECIDED, CERTIFICATES, PENDING, HEADERS, SNAPSHOTS];

pub(crate) const META_SCHEMA: &[u8] = b"schema";
pub(crate) const META_RELEASE: &[u8] = b"release";
pub(crate) const META_CHAIN: &[u8] = b"chain";
pub(crate) const META_TIP: &[u8] = b"tip";
pub(crate) const META_CONFIRMED: &[u8] = b"confirmed";
pub(crate) const META_BASE: &[u8] = b"base";
pub(crate) const META_NEXT_BASE: &[u8] = b"next base";
pub(crate) const META_SNAPSHOTS: &[u8] = b"snapshots";
