//! Covers: replaced and failing plugins in a running job. A newer component takes over between two
//! frames and continues the track ids, or is not used; a fault is handled by the operator's policy;
//! calls, faults and swaps are reported.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use ocellus_core::{Detection, PluginUse, TrackId};
use ocellus_runtime::{
    Candidate, Digest, InstallError, Limits, OnFault, PluginError, Plugins, Refusal, Role, Stage, TrackerSlot, Update,
    Verdict,
};
use serde_json::{Value, json};

use crate::common::{at, component, folder, frame, rebuilt, stream};

fn plugins(components: &[&str], on_fault: OnFault) -> (Plugins, tempfile::TempDir) {
    let folder = folder(components);
    let mut limits = Limits::default();
    limits.faults.on_fault = on_fault;
    (Plugins::open(folder.path(), limits).unwrap(), folder)
}

fn hostile(misdeed: &str, on_fault: OnFault) -> (TrackerSlot, Plugins, tempfile::TempDir) {
    let (plugins, folder) = plugins(&["guests/hostile-tracker.wasm"], on_fault);
    let name = plugins.list()[0].name.clone().unwrap();
    (plugins.tracker_slot(&name, &json!({"misdeed": misdeed}), &stream()).unwrap(), plugins, folder)
}

fn ids(update: &Update) -> Vec<Option<u64>> {
    update.ids.iter().map(|id| id.map(|i| i.0)).collect()
}

/// Updates frame by frame, each with one box, until `done` accepts the slot's report. Returns the
/// index of the next frame.
fn until(
    slot: &mut TrackerSlot,
    mut index: u64,
    done: impl Fn(&PluginUse) -> bool,
    mut on_update: impl FnMut(Update),
) -> u64 {
    let end = Instant::now() + Duration::from_secs(60);
    while !done(&slot.report()) {
        on_update(slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap());
        index += 1;
        assert!(Instant::now() < end, "timed out: {:?}", slot.report());
        std::thread::yield_now();
    }
    index
}

#[test]
fn fifty_swaps_lose_no_frame_and_keep_the_track_ids() {
    let (plugins, _folder) = plugins(&["plugins/simple-iou.wasm"], OnFault::Fail);
    let mut slot = plugins.tracker_slot("simple_iou", &json!({}), &stream()).unwrap();
    let bytes = component("plugins/simple-iou.wasm");
    let mut index = 0;
    for swap in 1..=50 {
        plugins.install("simple_iou", Role::Active, &rebuilt(&bytes, swap)).unwrap();
        index = until(&mut slot, index, |r| r.swaps == swap as u64, |update| assert_eq!(ids(&update), [Some(1)]));
    }
    let report = slot.report();
    assert_eq!((report.calls > index, report.faults, report.components.len()), (true, 0, 51));
    let last = Digest::of(&rebuilt(&bytes, 50));
    assert_eq!(report.components.last().unwrap().digest, last.to_string());
    assert!(report.components.is_sorted_by_key(|c| c.from_frame));
    println!("{index} frames, longest pause {:.3} ms", report.longest_swap_ms);
    assert_eq!(slot.finish().unwrap(), [TrackId(1)]);
    drop(slot);
    let reported = plugins.info("simple_iou", Role::Active).unwrap().used.unwrap();
    assert_eq!((reported.swaps, reported.calls), (50, report.calls + 1));
}

#[test]
fn a_newer_component_that_fails_in_restore_is_not_used() {
    let (mut slot, plugins, _folder) = hostile("trap-in-restore", OnFault::Fail);
    let name = slot.name().to_owned();
    plugins.install(&name, Role::Active, &rebuilt(&component("guests/hostile-tracker.wasm"), 1)).unwrap();
    let index = until(&mut slot, 0, |r| r.last_fault.is_some(), |update| assert_eq!(update.ids.len(), 1));
    let report = slot.report();
    assert!(report.last_fault.as_ref().unwrap().contains("restore"), "{report:?}");
    assert_eq!((report.swaps, report.components.len(), report.faults), (0, 1, 0));
    assert_eq!(slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap().ids.len(), 1, "the older component continues");
}

#[test]
fn after_a_trap_in_snapshot_the_newer_component_starts_empty_with_new_track_ids() {
    let (mut slot, plugins, _folder) = hostile("trap-in-snapshot", OnFault::Fail);
    let name = slot.name().to_owned();
    plugins.install(&name, Role::Active, &rebuilt(&component("guests/hostile-tracker.wasm"), 1)).unwrap();
    let closed_tracks = Mutex::new(Vec::new());
    let check = |update: Update| {
        let closed: &mut Vec<u64> = &mut closed_tracks.lock().unwrap();
        for id in update.ids.iter().flatten().map(|i| i.0) {
            assert!(!closed.contains(&id), "track {id} was closed");
        }
        closed.extend(update.closed.iter().map(|i| i.0));
    };
    let index = until(&mut slot, 0, |r| r.swaps == 1, check);
    check(slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap());
    let report = slot.report();
    assert_eq!(report.faults, 1);
    assert!(report.last_fault.unwrap().contains("snapshot"));
    let closed = closed_tracks.lock().unwrap().clone();
    let all: Vec<_> = closed.into_iter().chain(slot.finish().unwrap().into_iter().map(|i| i.0)).collect();
    let mut unique = all.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), all.len(), "every track closes once");
}

#[test]
fn a_fault_is_handled_by_the_policy() {
    let (mut slot, ..) = hostile("trap-on-third", OnFault::Fail);
    let update = |slot: &mut TrackerSlot, index| slot.update(&frame(index), &[at(0.0, 0.0)]);
    update(&mut slot, 0).unwrap();
    update(&mut slot, 1).unwrap();
    assert!(matches!(update(&mut slot, 2), Err(PluginError::Fault { call: "update", .. })));

    for on_fault in [OnFault::Skip, OnFault::Restart] {
        let (mut slot, ..) = hostile("trap-on-third", on_fault);
        let mut index = 0;
        let error = loop {
            match update(&mut slot, index) {
                Ok(_) => index += 1,
                Err(error) => break error,
            }
            assert!(index < 20);
        };
        let text = error.to_string();
        assert!(
            text.contains("evicted after 3 faults") && text.contains("update") && text.contains("trapped"),
            "{text}"
        );
        let report = slot.report();
        assert!(report.evicted && report.faults == 3 && report.last_fault.is_some());
        // `Skip` opens an empty session, which traps in its third frame again; `Restart` restores
        // the session's state, so that the next frame traps at once.
        assert_eq!(index, if on_fault == OnFault::Skip { 8 } else { 4 });
    }
}

/// A restart replays more calls than a fault trace holds: a trace has room for 13 such detections a
/// frame.
#[test]
fn a_restart_keeps_the_tracks_of_a_crowd() {
    for faces in [1, 20, 100] {
        let (mut slot, ..) = hostile("trap-on-frame-99", OnFault::Restart);
        let face = |n: u64| Detection { appearance: vec![0.1; 128], ..at(n as f32 * 6.0, 0.0) };
        let crowd: Vec<_> = (0..faces).map(face).collect();
        let all: Vec<_> = (1..=faces).map(Some).collect();
        for index in 0..200 {
            // From frame 80 on there is one face: the other tracks are known only from the calls
            // before the fault, which the restart has to replay.
            let here = if index < 80 { &crowd[..] } else { &crowd[..1] };
            let update = slot.update(&frame(index), here).unwrap();
            assert_eq!(update.closed, [], "{faces} faces, frame {index}");
            assert_eq!(ids(&update), if index == 99 { vec![None; here.len()] } else { all[..here.len()].to_vec() });
        }
        let report = slot.report();
        assert_eq!((report.faults, report.evicted), (1, false), "{report:?}");
        assert_eq!(slot.finish().unwrap(), (1..=faces).map(TrackId).collect::<Vec<_>>());
    }
}

#[test]
fn a_filter_that_fails_keeps_all_items_until_it_is_evicted() {
    let (plugins, _folder) = plugins(&["guests/hostile-filter.wasm"], OnFault::Skip);
    let name = plugins.list()[0].name.clone().unwrap();
    let settings: Value = json!({"misdeed": "million-verdicts"});
    let mut slot = plugins.filter_slot(&name, &settings, &stream()).unwrap();
    for index in 0..6 {
        slot.begin_frame(&frame(index), None);
        let candidate = Candidate { track: TrackId(1), detection: at(0.0, 0.0) };
        assert_eq!(
            slot.shots(&frame(index), vec![candidate.clone(), candidate]).unwrap(),
            [Verdict::Keep, Verdict::Keep]
        );
    }
    let report = slot.report();
    assert_eq!((report.faults, report.evicted), (3, true));
    assert!(report.last_fault.unwrap().contains("shots"));
    assert!(!slot.wants(Stage::Shots), "an evicted filter is not called");
}

#[test]
fn a_filter_is_replaced_between_frames() {
    let (plugins, _folder) = plugins(&["plugins/quality.wasm"], OnFault::Fail);
    let mut slot = plugins.filter_slot("quality", &json!({"min": 0.9}), &stream()).unwrap();
    plugins.install("quality", Role::Active, &rebuilt(&component("plugins/quality.wasm"), 1)).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let mut index = 0;
    while slot.report().swaps == 0 {
        slot.begin_frame(&frame(index), None);
        let candidate = Candidate { track: TrackId(1), detection: at(0.0, 0.0) };
        assert!(matches!(slot.shots(&frame(index), vec![candidate]).unwrap()[..], [Verdict::Reject(_)]));
        index += 1;
        assert!(Instant::now() < end, "{:?}", slot.report());
    }
    let report = slot.report();
    assert_eq!((report.rejected, report.components.len()), (index, 2));
}

#[test]
fn components_are_validated_before_they_are_installed() {
    let (plugins, folder) = plugins(&["plugins/simple-iou.wasm"], OnFault::Fail);
    let good = component("plugins/simple-iou.wasm");
    let before = plugins.list();
    let refused = plugins.install("simple_iou", Role::Active, &good[..good.len() / 2]).unwrap_err();
    assert!(matches!(refused, InstallError::Refused(Refusal::Truncated)), "{refused}");
    assert!(matches!(plugins.install("quality", Role::Active, &good), Err(InstallError::OtherName { .. })));
    assert_eq!(format!("{:?}", plugins.list()), format!("{before:?}"));
    let info = plugins.install("quality", Role::Active, &component("plugins/quality.wasm")).unwrap();
    assert_eq!((info.file.as_str(), info.name.as_deref()), ("quality.wasm", Some("quality")));
    assert!(folder.path().join("quality.wasm").is_file());
    assert!(plugins.remove("quality", Role::Active).unwrap() && !plugins.remove("quality", Role::Active).unwrap());
    assert!(!folder.path().join("quality.wasm").exists());
}
