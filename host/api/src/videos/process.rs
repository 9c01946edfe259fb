//! `POST /videos/{id}/process/`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use crate::{
    Api,
    error::{ApiError, NotFound, Unauthorized},
    path::VideoPath,
};

/// Puts a video into the queue. What an earlier processing found is removed.
///
/// A video that is queued or being processed is left alone. One without a source gets the status
/// NO_SOURCE.
#[utoipa::path(
    post, path = "/videos/{id}/process/", tag = "videos", operation_id = "processVideo",
    params(VideoPath),
    responses((status = 200, description = "Accepted."), Unauthorized, NotFound),
)]
pub(crate) async fn process(State(api): State<Arc<Api>>, VideoPath(id): VideoPath) -> Result<StatusCode, ApiError> {
    api.engine.process(id).await?;
    Ok(StatusCode::OK)
}
