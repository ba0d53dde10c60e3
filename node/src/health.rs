//! The second listener: `/metrics` for Prometheus and `/health` for whoever restarts processes. It only reads, and
//! it has its own listener so that a full JSON-RPC cannot hide that the node is well.

use crate::metrics::Metrics;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Whether the node does what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It follows its chains and its ledger moves.
    Well,
    /// It does not, for this reason.
    Unwell(String),
}

/// Gives the text of the engine's own registry.
pub type EngineMetrics = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Sources {
    metrics: Metrics,
    engine: EngineMetrics,
    health: watch::Receiver<Health>,
}

/// Listens on `address` and answers until `health`'s sender is gone; returns where it listens.
///
/// # Errors
///
/// When the address cannot be listened on.
pub async fn start(
    address: SocketAddr,
    metrics: Metrics,
    engine: EngineMetrics,
    health: watch::Receiver<Health>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let mut gone = health.clone();
    let router = router(Sources { metrics, engine, health });
    let stop = async move { while gone.changed().await.is_ok() {} };
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the metrics listener failed");
        }
    });
    Ok(address)
}

fn router(sources: Sources) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/health", get(health)).with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], sources.metrics.text(&(sources.engine)()))
}

async fn health(State(sources): State<Sources>) -> impl IntoResponse {
    match &*sources.health.borrow() {
        Health::Well => (StatusCode::OK, Json(serde_json::json!({ "status": "well" }))),
        Health::Unwell(reason) => {
            let body = serde_json::json!({ "status": "unwell", "reason": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    async fn ask(path: &str, state: Health) -> StatusCode {
        let (_sender, health) = watch::channel(state);
        let sources = Sources { metrics: Metrics::new(), engine: Arc::new(String::new), health };
        let request = Request::get(path).body(Body::empty()).unwrap();
        router(sources).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn health_says_in_its_status_whether_the_node_is_well() {
        assert_eq!(ask("/health", Health::Well).await, StatusCode::OK);
        let unwell = Health::Unwell("no peers".to_owned());
        assert_eq!(ask("/health", unwell.clone()).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ask("/metrics", unwell).await, StatusCode::OK);
        assert_eq!(ask("/other", Health::Well).await, StatusCode::NOT_FOUND);
    }
}
