//! Decisions of filters and trackers: what was dropped, at which stage, and by which rule.

use ocellus_core::{ObjectType, ShotSummary, TrackId};
use serde::Serialize;

/// The stage at which a detection or a track was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionStage {
    /// A filter dropped a detection before tracking.
    Detections,
    /// The tracker assigned a detection to no track.
    Tracker,
    /// A filter rejected a detection as the best shot of its track.
    Shots,
    /// A filter rejected a track, or a realtime shot of it.
    Objects,
}

/// One detection or track that was dropped, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Stage at which it was dropped.
    pub stage: DecisionStage,
    /// Type of the detection or track.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Index of the frame; of a track, that of its best shot.
    pub frame: u64,
    /// Stream time of that frame in seconds.
    pub time: f64,
    /// `[left, top, right, bottom]` in pixels, clipped to the frame.
    pub bbox: [i32; 4],
    /// `None` where the detection is in no track (yet).
    pub track_id: Option<TrackId>,
    /// Name of the plugin that decided; `ocellus` for the host itself.
    pub plugin: String,
    /// The setting of the plugin that was violated, such as `min`.
    pub rule: String,
    /// The measured value, as the plugin prints it.
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
