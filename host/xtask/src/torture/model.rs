//! Model of what the archive must hold, by what clients were answered.
//!
//! A client says what it is about to ask before it asks ([`Model::begin`]) and what was answered
//! afterwards ([`Model::end`]). Where there was no answer the request stays in doubt: it may have
//! had its effect or not. When the server was killed and nothing is under way any more,
//! [`Model::observe`] compares with what is there, and settles what was in doubt.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::register::{Register, Ticket};
use crate::attack::{FaultKind, Faults};

/// What a user writes with one request, so that half of it would be seen. `name` is never used
/// twice.
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

/// What a user last wanted of a video's job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// None; or that it ends.
    Idle,
    /// That there is one. `sourceless`: the video may have had no file then.
    Job { sourceless: bool },
}

/// Which recording it is processed with, and where its objects go; never changed.
#[derive(Clone, Debug)]
pub(super) struct Nature {
    /// Its place in the list of recordings.
    pub(super) recording: usize,
    pub(super) router_url: Option<String>,
    /// As `stream_settings.detectors` has it.
    pub(super) detectors: Value,
}

impl Nature {
    /// The body of `POST /videos/` and `PUT /videos/N/`.
    pub(super) fn body(&self, fields: &Fields) -> Value {
        let settings = json!({"router_timeout_ms": fields.timeout_ms, "detectors": self.detectors});
        json!({"camera_group": 1, "name": fields.name, "case": fields.case, "router_url": self.router_url, "stream_settings": settings})
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletion {
    NotAsked,
    /// How often, with no success yet.
    Asked(u32),
}

struct Video {
    nature: Nature,
    fields: Register<Fields>,
    file: Register<Option<File>>,
    wish: Register<Wish>,
    deletion: Deletion,
}

/// A request that changes something.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create { nature: Nature, fields: Fields },
    Write { id: u64, fields: Fields },
    Upload { id: u64, file: File },
    DeleteFile { id: u64 },
    Process { id: u64 },
    Stop { id: u64 },
    Delete { id: u64 },
}

/// A change under way.
pub(super) struct Begun {
    change: Change,
    fields: Option<Ticket>,
    file: Option<Ticket>,
    wish: Option<Ticket>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Success; of a creation with the id.
    Done(Option<u64>),
    /// Answered, without an effect.
    Refused {
        not_found: bool,
    },
    InDoubt,
}

/// What matters of a video as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shown {
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

impl Shown {
    pub(super) fn status(&self) -> &str {
        &self.health_status.status
    }

    /// A job is under way or waits.
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

/// What is at the end of all: who it is, and what is certain of it.
pub(super) struct Settled<'a> {
    pub(super) id: u64,
    pub(super) nature: &'a Nature,
    /// A job was asked for and not called off.
    pub(super) job: bool,
}

#[derive(Default)]
pub(super) struct Model {
    videos: BTreeMap<u64, Video>,
    /// Creations without an answer, by name.
    creating: HashMap<String, (Nature, Fields)>,
    /// All ids that were ever given.
    ids: HashSet<u64>,
    deleted: Vec<u64>,
}

impl Model {
    pub(super) fn begin(&mut self, change: Change) -> Begun {
        let mut begun = Begun { change, fields: None, file: None, wish: None };
        match &begun.change {
            Change::Create { nature, fields } => {
                self.creating.insert(fields.name.clone(), (nature.clone(), fields.clone()));
            }
            Change::Write { id, fields } => {
                begun.fields = self.videos.get_mut(id).map(|v| v.fields.begin(fields.clone()))
            }
            Change::Upload { id, file } => {
                if let Some(video) = self.videos.get_mut(id) {
                    begun.file = Some(video.file.begin(Some(*file)));
                    // A video with a new file has no job any more.
                    begun.wish = Some(video.wish.begin(Wish::Idle));
                }
            }
            Change::DeleteFile { id } => {
                if let Some(video) = self.videos.get_mut(id) {
                    begun.file = Some(video.file.begin(None));
                    begun.wish = Some(video.wish.begin(Wish::Idle));
                }
            }
            Change::Process { id } => {
                if let Some(video) = self.videos.get_mut(id) {
                    let sourceless = video.file.may_be(&None);
                    begun.wish = Some(video.wish.begin(Wish::Job { sourceless }));
                }
            }
            Change::Stop { id } => begun.wish = self.videos.get_mut(id).map(|v| v.wish.begin(Wish::Idle)),
            Change::Delete { id } => {
                if let Some(video) = self.videos.get_mut(id) {
                    video.deletion = match video.deletion {
                        Deletion::NotAsked => Deletion::Asked(1),
                        Deletion::Asked(times) => Deletion::Asked(times + 1),
                    };
                    // Its job is ended first: a kill may come between the two.
                    begun.wish = Some(video.wish.begin(Wish::Idle));
                }
            }
        }
        begun
    }

    pub(super) fn end(&mut self, begun: Begun, outcome: Outcome, faults: &Faults) {
        let Begun { change, fields, file, wish } = begun;
        if outcome == Outcome::InDoubt {
            return;
        }
        let done = matches!(outcome, Outcome::Done(_));
        let not_found = matches!(outcome, Outcome::Refused { not_found: true });
        let id = match change {
            Change::Create { nature, fields } => {
                self.creating.remove(&fields.name);
                match outcome {
                    Outcome::Done(Some(id)) => self.given(id, nature, fields, faults),
                    Outcome::Done(None) => {
                        faults.add(FaultKind::Answer, format!("{:?} was created without an id", fields.name))
                    }
                    _ => faults.add(FaultKind::Answer, format!("the creation of {:?} was refused", fields.name)),
                }
                return;
            }
            Change::Delete { id } => {
                if done {
                    self.forget(id);
                } else if not_found && self.videos.get(&id).is_some_and(|v| v.deletion == Deletion::Asked(1)) {
                    faults.add(FaultKind::Lost, format!("video {id} was gone before it was deleted"));
                } else if let Some(video) = self.videos.get_mut(&id) {
                    settle_one(&mut video.wish, wish, false);
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
        if not_found && video.deletion == Deletion::NotAsked {
            faults.add(FaultKind::Lost, format!("video {id} is not found"));
        }
        settle_one(&mut video.fields, fields, done);
        settle_one(&mut video.file, file, done);
        settle_one(&mut video.wish, wish, done);
    }

    /// An id that a creation was answered with, or that such a one without an answer turns out to
    /// have had.
    fn given(&mut self, id: u64, nature: Nature, fields: Fields, faults: &Faults) {
        if !self.ids.insert(id) {
            faults.add(FaultKind::IdAgain, format!("{id} was given again, to {:?}", fields.name));
        }
        let video = Video {
            nature,
            fields: Register::new(fields),
            file: Register::new(None),
            wish: Register::new(Wish::Idle),
            deletion: Deletion::NotAsked,
        };
        self.videos.insert(id, video);
    }

    fn forget(&mut self, id: u64) {
        if self.videos.remove(&id).is_some() {
            self.deleted.push(id);
        }
    }

    /// Compares with all that is there after a kill; `file` reads what is stored of a video.
    /// Nothing may be under way.
    pub(super) fn observe(&mut self, shown: &[Shown], file: impl Fn(u64) -> Option<File>, faults: &Faults) {
        let there: HashMap<u64, &Shown> = shown.iter().map(|video| (video.id, video)).collect();
        for video in shown {
            if self.videos.contains_key(&video.id) {
                continue;
            }
            let name = video.name.clone().unwrap_or_default();
            match self.creating.remove(&name) {
                Some((nature, fields)) => self.given(video.id, nature, fields, faults),
                None if self.ids.contains(&video.id) => {
                    faults.add(FaultKind::Lost, format!("video {} was deleted and is back", video.id))
                }
                None => faults.add(FaultKind::Lost, format!("video {} ({name:?}) was made by nobody", video.id)),
            }
        }
        // Nobody saw the others: they were not made.
        self.creating.clear();

        let known: Vec<u64> = self.videos.keys().copied().collect();
        for id in known {
            let Some(video) = self.videos.get_mut(&id) else { continue };
            let Some(shown) = there.get(&id) else {
                if video.deletion == Deletion::NotAsked {
                    faults.add(FaultKind::Lost, format!("video {id} is not there any more"));
                }
                self.forget(id);
                continue;
            };
            video.deletion = Deletion::NotAsked;
            video.compare(shown, file(id), faults);
        }
    }

    /// Ids of videos that are there as far as anyone knows, in order.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.videos.keys().copied().collect()
    }

    /// Of a video that was deleted for sure; among the last ones.
    pub(super) fn a_deleted_one(&self, random: &mut fastrand::Rng) -> Option<u64> {
        let last = self.deleted.len().saturating_sub(100);
        random.choice(self.deleted.get(last..).unwrap_or_default()).copied()
    }

    pub(super) fn nature(&self, id: u64) -> Option<&Nature> {
        self.videos.get(&id).map(|video| &video.nature)
    }

    /// Nobody asked for its deletion.
    pub(super) fn must_be_there(&self, id: u64) -> bool {
        self.videos.get(&id).is_some_and(|video| video.deletion == Deletion::NotAsked)
    }

    /// All videos, after [`observe`](Self::observe).
    pub(super) fn settled(&self) -> impl Iterator<Item = Settled<'_>> {
        self.videos.iter().map(|(id, video)| Settled {
            id: *id,
            nature: &video.nature,
            job: video.wish.possible().all(|wish| matches!(wish, Wish::Job { sourceless: false })),
        })
    }
}

fn settle_one<T: PartialEq>(register: &mut Register<T>, ticket: Option<Ticket>, done: bool) {
    match ticket {
        Some(ticket) if done => register.acknowledge(ticket),
        Some(ticket) => register.refuse(ticket),
        None => {}
    }
}

impl Video {
    /// With what is there; what was in doubt is settled.
    fn compare(&mut self, shown: &Shown, file: Option<File>, faults: &Faults) {
        let id = shown.id;
        let fields = shown.fields();
        if !self.fields.may_be(&fields) {
            let expected: Vec<_> = self.fields.possible().collect();
            faults.add(FaultKind::Lost, format!("video {id} has {fields:?}, not {expected:?}"));
        }
        self.fields.settle(fields);

        if !self.file.may_be(&file) {
            let (is, expected) =
                (file.map(|f| f.bytes), self.file.possible().map(|f| f.map(|f| f.bytes)).collect::<Vec<_>>());
            faults.add(FaultKind::Lost, format!("the file of video {id} is another (bytes: {is:?}, not {expected:?})"));
        }
        let stored = file.map_or(0, |file| file.bytes);
        if shown.file_size != stored {
            faults.add(
                FaultKind::Lost,
                format!("video {id} is said to have a file of {} bytes, and has {stored}", shown.file_size),
            );
        }
        self.file.settle(file);

        let (status, enabled) = (shown.status(), shown.is_enabled());
        let agrees = |wish: &Wish| match wish {
            Wish::Idle => !enabled,
            Wish::Job { sourceless } => enabled || shown.finished || (*sourceless && status == "NO_SOURCE"),
        };
        if !self.wish.possible().any(agrees) {
            let wishes: Vec<_> = self.wish.possible().collect();
            faults.add(
                FaultKind::Lost,
                format!("video {id} is {status}, finished: {}, where users wanted {wishes:?}", shown.finished),
            );
        }
        let sourceless = self.wish.possible().all(|wish| matches!(wish, Wish::Job { sourceless: true }));
        let certain = self.wish.possible().all(|wish| matches!(wish, Wish::Job { .. }));
        self.wish.settle(if enabled || (certain && shown.finished) { Wish::Job { sourceless } } else { Wish::Idle });
    }
}

#[cfg(test)]
mod tests;
