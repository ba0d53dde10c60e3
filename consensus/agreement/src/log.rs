//! The engine's log: what it said and heard at this height, so that after a crash it goes on where it was.
//!
//! The file is as the engine's crates write it. Their own actor takes every entry to the file at once, in six system calls on another
//! thread, and lets the engine wait for it each time, although nothing is promised before the engine asks for it: every message of ours
//! that leaves, every round and every decision waits for a flush. So here entries wait in memory until that, and then go to the disk together,
//! in one write and one sync. A flush with nothing to write, as at the start of each height, whose reset is synced already, asks nothing of the
//! disk. What a crash takes is the same: entries of which no flush was confirmed.
//!
//! A failure is the engine's to act on: it hangs, since a restart could make us vote twice. Everything after it fails too.

use crate::codec::WireCodec;
use crate::context::{Level, Palisade};
use crate::malachite::Input;
use crate::malachite::engine::node::{NodeMsg, NodeRef};
use crate::malachite::engine::wal::{Msg, WalRef, WalReply, decode_entry, encode_entry};
use crate::malachite::wal::{Storage, log::Log};
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, async_trait};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// How many bytes of entries wait for a flush; more go to the disk before it. A height rarely has as many.
const MAX_WAITING: usize = 1 << 20;

/// What the log's own thread is to do; each has a number, one more than the last.
enum Job {
    /// Begin a height: what is to be replayed of it.
    Begin(Level, WalReply<Vec<io::Result<Input<Palisade>>>>),
    /// Begin a height anew.
    Reset(Level, WalReply<()>),
    /// Make entries durable; nobody waits for it.
    Write(Vec<Vec<u8>>),
    /// Make entries durable.
    Flush(Vec<Vec<u8>>, WalReply<()>),
}

/// The actor that the engine talks to.
pub(crate) struct Journal;

/// What it holds.
pub(crate) struct Waiting {
    height: Option<Level>,
    entries: Vec<Vec<u8>>,
    bytes: usize,
    jobs: mpsc::Sender<(u64, Job)>,
    /// The number of the last job that was given.
    given: u64,
    /// The number of the last job after which everything was on the disk.
    synced: Arc<AtomicU64>,
}

impl Journal {
    /// Opens the log, or makes an empty one, and starts its actor and thread.
    pub async fn spawn(path: &Path, node: NodeRef) -> Result<WalRef<Palisade>, SpawnErr> {
        let (actor, _) = Actor::spawn(None, Self, (path.to_owned(), node)).await?;
        Ok(actor)
    }
}

#[async_trait]
impl Actor for Journal {
    type Msg = Msg<Palisade>;
    type State = Waiting;
    type Arguments = (PathBuf, NodeRef);

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        (path, node): Self::Arguments,
    ) -> Result<Waiting, ActorProcessingErr> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let (jobs, given) = mpsc::channel();
        let synced = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { log: Log::open(&path)?, failed: false, synced: synced.clone() };
        let guard = Guard(node);
        std::thread::Builder::new().name("engine-log".to_owned()).spawn(move || {
            let _guard = guard;
            while let Ok((number, job)) = given.recv() {
                writer.work(number, job);
            }
        })?;
        Ok(Waiting { height: None, entries: Vec::new(), bytes: 0, jobs, given: 0, synced })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        waiting: &mut Waiting,
    ) -> Result<(), ActorProcessingErr> {
        waiting.act(message);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, waiting: &mut Waiting) -> Result<(), ActorProcessingErr> {
        waiting.write();
        Ok(())
    }
}

impl Waiting {
    fn act(&mut self, message: Msg<Palisade>) {
        match message {
            // The engine asks again when it starts a height anew that it is in.
            Msg::StartedHeight(height, reply) if self.height == Some(height) => drop(reply.send(Ok(Vec::new()))),
            Msg::StartedHeight(height, reply) => {
                self.leave_for(height);
                self.give(Job::Begin(height, reply));
            }
            Msg::Reset(height, reply) => {
                self.leave_for(height);
                self.give(Job::Reset(height, reply));
            }
            Msg::Append(height, entry, reply) if self.height != Some(height) => {
                tracing::warn!(%height, ?entry, "not logged: it is of another height");
                let _ = reply.send(Ok(()));
            }
            Msg::Append(_, entry, reply) => drop(reply.send(self.append(entry).map_err(Into::into))),
            Msg::Flush(reply) if self.is_synced() => drop(reply.send(Ok(()))),
            Msg::Flush(reply) => {
                let entries = self.take();
                self.give(Job::Flush(entries, reply));
            }
            Msg::Dump => tracing::info!(height = ?self.height, entries = self.entries.len(), "the engine's log"),
        }
    }

    /// What waits is of a height that is left: the log forgets it in any case.
    fn leave_for(&mut self, height: Level) {
        drop(self.take());
        self.height = Some(height);
    }

    fn append(&mut self, entry: Input<Palisade>) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode_entry(entry, &WireCodec, &mut bytes)?;
        self.bytes += bytes.len();
        self.entries.push(bytes);
        if self.bytes > MAX_WAITING {
            self.write();
        }
        Ok(())
    }

    fn is_synced(&self) -> bool {
        self.entries.is_empty() && self.synced.load(Ordering::Acquire) == self.given
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }

    fn write(&mut self) {
        let entries = self.take();
        if !entries.is_empty() {
            self.give(Job::Write(entries));
        }
    }

    /// When the thread is gone the job's reply is dropped, which the engine takes for a failure.
    fn give(&mut self, job: Job) {
        self.given += 1;
        let _ = self.jobs.send((self.given, job));
    }
}

/// A thread that panicked may have written half of what it should: nobody goes on after that.
struct Guard(NodeRef);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.cast(NodeMsg::SafetyFailure("the thread of the engine's log panicked".to_owned()));
        }
    }
}

/// What the thread owns.
struct Writer {
    log: Log<Tail>,
    /// What is in the file is not known any more.
    failed: bool,
    synced: Arc<AtomicU64>,
}

impl Writer {
    fn work(&mut self, number: u64, job: Job) {
        match job {
            Job::Begin(height, reply) if self.log.sequence() == height.0.get() => {
                // Whether what is read is on the disk is not known: the next flush sees to it.
                drop(reply.send(self.guarded(Self::replay).map_err(Into::into)));
            }
            Job::Begin(height, reply) => {
                let begun = self.synced(number, |writer| writer.log.reset(height.0.get()));
                drop(reply.send(begun.map(|()| Vec::new()).map_err(Into::into)));
            }
            Job::Reset(height, reply) => {
                let begun = self.synced(number, |writer| writer.log.reset(height.0.get()));
                drop(reply.send(begun.map_err(Into::into)));
            }
            // A failure is told by the next flush.
            Job::Write(entries) => drop(self.flush(number, &entries)),
            Job::Flush(entries, reply) => drop(reply.send(self.flush(number, &entries).map_err(Into::into))),
        }
    }

    /// Works once nothing has failed, and never again once something has.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Err(io::Error::other("the engine's log failed before"));
        }
        let done = work(self);
        if let Err(error) = &done {
            tracing::error!(%error, "the engine's log failed");
            self.failed = true;
        }
        done
    }

    /// Work that leaves everything on the disk when it succeeds.
    fn synced(&mut self, number: u64, work: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.guarded(work)?;
        self.synced.store(number, Ordering::Release);
        Ok(())
    }

    fn flush(&mut self, number: u64, entries: &[Vec<u8>]) -> io::Result<()> {
        self.synced(number, |writer| {
            entries.iter().try_for_each(|entry| writer.log.append(entry))?;
            writer.log.flush()
        })
    }

    /// Everything logged at this height. What cannot be read ends it; the engine hangs on either kind of fault.
    fn replay(&mut self) -> io::Result<Vec<io::Result<Input<Palisade>>>> {
        let mut entries = Vec::new();
        for bytes in self.log.iter()? {
            entries.push(bytes.and_then(|bytes| decode_entry(&WireCodec, io::Cursor::new(bytes))));
            if entries.last().is_some_and(Result::is_err) {
                break;
            }
        }
        Ok(entries)
    }
}

/// The log's file. What is written at its end waits in memory until it is synced, or anything else is done with the file.
struct Tail {
    file: File,
    waiting: Vec<u8>,
    /// Where the file ends without what waits, when we stand behind that.
    end: Option<u64>,
}

impl Tail {
    /// Writes what waits.
    fn settle(&mut self) -> io::Result<()> {
        self.end = None;
        let waiting = std::mem::take(&mut self.waiting);
        self.file.write_all(&waiting)
    }
}

impl Storage for Tail {
    type OpenOptions = ();

    fn open_with(path: impl AsRef<Path>, (): ()) -> io::Result<Self> {
        let file = <File as Storage>::open_with(path, ())?; // with the engine's own lock on it
        Ok(Self { file, waiting: Vec::new(), end: None })
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len() + self.waiting.len() as u64)
    }

    fn truncate_to(&mut self, size: u64) -> io::Result<()> {
        self.settle()?;
        self.file.set_len(size)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.settle()?;
        self.file.sync_all()
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.settle()?;
        self.file.read(buffer)
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.end.is_none() {
            return self.file.write(bytes);
        }
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.settle()
    }
}

impl Seek for Tail {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if to == SeekFrom::End(0) {
            let end = match self.end {
                Some(end) => end,
                None => self.file.seek(to)?,
            };
            self.end = Some(end);
            return Ok(end + self.waiting.len() as u64);
        }
        self.settle()?;
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Vote, Voter};
    use crate::malachite::engine::wal::WalCodec;
    use crate::malachite::metrics::{Metrics, SharedRegistry};
    use crate::malachite::spawn::{spawn_node_actor, spawn_wal_actor};
    use crate::malachite::{NilOrVal, Round, SignedMessage, VoteType};
    use palisade_types::ids::{BlockId, Ed25519Signature, OperatorId};
    use palisade_types::units::Height;
    use ractor::call;

    fn level(height: u64) -> Level {
        Level(Height::new(height))
    }

    fn vote(height: u64, round: u32) -> Input<Palisade> {
        let message = Vote {
            kind: VoteType::Precommit,
            height: level(height),
            round: Round::new(round),
            value: NilOrVal::Val(BlockId::new([7; 32])),
            address: Voter(OperatorId::new([2; 20])),
        };
        Input::Vote(SignedMessage::new(message, Ed25519Signature::new([9; 64])))
    }

    /// Who runs a log: whatever fails safely stops it.
    async fn node() -> NodeRef {
        spawn_node_actor(Metrics::register(&SharedRegistry::new(Default::default(), None))).await.unwrap().0
    }

    async fn close(log: WalRef<Palisade>, path: &Path) {
        log.stop_and_wait(None, None).await.unwrap();
        while File::open(path).unwrap().try_lock().is_err() {
            tokio::task::yield_now().await; // the thread lets go of it
        }
    }

    async fn begin(log: &WalRef<Palisade>, height: u64) -> Vec<String> {
        let entries = call!(log, Msg::StartedHeight, level(height)).unwrap().unwrap();
        entries.into_iter().map(|entry| format!("{:?}", entry.unwrap())).collect()
    }

    async fn append(log: &WalRef<Palisade>, height: u64, round: u32) {
        call!(log, Msg::Append, level(height), vote(height, round)).unwrap().unwrap();
    }

    async fn flush(log: &WalRef<Palisade>) {
        call!(log, Msg::Flush).unwrap().unwrap();
    }

    fn votes(height: u64, rounds: impl IntoIterator<Item = u32>) -> Vec<String> {
        rounds.into_iter().map(|round| format!("{:?}", vote(height, round))).collect()
    }

    #[tokio::test]
    async fn what_was_flushed_is_in_the_file_and_is_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, node) = (dir.path().join("new").join("engine.wal"), node().await);
        let log = Journal::spawn(&path, node.clone()).await.unwrap();
        assert!(begin(&log, 5).await.is_empty());
        let empty = std::fs::metadata(&path).unwrap().len();
        flush(&log).await;
        for round in 0..3 {
            append(&log, 5, round).await;
        }
        append(&log, 4, 9).await; // of another height
        assert_eq!(std::fs::metadata(&path).unwrap().len(), empty, "what nobody asked for waits");
        flush(&log).await;
        // A copy of the file is what a crash leaves.
        let crashed = dir.path().join("crashed.wal");
        std::fs::copy(&path, &crashed).unwrap();
        append(&log, 5, 3).await;
        close(log, &path).await;
        let log = Journal::spawn(&crashed, node.clone()).await.unwrap();
        assert_eq!(begin(&log, 5).await, votes(5, 0..3));
        assert!(begin(&log, 5).await.is_empty(), "once");
        append(&log, 5, 7).await;
        flush(&log).await;
        close(log, &crashed).await;
        let log = Journal::spawn(&crashed, node.clone()).await.unwrap();
        assert_eq!(begin(&log, 5).await, votes(5, [0, 1, 2, 7]));
        close(log, &crashed).await;
        let log = Journal::spawn(&path, node.clone()).await.unwrap();
        assert_eq!(begin(&log, 5).await, votes(5, 0..4), "an orderly end loses nothing");
        assert!(begin(&log, 6).await.is_empty());
        append(&log, 6, 1).await;
        flush(&log).await;
        assert!(begin(&log, 7).await.is_empty(), "a height begins without the one before");
        close(log, &path).await;
        let log = Journal::spawn(&path, node).await.unwrap();
        assert!(begin(&log, 7).await.is_empty());
    }

    #[tokio::test]
    async fn the_engines_own_log_reads_what_this_one_writes_and_the_other_way_round() {
        fn is_codec<C: WalCodec<Palisade>>(codec: C) -> C {
            codec
        }
        let dir = tempfile::tempdir().unwrap();
        let (path, node) = (dir.path().join("engine.wal"), node().await);
        let registry = SharedRegistry::new(Default::default(), None);
        let theirs =
            async || spawn_wal_actor(&Palisade, is_codec(WireCodec), &path, &registry, node.clone()).await.unwrap();
        let log = Journal::spawn(&path, node.clone()).await.unwrap();
        begin(&log, 5).await;
        append(&log, 5, 0).await;
        flush(&log).await;
        close(log, &path).await;
        let log = theirs().await;
        assert_eq!(begin(&log, 5).await, votes(5, [0]));
        append(&log, 5, 1).await;
        flush(&log).await;
        close(log, &path).await;
        let log = Journal::spawn(&path, node.clone()).await.unwrap();
        assert_eq!(begin(&log, 5).await, votes(5, [0, 1]));
    }

    #[test]
    fn r32_what_waits_for_a_flush_is_bounded() {
        let (jobs, given) = mpsc::channel();
        let mut waiting =
            Waiting { height: None, entries: Vec::new(), bytes: 0, jobs, given: 0, synced: Arc::default() };
        let mut written = 0;
        for round in 0..20_000 {
            waiting.append(vote(5, round)).unwrap();
            assert!(waiting.bytes <= MAX_WAITING);
            while let Ok((number, Job::Write(entries))) = given.try_recv() {
                assert_eq!(number, waiting.given);
                written += entries.len();
            }
        }
        assert!(written > 0 && written + waiting.entries.len() == 20_000, "{written} are written");
    }

    #[test]
    fn after_a_failure_nothing_is_promised_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.wal");
        let synced = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { log: Log::open(&path).unwrap(), failed: false, synced: synced.clone() };
        assert!(writer.synced(1, |_| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(writer.synced(2, |writer| writer.log.flush()).is_err(), "what is in the file is not known");
        assert_eq!(synced.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn a_flush_is_spared_only_when_everything_is_on_the_disk() {
        let (jobs, given) = mpsc::channel();
        let synced = Arc::new(AtomicU64::new(0));
        let mut waiting =
            Waiting { height: None, entries: Vec::new(), bytes: 0, jobs, given: 0, synced: synced.clone() };
        let mut is_given = |message: fn(WalReply<()>) -> Msg<Palisade>| {
            waiting.act(message(tokio::sync::oneshot::channel().0.into()));
            given.try_recv().is_ok()
        };
        assert!(!is_given(Msg::Flush), "a log that was just opened is on the disk");
        assert!(is_given(|reply| Msg::Reset(level(5), reply)));
        assert!(is_given(Msg::Flush), "the reset is not confirmed");
        synced.store(1, Ordering::Release);
        assert!(is_given(Msg::Flush), "nor is the flush after it");
        synced.store(3, Ordering::Release);
        assert!(!is_given(Msg::Flush));
        assert!(!is_given(|reply| Msg::Append(level(5), vote(5, 0), reply)));
        assert!(is_given(Msg::Flush));
    }

    #[test]
    fn a_log_that_is_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.wal");
        let first = Log::<Tail>::open(&path).unwrap();
        assert!(Log::<Tail>::open(&path).is_err());
        drop(first);
        Log::<Tail>::open(&path).unwrap();
    }
}
