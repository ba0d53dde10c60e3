//! Is the record of signatures whole (R15)?
//!
//! Three things are asked at each start. Was every key made into this store: its origin says so. Is this the store that
//! ran last here: its incarnation, a random id renewed at each start, equals the copy in a file outside every backed-up
//! directory. And does it hold as many records as were made: the file counts along, behind the store and without a sync,
//! so that a copy of a running store, put back before the next start, is found out too; only a power cut may leave the
//! file's count too low, never too high.
//!
//! Records that were imported say so themselves: what another store held may have been older than the keys' last signature.
//!
//! What is found broken stays so, over every later start: what happened before is never known.

use super::{OpenError, VOTE_PAUSE};
use crate::keys::random;
use palisade_storage::{Cause, Incarnation, SignatureStore, StoreError, Wait};
use palisade_types::ids::{ChainId, Hash};
use palisade_types::units::Height;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, absolute};
use std::time::Duration;

/// What the records are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// They hold every signature these keys ever made.
    Unbroken,
    /// Since a start in the past, or this one, they may not. Health shows what is waited for.
    Waiting(Wait),
}

impl History {
    /// Whether a block at `height` in an epoch whose start anchor is Ethereum block `epoch_start` may be attested.
    #[must_use]
    pub fn allows(&self, chain: &ChainId, height: Height, epoch_start: u64) -> bool {
        match self {
            Self::Unbroken => true,
            Self::Waiting(wait) => {
                epoch_start > wait.wake_up
                    || wait.released.is_some_and(|(released, above)| released == *chain && height > above)
            }
        }
    }

    /// For how long after the start no vote is made: once, by the start that found the history broken and by those after it until the
    /// first vote. What is voted from then on is in the records, and they never go back to a lower height.
    #[must_use]
    pub const fn vote_pause(&self) -> Duration {
        match self {
            Self::Waiting(Wait { silent: true, .. }) => VOTE_PAUSE,
            Self::Waiting(_) | Self::Unbroken => Duration::ZERO,
        }
    }
}

/// The file outside: 32 bytes of incarnation, eight of the number of records.
pub(super) struct Copy {
    file: File,
}

impl Copy {
    /// Says that there are `records` now. Not synced, and in place: a process that is killed does not undo it.
    pub(super) fn count(&self, records: u64) -> io::Result<()> {
        self.file.write_all_at(&records.to_be_bytes(), 32)
    }

    fn read(path: &Path) -> io::Result<Option<(Hash, u64)>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file as a whole, durably.
    fn write(path: &Path, incarnation: &Hash, records: u64) -> io::Result<Self> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        let new = path.with_extension("new");
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(incarnation.as_bytes())?;
        file.write_all(&records.to_be_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self { file })
    }
}

/// Anything else than a whole copy is no copy.
fn parse(bytes: &[u8]) -> Option<(Hash, u64)> {
    let (incarnation, records) = bytes.split_first_chunk::<32>()?;
    Some((Hash::new(*incarnation), u64::from_be_bytes(records.try_into().ok()?)))
}

/// Judges the history at a start, makes the verdict durable, and only then renews the incarnation.
pub(super) fn settle(
    store: &mut SignatureStore,
    path: &Path,
    keys: &[Hash],
    ethereum_head: u64,
) -> Result<(History, Copy), OpenError> {
    let mut imported = Vec::new();
    for key in keys {
        if store.origin(key)?.is_none() {
            imported.push(*key);
        }
    }
    let copy = Copy::read(path).map_err(failed(path))?;
    let before = store.wait()?;
    let not_woken = before.filter(|wait| wait.wake_up == Wait::NOT_WOKEN).map(|wait| wait.cause);
    let found = broken(store, copy)?.or((!imported.is_empty()).then_some(Cause::Imported));
    let wait = match found.or(not_woken) {
        Some(cause) => {
            let woken = before.map(|before| before.wake_up).filter(|wake_up| *wake_up != Wait::NOT_WOKEN);
            let wake_up = woken.unwrap_or(0).max(ethereum_head);
            let wait = Wait { cause, wake_up, silent: true, released: None };
            store.set_wait(&wait, &imported)?;
            Some(wait)
        }
        None => before,
    };
    let copy = renew(store, path)?;
    Ok((wait.map_or(History::Unbroken, History::Waiting), copy))
}

/// What the incarnations and counts say. A store that never ran, with no copy of anything, is new and not broken; whether
/// its keys are is another question.
fn broken(store: &SignatureStore, copy: Option<(Hash, u64)>) -> Result<Option<Cause>, StoreError> {
    Ok(match (store.incarnation()?, copy) {
        (None, None) if store.records() == 0 => None,
        (Some(ours), Some((copy, records))) if copy == ours.current || Some(copy) == ours.next => {
            (records > store.records()).then_some(Cause::Truncated)
        }
        _ => Some(Cause::Restored),
    })
}

/// Gives the store a new incarnation, in three writes of which each may be the last: the store expects both ids while the
/// copy may hold either.
pub(super) fn renew(store: &mut SignatureStore, path: &Path) -> Result<Copy, OpenError> {
    let next = Hash::new(*random());
    let current = store.incarnation()?.map_or(next, |ours| expected(&ours, path));
    store.set_incarnation(&Incarnation { current, next: Some(next) })?;
    let copy = Copy::write(path, &next, store.records()).map_err(failed(path))?;
    store.set_incarnation(&Incarnation { current: next, next: None })?;
    Ok(copy)
}

/// Which of two ids the copy holds, so that a second crash in a row still leaves one that is known.
fn expected(ours: &Incarnation, path: &Path) -> Hash {
    match (Copy::read(path), ours.next) {
        (Ok(Some((copy, _))), Some(next)) if copy == next => next,
        _ => ours.current,
    }
}

/// Refuses a copy that lies where it would be backed up with the records.
pub(super) fn check_outside(dir: &Path, incarnation: &Path) -> Result<(), OpenError> {
    let (inner, outer) = (absolute(incarnation), absolute(dir));
    match (inner, outer) {
        (Ok(inner), Ok(outer)) if !inner.starts_with(&outer) => Ok(()),
        (Ok(_), Ok(_)) => Err(OpenError::Inside { path: incarnation.to_owned() }),
        (Err(source), _) | (_, Err(source)) => Err(failed(incarnation)(source)),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Incarnation { path: path.to_owned(), source }
}
