//! `deep_sort`: a tracker that associates boxes by predicted motion and by appearance.
//!
//! From the papers SORT (Bewley et al. 2016) and DeepSORT (Wojke et al. 2017). A Kalman filter says
//! where each track is expected. A detection near enough (Mahalanobis distance within
//! [`tracking::GATE`]) whose appearance has a cosine similarity of at least `matching_threshold` to
//! one of the track's last [`gallery::CAPACITY`] continues it; tracks that were seen more recently
//! choose first (the matching cascade). The remaining detections are matched by their overlap with
//! the expected boxes, for tracks that were seen in the frame before or are not confirmed yet. A
//! track is confirmed when it was seen in three consecutive frames; before that, one frame without
//! it ends it.
//!
//! Where detections have no appearance descriptor, motion decides alone: overlap with the expected
//! box, for tracks of any age.
//!
//! A track closes when nothing was seen of it for more than `miss_interval` seconds of stream time,
//! at a hard cut, or when it has become `max_duration_frames` long. After that last one it goes on
//! under a new id, with all that is known of it.

mod gallery;
mod matching;
mod track;

#[cfg(doc)]
use ocellus_plugin::tracking;
use ocellus_plugin::{Detection, FrameInfo, Manifest, State, StreamInfo, Tracker, Update, tracking::Lifetime};
use serde::{Deserialize, Serialize};

use crate::{gallery::Budget, matching::associate, track::Track};

/// As `MANIFEST.settings_schema` has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least intersection over union with the expected box, 0 to 1. Boxes that do not overlap at
    /// all never match.
    pub overlap_threshold: f32,
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
            miss_interval: 1.0,
            max_duration_frames: 0,
            interpolate_bboxes: true,
            matching_threshold: 0.65,
            filter_unconfirmed_tracks: true,
        }
    }
}

impl Settings {
    fn lifetime(&self) -> Lifetime {
        let Self { miss_interval, max_duration_frames, interpolate_bboxes, .. } = *self;
        Lifetime { miss_interval, max_duration_frames, interpolate_bboxes }
    }
}

/// Names the form of [`Tracks`] as postcard.
const SCHEMA_TAG: &str = "deep_sort/1";
/// Consecutive frames in which a track has to be seen before it counts.
const CONFIRMED_AFTER: u32 = 3;

/// The state: what a snapshot holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tracks {
    /// The greatest id given so far.
    last_id: u64,
    /// The frame that the filters' predictions are for.
    frame: u64,
    /// In the order in which they began.
    open: Vec<Track>,
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
        description: "Tracks boxes by where they are heading and what they look like.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "overlap_threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.25,
                    "description": "Least overlap (intersection over union) of a box with where its track is expected."},
                "miss_interval": {"type": "number", "minimum": 0, "default": 1,
                    "description": "A track closes when nothing was seen of it for longer than this many seconds of stream time."},
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
        // After a cut, a box in the same place is something else.
        let mut closed = if frame.cut { self.tracks.finish() } else { Vec::new() };
        let step = self.tracks.advance(&frame, &lifetime, &mut closed);

        let matched = associate(&self.tracks.open, &detections, frame.index, step, settings);
        let mut ids = Vec::with_capacity(detections.len());
        for (detection, place) in detections.iter().zip(matched) {
            let track = match place.and_then(|p| self.tracks.open.get_mut(p)) {
                Some(track) => {
                    track.seen(detection, &frame);
                    track
                }
                None => self.tracks.open.push_mut(Track::new(detection, &frame)),
            };
            if track.id.is_none() && (track.is_confirmed() || !settings.filter_unconfirmed_tracks) {
                self.tracks.last_id += 1;
                track.begin(self.tracks.last_id, frame.index);
            }
            track.detections += 1;
            ids.push(track.id);
        }
        self.tracks.open.retain_mut(|track| {
            // Not confirmed and not seen again: a false detection.
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
        self.tracks =
            postcard::from_bytes(&state.bytes_of(SCHEMA_TAG)?).map_err(|e| format!("the state is damaged: {e}"))?;
        Ok(())
    }
}

impl Tracks {
    fn finish(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.open).into_iter().filter_map(|track| track.id).collect()
    }

    /// Goes on to this frame: predicts every track and closes those that are over. How many frames
    /// it is after the one before.
    fn advance(&mut self, frame: &FrameInfo, lifetime: &Lifetime, closed: &mut Vec<u64>) -> u64 {
        let step = frame.index.saturating_sub(self.frame);
        self.frame = frame.index;
        self.open.retain_mut(|track| {
            if lifetime.is_missed(track.time, frame.time) {
                closed.extend(track.id);
                return false;
            }
            if lifetime.is_exceeded(track.span(), frame.index) {
                closed.extend(track.id.take());
            }
            track.predict(step);
            true
        });
        step
    }
}

ocellus_plugin::register!(DeepSort: Tracker);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Rect, Size};
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { width: 640, height: 480 };

    fn tracker(settings: Settings) -> DeepSort {
        DeepSort::open(settings, StreamInfo { object_type: "body".into(), size: SIZE, frame_rate: None }).unwrap()
    }

    fn at_once() -> Settings {
        Settings { filter_unconfirmed_tracks: false, ..Settings::default() }
    }

    /// Ten frames a second.
    fn frame(index: u64) -> FrameInfo {
        FrameInfo { index, time: index as f64 / 10.0, size: SIZE, cut: false }
    }

    fn at(left: f32) -> Detection {
        let rect = Rect { left, top: 100.0, right: left + 40.0, bottom: 200.0 };
        Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None }
    }

    fn looking(left: f32, appearance: [f32; 2]) -> Detection {
        Detection { appearance: Some(appearance.to_vec()), ..at(left) }
    }

    fn update(tracker: &mut DeepSort, index: u64, detections: Vec<Detection>) -> Update {
        tracker.update(frame(index), detections).unwrap()
    }

    const RED: [f32; 2] = [1.0, 0.0];
    const BLUE: [f32; 2] = [0.0, 1.0];

    #[test]
    fn a_track_counts_from_its_third_frame_or_at_once() {
        let mut strict = tracker(Settings::default());
        let ids: Vec<_> = (0..4).map(|i| update(&mut strict, i, vec![at(0.0)]).ids[0]).collect();
        assert_eq!(ids, [None, None, Some(1), Some(1)]);
        let mut open = tracker(at_once());
        let ids: Vec<_> = (0..4).map(|i| update(&mut open, i, vec![at(0.0)]).ids[0]).collect();
        assert_eq!(ids, [Some(1); 4]);
    }

    #[test]
    fn a_track_of_one_frame_does_not_count_or_closes_with_the_next_frame() {
        let mut strict = tracker(Settings::default());
        for i in 0..20 {
            let detections = if i % 3 == 2 { vec![] } else { vec![at(0.0)] };
            assert_eq!(
                update(&mut strict, i, detections.clone()),
                Update { ids: vec![None; detections.len()], closed: vec![] }
            );
        }
        assert!(strict.finish().is_empty());
        let mut open = tracker(at_once());
        update(&mut open, 0, vec![at(0.0)]);
        assert_eq!(update(&mut open, 1, vec![]).closed, [1]);
    }

    #[test]
    fn a_track_behind_an_obstacle_is_expected_on_the_other_side() {
        let mut tracker = tracker(Settings::default());
        for i in 0..10 {
            update(&mut tracker, i, vec![at(8.0 * i as f32)]);
        }
        // Seven frames out of sight and 64 pixels further: more than the box is wide.
        (10..17).for_each(|i| assert_eq!(update(&mut tracker, i, vec![]).closed, [] as [u64; 0]));
        assert_eq!(update(&mut tracker, 17, vec![at(136.0)]).ids, [Some(1)]);
    }

    #[test]
    fn two_tracks_that_meet_are_kept_apart_by_appearance() {
        let mut tracker = tracker(Settings::default());
        let mut last = vec![];
        for i in 0..30 {
            // They bounce off each other: by motion alone they would have passed.
            let apart = 150.0 - 10.0 * i as f32;
            let (left, right) = (300.0 - apart.abs(), 300.0 + apart.abs());
            last = update(&mut tracker, i, vec![looking(left, RED), looking(right, BLUE)]).ids;
        }
        assert_eq!(last, [Some(1), Some(2)]);
    }

    #[test]
    fn the_threshold_is_a_floor_of_similarity() {
        let alike = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
        // The cosine of 45 degrees is .707.
        for (matching_threshold, same) in [(0.6, true), (0.8, false)] {
            let mut tracker = tracker(Settings { matching_threshold, ..Settings::default() });
            (0..5).for_each(|i| drop(update(&mut tracker, i, vec![looking(0.0, RED)])));
            // Not the frame after, in which overlap would do.
            update(&mut tracker, 5, vec![]);
            let ids = update(&mut tracker, 6, vec![looking(0.0, alike(45.0))]).ids;
            assert_eq!(ids, [same.then_some(1)], "{matching_threshold}");
        }
    }

    #[test]
    fn a_track_closes_when_it_was_missed_for_longer_than_the_interval() {
        let mut tracker = tracker(Settings { miss_interval: 0.5, ..Settings::default() });
        (0..3).for_each(|i| drop(update(&mut tracker, i, vec![at(0.0)])));
        assert!(update(&mut tracker, 7, vec![]).closed.is_empty());
        assert_eq!(update(&mut tracker, 8, vec![at(0.0)]), Update { ids: vec![None], closed: vec![1] });
    }

    #[test]
    fn every_track_closes_at_a_cut() {
        let mut tracker = tracker(at_once());
        update(&mut tracker, 0, vec![at(0.0)]);
        let cut = FrameInfo { cut: true, ..frame(1) };
        assert_eq!(tracker.update(cut, vec![at(0.0)]).unwrap(), Update { ids: vec![Some(2)], closed: vec![1] });
    }

    #[test]
    fn a_track_that_is_long_enough_goes_on_under_a_new_id() {
        let mut tracker = tracker(Settings { max_duration_frames: 5, ..Settings::default() });
        let updates: Vec<_> = (0..14).map(|i| update(&mut tracker, i, vec![at(4.0 * i as f32)])).collect();
        let ids: Vec<_> = updates.iter().map(|u| u.ids[0]).collect();
        let (one, two, three) = (Some(1), Some(2), Some(3));
        assert_eq!(ids, [None, None, one, one, one, one, one, two, two, two, two, two, three, three]);
        assert_eq!((&updates[6].closed, &updates[11].closed), (&vec![1], &vec![2]));
        assert_eq!(tracker.finish(), [3]);
    }

    #[test]
    fn no_id_is_longer_than_it_may_be_even_where_frames_were_skipped() {
        let mut tracker = tracker(Settings { max_duration_frames: 5, ..at_once() });
        (0..3).for_each(|i| drop(update(&mut tracker, i, vec![at(0.0)])));
        assert_eq!(update(&mut tracker, 7, vec![at(0.0)]), Update { ids: vec![Some(2)], closed: vec![1] });
    }

    #[test]
    fn a_state_of_another_form_is_refused() {
        let mut tracker = tracker(Settings::default());
        assert!(tracker.restore(State { schema_tag: "simple_iou/1".into(), bytes: vec![] }).is_err());
        assert!(tracker.restore(State { schema_tag: SCHEMA_TAG.into(), bytes: vec![7] }).is_err());
    }

    fn detections() -> impl Strategy<Value = Vec<Detection>> {
        let look = prop::option::of((0.0f32..6.3).prop_map(|a| [a.cos(), a.sin()]));
        let detection = (0f32..300.0, look).prop_map(|(left, look)| look.map_or(at(left), |l| looking(left, l)));
        prop::collection::vec(detection, 0..6)
    }

    proptest! {
        #[test]
        fn ids_rise_close_once_and_a_restored_session_goes_on_the_same(
            frames in prop::collection::vec((1u64..4, detections()), 1..40),
            cut in 0usize..40,
            filter_unconfirmed_tracks: bool,
            interpolate_bboxes: bool,
        ) {
            let limits = Settings { miss_interval: 0.4, max_duration_frames: 8, ..Settings::default() };
            let settings = Settings { filter_unconfirmed_tracks, interpolate_bboxes, ..limits };
            let (mut one, mut other) = (tracker(settings.clone()), tracker(settings.clone()));
            let (mut closed, mut greatest, mut index) = (Vec::<u64>::new(), 0, 0);
            for (i, (step, detections)) in frames.into_iter().enumerate() {
                if i == cut {
                    let mut fresh = tracker(settings.clone());
                    fresh.restore(other.snapshot()).unwrap();
                    prop_assert_eq!(fresh.snapshot().bytes, other.snapshot().bytes);
                    other = fresh;
                }
                index += step;
                let count = detections.len();
                let update = one.update(frame(index), detections.clone()).unwrap();
                prop_assert_eq!(&update, &other.update(frame(index), detections).unwrap());
                prop_assert_eq!(update.ids.len(), count);
                let mut ids: Vec<u64> = update.ids.iter().flatten().copied().collect();
                prop_assert!(ids.iter().all(|id| !closed.contains(id)), "a closed track went on");
                let before = greatest;
                greatest = ids.iter().copied().fold(greatest, u64::max);
                ids.sort_unstable();
                prop_assert!(ids.windows(2).all(|w| w[0] != w[1]), "an id stands twice");
                let new = ids.iter().filter(|id| **id > before).count() as u64;
                prop_assert_eq!(greatest, before + new);
                closed.extend(update.closed);
            }
            closed.extend(one.finish());
            closed.sort_unstable();
            prop_assert_eq!(&closed, &(1..=greatest).collect::<Vec<_>>(), "every track closes once");
        }

        #[test]
        fn bytes_that_are_no_state_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut tracker = tracker(Settings::default());
            if tracker.restore(State { schema_tag: SCHEMA_TAG.into(), bytes }).is_ok() {
                let _ = tracker.update(frame(1_000_000), vec![looking(0.0, RED)]);
            }
        }
    }
}
