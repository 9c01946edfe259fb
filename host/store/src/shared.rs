//! Shared state of an archive and the jobs that are open in it.
//!
//! Owns: the folder, the index, the locks of records, and the lock of the data folder. Ends with
//! the last archive and job that hold it; the index is closed then, and marked as whole where
//! nothing failed.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use ocellus_core::{Clock, JobId, VideoId, VideoRecord};
use parking_lot::{Mutex, MutexGuard};
use tracing::error;

use crate::{
    closing::Closing,
    codec::seal,
    error::{Result, StoreError},
    folder::Folder,
    ids::Ids,
    serving::Serving,
};

pub(crate) struct Shared {
    pub folder: Folder,
    pub index: Serving,
    pub ids: Ids,
    pub clock: Arc<dyn Clock>,
    /// A record is changed by one thread at a time; videos share locks by their ids.
    locks: [Mutex<()>; 64],
    /// Videos whose record may be in its place and not be durable.
    unsynced: Mutex<HashSet<VideoId>>,
    /// Damaged files that the log has named.
    named: Mutex<HashSet<PathBuf>>,
    // In this order: the index is closed, then known to be whole, then somebody else may open the
    // archive.
    _closing: Closing,
    _lock: File,
}

impl Shared {
    pub(crate) fn new(
        folder: Folder,
        index: Serving,
        ids: Ids,
        clock: Arc<dyn Clock>,
        closing: Closing,
        lock: File,
    ) -> Self {
        let locks = std::array::from_fn(|_| Mutex::new(()));
        Self {
            folder,
            index,
            ids,
            clock,
            locks,
            unsynced: Mutex::default(),
            named: Mutex::default(),
            _closing: closing,
            _lock: lock,
        }
    }

    /// Held by who changes what there is of a video.
    pub(crate) fn guard(&self, id: VideoId) -> MutexGuard<'_, ()> {
        let locks = &self.locks;
        #[expect(clippy::indexing_slicing, reason = "the remainder is less than the length")]
        locks[id.0 as usize % locks.len()].lock()
    }

    /// Writes a record, also in place of the same one where it is not known to be durable. With the
    /// lock of its video held.
    pub(crate) fn write(&self, record: &VideoRecord, is_new: bool) -> Result<()> {
        let id = record.id;
        if !is_new && !self.unsynced.lock().contains(&id) {
            return Ok(());
        }
        let written = self.folder.disk().replace(&self.folder.record(id), &seal(record));
        match written {
            Ok(()) => self.unsynced.lock().remove(&id),
            Err(_) => self.unsynced.lock().insert(id),
        };
        written
    }

    /// A video's record, or `None` where it cannot be read, which the log says once.
    pub(crate) fn readable(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        match self.folder.read(id) {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. } | StoreError::Io { .. })) => {
                self.name_once(&self.folder.record(id), &error);
                Ok(None)
            }
            read => read,
        }
    }

    /// Says in the log what is damaged, unless it was said before.
    pub(crate) fn name_once(&self, path: &Path, what: &StoreError) {
        if self.named.lock().insert(path.to_path_buf()) {
            error!("cannot be read: {what}");
        }
    }

    /// Does something to a job's folder, unless the job is not its video's any more.
    pub(crate) fn if_current(&self, id: JobId, change: impl FnOnce() -> Result<()>) -> Result<()> {
        let _guard = self.guard(id.video);
        if self.folder.read(id.video)?.is_some_and(|v| v.job == id.number) { change() } else { Ok(()) }
    }
}
