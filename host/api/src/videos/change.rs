//! Change of a video's record, which PUT and PATCH share.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use ocellus_core::{Result, SettingsSchema, VideoId, VideoRecord};

use super::shape::VideoJson;
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    conditional::{Conditions, Representation, changed},
    error::ApiError,
    path::no_video,
};

/// Changes the record and responds with the changed video.
///
/// `change` also parses the body, so that a missing video is reported before an invalid body. Where
/// it fails, nothing is stored.
///
/// With `If-Match` the video must have that entity tag, and must not change before this change is
/// stored.
pub(super) async fn change(
    api: Arc<Api>,
    id: VideoId,
    base: BaseUrl,
    conditions: Conditions,
    change: impl Fn(&Api, &SettingsSchema, &mut VideoRecord) -> Result<()> + Send + 'static,
) -> Result<Response, ApiError> {
    let schema = api.engine.settings_schema()?;
    let shown = blocking(move || {
        let known = if conditions.want_match() { Some(checked(&api, id, &base, &conditions)?) } else { None };
        let (video, ()) = api.engine.archive().update(id, |video| match &known {
            Some(known) if known != video => Err(changed()),
            _ => change(&api, &schema, video),
        })?;
        Representation::of(&VideoJson::new(api.engine.live(video)?, &base))
    })
    .await?;
    Ok(shown.into_response())
}

/// The record of a video whose entity tag meets the conditions. Blocks.
///
/// # Errors
/// `NotFound`; `PreconditionFailed`.
pub(super) fn checked(api: &Api, id: VideoId, base: &BaseUrl, conditions: &Conditions) -> Result<VideoRecord> {
    let record = api.engine.archive().video(id)?.ok_or_else(no_video)?;
    conditions.check(&Representation::of(&VideoJson::new(api.engine.live(record.clone())?, base))?)?;
    Ok(record)
}
