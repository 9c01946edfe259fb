//! Open track: its shots, its history, and its realtime window.

use std::sync::Arc;

use ocellus_core::{
    Detection, DetectorSettings, Rect, ScoreThresholds, ShotSummary, Size, Timestamp, TrackPoint, TrackletId,
};
use ocellus_runtime::{FrameInfo, Moment, Pixels};
use serde::{Deserialize, Serialize};

use crate::quality::preference;

use super::event::Sample;

/// The current frame.
pub(super) struct Now {
    pub(super) frame: FrameInfo,
    /// The timestamp that users see.
    pub(super) timestamp: Timestamp,
    pub(super) pixels: Option<Arc<dyn Pixels>>,
}

/// A detection with its frame and times.
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

/// Settings for the reports of tracks.
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

/// Rule by which the best shot of a track is chosen. The first of equals wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShotRule {
    /// Quality alone, which included the size in release 0.1: its jobs replay as they ran.
    #[default]
    Quality,
    /// The [`preference`], which includes the size.
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

/// Seconds of stream time within which another frame confirms an object: a person walks their own
/// width in that time (0.5 m at 1.4 m/s), and may be elsewhere later. A detection in only one of
/// several frames this close to each other is a mistake of the detector, unless its score is
/// `sure`.
const CONFIRM_WITHIN: f64 = 0.36;

/// Seconds for which an object of the detector's least score has to be visible, if it then vanishes
/// in the middle of a scene; less for greater scores, and none from `sure` on. Nearly all false
/// detections of road or foliage patterns vanish within half a second; objects that leave through
/// the edge of the frame had no more time.
const BRIEF: f64 = 0.7;
/// One in how many frames of a track at least shows its object, if no detection is sure. Detections
/// of reflections and road markings that a tracker joined over seconds are in a seventh of them.
const SHOWN: u64 = 4;
/// Distance of a box from the edge of the frame, as a share of the frame's side, up to which it is
/// at the edge.
const EDGE: f32 = 0.005;
/// Share of its side by which the inner side of a box at the edge has moved towards it, if the
/// object leaves: a detector locates a box that stands still to a twentieth of its size.
const LEAVING: f32 = 0.05;
/// Shares that make a box a part of a larger one: that of its area within it, and that of the
/// other's area that it has at least. A smaller one is another, distant object. Of 256 COCO
/// pictures it cuts a tenth of the wrong boxes of bodies, and loses one in a hundred of the others.
const WITHIN: f32 = 0.8;
const ALIKE: f32 = 0.25;

/// Whether a detection shows a part of what another one of its type and frame shows: a torso, a
/// bonnet. The overlap of the two is too small for non-maximum suppression.
pub(super) fn is_part(part: &Detection, of: &[Detection]) -> bool {
    let area = part.rect.area();
    of.iter().any(|whole| {
        let is_larger = whole.rect.area() > area && area > ALIKE * whole.rect.area();
        is_larger && whole.score > part.score && whole.rect.intersection(&part.rect).area() >= WITHIN * area
    })
}

/// How often and for how long a track was visible.
#[derive(Clone, Copy, Default)]
struct Sightings {
    /// Number of detections that are not weak, and their greatest score.
    count: u64,
    score: f32,
    /// Stream time of the first of these, in seconds, and seconds from there to the nearest frames
    /// of the scene, before and after; `None` without one.
    first: f64,
    before: Option<f64>,
    next: Option<f64>,
    /// Stream time of the last detection, weak or not, seconds from there to the frame of the scene
    /// after it, and whether it leaves the frame.
    last: f64,
    after: Option<f64>,
    is_leaving: bool,
    /// Number of detections that count and are parts of others ([`is_part`]).
    parts: u64,
    /// Number of frames of the scene from its first detection on.
    frames: u64,
    /// The same up to its last one.
    frames_to_last: u64,
}

/// Why a track is taken for a mistake of the detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// Only one of several frames close to each other shows it.
    SeenOnce,
    /// It vanished in the middle of a scene, too soon for its score.
    SeenBriefly,
    /// Mostly it was a part of another object, and never sure.
    Part,
    /// Few of the frames show it, and none surely.
    SeenRarely,
}

/// One open track.
pub(super) struct Track {
    pub(super) first: Shot,
    pub(super) last: Shot,
    pub(super) detections: u64,
    /// Frames between detections that were filled with interpolated boxes.
    pub(super) interpolated: u64,
    sightings: Sightings,
    /// Empty unless the settings require it.
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
            sightings: Sightings::default(),
            history: Vec::new(),
            best: None,
            window,
            samples: Vec::new(),
            tracklet: None,
            replaced_by: Vec::new(),
        }
    }

    /// Records that a tracklet was replaced, if it is the track's or itself replaced that.
    pub(super) fn note_replacement(&mut self, old: TrackletId, new: TrackletId) {
        if self.tracklet == Some(old) || self.replaced_by.contains(&old) {
            self.replaced_by.push(new);
        }
    }

    /// Whether this tracklet shows another individual, in place of the track's last tracklet.
    pub(super) fn is_replaced_by(&self, tracklet: TrackletId) -> bool {
        self.replaced_by.contains(&tracklet)
    }

    /// Continues in the tracklet of the detection that was added.
    pub(super) fn follow(&mut self, tracklet: Option<TrackletId>) {
        if tracklet.is_some() {
            self.tracklet = tracklet;
            self.replaced_by.clear();
        }
    }

    /// Records a frame of the same scene.
    pub(super) fn note_frame(&mut self, now: f64) {
        if self.sightings.count > 0 {
            self.sightings.frames += 1;
            self.sightings.next.get_or_insert(now - self.sightings.first);
            self.sightings.after.get_or_insert(now - self.sightings.last);
        }
    }

    /// Records a detection that is not weak. `before`: stream time of the last frame of the scene
    /// before this one; `is_part`: whether it is a part of another one.
    pub(super) fn note_detection(
        &mut self,
        now: &FrameInfo,
        before: Option<f64>,
        detection: &Detection,
        is_part: bool,
    ) {
        if self.sightings.count == 0 {
            (self.sightings.first, self.sightings.before) = (now.time, before.map(|before| now.time - before));
        }
        self.sightings.count += 1;
        self.sightings.parts += u64::from(is_part);
        self.sightings.score = self.sightings.score.max(detection.score);
        self.note_position(now, detection);
    }

    /// Records time and place of a detection, weak or not.
    pub(super) fn note_position(&mut self, now: &FrameInfo, detection: &Detection) {
        (self.sightings.last, self.sightings.after) = (now.time, None);
        self.sightings.frames_to_last = self.sightings.frames;
        self.sightings.is_leaving = is_leaving(&self.first.detection.rect, &detection.rect, now.size);
    }

    /// Why the track is a mistake of the detector, if it ends now.
    pub(super) fn mistake(&self, scores: ScoreThresholds) -> Option<Mistake> {
        let Sightings { count, score, before, next, after, is_leaving, parts, frames_to_last, .. } = self.sightings;
        let is_near = |frame: Option<f64>| frame.is_some_and(|seconds| seconds <= CONFIRM_WITHIN);
        // A receiver of a realtime shot also gets the end of the track.
        let is_posted = self.window.posted.is_some();
        if score < scores.sure && 2 * parts > count && !is_posted {
            Some(Mistake::Part)
        } else if score < scores.sure && SHOWN * self.detections <= frames_to_last && !is_posted {
            Some(Mistake::SeenRarely)
        } else if self.is_seen_enough(scores) {
            None
        } else if count < 2 {
            (is_near(before) || is_near(next)).then_some(Mistake::SeenOnce)
        } else {
            (is_near(after) && !is_leaving && !is_posted).then_some(Mistake::SeenBriefly)
        }
    }

    /// Whether an open track is known not to be seen only once. A realtime shot waits for no more
    /// than that.
    pub(super) fn is_confirmed(&self, scores: ScoreThresholds) -> bool {
        let Sightings { count, score, next, .. } = self.sightings;
        count > 1 || score >= scores.sure || (next.is_some() && self.mistake(scores).is_none())
    }

    /// Whether its score is sure, or it was visible more than once and long enough for its score.
    fn is_seen_enough(&self, ScoreThresholds { min, sure }: ScoreThresholds) -> bool {
        let Sightings { count, score, first, last, .. } = self.sightings;
        let missing = (sure - score) / (sure - min);
        score >= sure || (count > 1 && last - first >= BRIEF * f64::from(missing.clamp(0.0, 1.0)))
    }

    /// Adds a detection, and interpolated boxes between it and the last one.
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

/// Whether an object that was first at one place leaves the frame at another: its box ends at an
/// edge, and its inner side has moved there.
fn is_leaving(first: &Rect, last: &Rect, frame: Size) -> bool {
    let (width, height) = (frame.width as f32, frame.height as f32);
    // For each edge: the distance from it, and the way of the inner side towards it, in shares.
    let edges = [
        (last.left / width, (first.right - last.right) / last.width()),
        (last.top / height, (first.bottom - last.bottom) / last.height()),
        (1.0 - last.right / width, (last.left - first.left) / last.width()),
        (1.0 - last.bottom / height, (last.top - first.top) / last.height()),
    ];
    edges.iter().any(|(distance, way)| *distance <= EDGE && *way >= LEAVING)
}

/// The box of frame `n` of `gap` between two detections, interpolated linearly.
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
