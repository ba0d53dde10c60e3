//! Cases and orders: what a proven fault costs, and how far each chain has come in taking it.

use crate::canonical::{List, canonical, canonical_enum};
use crate::evidence::Evidence;
use crate::ids::{Address, CaseId, Domain, Hash, OperatorId, ServiceId, VaultId};
use crate::position::StakeSource;
use crate::units::Height;

/// The most sources of stake one case may reach. A vault beyond it would be weight without a cost, so no
/// operator may stand behind more.
pub const MAX_ORDERS: usize = 256;

/// From where a slash is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlashTarget {
    /// Through the EigenLayer adapter, from one strategy.
    EigenLayer(Address),
    /// From one vault on Bitcoin.
    Vault(VaultId),
    /// Through the Symbiotic adapter, from one vault.
    Symbiotic(Address),
    /// Through the Karak adapter, from one vault.
    Karak(Address),
    /// From one operator set of a service.
    Service(ServiceTarget),
}
canonical_enum!(SlashTarget {
    0 => EigenLayer(strategy), 1 => Vault(id), 2 => Symbiotic(vault), 3 => Karak(vault), 8 => Service(target),
});

/// What a verdict takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceTarget {
    /// The contract that slashes the set.
    pub adapter: Address,
    /// Of which asset something was taken, once the chain shows it; before, nobody here knows what lies there.
    pub asset: Option<Address>,
}
canonical!(ServiceTarget { adapter, asset });

impl SlashTarget {
    /// The restaked stake it is aimed at; `None` for bitcoin.
    #[must_use]
    pub const fn source(&self) -> Option<StakeSource> {
        match self {
            Self::EigenLayer(strategy) => Some(StakeSource::EigenLayer(*strategy)),
            Self::Symbiotic(vault) => Some(StakeSource::Symbiotic(*vault)),
            Self::Karak(vault) => Some(StakeSource::Karak(*vault)),
            Self::Vault(_) | Self::Service(_) => None,
        }
    }
}

/// How far an order has come, as the chain finally shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Given; the chain does not show it finally yet.
    Ordered,
    /// Finally taken.
    Final(Taken),
    /// The stake left before it could be taken.
    Escaped,
    /// The protocol lets somebody veto a slash, and he did: nobody asks again (R26).
    Vetoed,
    /// The certified order's last block passed without a slash. When it can be, it is ordered again.
    Expired,
    /// A verdict that waits for others of its cause, or for the throttle (R11).
    Waiting,
}
canonical_enum!(OrderStatus { 0 => Ordered, 1 => Final(taken), 2 => Escaped, 3 => Vetoed, 4 => Expired, 5 => Waiting });

impl OrderStatus {
    /// Whether the chain may still show a loss, and somebody should see to it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Ordered | Self::Expired | Self::Waiting)
    }
}

/// What was really taken, never what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Shares of the strategy, smallest units of the collateral, or satoshis.
    pub amount: u128,
    /// The transaction that took it.
    pub transaction: Hash,
}
canonical!(Taken { amount, transaction });

/// One thing to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlashOrder {
    /// From where.
    pub target: SlashTarget,
    /// How much is asked: shares of the strategy, smallest units of the collateral, or satoshis; of a service's set the part, of 1e18.
    pub asked: u128,
    /// How far it has come.
    pub status: OrderStatus,
}
canonical!(SlashOrder { target, asked, status });

/// One fault of one operator in one domain (R25). Later pairs belong to the same case and add nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// H(chain id | operator | domain); of a verdict H(chain id | operator | domain | slot).
    pub id: CaseId,
    /// Who.
    pub operator: OperatorId,
    /// Where.
    pub domain: Domain,
    /// The slot of the proof.
    pub slot: u64,
    /// The block that holds the proof.
    pub opened: Height,
    /// The proof; `None` when the contract convicted and the ledger follows.
    pub evidence: Option<Evidence>,
    /// What is to be taken.
    pub orders: List<SlashOrder, MAX_ORDERS>,
}
canonical!(Case { id, operator, domain, slot, opened, evidence, orders });

/// A case's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseStatus {
    /// Proven; at least one chain has not shown the loss finally.
    Convicted,
    /// Every order is final, escaped or vetoed.
    Final,
}

impl Case {
    /// Whether no contract can check the fault, so that only certified orders take anything (R11).
    #[must_use]
    pub const fn needs_order(&self) -> bool {
        matches!(self.evidence, Some(Evidence::Covenant(_) | Evidence::Verdict(_)))
    }

    /// The service whose set the orders take from; zero for the network's own.
    #[must_use]
    pub fn service(&self) -> ServiceId {
        match &self.evidence {
            Some(Evidence::Verdict(verdict)) => verdict.verdict.registration.service,
            _ => ServiceId::ZERO,
        }
    }

    /// Final only when no order is open: nothing is called slashed before the chain shows it.
    #[must_use]
    pub fn status(&self) -> CaseStatus {
        if self.orders.iter().any(|order| order.status.is_open()) { CaseStatus::Convicted } else { CaseStatus::Final }
    }
}
