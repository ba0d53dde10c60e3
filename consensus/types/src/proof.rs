//! Proofs about the ledger for readers who keep no ledger: committee → certificate → block id → state root
//! → one row. Verifying needs nothing but this crate and `crypto`.
//!
//! The state tree is a binary Merkle tree over the bits of each row's path, most significant bit first. A
//! subtree with no row hashes to zero, one with a single row to that row's leaf, every other to its two halves:
//! leaf = keccak256(0x00 | path | value hash), inner = keccak256(0x01 | left | right).

use crate::block::Header;
use crate::canonical::{List, canonical, canonical_enum};
use crate::certificate::{Committee, QuorumCertificate, Worthless};
use crate::ids::{ChainId, Hash};
use crate::row::{Row, RowKey};
use palisade_crypto::hash::keccak256_all;

/// The hash of a subtree without rows.
pub const EMPTY: Hash = Hash::ZERO;

/// The hash of a subtree with one row.
#[must_use]
pub fn leaf(path: &[u8; 32], value_hash: &[u8; 32]) -> Hash {
    Hash::new(keccak256_all(&[&[0], path, value_hash]))
}

/// The hash of a subtree with at least two rows.
#[must_use]
pub fn inner(left: &Hash, right: &Hash) -> Hash {
    Hash::new(keccak256_all(&[&[1], left.as_bytes(), right.as_bytes()]))
}

/// Bit `depth` of a path, most significant first.
#[must_use]
pub fn bit(path: &[u8; 32], depth: usize) -> bool {
    path[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// What hangs where the path of a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The row itself.
    Found,
    /// Nothing.
    Nothing,
    /// Another row: its path and value hash.
    Other((Hash, Hash)),
}
canonical_enum!(Terminal { 0 => Found, 1 => Nothing, 2 => Other(row) });

/// Shows that a row is, or is not, under a state root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProof {
    /// The other halves on the way, root first.
    pub siblings: List<Hash, 256>,
    /// What the way ends at.
    pub terminal: Terminal,
}
canonical!(RowProof { siblings, terminal });

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// The hashes do not lead to the root.
    #[error("the row proof does not lead to the state root")]
    WrongRoot,
    /// It shows presence where absence was asked, or the other way round, or another row of the same path.
    #[error("the proof shows something else than what is claimed")]
    WrongClaim,
    /// The header is not the certified block's.
    #[error("the header is not the certified block's")]
    WrongHeader,
    /// The certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] Worthless),
}

impl RowProof {
    /// Checks that under `root` the row `key` holds exactly `row`, or does not exist when `row` is `None`.
    ///
    /// # Errors
    ///
    /// [`BadProof::WrongRoot`] or [`BadProof::WrongClaim`].
    pub fn proves(&self, root: &Hash, key: &RowKey, row: Option<&Row>) -> Result<(), BadProof> {
        let path = key.path();
        let end = match (self.terminal, row) {
            (Terminal::Found, Some(row)) => leaf(&path, &row.value_hash()),
            (Terminal::Nothing, None) => EMPTY,
            (Terminal::Other((other, value)), None) => {
                let shares_the_way =
                    (0..self.siblings.len()).all(|depth| bit(other.as_bytes(), depth) == bit(&path, depth));
                if *other.as_bytes() == path || !shares_the_way {
                    return Err(BadProof::WrongClaim);
                }
                leaf(other.as_bytes(), value.as_bytes())
            }
            _ => return Err(BadProof::WrongClaim),
        };
        let found = self.siblings.iter().enumerate().rev().fold(end, |below, (depth, sibling)| {
            if bit(&path, depth) { inner(sibling, &below) } else { inner(&below, sibling) }
        });
        if found == *root { Ok(()) } else { Err(BadProof::WrongRoot) }
    }
}

/// A row with everything that ties it to a committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightProof {
    /// Which row.
    pub key: RowKey,
    /// What it holds; `None` proves absence.
    pub row: Option<Row>,
    /// Under the header's state root.
    pub proof: RowProof,
    /// The certified block.
    pub header: Header,
    /// Its certificate.
    pub certificate: QuorumCertificate,
}
canonical!(LightProof { key, row, proof, header, certificate });

impl LightProof {
    /// Checks the whole way from `committee` to the row. The reader's own clock (R5) is his to check.
    ///
    /// # Errors
    ///
    /// [`BadProof`] names the first link that does not hold.
    pub fn verify(&self, chain: &ChainId, committee: &Committee) -> Result<(), BadProof> {
        self.certificate.verify(chain, committee, |_| false)?;
        let header = &self.header;
        if header.chain != *chain
            || header.epoch != committee.epoch
            || header.height.get() != self.certificate.slot
            || self.certificate.digest != header.id().into()
        {
            return Err(BadProof::WrongHeader);
        }
        self.proof.proves(&header.state_root, &self.key, self.row.as_ref())
    }
}
