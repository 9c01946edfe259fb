//! Decisions: what was dropped, at which stage, and by which rule.

use ocellus_core::{ObjectType, ShotSummary, TrackId};
use serde::Serialize;

/// Where something went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionStage {
    /// A filter dropped a detection before tracking.
    Detections,
    /// The tracker gave a detection to no track.
    Tracker,
    /// A filter did not let a detection stand for its track.
    Shots,
    /// A filter kept a track from being reported.
    Objects,
}

/// One detection or track, and what was said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub stage: DecisionStage,
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Of a track, that of its best shot.
    pub frame: u64,
    pub time: f64,
    pub bbox: [i32; 4],
    pub track_id: Option<TrackId>,
    /// Who said so.
    pub plugin: String,
    pub rule: String,
    /// What was measured.
    pub value: String,
}

impl Decision {
    pub(crate) fn new(
        object_type: &ObjectType,
        stage: DecisionStage,
        track_id: Option<TrackId>,
        of: &ShotSummary,
        plugin: String,
        rule: String,
        value: String,
    ) -> Self {
        Self {
            stage,
            object_type: object_type.clone(),
            frame: of.frame,
            time: of.time,
            bbox: of.bbox,
            track_id,
            plugin,
            rule,
            value,
        }
    }
}
