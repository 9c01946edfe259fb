//! `DELETE /videos/{id}/`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use super::change::checked;
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    conditional::Conditions,
    error::{ApiError, NotFound, PreconditionFailed, Unauthorized},
    path::VideoPath,
};

/// Removes a video with its source, its objects and their pictures; its processing is stopped
/// first.
#[utoipa::path(
    delete, path = "/videos/{id}/", tag = "videos", operation_id = "deleteVideo",
    params(VideoPath, ("If-Match" = Option<String>, Header, description = "Removes nothing where the video has another ETag: 412.")),
    responses((status = 204, description = "Gone."), Unauthorized, NotFound, PreconditionFailed),
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    conditions: Conditions,
) -> Result<StatusCode, ApiError> {
    if conditions.want_match() {
        let api = Arc::clone(&api);
        blocking(move || checked(&api, id, &base, &conditions).map(drop)).await?;
    }
    api.engine.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
