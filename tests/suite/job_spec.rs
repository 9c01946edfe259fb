//! Covers: a job runs by its spec, which is fixed when it is started. Changes of the video while
//! the job is queued, or after a kill, change neither its objects nor its replay; the spec names
//! the digests of detectors and plugins.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    media,
    server::{Options, Server},
};

fn settings(smallest: u32, speed: i32) -> Value {
    let car = json!({"filter_min_size": smallest, "filter_min_quality": 0.1, "track_miss_interval": 0});
    json!({"detectors": {"face": null, "body": null, "car": car}, "play_speed": speed})
}

async fn started(server: &Server, file: &Path, settings: Value) -> u64 {
    server.process_file(json!({"stream_settings": settings}), file).await
}

async fn set_smallest(server: &Server, id: u64, smallest: u32) {
    let body = json!({"stream_settings": settings(smallest, -1)});
    server.patch(id, &body).await;
}

async fn found(server: &Server, id: u64) -> Vec<Value> {
    server.objects(id).await.into_iter().map(|o| json!([o["type"], o["track_id"], o["bbox"], o["best_time"]])).collect()
}

/// Asserts that the job of a video found these objects, and that its replay does.
async fn assert_found(server: &Server, id: u64, expected: &[Value]) {
    assert_eq!(found(server, id).await, expected);
    let (_, replay) = server.replay(id, json!({})).await;
    assert_eq!((&replay["objects"], &replay["same"]), (&json!(expected.len()), &json!(expected.len())), "{replay:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_after_process_reach_the_next_job_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::short_street(dir.path(), 100);
    // One job at a time: the second waits.
    let server = Options::new(&data).argument("--jobs", "1").start();
    let reference = started(&server, &file, settings(15, -1)).await;
    server.finished(reference).await;
    let expected = found(&server, reference).await;
    assert!(!expected.is_empty());

    let first = started(&server, &file, settings(15, 1)).await;
    let queued = started(&server, &file, settings(15, -1)).await;
    set_smallest(&server, queued, 5000).await;
    assert_eq!(server.video(queued).await["queued"], true);
    server.post(&format!("/videos/{first}/stop/")).await;
    server.finished(queued).await;
    assert_found(&server, queued, &expected).await;

    let cut = started(&server, &file, settings(15, 1)).await;
    server.under_way(cut, 20).await;
    server.kill();
    let server = Server::start(&data);
    set_smallest(&server, cut, 5000).await;
    assert_eq!(server.video(cut).await["finished"], false);
    server.kill();
    let server = Server::start(&data);
    server.finished(cut).await;
    assert_found(&server, cut, &expected).await;

    server.process(cut).await;
    server.finished(cut).await;
    assert_found(&server, cut, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_names_the_digests_of_detectors_and_plugins() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    // The digests of networks are known once they are loaded, which the first job waits for.
    let file = media::pattern(dir.path(), "320x240", 1);
    let id = started(&server, &file, settings(15, -1)).await;
    server.finished(id).await;
    server.process(id).await;
    server.finished(id).await;
    let spec: Value =
        serde_json::from_slice(&std::fs::read(data.join(format!("archive/000/{id}/jobs/2/plan.json"))).unwrap())
            .unwrap();
    let health = server.get("/health/").await;
    let detectors = health["detectors"]["detectors"].as_array().unwrap();
    let of_cars = detectors.iter().find(|d| d["types"].as_array().unwrap().contains(&json!("car"))).unwrap();
    assert_eq!(spec["detectors"], json!({(of_cars["name"].as_str().unwrap()): of_cars["digest"]}));
    assert!(spec["embedders"].is_object());
    let installed = server.get("/plugins/").await["results"].as_array().unwrap().clone();
    for name in ["simple_iou", "quality", "size"] {
        let digest = &installed.iter().find(|p| p["name"] == name).unwrap()["digest"];
        assert!(digest.is_string() && &spec["plugins"][name] == digest, "{name}: {spec:#}");
    }
}
