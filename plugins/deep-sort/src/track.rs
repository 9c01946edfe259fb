//! Track: one object over time, with its motion and its gallery.

use ocellus_plugin::{
    Detection, FrameInfo,
    tracking::{Kalman, Rect, Span},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{CONFIRMED_AFTER, gallery::Gallery};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The id that it is reported under; `None` before it is confirmed, and after its last id has
    /// reached the maximum duration.
    pub(crate) id: Option<u64>,
    /// Index of the first frame under its present id.
    first_frame: u64,
    /// Number of detections under its present id.
    pub(crate) detections: u64,
    /// Index of the frame of its last detection.
    pub(crate) frame: u64,
    /// Stream time of its last detection, in seconds.
    pub(crate) time: f64,
    /// Frames with a detection, up to [`CONFIRMED_AFTER`].
    hits: u32,
    /// Its last box.
    rect: [f32; 4],
    #[serde(serialize_with = "write", deserialize_with = "read")]
    motion: Kalman,
    pub(crate) gallery: Gallery,
}

/// A track of 0.1.0, with the state of a filter whose velocities were per frame.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(crate) struct Track0_1 {
    id: Option<u64>,
    first_frame: u64,
    detections: u64,
    frame: u64,
    time: f64,
    hits: u32,
    #[serde(serialize_with = "write", deserialize_with = "read")]
    motion: Kalman,
    gallery: Gallery,
}

impl From<Track0_1> for Track {
    /// With zero velocity at the predicted position: its velocity in seconds is not known.
    fn from(old: Track0_1) -> Self {
        let Track0_1 { id, first_frame, detections, frame, time, hits, motion, gallery } = old;
        let Rect { left, top, right, bottom } = motion.rect();
        let (rect, motion) = ([left, top, right, bottom], Kalman::new(&motion.rect()));
        Self { id, first_frame, detections, frame, time, hits, rect, motion, gallery }
    }
}

#[cfg(test)]
impl From<&Track> for Track0_1 {
    fn from(track: &Track) -> Self {
        let Track { id, first_frame, detections, frame, time, hits, .. } = *track;
        let (motion, gallery) = (track.motion.clone(), track.gallery.clone());
        Self { id, first_frame, detections, frame, time, hits, motion, gallery }
    }
}

impl Track {
    pub(crate) fn new(detection: &Detection, frame: &FrameInfo, is_confirmed: bool) -> Self {
        let mut gallery = Gallery::default();
        gallery.add(detection);
        Self {
            id: None,
            first_frame: frame.index,
            detections: 0,
            frame: frame.index,
            time: frame.time,
            hits: if is_confirmed { CONFIRMED_AFTER } else { 1 },
            rect: sides(detection),
            motion: Kalman::new(&Rect::from(detection.rect)),
            gallery,
        }
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.hits >= CONFIRMED_AFTER
    }

    /// Predicts its box for this many seconds later.
    pub(crate) fn predict(&mut self, seconds: f64) {
        self.motion.predict(seconds);
    }

    pub(crate) fn seen(&mut self, detection: &Detection, frame: &FrameInfo) {
        self.motion.update(&Rect::from(detection.rect));
        self.gallery.add(detection);
        self.hits = (self.hits + 1).min(CONFIRMED_AFTER);
        (self.frame, self.time, self.rect) = (frame.index, frame.time, sides(detection));
    }

    /// Reports it as `id` from this frame on.
    pub(crate) fn begin(&mut self, id: u64, frame: u64) {
        (self.id, self.first_frame, self.detections) = (Some(id), frame, 0);
    }

    /// Frames under its present id.
    pub(crate) fn span(&self) -> Span {
        Span { first_frame: self.first_frame, detections: self.detections }
    }

    /// Its last box.
    pub(crate) fn last(&self) -> Rect {
        let [left, top, right, bottom] = self.rect;
        Rect { left, top, right, bottom }
    }

    /// The predicted box.
    pub(crate) fn expected(&self) -> Rect {
        self.motion.rect()
    }

    /// Squared Mahalanobis distance of a box from the predicted one.
    pub(crate) fn distance(&self, rect: &Rect) -> f64 {
        self.motion.distance(rect)
    }
}

fn sides(detection: &Detection) -> [f32; 4] {
    let ocellus_plugin::Rect { left, top, right, bottom } = detection.rect;
    [left, top, right, bottom]
}

fn write<S: Serializer>(motion: &Kalman, serializer: S) -> Result<S::Ok, S::Error> {
    motion.parts().serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kalman, D::Error> {
    let parts = Deserialize::deserialize(deserializer)?;
    Kalman::from_parts(&parts).ok_or_else(|| D::Error::custom("no filter has these numbers"))
}
