//! Covers: hostile plugins in a running server. Whatever a plugin does, its job ends by the fault
//! policy with a message that names plugin, call and reason, the server stays up, and other jobs
//! find the same objects as without it; a file that is not a plugin is refused with the reason; a
//! fault's trace reproduces it with `ocellus plugin test`.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    plugins::{copy_plugins, guest, rebuilt},
    server::{Options, Server, run, small, with},
};

const MEMORY: u64 = 32 << 20;

fn server(dir: &Path, policy: &str) -> Server {
    let plugins = dir.join("plugins");
    copy_plugins(&plugins);
    fs::write(plugins.join("hostile-tracker.wasm"), guest("hostile-tracker.wasm")).unwrap();
    Options::new(&dir.join("data"))
        .plugins(&plugins)
        .argument("--jobs", "3")
        .argument("--on-plugin-fault", policy)
        // Allocating as much memory as some of them do takes a while on a busy machine.
        .argument("--plugin-deadline-ms", "1000")
        .argument("--plugin-memory-bytes", &MEMORY.to_string())
        .start()
}

fn car(more: Value) -> Value {
    json!({"face": null, "car": with(small(), more)})
}

/// Starts a job whose tracker does the given misdeed.
async fn begin(server: &Server, clip: &Path, misdeed: &str, more: Value) -> u64 {
    let detectors = car(json!({"tracker_type": "hostile_tracker"}));
    let settings = json!({"detectors": detectors, "plugins": {"hostile_tracker": {"misdeed": misdeed}}});
    server.process_file(json!({"stream_settings": with(settings, more)}), clip).await
}

/// The fields of the objects that are the same in every job of a recording.
async fn found(server: &Server, id: u64) -> Vec<Value> {
    assert_eq!(server.finished(id).await["health_status"]["status"], "COMPLETED");
    server
        .objects(id)
        .await
        .into_iter()
        .map(|o| json!([o["track_id"], o["bbox"], o["detections"], o["quality"]]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misdeed_ends_its_own_job_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), "fail");
    // Nothing is found in the short clip, which is enough for misdeeds that need no detections.
    let (short, long) = (media::short_street(dir.path(), 8), media::short_street(dir.path(), 60));
    let sound = async || server.process_file(json!({"stream_settings": {"detectors": car(json!({}))}}), &long).await;
    let undisturbed = found(&server, sound().await).await;
    assert!(!undisturbed.is_empty());
    let beside = sound().await;

    let mut jobs = Vec::new();
    for (clip, misdeed, call, reason) in [
        (&short, "refuse-open", "open", "it failed: not today"),
        (&short, "trap-in-open", "open", "trapped"),
        (&short, "spin-in-open", "open", "deadline of 1000 ms"),
        (&short, "spin", "update", "deadline of 1000 ms"),
        (&short, "write-forever", "update", "deadline of 1000 ms"),
        (&short, "allocate", "update", "bytes of memory, of 33554432 allowed"),
        (&short, "recurse", "update", "trapped"),
        (&short, "trap-on-third", "update", "trapped"),
        (&short, "report-error", "update", "lost the thread"),
        (&long, "million-ids", "update", "answered with more than"),
        (&long, "fewer-ids", "update", "broke the contract"),
        (&long, "duplicate-ids", "update", "two detections of one frame"),
        (&long, "zero-id", "update", "track 0"),
        (&long, "use-closed-again", "update", "track 1"),
        (&long, "close-unknown", "update", "track 77 is closed and was not open"),
        (&long, "leave-open-at-finish", "finish", "still open after finish"),
    ] {
        jobs.push((begin(&server, clip, misdeed, json!({})).await, misdeed, call, reason));
    }
    for (id, misdeed, call, reason) in jobs {
        let video = server.finished(id).await;
        assert_ne!(video["health_status"]["status"], "COMPLETED", "{misdeed}: {video:#}");
        let error = video["error"].as_str().unwrap();
        for part in ["hostile_tracker", call, reason] {
            assert!(error.contains(part), "{misdeed}: {part:?} is not in {error:?}");
        }
        let memory =
            video["health_status"]["statistic"]["plugins"]["hostile_tracker"]["memory_bytes"].as_u64().unwrap_or(0);
        assert!(memory <= MEMORY, "{misdeed}: {memory} bytes");
        server.get("/health/").await;
    }
    assert_eq!(found(&server, beside).await, undisturbed);
    assert_eq!(found(&server, sound().await).await, undisturbed);
}

#[tokio::test(flavor = "multi_thread")]
async fn excessive_logging_and_faults_during_a_swap_end_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), "fail");
    let clip = media::short_street(dir.path(), 50);
    let chatterer = begin(&server, &clip, "chatter", json!({})).await;
    let at_pace = json!({"play_speed": 1, "disable_drops": true});
    let (lost, kept) = (
        begin(&server, &clip, "trap-in-snapshot", at_pace.clone()).await,
        begin(&server, &clip, "trap-in-restore", at_pace).await,
    );
    for id in [lost, kept] {
        server.under_way(id, 5).await;
    }
    let newer = rebuilt(&guest("hostile-tracker.wasm"), 1);
    assert_eq!(server.install("hostile_tracker", newer).await.0, StatusCode::OK);
    for (id, call, builds) in [(lost, "snapshot", 2), (kept, "restore", 1)] {
        let video = server.finished(id).await;
        let (status, statistic) = (&video["health_status"]["status"], &video["health_status"]["statistic"]);
        assert_eq!((status, &statistic["frames_processed"]), (&json!("COMPLETED"), &json!(50)), "{video:#}");
        let used = &statistic["plugins"]["hostile_tracker"];
        assert!(used["last_fault"].as_str().unwrap().contains(call), "{used:#}");
        assert_eq!(used["components"].as_array().unwrap().len(), builds, "{used:#}");
    }
    let used = server.finished(chatterer).await["health_status"]["statistic"]["plugins"]["hostile_tracker"].clone();
    assert!(used["log_lines_dropped"].as_u64() > Some(10_000), "{used:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_plugin_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), "fail");
    let sound = guest("hostile-tracker.wasm");
    let mut flipped = sound.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 64].iter_mut().for_each(|b| *b ^= 0xff);
    let core = b"\0asm\x01\0\0\0".to_vec();
    for (bytes, reason) in [
        (Vec::new(), "is empty"),
        (b"#!/bin/sh".to_vec(), "is not WebAssembly"),
        (sound[..sound.len() - 100].to_vec(), "truncated"),
        (flipped, "is damaged"),
        (core, "`ocellus plugin build`"),
        (guest("other-world.wasm"), "it exports example:greeting/greeter"),
        (guest("newer-contract.wasm"), "exports ocellus:plugin/tracking@0.2.0; this server speaks 0.1"),
        (guest("ungranted-import.wasm"), "imports example:files/reading@1.0.0, which is not granted"),
        (guest("ungranted-crops.wasm"), "without asking for the capability"),
    ] {
        let (status, answer) = server.install("hostile_tracker", bytes).await;
        assert_eq!((status, &answer["param"]), (StatusCode::BAD_REQUEST, &json!("body")), "{answer}");
        assert!(answer["desc"].as_str().unwrap().contains(reason), "{reason:?} is not in {answer}");
    }
    assert_eq!(server.get("/plugins/hostile_tracker/").await["state"], "ready", "the installed plugin stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_reproduces_its_fault() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), "skip");
    let id = begin(&server, &media::short_street(dir.path(), 20), "trap-on-third", json!({})).await;
    let video = server.finished(id).await;
    let used = &video["health_status"]["statistic"]["plugins"]["hostile_tracker"];
    assert!(used["faults"].as_u64() > Some(0), "{used:#}");

    let trace = dir.path().join("trace.json");
    fs::write(&trace, server.bytes("/plugins/hostile_tracker/trace/").await).unwrap();
    assert!(fs::metadata(&trace).unwrap().len() < 100_000);
    let component = media::assets().join("guests/hostile-tracker.wasm");
    let (status, said, error) =
        run(&["plugin", "test", component.to_str().unwrap(), "--trace", trace.to_str().unwrap()]);
    assert_eq!(status.code(), Some(1), "{said}{error}");
    assert!(said.contains("it fails after 3 calls") && said.contains("update") && said.contains("trapped"), "{said}");

    assert_eq!(server.status(Method::GET, "/plugins/simple_iou/trace/").await, StatusCode::NOT_FOUND);
}
