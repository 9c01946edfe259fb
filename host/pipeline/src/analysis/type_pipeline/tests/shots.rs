//! Covers: the choice of the best shot, which detections and shots filters get, their annotations,
//! and decisions.

use super::*;

#[test]
fn overall_only_posts_once_at_the_end_with_the_first_of_the_best() {
    let settings = DetectorSettings { overall_only: true, ..realtime(0.25, true, true) };
    let mut pipeline = pipeline(&settings, vec![]);
    let posts = run(&mut pipeline, &[0.2, 0.7, 0.5, 0.7].map(Some));
    assert_eq!(timed(posts), [timed_post(4, "7-2-face-1-0", 1)]);
}

#[test]
fn a_rejected_shot_extends_its_track_and_does_not_represent_it() {
    let filters = vec![FakeFilter::new(Stage::Shots, Rule::MinQuality(0.5))];
    let mut pipeline = pipeline(&defaults(), filters);
    for (index, quality) in [(0, 0.4), (1, 0.6), (2, 0.1)] {
        show(&mut pipeline, index, &[(1, quality)]);
    }
    let events = finish(&mut pipeline);
    let [object] = objects(&events)[..] else { panic!("one object") };
    assert_eq!((object.first.frame, object.best.frame, object.last.frame, object.detections), (0, 1, 2, 3));
}

#[test]
fn filters_get_only_detections_that_would_beat_the_best() {
    let filters = vec![FakeFilter::new(Stage::Shots, Rule::MinQuality(0.0))];
    let mut pipeline = pipeline(&defaults(), filters);
    run(&mut pipeline, &[0.5, 0.4, 0.5, 0.6, 0.1].map(Some));
    assert_eq!(pipeline.filters[0].asked, [0, 3]);
}

#[test]
fn a_filter_does_not_get_items_that_an_earlier_one_rejected() {
    for stage in [Stage::Detections, Stage::Shots] {
        let filters = vec![FakeFilter::new(stage, Rule::MinQuality(0.5)), FakeFilter::new(stage, Rule::Note("seen"))];
        let mut pipeline = pipeline(&defaults(), filters);
        show(&mut pipeline, 0, &[(1, 0.4), (2, 0.6)]);
        show(&mut pipeline, 1, &[(1, 0.3)]);
        assert_eq!(pipeline.filters[0].asked, [0, 0, 1], "{stage:?}");
        assert_eq!(pipeline.filters[1].asked, [0], "{stage:?}");
    }
}

#[test]
fn the_tracker_sees_what_the_filters_of_detections_keep() {
    let filters = vec![FakeFilter::new(Stage::Detections, Rule::MinQuality(0.5))];
    let mut pipeline = pipeline(&defaults(), filters);
    pipeline.recorder.is_enabled = true;
    let events = show(&mut pipeline, 0, &[(1, 0.4), (2, 0.6)]);
    assert_eq!(pipeline.tracker.open, BTreeSet::from([TrackId(2)]));
    let [Event::Decision(decision), ..] = &events[..] else { panic!("a decision comes first") };
    assert_eq!(
        (decision.stage, decision.track_id, decision.plugin.as_str()),
        (DecisionStage::Detections, None, "judge")
    );
    assert_eq!((decision.rule.as_str(), decision.value.as_str(), decision.bbox), ("min", "0.4", [60, 10, 110, 60]));
}

#[test]
fn a_track_without_a_shot_is_dropped_before_filters_of_objects() {
    let filters =
        vec![FakeFilter::new(Stage::Shots, Rule::MinQuality(0.5)), FakeFilter::new(Stage::Objects, Rule::MinLength(0))];
    let mut pipeline = pipeline(&realtime(0.25, true, true), filters);
    let mut events: Vec<_> = (0..6).flat_map(|index| show(&mut pipeline, index, &[(1, 0.4)])).collect();
    events.extend(finish(&mut pipeline));
    assert!(matches!(&events[..], [Event::Dropped((_, TrackId(1)))]), "{} events", events.len());
    assert!(pipeline.filters[1].asked.is_empty());
}

#[test]
fn annotations_of_the_best_shot_and_of_the_object_reach_the_object() {
    let filters = vec![
        FakeFilter::new(Stage::Detections, Rule::Note("detection")),
        FakeFilter::new(Stage::Shots, Rule::Note("shot")),
        FakeFilter::new(Stage::Objects, Rule::Note("object")),
    ];
    let mut pipeline = pipeline(&defaults(), filters);
    for (index, quality) in [(0, 0.3), (1, 0.9), (2, 0.1)] {
        show(&mut pipeline, index, &[(1, quality)]);
    }
    let events = finish(&mut pipeline);
    // Those of the second detection, which is the best; the third does not reach filters of shots.
    let noted = [("detection", "2"), ("shot", "2"), ("object", "1")];
    assert_eq!(objects(&events)[0].attributes, noted.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn a_detection_in_no_track_is_a_decision_where_decisions_are_recorded() {
    for asked in [true, false] {
        let mut pipeline = pipeline(&defaults(), vec![]);
        pipeline.recorder.is_enabled = asked;
        let events = show_frame(&mut pipeline, 5, false, &[detection(None, 0.5)]);
        let stages: Vec<_> = events
            .iter()
            .map(|e| if let Event::Decision(d) = e { Some((d.stage, d.frame, d.plugin.as_str())) } else { None })
            .collect();
        let expected = [Some((DecisionStage::Tracker, 5, "fake"))];
        assert_eq!(stages, if asked { &expected[..] } else { &[] });
    }
}
