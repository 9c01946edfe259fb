//! From a data folder to an archive.

use std::{
    fs::{File, TryLockError},
    panic::catch_unwind,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ocellus_core::Clock;
use tracing::info;

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
    let (index, passing, rebuilt) = match trusted(&path, &left) {
        Ok(index) => (index, None, None),
        Err(reason) => {
            if matches!(left, Left::Open) {
                disk.remove(&path)?
            } else {
                set_aside(disk, &path)?
            }
            let begun = Instant::now();
            let index = Index::open(&path)?;
            let passing = recovery::rebuild(&folder, &index, true)?;
            info!(videos = index.len(), duration_ms = begun.elapsed().as_millis() as u64, "index built from {} videos", index.len());
            (index, passing, (existed || !is_new).then_some(reason))
        }
    };
    let ids = Ids::open(&folder, index.highest()?)?;
    let report = OpenReport { videos: index.len(), index_rebuilt: rebuilt };
    let index = Serving::new(folder.clone(), path, index)?;
    if passing.is_some() {
        index.doubt();
    }
    let closing = Closing::new(disk, data, index.doubtful());
    Ok((Shared::new(folder, index, ids, clock, closing, lock), report))
}

/// The index that there is, or why it is not to be trusted.
fn trusted(path: &Path, left: &Left) -> std::result::Result<Index, String> {
    match left {
        _ if !path.exists() => Err("it was missing".into()),
        Left::Open => Err("it was not closed in good order".into()),
        Left::Changed(what) => Err(what.clone()),
        // sled panics on some damage.
        Left::Whole => match catch_unwind(|| Index::open(path).and_then(|index| Ok((index.is_current()?, index)))) {
            Ok(Ok((true, index))) => Ok(index),
            Ok(Ok((false, _))) => Err("it was made by another version".into()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it cannot be read".into()),
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
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => std::thread::sleep(Duration::from_millis(50)),
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
