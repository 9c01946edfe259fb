//! Covers: networks that another library runs find the same; one that is not there is told at the
//! start.

use serde_json::{Value, json};

use crate::{
    media,
    server::{self, Options, Server},
};

/// Type, track and box of each object, and what ran the networks.
async fn found(server: &Server, file: &std::path::Path) -> (Vec<Value>, String) {
    let id = server.create(json!({"stream_settings": {"detectors": {"face": {}, "body": {}, "car": {}}}})).await;
    server.upload(id, file).await;
    server.process(id).await;
    assert_eq!(server.finished(id).await["health_status"]["status"], "COMPLETED");
    let objects = server.objects(id).await.into_iter().map(|o| json!([o["id"], o["bbox"], o["detections"]])).collect();
    (objects, server.get("/health/").await["detectors"]["device"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn onnx_runtime_finds_what_burn_finds() {
    let dir = tempfile::tempdir().unwrap();
    if !media::assets().join("onnxruntime").is_dir() {
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            panic!("run cargo xtask setup");
        }
        return println!("not run: no package of ONNX Runtime is known for this machine");
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
fn a_library_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().to_str().unwrap());
    let (status, _, reported) =
        server::run(&["serve", "--data", data.to_str().unwrap(), "--device", "onnxruntime", "--onnxruntime", folder]);
    assert!(!status.success() && reported.contains("--device") && reported.contains("there is no file"), "{reported}");
}
