//! Endpoints that mean harm: before a follower knows them, and once it does.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
#[allow(dead_code)]
mod world;

use alloy::primitives::{Address as Account, U256, hex};
use alloy::sol_types::SolCall;
use alloy::transports::http::reqwest::{Client, header};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use palisade_ethereum::{Config, Ethereum};
use palisade_types::canonical::{Canonical, List};
use palisade_types::chain::{Chain, ChainError, ChainPoint, Watch};
use palisade_types::genesis::{Contracts, Genesis, Parameters};
use palisade_types::ids::{Address, Hash};
use palisade_types::observation::Fact;
use palisade_types::units::MicroUsd;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use world::{Member, World};

alloy::sol! {
    interface Core {
        struct OperatorSet { address avs; uint32 id; }
        function getMembers(OperatorSet set) external view returns (address[] memory);
        function getMaxMagnitudes(address[] operators, address strategy) external view returns (uint64[] memory);
        function getOperatorsShares(address[] operators, address[] strategies)
            external view returns (uint256[][] memory);
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endpoint = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        let noise = [b' '; 65_536];
        while stream.write_all(&noise).is_ok() {} // until we hang up
    });
    let connected = Ethereum::connect(&Config::one(endpoint), genesis(), None).await;
    let Err(ChainError::Unavailable { source, .. }) = connected else { panic!("{connected:?}") };
    assert!(source.to_string().contains("larger than"), "{source}");
}

#[tokio::test]
async fn silence_ends_with_the_deadline_and_a_redirect_leads_nowhere() {
    let silent = serve(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let started = Instant::now();
    let config = Config { timeout_ms: 300, ..Config::one(silent) };
    assert!(matches!(Ethereum::connect(&config, genesis(), None).await, Err(ChainError::Unavailable { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));

    let elsewhere = serve(|mut stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
    });
    let Err(ChainError::Unavailable { source, .. }) = Ethereum::connect(&Config::one(elsewhere), genesis(), None).await
    else {
        panic!("a redirect is no answer")
    };
    assert!(source.to_string().contains("307"), "{source}");
}

/// Whatever one endpoint makes of an answer has a name, is taken in for nothing, and holds up nobody who has two others.
#[tokio::test]
async fn r30_every_answer_that_is_none_has_a_name_and_the_other_endpoints_go_on() {
    let world = World::with_stake().await;
    let core = world.core.clone().unwrap();
    let (member, start) = (Member::new(1), world.genesis.ethereum_start);
    let honest = world.connect().await;
    honest.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let amount = U256::from(1_000_000_000_000_000_000_000_u128);
    eigenlayer::stake(&world.endpoint, &core, &member.signer(), &member.signer(), amount).await.unwrap();
    let adapter = Account::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    eigenlayer::allocate(&world.endpoint, &core, &member.signer(), adapter, 400_000_000_000_000_000).await.unwrap();
    world.finalize().await;
    let tip = honest.tip().await.unwrap();
    let facts = honest.observe(&start, &tip, &Watch::default()).await.unwrap();
    assert!(matches!(facts[..], [Fact::Keys(_), Fact::Stake(_)]), "{facts:?}");

    let villain = Villain::before(&world.endpoint).await;
    let connect = async |endpoints: Vec<String>| {
        let config = Config { endpoints, agreeing: None, timeout_ms: 1_000 };
        Ethereum::connect(&config, Arc::clone(&world.genesis), None).await.unwrap()
    };
    let alone = connect(vec![villain.endpoint.clone()]).await;
    assert_eq!(alone.observe(&start, &tip, &Watch::default()).await.unwrap(), facts);
    for (name, twist, wanted) in twists() {
        let endpoints = vec![world.endpoint.clone(), villain.endpoint.clone(), world.endpoint.clone()];
        let three = connect(endpoints).await;
        villain.does(twist);
        let outcome = alone.observe(&start, &tip, &Watch::default()).await;
        assert!(outcome.as_ref().is_err_and(&wanted), "{name}: {outcome:?}");
        let told = three.observe(&start, &tip, &Watch::default()).await;
        assert_eq!(told.unwrap_or_else(|error| panic!("{name}: {error}")), facts, "{name}");
        villain.does(|_, _| {});
        assert_eq!(alone.observe(&start, &tip, &Watch::default()).await.unwrap(), facts, "after {name}");
    }
}

/// What is done to an answer to this question.
type Twist = fn(&Value, &mut Said);

enum Said {
    /// As it came, or changed.
    Json(Value),
    /// What is no JSON.
    Bytes(Vec<u8>),
    /// Nothing, ever.
    Nothing,
}

impl Said {
    fn json(&mut self) -> &mut Value {
        match self {
            Self::Json(value) => value,
            Self::Bytes(_) | Self::Nothing => panic!("it is twisted once"),
        }
    }
}

type Wanted = fn(&ChainError) -> bool;

/// Name, what is done, and what a follower says who has no other endpoint.
fn twists() -> Vec<(&'static str, Twist, Wanted)> {
    const UNAVAILABLE: Wanted = |error| matches!(error, ChainError::Unavailable { .. });
    const LIED: Wanted = |error| matches!(error, ChainError::Lied(_));
    fn is(asked: &Value, method: &str) -> bool {
        asked["method"] == method
    }
    /// The first log of an answer that holds one.
    fn log(asked: &Value, said: &mut Said, change: impl FnOnce(&mut Value)) {
        if is(asked, "eth_getLogs") && said.json()["result"].as_array().is_some_and(|logs| !logs.is_empty()) {
            change(&mut said.json()["result"]);
        }
    }
    fn answer<C: SolCall>(asked: &Value, said: &mut Said, answer: &C::Return) {
        let input = asked["params"][0]["input"].as_str().unwrap_or_default();
        if is(asked, "eth_call") && input.starts_with(&hex::encode_prefixed(C::SELECTOR)) {
            said.json()["result"] = json!(hex::encode_prefixed(C::abi_encode_returns(answer)));
        }
    }
    vec![
        (
            "logs that are no JSON",
            |asked, said| {
                if is(asked, "eth_getLogs") {
                    *said = Said::Bytes(b"<html>".to_vec())
                }
            },
            UNAVAILABLE,
        ),
        (
            "logs that break off",
            |asked, said| {
                if is(asked, "eth_getLogs") {
                    let text = said.json().to_string().into_bytes();
                    *said = Said::Bytes(text[..text.len() / 2].to_vec());
                }
            },
            UNAVAILABLE,
        ),
        (
            "logs without end",
            |asked, said| {
                if is(asked, "eth_getLogs") {
                    *said = Said::Bytes(vec![b' '; (16 << 20) + 1])
                }
            },
            |error| matches!(error, ChainError::Unavailable { source, .. } if source.to_string().contains("larger than")),
        ),
        (
            "logs that never come",
            |asked, said| {
                if is(asked, "eth_getLogs") {
                    *said = Said::Nothing
                }
            },
            UNAVAILABLE,
        ),
        (
            "logs that are nothing",
            |asked, said| {
                if is(asked, "eth_getLogs") {
                    said.json()["result"] = Value::Null
                }
            },
            UNAVAILABLE,
        ),
        (
            "an error instead of logs",
            |asked, said| {
                if is(asked, "eth_getLogs") {
                    *said.json() = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32_005, "message": "limit" } });
                }
            },
            UNAVAILABLE,
        ),
        (
            "a log told twice",
            |asked, said| {
                log(asked, said, |logs| {
                    let again = logs[0].clone();
                    logs.as_array_mut().unwrap().insert(0, again);
                })
            },
            LIED,
        ),
        (
            "an impostor's log",
            |asked, said| {
                log(asked, said, |logs| {
                    logs[0]["address"] = json!("0x00000000000000000000000000000000000000ee");
                })
            },
            LIED,
        ),
        (
            "a log of another event",
            |asked, said| log(asked, said, |logs| logs[0]["topics"][0] = logs[0]["blockHash"].clone()),
            LIED,
        ),
        ("a log of another block", |asked, said| log(asked, said, |logs| logs[0]["blockNumber"] = json!("0x1")), LIED),
        ("a log that was removed", |asked, said| log(asked, said, |logs| logs[0]["removed"] = json!(true)), LIED),
        ("a log without its place", |asked, said| log(asked, said, |logs| logs[0]["logIndex"] = Value::Null), LIED),
        (
            "a log cut short",
            |asked, said| {
                log(asked, said, |logs| {
                    let data = logs[0]["data"].as_str().unwrap().to_owned();
                    logs[0]["data"] = json!(data[..data.len() / 64 * 32]);
                })
            },
            LIED,
        ),
        (
            "another block",
            |asked, said| {
                if is(asked, "eth_getBlockByNumber") && asked["params"][0] != "finalized" {
                    said.json()["result"]["number"] = json!("0x1");
                }
            },
            LIED,
        ),
        (
            "no block at all",
            |asked, said| {
                if is(asked, "eth_getBlockByNumber") {
                    said.json()["result"] = Value::Null
                }
            },
            |error| matches!(error, ChainError::NotThere { .. }),
        ),
        (
            "another time under the same hash",
            |asked, said| {
                if is(asked, "eth_getBlockByNumber") {
                    said.json()["result"]["timestamp"] = json!("0x7");
                }
            },
            |error| matches!(error, ChainError::FinalityBroken { .. }),
        ),
        (
            "a block that is none",
            |asked, said| {
                if is(asked, "eth_getBlockByNumber") {
                    said.json()["result"] = json!({})
                }
            },
            UNAVAILABLE,
        ),
        (
            "a view that breaks off",
            |asked, said| {
                if is(asked, "eth_call") {
                    let text = said.json()["result"].as_str().unwrap_or_default().to_owned();
                    said.json()["result"] = json!(text[..text.len() / 4 * 2]);
                }
            },
            LIED,
        ),
        (
            "a state thrown away",
            |asked, said| {
                if is(asked, "eth_call") {
                    *said.json() = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32_000, "message": "missing trie node" } });
                }
            },
            UNAVAILABLE,
        ),
        (
            "more answers than questions",
            |asked, said| answer::<Core::getMaxMagnitudesCall>(asked, said, &vec![1, 2]),
            LIED,
        ),
        (
            "fewer answers than questions",
            |asked, said| answer::<Core::getOperatorsSharesCall>(asked, said, &vec![]),
            LIED,
        ),
        (
            "more shares than there can be",
            |asked, said| {
                answer::<Core::getOperatorsSharesCall>(asked, said, &vec![vec![U256::MAX]]);
            },
            LIED,
        ),
    ]
}

/// An endpoint between us and an honest one; it ends with its value.
struct Villain {
    endpoint: String,
    twist: Arc<Mutex<Twist>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Villain {
    async fn before(upstream: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let twist: Arc<Mutex<Twist>> = Arc::new(Mutex::new(|_, _| {}));
        let state = (Client::new(), upstream.to_owned(), Arc::clone(&twist));
        let router = Router::new().fallback(twisted).with_state(state);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, twist, serving }
    }

    fn does(&self, twist: Twist) {
        *self.twist.lock().unwrap() = twist;
    }
}

impl Drop for Villain {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn twisted(
    State((client, upstream, twist)): State<(Client, String, Arc<Mutex<Twist>>)>,
    asked: axum::body::Bytes,
) -> Response {
    let request = client.post(&upstream).header(header::CONTENT_TYPE, "application/json").body(asked.to_vec());
    let said = request.send().await.unwrap().bytes().await.unwrap();
    let mut said = Said::Json(serde_json::from_slice(&said).unwrap());
    let twist = *twist.lock().unwrap();
    twist(&serde_json::from_slice(&asked).unwrap(), &mut said);
    match said {
        Said::Json(value) => value.to_string().into_response(),
        Said::Bytes(bytes) => bytes.into_response(),
        Said::Nothing => std::future::pending().await,
    }
}

/// Answers every connection's first request with `answer`.
fn serve(answer: impl Fn(TcpStream) + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4_096]);
                answer(stream);
            });
        }
    });
    endpoint
}

fn genesis() -> Arc<Genesis> {
    let point = ChainPoint { number: 0, hash: Hash::ZERO, log: u32::MAX, time: 0 };
    let zeros = [0; 22 * 8];
    Arc::new(Genesis {
        random: Hash::ZERO,
        evm_chain_id: 31_337,
        bitcoin_genesis: Hash::ZERO,
        ethereum_start: point,
        bitcoin_start: point,
        contracts: Contracts {
            palisade: Address::ZERO,
            eigenlayer_adapter: Address::ZERO,
            committee: Address::ZERO,
            allocation_manager: Address::ZERO,
            delegation_manager: Address::ZERO,
            orders: Address::ZERO,
            symbiotic: None,
            karak: None,
        },
        assets: List::new(),
        vaults: List::new(),
        parameters: Parameters {
            min_bond: MicroUsd::new(1),
            bitcoin_price: MicroUsd::new(1),
            ..Parameters::from_bytes(&zeros).expect("twenty-two numbers of eight bytes")
        },
        seats: List::new(),
        continues: None,
    })
}
