//! Covers: an archive of an earlier release. The present server opens it, gives the responses of
//! that release, replays its jobs, continues the interrupted job and the queued one, sends the open
//! deliveries, never gives the id of a deleted video again, and `ocellus check` finds nothing. The
//! README of the fixture describes it and how it was made.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use axum::http::StatusCode;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    receiver::Receiver,
    server::{Server, ids, run},
};

/// Frames of the recording, which is the source of all videos.
const FRAMES: u64 = 40;

/// `answers.json`: what the release that wrote the archive reported of it.
#[derive(Deserialize)]
struct Fixture {
    /// Responses by path; `http://SERVER` stands for the server's URL.
    answers: BTreeMap<String, Value>,
    /// SHA-256 of pictures, by path.
    pictures: BTreeMap<String, String>,
    videos: Videos,
    /// SHA-256 of all sources.
    recording: String,
    /// Idempotency keys that the router accepted.
    posted: Vec<String>,
}

#[derive(Deserialize)]
struct Videos {
    processed: u64,
    uploaded: u64,
    named: u64,
    cut: u64,
    queued: u64,
    deleted: u64,
}

impl Fixture {
    /// Unpacks the archive of a release into `data`.
    fn unpack(release: &str, data: &Path) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("archive-{release}"));
        let packed = File::open(folder.join("archive.tar.gz")).unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(packed)).unpack(data).unwrap();
        serde_json::from_reader(File::open(folder.join("answers.json")).unwrap()).unwrap()
    }

    fn answer(&self, path: &str) -> &Value {
        self.answers.get(path).unwrap_or_else(|| panic!("the fixture has no response of {path}"))
    }

    fn objects(&self, video: u64) -> &[Value] {
        self.answer(&format!("/videos/{video}/objects/?limit=1000"))["results"].as_array().unwrap()
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Collects the values of the old response that are missing or different in the new one. Later
/// releases may add fields.
fn differences(then: &Value, now: &Value, at: &str, found: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (key, value) in then {
                differences(value, now.get(key).unwrap_or(&json!("(absent)")), &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            then.iter()
                .zip(now)
                .enumerate()
                .for_each(|(n, (then, now))| differences(then, now, &format!("{at}[{n}]"), found));
        }
        // Now rounded to a microsecond.
        (Value::Number(then), Value::Number(now)) if (then.as_f64().unwrap() - now.as_f64().unwrap()).abs() < 1e-6 => {}
        _ if then == now => {}
        _ => found.push(format!("{at}: then {then}, now {now}")),
    }
}

/// Gets a path, with `http://SERVER` in place of the server's URL.
async fn ask(server: &Server, path: &str) -> Value {
    let text = server.get(path).await.to_string();
    serde_json::from_str(&text.replace(server.base(), "http://SERVER")).unwrap()
}

/// Removes the counts of deliveries, which continue as soon as the server starts.
fn without_deliveries(mut video: Value) -> Value {
    if let Some(statistic) = video["health_status"]["statistic"].as_object_mut() {
        statistic.retain(|key, _| key != "objects" && !key.starts_with("faces_"));
    }
    video
}

async fn assert_same_responses(server: &Server, fixture: &Fixture) {
    let mut found = Vec::new();
    let Videos { processed, uploaded, named, .. } = fixture.videos;
    for video in [processed, uploaded, named] {
        let path = format!("/videos/{video}/");
        let then = without_deliveries(fixture.answer(&path).clone());
        differences(&then, &ask(server, &path).await, &path, &mut found);
        for path in [format!("/videos/{video}/objects/?limit=1000"), format!("/videos/{video}/clusters/")] {
            differences(fixture.answer(&path), &ask(server, &path).await, &path, &mut found);
        }
    }
    // Of videos whose jobs continue, the fields that users wrote are the same.
    for video in [fixture.videos.cut, fixture.videos.queued] {
        let path = format!("/videos/{video}/");
        let mut then = fixture.answer(&path).clone();
        let written = [
            "id",
            "name",
            "camera_group",
            "camera",
            "case",
            "url",
            "router_url",
            "stream_settings",
            "created_date",
            "file_size",
        ];
        then.as_object_mut().unwrap().retain(|key, _| written.contains(&key.as_str()));
        differences(&then, &ask(server, &path).await, &path, &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");

    let ids =
        |page: &Value| page["results"].as_array().unwrap().iter().map(|video| video["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&ask(server, "/videos/").await), ids(fixture.answer("/videos/")));
    for (path, then) in &fixture.pictures {
        assert_eq!(&sha256(&server.bytes(path).await), then, "{path}");
    }
    // Deliveries that had ended are the same; the others continue.
    let then = fixture.answer(&format!("/videos/{processed}/deliveries/?limit=1000"))["results"].as_array().unwrap();
    let now = server.deliveries(processed, "").await;
    assert_eq!(now.len(), then.len());
    for (then, now) in then.iter().zip(&now).filter(|(then, _)| then["state"] == "posted" || then["state"] == "failed")
    {
        differences(then, now, "delivery", &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// A face of the archive is found by its picture.
async fn assert_searchable(server: &Server, fixture: &Fixture) {
    let face = fixture.objects(fixture.videos.processed).iter().find(|o| o["type"] == "face").expect("a face");
    let picture = server.bytes(&format!("/objects/{}/fullframe/", face["id"].as_str().unwrap())).await;
    let search =
        server.request(Method::POST, "/search/?type=face&threshold=0.4&limit=1000").body(picture).send().await.unwrap();
    assert_eq!(search.status(), StatusCode::OK);
    let found: Value = search.json().await.unwrap();
    assert!(found["results"].as_array().unwrap().iter().any(|hit| hit["object"]["id"] == face["id"]), "{found:#}");
}

async fn assert_replays(server: &Server, fixture: &Fixture) {
    let (status, replay) = server.replay(fixture.videos.processed, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{replay:#}");
    let objects = fixture.objects(fixture.videos.processed).len() as u64;
    let changed = replay["changed"].as_array().expect("a list of changed objects").len() as u64;
    // Present trackers sometimes continue a track that those of 0.1 ended.
    assert_eq!((&replay["frames"], &replay["gained"], &replay["lost"]), (&json!(FRAMES), &json!([]), &json!([])));
    assert_eq!(replay["same"].as_u64().expect("a count of equal objects") + changed, objects, "{replay:#}");
}

async fn assert_jobs_continue(server: &Server, fixture: &Fixture) {
    for video in [fixture.videos.cut, fixture.videos.queued] {
        let done = server.finished(video).await;
        assert_eq!(done["health_status"]["status"], "COMPLETED", "{done:#}");
        assert_eq!(done["health_status"]["statistic"]["frames_processed"], FRAMES, "{done:#}");
        let objects = server.objects(video).await;
        let of_type = |t: &str| objects.iter().filter(|o| o["type"] == t).count();
        assert!(of_type("car") > 0, "{objects:#?}");
        for object_type in ["face", "body", "car"] {
            assert_eq!(done[format!("{object_type}_count")], of_type(object_type));
        }
    }
}

/// Another router gets the objects that the first refused or did not get, and none that it
/// accepted.
async fn assert_open_deliveries_are_sent(server: &Server, fixture: &Fixture) {
    let video = fixture.videos.processed;
    let receiver = Receiver::start(StatusCode::OK).await;
    let patch = json!({"router_url": receiver.url});
    server.patch(video, &patch).await;
    server.post(&format!("/videos/{video}/deliveries/retry/")).await;
    server.delivered(video).await;
    let deliveries = server.deliveries(video, "").await;
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "posted"), "{deliveries:#?}");
    let mut keys: Vec<String> =
        receiver.posts().into_iter().map(|post| post.key).chain(fixture.posted.clone()).collect();
    let mut objects = ids(fixture.objects(video));
    keys.sort();
    objects.sort();
    assert_eq!(keys, objects);
}

fn source(data: &Path, video: u64) -> PathBuf {
    data.join(format!("archive/000/{video}/source"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_0_1_is_served_and_its_jobs_continue() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let fixture = Fixture::unpack("0.1", &data);
    let server = Server::start(&data);

    assert_same_responses(&server, &fixture).await;
    assert_searchable(&server, &fixture).await;
    assert_replays(&server, &fixture).await;
    assert_jobs_continue(&server, &fixture).await;
    assert_open_deliveries_are_sent(&server, &fixture).await;
    assert_eq!(server.create(json!({})).await, fixture.videos.deleted + 1);
    for video in [fixture.videos.processed, fixture.videos.uploaded, fixture.videos.cut, fixture.videos.queued] {
        assert_eq!(sha256(&std::fs::read(source(&data, video)).unwrap()), fixture.recording, "source of video {video}");
    }

    assert!(server.terminate().success());
    let (status, out, err) = run(&["check", "--data", data.to_str().unwrap()]);
    assert!(status.success(), "{out}{err}");
}
