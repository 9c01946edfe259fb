//! Stream and frame: what sessions and their calls are about.

use ocellus_core::{ObjectType, Size};
use serde::{Deserialize, Serialize};

/// What a session is opened for: one object type of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The type of all detections that the session gets.
    pub object_type: ObjectType,
    /// Of the frames at the start, in pixels; a later frame says its own.
    pub size: Size,
    /// Frames per second, where the source declares it.
    pub frame_rate: Option<f64>,
}

/// Which frame a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameInfo {
    /// From 0, only growing.
    pub index: u64,
    /// Stream time in seconds, never running backwards.
    pub time: f64,
    /// In pixels.
    pub size: Size,
    /// A hard cut lies between this frame and the one before.
    pub cut: bool,
}
