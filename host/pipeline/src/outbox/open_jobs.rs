//! Jobs that are kept open for their next object, and where their objects go.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
};

use ocellus_core::{JobId, Result, VideoId};
use ocellus_store::Job;

use super::{Inner, schedule::Destination};
use crate::job_spec::JobSpec;

/// Jobs that are kept open.
const OPEN_JOBS: usize = 16;

/// A job whose objects are delivered.
pub(super) struct JobContext {
    pub(super) job: Job,
    pub(super) spec: JobSpec,
    pub(super) url: String,
    pub(super) destination: Destination,
    /// Somebody was told that an object of it could not be delivered; the API has the others.
    pub(super) warned: AtomicBool,
}

/// Jobs that are kept open, the last used first.
#[derive(Default)]
pub(super) struct OpenJobs {
    open: VecDeque<Arc<JobContext>>,
    /// How often one was sent somewhere else.
    readdressed: u64,
}

impl OpenJobs {
    fn get(&mut self, id: JobId) -> Option<Arc<JobContext>> {
        let place = self.open.iter().position(|open| open.job.id() == id)?;
        let open = self.open.remove(place)?;
        self.open.push_front(Arc::clone(&open));
        Some(open)
    }

    fn put(&mut self, open: &Arc<JobContext>) {
        if self.get(open.job.id()).is_none() {
            self.open.truncate(OPEN_JOBS - 1);
            self.open.push_front(Arc::clone(open));
        }
    }

    fn readdress(&mut self, id: JobId) {
        self.open.retain(|open| open.job.id() != id);
        self.readdressed += 1;
    }

    /// Lets go of the jobs of a video.
    pub(super) fn withdraw(&mut self, video: VideoId) {
        self.open.retain(|open| open.job.id().video != video);
    }
}

impl Inner {
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

/// Scheme, host and port of the router, and whether it has to prove who it is: one job may reach
/// what another may not.
pub(super) fn destination(spec: &JobSpec) -> Option<Destination> {
    let origin = reqwest::Url::parse(spec.router_url.as_ref()?).ok()?.origin().ascii_serialization();
    let trusted = if spec.stream_settings.router_verify_ssl { "" } else { " (certificate not verified)" };
    Some(format!("{origin}{trusted}").into())
}
