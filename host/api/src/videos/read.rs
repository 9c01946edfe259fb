//! `GET /videos/{id}/`

use std::sync::Arc;

use axum::{Json, extract::State};

use super::shape::VideoJson;
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    error::{ApiError, NotFound, Unauthorized},
    path::{VideoPath, no_video},
};

/// A video; while it is processed, with the figures so far.
#[utoipa::path(
    get, path = "/videos/{id}/", tag = "videos", operation_id = "readVideo",
    params(VideoPath),
    responses((status = 200, description = "The video.", body = VideoJson), Unauthorized, NotFound),
)]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
) -> Result<Json<VideoJson>, ApiError> {
    let engine = api.engine.clone();
    let video = blocking(move || engine.live(engine.archive().video(id)?.ok_or_else(no_video)?)).await?;
    Ok(Json(VideoJson::new(video, &base)))
}
