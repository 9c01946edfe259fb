//! Changes of claimed videos by requests, on the disk and in the queue; and queueing at startup.
//!
//! The disk comes first: a claim that is dropped before its video's new state is written leaves the
//! queue as it was.

use ocellus_core::{Error, Result, VideoId, VideoRecord, VideoStatus};
use ocellus_store::StoreError;
use tracing::{error, info, warn};

use super::{jobs::Claim, state::Inner};
use crate::job_spec::{JobSpec, Pins};

impl Inner {
    /// Queues the videos that were queued or running when the server last ended. Those that cannot
    /// be read are skipped.
    pub(super) fn requeue(&self) {
        let interrupted = self.archive.in_progress().unwrap_or_else(|error| {
            error!(%error, "the list of interrupted jobs cannot be read: {error}");
            Vec::new()
        });
        for id in interrupted {
            match self.archive.enqueue(id) {
                Ok(()) => info!(video = %id, "video {id} was interrupted by the server's end and is queued to resume"),
                Err(error @ (StoreError::Damaged { .. } | StoreError::NoVideo(_))) => {
                    error!(video = %id, %error, "video {id} was interrupted and cannot be resumed: {error}");
                }
                Err(error) => {
                    warn!(
                        video = %id, %error,
                        "video {id} was interrupted by the server's end and is resumed, although its \
                         record cannot be written: {error}"
                    );
                    self.jobs.enqueue(id, self.clock.now());
                }
            }
        }
        match self.archive.waiting() {
            Ok(waiting) => waiting.into_iter().for_each(|(since, id)| self.jobs.enqueue(id, since)),
            Err(error) => error!(%error, "the queue cannot be read: {error}"),
        }
    }

    /// Queues a new job of a video that has none running.
    pub(super) fn queue(&self, claim: Claim) -> Result<()> {
        let id = claim.id();
        let mut video = self.video(id)?;
        self.endings.overlay(&mut video);
        if video.status.is_enabled() {
            // Its record could not be read when a worker took it.
            self.archive.enqueue(id)?;
        } else if video.has_source() {
            let Self { detectors, embedders, classifiers, plugins, .. } = self;
            let pins = Pins::of(&video.stream_settings, detectors, embedders, classifiers, plugins);
            let spec = serde_json::to_value(JobSpec::of(&video, pins)).map_err(Error::internal)?;
            self.withdrawn(id, || Ok(self.archive.start_job(id, &spec)?))?;
            self.endings.forget(id);
        } else {
            self.endings.settle(id)?;
            self.archive.update(id, |v| v.move_to(VideoStatus::NoSource))?;
            return Ok(());
        }
        let queued = self.archive.video(id).ok().flatten().and_then(|v| v.queued_date);
        claim.release_waiting(queued.unwrap_or_else(|| self.clock.now()));
        Ok(())
    }

    /// Disables a video, and takes it out of the queue.
    pub(super) fn stop(&self, claim: Claim) -> Result<()> {
        self.disable(claim.id())?;
        claim.release();
        Ok(())
    }

    fn disable(&self, id: VideoId) -> Result<()> {
        if self.endings.settle(id).is_err() {
            // Its job has ended, which requests see already; only the record is not written yet.
            return Ok(());
        }
        let end = |v: &mut VideoRecord| if v.status.is_enabled() { v.move_to(VideoStatus::Disabled) } else { Ok(()) };
        match self.archive.update(id, end) {
            // A damaged record is neither queued nor processed.
            Ok(_) | Err(StoreError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn delete(&self, claim: Claim) -> Result<()> {
        let id = claim.id();
        let existed = self.withdrawn(id, || Ok(self.archive.delete(id)?))?;
        self.endings.forget(id);
        claim.release();
        self.retry_with_room();
        if existed { Ok(()) } else { Err(Error::not_found("VideoArchive")) }
    }

    pub(super) fn delete_file(&self, claim: Claim) -> Result<()> {
        let id = claim.id();
        self.endings.settle(id)?;
        self.disable(id)?;
        self.archive.delete_source(id)?;
        claim.release();
        self.retry_with_room();
        Ok(())
    }

    /// Makes a change that withdraws a video's deliveries, while none of them is being attempted.
    /// If it fails, the deliveries continue.
    fn withdrawn<R>(&self, id: VideoId, change: impl FnOnce() -> Result<R>) -> Result<R> {
        self.outbox.withdraw(id);
        self.outbox.wait_withdrawn(id);
        change().inspect_err(|_| self.outbox.resume(id))
    }

    /// Retries writes that failed on a full disk.
    fn retry_with_room(&self) {
        self.endings.wake();
        self.jobs.wake();
    }
}
