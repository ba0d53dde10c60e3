//! Hashes: keccak256 for all that a contract may rebuild, tagged SHA-256 for everything else.
//!
//! A tagged hash is `SHA256(SHA256(tag) | SHA256(tag) | parts)` (BIP-340), so that bytes hashed as one
//! kind of thing can never be passed off as another kind. Parts are joined without separators: whoever
//! hashes fixes their widths.

use keccak_asm::Keccak256;
use sha2::{Digest, Sha256};
use std::num::NonZeroUsize;
use std::thread::{available_parallelism, scope};

/// 32 bytes that stand for something hashed (or for any other 32-byte string that is only compared).
pub type Hash32 = [u8; 32];

/// The kind of thing a tagged hash stands for. Each has one tag, used nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// Genesis; its hash is the chain id (R17).
    Genesis,
    /// The list of a block's items.
    Items,
    /// One item of a block.
    Item,
    /// A finality provider's randomness commitment (R19).
    Commitment,
    /// What a finality provider signs to commit randomness (R19).
    CommitmentProof,
    /// What an EOTS key signs to prove that its owner holds it.
    EotsPossession,
    /// What an Ed25519 key signs to prove that its owner holds it.
    Ed25519Possession,
    /// What binds an engine seat to an operator account.
    ValidatorBinding,
    /// A vault's registration, as the staker and the covenant sign it.
    VaultRegistration,
    /// A piece of evidence.
    Evidence,
    /// A vote of the engine (R18).
    Vote,
    /// A proposal of the engine, or a part of its stream.
    Proposal,
    /// A snapshot of the state, or a chunk of one.
    Snapshot,
    /// What peers tell each other outside agreement.
    Peer,
    /// The weights of a same-message batch.
    Batch,
}

impl Tag {
    /// The tag's text.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Genesis => "PALISADE/genesis/1",
            Self::Items => "PALISADE/items/1",
            Self::Item => "PALISADE/item/1",
            Self::Commitment => "PALISADE/commitment/1",
            Self::CommitmentProof => "PALISADE/commitment-proof/1",
            Self::EotsPossession => "PALISADE/eots-possession/1",
            Self::Ed25519Possession => "PALISADE/ed25519-possession/1",
            Self::ValidatorBinding => "PALISADE/validator-binding/1",
            Self::VaultRegistration => "PALISADE/vault-registration/1",
            Self::Evidence => "PALISADE/evidence/1",
            Self::Vote => "PALISADE/vote/1",
            Self::Proposal => "PALISADE/proposal/1",
            Self::Snapshot => "PALISADE/snapshot/1",
            Self::Peer => "PALISADE/peer/1",
            Self::Batch => "PALISADE/batch/1",
        }
    }

    /// Hashes the joined parts as this kind of thing.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> Hash32 {
        tagged_hash(self.label(), parts)
    }
}

/// The BIP-340 tagged hash under a tag that is not ours, such as `BIP0340/challenge`.
#[must_use]
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> Hash32 {
    let tag = Sha256::digest(tag.as_bytes());
    let hasher = Sha256::new().chain_update(tag).chain_update(tag);
    parts.iter().fold(hasher, |hasher, part| hasher.chain_update(part)).finalize().into()
}

/// SHA-256 of the bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash32 {
    Sha256::digest(bytes).into()
}

/// SHA-256 of the joined parts.
#[must_use]
pub fn sha256_all(parts: &[&[u8]]) -> Hash32 {
    parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

/// Keccak-256 of the bytes, as the EVM computes it.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> Hash32 {
    Keccak256::digest(bytes).into()
}

/// So many messages are worth a thread.
const THREAD: usize = 4_096;

/// Keccak-256 of each of many messages, on all processors when they are very many.
#[must_use]
pub fn keccak256_each<M: AsRef<[u8]> + Sync>(messages: &[M]) -> Vec<Hash32> {
    let mut hashes = vec![[0; 32]; messages.len()];
    let hash = |messages: &[M], hashes: &mut [Hash32]| {
        for (message, hash) in messages.iter().zip(hashes) {
            *hash = keccak256(message.as_ref());
        }
    };
    let threads = (messages.len() / THREAD).clamp(1, available_parallelism().map_or(1, NonZeroUsize::get));
    let share = messages.len().div_ceil(threads).max(1);
    scope(|threads| {
        let mut shares = messages.chunks(share).zip(hashes.chunks_mut(share));
        let first = shares.next();
        for (messages, hashes) in shares {
            threads.spawn(move || hash(messages, hashes));
        }
        if let Some((messages, hashes)) = first {
            hash(messages, hashes);
        }
    });
    hashes
}

/// Keccak-256 of the joined parts (Solidity's `keccak256(abi.encodePacked(...))`).
#[must_use]
pub fn keccak256_all(parts: &[&[u8]]) -> Hash32 {
    parts.iter().fold(Keccak256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: [Tag; 15] = [
        Tag::Genesis,
        Tag::Items,
        Tag::Item,
        Tag::Commitment,
        Tag::CommitmentProof,
        Tag::EotsPossession,
        Tag::Ed25519Possession,
        Tag::ValidatorBinding,
        Tag::VaultRegistration,
        Tag::Evidence,
        Tag::Vote,
        Tag::Proposal,
        Tag::Snapshot,
        Tag::Peer,
        Tag::Batch,
    ];

    #[test]
    fn no_two_kinds_hash_alike() {
        let hashes: std::collections::BTreeSet<_> = TAGS.iter().map(|tag| tag.hash(&[b"same"])).collect();
        assert_eq!(hashes.len(), TAGS.len());
    }

    #[test]
    fn known_answers() {
        let hex = |bytes: Hash32| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(keccak256(b"")), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        assert_eq!(hex(sha256(b"")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(keccak256_all(&[b"a", b"", b"bc"]), keccak256(b"abc"));
        assert_eq!(sha256_all(&[b"a", b"", b"bc"]), sha256(b"abc"));
    }

    #[test]
    fn many_are_hashed_each_for_itself_and_in_their_order() {
        let messages: Vec<_> = (0..3 * THREAD + 1).map(|number| number.to_le_bytes()).collect();
        for count in [0, 1, 2, THREAD - 1, 2 * THREAD, messages.len()] {
            let each: Vec<_> = messages[..count].iter().map(|message| keccak256(message)).collect();
            assert_eq!(keccak256_each(&messages[..count]), each, "{count}");
        }
    }

    #[test]
    fn a_tagged_hash_is_the_hash_of_its_prefix_and_parts() {
        let tag = sha256(b"BIP0340/challenge");
        assert_eq!(tagged_hash("BIP0340/challenge", &[b"ab", b"c"]), sha256_all(&[&tag, &tag, b"abc"]));
    }
}
