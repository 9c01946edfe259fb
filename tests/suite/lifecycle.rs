//! Covers: process, stop and process again. Stopping keeps what was found, processing again clears
//! it, a video without a source says so, and the queue runs as many jobs as it may.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    media,
    server::{Options, Server},
};

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_the_job_and_processing_again_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server.create(json!({})).await;
    server.upload(id, &media::pattern(dir.path(), "1280x720", 60)).await;
    server.process(id).await;
    let running = server.under_way(id, 3).await;
    assert_eq!(running["health_status"]["status"], "INPROGRESS");
    assert_eq!((&running["active"], &running["health_status"]["enabled"]), (&json!(true), &json!(true)));

    let asked = Instant::now();
    server.post(&format!("/videos/{id}/stop/")).await;
    assert!(asked.elapsed() < Duration::from_secs(60), "stop must not wait for the end of the video");
    let stopped = server.video(id).await;
    assert_eq!(stopped["health_status"]["status"], "DISABLED");
    assert_eq!((&stopped["active"], &stopped["finished"]), (&json!(false), &json!(false)));
    server.post(&format!("/videos/{id}/stop/")).await;

    server.upload(id, &media::pattern(dir.path(), "320x240", 1)).await;
    server.process(id).await;
    let done = server.finished(id).await;
    assert_eq!(done["health_status"]["status"], "COMPLETED");
    assert_eq!(done["health_status"]["statistic"]["frames_processed"], 25);
    assert_eq!(done["health_status"]["statistic"]["job_starts"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn processing_again_gives_the_objects_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let settings = json!({"detectors": {"face": null, "car": {"filter_min_size": 15, "filter_min_quality": 0.1}}});
    let id = server.create(json!({"stream_settings": settings})).await;
    server.upload(id, &media::short_street(dir.path(), 50)).await;
    let mut counts = Vec::new();
    let mut first = String::new();
    for _ in 0..2 {
        server.process(id).await;
        let video = server.finished(id).await;
        let objects = server.objects(id).await;
        assert_eq!(video["car_count"], objects.len());
        counts.push(objects.len());
        let thumbnail = objects[0]["thumbnail"].as_str().unwrap().to_owned();
        if first.is_empty() {
            first = thumbnail;
        } else {
            let gone = server.request(Method::GET, &first).send().await.unwrap();
            assert_eq!(gone.status(), StatusCode::NOT_FOUND, "pictures of the earlier job are gone");
        }
    }
    assert!(counts[0] > 0);
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_without_a_source_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server.create(json!({})).await;
    server.process(id).await;
    let video = server.video(id).await;
    assert_eq!(video["health_status"]["status"], "NO_SOURCE");
    assert_eq!(video["health_status"]["code"], "red");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_running_video_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.create(json!({})).await;
    server.upload(id, &media::pattern(dir.path(), "640x360", 60)).await;
    server.process(id).await;
    server.under_way(id, 1).await;
    let deleted = server.request(Method::DELETE, &format!("/videos/{id}/")).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = server.request(Method::GET, &format!("/videos/{id}/")).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let left: Vec<_> = std::fs::read_dir(data.join("archive"))
        .unwrap()
        .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).into_iter().flatten())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_for_their_turn_and_a_waiting_one_can_be_called_off() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data).argument("--jobs", "1").start();
    let file = media::pattern(dir.path(), "640x360", 60);
    let (first, second) = (server.create(json!({})).await, server.create(json!({})).await);
    for id in [first, second] {
        server.upload(id, &file).await;
        server.process(id).await;
    }
    server.under_way(first, 1).await;
    let waiting = server.video(second).await;
    assert_eq!(waiting["health_status"]["status"], "AWAITING");
    assert_eq!(waiting["queued"], true);
    server.post(&format!("/videos/{second}/stop/")).await;
    assert_eq!(server.video(second).await["health_status"]["status"], "DISABLED");
    server.post(&format!("/videos/{first}/stop/")).await;
}
