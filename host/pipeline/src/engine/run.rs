//! Run of a job: from the queue to its final state.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ocellus_core::{CpuLaps, Error, JobId, ObjectType, Result, Stage, VideoRecord, VideoStatus};
use ocellus_media::Input;
use ocellus_store::{Job, StoreError};
use tracing::{error, info, warn};

use super::{
    contained::contained,
    ending::FinalState,
    jobs::{Run, Taken},
    state::Inner,
    workers::{Done, Work},
};
use crate::{
    identity,
    job::{self, Context, Failure, FailureKind, JobOutcome},
    job_spec::JobSpec,
    recording::{Recording, RecordingResult},
    screenshot::{self, ScreenshotQuery},
    source,
};

/// Greatest time that a job waits at its start for the name of its router to be resolved.
const RESOLVE: Duration = Duration::from_secs(2);

impl Work for Inner {
    fn run(&self, taken: &Taken) -> Done {
        let id = taken.id;
        match self.begin(taken) {
            Ok(Some(video)) => {
                info!(video = %id, job = video.job, "video {id}: processing");
                match self.process_to_end(video, taken) {
                    Some(ending) => self.end_run(taken, ending),
                    None => info!(video = %id, "video {id}: suspended, the next start resumes it"),
                }
                Done::Finished
            }
            Ok(None) => Done::Finished,
            Err(error @ (StoreError::Damaged { .. } | StoreError::NoVideo(_))) => {
                error!(video = %id, %error, "video {id} is skipped in the queue: {error}");
                Done::Finished
            }
            Err(error) => {
                if taken.failures == 0 {
                    warn!(video = %id, %error, "video {id} cannot begin yet: {error}");
                }
                Done::Postponed
            }
        }
    }

    fn give_up(&self, taken: &Taken, error: Error) -> Done {
        let run = &taken.handle;
        let Some(job) = *run.job.lock() else {
            error!(video = %taken.id, %error, "video {} cannot begin yet: {error}", taken.id);
            return Done::Postponed;
        };
        let status = if run.progress.has_frames() { VideoStatus::Interrupted } else { VideoStatus::NotStarted };
        let sentence = Some(error.public().to_owned());
        self.end_run(taken, final_state(job, run, status, sentence));
        error!(video = %taken.id, %error, "video {}: {error}", taken.id);
        Done::Finished
    }
}

/// Final state of a job, without identities.
fn final_state(job: JobId, run: &Arc<Run>, status: VideoStatus, error: Option<String>) -> FinalState {
    let finished = status != VideoStatus::Disabled;
    FinalState { job, run: Arc::clone(run), status, finished, error, clusters: BTreeMap::new(), source_len: None }
}

impl Inner {
    /// Publishes the final state of a run. The run is marked as ended first: a client that sees the
    /// state may request the next job at once, and must not get the error that one is running.
    fn end_run(&self, taken: &Taken, ending: FinalState) {
        self.jobs.is_over(taken.id, taken.run);
        self.totals.add(&taken.handle, ending.status);
        self.endings.put(ending);
    }

    /// Moves the record to STARTING; `None` where the video was disabled meanwhile.
    fn begin(&self, taken: &Taken) -> Result<Option<VideoRecord>, StoreError> {
        let (now, run) = (self.clock.now(), &taken.handle);
        let (video, wanted) = self.archive.update(taken.id, |v| {
            if !v.status.is_enabled() {
                return Ok(false);
            }
            // An interrupted job is still active if the server's start could not write AWAITING.
            if v.status.is_queued() {
                v.move_to(VideoStatus::Starting)?;
            }
            v.processing_start_date.get_or_insert(now);
            let statistic = v.statistic.get_or_insert_default();
            statistic.job_starts += 1;
            // Before the record is active: from then on the run's progress is shown instead.
            run.progress.update(|s| s.job_starts = statistic.job_starts);
            Ok(true)
        })?;
        *run.job.lock() = Some(JobId { video: taken.id, number: video.job });
        Ok(wanted.then_some(video))
    }

    /// Runs the job of a video that has begun. `None` where a shutdown interrupted it.
    fn process_to_end(&self, video: VideoRecord, taken: &Taken) -> Option<FinalState> {
        let (id, run) = (video.id, &taken.handle);
        let job_id = JobId { video: id, number: video.job };
        let (job, spec) = match self.open(job_id) {
            Ok(opened) => opened,
            Err(error) => {
                warn!(video = %id, %error, "video {id}: {error}");
                return Some(final_state(job_id, run, VideoStatus::NotStarted, Some(error.public().to_owned())));
            }
        };
        run.progress.set_counts(job.counts());
        let mut video = spec.over(video);
        let recording = contained("the recording", || Recording::begin(&self.archive, &video));
        let outcome = contained("the job", || {
            Ok(self.run_job(&video, &spec, &job, taken, recording.as_ref().ok().and_then(Option::as_ref)))
        })
        .unwrap_or_else(|error| {
            let kind = if run.progress.has_frames() { FailureKind::Interrupted } else { FailureKind::NotStarted };
            Err(Failure { error, kind })
        });
        if matches!(outcome, Ok(JobOutcome::Interrupted)) && self.jobs.is_suspended(id, taken.run) {
            return None;
        }
        let keep = |recording: Option<Recording>| {
            recording.map_or_else(|| Ok(RecordingResult::default()), |r| r.keep(&self.archive))
        };
        let kept = recording.and_then(|r| contained("the recording", || keep(r))).unwrap_or_else(|error| {
            warn!(video = %id, %error, "video {id}: the recording is lost: {error}");
            RecordingResult { problem: Some("The stream could not be recorded.".into()), ..RecordingResult::default() }
        });
        if let Some(record) = kept.record {
            video.file_size = record.file_size;
        }
        // A job that had to restart has another number by now.
        let job_id = run.job.lock().unwrap_or(job_id);
        let mut ending = match outcome {
            Ok(JobOutcome::EndOfSource) => final_state(job_id, run, VideoStatus::Completed, kept.problem),
            Ok(JobOutcome::Interrupted) => final_state(job_id, run, VideoStatus::Disabled, None),
            Err(Failure { error, kind }) => {
                warn!(video = %id, %error, "video {id}: {error}");
                let status = match kind {
                    FailureKind::NotStarted => VideoStatus::NotStarted,
                    FailureKind::Interrupted => VideoStatus::Interrupted,
                    FailureKind::Misconfigured => VideoStatus::Misconfigured,
                };
                final_state(job_id, run, status, Some(error.public().to_owned()))
            }
        };
        ending.source_len = kept.length;
        // The CPU time of the job itself is counted already.
        let mut laps = CpuLaps::start(run.progress.cpu());
        if ending.status == VideoStatus::Completed
            && let Err(error) = contained("the screenshot", || self.keep_screenshot(&video, run))
        {
            warn!(video = %id, %error, "video {id}: no screenshot: {error}");
        }
        laps.lap(Stage::Pictures);
        if ending.finished {
            match contained("grouping identities", || self.clusters(job_id)) {
                Ok(clusters) => ending.clusters = clusters,
                Err(error) => {
                    error!(video = %id, %error, "video {id}: grouping its objects into identities failed: {error}");
                    ending.error.get_or_insert_with(|| {
                        "Grouping objects into identities failed; the server's log says why.".into()
                    });
                }
            }
        }
        laps.lap(Stage::Other);
        Some(ending)
    }

    /// Opens a job, and reads its spec.
    fn open(&self, id: JobId) -> Result<(Job, JobSpec)> {
        let job = self.archive.job(id)?.ok_or_else(|| Error::internal(format!("job {id} has no folder")))?;
        let spec = JobSpec::read(&job)?;
        Ok((job, spec))
    }

    fn run_job(
        &self,
        video: &VideoRecord,
        spec: &JobSpec,
        job: &Job,
        taken: &Taken,
        recording: Option<&Recording>,
    ) -> Result<JobOutcome, Failure> {
        let run = &taken.handle;
        let input = source::input(&self.archive, video, &self.config.network).map_err(Failure::not_started)?;
        let input = Input { decoding: self.config.decoding, ..input };

        if let Some(url) = &spec.router_url {
            self.check_router(url).map_err(Failure::misconfigured)?;
        }

        if !self.detectors.wait_unless(|| run.interrupt.is_raised()) {
            return Ok(JobOutcome::Interrupted);
        }
        let wanted: Vec<ObjectType> = spec.stream_settings.active().map(|(t, _)| t.clone()).collect();
        if self.make_room(&wanted) {
            (self.config.give_back)();
        }

        let context = Context {
            job,
            spec,
            archive: &self.archive,
            restarted: &|job| *run.job.lock() = Some(job),
            input,
            detectors: &self.detectors,
            embedders: &self.embedders,
            classifiers: &self.classifiers,
            plugins: &self.plugins,
            clock: &*self.clock,
            interrupt: &run.interrupt,
            progress: &run.progress,
            recording,
            outbox: spec.router_url.is_some().then_some(&self.outbox),
        };
        job::run(&context, || self.jobs.is_suspended(taken.id, taken.run))
    }

    /// Refuses a router that the network policy forbids. One whose name cannot be resolved yet
    /// passes.
    fn check_router(&self, url: &str) -> Result<()> {
        let check = ocellus_media::check_target(&self.config.network, url);
        match self.tasks.block_on(async { tokio::time::timeout(RESOLVE, check).await }) {
            Ok(Err(refused)) => Err(Error::bad_param("router_url", refused.to_string())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    fn keep_screenshot(&self, video: &VideoRecord, run: &Run) -> Result<()> {
        let input = source::input(&self.archive, video, &self.config.network)?;
        let jpeg = screenshot::take(&input, &video.stream_settings, &ScreenshotQuery::default(), &run.interrupt)?;
        Ok(self.archive.save_screenshot(video, &jpeg)?)
    }

    /// Clusters a finished job's objects into identities; returns their number by type.
    fn clusters(&self, id: JobId) -> Result<BTreeMap<ObjectType, u64>> {
        let stored = self.archive.stored_job(id.video)?;
        let clusters = identity::clusters(&stored, &self.embedders)?;
        if let Some(job) = self.archive.job(id)? {
            // Damaged corrections do not end a job: they are as none.
            if self.archive.corrections(id.video).is_ok_and(|corrections| !corrections.is_empty()) {
                let mut embeddings = stored.embeddings()?;
                let clustered: HashSet<_> = clusters.iter().flat_map(|cluster| &cluster.objects).collect();
                embeddings.retain(|embedding| clustered.contains(&embedding.object));
                job.refit_corrections(|change| identity::refit(change, &embeddings, &self.embedders))?;
            }
            job.save_clusters(&clusters)?;
        }
        let mut counts = BTreeMap::new();
        clusters.into_iter().for_each(|c| *counts.entry(c.id.object_type).or_default() += 1);
        Ok(counts)
    }
}
