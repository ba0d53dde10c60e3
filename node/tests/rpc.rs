//! The JSON-RPC over real sockets, a real ledger and a real store: what is wrong is refused with the code that names
//! it, and nothing changes.

#![allow(clippy::unwrap_used, missing_docs)]

use jsonrpsee::Methods;
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use palisade_bitcoin::vault::Versions;
use palisade_ledger::Ledger;
use palisade_node::core::Core;
use palisade_node::genesis_file::GenesisFile;
use palisade_node::handle::{Command, CoreHandle};
use palisade_node::keys::OperatorKeys;
use palisade_node::metrics::Metrics;
use palisade_node::rpc::forecast::Supposed;
use palisade_node::rpc::views::{EtherCertificateView, ItemView};
use palisade_node::rpc::{self, METHODS, PalisadeClient, Sources};
use palisade_node::signer::{History, SignedLast};
use palisade_node::{config, text};
use palisade_storage::Store;
use palisade_types::attestation::Statement;
use palisade_types::block::Item;
use palisade_types::canonical::{Canonical, List};
use palisade_types::certificate::QuorumCertificate;
use palisade_types::chain::{ChainKind, ChainPoint};
use palisade_types::evidence::{BlsPair, Domains, Evidence, ExposedKey};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{BlsSignature, CaseId, Digest, Domain, Hash, OperatorId};
use palisade_types::observation::{Fact, KeysRegistered, Observation};
use palisade_types::operator::KeyRow;
use palisade_types::row::RowKey;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};

const HONEST: OperatorId = OperatorId::new([9; 20]);
const GUILTY: OperatorId = OperatorId::new([10; 20]);
const STRANGER: OperatorId = OperatorId::new([11; 20]);

/// One node's ledger with two operators, of whom one is convicted in the ledger's domain.
struct Node {
    methods: Methods,
    certified: broadcast::Sender<QuorumCertificate>,
    client: HttpClient,
    address: SocketAddr,
    domains: Domains,
    metrics: Metrics,
    honest: OperatorKeys,
    guilty: OperatorKeys,
    head: u64,
    _server: jsonrpsee::server::ServerHandle,
    _dir: tempfile::TempDir,
}

fn genesis() -> Genesis {
    let file: GenesisFile = serde_json::from_str(include_str!("genesis.json")).unwrap();
    file.try_into().unwrap()
}

impl Node {
    /// `ethereum` is how far the ledger has taken Ethereum in.
    async fn start(ethereum: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let genesis = Arc::new(genesis());
        let domains = genesis.domains();
        let store = Arc::new(Store::open(&dir.path().join("ledger"), &domains.chain).unwrap());
        let (honest, guilty) = (OperatorKeys::generate(), OperatorKeys::generate());
        let mut ledger = Ledger::genesis(genesis.clone());
        store.begin(ledger.head(), ledger.rows()).unwrap();
        let keys = vec![registered(&genesis, HONEST, 1, &honest), registered(&genesis, GUILTY, 2, &guilty)];
        let conviction = Item::Evidence(pair(&domains, GUILTY, &guilty, domains.ledger, [1, 2]));
        grow(&mut ledger, &store, vec![observed(&genesis.ethereum_start, 20, keys)]);
        grow(&mut ledger, &store, vec![conviction]);
        let anchor = *ledger.anchor(ChainKind::Ethereum);
        grow(&mut ledger, &store, vec![observed(&anchor, ethereum, vec![])]);
        let head = ledger.head().height.get();

        let core =
            run(Core::new(HONEST, Versions::new(domains.chain, &[]).unwrap(), ledger, None, SignedLast::default()));
        let metrics = Metrics::new();
        let (_connected, connected) = watch::channel([HONEST, GUILTY].into());
        let (certified, _) = broadcast::channel(rpc::MAX_NEWS);
        let sources = Sources {
            core,
            store,
            operator: HONEST,
            connected,
            history: History::Unbroken,
            certified: certified.clone(),
            metrics: metrics.clone(),
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let limits = config::Rpc { listen, max_batch: 2, ..config::Rpc::default() };
        let methods = rpc::methods(sources.clone());
        let (address, server) = rpc::start(&limits, sources).await.unwrap();
        let client = HttpClientBuilder::default().build(format!("http://{address}")).unwrap();
        Self { methods, certified, client, address, domains, metrics, honest, guilty, head, _server: server, _dir: dir }
    }

    async fn submit(&self, evidence: &Evidence) -> Result<String, i32> {
        self.submit_text(text::hex_bytes(&evidence.to_bytes())).await
    }

    async fn submit_text(&self, evidence: String) -> Result<String, i32> {
        let taken = self.client.submit_evidence(evidence).await;
        taken.map(|taken| taken.case.unwrap()).map_err(|error| code(&error))
    }

    /// The first line of the answer to a raw request.
    async fn raw(&self, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}

/// The core actor without anything around it.
fn run(mut core: Core) -> CoreHandle {
    let (handle, mut commands) = CoreHandle::channel();
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Read(read) => read(&core),
                Command::SubmitEvidence(evidence, reply) => drop(reply.send(core.submit_evidence(*evidence))),
                Command::RegisterVault(registration, reply) => {
                    drop(reply.send(core.register(palisade_types::Millis::new(0), *registration)))
                }
                Command::HearOwn(_) | Command::HearChecked(_) => {
                    unreachable!("no RPC method hands in what anybody said")
                }
                Command::Accept(chain, anchor, reply) => drop(reply.send(core.accept(chain, anchor))),
                Command::AttestFor(..) | Command::Unjail(_) => unreachable!("no RPC method asks for a signature (R14)"),
                Command::PassesThrough(_) => unreachable!("no RPC method says which chain is the network's"),
            }
        }
    });
    handle
}

fn grow(ledger: &mut Ledger, store: &Store, items: Vec<Item>) {
    let (block, changes, refused) = ledger.draft(items);
    assert!(refused.is_empty(), "{refused:?}");
    store.commit(&block, &[], &changes).unwrap();
    ledger.apply(changes);
}

fn observed(after: &ChainPoint, number: u64, facts: Vec<Fact>) -> Item {
    let upto = ChainPoint { number, hash: Hash::new([number as u8; 32]), log: u32::MAX, time: after.time + number };
    Item::Observed(Observation {
        chain: ChainKind::Ethereum,
        after: *after,
        upto,
        facts: List::try_from(facts).unwrap(),
    })
}

fn registered(genesis: &Genesis, operator: OperatorId, id: u32, keys: &OperatorKeys) -> Fact {
    let possession = keys.possession(genesis, &operator);
    let row = KeyRow {
        id,
        from: 10,
        until: None,
        bls: possession.keys.bls,
        ed25519: possession.keys.ed25519,
        eots: possession.keys.eots,
        peer: vec![id as u8].try_into().unwrap(),
    };
    let (ed25519_proof, eots_proof) = (possession.ed25519, possession.eots);
    Fact::Keys(Box::new(KeysRegistered { operator, row, ed25519_proof, eots_proof }))
}

/// What `keys` sign as `operator` for slot 1 of `domain`: two digests.
fn pair(domains: &Domains, operator: OperatorId, keys: &OperatorKeys, domain: Domain, digests: [u8; 2]) -> Evidence {
    let signed = |digest: u8| {
        let statement = Statement { domain, slot: 1, digest: Digest::new([digest; 32]) };
        let signature = keys.bls.sign(&statement.bls_message(&domains.chain));
        (statement.digest, BlsSignature::new(signature.to_bytes()))
    };
    Evidence::Pair(BlsPair { operator, domain, slot: 1, first: signed(digests[0]), second: signed(digests[1]) })
}

fn code(error: &ClientError) -> i32 {
    match error {
        ClientError::Call(refusal) => refusal.code(),
        other => panic!("the node did not answer: {other}"),
    }
}

#[tokio::test]
async fn bad_evidence_is_refused_with_the_code_that_names_its_reason() {
    let node = Node::start(30).await;
    let (domains, own) = (&node.domains, node.domains.ledger);
    let good = pair(domains, HONEST, &node.honest, own, [1, 2]);
    let bytes = good.to_bytes();
    let before = node.client.root(None).await.unwrap();

    assert_eq!(node.submit_text(text::hex_bytes(&bytes[..bytes.len() - 1])).await, Err(1001));
    assert_eq!(node.submit_text("0x".to_owned()).await, Err(1001));
    assert_eq!(node.submit_text("0xzz".to_owned()).await, Err(1002));
    assert_eq!(node.submit(&pair(domains, STRANGER, &node.honest, own, [1, 2])).await, Err(1101));
    assert_eq!(node.submit(&pair(domains, HONEST, &node.guilty, own, [1, 2])).await, Err(1102));
    assert_eq!(node.submit(&pair(domains, HONEST, &node.honest, own, [1, 1])).await, Err(1103));
    assert_eq!(node.submit(&pair(domains, HONEST, &node.honest, Domain::new([1; 32]), [1, 2])).await, Err(1104));
    assert_eq!(node.submit(&pair(domains, HONEST, &node.honest, domains.bitcoin, [1, 2])).await, Err(1104));
    let unknown_key = ExposedKey { operator: HONEST, domain: domains.bitcoin, secret: [1; 32] };
    assert_eq!(node.submit(&Evidence::ExposedKey(unknown_key)).await, Err(1102));
    // R25: later pairs are dropped before their signatures are checked.
    assert_eq!(node.submit(&pair(domains, GUILTY, &node.guilty, own, [3, 4])).await, Err(1108));
    assert_eq!(node.submit(&pair(domains, GUILTY, &node.honest, own, [3, 4])).await, Err(1108));

    assert_eq!(node.client.root(None).await.unwrap(), before);
    assert_eq!(node.client.status().await.unwrap().pending, 0);
    let metrics = node.metrics.text("");
    assert!(metrics.contains("palisade_evidence_refused_total{reason=\"already_convicted\"} 2\n"), "{metrics}");
    assert!(metrics.contains("palisade_evidence_received_total 11\n"), "{metrics}");

    let case = CaseId::derive(&domains.chain, &HONEST, &own);
    assert_eq!(node.submit(&good).await, Ok(case.to_string()));
    assert_eq!(node.client.status().await.unwrap().pending, 1);
}

#[tokio::test]
async fn r05_evidence_is_refused_when_its_stake_can_no_longer_be_taken() {
    let window = genesis().parameters.evidence_blocks() + genesis().ethereum_start.number;
    for (anchor, expected) in [(window, None), (window + 1, Some(1107))] {
        let node = Node::start(anchor).await;
        let answer = node.submit(&pair(&node.domains, HONEST, &node.honest, node.domains.ledger, [1, 2])).await;
        assert_eq!(answer.err(), expected, "at Ethereum block {anchor}");
    }
}

#[tokio::test]
async fn a_reader_sees_the_last_committed_state() {
    let node = Node::start(30).await;
    let status = node.client.status().await.unwrap();
    assert_eq!(status.chain_id, node.domains.chain.to_string());
    assert_eq!((status.head.height, status.ethereum.anchor.number), (node.head, 30));
    assert_eq!(status.peers, [GUILTY.to_string()]);
    assert_eq!((status.cases_open, status.cases_final), (0, 1)); // nothing was at stake, so nothing is left to take

    let block = node.client.block(2).await.unwrap();
    assert_eq!(block.parent, node.client.block(1).await.unwrap().id);
    assert!(matches!(&block.items[0], ItemView::Evidence(evidence) if evidence.operator == Some(GUILTY.to_string())));
    let operators = node.client.operators().await.unwrap();
    assert_eq!(operators.iter().map(|operator| operator.convicted).collect::<Vec<_>>(), [None, Some(2)]);
    for operator in &operators {
        assert_eq!(node.client.operator(operator.id.clone()).await.unwrap(), *operator);
    }
    assert_eq!(code(&node.client.operator(STRANGER.to_string()).await.unwrap_err()), 1101);
    assert_eq!(code(&node.client.operator("0x01".to_owned()).await.unwrap_err()), 1002);
    assert_eq!(node.client.committee(None).await.unwrap().epoch, status.epoch);

    let cases = node.client.cases().await.unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(node.client.case(cases[0].id.clone()).await.unwrap(), cases[0]);
    assert!(node.client.vaults().await.unwrap().is_empty());
    // Nothing was at stake, so that there is nothing in the books, and nothing was taken.
    assert!(node.client.accounts().await.unwrap().is_empty());
    assert!(node.client.slashes(Some(GUILTY.to_string())).await.unwrap().is_empty());
    assert!(node.client.captured(HONEST.to_string(), 30).await.unwrap().is_empty());
    assert_eq!(code(&node.client.captured(STRANGER.to_string(), 30).await.unwrap_err()), 1101);
    assert_eq!(code(&node.client.slashes(Some("0xzz".to_owned())).await.unwrap_err()), 1002);
    let methods = node.client.discover().await.unwrap()["methods"].as_array().unwrap().len();
    assert_eq!(methods, METHODS.len());
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let node = Node::start(30).await;
    let client = &node.client;
    assert_eq!(code(&client.block(99).await.unwrap_err()), 1301);
    assert_eq!(code(&client.root(Some(1)).await.unwrap_err()), 1301);
    assert_eq!(code(&client.committee(Some(99)).await.unwrap_err()), 1302);
    assert_eq!(code(&client.case(CaseId::new([1; 32]).to_string()).await.unwrap_err()), 1303);
    assert_eq!(code(&client.case("0x01".to_owned()).await.unwrap_err()), 1002);
    assert_eq!(code(&client.vault(format!("{}:0", "00".repeat(32))).await.unwrap_err()), 1304);
    assert_eq!(code(&client.certificate(1).await.unwrap_err()), 1305);
    let fault = |operator: OperatorId, domain: &str| {
        client.simulate(Supposed::Guessed { operator: operator.to_string(), domain: domain.to_owned() })
    };
    assert_eq!(code(&fault(STRANGER, "ledger").await.unwrap_err()), 1101);
    assert_eq!(code(&fault(GUILTY, "ledger").await.unwrap_err()), 1108);
    assert_eq!(code(&fault(HONEST, "somewhere").await.unwrap_err()), 1306);
    assert_eq!(code(&client.simulate(Supposed::Proven { evidence: "0x07".to_owned() }).await.unwrap_err()), 1001);
    let root = client.root(None).await.unwrap();
    let foreseen = fault(HONEST, "ledger").await.unwrap();
    let [convict] = &foreseen.convicts[..] else { panic!("one") };
    assert_eq!((&convict.operator, convict.losses.len()), (&HONEST.to_string(), 0));
    assert_eq!(client.root(None).await.unwrap(), root);
    assert_eq!(code(&client.vault_claim(format!("{}:0", "00".repeat(32))).await.unwrap_err()), 1307);
    assert_eq!(code(&client.attestation_certificate("ledger".to_owned(), 1).await.unwrap_err()), 1305);
    assert_eq!(code(&client.attestation_certificate("vault-claim".to_owned(), 1).await.unwrap_err()), 1305);
    assert_eq!(code(&client.attestation_status("bitcoin".to_owned(), 1).await.unwrap_err()), 1306);
    let status = client.attestation_status("ledger".to_owned(), 1).await.unwrap();
    let block = client.block(1).await.unwrap();
    assert_eq!((status.digest, status.epoch, status.certified), (Some(block.id), Some(0), false));
    let status = client.attestation_status("vault-claim".to_owned(), 1).await.unwrap();
    assert_eq!((status.digest, status.epoch, status.said.len()), (None, None, 0));
    // R6: nobody attests in an epoch without weight, so there is no proof to wait for.
    let key = text::hex_bytes(&RowKey::Epoch.to_bytes());
    assert_eq!(code(&client.proof(key.clone()).await.unwrap_err()), 1305);
    assert_eq!(code(&client.proof_bundle(key).await.unwrap_err()), 1305);
    assert_eq!(code(&client.proof("0xff".to_owned()).await.unwrap_err()), 1001);
    assert_eq!(code(&client.register_vault("0x00".to_owned()).await.unwrap_err()), 1001);
}

#[tokio::test]
async fn a_request_is_bounded_and_must_come_for_us() {
    let node = Node::start(30).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"palisade_status"}"#;
    let own = format!("Host: {}\r\n", node.address);
    assert!(node.raw(&own, call).await.contains("\"chain_id\""));
    // a name that was rebound to loopback
    assert!(node.raw("Host: evil.example\r\n", call).await.starts_with("HTTP/1.1 403"));
    assert!(node.raw(&format!("{own}Origin: https://evil.example\r\n"), call).await.starts_with("HTTP/1.1 403"));
    let batch = |calls: usize| format!("[{}]", vec![call; calls].join(","));
    assert!(node.raw(&own, &batch(2)).await.contains("\"chain_id\""));
    assert!(node.raw(&own, &batch(3)).await.contains("-32010"));
    let huge = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"evidence_submit","params":["{}"]}}"#, "0".repeat(1 << 20));
    assert!(node.raw(&own, &huge).await.starts_with("HTTP/1.1 413"));
    let named = r#"{"jsonrpc":"2.0","id":1,"method":"ledger_block","params":{"height":1}}"#;
    assert!(node.raw(&own, named).await.contains("\"items_root\""));
    assert!(node.raw(&own, "{").await.contains("-32700"));
}

/// A subscriber is told of the certificates of his domain and of no other; one who cannot keep up is cut off, not served with gaps.
#[tokio::test(flavor = "multi_thread")]
async fn r14_a_subscription_tells_the_certificates_of_one_domain_and_nothing_else() {
    let node = Node::start(30).await;
    let certificate = |domain, slot| QuorumCertificate {
        version: 1,
        chain: node.domains.chain,
        committee: Hash::ZERO,
        domain,
        slot,
        digest: Digest::new([7; 32]),
        members: 4,
        signers: vec![0b0111].try_into().unwrap(),
        signature: BlsSignature::ZERO,
    };
    let refused = node.methods.subscribe_unbounded("attestation_subscribe", ["anything"]).await;
    assert!(refused.is_err(), "a domain that is not there");
    let mut told = node.methods.subscribe_unbounded("attestation_subscribe", ["ledger"]).await.unwrap();
    for (domain, slot) in
        [(node.domains.claim, 1), (node.domains.ledger, 2), (node.domains.order, 3), (node.domains.ledger, 4)]
    {
        node.certified.send(certificate(domain, slot)).unwrap();
    }
    for slot in [2, 4] {
        let (view, _) = told.next::<EtherCertificateView>().await.unwrap().unwrap();
        assert_eq!(view, EtherCertificateView::of(&certificate(node.domains.ledger, slot), None));
    }
    (0..4 * rpc::MAX_NEWS as u64).for_each(|slot| drop(node.certified.send(certificate(node.domains.ledger, slot))));
    let mut ended = 0;
    while let Some(next) = told.next::<EtherCertificateView>().await {
        ended += 1;
        if next.is_err() {
            break;
        }
    }
    assert!(ended < 4 * rpc::MAX_NEWS, "{ended} were told to one who fell behind");
}
