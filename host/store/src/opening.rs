//! Opening of an archive in a data folder.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ocellus_core::Clock;
use tracing::{error, info};

use crate::{
    closing::{self, Closing, Left},
    disk::{Backend, Disk},
    error::{At, Result, StoreError},
    folder::Folder,
    format,
    ids::Ids,
    index::Index,
    recovery,
    serving::Serving,
    shared::Shared,
};

/// A server that was just killed may hold its lock a moment longer.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What opening found.
#[derive(Clone, Debug)]
pub struct OpenReport {
    pub videos: u64,
    /// Why the index was rebuilt, if it was.
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

    let left = closing::left(data)?;
    closing::unmark(disk, data)?;
    let (path, is_new) = (data.join("index"), folder.ids()?.is_empty());
    let existed = path.exists();
    let (index, transient, rebuilt) = match trusted(&path, &left) {
        Ok(index) => (index, None, None),
        Err(Distrust { reason, keep }) => {
            if keep {
                set_aside(disk, &path)?
            } else {
                disk.remove(&path)?
            }
            let (index, transient) = build(&folder, &path)?;
            (index, transient, (existed || !is_new).then_some(reason))
        }
    };
    let ids = Ids::open(&folder, index.highest()?)?;
    let report = OpenReport { videos: index.len()?, index_rebuilt: rebuilt };
    let whole = transient.is_none() && !index.is_in_memory();
    let index = Serving::new(folder.clone(), path, index)?;
    if !whole {
        index.mark_dirty();
    }
    let closing = Closing::new(disk, data, index.dirty());
    Ok((Shared::new(folder, index, ids, clock, closing, lock), report))
}

/// An index of all folders, in memory where none can be written; and an error that may be over the
/// next time.
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
    let videos = index.len()?;
    info!(videos, duration_ms = begun.elapsed().as_millis() as u64, "index built from {videos} videos");
    Ok((index, transient))
}

/// Why an index is not to be trusted, and whether it is kept to be looked at.
struct Distrust {
    reason: String,
    keep: bool,
}

/// The index that there is, if it is to be trusted.
fn trusted(path: &Path, left: &Left) -> Result<Index, Distrust> {
    let no = |reason: &str, keep| Err(Distrust { reason: reason.into(), keep });
    match left {
        _ if !path.exists() => no("it was missing", false),
        Left::Open => no("it was not closed cleanly", false),
        Left::Changed(what) => no(what, true),
        Left::Whole => match Index::open(path).and_then(|index| Ok((index.is_current()?, index))) {
            Ok((true, index)) => Ok(index),
            Ok((false, _)) => no("it was made by another version", true),
            // Where there is no room, none is to be kept by what is of no use.
            Err(error) => no(&error.to_string(), !error.is_full()),
        },
    }
}

/// One process at a time.
pub(crate) fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(50))
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(data.to_path_buf())),
            Err(TryLockError::Error(e)) => return Err(e).at(path),
        }
    }
}

/// Sets an index aside under a name that is free.
pub(crate) fn set_aside(disk: &Disk, index: &Path) -> Result<()> {
    if !index.exists() {
        return Ok(());
    }
    let aside = (1..).map(|n| index.with_file_name(format!("index.broken-{n}"))).find(|p| !p.exists());
    aside.map_or(Ok(()), |aside| disk.rename(index, &aside))
}
