//! `PUT /videos/{id}/`

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{fields::NewVideo, shape::VideoJson};
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    body::JsonObject,
    error::{ApiError, BadParam, NotFound, TooLarge, Unauthorized},
    path::VideoPath,
};

/// Replaces all that can be written of a video; what is left out takes its default.
///
/// A processing that is under way goes on with the settings that it began with.
#[utoipa::path(
    put, path = "/videos/{id}/", tag = "videos", operation_id = "replaceVideo", request_body = NewVideo,
    params(("id" = u64, Path, description = "Video archive ID.")),
    responses((status = 200, description = "The video as it is now.", body = VideoJson), BadParam, Unauthorized, NotFound, TooLarge),
)]
pub(crate) async fn replace(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<VideoJson>, ApiError> {
    let schema = api.engine.settings_schema()?;
    let video = blocking(move || {
        let engine = &api.engine;
        // Within the update, so that a video that is not there is told before what is wrong with
        // the body.
        let (video, ()) = engine.archive().update(id, |video| {
            let fields = NewVideo::parse(&sent, &api.config, engine.network())?;
            let settings = fields.settings(&schema)?;
            fields.apply(settings, video);
            Ok(())
        })?;
        engine.live(video)
    })
    .await?;
    Ok(Json(VideoJson::new(video, &base)))
}
