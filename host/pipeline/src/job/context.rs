//! Context of a job: its resources, and its kinds of failure.

use ocellus_core::{Clock, Error, JobId};
use ocellus_detect::{AttributeClassifiers, Detectors, Embedders};
use ocellus_media::{Input, Interrupt};
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, Job};

use crate::{job_spec::JobSpec, outbox::Outbox, progress::Progress, recording::Recording};

/// Everything that a job uses.
pub(crate) struct Context<'a> {
    pub job: &'a Job,
    pub spec: &'a JobSpec,
    pub archive: &'a Archive,
    /// Called with the new number of a job that has to restart.
    pub restarted: &'a (dyn Fn(JobId) + Sync),
    pub input: Input,
    pub detectors: &'a Detectors,
    pub embedders: &'a Embedders,
    pub classifiers: &'a AttributeClassifiers,
    pub plugins: &'a Plugins,
    pub clock: &'a dyn Clock,
    pub interrupt: &'a Interrupt,
    pub progress: &'a Progress,
    /// Records the source, if the settings require it.
    pub recording: Option<&'a Recording>,
    /// Delivers new objects; `None` without a router.
    pub outbox: Option<&'a Outbox>,
}

/// Failure of a job, with its kind, which determines the job's status.
pub(crate) struct Failure {
    pub error: Error,
    pub kind: FailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Before the first frame.
    NotStarted,
    /// After frames had been processed.
    Interrupted,
    /// The settings cannot be applied.
    Misconfigured,
}

impl Failure {
    pub(crate) fn not_started(error: impl Into<Error>) -> Self {
        Self { error: error.into(), kind: FailureKind::NotStarted }
    }

    pub(crate) fn interrupted(error: impl Into<Error>) -> Self {
        Self { error: error.into(), kind: FailureKind::Interrupted }
    }

    pub(crate) fn misconfigured(error: impl Into<Error>) -> Self {
        Self { error: error.into(), kind: FailureKind::Misconfigured }
    }
}
