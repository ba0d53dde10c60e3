//! A block: the ground state. It holds only items that prove themselves.

use crate::canonical::{Canonical, List, canonical, canonical_enum};
use crate::certificate::{BitcoinCertificate, QuorumCertificate};
use crate::duty::Unjail;
use crate::evidence::Evidence;
use crate::ids::{BlockId, ChainId, Hash};
use crate::observation::Observation;
use crate::randomness::RandomnessCommitment;
use crate::suspension::Suspended;
use crate::units::{Epoch, Height};
use crate::vault::VaultRegistration;
use palisade_crypto::hash::{Tag, keccak256};

/// The header's format.
pub const HEADER_VERSION: u16 = 1;
/// The most items of one block.
pub const MAX_ITEMS: usize = 256;
/// The largest block, in bytes.
pub const MAX_BLOCK: usize = 1 << 20;

/// What a block id commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`HEADER_VERSION`].
    pub version: u16,
    /// The network.
    pub chain: ChainId,
    /// Its height; the first block is 1.
    pub height: Height,
    /// Its epoch (R3).
    pub epoch: Epoch,
    /// The block before; the chain id at height 1.
    pub parent: BlockId,
    /// The hash of the items.
    pub items_root: Hash,
    /// The Merkle root of the ledger's rows after this block.
    pub state_root: Hash,
    /// The next committee's hash in a boundary block (R10), zero in every other.
    pub next_committee: Hash,
}
canonical!(Header { version, chain, height, epoch, parent, items_root, state_root, next_committee });

impl Header {
    /// keccak256 of the encoding, so that a contract can rebuild it.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId::new(keccak256(&self.to_bytes()))
    }
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A chain's anchor moves, with all that became true on the way. At most one per chain and block, first.
    Observed(Observation),
    /// A proof of fault.
    Evidence(Evidence),
    /// A vault that staker and covenant have signed for.
    Vault(Box<VaultRegistration>),
    /// A finality provider's promise of nonces.
    Randomness(RandomnessCommitment),
    /// A block of this epoch is ether-final.
    EtherFinal(QuorumCertificate),
    /// A checkpoint is bitcoin-final.
    BitcoinFinal(BitcoinCertificate),
    /// A chain took back what was final: it is suspended (R30).
    Suspended(Suspended),
    /// A suspended chain goes on from a new start anchor. `after` is the anchor that is gone; the first fact says from which
    /// older one everything is told anew ([`crate::observation::Fact::Rewound`]).
    Resumed(Observation),
    /// An operator leaves jail.
    Unjail(Unjail),
}
canonical_enum!(Item {
    0 => Observed(observation), 1 => Evidence(evidence), 2 => Vault(registration), 3 => Randomness(commitment),
    4 => EtherFinal(certificate), 5 => BitcoinFinal(certificate), 6 => Suspended(suspended), 7 => Resumed(observation),
    8 => Unjail(unjail),
});

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What its id commits to.
    pub header: Header,
    /// In the order in which the ledger applies them.
    pub items: List<Item, MAX_ITEMS>,
}
canonical!(Block { header, items });

impl Block {
    /// The hash of `items`, as a header commits to it.
    #[must_use]
    pub fn items_root(items: &List<Item, MAX_ITEMS>) -> Hash {
        Hash::new(Tag::Items.hash(&[&items.to_bytes()]))
    }

    /// The header's id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }
}
