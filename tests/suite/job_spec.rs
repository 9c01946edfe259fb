//! Covers: a job runs by its spec. What is changed of its video while it is queued, or while the
//! server is down, changes neither its objects nor what its replay says of them; the spec names
//! what the job was asked for with.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    server::{Options, Server},
};

fn settings(smallest: u32, speed: i32) -> Value {
    let car = json!({"filter_min_size": smallest, "filter_min_quality": 0.1, "track_miss_interval": 0});
    json!({"detectors": {"face": null, "body": null, "car": car}, "play_speed": speed})
}

async fn uploaded(server: &Server, file: &Path, settings: Value) -> u64 {
    let id = server.create(json!({"stream_settings": settings})).await;
    server.upload(id, file).await;
    server.process(id).await;
    id
}

async fn set_smallest(server: &Server, id: u64, smallest: u32) {
    let body = json!({"stream_settings": settings(smallest, -1)});
    let response = server.request(Method::PATCH, &format!("/videos/{id}/")).json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
}

async fn found(server: &Server, id: u64) -> Vec<Value> {
    server.objects(id).await.into_iter().map(|o| json!([o["type"], o["track_id"], o["bbox"], o["best_time"]])).collect()
}

/// That the job of a video made these objects, and that its replay makes them, too.
async fn assert_made(server: &Server, id: u64, expected: &[Value]) {
    assert_eq!(found(server, id).await, expected);
    let response =
        server.request(Method::POST, &format!("/videos/{id}/replay/")).json(&json!({})).send().await.unwrap();
    let replay: Value = response.json().await.unwrap();
    assert_eq!((&replay["objects"], &replay["same"]), (&json!(expected.len()), &json!(expected.len())), "{replay:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_after_process_changes_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::short_street(dir.path(), 100);
    // One job at a time: the second waits.
    let server = Options::new(&data).argument("--jobs", "1").start();
    let reference = uploaded(&server, &file, settings(15, -1)).await;
    server.finished(reference).await;
    let expected = found(&server, reference).await;
    assert!(!expected.is_empty());

    let first = uploaded(&server, &file, settings(15, 1)).await;
    let queued = uploaded(&server, &file, settings(15, -1)).await;
    set_smallest(&server, queued, 5000).await;
    assert_eq!(server.video(queued).await["queued"], true);
    server.post(&format!("/videos/{first}/stop/")).await;
    server.finished(queued).await;
    assert_made(&server, queued, &expected).await;

    let cut = uploaded(&server, &file, settings(15, 1)).await;
    server.under_way(cut, 20).await;
    server.kill();
    let server = Server::start(&data);
    set_smallest(&server, cut, 5000).await;
    assert_eq!(server.video(cut).await["finished"], false);
    server.kill();
    let server = Server::start(&data);
    server.finished(cut).await;
    assert_made(&server, cut, &expected).await;

    server.process(cut).await;
    server.finished(cut).await;
    assert_made(&server, cut, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_what_the_job_was_asked_for_with() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    // Networks have digests once they are loaded, which a job waits for.
    let file = media::pattern(dir.path(), "320x240", 1);
    let id = uploaded(&server, &file, settings(15, -1)).await;
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
