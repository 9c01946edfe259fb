//! `PUT /videos/{id}/`

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{change::change, fields::NewVideo, shape::VideoJson};
use crate::{
    Api,
    base_url::BaseUrl,
    body::JsonObject,
    error::{ApiError, BadParam, NotFound, TooLarge, Unauthorized},
    path::VideoPath,
};

/// Replaces all that can be written of a video; what is left out takes its default.
///
/// A processing that is under way goes on with the settings that it began with.
#[utoipa::path(
    put, path = "/videos/{id}/", tag = "videos", operation_id = "replaceVideo", request_body = NewVideo,
    params(VideoPath),
    responses((status = 200, description = "The video as it is now.", body = VideoJson), BadParam, Unauthorized, NotFound, TooLarge),
)]
pub(crate) async fn replace(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<VideoJson>, ApiError> {
    change(api, id, base, move |api, schema, video| {
        let fields = NewVideo::parse(&sent, &api.config, api.engine.network())?;
        let settings = fields.settings(schema)?;
        fields.apply(settings, video);
        Ok(())
    })
    .await
}
