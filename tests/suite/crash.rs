//! Covers: recovery from kill -9. An interrupted job continues after the restart behind the last
//! frame of its log, shows the boxes of its tracks meanwhile, and ends with the same objects and
//! pictures as an undisturbed one; no object is stored twice or posted under two keys. With another
//! detector, which would find other objects, the job starts again as a new one, and no key stands
//! for two objects. A lost or damaged index is rebuilt.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use axum::http::StatusCode;
use serde_json::json;

use crate::{
    media,
    plugins::copy_plugins,
    receiver::Receiver,
    server::{Options, Server, ids, run},
};

fn settings() -> serde_json::Value {
    let small = json!({"filter_min_size": 15, "filter_min_quality": 0.1, "track_miss_interval": 0});
    json!({"detectors": {"face": null, "body": small, "car": small}})
}

async fn found(server: &Server, id: u64) -> Vec<serde_json::Value> {
    let mut all: Vec<_> = server
        .objects(id)
        .await
        .into_iter()
        .map(|o| json!([o["type"], o["track_id"], o["bbox"], o["best_time"]]))
        .collect();
    all.sort_by_key(ToString::to_string);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_ends_with_the_objects_of_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::short_street(dir.path(), 150);
    let receiver = Receiver::start(StatusCode::OK).await;

    let server = Server::start(&data);
    let whole = server.process_file(json!({"stream_settings": settings()}), &file).await;
    server.finished(whole).await;
    let expected = found(&server, whole).await;
    assert!(expected.len() > 1, "{expected:?}");

    let cut = server.process_file(json!({"stream_settings": settings(), "router_url": receiver.url}), &file).await;
    server.under_way(cut, 40).await;
    server.kill();
    let server = Server::start(&data);
    server.under_way(cut, 90).await;
    // The first second was processed before the interruption.
    let boxes = tracks(&server, whole, 1.0).await;
    assert!(!boxes.is_empty() && tracks(&server, cut, 1.0).await == boxes, "a resumed job shows boxes");
    server.kill();

    let server = Server::start(&data);
    let video = server.delivered(cut).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!(video["health_status"]["statistic"]["job_starts"], 3);
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 150);
    assert_eq!(found(&server, cut).await, expected);
    assert_eq!(tracks(&server, cut, 1e6).await, tracks(&server, whole, 1e6).await);
    let ids: HashSet<String> = ids(&server.objects(cut).await).into_iter().collect();
    assert_eq!(ids.len(), expected.len());
    let keys: HashSet<String> = receiver.posts().into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ids, "every object is posted under its own key and no other");
}

/// The tracks of a video with their boxes, without the ids of their objects.
async fn tracks(server: &Server, id: u64, to: f64) -> Vec<serde_json::Value> {
    let answer = server.get(&format!("/videos/{id}/tracks/?to={to}")).await;
    let tracks = answer["tracks"].as_array().unwrap().iter();
    tracks.map(|track| json!([track["type"], track["id"], track["boxes"]])).collect()
}

/// The objects of a video without their ids, and their pictures.
async fn objects_and_pictures(server: &Server, id: u64) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for mut object in server.objects(id).await {
        let [thumbnail, fullframe] = ["thumbnail", "fullframe"].map(|part| object[part].as_str().unwrap().to_owned());
        object
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !["id", "cluster", "thumbnail", "fullframe"].contains(&key.as_str()));
        all.push((object.to_string(), server.bytes(&thumbnail).await, server.bytes(&fullframe).await));
    }
    all
}

/// Overwrites the first tenth of a recording's frames, but not its headers.
fn damage_the_beginning(source: &Path) {
    let mut bytes = std::fs::read(source).unwrap();
    let pictures = bytes.windows(4).position(|word| word == b"mdat").unwrap() + 4;
    let end = pictures + (bytes.len() - pictures) / 10;
    bytes[pictures..end].fill(0x55);
    std::fs::write(source, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_killed_late_does_not_decode_the_beginning_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::sparse_key_frames(dir.path(), 400);
    let small = json!({
        "filter_min_size": 15, "filter_min_quality": 0.1, "overall_only": false, "realtime_post_interval": 1,
        "post_first_track_frame": true, "post_last_track_frame": true,
    });
    // Timestamps of the stream, which do not depend on when the job runs.
    let settings = json!({"detectors": {"face": null, "body": small, "car": small}, "use_stream_timestamp": true});
    let server = Server::start(&data);
    let whole = server.process_file(json!({"stream_settings": settings}), &file).await;
    server.finished(whole).await;
    let expected = objects_and_pictures(&server, whole).await;
    assert!(expected.len() > 4, "{expected:?}");

    let cut = server.process_file(json!({"stream_settings": settings}), &file).await;
    server.under_way(cut, 330).await;
    server.kill();
    damage_the_beginning(&data.join(format!("archive/000/{cut}/source")));
    let server = Server::start(&data);
    let video = server.finished(cut).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    let statistic = &video["health_status"]["statistic"];
    assert_eq!(
        (&statistic["frames_processed"], &statistic["decoding_soft_errors"]),
        (&json!(400), &json!(0)),
        "{video:#}"
    );
    assert_eq!(
        video["car_count"].as_u64(),
        Some(server.objects(cut).await.iter().filter(|o| o["type"] == "car").count() as u64)
    );
    let found = objects_and_pictures(&server, cut).await;
    assert_eq!(found.iter().map(|o| &o.0).collect::<Vec<_>>(), expected.iter().map(|o| &o.0).collect::<Vec<_>>());
    assert!(found == expected, "the same objects with other pictures");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_killed_after_its_last_object_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.process_file(json!({"stream_settings": settings()}), &media::short_street(dir.path(), 60)).await;
    let before = server.finished(id).await;
    let expected = server.objects(id).await;
    assert!(!expected.is_empty());
    server.kill();

    // The record as a power failure leaves it before the job's status is written.
    let record = data.join(format!("archive/000/{id}/video.json"));
    let mut video: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    video["status"] = json!("INPROGRESS");
    video["finished"] = json!(false);
    // An edited record has no valid checksum.
    video.as_object_mut().unwrap().retain(|key, _| key != "format" && key != "checksum");
    std::fs::write(&record, video.to_string()).unwrap();
    let server = Server::start(&data);
    let after = server.finished(id).await;
    assert_eq!(after["health_status"]["status"], "COMPLETED", "{after:#}");
    assert_eq!(after["car_count"], before["car_count"]);
    assert_eq!(ids(&server.objects(id).await), ids(&expected), "the job keeps its number");
}

#[tokio::test(flavor = "multi_thread")]
async fn static_frames_are_skipped_the_same_across_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::short_street(dir.path(), 150);
    let mut settings = settings();
    settings["imotion_threshold"] = json!(0.02);
    settings["use_stream_timestamp"] = json!(true);
    let server = Server::start(&data);
    let frames = |video: &serde_json::Value| {
        let statistic = &video["health_status"]["statistic"];
        (statistic["frames_processed"].as_u64().unwrap(), statistic["frames_imotion_skipped"].as_u64().unwrap())
    };
    let whole = server.process_file(json!({"stream_settings": settings}), &file).await;
    let expected = (frames(&server.finished(whole).await), objects_and_pictures(&server, whole).await);
    let (processed, skipped) = expected.0;
    assert!(processed > 10 && skipped > 0, "{processed} {skipped}");

    settings["play_speed"] = json!(2);
    let cut = server.process_file(json!({"stream_settings": settings}), &file).await;
    server.under_way(cut, 10).await;
    server.kill();
    let server = Server::start(&data);
    let after = (frames(&server.finished(cut).await), objects_and_pictures(&server, cut).await);
    assert_eq!(after.0, expected.0);
    assert!(after.1 == expected.1, "other objects or pictures");
}

/// Copies the detectors with another score threshold, and so with another digest.
fn other_detectors(to: &Path, score: f64) {
    for folder in std::fs::read_dir(media::assets().join("detectors")).unwrap() {
        let folder = folder.unwrap().path();
        let own = to.join(folder.file_name().unwrap());
        std::fs::create_dir_all(&own).unwrap();
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            std::fs::copy(&file, own.join(file.file_name().unwrap())).unwrap();
        }
        let manifest = own.join("detector.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let lines = text
            .lines()
            .map(|line| if line.starts_with("score = ") { format!("score = {score}") } else { line.to_owned() });
        std::fs::write(&manifest, lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_starts_again_under_another_detector() {
    let dir = tempfile::tempdir().unwrap();
    let (data, detectors) = (dir.path().join("data"), dir.path().join("detectors"));
    other_detectors(&detectors, 0.5);
    let file = media::short_street(dir.path(), 120);
    let receiver = Receiver::start(StatusCode::OK).await;

    let server = Server::start(&data);
    let id = server.process_file(json!({"stream_settings": settings(), "router_url": receiver.url}), &file).await;
    // An object was posted that the other detector finds differently.
    server
        .wait(id, "posting", |v| v["health_status"]["statistic"]["objects"]["car"]["posted"].as_u64() > Some(0))
        .await;
    server.under_way(id, 50).await;
    server.kill();

    let server = Options::new(&data).detectors(&detectors).start();
    let video = server.delivered(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 120);
    let whole = server.process_file(json!({"stream_settings": settings()}), &file).await;
    server.finished(whole).await;
    let expected = found(&server, whole).await;
    assert_eq!(found(&server, id).await, expected, "all objects are those of the new detector");

    let objects = server.objects(id).await;
    assert_eq!(video["car_count"].as_u64(), Some(objects.iter().filter(|o| o["type"] == "car").count() as u64));
    let mut posted = HashMap::new();
    for post in receiver.posts() {
        let object = (post.bbox.to_string(), post.timestamp.clone());
        assert_eq!(
            posted.entry(post.key.clone()).or_insert_with(|| object.clone()),
            &object,
            "{} stands for two objects",
            post.key
        );
    }
    for object in &objects {
        let key = object["id"].as_str().unwrap();
        assert!(posted.contains_key(key), "{key} was not posted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_continues_under_another_build_of_a_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let server = Options::new(&data).plugins(&plugins).start();
    let id = server.process_file(json!({"stream_settings": settings()}), &media::short_street(dir.path(), 120)).await;
    server.wait(id, "with objects", |v| v["car_count"].as_u64() > Some(0)).await;
    let before: HashSet<String> = ids(&server.objects(id).await).into_iter().collect();
    server.kill();

    // Another digest with the same behaviour.
    let tracker = plugins.join("simple-iou.wasm");
    std::fs::write(&tracker, crate::plugins::rebuilt(&std::fs::read(&tracker).unwrap(), 1)).unwrap();
    let server = Options::new(&data).plugins(&plugins).start();
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 120, "{video:#}");
    let after: HashSet<String> = ids(&server.objects(id).await).into_iter().collect();
    assert!(!before.is_empty() && before.is_subset(&after), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_continues_after_a_graceful_stop() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.process_file(json!({"stream_settings": settings()}), &media::short_street(dir.path(), 120)).await;
    server.under_way(id, 20).await;
    assert!(server.terminate().success());

    let server = Server::start(&data);
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED");
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_damaged_index_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server
        .process_file(json!({"name": "kept", "stream_settings": settings()}), &media::short_street(dir.path(), 60))
        .await;
    server.finished(id).await;
    let (before, objects) = (server.video(id).await, found(&server, id).await);
    assert!(server.terminate().success());

    std::fs::remove_dir_all(data.join("index")).unwrap();
    let server = Server::start(&data);
    let mut after = server.video(id).await;
    after["screenshot"] = before["screenshot"].clone();
    assert_eq!(after, before);
    assert_eq!(found(&server, id).await, objects);
    assert!(server.terminate().success());

    for file in std::fs::read_dir(data.join("index")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::write(path, b"this is not an index").unwrap();
        }
    }
    let server = Server::start(&data);
    assert_eq!(found(&server, id).await, objects);
    assert!(server.terminate().success());

    let (status, out, err) = run(&["check", "--data", data.to_str().unwrap()]);
    assert!(status.success(), "{out}{err}");
}
