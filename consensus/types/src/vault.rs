//! A vault: bitcoin that its owner keeps, locked by a script under which exactly an agreed part can be taken
//! if, and only if, the operator behind it equivocates.

use crate::canonical::{Blob, List, canonical, canonical_enum};
use crate::ids::{AdaptorBytes, Hash, OperatorId, SchnorrKey, SchnorrSignature, VaultId};
use crate::units::Sats;

/// The largest transaction a registration may carry, in bytes.
pub const MAX_TRANSACTION: usize = 16_384;
/// The largest covenant.
pub const MAX_COVENANT: usize = 32;
/// The longest ladder of fees (R28).
pub const MAX_RUNGS: usize = 8;
/// The most finality providers of one vault.
pub const MAX_PROVIDERS: usize = 8;

/// One covenant member's adaptor signature on a slashing transaction: it becomes a signature for whoever
/// knows the finality provider's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CovenantAdaptor {
    /// The member.
    pub member: SchnorrKey,
    /// The finality provider whose key completes it.
    pub provider: SchnorrKey,
    /// 65 bytes.
    pub signature: AdaptorBytes,
}
canonical!(CovenantAdaptor { member, provider, signature });

/// One covenant member's signature on the unbonding transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CovenantSignature {
    /// The member.
    pub member: SchnorrKey,
    /// BIP-340 over the tapscript sighash.
    pub signature: SchnorrSignature,
}
canonical!(CovenantSignature { member, signature });

/// One rung of the fee ladder: a slashing transaction and everything signed over it before the vault counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slashing {
    /// The transaction without its witness.
    pub transaction: Blob<MAX_TRANSACTION>,
    /// The staker's signature for the slashing leaf.
    pub staker: SchnorrSignature,
    /// The covenant's adaptor signatures, by member; empty until presigned.
    pub covenant: List<CovenantAdaptor, { MAX_COVENANT * MAX_PROVIDERS }>,
}
canonical!(Slashing { transaction, staker, covenant });

/// Where a transaction stands in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The block, internal byte order.
    pub block: Hash,
    /// Its height.
    pub height: u64,
    /// The transaction's index, less than 2^siblings.
    pub index: u32,
    /// The other halves of the Merkle path, leaf first, internal byte order.
    pub siblings: List<Hash, 32>,
}
canonical!(Inclusion { block, height, index, siblings });

/// Everything that makes a vault count. Before the covenant has signed, its lists are empty; a block carries
/// it only when they hold a quorum (R28: it lists its slashing transactions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRegistration {
    /// The operator whose finality provider key stands in the slashing leaf.
    pub operator: OperatorId,
    /// The staker.
    pub staker: SchnorrKey,
    /// The finality providers, ascending.
    pub providers: List<SchnorrKey, MAX_PROVIDERS>,
    /// Blocks the coins are locked for.
    pub staking_time: u16,
    /// The staking transaction, without witness.
    pub staking: Blob<MAX_TRANSACTION>,
    /// Which of its outputs is the vault.
    pub output: u32,
    /// What that output holds.
    pub amount: Sats,
    /// Where the staking transaction stands.
    pub inclusion: Inclusion,
    /// The unbonding transaction, without witness.
    pub unbonding: Blob<MAX_TRANSACTION>,
    /// The covenant's signatures on it.
    pub unbonding_covenant: List<CovenantSignature, MAX_COVENANT>,
    /// Slashing transactions of the staking output, lowest fee first.
    pub slashings: List<Slashing, MAX_RUNGS>,
    /// Slashing transactions of the unbonding output, lowest fee first.
    pub unbonding_slashings: List<Slashing, MAX_RUNGS>,
}
canonical!(VaultRegistration {
    operator,
    staker,
    providers,
    staking_time,
    staking,
    output,
    amount,
    inclusion,
    unbonding,
    unbonding_covenant,
    slashings,
    unbonding_slashings,
});

/// How far a vault has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultStatus {
    /// Registered and presigned; the staking transaction is not yet k deep in the ledger.
    Verified,
    /// Counts.
    Active,
    /// The unbonding transaction is k deep; its output can still be slashed.
    Unbonding(Hash),
    /// The staker has his coins back.
    Withdrawn(Hash),
    /// The slashing transaction is k deep; the satoshis taken.
    Slashed(VaultLoss),
    /// Spent in a way nobody agreed on.
    Lost(Hash),
}
canonical_enum!(VaultStatus {
    0 => Verified, 1 => Active, 2 => Unbonding(txid), 3 => Withdrawn(txid), 4 => Slashed(loss), 5 => Lost(txid),
});

/// What a slashing transaction took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultLoss {
    /// The slashing transaction.
    pub txid: Hash,
    /// What its first output, the sink, received.
    pub taken: Sats,
}
canonical!(VaultLoss { txid, taken });

/// One vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// The staking output.
    pub id: VaultId,
    /// What was registered.
    pub registration: VaultRegistration,
    /// How far it has come.
    pub status: VaultStatus,
}
canonical!(Vault { id, registration, status });

impl Vault {
    /// The Bitcoin height at which the timelock lets the coins go.
    #[must_use]
    pub fn end_height(&self) -> u64 {
        self.registration.inclusion.height.saturating_add(u64::from(self.registration.staking_time))
    }
}

/// What a known vault's output was spent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// By the timelock leaf.
    Withdrawn(Hash),
    /// By the registered unbonding transaction.
    Unbonded(Hash),
    /// By a slashing transaction.
    Slashed(VaultLoss),
    /// In any other way.
    Unexpected(Hash),
}
canonical_enum!(Spend { 0 => Withdrawn(txid), 1 => Unbonded(txid), 2 => Slashed(loss), 3 => Unexpected(txid) });
