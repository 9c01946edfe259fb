//! Covers: confirmation, motion, appearance, weak detections, closing, and states of this version
//! and of 0.1.0.

use ocellus_plugin::{Rect, Size};
use proptest::prelude::*;

use super::*;

const SIZE: Size = Size { width: 640, height: 480 };

fn tracker(settings: Settings) -> DeepSort {
    DeepSort::open(settings, StreamInfo { object_type: "body".into(), size: SIZE, frame_rate: None }).unwrap()
}

fn without_confirmation() -> Settings {
    Settings { filter_unconfirmed_tracks: false, ..Settings::default() }
}

/// A frame, at ten per second.
fn frame(index: u64) -> FrameInfo {
    FrameInfo { index, time: index as f64 / 10.0, size: SIZE, cut: false }
}

fn at(left: f32) -> Detection {
    let rect = Rect { left, top: 100.0, right: left + 40.0, bottom: 200.0 };
    Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None }
}

fn with_appearance(left: f32, appearance: [f32; 2]) -> Detection {
    Detection { appearance: Some(appearance.to_vec()), ..at(left) }
}

fn update(tracker: &mut DeepSort, index: u64, detections: Vec<Detection>) -> Update {
    tracker.update(frame(index), detections).unwrap()
}

const RED: [f32; 2] = [1.0, 0.0];
const BLUE: [f32; 2] = [0.0, 1.0];

#[test]
fn a_track_is_reported_from_its_third_frame_or_at_once() {
    let mut strict = tracker(Settings::default());
    let ids: Vec<_> = (0..4).map(|i| update(&mut strict, i, vec![at(0.0)]).ids[0]).collect();
    assert_eq!(ids, [None, None, Some(1), Some(1)]);
    let mut open = tracker(without_confirmation());
    let ids: Vec<_> = (0..4).map(|i| update(&mut open, i, vec![at(0.0)]).ids[0]).collect();
    assert_eq!(ids, [Some(1); 4]);
}

#[test]
fn a_track_of_one_frame_is_not_reported_or_closes_in_the_next() {
    let mut strict = tracker(Settings::default());
    for i in 0..20 {
        let detections = if i % 3 == 2 { vec![] } else { vec![at(0.0)] };
        assert_eq!(
            update(&mut strict, i, detections.clone()),
            Update { ids: vec![None; detections.len()], closed: vec![] }
        );
    }
    assert!(strict.finish().is_empty());
    let mut open = tracker(without_confirmation());
    update(&mut open, 0, vec![at(0.0)]);
    assert_eq!(update(&mut open, 1, vec![]).closed, [1]);
}

#[test]
fn one_sure_detection_confirms_a_track_where_unconfirmed_ones_are_reported() {
    for (score, filter_unconfirmed_tracks, ids) in
        [(0.65, false, [Some(1), Some(1)]), (0.64, false, [Some(1), Some(2)]), (0.65, true, [None, None])]
    {
        let mut tracker = tracker(Settings { min_score: 0.3, filter_unconfirmed_tracks, ..Settings::default() });
        let seen = || vec![Detection { score, ..at(0.0) }];
        let first = update(&mut tracker, 0, seen()).ids[0];
        update(&mut tracker, 1, vec![]);
        assert_eq!([first, update(&mut tracker, 2, seen()).ids[0]], ids, "{score}");
    }
}

#[test]
fn a_track_is_predicted_through_an_occlusion() {
    let mut tracker = tracker(Settings::default());
    for i in 0..10 {
        update(&mut tracker, i, vec![at(8.0 * i as f32)]);
    }
    // Missed for seven frames, in which it moves 64 pixels: more than the box is wide.
    (10..17).for_each(|i| assert_eq!(update(&mut tracker, i, vec![]).closed, [] as [u64; 0]));
    assert_eq!(update(&mut tracker, 17, vec![at(136.0)]).ids, [Some(1)]);
}

#[test]
fn appearance_keeps_two_tracks_apart_that_meet() {
    let mut tracker = tracker(Settings::default());
    let mut last = vec![];
    for i in 0..30 {
        // They turn back: by motion alone they would have crossed.
        let apart = 150.0 - 10.0 * i as f32;
        let (left, right) = (300.0 - apart.abs(), 300.0 + apart.abs());
        last = update(&mut tracker, i, vec![with_appearance(left, RED), with_appearance(right, BLUE)]).ids;
    }
    assert_eq!(last, [Some(1), Some(2)]);
}

#[test]
fn matches_need_the_least_similarity() {
    let alike = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
    // The cosine of 45 degrees is .707.
    for (matching_threshold, same) in [(0.6, true), (0.8, false)] {
        let mut tracker = tracker(Settings { matching_threshold, ..Settings::default() });
        (0..5).for_each(|i| drop(update(&mut tracker, i, vec![with_appearance(0.0, RED)])));
        // One frame is skipped, since in the next frame overlap would suffice.
        update(&mut tracker, 5, vec![]);
        let ids = update(&mut tracker, 6, vec![with_appearance(0.0, alike(45.0))]).ids;
        assert_eq!(ids, [same.then_some(1)], "{matching_threshold}");
    }
}

#[test]
fn a_box_that_jumps_behind_another_object_continues_the_track_of_its_appearance() {
    let seen_again = |left: f32, appearance| {
        let mut tracker = tracker(Settings::default());
        (0..9).for_each(|i| drop(update(&mut tracker, i, vec![with_appearance(0.0, RED)])));
        update(&mut tracker, 9, vec![]);
        update(&mut tracker, 10, vec![with_appearance(left, appearance)]).ids
    };
    // Beyond its motion: the boxes of 40 pixels hardly overlap.
    assert_eq!(seen_again(38.0, RED), [Some(1)]);
    assert_eq!(seen_again(38.0, BLUE), [None], "another one");
    assert_eq!(seen_again(70.0, RED), [None], "too far off");
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
    let mut tracker = tracker(without_confirmation());
    update(&mut tracker, 0, vec![at(0.0)]);
    let cut = FrameInfo { cut: true, ..frame(1) };
    assert_eq!(tracker.update(cut, vec![at(0.0)]).unwrap(), Update { ids: vec![Some(2)], closed: vec![1] });
}

#[test]
fn a_track_of_maximum_duration_continues_under_a_new_id() {
    let mut tracker = tracker(Settings { max_duration_frames: 5, ..Settings::default() });
    let updates: Vec<_> = (0..14).map(|i| update(&mut tracker, i, vec![at(4.0 * i as f32)])).collect();
    let ids: Vec<_> = updates.iter().map(|u| u.ids[0]).collect();
    let (one, two, three) = (Some(1), Some(2), Some(3));
    assert_eq!(ids, [None, None, one, one, one, one, one, two, two, two, two, two, three, three]);
    assert_eq!((&updates[6].closed, &updates[11].closed), (&vec![1], &vec![2]));
    assert_eq!(tracker.finish(), [3]);
}

#[test]
fn no_id_exceeds_the_maximum_duration_with_skipped_frames() {
    let mut tracker = tracker(Settings { max_duration_frames: 5, ..without_confirmation() });
    (0..3).for_each(|i| drop(update(&mut tracker, i, vec![at(0.0)])));
    assert_eq!(update(&mut tracker, 7, vec![at(0.0)]), Update { ids: vec![Some(2)], closed: vec![1] });
}

#[test]
fn weak_detections_continue_a_confirmed_track_and_start_none() {
    let weak = |left: f32| Detection { score: 0.1, ..at(left) };
    let mut tracker = tracker(Settings { min_score: 0.3, ..without_confirmation() });
    assert_eq!(update(&mut tracker, 0, vec![weak(0.0)]).ids, [None]);
    (1..4).for_each(|i| assert_eq!(update(&mut tracker, i, vec![at(0.0)]).ids, [Some(1)]));
    assert_eq!(update(&mut tracker, 4, vec![weak(2.0), weak(300.0)]).ids, [Some(1), None]);
    assert_eq!(update(&mut tracker, 5, vec![weak(2.0), at(4.0)]).ids, [None, Some(1)]);
}

#[test]
fn a_state_of_0_1_is_restored_with_zero_velocity() {
    let mut earlier = tracker(without_confirmation());
    (0..5).for_each(|i| {
        drop(update(&mut earlier, i, vec![with_appearance(8.0 * i as f32, RED), with_appearance(300.0, BLUE)]))
    });
    let Tracks { last_id, frame, open, .. } = earlier.tracks;
    let old = Tracks0_1 { last_id, frame, open: open.iter().map(Track0_1::from).collect() };
    let bytes = postcard::to_allocvec(&old).unwrap();
    let mut tracker = tracker(without_confirmation());
    tracker.restore(State { schema_tag: "deep_sort/1".into(), bytes }).unwrap();
    let update = update(
        &mut tracker,
        5,
        vec![with_appearance(300.0, BLUE), with_appearance(40.0, RED), with_appearance(150.0, BLUE)],
    );
    assert_eq!(update, Update { ids: vec![Some(2), Some(1), Some(3)], closed: vec![] });
}

#[test]
fn a_state_of_another_format_is_refused() {
    let mut tracker = tracker(Settings::default());
    assert!(tracker.restore(State { schema_tag: "simple_iou/1".into(), bytes: vec![] }).is_err());
    assert!(tracker.restore(State { schema_tag: SCHEMA_TAG.into(), bytes: vec![7] }).is_err());
}

fn detections() -> impl Strategy<Value = Vec<Detection>> {
    let look = prop::option::of((0.0f32..6.3).prop_map(|a| [a.cos(), a.sin()]));
    let detection = (0f32..300.0, look).prop_map(|(left, look)| look.map_or(at(left), |l| with_appearance(left, l)));
    prop::collection::vec(detection, 0..6)
}

proptest! {
    #[test]
    fn ids_rise_close_once_and_a_restored_session_continues(
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
    fn restoring_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut tracker = tracker(Settings::default());
        for tag in [SCHEMA_TAG, SCHEMA_TAG_0_1] {
            if tracker.restore(State { schema_tag: tag.into(), bytes: bytes.clone() }).is_ok() {
                let _ = tracker.update(frame(1_000_000), vec![with_appearance(0.0, RED)]);
            }
        }
    }
}
