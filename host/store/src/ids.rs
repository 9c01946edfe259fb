//! Video ids that were ever given.
//!
//! Owns: `archive/last-id`, the highest id that was ever deleted, and the empty folders
//! `archive/.gone-ID` that stand for deleted ids which are not in it yet.
//!
//! Guarantees: no id is given twice, whatever a crash, a full disk or two deletions at once do.
//! Deleting needs no room: the folder that stands for the id is the video's own, emptied and
//! renamed.

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

/// How far ids jump where nobody knows any more which was the highest.
const JUMP: u64 = 1_000_000;

pub(crate) struct Ids {
    folder: Folder,
    next: AtomicU64,
    /// What `last-id` has to say at least, since the start.
    least: u64,
    /// What `last-id` says.
    mark: Mutex<u64>,
}

impl Ids {
    /// `highest`: of the videos that there are.
    pub(crate) fn open(folder: &Folder, highest: u64) -> Result<Self> {
        let (mark, next) = match read_mark(folder) {
            Ok(mark) => (mark, mark.max(highest) + 1),
            Err(error @ StoreError::Damaged { .. }) => {
                let next = highest + JUMP;
                error!("{error}; new videos begin at id {next}, so that none gets the id of a deleted one");
                (0, next)
            }
            Err(error) => return Err(error),
        };
        let gone = gone(folder)?;
        let next = gone.iter().map(|id| id.0 + 1).fold(next, u64::max);
        let least = if next > mark.max(highest) + 1 { next - 1 } else { mark };
        let ids = Self { folder: folder.clone(), next: AtomicU64::new(next), least, mark: Mutex::new(mark) };
        ids.raise(least);
        for id in gone {
            if let Err(error) = ids.forget(id) {
                error!("what is left of the deleted video {id} cannot be removed yet: {error}");
            }
        }
        Ok(ids)
    }

    /// An id that no video has or had.
    pub(crate) fn take(&self) -> VideoId {
        loop {
            let id = VideoId(self.next.fetch_add(1, Ordering::Relaxed));
            // A folder that the index does not know of.
            if !self.folder.video(id).exists() {
                return id;
            }
        }
    }

    /// Forgets a video that was deleted: what its folder, now at `.gone-ID`, holds is removed, its
    /// id never given again.
    pub(crate) fn forget(&self, id: VideoId) -> Result<()> {
        let gone = self.folder.being_removed(id);
        self.folder.disk().empty(&gone)?;
        // Without room for the mark, the empty folder stays in its place.
        if self.raise(id.0) { self.folder.disk().remove(&gone) } else { Ok(()) }
    }

    /// Makes `last-id` say at least `id`; whether it does.
    fn raise(&self, id: u64) -> bool {
        let mut mark = self.mark.lock();
        if *mark >= id {
            return true;
        }
        // Where the highest id was not known, those that were passed over are not given either.
        let highest = id.max(self.least);
        match self.folder.disk().replace(&self.folder.last_id_file(), &line(highest)) {
            Ok(()) => {
                *mark = highest;
                true
            }
            Err(error) => {
                debug!("the id {id} is kept by an empty folder: {error}");
                false
            }
        }
    }
}

/// Ids of the videos that are being removed.
fn gone(folder: &Folder) -> Result<Vec<VideoId>> {
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

/// What `last-id` says; 0 where it is not there.
pub(crate) fn read_mark(folder: &Folder) -> Result<u64> {
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
