//! Which chain this is (R13): of two that begin with one genesis, the one that passes through the last boundary that Committee.sol has seen,
//! or through a block that our operator names. The engine's certificates alone do not say: whoever once sat in a committee, and has
//! taken his stake away since, can sign any number of histories.

use super::Core;
use palisade_types::block::Block;
use palisade_types::epoch::FinalBlock;
use palisade_types::ids::BlockId;
use palisade_types::units::Height;

/// The chain that we hold, or are offered, is not the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this chain holds block {ours} at height {height}, where {by} {theirs}: it is not the network's chain. Nothing of it is attested; \
     remove the ledger and the engine's log from the data directory, and sync again from other peers (R13)"
)]
pub struct OtherChain {
    /// Where they differ.
    pub height: Height,
    /// What this chain holds.
    pub ours: BlockId,
    /// What it must hold.
    pub theirs: BlockId,
    /// Who says so.
    pub by: Witness,
}

/// Who says what the chain must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Our operator's configuration.
    Checkpoint,
    /// Committee.sol, at our own final Ethereum block.
    Committee,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "our own checkpoint names",
            Self::Committee => "Committee.sol has seen",
        })
    }
}

/// What our chain must pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passage {
    /// Committee.sol was not asked yet.
    unasked: bool,
    checkpoint: Option<FinalBlock>,
    boundary: Option<FinalBlock>,
}

impl Passage {
    fn blocks(&self) -> impl Iterator<Item = (FinalBlock, Witness)> {
        let named = |block: Option<FinalBlock>, by| block.map(|block| (block, by));
        named(self.checkpoint, Witness::Checkpoint).into_iter().chain(named(self.boundary, Witness::Committee))
    }
}

impl Core {
    /// Waits with everything that counts until [`Self::passes_through`] has told what Committee.sol says; `checkpoint` is a block that our
    /// operator trusts.
    ///
    /// # Errors
    ///
    /// [`OtherChain`]: the node must not start on this ledger.
    pub fn await_passage(&mut self, checkpoint: Option<FinalBlock>) -> Result<(), OtherChain> {
        self.passage = Passage { unasked: true, checkpoint, boundary: None };
        self.check_passage()
    }

    /// Committee.sol's last boundary at our own final Ethereum block; `None` while it does not stand there.
    ///
    /// # Errors
    ///
    /// [`OtherChain`]: the node must stop.
    pub fn passes_through(&mut self, boundary: Option<FinalBlock>) -> Result<(), OtherChain> {
        self.passage.unasked = false;
        self.passage.boundary = boundary.or(self.passage.boundary);
        self.check_passage()?;
        self.proceed();
        Ok(())
    }

    /// Whether our chain is known to be the network's up to its newest boundary that Ethereum shows: before, nothing is attested and no
    /// peer is given blocks.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        let head = self.ledger.head().height;
        !self.passage.unasked && self.passage.blocks().all(|(block, _)| block.height <= head)
    }

    fn check_passage(&self) -> Result<(), OtherChain> {
        let differs = |(block, by): (FinalBlock, Witness)| {
            let ours = self.ledger.block_id(block.height).filter(|ours| *ours != block.id)?;
            Some(OtherChain { height: block.height, ours, theirs: block.id, by })
        };
        self.passage.blocks().find_map(differs).map_or(Ok(()), Err)
    }

    /// Whether a block stands where another must. Of one that is decided this is the end, because also what lies below it may be made
    /// up: the driver asks before it commits, and stops. Of one that is only offered it says that whoever offers it lies.
    #[must_use]
    pub fn leads_elsewhere(&self, block: &Block) -> Option<OtherChain> {
        let (height, ours) = (block.header.height, block.id());
        let other = self.passage.blocks().find(|(must, _)| must.height == height && must.id != ours);
        other.map(|(must, by)| OtherChain { height, ours, theirs: must.id, by })
    }
}
