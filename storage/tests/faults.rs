//! What a disk and a kill may do to the store: it opens with what was told to be durable, or says what is wrong; it is never wrong silently.
//!
//! The blocks follow from the ledger before them, so that whatever a store holds can be compared with a replay from genesis. The writer
//! that is killed is this very program again ([`the_writer_commits_what_a_replay_finds`]).

#![allow(clippy::unwrap_used)] // clippy takes only functions marked as tests for tests

use palisade_crypto::hash::sha256_all;
use palisade_ledger::fixture::{Network, SHARES, network};
use palisade_ledger::{Changes, Ledger};
use palisade_storage::{Store, StoreError};
use palisade_types::block::Block;
use palisade_types::chain::ChainKind;
use palisade_types::epoch::FinalBlock;
use palisade_types::units::Height;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the writer is to write, when it is a child.
const DIR: &str = "PALISADE_TEST_STORE";
/// Up to which height, when it is to end by itself.
const LAST: &str = "PALISADE_TEST_LAST";
/// Kills of the writer.
const KILLS: u32 = 200;

/// Numbers that are as good as random and the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 += 1;
        let hash = sha256_all(&[b"dice", &self.0.to_be_bytes()]);
        u64::from_be_bytes(*hash.first_chunk().unwrap()) % sides
    }
}

/// The only block that follows a ledger in these tests: an anchor and a changed stake in every other one.
fn follow(network: &Network, ledger: &Ledger) -> (Block, Changes) {
    let height = ledger.head().height.get() + 1;
    let upto = ledger.anchor(ChainKind::Ethereum).number + 1;
    let facts = match height {
        1 => network.joining_facts(),
        _ => vec![network.stake_fact(usize::try_from(height % 4).unwrap(), SHARES + u128::from(height))],
    };
    let items = if height % 2 == 1 { vec![network.observed(ledger, ChainKind::Ethereum, upto, facts)] } else { vec![] };
    let (block, changes, refused) = ledger.draft(items);
    assert!(refused.is_empty(), "{refused:?}");
    (block, changes)
}

/// How damage shows: in the store, or in the state that a node compares with the head's block before it starts.
#[derive(Debug, thiserror::Error)]
enum Noticed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the rows are not the state after the last block")]
    Root,
}

impl Noticed {
    /// Whether it is told that another copy is what helps.
    const fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Root => true,
        }
    }
}

/// What a correct node knows at every height.
struct Replay {
    network: Network,
    ledgers: Vec<Ledger>,
}

impl Replay {
    fn new() -> Self {
        let network = network(4, 7);
        Self { ledgers: vec![Ledger::genesis(network.genesis.clone())], network }
    }

    fn at(&mut self, height: Height) -> &Ledger {
        let height = usize::try_from(height.get()).unwrap();
        while self.ledgers.len() <= height {
            let mut ledger = self.ledgers.last().unwrap().clone();
            let (_, changes) = follow(&self.network, &ledger);
            ledger.apply(changes);
            self.ledgers.push(ledger);
        }
        &self.ledgers[height]
    }

    /// Opens a store as a node does and reads everything in it. What comes back is what was written up to some height, which it
    /// names.
    fn read(&mut self, dir: &Path) -> Result<Height, Noticed> {
        let store = Store::open(dir, &self.network.chain)?;
        let Some(loaded) = store.load()? else { return Ok(Height::new(0)) };
        let head = loaded.head;
        let genesis = self.network.genesis.clone();
        let restored = Ledger::restore(genesis, head, loaded.rows).map_err(|_| Noticed::Root)?;
        let promised = store.block(head.height)?.map(|(block, _)| block.header.state_root);
        if head.height > Height::new(0) && promised != Some(restored.root()) {
            return Err(Noticed::Root);
        }
        let expected = self.at(head.height).clone();
        assert_eq!((restored.head(), restored.root()), (expected.head(), expected.root()), "at {}", head.height);
        for height in 1..=head.height.get() {
            let height = Height::new(height);
            let (block, _) = store.block(height)?.unwrap_or_else(|| panic!("block {height} is gone without a word"));
            assert_eq!(FinalBlock { height, id: block.id() }, self.at(height).head());
        }
        Ok(head.height)
    }
}

/// Commits blocks until `enough` says so, and tells each height once it is durable.
fn write(dir: &Path, certificate: &[u8], mut tell: impl FnMut(u64) -> bool) -> Result<(), StoreError> {
    let network = network(4, 7);
    let store = Store::open(dir, &network.chain)?;
    let mut ledger = match store.load()? {
        Some(loaded) => Ledger::restore(network.genesis.clone(), loaded.head, loaded.rows).unwrap(),
        None => {
            let ledger = Ledger::genesis(network.genesis.clone());
            store.begin(ledger.head(), ledger.rows())?;
            ledger
        }
    };
    loop {
        let (block, changes) = follow(&network, &ledger);
        store.keep_undecided(block.header.height, 0, &block.id(), b"a proposal")?;
        store.put_confirmed(&changes.head())?;
        store.commit(&block, certificate, &changes)?;
        ledger.apply(changes);
        if !tell(ledger.head().height.get()) {
            return Ok(());
        }
    }
}

/// As a child of the tests below it writes until it is killed; by itself it writes a little, and a replay finds the same.
#[test]
fn the_writer_commits_what_a_replay_finds() {
    if let Some(dir) = std::env::var_os(DIR) {
        let mut out = std::io::stdout();
        let last = std::env::var(LAST).map_or(u64::MAX, |last| last.parse().unwrap());
        let ended = write(Path::new(&dir), b"certificate", |height| {
            writeln!(out, "height {height}").and_then(|()| out.flush()).is_ok() && height < last
        });
        if let Err(error) = ended {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            println!("failed {error}: {source}");
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"certificate", |height| height < 30).unwrap();
    assert_eq!(Replay::new().read(dir.path()).unwrap(), Height::new(30));
}

/// The writer as a child, under another program if one is given.
fn writer(dir: &Path, under: &[&str]) -> std::io::Result<Child> {
    writer_command(dir, under).spawn()
}

fn writer_command(dir: &Path, under: &[&str]) -> Command {
    let this = std::env::current_exe().expect("a running program has a file");
    let mut words = under.iter().map(PathBuf::from).chain([this]);
    let mut command = Command::new(words.next().expect("ourselves at least"));
    command.args(words).args(["--exact", "the_writer_commits_what_a_replay_finds", "--nocapture"]);
    command.env(DIR, dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Whether `strace` may trace here; where not, that is said.
fn may_trace() -> bool {
    let probe = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).status();
    let may = probe.is_ok_and(|probe| probe.success());
    if !may {
        eprintln!("skipped: there is no strace here, or it may not trace");
    }
    may
}

/// Every system call of the writer by which anything comes to the disk is a place where it may die. It dies at each of them in turn, from the
/// making of the store over its first rows and three commits to its last word; whatever lies on the disk then is opened and compared.
#[test]
fn a_kill_at_every_write_edge_loses_nothing_that_was_told() {
    const CALLS: &str =
        "write,writev,pwrite64,fdatasync,fsync,rename,renameat,renameat2,ftruncate,fallocate,unlink,mkdir";
    const BLOCKS: u64 = 3;
    if !may_trace() {
        return;
    }
    let (mut replay, mut edges, mut seen) = (Replay::new(), 0, std::collections::BTreeSet::new());
    for edge in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let inject = format!("inject={CALLS}:signal=SIGKILL:when={edge}");
        let trace = format!("trace={CALLS}");
        let under = ["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let out = writer_command(dir.path(), &under).env(LAST, BLOCKS.to_string()).output().unwrap();
        let out = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(!out.contains("failed the "), "edge {edge}: {out}");
        let highest = out.lines().filter_map(told).max().unwrap_or(0);
        let height = replay.read(dir.path()).unwrap_or_else(|error| panic!("edge {edge}: {error:?}")).get();
        assert!(height == highest || height == highest + 1, "edge {edge}: {height} after {highest} was told");
        // And it goes on from there.
        write(dir.path(), b"certificate", |height| height < BLOCKS + 2).unwrap();
        assert_eq!(replay.read(dir.path()).unwrap(), Height::new(BLOCKS + 2), "edge {edge}");
        seen.insert((height, highest));
        edges = edge;
        if out.contains("test result: ok") {
            break; // there are no more edges
        }
    }
    assert!(edges > 40, "only {edges} edges");
    // It died before and after each height was told.
    for height in 1..=BLOCKS {
        assert!(seen.contains(&(height, height - 1)) && seen.contains(&(height, height)), "{height}: {seen:?}");
    }
}

/// A height that the writer told, or why it stopped.
fn told(line: &str) -> Option<u64> {
    line.rsplit_once("height ")?.1.trim().parse().ok()
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut replay, mut dice, mut highest) = (Replay::new(), Dice(1), 0);
    // A busy machine opens a store more slowly: who wrote nothing in ten lives gets longer ones.
    let (mut longest, mut before) = (120_000, 0);
    for kill in 0..KILLS {
        if kill % 10 == 0 && kill > 0 {
            longest <<= u32::from(highest == before);
            before = highest;
        }
        let mut child = writer(dir.path(), &[]).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Some die while they open, most between two edges of a commit.
        let patience = Duration::from_micros(dice.roll(longest));
        let began = Instant::now();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(patience.saturating_sub(began.elapsed()));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            assert!(!line.contains("failed"), "{line}");
            // A line may be torn, too.
            highest = highest.max(told(&line).filter(|_| line.ends_with('\n')).unwrap_or(0));
            line.clear();
        }
        killer.join().unwrap();
        // Everything is read after every tenth; whatever was torn before would still be.
        let height = match kill % 10 {
            9 => replay.read(dir.path()).unwrap().get(),
            _ => {
                Store::open(dir.path(), &replay.network.chain).unwrap().tip().unwrap().map_or(0, |tip| tip.height.get())
            }
        };
        assert!(height >= highest && height <= highest + 1, "kill {kill}: {height} after {highest} was told");
        highest = height;
    }
    assert!(highest > 50, "the writer never came to write: {highest}");
}

// ---- what is on the disk is not what was written ------------------------------------------------------------------

/// A store of so many blocks; its log whole, or everything in tables.
fn stored(blocks: u64, in_tables: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"certificate", |height| height < blocks).unwrap();
    if in_tables {
        let path = dir.path().join("rocksdb");
        let options = rocksdb::Options::default();
        let families = rocksdb::DB::list_cf(&options, &path).unwrap();
        let db = rocksdb::DB::open_cf(&options, &path, &families).unwrap();
        families.iter().for_each(|family| db.flush_cf(db.cf_handle(family).unwrap()).unwrap());
    }
    dir
}

/// The files of a store whose names begin or end like this, the largest first.
fn files(dir: &Path, like: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(like) || name.starts_with(like)
    };
    let mut files: Vec<_> = files.filter(named).filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    assert!(!files.is_empty(), "no file like {like}");
    files
}

/// A copy of a store; the lock file is made anew.
fn copy(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("rocksdb")).unwrap();
    for entry in fs::read_dir(dir.join("rocksdb")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join("rocksdb").join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn at_copy(copy: &Path, file: &Path) -> PathBuf {
    copy.join("rocksdb").join(file.file_name().unwrap())
}

#[test]
fn a_log_that_ends_anywhere_opens_with_whole_blocks_only() {
    const BLOCKS: u64 = 12;
    let dir = stored(BLOCKS, false);
    let log = files(dir.path(), ".log").remove(0);
    let length = fs::metadata(&log).unwrap().len();
    let (mut replay, mut dice, mut seen) = (Replay::new(), Dice(2), std::collections::BTreeSet::new());
    // The last 512 bytes one by one would take long; every cut lies somewhere in a batch or on its edge.
    let cuts = (0..24).map(|cut| length - 1 - cut * 7).chain((0..40).map(|_| dice.roll(length)));
    for cut in cuts.collect::<Vec<_>>() {
        let copy = copy(dir.path());
        OpenOptions::new().write(true).open(at_copy(copy.path(), &log)).unwrap().set_len(cut).unwrap();
        match replay.read(copy.path()) {
            Ok(height) => drop(seen.insert(height)),
            Err(error) => panic!("cut at {cut} of {length}: {error}"),
        }
        // And it goes on from there.
        write(copy.path(), b"certificate", |height| height < BLOCKS + 2).unwrap();
    }
    assert!(seen.len() > 5 && seen.last().is_some_and(|last| last.get() >= BLOCKS - 1), "{seen:?}");
}

/// Flips one byte in a file and reads everything. Tells whether it was refused; what is read must be right.
fn flip(replay: &mut Replay, dir: &Path, file: &Path, at: u64) -> bool {
    let copy = copy(dir);
    let mut bytes = OpenOptions::new().read(true).write(true).open(at_copy(copy.path(), file)).unwrap();
    let mut byte = [0];
    bytes.seek(SeekFrom::Start(at)).unwrap();
    bytes.read_exact(&mut byte).unwrap();
    bytes.seek(SeekFrom::Start(at)).unwrap();
    bytes.write_all(&[byte[0] ^ 0x40]).unwrap();
    bytes.sync_all().unwrap();
    match replay.read(copy.path()) {
        Ok(_) => false,
        Err(error) => {
            assert!(error.is_damage(), "{at}: {error:?}");
            true
        }
    }
}

/// One kind of file, damaged in so many places: how often it was refused.
fn damage(dir: &Path, like: &str, places: u64) -> u64 {
    let (mut replay, mut dice, mut refused) = (Replay::new(), Dice(3), 0);
    for place in 0..places {
        let files = files(dir, like);
        let file = &files[usize::try_from(place).unwrap() % files.len()];
        let length = fs::metadata(file).unwrap().len();
        refused += u64::from(flip(&mut replay, dir, file, dice.roll(length)));
    }
    refused
}

#[test]
fn a_flipped_byte_in_a_table_is_refused_or_changes_nothing() {
    let refused = damage(stored(20, true).path(), ".sst", 60);
    assert!(refused > 30, "only {refused} of 60 were noticed");
}

#[test]
fn a_flipped_byte_in_the_log_is_refused_or_ends_it_there() {
    let refused = damage(stored(12, false).path(), ".log", 40);
    assert!(refused > 20, "only {refused} of 40 were noticed");
}

#[test]
fn a_flipped_byte_in_the_manifest_is_refused_or_changes_nothing() {
    let refused = damage(stored(12, true).path(), "MANIFEST", 40);
    assert!(refused > 10, "only {refused} of 40 were noticed");
}

#[test]
fn a_table_that_is_gone_and_a_pointer_to_nowhere_are_refused() {
    let dir = stored(12, true);
    let check = |damage: &dyn Fn(&Path)| {
        let copy = copy(dir.path());
        damage(copy.path());
        let error = Replay::new().read(copy.path()).expect_err("it must be noticed");
        assert!(error.is_damage(), "{error:?}");
    };
    let table = files(dir.path(), ".sst").remove(0);
    check(&|copy| fs::remove_file(at_copy(copy, &table)).unwrap());
    check(&|copy| fs::write(copy.join("rocksdb/CURRENT"), "MANIFEST-999999\n").unwrap());
    check(&|copy| fs::write(copy.join("rocksdb/CURRENT"), "").unwrap());
}

// ---- the disk itself fails ----------------------------------------------------------------------------------------

/// A small file system of our own, where root may mount one.
struct Mount {
    dir: tempfile::TempDir,
    /// What an ext4 lies in.
    _image: Option<tempfile::NamedTempFile>,
}

impl Mount {
    /// In memory. `None` where nothing may be mounted, which is said.
    fn new(megabytes: u32) -> Option<Self> {
        let size = format!("size={megabytes}m");
        Self::mounted(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]), None)
    }

    /// An ext4 on a loop device.
    fn ext4(megabytes: u64) -> Option<Self> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(megabytes << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.path()).output();
        if !made.is_ok_and(|made| made.status.success()) {
            eprintln!("skipped: there is no mkfs.ext4 here");
            return None;
        }
        let path = image.path().to_owned();
        Self::mounted(Command::new("mount").args(["-o", "loop"]).arg(path), Some(image))
    }

    fn mounted(mount: &mut Command, image: Option<tempfile::NamedTempFile>) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = mount.arg(dir.path()).output();
        match mounted.is_ok_and(|mounted| mounted.status.success()) {
            true => Some(Self { dir, _image: image }),
            false => {
                eprintln!("skipped: nothing may be mounted here");
                None
            }
        }
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.dir.path()).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).status();
    }
}

#[test]
fn a_full_disk_stops_the_writer_and_room_lets_it_go_on() {
    // The file system's own books take room of an ext4.
    for mount in [Mount::new(24), Mount::ext4(48)].into_iter().flatten() {
        fill_and_make_room(&mount);
    }
}

fn fill_and_make_room(mount: &Mount) {
    let (dir, ballast) = (mount.dir.path().join("store"), mount.dir.path().join("ballast"));
    fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let (certificate, mut highest) = (vec![7; 300 << 10], 0);
    let told = |height: u64, highest: &mut u64| {
        *highest = height;
        height < 1_000
    };
    let error = write(&dir, &certificate, |height| told(height, &mut highest)).expect_err("the disk is small");
    assert!(matches!(error, StoreError::Disk { .. }), "{error:?}");
    assert!(highest > 10, "it was full from the start");
    fs::remove_file(&ballast).unwrap();
    let mut replay = Replay::new();
    let height = replay.read(&dir).unwrap().get();
    assert!(height == highest || height == highest + 1, "{height} after {highest} was told");
    write(&dir, b"small", |height| height < highest + 5).unwrap();
    assert_eq!(replay.read(&dir).unwrap(), Height::new(highest + 5));
}

#[test]
fn a_read_only_disk_is_named_and_nothing_is_written() {
    let Some(mount) = Mount::new(64) else { return };
    let dir = mount.dir.path().join("store");
    write(&dir, b"certificate", |height| height < 5).unwrap();
    mount.remount("ro");
    let error = write(&dir, b"certificate", |_| panic!("it wrote")).expect_err("it cannot write");
    assert!(matches!(error, StoreError::Disk { .. }), "{error:?}");
    mount.remount("rw");
    assert_eq!(Replay::new().read(&dir).unwrap(), Height::new(5));
}

/// By `strace`, which makes one system call of the writer fail; where it may not trace, that is said.
#[test]
fn a_sync_that_fails_stops_the_writer_before_it_tells() {
    if !may_trace() {
        return;
    }
    for when in ["12", "13", "20", "31"] {
        let dir = tempfile::tempdir().unwrap();
        let inject = format!("inject=fdatasync,fsync:error=EIO:when={when}");
        let under = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &inject];
        let mut child = writer(dir.path(), &under).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut highest, mut failed) = (0, None);
        for line in lines.map_while(Result::ok) {
            assert!(failed.is_none() || told(&line).is_none(), "it went on: {line}");
            highest = highest.max(told(&line).unwrap_or(0));
            failed = failed.or(line.split_once("failed ").map(|(_, why)| why.to_owned()));
            if highest > 100 {
                break;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        assert!(
            failed.as_ref().is_some_and(|why| why.contains("the disk failed")),
            "call {when}: {failed:?} at {highest}"
        );
        // What was not synced may be there: a kill loses no page. What was told is.
        let height = Replay::new().read(dir.path()).unwrap().get();
        assert!(height == highest || height == highest + 1, "{height} after {highest} was told");
    }
}

#[test]
fn a_store_that_another_holds_is_not_touched() {
    let dir = stored(3, false);
    let held = File::options().write(true).open(dir.path().join("lock")).unwrap();
    held.try_lock().unwrap();
    let error = Replay::new().read(dir.path()).expect_err("it is held");
    assert!(matches!(error, Noticed::Store(StoreError::Locked { .. })), "{error:?}");
}

// ---- other layouts and other networks -----------------------------------------------------------------------------

/// Changes what a store says of itself, as somebody else's release would have written it.
fn say(dir: &Path, said: &[(&str, Option<&[u8]>)]) {
    let path = dir.join("rocksdb");
    let options = rocksdb::Options::default();
    let families = rocksdb::DB::list_cf(&options, &path).unwrap();
    let db = rocksdb::DB::open_cf(&options, &path, &families).unwrap();
    let meta = db.cf_handle("meta").unwrap();
    for (key, value) in said {
        match value {
            Some(value) => db.put_cf(meta, key, value).unwrap(),
            None => db.delete_cf(meta, key).unwrap(),
        }
    }
}

fn said(dir: &Path, key: &str) -> Option<Vec<u8>> {
    let path = dir.join("rocksdb");
    let options = rocksdb::Options::default();
    let families = rocksdb::DB::list_cf(&options, &path).unwrap();
    let db = rocksdb::DB::open_cf_for_read_only(&options, &path, &families, false).unwrap();
    db.get_cf(db.cf_handle("meta").unwrap(), key).unwrap()
}

#[test]
fn a_store_of_the_first_layout_is_brought_up_to_date_once_and_by_its_owner() {
    let dir = stored(5, false);
    // The first layout does not name the release.
    say(dir.path(), &[("schema", Some(&1_u32.to_be_bytes())), ("release", None)]);
    let chain = network(4, 7).chain;
    let scratch = tempfile::tempdir().unwrap();
    let beside = palisade_storage::Beside::open(dir.path(), &chain, scratch.path()).unwrap_err();
    assert!(matches!(beside, StoreError::OlderSchema { found: 1 }), "{beside:?}");
    assert!(beside.remedy().is_some());
    assert_eq!(Replay::new().read(dir.path()).unwrap(), Height::new(5));
    assert_eq!(said(dir.path(), "schema"), Some(palisade_storage::schema::VERSION.to_be_bytes().to_vec()));
    assert_eq!(said(dir.path(), "release"), Some(env!("CARGO_PKG_VERSION").as_bytes().to_vec()));
    write(dir.path(), b"certificate", |height| height < 8).unwrap();
    assert_eq!(Replay::new().read(dir.path()).unwrap(), Height::new(8));
}

#[test]
fn a_store_of_a_newer_layout_names_the_release_that_reads_it_and_stays_as_it_is() {
    let dir = stored(3, false);
    let newer = palisade_storage::schema::VERSION + 1;
    say(dir.path(), &[("schema", Some(&newer.to_be_bytes())), ("release", Some(b"9.1.0\x1b[2J"))]);
    let error = Store::open(dir.path(), &network(4, 7).chain).unwrap_err();
    let StoreError::NewerSchema { found, release } = &error else { panic!("{error:?}") };
    assert_eq!((*found, release.as_str()), (newer, "9.1.0[2J"), "and nothing that moves a cursor");
    assert!(error.remedy().unwrap().contains("release 9.1.0"));
    assert_eq!(said(dir.path(), "release"), Some(b"9.1.0\x1b[2J".to_vec()));
}

#[test]
fn a_store_of_another_network_is_named_and_stays_as_it_is() {
    let dir = stored(3, false);
    let (ours, theirs) = (network(4, 7).chain, network(4, 8).chain);
    let error = Store::open(dir.path(), &theirs).unwrap_err();
    assert!(matches!(error, StoreError::OtherChain { expected, found } if (expected, found) == (theirs, ours)));
    assert!(error.remedy().unwrap().contains(&ours.to_string()));
    assert_eq!(Replay::new().read(dir.path()).unwrap(), Height::new(3));
}
