//! `simple_iou`: a tracker that associates boxes by their overlap (IoU).
//!
//! A detection continues the track whose predicted or last box it overlaps (intersection over
//! union) by at least `overlap_threshold`; among all matchings of a frame the one with the greatest
//! sum of overlaps is chosen. Predictions follow from the track's motion ([`Kalman`]), in seconds.
//! A track that was missed in the previous frame needs more overlap ([`doubtful_overlap`]), and has
//! a lower weight than others ([`recency`]). An unmatched detection also continues such a track
//! within the reach of its motion ([`REACH`], [`nearness`]), unless `overlap_threshold` reaches the
//! overlap of a doubtful match.
//!
//! Detections whose score is below `min_score` are weak. As in ByteTrack (Zhang et al. 2022,
//! arXiv:2110.06864) they continue tracks that were detected in the previous frame and are still
//! unmatched, and never open one. Any other unmatched detection opens a track.
//!
//! A track closes when it was not detected for more than `miss_interval` seconds of stream time, at
//! a hard cut, or when it reaches `max_duration_frames`; later detections of the same object are a
//! new track.

use std::{collections::BTreeMap, fmt::Display, mem};

use ocellus_plugin::{
    Detection, FrameInfo, Manifest, Rect, State, StreamInfo, Tracker, Update,
    tracking::{self, Kalman, Lifetime, Matching, Span, doubtful_overlap, nearness, recency},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least intersection over union, 0 to 1, with a track that was detected in the previous frame.
    /// Disjoint boxes never match there.
    pub overlap_threshold: f32,
    /// Detections with a lower score are weak: they only continue tracks.
    pub min_score: f32,
    /// [`Lifetime::miss_interval`].
    pub miss_interval: f64,
    /// [`Lifetime::max_duration_frames`].
    pub max_duration_frames: u64,
    /// [`Lifetime::interpolate_bboxes`].
    pub interpolate_bboxes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            overlap_threshold: 0.25,
            min_score: 0.0,
            miss_interval: 1.0,
            max_duration_frames: 0,
            interpolate_bboxes: true,
        }
    }
}

impl Settings {
    fn lifetime(&self) -> Lifetime {
        let Self { miss_interval, max_duration_frames, interpolate_bboxes, .. } = *self;
        Lifetime { miss_interval, max_duration_frames, interpolate_bboxes }
    }
}

/// Squared Mahalanobis distance ([`Kalman::distance`]) up to which a detection continues a track
/// that was missed: the 0.6 quantile of the chi-squared distribution with four degrees of freedom.
/// With
/// 0.95, which DeepSORT uses together with appearance, a person of TUD-Stadtmitte continues
/// another's track (IDF1 .74 instead of .80).
const REACH: f64 = 4.0;

/// Tag of the format of a state: [`Tracks`] in postcard.
const SCHEMA_TAG: &str = "simple_iou/2";
/// The format of 0.1.0: JSON, without motion.
const SCHEMA_TAG_0_1: &str = "simple_iou/1";

/// The state of a session, as in a snapshot.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tracks {
    /// The greatest id given so far.
    last_id: u64,
    /// Stream time of the predictions, in seconds.
    time: f64,
    /// Open tracks, in the order in which they began.
    open: Vec<Track>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Track {
    id: u64,
    first_frame: u64,
    detections: u64,
    /// Stream time of its last detection, whose box follows.
    time: f64,
    rect: [f32; 4],
    #[serde(serialize_with = "write", deserialize_with = "read")]
    motion: Kalman,
}

impl Track {
    /// A track without detections yet; the first will be `rect`.
    fn new(id: u64, first_frame: u64, rect: &tracking::Rect) -> Self {
        Self { id, first_frame, detections: 0, time: 0.0, rect: [0.0; 4], motion: Kalman::new(rect) }
    }

    fn set_last(&mut self, Rect { left, top, right, bottom }: Rect) {
        self.rect = [left, top, right, bottom];
    }

    fn last(&self) -> tracking::Rect {
        let [left, top, right, bottom] = self.rect;
        tracking::Rect { left, top, right, bottom }
    }

    fn span(&self) -> Span {
        Span { first_frame: self.first_frame, detections: self.detections }
    }
}

/// The state of 0.1.0.
#[derive(Deserialize)]
struct Tracks0_1 {
    last_id: u64,
    open: BTreeMap<u64, Track0_1>,
}

#[derive(Deserialize)]
struct Track0_1 {
    first_frame: u64,
    time: f64,
    rect: [f32; 4],
    detections: u64,
}

impl From<Tracks0_1> for Tracks {
    /// The tracks start with zero velocity, which is not known.
    fn from(old: Tracks0_1) -> Self {
        let time = old.open.values().map(|track| track.time).fold(0.0, f64::max);
        let track = |(id, Track0_1 { first_frame, time, rect, detections }): (u64, Track0_1)| {
            let [left, top, right, bottom] = rect;
            let motion = Kalman::new(&tracking::Rect { left, top, right, bottom });
            Track { id, first_frame, detections, time, rect, motion }
        };
        Self { last_id: old.last_id, time, open: old.open.into_iter().map(track).collect() }
    }
}

fn write<S: Serializer>(motion: &Kalman, serializer: S) -> Result<S::Ok, S::Error> {
    motion.parts().serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kalman, D::Error> {
    let parts = Deserialize::deserialize(deserializer)?;
    Kalman::from_parts(&parts).ok_or_else(|| D::Error::custom("no filter has these numbers"))
}

/// A session.
#[derive(Debug)]
pub struct SimpleIou {
    settings: Settings,
    tracks: Tracks,
}

impl Tracker for SimpleIou {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "simple_iou",
        version: env!("CARGO_PKG_VERSION"),
        description: "Tracks boxes by their overlap with predicted boxes from frame to frame.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "overlap_threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.25,
                    "description": "Least overlap (intersection over union) of boxes in consecutive frames that belong to one track."},
                "min_score": {"type": "number", "minimum": 0, "maximum": 1, "default": 0,
                    "description": "Detections of a lower score are weak: they continue a track, and begin none."},
                "miss_interval": {"type": "number", "minimum": 0, "default": 1,
                    "description": "A track closes when nothing was seen of it for longer than this many seconds of stream time; with 0 that is the next frame."},
                "max_duration_frames": {"type": "integer", "minimum": 0, "default": 0,
                    "description": "A track closes when it is this many frames long; 0 is no limit."},
                "interpolate_bboxes": {"type": "boolean", "default": true,
                    "description": "Frames in which nothing was seen of a track count for its duration."}
            }
        }"#,
        ..Manifest::DEFAULT
    };

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self { settings, tracks: Tracks::default() })
    }

    fn update(&mut self, frame: FrameInfo, detections: Vec<Detection>) -> Result<Update, String> {
        let lifetime = self.settings.lifetime();
        // After a cut, a box in the same place is another object.
        let mut closed = if frame.cut {
            self.finish()
        } else {
            self.tracks.close(|track| lifetime.is_missed(track.time, frame.time))
        };
        closed.extend(self.tracks.close(|track| lifetime.is_exceeded(track.span(), frame.index)));
        let ids = self.tracks.associate(&frame, &detections, &self.settings);
        closed.extend(self.tracks.close(|track| lifetime.is_reached(track.span(), frame.index)));
        Ok(Update { ids, closed })
    }

    fn finish(&mut self) -> Vec<u64> {
        mem::take(&mut self.tracks.open).into_iter().map(|t| t.id).collect()
    }

    fn snapshot(&self) -> State {
        // Writing to memory cannot fail; an empty state would be refused by `restore`.
        State { schema_tag: SCHEMA_TAG.into(), bytes: postcard::to_allocvec(&self.tracks).unwrap_or_default() }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        let damaged = |e: &dyn Display| format!("the state is damaged: {e}");
        self.tracks = if state.schema_tag == SCHEMA_TAG_0_1 {
            serde_json::from_slice::<Tracks0_1>(&state.bytes).map_err(|e| damaged(&e))?.into()
        } else {
            postcard::from_bytes(&state.bytes_of(SCHEMA_TAG)?).map_err(|e| damaged(&e))?
        };
        Ok(())
    }
}

impl Tracks {
    fn close(&mut self, over: impl Fn(&Track) -> bool) -> Vec<u64> {
        self.open.extract_if(.., |track| over(track)).map(|track| track.id).collect()
    }

    /// The track of each detection. One that continues no track opens one, unless it is weak.
    fn associate(&mut self, frame: &FrameInfo, detections: &[Detection], settings: &Settings) -> Vec<Option<u64>> {
        let before = mem::replace(&mut self.time, frame.time);
        self.open.iter_mut().for_each(|track| track.motion.predict(frame.time - before));
        let is_weak = |detection: &Detection| detection.score < settings.min_score;
        let matched = self.matched(before, detections, settings);

        let mut ids = Vec::with_capacity(detections.len());
        for (detection, place) in detections.iter().zip(matched) {
            let rect = detection.rect.into();
            let track = match place.and_then(|p| self.open.get_mut(p)) {
                Some(track) => {
                    track.motion.update(&rect);
                    track
                }
                None if is_weak(detection) => {
                    ids.push(None);
                    continue;
                }
                None => {
                    self.last_id += 1;
                    self.open.push_mut(Track::new(self.last_id, frame.index, &rect))
                }
            };
            track.time = frame.time;
            track.set_last(detection.rect);
            track.detections += 1;
            ids.push(Some(track.id));
        }
        ids
    }

    /// For each detection the index of its track, if it continues one. `before`: stream time of the
    /// previous frame.
    fn matched(&self, before: f64, detections: &[Detection], settings: &Settings) -> Vec<Option<usize>> {
        let rects: Vec<tracking::Rect> = detections.iter().map(|d| d.rect.into()).collect();
        let expected: Vec<tracking::Rect> = self.open.iter().map(|track| track.motion.rect()).collect();
        let threshold = settings.overlap_threshold;
        let doubtful = doubtful_overlap(threshold);
        let is_weak = |d: usize| detections.get(d).is_none_or(|d| d.score < settings.min_score);
        let is_recent = |t: usize| self.open.get(t).is_some_and(|track| track.time >= before);
        let overlap = |d: usize, t: usize| {
            let (rect, expected, track) = (rects.get(d)?, expected.get(t)?, self.open.get(t)?);
            let expected = rect.iou(expected);
            // An object that stops suddenly is at its last box, not at the predicted one.
            let last = if track.time >= before { rect.iou(&track.last()) } else { 0.0 };
            let overlap = if expected > last { expected } else { last };
            (overlap > 0.0).then_some(overlap)
        };
        let mut matching = Matching::new(detections.len(), self.open.len());
        matching.round(
            |d| !is_weak(d),
            |_| true,
            |d, t| {
                let track = self.open.get(t)?;
                let least = if track.time >= before { threshold } else { doubtful };
                Some(overlap(d, t).filter(|o| *o >= least)? * recency(before - track.time))
            },
        );
        if threshold < doubtful {
            matching.round(
                |d| !is_weak(d),
                |t| !is_recent(t),
                |d, t| {
                    let (rect, expected, track) = (rects.get(d)?, expected.get(t)?, self.open.get(t)?);
                    let is_possible = track.motion.distance(rect) <= REACH;
                    is_possible.then(|| nearness(rect, expected) * recency(before - track.time))
                },
            );
        }
        matching.round(is_weak, is_recent, |d, t| overlap(d, t).filter(|o| *o >= doubtful));
        matching.tracks()
    }
}

ocellus_plugin::register!(SimpleIou: Tracker);

#[cfg(test)]
mod tests;
