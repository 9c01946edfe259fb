//! Covers: when realtime shots are posted, what they show, and that none is posted twice.

use super::*;

#[test]
fn a_window_posts_once_the_stream_has_passed_its_end() {
    // Windows of half a second: frames 0 to 3, 4 to 7.
    let mut pipeline = pipeline(&realtime(0.5, true, false), vec![]);
    let posts = run(&mut pipeline, &[0.3, 0.4, 0.2, 0.1, 0.9, 0.5, 0.5, 0.5, 0.5].map(Some));
    // Frame 4 is at the end of the first window, and belongs to the second one.
    let expected =
        [timed_post(4, "7-2-face-1-1", 1), timed_post(8, "7-2-face-1-2", 4), timed_post(9, "7-2-face-1-0", 4)];
    assert_eq!(timed(posts), expected);
}

#[test]
fn windows_begin_with_the_track_and_follow_one_another_without_gaps() {
    let mut pipeline = pipeline(&realtime(0.5, true, false), vec![]);
    // The track begins with frame 1: its windows end at frames 5, 9, 13 and 17.
    let mut qualities = vec![None; 20];
    (qualities[1], qualities[11], qualities[14]) = (Some(0.5), Some(0.6), Some(0.4));
    let expected = [
        timed_post(5, "7-2-face-1-1", 1),
        timed_post(13, "7-2-face-1-2", 11),
        timed_post(17, "7-2-face-1-3", 14),
        timed_post(20, "7-2-face-1-0", 11),
    ];
    assert_eq!(timed(run(&mut pipeline, &qualities)), expected);
}

#[test]
fn without_every_interval_a_window_posts_only_a_shot_that_beats_all_posts_before() {
    let mut pipeline = pipeline(&realtime(0.25, false, false), vec![]);
    // Windows of two frames; the third equals what was posted, the fourth beats it.
    let posts = run(&mut pipeline, &[0.5, 0.4, 0.3, 0.2, 0.1, 0.5, 0.6, 0.1, 0.1].map(Some));
    let expected =
        [timed_post(2, "7-2-face-1-1", 0), timed_post(8, "7-2-face-1-2", 6), timed_post(9, "7-2-face-1-0", 6)];
    assert_eq!(timed(posts), expected);
}

#[test]
fn the_first_good_detection_is_posted_at_once_and_not_again_with_its_window() {
    let filters = vec![FakeFilter::new(Stage::Shots, Rule::MinQuality(0.3))];
    let mut pipeline = pipeline(&realtime(0.5, true, true), filters);
    let posts = run(&mut pipeline, &[0.1, 0.4, 0.3, 0.3, 0.1].map(Some));
    assert_eq!(timed(posts), [timed_post(1, "7-2-face-1-1", 1), timed_post(5, "7-2-face-1-0", 1)]);
}

#[test]
fn a_realtime_shot_is_reported_while_its_track_continues() {
    let settings =
        DetectorSettings { track_max_duration_frames: 100, track_send_history: true, ..realtime(0.5, true, false) };
    let mut pipeline = pipeline(&settings, vec![]);
    show(&mut pipeline, 0, &[(1, 0.5)]);
    show(&mut pipeline, 2, &[(1, 0.4)]);
    let events = show(&mut pipeline, 4, &[(1, 0.9)]);
    let [object] = objects(&events)[..] else { panic!("one object") };
    assert_eq!((object.bs_type, object.end_of_track), (BestShotType::Realtime, false));
    // As the track was before the frame that ended the window.
    assert_eq!((object.best.frame, object.last.frame, object.detections, object.interpolated), (0, 2, 2, 1));
    assert!(object.history.is_empty(), "only what a track ends with has its history");
}

#[test]
fn a_track_that_ends_within_a_window_posts_its_overall_shot_only() {
    let mut pipeline = pipeline(&realtime(0.5, true, false), vec![]);
    assert_eq!(timed(run(&mut pipeline, &[0.5, 0.6].map(Some))), [timed_post(2, "7-2-face-1-0", 1)]);
}

#[test]
fn with_an_interval_of_zero_every_frame_is_a_window() {
    let mut pipeline = pipeline(&realtime(0.0, true, false), vec![]);
    let expected =
        [timed_post(1, "7-2-face-1-1", 0), timed_post(2, "7-2-face-1-2", 1), timed_post(3, "7-2-face-1-0", 0)];
    assert_eq!(timed(run(&mut pipeline, &[Some(0.5), Some(0.4), None])), expected);
}

#[test]
fn realtime_shots_wait_until_their_track_is_long_enough() {
    let filters = vec![FakeFilter::new(Stage::Objects, Rule::MinLength(3))];
    let mut pipeline = pipeline(&realtime(10.0, false, true), filters);
    let posts = run(&mut pipeline, &[0.5, 0.4, 0.4, 0.4].map(Some));
    assert_eq!(timed(posts), [timed_post(2, "7-2-face-1-1", 0), timed_post(4, "7-2-face-1-0", 0)]);
}
