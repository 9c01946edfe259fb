//! Model of what the archive must hold, by the responses that clients got.
//!
//! A client enters a change before it sends the request ([`Model::begin`]) and its outcome
//! afterwards ([`Model::end`]). Without a response the change stays in doubt: it may have had its
//! effect or not. When the server was killed and no request is in progress, [`Model::observe`]
//! compares the model with the server, and settles the changes in doubt.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::register::{Register, WriteId};
use crate::attack::{ViolationKind, Violations};

/// Fields that one request writes together, so that a partial write is detected. `name` is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) name: String,
    pub(super) case: i64,
    /// `stream_settings.router_timeout_ms`
    pub(super) timeout_ms: u64,
}

impl Fields {
    pub(super) fn patch(&self) -> Value {
        json!({"name": self.name, "case": self.case, "stream_settings": {"router_timeout_ms": self.timeout_ms}})
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, case, timeout_ms } = self;
        write!(f, "(name {name:?}, case {case}, router_timeout_ms {timeout_ms})")
    }
}

/// An uploaded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: u64,
    sha256: [u8; 32],
}

impl File {
    pub(super) fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: Sha256::digest(content).into() }
    }
}

/// The last request of a user about a video's job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// No job, or that it ends.
    Idle,
    /// A job. `sourceless`: the video may have had no file at that time.
    Job { sourceless: bool },
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "no job",
            Self::Job { sourceless: true } => "a job, perhaps without a source",
            Self::Job { sourceless: false } => "a job",
        })
    }
}

/// Properties of a video that are never changed: its recording, router and detectors.
#[derive(Clone, Debug)]
pub(super) struct VideoSpec {
    /// Index in the list of recordings.
    pub(super) recording: usize,
    pub(super) router_url: Option<String>,
    /// Value of `stream_settings.detectors`.
    pub(super) detectors: Value,
}

impl VideoSpec {
    /// The body of `POST /videos/` and `PUT /videos/N/`.
    pub(super) fn body(&self, fields: &Fields) -> Value {
        let settings = json!({"router_timeout_ms": fields.timeout_ms, "detectors": self.detectors});
        json!({"camera_group": 1, "name": fields.name, "case": fields.case, "router_url": self.router_url, "stream_settings": settings})
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletion {
    NotRequested,
    /// Number of requests, none of them acknowledged.
    Requested(u32),
}

struct Video {
    spec: VideoSpec,
    fields: Register<Fields>,
    file: Register<Option<File>>,
    intent: Register<Intent>,
    deletion: Deletion,
}

/// A request that changes something.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create { spec: VideoSpec, fields: Fields },
    Write { id: u64, fields: Fields },
    Upload { id: u64, file: File },
    DeleteFile { id: u64 },
    Process { id: u64 },
    Stop { id: u64 },
    Delete { id: u64 },
}

/// A change in progress.
pub(super) struct PendingChange {
    change: Change,
    fields: Option<WriteId>,
    file: Option<WriteId>,
    intent: Option<WriteId>,
}

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Success; with the id if it created a video.
    Done(Option<u64>),
    /// A response that means no effect.
    Refused {
        not_found: bool,
    },
    InDoubt,
}

/// The part of a listed video that is verified.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListedVideo {
    pub(super) id: u64,
    name: Option<String>,
    case: Option<i64>,
    pub(super) file_size: u64,
    pub(super) finished: bool,
    pub(super) error: Option<String>,
    pub(super) face_count: u64,
    pub(super) body_count: u64,
    pub(super) car_count: u64,
    health_status: Health,
    stream_settings: Settings,
}

#[derive(Clone, Debug, Deserialize)]
struct Health {
    enabled: bool,
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Settings {
    router_timeout_ms: u64,
}

impl ListedVideo {
    pub(super) fn status(&self) -> &str {
        &self.health_status.status
    }

    /// A job runs or is queued.
    pub(super) fn is_enabled(&self) -> bool {
        self.health_status.enabled
    }

    fn fields(&self) -> Fields {
        Fields {
            name: self.name.clone().unwrap_or_default(),
            case: self.case.unwrap_or_default(),
            timeout_ms: self.stream_settings.router_timeout_ms,
        }
    }
}

/// A video after the last comparison, and what is certain about it.
pub(super) struct Settled<'a> {
    pub(super) id: u64,
    pub(super) spec: &'a VideoSpec,
    /// A job was started and not stopped.
    pub(super) job: bool,
}

#[derive(Default)]
pub(super) struct Model {
    videos: BTreeMap<u64, Video>,
    /// Creations without a response, by name.
    creating: HashMap<String, (VideoSpec, Fields)>,
    /// All ids of all videos, deleted ones included.
    ids: HashSet<u64>,
    deleted: Vec<u64>,
}

impl Model {
    pub(super) fn begin(&mut self, change: Change) -> PendingChange {
        let mut begun = PendingChange { change, fields: None, file: None, intent: None };
        match &begun.change {
            Change::Create { spec, fields } => {
                self.creating.insert(fields.name.clone(), (spec.clone(), fields.clone()));
            }
            Change::Write { id, fields } => {
                begun.fields = self.videos.get_mut(id).map(|v| v.fields.begin(fields.clone()))
            }
            Change::Upload { id, file } => {
                if let Some(video) = self.videos.get_mut(id) {
                    begun.file = Some(video.file.begin(Some(*file)));
                    // A new file ends the job of its video.
                    begun.intent = Some(video.intent.begin(Intent::Idle));
                }
            }
            Change::DeleteFile { id } => {
                if let Some(video) = self.videos.get_mut(id) {
                    begun.file = Some(video.file.begin(None));
                    begun.intent = Some(video.intent.begin(Intent::Idle));
                }
            }
            Change::Process { id } => {
                if let Some(video) = self.videos.get_mut(id) {
                    let sourceless = video.file.may_be(&None);
                    begun.intent = Some(video.intent.begin(Intent::Job { sourceless }));
                }
            }
            Change::Stop { id } => begun.intent = self.videos.get_mut(id).map(|v| v.intent.begin(Intent::Idle)),
            Change::Delete { id } => {
                if let Some(video) = self.videos.get_mut(id) {
                    video.deletion = match video.deletion {
                        Deletion::NotRequested => Deletion::Requested(1),
                        Deletion::Requested(times) => Deletion::Requested(times + 1),
                    };
                    // A deletion ends the job first; a kill may come between the two steps.
                    begun.intent = Some(video.intent.begin(Intent::Idle));
                }
            }
        }
        begun
    }

    pub(super) fn end(&mut self, begun: PendingChange, outcome: Outcome, violations: &Violations) {
        let PendingChange { change, fields, file, intent } = begun;
        if outcome == Outcome::InDoubt {
            return;
        }
        let done = matches!(outcome, Outcome::Done(_));
        let not_found = matches!(outcome, Outcome::Refused { not_found: true });
        let id =
            match change {
                Change::Create { spec, fields } => {
                    self.creating.remove(&fields.name);
                    match outcome {
                        Outcome::Done(Some(id)) => self.given(id, spec, fields, violations),
                        Outcome::Done(None) => violations
                            .add(ViolationKind::Answer, format!("{:?} was created without an id", fields.name)),
                        _ => violations
                            .add(ViolationKind::Answer, format!("the creation of {:?} was refused", fields.name)),
                    }
                    return;
                }
                Change::Delete { id } => {
                    if done {
                        self.forget(id);
                    } else if not_found && self.videos.get(&id).is_some_and(|v| v.deletion == Deletion::Requested(1)) {
                        violations.add(ViolationKind::Lost, format!("video {id} was gone before it was deleted"));
                    } else if let Some(video) = self.videos.get_mut(&id) {
                        settle_one(&mut video.intent, intent, false);
                    }
                    return;
                }
                Change::Write { id, .. }
                | Change::Upload { id, .. }
                | Change::DeleteFile { id }
                | Change::Process { id }
                | Change::Stop { id } => id,
            };
        // Deleted meanwhile.
        let Some(video) = self.videos.get_mut(&id) else { return };
        if not_found && video.deletion == Deletion::NotRequested {
            violations.add(ViolationKind::Lost, format!("video {id} is not found"));
        }
        settle_one(&mut video.fields, fields, done);
        settle_one(&mut video.file, file, done);
        settle_one(&mut video.intent, intent, done);
    }

    /// Adds a created video, whose id is known from the response or from a later list.
    fn given(&mut self, id: u64, spec: VideoSpec, fields: Fields, violations: &Violations) {
        if !self.ids.insert(id) {
            violations.add(ViolationKind::IdAgain, format!("{id} was given again, to {:?}", fields.name));
        }
        let video = Video {
            spec,
            fields: Register::new(fields),
            file: Register::new(None),
            intent: Register::new(Intent::Idle),
            deletion: Deletion::NotRequested,
        };
        self.videos.insert(id, video);
    }

    fn forget(&mut self, id: u64) {
        if self.videos.remove(&id).is_some() {
            self.deleted.push(id);
        }
    }

    /// Compares the model with the list of all videos after a kill. `file` reads the stored source
    /// of a video. No request may be in progress.
    pub(super) fn observe(
        &mut self,
        listed: &[ListedVideo],
        file: impl Fn(u64) -> Option<File>,
        violations: &Violations,
    ) {
        let there: HashMap<u64, &ListedVideo> = listed.iter().map(|video| (video.id, video)).collect();
        for video in listed {
            if self.videos.contains_key(&video.id) {
                continue;
            }
            let name = video.name.clone().unwrap_or_default();
            match self.creating.remove(&name) {
                Some((spec, fields)) => self.given(video.id, spec, fields, violations),
                None if self.ids.contains(&video.id) => {
                    violations.add(ViolationKind::Lost, format!("video {} was deleted and is back", video.id))
                }
                None => violations
                    .add(ViolationKind::Lost, format!("video {} ({name:?}) was not created by any request", video.id)),
            }
        }
        // The other creations in doubt had no effect.
        self.creating.clear();

        let known: Vec<u64> = self.videos.keys().copied().collect();
        for id in known {
            let Some(video) = self.videos.get_mut(&id) else { continue };
            let Some(listed) = there.get(&id) else {
                if video.deletion == Deletion::NotRequested {
                    violations.add(ViolationKind::Lost, format!("video {id} is missing"));
                }
                self.forget(id);
                continue;
            };
            video.deletion = Deletion::NotRequested;
            video.compare(listed, file(id), violations);
        }
    }

    /// Ids of the videos that may exist, in order.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.videos.keys().copied().collect()
    }

    /// Id of a random video among the last hundred whose deletion was acknowledged.
    pub(super) fn a_deleted_one(&self, random: &mut fastrand::Rng) -> Option<u64> {
        let last = self.deleted.len().saturating_sub(100);
        random.choice(self.deleted.get(last..).unwrap_or_default()).copied()
    }

    pub(super) fn spec(&self, id: u64) -> Option<&VideoSpec> {
        self.videos.get(&id).map(|video| &video.spec)
    }

    /// Whether no request asked for its deletion.
    pub(super) fn must_be_there(&self, id: u64) -> bool {
        self.videos.get(&id).is_some_and(|video| video.deletion == Deletion::NotRequested)
    }

    /// All videos, after [`observe`](Self::observe).
    pub(super) fn settled(&self) -> impl Iterator<Item = Settled<'_>> {
        self.videos.iter().map(|(id, video)| Settled {
            id: *id,
            spec: &video.spec,
            job: video.intent.possible().all(|intent| matches!(intent, Intent::Job { sourceless: false })),
        })
    }
}

/// Joins values that are all possible, for a message.
fn either<T: ToString>(values: impl Iterator<Item = T>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(" or ")
}

fn settle_one<T: PartialEq>(register: &mut Register<T>, write: Option<WriteId>, done: bool) {
    match write {
        Some(write) if done => register.acknowledge(write),
        Some(write) => register.refuse(write),
        None => {}
    }
}

impl Video {
    /// Compares with the listed video, and settles the changes in doubt.
    fn compare(&mut self, listed: &ListedVideo, file: Option<File>, violations: &Violations) {
        let id = listed.id;
        let fields = listed.fields();
        if !self.fields.may_be(&fields) {
            let expected = either(self.fields.possible());
            violations.add(ViolationKind::Lost, format!("video {id} has {fields}, not {expected}"));
        }
        self.fields.settle(fields);

        if !self.file.may_be(&file) {
            let bytes = |file: &Option<File>| file.map_or("no file".into(), |file| format!("{} bytes", file.bytes));
            let expected = either(self.file.possible().map(bytes));
            let stored = bytes(&file);
            violations.add(ViolationKind::Lost, format!("the file of video {id} is wrong: {stored}, not {expected}"));
        }
        let stored = file.map_or(0, |file| file.bytes);
        if listed.file_size != stored {
            violations.add(
                ViolationKind::Lost,
                format!("file_size of video {id} is {}, and its file has {stored} bytes", listed.file_size),
            );
        }
        self.file.settle(file);

        let (status, enabled) = (listed.status(), listed.is_enabled());
        let agrees = |intent: &Intent| match intent {
            Intent::Idle => !enabled,
            Intent::Job { sourceless } => enabled || listed.finished || (*sourceless && status == "NO_SOURCE"),
        };
        if !self.intent.possible().any(agrees) {
            let intents = either(self.intent.possible());
            violations.add(
                ViolationKind::Lost,
                format!("video {id} is {status}, finished: {}, where users wanted {intents}", listed.finished),
            );
        }
        let sourceless = self.intent.possible().all(|intent| matches!(intent, Intent::Job { sourceless: true }));
        let certain = self.intent.possible().all(|intent| matches!(intent, Intent::Job { .. }));
        self.intent.settle(if enabled || (certain && listed.finished) {
            Intent::Job { sourceless }
        } else {
            Intent::Idle
        });
    }
}

#[cfg(test)]
mod tests;
