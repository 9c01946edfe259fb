//! `PATCH /videos/{id}/`

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{change::change, fields::VideoPatch, shape::VideoJson};
use crate::{
    Api,
    base_url::BaseUrl,
    body::JsonObject,
    error::{ApiError, BadParam, NotFound, TooLarge, Unauthorized},
    path::VideoPath,
};

/// Changes what is sent and nothing else, inside `stream_settings`, too.
///
/// A processing that is under way goes on with the settings that it began with.
#[utoipa::path(
    patch, path = "/videos/{id}/", tag = "videos", operation_id = "patchVideo", request_body = VideoPatch,
    params(VideoPath),
    responses((status = 200, description = "The video as it is now.", body = VideoJson), BadParam, Unauthorized, NotFound, TooLarge),
)]
pub(crate) async fn patch(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<VideoJson>, ApiError> {
    change(api, id, base, move |api, schema, video| {
        VideoPatch::parse(&sent, &api.config, api.engine.network())?.apply(video, schema)
    })
    .await
}
