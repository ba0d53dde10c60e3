//! Secrets from one seed: BIP-32, hardened steps only. From a child neither its parent nor its siblings follow, so that a
//! key that a fault exposes gives no other away (R19). There are no public children here, and nothing is ever derived
//! from a public key.

use hmac::{Hmac, Mac};
use secp256k1::{Scalar, SecretKey};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

/// A step of the path has no key: one in 2^127. Another path must be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seed has no key on this path")]
pub struct NoKey;

/// The private key at `m/path[0]'/path[1]'/…` of `seed`, as 32 bytes.
///
/// # Errors
///
/// [`NoKey`].
pub fn derive(seed: &[u8], path: &[u32]) -> Result<Zeroizing<[u8; 32]>, NoKey> {
    let (key, mut chain) = split(hmac(b"Bitcoin seed", &[seed]));
    let mut key = SecretKey::from_slice(&*key).map_err(|_| NoKey)?;
    for step in path {
        let parent = Zeroizing::new(key.secret_bytes());
        let (tweak, next) = split(hmac(&*chain, &[&[0], &*parent, &(step | HARDENED).to_be_bytes()]));
        let tweak = Scalar::from_be_bytes(*tweak).map_err(|_| NoKey)?;
        key = key.add_tweak(&tweak).map_err(|_| NoKey)?;
        chain = next;
    }
    let bytes = Zeroizing::new(key.secret_bytes());
    key.non_secure_erase();
    Ok(bytes)
}

/// The bit that makes a step hardened.
const HARDENED: u32 = 1 << 31;

fn hmac(key: &[u8], data: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("a key of any length will do");
    data.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn split(mut hash: Zeroizing<[u8; 64]>) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let (mut left, mut right) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    left.copy_from_slice(&hash[..32]);
    right.copy_from_slice(&hash[32..]);
    hash.zeroize();
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIP-32, test vector 1, m and m/0'; the others by a program of its own.
    #[test]
    fn r19_the_steps_are_bip_32s() {
        let seed: Vec<u8> = (0..16).collect();
        let hex = |path: &[u32]| -> String {
            derive(&seed, path).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(hex(&[]), "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35");
        assert_eq!(hex(&[0]), "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea");
        assert_eq!(hex(&[HARDENED]), hex(&[0]), "every step is hardened");
        assert_ne!(hex(&[0, 1]), hex(&[0, 0]));
    }
}
