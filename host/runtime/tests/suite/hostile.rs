//! Covers: guests that spin, hoard, recurse, trap, flood and lie. Each ends its own session with an
//! error that names plugin, digest, call and reason; other sessions go on.

use std::{sync::OnceLock, time::Duration};

use ocellus_core::{Detection, TrackId};
use ocellus_runtime::{Candidate, Fault, Limits, PictureInfo, PluginError, Plugins, Tracker};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    common::{at, folder, frame, stream},
    http_router::{object, post},
};

const MEMORY: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_millis(200);

fn hostile() -> &'static Plugins {
    static HOSTILE: OnceLock<(Plugins, TempDir)> = OnceLock::new();
    let (plugins, _) = HOSTILE.get_or_init(|| {
        let folder =
            folder(&["guests/hostile-tracker.wasm", "guests/hostile-filter.wasm", "guests/hostile-router.wasm"]);
        let limits = Limits { memory_bytes: MEMORY, deadline: DEADLINE, ..Limits::default() };
        (Plugins::open(folder.path(), limits).unwrap(), folder)
    });
    plugins
}

fn tracker(misdeed: &str) -> Result<Tracker, PluginError> {
    hostile().tracker("hostile_tracker", &json!({"misdeed": misdeed}), &stream())
}

fn fault(error: PluginError, at: &str) -> Fault {
    let text = error.to_string();
    match error {
        PluginError::Fault { plugin, digest, call, fault } => {
            assert_eq!(call, at);
            assert!(text.contains(&plugin) && text.contains(&digest.to_string()) && text.contains(at), "{text}");
            fault
        }
        other => panic!("{other}"),
    }
}

/// The fault of the first `update` that fails; checks that the session is over then.
fn update_fault(misdeed: &str) -> Fault {
    let mut tracker = tracker(misdeed).unwrap();
    let boxes: [Detection; 2] = [at(0.0, 0.0), at(100.0, 0.0)];
    let error = (0..10).find_map(|i| tracker.update(&frame(i), &boxes).err()).expect("ten updates without a fault");
    let fault = fault(error, "update");
    assert_eq!(self::fault(tracker.update(&frame(11), &boxes).unwrap_err(), "update"), Fault::Ended);
    assert!(tracker.meters().memory_bytes <= MEMORY);
    fault
}

#[test]
fn a_spinner_is_stopped_at_its_deadline() {
    assert_eq!(update_fault("spin"), Fault::Deadline(DEADLINE));
    assert_eq!(fault(tracker("spin-in-open").err().unwrap(), "open"), Fault::Deadline(DEADLINE));
}

#[test]
fn a_hoarder_is_stopped_at_its_limit() {
    assert!(matches!(update_fault("allocate"), Fault::Memory { wanted, limit: MEMORY } if wanted > MEMORY));
}

#[test]
fn traps_are_reported_with_their_cause() {
    // The engine's stack or the guest's own in linear memory, whichever overflows first.
    let recursed = update_fault("recurse");
    assert!(
        matches!(&recursed, Fault::Trap(cause) if cause.contains("stack") || cause.contains("out of bounds")),
        "{recursed}"
    );
    assert!(matches!(update_fault("trap-on-third"), Fault::Trap(cause) if cause.contains("unreachable")));
    assert!(matches!(fault(tracker("trap-in-open").err().unwrap(), "open"), Fault::Trap(_)));
}

#[test]
fn errors_of_a_plugin_are_reported() {
    assert_eq!(fault(tracker("refuse-open").err().unwrap(), "open"), Fault::Reported("not today".into()));
    assert_eq!(update_fault("report-error"), Fault::Reported("lost the thread".into()));
}

#[test]
fn invalid_track_ids_are_detected() {
    for (misdeed, rule) in [
        ("fewer-ids", "1 ids for 2"),
        ("duplicate-ids", "two detections"),
        ("zero-id", "track 0"),
        ("use-closed-again", "track 1"),
        ("close-unknown", "track 77"),
    ] {
        match update_fault(misdeed) {
            Fault::Contract(broken) => assert!(broken.contains(rule), "{misdeed}: {broken}"),
            other => panic!("{misdeed}: {other}"),
        }
    }
}

#[test]
fn the_output_of_a_call_is_limited() {
    for million in [update_fault("million-ids"), filter_fault("million-verdicts")] {
        assert!(matches!(million, Fault::Output { .. }), "{million}");
    }
}

#[test]
fn faults_in_snapshot_restore_and_finish() {
    let mut first = tracker("trap-in-snapshot").unwrap();
    assert!(matches!(fault(first.snapshot().unwrap_err(), "snapshot"), Fault::Trap(_)));

    let mut sound = tracker("leave-open-at-finish").unwrap();
    sound.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    let state = sound.snapshot().unwrap();
    assert_eq!((state.last_id, state.open.as_slice()), (1, [TrackId(1)].as_slice()));
    let mut heir = tracker("trap-in-restore").unwrap();
    assert!(matches!(fault(heir.restore(&state).unwrap_err(), "restore"), Fault::Trap(_)));

    assert!(
        matches!(fault(sound.finish().unwrap_err(), "finish"), Fault::Contract(broken) if broken.contains("still open"))
    );
}

fn filter_fault(misdeed: &str) -> Fault {
    let mut filter = hostile().filter("hostile_filter", &json!({"misdeed": misdeed}), &stream()).unwrap();
    fault(filter.shots(&frame(0), &[Candidate { track: TrackId(1), detection: at(0.0, 0.0) }]).unwrap_err(), "shots")
}

#[test]
fn verdicts_that_break_the_contract() {
    for misdeed in ["fewer-verdicts", "long-reason", "many-notes"] {
        let fault = filter_fault(misdeed);
        assert!(matches!(fault, Fault::Contract(_)), "{misdeed}: {fault}");
    }
}

#[test]
fn a_router_cannot_redirect_or_inject_into_its_request() {
    let (object, none): (_, [PictureInfo; 0]) = (object(), []);
    for misdeed in ["other-host", "other-method", "split-header", "split-part", "missing-picture"] {
        let mut router = hostile().router("hostile_router", &json!({"misdeed": misdeed})).unwrap();
        let fault = fault(router.encode(&post(&object, &none), None).unwrap_err(), "encode");
        assert!(matches!(fault, Fault::Contract(_)), "{misdeed}: {fault}");
    }
    let mut router = hostile().router("hostile_router", &json!({"misdeed": "report-error"})).unwrap();
    assert_eq!(
        fault(router.encode(&post(&object, &none), None).unwrap_err(), "encode"),
        Fault::Reported("cannot say this".into())
    );
}

#[test]
fn log_lines_are_limited_without_ending_the_session() {
    assert_eq!(update_fault("write-forever"), Fault::Deadline(DEADLINE));
    let mut chatterer = tracker("chatter").unwrap();
    chatterer.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    // A thousand lines, of which 50 are written, and those for which the bucket refills meanwhile.
    let dropped = chatterer.meters().log_lines_dropped;
    assert!((900..=950).contains(&dropped), "{dropped}");
}

#[test]
fn one_sessions_fault_leaves_the_others_alone() {
    let mut sound = tracker("trap-on-third").unwrap();
    sound.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    let _ = update_fault("allocate");
    sound.update(&frame(1), &[at(0.0, 0.0)]).unwrap();
}
