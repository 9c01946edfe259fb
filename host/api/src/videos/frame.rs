//! `GET /videos/{id}/frame/`

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ocellus_core::{Error, Result};
use ocellus_pipeline::ScreenshotQuery;
use utoipa::IntoParams;

use super::screenshot::PictureParams;
use crate::{
    Api,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    openapi::Binary,
    path::VideoPath,
    picture::jpeg,
    query::Query,
};

const TIME: &str = "time";

/// The requested frame, and the part of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct FrameParams {
    /// Seconds from the start of the source, as `best_time` of an object: the first frame at or
    /// after it is shown.
    #[param(minimum = 0, maximum = 1000000000)]
    time: f64,
    /// Only what lies within the settings' `rot`; false without it.
    rot: Option<bool>,
}

/// The frame of a video at an exact time.
///
/// Decodes from the key frame before it.
#[utoipa::path(
    get, path = "/videos/{id}/frame/", tag = "videos", operation_id = "videoFrame",
    params(VideoPath, FrameParams, PictureParams),
    responses((status = 200, description = "JPEG.", body = inline(Binary), content_type = "image/jpeg"), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn frame(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    query: Query,
) -> Result<Response, ApiError> {
    Ok(jpeg(api.engine.screenshot(id, wanted(&query)?, false).await?))
}

fn wanted(query: &Query) -> Result<ScreenshotQuery> {
    let required = || Error::bad_param(TIME, "This parameter is required.");
    let FrameParams { time, rot } =
        FrameParams { time: query.seconds(TIME)?.ok_or_else(required)?, rot: query.flag("rot")? };
    let PictureParams { width, height, quality } = PictureParams::read(query)?;
    Ok(ScreenshotQuery { time: Some(time), width, height, quality, rot: rot.unwrap_or(false) })
}
