//! `GET` and `POST /videos/{id}/screenshot/`

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ocellus_core::Result;
use ocellus_pipeline::ScreenshotQuery;
use utoipa::IntoParams;

use crate::{
    Api,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    openapi::Binary,
    path::VideoPath,
    picture::jpeg,
    query::Query,
};

/// Pixels; more than any video has.
const MAX_SIDE: u32 = 16_384;

/// A picture of a video. The one without parameters is cached.
#[utoipa::path(
    get, path = "/videos/{id}/screenshot/", tag = "videos", operation_id = "videoScreenshot",
    params(VideoPath, PictureParams, ScreenshotParams),
    responses((status = 200, description = "JPEG.", body = inline(Binary), content_type = "image/jpeg"), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn screenshot(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    query: Query,
) -> Result<Response, ApiError> {
    Ok(jpeg(api.engine.screenshot(id, wanted(&query)?, false).await?))
}

/// Takes a new picture of a video.
#[utoipa::path(
    post, path = "/videos/{id}/screenshot/", tag = "videos", operation_id = "retakeVideoScreenshot",
    params(VideoPath, PictureParams, ScreenshotParams),
    responses((status = 200, description = "JPEG.", body = inline(Binary), content_type = "image/jpeg"), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn retake(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    query: Query,
) -> Result<Response, ApiError> {
    Ok(jpeg(api.engine.screenshot(id, wanted(&query)?, true).await?))
}

/// Size and JPEG quality of a picture.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PictureParams {
    /// Pixels; the picture is made smaller to fit, never larger.
    #[param(minimum = 1, maximum = 16384)]
    pub(super) width: Option<u32>,
    /// Pixels.
    #[param(minimum = 1, maximum = 16384)]
    pub(super) height: Option<u32>,
    /// JPEG quality, 90 without it.
    #[param(minimum = 0, maximum = 100)]
    pub(super) quality: Option<u8>,
}

/// The part of the frame to show.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct ScreenshotParams {
    /// Only what lies within the settings' `rot`; true without it.
    rot: Option<bool>,
}

impl PictureParams {
    pub(super) fn read(query: &Query) -> Result<Self> {
        Ok(Self {
            width: query.integer_within("width", 1, MAX_SIDE)?,
            height: query.integer_within("height", 1, MAX_SIDE)?,
            quality: query.integer_within("quality", 0, 100)?,
        })
    }
}

fn wanted(query: &Query) -> Result<ScreenshotQuery> {
    let PictureParams { width, height, quality } = PictureParams::read(query)?;
    let ScreenshotParams { rot } = ScreenshotParams { rot: query.flag("rot")? };
    Ok(ScreenshotQuery { time: None, width, height, quality, rot: rot.unwrap_or(true) })
}
