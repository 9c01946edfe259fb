//! Covers: the shipped filters as components: rejections with their stage and value.

use ocellus_core::{Detection, Rect, TrackId};
use ocellus_runtime::{Candidate, Filter, Moment, Object, Stage, Verdict};
use serde_json::{Value, json};

use crate::common::{at, frame, shipped, stream};

fn filter(name: &str, settings: &Value) -> Filter {
    shipped().filter(name, settings, &stream()).unwrap()
}

/// `rule=value` of each rejected shot, empty for kept ones.
fn shots(filter: &mut Filter, detections: &[Detection]) -> Vec<String> {
    let candidates: Vec<_> = (1..)
        .zip(detections)
        .map(|(id, detection)| Candidate { track: TrackId(id), detection: detection.clone() })
        .collect();
    let said = |verdict| match verdict {
        Verdict::Keep => String::new(),
        Verdict::Reject(r) => format!("{}={}", r.rule, r.value),
        Verdict::Annotate(notes) => panic!("{notes:?}"),
    };
    filter.shots(&frame(0), &candidates).unwrap().into_iter().map(said).collect()
}

fn sized(width: f32, height: f32) -> Detection {
    Detection { rect: Rect::new(0.0, 0.0, width, height), ..at(0.0, 0.0) }
}

#[test]
fn quality_rejects_what_is_below_the_minimum() {
    let mut filter = filter("quality", &json!({"min": 0.42}));
    let of = |quality| Detection { quality, ..at(0.0, 0.0) };
    assert_eq!(shots(&mut filter, &[of(0.42), of(0.41), of(1.0)]), ["", "min=0.410", ""]);
    assert_eq!(filter.meters().rejected, 1);
}

#[test]
fn size_compares_the_shorter_side_with_the_minimum_and_the_longer_with_the_maximum() {
    let mut filter = filter("size", &json!({"min": 60, "max": 100}));
    assert_eq!(
        shots(&mut filter, &[sized(60.0, 100.0), sized(59.0, 80.0), sized(70.0, 101.0)]),
        ["", "min=59.0", "max=101.0"]
    );
    let mut off = self::filter("size", &json!({"min": 0, "max": 0}));
    assert_eq!(shots(&mut off, &[sized(1.0, 9000.0)]), [""]);
}

#[test]
fn roi_tests_the_centre_of_the_box() {
    let mut filter = filter("roi", &json!({"roi": "100x100+50+50"}));
    assert_eq!(shots(&mut filter, &[at(40.0, 35.0), at(39.0, 35.0)]), ["", "roi=centre at 49.0,50.0"]);
    let mut off = self::filter("roi", &json!({"roi": ""}));
    assert_eq!(shots(&mut off, &[at(-500.0, 0.0)]), [""]);
}

#[test]
fn track_length_counts_gaps() {
    let mut filter = filter("track-length", &json!({"min": 5}));
    let moment = |frame| Moment { frame, time: 0.0, detection: at(0.0, 0.0) };
    let object = |last| Object {
        track: TrackId(1),
        first: moment(10),
        last: moment(last),
        best: moment(10),
        detections: 2,
        end_of_track: true,
    };
    let verdicts = filter.objects(&[object(14), object(13)]).unwrap();
    assert!(matches!(verdicts.as_slice(), [Verdict::Keep, Verdict::Reject(r)] if r.value == "4"), "{verdicts:?}");
}

#[test]
fn a_stage_that_a_filter_does_not_declare_is_not_called() {
    let mut filter = filter("quality", &json!({"min": 1}));
    assert!(filter.wants(Stage::Shots) && !filter.wants(Stage::Detections) && !filter.wants(Stage::Objects));
    let calls = filter.meters().calls;
    assert_eq!(filter.detections(&frame(0), &[at(0.0, 0.0)]).unwrap(), [Verdict::Keep]);
    assert_eq!(filter.shots(&frame(0), &[]).unwrap(), []);
    assert_eq!(filter.meters().calls, calls);
}
