//! The books: what came in, what is there, what left and what faults took, asset by asset; what every single slash took; and what
//! stood behind an operator at the moments to which faults are charged.
//!
//! The ledger follows views, not transfers, so that what came and went between two anchors is booked as its difference.

use crate::canonical::{canonical, canonical_enum};
use crate::ids::{CaseId, Hash, OperatorId};
use crate::position::{Position, PositionId, StakeSource};
use crate::slash::SlashTarget;
use crate::units::Height;
use crate::vault::{Vault, VaultStatus};

/// Names the books of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountId {
    /// Restaked stake, in the source's smallest units.
    Stake(StakeSource),
    /// Vaults on Bitcoin, in satoshis.
    Bitcoin,
}
canonical_enum!(AccountId { 0 => Stake(source), 1 => Bitcoin });

/// The books of one asset, over all operators: `entered` = `held` + `left` + `taken`, in the asset's smallest units. Sums are
/// modulo 2^128, which no asset has units for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// All that ever came in.
    pub entered: u128,
    /// What is there ([`Position::held`]); of bitcoin what lies in staking and unbonding outputs.
    pub held: u128,
    /// What went out otherwise than by a slash: withdrawn, moved to another operator, taken by somebody else; of bitcoin also what
    /// a slashing transaction gave back, paid in fees, or an expansion moved on.
    pub left: u128,
    /// What slashes took for faults that this ledger knows.
    pub taken: u128,
}
canonical!(Account { entered, held, left, taken });

impl Account {
    /// Whether nothing came from nowhere or went there.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.held.wrapping_add(self.left).wrapping_add(self.taken) == self.entered
    }

    /// What one vault adds to the books of bitcoin. A vault says of itself all that was booked of it, so that a reorganisation which
    /// takes its end back takes that out of the books too (R30).
    #[must_use]
    pub fn of_vault(vault: &Vault) -> Self {
        let entered = u128::from(vault.registration.amount.get());
        let (held, taken) = match vault.status {
            VaultStatus::Verified => return Self::default(),
            VaultStatus::Active | VaultStatus::Unbonding(_) => (entered, 0),
            VaultStatus::Slashed(loss) => (0, u128::from(loss.taken.get())),
            VaultStatus::Withdrawn(_) | VaultStatus::Lost(_) | VaultStatus::Expanded(_) => (0, 0),
        };
        Self { entered, held, left: entered - held - taken, taken }
    }

    /// Books with both in them.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            entered: self.entered.wrapping_add(other.entered),
            held: self.held.wrapping_add(other.held),
            left: self.left.wrapping_add(other.left),
            taken: self.taken.wrapping_add(other.taken),
        }
    }

    /// Books with `other` out of them again.
    #[must_use]
    pub const fn minus(&self, other: &Self) -> Self {
        Self {
            entered: self.entered.wrapping_sub(other.entered),
            held: self.held.wrapping_sub(other.held),
            left: self.left.wrapping_sub(other.left),
            taken: self.taken.wrapping_sub(other.taken),
        }
    }
}

/// Names a slash that its chain showed finally. One case may be taken from one target more than once, by one transaction each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlashId {
    /// Whose stake it was.
    pub operator: OperatorId,
    /// From where.
    pub target: SlashTarget,
    /// The transaction.
    pub transaction: Hash,
}
canonical!(SlashId { operator, target, transaction });

/// What one slash took, for the record. Nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlashRecord {
    /// For which case; `None` when a vault was slashed for a fault towards somebody else (R29).
    pub case: Option<CaseId>,
    /// What the case asked for: as [`crate::slash::SlashOrder::asked`].
    pub asked: u128,
    /// What the fault is charged to (R26): the Ethereum block of the snapshot, or of the verdict's capture; of a vault the height
    /// of the Bitcoin block in which its coins were locked.
    pub capture: u64,
    /// What could be taken there before, in the target's smallest units; of a vault what it held.
    pub before: u128,
    /// The same less what was really taken.
    pub afterwards: u128,
    /// The block of the ledger that books it.
    pub booked: Height,
}
canonical!(SlashRecord { case, asked, capture, before, afterwards, booked });

impl SlashRecord {
    /// What was taken.
    #[must_use]
    pub const fn taken(&self) -> u128 {
        self.before.saturating_sub(self.afterwards)
    }
}

/// Names what stood in a position from a committee's snapshot on. It holds until the next such row of the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapturedId {
    /// Which position.
    pub position: PositionId,
    /// The snapshot's Ethereum block.
    pub block: u64,
}
canonical!(CapturedId { position, block });

impl Position {
    /// What of the operator's stake is there, whatever of it can be taken: delegated shares and those that
    /// wait in the queue; on Symbiotic the most of any remembered
    /// moment; on Karak the vault's assets. In the asset's smallest units.
    #[must_use]
    pub fn held(&self) -> u128 {
        match self {
            Self::EigenLayer(magnitudes) => magnitudes.shares.wrapping_add(magnitudes.queued),
            Self::Symbiotic(stake) => stake.captures.iter().map(|capture| capture.stake).max().unwrap_or(0),
            Self::Karak(stake) => stake.assets,
        }
    }
}
