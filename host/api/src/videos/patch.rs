//! `PATCH /videos/{id}/`

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{change::change, fields::VideoPatch, shape::VideoJson};
use crate::{
    Api,
    base_url::BaseUrl,
    body::JsonObject,
    conditional::Conditions,
    error::{ApiError, BadParam, NotFound, PreconditionFailed, TooLarge, Unauthorized},
    path::VideoPath,
};

/// Changes what is sent and nothing else, inside `stream_settings`, too.
///
/// A processing that is under way goes on with the settings that it began with.
#[utoipa::path(
    patch, path = "/videos/{id}/", tag = "videos", operation_id = "patchVideo", request_body = VideoPatch,
    params(VideoPath, ("If-Match" = Option<String>, Header, description = "Changes nothing where the video has another ETag: 412.")),
    responses((status = 200, description = "The video as it is now.", body = VideoJson), BadParam, Unauthorized, NotFound, PreconditionFailed, TooLarge),
)]
pub(crate) async fn patch(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    conditions: Conditions,
    JsonObject(sent): JsonObject,
) -> Result<Response, ApiError> {
    change(api, id, base, conditions, move |api, schema, video| {
        VideoPatch::parse(&sent, &api.config, api.engine.network())?.apply(video, schema)
    })
    .await
}
