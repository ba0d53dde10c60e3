//! What a dashboard and an alarm look at. Every series exists from the start, at zero, so that "no data" always
//! means "no node". Labels come from closed lists: nobody outside can make a series.

use crate::core::CHAINS;
use crate::rpc::{METHODS, REASONS, views::chain_name};
use palisade_types::chain::{ChainKind, Endpoints};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChainLabel {
    chain: &'static str,
}

/// One reason of [`REASONS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// One method of [`METHODS`] and whether it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    method: &'static str,
    result: &'static str,
}

/// One column family of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FamilyLabel {
    family: &'static str,
}

/// The node's own metrics; cheap to clone, all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Height of the newest committed block.
    pub height: Gauge,
    /// Round in which it was decided, or in which the next one is being decided.
    pub round: Gauge,
    /// Height of the newest ether-final block.
    pub ether_final_height: Gauge,
    /// Height of the newest bitcoin-final checkpoint.
    pub bitcoin_final_height: Gauge,
    /// Height of the newest block this operator attested.
    pub attested_height: Gauge,
    /// Epoch of the next block.
    pub epoch: Gauge,
    /// Members of its committee.
    pub committee_size: Gauge,
    /// Connected operators.
    pub peers: Gauge,
    /// Cases with an open order.
    pub cases_open: Gauge,
    /// Cases whose every order is final or escaped.
    pub cases_final: Gauge,
    /// Items waiting for a block.
    pub pending: Gauge,
    /// Checkpoints above the head for which this operator has promised nonces (R19).
    pub eots_slots_left: Gauge,
    /// Attestations and finality votes made by this operator.
    pub attestations_made: Counter,
    /// Refusals of the signer, which a person must look at.
    pub signer_refusals: Counter,
    /// Evidence that reached this node, by RPC or gossip.
    pub evidence_received: Counter,
    /// Seconds from the proposal of a block to its commit here.
    pub commit_seconds: Histogram,
    /// Seconds from the proposal of a block, as first seen here, to its quorum certificate here.
    pub certificate_seconds: Histogram,
    anchors: Family<ChainLabel, Gauge>,
    own_final: Family<ChainLabel, Gauge>,
    suspended: Family<ChainLabel, Gauge>,
    follower_errors: Family<ChainLabel, Counter>,
    endpoints: Family<ChainLabel, Gauge>,
    endpoints_well: Family<ChainLabel, Gauge>,
    endpoint_contradictions: Family<ChainLabel, Gauge>,
    store: Family<FamilyLabel, Gauge>,
    evidence_refused: Family<ReasonLabel, Counter>,
    rpc_requests: Family<RequestLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Every series, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            height: Gauge::default(),
            round: Gauge::default(),
            ether_final_height: Gauge::default(),
            bitcoin_final_height: Gauge::default(),
            attested_height: Gauge::default(),
            epoch: Gauge::default(),
            committee_size: Gauge::default(),
            peers: Gauge::default(),
            cases_open: Gauge::default(),
            cases_final: Gauge::default(),
            pending: Gauge::default(),
            eots_slots_left: Gauge::default(),
            attestations_made: Counter::default(),
            signer_refusals: Counter::default(),
            evidence_received: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.002, 2.0, 14)),
            certificate_seconds: Histogram::new(exponential_buckets(0.002, 2.0, 14)),
            anchors: Family::default(),
            own_final: Family::default(),
            suspended: Family::default(),
            follower_errors: Family::default(),
            endpoints: Family::default(),
            endpoints_well: Family::default(),
            endpoint_contradictions: Family::default(),
            store: Family::default(),
            evidence_refused: Family::default(),
            rpc_requests: Family::default(),
        };
        metrics.touch();
        let mut registry = Registry::with_prefix("palisade");
        metrics.register_gauges(&mut registry);
        metrics.register_counters(&mut registry);
        metrics.registry = Arc::new(registry);
        metrics
    }

    /// The anchor of `chain` in the ledger.
    pub fn anchor(&self, chain: ChainKind, number: u64) {
        self.anchors.get_or_create(&label(chain)).set(signed(number));
    }

    /// The newest final block of `chain` that our own endpoint shows.
    pub fn own_final(&self, chain: ChainKind, number: u64) {
        self.own_final.get_or_create(&label(chain)).set(signed(number));
    }

    /// Whether `chain` is suspended (R30).
    pub fn suspended(&self, chain: ChainKind, is: bool) {
        self.suspended.get_or_create(&label(chain)).set(i64::from(is));
    }

    /// A follower could not read its chain.
    pub fn follower_failed(&self, chain: ChainKind) {
        self.follower_errors.get_or_create(&label(chain)).inc();
    }

    /// How the endpoints of `chain` fare.
    pub fn endpoints(&self, chain: ChainKind, fare: Endpoints) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.endpoints.get_or_create(&label(chain)).set(count(fare.configured));
        self.endpoints_well.get_or_create(&label(chain)).set(count(fare.well));
        self.endpoint_contradictions.get_or_create(&label(chain)).set(signed(fare.contradictions));
    }

    /// What a column family of the store takes.
    pub fn stored(&self, family: &'static str, bytes: u64) {
        self.store.get_or_create(&FamilyLabel { family }).set(signed(bytes));
    }

    /// Evidence was refused for one of [`REASONS`].
    pub fn evidence_refused(&self, reason: &'static str) {
        self.evidence_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A call of one of [`METHODS`] was answered, or refused.
    pub fn rpc_request(&self, method: &'static str, answered: bool) {
        self.rpc_requests.get_or_create(&request(method, answered)).inc();
    }

    /// All series as OpenMetrics text, followed by `engine`, the text of the engine's own registry.
    #[must_use]
    pub fn text(&self, engine: &str) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        let own = text.strip_suffix(EOF).unwrap_or(&text);
        let engine = engine.strip_suffix(EOF).unwrap_or(engine);
        format!("{own}{engine}{EOF}")
    }

    /// Makes every labelled series exist.
    fn touch(&self) {
        for chain in CHAINS {
            drop(self.anchors.get_or_create(&label(chain)));
            drop(self.own_final.get_or_create(&label(chain)));
            drop(self.suspended.get_or_create(&label(chain)));
            drop(self.follower_errors.get_or_create(&label(chain)));
            self.endpoints(chain, Endpoints::default());
        }
        for family in palisade_storage::schema::FAMILIES {
            self.stored(family, 0);
        }
        for reason in REASONS {
            drop(self.evidence_refused.get_or_create(&ReasonLabel { reason }));
        }
        for method in METHODS {
            drop(self.rpc_requests.get_or_create(&request(method, true)));
            drop(self.rpc_requests.get_or_create(&request(method, false)));
        }
    }

    fn register_gauges(&self, registry: &mut Registry) {
        let gauges = [
            ("height", "Height of the newest committed block", &self.height),
            ("round", "Round of the engine", &self.round),
            ("ether_final_height", "Height of the newest ether-final block", &self.ether_final_height),
            ("bitcoin_final_height", "Height of the newest bitcoin-final checkpoint", &self.bitcoin_final_height),
            ("attested_height", "Height of the newest block this operator attested", &self.attested_height),
            ("epoch", "Epoch of the next block", &self.epoch),
            ("committee_size", "Members of the committee", &self.committee_size),
            ("peers", "Connected operators", &self.peers),
            ("cases_open", "Cases with an open slash order", &self.cases_open),
            ("cases_final", "Cases whose every slash order is final or escaped", &self.cases_final),
            ("pending", "Items waiting for a block", &self.pending),
            ("eots_slots_left", "Checkpoints ahead with promised nonces", &self.eots_slots_left),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register("anchor", "How far the ledger has taken a chain in, block number", self.anchors.clone());
        registry.register("own_final", "Newest final block our own endpoint shows", self.own_final.clone());
        let help = "Whether a chain took back what was final, and counts for nothing until people have looked";
        registry.register("suspended", help, self.suspended.clone());
        registry.register("endpoints", "The operator's endpoints of a chain", self.endpoints.clone());
        registry.register("endpoints_well", "Those of them that answer", self.endpoints_well.clone());
        let help = "How often an endpoint contradicted enough others, or its chain's rules, since the start";
        registry.register("endpoint_contradictions", help, self.endpoint_contradictions.clone());
        let help = "What a column family of the store takes on the disk and in memory, estimated";
        registry.register_with_unit("store", help, Unit::Bytes, self.store.clone());
        let help = "From the proposal of a block to its commit";
        registry.register_with_unit("commit", help, Unit::Seconds, self.commit_seconds.clone());
        let help = "From the proposal of a block to its quorum certificate";
        registry.register_with_unit("certificate", help, Unit::Seconds, self.certificate_seconds.clone());
    }

    fn register_counters(&self, registry: &mut Registry) {
        let counters = [
            ("attestations_made", "Attestations and finality votes made", &self.attestations_made),
            ("signer_refusals", "Signatures the signer refused", &self.signer_refusals),
            ("evidence_received", "Evidence that reached this node", &self.evidence_received),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("evidence_refused", "Evidence refused, by reason", self.evidence_refused.clone());
        registry.register("rpc_requests", "Calls of the JSON-RPC, by method and result", self.rpc_requests.clone());
        let help = "Failed reads of a chain";
        registry.register("follower_errors", help, self.follower_errors.clone());
    }
}

fn label(chain: ChainKind) -> ChainLabel {
    ChainLabel { chain: chain_name(chain) }
}

fn request(method: &'static str, answered: bool) -> RequestLabel {
    RequestLabel { method, result: if answered { "ok" } else { "error" } }
}

/// Gauges are signed; no height comes near the end of them.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The end of an OpenMetrics text.
const EOF: &str = "# EOF\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start_at_zero() {
        let text = Metrics::new().text("");
        for series in [
            "palisade_height 0",
            "palisade_ether_final_height 0",
            "palisade_anchor{chain=\"bitcoin\"} 0",
            "palisade_suspended{chain=\"bitcoin\"} 0",
            "palisade_endpoints_well{chain=\"ethereum\"} 0",
            "palisade_endpoint_contradictions{chain=\"bitcoin\"} 0",
            "palisade_follower_errors_total{chain=\"ethereum\"} 0",
            "palisade_evidence_received_total 0",
            "palisade_evidence_refused_total{reason=\"already_convicted\"} 0",
            "palisade_rpc_requests_total{method=\"evidence_submit\",result=\"error\"} 0",
            "palisade_commit_seconds_count 0",
            "palisade_signer_refusals_total 0",
            "palisade_eots_slots_left 0",
            "palisade_store_bytes{family=\"blocks\"} 0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} is missing in\n{text}");
        }
    }

    #[test]
    fn two_registries_make_one_answer_with_one_end() {
        let metrics = Metrics::new();
        metrics.clone().anchor(ChainKind::Ethereum, 7);
        let text = metrics.text("# TYPE engine_x counter\nengine_x_total 1\n# EOF\n");
        assert!(text.contains("palisade_anchor{chain=\"ethereum\"} 7\n"));
        assert!(text.ends_with("engine_x_total 1\n# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
    }
}
