//! `GET /events/faces/`, `/events/bodies/`, `/events/cars/`: objects in the shape of the vendor's
//! events API, for its existing clients.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use ocellus_core::{
    BestShotType, Error, Feature, ObjectId, ObjectRecord, ObjectType, Region, Result, StreamSettings, VideoId,
    VideoRecord,
};
use ocellus_pipeline::settings_of;
use ocellus_store::ObjectQuery;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    list,
    shape::{self, FeatureJson, rounded},
};
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    error::{ApiError, BadParam, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    query::Query,
    time,
};

const VIDEO_PARAM: &str = "video_archive";

/// One object as an event. What cards and watch lists would say is as for an event that no card
/// matches.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventJson {
    /// That of the object.
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
    /// How good a picture the best shot is, 0..1.
    quality: f64,
    detector_params: DetectorParamsJson,
    /// What attribute networks and filters said of the object, by attribute.
    features: BTreeMap<String, FeatureJson>,
    /// The identity that it belongs to: an id of `/clusters/`.
    cluster: Option<String>,
    matched: bool,
    matched_card: Option<u64>,
    /// Of the match.
    confidence: f64,
    episode: Option<u64>,
    acknowledged: bool,
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
    /// Probability that a face is alive, 0..1; absent where that was not judged.
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

/// Video and job that events come source.
struct EventSource {
    video: VideoRecord,
    /// Settings that the job ran with.
    settings: StreamSettings,
}

impl EventJson {
    fn new((object, cluster): (ObjectRecord, Option<ObjectId>), source: &EventSource, base: &BaseUrl) -> Self {
        let ObjectRecord { id, bs_type, end_of_track, best, first, last, attributes, features, .. } = object;
        let liveness_score = features.iter().find_map(Feature::liveness_score).map(rounded);
        let cropped = source.settings.detector(&id.object_type).is_some_and(|d| d.fullframe_crop_rot);
        let (x, y) = source.settings.rot.filter(|_| cropped).map_or((0, 0), |Region { x, y, .. }| (x.max(0), y.max(0)));
        let [left, top, right, bottom] = best.bbox;
        // What a filter says goes before what a network says under the same name.
        let mut features = shape::features(features);
        features.extend(attributes.into_iter().map(|(key, name)| (key, FeatureJson { name, confidence: None })));
        Self {
            created_date: time::text(best.timestamp),
            bs_type,
            video_archive: id.job.video.0,
            camera: source.video.camera,
            camera_group: source.video.camera_group,
            case: source.video.case,
            thumbnail: base.join(&format!("/objects/{id}/thumbnail/")),
            fullframe: base.join(&format!("/objects/{id}/fullframe/")),
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
            confidence: 0.0,
            episode: None,
            acknowledged: false,
            external_detector: false,
            temperature: None,
            meta: BTreeMap::new(),
            id: id.to_string(),
        }
    }
}

/// The faces of a video as events.
///
/// The objects of `/videos/{id}/objects/` in the shape of the vendor's events, for clients that
/// know those.
#[utoipa::path(
    get, path = "/events/faces/", tag = "objects", operation_id = "listFaceEvents",
    params(EventsQuery, PageQuery),
    responses((status = 200, description = "A page of events.", body = PageJson<EventJson>), BadParam, Unauthorized),
)]
pub(crate) async fn faces(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<EventJson>>, ApiError> {
    events(&api, ObjectType::face(), request).await
}

/// The bodies of a video as events.
#[utoipa::path(
    get, path = "/events/bodies/", tag = "objects", operation_id = "listBodyEvents",
    params(EventsQuery, PageQuery),
    responses((status = 200, description = "A page of events.", body = PageJson<EventJson>), BadParam, Unauthorized),
)]
pub(crate) async fn bodies(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<EventJson>>, ApiError> {
    events(&api, ObjectType::body(), request).await
}

/// The cars of a video as events.
#[utoipa::path(
    get, path = "/events/cars/", tag = "objects", operation_id = "listCarEvents",
    params(EventsQuery, PageQuery),
    responses((status = 200, description = "A page of events.", body = PageJson<EventJson>), BadParam, Unauthorized),
)]
pub(crate) async fn cars(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<EventJson>>, ApiError> {
    events(&api, ObjectType::car(), request).await
}

/// The video that events are of.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Video archive ID.
    #[param(value_type = u64)]
    video_archive: VideoId,
}

impl EventsQuery {
    fn read(query: &Query) -> Result<Self> {
        let video = query.integer(VIDEO_PARAM)?.map(VideoId);
        Ok(Self { video_archive: video.ok_or_else(|| Error::bad_param(VIDEO_PARAM, "This parameter is required."))? })
    }
}

async fn events(
    api: &Api,
    object_type: ObjectType,
    request: ListRequest,
) -> Result<Json<PageJson<EventJson>>, ApiError> {
    let EventsQuery { video_archive: video } = EventsQuery::read(&request.query)?;
    let PageQuery { limit, cursor } = request.page()?;
    let wanted = ObjectQuery { limit, cursor, types: vec![object_type] };
    let archive = api.engine.archive().clone();
    let (source, page) = blocking(move || {
        let unknown = || Error::bad_param(VIDEO_PARAM, format!("Invalid pk \"{video}\" - object does not exist."));
        let record = archive.video(video)?.ok_or_else(unknown)?;
        let settings =
            if record.job == 0 { record.stream_settings.clone() } else { settings_of(&archive.stored_job(video)?)? };
        Ok((EventSource { video: record, settings }, list::page_of(&archive, video, &wanted)?))
    })
    .await?;
    Ok(request.respond(page, |object, base| EventJson::new(object, &source, base)))
}
