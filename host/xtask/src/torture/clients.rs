//! Clients that send random requests to a server at the same time until it is killed.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use ureq::http::Method;

use super::model::{Change, Fields, File, Model, Outcome, VideoSpec};
use crate::{
    attack::{Receiver, Recording, ViolationKind, Violations},
    client::{Client, Reply},
};

/// Number of videos from which on clients delete instead of creating.
const VIDEOS: usize = 24;

/// Requests and acknowledged changes of all cycles.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) in_doubt: AtomicU64,
    /// Responses with 503, which is not a violation.
    pub(super) unavailable: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) uploaded: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) processed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// State that all clients share in all cycles.
pub(super) struct World {
    pub(super) recordings: Vec<Recording>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) model: Mutex<Model>,
    pub(super) counts: Counts,
    /// Set before the server is stopped: requests may then stay without a response.
    pub(super) ending: AtomicBool,
    /// Number of the next name; no name is used twice.
    pub(super) names: AtomicU64,
}

impl World {
    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        // A client's panic ends the run anyway.
        self.model.lock()
    }
}

/// One client.
pub(super) struct Actor<'a> {
    pub(super) world: &'a World,
    pub(super) api: Client,
    pub(super) random: fastrand::Rng,
    pub(super) violations: &'a Violations,
}

impl Actor<'_> {
    /// Sends requests until the server is stopped.
    pub(super) fn run(&mut self) {
        while !self.world.ending.load(Ordering::SeqCst) {
            self.step();
        }
    }

    /// Sends one request, or two that belong together.
    fn step(&mut self) {
        let ids = self.world.model().ids();
        let crowded = ids.len() >= VIDEOS;
        // Often the newest video, whose id is the likeliest to be given again.
        let id = if self.random.u8(..) < 64 { ids.last().copied() } else { self.random.choice(&ids).copied() };
        let Some(id) = id else {
            self.create();
            return;
        };
        match self.random.u8(..100) {
            0..12 if !crowded => {
                self.create();
            }
            0..12 => self.delete(id),
            12..26 => {
                self.upload(id);
            }
            26..42 => self.write(id),
            42..58 => self.process(id),
            58..63 => self.change(Change::Stop { id }, Method::POST, &format!("/videos/{id}/stop/"), b""),
            63..71 => self.delete(id),
            71..73 => self.change(Change::DeleteFile { id }, Method::DELETE, &format!("/videos/{id}/file/"), b""),
            73..76 => self.read_deleted(),
            76..80 => self.retry(id),
            80..82 => self.search(id),
            _ => self.read(id),
        }
    }

    /// Sends a request; `None` if the server was killed before it responded.
    fn ask(&self, method: Method, path: &str, body: &[u8]) -> Option<Reply> {
        let counts = &self.world.counts;
        count(&counts.requests);
        match self.api.ask(method.clone(), path, body) {
            Ok(reply) if reply.status == 503 => {
                count(&counts.unavailable);
                Some(reply)
            }
            Ok(reply) => {
                if reply.status >= 500 {
                    let text = String::from_utf8_lossy(&reply.body).into_owned();
                    self.violations.add(ViolationKind::Answer, format!("{method} {path} got {}: {text}", reply.status));
                }
                Some(reply)
            }
            Err(error) => {
                count(&counts.in_doubt);
                if !self.world.ending.load(Ordering::SeqCst) {
                    self.violations.add(
                        ViolationKind::Answer,
                        format!("{method} {path} got no response from a running server: {error}"),
                    );
                }
                None
            }
        }
    }

    /// Sends a change and enters it into the model; the response if it succeeded.
    fn change_for(
        &self,
        change: Change,
        method: Method,
        path: &str,
        body: &[u8],
        created: fn(&Reply) -> Option<u64>,
    ) -> Option<Reply> {
        let begun = self.world.model().begin(change);
        let reply = self.ask(method, path, body);
        let outcome = match &reply {
            Some(reply) if reply.is_success() => Outcome::Done(created(reply)),
            // The change may have been done in part.
            Some(reply) if reply.status >= 500 => Outcome::InDoubt,
            Some(reply) => Outcome::Refused { not_found: reply.status == 404 },
            None => Outcome::InDoubt,
        };
        self.world.model().end(begun, outcome, self.violations);
        reply.filter(Reply::is_success)
    }

    fn change(&self, change: Change, method: Method, path: &str, body: &[u8]) {
        self.change_for(change, method, path, body, |_| None);
    }

    fn fields(&mut self) -> Fields {
        let name = format!("video {}", self.world.names.fetch_add(1, Ordering::Relaxed));
        Fields { name, case: self.random.i64(1..1_000_000), timeout_ms: self.random.u64(300..1500) }
    }

    /// Creates a video, in six of ten cases with a router; its id.
    pub(super) fn create(&mut self) -> Option<u64> {
        let recording = self.random.usize(..self.world.recordings.len());
        let router = self.random.u8(..) < 150;
        let router_url = if router { self.random.choice(&self.world.receivers).map(Receiver::url) } else { None };
        self.create_of(recording, router_url)
    }

    pub(super) fn create_of(&mut self, recording: usize, router_url: Option<String>) -> Option<u64> {
        let detectors = self.world.recordings.get(recording)?.detectors.clone();
        let (spec, fields) = (VideoSpec { recording, router_url, detectors }, self.fields());
        let body = spec.body(&fields).to_string();
        let id = |reply: &Reply| reply.json::<Value>().ok()?.get("id")?.as_u64();
        let reply = self.change_for(Change::Create { spec, fields }, Method::POST, "/videos/", body.as_bytes(), id)?;
        count(&self.world.counts.created);
        id(&reply)
    }

    /// Uploads a file; whether it was accepted.
    pub(super) fn upload(&mut self, id: u64) -> bool {
        let Some(recording) = self.world.model().spec(id).map(|spec| spec.recording) else { return false };
        let Some(recording) = self.world.recordings.get(recording) else { return false };
        let bytes = recording.copy(&mut self.random);
        let path = format!("/videos/{id}/upload/source_file/");
        let taken = self
            .change_for(Change::Upload { id, file: File::of(&bytes) }, Method::PUT, &path, &bytes, |_| None)
            .is_some();
        if taken {
            count(&self.world.counts.uploaded);
        }
        taken
    }

    fn write(&mut self, id: u64) {
        let fields = self.fields();
        let Some(spec) = self.world.model().spec(id).cloned() else { return };
        let (method, body) =
            if self.random.u8(..) < 50 { (Method::PUT, spec.body(&fields)) } else { (Method::PATCH, fields.patch()) };
        let change = Change::Write { id, fields };
        if self.change_for(change, method, &format!("/videos/{id}/"), body.to_string().as_bytes(), |_| None).is_some() {
            count(&self.world.counts.written);
        }
    }

    pub(super) fn process(&self, id: u64) {
        if self
            .change_for(Change::Process { id }, Method::POST, &format!("/videos/{id}/process/"), b"", |_| None)
            .is_some()
        {
            count(&self.world.counts.processed);
        }
    }

    fn delete(&self, id: u64) {
        if self.change_for(Change::Delete { id }, Method::DELETE, &format!("/videos/{id}/"), b"", |_| None).is_some() {
            count(&self.world.counts.deleted);
        }
    }

    fn read_deleted(&mut self) {
        let Some(id) = self.world.model().a_deleted_one(&mut self.random) else { return };
        if self.ask(Method::GET, &format!("/videos/{id}/"), b"").is_some_and(|reply| reply.is_success()) {
            self.violations.add(ViolationKind::Lost, format!("video {id} was deleted and is back"));
        }
    }

    fn retry(&self, id: u64) {
        self.ask(Method::POST, &format!("/videos/{id}/deliveries/retry/"), b"");
    }

    /// Searches with the picture of the video's first object.
    fn search(&self, id: u64) {
        let Some(reply) = self.ask(Method::GET, &format!("/videos/{id}/objects/?limit=1"), b"") else { return };
        let Ok(page) = reply.json::<Value>() else { return };
        let Some(object) = page.pointer("/results/0") else { return };
        let (Some(object_id), Some(object_type)) =
            (object.get("id").and_then(Value::as_str), object.get("type").and_then(Value::as_str))
        else {
            return;
        };
        let Some(picture) =
            self.ask(Method::GET, &format!("/objects/{object_id}/fullframe/"), b"").filter(Reply::is_success)
        else {
            return;
        };
        self.ask(Method::POST, &format!("/search/?type={object_type}&threshold=0.5"), &picture.body);
    }

    /// Sends a random request that only reads.
    fn read(&mut self, id: u64) {
        let paths = [
            "/videos/?limit=1000".to_owned(),
            "/videos/?ordering=-created_date&limit=5".to_owned(),
            format!("/videos/?name_contains={}&ordering=name", id % 10),
            "/videos/count/".to_owned(),
            format!("/videos/{id}/"),
            format!("/videos/{id}/objects/?limit=100"),
            format!("/videos/{id}/deliveries/?limit=100"),
            format!("/videos/{id}/clusters/"),
            format!("/videos/{id}/screenshot/"),
            "/health/".to_owned(),
        ];
        let Some((index, path)) = self.random.choice(paths.iter().enumerate()) else { return };
        let Some(reply) = self.ask(Method::GET, path, b"") else { return };
        let missing = reply.status == 404 && self.world.model().must_be_there(id);
        // A video without a file has no screenshot.
        if missing && (4..8).contains(&index) {
            self.violations.add(ViolationKind::Lost, format!("GET {path}: video {id} is not found"));
        }
        if index == 0 && reply.is_success() {
            let listed = reply.json::<Value>().ok().and_then(|page| ids_of(&page)).unwrap_or_default();
            let unique: HashSet<u64> = listed.iter().copied().collect();
            if unique.len() != listed.len() {
                self.violations.add(ViolationKind::Answer, format!("GET {path}: a video is listed twice"));
            }
        }
    }
}

fn ids_of(page: &Value) -> Option<Vec<u64>> {
    page.get("results")?.as_array()?.iter().map(|video| video.get("id")?.as_u64()).collect()
}
