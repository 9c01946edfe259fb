//! Clean-shutdown mark of the index: `index.clean`, the length and CRC-32 of each of its files.
//!
//! Guarantees: an index is trusted only if no byte of it has changed since it was closed. sled
//! itself silently drops what it cannot read in truncated or changed files.
//!
//! A [`CleanMark`] writes the mark when it is dropped, unless a change did not reach the index.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tracing::error;

use crate::{
    codec::{decode_file, each_block, encode_file},
    disk::Disk,
    error::{At, Result},
};

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Keyed by paths relative to the folder of the index.
    files: BTreeMap<String, Sum>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    bytes: u64,
    crc32: u32,
}

/// Marks the index as clean when it is dropped; the index has to be closed by then.
pub(crate) struct CleanMark {
    disk: Disk,
    data: PathBuf,
    dirty: Arc<AtomicBool>,
}

impl CleanMark {
    /// `dirty`: set once a change did not reach the index; then no mark is written.
    pub(crate) fn new(disk: &Disk, data: &Path, dirty: Arc<AtomicBool>) -> Self {
        Self { disk: disk.clone(), data: data.to_path_buf(), dirty }
    }
}

impl Drop for CleanMark {
    fn drop(&mut self) {
        if self.dirty.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = mark(&self.disk, &self.data) {
            error!("the index could not be marked as clean, the next start rebuilds it: {error}");
        }
    }
}

/// How long sled may take to close its files.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes the mark of an index that was closed.
pub(crate) fn mark(disk: &Disk, data: &Path) -> Result<()> {
    let db = data.join("index/db");
    let file = File::open(&db).at(&db)?;
    let begun = Instant::now();
    // sled's threads hold its files for a moment after it was closed.
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::WouldBlock if begun.elapsed() < CLOSE_TIMEOUT => thread::sleep(Duration::from_millis(1)),
            TryLockError::WouldBlock => return Err(io::ErrorKind::ResourceBusy.into()).at(&db),
            TryLockError::Error(e) => return Err(e).at(&db),
        }
    }
    disk.replace(&mark_path(data), &encode_file(&sums(&data.join("index"))?))
}

/// Removes the mark, so that a crash leaves an index that is not trusted.
pub(crate) fn unmark(disk: &Disk, data: &Path) -> Result<()> {
    disk.remove(&mark_path(data))?;
    // Otherwise a power cut could bring the mark back over an index that has changed since.
    disk.sync_folder(data)
}

/// How an index was closed, according to its mark.
pub(crate) enum Shutdown {
    /// Every file is as it was when the index was closed.
    Clean,
    /// The index was not closed: the server crashed or was killed.
    Unclean,
    /// A file is not as it was when the index was closed.
    Changed(String),
}

pub(crate) fn verify(data: &Path) -> Result<Shutdown> {
    let path = mark_path(data);
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Shutdown::Unclean),
        Err(error) => return Ok(Shutdown::Changed(format!("index.clean cannot be read: {error}"))),
        Ok(bytes) => bytes,
    };
    // Release 0.1 left an empty file.
    if bytes.is_empty() {
        return Ok(Shutdown::Unclean);
    }
    let Ok(Mark { files: mut before }) = decode_file::<Mark>(&path, &bytes) else {
        return Ok(Shutdown::Changed("index.clean is damaged".into()));
    };
    let now = match sums(&data.join("index")) {
        Ok(now) => now,
        Err(error) => return Ok(Shutdown::Changed(error.to_string())),
    };
    for (name, sum) in now.files {
        if before.remove(&name).as_ref() != Some(&sum) {
            return Ok(Shutdown::Changed(format!("index/{name} is not as it was when it was closed")));
        }
    }
    match before.into_keys().next() {
        Some(name) => Ok(Shutdown::Changed(format!("index/{name} is missing"))),
        None => Ok(Shutdown::Clean),
    }
}

fn mark_path(data: &Path) -> PathBuf {
    data.join("index.clean")
}

fn sums(index: &Path) -> Result<Mark> {
    let mut files = BTreeMap::new();
    let mut folders = vec![index.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.at(&folder)?,
        };
        for entry in entries {
            let path = entry.at(&folder)?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(index).unwrap_or(&path).to_string_lossy().into_owned();
                files.insert(name, sum(&path)?);
            }
        }
    }
    Ok(Mark { files })
}

fn sum(path: &Path) -> Result<Sum> {
    let mut hasher = crc32fast::Hasher::new();
    let bytes = each_block(path, |block| hasher.update(block))?;
    Ok(Sum { bytes, crc32: hasher.finalize() })
}
