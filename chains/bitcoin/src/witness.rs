//! What a signature commits to, and the order in which a witness carries signatures.
//!
//! A script takes its signatures from the top of the stack, so a witness lists them backwards: first the covenant's, then (slashing only) the
//! provider's, then the staker's, then script and control block. Within a list the order is **descending** by key, with
//! one slot for each member and an empty one for who did not sign. `NUMEQUAL` compares for equality: one signature more
//! than the quorum fails as surely as one less.

use std::collections::BTreeMap;

use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, SECP256K1, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::{TapSighashType, Transaction, TxOut, Witness};
use palisade_crypto::eots;
use palisade_types::{SchnorrKey, SchnorrSignature};

use crate::scripts::Leaf;

/// The message of a signature for `leaf` in input `input`, over every output spent. `None` when there is no such input
/// or not one spent output for each.
pub fn sighash(transaction: &Transaction, input: usize, spent: &[TxOut], leaf: &Leaf) -> Option<[u8; 32]> {
    if spent.len() != transaction.input.len() {
        return None;
    }
    SighashCache::new(transaction)
        .taproot_script_spend_signature_hash(input, &Prevouts::All(spent), leaf.hash(), TapSighashType::Default)
        .ok()
        .map(|hash| hash.to_byte_array())
}

/// The message of a signature for the only input of `transaction`.
pub(crate) fn only_sighash(transaction: &Transaction, spent: &TxOut, leaf: &Leaf) -> [u8; 32] {
    sighash(transaction, 0, std::slice::from_ref(spent), leaf).expect("our own transactions have exactly one input")
}

/// Whether `signature` is `key`'s over `sighash`.
pub fn verify(key: &XOnlyPublicKey, sighash: &[u8; 32], signature: &SchnorrSignature) -> bool {
    Signature::from_slice(signature.as_bytes())
        .is_ok_and(|signature| SECP256K1.verify_schnorr(&signature, &Message::from_digest(*sighash), key).is_ok())
}

/// Signs a sighash; deterministic, so that signing again publishes nothing new.
pub(crate) fn sign(secret: &eots::SecretKey, sighash: &[u8; 32]) -> SchnorrSignature {
    SchnorrSignature::new(secret.sign_schnorr(sighash))
}

/// The key as Bitcoin's scripts take it.
pub(crate) fn x_only(key: &eots::PublicKey) -> XOnlyPublicKey {
    XOnlyPublicKey::from_slice(&key.to_bytes()).expect("a public key is on the curve")
}

/// The key as the signature schemes take it.
pub(crate) fn public(key: &XOnlyPublicKey) -> eots::PublicKey {
    eots::PublicKey::from_bytes(&key.serialize()).expect("an x-only key is on the curve")
}

/// The key as the ledger names it.
pub(crate) fn name(key: &XOnlyPublicKey) -> SchnorrKey {
    SchnorrKey::new(key.serialize())
}

/// A witness in the making: signatures first, script last.
#[derive(Default)]
pub(crate) struct Signatures(Witness);

impl Signatures {
    pub(crate) fn new() -> Self {
        Self(Witness::new())
    }

    /// One slot for each of `keys` (given ascending), highest key first.
    pub(crate) fn slots(
        mut self,
        keys: &[XOnlyPublicKey],
        signatures: &BTreeMap<SchnorrKey, SchnorrSignature>,
    ) -> Self {
        for key in keys.iter().rev() {
            match signatures.get(&name(key)) {
                Some(signature) => self.0.push(signature.as_bytes()),
                None => self.0.push([]),
            }
        }
        self
    }

    /// A signature without alternatives.
    pub(crate) fn one(mut self, signature: &SchnorrSignature) -> Self {
        self.0.push(signature.as_bytes());
        self
    }

    /// Ends the witness with the leaf it satisfies.
    pub(crate) fn leaf(mut self, leaf: &Leaf) -> Witness {
        self.0.push(leaf.script.as_bytes());
        self.0.push(leaf.control_block.serialize());
        self.0
    }
}
