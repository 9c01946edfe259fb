//! Covers: the shipped tracker as a component: continuity, ids, closing, settings, snapshot and
//! restore.

use ocellus_core::TrackId;
use ocellus_runtime::{PluginError, Tracker, Update};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{at, frame, shipped, stream};

fn tracker(settings: &Value) -> Tracker {
    shipped().tracker("simple_iou", settings, &stream()).unwrap()
}

fn ids(update: &Update) -> Vec<u64> {
    update.ids.iter().flatten().map(|id| id.0).collect()
}

#[test]
fn two_that_pass_each_other_at_a_distance_are_two_tracks_throughout() {
    let mut tracker = tracker(&json!({}));
    for i in 0..40 {
        let x = i as f32 * 5.0;
        let update = tracker.update(&frame(i), &[at(x, 0.0), at(200.0 - x, 200.0)]).unwrap();
        assert_eq!((ids(&update), update.closed), (vec![1, 2], vec![]));
    }
    assert_eq!(tracker.finish().unwrap(), [TrackId(1), TrackId(2)]);
}

#[test]
fn miss_interval_is_stream_time() {
    let mut tracker = tracker(&json!({"miss_interval": 0.5}));
    tracker.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    assert_eq!(tracker.update(&frame(5), &[]).unwrap().closed, []);
    let update = tracker.update(&frame(6), &[at(0.0, 0.0)]).unwrap();
    assert_eq!((ids(&update), update.closed), (vec![2], vec![TrackId(1)]));
}

#[test]
fn the_overlap_threshold_decides_what_continues_a_track() {
    for (threshold, id) in [(0.3, 1), (0.4, 2)] {
        let mut tracker = tracker(&json!({"overlap_threshold": threshold}));
        tracker.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
        // Half of the width is shared: a third of the union.
        assert_eq!(ids(&tracker.update(&frame(1), &[at(10.0, 0.0)]).unwrap()), [id]);
    }
}

#[test]
fn settings_are_checked_against_the_plugins_own_schema() {
    for (settings, path) in
        [(json!({"overlap_threshold": 2}), "overlap_threshold"), (json!({"overlap": 0.1}), "overlap"), (json!([]), "")]
    {
        match shipped().tracker("simple_iou", &settings, &stream()) {
            Err(PluginError::Settings { plugin, path: at, .. }) => {
                assert_eq!((plugin.as_str(), at.as_str()), ("simple_iou", path))
            }
            other => panic!("{:?}", other.err()),
        }
    }
}

#[test]
fn the_error_of_an_unknown_name_lists_the_installed_ones() {
    let error = shipped().tracker("no_such", &json!({}), &stream()).err().unwrap();
    assert_eq!(error.to_string(), r#"there is no tracker "no_such"; installed: deep_sort, simple_iou"#);
    // A filter with this name does not count.
    assert!(matches!(shipped().tracker("quality", &json!({}), &stream()).err(), Some(PluginError::Unknown { .. })));
}

#[test]
fn a_finished_session_is_over() {
    let mut tracker = tracker(&json!({}));
    tracker.finish().unwrap();
    assert!(tracker.update(&frame(0), &[]).is_err());
}

#[test]
fn calls_are_metered() {
    let mut tracker = tracker(&json!({}));
    tracker.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    let meters = tracker.meters();
    assert_eq!((meters.calls, meters.faults), (2, 0), "open and update");
    assert!(meters.memory_bytes > 0 && meters.time >= meters.longest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ids_are_unique_tracks_close_once_and_a_restored_session_continues(
        frames in prop::collection::vec(prop::collection::vec((0f32..200.0, 0f32..200.0), 0..8), 1..25),
        cut in 0usize..25,
    ) {
        let settings = json!({"miss_interval": 0.2, "max_duration_frames": 6});
        let (mut one, mut other) = (tracker(&settings), tracker(&settings));
        let mut closed = Vec::new();
        for (i, boxes) in frames.iter().enumerate() {
            if i == cut {
                let state = other.snapshot().unwrap();
                other = tracker(&settings);
                other.restore(&state).unwrap();
            }
            let detections: Vec<_> = boxes.iter().map(|(x, y)| at(*x, *y)).collect();
            let update = one.update(&frame(i as u64), &detections).unwrap();
            prop_assert_eq!(&update, &other.update(&frame(i as u64), &detections).unwrap());
            prop_assert!(update.ids.iter().flatten().all(|id| !closed.contains(id)), "a closed track went on");
            closed.extend(update.closed);
        }
        closed.extend(one.finish().unwrap());
        closed.sort();
        let all: Vec<TrackId> = (1..=closed.len() as u64).map(TrackId).collect();
        prop_assert_eq!(closed, all, "every track closes once");
    }
}
