//! Objects: what is reported of a track.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Landmarks, ObjectId};

/// Why an object is reported now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BestShotType {
    /// The track is over; this is the best of all of it.
    Overall,
    /// The track goes on; this is the best of a window.
    Realtime,
}

/// One moment of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShotSummary {
    pub frame: u64,
    /// Stream time in seconds, from the start of the source.
    pub time: f64,
    /// What the user is told: wall clock or stream time, as `use_stream_timestamp` says.
    pub timestamp: Timestamp,
    /// `[left, top, right, bottom]` in pixels, clipped to the frame.
    pub bbox: [i32; 4],
    pub score: f32,
    pub quality: f32,
}

/// Where a track was in one frame: an item of its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackPoint {
    pub frame: u64,
    /// Stream time in seconds, from the start of the source.
    pub time: f64,
    /// As in [`ShotSummary`].
    pub timestamp: Timestamp,
    /// `[left, top, right, bottom]` in pixels, clipped to the frame.
    pub bbox: [i32; 4],
    /// Nothing was seen in this frame: the box lies on the line between those before and after it.
    pub interpolated: bool,
}

/// An object as the archive keeps it. Its pictures lie beside the log under its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    pub id: ObjectId,
    pub bs_type: BestShotType,
    /// Nothing more will come of this track.
    pub end_of_track: bool,
    pub best: ShotSummary,
    pub first: ShotSummary,
    pub last: ShotSummary,
    /// How many frames of the track hold a detection.
    pub detections: u64,
    /// How many frames between them were filled with boxes in between; 0 where that is off.
    #[serde(default)]
    pub interpolated: u64,
    /// Where the track was, frame by frame; empty where nobody asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TrackPoint>,
    /// The best shot's landmarks, in pixels of the frame.
    pub landmarks: Option<Landmarks>,
    /// Small facts that filters added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
}
