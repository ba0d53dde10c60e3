//! A vault: bitcoin that its owner keeps, locked by a script under which exactly an agreed part can be taken
//! if, and only if, the operator behind it equivocates.

use crate::canonical::{Blob, Canonical as _, List, canonical, canonical_enum};
use crate::genesis::VaultTerms;
use crate::ids::{AdaptorBytes, ChainId, Hash, OperatorId, SchnorrKey, SchnorrSignature, VaultId};
use crate::units::Sats;
use palisade_crypto::hash::Tag;

/// The largest transaction a registration may carry, in bytes.
pub const MAX_TRANSACTION: usize = 16_384;
/// The largest covenant.
pub const MAX_COVENANT: usize = 32;
/// The longest ladder of fees (R28).
pub const MAX_RUNGS: usize = 8;
/// The most finality providers of one vault.
pub const MAX_PROVIDERS: usize = 8;
/// The longest script that a funding coin may lie under: a witness program (BIP-141).
pub const MAX_WITNESS_PROGRAM: usize = 42;
/// Vaults of one operator that may be verified and not confirmed at one time (R32): the covenant signs before confirmation
/// only within this quota. Expansions are counted by their parents instead.
pub const MAX_VERIFIED: usize = 16;
/// Expansions of one vault that may wait at one time: the same one with other fees.
pub const MAX_EXPANSIONS: usize = 4;
/// After how many Bitcoin blocks without a confirmation a registration lapses: a week.
pub const LAPSE_BLOCKS: u64 = 1_008;

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

/// One covenant member's plain signature: on an unbonding transaction, on an expansion's first input, or on a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CovenantSignature {
    /// The member.
    pub member: SchnorrKey,
    /// BIP-340 over the tapscript sighash, or over [`VaultRegistration::endorsement`].
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

/// How a vault's coins move into a new vault without ever being free: the new staking transaction spends the old staking
/// output by its unbonding leaf, which the covenant signs only after it has presigned the new vault's slashings and the ledger
/// holds the new vault: then its signatures on that input are known to be honest wherever they turn up (R27).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// The vault whose staking output is input 0.
    pub parent: VaultId,
    /// The coin that input 1 spends. Signatures of input 0 cover it, so that a false one makes the expansion invalid.
    pub funding: Funding,
    /// The parent's covenant's signatures on input 0, ascending; empty until the ledger holds the vault and its members know.
    pub covenant: List<CovenantSignature, MAX_COVENANT>,
}
canonical!(Expansion { parent, funding, covenant });

/// A coin that pays for an expansion, as its output says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// What it holds.
    pub value: Sats,
    /// Its script, a witness program: anything else would let a third party change the transaction's id.
    pub script: Blob<MAX_WITNESS_PROGRAM>,
}
canonical!(Funding { value, script });

/// Everything that makes a vault count. Before the covenant has signed, its lists are empty; a block carries
/// it only when they hold a quorum (R28: it lists its slashing transactions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRegistration {
    /// Which version of genesis' terms it keeps for life: those in force at the inclusion's height, or, when it is registered
    /// before its coins are locked, at the ledger's Bitcoin anchor.
    pub terms: u16,
    /// The operator whose finality provider key stands in the slashing leaf.
    pub operator: OperatorId,
    /// The staker.
    pub staker: SchnorrKey,
    /// The finality providers, ascending: the operator's own key, and one for each other service behind the same stake.
    pub providers: List<SchnorrKey, MAX_PROVIDERS>,
    /// Blocks the coins are locked for.
    pub staking_time: u16,
    /// The staking transaction, without witness.
    pub staking: Blob<MAX_TRANSACTION>,
    /// Which of its outputs is the vault.
    pub output: u32,
    /// What that output holds.
    pub amount: Sats,
    /// Where the staking transaction stands; `None` while the coins are not locked yet: the covenant signs first.
    pub inclusion: Option<Inclusion>,
    /// The vault it grows out of, when it is an expansion.
    pub expansion: Option<Expansion>,
    /// The unbonding transaction, without witness.
    pub unbonding: Blob<MAX_TRANSACTION>,
    /// The covenant's signatures on it.
    pub unbonding_covenant: List<CovenantSignature, MAX_COVENANT>,
    /// Slashing transactions of the staking output, lowest fee first.
    pub slashings: List<Slashing, MAX_RUNGS>,
    /// Slashing transactions of the unbonding output, lowest fee first.
    pub unbonding_slashings: List<Slashing, MAX_RUNGS>,
    /// What the dearest slashing transaction of the output that is cheaper to outbid pays, satoshis per 1000 weight units,
    /// rounded down (R28): below the market's, the vault weighs nothing. Recomputed by whoever can read transactions, believed by
    /// the ledger.
    pub top_rate: u64,
    /// The covenant's signatures on [`Self::endorsement`], ascending: they bind operator and inclusion, which no
    /// transaction names.
    pub endorsements: List<CovenantSignature, MAX_COVENANT>,
}
canonical!(VaultRegistration {
    terms,
    operator,
    staker,
    providers,
    staking_time,
    staking,
    output,
    amount,
    inclusion,
    expansion,
    unbonding,
    unbonding_covenant,
    slashings,
    unbonding_slashings,
    top_rate,
    endorsements,
});

impl VaultRegistration {
    /// What the staker hands in: everything but what the covenant signed.
    #[must_use]
    pub fn bare(&self) -> Self {
        let mut bare = self.clone();
        bare.unbonding_covenant = List::new();
        bare.endorsements = List::new();
        if let Some(expansion) = &mut bare.expansion {
            expansion.covenant = List::new();
        }
        for slashing in bare.slashings.as_mut_slice().iter_mut().chain(bare.unbonding_slashings.as_mut_slice()) {
            slashing.covenant = List::new();
        }
        bare
    }

    /// What a covenant member signs with BIP-340 to say that he checked this very registration, with this operator and, when it
    /// names one, this block: the hash of chain id and [`Self::bare`].
    #[must_use]
    pub fn endorsement(&self, chain: &ChainId) -> Hash {
        Hash::new(Tag::VaultRegistration.hash(&[chain.as_bytes(), &self.bare().to_bytes()]))
    }
}

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
    /// Its coins went into another vault, by this transaction.
    Expanded(Hash),
}
canonical_enum!(VaultStatus {
    0 => Verified, 1 => Active, 2 => Unbonding(txid), 3 => Withdrawn(txid), 4 => Slashed(loss), 5 => Lost(txid),
    6 => Expanded(txid),
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
    /// The ledger's Bitcoin anchor when the registration came in. A vault registered before its coins were locked confirms above it.
    pub registered: u64,
    /// The height of the block that holds the staking transaction, once that is k deep.
    pub start: Option<u64>,
    /// How far it has come.
    pub status: VaultStatus,
    /// The ledger's Bitcoin anchor when it came so far: a reorganisation above it leaves it as it is (R30).
    pub since: u64,
}
canonical!(Vault { id, registration, registered, start, status, since });

/// What a vault is at one Bitcoin height: its status, and whether its lock still holds for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Registered; the staking transaction is not k deep.
    Verified,
    /// Counts.
    Active,
    /// Its lock ends too soon: it weighs nothing, and can be slashed until its coins are spent.
    Expired,
    /// The unbonding transaction is k deep.
    Unbonding,
    /// The staker has his coins back.
    Withdrawn,
    /// A part was taken.
    Slashed,
    /// Its coins are in another vault.
    Expanded,
    /// Spent in a way nobody agreed on.
    Lost,
}

impl Phase {
    /// The phase in one word, as RPC and people say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Unbonding => "unbonding",
            Self::Withdrawn => "withdrawn",
            Self::Slashed => "slashed",
            Self::Expanded => "expanded",
            Self::Lost => "lost",
        }
    }
}

impl Vault {
    /// The vault after its chain took back what came after block `anchor` (R30). One that has changed since then is active if its
    /// coins were locked by then, whatever happened to them, else only verified: its chain tells the rest anew. Its staking
    /// transaction may come in another block than the registration named.
    #[must_use]
    pub fn rewound(mut self, anchor: u64) -> Self {
        if self.since <= anchor {
            return self;
        }
        self.since = anchor;
        if self.start.is_some_and(|start| start <= anchor) {
            self.status = VaultStatus::Active;
            return self;
        }
        (self.status, self.start, self.registered) = (VaultStatus::Verified, None, self.registered.min(anchor));
        self.registration.inclusion = self.registration.inclusion.filter(|inclusion| inclusion.height <= anchor);
        self
    }

    /// The Bitcoin height at which the timelock lets the coins go; `None` before the staking transaction is k deep.
    #[must_use]
    pub fn end_height(&self) -> Option<u64> {
        self.start.map(|start| start.saturating_add(u64::from(self.registration.staking_time)))
    }

    /// What the vault is when the ledger's Bitcoin anchor is `anchor`, under the `terms` it was registered with. Weight goes
    /// one unbonding time before the coins can move: until then a fault can still be answered.
    #[must_use]
    pub fn phase(&self, terms: &VaultTerms, anchor: u64) -> Phase {
        match self.status {
            VaultStatus::Verified => Phase::Verified,
            VaultStatus::Active => {
                let last = anchor.saturating_add(u64::from(terms.unbonding_time));
                if self.end_height().is_some_and(|end| last < end) { Phase::Active } else { Phase::Expired }
            }
            VaultStatus::Unbonding(_) => Phase::Unbonding,
            VaultStatus::Withdrawn(_) => Phase::Withdrawn,
            VaultStatus::Slashed(_) => Phase::Slashed,
            VaultStatus::Lost(_) => Phase::Lost,
            VaultStatus::Expanded(_) => Phase::Expanded,
        }
    }

    /// Whether followers look for its staking transaction above the anchor at which it was registered: no block that was final
    /// then holds it. The block that a registration names may still be replaced by another one that holds it too (R30).
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let later = |inclusion: &Inclusion| inclusion.height > self.registered;
        self.status == VaultStatus::Verified && self.registration.inclusion.as_ref().is_none_or(later)
    }

    /// The vault it grows out of.
    #[must_use]
    pub fn parent(&self) -> Option<&VaultId> {
        self.registration.expansion.as_ref().map(|expansion| &expansion.parent)
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
    /// By the staking transaction of a registered expansion.
    Expanded(Hash),
}
canonical_enum!(Spend {
    0 => Withdrawn(txid), 1 => Unbonded(txid), 2 => Slashed(loss), 3 => Unexpected(txid), 4 => Expanded(txid),
});
