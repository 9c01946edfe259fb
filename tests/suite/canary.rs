//! Covers: a canary beside a plugin, over the API (`/shadow/`): it gets the calls of jobs without
//! an effect, its differences and costs are reported, and the plugin keeps serving until the canary
//! is promoted. A filter that reads pictures, in a job and in its replay.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    plugins::{copy_plugins, guest},
    server::{Options, Server, small},
};

fn server(dir: &std::path::Path) -> Server {
    let plugins = dir.join("plugins");
    copy_plugins(&plugins);
    Options::new(&dir.join("data")).plugins(&plugins).start()
}

async fn put(server: &Server, path: &str, component: Vec<u8>) -> Value {
    let (status, answer) = server.send(Method::PUT, path, component).await;
    assert_eq!(status, StatusCode::OK, "{answer:#}");
    answer
}

async fn processed(server: &Server, dir: &std::path::Path, filters: &str) -> (u64, Value) {
    let settings = json!({"detectors": {"face": null, "car": small()}, "stream_data_filter": filters});
    let id = server.process_file(json!({"stream_settings": settings}), &media::short_street(dir, 60)).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    (id, video["health_status"]["statistic"]["plugins"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_changes_nothing_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let (alone, used) = processed(&server, dir.path(), "").await;
    assert_eq!(used["simple_iou"]["shadow"], Value::Null);
    let bare = async |id| -> Vec<Value> {
        server
            .objects(id)
            .await
            .into_iter()
            .map(|o| json!([o["track_id"], o["bbox"], o["quality"], o["detections"]]))
            .collect()
    };

    let path = "/plugins/simple_iou/shadow/";
    let candidate = put(&server, path, guest("forgetful.wasm")).await;
    assert_eq!((&candidate["role"], &candidate["version"]), (&json!("candidate"), &json!("0.2.0")), "{candidate:#}");
    let (beside, used) = processed(&server, dir.path(), "").await;
    assert_eq!(bare(beside).await, bare(alone).await, "the canary has no effect");
    let shadow = &used["simple_iou"]["shadow"];
    assert_eq!((&shadow["digest"], &shadow["ended"]), (&candidate["digest"], &Value::Null), "{shadow:#}");
    assert!(
        shadow["different"].as_u64() > Some(10) && shadow["items"].as_u64() >= shadow["different"].as_u64(),
        "{shadow:#}"
    );
    assert!(shadow["first_difference"].as_str().unwrap().contains("the canary goes from its track"), "{shadow:#}");
    assert!(shadow["time_ms"].as_f64() > Some(0.0) && shadow["memory_bytes"].as_u64() > Some(0), "{shadow:#}");

    let serving = server.get("/plugins/simple_iou/").await;
    assert_eq!(
        (&serving["role"], &serving["used"]["shadow"]["items"]),
        (&json!("serves"), &shadow["items"]),
        "{serving:#}"
    );
    assert_ne!(serving["digest"], candidate["digest"]);
    assert_eq!(server.get(path).await["file"], "simple_iou.shadow.wasm");
    let remove = async || server.status(Method::DELETE, path).await;
    assert_eq!((remove().await, remove().await), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
    assert_eq!(server.get("/plugins/simple_iou/").await["digest"], serving["digest"]);

    let promote = async || server.send(Method::POST, "/plugins/simple_iou/shadow/promote/", Vec::new()).await;
    assert_eq!(promote().await.0, StatusCode::NOT_FOUND);
    put(&server, path, guest("forgetful.wasm")).await;
    let (status, promoted) = promote().await;
    assert_eq!((status, &promoted["role"]), (StatusCode::OK, &json!("serves")), "{promoted:#}");
    assert_eq!(server.get("/plugins/simple_iou/").await["digest"], candidate["digest"]);
    assert_eq!(server.status(Method::GET, path).await, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_reads_pictures_in_a_job_and_in_its_replay() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let plugin = put(&server, "/plugins/colour/", guest("colour.wasm")).await;
    assert_eq!(plugin["capabilities"], json!(["crops"]), "{plugin:#}");
    let (id, _) = processed(&server, dir.path(), "colour").await;
    let objects = server.objects(id).await;
    assert!(!objects.is_empty());
    for object in &objects {
        let colour = object["attributes"]["colour"].as_str().unwrap_or_else(|| panic!("{object:#}"));
        let channels: Vec<u8> = colour.split(' ').map(|c| c.parse().unwrap()).collect();
        // A grey street in daylight: no channel is near black or white.
        assert!(channels.len() == 3 && channels.iter().all(|c| (20..=235).contains(c)), "{colour}");
        assert_eq!(object["attributes"]["colour_of_object"], "no-pixels");
    }

    let (status, answer) = server.replay(id, json!({})).await;
    assert_eq!((status, &answer["same"]), (StatusCode::OK, &json!(objects.len())), "{answer:#}");
    assert_eq!((&answer["changed"], &answer["gained"], &answer["lost"]), (&json!([]), &json!([]), &json!([])));

    let gone = server.request(Method::DELETE, &format!("/videos/{id}/file/")).send().await.unwrap();
    assert!(gone.status().is_success(), "{}", gone.status());
    let (status, answer) = server.replay(id, json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert!(answer["desc"].as_str().unwrap().contains("reads pictures"), "{answer}");
}
