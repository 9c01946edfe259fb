//! Covers: the boxes of a real job's tracks: they agree with its objects, and are rebuilt where
//! their file is missing or damaged.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    media,
    server::{Server, small},
};

/// The file of the tracks of the only job.
fn file(data: &Path, video: u64) -> PathBuf {
    data.join(format!("archive/000/{video}/jobs/1/tracks.log"))
}

#[tokio::test]
async fn every_object_is_on_its_track() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let settings = json!({"stream_settings": {"detectors": {"body": small(), "car": small()}}});
    let id = server.process_file(settings, &media::short_street(data.path(), 120)).await;
    server.finished(id).await;
    let path = format!("/videos/{id}/tracks/");
    let kept = server.get(&path).await;
    let tracks = kept["tracks"].as_array().unwrap();
    assert_eq!(kept["to"], Value::Null);

    let objects = server.objects(id).await;
    assert!(!objects.is_empty());
    for object in &objects {
        let track = tracks.iter().find(|track| track["object"] == object["id"]).unwrap();
        assert_eq!((&track["id"], &track["type"]), (&object["track_id"], &object["type"]));
        let boxes = track["boxes"].as_array().unwrap();
        assert_eq!(boxes.len() as u64, object["detections"].as_u64().unwrap());
        assert_eq!((&boxes[0][0], &boxes[boxes.len() - 1][0]), (&object["first_time"], &object["last_time"]));
        let best = boxes.iter().find(|b| b[0] == object["best_time"]).unwrap();
        assert_eq!(best.as_array().unwrap()[1..], *object["bbox"].as_array().unwrap());
    }

    let second = server.get(&format!("{path}?from=1&to=2")).await;
    let within = |b: &Value| (1.0..=2.0).contains(&b[0].as_f64().unwrap());
    for track in second["tracks"].as_array().unwrap() {
        let whole = tracks.iter().find(|t| (&t["id"], &t["type"]) == (&track["id"], &track["type"])).unwrap();
        let expected: Vec<_> = whole["boxes"].as_array().unwrap().iter().filter(|b| within(b)).cloned().collect();
        assert_eq!(track["boxes"], json!(expected));
    }

    // Like a job of an earlier release, which has no such file.
    std::fs::remove_file(file(data.path(), id)).unwrap();
    assert_eq!(server.get(&path).await, kept);
    let made = std::fs::read(file(data.path(), id)).unwrap();
    assert_eq!(server.get(&path).await, kept);
    // Like a file that a crash truncated.
    std::fs::write(file(data.path(), id), &made[..made.len() - 1]).unwrap();
    assert_eq!(server.get(&path).await, kept);
}
