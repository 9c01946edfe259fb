//! `PUT /videos/{id}/`

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{
    change::change,
    fields::{NewVideo, VideoPatch},
    shape::VideoJson,
};
use crate::{
    Api,
    base_url::BaseUrl,
    body::JsonObject,
    conditional::Conditions,
    error::{ApiError, BadParam, NotFound, PreconditionFailed, TooLarge, Unauthorized},
    path::VideoPath,
};

/// Replaces a video: `camera_group` and `name` are required; other fields that are left out stay as
/// they are.
///
/// Settings that are sent replace the stored ones: keys that are left out take their defaults.
/// A processing that is under way goes on with the settings that it began with.
#[utoipa::path(
    put, path = "/videos/{id}/", tag = "videos", operation_id = "replaceVideo", request_body = NewVideo,
    params(VideoPath, ("If-Match" = Option<String>, Header, description = "Changes nothing where the video has another ETag: 412.")),
    responses((status = 200, description = "The video as it is now.", body = VideoJson), BadParam, Unauthorized, NotFound, PreconditionFailed, TooLarge),
)]
pub(crate) async fn replace(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    conditions: Conditions,
    JsonObject(sent): JsonObject,
) -> Result<Response, ApiError> {
    change(api, id, base, conditions, move |api, schema, video| {
        let (fields, settings) = VideoPatch::parse_replacement(&sent, &api.config, api.engine.network(), schema)?;
        if let Some(settings) = settings {
            video.stream_settings = settings;
        }
        fields.apply(video, schema)
    })
    .await
}
