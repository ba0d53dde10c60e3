//! Where the ledger stands in its epochs and how much of it is final.

use crate::canonical::canonical;
use crate::certificate::Bitmap;
use crate::ids::{BlockId, Hash};
use crate::units::{Epoch, Height};

/// The epoch a ledger is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochState {
    /// Which.
    pub epoch: Epoch,
    /// Its first height.
    pub first: Height,
    /// The boundary block, once it is there: no other header of the epoch names a next committee (R10).
    pub boundary: Option<Boundary>,
}
canonical!(EpochState { epoch, first, boundary });

/// The block whose state drew the next committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Its height.
    pub height: Height,
    /// The next committee's hash.
    pub next_committee: Hash,
}
canonical!(Boundary { height, next_committee });

/// What of the ledger is final, as certificates in blocks show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Finality {
    /// The newest ether-final block; none ever in a BTC-only network (R22).
    pub ether: Option<FinalBlock>,
    /// The newest bitcoin-final checkpoint of the unbroken run (R2).
    pub bitcoin: Option<FinalBlock>,
    /// That run; whoever relies on it sees where it starts.
    pub run: Option<Run>,
}
canonical!(Finality { ether, bitcoin, run });

/// An unbroken run of bitcoin-final checkpoints (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The checkpoint it starts with: the first of its epoch, behind a certified boundary.
    pub first: Height,
    /// The last checkpoint of the run before, which a gap ended (R22); `None` in a network's first run.
    pub broken: Option<Height>,
}
canonical!(Run { first, broken });

/// A block known to be final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
}
canonical!(FinalBlock { height, id });

/// Who is named by the certificates of one ether-final block, while there is time to name more (R20): the first one, and
/// supplements to it, which say the same with more signers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// The block's epoch: whose committee it is (R3).
    pub epoch: Epoch,
    /// Bit i (byte i / 8, bit i % 8 from the lowest) is member i, as in a certificate.
    pub signers: Bitmap,
    /// The last height that may hold a supplement. With it everybody who is not named has missed the slot.
    pub until: Height,
}
canonical!(Roll { epoch, signers, until });

impl Roll {
    /// Whether member `index` is named.
    #[must_use]
    pub fn names(&self, index: usize) -> bool {
        self.signers.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }
}
