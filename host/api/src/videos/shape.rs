//! A video as the API shows it: every field of the vendor's document, in its order.

use ocellus_core::{HealthStatus, ObjectType, StreamSettings, VideoRecord, VideoStatus};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, Schema,
        schema::{AdditionalProperties, Type},
    },
};

use crate::{base_url::BaseUrl, openapi, time};

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
    #[schema(format = "uri")]
    router_url: Option<String>,
    /// URL of a JPEG.
    #[schema(read_only, format = "uri")]
    screenshot: String,
    #[schema(schema_with = openapi::settings)]
    stream_settings: StreamSettings,
    /// Seconds.
    #[schema(required, read_only)]
    source_len: Option<f64>,
    #[schema(schema_with = health_status)]
    health_status: HealthStatus,
    /// The last processing reached its end, good or bad.
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
            screenshot: base.join(&format!("/videos/{}/screenshot/", video.id)),
            source_len: video.source_len,
            health_status: video.health_status(),
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
    Some((video.statistic.as_ref()?.processed_duration / length).clamp(0.0, 1.0))
}

/// `HealthStatus` is core's type, and core knows no OpenAPI.
fn health_status() -> Schema {
    let of = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let figures = |names: &[&str], kind: fn() -> Type, object: ObjectBuilder| {
        names.iter().fold(object, |object, name| object.property(*name, ObjectBuilder::new().schema_type(kind())))
    };
    let counts = [
        ("posted", "Accepted by the router."),
        ("failed", "Refused, or given up: the deliveries in state failed."),
        ("not_posted", "Not accepted yet: the deliveries in states pending and retrying."),
        ("retrying", "Those of not_posted that were tried already; absent where there are none."),
    ];
    let counts = counts
        .iter()
        .fold(of(Type::Object), |o, (name, meaning)| o.property(*name, of(Type::Integer).description(Some(*meaning))));
    let whole = [
        "faces_posted",
        "faces_failed",
        "faces_not_posted",
        "frames_dropped",
        "frames_processed",
        "frames_imotion_skipped",
        "decoding_soft_errors",
        "frame_width",
        "frame_height",
        "job_starts",
    ];
    let statistic = ObjectBuilder::new().description(Some("Figures of the last processing; empty before the first."));
    let statistic =
        figures(&["processed_duration", "processing_fps", "last_stream_timestamp"], || Type::Number, statistic);
    let statistic = figures(&whole, || Type::Integer, statistic)
        .property(
            "objects",
            of(Type::Object)
                .description(Some("By object type."))
                .additional_properties(Some(AdditionalProperties::RefOr(counts.into()))),
        )
        .property("extractors", of(Type::Object))
        .property(
            "cpu_seconds",
            of(Type::Object)
                .description(Some(
                    "What the threads of the job took of the CPU, by what for; FFmpeg's own threads are not in it.",
                ))
                .additional_properties(Some(AdditionalProperties::RefOr(of(Type::Number).into()))),
        );
    let one_of = |values: &[&str]| of(Type::String).enum_values(Some(values.iter().map(|v| v.to_string())));
    let statuses = [
        "WAITING_FOR_SYNC",
        "DISABLED",
        "AWAITING",
        "STARTING",
        "INPROGRESS",
        "COMPLETED",
        "INTERRUPTED",
        "NOT_STARTED",
        "MISCONFIGURED",
        "NO_SOURCE",
    ];
    let properties: [(&str, ObjectBuilder); 6] = [
        ("enabled", of(Type::Boolean).description(Some("A processing is wanted: waiting or running."))),
        ("status", one_of(&statuses)),
        ("msg", of(Type::String)),
        ("statistic", statistic),
        ("code", one_of(&["green", "yellow", "red", "gray"])),
        ("code_desc", of(Type::String)),
    ];
    let object = of(Type::Object).read_only(true);
    properties.into_iter().fold(object, |o, (name, schema)| o.property(name, schema).required(name)).into()
}
