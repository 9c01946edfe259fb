//! Covers: what kill -9 leaves. A job that was cut goes on after the restart and ends with the objects that it would have
//! ended with; none is there twice, none is posted under two keys; a lost or broken index is rebuilt.

use std::collections::HashSet;

use axum::http::StatusCode;
use serde_json::json;

use crate::{
    media,
    receiver::Receiver,
    server::{Server, run},
};

fn settings() -> serde_json::Value {
    let small = json!({"filter_min_size": 15, "filter_min_quality": 0.1, "track_miss_interval": 0});
    json!({"detectors": {"face": null, "body": small, "car": small}})
}

async fn found(server: &Server, id: u64) -> Vec<serde_json::Value> {
    let mut all: Vec<_> =
        server.objects(id).await.into_iter().map(|o| json!([o["type"], o["track_id"], o["bbox"], o["best_time"]])).collect();
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
