//! The guard's own database: every digest ever signed, and what tells whether the record is whole (R15). Only the node's
//! signer opens it. Each write is on the disk when it returns, because a signature may leave right after.
//!
//! There is no plain delete of attestations here: a record that is gone is a signature that could be contradicted. Old ones go
//! only below a floor, under which every place counts as one where something was signed.

use crate::error::StoreError;
use crate::files::{Database, failed};
use crate::schema::{BALLOT_HEIGHTS, GUARD_VERSION};
use palisade_types::attestation::UNNAMED;
use palisade_types::canonical::{Blob, Canonical, Malformed, Reader};
use palisade_types::ids::{ChainId, Digest, Domain, Hash};
use palisade_types::randomness::Commitment;
use palisade_types::units::Height;
use rocksdb::{DB, Direction, IteratorMode, WriteBatch};
use std::collections::BTreeMap;
use std::path::Path;

/// Where at most one digest is ever signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A slot of a domain.
    Slot {
        /// The domain; it binds the chain id (R14).
        domain: Domain,
        /// The slot.
        slot: u64,
    },
    /// A ballot of the engine (R18).
    Ballot {
        /// The network.
        chain: ChainId,
        /// Its height.
        height: Height,
        /// Its round.
        round: u32,
        /// Its step, as the ballot encodes it.
        step: u8,
    },
}

/// What was signed there. It holds for every key of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where.
    pub place: Place,
    /// What.
    pub digest: Digest,
}

/// The id of one run of the store, renewed at each start (R15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// This run's.
    pub current: Hash,
    /// The one it is being changed to, while the copy outside may hold either.
    pub next: Option<Hash>,
}

/// Where a key comes from (R15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made into this store: every signature it ever made is recorded here.
    Born,
    /// It was found beside the store: somebody may have signed with it elsewhere.
    Imported,
}

/// Why the history of a store is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// A key was not made into this store.
    #[error("a key was not made into this store")]
    Imported,
    /// The store is not the one that ran last: a backup was restored, or the copy outside is gone.
    #[error("the store is not the one that ran last here")]
    Restored,
    /// The store holds fewer records than were made.
    #[error("the store holds fewer records than were made")]
    Truncated,
}

/// Since when, and until what, a guard without unbroken history waits (R15). It is kept for ever: what happened before
/// this store began is never known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What was found.
    pub cause: Cause,
    /// The newest Ethereum block that was seen at the start which found it. Epochs that start above it may be attested.
    pub wake_up: u64,
    /// Whether the pause before the first ballot is still to be kept.
    pub silent: bool,
    /// A person said: in this network nothing above this height was signed by these keys.
    pub released: Option<(ChainId, Height)>,
}

impl Wait {
    /// Stands for a wake-up that is not known yet: the next start, which asks Ethereum, puts its newest block in its place.
    pub const NOT_WOKEN: u64 = u64::MAX;
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Records that are new.
    pub added: u64,
    /// Places of which the two stores say different things: the keys have equivocated there, or a record is wrong.
    pub contradicting: u64,
}

/// The guard's database.
pub struct SignatureStore {
    database: Database,
    records: u64,
}

impl SignatureStore {
    /// Opens the database, or makes an empty one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when another signer has it open; [`StoreError::NewerSchema`], [`StoreError::Corrupt`] and
    /// [`StoreError::Disk`] as for [`crate::Store::open`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let database = Database::open(dir, &["default"], WRITE_BUFFER, CACHE)?;
        let mut store = Self { database, records: 0 };
        match store.read::<u32>(&Key::Schema, "schema")? {
            None => store.put(&Key::Schema, &GUARD_VERSION, "naming the store")?,
            Some(found) if found > GUARD_VERSION => {
                return Err(StoreError::NewerSchema { found, release: String::new() });
            }
            Some(_) => (),
        }
        store.records = store.read(&Key::Count, "the number of records")?.unwrap_or(0);
        Ok(store)
    }

    /// Makes a record durable. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Recorded`] when the place holds another digest; otherwise the disk failed, and it is not known
    /// whether the record is there: sign nothing more.
    pub fn remember(&mut self, record: &Record) -> Result<(), StoreError> {
        match self.find(&record.place)? {
            Some(digest) if digest == record.digest => return Ok(()),
            Some(_) => return Err(StoreError::Recorded),
            None => (),
        }
        let records = self.records + 1;
        let mut batch = WriteBatch::default();
        if let Place::Ballot { chain, height, .. } = record.place {
            forget_ballots(&mut batch, chain, height);
        }
        batch.put(Key::Record(record.place).bytes(), record.digest.to_bytes());
        batch.put(Key::Count.bytes(), records.to_bytes());
        self.write(batch, "recording a signature")?;
        self.records = records;
        Ok(())
    }

    /// What was signed in a place; [`UNNAMED`] where that is not known any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn find(&self, place: &Place) -> Result<Option<Digest>, StoreError> {
        let found = self.read(&Key::Record(*place), "a record")?;
        match place {
            Place::Slot { domain, slot } if found.is_none() => {
                Ok((self.floor(domain)? >= Some(*slot)).then_some(UNNAMED))
            }
            _ => Ok(found),
        }
    }

    /// The slot up to which everything counts as signed in a domain, whether or not it is recorded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn floor(&self, domain: &Domain) -> Result<Option<u64>, StoreError> {
        self.read(&Key::Floor(*domain), "a floor")
    }

    /// Every record that is kept: slots by domain and slot, then ballots by network, height, round and step.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn all(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for entry in self.db().iterator(IteratorMode::From(&[SLOTS], Direction::Forward)) {
            let (key, value) = entry.map_err(failed("reading records"))?;
            let Some(place) = Place::of_key(&key).map_err(StoreError::corrupt("a record's key"))? else { continue };
            records
                .push(Record { place, digest: Digest::from_bytes(&value).map_err(StoreError::corrupt("a record"))? });
        }
        Ok(records)
    }

    /// Merges records of another store of the same keys. What is signed stays signed: a place of which the two say different things
    /// becomes [`UNNAMED`], so that neither is signed again. The floors only rise. The caller has made the guard wait before
    /// (R15): a merge that breaks off half-way is done again.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn merge(&mut self, records: &[Record], floors: &[(Domain, u64)]) -> Result<Merged, StoreError> {
        let mut merged = Merged::default();
        for part in records.chunks(MERGED_AT_ONCE) {
            let (mut batch, mut count, mut new) = (WriteBatch::default(), self.records, BTreeMap::new());
            for Record { place, digest } in part {
                let key = Key::Record(*place).bytes();
                let known = match new.get(&key) {
                    Some(known) => Some(*known),
                    None => self.read(&Key::Record(*place), "a record")?,
                };
                let put = match known {
                    Some(known) if known == *digest || known == UNNAMED => continue,
                    Some(_) => {
                        merged.contradicting += 1;
                        UNNAMED
                    }
                    None => {
                        merged.added += 1;
                        count += 1;
                        *digest
                    }
                };
                batch.put(&key, put.to_bytes());
                new.insert(key, put);
            }
            batch.put(Key::Count.bytes(), count.to_bytes());
            self.write(batch, "merging records")?;
            self.records = count;
        }
        for (domain, floor) in floors {
            if self.floor(domain)? < Some(*floor) {
                self.put(&Key::Floor(*domain), floor, "raising a floor")?;
            }
        }
        Ok(merged)
    }

    /// Forgets what was signed below a slot of a domain, and keeps that something was: the floor rises to it, at most to the
    /// newest record, which stays. Returns the floor; `None` when nothing is recorded there.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn prune(&mut self, domain: &Domain, below: u64) -> Result<Option<u64>, StoreError> {
        let Some((newest, _)) = self.newest(domain)? else { return self.floor(domain) };
        let floor = Some(below.min(newest)).max(self.floor(domain)?);
        if let Some(slot) = floor {
            let at = |slot| Key::Record(Place::Slot { domain: *domain, slot }).bytes();
            let mut batch = WriteBatch::default();
            batch.put(Key::Floor(*domain).bytes(), slot.to_bytes());
            batch.delete_range(at(0), at(slot.min(newest)));
            self.write(batch, "pruning records")?;
        }
        Ok(floor)
    }

    /// The highest slot signed in a domain, and what was signed there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn newest(&self, domain: &Domain) -> Result<Option<(u64, Digest)>, StoreError> {
        let last = Key::Record(Place::Slot { domain: *domain, slot: u64::MAX }).bytes();
        Ok(self.last_under(&last, 1 + 32)?.map(|(slot, digest)| (u64::from_be_bytes(slot), digest)))
    }

    /// The highest height of which a ballot is signed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn newest_ballot(&self, chain: &ChainId) -> Result<Option<(Height, Digest)>, StoreError> {
        let last = Place::Ballot { chain: *chain, height: Height::new(u64::MAX), round: u32::MAX, step: u8::MAX };
        let found = self.last_under(&Key::Record(last).bytes(), 1 + 32)?;
        Ok(found.map(|(height, digest)| (Height::new(u64::from_be_bytes(height)), digest)))
    }

    /// How many records were ever made.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The id of the last run; `None` when there was none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn incarnation(&self) -> Result<Option<Incarnation>, StoreError> {
        self.read(&Key::Incarnation, "the incarnation")
    }

    /// Replaces it.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn set_incarnation(&mut self, incarnation: &Incarnation) -> Result<(), StoreError> {
        self.put(&Key::Incarnation, incarnation, "renewing the incarnation")
    }

    /// Where a key comes from; `None` when the store has never met it. `key` is a hash that names the key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn origin(&self, key: &Hash) -> Result<Option<Origin>, StoreError> {
        self.read(&Key::Origin(*key), "a key's origin")
    }

    /// Records keys as made into this store: their first row. Before their files are written.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn bear(&mut self, keys: &[Hash]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for key in keys {
            batch.put(Key::Origin(*key).bytes(), Origin::Born.to_bytes());
        }
        self.write(batch, "recording the birth of keys")
    }

    /// Why the guard waits; `None` while its history is unbroken.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn wait(&self) -> Result<Option<Wait>, StoreError> {
        self.read(&Key::Wait, "the wait")
    }

    /// Makes the guard wait, in one write with the keys that were found beside the store.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn set_wait(&mut self, wait: &Wait, imported: &[Hash]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for key in imported {
            batch.put(Key::Origin(*key).bytes(), Origin::Imported.to_bytes());
        }
        batch.put(Key::Wait.bytes(), wait.to_bytes());
        self.write(batch, "recording the wait")
    }

    /// Why signing is stopped for a chain id (R16).
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn stopped(&self, chain: &ChainId) -> Result<Option<String>, StoreError> {
        let reason = self.read::<Blob<MAX_REASON>>(&Key::Stopped(*chain), "the reason of a stop")?;
        Ok(reason.map(|reason| String::from_utf8_lossy(&reason).into_owned()))
    }

    /// Stops signing for a chain id until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn stop(&mut self, chain: &ChainId, reason: &str) -> Result<(), StoreError> {
        let reason = reason.as_bytes()[..reason.len().min(MAX_REASON)].to_vec();
        let reason = Blob::<MAX_REASON>::try_from(reason).expect("it was cut to the bound");
        self.put(&Key::Stopped(*chain), &reason, "recording a stop")
    }

    /// Ends a stop. Only a person may ask for it (R16).
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn resume(&mut self, chain: &ChainId) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.delete(Key::Stopped(*chain).bytes());
        self.write(batch, "ending a stop")
    }

    /// The nonces promised under a name, which is of one key in one domain, by first slot (R19).
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Disk`].
    pub fn commitments(&self, domain: &Domain) -> Result<Vec<Commitment>, StoreError> {
        let start = Key::Commitment(*domain, Height::new(0)).bytes();
        let mut found = Vec::new();
        for entry in self.db().iterator(IteratorMode::From(&start, Direction::Forward)) {
            let (key, value) = entry.map_err(failed("reading commitments"))?;
            if key.get(..1 + 32) != start.get(..1 + 32) {
                break;
            }
            found.push(Commitment::from_bytes(&value).map_err(StoreError::corrupt("a commitment"))?);
        }
        Ok(found)
    }

    /// Keeps a promise of nonces; the leaves follow from the key.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn keep_commitment(&mut self, domain: &Domain, commitment: &Commitment) -> Result<(), StoreError> {
        self.put(&Key::Commitment(*domain, commitment.first), commitment, "keeping a commitment")
    }

    /// The last record whose key shares the first `shared` bytes with `last`, as the eight bytes after them and the digest.
    fn last_under(&self, last: &[u8], shared: usize) -> Result<Option<([u8; 8], Digest)>, StoreError> {
        let mut below = self.db().iterator(IteratorMode::From(last, Direction::Reverse));
        let Some(entry) = below.next() else { return Ok(None) };
        let (key, value) = entry.map_err(failed("reading records"))?;
        if key.get(..shared) != last.get(..shared) {
            return Ok(None);
        }
        let mut rest = Reader::new(&key[shared..]);
        let place = <[u8; 8]>::read(&mut rest).map_err(StoreError::corrupt("a record's key"))?;
        let digest = Digest::from_bytes(&value).map_err(StoreError::corrupt("a record"))?;
        Ok(Some((place, digest)))
    }

    fn read<T: Canonical>(&self, key: &Key, what: &'static str) -> Result<Option<T>, StoreError> {
        let bytes = self.db().get(key.bytes()).map_err(failed("reading"))?;
        bytes.map(|bytes| T::from_bytes(&bytes).map_err(StoreError::corrupt(what))).transpose()
    }

    fn put<T: Canonical>(&mut self, key: &Key, value: &T, doing: &'static str) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put(key.bytes(), value.to_bytes());
        self.write(batch, doing)
    }

    fn write(&mut self, batch: WriteBatch, doing: &'static str) -> Result<(), StoreError> {
        self.database.write(&batch, doing)
    }

    const fn db(&self) -> &DB {
        self.database.db()
    }
}

impl std::fmt::Debug for SignatureStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignatureStore").field("records", &self.records).finish_non_exhaustive()
    }
}

/// Ballots far below a new height are never asked for again (R18). Every so many heights, so that the range marks in the
/// database stay few.
fn forget_ballots(batch: &mut WriteBatch, chain: ChainId, height: Height) {
    let below = height.get().saturating_sub(BALLOT_HEIGHTS);
    if below > 0 && height.get().is_multiple_of(BALLOT_HEIGHTS) {
        let first =
            |height| Key::Record(Place::Ballot { chain, height: Height::new(height), round: 0, step: 0 }).bytes();
        batch.delete_range(first(0), first(below));
    }
}

/// The rows of the table in [`crate::schema`].
enum Key {
    Schema,
    Incarnation,
    Count,
    Wait,
    Origin(Hash),
    Stopped(ChainId),
    Commitment(Domain, Height),
    Record(Place),
    Floor(Domain),
}

/// The first byte of the keys of records in slots, and of ballots.
const SLOTS: u8 = 7;
const BALLOTS: u8 = 8;
/// How many records are merged in one write.
const MERGED_AT_ONCE: usize = 4_096;

impl Place {
    /// The place of a record's key; `None` for every other key.
    fn of_key(key: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((kind, rest)) = key.split_first() else { return Ok(None) };
        let mut rest = Reader::new(rest);
        Ok(match *kind {
            SLOTS => Some(Self::Slot { domain: Canonical::read(&mut rest)?, slot: Canonical::read(&mut rest)? }),
            BALLOTS => Some(Self::Ballot {
                chain: Canonical::read(&mut rest)?,
                height: Canonical::read(&mut rest)?,
                round: Canonical::read(&mut rest)?,
                step: Canonical::read(&mut rest)?,
            }),
            _ => None,
        })
    }
}

impl Key {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Schema => vec![0],
            Self::Incarnation => vec![1],
            Self::Count => vec![2],
            Self::Wait => vec![3],
            Self::Origin(key) => [&[4], key.as_bytes().as_slice()].concat(),
            Self::Stopped(chain) => [&[5], chain.as_bytes().as_slice()].concat(),
            Self::Commitment(domain, first) => {
                [&[6], domain.as_bytes().as_slice(), &first.get().to_be_bytes()].concat()
            }
            Self::Record(Place::Slot { domain, slot }) => {
                [&[SLOTS], domain.as_bytes().as_slice(), &slot.to_be_bytes()].concat()
            }
            Self::Floor(domain) => [&[9], domain.as_bytes().as_slice()].concat(),
            Self::Record(Place::Ballot { chain, height, round, step }) => {
                [&[BALLOTS], chain.as_bytes().as_slice(), &height.get().to_be_bytes(), &round.to_be_bytes(), &[*step]]
                    .concat()
            }
        }
    }
}

impl Canonical for Incarnation {
    fn write(&self, out: &mut Vec<u8>) {
        self.current.write(out);
        self.next.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { current: Canonical::read(input)?, next: Canonical::read(input)? })
    }
}

impl Canonical for Origin {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Born => 0,
            Self::Imported => 1,
        });
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Born),
            1 => Ok(Self::Imported),
            tag => Err(Malformed::UnknownTag { of: "Origin", tag }),
        }
    }
}

impl Canonical for Cause {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Imported => 0,
            Self::Restored => 1,
            Self::Truncated => 2,
        });
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Ok(Self::Imported),
            1 => Ok(Self::Restored),
            2 => Ok(Self::Truncated),
            tag => Err(Malformed::UnknownTag { of: "Cause", tag }),
        }
    }
}

impl Canonical for Wait {
    fn write(&self, out: &mut Vec<u8>) {
        self.cause.write(out);
        self.wake_up.write(out);
        self.silent.write(out);
        self.released.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            cause: Canonical::read(input)?,
            wake_up: Canonical::read(input)?,
            silent: Canonical::read(input)?,
            released: Canonical::read(input)?,
        })
    }
}

/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 256;
/// What the write buffers may hold, in bytes: a record is some eighty.
const WRITE_BUFFER: usize = 4 << 20;
/// The block cache, in bytes.
const CACHE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOMAIN: Domain = Domain::new([1; 32]);
    const CHAIN: ChainId = ChainId::new([2; 32]);

    fn slot(slot: u64) -> Place {
        Place::Slot { domain: DOMAIN, slot }
    }

    fn ballot(height: u64) -> Place {
        Place::Ballot { chain: CHAIN, height: Height::new(height), round: 0, step: 1 }
    }

    fn record(place: Place, digest: u8) -> Record {
        Record { place, digest: Digest::new([digest; 32]) }
    }

    #[test]
    fn r18_a_place_holds_one_digest_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        for place in [slot(7), ballot(7)] {
            assert_eq!(store.find(&place).unwrap(), None);
            store.remember(&record(place, 1)).unwrap();
            store.remember(&record(place, 1)).unwrap();
            assert!(matches!(store.remember(&record(place, 2)), Err(StoreError::Recorded)));
        }
        drop(store);
        let mut store = SignatureStore::open(dir.path()).unwrap();
        assert_eq!(store.records(), 2);
        for place in [slot(7), ballot(7)] {
            assert_eq!(store.find(&place).unwrap(), Some(Digest::new([1; 32])));
            assert!(matches!(store.remember(&record(place, 2)), Err(StoreError::Recorded)));
        }
    }

    #[test]
    fn a_second_opening_of_one_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = SignatureStore::open(dir.path()).unwrap();
        assert!(matches!(SignatureStore::open(dir.path()), Err(StoreError::Locked { .. })));
        drop(first);
        SignatureStore::open(dir.path()).unwrap();
    }

    #[test]
    fn r15_a_merge_only_raises() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        let ours = [record(slot(3), 1), record(slot(5), 1), record(ballot(7), 1)];
        ours.iter().for_each(|ours| store.remember(ours).unwrap());
        let theirs =
            [record(slot(3), 1), record(slot(5), 2), record(slot(9), 3), record(slot(9), 4), record(ballot(8), 5)];
        assert_eq!(store.merge(&theirs, &[(DOMAIN, 2)]).unwrap(), Merged { added: 2, contradicting: 2 });
        let again = store.merge(&theirs, &[(DOMAIN, 1)]).unwrap();
        assert_eq!(again, Merged::default(), "the same again changes nothing");
        drop(store);
        let mut store = SignatureStore::open(dir.path()).unwrap();
        let find = |store: &SignatureStore, at| store.find(&slot(at)).unwrap();
        let expected =
            [(2, Some(UNNAMED)), (3, Some(Digest::new([1; 32]))), (4, None), (5, Some(UNNAMED)), (9, Some(UNNAMED))];
        for (at, digest) in expected {
            assert_eq!(find(&store, at), digest, "slot {at}");
        }
        assert_eq!((store.records(), store.floor(&DOMAIN).unwrap()), (5, Some(2)));
        for at in [1, 2, 5, 9] {
            assert!(matches!(store.remember(&record(slot(at), 1)), Err(StoreError::Recorded)));
        }
        let all = store.all().unwrap();
        let places: Vec<Place> = all.iter().map(|record| record.place).collect();
        assert_eq!(places, [slot(3), slot(5), slot(9), ballot(7), ballot(8)]);
    }

    #[test]
    fn what_is_pruned_is_not_signed_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        assert_eq!(store.prune(&DOMAIN, 5).unwrap(), None);
        let other = Place::Slot { domain: Domain::new([2; 32]), slot: 4 };
        store.remember(&record(other, 9)).unwrap();
        (2..=8).for_each(|at| store.remember(&record(slot(at), 1)).unwrap());
        assert_eq!(store.prune(&DOMAIN, 6).unwrap(), Some(6));
        assert_eq!(store.prune(&DOMAIN, 4).unwrap(), Some(6), "a floor never falls");
        for at in 0..=5 {
            assert_eq!(store.find(&slot(at)).unwrap(), Some(UNNAMED));
            assert!(matches!(store.remember(&record(slot(at), 1)), Err(StoreError::Recorded)));
        }
        for at in 6..=8 {
            assert_eq!(store.find(&slot(at)).unwrap(), Some(Digest::new([1; 32])));
        }
        assert_eq!((store.find(&slot(9)).unwrap(), store.find(&other).unwrap()), (None, Some(Digest::new([9; 32]))));
        assert_eq!(store.prune(&DOMAIN, 100).unwrap(), Some(8), "the newest stays: what comes next builds on it");
        assert_eq!(store.newest(&DOMAIN).unwrap(), Some((8, Digest::new([1; 32]))));
        assert_eq!(store.records(), 8);
    }

    #[test]
    fn the_newest_is_of_its_own_domain() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        assert_eq!(store.newest(&DOMAIN).unwrap(), None);
        let (below, above) = (Domain::new([0; 32]), Domain::new([3; 32]));
        for domain in [below, above] {
            store.remember(&record(Place::Slot { domain, slot: 99 }, 9)).unwrap();
        }
        store.remember(&record(ballot(300), 3)).unwrap();
        assert_eq!(store.newest(&DOMAIN).unwrap(), None);
        for at in [5, 256, 7] {
            store.remember(&record(slot(at), at.to_be_bytes()[7])).unwrap();
        }
        assert_eq!(store.newest(&DOMAIN).unwrap(), Some((256, Digest::new([0; 32]))));
        assert_eq!(store.newest(&above).unwrap(), Some((99, Digest::new([9; 32]))));
        assert_eq!(store.newest_ballot(&CHAIN).unwrap(), Some((Height::new(300), Digest::new([3; 32]))));
        assert_eq!(store.newest_ballot(&ChainId::new([1; 32])).unwrap(), None);
        assert_eq!(store.newest_ballot(&ChainId::new([3; 32])).unwrap(), None);
    }

    #[test]
    fn r18_ballots_are_kept_for_some_heights_and_attestations_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        for height in [1, BALLOT_HEIGHTS - 1, BALLOT_HEIGHTS, BALLOT_HEIGHTS + 1, 2 * BALLOT_HEIGHTS] {
            store.remember(&record(ballot(height), 1)).unwrap();
            store.remember(&record(slot(height), 1)).unwrap();
        }
        for (height, kept) in
            [(1, false), (BALLOT_HEIGHTS - 1, false), (BALLOT_HEIGHTS, true), (2 * BALLOT_HEIGHTS, true)]
        {
            assert_eq!(store.find(&ballot(height)).unwrap().is_some(), kept, "ballot of {height}");
            assert!(store.find(&slot(height)).unwrap().is_some());
        }
    }

    #[test]
    fn everything_beside_the_records_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        let (key, other) = (Hash::new([4; 32]), Hash::new([5; 32]));
        let wait = Wait { cause: Cause::Restored, wake_up: 9, silent: true, released: Some((CHAIN, Height::new(8))) };
        let incarnation = Incarnation { current: key, next: Some(other) };
        let commitment = |first| Commitment { first: Height::new(first), count: 3, root: key };
        store.bear(&[key]).unwrap();
        store.set_wait(&wait, &[other]).unwrap();
        store.set_incarnation(&incarnation).unwrap();
        store.stop(&CHAIN, &"é".repeat(200)).unwrap();
        for first in [300, 5] {
            store.keep_commitment(&DOMAIN, &commitment(first)).unwrap();
        }
        store.keep_commitment(&Domain::new([2; 32]), &commitment(1)).unwrap();
        drop(store);
        let mut store = SignatureStore::open(dir.path()).unwrap();
        assert_eq!(store.origin(&key).unwrap(), Some(Origin::Born));
        assert_eq!(store.origin(&other).unwrap(), Some(Origin::Imported));
        assert_eq!(store.origin(&Hash::ZERO).unwrap(), None);
        assert_eq!(store.wait().unwrap(), Some(wait));
        assert_eq!(store.incarnation().unwrap(), Some(incarnation));
        assert_eq!(store.commitments(&DOMAIN).unwrap(), [commitment(5), commitment(300)]);
        assert!(store.stopped(&CHAIN).unwrap().is_some());
        assert_eq!(store.stopped(&ChainId::ZERO).unwrap(), None);
        store.resume(&CHAIN).unwrap();
        assert_eq!(store.stopped(&CHAIN).unwrap(), None);
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SignatureStore::open(dir.path()).unwrap();
        store.put(&Key::Schema, &(GUARD_VERSION + 1), "test").unwrap();
        drop(store);
        assert!(
            matches!(SignatureStore::open(dir.path()), Err(StoreError::NewerSchema { found, .. }) if found == GUARD_VERSION + 1)
        );
    }

    /// The log that holds what was written since the database was opened.
    fn log(dir: &Path) -> std::path::PathBuf {
        let files = std::fs::read_dir(dir.join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|name| name == "log"));
        logs.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap()
    }

    #[test]
    fn r15_a_torn_log_loses_its_end_and_says_how_many_records_are_left() {
        const RECORDS: u64 = 8;
        for torn in [1, 7, 40, 200, 300] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = SignatureStore::open(dir.path()).unwrap();
            (0..RECORDS).for_each(|at| store.remember(&record(slot(at), 1)).unwrap());
            drop(store);
            let log = std::fs::File::options().write(true).open(log(dir.path())).unwrap();
            log.set_len(log.metadata().unwrap().len() - torn).unwrap();
            let store = SignatureStore::open(dir.path()).unwrap();
            assert!(store.records() < RECORDS, "the count tells that {torn} bytes are gone");
            for at in 0..RECORDS {
                assert_eq!(
                    store.find(&slot(at)).unwrap().is_some(),
                    at < store.records(),
                    "nothing is lost before the end"
                );
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_the_log_is_refused_and_never_skipped() {
        for part in 1..8 {
            let dir = tempfile::tempdir().unwrap();
            let mut store = SignatureStore::open(dir.path()).unwrap();
            (0..16).for_each(|at| store.remember(&record(slot(at), 1)).unwrap());
            drop(store);
            let log = log(dir.path());
            let mut bytes = std::fs::read(&log).unwrap();
            let at = bytes.len() * part / 10;
            bytes[at] ^= 4;
            std::fs::write(log, bytes).unwrap();
            if let Ok(store) = SignatureStore::open(dir.path()) {
                panic!("flipping a bit of byte {at} left {} of 16 records", store.records());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Whatever is asked in whatever order, with restarts in between: the first digest of a place stays.
        #[test]
        fn r18_the_first_digest_of_a_place_stays(
            steps in prop::collection::vec((0_u64..6, 0_u8..3, any::<bool>(), prop::bool::weighted(0.1)), 1..40),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut store = SignatureStore::open(dir.path()).unwrap();
            let mut signed = BTreeMap::new();
            for (at, digest, votes, restarts) in steps {
                if restarts {
                    drop(store);
                    store = SignatureStore::open(dir.path()).unwrap();
                }
                let place = if votes { ballot(at) } else { slot(at) };
                let allowed = *signed.entry((at, votes)).or_insert(digest) == digest;
                prop_assert_eq!(store.remember(&record(place, digest)).is_ok(), allowed);
            }
            prop_assert_eq!(store.records(), signed.len() as u64);
        }
    }
}
