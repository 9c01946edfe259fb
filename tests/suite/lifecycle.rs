//! Covers: the life cycle of a job: process, stop, process again, delete. Another job replaces the
//! objects of the first, a video without a source is NO_SOURCE, and the queue runs as many jobs as
//! configured.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    media,
    server::{Options, Server, small},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_ends_and_the_video_can_be_processed_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server.process_file(json!({}), &media::pattern(dir.path(), "1280x720", 60)).await;
    let running = server.under_way(id, 3).await;
    assert_eq!(running["health_status"]["status"], "INPROGRESS");
    assert_eq!((&running["active"], &running["health_status"]["enabled"]), (&json!(true), &json!(true)));

    let asked = Instant::now();
    server.post(&format!("/videos/{id}/stop/")).await;
    assert!(asked.elapsed() < Duration::from_secs(60), "stop waited for the end of the recording");
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
async fn another_job_replaces_the_objects_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let settings = json!({"detectors": {"face": null, "car": small()}});
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
            assert_eq!(server.status(Method::GET, &first).await, StatusCode::NOT_FOUND, "a picture of the earlier job");
        }
    }
    assert!(counts[0] > 0);
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_without_a_source_is_no_source() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server.create(json!({})).await;
    server.process(id).await;
    let video = server.video(id).await;
    assert_eq!(video["health_status"]["status"], "NO_SOURCE");
    assert_eq!(video["health_status"]["code"], "red");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_video_with_a_running_job_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.process_file(json!({}), &media::pattern(dir.path(), "640x360", 60)).await;
    server.under_way(id, 1).await;
    assert_eq!(server.status(Method::DELETE, &format!("/videos/{id}/")).await, StatusCode::NO_CONTENT);
    assert_eq!(server.status(Method::GET, &format!("/videos/{id}/")).await, StatusCode::NOT_FOUND);
    let left: Vec<_> = std::fs::read_dir(data.join("archive"))
        .unwrap()
        .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).into_iter().flatten())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_waits_and_can_be_stopped() {
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
