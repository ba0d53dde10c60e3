//! Schnorr adaptor signatures: a covenant member signs a slashing transaction so that only the finality
//! provider's key completes the signature.
//!
//! The scheme is Babylon's (`crypto/schnorr-adaptor-signature`), 65 bytes: the point `R0 = kG + T`
//! compressed, then `s = k + e·d` with `e = H("BIP0340/challenge", R0.x | P.x | m)` and k negated when
//! `R0` is odd. T is the finality provider's key, always the even point. The completed BIP-340 signature
//! is `R0.x | s'` with `s' = s ± t`, and whoever sees both forms learns `t`: that is how an unjust
//! completion exposes the one who made it.

use std::fmt;

use k256::elliptic_curve::PrimeField;
use secp256k1::{Parity, SECP256K1, Scalar};
use zeroize::Zeroizing;

use crate::eots::{self, PublicKey, SecretKey};
use crate::hash::{Hash32, tagged_hash};

/// Why an adaptor signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdaptorError {
    /// The bytes are not 65 (or, in the legacy form, 66), or encode no point or no scalar.
    #[error("bytes encode no adaptor signature")]
    Encoding,
    /// The adaptor signature is not by this signer, over this message, encrypted to this key.
    #[error("adaptor signature does not match")]
    Mismatch,
    /// The completed signature is not this adaptor signature completed.
    #[error("signature does not complete this adaptor signature")]
    Unrelated,
}

/// A signature that lacks the encryption key's secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdaptorSignature {
    /// `R0`, compressed.
    nonce: [u8; 33],
    /// `s`, big-endian, not zero and below the order.
    s: [u8; 32],
}

/// Signs a message's hash so that only the secret of `encryption` completes the signature.
///
/// The nonce depends on the key, the message, the encryption key and `aux`; with `aux` fixed, signing is
/// deterministic.
#[must_use]
pub fn sign(key: &SecretKey, message: &Hash32, encryption: &PublicKey, aux: &[u8; 32]) -> AdaptorSignature {
    let even = key.even();
    let nonce = derive_nonce(key, message, encryption, aux);
    let nonce_point = nonce
        .inner()
        .public_key(SECP256K1)
        .combine(&encryption.point())
        .expect("a nonce that cancels the encryption key is a broken hash");
    let (nonce_x, parity) = nonce_point.x_only_public_key();
    let nonce = match parity {
        Parity::Even => *nonce.inner(),
        Parity::Odd => nonce.inner().negate(),
    };
    let s = even
        .inner()
        .mul_tweak(&challenge(&nonce_x.serialize(), &key.public(), message))
        .and_then(|product| product.add_tweak(&nonce.into()))
        .expect("a challenge of zero, or one that cancels the nonce, is a broken hash");
    AdaptorSignature { nonce: nonce_point.serialize(), s: s.secret_bytes() }
}

impl AdaptorSignature {
    /// Reads 65 bytes, or Babylon's older form of 66: `02 | R0.x | s | parity`.
    ///
    /// # Errors
    ///
    /// [`AdaptorError::Encoding`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AdaptorError> {
        let (&first, rest) = bytes.split_first().ok_or(AdaptorError::Encoding)?;
        let prefix = match (first, rest.len(), rest.last()) {
            (2 | 3, 64, _) => first,
            (2, 65, Some(parity @ (0 | 1))) => 2 + parity,
            _ => return Err(AdaptorError::Encoding),
        };
        let mut nonce = [prefix; 33];
        nonce[1..].copy_from_slice(&rest[..32]);
        let mut s = [0; 32];
        s.copy_from_slice(&rest[32..64]);
        secp256k1::PublicKey::from_slice(&nonce).map_err(|_| AdaptorError::Encoding)?;
        secp256k1::SecretKey::from_slice(&s).map_err(|_| AdaptorError::Encoding)?;
        Ok(Self { nonce, s })
    }

    /// The 65 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        bytes[..33].copy_from_slice(&self.nonce);
        bytes[33..].copy_from_slice(&self.s);
        bytes
    }

    /// Checks that the signature becomes `signer`'s over `message` once `encryption`'s secret is known.
    ///
    /// # Errors
    ///
    /// [`AdaptorError::Mismatch`].
    pub fn verify(&self, signer: &PublicKey, message: &Hash32, encryption: &PublicKey) -> Result<(), AdaptorError> {
        let found = self.encryption_point(signer, message).map_err(|_| AdaptorError::Mismatch)?;
        if found == encryption.point() { Ok(()) } else { Err(AdaptorError::Mismatch) }
    }

    /// The point whose secret completes the signature: `T = R0 - R` when `R0` is even, else `R0 + R`, with
    /// `R = sG - eP`.
    fn encryption_point(&self, signer: &PublicKey, message: &Hash32) -> Result<secp256k1::PublicKey, secp256k1::Error> {
        let nonce_point = secp256k1::PublicKey::from_slice(&self.nonce)?;
        let challenge = challenge(&self.nonce_x(), signer, message);
        let signed = signer.point().mul_tweak(SECP256K1, &challenge)?.negate(SECP256K1);
        let partial = self.s_scalar().public_key(SECP256K1).combine(&signed)?;
        match self.parity() {
            Parity::Even => nonce_point.combine(&partial.negate(SECP256K1)),
            Parity::Odd => nonce_point.combine(&partial),
        }
    }

    /// Completes the signature. The secret may be the one whose point is odd: it is negated then, for the
    /// encryption key is always the even point.
    ///
    /// # Errors
    ///
    /// [`AdaptorError::Mismatch`] when the sum is zero, which no verified adaptor signature gives.
    pub fn decrypt(&self, secret: &SecretKey) -> Result<[u8; 64], AdaptorError> {
        let secret = secret.even();
        let tweak = match self.parity() {
            Parity::Even => *secret.inner(),
            Parity::Odd => secret.inner().negate(),
        };
        let s = self.s_scalar().add_tweak(&tweak.into()).map_err(|_| AdaptorError::Mismatch)?;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&self.nonce_x());
        signature[32..].copy_from_slice(&s.secret_bytes());
        Ok(signature)
    }

    /// The secret that completed this signature, given the completed one: the scalar whose point is even,
    /// when the adaptor signature verified. Whoever asks compares its public key with the one expected.
    ///
    /// # Errors
    ///
    /// [`AdaptorError::Unrelated`] when the signature has another nonce, no scalar, or the very same one.
    pub fn recover(&self, signature: &[u8; 64]) -> Result<SecretKey, AdaptorError> {
        if signature[..32] != self.nonce_x() {
            return Err(AdaptorError::Unrelated);
        }
        let completed = secp256k1::SecretKey::from_slice(&signature[32..]).map_err(|_| AdaptorError::Unrelated)?;
        let difference = completed.add_tweak(&self.s_scalar().negate().into()).map_err(|_| AdaptorError::Unrelated)?;
        Ok(SecretKey::from_inner(match self.parity() {
            Parity::Even => difference,
            Parity::Odd => difference.negate(),
        }))
    }

    fn parity(&self) -> Parity {
        if self.nonce[0] == 3 { Parity::Odd } else { Parity::Even }
    }

    fn nonce_x(&self) -> [u8; 32] {
        let mut x = [0; 32];
        x.copy_from_slice(&self.nonce[1..]);
        x
    }

    fn s_scalar(&self) -> secp256k1::SecretKey {
        secp256k1::SecretKey::from_slice(&self.s).expect("checked when it was made")
    }
}

impl fmt::Debug for AdaptorSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdaptorSignature(")?;
        self.nonce.iter().take(5).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

fn challenge(nonce: &[u8; 32], signer: &PublicKey, message: &Hash32) -> Scalar {
    Scalar::from_be_bytes(eots::challenge(nonce, signer, message).to_repr().into())
        .expect("a reduced scalar is below the order")
}

/// `t = d xor H("SchnorrAdaptor/aux", aux)`, `k = H("SchnorrAdaptor/nonce", t | T | P | m)`: d is the even
/// scalar, T the even point, P the point of the key as it was given, both compressed (33 bytes).
fn derive_nonce(key: &SecretKey, message: &Hash32, encryption: &PublicKey, aux: &[u8; 32]) -> SecretKey {
    let mut masked: Zeroizing<[u8; 32]> = key.even().to_bytes();
    let mask = tagged_hash("SchnorrAdaptor/aux", &[aux]);
    masked.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    let encryption = encryption.point().serialize();
    let signer = key.inner().public_key(SECP256K1).serialize();
    let hash = tagged_hash("SchnorrAdaptor/nonce", &[&*masked, &encryption, &signer, message]);
    SecretKey::from_bytes(&eots::reduce(&hash).to_repr().into()).expect("a hash of zero is a broken hash")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: Hash32 = [9; 32];

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_bytes(&[seed; 32]).unwrap()
    }

    #[test]
    fn the_secret_completes_and_the_completion_exposes_the_secret() {
        let mut seen = std::collections::BTreeSet::new();
        for signer in 1..=6 {
            for provider in 11..=16 {
                let (signer, provider) = (key(signer), key(provider));
                let adaptor = sign(&signer, &MESSAGE, &provider.public(), &[0; 32]);
                assert_eq!(adaptor.verify(&signer.public(), &MESSAGE, &provider.public()), Ok(()));
                let whole = adaptor.decrypt(&provider).unwrap();
                assert_eq!(signer.public().verify_schnorr(&MESSAGE, &whole), Ok(()));
                assert_eq!(adaptor.recover(&whole), Ok(provider.even()));
                let odd = |key: &SecretKey| key.even() != *key;
                seen.insert((odd(&signer), odd(&provider), adaptor.to_bytes()[0]));
            }
        }
        assert_eq!(seen.len(), 8, "all parities of signer, provider and nonce were tried");
    }

    #[test]
    fn an_adaptor_signature_is_for_one_signer_one_message_and_one_provider() {
        let (signer, provider) = (key(1), key(2));
        let adaptor = sign(&signer, &MESSAGE, &provider.public(), &[0; 32]);
        let check = |signer: u8, message: Hash32, provider: u8| {
            adaptor.verify(&key(signer).public(), &message, &key(provider).public())
        };
        assert_eq!(check(1, MESSAGE, 2), Ok(()));
        assert_eq!(check(3, MESSAGE, 2), Err(AdaptorError::Mismatch));
        assert_eq!(check(1, [8; 32], 2), Err(AdaptorError::Mismatch));
        assert_eq!(check(1, MESSAGE, 3), Err(AdaptorError::Mismatch));
        let wrong = adaptor.decrypt(&key(3)).unwrap();
        assert!(signer.public().verify_schnorr(&MESSAGE, &wrong).is_err());
    }

    #[test]
    fn a_complete_signature_is_no_adaptor_signature() {
        let signer = key(1);
        let mut bytes = [2; 65];
        bytes[1..].copy_from_slice(&signer.sign_schnorr(&MESSAGE));
        // Its encryption point is infinity: whoever takes it for an adaptor signature waits for nothing.
        let adaptor = AdaptorSignature::from_bytes(&bytes).unwrap();
        assert_eq!(adaptor.verify(&signer.public(), &MESSAGE, &key(2).public()), Err(AdaptorError::Mismatch));
    }

    #[test]
    fn both_encodings_are_read_and_one_is_written() {
        for provider in 2..=9 {
            let adaptor = sign(&key(1), &MESSAGE, &key(provider).public(), &[0; 32]);
            let bytes = adaptor.to_bytes();
            assert_eq!(AdaptorSignature::from_bytes(&bytes), Ok(adaptor));
            let mut legacy = bytes.to_vec();
            legacy[0] = 2;
            legacy.push(bytes[0] - 2);
            assert_eq!(AdaptorSignature::from_bytes(&legacy), Ok(adaptor));
        }
    }

    #[test]
    fn bad_bytes_are_refused() {
        let good = sign(&key(1), &MESSAGE, &key(2).public(), &[0; 32]).to_bytes();
        let check = |bytes: &[u8]| AdaptorSignature::from_bytes(bytes);
        let with = |place: usize, byte: u8| {
            let mut bytes = good;
            bytes[place] = byte;
            bytes
        };
        let (mut zero, mut over, mut off_curve) = (good, good, good);
        zero[33..].fill(0);
        over[33..].fill(255);
        off_curve[1..33].fill(0);
        for bytes in [with(0, 0), with(0, 4), zero, over, off_curve] {
            assert_eq!(check(&bytes), Err(AdaptorError::Encoding));
        }
        let legacy = |first: u8, last: u8| [&[first], &good[1..], &[last]].concat();
        for bytes in [legacy(3, 0), legacy(2, 2), good[..64].to_vec(), vec![], [&good[..], &[0, 0]].concat()] {
            assert_eq!(check(&bytes), Err(AdaptorError::Encoding));
        }
        assert!(check(&legacy(2, 1)).is_ok());
    }

    #[test]
    fn an_unrelated_signature_recovers_nothing() {
        let adaptor = sign(&key(1), &MESSAGE, &key(2).public(), &[0; 32]);
        let whole = adaptor.decrypt(&key(2)).unwrap();
        assert_eq!(adaptor.recover(&key(1).sign_schnorr(&MESSAGE)), Err(AdaptorError::Unrelated));
        let mut same = whole;
        same[32..].copy_from_slice(&adaptor.to_bytes()[33..]);
        assert_eq!(adaptor.recover(&same), Err(AdaptorError::Unrelated));
        let mut zero = whole;
        zero[32..].fill(0);
        assert_eq!(adaptor.recover(&zero), Err(AdaptorError::Unrelated));
    }

    #[test]
    fn a_secret_that_cancels_is_an_error_and_no_panic() {
        let provider = key(2).even();
        let mut bytes = sign(&key(1), &MESSAGE, &provider.public(), &[0; 32]).to_bytes();
        bytes[0] = 2;
        bytes[33..].copy_from_slice(&provider.inner().negate().secret_bytes());
        let hostile = AdaptorSignature::from_bytes(&bytes).unwrap();
        assert_eq!(hostile.decrypt(&provider), Err(AdaptorError::Mismatch));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn encrypt_then_decrypt_is_a_signature(signer in scalar(), provider in scalar(), message: Hash32, aux: [u8; 32]) {
            let adaptor = sign(&signer, &message, &provider.public(), &aux);
            prop_assert!(adaptor.verify(&signer.public(), &message, &provider.public()).is_ok());
            let whole = adaptor.decrypt(&provider).unwrap();
            prop_assert!(signer.public().verify_schnorr(&message, &whole).is_ok());
            prop_assert_eq!(adaptor.recover(&whole).unwrap().public(), provider.public());
        }

        #[test]
        fn the_parser_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
            let _ = AdaptorSignature::from_bytes(&bytes);
        }
    }

    fn scalar() -> impl Strategy<Value = SecretKey> {
        any::<[u8; 32]>().prop_filter_map("a scalar", |bytes| SecretKey::from_bytes(&bytes).ok())
    }
}
