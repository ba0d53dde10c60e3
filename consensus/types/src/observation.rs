//! Final facts of a chain, in Palisade's words. They are agreed because every voter's own node saw the same.

use crate::canonical::{Blob, List, canonical, canonical_enum};
use crate::chain::{ChainKind, ChainPoint};
use crate::evidence::CovenantBreach;
use crate::ids::{Address, CaseId, Domain, Ed25519Signature, Hash, OperatorId, SchnorrSignature, ServiceId, VaultId};
use crate::operator::KeyRow;
use crate::position::{Magnitudes, Position, PositionId, StakeSource};
use crate::price::PriceSeen;
use crate::service::{MAX_RULES, RegistrationId, ServiceSet, ServiceStakeId, SetProtocol};
use crate::vault::Spend;

/// The most facts one observation may hold. A follower with more stops at an earlier point (R32).
pub const MAX_FACTS: usize = 1_024;

/// Everything that became true on one chain between two of its final points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which chain.
    pub chain: ChainKind,
    /// The parent state's anchor.
    pub after: ChainPoint,
    /// The new anchor.
    pub upto: ChainPoint,
    /// In the order in which they happened; views last, by key ascending.
    pub facts: List<Fact, MAX_FACTS>,
}
canonical!(Observation { chain, after, upto, facts });

/// One final fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Palisade.sol registered keys. It checked the BLS proof; the other two proofs are checked by the ledger.
    Keys(Box<KeysRegistered>),
    /// A restaking position differs from the ledger's row.
    Stake(StakeSeen),
    /// Palisade.sol saw a proven pair.
    Convicted(ConvictedOnChain),
    /// A restaking protocol's own views showed a loss (R24).
    Slashed(SlashedOnChain),
    /// A registered vault's staking transaction is k deep.
    VaultConfirmed(VaultConfirmed),
    /// A known vault's output was spent, k deep.
    VaultSpent(VaultSpent),
    /// What Bitcoin's blocks up to the new anchor ask of a transaction, satoshis per 1000 weight units, where the ledger says
    /// otherwise (R28). Last.
    FeeRate(u64),
    /// A covenant member signed a spend of a known vault that nobody registered (R27). After the spend, once for each member.
    CovenantBreach(CovenantBreach),
    /// Only where a suspended chain goes on, first: the newest agreed anchor that the chain still holds. What the ledger took in
    /// after it is forgotten, and the facts that follow tell it anew.
    Rewound(ChainPoint),
    /// A restaking protocol let a slash be vetoed (R26).
    Vetoed(VetoedOnChain),
    /// What the feed of an asset says at the anchor, where the ledger holds otherwise (R23). After the positions, by asset ascending.
    Price(PriceSeen),
    /// A service named one of its operator sets, with the most that an order may take there.
    ServiceSet(ServiceSetSeen),
    /// A service registered, with its rules (R14).
    ServiceDeclared(Box<ServiceDeclared>),
    /// Whose protocol a service's operator set is. After the prices, by adapter ascending.
    ServiceProtocol(SetProtocolSeen),
    /// What an operator has in a service's set differs from the ledger's row. Last, by id ascending.
    ServiceStake(ServiceStakeSeen),
    /// An operator named a vault that came after genesis: what he has there can be slashed from now on.
    Listed(Listed),
}
canonical_enum!(Fact {
    0 => Keys(keys), 1 => Stake(stake), 2 => Convicted(convicted), 3 => Slashed(slashed), 4 => VaultConfirmed(confirmed),
    5 => VaultSpent(spent), 6 => FeeRate(rate), 7 => CovenantBreach(breach),
    8 => Rewound(point), 9 => Vetoed(vetoed),
    10 => Price(seen),
    13 => Listed(listed), 15 => ServiceSet(seen), 16 => ServiceDeclared(declared),
    19 => ServiceProtocol(seen), 20 => ServiceStake(seen),
});

/// New keys of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysRegistered {
    /// Whose.
    pub operator: OperatorId,
    /// The row, open. It closes the one before.
    pub row: KeyRow,
    /// The Ed25519 key's proof of possession.
    pub ed25519_proof: Ed25519Signature,
    /// The EOTS key's proof of possession, BIP-340.
    pub eots_proof: SchnorrSignature,
}
canonical!(KeysRegistered { operator, row, ed25519_proof, eots_proof });

/// A position as the protocol's views show it at the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StakeSeen {
    /// Which.
    pub id: PositionId,
    /// What the views say.
    pub position: Position,
}
canonical!(StakeSeen { id, position });

/// A conviction by the contract alone; the ledger follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvictedOnChain {
    /// The contract's case id; the same derivation as ours.
    pub case: CaseId,
    /// Who.
    pub operator: OperatorId,
    /// Where.
    pub domain: Domain,
    /// Which slot.
    pub slot: u64,
}
canonical!(ConvictedOnChain { case, operator, domain, slot });

/// What a slash really took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlashedOnChain {
    /// For which case.
    pub case: CaseId,
    /// From whom.
    pub operator: OperatorId,
    /// By which adapter contract.
    pub adapter: Address,
    /// From which asset: EigenLayer's strategy, Symbiotic's vault.
    pub asset: Address,
    /// Slashable stake before, in the asset's smallest units.
    pub before: u128,
    /// The same less what was really taken.
    pub afterwards: u128,
    /// The transaction.
    pub transaction: Hash,
}
canonical!(SlashedOnChain { case, operator, adapter, asset, before, afterwards, transaction });

/// A slash that will never happen at this target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VetoedOnChain {
    /// For which case.
    pub case: CaseId,
    /// Who keeps his stake.
    pub operator: OperatorId,
    /// By which adapter contract it was asked for.
    pub adapter: Address,
    /// Of which asset: Symbiotic's vault.
    pub asset: Address,
    /// The transaction that showed it.
    pub transaction: Hash,
}
canonical!(VetoedOnChain { case, operator, adapter, asset, transaction });

/// What Orders.sol was told of an operator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSetSeen {
    /// By whom.
    pub service: ServiceId,
    /// The set.
    pub set: ServiceSet,
}
canonical!(ServiceSetSeen { service, set });

/// What an operator set's adapter was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetProtocolSeen {
    /// The adapter.
    pub adapter: Address,
    /// Whose.
    pub protocol: SetProtocol,
}
canonical!(SetProtocolSeen { adapter, protocol });

/// What EigenLayer's views say at the anchor of an operator in a service's set; nothing allocated takes the row away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceStakeSeen {
    /// Which.
    pub id: ServiceStakeId,
    /// What the views say.
    pub stake: Magnitudes,
}
canonical!(ServiceStakeSeen { id, stake });

/// What Orders.sol was told of a service's rules. They are read by the ledger; bytes that are no rules are a registration that counts for
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDeclared {
    /// Which registration.
    pub id: RegistrationId,
    /// [`crate::service::ServiceRules`].
    pub rules: Blob<MAX_RULES>,
}
canonical!(ServiceDeclared { id, rules });

/// Stake outside genesis' list that follows one of its assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whose, and where it lies.
    pub id: PositionId,
    /// The asset of genesis of the same collateral, with whose price it weighs and within whose cap.
    pub like: StakeSource,
}
canonical!(Listed { id, like });

/// A vault's coins are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultConfirmed {
    /// Which vault.
    pub id: VaultId,
    /// The height of the block that holds its staking transaction.
    pub height: u64,
}
canonical!(VaultConfirmed { id, height });

/// A vault's output is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultSpent {
    /// Which vault.
    pub id: VaultId,
    /// How.
    pub spend: Spend,
}
canonical!(VaultSpent { id, spend });
