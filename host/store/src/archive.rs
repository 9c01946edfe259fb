//! Archive of videos and their jobs: creation, reads, changes, deletion, and the queue.

use std::{collections::HashMap, path::Path, sync::Arc};

use ocellus_core::{Clock, JobId, ObjectId, Timestamp, VideoId, VideoRecord, VideoStatus};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    codec::encode_file,
    disk::{Backend, LocalDisk},
    error::{Result, StoreError},
    index::Index,
    job::{Job, WeakJob},
    job_files::{LOGS, SPEC},
    job_seal,
    log::empty,
    objects::{self, Picture, PictureFile},
    observer::Written,
    opening::{self, OpenReport},
    recovery,
    shared::Shared,
    space::Space,
    stored::StoredJob,
};

/// The archive. Cheap to clone; all clones are one archive, which closes with the last of them and
/// of its jobs.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// Open jobs. A log has one writer, so a job is opened once and shared.
    jobs: Mutex<HashMap<JobId, Arc<Mutex<WeakJob>>>>,
}

impl Archive {
    /// Opens the archive in the folder `data`, which must exist, or creates one there. After a
    /// crash it completes interrupted operations and rebuilds the index, which reads all records.
    ///
    /// # Errors
    /// `InUse` where another process has it open, `Newer` where a later release wrote it.
    pub fn open(data: &Path, clock: Arc<dyn Clock>) -> Result<(Self, OpenReport)> {
        Self::open_on(Arc::new(LocalDisk), data, clock)
    }

    /// As [`Archive::open`], with all changes of the disk made through `backend`.
    pub fn open_on(backend: Arc<dyn Backend>, data: &Path, clock: Arc<dyn Clock>) -> Result<(Self, OpenReport)> {
        let (shared, report) = opening::open(data, clock, backend)?;
        Ok((Self(Arc::new(Inner { shared: Arc::new(shared), jobs: Mutex::default() })), report))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Registers a callback for all writes from now on, in place of an earlier one. It is called
    /// with locks of the archive held: it must neither block nor use the archive.
    pub fn observe(&self, observe: impl Fn(Written<'_>) + Send + Sync + 'static) {
        self.shared().observer.set(observe);
    }

    pub(crate) fn tell(&self, written: Written<'_>) {
        self.shared().observer.tell(written);
    }

    /// Creates a video with the record that `make` returns for a new id and the current time.
    ///
    /// # Errors
    /// `Io`, also where the disk is full: then there is no such video.
    pub fn create(&self, make: impl FnOnce(VideoId, Timestamp) -> VideoRecord) -> Result<VideoRecord> {
        let Shared { folder, index, ids, clock, .. } = self.shared();
        let id = ids.allocate();
        // A client can guess an id and act on the video before it is complete.
        let _lock = self.shared().lock(id);
        let record = make(id, clock.now());
        let (new, shard, disk) = (folder.staging(id), folder.shard(id), folder.disk());
        let created = (|| {
            disk.create_folders(&new)?;
            disk.replace(&new.join("video.json"), &encode_file(&record))?;
            if !shard.exists() {
                disk.create_folders(&shard)?;
                disk.sync_folder(folder.archive())?;
            }
            disk.rename(&new, &folder.video(id))?;
            disk.sync_folder(&shard)
        })();
        if created.is_err() {
            // The folder may be in place but not durable, and the caller gets no id. What cannot be
            // removed now is removed at the next start.
            index.mark_dirty();
            let _ = disk.remove(&new).and_then(|()| disk.remove(&folder.video(id)));
            index.change(|index| index.videos.put(id, None))?;
        }
        created?;
        index.change(|index| index.videos.put(id, Some(&record)))?;
        self.tell(Written::Video(id));
        Ok(record)
    }

    /// The record of a video; `None` where there is no such video.
    ///
    /// # Errors
    /// `Damaged` where its record cannot be read, `Newer` where a later release wrote it.
    pub fn video(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        let read = self.shared().folder.read(id);
        if let Err(error) = &read {
            self.shared().log_once(&self.shared().folder.record(id), error);
        }
        read
    }

    /// Changes a record durably, and returns it with the result of `change`. Clears the queued date
    /// where the status is not `AWAITING`; seals the logs of a job that becomes finished.
    ///
    /// # Errors
    /// `NoVideo`; `Refused` with the error of `change`: then nothing is changed. `Io`, also
    /// where the disk is full: then the record is the old or the new one, and the change can be
    /// repeated.
    pub fn update<R>(
        &self,
        id: VideoId,
        change: impl FnOnce(&mut VideoRecord) -> ocellus_core::Result<R>,
    ) -> Result<(VideoRecord, R)> {
        let _lock = self.shared().lock(id);
        self.update_locked(id, change)
    }

    /// As [`Archive::update`]. The caller holds the lock of `id`.
    pub(crate) fn update_locked<R>(
        &self,
        id: VideoId,
        change: impl FnOnce(&mut VideoRecord) -> ocellus_core::Result<R>,
    ) -> Result<(VideoRecord, R)> {
        let Shared { folder, index, .. } = self.shared();
        self.finish_source(id)?;
        let before = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let mut record = before.clone();
        let result = change(&mut record)?;
        if record.status != VideoStatus::Awaiting {
            record.queued_date = None;
        }
        if record.finished && !before.finished && record.job > 0 {
            job_seal::write(folder, JobId { video: id, number: record.job })?;
        }
        let changed = record != before;
        if let Err(error) = self.shared().write(&record, changed) {
            // The new record may be in place but not durable: the index follows what readers see.
            index.mark_dirty();
            let now = folder.read(id)?;
            index.change(|index| index.videos.put(id, now.as_ref()))?;
            if now.is_some_and(|now| now.job != before.job) {
                index.change(|index| index.clear_objects(id))?;
            }
            return Err(error);
        }
        if changed {
            index.change(|index| index.videos.put(id, Some(&record)))?;
            self.tell(Written::Video(id));
        }
        Ok((record, result))
    }

    /// Completes an upload that failed after its file was in place and before the record named it.
    /// The caller holds the lock of `id`.
    pub(crate) fn finish_source(&self, id: VideoId) -> Result<()> {
        let Shared { folder, index, .. } = self.shared();
        if folder.next_source(id).exists()
            && let Some(record) = recovery::finish_source(folder, id)?
        {
            index.change(|index| index.videos.put(id, Some(&record)))?;
            self.tell(Written::Video(id));
        }
        Ok(())
    }

    /// Deletes a video with its source and job; returns whether there was one. Works for damaged
    /// videos and on a full disk.
    ///
    /// # Errors
    /// `Io`: then the video may be deleted or not; files that are left are removed at the next
    /// start.
    pub fn delete(&self, id: VideoId) -> Result<bool> {
        let _lock = self.shared().lock(id);
        let Shared { folder, index, ids, .. } = self.shared();
        let (here, gone) = (folder.video(id), folder.trash(id));
        if !here.exists() {
            return Ok(false);
        }
        folder.disk().rename(&here, &gone)?;
        // Readers see it deleted from here on. A failed step does not stop the others, so that as
        // much disk space is freed as possible.
        self.tell(Written::Deleted(id));
        let synced = folder.disk().sync_folder(&folder.shard(id));
        let results = [
            synced,
            index.change(|index| index.videos.put(id, None).and_then(|()| index.clear_objects(id))),
            ids.retire(id),
        ];
        results.into_iter().collect::<Result<()>>().map(|()| true)
    }

    /// Puts a video at the end of the queue; one that is queued keeps its position.
    ///
    /// # Errors
    /// As [`Archive::update`].
    pub fn enqueue(&self, id: VideoId) -> Result<()> {
        let now = self.shared().clock.now();
        self.update(id, |v| {
            v.status = VideoStatus::Awaiting;
            v.queued_date.get_or_insert(now);
            Ok(())
        })?;
        Ok(())
    }

    /// The videos in the queue, in its order, with the time at which each was queued.
    pub fn waiting(&self) -> Result<Vec<(Timestamp, VideoId)>> {
        self.shared().index.query(|index| index.videos.waiting().collect())
    }

    /// Videos whose status is that of a running job, by id. At startup: those whose jobs were
    /// interrupted when the server last ended.
    pub fn in_progress(&self) -> Result<Vec<VideoId>> {
        self.shared().index.query(|index| index.videos.in_progress())
    }

    /// Creates a job from `spec`, removes the results of earlier ones, and queues the video.
    ///
    /// # Errors
    /// `NoVideo`; `Io`, also where the disk is full.
    pub fn start_job(&self, id: VideoId, spec: &Value) -> Result<Job> {
        let now = self.shared().clock.now();
        self.new_job(id, spec, |v| {
            v.status = VideoStatus::Awaiting;
            v.queued_date = Some(now);
            v.finished = false;
            v.error = None;
            v.processing_start_date = None;
            v.statistic = None;
        })
    }

    /// Replaces a running job by one with the same spec, the next number and no results. It gets a
    /// new number because its objects may differ, and an id must not stand for two objects.
    ///
    /// # Errors
    /// As [`Archive::start_job`]; `Damaged` where the spec cannot be read.
    pub fn restart_job(&self, job: &Job) -> Result<Job> {
        self.new_job(job.id().video, &job.spec()?, |_| {})
    }

    fn new_job(&self, id: VideoId, spec: &Value, change: impl FnOnce(&mut VideoRecord)) -> Result<Job> {
        let _lock = self.shared().lock(id);
        let Shared { folder, index, .. } = self.shared();
        let before = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let job = JobId { video: id, number: before.job + 1 };
        let disk = folder.disk();
        // A crash may have left a folder of this number before a record named it.
        disk.remove(&folder.job(job))?;
        disk.create_folders(&objects::pictures_folder(folder, job))?;
        let spec = encode_file(spec);
        let logs = LOGS.map(|(name, kind)| (name, empty(kind)));
        let files = logs.iter().map(|(name, head)| (*name, head.as_slice())).chain([(SPEC, spec.as_slice())]);
        disk.write(&folder.job(job), files.map(|(name, bytes)| (folder.job(job).join(name), bytes)))?;
        disk.sync_folder(&folder.jobs(id))?;
        disk.sync_folder(&folder.video(id))?;
        self.update_locked(id, |v| {
            v.job = job.number;
            v.counts.clear();
            v.clusters.clear();
            change(v);
            Ok(())
        })?;
        index.change(|index| index.clear_objects(id))?;
        recovery::clear_other_jobs(folder, job)?;
        self.open_job(job)
    }

    /// Opens a video's current job; `None` for any other. Two callers get the same [`Job`].
    ///
    /// # Errors
    /// `Damaged` where the spec or an object cannot be read, `Newer` where a later release wrote
    /// it.
    pub fn job(&self, id: JobId) -> Result<Option<Job>> {
        // Opening creates missing files of the job's folder, which must not happen while another
        // thread deletes it.
        let _lock = self.shared().lock(id.video);
        if self.is_current(id)? { self.open_job(id).map(Some) } else { Ok(None) }
    }

    /// Whether a job is its video's current one, and has a folder.
    ///
    /// # Errors
    /// As [`Archive::video`].
    pub fn is_current(&self, id: JobId) -> Result<bool> {
        Ok(self.video(id.video)?.is_some_and(|v| v.job == id.number) && self.shared().folder.job(id).is_dir())
    }

    /// The last job of a video, read-only.
    ///
    /// # Errors
    /// As [`StoredJob::open`].
    pub fn stored_job(&self, id: VideoId) -> Result<StoredJob> {
        StoredJob::within(self.shared().folder.clone(), id)
    }

    fn open_job(&self, id: JobId) -> Result<Job> {
        let slot = {
            let mut jobs = self.0.jobs.lock();
            // A slot that another thread is opening has no job yet, and must stay.
            jobs.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
            Arc::clone(jobs.entry(id).or_default())
        };
        // Opening reads the job's logs: only openers of the same job wait for it.
        let mut open = slot.lock();
        if let Some(job) = Job::upgrade(&open) {
            return Ok(job);
        }
        let job = Job::open(&self.0.shared, id)?;
        *open = job.downgrade();
        Ok(job)
    }

    /// An object's picture; `None` where there is none.
    pub fn picture(&self, id: &ObjectId, picture: Picture) -> Option<PictureFile> {
        objects::find_picture(&self.shared().folder, id, picture)
    }

    /// Space on the archive's file system; `None` where the system does not report it.
    pub fn space(&self) -> Option<Space> {
        Space::of(self.shared().folder.archive())
    }

    /// Flushes the index to the disk, so that closing takes less time.
    pub fn flush(&self) -> Result<()> {
        self.shared().index.query(Index::flush)
    }
}
