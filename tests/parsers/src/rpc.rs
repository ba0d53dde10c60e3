//! What strangers send to a node's JSON-RPC: a whole request, answered by a real ledger and a real store.

use std::sync::{Arc, LazyLock};

use jsonrpsee::Methods;
use palisade_bitcoin::vault::Versions;
use palisade_ledger::Ledger;
use palisade_node::core::Core;
use palisade_node::genesis_file::GenesisFile;
use palisade_node::handle::{Command, CoreHandle};
use palisade_node::metrics::Metrics;
use palisade_node::rpc::{METHODS, Sources, methods};
use palisade_node::signer::History;
use palisade_storage::Store;
use palisade_types::{Canonical as _, Genesis, Millis, OperatorId};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::vaults::STAND;

struct Node {
    runtime: Runtime,
    methods: Methods,
    /// Holds the store's files until the process ends.
    _dir: tempfile::TempDir,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without threads or sockets");
    let dir = tempfile::tempdir().expect("a folder for the store");
    let methods = runtime.block_on(async { start(dir.path()) });
    Node { runtime, methods, _dir: dir }
});

/// A node that holds genesis only, of the seat's operator.
fn start(dir: &std::path::Path) -> Methods {
    let file: GenesisFile = serde_json::from_str(include_str!("../../../node/tests/genesis.json")).expect("a genesis");
    let genesis = Arc::new(Genesis::try_from(file).expect("a genesis"));
    let versions = Versions::of(&genesis).unwrap_or_else(|_| Versions::new(genesis.chain_id(), &[]).expect("none"));
    let store = Arc::new(Store::open(dir, &genesis.chain_id()).expect("a fresh store"));
    let ledger = Ledger::genesis(genesis);
    store.begin(ledger.head(), ledger.rows()).expect("a fresh store");
    let operator = OperatorId::new([9; 20]);
    let mut core = Core::new(operator, versions, ledger, None, palisade_node::signer::SignedLast::default());
    let (handle, mut commands) = CoreHandle::channel();
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Read(read) => read(&core),
                Command::SubmitEvidence(evidence, reply) => drop(reply.send(core.submit_evidence(*evidence))),
                Command::RegisterVault(registration, reply) => {
                    drop(reply.send(core.register(Millis::new(0), *registration)))
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
    let connected = watch::channel([operator].into()).1;
    let (history, metrics) = (History::Unbroken, Metrics::new());
    methods(Sources {
        core: handle,
        store,
        operator,
        connected,
        history,
        certified: tokio::sync::broadcast::channel(1).0,
        metrics,
    })
}

/// A request as text: it is answered, by a result or by an error that is not our own fault, and no block, case or vault comes of it.
pub(crate) fn request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Node { runtime, methods, .. } = &*NODE;
    let Ok((answer, _)) = runtime.block_on(methods.raw_json_request(text, 1)) else { return };
    let answer: serde_json::Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
    let reason = &answer["error"]["data"]["reason"];
    assert!(answer.get("result").is_some() || (answer["error"]["code"].is_i64() && reason != "internal"), "{answer}");
}

/// Seeds: every method, with parameters that it takes.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let registration = hex::encode(STAND.whole.to_bytes());
    let parameters = |method: &str| match method {
        "ledger_block" | "ledger_certificate" | "ledger_committee" | "ledger_root" => "[0]".to_owned(),
        "ledger_proof" => r#"["0x00"]"#.to_owned(),
        "ledger_operator" => format!(r#"["0x{}"]"#, "0".repeat(40)),
        "vault_register" => format!(r#"["0x{registration}"]"#),
        "vault_get" | "vault_claim" => format!(r#"["{}:0"]"#, "0".repeat(64)),
        "attestation_status" | "attestation_certificate" => r#"["ledger", 0]"#.to_owned(),
        "evidence_submit" => format!(r#"{{"evidence": "0x00{}"}}"#, "00".repeat(300)),
        "evidence_case" => format!(r#"["0x{}"]"#, "0".repeat(64)),
        _ => "[]".to_owned(),
    };
    let request =
        |method: &&str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{}}}"#, parameters(method));
    METHODS.iter().map(request).map(String::into_bytes).collect()
}
