//! Compares what a server answers with what it must: after each start in part, at the end in full.

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
    model::{File, Shown},
};
use crate::{
    attack::{Ends, FaultKind, Faults, Place, Posts},
    client::Client,
};

/// Within this, all jobs and deliveries of a few dozen videos come to their ends.
const DRAIN: Duration = Duration::from_secs(240);
/// Between two looks at what is still open.
const LOOK: Duration = Duration::from_millis(100);
/// Between two requests that a delivery be tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Videos whose objects are looked at after a start.
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

/// Of a recording, what an undisturbed job finds: an object each, without its video and its job.
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

pub(super) fn videos(api: &Client) -> Result<Vec<Shown>> {
    all(api, "/videos/?limit=500".into())
}

fn objects(api: &Client, video: u64) -> Result<Vec<Value>> {
    all(api, format!("/videos/{video}/objects/?limit=500"))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What a job found, as it must be in every job of the same recording.
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

/// What the archive keeps as a video's file.
fn stored(place: &Place, video: u64) -> Option<File> {
    std::fs::read(place.source(video)).ok().map(|bytes| File::of(&bytes))
}

/// Straight after a start, when nobody else asks for anything.
pub(super) fn after_start(
    world: &World,
    place: &Place,
    api: &Client,
    random: &mut fastrand::Rng,
    faults: &Faults,
) -> Result<()> {
    let shown = videos(api)?;
    world.model().observe(&shown, |id| stored(place, id), faults);
    let mut finished: Vec<&Shown> = shown.iter().filter(|video| video.finished).collect();
    random.shuffle(&mut finished);
    for video in finished.into_iter().take(SAMPLE) {
        whole(api, video, faults)?;
    }
    Ok(())
}

/// Counts agree with the objects of a finished video, and each object has its pictures. Gives the
/// objects.
fn whole(api: &Client, video: &Shown, faults: &Faults) -> Result<Vec<Value>> {
    let objects = objects(api, video.id)?;
    let counted = [("face", video.face_count), ("body", video.body_count), ("car", video.car_count)];
    for (object_type, count) in counted {
        let listed = objects.iter().filter(|object| text(object, "type") == object_type).count() as u64;
        if listed != count {
            faults.add(
                FaultKind::Lost,
                format!("video {} counts {count} objects of type {object_type} and lists {listed}", video.id),
            );
        }
    }
    for object in &objects {
        for picture in ["thumbnail", "fullframe"] {
            let reply = api.ask(ureq::http::Method::GET, text(object, picture), b"").context("a picture")?;
            if !reply.is_success() || !reply.body.starts_with(&[0xff, 0xd8]) {
                let id = text(object, "id");
                faults.add(
                    FaultKind::Lost,
                    format!("{picture} of object {id}: {}, {} bytes", reply.status, reply.body.len()),
                );
            }
        }
    }
    Ok(objects)
}

/// Waits until no job is under way or waits, and every delivery is accepted; receivers must
/// accept.
pub(super) fn drain(api: &Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        let open: Vec<u64> = videos(api)?.into_iter().filter(Shown::is_enabled).map(|video| video.id).collect();
        if open.is_empty() {
            break;
        }
        if begun.elapsed() > DRAIN {
            bail!("after {} s the jobs of these videos have not ended: {open:?}", DRAIN.as_secs());
        }
        thread::sleep(LOOK);
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
        if begun.elapsed() > DRAIN {
            let open: Vec<String> =
                open.into_iter().map(|delivery| format!("{} ({})", delivery.id, delivery.state)).collect();
            bail!("after {} s these are not delivered: {}", DRAIN.as_secs(), open.join(", "));
        }
        // Waits grow to minutes; a user who knows that the router is back does not sit them out.
        if tried.is_none_or(|tried: Instant| tried.elapsed() > RETRY) {
            for delivery in &open {
                let path = format!("/deliveries/{}/retry/", delivery.id);
                let reply = api.ask(ureq::http::Method::POST, &path, b"").context("a retry")?;
                // 409: delivered meanwhile.
                if !reply.is_success() && reply.status != 409 {
                    bail!("{path} was answered with {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
                }
            }
            tried = Some(Instant::now());
        }
        thread::sleep(LOOK);
    }
}

/// When nothing is under way any more. `expected`: by recording. Gives the number of objects.
pub(super) fn at_the_end(
    world: &World,
    place: &Place,
    api: &Client,
    expected: &[Found],
    posts: &Posts,
    faults: &Faults,
) -> Result<u64> {
    let shown = videos(api)?;
    let mut model = world.model();
    model.observe(&shown, |id| stored(place, id), faults);
    let shown: BTreeMap<u64, Shown> = shown.into_iter().map(|video| (video.id, video)).collect();
    // Keys that were accepted, by video and job.
    let mut accepted: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
    for key in posts.accepted() {
        if let Some(job) = job_of(&key) {
            accepted.entry(job).or_default().push(key);
        }
    }
    let mut all_objects = 0;
    for settled in model.settled() {
        let Some(video) = shown.get(&settled.id) else { continue };
        let recording = world.recordings.get(settled.nature.recording).context("a video of no recording")?;
        let expected = expected.get(settled.nature.recording).context("a recording without an undisturbed job")?;
        let (id, status) = (video.id, video.status());
        if settled.job {
            let right = match recording.ends {
                Ends::Completed => status == "COMPLETED",
                Ends::Failed => video.finished && video.error.is_some(),
            };
            if !right {
                let name = recording.name;
                faults
                    .add(FaultKind::Lost, format!("the job of video {id} ({name}) ended {status}: {:?}", video.error));
            }
        }
        let objects = whole(api, video, faults)?;
        all_objects += objects.len() as u64;
        if status != "COMPLETED" {
            continue;
        }
        if found(&objects) != *expected {
            let (name, count) = (recording.name, expected.len());
            faults.add(
                FaultKind::Lost,
                format!("video {id} ({name}) has {} objects, not the {count} of an undisturbed job", objects.len()),
            );
        }
        let ids: Vec<&str> = objects.iter().map(|object| text(object, "id")).collect();
        if settled.nature.router_url.is_some() {
            for id in &ids {
                if !posts.is_accepted(id) {
                    faults.add(FaultKind::Lost, format!("object {id} counts as delivered and never came"));
                }
            }
        }
        if let Some(job) = ids.first().and_then(|id| job_of(id)) {
            for key in accepted.get(&job).into_iter().flatten().filter(|key| !ids.contains(&key.as_str())) {
                faults.add(FaultKind::Lost, format!("object {key} was delivered and is not in the archive"));
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
