//! Covers: a whole job. A recording gives objects with pictures, in the archive and at the router;
//! the job's statistics agree with the recording.

use std::collections::HashSet;

use axum::http::StatusCode;
use serde_json::json;

use crate::{
    media,
    receiver::Receiver,
    server::{Server, small},
};

fn all_types() -> serde_json::Value {
    json!({"detectors": {"face": small(), "body": small(), "car": small()}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_street_gives_cars_and_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let receiver = Receiver::start(StatusCode::ACCEPTED).await;
    let id = server
        .process_file(
            json!({"stream_settings": all_types(), "router_url": receiver.url}),
            &media::short_street(dir.path(), 120),
        )
        .await;
    let video = server.delivered(id).await;

    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!(video["health_status"]["code"], "green");
    assert_eq!(video["health_status"]["enabled"], false);
    assert_eq!((&video["active"], &video["queued"], &video["error"]), (&json!(false), &json!(false), &json!(null)));
    assert_eq!((&video["frame_width"], &video["frame_height"]), (&json!(640), &json!(272)));
    let statistic = &video["health_status"]["statistic"];
    assert_eq!(statistic["frames_processed"], 120);
    assert_eq!(statistic["frames_dropped"], 0);
    assert_eq!(statistic["job_starts"], 1);
    let took = &statistic["cpu_seconds"];
    for stage in ["decode", "scale", "detect", "measure", "plugins", "pictures", "embed", "other"] {
        assert!(took[stage].as_f64().is_some_and(|seconds| seconds > 0.0), "{stage}: {took:#}");
    }
    assert!(video["source_len"].as_f64().unwrap() > 3.0);
    assert!(video["processing_start_date"].is_string());

    let objects = server.objects(id).await;
    let of = |t: &str| objects.iter().filter(|o| o["type"] == t).count() as u64;
    assert_eq!(video["car_count"], of("car"));
    assert_eq!(video["body_count"], of("body"));
    assert_eq!(video["face_count"], of("face"));
    assert!(of("car") >= 1, "no car in {objects:#?}");
    assert!(of("body") >= 1, "no body in {objects:#?}");

    let mut ids = HashSet::new();
    for object in &objects {
        let name = object["id"].as_str().unwrap();
        assert!(ids.insert(name.to_owned()), "{name} is listed twice");
        let bbox: Vec<i64> = object["bbox"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        assert!(
            0 <= bbox[0] && bbox[0] < bbox[2] && bbox[2] <= 640 && 0 <= bbox[1] && bbox[1] < bbox[3] && bbox[3] <= 272,
            "{bbox:?}"
        );
        let fullframe = server.bytes(object["fullframe"].as_str().unwrap()).await;
        assert_eq!(media::jpeg_size(&fullframe), Some((640, 272)));
        let thumbnail = server.bytes(object["thumbnail"].as_str().unwrap()).await;
        let (width, height) = media::jpeg_size(&thumbnail).unwrap();
        assert!(i64::from(width) >= bbox[2] - bbox[0] && i64::from(height) >= bbox[3] - bbox[1]);
    }

    let posts = receiver.posts();
    let posted: HashSet<String> = posts.iter().map(|p| p.key.clone()).collect();
    assert_eq!(posted, ids);
    assert_eq!(posts.len(), ids.len(), "an object was posted twice");
    for post in &posts {
        let object = objects.iter().find(|o| o["id"] == post.key).unwrap();
        assert_eq!(post.bbox, json!([object["bbox"]]));
        assert_eq!(post.bs_type, "overall");
        assert_eq!(post.labels["object_type"], object["type"]);
        assert_eq!(post.labels["video_id"], id);
        assert_eq!(post.params["track_objects"], json!([object["type"]]));
        assert_eq!(post.params["end_of_track"], true);
        assert_eq!(media::jpeg_size(&post.photo), Some((640, 272)));
        assert!(media::jpeg_size(&post.normalized).is_some());
        assert!(post.timestamp.ends_with('Z') && !post.cam_id.is_empty(), "{post:?}");
    }
    for (name, counts) in statistic["objects"].as_object().unwrap() {
        assert_eq!(counts, &json!({"posted": of(name), "failed": 0, "not_posted": 0}), "{name}");
    }

    // The frame at an object's time is the object's full frame.
    for object in objects.iter().take(3) {
        let path = format!("/videos/{id}/frame/?time={}&quality=95", object["best_time"]);
        assert_eq!(server.bytes(&path).await, server.bytes(object["fullframe"].as_str().unwrap()).await, "{path}");
    }
    let small = server.bytes(&format!("/videos/{id}/frame/?time=1&width=64")).await;
    assert_eq!(media::jpeg_size(&small), Some((64, 27)));

    let screenshot = server.bytes(&format!("/videos/{id}/screenshot/")).await;
    assert_eq!(media::jpeg_size(&screenshot), Some((640, 272)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_refuses_makes_the_health_code_yellow_and_the_job_completes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let receiver = Receiver::start(StatusCode::BAD_REQUEST).await;
    let id = server
        .process_file(
            json!({"stream_settings": all_types(), "router_url": receiver.url}),
            &media::short_street(dir.path(), 60),
        )
        .await;
    let video = server.delivered(id).await;

    assert_eq!(video["health_status"]["status"], "COMPLETED");
    assert_eq!(video["health_status"]["code"], "yellow");
    let objects = server.objects(id).await.len();
    assert!(objects > 0);
    let counts = video["health_status"]["statistic"]["objects"].as_object().unwrap();
    assert_eq!(counts.values().map(|c| c["failed"].as_u64().unwrap()).sum::<u64>(), objects as u64);
    assert_eq!(receiver.posts().len(), objects, "a refusal is final");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_recording_gives_the_same_objects() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let file = media::short_street(dir.path(), 60);
    let mut runs = Vec::new();
    for _ in 0..2 {
        let id = server.process_file(json!({"stream_settings": all_types()}), &file).await;
        server.finished(id).await;
        let found = server
            .objects(id)
            .await
            .into_iter()
            .map(|o| json!([o["type"], o["track_id"], o["bbox"], o["quality"], o["best_time"]]));
        runs.push(found.collect::<Vec<_>>());
    }
    assert!(!runs[0].is_empty());
    assert_eq!(runs[0], runs[1]);
}
