//! Covers: the tracker `deep_sort` as a component: confirmation, appearance, settings, and a
//! snapshot with full galleries.

use ocellus_core::Detection;
use ocellus_runtime::Tracker;
use serde_json::{Value, json};

use crate::common::{at, frame, shipped, stream};

fn tracker(settings: &Value) -> Tracker {
    shipped().tracker("deep_sort", settings, &stream()).unwrap()
}

/// A detection with an appearance of the host's length, 1 at one place.
fn with_appearance(left: f32, place: usize) -> Detection {
    let appearance = (0..56).map(|i| if i == place { 1.0 } else { 0.0 }).collect();
    Detection { appearance, ..at(left, 0.0) }
}

fn ids(tracker: &mut Tracker, index: u64, detections: &[Detection]) -> Vec<Option<u64>> {
    tracker.update(&frame(index), detections).unwrap().ids.into_iter().map(|id| id.map(|i| i.0)).collect()
}

#[test]
fn a_similar_appearance_continues_a_track() {
    for (place, expected) in [(3, Some(1)), (4, None)] {
        let mut tracker = tracker(&json!({"matching_threshold": 0.5}));
        for i in 0..6 {
            assert_eq!(ids(&mut tracker, i, &[with_appearance(0.0, 3)]), [(i >= 2).then_some(1)]);
        }
        ids(&mut tracker, 6, &[]);
        assert_eq!(ids(&mut tracker, 7, &[with_appearance(0.0, place)]), [expected]);
    }
}

#[test]
fn unconfirmed_tracks_get_ids_if_the_setting_says_so() {
    let mut tracker = tracker(&json!({"filter_unconfirmed_tracks": false}));
    assert_eq!(ids(&mut tracker, 0, &[with_appearance(0.0, 1)]), [Some(1)]);
}

#[test]
fn the_state_of_a_crowd_with_full_galleries_can_be_restored() {
    let settings = json!({"filter_unconfirmed_tracks": false});
    let mut one = tracker(&settings);
    let crowd: Vec<_> = (0..250).map(|n| with_appearance(30.0 * n as f32, n % 56)).collect();
    for i in 0..110 {
        ids(&mut one, i, &crowd);
    }
    let mut other = tracker(&settings);
    other.restore(&one.snapshot().unwrap()).unwrap();
    let expected: Vec<_> = (1..=250).map(Some).collect();
    assert_eq!(ids(&mut one, 110, &crowd), expected);
    assert_eq!(ids(&mut other, 110, &crowd), expected);
}
