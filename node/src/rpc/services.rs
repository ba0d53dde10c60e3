//! What stands behind a service: its sets, its rules, what operators allocate to it, who may judge, and what was judged. Every figure comes
//! with the key of the row that it is of, so that whoever asks can have it proven (`ledger_proof_bundle`).

use super::Api;
use super::errors::Refusal;
use super::views::PointView;
use crate::core::Core;
use crate::text::hex_bytes;
use palisade_ledger::Ledger;
use palisade_types::canonical::Canonical;
use palisade_types::chain::ChainKind;
use palisade_types::evidence::Evidence;
use palisade_types::ids::{Address, ServiceId};
use palisade_types::position::Magnitudes;
use palisade_types::row::RowKey;
use palisade_types::service::{FaultRule, Law, Registration, Service, ServiceSet, ServiceStakeId, SetProtocol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One of `service_list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its account, as 32 bytes.
    pub id: String,
    /// The row's key.
    pub key: String,
    /// Its operator sets.
    pub sets: Vec<ServiceSetView>,
    /// Its registrations that count.
    pub registrations: Vec<RegistrationView>,
}

/// One operator set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSetView {
    /// The contract that slashes it.
    pub adapter: String,
    /// The most that an order may take, of 1e18.
    pub maximum: String,
    /// One of [`ServiceSetView::PROTOCOLS`]: only of `eigenlayer` is known what lies there.
    pub protocol: String,
}

impl ServiceSetView {
    /// Whose protocol a set can be; `unknown` until a follower has looked, `beyond` what is followed at most.
    pub const PROTOCOLS: [&str; 4] = ["eigenlayer", "other", "beyond", "unknown"];
}

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationView {
    /// Its number.
    pub number: u64,
    /// The row's key.
    pub key: String,
    /// The height that brought it.
    pub since: u64,
    /// Kinds of its domains; verdicts stand in the first.
    pub kinds: Vec<u16>,
    /// The adapters that a verdict takes from.
    pub sets: Vec<String>,
    /// The part of the weight that must sign, of 1e18.
    pub threshold: String,
    /// What a member must weigh, micro-dollars.
    pub bond: String,
    /// Ethereum blocks within which faults are of one cause.
    pub window_blocks: u64,
    /// What each kind of fault may take.
    pub faults: Vec<FaultView>,
    /// How many members of the next block's committee weigh the bond,
    pub judges: u32,
    /// what they weigh together, micro-dollars: a quorum is more than the threshold of it.
    pub judges_ether: String,
}

/// A kind of fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Its number.
    pub fault: u16,
    /// The most that a verdict may ask, of 1e18.
    pub most: String,
    /// `flat`, `linear` or `square`.
    pub law: String,
    /// Its factor in hundredths; null for `flat`.
    pub k: Option<u32>,
}

/// `service_security`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSecurityView {
    /// The service.
    pub service: ServiceView,
    /// The Ethereum block as of which the stakes are.
    pub ethereum: PointView,
    /// The last block of the window: what is `lasting` can be taken until then, whatever operators do now (R4).
    pub until: u64,
    /// What each operator has in each set, in each asset.
    pub stakes: Vec<ServiceStakeView>,
    /// The same by set and asset.
    pub sums: Vec<ServiceSumView>,
    /// The cases that its verdicts opened.
    pub cases: Vec<String>,
}

/// What one operator has in one set, in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStakeView {
    /// The set's adapter.
    pub adapter: String,
    /// Whose.
    pub operator: String,
    /// The strategy.
    pub asset: String,
    /// The row's key.
    pub key: String,
    /// Shares delegated to him.
    pub shares: String,
    /// Of 1e18, what the set may take of them now.
    pub magnitude: String,
    /// Of 1e18.
    pub max_magnitude: String,
    /// Pending change of `magnitude`.
    pub pending: String,
    /// When it takes effect.
    pub effect_block: u64,
    /// Whether he is in the set.
    pub member: bool,
    /// Shares that the set can take now; null where only the row is told.
    pub slashable: Option<String>,
    /// Shares that it can still take at the end of the window; null where only the row is told.
    pub lasting: Option<String>,
}

/// What all operators have in one set, in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSumView {
    /// The set's adapter.
    pub adapter: String,
    /// The strategy.
    pub asset: String,
    /// Shares that the set can take now,
    pub slashable: String,
    /// and at the end of the window.
    pub lasting: String,
}

/// See [`ServiceSetView::PROTOCOLS`].
pub(super) const fn protocol_name(protocol: Option<SetProtocol>) -> &'static str {
    match protocol {
        Some(SetProtocol::EigenLayer) => "eigenlayer",
        Some(SetProtocol::Other) => "other",
        Some(SetProtocol::Beyond) => "beyond",
        None => "unknown",
    }
}

impl ServiceStakeView {
    /// A row; with what can be taken of it in these two blocks.
    pub(super) fn of(id: &ServiceStakeId, stake: &Magnitudes, blocks: Option<(u64, u64)>) -> Self {
        Self {
            adapter: id.adapter.to_string(),
            operator: id.operator.to_string(),
            asset: id.asset.to_string(),
            key: key(&RowKey::ServiceStake(*id)),
            shares: stake.shares.to_string(),
            magnitude: stake.magnitude.to_string(),
            max_magnitude: stake.max_magnitude.to_string(),
            pending: stake.pending.to_string(),
            effect_block: stake.effect_block,
            member: stake.member,
            slashable: blocks.map(|(now, _)| stake.slashable_at(now).to_string()),
            lasting: blocks.map(|(_, until)| stake.slashable_at(until).to_string()),
        }
    }
}

impl ServiceView {
    fn of(ledger: &Ledger, service: &Service) -> Self {
        let set = |set: &ServiceSet| ServiceSetView {
            adapter: set.adapter.to_string(),
            maximum: set.maximum.to_string(),
            protocol: protocol_name(ledger.set_protocol(&set.adapter)).to_owned(),
        };
        let own = ledger.registrations().filter(|registration| registration.id.service == service.id);
        Self {
            id: service.id.to_string(),
            key: key(&RowKey::Service(service.id)),
            sets: service.sets.iter().map(set).collect(),
            registrations: own.map(|registration| RegistrationView::of(ledger, registration)).collect(),
        }
    }
}

impl RegistrationView {
    fn of(ledger: &Ledger, registration: &Registration) -> Self {
        let (rules, committee) = (&registration.rules, ledger.committee());
        let judges = committee.members.iter().filter(|member| {
            let convicted = ledger.operator(&member.operator).is_none_or(|operator| operator.convicted.is_some());
            rules.counts(committee, &member.operator) && !convicted
        });
        let weights: Vec<u128> = judges.map(|member| member.ether.into()).collect();
        Self {
            number: registration.id.number,
            key: key(&RowKey::Registration(registration.id)),
            since: registration.since.get(),
            kinds: rules.kinds.to_vec(),
            sets: rules.sets.iter().map(Address::to_string).collect(),
            threshold: rules.threshold.to_string(),
            bond: rules.bond.to_string(),
            window_blocks: rules.window_blocks,
            faults: rules.faults.iter().map(FaultView::of).collect(),
            judges: u32::try_from(weights.len()).unwrap_or(u32::MAX),
            judges_ether: weights.iter().sum::<u128>().to_string(),
        }
    }
}

impl FaultView {
    fn of(rule: &FaultRule) -> Self {
        let (law, k) = match rule.law {
            Law::Flat => ("flat", None),
            Law::Linear(k) => ("linear", Some(k)),
            Law::Square(k) => ("square", Some(k)),
        };
        Self { fault: rule.fault, most: rule.most.to_string(), law: law.to_owned(), k }
    }
}

fn key(key: &RowKey) -> String {
    hex_bytes(&key.to_bytes())
}

fn security(core: &Core, id: &ServiceId) -> Option<ServiceSecurityView> {
    let ledger = core.ledger();
    let service = ledger.service(id)?;
    let anchor = ledger.anchor(ChainKind::Ethereum);
    let until = anchor.number.saturating_add(ledger.genesis_of().parameters.ethereum_window());
    let own = |adapter: &Address| service.maximum(adapter).is_some();
    let mut sums: BTreeMap<(Address, Address), (u128, u128)> = BTreeMap::new();
    let mut stakes = Vec::new();
    for (id, stake) in ledger.service_stakes().filter(|(id, _)| own(&id.adapter)) {
        let sum = sums.entry((id.adapter, id.asset)).or_default();
        sum.0 = sum.0.saturating_add(stake.slashable_at(anchor.number));
        sum.1 = sum.1.saturating_add(stake.slashable_at(until));
        stakes.push(ServiceStakeView::of(id, stake, Some((anchor.number, until))));
    }
    let sums = sums.into_iter().map(|((adapter, asset), (slashable, lasting))| ServiceSumView {
        adapter: adapter.to_string(),
        asset: asset.to_string(),
        slashable: slashable.to_string(),
        lasting: lasting.to_string(),
    });
    let of_it = |evidence: &Option<Evidence>| matches!(evidence, Some(Evidence::Verdict(told)) if told.verdict.registration.service == *id);
    Some(ServiceSecurityView {
        service: ServiceView::of(ledger, service),
        ethereum: PointView::of(ChainKind::Ethereum, anchor),
        until,
        stakes,
        sums: sums.collect(),
        cases: ledger.cases().filter(|case| of_it(&case.evidence)).map(|case| case.id.to_string()).collect(),
    })
}

impl Api {
    pub(super) async fn read_services(&self) -> Result<Vec<ServiceView>, Refusal> {
        self.read(|core| {
            let ledger = core.ledger();
            ledger.services().map(|service| ServiceView::of(ledger, service)).collect()
        })
        .await
    }

    pub(super) async fn read_security(&self, service: &str) -> Result<ServiceSecurityView, Refusal> {
        let id: ServiceId = service.parse()?;
        let found = self.read(move |core| security(core, &id)).await?;
        found.ok_or(Refusal::UnknownService(id))
    }
}
