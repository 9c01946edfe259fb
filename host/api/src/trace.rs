//! Tracing of requests: one span and one log line for each.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use ocellus_core::{Clock, Error, SystemClock};
use tracing::Instrument;

use crate::{error::ApiError, http_metrics::HttpMetrics, log};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Id of a request, as an extension of it.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Id of a request, unique also across restarts of the server.
fn next_id() -> String {
    static STARTED: OnceLock<i64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let started = STARTED.get_or_init(|| SystemClock.now().as_millisecond());
    format!("{started:x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Gives the request an id, logs its outcome, and turns a panic into a response: a bug in one
/// handler must not abort the other requests of the same connection.
pub(crate) async fn trace(State(metrics): State<HttpMetrics>, mut request: Request, next: Next) -> Response {
    let id = next_id();
    let method = request.method().clone();
    // The template, not the path: log lines are grouped by route, and a path may hold a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id);
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    async move {
        let started = Instant::now();
        let outcome = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let mut response =
            outcome.unwrap_or_else(|_| ApiError::from(Error::internal("a handler panicked")).into_response());
        if let Ok(value) = HeaderValue::try_from(id) {
            response.headers_mut().insert(REQUEST_ID.clone(), value);
        }
        metrics.count(&method, &route, response.status(), started.elapsed());
        let (status, duration_ms) = (response.status().as_u16(), started.elapsed().as_millis() as u64);
        if route == log::ROUTE {
            // A page that shows the log reads it whenever something happens: these lines would
            // soon be all that it shows.
            tracing::debug!(%method, route, status, duration_ms, "{method} {route} {status}");
        } else {
            tracing::info!(%method, route, status, duration_ms, "{method} {route} {status}");
        }
        response
    }
    .instrument(span)
    .await
}
