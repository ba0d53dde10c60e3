//! What is ordered of a case that no contract can judge, with what anybody needs to carry it to Orders.sol. Only told:
//! nothing from outside asks for a signature (R14).

use super::errors::Refusal;
use super::views::{EtherCertificateView, OrderView};
use super::{Api, broken};
use crate::text::hex_bytes;
use palisade_ethereum::orders;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::Committee;
use palisade_types::chain::CertifiedOrder;
use palisade_types::ids::CaseId;
use palisade_types::numbers::NumberedKind;
use palisade_types::order::Order;
use serde::{Deserialize, Serialize};

/// `evidence_orders`: the newest order at one adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseOrderView {
    /// The order's number.
    pub number: u64,
    /// Whose committee certifies it.
    pub epoch: u32,
    /// The case.
    pub case: String,
    /// Whom it takes from.
    pub operator: String,
    /// Whose operator set; zero for the network's own.
    pub service: String,
    /// The contract that slashes it.
    pub adapter: String,
    /// Whose protocol that is: `eigenlayer`, `symbiotic` or `karak`.
    pub source: String,
    /// The case's orders that it carries out, as far as the chain finally shows it.
    pub targets: Vec<OrderView>,
    /// The part it takes, of 1e18.
    pub part: String,
    /// The Ethereum block of the snapshot that it is charged to.
    pub capture: u64,
    /// The last Ethereum block in which it may be executed.
    pub expiry: u64,
    /// What Orders.sol is told: 200 bytes.
    pub bytes: String,
    /// Its certificate, once there is one.
    pub certificate: Option<EtherCertificateView>,
    /// What anybody sends to Orders.sol to announce it. It is executed later, by its bytes alone.
    pub calldata: Option<String>,
}

impl CaseOrderView {
    fn of(order: &Order, targets: Vec<OrderView>, certified: Option<&CertifiedOrder>) -> Self {
        let certificate =
            certified.map(|certified| EtherCertificateView::of(&certified.certificate, Some(&certified.committee)));
        Self {
            number: order.number,
            epoch: order.epoch.get(),
            case: order.case.to_string(),
            operator: order.operator.to_string(),
            service: order.service.to_string(),
            adapter: order.adapter.to_string(),
            source: targets.first().map(|target| target.source.clone()).unwrap_or_default(),
            targets,
            part: order.wad.to_string(),
            capture: order.capture,
            expiry: order.expiry,
            bytes: hex_bytes(&order.to_bytes()),
            certificate,
            calldata: certified.and_then(|order| orders::announcement(order).ok()).map(|bytes| hex_bytes(&bytes)),
        }
    }
}

impl Api {
    pub(super) async fn read_orders(&self, case: &str) -> Result<Vec<CaseOrderView>, Refusal> {
        let id: CaseId = case.parse()?;
        let found = self.read(move |core| {
            let ledger = core.ledger();
            let (case, contracts) = (ledger.case(&id)?, &ledger.genesis_of().contracts);
            let of_case = ledger.orders().filter(|order| order.case == id).map(|order| {
                let aimed =
                    case.orders.iter().filter(|aim| contracts.taking_orders(&aim.target) == Some(order.adapter));
                (*order, aimed.map(OrderView::from).collect(), ledger.committee_of(order.epoch).cloned())
            });
            Some(of_case.collect::<Vec<_>>())
        });
        let orders = found.await?.ok_or(Refusal::UnknownCase(id))?;
        let view = |(order, targets, committee)| self.with_certificate(&order, targets, committee);
        orders.into_iter().map(view).collect()
    }

    fn with_certificate(
        &self,
        order: &Order,
        targets: Vec<OrderView>,
        committee: Option<Committee>,
    ) -> Result<CaseOrderView, Refusal> {
        let certificate = self.sources.store.numbered_certificate(NumberedKind::Order, order.number).map_err(broken)?;
        let certified = certificate.zip(committee);
        let certified =
            certified.map(|(certificate, committee)| CertifiedOrder { order: *order, certificate, committee });
        Ok(CaseOrderView::of(order, targets, certified.as_ref()))
    }
}
