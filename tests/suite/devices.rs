//! Covers: devices that run the networks. ONNX Runtime and burn find the same objects; a missing
//! library is an error at the start.

use serde_json::{Value, json};

use crate::{
    media,
    server::{self, Options, Server},
};

/// Id, box and detections of each object, and the device that ran the networks.
async fn found(server: &Server, file: &std::path::Path) -> (Vec<Value>, String) {
    let id =
        server.process_file(json!({"stream_settings": {"detectors": {"face": {}, "body": {}, "car": {}}}}), file).await;
    assert_eq!(server.finished(id).await["health_status"]["status"], "COMPLETED");
    let objects = server.objects(id).await.into_iter().map(|o| json!([o["id"], o["bbox"], o["detections"]])).collect();
    (objects, server.get("/health/").await["detectors"]["device"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn onnx_runtime_and_burn_find_the_same_objects() {
    let dir = tempfile::tempdir().unwrap();
    if !media::assets().join("onnxruntime").is_dir() {
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            panic!("run cargo xtask setup");
        }
        return println!("skipped: there is no package of ONNX Runtime for this machine");
    }
    let street = media::short_street(dir.path(), 60);
    let (by_burn, burn) = found(&Server::start(&dir.path().join("burn")), &street).await;
    let data = dir.path().join("onnxruntime");
    let server = Options::new(&data).argument("--device", "onnxruntime").start();
    let (by_onnxruntime, onnxruntime) = found(&server, &street).await;
    assert!(burn.starts_with("cpu (burn") && onnxruntime.starts_with("cpu (ONNX Runtime"), "{burn}, {onnxruntime}");
    assert!(!by_burn.is_empty());
    assert_eq!(by_onnxruntime, by_burn);
}

#[test]
fn a_missing_library_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().to_str().unwrap());
    let (status, _, error) =
        server::run(&["serve", "--data", data.to_str().unwrap(), "--device", "onnxruntime", "--onnxruntime", folder]);
    assert!(!status.success() && error.contains("--device") && error.contains("there is no file"), "{error}");
}
