//! Ed25519: votes of the engine and the identities of peers.
//!
//! Verification is strict (`verify_strict`): no key or nonce of small order, no second encoding of a
//! scalar, so that a signature convinces everybody or nobody.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::memo;

/// Why an Ed25519 key or signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ed25519Error {
    /// The bytes are no canonical encoding of a point.
    #[error("bytes encode no Ed25519 point")]
    Encoding,
    /// The key is of small order: it accepts signatures nobody made.
    #[error("key is of small order")]
    SmallOrder,
    /// The signature does not match the message and key.
    #[error("signature does not match")]
    Mismatch,
}

/// A secret key. It is wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key made from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message. Signing is deterministic.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519::SecretKey(…)")
    }
}

/// A public key, canonically encoded and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`Ed25519Error::Encoding`] or [`Ed25519Error::SmallOrder`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Ed25519Error> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| Ed25519Error::Encoding)?;
        if key.is_weak() {
            return Err(Ed25519Error::SmallOrder);
        }
        // dalek reads y modulo p; one key must have one name.
        if key.to_edwards().compress().to_bytes() != *bytes {
            return Err(Ed25519Error::Encoding);
        }
        Ok(Self(key))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Checks a signature, strictly.
    ///
    /// # Errors
    ///
    /// [`Ed25519Error::Mismatch`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Ed25519Error> {
        memo::once(&[b"ed25519", message, &signature.0, self.0.as_bytes()], || {
            let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
            self.0.verify_strict(message, &signature).map_err(|_| Ed25519Error::Mismatch)
        })
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519::PublicKey(")?;
        self.0.as_bytes().iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// A signature as it travels; nothing about it is checked before [`PublicKey::verify`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519::Signature(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_key_and_one_message() {
        let (ours, theirs) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let signature = ours.sign(b"message");
        assert_eq!(ours.public().verify(b"message", &signature), Ok(()));
        assert_eq!(ours.public().verify(b"massage", &signature), Err(Ed25519Error::Mismatch));
        assert_eq!(theirs.public().verify(b"message", &signature), Err(Ed25519Error::Mismatch));
        assert_eq!(ours.sign(b"message"), signature);
    }

    #[test]
    fn keys_of_small_order_and_second_encodings_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(Ed25519Error::SmallOrder));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(Ed25519Error::SmallOrder));
        // Every y from p to 2^255 - 1 is the second encoding of a y from 0 to 18.
        for low in 0xed..=0xff_u8 {
            let mut second = [0xff; 32];
            (second[0], second[31]) = (low, 0x7f);
            assert!(PublicKey::from_bytes(&second).is_err(), "{low:x}");
        }
    }

    #[test]
    fn a_scalar_above_the_order_is_refused() {
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = SecretKey::from_seed(&[3; 32]);
        let mut signature = key.sign(b"message");
        let mut carry = 0_u16;
        for (byte, order) in signature.0[32..].iter_mut().zip(ORDER) {
            carry += u16::from(*byte) + u16::from(order);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert_eq!(key.public().verify(b"message", &signature), Err(Ed25519Error::Mismatch));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", SecretKey::from_seed(&[7; 32])), "ed25519::SecretKey(…)");
    }
}
