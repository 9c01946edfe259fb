//! Cache of open jobs, with the destinations of their objects.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
};

use ocellus_core::{JobId, VideoId};
use ocellus_store::Job;

use super::schedule::Destination;
use crate::job_spec::JobSpec;

/// The most jobs that are kept open.
const OPEN_JOBS: usize = 16;

/// A job whose objects are delivered.
pub(super) struct JobContext {
    pub(super) job: Job,
    pub(super) spec: JobSpec,
    pub(super) url: String,
    pub(super) destination: Destination,
    /// The failure of one of its deliveries was logged; the API lists the others.
    pub(super) warned: AtomicBool,
}

/// Jobs that are kept open, the last used first.
#[derive(Default)]
pub(super) struct OpenJobs {
    open: VecDeque<Arc<JobContext>>,
    /// Counts the changes of routers.
    pub(super) readdressed: u64,
}

impl OpenJobs {
    pub(super) fn get(&mut self, id: JobId) -> Option<Arc<JobContext>> {
        let place = self.open.iter().position(|open| open.job.id() == id)?;
        let open = self.open.remove(place)?;
        self.open.push_front(Arc::clone(&open));
        Some(open)
    }

    pub(super) fn put(&mut self, open: &Arc<JobContext>) {
        if self.get(open.job.id()).is_none() {
            self.open.truncate(OPEN_JOBS - 1);
            self.open.push_front(Arc::clone(open));
        }
    }

    pub(super) fn readdress(&mut self, id: JobId) {
        self.open.retain(|open| open.job.id() != id);
        self.readdressed += 1;
    }

    /// Closes the jobs of a video.
    pub(super) fn withdraw(&mut self, video: VideoId) {
        self.open.retain(|open| open.job.id().video != video);
    }
}

/// Scheme, host and port of the router, and whether its certificate is verified: a router may be
/// reachable without verification only.
pub(super) fn destination(spec: &JobSpec) -> Option<Destination> {
    let origin = reqwest::Url::parse(spec.router_url.as_ref()?).ok()?.origin().ascii_serialization();
    let trusted = if spec.stream_settings.router_verify_ssl { "" } else { " (certificate not verified)" };
    Some(format!("{origin}{trusted}").into())
}
