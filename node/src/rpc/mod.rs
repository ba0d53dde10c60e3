//! JSON-RPC 2.0 over HTTP and WebSocket: what anybody may read of the ledger, and the two things anybody may hand
//! in, evidence and vault registrations, which prove themselves. Nothing here signs, and nothing asks for a
//! signature (R14).
//!
//! Everything is read from the last committed state, on the core actor. A request from outside is bounded in bytes,
//! in calls of a batch, in connections and in submissions that are checked at one time. The `Host` header must be
//! one of ours (else a web page could rebind its name to loopback), and a page in a browser must be allowed.

pub mod accounts;
pub mod claims;
pub mod errors;
pub mod forecast;
pub mod orders;
mod origin;
pub mod services;
mod subscribe;
pub mod views;

use crate::config;
use crate::core::Core;
use crate::handle::CoreHandle;
use crate::metrics::Metrics;
use crate::signer::History;
use crate::text::parse_hex_bytes;
use accounts::{AccountView, CapturedView, SlashView};
use claims::{AttestationStatusView, VaultClaimView};
use errors::Refusal;
use jsonrpsee::Methods;
use jsonrpsee::core::async_trait;
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::server::middleware::http::HostFilterLayer;
use jsonrpsee::server::{BatchRequestConfig, Server, ServerConfig, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use orders::CaseOrderView;
use origin::OriginLayer;
use palisade_ledger::Ledger;
use palisade_storage::{Store, StoreError};
use palisade_types::canonical::Canonical;
use palisade_types::certificate::{Committee, QuorumCertificate};
use palisade_types::chain::ChainKind;
use palisade_types::evidence::Evidence;
use palisade_types::ids::{CaseId, ChainId, OperatorId, VaultId};
use palisade_types::proof::{LightProof, ProofBundle};
use palisade_types::row::RowKey;
use palisade_types::units::{Epoch, Height};
use palisade_types::vault::VaultRegistration;
use services::{ServiceSecurityView, ServiceView};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use subscribe::AttestationsServer;
use tokio::sync::{Semaphore, SemaphorePermit, broadcast, watch};
use views::{
    BitcoinCertificateView, BlockName, BlockView, BundleView, CaseView, CertificateView, ChainView, CommitteeView,
    EtherCertificateView, EvidenceAccepted, OperatorView, PointView, PositionView, ProofView, RootView, RunView,
    SignerView, StatusView, VaultAccepted, VaultView,
};

use forecast::{ForecastView, Supposed};

pub use errors::REASONS;
pub use subscribe::MAX_NEWS;

/// Every method, as metrics and the OpenRPC document name them.
pub const METHODS: [&str; 28] = [
    "palisade_status",
    "ledger_block",
    "ledger_certificate",
    "ledger_operators",
    "ledger_operator",
    "ledger_committee",
    "ledger_accounts",
    "ledger_captured",
    "ledger_root",
    "ledger_proof",
    "ledger_proof_bundle",
    "vault_register",
    "vault_list",
    "vault_get",
    "vault_claim",
    "attestation_status",
    "attestation_certificate",
    "attestation_subscribe",
    "attestation_unsubscribe",
    "evidence_submit",
    "evidence_simulate",
    "evidence_case",
    "evidence_cases",
    "evidence_orders",
    "service_list",
    "service_security",
    "evidence_slashes",
    "rpc.discover",
];

/// Submissions whose signatures are checked at one time; the next one is refused as busy.
const MAX_SUBMISSIONS: usize = 8;
/// How long a proof waits for the newest block's certificate.
const CERTIFICATE_PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const CERTIFICATE_GLANCE: Duration = Duration::from_millis(50);

/// The document that `rpc.discover` serves.
const OPENRPC: &str = include_str!("openrpc.json");

/// The methods. What they take and give is in `openrpc.json`.
#[rpc(server, client)]
pub trait Palisade {
    /// What a person wants to know at a glance.
    #[method(name = "palisade_status")]
    async fn status(&self) -> Result<StatusView, ErrorObjectOwned>;

    /// The committed block of a height.
    #[method(name = "ledger_block")]
    async fn block(&self, height: u64) -> Result<BlockView, ErrorObjectOwned>;

    /// What certifies the block of a height.
    #[method(name = "ledger_certificate")]
    async fn certificate(&self, height: u64) -> Result<CertificateView, ErrorObjectOwned>;

    /// Every operator.
    #[method(name = "ledger_operators")]
    async fn operators(&self) -> Result<Vec<OperatorView>, ErrorObjectOwned>;

    /// One operator.
    #[method(name = "ledger_operator")]
    async fn operator(&self, operator: String) -> Result<OperatorView, ErrorObjectOwned>;

    /// The committee of an epoch; of the next block's when none is given.
    #[method(name = "ledger_committee")]
    async fn committee(&self, epoch: Option<u32>) -> Result<CommitteeView, ErrorObjectOwned>;

    /// The books of every asset.
    #[method(name = "ledger_accounts")]
    async fn accounts(&self) -> Result<Vec<AccountView>, ErrorObjectOwned>;

    /// What stood behind an operator at the newest snapshot up to an Ethereum block.
    #[method(name = "ledger_captured")]
    async fn captured(&self, operator: String, block: u64) -> Result<Vec<CapturedView>, ErrorObjectOwned>;

    /// The state root after the newest block. A height may be named to insist on it.
    #[method(name = "ledger_root")]
    async fn root(&self, height: Option<u64>) -> Result<RootView, ErrorObjectOwned>;

    /// A row under the newest block, with everything that ties it to a committee.
    #[method(name = "ledger_proof")]
    async fn proof(&self, key: String) -> Result<ProofView, ErrorObjectOwned>;

    /// The same for a reader who knows only the committee's hash.
    #[method(name = "ledger_proof_bundle")]
    async fn proof_bundle(&self, key: String) -> Result<BundleView, ErrorObjectOwned>;

    /// Hands in a vault.
    #[method(name = "vault_register")]
    async fn register_vault(&self, registration: String) -> Result<VaultAccepted, ErrorObjectOwned>;

    /// Every vault.
    #[method(name = "vault_list")]
    async fn vaults(&self) -> Result<Vec<VaultView>, ErrorObjectOwned>;

    /// One vault with its registration.
    #[method(name = "vault_get")]
    async fn vault(&self, vault: String) -> Result<VaultView, ErrorObjectOwned>;

    /// The newest claim about a vault, for contracts on Ethereum, with its certificate.
    #[method(name = "vault_claim")]
    async fn vault_claim(&self, vault: String) -> Result<VaultClaimView, ErrorObjectOwned>;

    /// Who attested what in a slot of a domain.
    #[method(name = "attestation_status")]
    async fn attestation_status(&self, kind: String, slot: u64) -> Result<AttestationStatusView, ErrorObjectOwned>;

    /// The certificate of a slot of a domain.
    #[method(name = "attestation_certificate")]
    async fn attestation_certificate(&self, kind: String, slot: u64) -> Result<EtherCertificateView, ErrorObjectOwned>;

    /// Hands in evidence.
    #[method(name = "evidence_submit")]
    async fn submit_evidence(&self, evidence: String) -> Result<EvidenceAccepted, ErrorObjectOwned>;

    /// What a fault would cost whom, and what would be left of the network's security. Nothing changes.
    #[method(name = "evidence_simulate")]
    async fn simulate(&self, fault: Supposed) -> Result<ForecastView, ErrorObjectOwned>;

    /// One case.
    #[method(name = "evidence_case")]
    async fn case(&self, case: String) -> Result<CaseView, ErrorObjectOwned>;

    /// Every case.
    #[method(name = "evidence_cases")]
    async fn cases(&self) -> Result<Vec<CaseView>, ErrorObjectOwned>;

    /// What is ordered of a case that no contract can judge, with its certificates.
    #[method(name = "evidence_orders")]
    async fn orders(&self, case: String) -> Result<Vec<CaseOrderView>, ErrorObjectOwned>;

    /// What every slash took; of one operator when one is named.
    #[method(name = "evidence_slashes")]
    async fn slashes(&self, operator: Option<String>) -> Result<Vec<SlashView>, ErrorObjectOwned>;

    /// Every service with its sets and rules.
    #[method(name = "service_list")]
    async fn services(&self) -> Result<Vec<ServiceView>, ErrorObjectOwned>;

    /// What stands behind one service.
    #[method(name = "service_security")]
    async fn service_security(&self, service: String) -> Result<ServiceSecurityView, ErrorObjectOwned>;

    /// The OpenRPC document (EIP-1901).
    #[method(name = "rpc.discover")]
    async fn discover(&self) -> Result<serde_json::Value, ErrorObjectOwned>;
}

/// Where the answers come from.
#[derive(Clone)]
pub struct Sources {
    /// The ledger, between two blocks.
    pub core: CoreHandle,
    /// Blocks and certificates.
    pub store: Arc<Store>,
    /// Whose node this is.
    pub operator: OperatorId,
    /// Which operators' peers are connected.
    pub connected: watch::Receiver<BTreeSet<OperatorId>>,
    /// What the signer's records are worth (R15).
    pub history: History,
    /// Certificates of BLS domains as they are made.
    pub certified: broadcast::Sender<QuorumCertificate>,
    /// Counts calls.
    pub metrics: Metrics,
}

/// Why the listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NotListening {
    /// A host of the configuration is none.
    #[error("rpc.hosts: {0}")]
    Host(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Listens and answers until the handle is stopped or dropped; returns where it listens.
///
/// # Errors
///
/// [`NotListening`] when it cannot.
pub async fn start(config: &config::Rpc, sources: Sources) -> Result<(SocketAddr, ServerHandle), NotListening> {
    let limits = ServerConfig::builder()
        .max_request_body_size(config.max_body_bytes)
        .max_response_body_size(config.max_response_bytes)
        .max_connections(config.max_connections)
        .max_subscriptions_per_connection(subscribe::MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(config.max_batch))
        .build();
    let hosts = HostFilterLayer::new(hosts(config)).map_err(|error| NotListening::Host(error.to_string()))?;
    let guards = tower::ServiceBuilder::new().layer(hosts).layer(OriginLayer::new(&config.origins));
    let address = config.listen;
    let failed = |source| NotListening::Address { address, source };
    let server = Server::builder().set_config(limits).set_http_middleware(guards).build(address).await;
    let server = server.map_err(failed)?;
    let address = server.local_addr().map_err(failed)?;
    Ok((address, server.start(methods(sources))))
}

/// The methods alone, for who asks without a socket. The bounds that [`start`] sets are the listener's.
#[must_use]
pub fn methods(sources: Sources) -> Methods {
    let subscriptions = AttestationsServer::into_rpc(Api::new(sources.clone()));
    let mut methods = PalisadeServer::into_rpc(Api::new(sources));
    methods.merge(subscriptions).expect("no name is taken twice");
    methods.into()
}

/// What a `Host` header may say: loopback, the address itself, and what the operator adds.
fn hosts(config: &config::Rpc) -> Vec<String> {
    let own = ["localhost:*", "127.0.0.1:*", "[::1]:*"].map(ToOwned::to_owned);
    let listen = [config.listen.to_string()];
    own.into_iter().chain(listen).chain(config.hosts.iter().cloned()).collect()
}

struct Api {
    sources: Sources,
    submissions: Semaphore,
}

impl Api {
    fn new(sources: Sources) -> Self {
        Self { sources, submissions: Semaphore::new(MAX_SUBMISSIONS) }
    }

    /// Counts the call and turns its refusal into JSON-RPC's. A stranger's mistake is logged at `debug` only.
    async fn answer<T>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, ErrorObjectOwned> {
        let result = work.await;
        self.sources.metrics.rpc_request(method, result.is_ok());
        result.map_err(|refusal| {
            tracing::debug!(method, reason = refusal.reason(), "refused: {refusal}");
            refusal.into()
        })
    }

    async fn read<T: Send + 'static>(&self, f: impl FnOnce(&Core) -> T + Send + 'static) -> Result<T, Refusal> {
        Ok(self.sources.core.read(f).await?)
    }

    fn submission(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.submissions.try_acquire().map_err(|_| Refusal::Busy)
    }

    async fn read_status(&self) -> Result<StatusView, Refusal> {
        let operator = self.sources.operator;
        let history = self.sources.history;
        let mut peers = self.sources.connected.borrow().clone();
        peers.remove(&operator);
        let peers = peers.iter().map(ToString::to_string).collect();
        self.read(move |core| status(core, &operator, peers, &history)).await
    }

    fn read_block(&self, height: Height) -> Result<palisade_types::Block, Refusal> {
        let stored = self.sources.store.block(height).map_err(broken)?;
        stored.map(|(block, _)| block).ok_or(Refusal::UnknownHeight(height))
    }

    async fn read_certificate(&self, height: Height) -> Result<CertificateView, Refusal> {
        self.read_block(height)?;
        let ether = self.sources.store.certificate(height).map_err(broken)?;
        let ether = ether.ok_or(Refusal::NotCertified(height))?;
        let bitcoin = self.sources.store.bitcoin_certificate(height).map_err(broken)?;
        let committee = self.read(move |core| committee_at(core, height)).await?;
        Ok(CertificateView {
            height: height.get(),
            ether: EtherCertificateView::of(&ether, committee.as_ref()),
            bitcoin: bitcoin.map(|bitcoin| BitcoinCertificateView::of(&bitcoin, committee.as_ref())),
        })
    }

    /// A row under the newest block, with the committee that certified it.
    async fn light_proof(&self, key: &str) -> Result<(LightProof, Committee), Refusal> {
        let key = RowKey::from_bytes(&parse_hex_bytes(key)?)?;
        let (height, row, proof, committee) = self.read(move |core| row_with_proof(core, &key)).await?;
        let header = self.read_block(height)?.header;
        let committee = committee.ok_or(Refusal::NotCertified(height))?;
        let certificate = self.wait_for_certificate(height).await?;
        Ok((LightProof { key, row, proof, header, certificate }, committee))
    }

    async fn read_proof(&self, key: &str) -> Result<ProofView, Refusal> {
        let (proof, _) = self.light_proof(key).await?;
        Ok(ProofView {
            height: proof.header.height.get(),
            epoch: proof.header.epoch.get(),
            present: proof.row.is_some(),
            proof: crate::text::hex_bytes(&proof.to_bytes()),
        })
    }

    async fn read_proof_bundle(&self, key: &str) -> Result<BundleView, Refusal> {
        let (proof, committee) = self.light_proof(key).await?;
        let genesis = self.read(|core| core.ledger().genesis_of().clone()).await?;
        Ok(BundleView {
            height: proof.header.height.get(),
            committee: committee.hash(&proof.header.chain).to_string(),
            present: proof.row.is_some(),
            bundle: crate::text::hex_bytes(&ProofBundle { genesis: (*genesis).clone(), committee, proof }.to_bytes()),
        })
    }

    /// A block is certified a moment after it is committed; whoever asks in between waits for it.
    async fn wait_for_certificate(&self, height: Height) -> Result<QuorumCertificate, Refusal> {
        // It is there already for almost everybody, and any timer costs a millisecond.
        if let Some(certificate) = self.sources.store.certificate(height).map_err(broken)? {
            return Ok(certificate);
        }
        let mut glances = tokio::time::interval(CERTIFICATE_GLANCE);
        let certified = async {
            loop {
                glances.tick().await;
                if let Some(certificate) = self.sources.store.certificate(height).map_err(broken)? {
                    return Ok(certificate);
                }
            }
        };
        let waited = tokio::time::timeout(CERTIFICATE_PATIENCE, certified).await;
        waited.unwrap_or(Err(Refusal::NotCertified(height)))
    }

    async fn take_evidence(&self, text: &str) -> Result<EvidenceAccepted, Refusal> {
        let _permit = self.submission()?;
        let evidence = Evidence::from_bytes(&parse_hex_bytes(text)?)?;
        let cases = self.sources.core.submit_evidence(evidence).await??;
        let cases: Vec<String> = cases.iter().map(ToString::to_string).collect();
        Ok(EvidenceAccepted { case: cases.first().cloned(), cases, status: "new".to_owned() })
    }

    async fn take_vault(&self, text: &str) -> Result<VaultAccepted, Refusal> {
        let _permit = self.submission()?;
        let registration = VaultRegistration::from_bytes(&parse_hex_bytes(text)?)?;
        let vault = self.sources.core.register_vault(registration).await??;
        Ok(VaultAccepted { vault: vault.to_string(), status: "pending".to_owned() })
    }
}

#[async_trait]
impl PalisadeServer for Api {
    async fn status(&self) -> Result<StatusView, ErrorObjectOwned> {
        self.answer("palisade_status", self.read_status()).await
    }

    async fn block(&self, height: u64) -> Result<BlockView, ErrorObjectOwned> {
        let block = async { Ok(BlockView::from(&self.read_block(Height::new(height))?)) };
        self.answer("ledger_block", block).await
    }

    async fn certificate(&self, height: u64) -> Result<CertificateView, ErrorObjectOwned> {
        self.answer("ledger_certificate", self.read_certificate(Height::new(height))).await
    }

    async fn operators(&self) -> Result<Vec<OperatorView>, ErrorObjectOwned> {
        self.answer("ledger_operators", self.read(operators)).await
    }

    async fn operator(&self, operator: String) -> Result<OperatorView, ErrorObjectOwned> {
        let found = async {
            let id: OperatorId = operator.parse()?;
            let view = move |core: &Core| core.ledger().operator(&id).map(|known| operator_view(core.ledger(), known));
            self.read(view).await?.ok_or_else(|| palisade_types::Unproven::UnknownOperator.into())
        };
        self.answer("ledger_operator", found).await
    }

    async fn committee(&self, epoch: Option<u32>) -> Result<CommitteeView, ErrorObjectOwned> {
        let found = async { self.read(move |core| committee(core, epoch.map(Epoch::new))).await? };
        self.answer("ledger_committee", found).await
    }

    async fn accounts(&self) -> Result<Vec<AccountView>, ErrorObjectOwned> {
        self.answer("ledger_accounts", self.read_accounts()).await
    }

    async fn captured(&self, operator: String, block: u64) -> Result<Vec<CapturedView>, ErrorObjectOwned> {
        self.answer("ledger_captured", self.read_captured(&operator, block)).await
    }

    async fn root(&self, height: Option<u64>) -> Result<RootView, ErrorObjectOwned> {
        let found = async { self.read(move |core| root(core, height.map(Height::new))).await? };
        self.answer("ledger_root", found).await
    }

    async fn proof(&self, key: String) -> Result<ProofView, ErrorObjectOwned> {
        self.answer("ledger_proof", self.read_proof(&key)).await
    }

    async fn proof_bundle(&self, key: String) -> Result<BundleView, ErrorObjectOwned> {
        self.answer("ledger_proof_bundle", self.read_proof_bundle(&key)).await
    }

    async fn register_vault(&self, registration: String) -> Result<VaultAccepted, ErrorObjectOwned> {
        self.answer("vault_register", self.take_vault(&registration)).await
    }

    async fn vaults(&self) -> Result<Vec<VaultView>, ErrorObjectOwned> {
        let list = self.read(|core| core.ledger().vaults().map(|vault| VaultView::of(vault, core.ledger())).collect());
        self.answer("vault_list", list).await
    }

    async fn vault(&self, vault: String) -> Result<VaultView, ErrorObjectOwned> {
        let found = async {
            let id: VaultId = vault.parse()?;
            let view = self
                .read(move |core| core.ledger().vault(&id).map(|vault| VaultView::whole(vault, core.ledger())))
                .await?;
            view.ok_or(Refusal::UnknownVault(id))
        };
        self.answer("vault_get", found).await
    }

    async fn vault_claim(&self, vault: String) -> Result<VaultClaimView, ErrorObjectOwned> {
        self.answer("vault_claim", self.read_claim(&vault)).await
    }

    async fn attestation_status(&self, kind: String, slot: u64) -> Result<AttestationStatusView, ErrorObjectOwned> {
        self.answer("attestation_status", self.read_attestations(&kind, slot)).await
    }

    async fn attestation_certificate(&self, kind: String, slot: u64) -> Result<EtherCertificateView, ErrorObjectOwned> {
        self.answer("attestation_certificate", self.read_attested(&kind, slot)).await
    }

    async fn submit_evidence(&self, evidence: String) -> Result<EvidenceAccepted, ErrorObjectOwned> {
        let taken = async {
            self.sources.metrics.evidence_received.inc();
            let taken = self.take_evidence(&evidence).await;
            if let Err(refusal) = &taken {
                self.sources.metrics.evidence_refused(refusal.reason());
            }
            taken
        };
        self.answer("evidence_submit", taken).await
    }

    async fn simulate(&self, fault: Supposed) -> Result<ForecastView, ErrorObjectOwned> {
        let foreseen = async {
            let _permit = self.submission()?;
            self.read(move |core| fault.foresee(core.ledger())).await?
        };
        self.answer("evidence_simulate", foreseen).await
    }

    async fn case(&self, case: String) -> Result<CaseView, ErrorObjectOwned> {
        let found = async {
            let id: CaseId = case.parse()?;
            let view = move |core: &Core| {
                let ledger = core.ledger();
                ledger.case(&id).map(|case| CaseView::of(case, ledger.domains()))
            };
            self.read(view).await?.ok_or(Refusal::UnknownCase(id))
        };
        self.answer("evidence_case", found).await
    }

    async fn cases(&self) -> Result<Vec<CaseView>, ErrorObjectOwned> {
        self.answer("evidence_cases", self.read(cases)).await
    }

    async fn orders(&self, case: String) -> Result<Vec<CaseOrderView>, ErrorObjectOwned> {
        self.answer("evidence_orders", self.read_orders(&case)).await
    }

    async fn slashes(&self, operator: Option<String>) -> Result<Vec<SlashView>, ErrorObjectOwned> {
        self.answer("evidence_slashes", self.read_slashes(operator.as_deref())).await
    }

    async fn services(&self) -> Result<Vec<ServiceView>, ErrorObjectOwned> {
        self.answer("service_list", self.read_services()).await
    }

    async fn service_security(&self, service: String) -> Result<ServiceSecurityView, ErrorObjectOwned> {
        self.answer("service_security", self.read_security(&service)).await
    }

    async fn discover(&self) -> Result<serde_json::Value, ErrorObjectOwned> {
        let document = async { serde_json::from_str(OPENRPC).map_err(|_| Refusal::Internal) };
        self.answer("rpc.discover", document).await
    }
}

/// A failed read of our own disk is our fault and our log's business.
fn broken(error: StoreError) -> Refusal {
    tracing::error!(%error, "the store cannot be read");
    Refusal::Internal
}

/// `epoch_start` is the Ethereum anchor from which the next block's epoch counts.
fn signer(history: &History, chain: &ChainId, next: Height, epoch_start: u64) -> SignerView {
    let (history_name, only_epochs_above) = match history {
        History::Unbroken => ("unbroken", None),
        History::Waiting(wait) => ("broken", Some(wait.wake_up)),
    };
    SignerView {
        history: history_name.to_owned(),
        attests: history.allows(chain, next, epoch_start),
        only_epochs_above,
    }
}

fn status(core: &Core, operator: &OperatorId, peers: Vec<String>, history: &History) -> StatusView {
    let (ledger, own) = (core.ledger(), core.status());
    let (committee, finality) = (ledger.committee(), ledger.finality());
    let cases_final = ledger.cases().filter(|case| is_final(case)).count();
    let newest = |known, own| std::cmp::max_by_key(known, own, |block: &Option<_>| height_of(block));
    let chain = |kind| ChainView {
        anchor: PointView::of(kind, ledger.anchor(kind)),
        own_final: own.own_tips.get(&kind).map(|point| PointView::of(kind, point)),
        suspended: ledger.suspension(kind).map(|suspension| views::SuspensionView {
            gone: PointView::of(kind, &suspension.anchor),
            since: suspension.since.get(),
        }),
        fee_rate: (kind == ChainKind::Bitcoin).then(|| ledger.fee_rate()),
    };
    StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        chain_id: ledger.chain().to_string(),
        operator: operator.to_string(),
        head: (&ledger.head()).into(),
        state_root: ledger.root().to_string(),
        epoch: ledger.epoch().epoch.get(),
        committee_size: committee.members.len(),
        seated: committee.seat(operator).is_some(),
        has_weight: committee.has_weight(),
        bitcoin_only: ledger.genesis_of().is_bitcoin_only(),
        confirmed: own.confirmed.get(),
        attested: own.attested.get(),
        voted: own.voted.get(),
        ether_final: newest(finality.ether, own.certified).as_ref().map(BlockName::from),
        bitcoin_final: newest(finality.bitcoin, own.bitcoin_certified).as_ref().map(BlockName::from),
        bitcoin_run: finality.run.zip(finality.bitcoin).map(|(run, last)| RunView {
            first: run.first.get(),
            last: last.height.get(),
            broken: run.broken.map(Height::get),
        }),
        eots_slots_left: own.eots_slots_left,
        ethereum: chain(ChainKind::Ethereum),
        bitcoin: chain(ChainKind::Bitcoin),
        contradicted: own.contradicted.iter().map(|kind| views::chain_name(*kind).to_owned()).collect(),
        peers,
        signer: signer(history, &ledger.chain(), ledger.head().height.next(), committee.ethereum.number),
        pending: own.pending,
        cases_open: ledger.cases().count() - cases_final,
        cases_final,
    }
}

fn height_of(block: &Option<palisade_types::epoch::FinalBlock>) -> Option<Height> {
    block.map(|block| block.height)
}

fn is_final(case: &palisade_types::Case) -> bool {
    case.status() == palisade_types::slash::CaseStatus::Final
}

fn operators(core: &Core) -> Vec<OperatorView> {
    let ledger = core.ledger();
    ledger.operators().map(|operator| operator_view(ledger, operator)).collect()
}

/// One operator, with what stands behind him.
fn operator_view(ledger: &Ledger, operator: &palisade_types::Operator) -> OperatorView {
    OperatorView::of(
        operator,
        ledger.positions_of(&operator.id).map(|(id, position)| PositionView::of(id, position)).collect(),
        ledger.vaults_of(&operator.id).map(|vault| vault.id.to_string()).collect(),
        ledger.committee(),
    )
}

fn committee(core: &Core, epoch: Option<Epoch>) -> Result<CommitteeView, Refusal> {
    let ledger = core.ledger();
    let epoch = epoch.unwrap_or(ledger.epoch().epoch);
    let committee = ledger.committee_of(epoch).ok_or(Refusal::UnknownEpoch(epoch))?;
    Ok(CommitteeView::of(committee, &ledger.chain()))
}

fn committee_at(core: &Core, height: Height) -> Option<Committee> {
    let ledger = core.ledger();
    ledger.committee_of(ledger.epoch_of(height)?).cloned()
}

fn root(core: &Core, height: Option<Height>) -> Result<RootView, Refusal> {
    let head = core.ledger().head();
    match height {
        Some(height) if height != head.height => Err(Refusal::UnknownHeight(height)),
        _ => Ok(RootView {
            height: head.height.get(),
            id: head.id.to_string(),
            state_root: core.ledger().root().to_string(),
        }),
    }
}

type ProvenRow = (Height, Option<palisade_types::Row>, palisade_types::proof::RowProof, Option<Committee>);

/// The row with its proof under the newest block, and the committee whose BLS certificates weigh in that block's epoch.
fn row_with_proof(core: &Core, key: &RowKey) -> ProvenRow {
    let ledger = core.ledger();
    let height = ledger.head().height;
    let committee = committee_at(core, height).filter(|committee| committee.total_ether() > 0);
    (height, ledger.row(key), ledger.prove(key), committee)
}

fn cases(core: &Core) -> Vec<CaseView> {
    let ledger = core.ledger();
    ledger.cases().map(|case| CaseView::of(case, ledger.domains())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::{Cause, Wait};
    use palisade_types::slash::{OrderStatus, ServiceTarget, SlashOrder, SlashTarget, Taken};
    use palisade_types::{Address, Hash};

    #[test]
    fn the_openrpc_document_names_exactly_the_methods_there_are() {
        let document: serde_json::Value = serde_json::from_str(OPENRPC).unwrap();
        let documented: BTreeSet<_> =
            document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap()).collect();
        assert_eq!(documented, METHODS.into_iter().collect());
        for method in document["methods"].as_array().unwrap() {
            assert!(method["summary"].is_string() && method["params"].is_array(), "{method}");
            assert!(method["result"]["schema"].is_object(), "{method}");
        }
    }

    #[test]
    fn the_openrpc_document_names_every_error() {
        let document: serde_json::Value = serde_json::from_str(OPENRPC).unwrap();
        let errors = document["components"]["errors"].as_object().unwrap();
        let named: BTreeSet<_> = errors.keys().map(String::as_str).collect();
        assert_eq!(named, REASONS.into_iter().collect());
    }

    #[test]
    fn the_openrpc_document_names_how_far_an_order_can_have_come() {
        let document: serde_json::Value = serde_json::from_str(OPENRPC).unwrap();
        let properties = &document["components"]["schemas"]["Order"]["properties"];
        let named = |key: &str| {
            let values = properties[key]["enum"].as_array().unwrap();
            values.iter().map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(named("status"), views::OrderView::STATUSES);
        assert_eq!(named("source"), views::OrderView::SOURCES);
        let taken = Taken { amount: 1, transaction: Hash::ZERO };
        let statuses = [
            OrderStatus::Ordered,
            OrderStatus::Final(taken),
            OrderStatus::Escaped,
            OrderStatus::Vetoed,
            OrderStatus::Expired,
            OrderStatus::Waiting,
        ];
        let targets = [
            SlashTarget::EigenLayer(Address::ZERO),
            SlashTarget::Vault(VaultId { txid: Hash::ZERO, output: 0 }),
            SlashTarget::Symbiotic(Address::ZERO),
            SlashTarget::Karak(Address::ZERO),
            SlashTarget::Service(ServiceTarget { adapter: Address::ZERO, asset: None }),
        ];
        let view = |target, status| views::OrderView::from(&SlashOrder { target, asked: 1, status });
        assert_eq!(statuses.map(|status| view(targets[0], status).status), views::OrderView::STATUSES);
        assert_eq!(targets.map(|target| view(target, OrderStatus::Ordered).source), views::OrderView::SOURCES);
    }

    #[test]
    fn loopback_and_the_listener_itself_are_hosts() {
        let config = config::Rpc { hosts: vec!["node.example:*".to_owned()], ..config::Rpc::default() };
        let hosts = hosts(&config);
        assert!(hosts.contains(&"127.0.0.1:26110".to_owned()) && hosts.contains(&"node.example:*".to_owned()));
        assert!(HostFilterLayer::new(hosts).is_ok());
    }

    #[test]
    fn r15_a_waiting_signer_says_for_what_it_waits() {
        let (chain, next) = (ChainId::new([1; 32]), Height::new(7));
        let whole = signer(&History::Unbroken, &chain, next, 1);
        assert!(whole.attests && whole.only_epochs_above.is_none());
        let wait = Wait { cause: Cause::Restored, wake_up: 90, silent: false, released: None };
        let broken = |epoch_start| signer(&History::Waiting(wait), &chain, next, epoch_start);
        assert_eq!(broken(90).only_epochs_above, Some(90));
        assert_eq!((broken(90).attests, broken(91).attests), (false, true));
    }
}
