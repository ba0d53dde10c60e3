//! Why a block, or one item of it, is not for this ledger.

use crate::audit::Unsound;
use palisade_types::certificate::Worthless;
use palisade_types::{BlockId, Height, Unproven};

/// Sorted by what the caller does. An item that fails changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The block does not follow our head: fetch what lies between, or forget the block.
    #[error("a block of height {height} on {parent} does not follow the head")]
    NotNext {
        /// The block's height.
        height: Height,
        /// The block's parent.
        parent: BlockId,
    },
    /// The header says something else than the ledger derives. Prevote nil: its proposer errs or lies.
    #[error("the header's {0} is not what the ledger derives")]
    Header(&'static str),
    /// The list of items breaks a bound or the order. Prevote nil.
    #[error("the items {0}")]
    Items(&'static str),
    /// The item cannot stand yet. Keep it and try again at a later head.
    #[error("too early: {0}")]
    Early(&'static str),
    /// The item came too late: somebody else's stands, or its time is over. Drop it and blame nobody.
    #[error("too late: {0}")]
    Late(&'static str),
    /// No honest node makes this item. Drop it, and the peer who sent it.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The evidence proves nothing. Drop it; it says nothing of the accused.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The certificate certifies nothing under the parent state. Drop it.
    #[error(transparent)]
    Worthless(#[from] Worthless),
    /// Stored rows are not a ledger. Halt: the disk or our own code is wrong.
    #[error(transparent)]
    Unsound(#[from] Unsound),
}
