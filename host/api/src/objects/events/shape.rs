//! An object in the shape of the vendor's events API.

use std::collections::BTreeMap;

use ocellus_core::{BestShotType, Feature, ObjectId, ObjectRecord, Region, Result, StreamSettings, VideoRecord};
use ocellus_pipeline::settings_of;
use ocellus_store::Archive;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    base_url::BaseUrl,
    objects::shape::{self, FeatureJson},
    rounding::rounded,
    time,
};

/// One object as an event. The fields of cards and watch lists are those of an event that no card
/// matches.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventJson {
    /// Id of the object.
    #[schema(examples("6-1-face-3-0"))]
    id: String,
    /// When the best shot was taken.
    #[schema(format = DateTime)]
    created_date: String,
    #[schema(value_type = String, examples("overall", "realtime"))]
    bs_type: BestShotType,
    video_archive: u64,
    camera: Option<i64>,
    camera_group: i64,
    case: Option<i64>,
    /// URL of the crop, JPEG.
    #[schema(format = "uri")]
    thumbnail: String,
    /// URL of the whole frame, JPEG or PNG.
    #[schema(format = "uri")]
    fullframe: String,
    /// In pixels of the full frame's picture, as are the three below.
    frame_coords_left: i32,
    frame_coords_top: i32,
    frame_coords_right: i32,
    frame_coords_bottom: i32,
    /// Quality of the best shot, 0..1.
    quality: f64,
    detector_params: DetectorParamsJson,
    /// Attributes of the object from networks and filters, by name.
    features: BTreeMap<String, FeatureJson>,
    /// The identity that it belongs to: an id of `/clusters/`.
    cluster: Option<String>,
    matched: bool,
    matched_card: Option<u64>,
    matched_object: Option<u64>,
    matched_lists: Vec<u64>,
    matched_cluster: Option<u64>,
    verbose_matched_card: Option<String>,
    /// Confidence of the match.
    confidence: f64,
    cluster_confidence: f64,
    /// Similarity to `looks_like`, 0..1; null without it.
    looks_like_confidence: Option<f64>,
    episode: Option<u64>,
    acknowledged: bool,
    acknowledged_by: Option<u64>,
    acknowledged_date: Option<String>,
    external_detector: bool,
    temperature: Option<f64>,
    meta: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DetectorParams)]
pub(crate) struct DetectorParamsJson {
    /// The detector's confidence, 0..1.
    score: f64,
    quality: f64,
    track_duration_seconds: f64,
    end_of_track: bool,
    /// Probability that a face is alive, 0..1; absent where it was not estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness_score: Option<f64>,
    track: TrackJson,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventTrack)]
pub(crate) struct TrackJson {
    id: String,
    #[schema(format = DateTime)]
    first_timestamp: String,
    #[schema(format = DateTime)]
    last_timestamp: String,
}

/// Video and job that events come from.
#[derive(Clone)]
pub(super) struct EventSource {
    video: VideoRecord,
    /// Settings that the job ran with.
    settings: StreamSettings,
}

impl EventSource {
    /// Blocks.
    pub(super) fn of(video: VideoRecord, archive: &Archive) -> Result<Self> {
        let settings =
            if video.job == 0 { video.stream_settings.clone() } else { settings_of(&archive.stored_job(video.id)?)? };
        Ok(Self { video, settings })
    }
}

/// An object, with everything that its event shows.
pub(super) struct Found {
    pub(super) object: ObjectRecord,
    pub(super) cluster: Option<ObjectId>,
    pub(super) source: EventSource,
    /// Similarity to `looks_like`, 0..=1; `None` without it.
    pub(super) similarity: Option<f32>,
}

impl EventJson {
    pub(super) fn new(found: Found, base: &BaseUrl) -> Self {
        let Found { object, cluster, source, similarity } = found;
        let ObjectRecord { id, bs_type, end_of_track, best, first, last, attributes, features, .. } = object;
        let liveness_score = features.iter().find_map(Feature::liveness_score).map(rounded);
        let cropped = source.settings.detector(&id.object_type).is_some_and(|d| d.fullframe_crop_rot);
        let (x, y) = source.settings.rot.filter(|_| cropped).map_or((0, 0), |Region { x, y, .. }| (x.max(0), y.max(0)));
        let [left, top, right, bottom] = best.bbox;
        // Attributes of filters override those of networks with the same name.
        let mut features = shape::features(features);
        features.extend(attributes.into_iter().map(|(key, name)| (key, FeatureJson { name, confidence: None })));
        Self {
            created_date: time::text(best.timestamp),
            bs_type,
            video_archive: id.job.video.0,
            camera: source.video.camera,
            camera_group: source.video.camera_group,
            case: source.video.case,
            thumbnail: base.picture(&format!("/objects/{id}/thumbnail/")),
            fullframe: base.picture(&format!("/objects/{id}/fullframe/")),
            frame_coords_left: left - x,
            frame_coords_top: top - y,
            frame_coords_right: right - x,
            frame_coords_bottom: bottom - y,
            quality: rounded(best.quality),
            detector_params: DetectorParamsJson {
                score: rounded(best.score),
                quality: rounded(best.quality),
                track_duration_seconds: rounded(last.time - first.time),
                end_of_track,
                liveness_score,
                track: TrackJson {
                    id: format!("{}-{}-{}", id.job, id.object_type, id.track),
                    first_timestamp: time::text(first.timestamp),
                    last_timestamp: time::text(last.timestamp),
                },
            },
            features,
            cluster: cluster.map(|c| c.to_string()),
            matched: false,
            matched_card: None,
            matched_object: None,
            matched_lists: Vec::new(),
            matched_cluster: None,
            verbose_matched_card: None,
            confidence: 0.0,
            cluster_confidence: 0.0,
            looks_like_confidence: similarity.map(rounded),
            episode: None,
            acknowledged: false,
            acknowledged_by: None,
            acknowledged_date: None,
            external_detector: false,
            temperature: None,
            meta: BTreeMap::new(),
            id: id.to_string(),
        }
    }
}
