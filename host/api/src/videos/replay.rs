//! `POST /videos/{id}/replay/` and `GET /videos/{id}/decisions/`

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use ocellus_core::{Error, PluginUse, Result, TrackId};
use ocellus_pipeline::{Change, Decision, DecisionQuery, DecisionStage, UnmatchedObject};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    body::JsonObject,
    documented,
    error::{ApiError, BadParam, Conflict, NotFound, Unauthorized},
    path::VideoPath,
    query::Query,
    rounding::rounded,
};

const DEFAULT_LIMIT: usize = 100;
/// Also the limit of each list of objects in a replay.
const MAX_LIMIT: usize = 1000;
const SETTINGS: &str = "stream_settings";

/// The result of a replay, and how it differs from the archive.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
pub(crate) struct ReplayJson {
    frames: u64,
    frames_per_second: f64,
    /// Number of objects that it gave.
    objects: usize,
    /// Digest of these objects as lines of JSON.
    sha256: String,
    /// Objects that are the same, their ids aside.
    same: u64,
    /// At most 1000 of each.
    #[schema(value_type = Vec<documented::ChangedObject>)]
    changed: Vec<Change>,
    #[schema(value_type = Vec<documented::UnmatchedObject>)]
    gained: Vec<UnmatchedObject>,
    #[schema(value_type = Vec<documented::UnmatchedObject>)]
    lost: Vec<UnmatchedObject>,
    /// Cost of each plugin.
    #[schema(value_type = BTreeMap<String, documented::PluginUse>)]
    plugins: BTreeMap<String, PluginUse>,
}

/// Replays a finished job with other settings or plugins.
///
/// Works on the job's logged detections: no decoding, no detectors, thousands of frames a second.
/// Nothing is stored or sent. The settings are merged into those of the job; without any, the job's
/// are used.
#[utoipa::path(
    post, path = "/videos/{id}/replay/", tag = "videos", operation_id = "replayVideo",
    params(VideoPath),
    request_body(content = documented::ReplayRequest, description = "`stream_settings`, as for PATCH; may be empty."),
    responses((status = 200, description = "The result.", body = ReplayJson), BadParam, Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn replay(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    JsonObject(body): JsonObject,
) -> Result<Json<ReplayJson>, ApiError> {
    if let Some(unknown) = body.keys().find(|key| *key != SETTINGS) {
        return Err(Error::bad_param(unknown, "Unknown field.").into());
    }
    let (replay, diff) = api.engine.replay(video, body.get(SETTINGS).cloned()).await?;
    Ok(Json(ReplayJson {
        frames: replay.frames,
        frames_per_second: rounded(replay.frames as f64 / replay.took.as_secs_f64().max(1e-9)),
        objects: replay.objects.len(),
        sha256: replay.digest(),
        same: diff.same,
        changed: truncated(diff.changed),
        gained: truncated(diff.gained).into_iter().map(shown).collect(),
        lost: truncated(diff.lost).into_iter().map(shown).collect(),
        plugins: replay.plugins,
    }))
}

fn shown(object: UnmatchedObject) -> UnmatchedObject {
    UnmatchedObject { time: rounded(object.time), reason: object.reason.map(shown_decision), ..object }
}

fn shown_decision(decision: Decision) -> Decision {
    Decision { time: rounded(decision.time), ..decision }
}

fn truncated<T>(mut items: Vec<T>) -> Vec<T> {
    items.truncate(MAX_LIMIT);
    items
}

/// Detections and tracks that the last processing of a video dropped.
#[derive(Serialize, ToSchema)]
pub(crate) struct Decisions {
    #[schema(value_type = Vec<documented::Decision>)]
    results: Vec<Decision>,
}

/// Lists dropped detections and tracks: which plugin dropped them, by which rule and value.
///
/// Found by a replay with the settings of the job and the plugins that are installed now, which
/// ends once there are `limit` of them. Where there are fewer, it goes through the whole log.
#[utoipa::path(
    get, path = "/videos/{id}/decisions/", tag = "videos", operation_id = "listDecisions",
    params(
        VideoPath,
        ("type" = inline(Option<documented::ObjectTypeName>), Query, description = "Object type, such as face."),
        ("stage" = inline(Option<documented::DecisionStage>), Query, description = "Where it was dropped."),
        ("track" = Option<u64>, Query, description = "Track number."),
        ("frame" = Option<u64>, Query, description = "Frame number."),
        ("limit" = Option<u64>, Query, minimum = 1, description = "Most decisions to list, 100 without it; more than 1000 are 1000."),
    ),
    responses((status = 200, description = "In the order of frames.", body = Decisions), BadParam, Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn decisions(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    query: Query,
) -> Result<Json<Decisions>, ApiError> {
    let stage = |text: &str| match text {
        "detections" => Ok(DecisionStage::Detections),
        "tracker" => Ok(DecisionStage::Tracker),
        "shots" => Ok(DecisionStage::Shots),
        "objects" => Ok(DecisionStage::Objects),
        other => Err(Error::bad_param("stage", format!("{other:?} is no stage: detections, tracker, shots, objects."))),
    };
    let wanted = DecisionQuery {
        object_type: query
            .last("type")
            .map(|t| t.parse().map_err(|e: String| Error::bad_param("type", e)))
            .transpose()?,
        stage: query.last("stage").map(stage).transpose()?,
        track: query.integer("track")?.map(TrackId),
        frame: query.integer("frame")?,
    };
    let limit = query.capped("limit", MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let found = api.engine.decisions(video, wanted, limit).await?;
    Ok(Json(Decisions { results: found.into_iter().map(shown_decision).collect() }))
}
