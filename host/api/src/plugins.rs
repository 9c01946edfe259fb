//! `GET /plugins/`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{Api, error::Unauthorized};

/// The plugins that are installed.
#[utoipa::path(
    get, path = "/plugins/", tag = "server", operation_id = "listPlugins",
    responses((status = 200, description = "Filters, trackers and routers, and what was refused and why.", body = Value), Unauthorized),
)]
pub(crate) async fn plugins(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({"results": api.engine.plugins()}))
}
