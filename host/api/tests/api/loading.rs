//! Covers: requests and jobs while networks are being loaded, and after one could not be loaded.

use std::sync::Arc;

use ocellus_api::ApiConfig;
use ocellus_core::SystemClock;
use ocellus_detect::{Detectors, Device, DeviceChoice};
use serde_json::{Value, json};

use crate::server::{Server, until};

/// A detector with a valid manifest and a missing network.
const MANIFEST: &str = r#"
name = "absent"
version = "1"
family = "centerface"
licence = "MIT"
model = { file = "absent.onnx", sha256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc" }
input = { max_side = 640, multiple = 32 }
thresholds = { score = 0.5, iou = 0.3 }
classes = [{ index = 0, name = "truck", object_type = "lorry" }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_for_networks_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("absent")).unwrap();
    std::fs::write(folder.path().join("absent/detector.toml"), MANIFEST).unwrap();
    let (detectors, load) = Detectors::open(folder.path(), &Device::choose(DeviceChoice::Cpu, None).unwrap()).unwrap();
    let server = Server::over(detectors, ApiConfig::default(), Arc::new(SystemClock)).await;

    let health = server.get("/health/").await.expect(200).json();
    assert_eq!((&health["detectors"]["loading"], &health["detectors"]["refused"]), (&json!(true), &json!([])));
    // Settings accept the object types of the manifest already.
    let settings = json!({"camera_group": 1, "name": "a", "stream_settings": {"detectors": {"lorry": {}}}});
    let id = server.post("/videos/", settings.clone()).await.expect(201).json()["id"].as_u64().unwrap();
    server.upload(id, "no video at all").await.expect(201);
    let (process, stop) = (format!("/videos/{id}/process/"), format!("/videos/{id}/stop/"));
    server.post(&process, Value::Null).await.expect(200);
    let status = async || server.video(id).await["health_status"]["status"].clone();
    until("the job waits", async || status().await == "STARTING").await;
    // A job that waits can be stopped.
    server.post(&stop, Value::Null).await.expect(200);
    assert_eq!(status().await, "DISABLED");
    server.post(&process, Value::Null).await.expect(200);
    until("the job waits", async || status().await == "STARTING").await;

    tokio::task::spawn_blocking(load).await.unwrap();
    until("the job ends", async || server.video(id).await["finished"] == true).await;
    assert_eq!(status().await, "MISCONFIGURED");
    let health = server.get("/health/").await.expect(200).json();
    assert_eq!(
        (&health["detectors"]["loading"], &health["detectors"]["refused"][0]["name"]),
        (&json!(false), &json!("absent"))
    );
    server.post("/videos/", settings).await.refuses("stream_settings.detectors.lorry");
    server.stop().await;
}
