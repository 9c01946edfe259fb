//! State of the outbox, shared by those who add objects and those who deliver them.

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
    /// What came of attempts that could not be written down yet: they are not made again for that.
    pub(super) unwritten: Mutex<HashMap<ObjectId, Delivery>>,
    /// Held by who takes failed deliveries up again.
    pub(super) reviving: Mutex<()>,
    pub(super) schedule: Mutex<Schedule>,
    /// Something came that may be due now.
    pub(super) changed: Notify,
    /// An attempt ended.
    pub(super) settled: Condvar,
    /// Nothing more is begun.
    pub(super) closing: CancellationToken,
    /// What is under way ends where it is.
    pub(super) halted: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// One with and one without the proof that a TLS server is who it says.
pub(super) struct Clients {
    pub(super) verifying: reqwest::Client,
    pub(super) trusting: reqwest::Client,
}

impl Inner {
    /// Schedules an object of a job that goes there.
    pub(super) fn add(&self, object: ObjectId, number: u32, destination: &Destination, due: Timestamp) {
        self.schedule.lock().add(object, number, destination, due);
        self.changed.notify_one();
    }

    /// Puts what the archive holds undelivered into the schedule, of one video or of all.
    pub(super) fn take_up(&self, video: Option<VideoId>) {
        let mut job: Option<(JobId, Option<Destination>)> = None;
        let undelivered = self.archive.undelivered(video).unwrap_or_else(|error| {
            error!(%error, "which deliveries are to be taken up cannot be read: {error}");
            Vec::new()
        });
        for (object, number) in undelivered {
            if self.closing.is_cancelled() {
                return;
            }
            let taken = (|| -> Result<()> {
                if job.as_ref().is_none_or(|(id, _)| *id != object.job) {
                    // Said once where it cannot be read.
                    job = Some((object.job, None));
                    // Only read: what there is to deliver may be of a hundred thousand videos.
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
            if let Err(error) = taken {
                error!(%error, "a delivery cannot be taken up: {error}");
            }
        }
    }

    /// A delivery with the time at which it is really tried next.
    pub(super) fn scheduled(&self, delivery: Delivery) -> Result<Delivery> {
        if delivery.state.is_final() {
            return Ok(Delivery { next_try: None, ..delivery });
        }
        let Some(number) = self.archive.number(&delivery.object)? else { return Ok(delivery) };
        let next_try = self.schedule.lock().next_try(&delivery.object, number, delivery.next_try, self.clock.now());
        Ok(Delivery { next_try, ..delivery })
    }

    pub(super) fn revive(&self, before: Delivery) -> Result<Delivery> {
        let now = self.clock.now();
        let _turn = self.reviving.lock();
        // Another request may have been faster.
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

    /// Deliveries that a user takes up again go to where the video says now, and with them all
    /// others of its job.
    pub(super) fn readdress(&self, id: JobId) -> Result<()> {
        let wanted = self.archive.video(id.video)?.and_then(|v| v.router_url);
        let (Some(wanted), Some(open)) = (wanted, self.job(id)?) else { return Ok(()) };
        if wanted != open.url {
            open.job.set_router(&wanted)?;
            self.jobs.lock().readdress(id);
            if let Some(open) = self.job(id)? {
                self.schedule.lock().redirect(id, &open.destination);
                self.changed.notify_one();
            }
        }
        Ok(())
    }

    /// The job of an object, open; `None` where it is its video's no more, or has no router.
    pub(super) fn job(&self, id: JobId) -> Result<Option<Arc<JobContext>>> {
        let readdressed = {
            let mut jobs = self.jobs.lock();
            if let Some(open) = jobs.get(id) {
                return Ok(Some(open));
            }
            jobs.readdressed
        };
        // Reads the job's logs: nobody else has to wait for that.
        let Some(job) = self.archive.job(id)? else { return Ok(None) };
        let written = match job.spec() {
            // Removed meanwhile.
            Err(_) if !self.archive.is_current(id)? => return Ok(None),
            written => written?,
        };
        let spec = JobSpec::parse(written)?;
        let (Some(url), Some(destination)) = (spec.router_url.clone(), destination(&spec)) else { return Ok(None) };
        let open = Arc::new(JobContext { job, spec, url, destination, warned: AtomicBool::new(false) });
        let mut jobs = self.jobs.lock();
        // The next one who asks reads where it goes by now.
        if jobs.readdressed == readdressed {
            jobs.put(&open);
        }
        Ok(Some(open))
    }
}
