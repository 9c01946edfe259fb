//! Clients with the token, and a sample of each of their requests.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use ureq::http::Method;

use crate::{
    attack::Recording,
    client::{Client, Reply},
};

pub(super) const CLIENTS: usize = 200;
/// Milliseconds between a response and the client's next request.
const PAUSE: std::ops::Range<u64> = 0..400;
/// Largest number of videos of a client.
const VIDEOS: usize = 3;
/// Time after the disk is freed in which requests may still fail because of it.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Length of the run, and the time in which the disk is full.
pub(super) struct Schedule {
    pub(super) length: Duration,
    full: Option<(Duration, Duration)>,
}

impl Schedule {
    pub(super) fn new(length: Duration, disk: bool) -> Self {
        Self { length, full: disk.then(|| (length.mul_f64(0.4), length.mul_f64(0.6))) }
    }

    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.full.is_some_and(|(from, to)| (from..to).contains(&now))
    }

    /// Whether the full disk may excuse the failure of a request.
    pub(super) fn may_excuse(&self, sample: &Sample) -> bool {
        self.full.is_some_and(|(from, to)| sample.begun < to + AFTERMATH && sample.begun + sample.took > from)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    List,
    Read,
    Create,
    Patch,
    Upload,
    Process,
    Delete,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Upload => "upload",
            Self::Process => "process",
            Self::Delete => "delete",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `explained`: the body has a sentence for people, as every error has.
    Status { status: u16, explained: bool },
    /// No complete response; the cause.
    Missing(String),
}

/// A request and its response.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) kind: Kind,
    /// Since the start of the clients.
    pub(super) begun: Duration,
    pub(super) took: Duration,
    pub(super) answer: Answer,
}

struct Recorder<'a> {
    api: &'a Client,
    start: Instant,
    samples: Vec<Sample>,
}

impl Recorder<'_> {
    /// Sends a request and records a sample; the response if it is a success.
    fn ask(&mut self, kind: Kind, method: Method, path: &str, body: &[u8]) -> Option<Reply> {
        let begun = self.start.elapsed();
        let reply = self.api.ask(method, path, body);
        let answer = match &reply {
            Ok(reply) => Answer::Status { status: reply.status, explained: is_explained(reply) },
            Err(error) => Answer::Missing(error.to_string()),
        };
        self.samples.push(Sample { kind, begun, took: self.start.elapsed() - begun, answer });
        reply.ok().filter(Reply::is_success)
    }
}

/// Whether an error has a sentence for people.
fn is_explained(reply: &Reply) -> bool {
    let sentence = reply.json::<Value>().ok().and_then(|body| Some(body.get("desc")?.as_str()?.len()));
    sentence.is_some_and(|length| length >= 10)
}

/// Runs one client until `done`; its samples.
pub(super) fn use_until(api: &Client, start: Instant, done: &AtomicBool, recordings: &[Recording]) -> Vec<Sample> {
    let mut random = fastrand::Rng::new();
    let mut recorder = Recorder { api, start, samples: Vec::new() };
    let mut videos: Vec<(u64, usize)> = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let own = if videos.is_empty() { None } else { Some(random.usize(..videos.len())) };
        let video = own.and_then(|own| videos.get(own).copied());
        match (random.u8(..100), video) {
            (0..45, _) => {
                let path =
                    random.choice(["/videos/?limit=50&ordering=-created_date", "/videos/?limit=50&ordering=name"]);
                recorder.ask(Kind::List, Method::GET, path.unwrap_or("/videos/"), b"");
            }
            (_, None) => videos.extend(create(&mut recorder, &mut random, recordings)),
            (45..58, Some(_)) if videos.len() < VIDEOS => videos.extend(create(&mut recorder, &mut random, recordings)),
            (45..70, Some((id, _))) => {
                recorder.ask(Kind::Read, Method::GET, &format!("/videos/{id}/"), b"");
            }
            (70..80, Some((id, _))) => {
                let patch = json!({"name": format!("renamed {}", random.u32(..)), "case": random.u16(..)}).to_string();
                recorder.ask(Kind::Patch, Method::PATCH, &format!("/videos/{id}/"), patch.as_bytes());
            }
            (80..88, Some((id, recording))) => {
                let bytes = recordings.get(recording).map(|recording| recording.copy(&mut random)).unwrap_or_default();
                recorder.ask(Kind::Upload, Method::PUT, &format!("/videos/{id}/upload/source_file/"), &bytes);
            }
            (88..91, Some((id, _))) => {
                recorder.ask(Kind::Process, Method::POST, &format!("/videos/{id}/process/"), b"");
            }
            (_, Some((id, _))) => {
                if recorder.ask(Kind::Delete, Method::DELETE, &format!("/videos/{id}/"), b"").is_some() {
                    videos.retain(|(own, _)| *own != id);
                }
            }
        }
        thread::sleep(Duration::from_millis(random.u64(PAUSE)));
    }
    recorder.samples
}

/// Creates a video; its id and the index of its recording.
fn create(recorder: &mut Recorder<'_>, random: &mut fastrand::Rng, recordings: &[Recording]) -> Option<(u64, usize)> {
    let recording = random.usize(..recordings.len());
    let settings = json!({"detectors": recordings.get(recording)?.detectors});
    let body = json!({"camera_group": 1, "name": format!("video {}", random.u32(..)), "stream_settings": settings})
        .to_string();
    let reply = recorder.ask(Kind::Create, Method::POST, "/videos/", body.as_bytes())?;
    Some((reply.json::<Value>().ok()?.get("id")?.as_u64()?, recording))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(begun: u64, took: u64) -> Sample {
        let [begun, took] = [begun, took].map(Duration::from_secs);
        Sample { kind: Kind::List, begun, took, answer: Answer::Status { status: 503, explained: true } }
    }

    #[test]
    fn only_requests_during_the_full_disk_are_excused() {
        let schedule = Schedule::new(Duration::from_secs(100), true);
        assert_eq!([39, 40, 59, 60].map(|s| schedule.is_full(Duration::from_secs(s))), [false, true, true, false]);
        let excused = [(10, 1), (38, 3), (50, 1), (61, 1), (63, 1)]
            .map(|(begun, took)| schedule.may_excuse(&sample(begun, took)));
        assert_eq!(excused, [false, true, true, true, false]);
        let never = Schedule::new(Duration::from_secs(100), false);
        assert!(!never.is_full(Duration::from_secs(50)) && !never.may_excuse(&sample(50, 1)));
    }

    #[test]
    fn an_error_is_explained_by_a_sentence() {
        let reply = |body: &str| Reply { status: 503, body: body.as_bytes().to_vec() };
        assert!(is_explained(&reply(r#"{"code":"UNAVAILABLE","desc":"There is no room for the file."}"#)));
        assert!(!is_explained(&reply(r#"{"code":"UNAVAILABLE","desc":""}"#)) && !is_explained(&reply("")));
    }
}
