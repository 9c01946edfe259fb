//! `GET /videos/{id}/`

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::shape::VideoJson;
use crate::{
    Api,
    base_url::{BaseUrl, SignUrls},
    blocking,
    conditional::{Conditions, Representation},
    error::{ApiError, BadParam, NotFound, Unauthorized},
    path::{VideoPath, no_video},
};

/// A video; while it is processed, with the figures so far.
#[utoipa::path(
    get, path = "/videos/{id}/", tag = "videos", operation_id = "readVideo",
    params(VideoPath, SignUrls, ("If-None-Match" = Option<String>, Header, description = "Answers 304 where the video still has this ETag.")),
    responses(
        (status = 200, description = "The video.", body = VideoJson, headers(("ETag" = String, description = "Changes with everything that is shown."))),
        (status = 304, description = "As `If-None-Match` knows it."),
        BadParam, Unauthorized, NotFound,
    ),
)]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    base: BaseUrl,
    conditions: Conditions,
) -> Result<Response, ApiError> {
    let engine = api.engine.clone();
    let shown = blocking(move || {
        let video = engine.live(engine.archive().video(id)?.ok_or_else(no_video)?)?;
        Representation::of(&VideoJson::new(video, &base))
    });
    Ok(conditions.respond(shown.await?))
}
