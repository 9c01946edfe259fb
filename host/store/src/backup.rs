//! Backup of a data folder into another folder, while a server works in it.
//!
//! The copy is a data folder: `ocellus serve` and `ocellus check` take it as it is. It holds the
//! archive, tokens, installed plugins and the configuration; the index and caches, which are made
//! anew, are left out.
//!
//! Guarantees, for each video by itself: the copy is a state that a crash could have left. Records
//! are compared before and after the files are copied, and the video is copied again where its
//! record changed meanwhile; logs that grow are copied in an order in which none is ahead of the one
//! that it depends on. A file whose length and time of change are those of its copy is not copied
//! again. A run that breaks off leaves the copy as a crash would, and the next run completes it.

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
    disk::Disk,
    error::{At, Result, StoreError},
    folder::Folder,
    format,
    job_files::{DELIVERIES, DETECTIONS, EMBEDDINGS, OBJECTS},
};

/// Says that a folder is a backup; written at the beginning of each run, and at its end.
const MARK: &str = "backup.json";
/// Entries of the data folder that are copied, beside the archive.
const ENTRIES: [&str; 8] = [
    "admin.token",
    "tokens.json",
    "audit.log",
    "audit.log.1",
    "imports.json",
    "ocellus.toml",
    "plugins",
    "format.json",
];
/// Attempts with a video that changes again and again, and the wait between them.
const ATTEMPTS: u32 = 40;
const WAIT: Duration = Duration::from_millis(50);

/// What a backup did.
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
    /// Videos that were removed from the copy, since they are in the archive no more.
    pub removed_videos: u64,
    /// Videos that changed all the time: the copy has them as before.
    pub busy_videos: Vec<VideoId>,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    /// Begin of the last run.
    begun: Timestamp,
    /// It came to its end.
    is_complete: bool,
}

/// Copies what changed in the data folder `data` since the last backup into `target`. `on_video` is
/// called with the number of videos that are done, and of all.
///
/// # Errors
/// `Refused` where `target` holds something else than a backup, or lies in the data folder; `Newer`
/// for an archive of a later release; `Io`, also of a full disk.
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
    // After the videos: ids that were deleted meanwhile are in it.
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

/// What became of a file or a video.
#[derive(PartialEq, Eq)]
enum Copied {
    Done,
    /// It changed or went while it was copied.
    Changed,
}

impl Copier<'_> {
    fn video(&mut self, from: &Folder, to: &Folder, id: VideoId) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                thread::sleep(WAIT);
            }
            if self.try_video(from, to, id)? == Copied::Done {
                return Ok(());
            }
        }
        self.summary.busy_videos.push(id);
        Ok(())
    }

    fn try_video(&mut self, from: &Folder, to: &Folder, id: VideoId) -> Result<Copied> {
        let (source, record) = (from.video(id), from.record(id));
        let Some(before) = read(&record)? else {
            // Deleted, or damaged: what there is of it is copied.
            return if source.is_dir() { self.tree(&source, &to.video(id)) } else { Ok(Copied::Done) };
        };
        let is_new = !to.video(id).exists();
        let target = if is_new { to.staging(id) } else { to.video(id) };
        self.disk.create_folders(&target)?;
        let is_pending = || from.next_source(id).exists();
        if is_pending() || self.files(&source, &target)? == Copied::Changed {
            return Ok(Copied::Changed);
        }
        if is_pending() || read(&record)?.as_ref() != Some(&before) {
            return Ok(Copied::Changed);
        }
        // What was compared, whatever is there by now.
        let copy = target.join("video.json");
        if read(&copy)?.as_ref() == Some(&before) {
            self.summary.unchanged_files += 1;
        } else {
            self.disk.replace(&copy, &before)?;
            self.summary.copied_files += 1;
            self.summary.copied_bytes += before.len() as u64;
        }
        if is_new {
            self.disk.create_folders(&to.shard(id))?;
            self.disk.rename(&target, &to.video(id))?;
        }
        // Listed before the record is compared: what a later job removed is still part of this copy.
        let mut stale = Vec::new();
        Self::stale(&source, &to.video(id), &mut stale)?;
        if read(&record)?.as_ref() == Some(&before) {
            stale.iter().try_for_each(|path| self.disk.remove(path))?;
        }
        Ok(Copied::Done)
    }

    /// Copies all of a video's folder but its record.
    fn files(&mut self, source: &Path, target: &Path) -> Result<Copied> {
        for path in list(source)? {
            let name = name_of(&path);
            if name == "video.json" || is_unfinished(&name) {
                continue;
            }
            if self.any(&path, &target.join(&name))? == Copied::Changed {
                return Ok(Copied::Changed);
            }
        }
        Ok(Copied::Done)
    }

    fn any(&mut self, source: &Path, target: &Path) -> Result<Copied> {
        if source.is_dir() { self.tree(source, target) } else { self.file(source, target) }
    }

    fn tree(&mut self, source: &Path, target: &Path) -> Result<Copied> {
        self.disk.create_folders(target)?;
        for path in list(source)? {
            let name = name_of(&path);
            if !is_unfinished(&name) && self.any(&path, &target.join(&name))? == Copied::Changed {
                return Ok(Copied::Changed);
            }
        }
        Ok(Copied::Done)
    }

    fn file(&mut self, source: &Path, target: &Path) -> Result<Copied> {
        match self.disk.copy_changed(source, target) {
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

    /// Copies a file or a folder that need not be there.
    fn optional(&mut self, source: &Path, target: &Path) -> Result<()> {
        if source.is_dir() {
            self.tree(source, target)?;
            return self.prune(source, target);
        }
        if self.file(source, target)? == Copied::Changed {
            self.disk.remove(target)?;
        }
        Ok(())
    }

    /// Removes what is in the copy of a folder and not in the folder.
    fn prune(&self, source: &Path, target: &Path) -> Result<()> {
        let mut stale = Vec::new();
        Self::stale(source, target, &mut stale)?;
        stale.iter().try_for_each(|path| self.disk.remove(path))
    }

    /// Lists what is in the copy of a folder and not in the folder.
    fn stale(source: &Path, target: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        for path in list(target)? {
            let original = source.join(name_of(&path));
            if !original.exists() {
                found.push(path);
            } else if path.is_dir() && original.is_dir() {
                Self::stale(&original, &path, found)?;
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

/// Deliveries are of objects; objects have embeddings, pictures, and detections that they come from.
/// Each is written after those behind it, and copied before them.
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

/// Whether a file is one that a crash would leave and the next start remove.
fn is_unfinished(name: &str) -> bool {
    name.starts_with("source.part-") || name.ends_with(".part")
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
