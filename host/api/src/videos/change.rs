//! Change of a video's record, which PUT and PATCH share.

use std::sync::Arc;

use axum::Json;
use ocellus_core::{Result, SettingsSchema, VideoId, VideoRecord};

use super::shape::VideoJson;
use crate::{Api, base_url::BaseUrl, blocking, error::ApiError};

/// Changes the record and shows the video as it is then.
///
/// `change` reads the body, too: that a video does not exist is said before what is wrong with what
/// was sent. Where it fails, nothing is stored.
pub(super) async fn change(
    api: Arc<Api>,
    id: VideoId,
    base: BaseUrl,
    change: impl Fn(&Api, &SettingsSchema, &mut VideoRecord) -> Result<()> + Send + 'static,
) -> Result<Json<VideoJson>, ApiError> {
    let schema = api.engine.settings_schema()?;
    let video = blocking(move || {
        let (video, ()) = api.engine.archive().update(id, |video| change(&api, &schema, video))?;
        api.engine.live(video)
    })
    .await?;
    Ok(Json(VideoJson::new(video, &base)))
}
