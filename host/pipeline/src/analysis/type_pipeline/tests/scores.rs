//! Covers: the use of weak detections, and when an object that was seen once is reported.

use super::*;

const SCORES: ScoreThresholds = ScoreThresholds { min: 0.5, sure: 0.75 };

fn scored(settings: &DetectorSettings, shows_weak: bool) -> Pipeline {
    let mut pipeline = pipeline(settings, vec![]);
    pipeline.recorder.is_enabled = true;
    Pipeline { scores: SCORES, shows_weak, ..pipeline }
}

fn of(track: u64, score: f32) -> Detection {
    Detection { score, ..detection(Some(track), 0.9) }
}

/// Processes frames with detections of these scores in track 1, then ends the stream.
fn shown(pipeline: &mut Pipeline, scores: &[Option<f32>]) -> Vec<Event> {
    let mut events = Vec::new();
    for (index, score) in scores.iter().enumerate() {
        let seen: Vec<_> = score.iter().map(|score| of(1, *score)).collect();
        events.extend(show_frame(pipeline, index as u64, false, &seen));
    }
    events.extend(finish(pipeline));
    events
}

fn rules(events: &[Event]) -> Vec<(DecisionStage, &str, &str)> {
    let decisions = events.iter().filter_map(|event| match event {
        Event::Decision(d) => Some((d.stage, &*d.plugin, &*d.rule)),
        _ => None,
    });
    decisions.collect()
}

#[test]
fn weak_detections_extend_a_track_and_are_never_its_best_shot() {
    let mut pipeline = scored(&defaults(), true);
    let events = shown(&mut pipeline, &[Some(0.6), Some(0.6), Some(0.2), Some(0.3)]);
    let [object] = objects(&events)[..] else { panic!("one object") };
    assert_eq!((object.best.frame, object.last.frame, object.detections), (0, 3, 4));
}

#[test]
fn weak_detections_alone_give_no_object() {
    let mut pipeline = scored(&defaults(), true);
    let events = shown(&mut pipeline, &[Some(0.4); 5]);
    assert!(objects(&events).is_empty());
    assert!(events.iter().any(|event| matches!(event, Event::Dropped(_))));
}

#[test]
fn a_tracker_without_min_score_gets_no_weak_detections() {
    let mut pipeline = scored(&defaults(), false);
    let events = shown(&mut pipeline, &[Some(0.6), Some(0.2), Some(0.6)]);
    assert_eq!(objects(&events)[0].detections, 2);
    assert_eq!(rules(&events), [(DecisionStage::Tracker, "ocellus", "min_score")]);
}

#[test]
fn filters_get_no_weak_detections() {
    let filter = FakeFilter::new(Stage::Detections, Rule::MinQuality(0.0));
    let mut pipeline = Pipeline { scores: SCORES, shows_weak: true, ..pipeline(&defaults(), vec![filter]) };
    let events = shown(&mut pipeline, &[Some(0.6), Some(0.2), Some(0.6)]);
    assert_eq!(objects(&events)[0].detections, 3);
    assert_eq!(pipeline.filters[0].asked, [0, 2]);
}

#[test]
fn an_object_seen_once_is_reported_if_it_is_sure_or_seen_again() {
    let reported = |scores: &[Option<f32>]| objects(&shown(&mut scored(&defaults(), true), scores)).len();
    assert_eq!(reported(&[Some(0.74), None, None]), 0);
    assert_eq!(reported(&[Some(0.75), None, None]), 1);
    assert_eq!(reported(&[Some(0.5), None, None, Some(0.5)]), 1);
    assert_eq!(reported(&[Some(0.5), Some(0.4), Some(0.4)]), 0, "a weak detection does not count");
    let events = shown(&mut scored(&defaults(), true), &[Some(0.74), None]);
    assert_eq!(rules(&events), [(DecisionStage::Objects, "ocellus", "seen once")]);
}

#[test]
fn an_object_that_vanishes_in_a_scene_has_to_be_visible_for_longer_the_lower_its_score() {
    let reported = |scores: &[Option<f32>]| objects(&shown(&mut scored(&defaults(), true), scores)).len();
    let seen = |score: f32, frames: usize| {
        let frames = vec![Some(score); frames].into_iter().chain([None]);
        reported(&frames.collect::<Vec<_>>())
    };
    assert_eq!([seen(0.5, 6), seen(0.5, 7)], [0, 1], ".7 s");
    assert_eq!([seen(0.65, 3), seen(0.65, 4)], [0, 1], ".28 s");
    assert_eq!(reported(&[Some(0.5), Some(0.75), None]), 1, "one sure detection is enough");
    assert_eq!(reported(&[Some(0.5), Some(0.5)]), 1, "the recording ends");
    let events = shown(&mut scored(&defaults(), true), &[Some(0.5), Some(0.5), None]);
    assert_eq!(rules(&events), [(DecisionStage::Objects, "ocellus", "seen briefly")]);
    // The next picture of a slide show.
    let mut pipeline = scored(&defaults(), true);
    (0..2).for_each(|index| drop(show_frame(&mut pipeline, index, false, &[of(1, 0.5)])));
    assert_eq!(posts(&show_frame(&mut pipeline, 2, true, &[])), [post("7-2-face-1-0", 0)]);
}

#[test]
fn an_object_that_leaves_through_the_edge_of_the_frame_may_be_brief() {
    let at = |left: f32| Detection { rect: Rect::new(left, 10.0, left + 50.0, 60.0), ..of(1, 0.5) };
    let reported = |lefts: [f32; 2]| {
        let mut pipeline = scored(&defaults(), true);
        for (index, left) in lefts.into_iter().enumerate() {
            show_frame(&mut pipeline, index as u64, false, &[at(left)]);
        }
        show_frame(&mut pipeline, 2, false, &[]);
        posts(&finish(&mut pipeline)).len()
    };
    assert_eq!([[900.0, 945.0], [945.0, 900.0], [945.0, 946.0]].map(reported), [1, 0, 0], "out, in, still");
}

/// The scores of the objects that are reported of a box of this score and another one at its side
/// or within it, which are in `frames` frames.
fn reported_with(other: (Rect, f32), frames: u64) -> Vec<f32> {
    let mut pipeline = scored(&defaults(), true);
    let whole = Detection { rect: Rect::new(0.0, 0.0, 100.0, 200.0), ..of(1, 0.7) };
    let seen = [whole, Detection { rect: other.0, ..of(2, other.1) }];
    (0..frames).for_each(|index| drop(show_frame(&mut pipeline, index, false, &seen)));
    let events = finish(&mut pipeline);
    objects(&events).iter().map(|object| object.best.score).collect()
}

#[test]
fn a_part_of_an_object_is_no_object_unless_it_is_sure() {
    let torso = Rect::new(10.0, 10.0, 95.0, 110.0);
    assert_eq!(reported_with((torso, 0.6), 20), [0.7]);
    assert_eq!(reported_with((torso, 0.72), 20), [0.7, 0.72], "of a better score");
    let beside = Rect { left: 60.0, right: 145.0, ..torso };
    assert_eq!(reported_with((beside, 0.6), 20), [0.7, 0.6]);
    let distant = Rect::new(10.0, 10.0, 50.0, 90.0);
    assert_eq!(reported_with((distant, 0.6), 20), [0.7, 0.6], "a sixth of its size");
    // The whole vanishes for most of the time.
    let mut pipeline = scored(&defaults(), true);
    let part = Detection { rect: torso, ..of(2, 0.6) };
    let whole = Detection { rect: Rect::new(0.0, 0.0, 100.0, 200.0), ..of(1, 0.7) };
    (0..4).for_each(|index| drop(show_frame(&mut pipeline, index, false, &[whole.clone(), part.clone()])));
    (4..12).for_each(|index| drop(show_frame(&mut pipeline, index, false, std::slice::from_ref(&part))));
    assert_eq!(objects(&finish(&mut pipeline)).len(), 2);
}

#[test]
fn an_object_in_few_of_its_frames_is_reported_if_it_is_sure() {
    let reported = |score: f32, every: u64| {
        let mut pipeline = scored(&defaults(), true);
        for index in 0..=40 {
            let seen = (index % every == 0).then(|| of(1, score));
            show_frame(&mut pipeline, index, false, seen.as_slice());
        }
        objects(&finish(&mut pipeline)).len()
    };
    assert_eq!([reported(0.6, 3), reported(0.6, 5), reported(0.75, 5)], [1, 0, 1]);
}

#[test]
fn an_object_seen_once_is_reported_where_no_other_frame_could_show_it() {
    assert_eq!(objects(&shown(&mut scored(&defaults(), true), &[Some(0.5)])).len(), 1, "the only frame");
    assert_eq!(objects(&shown(&mut scored(&defaults(), true), &[None, Some(0.5)])).len(), 0, "the last frame");
    // A slide show: each picture is a scene of its own.
    let mut pipeline = scored(&defaults(), true);
    show_frame(&mut pipeline, 0, false, &[of(1, 0.5)]);
    assert_eq!(posts(&show_frame(&mut pipeline, 1, true, &[of(2, 0.5)])), [post("7-2-face-1-0", 0)]);
    assert_eq!(posts(&show_frame(&mut pipeline, 2, true, &[])), [post("7-2-face-2-0", 1)]);
    // Four frames are half a second: too far away to tell.
    let mut pipeline = scored(&defaults(), true);
    show_frame(&mut pipeline, 0, false, &[]);
    show_frame(&mut pipeline, 4, false, &[of(1, 0.5)]);
    show_frame(&mut pipeline, 8, false, &[]);
    assert_eq!(posts(&finish(&mut pipeline)), [post("7-2-face-1-0", 4)]);
}

#[test]
fn a_track_ended_for_its_length_may_have_one_detection() {
    let mut pipeline = scored(&defaults(), true);
    pipeline.tracker.closes = vec![(1, 1)];
    show_frame(&mut pipeline, 0, false, &[]);
    assert_eq!(posts(&show_frame(&mut pipeline, 1, false, &[of(1, 0.5)])), [post("7-2-face-1-0", 1)]);
}

#[test]
fn a_realtime_shot_waits_until_the_object_is_confirmed() {
    let posted = |scores: &[f32]| {
        let mut pipeline = scored(&realtime(10.0, true, true), true);
        let frame =
            |(n, score): (usize, &f32)| posts(&show_frame(&mut pipeline, n as u64, false, &[of(1, *score)])).len();
        scores.iter().enumerate().map(frame).collect::<Vec<_>>()
    };
    assert_eq!(posted(&[0.8, 0.5]), [1, 0]);
    assert_eq!(posted(&[0.5, 0.3, 0.6]), [0, 0, 1]);
}

#[test]
fn an_object_posted_in_realtime_is_reported_at_its_end_however_brief() {
    let mut pipeline = scored(&realtime(10.0, true, true), true);
    let events = shown(&mut pipeline, &[Some(0.5), Some(0.5), None, None]);
    let kinds: Vec<_> = objects(&events).iter().map(|object| object.bs_type).collect();
    assert_eq!(kinds, [BestShotType::Realtime, BestShotType::Overall]);
}
