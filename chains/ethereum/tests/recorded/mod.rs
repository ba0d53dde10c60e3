//! An endpoint with answers made by hand before a real anvil: what is not in its table the anvil answers.

use alloy::primitives::{Address, B256, Bytes, hex};
use alloy::sol_types::SolCall;
use alloy::transports::http::reqwest::{Client, header};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a contract is made to say.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// These bytes.
    Answer(Vec<u8>),
    /// Nothing but a reason.
    Reverts(String),
}

/// How the endpoint treats every `eth_call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As its table and the anvil say.
    Well,
    /// It has thrown the state away.
    NoState,
    /// It answers what is no JSON-RPC.
    Nonsense,
    /// It answers without end.
    Oversized,
    /// It answers with half of the answer.
    Cut,
    /// It never answers.
    Silent,
}

/// A running endpoint; it ends with its value.
pub(crate) struct Recorded {
    pub(crate) endpoint: String,
    table: Arc<Mutex<Table>>,
    serving: JoinHandle<()>,
}

struct Table {
    client: Client,
    upstream: String,
    chain_id: u64,
    mood: Mood,
    calls: HashMap<(Address, Vec<u8>), Said>,
    logs: Vec<(Address, u64, Vec<B256>)>,
}

impl Recorded {
    /// One that says it serves `chain_id`, before the anvil at `upstream`.
    pub(crate) async fn before(upstream: &str, chain_id: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (client, upstream) = (Client::new(), upstream.to_owned());
        let (calls, logs) = (HashMap::new(), Vec::new());
        let table = Arc::new(Mutex::new(Table { client, upstream, chain_id, mood: Mood::Well, calls, logs }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&table));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, table, serving }
    }

    pub(crate) fn says<C: SolCall>(&self, to: Address, call: C, answer: &C::Return) {
        self.raw(to, call.abi_encode(), Said::Answer(C::abi_encode_returns(answer)));
    }

    pub(crate) fn reverts<C: SolCall>(&self, to: Address, call: C, reason: &str) {
        self.raw(to, call.abi_encode(), Said::Reverts(reason.to_owned()));
    }

    pub(crate) fn raw_call<C: SolCall>(&self, to: Address, call: C, said: Said) {
        self.raw(to, call.abi_encode(), said);
    }

    pub(crate) fn raw(&self, to: Address, call: Vec<u8>, said: Said) {
        self.table.lock().unwrap().calls.insert((to, call), said);
    }

    /// One log of a contract, with topics after the first.
    pub(crate) fn logs(&self, address: Address, block: u64, event: B256, topics: Vec<B256>) {
        self.table.lock().unwrap().logs.push((address, block, [vec![event], topics].concat()));
    }

    pub(crate) fn forget(&self) {
        self.table.lock().unwrap().calls.clear();
    }

    pub(crate) fn is_in(&self, mood: Mood) {
        self.table.lock().unwrap().mood = mood;
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(table): State<Arc<Mutex<Table>>>, asked: axum::body::Bytes) -> Response {
    let request: Value = serde_json::from_slice(&asked).unwrap();
    let (said, mood, client, upstream) = {
        let table = table.lock().unwrap();
        (table.answer(&request), table.mood, table.client.clone(), table.upstream.clone())
    };
    let id = request["id"].clone();
    if request["method"] == "eth_call" {
        match mood {
            Mood::Well | Mood::Cut => {}
            Mood::NoState => {
                let error = json!({ "code": -32_000, "message": "missing trie node 0x00" });
                return json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string().into_response();
            }
            Mood::Nonsense => return "<html>".into_response(),
            Mood::Oversized => return vec![b'0'; (16 << 20) + 1].into_response(),
            Mood::Silent => return std::future::pending().await,
        }
    }
    if let Some(mut said) = said {
        said["id"] = id;
        return said.to_string().into_response();
    }
    let forwarded = client.post(&upstream).header(header::CONTENT_TYPE, "application/json").body(asked.to_vec());
    let mut answer: Value = serde_json::from_slice(&forwarded.send().await.unwrap().bytes().await.unwrap()).unwrap();
    if request["method"] == "eth_call" && mood == Mood::Cut {
        let text = answer["result"].as_str().unwrap_or_default().to_owned();
        answer["result"] = json!(text[..text.len() / 4 * 2].to_owned());
    }
    answer.to_string().into_response()
}

impl Table {
    fn answer(&self, request: &Value) -> Option<Value> {
        let asked = &request["params"][0];
        let result = match request["method"].as_str()? {
            "eth_chainId" => json!(format!("{:#x}", self.chain_id)),
            "eth_call" => {
                let to: Address = asked["to"].as_str()?.parse().ok()?;
                let data: Bytes = asked["input"].as_str().or(asked["data"].as_str())?.parse().ok()?;
                match self.calls.get(&(to, data.to_vec()))? {
                    Said::Answer(bytes) => json!(hex::encode_prefixed(bytes)),
                    Said::Reverts(reason) => return Some(reverted(reason)),
                }
            }
            "eth_getLogs" => self.found(asked)?,
            _ => return None,
        };
        Some(json!({ "jsonrpc": "2.0", "result": result }))
    }

    /// The logs of a contract that is in the table.
    fn found(&self, filter: &Value) -> Option<Value> {
        let address: Address = filter["address"].as_str().or(filter["address"][0].as_str())?.parse().ok()?;
        let number = |field: &str| u64::from_str_radix(filter[field].as_str()?.strip_prefix("0x")?, 16).ok();
        let (from, to) = (number("fromBlock")?, number("toBlock")?);
        self.logs.iter().find(|(known, ..)| *known == address)?;
        let found = self.logs.iter().filter(|(known, block, _)| *known == address && (from..=to).contains(block));
        Some(found.map(|(address, block, topics)| log(*address, *block, topics)).collect())
    }
}

fn log(address: Address, block: u64, topics: &[B256]) -> Value {
    let hash = B256::repeat_byte(1);
    // Every event here has its last two words in its data where it has any.
    let data = if topics.len() == 1 { hex::encode_prefixed([0; 64]) } else { "0x".to_owned() };
    json!({
        "address": address, "topics": topics, "data": data, "blockNumber": format!("{block:#x}"), "blockHash": hash,
        "transactionHash": hash, "transactionIndex": "0x0", "logIndex": "0x0", "removed": false,
    })
}

/// As geth tells a revert with `Error(string)`.
fn reverted(reason: &str) -> Value {
    let data = alloy::sol_types::Revert::from(reason);
    let data = hex::encode_prefixed(alloy::sol_types::SolError::abi_encode(&data));
    let error = json!({ "code": 3, "message": format!("execution reverted: {reason}"), "data": data });
    json!({ "jsonrpc": "2.0", "error": error })
}
