//! `DELETE /videos/{id}/file/`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use crate::{
    Api,
    error::{ApiError, NotFound, Unauthorized},
    path::VideoPath,
};

/// Removes a video's source file; its processing is stopped first. Objects stay. Without a file
/// nothing happens.
#[utoipa::path(
    delete, path = "/videos/{id}/file/", tag = "videos", operation_id = "deleteVideoFile",
    params(VideoPath),
    responses((status = 200, description = "There is no file any more."), Unauthorized, NotFound),
)]
pub(crate) async fn delete_file(State(api): State<Arc<Api>>, VideoPath(id): VideoPath) -> Result<StatusCode, ApiError> {
    api.engine.delete_file(id).await?;
    Ok(StatusCode::OK)
}
