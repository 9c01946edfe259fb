//! Covers: decoders in processes of their own. One that crashes, exceeds its memory or hangs ends
//! its own job with the reason, after the objects it found; a concurrent job finds the same as
//! without it; no process is left behind. The same for the decoder of a camera, whose session ends.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    media,
    rtsp::{Behaviour, CLOSED, Rtsp},
    server::{Options, Server, small},
};

fn cars() -> Value {
    json!({"stream_settings": {"detectors": {"face": null, "car": small()}}})
}

/// The width of the videos whose decoders have faults.
const WIDTH: &str = "320";

fn server(dir: &Path, fault: &str) -> Server {
    Options::new(&dir.join(fault.replace(':', "-")))
        .argument("--jobs", "2")
        .argument("--isolation", "process")
        .argument("--decoder-memory-bytes", "400000000")
        .argument("--decoder-fault", &format!("{fault}:{WIDTH}"))
        .start()
}

/// The fields of the objects that are the same in every job of a recording.
async fn found(server: &Server, id: u64) -> Vec<Value> {
    let objects = server.objects(id).await;
    objects.into_iter().map(|o| json!([o["track_id"], o["bbox"], o["detections"], o["quality"]])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_that_dies_ends_its_own_job_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let whole = media::short_street(dir.path(), 60);
    let narrow = dir.path().join("narrow.mp4");
    media::ffmpeg(&["-i", whole.to_str().unwrap(), "-vf", "scale=320:-2"], &narrow);
    let mut undisturbed = None;
    for (fault, text) in [
        ("abort:40", "The decoder crashed on this video after frame 40."),
        ("memory:40", "The decoder needed more memory than it is given, after frame 40."),
        ("still:40", "The decoder stood still on this video after frame 40."),
        ("abort:0", "The decoder crashed on this video before its first frame."),
    ] {
        let server = server(dir.path(), fault);
        let health = server.get("/health/").await;
        assert_eq!(health["isolation"]["process"], true, "{health:#}");
        let (beside, dying) = (server.process_file(cars(), &whole).await, server.process_file(cars(), &narrow).await);
        let ended = server.finished(dying).await;
        let status = if fault == "abort:0" { "NOT_STARTED" } else { "INTERRUPTED" };
        assert_eq!(ended["health_status"]["status"], status, "{fault}: {ended:#}");
        assert!(ended.to_string().contains(text), "{fault}: {ended:#}");
        assert_eq!(server.finished(beside).await["health_status"]["status"], "COMPLETED", "{fault}");
        let now = found(&server, beside).await;
        assert!(!now.is_empty());
        assert_eq!(undisturbed.get_or_insert_with(|| now.clone()), &now, "{fault}");
        let shown = server.request(Method::GET, &format!("/videos/{beside}/screenshot/")).send().await.unwrap();
        assert!(shown.status().is_success(), "{shown:?}");
        assert!(server.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_of_a_camera_that_dies_ends_its_own_job_and_the_cameras_session() {
    let dir = tempfile::tempdir().unwrap();
    let beside = media::short_street(dir.path(), 60);
    let wide = media::camera_street(dir.path(), 250);
    let narrow = dir.path().join("narrow.mp4");
    let coded =
        ["-vf", "scale=320:-2", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "copy"];
    media::ffmpeg(&[&["-i", wide.to_str().unwrap()], &coded[..]].concat(), &narrow);
    let camera = Rtsp::start(&narrow, Behaviour::Camera);
    let server = server(dir.path(), "abort:20");
    let fields = json!({"url": camera.url(), "stream_settings": {"detectors": {"face": null, "car": small()}}});
    let dying = server.create(fields).await;
    server.process(dying).await;
    let beside = server.process_file(cars(), &beside).await;
    let ended = server.finished(dying).await;
    assert_eq!(ended["health_status"]["status"], "INTERRUPTED", "{ended:#}");
    assert!(ended.to_string().contains("The decoder crashed on this video after frame 20."), "{ended:#}");
    let asked = camera.asked_until_closed();
    assert!(asked[asked.len() - 2].starts_with("TEARDOWN ") && asked.last().unwrap() == CLOSED, "{asked:?}");
    assert_eq!(server.finished(beside).await["health_status"]["status"], "COMPLETED");
    assert!(server.terminate().success());
}
