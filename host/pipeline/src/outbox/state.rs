//! State of the outbox, shared by jobs that add objects and tasks that deliver them.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;
use ocellus_core::{Clock, Error, JobId, NetworkPolicy, ObjectId, Result, VideoId};
use ocellus_store::{Archive, Delivery, DeliveryState};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use super::{
    config::OutboxConfig,
    open_jobs::{JobContext, OpenJobs, destination},
    routers::Routers,
    schedule::{Destination, Schedule},
};
use crate::job_spec::JobSpec;

pub(super) struct Inner {
    pub(super) archive: Archive,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: OutboxConfig,
    pub(super) network: NetworkPolicy,
    pub(super) clients: Clients,
    pub(super) routers: Routers,
    pub(super) jobs: Mutex<OpenJobs>,
    /// Results of attempts that could not be recorded yet. The attempts are not repeated: the next
    /// one only records the result.
    pub(super) unwritten: Mutex<HashMap<ObjectId, Delivery>>,
    /// Held while a failed delivery is scheduled again.
    pub(super) reopening: Mutex<()>,
    pub(super) schedule: Mutex<Schedule>,
    /// Signals that a delivery was added that may be due now.
    pub(super) changed: Notify,
    /// Signals that an attempt ended.
    pub(super) settled: Condvar,
    /// Cancelled once no more attempts may begin.
    pub(super) closing: CancellationToken,
    /// Cancels the attempts in flight.
    pub(super) aborting: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) results: Results,
}

/// Attempts since the server's start, by their result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// The router accepted the object.
    pub posted: u64,
    /// It did not; the object is retried.
    pub retrying: u64,
    /// It did not; the object is given up.
    pub failed: u64,
}

#[derive(Default)]
pub(super) struct Results(Mutex<Attempts>);

impl Results {
    pub(super) fn count(&self, state: DeliveryState) {
        let mut attempts = self.0.lock();
        match state {
            DeliveryState::Posted => attempts.posted += 1,
            DeliveryState::Failed => attempts.failed += 1,
            DeliveryState::Pending | DeliveryState::Retrying => attempts.retrying += 1,
        }
    }

    pub(super) fn get(&self) -> Attempts {
        *self.0.lock()
    }
}

/// HTTP clients with and without verification of TLS certificates.
pub(super) struct Clients {
    pub(super) verifying: reqwest::Client,
    pub(super) trusting: reqwest::Client,
}

impl Inner {
    /// Schedules an object of a job with this destination.
    pub(super) fn add(&self, object: ObjectId, number: u32, destination: &Destination, due: Timestamp) {
        self.schedule.lock().add(object, number, destination, due);
        self.changed.notify_one();
    }

    /// Schedules the undelivered objects of the archive, of one video or of all.
    pub(super) fn resume(&self, video: Option<VideoId>) {
        let mut job: Option<(JobId, Option<Destination>)> = None;
        let undelivered = self.archive.undelivered(video).unwrap_or_else(|error| {
            error!(%error, "the list of undelivered objects cannot be read: {error}");
            Vec::new()
        });
        for (object, number) in undelivered {
            if self.closing.is_cancelled() {
                return;
            }
            let result = (|| -> Result<()> {
                if job.as_ref().is_none_or(|(id, _)| *id != object.job) {
                    // Set first, so that a spec that cannot be read is logged once, not for each
                    // object.
                    job = Some((object.job, None));
                    // The job is not opened: there may be deliveries of a hundred thousand videos.
                    let stored = Some(self.archive.stored_job(object.job.video)?).filter(|s| s.id() == object.job);
                    let spec = stored.map(|s| s.spec()).transpose()?.flatten().map(JobSpec::parse).transpose()?;
                    job = Some((object.job, spec.and_then(|p| destination(&p))));
                }
                let due = self.archive.delivery(&object)?.and_then(|d| d.next_try);
                if let Some((_, Some(destination))) = &job {
                    self.add(object, number, destination, due.unwrap_or_else(|| self.clock.now()));
                }
                Ok(())
            })();
            if let Err(error) = result {
                error!(%error, "a delivery cannot be resumed: {error}");
            }
        }
    }

    /// The delivery with the `next_try` of the schedule.
    pub(super) fn scheduled(&self, delivery: Delivery) -> Result<Delivery> {
        if delivery.state.is_final() {
            return Ok(Delivery { next_try: None, ..delivery });
        }
        let Some(number) = self.archive.number(&delivery.object)? else { return Ok(delivery) };
        let next_try = self.schedule.lock().next_try(&delivery.object, number, delivery.next_try, self.clock.now());
        Ok(Delivery { next_try, ..delivery })
    }

    /// Schedules a delivery for now, and reopens it where it failed.
    pub(super) fn reopen(&self, before: Delivery) -> Result<Delivery> {
        let now = self.clock.now();
        let _lock = self.reopening.lock();
        // Another request may have reopened it already.
        let before = self.archive.delivery(&before.object)?.unwrap_or(before);
        if before.state == DeliveryState::Posted {
            return Ok(before);
        }
        let (Some(open), Some(number)) = (self.job(before.object.job)?, self.archive.number(&before.object)?) else {
            return Err(Error::not_found("Delivery"));
        };
        if before.state != DeliveryState::Failed {
            self.add(before.object.clone(), number, &open.destination, now);
            return Ok(Delivery { next_try: Some(now), ..before });
        }
        let delivery = Delivery { state: DeliveryState::Retrying, next_try: Some(now), since: Some(now), ..before };
        open.job.record_delivery(&delivery)?;
        self.add(delivery.object.clone(), number, &open.destination, now);
        Ok(delivery)
    }

    /// Sends the deliveries of a job to the current router of its video, which may have changed
    /// since the job started. For retries by a user.
    pub(super) fn reroute(&self, id: JobId) -> Result<()> {
        let current = self.archive.video(id.video)?.and_then(|v| v.router_url);
        let (Some(current), Some(open)) = (current, self.job(id)?) else { return Ok(()) };
        if current != open.url {
            open.job.set_router(&current)?;
            self.jobs.lock().reroute(id);
            if let Some(open) = self.job(id)? {
                self.schedule.lock().redirect(id, &open.destination);
                self.changed.notify_one();
            }
        }
        Ok(())
    }

    /// The open job of an object; `None` where its video has another job now, or it has no router.
    pub(super) fn job(&self, id: JobId) -> Result<Option<Arc<JobContext>>> {
        let reroutes = {
            let mut jobs = self.jobs.lock();
            if let Some(open) = jobs.get(id) {
                return Ok(Some(open));
            }
            jobs.reroutes
        };
        // Opening reads the job's logs, which takes long: it happens without the lock.
        let Some(job) = self.archive.job(id)? else { return Ok(None) };
        let written = match job.spec() {
            // The job was removed meanwhile.
            Err(_) if !self.archive.is_current(id)? => return Ok(None),
            written => written?,
        };
        let spec = JobSpec::parse(written)?;
        let (Some(url), Some(destination)) = (spec.router_url.clone(), destination(&spec)) else { return Ok(None) };
        let open = Arc::new(JobContext { job, spec, url, destination, warned: AtomicBool::new(false) });
        let mut jobs = self.jobs.lock();
        // Not cached if a job was redirected meanwhile: the next call reads the router again.
        if jobs.reroutes == reroutes {
            jobs.put(&open);
        }
        Ok(Some(open))
    }
}
