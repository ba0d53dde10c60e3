//! BLS12-381 with signatures in G1 (48 bytes) and keys in G2 (96 bytes): attestations and certificates.
//!
//! The scheme is the proof-of-possession one of draft-irtf-cfrg-bls-signature-05, over blst `min_sig`.
//! What makes aggregates sound:
//!
//! * A [`PublicKey`] is in its subgroup and not the identity; a [`Signature`] too. Only parsing (or
//!   signing) makes them, and parsing checks. A signature with a small-order part passes the pairing
//!   alone, and a batch that looks only at a random sum accepts it one time in three: the check is made
//!   for each signature, never for the sum.
//! * A key counts only with a proof of possession under its own domain separation tag, bound to
//!   (chain id, contract, operator, key) by whoever builds the message (R12). This module checks the
//!   proof; the registry remembers that it was checked.
//! * Certificates are sums over *named* signers. `k` and `-k` can both be registered and cancel in a sum,
//!   so blame rests on single signatures.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use blst::min_sig as core;
use blst::{BLST_ERROR, blst_fp12, blst_p1_affine, blst_p2, blst_p2_affine};
use zeroize::Zeroizing;

use crate::hash::Tag;
use crate::memo;

/// Domain separation of attestations and of everything else that is signed to be counted.
pub const SIGNATURE_DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Domain separation of proofs of possession, so that none can ever be a signature.
pub const POSSESSION_DST: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// Why a BLS key or signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// The bytes are no canonical encoding of a point of the curve (or of a secret scalar).
    #[error("bytes encode no BLS12-381 point or scalar")]
    Encoding,
    /// The point lies on the curve but outside the group of prime order.
    #[error("point is outside its subgroup")]
    Subgroup,
    /// The point is the identity, which signs everything for nobody.
    #[error("point is the identity")]
    Identity,
    /// The signature is well formed and does not match the message and key.
    #[error("signature does not match")]
    Mismatch,
    /// There is nothing to aggregate.
    #[error("nothing to aggregate")]
    Empty,
}

impl From<BLST_ERROR> for BlsError {
    fn from(error: BLST_ERROR) -> Self {
        match error {
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::Subgroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Identity,
            BLST_ERROR::BLST_VERIFY_FAIL => Self::Mismatch,
            BLST_ERROR::BLST_AGGR_TYPE_MISMATCH => Self::Empty,
            _ => Self::Encoding,
        }
    }
}

/// An operator's attestation secret. It is wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(core::SecretKey);

impl SecretKey {
    /// Derives the secret from 32 random bytes by the scheme's own `KeyGen`.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(core::SecretKey::key_gen(seed, &[]).expect("a seed of 32 bytes is long enough"))
    }

    /// Reads a big-endian scalar.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`] when it is zero or not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        Ok(Self(core::SecretKey::from_bytes(bytes)?))
    }

    /// The scalar, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a message. Signing is deterministic: the same message gives the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, SIGNATURE_DST, &[]))
    }

    /// Proves possession of this key. The message must name the key and whom it belongs to (R12).
    #[must_use]
    pub fn prove_possession(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, POSSESSION_DST, &[]))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bls::SecretKey(…)")
    }
}

/// A point of G2 in the subgroup, not the identity. Whether its owner proved possession is not known here.
#[derive(Clone, Copy)]
pub struct PublicKey(core::PublicKey);

impl PublicKey {
    /// Reads the compressed form.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`], [`BlsError::Subgroup`] or [`BlsError::Identity`].
    pub fn from_bytes(bytes: &[u8; 96]) -> Result<Self, BlsError> {
        let key = core::PublicKey::uncompress(bytes)?;
        memo::once(&[bytes], || key.validate())?;
        Ok(Self(key))
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 96] {
        self.0.compress()
    }

    /// Reads `x.c0 | x.c1 | y.c0 | y.c1`, each 48 bytes big-endian: the layout the contracts store.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`], [`BlsError::Subgroup`] or [`BlsError::Identity`].
    pub fn from_packed(packed: &[u8; 192]) -> Result<Self, BlsError> {
        let key = core::PublicKey::deserialize(&swap_coordinates(packed))?;
        key.validate()?;
        Ok(Self(key))
    }

    /// `x.c0 | x.c1 | y.c0 | y.c1`, each 48 bytes big-endian.
    #[must_use]
    pub fn to_packed(&self) -> [u8; 192] {
        swap_coordinates(&self.0.serialize())
    }

    /// Checks a signature over a message.
    ///
    /// # Errors
    ///
    /// [`BlsError::Mismatch`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BlsError> {
        self.check(message, SIGNATURE_DST, signature)
    }

    /// Checks a proof of possession over the message that names this key and its owner.
    ///
    /// # Errors
    ///
    /// [`BlsError::Mismatch`].
    pub fn verify_possession(&self, message: &[u8], proof: &Signature) -> Result<(), BlsError> {
        self.check(message, POSSESSION_DST, proof)
    }

    /// Checks that this key signed both messages, given only the sum of the two signatures: what the
    /// contract checks, `e(s1 + s2, g2) = e(H(m1) + H(m2), pk)`.
    ///
    /// The sum is proof only for a key whose possession is proven.
    ///
    /// # Errors
    ///
    /// [`BlsError::Mismatch`], also when the messages are equal.
    pub fn verify_pair(&self, messages: [&[u8]; 2], sum: &Signature) -> Result<(), BlsError> {
        if messages[0] == messages[1] {
            return Err(BlsError::Mismatch);
        }
        memo::once(&[b"pair", messages[0], messages[1], &sum.to_bytes(), &self.to_bytes()], || {
            outcome(sum.0.aggregate_verify(false, &messages, SIGNATURE_DST, &[&self.0, &self.0], false))
        })
    }

    fn check(&self, message: &[u8], dst: &[u8], signature: &Signature) -> Result<(), BlsError> {
        // Both points were checked when they were made.
        memo::once(&[dst, message, &signature.to_bytes(), &self.to_bytes()], || {
            outcome(signature.0.verify(false, message, dst, &[], &self.0, false))
        })
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "bls::PublicKey", &self.to_bytes())
    }
}

/// A point of G1 in the subgroup, not the identity: one signature, or the sum of several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(core::Signature);

impl Signature {
    /// Reads the compressed form.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`], [`BlsError::Subgroup`] or [`BlsError::Identity`].
    pub fn from_bytes(bytes: &[u8; 48]) -> Result<Self, BlsError> {
        let signature = core::Signature::uncompress(bytes)?;
        memo::once(&[bytes], || signature.validate(true))?;
        Ok(Self(signature))
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        self.0.compress()
    }

    /// Reads `x | y`, each 48 bytes big-endian.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`], [`BlsError::Subgroup`] or [`BlsError::Identity`].
    pub fn from_packed(packed: &[u8; 96]) -> Result<Self, BlsError> {
        let signature = core::Signature::deserialize(packed)?;
        signature.validate(true)?;
        Ok(Self(signature))
    }

    /// `x | y`, each 48 bytes big-endian: the form the contracts take.
    #[must_use]
    pub fn to_packed(&self) -> [u8; 96] {
        self.0.serialize()
    }

    /// The sum: a certificate's signature, or the two signatures of a pair in one.
    ///
    /// # Errors
    ///
    /// [`BlsError::Empty`] when there is none, [`BlsError::Identity`] when they cancel.
    pub fn aggregate(signatures: &[Self]) -> Result<Self, BlsError> {
        let points: Vec<&core::Signature> = signatures.iter().map(|signature| &signature.0).collect();
        let sum = core::AggregateSignature::aggregate(&points, false)?.to_signature();
        // A sum of points of the subgroup is in the subgroup; only the identity is left to refuse.
        if is_identity(sum.compress()[0]) { Err(BlsError::Identity) } else { Ok(Self(sum)) }
    }
}

impl Hash for Signature {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "bls::Signature", &self.to_bytes())
    }
}

/// A running sum of keys: all of a committee, less those who are absent. It starts at the identity.
#[derive(Clone, Copy)]
pub struct AggregateKey(core::AggregatePublicKey);

impl AggregateKey {
    /// The sum of the keys.
    #[must_use]
    pub fn sum<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        let mut sum = Self::default();
        keys.into_iter().for_each(|key| sum.add(key));
        sum
    }

    /// Adds a key.
    pub fn add(&mut self, key: &PublicKey) {
        self.0.add_aggregate(&core::AggregatePublicKey::from_public_key(&key.0));
    }

    /// Takes a key away.
    pub fn subtract(&mut self, key: &PublicKey) {
        self.0.sub_aggregate(&core::AggregatePublicKey::from_public_key(&key.0));
    }

    /// The sum as a key.
    ///
    /// # Errors
    ///
    /// [`BlsError::Identity`] when the keys cancel, or when there is none.
    pub fn to_key(&self) -> Result<PublicKey, BlsError> {
        let key = self.0.to_public_key();
        // Sums of checked keys are in the subgroup; only the identity is left to refuse.
        if is_identity(key.compress()[0]) { Err(BlsError::Identity) } else { Ok(PublicKey(key)) }
    }
}

impl Default for AggregateKey {
    fn default() -> Self {
        Self(blst_p2::default().into())
    }
}

impl fmt::Debug for AggregateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short_hex(f, "bls::AggregateKey", &self.0.to_public_key().compress())
    }
}

/// Checks that all these keys signed one message, given the sum of their signatures.
///
/// Every key must have a proof of possession, or a rogue key stands in for the others.
///
/// # Errors
///
/// [`BlsError::Empty`], [`BlsError::Identity`] when the keys cancel, or [`BlsError::Mismatch`].
pub fn verify_aggregate(keys: &[PublicKey], message: &[u8], signature: &Signature) -> Result<(), BlsError> {
    if keys.is_empty() {
        return Err(BlsError::Empty);
    }
    AggregateKey::sum(keys).to_key()?.verify(message, signature)
}

/// Checks many signatures over one message at the price of about one, and names the bad ones by index.
///
/// Each (key, signature) is weighed by a number of 64 bits and the weighted sums are checked with one pairing: n bad
/// signatures pass with a chance of 2^-63, and only for somebody who knows the weights beforehand with a better one. So
/// `seed` must be fresh randomness that whoever made the signatures cannot know. The subgroup check of every single
/// signature was made when it was parsed; a sum hides small-order parts.
///
/// A batch that fails is searched with plain sums, which cost almost nothing, and halved. What a half lacks, the other has: the
/// right half's pairing is the whole's without the left's, so that every step costs one pairing, and a right half is not looked at
/// when it must be bad. Whoever is named is bad alone. Errors that cancel in a plain sum hide from the search: so the weighted
/// whole must hold without the named ones, or else everything is searched again with weighted sums.
///
/// # Errors
///
/// The indices of all pairs that do not verify alone, ascending.
pub fn verify_same_message(
    message: &[u8],
    pairs: &[(PublicKey, Signature)],
    seed: &[u8; 32],
) -> Result<(), Vec<usize>> {
    let bad = verify_messages(&[Claim { message, pairs }], seed).pop().unwrap_or_default();
    if bad.is_empty() { Ok(()) } else { Err(bad) }
}

/// One message and those who are said to have signed it.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// What was signed.
    pub message: &'a [u8],
    /// By whom, and the signatures.
    pub pairs: &'a [(PublicKey, Signature)],
}

/// [`verify_same_message`] for several messages, which share all but the pairing of each message with its own signers. The answers
/// are in the order of the claims: the indices of the pairs that do not verify alone.
#[must_use]
pub fn verify_messages(claims: &[Claim<'_>], seed: &[u8; 32]) -> Vec<Vec<usize>> {
    let mut bad = vec![Vec::new(); claims.len()];
    let some: Vec<usize> = (0..claims.len()).filter(|place| !claims[*place].pairs.is_empty()).collect();
    if let [only] = some[..]
        && let [(key, signature)] = claims[only].pairs
    {
        if key.verify(claims[only].message, signature).is_err() {
            bad[only].push(0);
        }
        return bad;
    }
    let mut weighed = 0;
    let batches: Vec<Batch<'_>> = some
        .iter()
        .map(|place| {
            weighed += claims[*place].pairs.len();
            Batch::new(&claims[*place], seed, weighed - claims[*place].pairs.len())
        })
        .collect();
    let sums: Vec<Summed> = batches.iter().map(Batch::whole).collect();
    if !hold(&batches, &sums) {
        for ((place, batch), sum) in some.iter().zip(&batches).zip(&sums) {
            bad[*place] = batch.bad(sum);
        }
    }
    bad
}

/// Whether the weighted sums of all batches hold together.
fn hold(batches: &[Batch<'_>], sums: &[Summed]) -> bool {
    let mut pairing = blst::Pairing::new(true, SIGNATURE_DST);
    let taken = batches.iter().zip(sums).all(|(batch, (keys, signatures))| {
        let (key, signature): (blst_p2_affine, blst_p1_affine) =
            (keys.to_public_key().into(), signatures.to_signature().into());
        // All points were checked when they were made. A sum that is the identity is refused here, and looked at alone.
        pairing.aggregate(&key, false, &signature, false, batch.message, &[]) == BLST_ERROR::BLST_SUCCESS
    });
    pairing.commit();
    taken && pairing.finalverify(None)
}

/// Keys and signatures added up.
type Summed = (core::AggregatePublicKey, core::AggregateSignature);

/// The inputs of one same-message check, side by side as blst wants them.
struct Batch<'a> {
    message: &'a [u8],
    keys: Vec<core::PublicKey>,
    signatures: Vec<core::Signature>,
    weights: Vec<u64>,
    /// The message as a point: only a search needs it.
    point: OnceCell<blst_p1_affine>,
}

/// The two sides of the check of some pairs, which are equal after the final exponentiation when all of them hold:
/// e(weighted signatures, generator) and e(message, weighted keys).
#[derive(Clone, Copy)]
struct Balance {
    signed: blst_fp12,
    owed: blst_fp12,
}

impl Balance {
    fn holds(&self) -> bool {
        blst_fp12::finalverify(&self.signed, &self.owed)
    }

    /// What is left of a whole when a part of it is taken away.
    fn without(&self, part: &Self) -> Self {
        Self { signed: self.signed * part.owed, owed: self.owed * part.signed }
    }
}

impl<'a> Batch<'a> {
    /// Weights are numbered over all batches of a check; the very first may be one, since it is the others that must not fit to it.
    fn new(claim: &Claim<'a>, seed: &[u8; 32], first: usize) -> Self {
        let weights = first..first + claim.pairs.len();
        Self {
            message: claim.message,
            keys: claim.pairs.iter().map(|(key, _)| key.0).collect(),
            signatures: claim.pairs.iter().map(|(_, signature)| signature.0).collect(),
            weights: weights.map(|index| if index == 0 { 1 } else { weight(seed, index) }).collect(),
            point: OnceCell::new(),
        }
    }

    fn places(&self) -> Vec<usize> {
        (0..self.keys.len()).collect()
    }

    /// The weighted sums of all, of whom there is at least one.
    fn whole(&self) -> Summed {
        self.weighted_sums(&self.places())
    }

    /// The bad ones of a batch that may hold by itself.
    fn bad(&self, whole: &Summed) -> Vec<usize> {
        let (whole, all) = (self.paired(whole), self.places());
        if whole.holds() {
            return Vec::new();
        }
        let found = self.search(&all, Self::plain);
        if !found.is_empty() && whole.without(&self.weighted(&found)).holds() {
            return found;
        }
        self.search(&all, Self::weighted)
    }

    /// The bad ones, as far as such sums show them.
    fn search(&self, places: &[usize], sums: Sums<'a>) -> Vec<usize> {
        let (balance, mut bad) = (sums(self, places), Vec::new());
        if !balance.holds() {
            self.collect_bad(places, &balance, sums, &mut bad);
        }
        bad
    }

    /// Adds the bad ones of some whose balance fails.
    fn collect_bad(&self, places: &[usize], balance: &Balance, sums: Sums<'a>, bad: &mut Vec<usize>) {
        let (first, second) = match places {
            [place] => return bad.push(*place),
            _ => places.split_at(places.len() / 2),
        };
        let left = sums(self, first);
        let right = balance.without(&left);
        let left_holds = left.holds();
        if !left_holds {
            self.collect_bad(first, &left, sums, bad);
        }
        if left_holds || !right.holds() {
            self.collect_bad(second, &right, sums, bad);
        }
    }

    /// The weighted sums of some, paired.
    fn weighted(&self, places: &[usize]) -> Balance {
        self.paired(&self.weighted_sums(places))
    }

    fn weighted_sums(&self, places: &[usize]) -> Summed {
        let weights: Vec<u64> = places.iter().map(|place| self.weights[*place]).collect();
        let keys: Vec<_> = places.iter().map(|place| self.keys[*place]).collect();
        let signatures: Vec<_> = places.iter().map(|place| self.signatures[*place]).collect();
        if places.len() < MANY {
            let keys: Vec<_> = keys.iter().map(core::AggregatePublicKey::from_public_key).collect();
            let signatures: Vec<_> = signatures.iter().map(core::AggregateSignature::from_signature).collect();
            return (
                weighted_sum(&keys, &weights, |sum, one| sum.add_aggregate(one)),
                weighted_sum(&signatures, &weights, |sum, one| sum.add_aggregate(one)),
            );
        }
        let weights: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let keys = core::AggregatePublicKey::aggregate_with_randomness(&keys, &weights, 64, false);
        let signatures = core::AggregateSignature::aggregate_with_randomness(&signatures, &weights, 64, false);
        (keys.expect(SOME), signatures.expect(SOME))
    }

    /// The bare sums of some, paired.
    fn plain(&self, places: &[usize]) -> Balance {
        let keys: Vec<_> = places.iter().map(|place| &self.keys[*place]).collect();
        let signatures: Vec<_> = places.iter().map(|place| &self.signatures[*place]).collect();
        let keys = core::AggregatePublicKey::aggregate(&keys, false);
        let signatures = core::AggregateSignature::aggregate(&signatures, false);
        self.paired(&(keys.expect(SOME), signatures.expect(SOME)))
    }

    fn paired(&self, (keys, signatures): &Summed) -> Balance {
        /// The generator of G2.
        static GENERATOR: LazyLock<blst_p2_affine> = LazyLock::new(|| one().sk_to_pk().into());
        let point = self.point.get_or_init(|| one().sign(self.message, SIGNATURE_DST, &[]).into());
        Balance {
            signed: blst_fp12::miller_loop(&GENERATOR, &signatures.to_signature().into()),
            owed: blst_fp12::miller_loop(&keys.to_public_key().into(), point),
        }
    }
}

/// One way to add some of a batch up.
type Sums<'a> = fn(&Batch<'a>, &[usize]) -> Balance;

const SOME: &str = "there is at least one, and nothing else is looked at";

/// From so many points on blst's own sum is faster: it sorts them into buckets and uses several threads. Below that it would multiply each
/// by itself, with doublings of its own, and wake threads for it.
const MANY: usize = 32;

/// The sum of the points, each times its weight, of which none is zero: Straus's method with sliding windows of three bits, so that
/// all share their doublings. It takes as long as the weights are, and nothing here is secret.
fn weighted_sum<P: Copy>(points: &[P], weights: &[u64], add: impl Fn(&mut P, &P)) -> P {
    let sum_of = |one: P, other: &P| {
        let mut sum = one;
        add(&mut sum, other);
        sum
    };
    // What is to be added after which doubling.
    let mut due: Vec<Vec<P>> = vec![Vec::new(); 64];
    for (point, weight) in points.iter().zip(weights) {
        // The odd multiples.
        let mut odd = [*point; 4];
        if *weight > 1 {
            let twice = sum_of(*point, point);
            (1..4).for_each(|at| odd[at] = sum_of(odd[at - 1], &twice));
        }
        let mut bit = 0;
        while bit < 64 {
            let window = weight >> bit & 7;
            if window & 1 == 0 {
                bit += 1;
                continue;
            }
            due[bit].push(odd[(window >> 1) as usize]);
            bit += 3;
        }
    }
    let mut sum: Option<P> = None;
    for points in due.iter().rev() {
        sum = sum.map(|sum| sum_of(sum, &sum));
        for point in points {
            sum = Some(sum.map_or(*point, |sum| sum_of(sum, point)));
        }
    }
    sum.expect(SOME)
}

/// The weight of one pair, never zero: a zero would leave its signature unchecked.
fn weight(seed: &[u8; 32], index: usize) -> u64 {
    let hash = Tag::Batch.hash(&[seed, &(index as u64).to_be_bytes()]);
    hash.iter().take(8).fold(0, |weight, byte| weight << 8 | u64::from(*byte)) | 1
}

/// The scalar one: its signatures are the points that messages hash to, its key is the generator.
fn one() -> core::SecretKey {
    let mut one = [0; 32];
    one[31] = 1;
    core::SecretKey::from_bytes(&one).expect("one is a scalar")
}

/// The point of G1 that a message hashes to under a tag, as `x | y`.
///
/// Only checks of other implementations need it: the contracts' tests and the RFC 9380 vectors.
#[must_use]
pub fn hash_to_curve(message: &[u8], dst: &[u8]) -> [u8; 96] {
    one().sign(message, dst, &[]).serialize()
}

fn outcome(result: BLST_ERROR) -> Result<(), BlsError> {
    match result {
        BLST_ERROR::BLST_SUCCESS => Ok(()),
        error => Err(error.into()),
    }
}

/// Whether the first byte of a compressed point marks the identity.
const fn is_identity(first: u8) -> bool {
    first & 0x40 != 0
}

/// Swaps `c1 | c0` (the order of the serialised form) and `c0 | c1` (the order of EIP-2537) in both
/// coordinates.
fn swap_coordinates(bytes: &[u8; 192]) -> [u8; 192] {
    let mut swapped = [0; 192];
    for (to, from) in [48, 0, 144, 96].into_iter().enumerate() {
        swapped[to * 48..(to + 1) * 48].copy_from_slice(&bytes[from..from + 48]);
    }
    swapped
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

    const MESSAGE: &[u8] = &[7; 32];
    const SEED: &[u8; 32] = &[9; 32];

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn keys(count: u8) -> Vec<SecretKey> {
        (1..=count).map(key).collect()
    }

    /// Pairs over [`MESSAGE`] in which the signers at `liars` sign something else.
    fn pairs(count: u8, liars: &[usize]) -> Vec<(PublicKey, Signature)> {
        keys(count)
            .iter()
            .enumerate()
            .map(|(index, key)| {
                let message = if liars.contains(&index) { b"another" } else { MESSAGE };
                (key.public(), key.sign(message))
            })
            .collect()
    }

    fn unhex<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn a_signature_is_for_one_key_one_message_and_one_purpose() {
        let (ours, theirs) = (key(1), key(2));
        let (signature, proof) = (ours.sign(MESSAGE), ours.prove_possession(MESSAGE));
        assert_eq!(ours.public().verify(MESSAGE, &signature), Ok(()));
        assert_eq!(ours.public().verify_possession(MESSAGE, &proof), Ok(()));
        for (key, message, signature) in
            [(&ours, b"other".as_slice(), &signature), (&theirs, MESSAGE, &signature), (&ours, MESSAGE, &proof)]
        {
            assert_eq!(key.public().verify(message, signature), Err(BlsError::Mismatch));
        }
        assert_eq!(ours.public().verify_possession(MESSAGE, &signature), Err(BlsError::Mismatch));
        assert_eq!(ours.sign(MESSAGE), signature, "signing again is publishing again");
    }

    #[test]
    fn encodings_are_inverse_to_each_other() {
        for secret in keys(8) {
            let (public, signature) = (secret.public(), secret.sign(MESSAGE));
            assert_eq!(SecretKey::from_bytes(&secret.to_bytes()).unwrap().public(), public);
            assert_eq!(PublicKey::from_bytes(&public.to_bytes()), Ok(public));
            assert_eq!(PublicKey::from_packed(&public.to_packed()), Ok(public));
            assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
            assert_eq!(Signature::from_packed(&signature.to_packed()), Ok(signature));
            let (packed, compressed) = (public.to_packed(), public.to_bytes());
            assert_eq!(packed[48..96][1..], compressed[..48][1..], "x.c1 leads the compressed form");
            assert_eq!(packed[..48], compressed[48..], "x.c0 leads the packed form");
        }
    }

    #[test]
    fn identities_and_bad_bytes_are_refused() {
        let mut identity_key = [0; 96];
        identity_key[0] = 0xc0;
        let mut identity_signature = [0; 48];
        identity_signature[0] = 0xc0;
        assert_eq!(PublicKey::from_bytes(&identity_key), Err(BlsError::Identity));
        assert_eq!(Signature::from_bytes(&identity_signature), Err(BlsError::Identity));
        // All zeros are (0, 0), which is on neither curve; 0x40 marks the uncompressed identity.
        assert!(PublicKey::from_packed(&[0; 192]).is_err());
        assert!(Signature::from_packed(&[0; 96]).is_err());
        let mut marked = [0; 96];
        marked[0] = 0x40;
        assert_eq!(Signature::from_packed(&marked), Err(BlsError::Identity));
        assert_eq!(Signature::from_bytes(&[0xff; 48]), Err(BlsError::Encoding));
        assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), BlsError::Encoding);
        assert_eq!(SecretKey::from_bytes(&[0xff; 32]).unwrap_err(), BlsError::Encoding);
    }

    #[test]
    fn a_key_with_its_coordinates_swapped_is_refused() {
        let swapped = swap_coordinates(&key(1).public().to_packed());
        assert!(PublicKey::from_packed(&swapped).is_err());
    }

    /// A valid signature plus a point of order three: the pairing alone accepts it.
    #[test]
    fn torsion_is_refused_when_parsed() {
        let key = PublicKey::from_bytes(&unhex(
            "8a06cc817df2008af6fe10d69fd74ebd5e24d138cbfd0b857ea4d60b8d327a8e8f0ffc1a9d6a3ea5a1a7af2\
             66986b6590b513582cb2cf6834e1e89392bec810404e92e93dbca75f83ef5c863bfa53ae6c43ed1cc664aa1\
             8a158e3e349b7f10cb",
        ))
        .unwrap();
        let bytes = unhex(
            "82ce0023581508b4043e14139ab19cb128dfbefc4aa3b72b5f36a4dccec9bf14e34fe5b1538c7e38c70fdc6\
             24cdd69e8",
        );
        assert_eq!(Signature::from_bytes(&bytes), Err(BlsError::Subgroup));
        let unchecked = Signature(core::Signature::uncompress(&bytes).unwrap());
        assert_eq!(key.verify(&[7; 32], &unchecked), Ok(()), "only the subgroup check stops it");
        assert_eq!(Signature::from_packed(&unchecked.to_packed()), Err(BlsError::Subgroup));
    }

    #[test]
    fn an_aggregate_is_for_exactly_its_signers() {
        let secrets = keys(5);
        let publics: Vec<_> = secrets.iter().map(SecretKey::public).collect();
        let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(MESSAGE)).collect();
        let sum = Signature::aggregate(&signatures).unwrap();
        assert_eq!(verify_aggregate(&publics, MESSAGE, &sum), Ok(()));
        assert_eq!(verify_aggregate(&publics[1..], MESSAGE, &sum), Err(BlsError::Mismatch));
        assert_eq!(verify_aggregate(&publics, b"other", &sum), Err(BlsError::Mismatch));
        assert_eq!(verify_aggregate(&[], MESSAGE, &sum), Err(BlsError::Empty));
        assert_eq!(Signature::aggregate(&[]), Err(BlsError::Empty));
        assert_eq!(Signature::aggregate(&signatures[..1]), Ok(signatures[0]));
    }

    #[test]
    fn absent_keys_are_taken_from_the_sum() {
        let publics: Vec<_> = keys(6).iter().map(SecretKey::public).collect();
        let mut sum = AggregateKey::sum(&publics);
        sum.subtract(&publics[0]);
        sum.subtract(&publics[5]);
        assert_eq!(sum.to_key(), AggregateKey::sum(&publics[1..5]).to_key());
        publics[1..5].iter().for_each(|key| sum.subtract(key));
        assert_eq!(sum.to_key(), Err(BlsError::Identity));
        sum.add(&publics[2]);
        assert_eq!(sum.to_key(), Ok(publics[2]), "the identity is where a sum starts again");
        sum.add(&publics[2]);
        assert_eq!(sum.to_key(), AggregateKey::sum([&publics[2], &publics[2]]).to_key());
    }

    #[test]
    fn signatures_and_keys_that_cancel_are_refused() {
        const ORDER_LESS_ONE: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";
        let mut one = [0; 32];
        one[31] = 1;
        let (one, minus_one) =
            (SecretKey::from_bytes(&one).unwrap(), SecretKey::from_bytes(&unhex(ORDER_LESS_ONE)).unwrap());
        let signatures = [one.sign(MESSAGE), minus_one.sign(MESSAGE)];
        assert_eq!(Signature::aggregate(&signatures), Err(BlsError::Identity));
        let publics = [one.public(), minus_one.public()];
        assert_eq!(verify_aggregate(&publics, MESSAGE, &signatures[0]), Err(BlsError::Identity));
        let pairs = [(publics[0], signatures[0]), (publics[1], signatures[1])];
        assert_eq!(verify_same_message(MESSAGE, &pairs, SEED), Ok(()), "each is honest by itself");
    }

    #[test]
    fn a_pair_needs_two_messages_of_one_key() {
        let (ours, theirs) = (key(1), key(2));
        let sum = Signature::aggregate(&[ours.sign(b"a"), ours.sign(b"b")]).unwrap();
        assert_eq!(ours.public().verify_pair([b"a", b"b"], &sum), Ok(()));
        assert_eq!(ours.public().verify_pair([b"b", b"a"], &sum), Ok(()));
        assert_eq!(ours.public().verify_pair([b"a", b"c"], &sum), Err(BlsError::Mismatch));
        assert_eq!(theirs.public().verify_pair([b"a", b"b"], &sum), Err(BlsError::Mismatch));
        let twice = Signature::aggregate(&[ours.sign(b"a"), ours.sign(b"a")]).unwrap();
        assert_eq!(ours.public().verify_pair([b"a", b"a"], &twice), Err(BlsError::Mismatch));
        let mixed = Signature::aggregate(&[ours.sign(b"a"), theirs.sign(b"b")]).unwrap();
        assert_eq!(ours.public().verify_pair([b"a", b"b"], &mixed), Err(BlsError::Mismatch));
    }

    #[test]
    fn a_batch_names_exactly_the_bad_ones() {
        for (count, liars) in [
            (0, vec![]),
            (1, vec![]),
            (1, vec![0]),
            (2, vec![1]),
            (7, vec![0, 6]),
            (40, vec![]),
            (40, vec![17]),
            (40, vec![0, 1, 20, 39]),
            (5, vec![0, 1, 2, 3, 4]),
        ] {
            let expected = if liars.is_empty() { Ok(()) } else { Err(liars.clone()) };
            assert_eq!(verify_same_message(MESSAGE, &pairs(count, &liars), SEED), expected);
        }
    }

    /// Two signatures exchanged have the right sum, and so have (s1 + x, s2 - x).
    #[test]
    fn errors_that_cancel_in_a_plain_sum_are_named() {
        let mut crossed = pairs(34, &[]);
        (crossed[3].1, crossed[9].1) = (crossed[9].1, crossed[3].1);
        assert_eq!(verify_same_message(MESSAGE, &crossed, SEED), Err(vec![3, 9]));
        let sum: Vec<_> = crossed.iter().map(|(_, signature)| *signature).collect();
        let publics: Vec<_> = crossed.iter().map(|(key, _)| *key).collect();
        let sum = Signature::aggregate(&sum).unwrap();
        assert_eq!(verify_aggregate(&publics, MESSAGE, &sum), Ok(()), "a plain sum does not see it");
        // Beside a bad one that a plain sum does see, which the search by plain sums finds first.
        crossed[20].1 = crossed[21].1;
        assert_eq!(verify_same_message(MESSAGE, &crossed, SEED), Err(vec![3, 9, 20]));
        crossed[9].1 = crossed[3].1;
        assert_eq!(verify_same_message(MESSAGE, &crossed, SEED), Err(vec![3, 20]));
    }

    /// The bad ones of a batch are those that do not verify alone, wherever they stand.
    #[test]
    fn a_batch_says_of_every_place_what_a_single_check_says() {
        for seed in 0..40_u8 {
            let liars: Vec<usize> =
                (0..23).filter(|place| Tag::Batch.hash(&[&[seed, *place as u8]])[0] % 8 < seed / 6).collect();
            let batch = pairs(23, &liars);
            let alone = |(key, signature): &(PublicKey, Signature)| key.verify(MESSAGE, signature).is_err();
            let bad: Vec<usize> = (0..23).filter(|place| alone(&batch[*place])).collect();
            assert_eq!(bad, liars);
            assert_eq!(verify_same_message(MESSAGE, &batch, &[seed; 32]).err().unwrap_or_default(), bad);
        }
    }

    #[test]
    fn several_messages_are_checked_together_and_each_names_its_own_bad_ones() {
        for liars in [[&[][..], &[], &[]], [&[0], &[], &[]], [&[], &[], &[1, 2]], [&[4], &[0], &[0, 1, 2]]] {
            let counts = [5, 1, 3];
            let messages = [&b"one"[..], b"two", b"three"];
            let sign = |claim: usize, place: usize, key: &SecretKey| {
                let message = if liars[claim].contains(&place) { b"another" } else { messages[claim] };
                (key.public(), key.sign(message))
            };
            let signed = |claim: usize| -> Vec<_> {
                keys(counts[claim]).iter().enumerate().map(|(place, key)| sign(claim, place, key)).collect()
            };
            let pairs: Vec<Vec<_>> = (0..3).map(signed).collect();
            let mut claims: Vec<_> = (0..3).map(|at| Claim { message: messages[at], pairs: &pairs[at] }).collect();
            claims.insert(1, Claim { message: b"nobody", pairs: &[] });
            let bad = verify_messages(&claims, SEED);
            assert_eq!(bad, [liars[0], &[], liars[1], liars[2]]);
        }
    }

    /// Errors of two messages that would cancel in a sum of both.
    #[test]
    fn errors_that_cancel_between_messages_are_named() {
        let key = key(1);
        let (one, two) = (key.sign(b"one"), key.sign(b"two"));
        let crossed = [[(key.public(), two)], [(key.public(), one)]];
        let claims = [Claim { message: b"one", pairs: &crossed[0] }, Claim { message: b"two", pairs: &crossed[1] }];
        assert_eq!(verify_messages(&claims, SEED), [[0], [0]]);
    }

    #[test]
    fn a_weighted_sum_is_what_blst_says_it_is() {
        for count in [1_u8, 2, 3, 10, 31] {
            let pairs = pairs(count, &[]);
            let claim = Claim { message: MESSAGE, pairs: &pairs };
            for (seed, first) in [(1, 0), (2, 1), (3, 77)] {
                let batch = Batch::new(&claim, &[seed; 32], first);
                let (keys, signatures) = batch.whole();
                let weights: Vec<u8> = batch.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
                let theirs = core::AggregatePublicKey::aggregate_with_randomness(&batch.keys, &weights, 64, false);
                assert_eq!(keys.to_public_key(), theirs.unwrap().to_public_key());
                let theirs =
                    core::AggregateSignature::aggregate_with_randomness(&batch.signatures, &weights, 64, false);
                assert_eq!(signatures.to_signature(), theirs.unwrap().to_signature());
            }
        }
        // Sums of numbers, for weights of every shape.
        for weight in [1, 2, 3, 7, 8, 9, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff, 0xdead_beef_0123_4567_u64] {
            let sum = weighted_sum(&[5_u128, 1], &[weight, 1], |sum, one| *sum += one);
            assert_eq!(sum, 5 * u128::from(weight) + 1);
        }
    }

    #[test]
    fn the_same_signature_many_times_is_no_trouble() {
        let pair = (key(1).public(), key(1).sign(MESSAGE));
        assert_eq!(verify_same_message(MESSAGE, &[pair; 64], SEED), Ok(()));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", key(7)), "bls::SecretKey(…)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_altered_byte_is_accepted(seed: [u8; 32], place in 0..48_usize, flip in 1..=255_u8) {
            let secret = SecretKey::from_seed(&seed);
            let mut bytes = secret.sign(MESSAGE).to_bytes();
            bytes[place] ^= flip;
            let accepted = Signature::from_bytes(&bytes)
                .and_then(|signature| secret.public().verify(MESSAGE, &signature));
            prop_assert!(accepted.is_err());
        }

        #[test]
        fn the_order_of_a_sum_does_not_matter(seeds in proptest::collection::vec(any::<[u8; 32]>(), 2..6)) {
            let secrets: Vec<_> = seeds.iter().map(SecretKey::from_seed).collect();
            let mut signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(MESSAGE)).collect();
            let forward = Signature::aggregate(&signatures);
            signatures.reverse();
            prop_assert_eq!(forward, Signature::aggregate(&signatures));
        }

        #[test]
        fn parsers_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 192)) {
            let _ = PublicKey::from_packed(bytes[..192].try_into().unwrap());
            let _ = PublicKey::from_bytes(bytes[..96].try_into().unwrap());
            let _ = Signature::from_packed(bytes[..96].try_into().unwrap());
            let _ = Signature::from_bytes(bytes[..48].try_into().unwrap());
        }
    }
}
