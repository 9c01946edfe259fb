//! `POST /detect/`

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
};
use ocellus_core::ObjectType;
use ocellus_pipeline::PictureDetection;
use serde::Serialize;
use utoipa::ToSchema;

use super::{filter::types, list::ObjectTypes, search::MOST_BYTES};
use crate::{
    Api,
    error::{ApiError, BadParam, TooLarge, Unauthorized, UnsupportedMedia},
    file_body::FileBody,
    openapi::Binary,
    query::Query,
    rounding::rounded,
};

/// Detections in a picture.
#[derive(Serialize, ToSchema)]
#[schema(as = Detected)]
pub(crate) struct DetectedJson {
    /// By object type, the best pictures first. All requested types are there, also without
    /// detections.
    objects: BTreeMap<String, Vec<DetectionJson>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PictureDetection)]
pub(crate) struct DetectionJson {
    /// For `looks_like=detection:<id>`, for an hour.
    #[schema(examples("6f1c0b9d2a774e0c8d35b1f0a9e4c782"))]
    id: String,
    bbox: BoxJson,
    /// The detector's confidence, 0..1.
    score: f64,
    /// Quality of the detection as a picture, 0..1.
    quality: f64,
}

/// In pixels of the picture, which is upright.
#[derive(Serialize, ToSchema)]
#[schema(as = Box)]
pub(crate) struct BoxJson {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl DetectedJson {
    fn new(wanted: Vec<ObjectType>, found: Vec<PictureDetection>) -> Self {
        let mut objects: BTreeMap<_, Vec<_>> = wanted.iter().map(|t| (t.to_string(), Vec::new())).collect();
        for PictureDetection { id, object_type, bbox: [left, top, right, bottom], score, quality } in found {
            let bbox = BoxJson { left, top, right, bottom };
            let detection = DetectionJson { id, bbox, score: rounded(score), quality: rounded(quality) };
            objects.entry(object_type.to_string()).or_default().push(detection);
        }
        Self { objects }
    }
}

/// Detects objects in a picture, with ids for finding events that look like them.
///
/// The picture is the body, or the one file of a multipart form, whose other fields are ignored.
/// `looks_like=detection:<id>` of `/events/` takes the ids, for an hour; the newest 10,000
/// detections are kept.
#[utoipa::path(
    post, path = "/detect/", tag = "objects", operation_id = "detect",
    params(ObjectTypes),
    request_body(content((inline(Binary) = "application/octet-stream"), (inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png")), description = "JPEG, PNG or another picture, of at most 32 MiB and 100 million pixels."),
    responses((status = 200, description = "The detections.", body = DetectedJson), BadParam, Unauthorized, TooLarge, UnsupportedMedia),
)]
pub(crate) async fn detect(
    State(api): State<Arc<Api>>,
    query: Query,
    request: Request,
) -> Result<Json<DetectedJson>, ApiError> {
    let types = types(&query)?;
    let picture = FileBody::open(request)?.whole(MOST_BYTES).await?;
    let found = api.engine.detect(picture, types.clone()).await?;
    let of_vendor = || vec![ObjectType::face(), ObjectType::body(), ObjectType::car()];
    Ok(Json(DetectedJson::new(if types.is_empty() { of_vendor() } else { types }, found)))
}
