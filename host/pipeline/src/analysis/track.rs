//! Open track: its shots, its history, and its realtime window.

use std::sync::Arc;

use ocellus_core::{
    Detection, DetectorSettings, Rect, ScoreThresholds, ShotSummary, Timestamp, TrackPoint, TrackletId,
};
use ocellus_runtime::{FrameInfo, Moment, Pixels};
use serde::{Deserialize, Serialize};

use crate::quality::preference;

use super::event::Sample;

/// The frame that is being processed.
pub(super) struct Now {
    pub(super) frame: FrameInfo,
    /// The time that users see.
    pub(super) timestamp: Timestamp,
    pub(super) pixels: Option<Arc<dyn Pixels>>,
}

/// A detection with its moment.
#[derive(Clone)]
pub(super) struct Shot {
    pub(super) summary: ShotSummary,
    pub(super) detection: Detection,
}

impl Shot {
    pub(super) fn new(now: &Now, detection: &Detection) -> Self {
        let summary = ShotSummary {
            frame: now.frame.index,
            time: now.frame.time,
            timestamp: now.timestamp,
            bbox: detection.rect.to_pixels(now.frame.size),
            score: detection.score,
            quality: detection.quality,
        };
        Self { summary, detection: detection.clone() }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { frame: self.summary.frame, time: self.summary.time, detection: self.detection.clone() }
    }
}

/// Settings of what is reported of tracks.
pub(super) struct Reporting {
    pub(super) realtime: Option<Realtime>,
    pub(super) interpolate: bool,
    pub(super) history: bool,
    pub(super) first_frame: bool,
    pub(super) last_frame: bool,
}

pub(super) struct Realtime {
    /// Seconds of stream time.
    pub(super) interval: f64,
    pub(super) every_interval: bool,
    pub(super) first_immediately: bool,
}

impl Reporting {
    pub(super) fn new(s: &DetectorSettings) -> Self {
        let realtime = || Realtime {
            interval: s.realtime_post_interval,
            every_interval: s.realtime_post_every_interval,
            first_immediately: s.realtime_post_first_immediately,
        };
        Self {
            realtime: (!s.overall_only).then(realtime),
            interpolate: s.track_interpolate_bboxes,
            history: s.track_send_history,
            first_frame: s.post_first_track_frame,
            last_frame: s.post_last_track_frame,
        }
    }
}

/// A shot with the attributes that filters gave its detection.
#[derive(Clone)]
pub(super) struct AnnotatedShot {
    pub(super) shot: Shot,
    pub(super) attributes: Attributes,
}

/// Rule by which the best shot of a track is chosen. Of equals, the first one stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShotRule {
    /// The quality alone, which contained the size in release 0.1: its jobs replay as they ran.
    #[default]
    Quality,
    /// The [`preference`], to which the size counts.
    QualityAndSize,
}

impl ShotRule {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a detection is better than the best so far.
    pub(super) fn prefers(self, detection: &Detection, other: Option<&AnnotatedShot>) -> bool {
        other.is_none_or(|o| self.value(detection) > self.value(&o.shot.detection))
    }

    fn value(self, Detection { rect, quality, .. }: &Detection) -> f64 {
        match self {
            Self::Quality => f64::from(*quality),
            Self::QualityAndSize => preference(*quality, rect),
        }
    }
}

/// Window over which a realtime shot is chosen.
pub(super) struct Window {
    /// Stream time in seconds.
    pub(super) start: f64,
    pub(super) best: Option<AnnotatedShot>,
    /// The frame of the last post, and the greatest quality that was posted.
    pub(super) posted: Option<(u64, f32)>,
    /// Number of posts so far.
    pub(super) shots: u32,
}

/// Seconds of stream time within which a second look tells a mistake of the detector from an
/// object: a person walks their own width in that time (0.5 m at 1.4 m/s), and may be elsewhere
/// after it. What only one of the frames this close to each other shows is a mistake, unless it is
/// sure.
const SECOND_LOOK: f64 = 0.36;

/// Seconds for which something of the detector's least score has to be seen before it counts, if it
/// then vanishes in the middle of a scene; less for greater scores, and nothing from `sure` on. Of
/// patterns of a road or of foliage that a detector takes for an object, nearly all come and go
/// within half a second; what leaves through the edge of the frame had no more time.
const BRIEF: f64 = 0.7;
/// Share of the frame's side within which a box lies at its edge.
const EDGE: f32 = 0.005;

/// How often and for how long a track was seen.
#[derive(Clone, Copy, Default)]
struct Looks {
    /// Detections that are not weak, and the greatest score of them.
    count: u64,
    score: f32,
    /// Stream time of the first of these, in seconds, and seconds from there to the nearest frames
    /// of the scene, before and after; `None` without one.
    first: f64,
    before: Option<f64>,
    next: Option<f64>,
    /// Stream time of the last detection, weak or not, seconds from there to the frame of the scene
    /// after it, and whether it lies at an edge of the frame.
    last: f64,
    after: Option<f64>,
    at_edge: bool,
}

/// Why a track counts as a mistake of the detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// One of the frames close to each other shows it.
    SeenOnce,
    /// It vanished in the middle of a scene, too soon for its score.
    SeenBriefly,
}

/// One open track.
pub(super) struct Track {
    pub(super) first: Shot,
    pub(super) last: Shot,
    pub(super) detections: u64,
    /// Frames between detections that were filled with interpolated boxes.
    pub(super) interpolated: u64,
    looks: Looks,
    /// Empty where the settings do not ask for it.
    pub(super) history: Vec<TrackPoint>,
    /// The best shot so far of those that filters accepted.
    pub(super) best: Option<AnnotatedShot>,
    pub(super) window: Window,
    /// Embeddings of some of its detections.
    pub(super) samples: Vec<Sample>,
    /// The tracklet of its last detection, and those that replaced it since.
    tracklet: Option<TrackletId>,
    replaced_by: Vec<TrackletId>,
}

impl Track {
    pub(super) fn new(shot: &Shot) -> Self {
        let window = Window { start: shot.summary.time, best: None, posted: None, shots: 0 };
        Self {
            first: shot.clone(),
            last: shot.clone(),
            detections: 0,
            interpolated: 0,
            looks: Looks::default(),
            history: Vec::new(),
            best: None,
            window,
            samples: Vec::new(),
            tracklet: None,
            replaced_by: Vec::new(),
        }
    }

    /// Remembers that a tracklet was replaced, if the track is in it or was where it is.
    pub(super) fn note_replacement(&mut self, old: TrackletId, new: TrackletId) {
        if self.tracklet == Some(old) || self.replaced_by.contains(&old) {
            self.replaced_by.push(new);
        }
    }

    /// Whether this tracklet is of somebody else, who took the place of the track's last one.
    pub(super) fn is_replaced_by(&self, tracklet: TrackletId) -> bool {
        self.replaced_by.contains(&tracklet)
    }

    /// Goes on in the tracklet of the detection that was added.
    pub(super) fn follow(&mut self, tracklet: Option<TrackletId>) {
        if tracklet.is_some() {
            self.tracklet = tracklet;
            self.replaced_by.clear();
        }
    }

    /// A frame of the same scene is looked at.
    pub(super) fn look_again(&mut self, now: f64) {
        if self.looks.count > 0 {
            self.looks.next.get_or_insert(now - self.looks.first);
            self.looks.after.get_or_insert(now - self.looks.last);
        }
    }

    /// A detection that is not weak was added. `before`: stream time of the last frame of the scene
    /// before this one.
    pub(super) fn look(&mut self, now: &FrameInfo, before: Option<f64>, detection: &Detection) {
        if self.looks.count == 0 {
            (self.looks.first, self.looks.before) = (now.time, before.map(|before| now.time - before));
        }
        self.looks.count += 1;
        self.looks.score = self.looks.score.max(detection.score);
        self.see(now, detection);
    }

    /// A detection was added, weak or not.
    pub(super) fn see(&mut self, now: &FrameInfo, detection: &Detection) {
        let Rect { left, top, right, bottom } = detection.rect;
        let (width, height) = (now.size.width as f32, now.size.height as f32);
        let distances = [left / width, top / height, 1.0 - right / width, 1.0 - bottom / height];
        (self.looks.last, self.looks.after) = (now.time, None);
        self.looks.at_edge = distances.iter().any(|distance| *distance <= EDGE);
    }

    /// Why it is taken for a mistake of the detector, if it ends as it is now.
    pub(super) fn mistake(&self, scores: ScoreThresholds) -> Option<Mistake> {
        let Looks { count, before, next, after, at_edge, .. } = self.looks;
        let is_near = |frame: Option<f64>| frame.is_some_and(|seconds| seconds <= SECOND_LOOK);
        if self.is_seen_enough(scores) {
            None
        } else if count < 2 {
            (is_near(before) || is_near(next)).then_some(Mistake::SeenOnce)
        } else {
            // Who was told of it is told of its end.
            (is_near(after) && !at_edge && self.window.posted.is_none()).then_some(Mistake::SeenBriefly)
        }
    }

    /// Whether it is known, while it is open, that it was not only seen once. A realtime shot waits
    /// for no more than that.
    pub(super) fn is_confirmed(&self, scores: ScoreThresholds) -> bool {
        let Looks { count, score, next, .. } = self.looks;
        count > 1 || score >= scores.sure || (next.is_some() && self.mistake(scores).is_none())
    }

    /// Whether it is sure, or was seen more than once and for as long as its score asks.
    fn is_seen_enough(&self, ScoreThresholds { min, sure }: ScoreThresholds) -> bool {
        let Looks { count, score, first, last, .. } = self.looks;
        let missing = (sure - score) / (sure - min);
        score >= sure || (count > 1 && last - first >= BRIEF * f64::from(missing.clamp(0.0, 1.0)))
    }

    /// Adds a detection, and the boxes between it and the last one.
    pub(super) fn extend(&mut self, shot: Shot, reporting: &Reporting) {
        let gap = shot.summary.frame.saturating_sub(self.last.summary.frame);
        if reporting.interpolate {
            self.interpolated += gap.saturating_sub(1);
        }
        if reporting.history {
            if reporting.interpolate {
                self.history.extend((1..gap).map(|n| between(&self.last.summary, &shot.summary, n, gap)));
            }
            let ShotSummary { frame, time, timestamp, bbox, .. } = shot.summary;
            self.history.push(TrackPoint { frame, time, timestamp, bbox, interpolated: false });
        }
        self.last = shot;
        self.detections += 1;
    }
}

/// The box of frame `n` of `gap` between two detections, on the line between theirs.
fn between(a: &ShotSummary, b: &ShotSummary, n: u64, gap: u64) -> TrackPoint {
    let share = n as f64 / gap as f64;
    let (from, to) = (a.timestamp.as_microsecond(), b.timestamp.as_microsecond());
    let mut bbox = a.bbox;
    for (side, to) in bbox.iter_mut().zip(b.bbox) {
        *side += (f64::from(to - *side) * share).round() as i32;
    }
    TrackPoint {
        frame: a.frame + n,
        time: a.time + (b.time - a.time) * share,
        timestamp: Timestamp::from_microsecond(from + ((to - from) as f64 * share).round() as i64)
            .unwrap_or(a.timestamp),
        bbox,
        interpolated: true,
    }
}

pub(super) type Attributes = Vec<(String, String)>;

#[cfg(test)]
mod tests;
