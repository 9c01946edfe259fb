//! `DELETE /videos/{id}/`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use crate::{
    Api,
    error::{ApiError, NotFound, Unauthorized},
    path::VideoPath,
};

/// Removes a video with its source, its objects and their pictures; its processing is stopped
/// first.
#[utoipa::path(
    delete, path = "/videos/{id}/", tag = "videos", operation_id = "deleteVideo",
    params(VideoPath),
    responses((status = 204, description = "Gone."), Unauthorized, NotFound),
)]
pub(crate) async fn delete(State(api): State<Arc<Api>>, VideoPath(id): VideoPath) -> Result<StatusCode, ApiError> {
    api.engine.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
