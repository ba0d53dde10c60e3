//! Proofs about the ledger for readers who keep no ledger: committee → certificate → block id → state root
//! → one row. Verifying needs nothing but this crate and `crypto`.
//!
//! The state tree is a binary Merkle tree over the bits of each row's path, most significant bit first. A
//! subtree with no row hashes to zero, one with a single row to that row's leaf, every other to its two halves:
//! leaf = keccak256(0x00 | path | value hash), inner = keccak256(0x01 | left | right).

use crate::block::{HEADER_VERSION, Header, MAX_BLOCK};
use crate::canonical::{Blob, Canonical, List, Malformed, Reader, canonical, canonical_enum, shown_struct};
use crate::certificate::{Committee, QuorumCertificate, Worthless};
use crate::genesis::Genesis;
use crate::ids::{ChainId, Domain, DomainKind, Hash};
use crate::row::{Row, RowKey};
use palisade_crypto::hash::{keccak256, keccak256_each};

/// The hash of a subtree without rows.
pub const EMPTY: Hash = Hash::ZERO;

/// The hash of a subtree with one row.
#[must_use]
pub fn leaf(path: &[u8; 32], value_hash: &[u8; 32]) -> Hash {
    Hash::new(keccak256(&node(0, path, value_hash)))
}

/// The hash of a subtree with at least two rows.
#[must_use]
pub fn inner(left: &Hash, right: &Hash) -> Hash {
    Hash::new(keccak256(&node(1, left.as_bytes(), right.as_bytes())))
}

/// [`leaf`] of each row: its path, and its value's hash.
#[must_use]
pub fn leaves<'a>(rows: impl IntoIterator<Item = (&'a [u8; 32], &'a [u8; 32])>) -> Vec<Hash> {
    hashed(rows.into_iter().map(|(path, value)| node(0, path, value)).collect())
}

/// [`inner`] of each pair of halves.
#[must_use]
pub fn inners<'a>(halves: impl IntoIterator<Item = (&'a Hash, &'a Hash)>) -> Vec<Hash> {
    hashed(halves.into_iter().map(|(left, right)| node(1, left.as_bytes(), right.as_bytes())).collect())
}

fn node(kind: u8, left: &[u8; 32], right: &[u8; 32]) -> [u8; 65] {
    let mut bytes = [kind; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    bytes
}

fn hashed(nodes: Vec<[u8; 65]>) -> Vec<Hash> {
    keccak256_each(&nodes).into_iter().map(Hash::new).collect()
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
    /// The committee is not the one the reader knows, or not of this genesis.
    #[error("the committee is not the one that was named")]
    OtherCommittee,
    /// The committee's maximum age and the trust period are over on the reader's own chain (R5).
    #[error("this committee was to be trusted up to block {last}; a newer one is needed")]
    TrustExpired {
        /// The last block of the reader's chain at which it was.
        last: u64,
    },
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

/// The longest key of a row, in bytes.
const MAX_KEY: usize = 256;
/// The longest row, in bytes: what a block could hold.
const MAX_ROW: usize = MAX_BLOCK;
/// The longest genesis, in bytes.
const MAX_GENESIS: usize = 1 << 20;

/// A row with everything that ties it to a committee.
///
/// Key and row are written with their length before them, so that a verifier need not know every kind of row.
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

shown_struct!(LightProof { key, row, proof, header, certificate });

impl Canonical for LightProof {
    fn write(&self, out: &mut Vec<u8>) {
        write_framed::<_, MAX_KEY>(&self.key, out);
        out.push(u8::from(self.row.is_some()));
        if let Some(row) = &self.row {
            write_framed::<_, MAX_ROW>(row, out);
        }
        self.proof.write(out);
        self.header.write(out);
        self.certificate.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            key: read_framed::<_, MAX_KEY>(input)?,
            row: if bool::read(input)? { Some(read_framed::<_, MAX_ROW>(input)?) } else { None },
            proof: Canonical::read(input)?,
            header: Canonical::read(input)?,
            certificate: Canonical::read(input)?,
        })
    }
}

impl LightProof {
    /// Checks the whole way from `committee` to the row: the certificate must be of the domain `ledger`
    /// ([`crate::ids::DomainKind::Ledger`]), because a service may have its members sign any digest in its own. The reader's
    /// clock (R5) is his to check. Whom the ledger convicted since the committee was drawn (R9) he cannot see, and counts: a certificate
    /// without enough of the others waits for the next committee's.
    ///
    /// # Errors
    ///
    /// [`BadProof`] names the first link that does not hold.
    pub fn verify(&self, chain: &ChainId, ledger: &Domain, committee: &Committee) -> Result<(), BadProof> {
        if self.certificate.domain != *ledger {
            return Err(Worthless::OtherCommittee.into());
        }
        self.certificate.verify(chain, committee, |_| false)?;
        let header = &self.header;
        if header.version != HEADER_VERSION
            || header.chain != *chain
            || header.epoch != committee.epoch
            || header.height.get() != self.certificate.slot
            || self.certificate.digest != header.id().into()
        {
            return Err(BadProof::WrongHeader);
        }
        self.proof.proves(&header.state_root, &self.key, self.row.as_ref())
    }
}

/// How far a chain of the reader's own is (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The number of an Ethereum block.
    Ethereum(u64),
    /// The height of a Bitcoin block.
    Bitcoin(u64),
}

/// A row for a reader who knows nothing but a committee's hash and how far his own Ethereum or Bitcoin is.
///
/// The hash names the chain, whose id is the hash of genesis, which says how long a committee may be trusted and where the
/// registry is. A lifetime read from the ledger would not do: whoever got hold of old keys could certify another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofBundle {
    /// What the chain id is the hash of.
    pub genesis: Genesis,
    /// What the reader knows the hash of.
    pub committee: Committee,
    /// The row.
    pub proof: LightProof,
}

impl Canonical for ProofBundle {
    fn write(&self, out: &mut Vec<u8>) {
        write_framed::<_, MAX_GENESIS>(&self.genesis, out);
        self.committee.write(out);
        self.proof.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            genesis: read_framed::<_, MAX_GENESIS>(input)?,
            committee: Canonical::read(input)?,
            proof: Canonical::read(input)?,
        })
    }
}

impl ProofBundle {
    /// Checks the whole way from a committee's hash to the row.
    ///
    /// # Errors
    ///
    /// [`BadProof`] names the first link that does not hold.
    pub fn verify(&self, committee: &Hash, now: Clock) -> Result<(), BadProof> {
        let chain = self.genesis.chain_id();
        if self.committee.hash(&chain) != *committee {
            return Err(BadProof::OtherCommittee);
        }
        let (now, snapshot) = match now {
            Clock::Ethereum(block) => (block, &self.committee.ethereum),
            Clock::Bitcoin(height) => (height, &self.committee.bitcoin),
        };
        let last = snapshot.number.saturating_add(self.genesis.parameters.lifetime());
        if now > last {
            return Err(BadProof::TrustExpired { last });
        }
        self.proof.verify(&chain, &self.genesis.domain(DomainKind::Ledger), &self.committee)
    }
}

/// A value with its length before it.
fn write_framed<T: Canonical, const MAX: usize>(value: &T, out: &mut Vec<u8>) {
    let bytes = Blob::<MAX>::try_from(value.to_bytes()).expect("nothing the ledger holds is longer");
    bytes.write(out);
}

fn read_framed<T: Canonical, const MAX: usize>(input: &mut Reader<'_>) -> Result<T, Malformed> {
    T::from_bytes(&Blob::<MAX>::read(input)?)
}
