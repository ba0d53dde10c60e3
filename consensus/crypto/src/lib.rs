//! Signatures and hashes, with the checks that make them safe to count and to slash by.
//!
//! Everything here is a thin shell over `blst`, `secp256k1`, `k256` and `ed25519-dalek`: there is no
//! curve arithmetic of our own, no clock, no disk and (besides [`eots::SecretKey::generate`]) no
//! randomness that was not handed in. A key or a signature that exists as a value of these types has
//! passed the checks of its group; secrets are wiped when dropped and print as `…`.
//!
//! * [`hash`]: one [`Tag`] per kind of hashed thing, and keccak256 for what a contract rebuilds.
//! * [`bls`]: BLS12-381 with signatures in G1: attestations, aggregates, proofs of possession, and the
//!   same-message batch that names the bad signer.
//! * [`eots`]: one-time Schnorr signatures of Bitcoin finality: commit, sign, verify, `extract`.
//! * [`adaptor`]: covenant signatures that only the key exposed by a fault completes.
//! * [`ed25519`]: votes of the engine and the identities of peers.

pub mod adaptor;
pub mod bls;
pub mod ed25519;
pub mod eots;
pub mod hash;
pub mod memo;
pub mod seed;

pub use hash::{Hash32, Tag, keccak256, keccak256_all, keccak256_each, sha256, sha256_all, tagged_hash};
