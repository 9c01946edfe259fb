//! Stream of a session, and frame of a call.

use ocellus_core::{ObjectType, Size};
use serde::{Deserialize, Serialize};

/// The stream that a session is opened for: one object type of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The type of all detections that the session gets.
    pub object_type: ObjectType,
    /// Size of the first frames in pixels; [`FrameInfo::size`] has that of each.
    pub size: Size,
    /// Frames per second, where the source declares it.
    pub frame_rate: Option<f64>,
}

/// The frame of a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameInfo {
    /// Counted from 0; grows from frame to frame, not always by one.
    pub index: u64,
    /// Stream time in seconds, never running backwards.
    pub time: f64,
    /// In pixels.
    pub size: Size,
    /// A hard cut lies between this frame and the one before.
    pub cut: bool,
}
