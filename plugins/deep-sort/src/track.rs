//! One thing that is followed: where it is expected, and what it looked like.

use ocellus_plugin::{
    Detection, FrameInfo,
    tracking::{Kalman, Rect, Span},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{CONFIRMED_AFTER, gallery::Gallery};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Track {
    /// What it is reported as; `None` before it counts, and when its last id has lasted long
    /// enough.
    pub(crate) id: Option<u64>,
    /// When its present id began, and how often it was seen under that.
    first_frame: u64,
    pub(crate) detections: u64,
    /// When it was last seen.
    pub(crate) frame: u64,
    pub(crate) time: f64,
    /// How often it was seen, up to [`CONFIRMED_AFTER`].
    hits: u32,
    #[serde(serialize_with = "write", deserialize_with = "read")]
    motion: Kalman,
    pub(crate) gallery: Gallery,
}

impl Track {
    pub(crate) fn new(detection: &Detection, frame: &FrameInfo) -> Self {
        let mut gallery = Gallery::default();
        gallery.add(detection);
        Self {
            id: None,
            first_frame: frame.index,
            detections: 0,
            frame: frame.index,
            time: frame.time,
            hits: 1,
            motion: Kalman::new(&Rect::from(detection.rect)),
            gallery,
        }
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.hits >= CONFIRMED_AFTER
    }

    /// Is expected so many frames further on.
    pub(crate) fn expect(&mut self, frames: u64) {
        self.motion.predict(frames);
    }

    pub(crate) fn seen(&mut self, detection: &Detection, frame: &FrameInfo) {
        self.motion.update(&Rect::from(detection.rect));
        self.gallery.add(detection);
        self.hits = (self.hits + 1).min(CONFIRMED_AFTER);
        (self.frame, self.time) = (frame.index, frame.time);
    }

    /// Is reported as `id` from this frame on.
    pub(crate) fn begin(&mut self, id: u64, frame: u64) {
        (self.id, self.first_frame, self.detections) = (Some(id), frame, 0);
    }

    /// Of its present id.
    pub(crate) fn span(&self) -> Span {
        Span { first_frame: self.first_frame, detections: self.detections }
    }

    pub(crate) fn expected(&self) -> Rect {
        self.motion.rect()
    }

    /// Squared Mahalanobis distance.
    pub(crate) fn distance(&self, rect: &Rect) -> f64 {
        self.motion.distance(rect)
    }
}

fn write<S: Serializer>(motion: &Kalman, serializer: S) -> Result<S::Ok, S::Error> {
    motion.parts().serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kalman, D::Error> {
    let parts = Deserialize::deserialize(deserializer)?;
    Kalman::from_parts(&parts).ok_or_else(|| D::Error::custom("no filter has these numbers"))
}
