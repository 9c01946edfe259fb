//! Objects: the reports of tracks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Landmarks, ObjectId};

/// Why an object is reported now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BestShotType {
    /// The track is over; this is the best shot of all of it.
    Overall,
    /// The track continues; this is the best shot of a time window.
    Realtime,
}

/// A track in one frame: one of its shots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShotSummary {
    /// Number of the frame.
    pub frame: u64,
    /// Stream time in seconds, from the start of the source.
    pub time: f64,
    /// The time that is reported: wall clock, or stream time with `use_stream_timestamp`.
    pub timestamp: Timestamp,
    /// `[left, top, right, bottom]` in pixels, clipped to the frame.
    pub bbox: [i32; 4],
    /// As [`Detection::score`](crate::Detection::score).
    pub score: f32,
    /// As [`Detection::quality`](crate::Detection::quality).
    pub quality: f32,
}

impl ShotSummary {
    /// Frame and box. They identify a shot among those of its object type, also in another job or
    /// replay over the same detections.
    pub fn place(&self) -> (u64, [i32; 4]) {
        (self.frame, self.bbox)
    }
}

/// Position of a track in one frame: an item of its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackPoint {
    /// Number of the frame.
    pub frame: u64,
    /// Stream time in seconds, from the start of the source.
    pub time: f64,
    /// As in [`ShotSummary`].
    pub timestamp: Timestamp,
    /// `[left, top, right, bottom]` in pixels, clipped to the frame.
    pub bbox: [i32; 4],
    /// Whether the box is interpolated between the detections before and after it.
    pub interpolated: bool,
}

/// Result of an attribute network: the most probable label of one attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Name of the attribute, such as `color`; unique in an object.
    pub name: String,
    /// The label, such as `red`.
    pub label: String,
    /// Probability of the label, 0..=1.
    pub confidence: f32,
}

impl Feature {
    /// Name of the feature that says whether a face is alive.
    pub const LIVENESS: &str = "liveness";
    const REAL: &str = "real";
    const FAKE: &str = "fake";

    /// Liveness by the probability that a face is alive: real from `threshold` on.
    pub fn liveness(score: f32, threshold: f32) -> Self {
        let (label, confidence) = if score >= threshold { (Self::REAL, score) } else { (Self::FAKE, 1.0 - score) };
        Self { name: Self::LIVENESS.into(), label: label.into(), confidence }
    }

    /// The probability that a face is alive; `None` for other features.
    pub fn liveness_score(&self) -> Option<f32> {
        let score = if self.label == Self::FAKE { 1.0 - self.confidence } else { self.confidence };
        (self.name == Self::LIVENESS).then_some(score)
    }
}

/// An object as the archive stores it, in `objects.log`. Its pictures are files named by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Unique in the archive, for all time.
    pub id: ObjectId,
    /// Why it is reported.
    pub bs_type: BestShotType,
    /// Whether no object of this track follows.
    pub end_of_track: bool,
    /// The shot of the highest quality: of the track, or of a window of it.
    pub best: ShotSummary,
    /// The first shot of the track.
    pub first: ShotSummary,
    /// The last shot of the track so far.
    pub last: ShotSummary,
    /// Number of frames of the track with a detection.
    pub detections: u64,
    /// Number of interpolated boxes; 0 without `track_interpolate_bboxes`.
    #[serde(default)]
    pub interpolated: u64,
    /// The track frame by frame; empty without `track_send_history`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TrackPoint>,
    /// Landmarks of the best shot.
    pub landmarks: Option<Landmarks>,
    /// Attributes that filters set: names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    /// Features of the best shot. Release 0.1 did not write them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
}
