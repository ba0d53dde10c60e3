//! `evidence_simulate`: what a fault would cost whom, before anybody hands it in.

use super::errors::Refusal;
use crate::text::parse_hex_bytes;
use palisade_ledger::{Forecast, Foreseen, Ledger, Loss, Strength};
use palisade_types::evidence::Domains;
use palisade_types::slash::{OrderStatus, SlashOrder};
use palisade_types::{Canonical, Domain, Evidence, OperatorId};
use serde::{Deserialize, Serialize};

/// Which fault is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Supposed {
    /// One that is proven.
    Proven {
        /// Canonical bytes of the evidence.
        evidence: String,
    },
    /// One that nobody has shown.
    Guessed {
        /// Who would sign twice.
        operator: String,
        /// Where: `ledger`, `bitcoin`, `vault-claim` or `order`.
        domain: String,
    },
}

/// `evidence_simulate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastView {
    /// Who would be convicted: of two certificates everybody who signed both, else one.
    pub convicts: Vec<ConvictView>,
    /// The committee that would be drawn now.
    pub before: StrengthView,
    /// The one that would be drawn after the conviction.
    pub after: StrengthView,
}

/// What it would cost one convict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvictView {
    /// The case that would be opened.
    pub case: String,
    /// Whose.
    pub operator: String,
    /// Where.
    pub domain: String,
    /// What would be taken, from where.
    pub losses: Vec<LossView>,
}

/// What one source of stake would lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossView {
    /// One of [`super::views::OrderView::SOURCES`].
    pub source: String,
    /// The strategy, or the vault.
    pub target: String,
    /// Shares, smallest units of a vault's collateral, or satoshis.
    pub asked: String,
    /// What the protocol's own rounding makes of that.
    pub takes: String,
    /// What lies there together: everybody whose stake it is loses `takes` / `of` of it.
    pub of: String,
    /// What `takes` is worth, micro-dollars.
    pub value: String,
}

/// What a committee can lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrengthView {
    /// Members.
    pub members: usize,
    /// ETH-side stake that pairs can take, micro-dollars.
    pub ether: String,
    /// Bitcoin that pairs can take, satoshis.
    pub bitcoin: String,
}

impl Supposed {
    /// What it would cost.
    pub(super) fn foresee(&self, ledger: &Ledger) -> Result<ForecastView, Refusal> {
        let foreseen = match self {
            Self::Proven { evidence } => ledger.foresee(&Evidence::from_bytes(&parse_hex_bytes(evidence)?)?)?,
            Self::Guessed { operator, domain } => {
                ledger.foresee_fault(operator.parse::<OperatorId>()?, named(domain, ledger.domains())?)?
            }
        };
        Ok(ForecastView::from(&foreseen))
    }
}

fn named(domain: &str, domains: &Domains) -> Result<Domain, Refusal> {
    match domain {
        "ledger" => Ok(domains.ledger),
        "bitcoin" => Ok(domains.bitcoin),
        "vault-claim" => Ok(domains.claim),
        "order" => Ok(domains.order),
        _ => Err(Refusal::UnknownDomain("`ledger`, `bitcoin`, `vault-claim` and `order`")),
    }
}

impl From<&Forecast> for ForecastView {
    fn from(foreseen: &Forecast) -> Self {
        Self {
            convicts: foreseen.convicts.iter().map(ConvictView::from).collect(),
            before: StrengthView::from(&foreseen.before),
            after: StrengthView::from(&foreseen.after),
        }
    }
}

impl From<&Foreseen> for ConvictView {
    fn from(foreseen: &Foreseen) -> Self {
        Self {
            case: foreseen.case.to_string(),
            operator: foreseen.operator.to_string(),
            domain: foreseen.domain.to_string(),
            losses: foreseen.losses.iter().map(LossView::from).collect(),
        }
    }
}

impl From<&Loss> for LossView {
    fn from(loss: &Loss) -> Self {
        let order = SlashOrder { target: loss.target, asked: loss.asked, status: OrderStatus::Ordered };
        let super::views::OrderView { source, target, asked, .. } = (&order).into();
        let (takes, of, value) = (loss.takes.to_string(), loss.of.to_string(), loss.value.to_string());
        Self { source, target, asked, takes, of, value }
    }
}

impl From<&Strength> for StrengthView {
    fn from(strength: &Strength) -> Self {
        Self { members: strength.members, ether: strength.ether.to_string(), bitcoin: strength.bitcoin.to_string() }
    }
}
