//! What is attested and certified, and what is claimed of vaults for contracts on Ethereum. These methods only tell:
//! nothing from outside asks for a signature (R14).

use super::Api;
use super::errors::Refusal;
use super::views::EtherCertificateView;
use super::{broken, committee_at};
use crate::core::Core;
use crate::text::hex_bytes;
use palisade_ethereum::light::{self, Certified};
use palisade_ledger::Ledger;
use palisade_types::attestation::Statement;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::claim::Claim;
use palisade_types::ids::{Domain, OperatorId, VaultId};
use palisade_types::numbers::NumberedKind;
use palisade_types::service::{self, RegistrationId, ServiceDomain};
use palisade_types::units::{Epoch, Height};
use serde::{Deserialize, Serialize};

/// A BLS domain of the network's own, as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Blocks; the slot is a height.
    Ledger,
    /// Vault claims and orders; the slot is a number.
    Numbered(NumberedKind),
    /// One of a service's; the slot has its epoch in its high bits.
    Service(ServiceDomain),
}

impl Kind {
    /// The domain, `None` when the service's would be one of the network's own (R14).
    pub(super) fn domain(self, ledger: &Ledger) -> Option<Domain> {
        let domains = ledger.domains();
        match self {
            Self::Ledger => Some(domains.ledger),
            Self::Numbered(kind) => Some(kind.domain(domains)),
            Self::Service(named) => named.derive(&ledger.chain(), &ledger.genesis_of().contracts.palisade),
        }
    }

    pub(super) fn named(name: &str) -> Result<Self, Refusal> {
        match name {
            "ledger" => Ok(Self::Ledger),
            "vault-claim" => Ok(Self::Numbered(NumberedKind::Claim)),
            "order" => Ok(Self::Numbered(NumberedKind::Order)),
            _ => service_domain(name).map(Self::Service).ok_or(UNKNOWN),
        }
    }
}

/// Says which domains [`Kind`] is of.
pub(super) const UNKNOWN: Refusal =
    Refusal::UnknownDomain("`ledger`, `vault-claim`, `order` and `service:ID:REGISTRATION:KIND`");

/// Reads `service:ID:REGISTRATION:KIND`.
fn service_domain(name: &str) -> Option<ServiceDomain> {
    let mut parts = name.strip_prefix("service:")?.split(':');
    let service = parts.next()?.parse().ok()?;
    let registration = RegistrationId { service, number: parts.next()?.parse().ok()? };
    let kind = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(ServiceDomain { registration, kind })
}

/// `attestation_status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationStatusView {
    /// The domain.
    pub domain: String,
    /// The slot.
    pub slot: u64,
    /// The epoch whose committee attests it, as far as the ledger knows it.
    pub epoch: Option<u32>,
    /// What the ledger holds there; null when it holds nothing, or for a claim or an order that a newer one replaced.
    pub digest: Option<String>,
    /// Who said what, while the slot is open.
    pub said: Vec<SaidView>,
    /// What the whole committee weighs, in micro-dollars; a certificate needs more than two thirds of it.
    pub total_ether: String,
    /// Whether a certificate is kept.
    pub certified: bool,
}

/// One operator's attestation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidView {
    /// Who.
    pub operator: String,
    /// What.
    pub digest: String,
    /// What his seat weighs, in micro-dollars.
    pub ether: String,
}

/// `vault_claim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultClaimView {
    /// The claim's number.
    pub number: u64,
    /// Whose committee certifies it.
    pub epoch: u32,
    /// The vault.
    pub vault: String,
    /// Whose equivocation takes the coins.
    pub operator: String,
    /// What it takes, in satoshis.
    pub sats: String,
    /// The first Bitcoin height at which it does not count any more.
    pub until: u64,
    /// The Bitcoin block as of which it is true, as Bitcoin writes it.
    pub block: String,
    /// Its height.
    pub height: u64,
    /// Whether it takes back what was said before.
    pub revoked: bool,
    /// What contracts are told: 125 bytes.
    pub bytes: String,
    /// Its certificate, once there is one.
    pub certificate: Option<EtherCertificateView>,
    /// What anybody sends to BitcoinVaults.sol to post it.
    pub calldata: Option<String>,
}

impl VaultClaimView {
    fn of(claim: &Claim, certificate: Option<&QuorumCertificate>, committee: Option<&Committee>) -> Self {
        Self {
            number: claim.number,
            epoch: claim.epoch.get(),
            vault: claim.vault.to_string(),
            operator: claim.operator.to_string(),
            sats: claim.sats.to_string(),
            until: claim.until,
            block: crate::text::bitcoin_hash(&claim.block),
            height: claim.height,
            revoked: claim.revoked,
            bytes: hex_bytes(&claim.to_bytes()),
            certificate: certificate.map(|certificate| EtherCertificateView::of(certificate, committee)),
            calldata: certificate.zip(committee).and_then(|pair| calldata(claim, pair)),
        }
    }
}

/// With the weights: without them a conviction that only Ethereum knows would refuse it.
fn calldata(claim: &Claim, (certificate, committee): (&QuorumCertificate, &Committee)) -> Option<String> {
    let certified = Certified { certificate, committee, with_weights: true };
    light::claim(&claim.to_bytes(), &certified).ok().map(|bytes| hex_bytes(&bytes))
}

impl Api {
    pub(super) async fn read_attestations(&self, kind: &str, slot: u64) -> Result<AttestationStatusView, Refusal> {
        let kind = Kind::named(kind)?;
        let domain = self.read(move |core| kind.domain(core.ledger())).await?.ok_or(UNKNOWN)?;
        let certified = self.kept_certificate(kind, &domain, slot)?.is_some();
        self.read(move |core| {
            let (statement, epoch) = standing(core, kind, slot);
            let committee = epoch.and_then(|epoch| core.ledger().committee_of(epoch));
            let weight = |who: &OperatorId| committee?.seat(who).map(|(_, seat)| seat.ether);
            let said = core.said(&domain, slot).into_iter();
            let said = said.map(|(who, what)| SaidView {
                operator: who.to_string(),
                digest: what.to_string(),
                ether: weight(&who).unwrap_or(0).to_string(),
            });
            AttestationStatusView {
                domain: domain.to_string(),
                slot,
                epoch: epoch.map(Epoch::get),
                digest: statement.map(|statement| statement.digest.to_string()),
                said: said.collect(),
                total_ether: committee.map_or(0, Committee::total_ether).to_string(),
                certified,
            }
        })
        .await
    }

    pub(super) async fn read_attested(&self, kind: &str, slot: u64) -> Result<EtherCertificateView, Refusal> {
        let kind = Kind::named(kind)?;
        let missing = match kind {
            Kind::Ledger => Refusal::NotCertified(Height::new(slot)),
            Kind::Numbered(_) | Kind::Service(_) => Refusal::NumberNotCertified(slot),
        };
        let domain = self.read(move |core| kind.domain(core.ledger())).await?.ok_or(UNKNOWN)?;
        let certificate = self.kept_certificate(kind, &domain, slot)?.ok_or(missing)?;
        let committee = self.read(move |core| {
            let (_, epoch) = standing(core, kind, slot);
            core.ledger().committee_of(epoch?).cloned()
        });
        Ok(EtherCertificateView::of(&certificate, committee.await?.as_ref()))
    }

    fn kept_certificate(&self, kind: Kind, domain: &Domain, slot: u64) -> Result<Option<QuorumCertificate>, Refusal> {
        let kept = match kind {
            Kind::Ledger => self.sources.store.certificate(Height::new(slot)),
            Kind::Numbered(kind) => self.sources.store.numbered_certificate(kind, slot),
            Kind::Service(_) => self.sources.store.service_certificate(domain, slot),
        };
        kept.map_err(broken)
    }

    pub(super) async fn read_claim(&self, vault: &str) -> Result<VaultClaimView, Refusal> {
        let id: VaultId = vault.parse()?;
        let found = self.read(move |core| {
            let claim = *core.ledger().claim(&id)?;
            Some((claim, core.ledger().committee_of(claim.epoch).cloned()))
        });
        let (claim, committee) = found.await?.ok_or(Refusal::UnknownClaim(id))?;
        let certificate = self.sources.store.numbered_certificate(NumberedKind::Claim, claim.number).map_err(broken)?;
        Ok(VaultClaimView::of(&claim, certificate.as_ref(), committee.as_ref()))
    }
}

/// What the ledger holds in a slot, and whose committee attests it.
fn standing(core: &Core, kind: Kind, slot: u64) -> (Option<Statement>, Option<Epoch>) {
    let ledger = core.ledger();
    match kind {
        Kind::Ledger => {
            let height = Height::new(slot);
            let id = ledger.block_id(height);
            let statement =
                |id: palisade_types::BlockId| Statement { domain: ledger.domains().ledger, slot, digest: id.into() };
            (id.map(statement), committee_at(core, height).map(|committee| committee.epoch))
        }
        Kind::Service(_) => (None, Some(service::epoch_of(slot))),
        Kind::Numbered(kind) => {
            let numbered = ledger.numbered(kind).into_iter().find(|numbered| numbered.number() == slot);
            let epoch = numbered.map(|numbered| numbered.epoch()).or_else(|| ledger.epoch_of_number(kind, slot));
            (numbered.map(|numbered| numbered.statement(ledger.domains())), epoch)
        }
    }
}
