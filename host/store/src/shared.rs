//! State shared by an archive and its open jobs.
//!
//! Owns: the folder, the index, the ids, the locks of records, and the lock of the data folder.
//! Dropped with the last archive and job that hold it; the index is closed then, and marked as
//! clean if nothing failed.

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
    clean_mark::CleanMark,
    codec::encode_file,
    corrections::{Corrected, Corrections},
    error::{Result, StoreError},
    failover::FailoverIndex,
    folder::Folder,
    ids::IdAllocator,
    job_files,
    observer::Observer,
    upload_writers::Writers,
};

pub(crate) struct Shared {
    pub folder: Folder,
    pub index: FailoverIndex,
    pub ids: IdAllocator,
    pub clock: Arc<dyn Clock>,
    pub observer: Observer,
    /// One thread at a time changes a video; several ids share a lock.
    locks: [Mutex<()>; 64],
    /// Videos whose record may have been replaced, but not durably.
    unsynced: Mutex<HashSet<VideoId>>,
    pub upload_writers: Writers,
    /// Damaged files that were logged already.
    logged: Mutex<HashSet<PathBuf>>,
    // Dropped in this order: the index is closed, then marked as clean, then the folder unlocked.
    _clean_mark: CleanMark,
    _lock: File,
}

impl Shared {
    pub(crate) fn new(
        folder: Folder,
        index: FailoverIndex,
        ids: IdAllocator,
        clock: Arc<dyn Clock>,
        clean_mark: CleanMark,
        lock: File,
    ) -> Self {
        let locks = std::array::from_fn(|_| Mutex::new(()));
        Self {
            folder,
            index,
            ids,
            clock,
            observer: Observer::default(),
            locks,
            unsynced: Mutex::default(),
            upload_writers: Writers::default(),
            logged: Mutex::default(),
            _clean_mark: clean_mark,
            _lock: lock,
        }
    }

    /// Locks a video; to be held while anything of it is changed.
    pub(crate) fn lock(&self, id: VideoId) -> MutexGuard<'_, ()> {
        let locks = &self.locks;
        #[expect(clippy::indexing_slicing, reason = "the remainder is less than the length")]
        locks[id.0 as usize % locks.len()].lock()
    }

    /// Writes a record; an unchanged one only if it may not be durable yet. The caller holds the
    /// lock of its video.
    pub(crate) fn write(&self, record: &VideoRecord, changed: bool) -> Result<()> {
        let id = record.id;
        if !changed && !self.unsynced.lock().contains(&id) {
            return Ok(());
        }
        let written = self.folder.disk().replace(&self.folder.record(id), &encode_file(record));
        match written {
            Ok(()) => self.unsynced.lock().remove(&id),
            Err(_) => self.unsynced.lock().insert(id),
        };
        written
    }

    /// A video's record; `None` where it cannot be read, which is logged once.
    pub(crate) fn readable(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        match self.folder.read(id) {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. } | StoreError::Io { .. })) => {
                self.log_once(&self.folder.record(id), &error);
                Ok(None)
            }
            read => read,
        }
    }

    /// The corrections of a video; none where they cannot be read, which is logged once.
    pub(crate) fn readable_corrections(&self, id: VideoId) -> Corrections {
        Corrections::read(&self.folder, id).unwrap_or_else(|error| {
            self.log_once(&self.folder.corrections(id), &error);
            Corrections::default()
        })
    }

    /// The identities of a job; without corrections where these cannot be read, which is logged.
    pub(crate) fn corrected(&self, job: JobId) -> Result<Corrected> {
        let clusters = job_files::clusters(&self.folder, job)?.unwrap_or_default();
        Ok(Corrected::new(clusters, &self.readable_corrections(job.video).made))
    }

    /// Writes the corrections of a video and updates the index. `job`: its current one. Callers
    /// hold the lock of the video.
    pub(crate) fn write_corrections(&self, job: JobId, corrections: &Corrections) -> Result<()> {
        let written = corrections.write(&self.folder, job.video);
        if written.is_err() {
            // The file may be in place without being durable: the index follows what readers see.
            self.index.mark_dirty();
        }
        let corrected = self.corrected(job)?;
        self.index.change(|index| index.objects.put_identities(job.video, &corrected.groups))?;
        written
    }

    /// Logs why a file cannot be read, once for each file.
    pub(crate) fn log_once(&self, path: &Path, what: &StoreError) {
        if self.logged.lock().insert(path.to_path_buf()) {
            error!("cannot be read: {what}");
        }
    }

    /// Changes a job's folder, unless the job is no longer its video's current one.
    pub(crate) fn if_current(&self, id: JobId, change: impl FnOnce() -> Result<()>) -> Result<()> {
        let _lock = self.lock(id.video);
        if self.folder.read(id.video)?.is_some_and(|v| v.job == id.number) { change() } else { Ok(()) }
    }
}
