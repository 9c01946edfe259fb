//! Detections, and the frame records of the detection log that hold them.

use serde::{Deserialize, Serialize};

use crate::{ObjectType, Point, Rect};

/// Facial landmarks in pixels of the frame: left eye, right eye, nose, left and right mouth corner,
/// left and right as seen in the picture.
pub type Landmarks = [Point; 5];

/// One box in one frame, with everything that later stages need from the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The box, in pixels of the frame.
    pub rect: Rect,
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// How well the object can be recognised in this picture, 0..=1; `host/pipeline` defines it for
    /// each object type.
    pub quality: f32,
    /// `None` where the detector has no landmarks.
    pub landmarks: Option<Landmarks>,
    /// Appearance descriptor, for trackers that compare it; empty where none was computed.
    pub appearance: Vec<f32>,
}

/// Score thresholds of a detector for one object type.
///
/// The default is that of logs of release 0.1: all detections count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreThresholds {
    /// A detection with a lower score is weak: it may continue a track, but is never the best shot,
    /// and a track of weak detections alone gives no object. 0..=1.
    pub min: f32,
    /// Least score of an object that was seen only once, if another frame could have shown it. From
    /// `min` to 1.
    pub sure: f32,
}

impl ScoreThresholds {
    /// Whether a detection may only continue tracks.
    pub fn is_weak(&self, detection: &Detection) -> bool {
        detection.score < self.min
    }

    /// Moves the weak detections behind the others, and returns how many are not weak.
    pub fn weak_last(&self, detections: &mut [Detection]) -> usize {
        detections.sort_by_key(|d| self.is_weak(d));
        self.strong(detections).len()
    }

    /// The detections that are not weak, of those in the order of [`weak_last`](Self::weak_last),
    /// which is the order of the detection log.
    pub fn strong<'d>(&self, detections: &'d [Detection]) -> &'d [Detection] {
        detections.split_at(detections.partition_point(|d| !self.is_weak(d))).0
    }
}

/// One decoded frame in the detection log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Frame number, from 0; numbers of frames that came too late and were dropped are missing.
    pub index: u64,
    /// Stream time in seconds, from the start of the source.
    pub time: f64,
    /// The server's clock when the frame was processed, in microseconds since the Unix epoch: in
    /// the log, so that a replay gives the same timestamps.
    pub wall_us: i64,
    /// Whether a scene cut lies between this frame and the one before.
    pub cut: bool,
    /// Whether the frame is static: too little moved in it, and no detector ran on it.
    pub is_static: bool,
    /// Detections by object type. A type whose detector found nothing has an empty list.
    pub detections: Vec<(ObjectType, Vec<Detection>)>,
    /// Tracklets by object type, without types of which nothing was found. The detection log has
    /// them at the end of the record, where readers of release 0.1 stop.
    #[serde(skip)]
    pub tracklets: Vec<(ObjectType, Tracklets)>,
}

/// Id of a tracklet: the frame that it begins in, and the index of its first detection among those
/// of its type there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrackletId {
    /// [`FrameRecord::index`].
    pub frame: u64,
    /// Index, from 0.
    pub place: u32,
}

/// Tracklets of one object type in one frame: chains of detections that overlap from frame to
/// frame, as long as they look like one individual. Tracks are the tracker's; one that continues a
/// tracklet by another that replaced it merges two individuals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracklets {
    /// The tracklet of each detection, in their order.
    pub ids: Vec<TrackletId>,
    /// Tracklets that begin in this frame, each with the one that it replaces because it looks
    /// different.
    pub replaced: Vec<(TrackletId, TrackletId)>,
    /// Embeddings of some detections, by index: samples of their individuals.
    pub embeddings: Vec<(u32, Vec<f32>)>,
}
