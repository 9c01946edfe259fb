//! `simple_iou`: a tracker that associates boxes by their overlap (IoU).
//!
//! A detection continues the track whose last box it overlaps (intersection over union) by at least
//! `overlap_threshold`; among all such pairings of a frame the one with the greatest sum of
//! overlaps is taken. A detection that continues no track opens one. A track closes when nothing
//! was seen of it for more than `miss_interval` seconds of stream time, at a hard cut, or when it
//! has become `max_duration_frames` long; later detections of the same thing are a new track.

use std::{collections::BTreeMap, mem};

use ocellus_plugin::{
    Detection, FrameInfo, Manifest, Rect, State, StreamInfo, Tracker, Update,
    tracking::{self, Lifetime, Pair, Span, assign},
};
use serde::{Deserialize, Serialize};

/// As `MANIFEST.settings_schema` has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least intersection over union, 0 to 1. Boxes that do not overlap at all never match.
    pub overlap_threshold: f32,
    /// [`Lifetime::miss_interval`].
    pub miss_interval: f64,
    /// [`Lifetime::max_duration_frames`].
    pub max_duration_frames: u64,
    /// [`Lifetime::interpolate_bboxes`].
    pub interpolate_bboxes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { overlap_threshold: 0.25, miss_interval: 1.0, max_duration_frames: 0, interpolate_bboxes: true }
    }
}

impl Settings {
    fn lifetime(&self) -> Lifetime {
        let Self { miss_interval, max_duration_frames, interpolate_bboxes, .. } = *self;
        Lifetime { miss_interval, max_duration_frames, interpolate_bboxes }
    }
}

/// Names the form of [`Tracks`] as JSON.
const SCHEMA_TAG: &str = "simple_iou/1";

/// The state: what a snapshot holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tracks {
    /// The greatest id given so far.
    last_id: u64,
    open: BTreeMap<u64, Track>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Track {
    first_frame: u64,
    /// When it was last seen, and where.
    time: f64,
    rect: [f32; 4],
    detections: u64,
}

impl Track {
    fn rect(&self) -> tracking::Rect {
        let [left, top, right, bottom] = self.rect;
        tracking::Rect { left, top, right, bottom }
    }

    fn span(&self) -> Span {
        Span { first_frame: self.first_frame, detections: self.detections }
    }
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
        description: "Tracks boxes by their overlap from frame to frame.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "overlap_threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.25,
                    "description": "Least overlap (intersection over union) of boxes in consecutive frames that belong to one track."},
                "miss_interval": {"type": "number", "minimum": 0, "default": 1,
                    "description": "A track closes when nothing was seen of it for longer than this many seconds of stream time."},
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
        // After a cut, a box in the same place is something else.
        let mut closed = if frame.cut {
            self.finish()
        } else {
            self.tracks.close(|track| lifetime.is_missed(track.time, frame.time))
        };
        closed.extend(self.tracks.close(|track| lifetime.is_exceeded(track.span(), frame.index)));
        let ids = self.tracks.associate(&frame, &detections, self.settings.overlap_threshold);
        closed.extend(self.tracks.close(|track| lifetime.is_reached(track.span(), frame.index)));
        Ok(Update { ids: ids.into_iter().map(Some).collect(), closed })
    }

    fn finish(&mut self) -> Vec<u64> {
        mem::take(&mut self.tracks.open).into_keys().collect()
    }

    fn snapshot(&self) -> State {
        // Writing to memory cannot fail, and every key is a number; an empty state would be refused
        // by `restore`.
        State { schema_tag: SCHEMA_TAG.into(), bytes: serde_json::to_vec(&self.tracks).unwrap_or_default() }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        self.tracks =
            serde_json::from_slice(&state.bytes_of(SCHEMA_TAG)?).map_err(|e| format!("the state is damaged: {e}"))?;
        Ok(())
    }
}

impl Tracks {
    fn close(&mut self, over: impl Fn(&Track) -> bool) -> Vec<u64> {
        self.open.extract_if(.., |_, track| over(track)).map(|(id, _)| id).collect()
    }

    /// The track of each detection; a detection that continues none opens one.
    fn associate(&mut self, frame: &FrameInfo, detections: &[Detection], threshold: f32) -> Vec<u64> {
        let tracks: Vec<tracking::Rect> = self.open.values().map(Track::rect).collect();
        let mut pairs = Vec::new();
        for (row, detection) in detections.iter().enumerate() {
            let rect = tracking::Rect::from(detection.rect);
            for (column, track) in tracks.iter().enumerate() {
                let weight = rect.iou(track);
                if weight > 0.0 && weight >= threshold {
                    pairs.push(Pair { row, column, weight });
                }
            }
        }
        let known: Vec<u64> = self.open.keys().copied().collect();
        let matched = assign(detections.len(), known.len(), &pairs);

        let mut ids = Vec::with_capacity(detections.len());
        for (detection, column) in detections.iter().zip(matched) {
            let id = match column.and_then(|c| known.get(c)) {
                Some(id) => *id,
                None => {
                    self.last_id += 1;
                    self.last_id
                }
            };
            let track = self.open.entry(id).or_insert(Track {
                first_frame: frame.index,
                time: frame.time,
                rect: [0.0; 4],
                detections: 0,
            });
            track.time = frame.time;
            let Rect { left, top, right, bottom } = detection.rect;
            track.rect = [left, top, right, bottom];
            track.detections += 1;
            ids.push(id);
        }
        ids
    }
}

ocellus_plugin::register!(SimpleIou: Tracker);

#[cfg(test)]
mod tests {
    use ocellus_plugin::Size;
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { width: 640, height: 480 };

    fn tracker(settings: Settings) -> SimpleIou {
        SimpleIou::open(settings, StreamInfo { object_type: "face".into(), size: SIZE, frame_rate: None }).unwrap()
    }

    fn frame(index: u64) -> FrameInfo {
        FrameInfo { index, time: index as f64 / 10.0, size: SIZE, cut: false }
    }

    fn at(left: f32) -> Detection {
        let rect = Rect { left, top: 0.0, right: left + 10.0, bottom: 10.0 };
        Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None }
    }

    #[test]
    fn a_box_that_moves_slowly_is_one_track() {
        let mut tracker = tracker(Settings::default());
        for i in 0..50 {
            let update = tracker.update(frame(i), vec![at(i as f32), at(300.0 - i as f32)]).unwrap();
            assert_eq!(update, Update { ids: vec![Some(1), Some(2)], closed: vec![] });
        }
        assert_eq!(tracker.finish(), [1, 2]);
    }

    #[test]
    fn a_track_closes_when_it_was_missed_for_longer_than_the_interval() {
        let mut tracker = tracker(Settings { miss_interval: 0.5, ..Settings::default() });
        tracker.update(frame(0), vec![at(0.0)]).unwrap();
        assert_eq!(tracker.update(frame(5), vec![]).unwrap().closed, [] as [u64; 0]);
        assert_eq!(tracker.update(frame(6), vec![at(0.0)]).unwrap(), Update { ids: vec![Some(2)], closed: vec![1] });
    }

    #[test]
    fn every_track_closes_at_a_cut() {
        let mut tracker = tracker(Settings::default());
        tracker.update(frame(0), vec![at(0.0)]).unwrap();
        let cut = FrameInfo { cut: true, ..frame(1) };
        assert_eq!(tracker.update(cut, vec![at(0.0)]).unwrap(), Update { ids: vec![Some(2)], closed: vec![1] });
    }

    #[test]
    fn a_track_that_may_be_five_frames_long_ends_with_its_fifth_frame() {
        let mut tracker = tracker(Settings { max_duration_frames: 5, ..Settings::default() });
        let closed: Vec<_> = (0..7).map(|i| tracker.update(frame(i), vec![at(0.0)]).unwrap()).collect();
        assert_eq!(closed[4], Update { ids: vec![Some(1)], closed: vec![1] });
        assert_eq!(closed[5], Update { ids: vec![Some(2)], closed: vec![] });
    }

    #[test]
    fn frames_without_a_detection_count_only_when_boxes_are_interpolated() {
        for (interpolate_bboxes, expected) in [(true, vec![1]), (false, vec![])] {
            let mut tracker = tracker(Settings { max_duration_frames: 4, interpolate_bboxes, ..Settings::default() });
            tracker.update(frame(0), vec![at(0.0)]).unwrap();
            assert_eq!(tracker.update(frame(3), vec![at(0.0)]).unwrap().closed, expected);
        }
    }

    #[test]
    fn one_frame_a_second_off_the_whole_second_does_not_tear_a_track() {
        let mut tracker = tracker(Settings::default());
        for (index, time) in [(0, 1.2), (1, 2.2)] {
            assert_eq!(tracker.update(FrameInfo { time, ..frame(index) }, vec![at(0.0)]).unwrap().ids, [Some(1)]);
        }
    }

    #[test]
    fn skipped_frames_do_not_make_a_track_longer_than_it_may_be() {
        let mut tracker = tracker(Settings { max_duration_frames: 5, ..Settings::default() });
        tracker.update(frame(0), vec![at(0.0)]).unwrap();
        assert_eq!(tracker.update(frame(7), vec![at(0.0)]).unwrap().ids, [Some(2)]);
    }

    #[test]
    fn a_state_of_another_form_is_refused() {
        let mut tracker = tracker(Settings::default());
        assert!(tracker.restore(State { schema_tag: "deep_sort/1".into(), bytes: vec![] }).is_err());
        assert!(tracker.restore(State { schema_tag: SCHEMA_TAG.into(), bytes: b"{".to_vec() }).is_err());
    }

    proptest! {
        #[test]
        fn ids_are_unique_and_a_restored_session_goes_on_the_same(
            frames in proptest::collection::vec(proptest::collection::vec(0f32..100.0, 0..6), 1..30), cut in 0usize..30,
        ) {
            let settings = Settings { miss_interval: 0.2, max_duration_frames: 8, ..Settings::default() };
            let (mut one, mut other) = (tracker(settings.clone()), tracker(settings.clone()));
            let mut closed: Vec<u64> = Vec::new();
            for (i, boxes) in frames.iter().enumerate() {
                if i == cut {
                    let mut fresh = tracker(settings.clone());
                    fresh.restore(other.snapshot()).unwrap();
                    other = fresh;
                }
                let detections: Vec<_> = boxes.iter().map(|left| at(*left)).collect();
                let update = one.update(frame(i as u64), detections.clone()).unwrap();
                prop_assert_eq!(&update, &other.update(frame(i as u64), detections).unwrap());
                let mut ids: Vec<u64> = update.ids.iter().flatten().copied().collect();
                prop_assert!(ids.iter().all(|id| !closed.contains(id)), "a closed track went on");
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), boxes.len());
                closed.extend(update.closed);
            }
            closed.extend(one.finish());
            closed.sort_unstable();
            prop_assert_eq!(&closed, &(1..=closed.len() as u64).collect::<Vec<_>>(), "every track closes once");
        }
    }
}
