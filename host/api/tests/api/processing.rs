//! Covers: process/ and stop/ with and without a source, in every state; screenshot/; their
//! effects.

use ocellus_core::{VideoId, VideoStatus};
use serde_json::{Value, json};

use crate::server::{Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_source_the_status_is_no_source() {
    let server = Server::start().await;
    let id = server.add("a").await;
    assert!(server.post(&format!("/videos/{id}/process/"), Value::Null).await.expect(200).body.is_empty());
    let video = server.video(id).await;
    assert_eq!(video["health_status"]["status"], "NO_SOURCE");
    assert_eq!((&video["queued"], &video["active"], &video["finished"]), (&json!(false), &json!(false), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_video_ends_in_an_error() {
    let server = Server::start().await;
    let id = server.add("a").await;
    server.upload(id, "no video at all").await.expect(201);
    server.post(&format!("/videos/{id}/process/"), Value::Null).await.expect(200);
    until("the job ends", async || server.video(id).await["finished"] == true).await;
    let video = server.video(id).await;
    assert!(video["error"].as_str().is_some_and(|e| !e.is_empty() && !e.contains('/')), "{video}");
    assert!(["NOT_STARTED", "MISCONFIGURED"].contains(&video["health_status"]["status"].as_str().unwrap()), "{video}");
    assert_eq!((&video["queued"], &video["active"], &video["face_count"]), (&json!(false), &json!(false), &json!(0)));
    assert!(video["processing_start_date"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_idempotent() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let before = server.video(id).await;
    for _ in 0..2 {
        assert!(server.post(&format!("/videos/{id}/stop/"), Value::Null).await.expect(200).body.is_empty());
    }
    assert_eq!(server.video(id).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_video_shows_its_progress() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let change = |status: VideoStatus| {
        server.archive.update(VideoId(id), |v| {
            (v.status, v.source_len) = (status, Some(10.0));
            let statistic = v.statistic.get_or_insert_default();
            statistic.processed_duration = 2.5;
            Ok(())
        })
    };
    change(VideoStatus::InProgress).unwrap();
    let video = server.video(id).await;
    assert_eq!((&video["active"], &video["queued"], &video["progress"]), (&json!(true), &json!(false), &json!(0.25)));
    assert_eq!((&video["health_status"]["enabled"], &video["health_status"]["code"]), (&json!(true), &json!("green")));
    let statistic = video["health_status"]["statistic"].as_object().unwrap();
    let keys = [
        "processed_duration",
        "faces_posted",
        "faces_failed",
        "faces_not_posted",
        "processing_fps",
        "frames_dropped",
        "frames_processed",
        "frames_imotion_skipped",
        "decoding_soft_errors",
        "frame_width",
        "frame_height",
        "last_stream_timestamp",
        "objects",
        "extractors",
        "job_starts",
    ];
    assert_eq!(statistic.keys().collect::<Vec<_>>(), keys);
    change(VideoStatus::Completed).unwrap();
    assert_eq!(server.video(id).await["progress"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn screenshots_are_taken_or_refused() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let path = format!("/videos/{id}/screenshot/");
    for (query, param) in
        [("width=0", "width"), ("height=big", "height"), ("quality=101", "quality"), ("rot=maybe", "rot")]
    {
        server.get(&format!("{path}?{query}")).await.refuses(param);
        server.post(&format!("{path}?{query}"), Value::Null).await.refuses(param);
    }
    server.get(&path).await.expect(404);
    server
        .archive
        .save_screenshot(&server.archive.video(VideoId(id)).unwrap().unwrap(), b"\xff\xd8 a picture")
        .unwrap();
    let picture = server.get(&path).await.expect(200);
    assert_eq!(
        (picture.headers["content-type"].to_str().unwrap(), &*picture.body),
        ("image/jpeg", &b"\xff\xd8 a picture"[..])
    );
    // Only the default size is cached, and there is no source to take another from.
    server.get(&format!("{path}?width=10")).await.expect(404);
}
