//! Covers: what kill -9 leaves. A job that was cut goes on after the restart, behind the last frame
//! in its log, and ends with the objects and pictures that it would have ended with; none is there
//! twice, none is posted under two keys; where it would make other objects now it begins anew, and
//! no key stands for two of them; a lost or broken index is rebuilt.

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
    server::{Options, Server, run},
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
async fn a_job_that_was_cut_ends_as_if_it_had_not_been() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::short_street(dir.path(), 150);
    let receiver = Receiver::start(StatusCode::OK).await;

    let server = Server::start(&data);
    let whole = server.create(json!({"stream_settings": settings()})).await;
    server.upload(whole, &file).await;
    server.process(whole).await;
    server.finished(whole).await;
    let expected = found(&server, whole).await;
    assert!(expected.len() > 1, "{expected:?}");

    let cut = server.create(json!({"stream_settings": settings(), "router_url": receiver.url})).await;
    server.upload(cut, &file).await;
    server.process(cut).await;
    server.under_way(cut, 40).await;
    server.kill();
    let server = Server::start(&data);
    server.under_way(cut, 90).await;
    server.kill();

    let server = Server::start(&data);
    let video = server.delivered(cut).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!(video["health_status"]["statistic"]["job_starts"], 3);
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 150);
    assert_eq!(found(&server, cut).await, expected);
    let ids: HashSet<String> = server.objects(cut).await.iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), expected.len());
    let keys: HashSet<String> = receiver.posts().into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ids, "every object is posted under its own key and no other");
}

/// All that there is of a video's objects but their ids, and their pictures.
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

/// Makes the beginning of a recording unreadable, but for what says how the rest is to be read.
fn spoil_the_beginning(source: &Path) {
    let mut bytes = std::fs::read(source).unwrap();
    let pictures = bytes.windows(4).position(|word| word == b"mdat").unwrap() + 4;
    let end = pictures + (bytes.len() - pictures) / 10;
    bytes[pictures..end].fill(0x55);
    std::fs::write(source, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_cut_late_does_not_see_the_beginning_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::seldom_key_frames(dir.path(), 400);
    let small = json!({
        "filter_min_size": 15, "filter_min_quality": 0.1, "overall_only": false, "realtime_post_interval": 1,
        "post_first_track_frame": true, "post_last_track_frame": true,
    });
    // Times of the stream, which are the same whenever the job runs.
    let settings = json!({"detectors": {"face": null, "body": small, "car": small}, "use_stream_timestamp": true});
    let server = Server::start(&data);
    let whole = server.create(json!({"stream_settings": settings})).await;
    server.upload(whole, &file).await;
    server.process(whole).await;
    server.finished(whole).await;
    let expected = objects_and_pictures(&server, whole).await;
    assert!(expected.len() > 4, "{expected:?}");

    let cut = server.create(json!({"stream_settings": settings})).await;
    server.upload(cut, &file).await;
    server.process(cut).await;
    server.under_way(cut, 330).await;
    server.kill();
    spoil_the_beginning(&data.join(format!("archive/000/{cut}/source")));
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
async fn a_job_that_was_cut_after_its_last_object_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.create(json!({"stream_settings": settings()})).await;
    server.upload(id, &media::short_street(dir.path(), 60)).await;
    server.process(id).await;
    let before = server.finished(id).await;
    let expected = server.objects(id).await;
    assert!(!expected.is_empty());
    server.kill();

    // As it is when the power fails before the status is written.
    let record = data.join(format!("archive/000/{id}/video.json"));
    let mut video: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    video["status"] = json!("INPROGRESS");
    video["finished"] = json!(false);
    // Written by hand.
    video.as_object_mut().unwrap().retain(|key, _| key != "format" && key != "checksum");
    std::fs::write(&record, video.to_string()).unwrap();
    let server = Server::start(&data);
    let after = server.finished(id).await;
    assert_eq!(after["health_status"]["status"], "COMPLETED", "{after:#}");
    assert_eq!(after["car_count"], before["car_count"]);
    let ids = |objects: &[serde_json::Value]| objects.iter().map(|o| o["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&server.objects(id).await), ids(&expected), "under the same number");
}

#[tokio::test(flavor = "multi_thread")]
async fn stillness_is_told_across_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = media::short_street(dir.path(), 150);
    let mut settings = settings();
    settings["imotion_threshold"] = json!(0.02);
    settings["use_stream_timestamp"] = json!(true);
    let server = Server::start(&data);
    let reported = |video: &serde_json::Value| {
        let statistic = &video["health_status"]["statistic"];
        (statistic["frames_processed"].as_u64().unwrap(), statistic["frames_imotion_skipped"].as_u64().unwrap())
    };
    let whole = server.create(json!({"stream_settings": settings})).await;
    server.upload(whole, &file).await;
    server.process(whole).await;
    let expected = (reported(&server.finished(whole).await), objects_and_pictures(&server, whole).await);
    let (processed, skipped) = expected.0;
    assert!(processed > 10 && skipped > 0, "{processed} {skipped}");

    settings["play_speed"] = json!(2);
    let cut = server.create(json!({"stream_settings": settings})).await;
    server.upload(cut, &file).await;
    server.process(cut).await;
    server.under_way(cut, 10).await;
    server.kill();
    let server = Server::start(&data);
    let after = (reported(&server.finished(cut).await), objects_and_pictures(&server, cut).await);
    assert_eq!(after.0, expected.0);
    assert!(after.1 == expected.1, "other objects or pictures");
}

/// A folder of detectors that look alike and are others by their digests; they want to be this sure
/// of what they find.
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
async fn under_another_detector_a_job_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (data, detectors) = (dir.path().join("data"), dir.path().join("detectors"));
    other_detectors(&detectors, 0.5);
    let file = media::short_street(dir.path(), 120);
    let receiver = Receiver::start(StatusCode::OK).await;

    let server = Server::start(&data);
    let id = server.create(json!({"stream_settings": settings(), "router_url": receiver.url})).await;
    server.upload(id, &file).await;
    server.process(id).await;
    // Something was posted already that will be something else.
    server
        .wait(id, "posting", |v| v["health_status"]["statistic"]["objects"]["car"]["posted"].as_u64() > Some(0))
        .await;
    server.under_way(id, 50).await;
    server.kill();

    let server = Options::new(&data).detectors(&detectors).start();
    let video = server.delivered(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 120);
    let whole = server.create(json!({"stream_settings": settings()})).await;
    server.upload(whole, &file).await;
    server.process(whole).await;
    server.finished(whole).await;
    let expected = found(&server, whole).await;
    assert_eq!(found(&server, id).await, expected, "all of them are the new detector's");

    let objects = server.objects(id).await;
    assert_eq!(video["car_count"].as_u64(), Some(objects.iter().filter(|o| o["type"] == "car").count() as u64));
    let mut meanings = HashMap::new();
    for post in receiver.posts() {
        let meaning = (post.bbox.to_string(), post.timestamp.clone());
        assert_eq!(
            meanings.entry(post.key.clone()).or_insert_with(|| meaning.clone()),
            &meaning,
            "{} stands for two things",
            post.key
        );
    }
    for object in &objects {
        let key = object["id"].as_str().unwrap();
        assert!(meanings.contains_key(key), "{key} was not posted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_another_build_of_a_plugin_a_job_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let server = Options::new(&data).plugins(&plugins).start();
    let id = server.create(json!({"stream_settings": settings()})).await;
    server.upload(id, &media::short_street(dir.path(), 120)).await;
    server.process(id).await;
    server.wait(id, "with objects", |v| v["car_count"].as_u64() > Some(0)).await;
    let before: HashSet<String> =
        server.objects(id).await.iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect();
    server.kill();

    // Digests say that it is another, and the objects that it does the same.
    let tracker = plugins.join("simple-iou.wasm");
    std::fs::write(&tracker, crate::plugins::rebuilt(&std::fs::read(&tracker).unwrap(), 1)).unwrap();
    let server = Options::new(&data).plugins(&plugins).start();
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 120, "{video:#}");
    let after: HashSet<String> =
        server.objects(id).await.iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect();
    assert!(!before.is_empty() && before.is_subset(&after), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_end_leaves_the_job_where_the_next_start_takes_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.create(json!({"stream_settings": settings()})).await;
    server.upload(id, &media::short_street(dir.path(), 120)).await;
    server.process(id).await;
    server.under_way(id, 20).await;
    assert!(server.terminate().success());

    let server = Server::start(&data);
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED");
    assert_eq!(video["health_status"]["statistic"]["frames_processed"], 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_lost_or_broken_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = server.create(json!({"name": "kept", "stream_settings": settings()})).await;
    server.upload(id, &media::short_street(dir.path(), 60)).await;
    server.process(id).await;
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
            std::fs::write(path, b"this is no index").unwrap();
        }
    }
    let server = Server::start(&data);
    assert_eq!(found(&server, id).await, objects);
    assert!(server.terminate().success());

    let (status, out, err) = run(&["check", "--data", data.to_str().unwrap()]);
    assert!(status.success(), "{out}{err}");
}
