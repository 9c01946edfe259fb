//! Covers: replay. The same settings and plugins give the same objects, byte for byte, over the API
//! and on the command line; other settings give the right difference with reasons; decisions name
//! the dropped items and the reasons.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    server::{Server, run},
};

/// Settings with realtime shots, history, and filters of every stage.
fn settings() -> Value {
    let car = json!({
        "filter_min_size": 15, "filter_min_quality": 0.1, "filter_track_min_duration_frames": 4,
        "overall_only": false, "realtime_post_interval": 0.5,
        "track_send_history": true, "track_max_duration_frames": 200,
    });
    json!({"detectors": {"face": null, "body": car, "car": car}, "stream_data_filter": "nested"})
}

async fn processed(server: &Server, dir: &Path) -> u64 {
    let id = server.process_file(json!({"stream_settings": settings()}), &media::short_street(dir, 100)).await;
    server.finished(id).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_settings_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = processed(&server, dir.path()).await;
    let objects = server.objects(id).await;
    let (status, first) = server.replay(id, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{first:#}");
    assert_eq!(
        (&first["frames"], &first["objects"], &first["same"]),
        (&json!(100), &json!(objects.len()), &json!(objects.len()))
    );
    for list in ["changed", "gained", "lost"] {
        assert_eq!(first[list], json!([]), "{first:#}");
    }
    let (_, second) = server.replay(id, json!({})).await;
    assert_eq!(first["sha256"], second["sha256"]);
    assert_eq!(server.objects(id).await, objects, "a replay stores nothing");

    // On the command line, while the server runs.
    let out = dir.path().join("objects.jsonl");
    let (video, data_text, plugins) = (id.to_string(), data.to_str().unwrap(), media::assets().join("plugins"));
    let plugins = plugins.to_str().unwrap();
    let (out_text, detections) = (out.to_str().unwrap(), dir.path().join("detections.jsonl"));
    let written = ["--out", out_text, "--detections", detections.to_str().unwrap()];
    let (status, said, error) =
        run(&[&["replay", &video, "--data", data_text, "--plugins", plugins], &written[..]].concat());
    assert!(status.success(), "{said}{error}");
    assert!(said.contains("0 changed, 0 gained, 0 lost") && said.contains(first["sha256"].as_str().unwrap()), "{said}");
    let lines = std::fs::read_to_string(out).unwrap();
    assert_eq!(lines.lines().count(), objects.len());

    let lines = std::fs::read_to_string(detections).unwrap();
    let frames: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((frames.len(), &frames[99]["frame"]), (100, &json!(99)));
    let cars = frames.iter().flat_map(|frame| frame["detections"]["car"].as_array().unwrap());
    let sound = |car: &Value| car["score"].as_f64().unwrap() > 0.0 && car["bbox"].as_array().unwrap().len() == 4;
    assert!(cars.clone().count() > 0 && cars.clone().all(sound), "detections before all filters");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_give_the_difference_with_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let id = processed(&server, dir.path()).await;
    let overall: Vec<Value> =
        server.objects(id).await.into_iter().filter(|o| o["type"] == "car" && o["bs_type"] == "overall").collect();
    let mut qualities: Vec<f64> = overall.iter().map(|o| o["quality"].as_f64().unwrap()).collect();
    qualities.sort_by(f64::total_cmp);
    let floor = qualities[qualities.len() / 2] + 0.0005;

    let change = json!({"stream_settings": {"detectors": {"car": {"filter_min_quality": floor, "overall_only": true}, "body": null}}});
    let (status, answer) = server.replay(id, change.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer:#}");
    let lost: Vec<&Value> = answer["lost"].as_array().unwrap().iter().collect();
    let poor = overall.iter().filter(|o| o["quality"].as_f64().unwrap() < floor);
    for object in poor {
        let item = lost
            .iter()
            .find(|l| l["id"] == object["id"])
            .unwrap_or_else(|| panic!("{} is not lost: {answer:#}", object["id"]));
        let reason = &item["reason"];
        assert_eq!(
            (&reason["plugin"], &reason["stage"], &reason["rule"]),
            (&json!("quality"), &json!("shots"), &json!("min")),
            "{item:#}"
        );
        assert!(reason["value"].as_str().unwrap().parse::<f64>().unwrap() < floor);
    }
    assert!(lost.iter().any(|l| l["id"].as_str().unwrap().contains("-body-")), "bodies are off");
    assert_eq!(answer["gained"], json!([]));
    assert!(answer["same"].as_u64().unwrap() >= 1);

    // A looser filter lets more through.
    let (_, looser) = server
        .replay(id, json!({"stream_settings": {"detectors": {"car": {"filter_track_min_duration_frames": 1}}}}))
        .await;
    for item in looser["gained"].as_array().unwrap() {
        assert_eq!(item["reason"]["plugin"], "track-length", "{item:#}");
    }
    let file = dir.path().join("settings.json");
    std::fs::write(&file, change["stream_settings"].to_string()).unwrap();
    let plugins = media::assets().join("plugins");
    let arguments =
        ["replay", &id.to_string(), "--data", data.to_str().unwrap(), "--plugins", plugins.to_str().unwrap()];
    let (status, said, _) = run(&[&arguments[..], &["--settings", file.to_str().unwrap()]].concat());
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("dropped by quality, min"), "{said}");

    let (status, refused) =
        server.replay(id, json!({"stream_settings": {"detectors": {"car": {"filter_min_quality": 2}}}})).await;
    assert_eq!(
        (status, &refused["param"]),
        (StatusCode::BAD_REQUEST, &json!("stream_settings.detectors.car.filter_min_quality"))
    );
    let (status, refused) = server.replay(id, json!({"stream_settings": {"detectors": {"face": {}}}})).await;
    assert_eq!(
        (status, &refused["param"]),
        (StatusCode::BAD_REQUEST, &json!("stream_settings.detectors.face")),
        "{refused}"
    );
    let (status, refused) = server.replay(id, json!({"name": "x"})).await;
    assert_eq!((status, &refused["param"]), (StatusCode::BAD_REQUEST, &json!("name")));
    let empty = server.create(json!({})).await;
    assert_eq!(server.replay(empty, json!({})).await.0, StatusCode::CONFLICT);
    assert_eq!(server.replay(999, json!({})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_name_dropped_items_and_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server.process_file(json!({"stream_settings": {"detectors": {"face": null, "car": {"filter_min_size": 5000, "filter_min_quality": 0}}}}), &media::short_street(dir.path(), 100)).await;
    server.finished(id).await;
    assert!(server.objects(id).await.is_empty());
    let mut all =
        server.get(&format!("/videos/{id}/decisions/?limit=1000")).await["results"].as_array().unwrap().clone();
    // Weak detections that continued no track.
    let is_weak = |d: &Value| d["stage"] == "tracker" && d["plugin"] == "ocellus" && d["rule"] == "min_score";
    all.retain(|d| !is_weak(d));
    assert!(!all.is_empty());
    assert!(
        all.iter().all(|d| d["type"] == "car" && d["plugin"] == "size" && d["stage"] == "shots" && d["rule"] == "min"),
        "{all:#?}"
    );
    let frame = all[0]["frame"].as_u64().unwrap();
    let here = server.get(&format!("/videos/{id}/decisions/?frame={frame}&stage=shots&type=car")).await["results"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(here, all.iter().filter(|d| d["frame"] == frame).cloned().collect::<Vec<_>>());
    let by_tracker = server.get(&format!("/videos/{id}/decisions/?stage=tracker")).await["results"].clone();
    assert!(by_tracker.as_array().unwrap().iter().all(is_weak), "{by_tracker:#}");
    for query in ["stage=never", "frame=x", "track=-1", "limit=0", "type=A"] {
        assert_eq!(
            server.status(Method::GET, &format!("/videos/{id}/decisions/?{query}")).await,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
}
