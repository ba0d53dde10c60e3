//! The ledger as rows: every fact of the state has one key and one value, and the state root is a Merkle
//! root over them. What is stored, proven and replayed is always a row.

use crate::account::{Account, AccountId, CapturedId, SlashId, SlashRecord};
use crate::canonical::{Canonical, canonical, canonical_enum};
use crate::certificate::Committee;
use crate::chain::{ChainKind, ChainPoint};
use crate::claim::{Claim, Claims};
use crate::duty::Duty;
use crate::epoch::{EpochState, Finality, Roll};
use crate::evidence::Exposure;
use crate::ids::{Address, BlockId, CaseId, ChainId, OperatorId, SchnorrKey, ServiceId, VaultId};
use crate::numbers::Numbers;
use crate::operator::Operator;
use crate::order::{Order, OrderId};
use crate::position::{Magnitudes, Position, PositionId, StakeSource};
use crate::price::Quote;
use crate::randomness::RandomnessCommitment;
use crate::service::{Registration, RegistrationId, Service, ServiceStakeId, SetProtocol};
use crate::slash::Case;
use crate::suspension::Suspension;
use crate::units::{Epoch, Height};
use crate::vault::Vault;
use crate::verdict::Docket;
use palisade_crypto::hash::keccak256;

/// Names a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// Which block stands at a height (R1).
    Block(Height),
    /// How far a chain is taken in.
    Anchor(ChainKind),
    /// The epoch the ledger is in.
    Epoch,
    /// What is final.
    Finality,
    /// The committee of an epoch.
    Committee(Epoch),
    /// An operator.
    Operator(OperatorId),
    /// A restaking position.
    Position(PositionId),
    /// A vault.
    Vault(VaultId),
    /// An operator's nonces, by key and first slot.
    Randomness(RandomnessId),
    /// A fault.
    Case(CaseId),
    /// The first height of an epoch: which committee a slot belongs to (R3).
    EpochFirst(Epoch),
    /// What Bitcoin's blocks ask of a transaction (R28).
    FeeRate,
    /// A finality provider's key whose secret is known (R29).
    Exposed(SchnorrKey),
    /// A chain's last suspension (R30).
    Suspension(ChainKind),
    /// The newest claim about a vault.
    Claim(VaultId),
    /// How far claims are counted.
    Claims,
    /// The newest order for a case at an adapter.
    Order(OrderId),
    /// How far orders are counted.
    Orders,
    /// What the feed of an asset said (R23).
    Price(StakeSource),
    /// Who is named by the certificates of a slot that supplements may still name more of (R20).
    Roll(Height),
    /// An operator's nonces of a network before this one (R21): evidence of that one needs them.
    Earlier(EarlierId),
    /// A service's operator sets.
    Service(ServiceId),
    /// One of a service's registrations (R14).
    Registration(RegistrationId),
    /// A verdict, by the number in which it came, while it waits or others are weighed by it.
    Docket(u64),
    /// Which slots an operator missed lately, and since when he is in jail.
    Duty(OperatorId),
    /// Stake that its operator listed beside genesis' assets.
    Listing(PositionId),
    /// What one slash took.
    Slashed(SlashId),
    /// What stood in a position at the snapshots of committees (R26).
    Captured(CapturedId),
    /// The books of an asset.
    Account(AccountId),
    /// What an operator has in a service's own set.
    ServiceStake(ServiceStakeId),
    /// Whose protocol a service's set is, by its adapter.
    SetProtocol(Address),
}
canonical_enum!(RowKey {
    0 => Block(height), 1 => Anchor(chain), 2 => Epoch, 3 => Finality, 4 => Committee(epoch), 5 => Operator(id),
    6 => Position(id), 7 => Vault(id), 8 => Randomness(id), 9 => Case(id), 10 => EpochFirst(epoch), 11 => FeeRate, 12 => Exposed(key),
    13 => Suspension(chain),
    14 => Claim(id), 15 => Claims,
    16 => Order(id), 17 => Orders, 19 => Price(source),
    20 => Roll(height), 21 => Earlier(id),
    23 => Service(id), 24 => Registration(id), 25 => Docket(number), 26 => Duty(id),
    30 => Listing(id), 32 => Slashed(id), 33 => Captured(id), 34 => Account(id),
    36 => ServiceStake(id), 37 => SetProtocol(adapter),
});

/// Names a commitment of a network before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EarlierId {
    /// Of which network.
    pub chain: ChainId,
    /// Which.
    pub promise: RandomnessId,
}
canonical!(EarlierId { chain, promise });

/// Names a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RandomnessId {
    /// Whose.
    pub operator: OperatorId,
    /// Of which of his keys.
    pub key: SchnorrKey,
    /// Its first slot.
    pub first: Height,
}
canonical!(RandomnessId { operator, key, first });

/// A row's value; its variant is its key's. A ledger holds many positions and nothing else in such numbers, so that what is larger than
/// they are stands in a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// See [`RowKey::Block`].
    Block(BlockId),
    /// See [`RowKey::Anchor`].
    Anchor(ChainPoint),
    /// See [`RowKey::Epoch`].
    Epoch(EpochState),
    /// See [`RowKey::Finality`].
    Finality(Finality),
    /// See [`RowKey::Committee`].
    Committee(Committee),
    /// See [`RowKey::Operator`].
    Operator(Operator),
    /// See [`RowKey::Position`].
    Position(Position),
    /// See [`RowKey::Vault`].
    Vault(Box<Vault>),
    /// See [`RowKey::Randomness`].
    Randomness(RandomnessCommitment),
    /// See [`RowKey::Case`].
    Case(Box<Case>),
    /// See [`RowKey::EpochFirst`].
    EpochFirst(Height),
    /// See [`RowKey::FeeRate`]; satoshis per 1000 weight units.
    FeeRate(u64),
    /// See [`RowKey::Exposed`].
    Exposed(Exposure),
    /// See [`RowKey::Suspension`].
    Suspension(Suspension),
    /// See [`RowKey::Claim`].
    Claim(Claim),
    /// See [`RowKey::Claims`].
    Claims(Claims),
    /// See [`RowKey::Order`].
    Order(Box<Order>),
    /// See [`RowKey::Orders`].
    Orders(Numbers),
    /// See [`RowKey::Price`].
    Price(Quote),
    /// See [`RowKey::Roll`].
    Roll(Roll),
    /// See [`RowKey::Earlier`].
    Earlier(RandomnessCommitment),
    /// See [`RowKey::Service`].
    Service(Service),
    /// See [`RowKey::Registration`].
    Registration(Box<Registration>),
    /// See [`RowKey::Docket`].
    Docket(Box<Docket>),
    /// See [`RowKey::Duty`].
    Duty(Box<Duty>),
    /// See [`RowKey::Listing`]; the asset of genesis that it follows.
    Listing(StakeSource),
    /// See [`RowKey::Slashed`].
    Slashed(SlashRecord),
    /// See [`RowKey::Captured`].
    Captured(Position),
    /// See [`RowKey::Account`].
    Account(Account),
    /// See [`RowKey::ServiceStake`].
    ServiceStake(Magnitudes),
    /// See [`RowKey::SetProtocol`].
    SetProtocol(SetProtocol),
}
canonical_enum!(Row {
    0 => Block(id), 1 => Anchor(point), 2 => Epoch(state), 3 => Finality(finality), 4 => Committee(committee),
    5 => Operator(operator), 6 => Position(position), 7 => Vault(vault), 8 => Randomness(commitment), 9 => Case(case), 10 => EpochFirst(height),
    11 => FeeRate(rate), 12 => Exposed(exposure), 13 => Suspension(suspension), 14 => Claim(claim), 15 => Claims(claims),
    16 => Order(order), 17 => Orders(numbers),
    19 => Price(quote),
    20 => Roll(roll), 21 => Earlier(commitment),
    23 => Service(service), 24 => Registration(registration), 25 => Docket(docket), 26 => Duty(duty),
    30 => Listing(like), 32 => Slashed(record), 33 => Captured(position), 34 => Account(account),
    36 => ServiceStake(stake), 37 => SetProtocol(protocol),
});

impl RowKey {
    /// Where the row hangs in the state tree: keccak256 of the key.
    #[must_use]
    pub fn path(&self) -> [u8; 32] {
        keccak256(&self.to_bytes())
    }
}

impl Row {
    /// What the state tree says of the value: keccak256 of its encoding.
    #[must_use]
    pub fn value_hash(&self) -> [u8; 32] {
        keccak256(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_takes_more_memory_than_a_position_and_what_kind_it_is() {
        assert_eq!(size_of::<Row>(), size_of::<Position>() + align_of::<Position>());
    }
}
