//! `POST /videos/`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use ocellus_core::VideoRecord;

use super::{fields::NewVideo, shape::VideoJson};
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    body::JsonObject,
    error::{ApiError, BadParam, TooLarge, Unauthorized},
};

/// Adds a video. It is not processed before a request to `process/`.
#[utoipa::path(
    post, path = "/videos/", tag = "videos", operation_id = "createVideo", request_body = NewVideo,
    responses(
        (status = 201, description = "The new video.", body = VideoJson, links(
            ("readVideo" = (operation_id = "readVideo", parameters(("id" = "$response.body#/id")))),
            ("patchVideo" = (operation_id = "patchVideo", parameters(("id" = "$response.body#/id")))),
            ("replaceVideo" = (operation_id = "replaceVideo", parameters(("id" = "$response.body#/id")))),
            ("deleteVideo" = (operation_id = "deleteVideo", parameters(("id" = "$response.body#/id")))),
            ("uploadVideoFile" = (operation_id = "uploadVideoFile", parameters(("id" = "$response.body#/id")))),
            ("processVideo" = (operation_id = "processVideo", parameters(("id" = "$response.body#/id")))),
            ("stopVideo" = (operation_id = "stopVideo", parameters(("id" = "$response.body#/id")))),
            ("listObjects" = (operation_id = "listObjects", parameters(("id" = "$response.body#/id")))),
        )),
        BadParam, Unauthorized, TooLarge,
    ),
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<(StatusCode, Json<VideoJson>), ApiError> {
    let fields = NewVideo::parse(&sent, &api.config, api.engine.network())?;
    let settings = fields.settings(&*api.engine.settings_schema()?)?;
    let archive = api.engine.archive().clone();
    let video = blocking(move || {
        Ok(archive.create(|id, created| {
            let mut video = VideoRecord::new(id, 0, None, settings.clone(), created);
            fields.apply(settings, &mut video);
            video
        })?)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(VideoJson::new(video, &base))))
}
