//! `GET /health/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_pipeline::Health;

use crate::{Api, documented};

/// State of the server and its parts.
///
/// Needs no token, so that a supervisor can ask. Says nothing about videos.
#[utoipa::path(
    get, path = "/health/", tag = "server", operation_id = "health", security(()),
    responses((status = 200, description = "Version, device, detectors, plugins and jobs.", body = documented::Health)),
)]
pub(crate) async fn health(State(api): State<Arc<Api>>) -> Json<Health> {
    Json(api.engine.health())
}
