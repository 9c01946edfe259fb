//! `PATCH /videos/{id}/`

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{fields::VideoPatch, shape::VideoJson};
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    body::JsonObject,
    error::{ApiError, BadParam, NotFound, TooLarge, Unauthorized},
    path::VideoPath,
};

/// Changes what is sent and nothing else, inside `stream_settings`, too.
///
/// A processing that is under way goes on with the settings that it began with.
#[utoipa::path(
    patch, path = "/videos/{id}/", tag = "videos", operation_id = "patchVideo", request_body = VideoPatch,
    params(("id" = u64, Path, description = "Video archive ID.")),
    responses((status = 200, description = "The video as it is now.", body = VideoJson), BadParam, Unauthorized, NotFound, TooLarge),
)]
pub(crate) async fn patch(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<VideoJson>, ApiError> {
    let schema = api.engine.settings_schema()?;
    let video = blocking(move || {
        let engine = &api.engine;
        let change = |video: &mut _| VideoPatch::parse(&sent, &api.config, engine.network())?.apply(video, &schema);
        let (video, ()) = engine.archive().update(id, change)?;
        engine.live(video)
    })
    .await?;
    Ok(Json(VideoJson::new(video, &base)))
}
