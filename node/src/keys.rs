//! Key files: 32 bytes as hex, one key each, closed to everybody but their owner.
//!
//! A file that others may read is refused, because it may have been read. A file is only ever created, never written
//! over: a lost key is lost stake. Keys do not pass through arguments, logs or `Debug`.

use palisade_crypto::seed::NoKey;
use palisade_crypto::{bls, ed25519, eots};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{
    BlsKey, BlsSignature, ChainId, Domain, Ed25519Key, Ed25519Signature, Hash, OperatorId, SchnorrKey, SchnorrSignature,
};
use palisade_types::possession;
use rand::RngCore;
use rand::rngs::OsRng;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a key file could not be read or made. Each is a line for the operator; none shows the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such file.
    #[error("there is no key file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there already, and keys are never written over.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{} has mode {mode:o} and must be closed to group and others: chmod 600 it, if you are sure that nobody else has read it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no key.
    #[error("{} does not hold 32 bytes of hex that are a key of its kind", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The disk or its permissions.
    #[error("cannot access {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A secret of 32 bytes, wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// A secret from the system's randomness.
#[must_use]
pub fn random() -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(bytes.as_mut_slice());
    bytes
}

/// Reads a key file.
///
/// # Errors
///
/// [`KeyError`]; [`KeyError::Missing`] may be fine for an optional key.
pub fn read_secret(path: &Path) -> Result<Secret, KeyError> {
    let text = read_closed(path, MAX_KEY_FILE)?;
    let text = text.trim();
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), bytes.as_mut_slice())
        .map_err(|_| KeyError::Malformed { path: path.to_owned() })?;
    Ok(bytes)
}

/// Reads at most `limit` bytes of a text file that is closed to group and others.
///
/// # Errors
///
/// [`KeyError`].
pub fn read_closed(path: &Path, limit: u64) -> Result<Zeroizing<String>, KeyError> {
    let disk = |source| KeyError::Disk { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => disk(source),
    })?;
    let metadata = file.metadata().map_err(disk)?;
    if metadata.is_dir() {
        return Err(disk(ErrorKind::IsADirectory.into()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0) + 1));
    file.take(limit).read_to_string(&mut text).map_err(disk)?;
    Ok(text)
}

/// Writes a new key file with mode 0600, durably. Its directory is made with mode 0700 when it is not there.
///
/// # Errors
///
/// [`KeyError::Exists`], or the disk fails.
pub fn write_secret(path: &Path, secret: &Secret) -> Result<(), KeyError> {
    let text = Zeroizing::new(hex::encode(secret.as_slice()) + "\n");
    write_new(path, text.as_bytes())
}

/// Writes a new file with mode 0600, durably. Its directory is made with mode 0700 when it is not there.
///
/// # Errors
///
/// [`KeyError::Exists`], or the disk fails.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let disk = |source| KeyError::Disk { path: path.to_owned(), source };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk)?;
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => disk(source),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(disk)
}

/// Everything an operator votes and attests with.
pub struct OperatorKeys {
    /// Attests.
    pub bls: bls::SecretKey,
    /// Votes.
    pub ed25519: ed25519::SecretKey,
    /// The seed of the finality provider's keys, one for each (chain id, domain) (R19).
    eots_seed: Secret,
}

/// The public half, as Palisade.sol and genesis name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    /// Attests.
    pub bls: BlsKey,
    /// Votes.
    pub ed25519: Ed25519Key,
    /// Attests for Bitcoin stake.
    pub eots: SchnorrKey,
}

/// What an operator hands in once to show that the keys are his (R12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possession {
    /// The keys.
    pub keys: PublicKeys,
    /// By the BLS key, under the possession DST.
    pub bls: BlsSignature,
    /// By the Ed25519 key.
    pub ed25519: Ed25519Signature,
    /// By the finality provider's key, as an ordinary BIP-340 signature.
    pub eots: SchnorrSignature,
}

impl OperatorKeys {
    /// New keys from the system's randomness. Only [`crate::signer::create`] records their birth (R15).
    #[must_use]
    pub fn generate() -> Self {
        Self {
            bls: bls::SecretKey::from_seed(&random()),
            ed25519: ed25519::SecretKey::from_seed(&random()),
            eots_seed: random(),
        }
    }

    /// The keys of an operator's seed: BIP-32 at m/26100'/0' (BLS), /1' (Ed25519) and /2' (the seed of the finality
    /// provider's keys), each the 32 bytes of a seed of its own kind. Whoever has the seed has them all, so it is kept
    /// offline. They are not born here: a guard in front of them waits (R15).
    ///
    /// # Errors
    ///
    /// [`NoKey`]: one seed in 2^127.
    pub fn from_seed(seed: &Secret) -> Result<Self, NoKey> {
        let derive = |kind| palisade_crypto::seed::derive(seed.as_slice(), &[PURPOSE, kind]);
        Ok(Self {
            bls: bls::SecretKey::from_seed(&*derive(0)?),
            ed25519: ed25519::SecretKey::from_seed(&*derive(1)?),
            eots_seed: derive(2)?,
        })
    }

    /// Reads `bls.key`, `ed25519.key` and `eots.key`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] names the first file that does not do.
    pub fn read(dir: &Path) -> Result<Self, KeyError> {
        let path = dir.join(BLS);
        let bls = bls::SecretKey::from_bytes(&*read_secret(&path)?).map_err(|_| KeyError::Malformed { path })?;
        Ok(Self {
            bls,
            ed25519: ed25519::SecretKey::from_seed(&*read_secret(&dir.join(ED25519))?),
            eots_seed: read_secret(&dir.join(EOTS))?,
        })
    }

    /// Writes the three files.
    ///
    /// # Errors
    ///
    /// [`KeyError::Exists`] before anything is written, or the disk fails.
    pub fn write(&self, dir: &Path) -> Result<(), KeyError> {
        let files = [(BLS, self.bls.to_bytes()), (ED25519, self.ed25519.to_bytes()), (EOTS, self.eots_seed.clone())];
        let mut paths = files.iter().map(|(name, _)| dir.join(name));
        if let Some(path) = paths.find(|path| path.exists()) {
            return Err(KeyError::Exists { path });
        }
        files.iter().try_for_each(|(name, secret)| write_secret(&dir.join(name), secret))
    }

    /// The finality provider's key of one network: hardened, so that the key a fault exposes gives no other away (R19).
    #[must_use]
    pub fn eots(&self, chain: &ChainId, bitcoin: &Domain) -> eots::SecretKey {
        eots::SecretKey::derive(&self.eots_seed, chain.as_bytes(), bitcoin.as_bytes())
    }

    /// The public half in one network.
    #[must_use]
    pub fn public(&self, chain: &ChainId, bitcoin: &Domain) -> PublicKeys {
        PublicKeys {
            bls: BlsKey::new(self.bls.public().to_bytes()),
            ed25519: Ed25519Key::new(self.ed25519.public().to_bytes()),
            eots: SchnorrKey::new(self.eots(chain, bitcoin).public().to_bytes()),
        }
    }

    /// What names the three keys in the guard's records (R15), whatever the network: hashes of public keys, for the seed of
    /// the key of no network.
    #[must_use]
    pub fn names(&self) -> [Hash; 3] {
        let keys = self.public(&ChainId::ZERO, &Domain::ZERO);
        let name = |kind: &[u8], key: &[u8]| Hash::new(palisade_crypto::hash::sha256_all(&[kind, b" key ", key]));
        [
            name(b"bls", keys.bls.as_bytes()),
            name(b"ed25519", keys.ed25519.as_bytes()),
            name(b"eots", keys.eots.as_bytes()),
        ]
    }

    /// The proofs of possession with which `operator` registers these keys in a network (R12).
    #[must_use]
    pub fn possession(&self, genesis: &Genesis, operator: &OperatorId) -> Possession {
        let (chain, palisade) = (genesis.founder(), genesis.contracts.palisade);
        let bitcoin = genesis.domains().keys;
        let keys = self.public(&chain, &bitcoin);
        let bls = possession::bls_message(&chain, &palisade, operator, &keys.bls).expect("our own key is a key");
        let ed25519 = possession::ed25519_message(&chain, &palisade, operator, &keys.ed25519);
        let eots = possession::eots_message(&chain, &palisade, operator, &keys.eots);
        Possession {
            keys,
            bls: BlsSignature::new(self.bls.prove_possession(&bls).to_bytes()),
            ed25519: Ed25519Signature::new(self.ed25519.sign(&ed25519).0),
            eots: SchnorrSignature::new(self.eots(&chain, &bitcoin).sign_schnorr(&eots)),
        }
    }
}

impl std::fmt::Debug for OperatorKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorKeys(…)")
    }
}

/// Makes the key of a covenant member, a key of its own that never makes EOTS (R19, R27).
///
/// # Errors
///
/// [`KeyError::Exists`], or the disk fails.
pub fn create_covenant(dir: &Path) -> Result<SchnorrKey, KeyError> {
    let key = eots::SecretKey::generate();
    write_secret(&dir.join(COVENANT), &key.to_bytes())?;
    Ok(SchnorrKey::new(key.public().to_bytes()))
}

/// The key of a covenant member; `None` when this operator is none.
///
/// # Errors
///
/// [`KeyError`], but not [`KeyError::Missing`].
pub fn read_covenant(dir: &Path) -> Result<Option<eots::SecretKey>, KeyError> {
    let path = dir.join(COVENANT);
    match read_secret(&path) {
        Ok(secret) => eots::SecretKey::from_bytes(&secret).map(Some).map_err(|_| KeyError::Malformed { path }),
        Err(KeyError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The most that is read of a key file, in bytes: hex with a prefix and an end of line, and some room.
const MAX_KEY_FILE: u64 = 128;
/// The first step of every path of ours (BIP-43's purpose; no other scheme has this number).
const PURPOSE: u32 = 26_100;
const BLS: &str = "bls.key";
const ED25519: &str = "ed25519.key";
const EOTS: &str = "eots.key";
const COVENANT: &str = "covenant.key";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    const CHAIN: ChainId = ChainId::new([1; 32]);
    const BITCOIN: Domain = Domain::new([2; 32]);

    #[test]
    fn keys_are_read_back_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        let keys = OperatorKeys::generate();
        keys.write(&dir).unwrap();
        let read = OperatorKeys::read(&dir).unwrap();
        assert_eq!(read.public(&CHAIN, &BITCOIN), keys.public(&CHAIN, &BITCOIN));
        assert_eq!(read.names(), keys.names());
        assert!(matches!(OperatorKeys::generate().write(&dir), Err(KeyError::Exists { .. })));
        assert_eq!(OperatorKeys::read(&dir).unwrap().names(), keys.names());
        assert!(read_covenant(&dir).unwrap().is_none());
        let covenant = create_covenant(&dir).unwrap();
        assert_eq!(read_covenant(&dir).unwrap().unwrap().public().to_bytes(), *covenant.as_bytes());
        assert!(matches!(create_covenant(&dir), Err(KeyError::Exists { .. })));
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused_with_a_line_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.key");
        write_secret(&path, &random()).unwrap();
        for (mode, allowed) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&path);
            assert_eq!(read.is_ok(), allowed, "{mode:o}");
            assert!(allowed || read.unwrap_err().to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_secret(&dir.path().join("none")), Err(KeyError::Missing { .. })));
        for (at, text) in ["", "12", &"zz".repeat(32), &"11".repeat(33), &"11".repeat(1000)].iter().enumerate() {
            let path = dir.path().join(at.to_string());
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert!(matches!(read_secret(&path), Err(KeyError::Malformed { .. })), "{text}");
        }
        write_secret(&dir.path().join(BLS), &Zeroizing::new([0xff; 32])).unwrap();
        assert!(matches!(OperatorKeys::read(dir.path()), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn r12_the_proofs_of_possession_hold_for_one_operator_in_one_network() {
        use palisade_types::canonical::{Canonical, Reader};
        // A genesis of nothing has a chain id too.
        let genesis = Genesis::read(&mut Reader::new(&[0; 4096])).unwrap();
        let (chain, palisade, operator) = (genesis.chain_id(), genesis.contracts.palisade, OperatorId::new([7; 20]));
        let Possession { keys, bls, ed25519, eots } = OperatorKeys::generate().possession(&genesis, &operator);
        let holds = |operator: &OperatorId| {
            let message = possession::bls_message(&chain, &palisade, operator, &keys.bls).unwrap();
            let key = bls::PublicKey::from_bytes(keys.bls.as_bytes()).unwrap();
            let proof = bls::Signature::from_bytes(bls.as_bytes()).unwrap();
            let first = key.verify_possession(&message, &proof).is_ok();
            let message = possession::ed25519_message(&chain, &palisade, operator, &keys.ed25519);
            let key = ed25519::PublicKey::from_bytes(keys.ed25519.as_bytes()).unwrap();
            let second = key.verify(&message, &ed25519::Signature(*ed25519.as_bytes())).is_ok();
            let message = possession::eots_message(&chain, &palisade, operator, &keys.eots);
            let key = eots::PublicKey::from_bytes(keys.eots.as_bytes()).unwrap();
            [first, second, key.verify_schnorr(&message, eots.as_bytes()).is_ok()]
        };
        assert_eq!(holds(&operator), [true; 3]);
        assert_eq!(holds(&OperatorId::new([8; 20])), [false; 3]);
    }

    #[test]
    fn r19_a_seed_gives_the_same_keys_again_and_none_gives_another_away() {
        let seed = |byte| OperatorKeys::from_seed(&Zeroizing::new([byte; 32])).unwrap();
        assert_eq!(seed(7).names(), seed(7).names());
        assert!(seed(7).names().iter().all(|name| !seed(8).names().contains(name)));
        let expected = palisade_crypto::seed::derive(&[7; 32], &[26_100, 2]).unwrap();
        assert_eq!(seed(7).eots_seed, expected);
        assert_eq!(seed(7).bls.to_bytes().len(), 32);
    }

    #[test]
    fn r19_every_network_has_its_own_finality_key() {
        let keys = OperatorKeys::generate();
        let here = keys.eots(&CHAIN, &BITCOIN).public();
        assert_ne!(here, keys.eots(&ChainId::new([3; 32]), &BITCOIN).public());
        assert_ne!(here, keys.eots(&CHAIN, &Domain::new([3; 32])).public());
        assert_eq!(format!("{keys:?}"), "OperatorKeys(…)");
    }
}
