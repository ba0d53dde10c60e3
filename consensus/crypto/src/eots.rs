//! Extractable one-time signatures (EOTS) over secp256k1: Bitcoin finality.
//!
//! An EOTS is a BIP-340 signature whose nonce was committed beforehand: `s = k + e·d mod n` with
//! `e = H("BIP0340/challenge", R.x | P.x | h)`, `k` and `d` negated when their points are odd. Only `s`
//! travels; `R.x` is the committed randomness. Two signatures with one nonce over two messages give the
//! key to everybody: `d = (s1 - s2) / (e1 - e2)`, and that key completes the pre-signed slashing
//! transaction. The formulas are Babylon's (`crypto/eots`), so that its vectors bind us.
//!
//! Where we depart from Babylon: the nonce binds chain id, domain and slot (R19), and nothing is reduced
//! silently when it is parsed.
//!
//! A commitment is the CometBFT (RFC 6962) Merkle root over the list of `R.x`.

use std::fmt;

use hmac::{Hmac, Mac};
use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::ops::Reduce;
use secp256k1::schnorr::Signature as SchnorrSignature;
use secp256k1::{Keypair, Message, Parity, SECP256K1, Scalar, XOnlyPublicKey};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::hash::{Hash32, sha256_all, tagged_hash};
use crate::memo;

/// Why an EOTS key, nonce, signature or proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EotsError {
    /// The bytes are no scalar between zero and the group's order.
    #[error("bytes encode no secp256k1 scalar")]
    Scalar,
    /// The bytes are no x coordinate of a point of the curve.
    #[error("bytes encode no secp256k1 point")]
    Point,
    /// The signature does not match the message, key and randomness.
    #[error("signature does not match")]
    Mismatch,
    /// The two messages are one: an honest signer repeats itself.
    #[error("both signatures are over one message")]
    SameMessage,
    /// There is no randomness to commit to.
    #[error("commitment to no randomness")]
    Empty,
    /// The Merkle proof does not lead from the leaf to the root.
    #[error("proof does not lead to the committed root")]
    Proof,
}

/// A secp256k1 secret. It is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(secp256k1::SecretKey);

impl SecretKey {
    /// A new random key: the only place in this crate that asks the system for randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(secp256k1::SecretKey::new(&mut secp256k1::rand::thread_rng()))
    }

    /// The key of one (chain id, domain), derived from a seed by a hardened step: from the key that a
    /// fault exposes, neither the seed nor another domain's key follows (R19).
    #[must_use]
    pub fn derive(seed: &[u8; 32], chain_id: &Hash32, domain: &Hash32) -> Self {
        Self(scalar_from_hmac(seed, &[b"PALISADE-EOTS-KEY-1", chain_id, domain]))
    }

    /// Reads a big-endian scalar.
    ///
    /// # Errors
    ///
    /// [`EotsError::Scalar`] when it is zero or not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EotsError> {
        secp256k1::SecretKey::from_slice(bytes).map(Self).map_err(|_| EotsError::Scalar)
    }

    /// The scalar, big-endian. It may be the one whose point is odd.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.secret_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.x_only_public_key(SECP256K1).0)
    }

    /// An ordinary BIP-340 signature, for the proof of possession and the commitment (R19). It is
    /// deterministic; its nonce has nothing to do with the committed ones.
    #[must_use]
    pub fn sign_schnorr(&self, message: &Hash32) -> [u8; 64] {
        self.sign_schnorr_with(message, &[0; 32])
    }

    /// As [`SecretKey::sign_schnorr`], with auxiliary randomness.
    #[must_use]
    pub fn sign_schnorr_with(&self, message: &Hash32, aux: &[u8; 32]) -> [u8; 64] {
        let mut pair = Keypair::from_secret_key(SECP256K1, &self.0);
        let message = Message::from_digest(*message);
        let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &pair, aux);
        pair.non_secure_erase();
        signature.serialize()
    }

    /// The scalar whose point is even: this one, or its negation.
    pub(crate) fn even(&self) -> Self {
        match self.0.x_only_public_key(SECP256K1).1 {
            Parity::Even => self.clone(),
            Parity::Odd => Self(self.0.negate()),
        }
    }

    pub(crate) fn inner(&self) -> &secp256k1::SecretKey {
        &self.0
    }

    pub(crate) fn from_inner(key: secp256k1::SecretKey) -> Self {
        Self(key)
    }

    /// The scalar as a tweak of another.
    pub(crate) fn tweak(&self) -> Scalar {
        self.0.into()
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("eots::SecretKey(…)")
    }
}

/// A secp256k1 point with even y, known by its x coordinate (BIP-340).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(XOnlyPublicKey);

impl PublicKey {
    /// Reads an x coordinate.
    ///
    /// # Errors
    ///
    /// [`EotsError::Point`] when it is not below p or on no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EotsError> {
        XOnlyPublicKey::from_slice(bytes).map(Self).map_err(|_| EotsError::Point)
    }

    /// The x coordinate.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.serialize()
    }

    /// Checks an ordinary BIP-340 signature.
    ///
    /// # Errors
    ///
    /// [`EotsError::Mismatch`].
    pub fn verify_schnorr(&self, message: &Hash32, signature: &[u8; 64]) -> Result<(), EotsError> {
        memo::once(&[b"schnorr", message, signature, &self.to_bytes()], || {
            let message = Message::from_digest(*message);
            SchnorrSignature::from_slice(signature)
                .and_then(|signature| SECP256K1.verify_schnorr(&signature, &message, &self.0))
                .map_err(|_| EotsError::Mismatch)
        })
    }

    /// The even point itself.
    pub(crate) fn point(&self) -> secp256k1::PublicKey {
        self.0.public_key(Parity::Even)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "eots::PublicKey", &self.to_bytes())
    }
}

/// The nonce of one slot. Whoever knows it and one signature knows the key. It is wiped when dropped.
#[derive(Clone)]
pub struct SecretNonce(SecretKey);

impl SecretNonce {
    /// Reads a big-endian scalar; only for signers whose nonces are made elsewhere.
    ///
    /// # Errors
    ///
    /// [`EotsError::Scalar`] when it is zero or not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EotsError> {
        SecretKey::from_bytes(bytes).map(Self)
    }

    /// The randomness to commit to.
    #[must_use]
    pub fn public(&self) -> PublicNonce {
        PublicNonce(self.0.public().to_bytes())
    }
}

impl fmt::Debug for SecretNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("eots::SecretNonce(…)")
    }
}

/// Committed randomness: the x coordinate of a slot's nonce point.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicNonce([u8; 32]);

impl PublicNonce {
    /// Reads an x coordinate.
    ///
    /// # Errors
    ///
    /// [`EotsError::Point`] when it is not below p or on no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EotsError> {
        PublicKey::from_bytes(bytes).map(|_| Self(*bytes))
    }

    /// The x coordinate.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for PublicNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "eots::PublicNonce", &self.0)
    }
}

/// The scalar `s`, big-endian, as it travels; [`verify`] refuses zero and anything not below the order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EotsSignature(pub [u8; 32]);

impl fmt::Debug for EotsSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "EotsSignature", &self.0)
    }
}

/// The nonce of a slot, a function of the key and of everything that names the slot (R19), so that it
/// needs no storage and differs wherever a signature may differ honestly.
#[must_use]
pub fn nonce(key: &SecretKey, chain_id: &Hash32, domain: &Hash32, slot: u64) -> SecretNonce {
    let data: [&[u8]; 4] = [b"PALISADE-EOTS-1", chain_id, domain, &slot.to_be_bytes()];
    SecretNonce(SecretKey(scalar_from_hmac(&key.to_bytes(), &data)))
}

/// Signs the hash of a message with a slot's nonce. Whoever signs two hashes with one nonce gives the
/// key away: only the guard may call this (R16, R19).
#[must_use]
pub fn sign(key: &SecretKey, nonce: &SecretNonce, message_hash: &Hash32) -> EotsSignature {
    let challenge = challenge(&nonce.public().0, &key.public(), message_hash);
    let challenge = Scalar::from_be_bytes(challenge.to_repr().into()).expect("a reduced scalar is below the order");
    let s = key
        .even()
        .0
        .mul_tweak(&challenge)
        .and_then(|product| product.add_tweak(&nonce.0.even().tweak()))
        .expect("a challenge of zero, or one that cancels the nonce, is a broken hash");
    EotsSignature(s.secret_bytes())
}

/// Checks a signature over a message's hash: it is a BIP-340 signature with the committed `R.x`.
///
/// # Errors
///
/// [`EotsError::Scalar`] or [`EotsError::Mismatch`].
pub fn verify(
    key: &PublicKey,
    nonce: &PublicNonce,
    message_hash: &Hash32,
    signature: &EotsSignature,
) -> Result<(), EotsError> {
    SecretKey::from_bytes(&signature.0)?;
    let mut whole = [0; 64];
    whole[..32].copy_from_slice(&nonce.0);
    whole[32..].copy_from_slice(&signature.0);
    key.verify_schnorr(message_hash, &whole)
}

/// The key that two signatures with one nonce over two messages give away: the scalar whose point is
/// even, `d = (s1 - s2) / (e1 - e2)`.
///
/// # Errors
///
/// [`EotsError::SameMessage`], or what is wrong with one of the signatures.
pub fn extract(
    key: &PublicKey,
    nonce: &PublicNonce,
    first: (&Hash32, &EotsSignature),
    second: (&Hash32, &EotsSignature),
) -> Result<SecretKey, EotsError> {
    if first.0 == second.0 {
        return Err(EotsError::SameMessage);
    }
    for (message_hash, signature) in [first, second] {
        verify(key, nonce, message_hash, signature)?;
    }
    let challenges = challenge(&nonce.0, key, first.0) - challenge(&nonce.0, key, second.0);
    let inverse = Option::<k256::Scalar>::from(challenges.invert()).ok_or(EotsError::SameMessage)?;
    let secret = (scalar(&first.1.0)? - scalar(&second.1.0)?) * inverse;
    let secret = SecretKey::from_bytes(&secret.to_repr().into())?;
    if secret.public() == *key { Ok(secret) } else { Err(EotsError::Mismatch) }
}

/// A Merkle tree over the randomness of a range of slots; leaf i is slot `first + i * interval` (R2).
///
/// It is CometBFT's tree (RFC 6962): `SHA256(0 | leaf)`, `SHA256(1 | left | right)`, split at the largest
/// power of two below the count; that equals pairing level by level with an odd last node moved up.
#[derive(Clone, Debug)]
pub struct Commitment {
    /// The hashes of the leaves first, the root alone last.
    levels: Vec<Vec<Hash32>>,
}

/// Builds the tree over the randomness of consecutive slots.
///
/// # Errors
///
/// [`EotsError::Empty`].
pub fn commit(nonces: &[PublicNonce]) -> Result<Commitment, EotsError> {
    if nonces.is_empty() {
        return Err(EotsError::Empty);
    }
    let mut levels = vec![nonces.iter().map(|nonce| hash_leaf(&nonce.0)).collect::<Vec<_>>()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let above = level.chunks(2).map(hash_chunk).collect();
        levels.push(above);
    }
    Ok(Commitment { levels })
}

impl Commitment {
    /// The root that is signed and recorded.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.levels[self.levels.len() - 1][0]
    }

    /// How many slots are covered.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.levels[0].len() as u64
    }

    /// The proof of one leaf, or nothing beyond the last.
    #[must_use]
    pub fn proof(&self, index: u64) -> Option<MerkleProof> {
        let mut place = usize::try_from(index).ok().filter(|place| *place < self.levels[0].len())?;
        let mut aunts = Vec::new();
        for level in &self.levels {
            aunts.extend(level.get(place ^ 1));
            place /= 2;
        }
        Some(MerkleProof { index, total: self.total(), aunts })
    }
}

/// The way from one leaf to the root of a [`Commitment`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleProof {
    /// Which leaf; whoever verifies compares it with the slot.
    pub index: u64,
    /// How many leaves; whoever verifies compares it with the commitment.
    pub total: u64,
    /// The siblings, from the leaf up; at most [`MAX_AUNTS`].
    pub aunts: Vec<Hash32>,
}

impl MerkleProof {
    /// Checks that the leaf stands at `index` of `total` under the root.
    ///
    /// # Errors
    ///
    /// [`EotsError::Proof`].
    pub fn verify(&self, root: &Hash32, leaf: &[u8]) -> Result<(), EotsError> {
        if self.index >= self.total || self.aunts.len() > MAX_AUNTS {
            return Err(EotsError::Proof);
        }
        let (mut place, mut last) = (self.index, self.total - 1);
        let mut hash = hash_leaf(leaf);
        let mut aunts = self.aunts.iter();
        while last > 0 {
            if place % 2 == 1 {
                hash = hash_inner(aunts.next().ok_or(EotsError::Proof)?, &hash);
            } else if place < last {
                hash = hash_inner(&hash, aunts.next().ok_or(EotsError::Proof)?);
            } // else an odd last node, which moves up as it is
            (place, last) = (place / 2, last / 2);
        }
        if aunts.next().is_none() && hash == *root { Ok(()) } else { Err(EotsError::Proof) }
    }
}

/// The most siblings a proof can have: one for each bit of an index.
pub const MAX_AUNTS: usize = 64;

fn hash_leaf(leaf: &[u8]) -> Hash32 {
    sha256_all(&[&[0], leaf])
}

fn hash_inner(left: &Hash32, right: &Hash32) -> Hash32 {
    sha256_all(&[&[1], left, right])
}

fn hash_chunk(chunk: &[Hash32]) -> Hash32 {
    match chunk {
        [left, right] => hash_inner(left, right),
        odd => odd[0],
    }
}

/// The BIP-340 challenge, reduced modulo the order.
pub(crate) fn challenge(nonce: &[u8; 32], key: &PublicKey, message_hash: &Hash32) -> k256::Scalar {
    reduce(&tagged_hash("BIP0340/challenge", &[nonce, &key.to_bytes(), message_hash]))
}

/// A hash as a scalar, modulo the order.
pub(crate) fn reduce(hash: &Hash32) -> k256::Scalar {
    <k256::Scalar as Reduce<k256::U256>>::reduce_bytes(&(*hash).into())
}

fn scalar(bytes: &[u8; 32]) -> Result<k256::Scalar, EotsError> {
    Option::from(k256::Scalar::from_repr((*bytes).into())).ok_or(EotsError::Scalar)
}

/// HMAC-SHA256 over the data and a counter, from 0 until the result is a scalar other than zero.
fn scalar_from_hmac(key: &[u8; 32], data: &[&[u8]]) -> secp256k1::SecretKey {
    for counter in 0..=u32::MAX {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
        data.iter().for_each(|part| mac.update(part));
        mac.update(&counter.to_be_bytes());
        let mut bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let scalar = secp256k1::SecretKey::from_slice(&bytes);
        bytes.zeroize();
        if let Ok(scalar) = scalar {
            return scalar;
        }
    }
    unreachable!("four thousand million hashes in a row above the order are a broken hash")
}

fn short_hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    bytes.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
    f.write_str("…)")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHAIN: Hash32 = [1; 32];
    const DOMAIN: Hash32 = [2; 32];

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_bytes(&[seed; 32]).unwrap()
    }

    fn is_odd(key: &SecretKey) -> bool {
        key.even() != *key
    }

    fn nonces(count: u64) -> Vec<PublicNonce> {
        (0..count).map(|slot| nonce(&key(1), &CHAIN, &DOMAIN, slot).public()).collect()
    }

    #[test]
    fn r19_two_signatures_with_one_nonce_give_the_key_away() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 1..=16 {
            for slot in 0..4 {
                let secret = key(seed);
                let nonce = nonce(&secret, &CHAIN, &DOMAIN, slot);
                let (public, randomness) = (secret.public(), nonce.public());
                let (first, second) = ([seed; 32], [seed + 100; 32]);
                let (one, two) = (sign(&secret, &nonce, &first), sign(&secret, &nonce, &second));
                assert_eq!(verify(&public, &randomness, &first, &one), Ok(()));
                assert_eq!(verify(&public, &randomness, &second, &two), Ok(()));
                let extracted = extract(&public, &randomness, (&first, &one), (&second, &two)).unwrap();
                assert_eq!(extracted, secret.even());
                assert_eq!(extracted.public(), public);
                seen.insert((is_odd(&secret), is_odd(&nonce.0)));
            }
        }
        assert_eq!(seen.len(), 4, "both parities of key and nonce were tried");
    }

    #[test]
    fn nothing_is_extracted_from_what_is_no_pair() {
        let secret = key(3);
        let (five, six) = (nonce(&secret, &CHAIN, &DOMAIN, 5), nonce(&secret, &CHAIN, &DOMAIN, 6));
        let (a, b) = ([10; 32], [11; 32]);
        let (at_five, at_six) = (sign(&secret, &five, &a), sign(&secret, &six, &b));
        let public = secret.public();
        let run = |nonce: &SecretNonce, first, second| extract(&public, &nonce.public(), first, second).unwrap_err();
        assert_eq!(run(&five, (&a, &at_five), (&a, &at_five)), EotsError::SameMessage);
        assert_eq!(run(&five, (&a, &at_five), (&b, &at_six)), EotsError::Mismatch);
        assert_eq!(run(&five, (&a, &at_five), (&b, &at_five)), EotsError::Mismatch);
        assert_eq!(run(&five, (&a, &at_five), (&b, &EotsSignature([0; 32]))), EotsError::Scalar);
        assert_eq!(run(&five, (&a, &at_five), (&b, &EotsSignature([255; 32]))), EotsError::Scalar);
    }

    #[test]
    fn a_signature_is_for_one_key_one_nonce_and_one_message() {
        let (ours, theirs) = (key(3), key(4));
        let nonce_five = nonce(&ours, &CHAIN, &DOMAIN, 5);
        let nonce_six = nonce(&ours, &CHAIN, &DOMAIN, 6);
        let signature = sign(&ours, &nonce_five, &[9; 32]);
        let check = |key: &SecretKey, nonce: &SecretNonce, message: Hash32| {
            verify(&key.public(), &nonce.public(), &message, &signature)
        };
        assert_eq!(check(&ours, &nonce_five, [9; 32]), Ok(()));
        assert_eq!(check(&theirs, &nonce_five, [9; 32]), Err(EotsError::Mismatch));
        assert_eq!(check(&ours, &nonce_six, [9; 32]), Err(EotsError::Mismatch));
        assert_eq!(check(&ours, &nonce_five, [8; 32]), Err(EotsError::Mismatch));
        assert_eq!(sign(&ours, &nonce_five, &[9; 32]), signature);
    }

    #[test]
    fn r19_a_nonce_binds_key_chain_domain_and_slot() {
        let base = nonce(&key(1), &CHAIN, &DOMAIN, 7).public();
        assert_eq!(nonce(&key(1), &CHAIN, &DOMAIN, 7).public(), base);
        for other in [
            nonce(&key(2), &CHAIN, &DOMAIN, 7),
            nonce(&key(1), &DOMAIN, &DOMAIN, 7),
            nonce(&key(1), &CHAIN, &CHAIN, 7),
            nonce(&key(1), &CHAIN, &DOMAIN, 8),
        ] {
            assert_ne!(other.public(), base);
        }
    }

    #[test]
    fn r19_a_nonce_is_the_hmac_of_the_written_data() {
        let mut mac = Hmac::<Sha256>::new_from_slice(&[1; 32]).unwrap();
        mac.update(b"PALISADE-EOTS-1");
        mac.update(&[CHAIN, DOMAIN].concat());
        mac.update(&[0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0]);
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(*nonce(&key(1), &CHAIN, &DOMAIN, 7).0.to_bytes(), expected);
    }

    /// Made by a program of its own, from the text of R19 and BIP-340: chain id 01…, domain 02…, the SHA-256 of "message", for
    /// every parity of key and nonce.
    #[test]
    fn r19_known_answers_bind_key_chain_domain_and_slot() {
        let message = crate::sha256(b"message");
        for (seed, slot, randomness, signature) in [
            (
                1,
                7,
                "c2666aab2b869120568dddbff3cd9c15eb86811d29b031b642434dc5b7db58f1",
                "34ac4d96dc22e82bac20f7186630f7c8dfa07bf9878e3c4e5601ba4cfc2b5f0c",
            ),
            (
                2,
                0,
                "1a1a3f70ff983a4c89857f1ccb297a7818e9ff70e19d212d93bfc47b352bf655",
                "681f5edaa9568f2018bfcb84ea8312a682158ae6f01340d2be42b81b501958a6",
            ),
            (
                3,
                60,
                "2d4a8e2931156b098ede808efee968a483d54018d44005b5c92e816314c1c6d6",
                "82302d11dc903fe373a319848ecffb6ad85e1302888f3937ef848fcc70e20ef2",
            ),
            (
                6,
                u64::MAX,
                "318d16240bd4f01b87dace529da9567898cd0e35662d1aa4032c8889c341dfa2",
                "afae2610cb4a2252ecb68496a355e301b4e704fb4d26fa557bd19aff3fbe5a99",
            ),
        ] {
            let nonce = nonce(&key(seed), &CHAIN, &DOMAIN, slot);
            assert_eq!(hex(&nonce.public().0), randomness);
            assert_eq!(hex(&sign(&key(seed), &nonce, &message).0), signature);
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn r19_each_domain_has_a_key_of_its_own() {
        let seed = [5; 32];
        let base = SecretKey::derive(&seed, &CHAIN, &DOMAIN);
        assert_eq!(SecretKey::derive(&seed, &CHAIN, &DOMAIN), base);
        assert_ne!(SecretKey::derive(&seed, &DOMAIN, &DOMAIN), base);
        assert_ne!(SecretKey::derive(&seed, &CHAIN, &CHAIN), base);
    }

    #[test]
    fn scalars_and_points_out_of_range_are_refused() {
        let order = k256::Scalar::ZERO - k256::Scalar::ONE; // one below the order
        let mut bytes: [u8; 32] = order.to_repr().into();
        assert!(SecretKey::from_bytes(&bytes).is_ok());
        bytes[31] += 1;
        assert_eq!(SecretKey::from_bytes(&bytes), Err(EotsError::Scalar));
        assert_eq!(SecretKey::from_bytes(&[0; 32]), Err(EotsError::Scalar));
        assert_eq!(PublicKey::from_bytes(&[255; 32]), Err(EotsError::Point));
        assert_eq!(PublicNonce::from_bytes(&[0; 32]), Err(EotsError::Point));
        let mut five = [0; 32];
        five[31] = 5;
        assert_eq!(PublicKey::from_bytes(&five), Err(EotsError::Point), "5 is on no point");
    }

    #[test]
    fn ordinary_signatures_verify() {
        for seed in 1..=4 {
            let secret = key(seed);
            let signature = secret.sign_schnorr(&[6; 32]);
            assert_eq!(secret.public().verify_schnorr(&[6; 32], &signature), Ok(()));
            assert_eq!(secret.public().verify_schnorr(&[7; 32], &signature), Err(EotsError::Mismatch));
            assert_eq!(secret.sign_schnorr(&[6; 32]), signature);
            assert_ne!(secret.sign_schnorr_with(&[6; 32], &[1; 32]), signature);
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_nothing_else() {
        for count in 1..=17 {
            let nonces = nonces(count);
            let tree = commit(&nonces).unwrap();
            assert_eq!((tree.total(), tree.root()), (count, split(&nonces)));
            assert_eq!(tree.proof(count), None);
            for index in 0..count {
                let proof = tree.proof(index).unwrap();
                for (leaf, nonce) in (0..).zip(&nonces) {
                    let held = proof.verify(&tree.root(), &nonce.to_bytes()).is_ok();
                    assert_eq!(held, leaf == index);
                }
            }
        }
    }

    /// The tree as RFC 6962 defines it.
    fn split(nonces: &[PublicNonce]) -> Hash32 {
        match nonces {
            [one] => hash_leaf(&one.0),
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                hash_inner(&split(left), &split(right))
            }
        }
    }

    #[test]
    fn a_bent_proof_is_refused() {
        let nonces = nonces(11);
        let tree = commit(&nonces).unwrap();
        let good = tree.proof(4).unwrap();
        let check = |bend: &dyn Fn(&mut MerkleProof)| {
            let mut proof = good.clone();
            bend(&mut proof);
            proof.verify(&tree.root(), &nonces[4].to_bytes())
        };
        assert_eq!(check(&|_| {}), Ok(()));
        assert_eq!(check(&|proof| proof.index = 5), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.index = 11), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.total = 4), Err(EotsError::Proof));
        assert_eq!(check(&|proof| (proof.index, proof.total) = (0, 0)), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.total = u64::MAX), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.aunts.truncate(3)), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.aunts.push([0; 32])), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.aunts.resize(65, [0; 32])), Err(EotsError::Proof));
        assert_eq!(check(&|proof| proof.aunts[0] = [0; 32]), Err(EotsError::Proof));
        assert_eq!(commit(&[]).unwrap_err(), EotsError::Empty);
    }

    #[test]
    fn secrets_do_not_print() {
        let printed = format!("{:?} {:?}", key(7), nonce(&key(7), &CHAIN, &DOMAIN, 0));
        assert_eq!(printed, "eots::SecretKey(…) eots::SecretNonce(…)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_pair_exposes_any_key(key in scalar(), nonce in scalar(), a: Hash32, b: Hash32) {
            prop_assume!(a != b);
            let nonce = SecretNonce(nonce);
            let (one, two) = (sign(&key, &nonce, &a), sign(&key, &nonce, &b));
            let extracted = extract(&key.public(), &nonce.public(), (&a, &one), (&b, &two)).unwrap();
            prop_assert_eq!(extracted.public(), key.public());
        }

        #[test]
        fn proofs_of_larger_trees_hold(count in 1..300_u64, pick: u64) {
            let nonces: Vec<_> = (0..count).map(|leaf| PublicNonce(crate::sha256(&leaf.to_be_bytes()))).collect();
            let (tree, index) = (commit(&nonces).unwrap(), pick % count);
            let leaf = nonces[usize::try_from(index).unwrap()].to_bytes();
            prop_assert_eq!(tree.proof(index).unwrap().verify(&tree.root(), &leaf), Ok(()));
        }
    }

    fn scalar() -> impl Strategy<Value = SecretKey> {
        any::<[u8; 32]>().prop_filter_map("a scalar", |bytes| SecretKey::from_bytes(&bytes).ok())
    }
}
