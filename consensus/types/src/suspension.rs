//! A chain that took back what was final: the chain is suspended, not the node (R30).

use crate::canonical::canonical;
use crate::chain::{ChainKind, ChainPoint};
use crate::units::Height;

/// The ledger's anchor is no longer on its chain, although the heaviest chain is deep past it: a reorganisation replaced
/// final blocks. Voters agree on it only when their own followers see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suspended {
    /// Which chain.
    pub chain: ChainKind,
    /// The ledger's anchor, which is gone.
    pub anchor: ChainPoint,
}
canonical!(Suspended { chain, anchor });

/// What the ledger says of a chain's last suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The anchor that was gone.
    pub anchor: ChainPoint,
    /// The height of the block that suspended the chain.
    pub since: Height,
    /// The height of the block that named the new start anchor; `None` while the chain is suspended.
    pub resumed: Option<Height>,
}
canonical!(Suspension { anchor, since, resumed });
