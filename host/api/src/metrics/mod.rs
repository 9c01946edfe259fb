//! `GET /metrics`: the server's metrics in the text format of Prometheus.
//!
//! Stateless: `http_metrics` has the counters of requests, and everything else is read from the
//! engine at each scrape. Labels have few values: route templates, never paths; no videos.

mod engine;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use ocellus_core::{Error, Result};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::{
    Api, blocking,
    error::{ApiError, Unauthorized},
};

/// Metrics of the server, for Prometheus.
///
/// Videos, queue, jobs, frames, stages, deliveries, plugins, decoders, disk and HTTP. Counters
/// count from the server's start. With `--metrics-listen`, the same is served at an address of its
/// own, without a token.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    responses((status = 200, description = "The text format of Prometheus.", body = String, content_type = "text/plain"), Unauthorized),
)]
pub(crate) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let text = blocking(move || text(&api)).await?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

/// The metrics without a token, for an address that only monitoring can reach.
pub fn metrics_router(api: Arc<Api>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(api)
}

fn text(api: &Api) -> Result<Vec<u8>> {
    let registry = Registry::new();
    engine::register(&registry, &api.engine.metrics()?).map_err(Error::internal)?;
    let mut families = registry.gather();
    families.extend(api.http.gather());
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text).map_err(Error::internal)?;
    Ok(text)
}
