//! Covers: housekeeping. Sources beyond a limit of size or age are removed, videos and objects
//! stay; sources with `keep` stay; uploads that would use the reserved disk space are refused.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    server::{Options, Server, ids, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_removed_beyond_a_limit_and_objects_stay() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let clip = media::short_street(dir.path(), 40);
    let server = Server::start(&data);
    let only_cars = json!({"detectors": {"face": null, "body": null, "car": {"filter_min_size": 15}}});
    let done = server.process_file(json!({"stream_settings": only_cars}), &clip).await;
    let kept = server.process_file(json!({"stream_settings": only_cars, "keep": true}), &clip).await;
    for id in [done, kept] {
        server.finished(id).await;
    }
    let objects = server.objects(done).await;
    assert!(!objects.is_empty());
    assert_eq!(server.video(kept).await["keep"], true);
    assert!(server.terminate().success());

    let server = Options::new(&data).argument("--keep-bytes", "1").start();
    until("the source is removed", async || server.video(done).await["file_size"] == 0).await;
    assert_eq!(ids(&server.objects(done).await), ids(&objects));
    server.bytes(&format!("/objects/{}/thumbnail/", objects[0]["id"].as_str().unwrap())).await;
    assert!(server.video(kept).await["file_size"].as_u64() > Some(0));
    until("housekeeping has ended", async || server.get("/health/").await["disk"]["source_bytes"].is_u64()).await;
    let disk = server.get("/health/").await["disk"].clone();
    assert_eq!(disk["source_bytes"], std::fs::metadata(&clip).unwrap().len());
    assert!(disk["free_bytes"].as_u64() < disk["total_bytes"].as_u64(), "{disk}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_old_videos_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let mut videos = Vec::new();
    for fields in [json!({}), json!({"keep": true}), json!({})] {
        let id = server.create(fields).await;
        server.upload(id, &media::street()).await;
        videos.push(id);
    }
    let [old, kept, new] = videos[..] else { unreachable!() };
    assert!(server.terminate().success());
    for id in [old, kept] {
        made_in_2020(&data, id);
    }
    fs::remove_dir_all(data.join("index")).unwrap();

    let log = dir.path().join("log");
    let server = Options::new(&data).argument("--keep-days", "30").log(&log).start();
    until("the source is removed", async || server.video(old).await["file_size"] == 0).await;
    until("housekeeping has ended", async || server.get("/health/").await["disk"]["source_bytes"].is_u64()).await;
    for id in [kept, new] {
        assert!(server.video(id).await["file_size"].as_u64() > Some(0), "{id}");
    }
    let said = format!("video {old}: its source was removed because of --keep-days");
    until("the log names the removal", async || fs::read_to_string(&log).unwrap().contains(&said)).await;
}

/// Changes the date of a video in the archive of a server that is stopped.
fn made_in_2020(data: &Path, id: u64) {
    let path = data.join(format!("archive/000/{id}/video.json"));
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // An edited record has no valid checksum.
    record.as_object_mut().unwrap().retain(|key, _| key != "format" && key != "checksum");
    record["created_date"] = json!("2020-01-01T00:00:00Z");
    fs::write(path, record.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_would_use_the_reserved_space_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Options::new(&dir.path().join("data")).argument("--min-free-bytes", &u64::MAX.to_string()).start();
    let id = server.create(json!({})).await;
    let (status, error) = server.send(Method::PUT, &format!("/videos/{id}/upload/source_file/"), "bytes").await;
    assert_eq!((status, &error["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("UNAVAILABLE")));
    assert!(error["desc"].as_str().unwrap().contains("--min-free-bytes"), "{error}");
}
