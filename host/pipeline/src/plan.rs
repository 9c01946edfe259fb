//! What a job runs by: written down when it is asked for, so that later changes of its video do not reach it.

use ocellus_core::{StreamSettings, VideoRecord};
use serde::{Deserialize, Serialize};

/// `plan.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub stream_settings: StreamSettings,
    pub url: Option<String>,
    pub router_url: Option<String>,
    pub camera: Option<i64>,
    pub camera_group: i64,
}

impl Plan {
    pub(crate) fn of(video: &VideoRecord) -> Self {
        Self {
            stream_settings: video.stream_settings.clone(),
            url: video.url.clone(),
            router_url: video.router_url.clone(),
            camera: video.camera,
            camera_group: video.camera_group,
        }
    }
}
