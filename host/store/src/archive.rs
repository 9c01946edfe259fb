//! Videos and their jobs: making, reading, changing, removing; the queue.

use std::{collections::HashMap, path::Path, sync::Arc};

use ocellus_core::{Clock, JobId, ObjectId, Timestamp, VideoId, VideoRecord, VideoStatus};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    codec::seal,
    disk::{Backend, LocalDisk},
    error::{Result, StoreError},
    index::Index,
    job::{Job, WeakJob},
    job_seal,
    log::empty,
    objects::{self, LOGS, Picture, PictureFile},
    opening::{self, OpenReport},
    recovery,
    shared::Shared,
    stored::StoredJob,
};

/// The archive. Cheap to clone; all clones are one archive, which closes with the last of them and
/// of its jobs.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// A log has one writer: who asks for a job that somebody holds gets the same one.
    jobs: Mutex<HashMap<JobId, Arc<Mutex<WeakJob>>>>,
}

impl Archive {
    /// Opens the archive in the folder `data`, which must exist, or begins one there.
    pub fn open(data: &Path, clock: Arc<dyn Clock>) -> Result<(Self, OpenReport)> {
        Self::open_on(Arc::new(LocalDisk), data, clock)
    }

    /// As [`Archive::open`], with all that changes the disk going through `backend`.
    pub fn open_on(backend: Arc<dyn Backend>, data: &Path, clock: Arc<dyn Clock>) -> Result<(Self, OpenReport)> {
        let (shared, report) = opening::open(data, clock, backend)?;
        Ok((Self(Arc::new(Inner { shared: Arc::new(shared), jobs: Mutex::default() })), report))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Makes a video from what `make` says for a new id and the time now.
    pub fn create(&self, make: impl FnOnce(VideoId, Timestamp) -> VideoRecord) -> Result<VideoRecord> {
        let Shared { folder, index, ids, clock, .. } = self.shared();
        let id = ids.take();
        // Ids can be guessed.
        let _guard = self.shared().guard(id);
        let record = make(id, clock.now());
        let (new, shard, disk) = (folder.being_made(id), folder.shard(id), folder.disk());
        let made = (|| {
            disk.create_folders(&new)?;
            disk.replace(&new.join("video.json"), &seal(&record))?;
            if !shard.exists() {
                disk.create_folders(&shard)?;
                disk.sync_folder(folder.archive())?;
            }
            disk.rename(&new, &folder.video(id))?;
            disk.sync_folder(&shard)
        })();
        if made.is_err() {
            // It may be in its place and not be durable: nobody was told of it. What cannot be
            // removed the next start looks at.
            index.mark_dirty();
            let _ = disk.remove(&new).and_then(|()| disk.remove(&folder.video(id)));
            index.change(|index| index.put(id, None))?;
        }
        made?;
        index.change(|index| index.put(id, Some(&record)))?;
        Ok(record)
    }

    /// # Errors
    /// `Damaged` where there is such a video and its record cannot be read.
    pub fn video(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        let read = self.shared().folder.read(id);
        if let Err(error) = &read {
            self.shared().name_once(&self.shared().folder.record(id), error);
        }
        read
    }

    /// Changes a record. Where `change` fails, nothing is changed.
    pub fn update<R>(
        &self,
        id: VideoId,
        change: impl FnOnce(&mut VideoRecord) -> ocellus_core::Result<R>,
    ) -> Result<(VideoRecord, R)> {
        let _guard = self.shared().guard(id);
        self.update_guarded(id, change)
    }

    /// With the lock of `id` held.
    pub(crate) fn update_guarded<R>(
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
        let is_new = record != before;
        if let Err(error) = self.shared().write(&record, is_new) {
            // It may be in its place and not be durable: the index says what anybody reads now.
            index.mark_dirty();
            let now = folder.read(id)?;
            index.change(|index| index.put(id, now.as_ref()))?;
            if now.is_some_and(|now| now.job != before.job) {
                index.change(|index| index.clear_objects(id))?;
            }
            return Err(error);
        }
        if is_new {
            index.change(|index| index.put(id, Some(&record)))?;
        }
        Ok((record, result))
    }

    /// With the lock of `id` held: finishes an upload that failed when its file was in place.
    pub(crate) fn finish_source(&self, id: VideoId) -> Result<()> {
        let Shared { folder, index, .. } = self.shared();
        if folder.next_source(id).exists()
            && let Some(record) = recovery::finish_source(folder, id)?
        {
            index.change(|index| index.put(id, Some(&record)))?;
        }
        Ok(())
    }

    /// Removes all that there is of a video, a damaged one, too; whether there was one. Needs no
    /// room on the disk.
    pub fn delete(&self, id: VideoId) -> Result<bool> {
        let _guard = self.shared().guard(id);
        let Shared { folder, index, ids, .. } = self.shared();
        let (here, gone) = (folder.video(id), folder.being_removed(id));
        if !here.exists() {
            return Ok(false);
        }
        folder.disk().rename(&here, &gone)?;
        // From here on nobody finds it any more, and what takes room goes, whatever else fails.
        let synced = folder.disk().sync_folder(&folder.shard(id));
        let ended =
            [synced, index.change(|index| index.put(id, None).and_then(|()| index.clear_objects(id))), ids.forget(id)];
        ended.into_iter().collect::<Result<()>>().map(|()| true)
    }

    /// Puts a video at the end of the queue; one that waits keeps its place.
    pub fn enqueue(&self, id: VideoId) -> Result<()> {
        let last = self.shared().clock.now();
        self.update(id, |v| {
            v.status = VideoStatus::Awaiting;
            v.queued_date.get_or_insert(last);
            Ok(())
        })?;
        Ok(())
    }

    /// The videos that wait in the queue, in its order, and since when each does.
    pub fn waiting(&self) -> Result<Vec<(Timestamp, VideoId)>> {
        self.shared().index.ask(|index| index.waiting().collect())
    }

    /// Videos whose job was under way when the last server ended.
    pub fn unfinished(&self) -> Result<Vec<VideoId>> {
        self.shared().index.ask(Index::cut)
    }

    /// Begins a job by `spec`, clears what earlier ones made, and puts the video into the queue.
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

    /// Puts a new job in place of one that is under way: by the same spec, under the next number,
    /// without anything that the old one made. For what it makes differs, and an object's id may
    /// never stand for two things.
    pub fn restart_job(&self, job: &Job) -> Result<Job> {
        self.new_job(job.id().video, &job.spec()?, |_| {})
    }

    fn new_job(&self, id: VideoId, spec: &Value, change: impl FnOnce(&mut VideoRecord)) -> Result<Job> {
        let _guard = self.shared().guard(id);
        let Shared { folder, index, .. } = self.shared();
        let before = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let job = JobId { video: id, number: before.job + 1 };
        let disk = folder.disk();
        // A folder that a crash left before the record named it.
        disk.remove(&folder.job(job))?;
        disk.create_folders(&objects::pictures_folder(folder, job))?;
        let spec = seal(spec);
        let logs = LOGS.map(|(name, kind)| (name, empty(kind)));
        let files =
            logs.iter().map(|(name, head)| (*name, head.as_slice())).chain([(objects::JOB_SPEC, spec.as_slice())]);
        disk.write(&folder.job(job), files.map(|(name, bytes)| (folder.job(job).join(name), bytes)))?;
        disk.sync_folder(&folder.jobs(id))?;
        disk.sync_folder(&folder.video(id))?;
        self.update_guarded(id, |v| {
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

    /// A video's current job; `None` for any other.
    pub fn job(&self, id: JobId) -> Result<Option<Job>> {
        // Opening makes what is missing of the folder: not while somebody removes it.
        let _guard = self.shared().guard(id.video);
        if self.is_current(id)? { self.open_job(id).map(Some) } else { Ok(None) }
    }

    /// Whether a job is its video's, and there.
    pub fn is_current(&self, id: JobId) -> Result<bool> {
        Ok(self.video(id.video)?.is_some_and(|v| v.job == id.number) && self.shared().folder.job(id).is_dir())
    }

    /// The last job of a video, to be read.
    pub fn stored_job(&self, id: VideoId) -> Result<StoredJob> {
        StoredJob::within(self.shared().folder.clone(), id)
    }

    fn open_job(&self, id: JobId) -> Result<Job> {
        let slot = {
            let mut jobs = self.0.jobs.lock();
            // Those that somebody waits for stay, too.
            jobs.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
            Arc::clone(jobs.entry(id).or_default())
        };
        // Opening reads the job's logs: only who wants the same job waits for it.
        let mut open = slot.lock();
        if let Some(job) = Job::upgrade(&open) {
            return Ok(job);
        }
        let job = Job::open(&self.0.shared, id)?;
        *open = job.downgrade();
        Ok(job)
    }

    /// An object's picture, where there is one.
    pub fn picture(&self, id: &ObjectId, picture: Picture) -> Result<Option<PictureFile>> {
        Ok(objects::find_picture(&self.shared().folder, id, picture))
    }

    /// Writes the index out.
    pub fn flush(&self) -> Result<()> {
        self.shared().index.ask(Index::flush)
    }
}
