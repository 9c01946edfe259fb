//! Opening of an archive: locks its folder, repairs it, and opens or rebuilds its index.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ocellus_core::Clock;
use tracing::{error, info};

use crate::{
    clean_mark::{self, CleanMark, Shutdown},
    disk::{Backend, Disk},
    error::{At, Result, StoreError},
    failover::FailoverIndex,
    folder::Folder,
    format,
    ids::IdAllocator,
    index::Index,
    recovery,
    shared::Shared,
};

/// A server that was just killed may hold its lock a moment longer.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of opening an archive.
#[derive(Clone, Debug)]
pub struct OpenReport {
    /// How many videos the archive holds.
    pub videos: u64,
    /// Why the index was rebuilt; `None` where it was not, and for a new archive.
    pub index_rebuilt: Option<String>,
}

pub(crate) fn open(data: &Path, clock: Arc<dyn Clock>, backend: Arc<dyn Backend>) -> Result<(Shared, OpenReport)> {
    let lock = lock(data)?;
    let folder = Folder::new(data, Disk::new(backend));
    let disk = folder.disk();
    format::migrate(disk, data)?;
    if !folder.archive().is_dir() {
        disk.create_folders(folder.archive())?;
        disk.sync_folder(data)?;
    }
    folder.tidy()?;

    let shutdown = clean_mark::verify(data)?;
    clean_mark::unmark(disk, data)?;
    let (path, is_new) = (data.join("index"), folder.ids()?.is_empty());
    let existed = path.exists();
    let (index, transient, rebuilt) = match open_trusted(&path, &shutdown) {
        Ok(index) => (index, None, None),
        Err(Rejected { reason, keep }) => {
            if keep {
                set_aside(disk, &path)?
            } else {
                disk.remove(&path)?
            }
            let (index, transient) = build(&folder, &path)?;
            (index, transient, (existed || !is_new).then_some(reason))
        }
    };
    let ids = IdAllocator::open(&folder, index.videos.highest()?)?;
    let report = OpenReport { videos: index.videos.len()?, index_rebuilt: rebuilt };
    let complete = transient.is_none() && !index.is_in_memory();
    let index = FailoverIndex::new(folder.clone(), path, index)?;
    if !complete {
        index.mark_dirty();
    }
    let clean_mark = CleanMark::new(disk, data, index.dirty());
    Ok((Shared::new(folder, index, ids, clock, clean_mark, lock), report))
}

/// Builds an index of all folders, in memory where it cannot be written to the disk. Also returns
/// an error that may be gone at the next start, if there was one.
fn build(folder: &Folder, path: &Path) -> Result<(Index, Option<StoreError>)> {
    let begun = Instant::now();
    let built = Index::open(path).and_then(|index| {
        let transient = recovery::rebuild(folder, &index, true)?;
        Ok((index, transient))
    });
    let (index, transient) = match built {
        Err(error @ StoreError::Index(_)) => {
            error!("the index cannot be written; it is in memory until it can be: {error}");
            let index = Index::in_memory()?;
            let transient = recovery::rebuild(folder, &index, true)?;
            (index, transient)
        }
        built => built?,
    };
    let videos = index.videos.len()?;
    info!(videos, duration_ms = begun.elapsed().as_millis() as u64, "index built from {videos} videos");
    Ok((index, transient))
}

/// Why an existing index is not used, and whether it is set aside (`keep`) or removed.
struct Rejected {
    reason: String,
    keep: bool,
}

/// Opens the existing index, if it can be trusted.
fn open_trusted(path: &Path, shutdown: &Shutdown) -> Result<Index, Rejected> {
    let no = |reason: &str, keep| Err(Rejected { reason: reason.into(), keep });
    match shutdown {
        _ if !path.exists() => no("it was missing", false),
        Shutdown::Unclean => no("it was not closed cleanly", false),
        Shutdown::Changed(what) => no(what, true),
        Shutdown::Clean => match Index::open(path).and_then(|index| Ok((index.is_current()?, index))) {
            Ok((true, index)) => Ok(index),
            Ok((false, _)) => no("it was made by another version", true),
            // A full disk needs the space: the index is not kept.
            Err(error) => no(&error.to_string(), !error.is_full()),
        },
    }
}

/// Locks the data folder for this process.
///
/// # Errors
/// `InUse` where another process holds the lock.
pub(crate) fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(50))
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(data.to_path_buf())),
            Err(TryLockError::Error(e)) => return Err(e).at(path),
        }
    }
}

/// Renames an index to a free name.
pub(crate) fn set_aside(disk: &Disk, index: &Path) -> Result<()> {
    if !index.exists() {
        return Ok(());
    }
    let aside = (1..).map(|n| index.with_file_name(format!("index.broken-{n}"))).find(|p| !p.exists());
    aside.map_or(Ok(()), |aside| disk.rename(index, &aside))
}

#[cfg(test)]
mod tests {
    use ocellus_core::{SettingsSchema, SystemClock, VideoRecord, VideoStatus};
    use serde_json::json;

    use super::*;
    use crate::{Archive, check};

    #[test]
    fn an_index_of_another_version_is_rebuilt_from_the_folders() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
        let (archive, _) = open();
        let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
        let id = archive.create(|id, now| VideoRecord::new(id, 1, None, settings, now)).unwrap().id;
        archive.start_job(id, &json!({})).unwrap();
        let start = |video: &mut VideoRecord| {
            video.status = VideoStatus::InProgress;
            Ok(())
        };
        archive.update(id, start).unwrap();
        drop(archive);
        // A closed index of version 5, in which this tree had another name.
        let index = dir.path().join("index");
        let db = sled::open(&index).unwrap();
        db.insert("version", b"5").unwrap();
        db.drop_tree("in_progress").unwrap();
        db.open_tree("cut").unwrap().insert(id.0.to_be_bytes(), b"").unwrap();
        db.flush().unwrap();
        drop(db);
        clean_mark::mark(&Disk::default(), dir.path()).unwrap();

        let summary = check(dir.path(), false, &mut |finding| panic!("{finding}")).unwrap();
        assert!(summary.is_sound());
        let (archive, report) = open();
        assert_eq!(report.index_rebuilt.as_deref(), Some("it was made by another version"));
        assert_eq!((report.videos, archive.in_progress().unwrap()), (1, vec![id]));
        drop(archive);
        assert_eq!(open().1.index_rebuilt, None);
    }
}
