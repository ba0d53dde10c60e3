//! An operator: the keys he signed with, since when, and what is known of how he served.

use crate::canonical::{Blob, List, canonical};
use crate::ids::{BlsKey, Ed25519Key, OperatorId, SchnorrKey};
use crate::units::Height;

/// How many times an operator may change his keys.
pub const MAX_KEY_ROWS: usize = 64;
/// The longest peer id, in bytes.
pub const MAX_PEER_ID: usize = 64;

/// The keys of an operator during `[from, until)` Ethereum blocks (R12). Keys are unique for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Palisade.sol's number of this row, from 1.
    pub id: u32,
    /// First Ethereum block in which it stands.
    pub from: u64,
    /// First Ethereum block in which it no longer stands; `None` while it does.
    pub until: Option<u64>,
    /// Attests.
    pub bls: BlsKey,
    /// Votes.
    pub ed25519: Ed25519Key,
    /// Attests for Bitcoin stake: the finality provider's key.
    pub eots: SchnorrKey,
    /// The libp2p peer that speaks for him, as multihash bytes.
    pub peer: Blob<MAX_PEER_ID>,
}
canonical!(KeyRow { id, from, until, bls, ed25519, eots, peer });

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// His account.
    pub id: OperatorId,
    /// His key rows, oldest first.
    pub keys: List<KeyRow, MAX_KEY_ROWS>,
    /// The height of the block that convicted him first. His weight is out from that block's state on (R9).
    pub convicted: Option<Height>,
    /// The height of the block that jailed him: for a pair of engine votes (R18), or for downtime (R20); `None` once he is out again.
    pub jailed: Option<Height>,
    /// Slots in which a certificate names him.
    pub attested: u64,
    /// Slots in which his committee's certificate does not (R20).
    pub missed: u64,
}
canonical!(Operator { id, keys, convicted, jailed, attested, missed });

impl Operator {
    /// The row that covers Ethereum block `number` (R12).
    #[must_use]
    pub fn keys_at(&self, number: u64) -> Option<&KeyRow> {
        self.keys.iter().rev().find(|row| row.from <= number && row.until.is_none_or(|until| number < until))
    }

    /// The row that still stands.
    #[must_use]
    pub fn keys_now(&self) -> Option<&KeyRow> {
        self.keys.last().filter(|row| row.until.is_none())
    }
}
