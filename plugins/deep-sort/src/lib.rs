//! `deep_sort`: a tracker that associates boxes by predicted motion and by appearance.
//!
//! From the papers SORT (Bewley et al. 2016) and DeepSORT (Wojke et al. 2017). A Kalman filter
//! predicts the box of each track. A detection near enough (Mahalanobis distance within
//! [`tracking::GATE`]) whose appearance has a cosine similarity of at least `matching_threshold` to
//! one of the track's last [`gallery::CAPACITY`] continues it; recently detected tracks are matched
//! first (the matching cascade). The remaining detections are matched by their overlap with the
//! predicted boxes, for tracks that were detected in the previous frame or are not confirmed yet. A
//! track is confirmed when it was detected in three consecutive frames; before that, one frame
//! without a detection ends it. Where unconfirmed tracks are reported, a first detection whose
//! score is half-way from `min_score` to 1 confirms it at once.
//!
//! Where detections have no appearance descriptor, motion decides alone: overlap with the predicted
//! box, for tracks of any age. Tracks that were missed in the previous frame need more overlap
//! ([`tracking::doubtful_overlap`]) and have a lower weight ([`tracking::recency`]).
//!
//! A track that was missed also continues by appearance and by overlap of enlarged boxes
//! (`matching`), since the box of an object that is partly hidden jumps.
//!
//! Detections whose score is below `min_score` are weak. As in ByteTrack (Zhang et al. 2022,
//! arXiv:2110.06864) they continue confirmed tracks that were detected in the previous frame and
//! are still unmatched, by overlap alone, and never start one.
//!
//! A track closes when it was not detected for more than `miss_interval` seconds of stream time, at
//! a hard cut, or when it reaches `max_duration_frames`. In the last case it continues under a new
//! id with all its state.

mod gallery;
mod matching;
mod track;

#[cfg(doc)]
use ocellus_plugin::tracking;
use ocellus_plugin::{Detection, FrameInfo, Manifest, State, StreamInfo, Tracker, Update, tracking::Lifetime};
use serde::{Deserialize, Serialize};

use crate::{
    gallery::Budget,
    matching::associate,
    track::{Track, Track0_1},
};

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least intersection over union with the predicted box, 0 to 1. Disjoint boxes never match.
    pub overlap_threshold: f32,
    /// Detections with a lower score are weak: they only continue tracks.
    pub min_score: f32,
    /// [`Lifetime::miss_interval`].
    pub miss_interval: f64,
    /// [`Lifetime::max_duration_frames`].
    pub max_duration_frames: u64,
    /// [`Lifetime::interpolate_bboxes`].
    pub interpolate_bboxes: bool,
    /// Least cosine similarity of appearances, 0 to 1.
    pub matching_threshold: f32,
    /// Whether tracks get their ids only once they are confirmed.
    pub filter_unconfirmed_tracks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            overlap_threshold: 0.25,
            min_score: 0.0,
            miss_interval: 1.0,
            max_duration_frames: 0,
            interpolate_bboxes: true,
            matching_threshold: 0.65,
            filter_unconfirmed_tracks: true,
        }
    }
}

impl Settings {
    /// Whether a detection is weak: it only continues tracks.
    pub(crate) fn is_weak(&self, detection: &Detection) -> bool {
        detection.score < self.min_score
    }

    /// Whether a detection is no mistake. Without weak detections there is no such score.
    fn is_sure(&self, detection: &Detection) -> bool {
        self.min_score > 0.0 && detection.score >= (1.0 + self.min_score) / 2.0
    }

    fn lifetime(&self) -> Lifetime {
        let Self { miss_interval, max_duration_frames, interpolate_bboxes, .. } = *self;
        Lifetime { miss_interval, max_duration_frames, interpolate_bboxes }
    }
}

/// Tag of the format of a state: [`Tracks`] in postcard.
const SCHEMA_TAG: &str = "deep_sort/2";
/// The format of 0.1.0, with velocities per frame.
const SCHEMA_TAG_0_1: &str = "deep_sort/1";
/// Consecutive frames with a detection after which a track is confirmed.
const CONFIRMED_AFTER: u32 = 3;

/// The state of a session, as in a snapshot.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tracks {
    /// The greatest id given so far.
    last_id: u64,
    /// Index of the frame of the predictions.
    frame: u64,
    /// Its stream time, in seconds.
    time: f64,
    /// Open tracks, in the order in which they began.
    open: Vec<Track>,
}

/// The state of 0.1.0.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct Tracks0_1 {
    last_id: u64,
    frame: u64,
    open: Vec<Track0_1>,
}

impl From<Tracks0_1> for Tracks {
    fn from(Tracks0_1 { last_id, frame, open }: Tracks0_1) -> Self {
        let open: Vec<Track> = open.into_iter().map(Track::from).collect();
        let time = open.iter().map(|track| track.time).fold(0.0, f64::max);
        Self { last_id, frame, time, open }
    }
}

/// A session.
#[derive(Debug)]
pub struct DeepSort {
    settings: Settings,
    tracks: Tracks,
}

impl Tracker for DeepSort {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "deep_sort",
        version: env!("CARGO_PKG_VERSION"),
        description: "Tracks boxes by predicted motion and by appearance.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "overlap_threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.25,
                    "description": "Least overlap (intersection over union) of a box with the predicted box of its track."},
                "min_score": {"type": "number", "minimum": 0, "maximum": 1, "default": 0,
                    "description": "Detections of a lower score are weak: they continue a track, and begin none."},
                "miss_interval": {"type": "number", "minimum": 0, "default": 1,
                    "description": "A track closes when nothing was seen of it for longer than this many seconds of stream time; with 0 that is the next frame."},
                "max_duration_frames": {"type": "integer", "minimum": 0, "default": 0,
                    "description": "A track closes when it is this many frames long; 0 is no limit."},
                "interpolate_bboxes": {"type": "boolean", "default": true,
                    "description": "Frames in which nothing was seen of a track count for its duration."},
                "matching_threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.65,
                    "description": "Least cosine similarity of a detection's appearance to one of the track's."},
                "filter_unconfirmed_tracks": {"type": "boolean", "default": true,
                    "description": "A track counts only from the third frame running in which it is seen."}
            }
        }"#,
        ..Manifest::DEFAULT
    };

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self { settings, tracks: Tracks::default() })
    }

    fn update(&mut self, frame: FrameInfo, detections: Vec<Detection>) -> Result<Update, String> {
        let (settings, lifetime) = (&self.settings, self.settings.lifetime());
        // After a cut, a box in the same place is another object.
        let mut closed = if frame.cut { self.tracks.finish() } else { Vec::new() };
        let before = self.tracks.advance(&frame, &lifetime, &mut closed);

        let matched = associate(&self.tracks.open, &detections, &frame, before, settings);
        let mut ids = Vec::with_capacity(detections.len());
        for (detection, place) in detections.iter().zip(matched) {
            let track = match place.and_then(|p| self.tracks.open.get_mut(p)) {
                Some(track) => {
                    track.seen(detection, &frame);
                    track
                }
                None if settings.is_weak(detection) => {
                    ids.push(None);
                    continue;
                }
                None => {
                    let is_confirmed = !settings.filter_unconfirmed_tracks && settings.is_sure(detection);
                    self.tracks.open.push_mut(Track::new(detection, &frame, is_confirmed))
                }
            };
            if track.id.is_none() && (track.is_confirmed() || !settings.filter_unconfirmed_tracks) {
                self.tracks.last_id += 1;
                track.begin(self.tracks.last_id, frame.index);
            }
            track.detections += 1;
            ids.push(track.id);
        }
        self.tracks.open.retain_mut(|track| {
            // Not confirmed and missed: a false detection.
            let over = !track.is_confirmed() && track.frame != frame.index;
            if over || lifetime.is_reached(track.span(), frame.index) {
                closed.extend(track.id.take());
            }
            !over
        });
        Budget::default().enforce(self.tracks.open.iter_mut().map(|t| &mut t.gallery));
        Ok(Update { ids, closed })
    }

    fn finish(&mut self) -> Vec<u64> {
        self.tracks.finish()
    }

    fn snapshot(&self) -> State {
        // Writing to memory cannot fail; an empty state would be refused by `restore`.
        State { schema_tag: SCHEMA_TAG.into(), bytes: postcard::to_allocvec(&self.tracks).unwrap_or_default() }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        let damaged = |e| format!("the state is damaged: {e}");
        self.tracks = if state.schema_tag == SCHEMA_TAG_0_1 {
            postcard::from_bytes::<Tracks0_1>(&state.bytes).map_err(damaged)?.into()
        } else {
            postcard::from_bytes(&state.bytes_of(SCHEMA_TAG)?).map_err(damaged)?
        };
        Ok(())
    }
}

impl Tracks {
    fn finish(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.open).into_iter().filter_map(|track| track.id).collect()
    }

    /// Advances to this frame: predicts every track and closes those that are over. Returns the
    /// stream time of the previous frame.
    fn advance(&mut self, frame: &FrameInfo, lifetime: &Lifetime, closed: &mut Vec<u64>) -> f64 {
        let before = self.time;
        let seconds = frame.time - before;
        (self.frame, self.time) = (frame.index, frame.time);
        self.open.retain_mut(|track| {
            if lifetime.is_missed(track.time, frame.time) {
                closed.extend(track.id);
                return false;
            }
            if lifetime.is_exceeded(track.span(), frame.index) {
                closed.extend(track.id.take());
            }
            track.predict(seconds);
            true
        });
        before
    }
}

ocellus_plugin::register!(DeepSort: Tracker);

#[cfg(test)]
mod tests;
