//! Does the archive hold together? For `ocellus check`.
//!
//! Every file is read to its end, what its checksum or its record says of it is compared with what
//! it holds, and the index is compared, entry by entry, with one that is made anew from the
//! folders. Nothing is changed but the index, where that is asked for.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ocellus_core::{JobId, ObjectRecord, ObjectType, VideoId, VideoRecord, VideoStatus};

use crate::{
    closing::{self, Left},
    codec::{FileDigest, decode, parse},
    delivery::Delivery,
    disk::Disk,
    error::{Result, StoreError},
    folder::Folder,
    format, ids,
    index::Index,
    job_seal,
    log::{Kind, LogReader, Unread},
    objects::{
        DETECTIONS, Embedding, LOGS, Picture, StoredObject, find_picture, pictures_folder, read_clusters, read_spec,
    },
    opening, recovery,
};

/// Something that is not as it should be. Files are named from the data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A file does not hold what was written.
    Damaged {
        file: PathBuf,
        reason: String,
    },
    Missing {
        file: PathBuf,
    },
    /// A log ends in bytes that are no record; the next job to write there cuts them off.
    Torn {
        file: PathBuf,
        bytes: u64,
    },
    /// Two places say different things of a video.
    Disagreement {
        video: VideoId,
        reason: String,
    },
    /// A damaged file as it was when it was set aside. What could be read of it is where it should
    /// be; remove it once that will do.
    SetAside {
        file: PathBuf,
    },
    /// The index does not say what the folders do; `--rebuild` makes it anew, and so does the next
    /// start where it notices.
    Index {
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, reason } => write!(f, "{} is damaged: {reason}", file.display()),
            Self::Missing { file } => write!(f, "{} is missing", file.display()),
            Self::Torn { file, bytes } => write!(f, "{} ends in {bytes} bytes that are no record", file.display()),
            Self::Disagreement { video, reason } => write!(f, "video {video}: {reason}"),
            Self::SetAside { file } => {
                write!(f, "{} was damaged and set aside; remove it once it is of no more use", file.display())
            }
            Self::Index { reason } => write!(f, "the index: {reason}"),
        }
    }
}

/// What was looked at, and what is still wrong.
#[derive(Clone, Debug, Default)]
pub struct CheckSummary {
    pub videos: u64,
    pub objects: u64,
    /// Files that were read to their end, and compared where there is something to compare them
    /// with.
    pub files: u64,
    pub findings: u64,
    pub rebuilt: bool,
    /// The server was not shut down cleanly, so that the next start makes the index anew.
    pub after_crash: bool,
}

impl CheckSummary {
    pub fn is_sound(&self) -> bool {
        self.findings == 0
    }
}

impl fmt::Display for CheckSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} videos, {} objects, {} files: ", self.videos, self.objects, self.files)?;
        match self.findings {
            0 => f.write_str("all is well")?,
            1 => f.write_str("1 finding")?,
            n => write!(f, "{n} findings")?,
        }
        if self.rebuilt {
            f.write_str("; the index was rebuilt")?;
        }
        if self.after_crash {
            f.write_str("; the server was not shut down cleanly, and the next start makes the index anew")?;
        }
        Ok(())
    }
}

/// Verifies the archive in `data` against itself; with `rebuild`, makes a new index first. Errs
/// where it cannot look, which includes a server at work there and an archive of a later release.
pub fn check(data: &Path, rebuild: bool, report: &mut dyn FnMut(Finding)) -> Result<CheckSummary> {
    let _lock = opening::lock(data)?;
    let folder = Folder::new(data, Disk::default());
    let mut check = Check { data, folder: &folder, summary: CheckSummary::default(), report };
    match format::of(data) {
        Err(error @ StoreError::Damaged { .. }) => check.error(&data.join("format.json"), &error),
        found => {
            found?;
        }
    }
    if rebuild {
        let path = data.join("index");
        closing::unmark(folder.disk(), data)?;
        opening::set_aside(folder.disk(), &path)?;
        let index = Index::open(&path)?;
        if recovery::rebuild(&folder, &index, true)?.is_some() {
            // Some of it could not be read now: the next start makes another.
            index.flush()?;
        } else {
            close(index, &folder, data)?;
        }
        check.summary.rebuilt = true;
    }
    let left = closing::left(data)?;
    check.summary.after_crash = matches!(left, Left::Open);
    if let Err(error) = ids::read_mark(&folder) {
        check.error(&folder.last_id_file(), &error);
    }
    for video in folder.ids()? {
        check.video(video);
    }
    match left {
        Left::Open => {}
        Left::Changed(reason) => check.find(Finding::Index { reason }),
        Left::Whole => check.index()?,
    }
    Ok(check.summary)
}

/// Closes an index that is known to be whole.
fn close(index: Index, folder: &Folder, data: &Path) -> Result<()> {
    index.flush()?;
    drop(index);
    closing::mark(folder.disk(), data)
}

struct Check<'a> {
    data: &'a Path,
    folder: &'a Folder,
    summary: CheckSummary,
    report: &'a mut dyn FnMut(Finding),
}

impl Check<'_> {
    fn find(&mut self, finding: Finding) {
        self.summary.findings += 1;
        (self.report)(finding);
    }

    fn name(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.data).unwrap_or(path).to_path_buf()
    }

    fn damaged(&mut self, path: &Path, reason: impl ToString) {
        let file = self.name(path);
        self.find(Finding::Damaged { file, reason: reason.to_string() });
    }

    fn missing(&mut self, path: &Path) {
        let file = self.name(path);
        self.find(Finding::Missing { file });
    }

    fn error(&mut self, path: &Path, error: &StoreError) {
        match error {
            StoreError::Damaged { path, reason } => self.damaged(path, reason),
            StoreError::Io { path, source } if source.kind() == ErrorKind::NotFound => self.missing(path),
            other => self.damaged(path, other),
        }
    }

    fn disagree(&mut self, video: VideoId, reason: String) {
        self.find(Finding::Disagreement { video, reason });
    }

    fn video(&mut self, video: VideoId) {
        self.summary.videos += 1;
        self.set_aside(&self.folder.video(video));
        let path = self.folder.record(video);
        let record = match self.folder.read(video) {
            Ok(Some(record)) => record,
            // Deleted while we looked; nobody else is at work here.
            Ok(None) => return,
            Err(error) => return self.error(&path, &error),
        };
        self.summary.files += 1;
        self.source(&record);
        self.screenshot(video);
        if record.job > 0 {
            self.job(&record);
        }
    }

    fn source(&mut self, record: &VideoRecord) {
        let (path, next) = (self.folder.source(record.id), self.folder.next_source(record.id));
        if self.summary.after_crash && next.exists() {
            // The next start finishes what was going on.
            return;
        }
        if next.exists() {
            self.damaged(&next, "it is of an upload that came to no end");
        }
        let Some(bytes) = record.file_size else {
            if path.exists() && !self.summary.after_crash {
                self.disagree(record.id, "there is a source that its record does not know of".into());
            }
            return;
        };
        let expected = record.source_sha256.clone().map(|sha256| FileDigest { bytes, sha256 });
        self.file(&path, expected.as_ref(), bytes);
    }

    /// Reads a file that should hold this, or, where nobody wrote down what, have this length.
    fn file(&mut self, path: &Path, expected: Option<&FileDigest>, bytes: u64) {
        let found = match FileDigest::of_file(path) {
            Ok(found) => found,
            Err(error) => return self.error(path, &error),
        };
        self.summary.files += 1;
        if found.bytes != expected.map_or(bytes, |e| e.bytes) {
            self.damaged(path, format!("it has {} bytes, not {}", found.bytes, expected.map_or(bytes, |e| e.bytes)));
        } else if expected.is_some_and(|e| *e != found) {
            self.damaged(path, "it holds something else than was written");
        }
    }

    fn screenshot(&mut self, video: VideoId) {
        let path = self.folder.screenshot(video);
        match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => self.damaged(&path, e),
            Ok(bytes) => {
                self.summary.files += 1;
                if !(bytes.starts_with(b"\xff\xd8") && bytes.ends_with(b"\xff\xd9")) {
                    self.damaged(&path, "it is no whole JPEG");
                }
            }
        }
    }

    fn job(&mut self, record: &VideoRecord) {
        let job = JobId { video: record.id, number: record.job };
        let dir = self.folder.job(job);
        self.set_aside(&dir);
        let spec = read_spec(self.folder, job);
        if let Err(error) = &spec {
            self.error(&dir.join("plan.json"), error);
        }
        self.summary.files += 1;
        // A job that was just queued by release 0.1 may have none yet.
        let is_new = record.processing_start_date.is_none();
        for (name, kind) in LOGS {
            let path = dir.join(name);
            if !path.exists() {
                if !is_new {
                    self.missing(&path);
                }
                continue;
            }
            match kind {
                Kind::Objects => self.objects(record, &path),
                Kind::Deliveries => {
                    self.log(record, &path, kind, |payload| parse::<Delivery>(&path, payload).map(|_| ()))
                }
                _ => self.log(record, &path, kind, |payload| decode::<Embedding>(&path, payload).map(|_| ())),
            }
        }
        let detections = dir.join(DETECTIONS);
        if detections.exists() {
            self.log(record, &detections, Kind::Detections, |_| Ok(()));
        } else if record.statistic.as_ref().is_some_and(|s| s.frames_processed > 0) {
            self.missing(&detections);
        }
        self.clusters(record, job);
        self.seal(record, job);
    }

    /// Reads a log to its end.
    fn log(&mut self, record: &VideoRecord, path: &Path, kind: Kind, mut each: impl FnMut(&[u8]) -> Result<()>) {
        let read = || -> Result<Option<Unread>> {
            let Some(mut log) = LogReader::open(path, kind)? else { return Ok(None) };
            while let Some(payload) = log.next_record()? {
                each(&payload)?;
            }
            Ok(Some(log.unread()))
        }();
        self.summary.files += 1;
        match read {
            Err(error) => self.error(path, &error),
            Ok(None) => self.damaged(path, "its header is incomplete"),
            Ok(Some(Unread { damaged, torn })) => {
                if damaged > 0 {
                    self.damaged(path, format!("{damaged} bytes in it are no record"));
                }
                // What a crash cut off in the middle is nothing that anybody was told of: a job
                // that goes on does so behind it.
                let goes_on = record.status.is_enabled()
                    || (self.summary.after_crash && (!record.finished || kind == Kind::Deliveries));
                if torn > 0 && !goes_on {
                    let file = self.name(path);
                    self.find(Finding::Torn { file, bytes: torn });
                }
            }
        }
    }

    fn objects(&mut self, record: &VideoRecord, path: &Path) {
        let (mut objects, mut counts) = (Vec::new(), BTreeMap::<ObjectType, u64>::new());
        self.log(record, path, Kind::Objects, |payload| {
            objects.push(parse::<StoredObject>(path, payload)?);
            Ok(())
        });
        for StoredObject { record: object, pictures } in objects {
            self.summary.objects += 1;
            *counts.entry(object.id.object_type.clone()).or_default() += 1;
            self.pictures(&object, &pictures);
        }
        if record.status == VideoStatus::Completed && record.counts != counts {
            self.disagree(
                record.id,
                format!("its record counts {:?} objects, its log has {:?}", by_type(&record.counts), by_type(&counts)),
            );
        }
    }

    fn pictures(&mut self, object: &ObjectRecord, pictures: &BTreeMap<String, FileDigest>) {
        let folder = pictures_folder(self.folder, object.id.job);
        for (name, digest) in pictures {
            self.file(&folder.join(name), Some(digest), digest.bytes);
        }
        if !pictures.is_empty() {
            return;
        }
        // Release 0.1 did not write down which there are.
        for picture in [Picture::Thumbnail, Picture::Fullframe] {
            match find_picture(self.folder, &object.id, picture) {
                None => self.missing(&folder.join(format!("{}: its {picture:?}", object.id))),
                Some(file) => match fs::read(&file.path) {
                    Err(e) => self.damaged(&file.path, e),
                    Ok(bytes) => {
                        self.summary.files += 1;
                        if !(bytes.starts_with(b"\xff\xd8") || bytes.starts_with(b"\x89PNG")) {
                            self.damaged(&file.path, "it is no picture");
                        }
                    }
                },
            }
        }
    }

    fn clusters(&mut self, record: &VideoRecord, job: JobId) {
        let path = self.folder.job(job).join("clusters.json");
        match read_clusters(self.folder, job) {
            Err(error) => self.error(&path, &error),
            Ok(None) if record.clusters.is_empty() => {}
            Ok(None) => self.missing(&path),
            Ok(Some(clusters)) => {
                self.summary.files += 1;
                let mut counts = BTreeMap::<ObjectType, u64>::new();
                clusters.into_iter().for_each(|c| *counts.entry(c.id.object_type).or_default() += 1);
                if record.finished && counts != record.clusters {
                    let reason = format!(
                        "its record counts {:?} identities, clusters.json has {:?}",
                        by_type(&record.clusters),
                        by_type(&counts)
                    );
                    self.disagree(record.id, reason);
                }
            }
        }
    }

    fn seal(&mut self, record: &VideoRecord, job: JobId) {
        match job_seal::read(self.folder, job) {
            Err(error) => self.error(&self.folder.job(job).join(job_seal::NAME), &error),
            // Release 0.1 wrote none.
            Ok(None) if !record.finished || job_seal::is_older(self.folder, job) => {}
            Ok(None) => self.missing(&self.folder.job(job).join(job_seal::NAME)),
            Ok(Some(files)) => {
                self.summary.files += 1;
                for (name, digest) in files {
                    self.file(&self.folder.job(job).join(name), Some(&digest), digest.bytes);
                }
            }
        }
    }

    fn set_aside(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().contains(".damaged-")) {
            let file = self.name(&entry.path());
            self.find(Finding::SetAside { file });
        }
    }

    /// Compares the index with one that is made anew.
    fn index(&mut self) -> Result<()> {
        let path = self.data.join("index");
        if !path.exists() {
            self.find(Finding::Index { reason: "there is none; the next start makes one".into() });
            return Ok(());
        }
        // sled may write to its files, and this may be cut off.
        closing::unmark(self.folder.disk(), self.data)?;
        let index = match Index::open(&path) {
            Ok(index) => index,
            Err(error) => {
                self.find(Finding::Index { reason: error.to_string() });
                return Ok(());
            }
        };
        let beside = self.data.join("index.check");
        self.folder.disk().remove(&beside)?;
        let compared = (|| {
            let expected = Index::open(&beside)?;
            recovery::rebuild(self.folder, &expected, false)?;
            index.differences(&expected, &mut |reason| self.find(Finding::Index { reason }))
        })();
        self.folder.disk().remove(&beside)?;
        compared?;
        close(index, self.folder, self.data)
    }
}

fn by_type(counts: &BTreeMap<ObjectType, u64>) -> BTreeMap<&str, u64> {
    counts.iter().map(|(t, n)| (t.as_str(), *n)).collect()
}
