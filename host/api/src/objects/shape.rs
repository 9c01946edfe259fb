//! An object as the API shows it.

use std::collections::BTreeMap;

use ocellus_core::{BestShotType, Feature, ObjectId, ObjectRecord};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{base_url::BaseUrl, rounding::rounded, time};

/// One object: the best shot of a track, or of a part of it.
#[derive(Serialize, ToSchema)]
#[schema(as = VideoObject)]
pub(crate) struct ObjectJson {
    /// `<video>-<job>-<type>-<track>-<shot>`
    #[schema(examples("6-1-face-3-0"))]
    id: String,
    #[schema(examples("face"))]
    r#type: String,
    track_id: u64,
    #[schema(value_type = String, examples("overall", "realtime"))]
    bs_type: BestShotType,
    /// The track has ended.
    end_of_track: bool,
    #[schema(format = DateTime)]
    first_timestamp: String,
    #[schema(format = DateTime)]
    best_timestamp: String,
    #[schema(format = DateTime)]
    last_timestamp: String,
    /// Seconds from the start of the source.
    first_time: f64,
    /// Seconds from the start of the source.
    best_time: f64,
    /// Seconds from the start of the source.
    last_time: f64,
    /// Left, top, right, bottom of the best shot, in pixels of the frame.
    bbox: [i32; 4],
    /// The detector's confidence, 0..1.
    score: f64,
    /// Quality of the best shot, 0..1.
    quality: f64,
    /// Frames in which the object was seen.
    detections: u64,
    /// Frames between them with interpolated boxes.
    interpolated: u64,
    /// The identity that it belongs to: an id of `/clusters/`; null before the end of the
    /// processing, and for realtime shots.
    cluster: Option<String>,
    /// Attributes that filters added.
    #[schema(value_type = BTreeMap<String, String>)]
    attributes: Map<String, Value>,
    /// Attributes of the best shot from networks, by name.
    features: BTreeMap<String, FeatureJson>,
    /// URL of the crop, JPEG.
    #[schema(format = "uri")]
    thumbnail: String,
    /// URL of the whole frame (of its part within `rot` with `fullframe_crop_rot`), JPEG or PNG.
    #[schema(format = "uri")]
    fullframe: String,
}

/// An attribute of an object, as in the vendor's events.
#[derive(Serialize, ToSchema)]
#[schema(as = Feature)]
pub(crate) struct FeatureJson {
    #[schema(examples("red", "real"))]
    pub(crate) name: String,
    /// 0..1; null for attributes of filters, which give none.
    pub(crate) confidence: Option<f64>,
}

/// Features by the names of their attributes.
pub(crate) fn features(features: Vec<Feature>) -> BTreeMap<String, FeatureJson> {
    let feature = |Feature { name, label, confidence }| {
        (name, FeatureJson { name: label, confidence: Some(rounded(confidence)) })
    };
    features.into_iter().map(feature).collect()
}

impl ObjectJson {
    pub(crate) fn new((object, cluster): (ObjectRecord, Option<ObjectId>), base: &BaseUrl) -> Self {
        let ObjectRecord { id, bs_type, end_of_track, best, first, last, detections, interpolated, .. } = object;
        let ObjectRecord { attributes, features: classified, .. } = object;
        Self {
            r#type: id.object_type.to_string(),
            track_id: id.track.0,
            bs_type,
            end_of_track,
            first_timestamp: time::text(first.timestamp),
            best_timestamp: time::text(best.timestamp),
            last_timestamp: time::text(last.timestamp),
            first_time: rounded(first.time),
            best_time: rounded(best.time),
            last_time: rounded(last.time),
            bbox: best.bbox,
            score: rounded(best.score),
            quality: rounded(best.quality),
            detections,
            interpolated,
            cluster: cluster.map(|c| c.to_string()),
            attributes: attributes.into_iter().map(|(key, value)| (key, Value::String(value))).collect(),
            features: features(classified),
            thumbnail: base.picture(&format!("/objects/{id}/thumbnail/")),
            fullframe: base.picture(&format!("/objects/{id}/fullframe/")),
            id: id.to_string(),
        }
    }
}
