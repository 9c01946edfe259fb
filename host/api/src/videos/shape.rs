//! A video as the API shows it: every field of the vendor's document, in its order.

use ocellus_core::{ObjectType, StreamSettings, VideoRecord, VideoStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::health_status::{self, HealthStatusJson};
use crate::{base_url::BaseUrl, openapi, rounding::rounded, time};

/// A video archive record.
#[derive(Serialize, ToSchema)]
#[schema(as = VideoArchive)]
pub(crate) struct VideoJson {
    #[schema(read_only)]
    id: u64,
    camera_group: i64,
    #[schema(required, min_length = 1, max_length = 256)]
    name: Option<String>,
    /// Where the source is, if it was not uploaded.
    #[schema(format = "uri")]
    url: Option<String>,
    camera: Option<i64>,
    /// When the last processing began.
    #[schema(required, read_only, format = DateTime)]
    processing_start_date: Option<String>,
    /// The video is being processed.
    #[schema(read_only)]
    active: bool,
    /// Where objects are posted.
    #[schema(format = "iri")]
    router_url: Option<String>,
    /// URL of a JPEG.
    #[schema(read_only, format = "uri")]
    screenshot: String,
    #[schema(schema_with = openapi::settings)]
    stream_settings: StreamSettings,
    /// Seconds.
    #[schema(required, read_only)]
    source_len: Option<f64>,
    #[schema(schema_with = health_status::schema)]
    health_status: HealthStatusJson,
    /// The last processing has ended, successfully or not.
    #[schema(read_only)]
    finished: bool,
    /// The video waits for its turn.
    #[schema(read_only)]
    queued: bool,
    #[schema(read_only)]
    face_count: u64,
    /// Bytes; 0 without a file.
    #[schema(read_only)]
    file_size: u64,
    #[schema(read_only, format = DateTime)]
    created_date: String,
    #[schema(read_only)]
    body_count: u64,
    #[schema(read_only)]
    car_count: u64,
    case: Option<i64>,
    #[schema(required, read_only)]
    face_cluster_count: Option<u64>,
    #[schema(required, read_only)]
    body_cluster_count: Option<u64>,
    #[schema(required, read_only)]
    car_cluster_count: Option<u64>,
    /// Pixels.
    #[schema(required, read_only)]
    frame_height: Option<u32>,
    /// Pixels.
    #[schema(required, read_only)]
    frame_width: Option<u32>,
    /// What went wrong in the last processing.
    #[schema(required, read_only)]
    error: Option<String>,
    /// Housekeeping (`--keep-days`, `--keep-bytes`, `--min-free-bytes`) does not remove the source.
    keep: bool,
    /// How much of the source the running or completed processing is through, 0..1; absent where
    /// that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(read_only, minimum = 0, maximum = 1)]
    progress: Option<f64>,
}

impl VideoJson {
    pub(crate) fn new(video: VideoRecord, base: &BaseUrl) -> Self {
        let count = |t: ObjectType| video.counts.get(&t).copied().unwrap_or(0);
        let clusters = |t: ObjectType| Some(video.clusters.get(&t).copied().unwrap_or(0));
        Self {
            id: video.id.0,
            camera_group: video.camera_group,
            processing_start_date: video.processing_start_date.map(time::text),
            active: video.status.is_active(),
            screenshot: base.picture(&format!("/videos/{}/screenshot/", video.id)),
            source_len: video.source_len.map(rounded),
            health_status: HealthStatusJson::new(&video),
            finished: video.finished,
            queued: video.status.is_queued(),
            face_count: count(ObjectType::face()),
            file_size: video.file_size.unwrap_or(0),
            created_date: time::text(video.created_date),
            body_count: count(ObjectType::body()),
            car_count: count(ObjectType::car()),
            case: video.case,
            face_cluster_count: clusters(ObjectType::face()),
            body_cluster_count: clusters(ObjectType::body()),
            car_cluster_count: clusters(ObjectType::car()),
            frame_height: video.frame_height,
            frame_width: video.frame_width,
            progress: progress(&video),
            keep: video.keep,
            name: video.name,
            url: video.url,
            camera: video.camera,
            router_url: video.router_url,
            stream_settings: video.stream_settings,
            error: video.error,
        }
    }
}

fn progress(video: &VideoRecord) -> Option<f64> {
    if video.status == VideoStatus::Completed {
        return Some(1.0);
    }
    let length = video.source_len.filter(|s| *s > 0.0 && video.status.is_active())?;
    Some(rounded((video.statistic.as_ref()?.processed_duration / length).clamp(0.0, 1.0)))
}
