//! `GET /videos/{id}/tracks/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_pipeline::{TrackBoxes, TrackQuery, Tracks};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    error::{ApiError, BadParam, Conflict, NotFound, Unauthorized},
    path::VideoPath,
    query::{Query, only},
    rounding::rounded,
};

/// Boxes in an answer: some megabytes of JSON.
const MAX_BOXES: usize = 50_000;

/// The requested boxes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
struct TrackParams {
    /// Seconds from the start of the source; from its beginning without it.
    #[param(minimum = 0, maximum = 1000000000)]
    from: Option<f64>,
    /// Seconds from the start of the source; to its end without it.
    #[param(minimum = 0, maximum = 1000000000)]
    to: Option<f64>,
    /// Least seconds between two boxes of a track; all boxes without it.
    #[param(minimum = 0, maximum = 1000000000)]
    step: Option<f64>,
}

/// Boxes of tracks.
#[derive(Serialize, ToSchema)]
#[schema(as = Tracks)]
pub(crate) struct TracksJson {
    tracks: Vec<TrackJson>,
    /// Where an answer ends that would be too long: `from` for the next one. Null where it is
    /// complete.
    #[schema(required)]
    to: Option<f64>,
}

/// One track, with its boxes in the requested time.
#[derive(Serialize, ToSchema)]
#[schema(as = Track)]
pub(crate) struct TrackJson {
    /// Number of the track, among those of its type.
    id: u64,
    #[schema(examples("face"))]
    r#type: String,
    /// Id of the object that it gave; null where it gave none, or has not ended.
    #[schema(required)]
    object: Option<String>,
    /// Each with its time (seconds from the start of the source), left, top, right and bottom, in
    /// pixels of the frame.
    #[schema(value_type = Vec<Vec<f64>>)]
    boxes: Vec<(f64, i32, i32, i32, i32)>,
}

impl TracksJson {
    fn new(Tracks { tracks, to }: Tracks) -> Self {
        Self { tracks: tracks.into_iter().map(TrackJson::new).collect(), to: to.map(rounded) }
    }
}

impl TrackJson {
    fn new(TrackBoxes { object_type, id, object, boxes }: TrackBoxes) -> Self {
        let flat = |(time, [left, top, right, bottom]): (f64, [i32; 4])| (rounded(time), left, top, right, bottom);
        Self {
            id: id.0,
            r#type: object_type.to_string(),
            object: object.map(|object| object.to_string()),
            boxes: boxes.into_iter().map(flat).collect(),
        }
    }
}

/// The boxes of the tracks of the last processing.
///
/// For overlays of a player, and for timelines. Includes tracks without an object, which were too
/// short or were dropped by a filter. While a video is processed, up to its last frame so far. At
/// most 50000 boxes: then `to` says where to continue.
///
/// Reads a file with the boxes of the whole processing, some megabytes for an hour, and decodes the
/// requested part. Where that file is missing (for a processing before this release, or one that
/// was interrupted), the first request makes it by a replay of the whole log.
#[utoipa::path(
    get, path = "/videos/{id}/tracks/", tag = "videos", operation_id = "listTracks",
    params(VideoPath, TrackParams),
    responses((status = 200, description = "By type and number.", body = TracksJson), BadParam, Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn tracks(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    query: Query,
) -> Result<Json<TracksJson>, ApiError> {
    only(&query, &["from", "to", "step"])?;
    let wanted = TrackQuery {
        from: query.seconds("from")?.unwrap_or(0.0),
        to: query.seconds("to")?.unwrap_or(f64::INFINITY),
        step: query.seconds("step")?.unwrap_or(0.0),
        most: MAX_BOXES,
    };
    Ok(Json(TracksJson::new(api.engine.tracks(video, wanted).await?)))
}
