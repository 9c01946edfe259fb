//! Detections: the records of the detection log.

use serde::{Deserialize, Serialize};

use crate::{ObjectType, Point, Rect};

/// Left eye, right eye, nose, left and right mouth corner, left and right as seen in the picture.
pub type Landmarks = [Point; 5];

/// One box in one frame, with all that later stages need of the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    pub rect: Rect,
    /// The detector's own confidence, 0..=1.
    pub score: f32,
    /// How good a picture of the object this is, 0..=1; `host/pipeline` defines it for each object
    /// type.
    pub quality: f32,
    pub landmarks: Option<Landmarks>,
    /// What the object looks like, for trackers that compare appearances; empty where nothing was
    /// computed.
    pub appearance: Vec<f32>,
}

/// One decoded frame in the detection log. Frames are numbered from 0; a number is
/// missing where a frame came too late and was dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    pub index: u64,
    /// Stream time in seconds, from the start of the source.
    pub time: f64,
    /// The server's clock when the frame was looked at, in microseconds since the Unix epoch: part
    /// of the log, so that what follows from it can be replayed.
    pub wall_us: i64,
    /// A hard cut lies between this frame and the one before.
    pub cut: bool,
    /// The detectors did not look at this frame, since nothing moved in it.
    pub still: bool,
    /// What was seen, by object type; a type that was looked for and not found is there with an
    /// empty list.
    pub seen: Vec<(ObjectType, Vec<Detection>)>,
}
