//! A secret of 32 bytes under a passphrase, as EIP-2335 lays it out: scrypt (or PBKDF2) makes a key of the passphrase, AES-128-CTR
//! hides the secret, and a SHA-256 over the rest of the key and the ciphertext says whether the passphrase was the right one.
//!
//! The primitives are RustCrypto's; only the layout is ours, and the EIP's own two vectors bind it. `pubkey` names the
//! secret without opening the file; it is x-only for a Schnorr key, which the EIP, written for BLS, leaves open.

use crate::keys::{KeyError, Secret, random, write_new};
use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use palisade_types::ids::SchnorrKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

/// The longest passphrase, in bytes of UTF-8.
pub const MAX_PASSPHRASE: usize = 1_024;
/// The shortest passphrase a new keystore is made with, in characters.
pub const MIN_PASSPHRASE: usize = 8;
/// The longest keystore file, in bytes.
const MAX_KEYSTORE: u64 = 16 << 10;
/// The most memory that scrypt may be told to use, in bytes: four times what we write.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
/// The most rounds that PBKDF2 may be told to take.
const MAX_PBKDF2_ROUNDS: u32 = 1 << 24;
/// 2^18, as the EIP's example: a quarter of a gigabyte and a second for each guess.
const SCRYPT_LOG_N: u8 = 18;

/// Why a keystore is not opened.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file.
    #[error(transparent)]
    File(#[from] KeyError),
    /// It is not JSON of the EIP's form, or asks for what we do not do.
    #[error("this is no keystore: {0}")]
    Malformed(String),
    /// The checksum is another.
    #[error("the passphrase does not open the keystore")]
    WrongPassphrase,
    /// Too short to protect anything, or longer than [`MAX_PASSPHRASE`].
    #[error("a passphrase has {MIN_PASSPHRASE} characters at least and {MAX_PASSPHRASE} bytes at most")]
    BadPassphrase,
}

/// What a person typed. Wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes UTF-8 of at most [`MAX_PASSPHRASE`] bytes.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() <= MAX_PASSPHRASE && std::str::from_utf8(&bytes).is_ok()).then_some(Self(bytes))
    }

    /// The bytes, for whoever hands them on.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// NFKD, without control characters: the same typing gives the same bytes on every keyboard.
    fn normal(&self) -> Zeroizing<Vec<u8>> {
        // Room for the longest decomposition, so that no copy is left behind by growing.
        let mut normal = Zeroizing::new(Vec::with_capacity(self.0.len() * 18));
        for character in self.text().nfkd().filter(|character| !character.is_control()) {
            let mut buffer = [0; 4];
            normal.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            buffer.zeroize();
        }
        normal
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// An encrypted secret, as it lies on the disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keystore {
    crypto: Crypto,
    #[serde(default)]
    description: String,
    pubkey: String,
    path: String,
    uuid: String,
    version: u8,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Crypto {
    kdf: Kdf,
    checksum: Module<Empty>,
    cipher: Module<CipherParams>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "function", content = "params", rename_all = "lowercase")]
enum KdfParams {
    Scrypt { dklen: usize, n: u64, p: u32, r: u32, salt: String },
    Pbkdf2 { dklen: usize, c: u32, prf: String, salt: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kdf {
    #[serde(flatten)]
    params: KdfParams,
    message: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Empty {}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

impl Keystore {
    /// Seals a secret with fresh salt and nonce.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::BadPassphrase`].
    pub fn seal(secret: &Secret, public: &SchnorrKey, passphrase: &Passphrase) -> Result<Self, KeystoreError> {
        if passphrase.text().chars().filter(|character| !character.is_control()).count() < MIN_PASSPHRASE {
            return Err(KeystoreError::BadPassphrase);
        }
        let (salt, nonce, name) = (random(), random(), random());
        let n = 1 << SCRYPT_LOG_N;
        let params = KdfParams::Scrypt { dklen: 32, n, p: 1, r: 8, salt: hex::encode(*salt) };
        let derived = params.derive(passphrase)?;
        let iv: [u8; 16] = nonce[..16].try_into().expect("half of 32 bytes");
        let mut hidden = **secret;
        crypt(&derived, &iv, &mut hidden);
        Ok(Self {
            crypto: Crypto {
                kdf: Kdf { params, message: String::new() },
                checksum: Module {
                    function: "sha256".to_owned(),
                    params: Empty {},
                    message: hex::encode(checksum(&derived, &hidden)),
                },
                cipher: Module {
                    function: "aes-128-ctr".to_owned(),
                    params: CipherParams { iv: hex::encode(iv) },
                    message: hex::encode(hidden),
                },
            },
            description: "Palisade covenant member, secp256k1".to_owned(),
            pubkey: hex::encode(public.as_bytes()),
            path: String::new(),
            uuid: uuid(&name),
            version: VERSION,
        })
    }

    /// Opens it; about a second and a quarter of a gigabyte.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::WrongPassphrase`] and [`KeystoreError::Malformed`].
    pub fn open(&self, passphrase: &Passphrase) -> Result<Secret, KeystoreError> {
        let Crypto { kdf, checksum: check, cipher } = &self.crypto;
        if check.function != "sha256" || cipher.function != "aes-128-ctr" || self.version != VERSION {
            return Err(malformed("its version, checksum or cipher is none of ours"));
        }
        let iv = bytes::<16>(&cipher.params.iv)?;
        let mut secret: Secret = Zeroizing::new(bytes::<32>(&cipher.message)?);
        let expected = bytes::<32>(&check.message)?;
        let derived = kdf.params.derive(passphrase)?;
        if checksum(&derived, &secret) != expected {
            return Err(KeystoreError::WrongPassphrase);
        }
        crypt(&derived, &iv, secret.as_mut_slice());
        Ok(secret)
    }

    /// Whose secret it says it holds. Whoever opens it compares.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::Malformed`].
    pub fn public(&self) -> Result<SchnorrKey, KeystoreError> {
        Ok(SchnorrKey::new(bytes(&self.pubkey)?))
    }

    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    ///
    /// [`KeystoreError`].
    pub fn read(path: &Path) -> Result<Self, KeystoreError> {
        let text = crate::keys::read_closed(path, MAX_KEYSTORE)?;
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))
    }

    /// Writes a new file with mode 0600, durably, and never over another.
    ///
    /// # Errors
    ///
    /// [`KeyError::Exists`], or the disk fails.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let text = serde_json::to_string_pretty(self).expect("strings and numbers are JSON") + "\n";
        write_new(path, text.as_bytes())
    }
}

impl KdfParams {
    fn derive(&self, passphrase: &Passphrase) -> Result<Secret, KeystoreError> {
        let mut derived = Zeroizing::new([0; 32]);
        let normal = passphrase.normal();
        match self {
            Self::Scrypt { dklen: 32, n, p, r, salt } => {
                let memory = n.checked_mul(u64::from(*r)).and_then(|blocks| blocks.checked_mul(128));
                if !n.is_power_of_two() || *p > 16 || memory.is_none_or(|memory| memory > MAX_SCRYPT_MEMORY) {
                    return Err(malformed("scrypt is told to use too much"));
                }
                let log_n = u8::try_from(n.ilog2()).expect("a logarithm of 64 bits");
                let params = scrypt::Params::new(log_n, *r, *p, 32).map_err(|error| malformed(error.to_string()))?;
                scrypt::scrypt(&normal, &salt_of(salt)?, &params, derived.as_mut_slice())
                    .map_err(|error| malformed(error.to_string()))?;
            }
            Self::Pbkdf2 { dklen: 32, c, prf, salt } if prf == "hmac-sha256" && (1..=MAX_PBKDF2_ROUNDS).contains(c) => {
                pbkdf2::pbkdf2_hmac::<Sha256>(&normal, &salt_of(salt)?, *c, derived.as_mut_slice());
            }
            _ => return Err(malformed("its key derivation is none of ours")),
        }
        Ok(derived)
    }
}

fn crypt(derived: &Secret, iv: &[u8; 16], data: &mut [u8]) {
    let key: [u8; 16] = derived[..16].try_into().expect("half of 32 bytes");
    Ctr128BE::<Aes128>::new(&key.into(), iv.into()).apply_keystream(data);
}

fn checksum(derived: &Secret, hidden: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(&derived[16..]).chain_update(hidden).finalize().into()
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|error| malformed(error.to_string()))?;
    Ok(bytes)
}

fn salt_of(text: &str) -> Result<Vec<u8>, KeystoreError> {
    hex::decode(text).map_err(|error| malformed(error.to_string()))
}

fn malformed(why: impl Into<String>) -> KeystoreError {
    KeystoreError::Malformed(why.into())
}

/// Random bytes in the dress of a version 4 UUID.
fn uuid(bytes: &[u8; 32]) -> String {
    let text = hex::encode(bytes);
    format!("{}-{}-4{}-a{}-{}", &text[..8], &text[8..12], &text[12..15], &text[15..18], &text[18..30])
}

/// The EIP's.
const VERSION: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    const SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    /// EIP-2335's test cases, as far as they bind: the ciphertext, with the public key of its BLS key.
    fn vector(kdf: &str, checksum: &str, message: &str) -> String {
        format!(
            r#"{{"crypto": {{"kdf": {kdf},
            "checksum": {{"function": "sha256", "params": {{}}, "message": "{checksum}"}},
            "cipher": {{"function": "aes-128-ctr", "params": {{"iv": "264daa3f303d7259501c93d997d84fe6"}}, "message": "{message}"}}}},
            "description": "test", "path": "m/12381/60/0/0", "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f", "version": 4,
            "pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07"}}"#
        )
    }

    #[test]
    fn the_vectors_of_eip_2335_open_with_their_passphrase_and_no_other() {
        let salt = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
        let scrypt = format!(
            r#"{{"function": "scrypt", "params": {{"dklen": 32, "n": 262144, "p": 1, "r": 8, "salt": "{salt}"}}, "message": ""}}"#
        );
        let pbkdf2 = format!(
            r#"{{"function": "pbkdf2", "params": {{"dklen": 32, "c": 262144, "prf": "hmac-sha256", "salt": "{salt}"}}, "message": ""}}"#
        );
        let cases = [
            vector(
                &scrypt,
                "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
                "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
            ),
            vector(
                &pbkdf2,
                "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
                "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
            ),
        ];
        for text in cases {
            let keystore: Keystore = serde_json::from_str(&text).unwrap();
            let secret = keystore.open(&passphrase("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑")).unwrap();
            assert_eq!(hex::encode(*secret), SECRET);
            assert!(matches!(keystore.open(&passphrase("testpassword")), Err(KeystoreError::WrongPassphrase)));
        }
    }

    #[test]
    fn a_sealed_secret_comes_back_from_a_file_only_its_owner_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/covenant.json");
        let (secret, public) = (random(), SchnorrKey::new([7; 32]));
        assert!(matches!(
            Keystore::seal(&secret, &public, &passphrase("seven\u{7}77")),
            Err(KeystoreError::BadPassphrase)
        ));
        let sealed = Keystore::seal(&secret, &public, &passphrase("correct horse")).unwrap();
        sealed.write(&path).unwrap();
        assert!(matches!(sealed.write(&path), Err(KeyError::Exists { .. })));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&hex::encode(*secret)));
        let read = Keystore::read(&path).unwrap();
        assert_eq!(read.public().unwrap(), public);
        assert_eq!(read.open(&passphrase("correct horse")).unwrap(), secret);
        assert!(matches!(read.open(&passphrase("correct hors3")), Err(KeystoreError::WrongPassphrase)));
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keystore::read(&path), Err(KeystoreError::File(KeyError::Open { .. }))));
    }

    #[test]
    fn what_is_no_keystore_or_asks_for_too_much_is_refused() {
        let kdf = |n: u64, p: u32, dklen: usize| {
            format!(
                r#"{{"function": "scrypt", "params": {{"dklen": {dklen}, "n": {n}, "p": {p}, "r": 8, "salt": "00"}}, "message": ""}}"#
            )
        };
        let word = "00".repeat(32);
        for (n, p, dklen) in [(1 << 40, 1, 32), (u64::MAX, 1, 32), (3, 1, 32), (2, 1 << 30, 32), (2, 1, 64)] {
            let keystore: Keystore = serde_json::from_str(&vector(&kdf(n, p, dklen), &word, &word)).unwrap();
            assert!(matches!(keystore.open(&passphrase("x")), Err(KeystoreError::Malformed(_))), "{n} {p} {dklen}");
        }
        let dir = tempfile::tempdir().unwrap();
        for (at, text) in ["", "{}", "[]", &"x".repeat(20 << 10)].iter().enumerate() {
            let path = dir.path().join(at.to_string());
            write_new(&path, text.as_bytes()).unwrap();
            assert!(Keystore::read(&path).is_err());
        }
        assert!(Passphrase::new(Zeroizing::new(vec![0xff])).is_none());
        assert!(Passphrase::new(Zeroizing::new(vec![b'a'; MAX_PASSPHRASE + 1])).is_none());
        assert_eq!(format!("{:?}", passphrase("secret")), "Passphrase(…)");
    }
}
