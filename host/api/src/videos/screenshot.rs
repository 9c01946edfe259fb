//! `GET` and `POST /videos/{id}/screenshot/`

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ocellus_core::Result;
use ocellus_pipeline::ScreenshotQuery;

use crate::{
    Api,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    path::VideoPath,
    picture::jpeg,
    query::Query,
};

/// Pixels; more than any video has.
const MAX_SIDE: u32 = 16_384;

/// A picture of a video. The one without parameters is kept once it is made.
#[utoipa::path(
    get, path = "/videos/{id}/screenshot/", tag = "videos", operation_id = "videoScreenshot",
    params(
        ("id" = u64, Path, description = "Video archive ID."),
        ("width" = Option<u32>, Query, minimum = 1, description = "Pixels; the picture is made smaller to fit, never larger."),
        ("height" = Option<u32>, Query, minimum = 1, description = "Pixels."),
        ("quality" = Option<u8>, Query, minimum = 0, maximum = 100, description = "JPEG quality."),
        ("rot" = Option<bool>, Query, description = "Only what lies within the settings' `rot`; true without it."),
    ),
    responses((status = 200, description = "JPEG.", body = [u8], content_type = "image/jpeg"), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn screenshot(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    query: Query,
) -> Result<Response, ApiError> {
    Ok(jpeg(api.engine.screenshot(id, wanted(&query)?, false).await?))
}

/// A picture of a video, taken anew.
#[utoipa::path(
    post, path = "/videos/{id}/screenshot/", tag = "videos", operation_id = "retakeVideoScreenshot",
    params(
        ("id" = u64, Path, description = "Video archive ID."),
        ("width" = Option<u32>, Query, minimum = 1, description = "Pixels; the picture is made smaller to fit, never larger."),
        ("height" = Option<u32>, Query, minimum = 1, description = "Pixels."),
        ("quality" = Option<u8>, Query, minimum = 0, maximum = 100, description = "JPEG quality."),
        ("rot" = Option<bool>, Query, description = "Only what lies within the settings' `rot`; true without it."),
    ),
    responses((status = 200, description = "JPEG.", body = [u8], content_type = "image/jpeg"), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn retake(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    query: Query,
) -> Result<Response, ApiError> {
    Ok(jpeg(api.engine.screenshot(id, wanted(&query)?, true).await?))
}

fn wanted(query: &Query) -> Result<ScreenshotQuery> {
    Ok(ScreenshotQuery {
        width: query.integer_within("width", 1, MAX_SIDE)?,
        height: query.integer_within("height", 1, MAX_SIDE)?,
        quality: query.integer_within("quality", 0, 100)?,
        rot: query.flag("rot")?.unwrap_or(true),
    })
}
