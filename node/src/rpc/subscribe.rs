//! `attestation_subscribe`, over WebSocket: certificates of one domain as they are made, and again when a later one names more signers.
//! It only tells (R14). Who does not keep up is cut off rather than served with gaps: he asks for what he lacks by
//! `attestation_certificate` and subscribes anew.

use super::claims::{Kind, UNKNOWN};
use super::views::EtherCertificateView;
use super::{Api, METHODS};
use crate::core::Core;
use jsonrpsee::PendingSubscriptionSink;
use jsonrpsee::core::{SubscriptionError, SubscriptionResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::server::SubscriptionSink;
use palisade_types::certificate::{Committee, QuorumCertificate};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

/// How many subscriptions one connection holds.
pub const MAX_SUBSCRIPTIONS: u32 = 8;
/// How many certificates may wait for a subscriber.
pub const MAX_NEWS: usize = 64;
/// How long one message may take to leave.
const SEND: Duration = Duration::from_secs(5);

/// The subscription. What it takes and gives is in `openrpc.json`.
#[rpc(server)]
pub trait Attestations {
    /// Certificates of a domain, as they are made.
    #[subscription(name = "attestation_subscribe" => "attestation_certified", unsubscribe = "attestation_unsubscribe", item = EtherCertificateView)]
    async fn attestations(&self, kind: String) -> SubscriptionResult;
}

#[async_trait]
impl AttestationsServer for Api {
    async fn attestations(&self, pending: PendingSubscriptionSink, kind: String) -> SubscriptionResult {
        const NAME: &str = "attestation_subscribe";
        debug_assert!(METHODS.contains(&NAME));
        let news = self.sources.certified.subscribe();
        let found = async {
            let kind = Kind::named(&kind)?;
            self.read(move |core: &Core| kind.domain(core.ledger())).await?.ok_or(UNKNOWN)
        };
        match self.answer(NAME, found).await {
            Ok(domain) => {
                let sink = pending.accept().await?;
                self.tell(&sink, news, |certificate| certificate.domain == domain).await
            }
            Err(refusal) => {
                pending.reject(refusal).await;
                Ok(())
            }
        }
    }
}

impl Api {
    async fn tell(
        &self,
        sink: &SubscriptionSink,
        mut news: Receiver<QuorumCertificate>,
        concerns: impl Fn(&QuorumCertificate) -> bool,
    ) -> SubscriptionResult {
        loop {
            let certificate = tokio::select! {
                () = sink.closed() => return Ok(()),
                certificate = news.recv() => certificate.map_err(|_| SubscriptionError::from("certificates were missed: subscribe again"))?,
            };
            if concerns(&certificate) {
                let hash = certificate.committee;
                let committee = self.read(move |core| committee_named(core, hash)).await;
                let view = EtherCertificateView::of(&certificate, committee.ok().flatten().as_ref());
                let message = serde_json::value::to_raw_value(&view)?;
                sink.send_timeout(message, SEND).await?;
            }
        }
    }
}

/// One of the committees that can still certify: this epoch's, the one before, or the next.
fn committee_named(core: &Core, hash: palisade_types::Hash) -> Option<Committee> {
    let ledger = core.ledger();
    let now = ledger.epoch().epoch;
    let epochs = [Some(now), now.get().checked_sub(1).map(palisade_types::Epoch::new), Some(now.next())];
    let mut committees = epochs.into_iter().flatten().filter_map(|epoch| ledger.committee_of(epoch));
    committees.find(|committee| committee.hash(&ledger.chain()) == hash).cloned()
}
