//! HTTP to one endpoint, with a deadline for every answer and a bound on its size. An endpoint is hostile: without
//! the bound it could fill our memory, without the deadline it could hold a follower for ever.

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::http::reqwest::{self, Client, Url, redirect};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

/// The largest answer that is read. The logs of a few thousand blocks fit; when they do not, fewer are asked for.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The answer is larger than [`MAX_ANSWER_BYTES`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
pub(crate) struct TooLarge;

/// One endpoint. Its URL may hold a credential and is never printed.
#[derive(Clone)]
pub(crate) struct Transport {
    client: Client,
    url: Url,
}

impl Transport {
    /// A transport whose every request ends after `timeout`. It follows no redirect: the operator named this
    /// endpoint and no other.
    pub(crate) fn new(url: Url, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(timeout).redirect(redirect::Policy::none()).build()?;
        Ok(Self { client, url })
    }

    async fn request(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut response = self.client.post(self.url).json(&request).send().await.map_err(lost)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(TransportErrorKind::custom(TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        // Some endpoints give a JSON-RPC error under an HTTP error status: the body says more.
        serde_json::from_slice(&body).map_err(|error| {
            let status = response.status();
            if status.is_success() {
                TransportError::deser_err(error, String::new())
            } else {
                TransportErrorKind::custom_str(&format!("HTTP status {status}"))
            }
        })
    }
}

/// The error without the URL.
fn lost(error: reqwest::Error) -> TransportError {
    TransportErrorKind::custom(error.without_url())
}

impl Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().request(request))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport(…)")
    }
}
