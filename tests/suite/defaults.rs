//! Covers: `--defaults`: settings of a new video for keys that the client does not send, and files
//! that are refused at the start.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Options, Server, run};

/// A server with these defaults.
fn start(data: &Path, defaults: &str) -> Server {
    Options::new(data).argument("--defaults", defaults).start()
}

/// The settings of a new video.
async fn settings(server: &Server, sent: Value) -> Value {
    let id = server.create(json!({"stream_settings": sent})).await;
    server.video(id).await["stream_settings"].clone()
}

async fn current_defaults(server: &Server) -> Value {
    server.get("/cameras/default_parameters/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_defaults_are_those_without_the_argument() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Server::start(&folder.path().join("plain"));
    let vendor = start(&folder.path().join("vendor"), "vendor");
    let shown = current_defaults(&vendor).await;
    assert_eq!(current_defaults(&plain).await, shown);
    assert_eq!(settings(&vendor, json!({})).await, shown);
    let face = &shown["detectors"]["face"];
    assert_eq!((&face["filter_min_size"], &face["filter_min_quality"]), (&json!(60), &json!(0.42)));
    assert_eq!((&shown["detectors"]["body"], &shown["detectors"]["car"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn thorough_looks_for_smaller_objects_of_every_type_unless_the_client_overrides_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("data"), "thorough");
    let shown = current_defaults(&server).await;
    assert_eq!(settings(&server, json!({})).await, shown);
    for object_type in ["face", "body", "car"] {
        assert!(shown["detectors"][object_type]["filter_min_size"].as_u64() < Some(60), "{shown:#}");
    }
    let sent = json!({"detectors": {"face": null, "body": {"filter_min_size": 90}}});
    let detectors = settings(&server, sent).await["detectors"].clone();
    assert_eq!((&detectors["face"], &detectors["body"]["filter_min_size"]), (&Value::Null, &json!(90)));
    assert_eq!(detectors["body"]["filter_min_quality"], shown["detectors"]["body"]["filter_min_quality"]);
    assert_eq!(detectors["car"], shown["detectors"]["car"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_applies_to_new_videos_only() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("defaults.json"));
    let server = Server::start(&data);
    let id = server.create(json!({})).await;
    let before = server.video(id).await["stream_settings"].clone();
    server.terminate();

    let own = json!({"imotion_threshold": 0.25, "detectors": {"face": null, "car": {"jpeg_quality": 50}}});
    std::fs::write(&file, own.to_string()).unwrap();
    let server = start(&data, file.to_str().unwrap());
    assert_eq!(server.video(id).await["stream_settings"], before);
    let shown = current_defaults(&server).await;
    assert_eq!((&shown["imotion_threshold"], &shown["detectors"]["face"]), (&json!(0.25), &Value::Null));
    let car = &shown["detectors"]["car"];
    assert_eq!((&car["jpeg_quality"], &car["filter_min_quality"]), (&json!(50), &json!(0.65)));
    assert_eq!(settings(&server, json!({})).await, shown);
    let schema = &server.get("/openapi.json").await["components"]["schemas"]["StreamSettings"];
    assert_eq!(schema["properties"]["imotion_threshold"]["default"], 0.25);
}

#[test]
fn a_file_with_invalid_settings_prevents_the_start_and_the_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("defaults.json"));
    for (text, named) in [
        (r#"{"detectors": {"body": {"filter_min_sise": 20}}}"#, "stream_settings.detectors.body.filter_min_sise"),
        (r#"{"detectors": {"body": {"jpeg_quality": 101}}}"#, "stream_settings.detectors.body.jpeg_quality"),
        (r#"{"detectors": {"face": {"tracker_type": "none"}}}"#, "stream_settings.detectors.face.tracker_type"),
        ("play_speed = 1", "defaults.json"),
    ] {
        std::fs::write(&file, text).unwrap();
        let assets = crate::media::assets();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (data, file) = (path(&data), path(&file));
        let (plugins, detectors) = (path(&assets.join("plugins")), path(&assets.join("detectors")));
        let folders = ["--data", &data, "--plugins", &plugins, "--detectors", &detectors, "--device", "cpu"];
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--defaults", &file];
        let (status, out, err) = run(&[&arguments[..], &folders[..]].concat());
        assert!(!status.success() && out.is_empty(), "{out}");
        assert!(err.contains("--defaults") && err.contains(named), "{err}");
    }
    let (status, _, err) = run(&["serve", "--data", folder.path().to_str().unwrap(), "--defaults", "thorogh"]);
    assert!(!status.success() && err.contains("vendor or thorough"), "{err}");
}
