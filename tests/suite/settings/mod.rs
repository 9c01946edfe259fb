//! Covers: every key of `stream_settings` has an effect that a user sees. Each test compares two
//! jobs of the same recording, one with the key and one without, and fails if the key is ignored.

mod frames;
mod objects;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    media,
    receiver::{Post, Receiver},
    server::{Server, with},
};

/// Three seconds of traffic; there is next to nothing in the first.
const FRAMES: u32 = 75;
const RATE: f64 = 25.0;

/// A server, a receiver and a recording.
struct Fixture {
    server: Server,
    receiver: Receiver,
    clip: PathBuf,
    dir: TempDir,
}

/// Result of one job.
struct Run {
    video: Value,
    objects: Vec<Value>,
    posts: Vec<Post>,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clip = media::short_street(dir.path(), FRAMES);
        let (server, receiver) = (Server::start(&dir.path().join("data")), Receiver::start(StatusCode::OK).await);
        Self { server, receiver, clip, dir }
    }

    async fn run(&self, settings: Value) -> Run {
        self.run_over(&self.clip, settings).await
    }

    async fn run_over(&self, clip: &Path, settings: Value) -> Run {
        let id =
            self.server.process_file(json!({"stream_settings": settings, "router_url": self.receiver.url}), clip).await;
        let video = self.server.delivered(id).await;
        let objects = self.server.objects(id).await;
        let posts = self.receiver.posts().into_iter().filter(|p| p.labels["video_id"] == id).collect();
        Run { video, objects, posts }
    }

    /// The error of a request to create a video with these settings.
    async fn refusal(&self, settings: Value) -> Value {
        self.server.create_refused(json!({"stream_settings": settings})).await
    }
}

impl Run {
    fn status(&self) -> &str {
        self.video["health_status"]["status"].as_str().unwrap()
    }

    fn statistic(&self, key: &str) -> u64 {
        self.video["health_status"]["statistic"][key].as_u64().unwrap()
    }

    /// Tracks that have an object.
    fn tracks(&self) -> BTreeSet<u64> {
        self.objects.iter().map(|o| o["track_id"].as_u64().unwrap()).collect()
    }

    /// Objects with this `bs_type`.
    fn of(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|o| o["bs_type"] == kind).collect()
    }
}

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap()
}

fn bbox(object: &Value) -> [i64; 4] {
    std::array::from_fn(|i| object["bbox"][i].as_i64().unwrap())
}

/// Width and height.
fn sides(object: &Value) -> [i64; 2] {
    let [left, top, right, bottom] = bbox(object);
    [right - left, bottom - top]
}

/// Frames from the first detection to the last.
fn length(object: &Value) -> u64 {
    ((number(object, "last_time") - number(object, "first_time")) * RATE).round() as u64 + 1
}

/// Settings for cars only, including small ones of low quality: the fastest network runs alone.
fn cars(detector: Value, general: Value) -> Value {
    let car = with(json!({"filter_min_size": 10, "filter_min_quality": 0.05}), detector);
    with(json!({"detectors": {"face": null, "car": car}}), general)
}

fn none() -> Value {
    json!({})
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
