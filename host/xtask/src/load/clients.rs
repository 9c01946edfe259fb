//! Clients with the token, and what each of their requests came to.

use std::{
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
/// Milliseconds between an answer and a client's next request.
const PAUSE: std::ops::Range<u64> = 0..400;
/// Videos that a client has at a time.
const VIDEOS: usize = 3;
/// Requests beside the phase of the full disk that may still feel it.
const AFTERMATH: Duration = Duration::from_secs(2);

/// When the disk is full.
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

    /// Whether a request may have met a full disk.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Of a refusal for want of room or time, whether it says so in a sentence.
    Status { status: u16, clear: bool },
    /// No complete answer, and why.
    Nothing(String),
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) kind: Kind,
    /// Since the clients began.
    pub(super) begun: Duration,
    pub(super) took: Duration,
    pub(super) came: Came,
}

struct Asking<'a> {
    api: &'a Client,
    start: Instant,
    samples: Vec<Sample>,
}

impl Asking<'_> {
    /// The answer, where it is one of success.
    fn ask(&mut self, kind: Kind, method: Method, path: &str, body: &[u8]) -> Option<Reply> {
        let begun = self.start.elapsed();
        let reply = self.api.ask(method, path, body);
        let came = match &reply {
            Ok(reply) => Came::Status { status: reply.status, clear: is_clear(reply) },
            Err(error) => Came::Nothing(error.to_string()),
        };
        self.samples.push(Sample { kind, begun, took: self.start.elapsed() - begun, came });
        reply.ok().filter(Reply::is_success)
    }
}

/// A sentence for people, as every refusal has one.
fn is_clear(reply: &Reply) -> bool {
    let sentence = reply.json::<Value>().ok().and_then(|body| Some(body.get("desc")?.as_str()?.len()));
    sentence.is_some_and(|length| length >= 10)
}

/// One client until `done`; all that it asked.
pub(super) fn use_until(api: &Client, start: Instant, done: &AtomicBool, recordings: &[Recording]) -> Vec<Sample> {
    let mut random = fastrand::Rng::new();
    let mut asking = Asking { api, start, samples: Vec::new() };
    let mut videos: Vec<(u64, usize)> = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let own = if videos.is_empty() { None } else { Some(random.usize(..videos.len())) };
        let video = own.and_then(|own| videos.get(own).copied());
        match (random.u8(..100), video) {
            (0..45, _) => {
                let path =
                    random.choice(["/videos/?limit=50&ordering=-created_date", "/videos/?limit=50&ordering=name"]);
                asking.ask(Kind::List, Method::GET, path.unwrap_or("/videos/"), b"");
            }
            (_, None) => videos.extend(create(&mut asking, &mut random, recordings)),
            (45..58, Some(_)) if videos.len() < VIDEOS => videos.extend(create(&mut asking, &mut random, recordings)),
            (45..70, Some((id, _))) => {
                asking.ask(Kind::Read, Method::GET, &format!("/videos/{id}/"), b"");
            }
            (70..80, Some((id, _))) => {
                let patch = json!({"name": format!("renamed {}", random.u32(..)), "case": random.u16(..)}).to_string();
                asking.ask(Kind::Patch, Method::PATCH, &format!("/videos/{id}/"), patch.as_bytes());
            }
            (80..88, Some((id, recording))) => {
                let bytes = recordings.get(recording).map(|recording| recording.copy(&mut random)).unwrap_or_default();
                asking.ask(Kind::Upload, Method::PUT, &format!("/videos/{id}/upload/source_file/"), &bytes);
            }
            (88..91, Some((id, _))) => {
                asking.ask(Kind::Process, Method::POST, &format!("/videos/{id}/process/"), b"");
            }
            (_, Some((id, _))) => {
                if asking.ask(Kind::Delete, Method::DELETE, &format!("/videos/{id}/"), b"").is_some() {
                    videos.retain(|(own, _)| *own != id);
                }
            }
        }
        thread::sleep(Duration::from_millis(random.u64(PAUSE)));
    }
    asking.samples
}

/// A video of one of the recordings, and which.
fn create(asking: &mut Asking<'_>, random: &mut fastrand::Rng, recordings: &[Recording]) -> Option<(u64, usize)> {
    let recording = random.usize(..recordings.len());
    let settings = json!({"detectors": recordings.get(recording)?.detectors});
    let body = json!({"camera_group": 1, "name": format!("video {}", random.u32(..)), "stream_settings": settings})
        .to_string();
    let reply = asking.ask(Kind::Create, Method::POST, "/videos/", body.as_bytes())?;
    Some((reply.json::<Value>().ok()?.get("id")?.as_u64()?, recording))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(begun: u64, took: u64) -> Sample {
        let [begun, took] = [begun, took].map(Duration::from_secs);
        Sample { kind: Kind::List, begun, took, came: Came::Status { status: 503, clear: true } }
    }

    #[test]
    fn only_what_met_the_full_disk_is_excused() {
        let schedule = Schedule::new(Duration::from_secs(100), true);
        assert_eq!([39, 40, 59, 60].map(|s| schedule.is_full(Duration::from_secs(s))), [false, true, true, false]);
        let excused = [(10, 1), (38, 3), (50, 1), (61, 1), (63, 1)]
            .map(|(begun, took)| schedule.may_excuse(&sample(begun, took)));
        assert_eq!(excused, [false, true, true, true, false]);
        let never = Schedule::new(Duration::from_secs(100), false);
        assert!(!never.is_full(Duration::from_secs(50)) && !never.may_excuse(&sample(50, 1)));
    }

    #[test]
    fn a_refusal_is_clear_where_it_says_why() {
        let reply = |body: &str| Reply { status: 503, body: body.as_bytes().to_vec() };
        assert!(is_clear(&reply(r#"{"code":"UNAVAILABLE","desc":"There is no room for the file."}"#)));
        assert!(!is_clear(&reply(r#"{"code":"UNAVAILABLE","desc":""}"#)) && !is_clear(&reply("")));
    }
}
