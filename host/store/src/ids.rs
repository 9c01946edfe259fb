//! Ledger of video ids: allocates new ones, remembers deleted ones.
//!
//! Owns: `archive/last-id`, the highest id that was ever deleted, and the empty folders
//! `archive/.gone-ID` that mark deleted ids which are not yet in it.
//!
//! Guarantees: no id is used twice, despite crashes, a full disk and concurrent deletions. Deleting
//! needs no disk space: the folder that marks the id is the video's own, emptied and renamed.

use std::{
    fs,
    io::ErrorKind,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use ocellus_core::VideoId;
use parking_lot::Mutex;
use tracing::{debug, error};

use crate::{
    codec::damaged,
    error::{At, Result, StoreError},
    folder::Folder,
};

/// Distance by which ids jump where the highest one is no longer known.
const JUMP: u64 = 1_000_000;

pub(crate) struct IdAllocator {
    folder: Folder,
    next: AtomicU64,
    /// Lower bound for the value in `last-id`, determined at startup.
    least: u64,
    /// The value in `last-id`.
    last_id: Mutex<u64>,
}

impl IdAllocator {
    /// `highest`: the highest id of a video that exists; 0 without one.
    pub(crate) fn open(folder: &Folder, highest: u64) -> Result<Self> {
        let (last_id, next) = match read_last_id(folder) {
            Ok(last_id) => (last_id, last_id.max(highest) + 1),
            Err(error @ StoreError::Damaged { .. }) => {
                let next = highest + JUMP;
                error!("{error}; new videos begin at id {next}, so that none gets the id of a deleted one");
                (0, next)
            }
            Err(error) => return Err(error),
        };
        let deleted = deleted(folder)?;
        let next = deleted.iter().map(|id| id.0 + 1).fold(next, u64::max);
        let least = if next > last_id.max(highest) + 1 { next - 1 } else { last_id };
        let ids = Self { folder: folder.clone(), next: AtomicU64::new(next), least, last_id: Mutex::new(last_id) };
        ids.raise(least);
        for id in deleted {
            if let Err(error) = ids.retire(id) {
                error!(video = %id, "the files of the deleted video {id} cannot be removed yet: {error}");
            }
        }
        Ok(ids)
    }

    /// An id that no video has or had.
    pub(crate) fn allocate(&self) -> VideoId {
        loop {
            let id = VideoId(self.next.fetch_add(1, Ordering::Relaxed));
            // A folder may exist that is not in the index.
            if !self.folder.video(id).exists() {
                return id;
            }
        }
    }

    /// Retires the id of a deleted video: empties its folder, now at `.gone-ID`, and makes sure
    /// that the id is never used again.
    pub(crate) fn retire(&self, id: VideoId) -> Result<()> {
        let gone = self.folder.trash(id);
        self.folder.disk().empty(&gone)?;
        // Where `last-id` cannot be written, the empty folder stays to mark the id.
        if self.raise(id.0) { self.folder.disk().remove(&gone) } else { Ok(()) }
    }

    /// Raises the value in `last-id` to at least `id`; returns whether it is.
    fn raise(&self, id: u64) -> bool {
        let mut last_id = self.last_id.lock();
        if *last_id >= id {
            return true;
        }
        // Ids that were skipped because the highest was not known are never used either.
        let highest = id.max(self.least);
        match self.folder.disk().replace(&self.folder.last_id_file(), &line(highest)) {
            Ok(()) => {
                *last_id = highest;
                true
            }
            Err(error) => {
                debug!("an empty folder still marks the deleted id {id}: {error}");
                false
            }
        }
    }
}

/// Ids of deleted videos whose folders remain.
fn deleted(folder: &Folder) -> Result<Vec<VideoId>> {
    let archive = folder.archive();
    let mut ids = Vec::new();
    for entry in fs::read_dir(archive).at(archive)? {
        let name = entry.at(archive)?.file_name();
        ids.extend(name.to_str().and_then(|n| n.strip_prefix(".gone-")).and_then(|id| id.parse().ok()).map(VideoId));
    }
    Ok(ids)
}

fn line(id: u64) -> Vec<u8> {
    format!("{id} {:08x}\n", crc32fast::hash(id.to_string().as_bytes())).into_bytes()
}

/// The id in `last-id`; 0 without the file.
pub(crate) fn read_last_id(folder: &Folder) -> Result<u64> {
    let path: PathBuf = folder.last_id_file();
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        bytes => bytes.at(&path)?,
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    // Release 0.1 wrote the number alone.
    let (number, checksum) = text.trim_end().split_once(' ').map_or((text.trim_end(), None), |(n, c)| (n, Some(c)));
    let id = number
        .parse()
        .ok()
        .filter(|_| checksum.is_none_or(|c| c == format!("{:08x}", crc32fast::hash(number.as_bytes()))));
    id.ok_or_else(|| damaged(&path, format!("{text:?} is no id")))
}
