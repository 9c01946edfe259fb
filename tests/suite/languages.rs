//! Covers: plugins in other languages. Filters in Python and JavaScript, built from the examples,
//! run in a job within the default limits, and give the same answers in its replay.

use std::fs;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    media,
    plugins::copy_plugins,
    server::{Options, Server, small},
};

async fn install(server: &Server, name: &str) {
    let file = media::assets().join("examples").join(format!("{name}.wasm"));
    let component =
        fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}: run cargo xtask build --examples-only", file.display()));
    let (status, answer) = server.install(name, component).await;
    assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!("ready")), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_in_python_and_javascript_run_in_a_job_and_its_replay() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = dir.path().join("plugins");
    copy_plugins(&plugins);
    let server = Options::new(&dir.path().join("data")).plugins(&plugins).start();
    install(&server, "tall").await;
    install(&server, "loiter").await;

    let clip = media::short_street(dir.path(), 100);
    let run = async |own: Value| {
        let settings =
            json!({"detectors": {"face": null, "car": small()}, "stream_data_filter": "tall,loiter", "plugins": own});
        let id = server.process_file(json!({"stream_settings": settings}), &clip).await;
        let video = server.finished(id).await;
        assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
        (id, video["health_status"]["statistic"]["plugins"].clone())
    };
    let (all, _) = run(json!({})).await;
    let seconds = |object: &Value| object["attributes"]["seconds"].as_str().unwrap().parse::<f64>().unwrap();
    let objects = server.objects(all).await;
    assert!(objects.len() > 1 && objects.iter().any(|o| seconds(o) < 0.5) && objects.iter().any(|o| seconds(o) >= 0.5));

    let (some, used) = run(json!({"tall": {"min": 0.6}, "loiter": {"min_seconds": 0.5}})).await;
    let kept = server.objects(some).await;
    assert!(!kept.is_empty() && kept.len() < objects.len(), "{} of {}", kept.len(), objects.len());
    for object in &kept {
        let side = |at: usize| object["bbox"][at].as_f64().unwrap();
        // The API rounds boxes to whole pixels.
        assert!((side(3) - side(1) + 1.0) / (side(2) - side(0) - 1.0) >= 0.6 && seconds(object) >= 0.5, "{object:#}");
    }
    for name in ["tall", "loiter"] {
        assert!(used[name]["rejected"].as_u64() > Some(0) && used[name]["faults"] == 0, "{used:#}");
    }
    let (_, answer) = server.replay(some, json!({})).await;
    assert_eq!(
        (&answer["same"], &answer["changed"], &answer["gained"], &answer["lost"]),
        (&json!(kept.len()), &json!([]), &json!([]), &json!([]))
    );
}
