//! Backup of a data folder into another folder, while a server works in it.
//!
//! The copy is a data folder: `ocellus serve` and `ocellus check` accept it as it is. It holds the
//! archive, tokens, installed plugins and the configuration; the index and caches, which can be
//! rebuilt, are left out.
//!
//! Guarantees, for each video by itself: the copy is a state that a crash could have left. A video
//! is copied into a staging folder, in which unchanged files are hard links to the earlier copy.
//! The folder replaces the earlier copy if the record has not changed meanwhile; otherwise the
//! video is copied again. Growing logs are copied in an order in which none is ahead of one that it
//! depends on. A file counts as unchanged if its length and modification time are those of its
//! copy. An interrupted run leaves each video as it was last copied, and the next run completes it.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use ocellus_core::{Timestamp, VideoId};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{decode_file, encode_file},
    disk::{Disk, is_same_file},
    error::{At, Result, StoreError},
    folder::Folder,
    format,
    job_files::{DELIVERIES, DETECTIONS, EMBEDDINGS, OBJECTS},
};

const RECORD: &str = "video.json";
/// Marks a folder as a backup; written at the beginning of each run, and at its end.
const MARK: &str = "backup.json";
/// Entries of the data folder that are copied, beside the archive.
const ENTRIES: [&str; 9] = [
    "admin.token",
    "tokens.json",
    "url.key",
    "audit.log",
    "audit.log.1",
    "imports.json",
    "ocellus.toml",
    "plugins",
    "format.json",
];
/// Attempts to copy a video that keeps changing, and the wait between them.
const ATTEMPTS: u32 = 40;
const WAIT: Duration = Duration::from_millis(50);

/// Counts of a backup run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    /// Videos in the copy.
    pub videos: u64,
    /// Files that were copied.
    pub copied_files: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that were there already.
    pub unchanged_files: u64,
    /// Videos that were removed from the copy, because they are no longer in the archive.
    pub removed_videos: u64,
    /// Videos that kept changing: the copy keeps its earlier state of them.
    pub busy_videos: Vec<VideoId>,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    /// Start of the last run.
    begun: Timestamp,
    /// Whether the last run finished.
    is_complete: bool,
}

/// Copies all changes in the data folder `data` since the last backup into `target`. `on_video` is
/// called with the number of finished videos, and of all.
///
/// # Errors
/// `Refused` where `target` holds anything other than a backup, or lies in the data folder; `Newer`
/// for an archive of a later release; `Io`, also where the disk is full.
pub fn backup(data: &Path, target: &Path, now: Timestamp, on_video: &mut dyn FnMut(u64, u64)) -> Result<BackupSummary> {
    let disk = Disk::default();
    format::of(data)?;
    prepare(&disk, data, target)?;
    let mark = |is_complete| disk.replace(&target.join(MARK), &encode_file(&Mark { begun: now, is_complete }));
    mark(false)?;
    let (from, to) = (Folder::new(data, disk.clone()), Folder::new(target, disk.clone()));
    disk.create_folders(to.archive())?;
    let mut copy = Copier { disk: &disk, summary: BackupSummary::default() };
    let ids = from.ids()?;
    for (done, id) in ids.iter().enumerate() {
        copy.video(&from, &to, *id)?;
        on_video(done as u64 + 1, ids.len() as u64);
    }
    copy.remove_deleted(&from, &to)?;
    // After the videos, so that it covers ids that were deleted meanwhile.
    copy.optional(&from.last_id_file(), &to.last_id_file())?;
    for name in ENTRIES {
        copy.optional(&data.join(name), &target.join(name))?;
    }
    let Copier { mut summary, .. } = copy;
    summary.videos = to.ids()?.len() as u64;
    disk.sync_all();
    mark(true)?;
    disk.sync_folder(target)?;
    Ok(summary)
}

fn prepare(disk: &Disk, data: &Path, target: &Path) -> Result<()> {
    let refuse = |why: String| Err(StoreError::from(ocellus_core::Error::bad_param("target", why)));
    disk.create_folders(target)?;
    let (real, inside) = (target.canonicalize().at(target)?, data.canonicalize().at(data)?);
    if real.starts_with(&inside) || inside.starts_with(&real) {
        return refuse(format!("{} and the data folder lie in each other.", target.display()));
    }
    let mark = target.join(MARK);
    if mark.exists() {
        return decode_file::<Mark>(&mark, &fs::read(&mark).at(&mark)?).map(drop);
    }
    if fs::read_dir(target).at(target)?.next().is_some() {
        return refuse(format!("{} is not empty, and no backup is in it.", target.display()));
    }
    disk.restrict(target).map(drop)
}

struct Copier<'a> {
    disk: &'a Disk,
    summary: BackupSummary,
}

/// Outcome of copying a file or a video.
#[derive(PartialEq, Eq)]
enum Copied {
    Done,
    /// It changed or was removed while it was copied.
    Changed,
}

impl Copier<'_> {
    fn video(&mut self, from: &Folder, to: &Folder, id: VideoId) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                thread::sleep(WAIT);
            }
            let before = self.summary.clone();
            let copied = self.try_video(from, to, id)?;
            // The replaced earlier copy, or an unfinished one.
            self.disk.remove(&to.staging(id))?;
            if copied == Copied::Done {
                return Ok(());
            }
            self.summary = before;
        }
        self.summary.busy_videos.push(id);
        Ok(())
    }

    fn try_video(&mut self, from: &Folder, to: &Folder, id: VideoId) -> Result<Copied> {
        let (source, copy, staging) = (from.video(id), to.video(id), to.staging(id));
        if !source.is_dir() {
            return Ok(Copied::Done);
        }
        let record = read(&from.record(id))?;
        let is_settled = || Ok::<_, StoreError>(!from.next_source(id).exists() && read(&from.record(id))? == record);
        let (is_new, is_same_record) = (!copy.is_dir(), read(&to.record(id))? == record);
        if !is_new
            && is_same_record
            && let Some(files) = unchanged(&source, &copy)?
            && is_settled()?
        {
            self.summary.unchanged_files += files + u64::from(record.is_some());
            return Ok(Copied::Done);
        }
        self.disk.remove(&staging)?;
        if self.tree(&source, &staging, &copy)? == Copied::Changed || !is_settled()? {
            return Ok(Copied::Changed);
        }
        if let Some(record) = &record {
            // The record that was compared, even if it has changed since.
            self.disk.replace(&staging.join(RECORD), record)?;
            if is_same_record {
                self.summary.unchanged_files += 1;
            } else {
                self.summary.copied_files += 1;
                self.summary.copied_bytes += record.len() as u64;
            }
        }
        if is_new {
            self.disk.create_folders(&to.shard(id))?;
            self.disk.rename(&staging, &copy)?;
        } else {
            self.disk.exchange(&staging, &copy, &staging.with_extension("earlier"))?;
        }
        Ok(Copied::Done)
    }

    /// Copies a folder to `target`; files that are unchanged in `earlier`, an earlier copy, are
    /// hard-linked.
    fn tree(&mut self, source: &Path, target: &Path, earlier: &Path) -> Result<Copied> {
        self.disk.create_folders(target)?;
        for path in list(source)? {
            let name = name_of(&path);
            if is_left_out(&name) {
                continue;
            }
            let (target, earlier) = (target.join(&name), earlier.join(&name));
            let copied =
                if path.is_dir() { self.tree(&path, &target, &earlier)? } else { self.file(&path, &target, &earlier)? };
            if copied == Copied::Changed {
                return Ok(Copied::Changed);
            }
        }
        Ok(Copied::Done)
    }

    fn file(&mut self, source: &Path, target: &Path, earlier: &Path) -> Result<Copied> {
        match self.disk.copy_changed(source, target, earlier) {
            Ok(None) => self.summary.unchanged_files += 1,
            Ok(Some(bytes)) => {
                self.summary.copied_files += 1;
                self.summary.copied_bytes += bytes;
            }
            Err(StoreError::Io { path, source: error }) if error.kind() == ErrorKind::NotFound && path == source => {
                return Ok(Copied::Changed);
            }
            Err(error) => return Err(error),
        }
        Ok(Copied::Done)
    }

    /// Copies a file or a folder that may be missing.
    fn optional(&mut self, source: &Path, target: &Path) -> Result<()> {
        if source.is_dir() {
            self.tree(source, target, target)?;
            return self.prune(source, target);
        }
        if self.file(source, target, target)? == Copied::Changed {
            self.disk.remove(target)?;
        }
        Ok(())
    }

    /// Removes entries of a copied folder that the original no longer has.
    fn prune(&self, source: &Path, target: &Path) -> Result<()> {
        for path in list(target)? {
            let original = source.join(name_of(&path));
            if !original.exists() {
                self.disk.remove(&path)?;
            } else if path.is_dir() && original.is_dir() {
                self.prune(&original, &path)?;
            }
        }
        Ok(())
    }

    fn remove_deleted(&mut self, from: &Folder, to: &Folder) -> Result<()> {
        let there: BTreeSet<_> = from.ids()?.into_iter().collect();
        for id in to.ids()?.into_iter().filter(|id| !there.contains(id)) {
            self.disk.rename(&to.video(id), &to.trash(id))?;
            self.disk.remove(&to.trash(id))?;
            self.summary.removed_videos += 1;
        }
        Ok(())
    }
}

/// The number of files in a folder, without those that are left out, if its copy has exactly the
/// same; otherwise `None`.
fn unchanged(source: &Path, copy: &Path) -> Result<Option<u64>> {
    let mut originals = list(source)?;
    originals.retain(|path| !is_left_out(&name_of(path)));
    let mut copies = list(copy)?;
    copies.retain(|path| name_of(path) != RECORD);
    if !originals.iter().map(|path| name_of(path)).eq(copies.iter().map(|path| name_of(path))) {
        return Ok(None);
    }
    let mut files = 0;
    for (original, copy) in originals.iter().zip(&copies) {
        if original.is_dir() {
            let Some(inside) = unchanged(original, copy)? else { return Ok(None) };
            files += inside;
        } else if is_same_file(original, copy) {
            files += 1;
        } else {
            return Ok(None);
        }
    }
    Ok(Some(files))
}

/// The bytes of a file; `None` where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

/// The entries of a folder, in the order in which they are to be copied; none where it is gone.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at(folder)?,
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().at(folder)?;
    paths.sort_by_key(|path| (rank(&name_of(path)), path.clone()));
    Ok(paths)
}

/// Rank of an entry in the order of copying: a log comes before those that it refers to, which are
/// written before it. Deliveries refer to objects; objects refer to embeddings, detections and
/// pictures.
fn rank(name: &str) -> u8 {
    match name {
        DELIVERIES => 0,
        OBJECTS => 1,
        EMBEDDINGS => 2,
        DETECTIONS => 4,
        "pictures" => 5,
        _ => 3,
    }
}

/// Whether a file is not copied with its folder: a leftover of an interrupted write, which the next
/// start removes, or the record, which is copied separately.
fn is_left_out(name: &str) -> bool {
    name == RECORD || name.starts_with("source.part-") || name.ends_with(".part")
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
