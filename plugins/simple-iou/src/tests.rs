//! Covers: continuing and opening of tracks, motion, weak detections, closing, and states of this
//! version and of 0.1.0.

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
fn a_track_with_a_maximum_of_five_frames_ends_with_its_fifth() {
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
fn one_frame_per_second_at_fractional_times_does_not_split_a_track() {
    let mut tracker = tracker(Settings::default());
    for (index, time) in [(0, 1.2), (1, 2.2)] {
        assert_eq!(tracker.update(FrameInfo { time, ..frame(index) }, vec![at(0.0)]).unwrap().ids, [Some(1)]);
    }
}

#[test]
fn skipped_frames_do_not_extend_a_track_beyond_the_maximum() {
    let mut tracker = tracker(Settings { max_duration_frames: 5, ..Settings::default() });
    tracker.update(frame(0), vec![at(0.0)]).unwrap();
    assert_eq!(tracker.update(frame(7), vec![at(0.0)]).unwrap().ids, [Some(2)]);
}

/// A detection of a score of .1, which is weak in these tests.
fn weak(left: f32) -> Detection {
    Detection { score: 0.1, ..at(left) }
}

fn with_min_score() -> SimpleIou {
    tracker(Settings { min_score: 0.3, ..Settings::default() })
}

#[test]
fn a_moving_box_is_predicted() {
    // It moves by more than its width between detections once frames are missing.
    let mut tracker = tracker(Settings::default());
    for i in 0..10 {
        assert_eq!(tracker.update(frame(i), vec![at(4.0 * i as f32)]).unwrap().ids, [Some(1)]);
    }
    (10..14).for_each(|i| drop(tracker.update(frame(i), vec![])));
    assert_eq!(tracker.update(frame(14), vec![at(56.0)]).unwrap().ids, [Some(1)]);
}

#[test]
fn a_missed_track_continues_within_reach_of_its_motion() {
    let seen_again = |overlap_threshold: f32, left: f32| {
        let mut tracker = tracker(Settings { overlap_threshold, miss_interval: 3.0, ..Settings::default() });
        (0..10).for_each(|i| drop(tracker.update(frame(i), vec![at(3.0 * i as f32)]).unwrap()));
        (10..25).for_each(|i| drop(tracker.update(frame(i), vec![])));
        tracker.update(frame(25), vec![at(left)]).unwrap().ids
    };
    // Predicted at 75; this one overlaps it by a third.
    assert_eq!(seen_again(0.25, 70.0), [Some(1)]);
    assert_eq!(seen_again(0.25, 120.0), [Some(2)], "too far off");
    assert_eq!(seen_again(0.5, 70.0), [Some(2)], "more overlap is asked for");
}

#[test]
fn a_box_that_stops_suddenly_matches_its_last_position() {
    let mut tracker = tracker(Settings::default());
    for i in 0..30 {
        let left = 5.0 * i.min(20) as f32;
        assert_eq!(tracker.update(frame(i), vec![at(left)]).unwrap().ids, [Some(1)], "{i}");
    }
}

#[test]
fn motion_in_seconds_is_independent_of_the_frame_rate() {
    for every in [1, 2, 4] {
        let mut tracker = tracker(Settings { overlap_threshold: 0.2, ..Settings::default() });
        // 1.5 pixels in a tenth of a second.
        for i in (0..40).step_by(every) {
            let ids = tracker.update(frame(i), vec![at(1.5 * i as f32)]).unwrap().ids;
            assert_eq!(ids, [Some(1)], "{i} of each {every}th");
        }
        assert_eq!(tracker.update(frame(45), vec![at(67.5)]).unwrap().ids, [Some(1)], "each {every}th");
    }
}

#[test]
fn weak_detections_continue_a_track_and_open_none() {
    let mut tracker = with_min_score();
    assert_eq!(tracker.update(frame(0), vec![weak(0.0)]).unwrap().ids, [None]);
    assert_eq!(tracker.update(frame(1), vec![at(0.0)]).unwrap().ids, [Some(1)]);
    assert_eq!(tracker.update(frame(2), vec![weak(1.0), weak(50.0)]).unwrap().ids, [Some(1), None]);
    // Missed in one frame: a weak detection does not continue it any more.
    tracker.update(frame(3), vec![]).unwrap();
    assert_eq!(tracker.update(frame(4), vec![weak(1.0)]).unwrap().ids, [None]);
    assert_eq!(tracker.update(frame(5), vec![at(1.0)]).unwrap().ids, [Some(1)]);
}

#[test]
fn a_weak_detection_does_not_take_a_track_from_another() {
    let mut tracker = with_min_score();
    tracker.update(frame(0), vec![at(0.0)]).unwrap();
    assert_eq!(tracker.update(frame(1), vec![weak(0.0), at(3.0)]).unwrap().ids, [None, Some(1)]);
}

#[test]
fn a_recent_track_takes_precedence_over_a_missed_one() {
    let mut tracker = tracker(Settings::default());
    tracker.update(frame(0), vec![at(0.0), at(4.0)]).unwrap();
    (1..6).for_each(|i| drop(tracker.update(frame(i), vec![at(4.0)]).unwrap()));
    assert_eq!(tracker.update(frame(6), vec![at(1.9)]).unwrap().ids, [Some(2)]);
}

#[test]
fn a_track_that_was_missed_needs_more_overlap() {
    // An overlap of a third.
    for (missed, same) in [(0, true), (1, false)] {
        let mut tracker = tracker(Settings::default());
        (0..3).for_each(|i| drop(tracker.update(frame(i), vec![at(0.0)])));
        (3..3 + missed).for_each(|i| drop(tracker.update(frame(i), vec![])));
        let ids = tracker.update(frame(3 + missed), vec![at(5.0)]).unwrap().ids;
        assert_eq!(ids == [Some(1)], same, "{missed}");
    }
}

#[test]
fn with_an_interval_of_0_each_frame_starts_a_new_track() {
    let mut tracker = tracker(Settings { miss_interval: 0.0, ..Settings::default() });
    let ids: Vec<_> = (0..3).map(|i| tracker.update(frame(i), vec![at(0.0)]).unwrap().ids).collect();
    assert_eq!(ids, [[Some(1)], [Some(2)], [Some(3)]]);
}

#[test]
fn a_state_of_0_1_is_restored() {
    let bytes = br#"{"last_id":7,"open":{"4":{"first_frame":2,"time":0.8,"rect":[0.0,0.0,10.0,10.0],"detections":6},
        "7":{"first_frame":8,"time":0.9,"rect":[100.0,0.0,110.0,10.0],"detections":2}}}"#;
    let mut tracker = tracker(Settings { max_duration_frames: 9, ..Settings::default() });
    tracker.restore(State { schema_tag: "simple_iou/1".into(), bytes: bytes.to_vec() }).unwrap();
    let update = tracker.update(frame(10), vec![at(101.0), at(1.0), at(50.0)]).unwrap();
    assert_eq!(update, Update { ids: vec![Some(7), Some(4), Some(8)], closed: vec![4] });
}

#[test]
fn a_state_of_another_format_is_refused() {
    let mut tracker = tracker(Settings::default());
    assert!(tracker.restore(State { schema_tag: "deep_sort/1".into(), bytes: vec![] }).is_err());
    for schema_tag in [SCHEMA_TAG, SCHEMA_TAG_0_1] {
        assert!(tracker.restore(State { schema_tag: schema_tag.into(), bytes: b"{".to_vec() }).is_err());
    }
}

proptest! {
    #[test]
    fn ids_are_unique_and_a_restored_session_continues(
        frames in prop::collection::vec(prop::collection::vec((0f32..100.0, 0f32..1.0), 0..6), 1..30),
        cut in 0usize..30,
    ) {
        let settings = Settings { min_score: 0.3, miss_interval: 0.2, max_duration_frames: 8, ..Settings::default() };
        let (mut one, mut other) = (tracker(settings.clone()), tracker(settings.clone()));
        let mut closed: Vec<u64> = Vec::new();
        for (i, boxes) in frames.iter().enumerate() {
            if i == cut {
                let mut fresh = tracker(settings.clone());
                fresh.restore(other.snapshot()).unwrap();
                other = fresh;
            }
            let detections: Vec<_> =
                boxes.iter().map(|(left, score)| Detection { score: *score, ..at(*left) }).collect();
            let strong = boxes.iter().filter(|(_, score)| *score >= 0.3).count();
            let update = one.update(frame(i as u64), detections.clone()).unwrap();
            prop_assert_eq!(&update, &other.update(frame(i as u64), detections).unwrap());
            let mut ids: Vec<u64> = update.ids.iter().flatten().copied().collect();
            prop_assert!(ids.iter().all(|id| !closed.contains(id)), "a closed track went on");
            ids.sort_unstable();
            ids.dedup();
            prop_assert!(ids.len() >= strong, "one that is not weak is in no track");
            prop_assert_eq!(ids.len(), update.ids.iter().flatten().count(), "an id stands twice");
            closed.extend(update.closed);
        }
        closed.extend(one.finish());
        closed.sort_unstable();
        prop_assert_eq!(&closed, &(1..=closed.len() as u64).collect::<Vec<_>>(), "every track closes once");
    }
}
