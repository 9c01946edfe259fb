//! Covers: a canary gets the calls of a plugin without effect; its differences and its usage are
//! reported; one that fails does no harm; one that is promoted becomes the plugin.

use std::time::{Duration, Instant};

use ocellus_core::{ShadowUse, TrackId};
use ocellus_runtime::{Candidate, FilterSlot, InstallError, Limits, Plugins, Role, TrackerSlot, Verdict};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{at, component, folder, frame, rebuilt, stream};

/// A shipped plugin and a canary for it.
fn with_canary(name: &str, canary: &[u8]) -> (Plugins, TempDir) {
    let folder = folder(&["plugins/simple-iou.wasm", "plugins/quality.wasm"]);
    let plugins = Plugins::open(folder.path(), Limits::default()).unwrap();
    plugins.install(name, Role::Canary, canary).unwrap();
    (plugins, folder)
}

fn tracker(plugins: &Plugins) -> TrackerSlot {
    let mut slot = plugins.tracker_slot("simple_iou", &json!({}), &stream()).unwrap();
    slot.follow_canary();
    slot
}

fn filter(plugins: &Plugins, min: f64) -> FilterSlot {
    let mut slot = plugins.filter_slot("quality", &json!({"min": min}), &stream()).unwrap();
    slot.follow_canary();
    slot
}

/// Verdicts on two boxes of quality .5.
fn ask(slot: &mut FilterSlot, index: u64) -> Vec<Verdict> {
    let candidate = || Candidate { track: TrackId(1), detection: at(0.0, 0.0) };
    slot.begin_frame(&frame(index), None);
    slot.shots(&frame(index), vec![candidate(), candidate()]).unwrap()
}

/// Waits until the canary has answered this many calls, or has ended.
fn answered(calls: u64, mut report: impl FnMut() -> Option<ShadowUse>) -> ShadowUse {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let now = report().expect("no canary");
        // Opening is a call, too.
        if now.calls > calls || now.ended.is_some() {
            return now;
        }
        assert!(Instant::now() < end, "{now:?}");
        std::thread::yield_now();
    }
}

#[test]
fn the_same_code_agrees_and_is_metered() {
    let (plugins, _folder) = with_canary("simple_iou", &rebuilt(&component("plugins/simple-iou.wasm"), 7));
    let mut slot = tracker(&plugins);
    for index in 0..50 {
        slot.update(&frame(index), &[at(index as f32, 0.0), at(300.0, 0.0)]).unwrap();
    }
    let used = answered(50, || slot.report().shadow);
    assert_eq!((used.items, used.different, used.first_difference, used.ended), (100, 0, None, None));
    assert!(used.time_ms > 0.0 && used.memory_bytes > 0);
    let canary = plugins.info("simple_iou", Role::Canary).unwrap();
    assert_eq!((used.digest, canary.file.as_str()), (canary.digest.unwrap().to_string(), "simple_iou.shadow.wasm"));

    // Usage since the start, recorded once the job is over.
    slot.finish().unwrap();
    drop(slot);
    let reported = plugins.info("simple_iou", Role::Active).unwrap().used.unwrap();
    assert_eq!(reported.shadow.unwrap().items, 100);
    assert_eq!(reported.swaps, 0, "a canary takes over nothing");
}

#[test]
fn differences_of_a_tracker_are_reported() {
    let (plugins, _folder) = with_canary("simple_iou", &component("guests/forgetful.wasm"));
    let mut slot = tracker(&plugins);
    for index in 0..10 {
        assert_eq!(slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap().ids, [Some(TrackId(1))]);
    }
    slot.finish().unwrap();
    // `finish` waits for the canary.
    let used = slot.report().shadow.unwrap();
    assert_eq!((used.items, used.different), (10, 9));
    assert_eq!(used.first_difference.unwrap(), "frame 1: track 1 goes on; the canary goes from its track 1 to 2");
}

#[test]
fn differences_of_a_filter_are_reported() {
    let (plugins, _folder) = with_canary("quality", &component("guests/contrary.wasm"));
    let mut slot = filter(&plugins, 0.9);
    for index in 0..3 {
        assert!(ask(&mut slot, index).iter().all(|v| matches!(v, Verdict::Reject(_))));
    }
    slot.finish();
    let used = slot.report().shadow.unwrap();
    assert_eq!((used.items, used.different), (6, 6));
    assert_eq!(used.first_difference.unwrap(), "frame 0: rejected by min (0.500); the canary keeps it");
    assert_eq!(slot.report().rejected, 6);
}

#[test]
fn a_canary_that_fails_gets_no_more_calls_and_does_no_harm() {
    for (min, why) in [(0.5, "trapped"), (0.25, "ran for longer than its deadline")] {
        let (plugins, _folder) = with_canary("quality", &component("guests/contrary.wasm"));
        let mut slot = filter(&plugins, min);
        for index in 0..10 {
            assert_eq!(ask(&mut slot, index), [Verdict::Keep, Verdict::Keep]);
        }
        slot.finish();
        let report = slot.report();
        let ended = report.shadow.unwrap().ended.unwrap();
        assert!(ended.contains(why) && ended.contains("quality") && ended.contains("shots"), "{ended}");
        assert_eq!((report.faults, report.last_fault, report.evicted), (0, None, false));
    }
}

#[test]
fn a_canary_may_come_and_go_while_a_job_runs() {
    let (plugins, _folder) = with_canary("quality", &component("guests/contrary.wasm"));
    assert!(plugins.remove("quality", Role::Canary).unwrap());
    let mut slot = filter(&plugins, 0.9);
    ask(&mut slot, 0);
    assert_eq!(slot.report().shadow, None);
    plugins.install("quality", Role::Canary, &component("guests/contrary.wasm")).unwrap();
    ask(&mut slot, 1);
    assert_eq!(answered(1, || slot.report().shadow).different, 2);
    assert!(plugins.remove("quality", Role::Canary).unwrap() && plugins.info("quality", Role::Canary).is_none());
    ask(&mut slot, 2);
    assert_eq!(slot.report().shadow.unwrap().items, 2, "its report outlives it");
}

#[test]
fn a_promoted_canary_is_the_plugin() {
    let promoted = rebuilt(&component("plugins/simple-iou.wasm"), 8);
    let (plugins, folder) = with_canary("simple_iou", &promoted);
    let mut slot = tracker(&plugins);
    slot.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    let canary = plugins.info("simple_iou", Role::Canary).unwrap();
    let info = plugins.promote("simple_iou").unwrap().unwrap();
    assert_eq!((info.digest, info.role, info.file.as_str()), (canary.digest, Role::Active, "simple-iou.wasm"));
    assert_eq!(std::fs::read(folder.path().join("simple-iou.wasm")).unwrap(), promoted);
    assert!(plugins.info("simple_iou", Role::Canary).is_none());
    assert!(plugins.promote("simple_iou").unwrap().is_none(), "there is no canary any more");
    // A job that runs goes on with it, and with its tracks.
    let (end, mut index) = (Instant::now() + Duration::from_secs(60), 1);
    while slot.report().swaps == 0 {
        assert_eq!(slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap().ids, [Some(TrackId(1))]);
        index += 1;
        assert!(Instant::now() < end, "the job did not switch");
        std::thread::yield_now();
    }
}

#[test]
fn a_canary_whose_file_was_changed_is_not_promoted() {
    let (plugins, folder) = with_canary("quality", &rebuilt(&component("plugins/quality.wasm"), 9));
    let before = plugins.info("quality", Role::Active).unwrap().digest;
    std::fs::write(folder.path().join("quality.shadow.wasm"), "another").unwrap();
    assert!(matches!(plugins.promote("quality"), Err(InstallError::Changed(file)) if file == "quality.shadow.wasm"));
    assert_eq!(plugins.info("quality", Role::Active).unwrap().digest, before);
}
