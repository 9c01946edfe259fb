//! `POST /videos/{id}/stop/`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use crate::{
    Api,
    error::{ApiError, NotFound, Unauthorized},
    path::VideoPath,
};

/// Ends a video's processing, or takes it out of the queue. What was found so far stays. Otherwise
/// nothing happens.
#[utoipa::path(
    post, path = "/videos/{id}/stop/", tag = "videos", operation_id = "stopVideo",
    params(VideoPath),
    responses((status = 200, description = "The video is not being processed."), Unauthorized, NotFound),
)]
pub(crate) async fn stop(State(api): State<Arc<Api>>, VideoPath(id): VideoPath) -> Result<StatusCode, ApiError> {
    api.engine.stop(id).await?;
    Ok(StatusCode::OK)
}
