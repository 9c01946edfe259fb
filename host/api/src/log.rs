//! `GET /log/`: the newest lines of the server's log, for administrators.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    error::{ApiError, BadParam, Unauthorized},
    query::Query,
    recent_log::{LogLevel, LogLine},
};

/// Path of the route.
pub(crate) const ROUTE: &str = "/log/";

/// Which lines.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for the document: the query is read by name")]
pub(crate) struct LogQuery {
    /// Only these and more severe ones: `error`, `warn`, `info`, `debug` or `trace`. All of them
    /// without it.
    #[param(pattern = "^(error|warn|info|debug|trace)?$")]
    level: Option<String>,
    /// Only lines after the one with this id.
    #[param(minimum = 0)]
    after: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogLines {
    /// Oldest first.
    results: Vec<LogLine>,
}

/// The newest lines of the server's log.
///
/// At most 1000 are kept, since the server's start, of those that it writes (`--log`). Needs the
/// scope `admin`.
#[utoipa::path(
    get, path = "/log/", tag = "server", operation_id = "readLog", params(LogQuery),
    responses((status = 200, description = "The lines.", body = LogLines), BadParam, Unauthorized),
)]
pub(crate) async fn lines(State(api): State<Arc<Api>>, query: Query) -> Result<Json<LogLines>, ApiError> {
    let level = query.last("level").map_or(Ok(LogLevel::Trace), str::parse)?;
    let after = query.integer::<u64>("after")?.unwrap_or_default();
    Ok(Json(LogLines { results: api.config.log.after(after, level) }))
}
