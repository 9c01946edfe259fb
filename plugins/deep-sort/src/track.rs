//! Track: one thing that is followed, with its motion and its gallery.

use ocellus_plugin::{
    Detection, FrameInfo,
    tracking::{Kalman, Rect, Span},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{CONFIRMED_AFTER, gallery::Gallery};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The id that it is reported under; `None` before it counts, and once its last id has lasted
    /// long enough.
    pub(crate) id: Option<u64>,
    /// The frame in which its present id began.
    first_frame: u64,
    /// Under its present id.
    pub(crate) detections: u64,
    /// The index of the frame in which it was last seen.
    pub(crate) frame: u64,
    /// When it was last seen, in seconds of stream time.
    pub(crate) time: f64,
    /// Frames in which it was seen, up to [`CONFIRMED_AFTER`].
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

    /// Predicts its box so many frames further.
    pub(crate) fn predict(&mut self, frames: u64) {
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

    /// The predicted box.
    pub(crate) fn expected(&self) -> Rect {
        self.motion.rect()
    }

    /// Squared Mahalanobis distance of a box from the predicted one.
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
