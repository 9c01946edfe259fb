//! Covers: a filter with the capability `crops` reads them, only in calls with pixels; limits and a
//! fault policy in a manifest.

use std::sync::{Arc, Mutex};

use ocellus_core::{Rect, Size, TrackId};
use ocellus_runtime::{Candidate, Filter, Limits, Moment, Object, OnFault, Pixels, Plugins, Role, Verdict};
use serde_json::json;

use crate::common::{at, folder, frame, stream};

/// A frame in one colour, which records the requested crops.
#[derive(Default)]
struct Red(Mutex<Vec<(Rect, Size)>>);

impl Pixels for Red {
    fn crop(&self, rect: Rect, size: Size) -> Option<Vec<u8>> {
        self.0.lock().unwrap().push((rect, size));
        Some([200, 10, 0].repeat((size.width * size.height) as usize))
    }
}

fn colour(side: u32) -> Filter {
    let folder = folder(&["guests/colour.wasm"]);
    Plugins::open(folder.path(), Limits::default())
        .unwrap()
        .filter("colour", &json!({"side": side}), &stream())
        .unwrap()
}

fn notes(verdicts: Vec<Verdict>) -> Vec<String> {
    let note = |verdict| match verdict {
        Verdict::Annotate(notes) => notes.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
        other => panic!("{other:?}"),
    };
    verdicts.into_iter().map(note).collect()
}

fn shots(filter: &mut Filter) -> Vec<String> {
    let candidate = |track, left| Candidate { track: TrackId(track), detection: at(left, 0.0) };
    notes(filter.shots(&frame(0), &[candidate(1, 0.0), candidate(2, 100.0)]).unwrap())
}

#[test]
fn a_filter_reads_pictures_of_its_items() {
    let (mut filter, pixels) = (colour(8), Arc::new(Red::default()));
    assert!(filter.reads_crops());
    filter.set_pixels(Some(pixels.clone()));
    assert_eq!(shots(&mut filter), ["colour=200 10 0", "colour=200 10 0"]);
    let size = Size { width: 8, height: 8 };
    assert_eq!(*pixels.0.lock().unwrap(), [(at(0.0, 0.0).rect, size), (at(100.0, 0.0).rect, size)]);
}

#[test]
fn a_call_without_pixels_says_so() {
    let mut filter = colour(8);
    assert_eq!(shots(&mut filter)[0], "colour=no-pixels");
    filter.set_pixels(Some(Arc::new(Red::default())));
    // An object belongs to many frames.
    let moment = || Moment { frame: 0, time: 0.0, detection: at(0.0, 0.0) };
    let object = Object {
        track: TrackId(1),
        first: moment(),
        last: moment(),
        best: moment(),
        detections: 1,
        end_of_track: true,
    };
    assert_eq!(notes(filter.objects(&[object]).unwrap()), ["colour_of_object=no-pixels"]);
}

#[test]
fn the_size_of_crops_is_limited() {
    for (side, said) in [(0, "wrong-size"), (257, "wrong-size"), (256, "200 10 0")] {
        let mut filter = colour(side);
        filter.set_pixels(Some(Arc::new(Red::default())));
        assert_eq!(shots(&mut filter)[0], format!("colour={said}"), "{side}");
    }
}

#[test]
fn a_manifest_lowers_limits_and_names_a_policy() {
    let folder = folder(&["guests/colour.wasm"]);
    let info = |limits| Plugins::open(folder.path(), limits).unwrap().info("colour", Role::Active).unwrap();
    let own = info(Limits::default());
    let limits = own.limits.unwrap();
    assert_eq!(
        (limits.deadline.as_millis(), limits.memory_bytes, limits.output_bytes),
        (100, 8 << 20, Limits::default().output_bytes)
    );
    assert_eq!((own.capabilities.unwrap(), own.on_fault), (vec!["crops".to_owned()], Some(OnFault::Skip)));

    let mut operator = Limits { memory_bytes: 4 << 20, ..Limits::default() };
    operator.faults.by_name.insert("colour".into(), OnFault::Fail);
    let held = info(operator);
    assert_eq!((held.limits.unwrap().memory_bytes, held.on_fault), (4 << 20, Some(OnFault::Fail)));
}
