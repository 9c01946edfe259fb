//! Covers: each fault leaves a trace, which reproduces it.

use ocellus_core::TrackId;
use ocellus_runtime::{Candidate, Limits, OnFault, Plugins, Role, Trace};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{at, folder, frame, rebuilt, stream};

struct Fixture {
    plugins: Plugins,
    traces: TempDir,
    folder: TempDir,
}

fn fixture(on_fault: OnFault) -> Fixture {
    let folder = folder(&["guests/hostile-tracker.wasm", "guests/hostile-filter.wasm"]);
    let traces = TempDir::new().unwrap();
    let mut limits = Limits { traces: Some(traces.path().join("faults")), ..Limits::default() };
    limits.faults.on_fault = on_fault;
    Fixture { plugins: Plugins::open(folder.path(), limits).unwrap(), traces, folder }
}

impl Fixture {
    fn trace(&self, file: &str) -> Trace {
        serde_json::from_slice(&std::fs::read(self.traces.path().join("faults").join(file)).unwrap()).unwrap()
    }
}

#[test]
fn a_trace_reproduces_a_trackers_fault() {
    let fixture = fixture(OnFault::Fail);
    for (misdeed, call) in [("trap-on-third", "update"), ("fewer-ids", "update"), ("leave-open-at-finish", "finish")] {
        let mut slot =
            fixture.plugins.tracker_slot("hostile_tracker", &json!({"misdeed": misdeed}), &stream()).unwrap();
        let boxes = [at(0.0, 0.0), at(50.0, 0.0)];
        let error =
            (0..5).find_map(|i| slot.update(&frame(i), &boxes).err()).unwrap_or_else(|| slot.finish().unwrap_err());
        let trace = fixture.trace(&slot.report().last_trace.unwrap());
        assert_eq!(trace.fault, error.to_string());
        assert!(trace.complete && trace.fault.contains(call), "{trace:?}");
        assert_eq!(trace.reproduce(&fixture.plugins).unwrap(), Some(error), "{misdeed}");

        // Without the call that failed, nothing fails.
        let harmless = Trace { calls: trace.calls[..trace.calls.len() - 1].to_vec(), ..trace };
        assert_eq!(harmless.reproduce(&fixture.plugins).unwrap(), None, "{misdeed}");
    }
}

#[test]
fn a_trace_begins_with_the_state_that_was_saved() {
    let fixture = fixture(OnFault::Restart);
    let mut slot =
        fixture.plugins.tracker_slot("hostile_tracker", &json!({"misdeed": "trap-on-frame-99"}), &stream()).unwrap();
    for index in 0..100 {
        slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap();
    }
    let trace = fixture.trace(&slot.report().last_trace.unwrap());
    assert!(trace.complete && trace.state.is_some(), "{trace:?}");
    assert_eq!(trace.calls.len(), 100 - 64);
    assert_eq!(trace.reproduce(&fixture.plugins).unwrap().unwrap().to_string(), trace.fault);
}

#[test]
fn a_fault_in_opening_leaves_a_trace() {
    let fixture = fixture(OnFault::Skip);
    let Err(error) = fixture.plugins.tracker_slot("hostile_tracker", &json!({"misdeed": "trap-in-open"}), &stream())
    else {
        panic!()
    };
    let trace: Trace =
        serde_json::from_slice(&fixture.plugins.last_trace("hostile_tracker").unwrap().unwrap()).unwrap();
    assert!(trace.calls.is_empty() && trace.fault == error.to_string(), "{trace:?}");
    assert_eq!(trace.reproduce(&fixture.plugins).unwrap(), Some(error));
    // Settings that do not fit are the user's fault.
    assert!(fixture.plugins.tracker_slot("hostile_tracker", &json!({}), &stream()).is_err());
    assert_eq!(fixture.plugins.info("hostile_tracker", Role::Active).unwrap().used.unwrap().faults, 1);
}

#[test]
fn a_trace_reproduces_a_filters_fault() {
    let fixture = fixture(OnFault::Skip);
    let mut slot = fixture.plugins.filter_slot("hostile_filter", &json!({"misdeed": "many-notes"}), &stream()).unwrap();
    slot.begin_frame(&frame(0), None);
    slot.shots(&frame(0), vec![Candidate { track: TrackId(1), detection: at(0.0, 0.0) }]).unwrap();
    let used = slot.report();
    let trace = fixture.trace(used.last_trace.as_ref().unwrap());
    assert_eq!(trace.fault, used.last_fault.unwrap());
    assert_eq!(trace.reproduce(&fixture.plugins).unwrap().unwrap().to_string(), trace.fault);
    drop(slot);
    assert!(fixture.plugins.last_trace("hostile_filter").unwrap().is_some());
    assert_eq!(fixture.plugins.last_trace("hostile_tracker").unwrap(), None);
}

#[test]
fn a_failing_successor_leaves_a_trace() {
    let fixture = fixture(OnFault::Fail);
    let mut slot =
        fixture.plugins.tracker_slot("hostile_tracker", &json!({"misdeed": "trap-in-restore"}), &stream()).unwrap();
    slot.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    let newer = rebuilt(&std::fs::read(fixture.folder.path().join("hostile-tracker.wasm")).unwrap(), 1);
    let installed = fixture.plugins.install("hostile_tracker", Role::Active, &newer).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut index = 1;
    while slot.report().last_trace.is_none() {
        slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap();
        index += 1;
        assert!(std::time::Instant::now() < end, "{:?}", slot.report());
    }
    let trace = fixture.trace(&slot.report().last_trace.unwrap());
    assert_eq!(trace.digest, installed.digest.unwrap().to_string());
    assert!(trace.fault.contains("restore") && trace.calls.is_empty(), "{trace:?}");
    assert_eq!(trace.reproduce(&fixture.plugins).unwrap().unwrap().to_string(), trace.fault);
}
