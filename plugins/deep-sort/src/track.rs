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
    /// Where it was last seen.
    rect: [f32; 4],
    #[serde(serialize_with = "write", deserialize_with = "read")]
    motion: Kalman,
    pub(crate) gallery: Gallery,
}

/// A track as 0.1.0 wrote it: with the parts of a filter whose velocities were per frame.
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
    /// At rest where it was expected: how fast it was in seconds is not known.
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
            rect: sides(detection),
            motion: Kalman::new(&Rect::from(detection.rect)),
            gallery,
        }
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.hits >= CONFIRMED_AFTER
    }

    /// Predicts its box so many seconds further.
    pub(crate) fn predict(&mut self, seconds: f64) {
        self.motion.predict(seconds);
    }

    pub(crate) fn seen(&mut self, detection: &Detection, frame: &FrameInfo) {
        self.motion.update(&Rect::from(detection.rect));
        self.gallery.add(detection);
        self.hits = (self.hits + 1).min(CONFIRMED_AFTER);
        (self.frame, self.time, self.rect) = (frame.index, frame.time, sides(detection));
    }

    /// Is reported as `id` from this frame on.
    pub(crate) fn begin(&mut self, id: u64, frame: u64) {
        (self.id, self.first_frame, self.detections) = (Some(id), frame, 0);
    }

    /// Of its present id.
    pub(crate) fn span(&self) -> Span {
        Span { first_frame: self.first_frame, detections: self.detections }
    }

    /// Where it was last seen.
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
