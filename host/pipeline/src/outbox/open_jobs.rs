//! LRU cache of open jobs, with the destinations of their objects.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
};

use ocellus_core::{JobId, VideoId};
use ocellus_store::Job;

use super::schedule::Destination;
use crate::job_spec::JobSpec;

/// Greatest number of jobs in the cache; each keeps its files open.
const OPEN_JOBS: usize = 16;

/// A job whose objects are delivered.
pub(super) struct JobContext {
    pub(super) job: Job,
    pub(super) spec: JobSpec,
    pub(super) url: String,
    pub(super) destination: Destination,
    /// Whether a failed delivery of the job was logged. Only the first is; the API lists all.
    pub(super) warned: AtomicBool,
}

/// Open jobs, the most recently used first.
#[derive(Default)]
pub(super) struct OpenJobs {
    open: VecDeque<Arc<JobContext>>,
    /// Number of calls of `reroute`.
    pub(super) reroutes: u64,
}

impl OpenJobs {
    pub(super) fn get(&mut self, id: JobId) -> Option<Arc<JobContext>> {
        let index = self.open.iter().position(|open| open.job.id() == id)?;
        let open = self.open.remove(index)?;
        self.open.push_front(Arc::clone(&open));
        Some(open)
    }

    pub(super) fn put(&mut self, open: &Arc<JobContext>) {
        if self.get(open.job.id()).is_none() {
            self.open.truncate(OPEN_JOBS - 1);
            self.open.push_front(Arc::clone(open));
        }
    }

    /// Drops a job whose router was changed; the next use reads it again.
    pub(super) fn reroute(&mut self, id: JobId) {
        self.open.retain(|open| open.job.id() != id);
        self.reroutes += 1;
    }

    /// Drops the jobs of a video.
    pub(super) fn withdraw(&mut self, video: VideoId) {
        self.open.retain(|open| open.job.id().video != video);
    }
}

/// Destination of a job: scheme, host and port of its router. Jobs that do not verify the router's
/// certificate have a separate one: they may reach a router that the others cannot.
pub(super) fn destination(spec: &JobSpec) -> Option<Destination> {
    let origin = reqwest::Url::parse(spec.router_url.as_ref()?).ok()?.origin().ascii_serialization();
    let suffix = if spec.stream_settings.router_verify_ssl { "" } else { " (certificate not verified)" };
    Some(format!("{origin}{suffix}").into())
}
