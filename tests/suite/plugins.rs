//! Covers: plugins in a running server. A changed file serves the next job at once; a broken one is refused with a reason
//! and the one before goes on; an unknown tracker is a 400 that names those there are.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    server::{Options, Server},
};

fn copy_plugins(to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(media::assets().join("plugins")).expect("plugins are missing: run cargo xtask build") {
        let path = file.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

async fn plugin(server: &Server, name: &str) -> Option<Value> {
    let plugins = server.get("/plugins/").await;
    plugins["results"].as_array().unwrap().iter().find(|p| p["name"] == name).cloned()
}

async fn wait_for(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn job_status(server: &Server, file: &Path) -> Value {
    let id = server.create(json!({})).await;
    server.upload(id, file).await;
    server.process(id).await;
    server.finished(id).await["health_status"]["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plugin_serves_the_next_job() {
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let file = media::pattern(dir.path(), "320x240", 1);
    let server = Options::new(&data).plugins(&plugins).start();
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
    let before = plugin(&server, "simple_iou").await.unwrap();

    // The same component with an empty custom section at its end: another file, another digest, the same behaviour.
    let path = plugins.join("simple-iou.wasm");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&path, &bytes).unwrap();
    wait_for("the new digest", async || plugin(&server, "simple_iou").await.is_some_and(|p| p["digest"] != before["digest"])).await;
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
    let good = plugin(&server, "simple_iou").await.unwrap();

    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    wait_for("the refusal", async || server.get("/plugins/").await.to_string().contains("truncated")).await;
    assert_eq!(plugin(&server, "simple_iou").await.unwrap()["digest"], good["digest"], "the one before goes on");
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tracker_is_refused_with_the_names_of_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let body = json!({"camera_group": 1, "name": "x", "stream_settings": {"detectors": {"face": {"tracker_type": "magic"}}}});
    let response = server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["param"], "stream_settings.detectors.face.tracker_type");
    let desc = error["desc"].as_str().unwrap();
    assert!(desc.contains("magic") && desc.contains("simple_iou"), "{desc}");
}
