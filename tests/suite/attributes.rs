//! Covers: attribute networks of an operator. Their results for faces are in objects, events and
//! posts, are the same after a restart and in a replay, and their digests are in the job's spec.
//! Liveness is estimated where a video enables it and a network is installed; without one the
//! setting is refused, and a job that has it already ends MISCONFIGURED.

use std::{fs, path::Path};

use axum::http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    media,
    receiver::Receiver,
    server::{Options, Server},
};

/// A network that outputs mean red, green and blue of a picture of 8x8 pixels.
const MEANS: &str = r#"<?xml version="1.0"?><net name="means" version="11"><layers>
<layer id="0" name="picture" type="Parameter" version="opset1"><data element_type="f32" shape="1,3,8,8"/>
<output><port id="0"><dim>1</dim><dim>3</dim><dim>8</dim><dim>8</dim></port></output></layer>
<layer id="1" name="axes" type="Const" version="opset1"><data element_type="i64" shape="2" offset="0" size="16"/>
<output><port id="0"><dim>2</dim></port></output></layer>
<layer id="2" name="means" type="ReduceMean" version="opset1"><data keep_dims="true"/>
<input><port id="0"/><port id="1"/></input>
<output><port id="2"><dim>1</dim><dim>3</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="3" name="result" type="Result" version="opset1"><input><port id="0"/></input></layer></layers>
<edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
<edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/></edges></net>"#;

/// Adds a network for faces to a folder, whose attribute is the channel that is largest.
fn add_network(folder: &Path, name: &str, attribute: &str, more: &str) {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).unwrap();
    // The axes of height and width.
    let weights: Vec<u8> = [2_i64, 3].iter().flat_map(|axis| axis.to_le_bytes()).collect();
    let sha256 = |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect() };
    fs::write(folder.join("means.xml"), MEANS).unwrap();
    fs::write(folder.join("means.bin"), &weights).unwrap();
    let manifest = format!(
        r#"
name = "{name}"
version = "1"
licence = "CC0-1.0"
object_type = "face"
[model]
file = "means.xml"
sha256 = "{}"
weights = "means.bin"
weights_sha256 = "{}"
[input]
width = 8
height = 8
[[attributes]]
name = "{attribute}"
output = "means"
labels = ["red", "green", "blue"]
logits = true
{more}"#,
        sha256(MEANS.as_bytes()),
        sha256(&weights),
    );
    fs::write(folder.join("attributes.toml"), manifest).unwrap();
}

/// A man on the telephone; with red and blue exchanged, if `swapped`.
fn man(dir: &Path, swapped: bool) -> std::path::PathBuf {
    let path = dir.join(if swapped { "blue.mp4" } else { "man.mp4" });
    let source = media::assets().join("media/carphone_pristine.mp4");
    let filter = if swapped { "colorchannelmixer=rr=0:rb=1:br=1:bb=0,format=yuv420p" } else { "null" };
    media::ffmpeg(&["-t", "2", "-i", source.to_str().unwrap(), "-vf", filter, "-c:v", "libx264"], &path);
    path
}

fn settings(liveness: bool) -> Value {
    let face = json!({"filter_min_size": 30, "filter_min_quality": 0.1});
    json!({"detectors": {"face": face}, "enable_liveness": liveness})
}

/// Label of a feature of an object or event; null where it has none.
fn label<'a>(object: &'a Value, feature: &str) -> &'a Value {
    &object["features"][feature]["name"]
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_in_objects_events_and_posts() {
    let dir = tempfile::tempdir().unwrap();
    let (data, attributes) = (dir.path().join("data"), dir.path().join("attributes"));
    add_network(&attributes, "hue", "color", "");
    add_network(&attributes, "spoof", "liveness", "[liveness]\nlive = \"red\"\n");
    let start = || Options::new(&data).argument("--attributes", attributes.to_str().unwrap()).start();
    let server = start();
    let receiver = Receiver::start(StatusCode::OK).await;
    let body = json!({"stream_settings": settings(true), "router_url": receiver.url});
    let red = server.process_file(body, &man(dir.path(), false)).await;
    let blue = server.process_file(json!({"stream_settings": settings(true)}), &man(dir.path(), true)).await;
    let off = server.process_file(json!({"stream_settings": settings(false)}), &man(dir.path(), false)).await;
    for id in [red, blue, off] {
        assert_eq!(server.finished(id).await["health_status"]["status"], "COMPLETED");
    }
    let loaded = server.get("/health/").await["attributes"].clone();
    let names: Vec<_> = loaded["classifiers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["hue", "spoof"], "{loaded:#}");

    for (id, color, liveness) in
        [(red, json!("red"), json!("real")), (blue, json!("blue"), json!("fake")), (off, json!("red"), Value::Null)]
    {
        let objects = server.objects(id).await;
        assert!(!objects.is_empty());
        let events = server.get(&format!("/events/faces/?video_archive={id}")).await["results"].clone();
        for (object, event) in objects.iter().zip(events.as_array().unwrap()) {
            assert_eq!((label(object, "color"), label(object, "liveness")), (&color, &liveness), "{object:#}");
            assert!((0.34..=1.0).contains(&object["features"]["color"]["confidence"].as_f64().unwrap()));
            assert_eq!((&event["id"], &event["features"]), (&object["id"], &object["features"]));
            let score = &event["detector_params"]["liveness_score"];
            assert_eq!(score.as_f64().map(|score| score >= 0.674), liveness.as_str().map(|l| l == "real"), "{score}");
        }
        // A replay has no pixels, and the same objects, whose digest covers features.
        let (_, replay) = server.replay(id, json!({})).await;
        assert_eq!(replay["same"], objects.len(), "{replay:#}");
    }

    server.delivered(red).await;
    let objects = server.objects(red).await;
    for post in receiver.posts() {
        let object = objects.iter().find(|o| o["id"] == post.key.as_str()).unwrap();
        assert_eq!(post.params["features"], object["features"], "{:#}", post.params);
        assert!(post.params["liveness_score"].as_f64() >= Some(0.674) && post.params.get("attributes").is_none());
    }

    // Networks are known by now, so that the second job's spec pins them.
    server.process(off).await;
    server.finished(off).await;
    let spec = fs::read(data.join(format!("archive/000/{off}/jobs/2/plan.json"))).unwrap();
    let spec: Value = serde_json::from_slice(&spec).unwrap();
    assert_eq!(spec["attributes"], json!({"hue": loaded["classifiers"][0]["digest"]}), "liveness is off");

    assert!(server.terminate().success());
    let server = start();
    assert_eq!(server.objects(red).await, objects.into_iter().map(|o| at(o, &server)).collect::<Vec<_>>());
}

/// An object with the URLs of another server.
fn at(object: Value, server: &Server) -> Value {
    let text = object.to_string();
    let url = object["thumbnail"].as_str().unwrap();
    let base = &url[..url.find("/objects/").unwrap()];
    serde_json::from_str(&text.replace(base, server.base())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_liveness_needs_its_network() {
    let dir = tempfile::tempdir().unwrap();
    let (data, attributes) = (dir.path().join("data"), dir.path().join("attributes"));
    add_network(&attributes, "spoof", "liveness", "[liveness]\nlive = \"red\"\n");
    let server = Options::new(&data).argument("--attributes", attributes.to_str().unwrap()).start();
    let id = server.create(json!({"stream_settings": settings(true)})).await;
    server.upload(id, &man(dir.path(), false)).await;
    assert!(server.terminate().success());

    let server = Server::start(&data);
    let refused = server.create_refused(json!({"stream_settings": settings(true)})).await;
    assert_eq!(refused["param"], "stream_settings.enable_liveness");
    assert!(refused["desc"].as_str().unwrap().contains("--attributes"), "{refused:#}");
    server.process(id).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "MISCONFIGURED", "{video:#}");
    assert!(video["error"].as_str().unwrap().contains("liveness network"), "{video:#}");
}
