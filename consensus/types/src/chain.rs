//! The seam to the world: what a chain is to the rest of Palisade. It speaks Palisade's words; no log,
//! receipt or UTXO crosses it.

use crate::canonical::{canonical, canonical_enum};
use crate::certificate::{Committee, QuorumCertificate};
use crate::contradiction::Company;
use crate::evidence::Evidence;
use crate::ids::{Address, Hash, OperatorId, VaultId};
use crate::observation::Fact;
use crate::operator::Operator;
use crate::order::Order;
use crate::position::{Magnitudes, Position, PositionId, StakeSource};
use crate::price::Quote;
use crate::service::{ServiceStakeId, SetProtocol};
use crate::slash::Case;
use crate::vault::Vault;
use std::collections::BTreeMap;
use std::future::Future;

/// Which chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChainKind {
    /// Ethereum, or a devnet that speaks like it.
    Ethereum,
    /// Bitcoin, or a test network of it.
    Bitcoin,
}
canonical_enum!(ChainKind { 0 => Ethereum, 1 => Bitcoin });

/// A final block of a chain, as far as it has been taken in (R32): everything up to and including the log
/// before `log` of this block. `u32::MAX` is the whole block. On Bitcoin inputs and outputs are counted, in order through all
/// transactions of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainPoint {
    /// Block number or height.
    pub number: u64,
    /// Block hash; Bitcoin's in internal byte order.
    pub hash: Hash,
    /// The first log not taken in; `u32::MAX` when all are.
    pub log: u32,
    /// The block's own timestamp, seconds since 1970.
    pub time: u64,
}
canonical!(ChainPoint { number, hash, log, time });

impl ChainPoint {
    /// Whether it takes in more than `other` of the same chain.
    #[must_use]
    pub const fn is_above(&self, other: &Self) -> bool {
        self.number > other.number || (self.number == other.number && self.log > other.log)
    }
}

/// What the ledger already says about one chain: an observation reports only what differs from it, so that
/// it is a function of the parent state and the chain alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Every operator known, with his key rows.
    pub operators: BTreeMap<OperatorId, Operator>,
    /// Every restaking position known (Ethereum).
    pub positions: BTreeMap<PositionId, Position>,
    /// Every vault that is not yet over (Bitcoin); while the chain is suspended, those that are over too.
    pub vaults: BTreeMap<VaultId, Vault>,
    /// While the chain is suspended: anchors agreed on before the one that is gone, newest first. Empty otherwise.
    pub older: Vec<ChainPoint>,
    /// What Bitcoin's blocks ask of a transaction, as far as the ledger knows (R28).
    pub fee_rate: u64,
    /// What the ledger holds of each price feed (Ethereum).
    pub prices: BTreeMap<StakeSource, Quote>,
    /// What operators listed beside genesis' assets, with the asset that each follows (Ethereum).
    pub listings: BTreeMap<PositionId, StakeSource>,
    /// Every operator set of services, with whose protocol it was found to be (Ethereum).
    pub service_sets: BTreeMap<Address, Option<SetProtocol>>,
    /// What operators have there (Ethereum).
    pub service_stakes: BTreeMap<ServiceStakeId, Magnitudes>,
}

impl Watch {
    /// What the ledger said when `point` was its anchor: vaults that have changed since are as they were when they came, and
    /// nothing later is remembered of them.
    #[must_use]
    pub fn rewound(&self, point: &ChainPoint) -> Self {
        let vaults = self.vaults.iter().map(|(id, vault)| (*id, vault.clone().rewound(point.number)));
        Self {
            operators: self.operators.clone(),
            positions: BTreeMap::new(),
            vaults: vaults.collect(),
            older: Vec::new(),
            fee_rate: self.fee_rate,
            prices: BTreeMap::new(),
            listings: BTreeMap::new(),
            service_sets: BTreeMap::new(),
            service_stakes: BTreeMap::new(),
        }
    }
}

/// What an executor must know to carry out one order of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The case, with its evidence and orders.
    pub case: Case,
    /// Which of the case's orders.
    pub order: usize,
    /// The convict, whose key rows the contract is told by their ids.
    pub operator: Operator,
    /// The vault, when the order is against one.
    pub vault: Option<Vault>,
    /// Where only an order takes anything: the newest one, once it is certified.
    pub certified: Option<Box<CertifiedOrder>>,
    /// Who signed with the convict, where his signatures are known within sums only.
    pub company: Option<Company>,
}

/// An order with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedOrder {
    /// What the ledger says.
    pub order: Order,
    /// Who signed that.
    pub certificate: QuorumCertificate,
    /// The committee of its epoch.
    pub committee: Committee,
}

/// How far an order has come on its own chain, as the executor sees it now. Only an observation makes it final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing can be done yet: a certificate is missing, a delay is not over, or a veto may still come.
    Waiting,
    /// A transaction is on its way.
    Sent(Hash),
    /// The chain shows the effect already, not yet final.
    Executed(Hash),
}

/// Why a chain could not be read or written, sorted by what the caller does.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The endpoint is down, slow or behind. Wait and ask again.
    #[error("chain endpoint is unavailable while {doing}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// What the transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The endpoint is not (yet) at the block asked for. Wait and ask again.
    #[error("block {number} is not final at the endpoint yet")]
    NotThere {
        /// The block asked for.
        number: u64,
    },
    /// More happened up to this block than one observation may hold. Ask up to an earlier one (R32).
    #[error("too much happened up to block {number} for one observation")]
    TooMany {
        /// The block asked for.
        number: u64,
    },
    /// The endpoint said something no honest node would say. Stop using it.
    #[error("the endpoint contradicts itself or the protocol: {0}")]
    Lied(String),
    /// The chain is deep past a block we treated as final, and does not hold it. Suspend the chain (R30); the node goes on.
    #[error("final block {number} is no longer on the chain")]
    FinalityBroken {
        /// Its number.
        number: u64,
    },
    /// The endpoint serves another chain than genesis names. Do not start.
    #[error("the endpoint serves {found}, genesis names {expected}")]
    WrongChain {
        /// What genesis names.
        expected: String,
        /// What the endpoint serves.
        found: String,
    },
    /// The chain refuses this order as it stands. Log it and try later.
    #[error("the chain refuses the order: {0}")]
    Refused(String),
}

/// How the operator's own endpoints of a chain fare. For people and alarms: what is true never depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// How many there are.
    pub configured: usize,
    /// How many of them answer.
    pub well: usize,
    /// How often one of them said what enough others, or the chain's own rules, contradict; since the start.
    pub contradictions: u64,
}

/// A chain with stake on it. Three implementations: Ethereum, Bitcoin, and the tests' `FakeChain`.
pub trait Chain: Send + Sync + 'static {
    /// How the endpoints fare that it is read from.
    fn endpoints(&self) -> Endpoints;

    /// The newest final point.
    fn tip(&self) -> impl Future<Output = Result<ChainPoint, ChainError>> + Send;

    /// What became true after `after` up to and including `upto`, given what the ledger says already: logs of
    /// the gap, views at `upto` (R31). The same arguments give the same facts in the same order at every
    /// honest endpoint. `upto` is above `after`.
    fn observe(
        &self,
        after: &ChainPoint,
        upto: &ChainPoint,
        watch: &Watch,
    ) -> impl Future<Output = Result<Vec<Fact>, ChainError>> + Send;

    /// What a suspended chain shows up to `upto`, for the ledger to go on from there (R30): [`Fact::Rewound`] with the newest of
    /// the `watch`'s older anchors that it still holds, and after it what became true since then, given what the ledger
    /// said at that anchor: [`Watch::rewound`]. As deterministic as [`Chain::observe`].
    fn resume(&self, upto: &ChainPoint, watch: &Watch) -> impl Future<Output = Result<Vec<Fact>, ChainError>> + Send;

    /// Secrets that transactions between two points gave away (R29): evidence against operators who may have no case yet.
    /// `after`, `upto` and `watch` as in [`Chain::observe`]. Nothing that is agreed on: whoever sees one first hands it in.
    fn exposed(
        &self,
        after: &ChainPoint,
        upto: &ChainPoint,
        watch: &Watch,
    ) -> impl Future<Output = Result<Vec<Evidence>, ChainError>> + Send;

    /// The final point at `number`, for checking an anchor somebody else proposed.
    fn point(&self, number: u64) -> impl Future<Output = Result<ChainPoint, ChainError>> + Send;

    /// Carries one order as far as it can be carried now. Safe to call any number of times, by any operator.
    fn execute(&self, execution: &Execution) -> impl Future<Output = Result<Progress, ChainError>> + Send;
}
