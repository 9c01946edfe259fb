//! Does the archive hold together? For `ocellus check`.

use std::{fmt, path::Path};

use ocellus_core::{JobId, ObjectRecord, VideoId};

use crate::{
    archive, durable,
    error::{Result, StoreError},
    folder::Folder,
    index::Index,
    job::{EMBEDDINGS, Picture, find_picture},
    log::{Kind, LogReader},
    stored::StoredJob,
};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A file cannot be read or does not say what it should.
    Damaged { video: VideoId, reason: String },
    /// A log ends in bytes that are no record: a crash cut it, and the next job to write there cuts them off.
    Torn { video: VideoId, file: String, bytes: u64 },
    /// A picture of an object is not there.
    NoPicture { video: VideoId, object: String },
    /// The record says that there is a source file of this size.
    NoSource { video: VideoId, bytes: u64 },
    /// The index says something else than the folder.
    Index { video: VideoId },
    /// There is no index, or it cannot be read.
    NoIndex { reason: String },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { video, reason } => write!(f, "video {video}: {reason}"),
            Self::Torn { video, file, bytes } => write!(f, "video {video}: {file} ends in {bytes} bytes that are no record"),
            Self::NoPicture { video, object } => write!(f, "video {video}: a picture of object {object} is missing"),
            Self::NoSource { video, bytes } => write!(f, "video {video}: the source file of {bytes} bytes is missing or of another size"),
            Self::Index { video } => write!(f, "video {video}: the index does not agree with the folder"),
            Self::NoIndex { reason } => write!(f, "the index cannot be used: {reason}"),
        }
    }
}

/// What was looked at, and what is still wrong.
#[derive(Clone, Debug, Default)]
pub struct CheckSummary {
    pub videos: u64,
    pub objects: u64,
    pub findings: u64,
    pub rebuilt: bool,
}

impl CheckSummary {
    pub fn is_sound(&self) -> bool {
        self.findings == 0
    }
}

impl fmt::Display for CheckSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} videos, {} objects: ", self.videos, self.objects)?;
        match self.findings {
            0 => f.write_str("all is well")?,
            n => write!(f, "{n} findings")?,
        }
        if self.rebuilt { f.write_str("; the index was rebuilt") } else { Ok(()) }
    }
}

/// Verifies the archive in `data` against itself; with `rebuild`, makes a new index first. Errs where it cannot look,
/// which includes a server at work there.
pub fn check(data: &Path, rebuild: bool, report: &mut dyn FnMut(Finding)) -> Result<CheckSummary> {
    let _lock = archive::lock(data)?;
    let folder = Folder::new(data);
    let (path, clean) = (data.join("index"), data.join("index.clean"));
    let mut summary = CheckSummary { rebuilt: rebuild, ..CheckSummary::default() };
    let mut find = |summary: &mut CheckSummary, finding| {
        summary.findings += 1;
        report(finding);
    };
    if rebuild {
        archive::set_aside(&path)?;
        let index = Index::open(&path)?;
        archive::rebuild(&folder, &index)?;
        index.flush()?;
        durable::replace(&clean, b"")?;
    }
    let index = if path.exists() {
        match std::panic::catch_unwind(|| Index::open(&path)) {
            Ok(Ok(index)) => Some(index),
            Ok(Err(error)) => {
                find(&mut summary, Finding::NoIndex { reason: error.to_string() });
                None
            }
            Err(_) => {
                find(&mut summary, Finding::NoIndex { reason: "it is damaged".into() });
                None
            }
        }
    } else {
        find(&mut summary, Finding::NoIndex { reason: "there is none; the next start makes one".into() });
        None
    };

    for video in folder.ids()? {
        summary.videos += 1;
        let record = match folder.read(video) {
            Ok(Some(record)) => record,
            Ok(None) => {
                find(&mut summary, Finding::Damaged { video, reason: "there is a folder and no record".into() });
                continue;
            }
            Err(error) => {
                find(&mut summary, Finding::Damaged { video, reason: error.to_string() });
                continue;
            }
        };
        if let Some(index) = &index
            && !index.agrees(&record)?
        {
            find(&mut summary, Finding::Index { video });
        }
        if let Some(bytes) = record.file_size
            && folder.source(video).metadata().map(|m| m.len()).ok() != Some(bytes)
        {
            find(&mut summary, Finding::NoSource { video, bytes });
        }
        let job = JobId { video, number: record.job };
        if let Err(error) = StoredJob::within(folder.clone(), video).and_then(|stored| stored.clusters()) {
            find(&mut summary, Finding::Damaged { video, reason: error.to_string() });
        }
        for (name, kind) in [
            ("detections.log", Kind::Detections),
            ("objects.log", Kind::Objects),
            ("deliveries.log", Kind::Deliveries),
            (EMBEDDINGS, Kind::Embeddings),
        ] {
            let result = read_log(&folder, job, name, kind, |payload| {
                if kind != Kind::Objects {
                    return Ok(());
                }
                summary.objects += 1;
                let object: ObjectRecord = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
                let whole = [Picture::Thumbnail, Picture::Fullframe].iter().all(|p| find_picture(&folder, &object.id, *p).is_some());
                if whole { Ok(()) } else { Err(object.id.to_string()) }
            });
            match result {
                Ok((torn, missing)) => {
                    if torn > 0 {
                        find(&mut summary, Finding::Torn { video, file: name.into(), bytes: torn });
                    }
                    for object in missing {
                        find(&mut summary, Finding::NoPicture { video, object });
                    }
                }
                Err(error) => find(&mut summary, Finding::Damaged { video, reason: error.to_string() }),
            }
        }
    }
    if let Some(index) = &index {
        for id in index.ids() {
            let video = id?;
            if !folder.video(video).exists() {
                find(&mut summary, Finding::Index { video });
            }
        }
    }
    Ok(summary)
}

/// Reads a log to its end: bytes behind its sound part, and what `each` found wrong.
fn read_log(
    folder: &Folder,
    job: JobId,
    name: &str,
    kind: Kind,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(u64, Vec<String>), StoreError> {
    let Some(mut log) = LogReader::open(&folder.job(job).join(name), kind)? else { return Ok((0, Vec::new())) };
    let mut wrong = Vec::new();
    while let Some(payload) = log.next_record()? {
        wrong.extend(each(&payload).err());
    }
    Ok((log.torn(), wrong))
}
