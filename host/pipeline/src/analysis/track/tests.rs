use ocellus_core::{Rect, SettingsSchema, Size};
use proptest::prelude::*;

use super::*;

fn shot(frame: u64, left: f32, quality: f32) -> Shot {
    let size = Size { width: 1000, height: 1000 };
    let time = frame as f64 / 25.0;
    let timestamp = Timestamp::from_microsecond((time * 1e6).round() as i64).unwrap();
    let now = Now { frame: FrameInfo { index: frame, time, size, cut: false }, timestamp, pixels: None };
    let rect = Rect { left, top: 10.0, right: left + 50.0, bottom: 60.0 };
    Shot::new(&now, &Detection { rect, score: 0.9, quality, landmarks: None, appearance: Vec::new() })
}

fn reporting(interpolate: bool) -> Reporting {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let (_, detector) = settings.active().next().unwrap();
    Reporting { interpolate, history: true, ..Reporting::new(detector) }
}

fn annotated(quality: f32) -> AnnotatedShot {
    AnnotatedShot { shot: shot(0, 0.0, quality), attributes: Vec::new() }
}

#[test]
fn only_a_better_detection_replaces_the_best() {
    let other = annotated(0.5);
    for rule in [ShotRule::Quality, ShotRule::QualityAndSize] {
        assert!(rule.prefers(&shot(1, 0.0, 0.1).detection, None));
        assert!(!rule.prefers(&shot(1, 0.0, 0.5).detection, Some(&other)));
        assert!(rule.prefers(&shot(1, 0.0, 0.6).detection, Some(&other)));
    }
}

#[test]
fn the_larger_of_equally_good_shots_is_the_best_and_a_much_better_one_beats_it() {
    let other = annotated(0.8);
    let wide = |width: f32, quality: f32| {
        let mut detection = shot(1, 0.0, quality).detection;
        detection.rect = Rect::new(0.0, 0.0, width, 100.0);
        detection
    };
    let prefers = |rule: ShotRule, detection: &Detection| rule.prefers(detection, Some(&other));
    let [larger, smaller, better, worse] =
        [(60.0, 0.8), (40.0, 0.8), (40.0, 0.9), (100.0, 0.6)].map(|(w, q)| wide(w, q));
    let both = [&larger, &smaller, &better, &worse].map(|d| prefers(ShotRule::QualityAndSize, d));
    assert_eq!(both, [true, false, true, false]);
    assert!(!prefers(ShotRule::Quality, &larger));
}

#[test]
fn boxes_times_and_timestamps_in_between_lie_on_the_line() {
    let (a, b) = (shot(10, 100.0, 0.5), shot(14, 120.0, 0.5));
    let mut track = Track::new(&a);
    track.extend(a, &reporting(true));
    track.extend(b, &reporting(true));
    let lefts: Vec<_> = track.history.iter().map(|point| (point.frame, point.bbox[0], point.interpolated)).collect();
    assert_eq!(lefts, [(10, 100, false), (11, 105, true), (12, 110, true), (13, 115, true), (14, 120, false)]);
    // 25 frames a second, and a clock that shows stream time.
    for point in &track.history {
        assert!((point.time - point.frame as f64 / 25.0).abs() < 1e-9, "{point:?}");
        assert_eq!(point.timestamp.as_microsecond(), point.frame as i64 * 40_000);
        assert_eq!(point.bbox[2] - point.bbox[0], 50, "a box that only moves keeps its size");
    }
}

#[test]
fn a_box_that_moves_back_is_interpolated_backwards() {
    let (a, b) = (shot(0, 100.0, 0.5), shot(2, 90.0, 0.5));
    let point = between(&a.summary, &b.summary, 1, 2);
    assert_eq!((point.frame, point.bbox), (1, [95, 10, 145, 60]));
}

#[test]
fn between_successive_frames_nothing_is_interpolated() {
    let mut track = Track::new(&shot(3, 0.0, 0.5));
    (3..6).for_each(|frame| track.extend(shot(frame, 0.0, 0.5), &reporting(true)));
    assert_eq!((track.detections, track.interpolated, track.history.len()), (3, 0, 3));
    assert_eq!((track.first.summary.frame, track.last.summary.frame), (3, 5));
}

#[test]
fn a_track_has_a_history_only_where_the_settings_require_it() {
    let quiet = Reporting { history: false, ..reporting(true) };
    let mut track = Track::new(&shot(0, 0.0, 0.5));
    [0, 4].into_iter().for_each(|frame| track.extend(shot(frame, 0.0, 0.5), &quiet));
    assert!(track.history.is_empty());
    assert_eq!(track.interpolated, 3, "still counted");
}

#[test]
fn realtime_settings_are_irrelevant_while_only_overall_shots_are_posted() {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let mut detector = settings.active().next().unwrap().1.clone();
    detector.realtime_post_every_interval = true;
    detector.overall_only = true;
    assert!(Reporting::new(&detector).realtime.is_none());
    detector.overall_only = false;
    let realtime = Reporting::new(&detector).realtime.unwrap();
    assert_eq!((realtime.interval, realtime.every_interval, realtime.first_immediately), (1.0, true, false));
}

proptest! {
    /// A track's history has a point for each frame where gaps are filled, and for each
    /// detection where they are not; in order, and between its neighbours.
    #[test]
    fn a_history_is_whole_and_in_order(
        gaps in prop::collection::vec(1_u64..9, 1..20),
        steps in prop::collection::vec(0.0_f32..40.0, 20),
        fill: bool,
    ) {
        let reporting = reporting(fill);
        let (mut frame, mut left) = (7, 3.0);
        let first = shot(frame, left, 0.5);
        let mut track = Track::new(&first);
        track.extend(first, &reporting);
        for (gap, step) in gaps.iter().zip(&steps) {
            frame += gap;
            left += step;
            track.extend(shot(frame, left, 0.5), &reporting);
        }
        let skipped: u64 = gaps.iter().map(|gap| gap - 1).sum();
        prop_assert_eq!(track.detections, gaps.len() as u64 + 1);
        prop_assert_eq!(track.interpolated, if fill { skipped } else { 0 });
        prop_assert_eq!(track.history.len() as u64, track.detections + track.interpolated);
        prop_assert!(track.history.is_sorted_by_key(|point| (point.frame, point.timestamp, point.bbox[0])));
        prop_assert_eq!(track.history.iter().filter(|point| point.interpolated).count() as u64, track.interpolated);
    }
}
