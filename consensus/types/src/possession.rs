//! What an operator signs once to show that a key is his (R12): without it, anybody could register another's
//! key, or a key made from others' keys.

use crate::ids::{Address, BlsKey, ChainId, Ed25519Key, OperatorId, SchnorrKey};
use palisade_crypto::bls;
use palisade_crypto::hash::{Tag, keccak256, keccak256_all};

/// The 32 bytes that the BLS key signs under the possession DST:
/// keccak256("PALISADE-POP-1" | chain id | Palisade.sol | operator | keccak256(key, 192 packed bytes)).
/// `None` when the bytes are no key.
#[must_use]
pub fn bls_message(chain: &ChainId, palisade: &Address, operator: &OperatorId, key: &BlsKey) -> Option<[u8; 32]> {
    let packed = bls::PublicKey::from_bytes(key.as_bytes()).ok()?.to_packed();
    Some(keccak256_all(&[
        b"PALISADE-POP-1",
        chain.as_bytes(),
        palisade.as_bytes(),
        operator.as_bytes(),
        &keccak256(&packed),
    ]))
}

/// What the Ed25519 key signs.
#[must_use]
pub fn ed25519_message(chain: &ChainId, palisade: &Address, operator: &OperatorId, key: &Ed25519Key) -> [u8; 32] {
    let parts: [&[u8]; 4] = [chain.as_bytes(), palisade.as_bytes(), operator.as_bytes(), key.as_bytes()];
    Tag::Ed25519Possession.hash(&parts)
}

/// What the EOTS key signs, as an ordinary BIP-340 signature.
#[must_use]
pub fn eots_message(chain: &ChainId, palisade: &Address, operator: &OperatorId, key: &SchnorrKey) -> [u8; 32] {
    let parts: [&[u8]; 4] = [chain.as_bytes(), palisade.as_bytes(), operator.as_bytes(), key.as_bytes()];
    Tag::EotsPossession.hash(&parts)
}
