//! What a job runs by: written down when it is asked for, so that later changes of its video do not reach it.

use ocellus_core::{Error, ErrorKind, Result, StreamSettings, VideoRecord};
use ocellus_store::Job;
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

    /// The plan of a job, as it was written down.
    ///
    /// # Errors
    /// `Internal` where it cannot be read, with a sentence for the user.
    pub(crate) fn read(job: &Job) -> Result<Self> {
        let unreadable =
            |e: Error| Error::new(ErrorKind::Internal, "The plan of this processing cannot be read: process the video again.").because(e);
        let written = job.plan().map_err(|e| unreadable(e.into()))?;
        serde_json::from_value(written).map_err(|e| unreadable(Error::internal(e)))
    }

    /// A video as the job is to see it: what the plan says of it in place of what its record says by now.
    pub(crate) fn over(&self, video: VideoRecord) -> VideoRecord {
        let Self { stream_settings, url, router_url, camera, camera_group } = self.clone();
        VideoRecord { stream_settings, url, router_url, camera, camera_group, ..video }
    }
}
