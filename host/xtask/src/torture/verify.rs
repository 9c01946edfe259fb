//! Verification of a server against the model: in part after each start, in full at the end.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{
    clients::World,
    model::{File, ListedVideo},
};
use crate::{
    attack::{Installation, JobEnd, Posts, ViolationKind, Violations},
    client::Client,
};

/// Longest time until all jobs and deliveries of a few dozen videos are complete.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(240);
/// Interval of polling.
const POLL: Duration = Duration::from_millis(100);
/// Interval of retry requests for a delivery.
const RETRY: Duration = Duration::from_secs(2);
/// Videos whose objects are verified after a start.
const SAMPLE: usize = 4;

#[derive(Deserialize)]
struct Page<T> {
    next_page: Option<String>,
    results: Vec<T>,
}

#[derive(Deserialize)]
struct Delivery {
    id: String,
    state: String,
}

/// Objects of a job of a recording as text, without the ids of the video and the job.
pub(super) type Found = Vec<String>;

fn all<T: serde::de::DeserializeOwned>(api: &Client, path: String) -> Result<Vec<T>> {
    let mut next = Some(path);
    let mut all = Vec::new();
    while let Some(path) = next {
        let page: Page<T> = api.get(&path)?;
        all.extend(page.results);
        next = page.next_page;
    }
    Ok(all)
}

pub(super) fn videos(api: &Client) -> Result<Vec<ListedVideo>> {
    all(api, "/videos/?limit=500".into())
}

fn objects(api: &Client, video: u64) -> Result<Vec<Value>> {
    all(api, format!("/videos/{video}/objects/?limit=500"))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The fields of the objects that are the same in every job of a recording.
fn found(objects: &[Value]) -> Found {
    let same = ["type", "track_id", "bs_type", "first_time", "best_time", "last_time", "bbox", "detections"];
    let mut found: Vec<String> = objects
        .iter()
        .map(|object| same.map(|field| object.get(field).map(Value::to_string).unwrap_or_default()).join(" "))
        .collect();
    found.sort();
    found
}

pub(super) fn found_in(api: &Client, video: u64) -> Result<Found> {
    Ok(found(&objects(api, video)?))
}

/// The video's source file in the archive.
fn stored(installation: &Installation, video: u64) -> Option<File> {
    std::fs::read(installation.source(video)).ok().map(|bytes| File::of(&bytes))
}

/// Verifies the server right after a start, while no client uses it.
pub(super) fn after_start(
    world: &World,
    installation: &Installation,
    api: &Client,
    random: &mut fastrand::Rng,
    violations: &Violations,
) -> Result<()> {
    let listed = videos(api)?;
    world.model().observe(&listed, |id| stored(installation, id), violations);
    let mut finished: Vec<&ListedVideo> = listed.iter().filter(|video| video.finished).collect();
    random.shuffle(&mut finished);
    for video in finished.into_iter().take(SAMPLE) {
        verify_objects(api, video, violations)?;
    }
    Ok(())
}

/// Verifies that the counts of a finished video agree with its objects and that each object has its
/// pictures. Returns the objects.
fn verify_objects(api: &Client, video: &ListedVideo, violations: &Violations) -> Result<Vec<Value>> {
    let objects = objects(api, video.id)?;
    let counted = [("face", video.face_count), ("body", video.body_count), ("car", video.car_count)];
    for (object_type, count) in counted {
        let listed = objects.iter().filter(|object| text(object, "type") == object_type).count() as u64;
        if listed != count {
            violations.add(
                ViolationKind::Lost,
                format!("video {} counts {count} objects of type {object_type} and lists {listed}", video.id),
            );
        }
    }
    for object in &objects {
        for picture in ["thumbnail", "fullframe"] {
            let reply = api.ask(ureq::http::Method::GET, text(object, picture), b"").context("a picture")?;
            if !reply.is_success() || !reply.body.starts_with(&[0xff, 0xd8]) {
                let id = text(object, "id");
                violations.add(
                    ViolationKind::Lost,
                    format!("{picture} of object {id}: {}, {} bytes", reply.status, reply.body.len()),
                );
            }
        }
    }
    Ok(objects)
}

/// Waits until no job runs or is queued and every delivery is accepted. The receivers must accept.
pub(super) fn drain(api: &Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        let open: Vec<u64> = videos(api)?.into_iter().filter(ListedVideo::is_enabled).map(|video| video.id).collect();
        if open.is_empty() {
            break;
        }
        if begun.elapsed() > DRAIN_TIMEOUT {
            let open: Vec<String> = open.iter().map(u64::to_string).collect();
            bail!("jobs have not ended after {} s, of videos {}", DRAIN_TIMEOUT.as_secs(), open.join(", "));
        }
        thread::sleep(POLL);
    }
    let mut tried = None;
    loop {
        let mut open = Vec::new();
        for video in videos(api)? {
            open.extend(all::<Delivery>(
                api,
                format!("/videos/{}/deliveries/?state=pending,retrying,failed&limit=500", video.id),
            )?);
        }
        if open.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > DRAIN_TIMEOUT {
            let open: Vec<String> =
                open.into_iter().map(|delivery| format!("{} ({})", delivery.id, delivery.state)).collect();
            bail!("not delivered after {} s: {}", DRAIN_TIMEOUT.as_secs(), open.join(", "));
        }
        // The backoff grows to minutes, which a retry request skips.
        if tried.is_none_or(|tried: Instant| tried.elapsed() > RETRY) {
            for delivery in &open {
                let path = format!("/deliveries/{}/retry/", delivery.id);
                let reply = api.ask(ureq::http::Method::POST, &path, b"").context("a retry")?;
                // 409: delivered meanwhile.
                if !reply.is_success() && reply.status != 409 {
                    bail!("{path} got {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
                }
            }
            tried = Some(Instant::now());
        }
        thread::sleep(POLL);
    }
}

/// Verifies everything when all jobs and deliveries are complete. `expected` is by recording.
/// Returns the number of objects.
pub(super) fn at_the_end(
    world: &World,
    installation: &Installation,
    api: &Client,
    expected: &[Found],
    posts: &Posts,
    violations: &Violations,
) -> Result<u64> {
    let listed = videos(api)?;
    let mut model = world.model();
    model.observe(&listed, |id| stored(installation, id), violations);
    let listed: BTreeMap<u64, ListedVideo> = listed.into_iter().map(|video| (video.id, video)).collect();
    // Keys that were accepted, by video and job.
    let mut accepted: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
    for key in posts.accepted() {
        if let Some(job) = job_of(&key) {
            accepted.entry(job).or_default().push(key);
        }
    }
    let mut all_objects = 0;
    for settled in model.settled() {
        let Some(video) = listed.get(&settled.id) else { continue };
        let recording = world.recordings.get(settled.spec.recording).context("a video has no recording")?;
        let expected = expected.get(settled.spec.recording).context("a recording has no undisturbed job")?;
        let (id, status) = (video.id, video.status());
        if settled.job {
            let right = match recording.job_end {
                JobEnd::Completed => status == "COMPLETED",
                JobEnd::Failed => video.finished && video.error.is_some(),
            };
            if !right {
                let (name, error) = (recording.name, video.error.as_deref().unwrap_or("no error"));
                violations.add(ViolationKind::Lost, format!("the job of video {id} ({name}) ended {status}: {error}"));
            }
        }
        let objects = verify_objects(api, video, violations)?;
        all_objects += objects.len() as u64;
        if status != "COMPLETED" {
            continue;
        }
        if found(&objects) != *expected {
            let (name, count) = (recording.name, expected.len());
            violations.add(
                ViolationKind::Lost,
                format!("video {id} ({name}) has {} objects, not the {count} of an undisturbed job", objects.len()),
            );
        }
        let ids: Vec<&str> = objects.iter().map(|object| text(object, "id")).collect();
        if settled.spec.router_url.is_some() {
            for id in &ids {
                if !posts.is_accepted(id) {
                    violations.add(
                        ViolationKind::Lost,
                        format!("object {id} counts as delivered, but no receiver accepted it"),
                    );
                }
            }
        }
        if let Some(job) = ids.first().and_then(|id| job_of(id)) {
            for key in accepted.get(&job).into_iter().flatten().filter(|key| !ids.contains(&key.as_str())) {
                violations.add(ViolationKind::Lost, format!("object {key} was delivered and is not in the archive"));
            }
        }
    }
    Ok(all_objects)
}

/// Video and job of an object's id, `<video>-<job>-<type>-<track>-<shot>`.
fn job_of(id: &str) -> Option<(u64, u64)> {
    let mut parts = id.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
