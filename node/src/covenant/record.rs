//! What this member signed: one file, only ever appended to, each entry on the disk before its signatures leave.
//!
//! A member signs one unbonding transaction and one set of slashing transactions for a staking output. Signing is
//! deterministic, so the same again gives the same bytes and needs no entry; something else for the same output is refused while
//! the first stands, which is until a person releases it with the process stopped. Only so many expansions of one vault
//! are signed, because each is a way for its coins that the member agreed to.
//!
//! An entry is of fixed length and ends in a check that covers every entry before it. What a crash tore off at the end was
//! never answered and is cut; damage before the end is refused, never skipped. Restoring an old copy forgets entries, and the member
//! may then sign a second registration of an output. That is no fault anybody is slashed for, so there is no guard as before
//! the finality keys (R15).

use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::ids::{ChainId, Hash, OperatorId, SchnorrKey, VaultId};
use palisade_types::vault::VaultRegistration;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Seconds in which quotas are counted.
pub const HOUR: u64 = 3_600;

/// Why the record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another process has it open.
    #[error("{} is in use: another covenant process runs", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("{} has mode {mode:o} and must be closed to group and others", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is the record of another network or member, or no record.
    #[error("{} is not the record of this member in this network", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// An entry before the last is damaged.
    #[error("{} is damaged at byte {at}: restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the entry begins.
        at: u64,
    },
    /// The disk.
    #[error("cannot access {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What an entry says of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Signed for.
    Signed,
    /// A person gave it free again.
    Released,
}

/// One line of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    signed: Signed,
}

/// What is written down of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The staking output.
    pub vault: VaultId,
    /// What its registration says ([`essence`]).
    pub essence: Hash,
    /// Who is behind it.
    pub operator: OperatorId,
    /// The vault it expands.
    pub parent: Option<VaultId>,
    /// Whether it was signed before its coins were locked.
    pub early: bool,
    /// Seconds since 1970, by this machine.
    pub time: u64,
}

impl Signed {
    /// What is to be written of a registration of `vault`.
    #[must_use]
    pub fn of(vault: VaultId, registration: &VaultRegistration, time: u64) -> Self {
        let parent = registration.expansion.as_ref().map(|expansion| expansion.parent);
        let early = registration.inclusion.is_none() && parent.is_none();
        Self { vault, essence: essence(registration), operator: registration.operator, parent, early, time }
    }
}

/// How much was signed in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hourly {
    /// Vaults.
    pub vaults: usize,
    /// Of one operator.
    pub of_one: usize,
    /// Before their coins were locked.
    pub early: usize,
    /// Of one operator, before their coins were locked.
    pub early_of_one: usize,
}

/// What may not change between two registrations of one output: who is behind it, and every transaction. The
/// staker's signatures, the covenant's and the block it stands in may.
#[must_use]
pub fn essence(registration: &VaultRegistration) -> Hash {
    let mut bytes = b"PALISADE-COVENANT-ESSENCE-1".to_vec();
    registration.terms.write(&mut bytes);
    registration.operator.write(&mut bytes);
    registration.staker.write(&mut bytes);
    registration.providers.write(&mut bytes);
    registration.staking_time.write(&mut bytes);
    registration.staking.write(&mut bytes);
    registration.output.write(&mut bytes);
    registration.amount.write(&mut bytes);
    let parent = registration.expansion.as_ref().map(|expansion| (expansion.parent, expansion.funding.clone()));
    parent.write(&mut bytes);
    registration.unbonding.write(&mut bytes);
    for list in [&registration.slashings, &registration.unbonding_slashings] {
        u32::try_from(list.len()).expect("a bounded list").write(&mut bytes);
        list.iter().for_each(|slashing| slashing.transaction.write(&mut bytes));
    }
    Hash::new(palisade_crypto::hash::sha256_all(&[&bytes]))
}

/// The record, open and locked.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    file: File,
    /// Covers everything before the next entry.
    check: [u8; CHECK],
    standing: BTreeMap<VaultId, Signed>,
    /// How many standing ones expand a vault.
    expansions: BTreeMap<VaultId, usize>,
    /// What was signed in the last hour, oldest first.
    recent: VecDeque<Signed>,
    failed: bool,
}

impl Record {
    /// Opens the record in `dir`, or begins one; both closed to everybody else.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: the process does not start.
    pub fn open(dir: &Path, chain: &ChainId, member: &SchnorrKey) -> Result<Self, RecordError> {
        let path = dir.join(FILE);
        let disk = |source| RecordError::Disk { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk)?;
        let options = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = options.map_err(disk)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(disk(source)),
        }
        let metadata = file.metadata().map_err(disk)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(RecordError::Open { path, mode });
        }
        let title = title(chain, member);
        if metadata.len() < TITLE {
            // Shorter than its title: begun, and cut off by a crash before anything was signed.
            let mut begun = Vec::new();
            file.read_to_end(&mut begun).map_err(disk)?;
            if !title.starts_with(&begun) {
                return Err(RecordError::Foreign { path });
            }
            rewrite(&mut file, dir, &title).map_err(disk)?;
        }
        let mut record = Self {
            check: check(&[0; CHECK], &title),
            path: path.clone(),
            file,
            standing: BTreeMap::new(),
            expansions: BTreeMap::new(),
            recent: VecDeque::new(),
            failed: false,
        };
        record.load(&title)?;
        Ok(record)
    }

    /// Reads everything, and leaves the file at the place of the next entry.
    fn load(&mut self, title: &[u8]) -> Result<(), RecordError> {
        let path = self.path.clone();
        let disk = |source| RecordError::Disk { path: path.clone(), source };
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(disk)?;
        self.file.read_to_end(&mut bytes).map_err(disk)?;
        let entries = bytes.strip_prefix(title).ok_or_else(|| RecordError::Foreign { path: path.clone() })?;
        let mut whole = TITLE;
        let mut chunks = entries.chunks(ENTRY).peekable();
        while let Some(chunk) = chunks.next() {
            match self.parse(chunk) {
                Some((entry, check)) => {
                    self.check = check;
                    self.take(&entry);
                    whole += ENTRY as u64;
                }
                // The last one: a crash while it was written, before any signature left.
                None if chunks.peek().is_none() => {
                    tracing::warn!(path = %path.display(), "the last entry of the record was cut off by a crash");
                    self.file.set_len(whole).and_then(|()| self.file.sync_all()).map_err(disk)?;
                }
                None => return Err(RecordError::Damaged { path, at: whole }),
            }
        }
        self.file.seek(SeekFrom::Start(whole)).map_err(disk)?;
        Ok(())
    }

    fn parse(&self, chunk: &[u8]) -> Option<(Entry, [u8; CHECK])> {
        let (body, found) = chunk.split_at_checked(ENTRY - CHECK)?;
        let expected = check(&self.check, body);
        (found == expected).then_some(())?;
        Some((Entry::from_bytes(body).ok()?, expected))
    }

    fn take(&mut self, entry: &Entry) {
        let signed = entry.signed;
        let before = match entry.kind {
            Kind::Signed => {
                if let Some(parent) = signed.parent {
                    *self.expansions.entry(parent).or_default() += 1;
                }
                self.recent.push_back(signed);
                self.standing.insert(signed.vault, signed)
            }
            Kind::Released => self.standing.remove(&signed.vault),
        };
        if let Some(count) = before.and_then(|before| self.expansions.get_mut(&before.parent?)) {
            *count = count.saturating_sub(1);
        }
    }

    /// What was signed for this output and stands.
    #[must_use]
    pub fn standing(&self, vault: &VaultId) -> Option<Hash> {
        self.standing.get(vault).map(|signed| signed.essence)
    }

    /// How many expansions of a vault stand.
    #[must_use]
    pub fn expansions(&self, parent: &VaultId) -> usize {
        self.expansions.get(parent).copied().unwrap_or(0)
    }

    /// How many outputs were signed for and stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    /// Whether nothing was signed that stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    /// Whether a write failed: then it is not known what is on the disk.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.failed
    }

    /// What is new in the hour before `now`, in all and of one operator. A clock that went back counts what it made in
    /// the future.
    pub fn this_hour(&mut self, now: u64, operator: &OperatorId) -> Hourly {
        while self.recent.front().is_some_and(|signed| signed.time.saturating_add(HOUR) <= now) {
            self.recent.pop_front();
        }
        let mut hourly = Hourly::default();
        for signed in &self.recent {
            let (own, early) = (usize::from(signed.operator == *operator), usize::from(signed.early));
            hourly.vaults += 1;
            hourly.of_one += own;
            hourly.early += early;
            hourly.early_of_one += own * early;
        }
        hourly
    }

    /// Makes an entry durable. When this returns well, signatures may leave.
    ///
    /// # Errors
    ///
    /// The disk fails: nothing may be signed any more by this process.
    pub fn sign(&mut self, signed: Signed) -> Result<(), RecordError> {
        self.append(&Entry { kind: Kind::Signed, signed })
    }

    /// Gives an output free, so that another registration of it may be signed; false when nothing stands for it.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn release(&mut self, vault: &VaultId, time: u64) -> Result<bool, RecordError> {
        let Some(signed) = self.standing.get(vault).copied() else { return Ok(false) };
        self.append(&Entry { kind: Kind::Released, signed: Signed { time, ..signed } })?;
        Ok(true)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), RecordError> {
        let disk = |source| RecordError::Disk { path: self.path.clone(), source };
        if self.failed {
            return Err(disk(io::Error::other("an earlier write failed")));
        }
        let body = entry.to_bytes();
        let check = check(&self.check, &body);
        let written = self.file.write_all(&[&body[..], &check].concat()).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            self.failed = true;
            return Err(RecordError::Disk { path: self.path.clone(), source });
        }
        self.check = check;
        self.take(entry);
        Ok(())
    }
}

fn rewrite(file: &mut File, dir: &Path, title: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(title)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

fn title(chain: &ChainId, member: &SchnorrKey) -> Vec<u8> {
    [&MAGIC[..], chain.as_bytes(), member.as_bytes()].concat()
}

fn check(before: &[u8; CHECK], bytes: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::new().chain_update(before).chain_update(bytes).finalize();
    hash[..CHECK].try_into().expect("a part of 32 bytes")
}

impl Canonical for Entry {
    fn write(&self, out: &mut Vec<u8>) {
        let Signed { vault, essence, operator, parent, early, time } = self.signed;
        out.push(match self.kind {
            Kind::Signed => 0,
            Kind::Released => 1,
        });
        vault.write(out);
        essence.write(out);
        operator.write(out);
        parent.unwrap_or(NOBODY).write(out);
        early.write(out);
        time.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = match u8::read(input)? {
            0 => Kind::Signed,
            1 => Kind::Released,
            tag => return Err(Malformed::UnknownTag { of: "Entry", tag }),
        };
        let signed = Signed {
            vault: Canonical::read(input)?,
            essence: Canonical::read(input)?,
            operator: Canonical::read(input)?,
            parent: Some(VaultId::read(input)?).filter(|parent| *parent != NOBODY),
            early: Canonical::read(input)?,
            time: Canonical::read(input)?,
        };
        Ok(Self { kind, signed })
    }
}

/// In the place of a parent: an entry is of one length. No transaction has this id.
const NOBODY: VaultId = VaultId { txid: Hash::ZERO, output: 0 };
const FILE: &str = "signed";
const MAGIC: &[u8; 16] = b"PALISADE-COVEN-1";
const TITLE: u64 = 16 + 32 + 32;
const CHECK: usize = 8;
/// Tag, output, essence, operator, parent, early, time and check.
const ENTRY: usize = 1 + 36 + 32 + 20 + 36 + 1 + 8 + CHECK;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    const CHAIN: ChainId = ChainId::new([1; 32]);
    const MEMBER: SchnorrKey = SchnorrKey::new([2; 32]);
    const OPERATOR: OperatorId = OperatorId::new([3; 20]);

    fn vault(number: u8) -> VaultId {
        VaultId { txid: Hash::new([number; 32]), output: 1 }
    }

    fn signed(number: u8, parent: Option<u8>) -> Signed {
        let (essence, time) = (Hash::new([number; 32]), u64::from(number));
        let early = number == 2;
        Signed { vault: vault(number), essence, operator: OPERATOR, parent: parent.map(vault), early, time }
    }

    fn open(dir: &Path) -> Result<Record, RecordError> {
        Record::open(dir, &CHAIN, &MEMBER)
    }

    fn with_three(dir: &Path) {
        let mut record = open(dir).unwrap();
        for number in 1..=3 {
            record.sign(signed(number, None)).unwrap();
        }
    }

    #[test]
    fn what_was_signed_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("records");
        with_three(&dir);
        let mut record = open(&dir).unwrap();
        assert_eq!(record.len(), 3);
        assert_eq!(record.standing(&vault(2)), Some(Hash::new([2; 32])));
        assert_eq!(record.standing(&vault(4)), None);
        assert!(record.release(&vault(2), 9).unwrap());
        assert!(!record.release(&vault(2), 9).unwrap());
        drop(record);
        let record = open(&dir).unwrap();
        assert_eq!((record.len(), record.standing(&vault(2))), (2, None));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn an_hour_is_counted_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        with_three(dir.path());
        let mut record = open(dir.path()).unwrap();
        let of = |vaults, of_one, early, early_of_one| Hourly { vaults, of_one, early, early_of_one };
        assert_eq!(record.this_hour(3, &OPERATOR), of(3, 3, 1, 1));
        assert_eq!(record.this_hour(3, &OperatorId::ZERO), of(3, 0, 1, 0));
        assert_eq!(record.this_hour(1 + HOUR, &OPERATOR), of(2, 2, 1, 1), "an hour later it does not count");
        assert_eq!(record.this_hour(3 + HOUR, &OPERATOR), of(0, 0, 0, 0));
    }

    #[test]
    fn expansions_of_a_vault_are_counted_while_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = open(dir.path()).unwrap();
        for number in 1..=3 {
            record.sign(signed(number, Some(9))).unwrap();
        }
        record.release(&vault(2), 9).unwrap();
        assert_eq!((record.expansions(&vault(9)), record.expansions(&vault(1))), (2, 0));
        drop(record);
        assert_eq!(open(dir.path()).unwrap().expansions(&vault(9)), 2);
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        assert!(matches!(open(dir.path()), Err(RecordError::InUse { .. })));
        drop(first);
        assert!(open(dir.path()).is_ok());
    }

    #[test]
    fn another_members_record_or_one_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        with_three(dir.path());
        let other = Record::open(dir.path(), &ChainId::new([9; 32]), &MEMBER);
        assert!(matches!(other, Err(RecordError::Foreign { .. })));
        let other = Record::open(dir.path(), &CHAIN, &SchnorrKey::new([9; 32]));
        assert!(matches!(other, Err(RecordError::Foreign { .. })));
        std::fs::set_permissions(dir.path().join(FILE), Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(dir.path()), Err(RecordError::Open { mode: 0o644, .. })));
        let dir = tempfile::tempdir().unwrap();
        crate::keys::write_new(&dir.path().join(FILE), b"something else").unwrap();
        assert!(matches!(open(dir.path()), Err(RecordError::Foreign { .. })));
    }

    #[test]
    fn a_crash_at_any_byte_loses_at_most_the_entry_that_was_being_written() {
        let dir = tempfile::tempdir().unwrap();
        with_three(dir.path());
        let whole = std::fs::read(dir.path().join(FILE)).unwrap();
        assert_eq!(whole.len(), TITLE as usize + 3 * ENTRY);
        for cut in 0..whole.len() {
            std::fs::write(dir.path().join(FILE), &whole[..cut]).unwrap();
            let mut record = open(dir.path()).unwrap();
            assert_eq!(record.len(), cut.saturating_sub(TITLE as usize) / ENTRY, "cut at {cut}");
            record.sign(signed(9, None)).unwrap();
            drop(record);
            assert_eq!(open(dir.path()).unwrap().standing(&vault(9)), Some(Hash::new([9; 32])), "cut at {cut}");
        }
    }

    #[test]
    fn damage_before_the_last_entry_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        with_three(dir.path());
        let whole = std::fs::read(dir.path().join(FILE)).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(dir.path().join(FILE), &bytes).unwrap();
            match open(dir.path()) {
                Err(RecordError::Foreign { .. }) => assert!(at < TITLE as usize),
                Err(RecordError::Damaged { .. }) => assert!((TITLE as usize..TITLE as usize + 2 * ENTRY).contains(&at)),
                Ok(record) => assert_eq!((record.len(), at >= TITLE as usize + 2 * ENTRY), (2, true)),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
