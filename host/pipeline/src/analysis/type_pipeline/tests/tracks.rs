//! Covers: the report of a track, its ids, its history, cuts, gaps, and the end of the stream.

use super::*;

#[test]
fn an_object_has_the_moments_and_counts_of_its_track() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    for (index, quality) in [(3, 0.2), (4, 0.9), (8, 0.4)] {
        show(&mut pipeline, index, &[(1, quality)]);
    }
    let events = finish(&mut pipeline);
    let [object] = objects(&events)[..] else { panic!("one object") };
    assert_eq!((object.first.frame, object.best.frame, object.last.frame), (3, 4, 8));
    assert_eq!((object.detections, object.interpolated), (3, 3));
    assert_eq!((object.bs_type, object.end_of_track), (BestShotType::Overall, true));
    assert_eq!((object.best.time, object.best.quality, object.best.bbox), (0.5, 0.9, [60, 10, 110, 60]));
    assert_eq!(object.best.timestamp.as_microsecond(), 500_000);
    assert!(object.history.is_empty(), "the settings do not require it");
}

#[test]
fn a_track_below_the_least_length_is_dropped_with_a_reason() {
    let filters = vec![FakeFilter::new(Stage::Objects, Rule::MinLength(4))];
    let mut pipeline = pipeline(&defaults(), filters);
    pipeline.recorder.is_enabled = true;
    // Track 1 has three frames, track 2 four of which one holds no detection.
    show(&mut pipeline, 0, &[(1, 0.5), (2, 0.5)]);
    show(&mut pipeline, 1, &[(2, 0.5)]);
    show(&mut pipeline, 2, &[(1, 0.6)]);
    show(&mut pipeline, 3, &[(2, 0.5)]);
    let events = finish(&mut pipeline);
    let [Event::Decision(decision), Event::Dropped((_, TrackId(1))), Event::Object(object)] = &events[..] else {
        panic!("{} events", events.len())
    };
    assert_eq!((decision.stage, decision.track_id, decision.frame), (DecisionStage::Objects, Some(TrackId(1)), 2));
    assert_eq!((decision.rule.as_str(), decision.value.as_str()), ("length", "3"));
    assert_eq!(object.id.to_string(), "7-2-face-2-0");
}

#[test]
fn filters_of_objects_see_the_moments_of_the_track() {
    let filters = vec![FakeFilter::new(Stage::Objects, Rule::MinLength(0))];
    let mut pipeline = pipeline(&realtime(0.5, true, false), filters);
    for (index, quality) in [(0, 0.5), (1, 0.6), (4, 0.2)] {
        show(&mut pipeline, index, &[(1, quality)]);
    }
    finish(&mut pipeline);
    let frames = |o: &Object| {
        let at = |m: &Moment| (m.frame, m.time == m.frame as f64 / RATE);
        (o.track, [at(&o.first), at(&o.best), at(&o.last)].map(|(frame, timed)| if timed { frame } else { u64::MAX }))
    };
    let asked: Vec<_> = pipeline.filters[0].objects.iter().map(|o| (frames(o), o.detections, o.end_of_track)).collect();
    assert_eq!(asked, [((TrackId(1), [0, 1, 1]), 2, false), ((TrackId(1), [0, 1, 4]), 3, true)]);
}

#[test]
fn at_a_cut_the_earlier_tracks_are_reported_in_that_frame() {
    let mut pipeline = pipeline(&realtime(0.5, true, false), vec![]);
    show(&mut pipeline, 0, &[(1, 0.9)]);
    show(&mut pipeline, 1, &[(1, 0.5)]);
    let at_cut = show_frame(&mut pipeline, 2, true, &[detection(Some(2), 0.3)]);
    assert_eq!(posts(&at_cut), [post("7-2-face-1-0", 0)]);
    assert_eq!(objects(&at_cut)[0].last.frame, 1, "detections after the cut are not of the track before it");
    assert_eq!(pipeline.tracker.shown.iter().map(|f| f.cut).collect::<Vec<_>>(), [false, false, true]);
    // The window of the new track begins with it.
    assert_eq!(posts(&show(&mut pipeline, 5, &[(2, 0.1)])), []);
    assert_eq!(posts(&show(&mut pipeline, 6, &[(2, 0.1)])), [post("7-2-face-2-1", 2)]);
}

#[test]
fn a_track_may_end_with_a_detection_of_the_same_frame() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    pipeline.tracker.closes = vec![(1, 1)];
    show(&mut pipeline, 0, &[(1, 0.3)]);
    let events = show(&mut pipeline, 1, &[(1, 0.6)]);
    let [object] = objects(&events)[..] else { panic!("one object") };
    assert_eq!((object.best.frame, object.last.frame, object.detections), (1, 1, 2));
    // The best frame is retained before the object is reported.
    assert!(matches!(events[..], [Event::Keep(_, Role::Best), Event::Object(_)]));
}

#[test]
fn a_track_ended_for_its_length_continues_as_another() {
    let mut pipeline = pipeline(&realtime(0.5, false, false), vec![]);
    pipeline.tracker.closes = vec![(2, 1)];
    let ids = [1, 1, 1, 2, 2];
    let events: Vec<_> =
        ids.iter().enumerate().flat_map(|(n, id)| show(&mut pipeline, n as u64, &[(*id, 0.5)])).collect();
    assert_eq!(posts(&events), [post("7-2-face-1-0", 0)]);
    // The first track does not affect the posts of the second.
    assert_eq!(posts(&show(&mut pipeline, 7, &[])), [post("7-2-face-2-1", 3)]);
    assert_eq!(posts(&finish(&mut pipeline)), [post("7-2-face-2-0", 3)]);
}

#[test]
fn a_track_without_a_detection_gives_no_events() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    pipeline.tracker.open.insert(TrackId(3));
    assert!(finish(&mut pipeline).is_empty());
    assert_eq!(pipeline.last, TrackId(3), "its number is not reused");
}

#[test]
fn after_a_gap_track_numbers_continue() {
    let mut pipeline = pipeline(&realtime(0.5, true, true), vec![]);
    (pipeline.base, pipeline.last) = (TrackId(5), TrackId(5));
    assert_eq!(posts(&show(&mut pipeline, 40, &[(1, 0.5)])), [post("7-2-face-6-1", 40)]);
    assert_eq!(posts(&finish(&mut pipeline)), [post("7-2-face-6-0", 40)]);
    assert_eq!(pipeline.last, TrackId(6));
}

#[test]
fn the_end_of_the_stream_reports_open_tracks_once() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    show(&mut pipeline, 0, &[(2, 0.5), (1, 0.5), (3, 0.5)]);
    let ended = posts(&finish(&mut pipeline));
    assert_eq!(ended, [post("7-2-face-1-0", 0), post("7-2-face-2-0", 0), post("7-2-face-3-0", 0)]);
    assert!(finish(&mut pipeline).is_empty());
}

#[test]
fn a_history_has_a_point_for_each_frame_or_for_each_detection() {
    for interpolate in [true, false] {
        let settings = DetectorSettings {
            track_max_duration_frames: 100,
            track_send_history: true,
            track_interpolate_bboxes: interpolate,
            ..defaults()
        };
        let mut pipeline = pipeline(&settings, vec![]);
        show(&mut pipeline, 10, &[(1, 0.5)]);
        show(&mut pipeline, 13, &[(1, 0.5)]);
        let events = finish(&mut pipeline);
        let [object] = objects(&events)[..] else { panic!("one object") };
        let points: Vec<_> = object.history.iter().map(|p| (p.frame, p.interpolated)).collect();
        let all = [(10, false), (11, true), (12, true), (13, false)];
        assert_eq!(points, if interpolate { all.to_vec() } else { vec![all[0], all[3]] });
        assert_eq!(object.interpolated, if interpolate { 2 } else { 0 });
    }
}

#[test]
fn first_and_last_frames_are_retained_only_where_they_are_posted() {
    for posted in [true, false] {
        let settings = DetectorSettings { post_first_track_frame: posted, post_last_track_frame: posted, ..defaults() };
        let mut pipeline = pipeline(&settings, vec![]);
        let mut roles = Vec::new();
        for (index, quality) in [(0, 0.5), (1, 0.4)] {
            for event in show(&mut pipeline, index, &[(1, quality)]) {
                if let Event::Keep(_, role) = event {
                    roles.push((index, role));
                }
            }
        }
        let all = [(0, Role::First), (0, Role::Last), (0, Role::Best), (1, Role::Last)];
        assert_eq!(roles, if posted { all.to_vec() } else { vec![(0, Role::Best)] });
    }
}
