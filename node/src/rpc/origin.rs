//! Which web pages may call. A browser says in `Origin` on whose behalf it asks, and does so for WebSockets too, to
//! which its own rules for other hosts do not apply. Programs that are no browser send none.

use axum::http::{HeaderValue, Request, Response, StatusCode, header::ORIGIN};
use jsonrpsee::server::HttpBody;
use std::collections::BTreeSet;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Lets requests through that have no `Origin`, or one of these.
#[derive(Clone, Debug)]
pub struct OriginLayer {
    allowed: Arc<BTreeSet<String>>,
}

impl OriginLayer {
    /// Allows `origins`.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        Self { allowed: Arc::new(origins.iter().cloned().collect()) }
    }

    fn allows(&self, origin: Option<&HeaderValue>) -> bool {
        origin.is_none_or(|origin| origin.to_str().is_ok_and(|origin| self.allowed.contains(origin)))
    }
}

impl<S> Layer<S> for OriginLayer {
    type Service = OriginFilter<S>;
    fn layer(&self, inner: S) -> OriginFilter<S> {
        OriginFilter { inner, layer: self.clone() }
    }
}

/// See [`OriginLayer`].
#[derive(Clone, Debug)]
pub struct OriginFilter<S> {
    inner: S,
    layer: OriginLayer,
}

impl<S, B> Service<Request<B>> for OriginFilter<S>
where
    S: Service<Request<B>, Response = Response<HttpBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.layer.allows(request.headers().get(ORIGIN)) {
            Box::pin(self.inner.call(request))
        } else {
            Box::pin(ready(Ok(refused())))
        }
    }
}

fn refused() -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::from("this origin may not call"));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_may_call_only_when_it_is_named() {
        let layer = OriginLayer::new(&["https://dashboard.example".to_owned()]);
        let allows = |origin: &'static str| layer.allows(Some(&HeaderValue::from_static(origin)));
        assert!(layer.allows(None));
        assert!(allows("https://dashboard.example"));
        assert!(!allows("https://evil.example"));
        assert!(!allows("null"));
    }
}
