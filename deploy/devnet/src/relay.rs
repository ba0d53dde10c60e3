//! An Ethereum endpoint that passes everything on to another one, and lies where it is told to: the provider an operator should
//! not have trusted.

use alloy::transports::http::reqwest::{Client, header};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a relay does to the answers it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Every block has another hash.
    Hashes,
    /// Nothing was ever logged.
    NoLogs,
    /// No answer comes.
    Silence,
}

/// A running relay; it ends with its value.
#[derive(Debug)]
pub struct Relay {
    endpoint: String,
    lie: watch::Sender<Lie>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Upstream {
    client: Client,
    url: Arc<str>,
    lie: watch::Receiver<Lie>,
}

impl Relay {
    /// An honest relay to `upstream`, on a free port of this machine.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start(upstream: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (lie, told) = watch::channel(Lie::None);
        let upstream = Upstream { client: Client::new(), url: upstream.into(), lie: told };
        let router = Router::new().fallback(pass_on).with_state(upstream);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the relay ended");
            }
        });
        Ok(Self { endpoint, lie, serving })
    }

    /// Where it answers.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From now on it lies so.
    pub fn tell(&self, lie: Lie) {
        self.lie.send_replace(lie);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass_on(State(upstream): State<Upstream>, asked: Bytes) -> Response {
    let lie = *upstream.lie.borrow();
    if lie == Lie::Silence {
        return std::future::pending().await;
    }
    let answered = async {
        let request = upstream.client.post(&*upstream.url).header(header::CONTENT_TYPE, "application/json");
        request.body(asked.to_vec()).send().await?.bytes().await
    };
    match answered.await {
        Ok(answer) => altered(lie, &asked, &answer).into_response(),
        Err(error) => (axum::http::StatusCode::BAD_GATEWAY, error.without_url().to_string()).into_response(),
    }
}

/// The answer with the lie in it; what is not read as one question and one answer passes as it is.
fn altered(lie: Lie, asked: &[u8], answer: &[u8]) -> Vec<u8> {
    let (Ok(asked), Ok(mut said)) = (serde_json::from_slice::<Value>(asked), serde_json::from_slice::<Value>(answer))
    else {
        return answer.to_vec();
    };
    match (lie, asked["method"].as_str()) {
        (Lie::Hashes, Some("eth_getBlockByNumber")) => {
            if let Some(hash) = said["result"]["hash"].as_str() {
                let last = if hash.ends_with('0') { '1' } else { '0' };
                said["result"]["hash"] = json!(format!("{}{last}", &hash[..hash.len() - 1]));
            }
        }
        (Lie::NoLogs, Some("eth_getLogs")) if said["result"].is_array() => said["result"] = json!([]),
        _ => return answer.to_vec(),
    }
    said.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lie_changes_what_it_is_about_and_nothing_else() {
        let asked = |method: &str| json!({ "id": 1, "method": method }).to_string().into_bytes();
        let block = br#"{"id":1,"result":{"hash":"0xa0","number":"0x1"}}"#;
        let logs = br#"{"id":1,"result":[{"logIndex":"0x0"}]}"#;
        let lied = altered(Lie::Hashes, &asked("eth_getBlockByNumber"), block);
        assert_eq!(serde_json::from_slice::<Value>(&lied).unwrap()["result"]["hash"], "0xa1");
        assert_eq!(altered(Lie::Hashes, &asked("eth_getLogs"), logs), logs);
        let lied = altered(Lie::NoLogs, &asked("eth_getLogs"), logs);
        assert_eq!(serde_json::from_slice::<Value>(&lied).unwrap()["result"], json!([]));
        for lie in [Lie::None, Lie::NoLogs] {
            assert_eq!(altered(lie, &asked("eth_getBlockByNumber"), block), block);
        }
        assert_eq!(altered(Lie::NoLogs, b"{", b"nonsense"), b"nonsense");
    }
}
