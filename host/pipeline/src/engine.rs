//! The queue's workers, and what a user can ask of jobs.
//!
//! Owns: which video is processed now, and the change from one status to the next. A status changes in the archive
//! before anyone is told. Ends with [`Engine::shutdown`], which leaves running jobs where the next start takes them up.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ocellus_core::{
    Clock, CpuLaps, Error, NetworkPolicy, ObjectId, ObjectType, Result, SettingsSchema, Stage, VideoId, VideoRecord, VideoStatus,
};
use ocellus_detect::{Detectors, Embedders};
use ocellus_media::{Decoding, Hardware, Input, Interrupt};
use ocellus_runtime::{PluginInfo, Plugins};
use ocellus_store::{Archive, Delivery, DeliveryQuery, Page};
use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tracing::{error, info, warn};

use crate::{
    identity,
    job::{self, Context, Ended, Failure, FailureKind},
    live::Live,
    outbox::{Deliveries, Outbox, OutboxConfig},
    plan::Plan,
    recording::{Kept, Recording},
    screenshot::{self, ScreenshotQuery},
    search::{self, Search, SearchQuery},
};

/// How long a job waits at its beginning to learn where its router is.
const RESOLVE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Jobs that run at the same time; at least 1.
    pub jobs: usize,
    /// Where `url` and `router_url` may lead.
    pub network: NetworkPolicy,
    pub outbox: OutboxConfig,
    /// Called when networks were let go of: gives back to the system what nobody uses.
    pub give_back: fn(),
    /// What decodes the videos of jobs.
    pub decoding: Decoding,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            jobs: 1,
            network: NetworkPolicy::default(),
            outbox: OutboxConfig::default(),
            give_back: || {},
            decoding: Decoding::default(),
        }
    }
}

/// Processes videos. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    archive: Archive,
    detectors: Detectors,
    embedders: Embedders,
    /// Held by the search that looks at its picture.
    looking: Mutex<()>,
    plugins: Plugins,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
    outbox: Outbox,
    /// Names are looked up here.
    tasks: tokio::runtime::Handle,
    /// Held while a video goes into the queue, out of it, or from it to a worker.
    queue: Mutex<()>,
    queued: Condvar,
    running: Mutex<HashMap<VideoId, Arc<Run>>>,
    ended: Condvar,
    shutting_down: AtomicBool,
    workers: Mutex<Vec<thread::JoinHandle<()>>>,
    schema: Mutex<Option<(Installed, Arc<SettingsSchema>)>>,
}

/// What a schema of settings was made for: the generation of the plugins, and whether the detectors are loaded.
type Installed = (u64, bool);

/// A job under way.
struct Run {
    interrupt: Interrupt,
    live: Arc<Live>,
}

/// What `GET /health/` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub version: &'static str,
    /// Where detectors run, which there are, and which folders are none.
    pub detectors: ocellus_detect::Report,
    /// What tells individuals apart.
    pub embedders: ocellus_detect::EmbedderReport,
    pub plugins: Vec<PluginInfo>,
    pub decoding: DecodingReport,
    pub jobs: Running,
    pub deliveries: Deliveries,
}

/// What decodes.
#[derive(Clone, Debug, Serialize)]
pub struct DecodingReport {
    /// What the operator asked for.
    pub choice: String,
    /// Devices at hand, in the order in which they are tried; software does what they do not.
    pub devices: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Running {
    pub running: usize,
    pub most: usize,
}

impl Engine {
    /// Takes up what an earlier server left undone, and starts the workers. Must be called within a tokio runtime.
    pub fn start(
        config: EngineConfig,
        archive: Archive,
        detectors: Detectors,
        embedders: Embedders,
        plugins: Plugins,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let tasks = tokio::runtime::Handle::current();
        let outbox = Outbox::start(archive.clone(), plugins.clone(), Arc::clone(&clock), config.outbox.clone(), config.network.clone())?;
        let engine = Self(Arc::new(Inner {
            archive,
            detectors,
            embedders,
            looking: Mutex::new(()),
            plugins,
            clock,
            config,
            outbox,
            tasks,
            queue: Mutex::new(()),
            queued: Condvar::new(),
            running: Mutex::default(),
            ended: Condvar::new(),
            shutting_down: AtomicBool::new(false),
            workers: Mutex::default(),
            schema: Mutex::default(),
        }));
        for id in engine.0.archive.unfinished()? {
            engine.0.archive.enqueue(id)?;
            info!(video = %id, "video {id} was cut off and goes on");
        }
        let mut workers = Vec::new();
        for n in 0..engine.0.config.jobs.max(1) {
            let inner = Arc::clone(&engine.0);
            workers.push(thread::Builder::new().name(format!("job-{n}")).spawn(move || inner.work()).map_err(Error::internal)?);
        }
        *engine.0.workers.lock() = workers;
        Ok(engine)
    }

    pub fn archive(&self) -> &Archive {
        &self.0.archive
    }

    /// For the object types and trackers that there are now.
    pub fn settings_schema(&self) -> Result<Arc<SettingsSchema>> {
        let installed = (self.0.plugins.generation(), self.0.detectors.are_loaded());
        let mut cached = self.0.schema.lock();
        if let Some((made_for, schema)) = &*cached
            && *made_for == installed
        {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(job::settings_schema(&self.0.detectors.types(), &self.0.plugins)?);
        *cached = Some((installed, Arc::clone(&schema)));
        Ok(schema)
    }

    /// Queues a video, clearing what an earlier job made. A video without a source gets the status for that; one that is
    /// queued or running is left alone.
    pub async fn process(&self, id: VideoId) -> Result<()> {
        self.blocking(move |inner| inner.process(id)).await
    }

    /// Ends the job of a video, if there is one; what it found so far is kept.
    pub async fn stop(&self, id: VideoId) -> Result<()> {
        self.blocking(move |inner| inner.stop(id)).await
    }

    /// Ends the job of a video and removes all that there is of it.
    pub async fn delete(&self, id: VideoId) -> Result<()> {
        self.blocking(move |inner| {
            inner.stop(id)?;
            inner.outbox.withdraw(id);
            inner.outbox.wait_withdrawn(id);
            if inner.archive.delete(id)? { Ok(()) } else { Err(Error::not_found("VideoArchive")) }
        })
        .await
    }

    /// Ends the job of a video and removes its source file; its objects stay.
    pub async fn delete_file(&self, id: VideoId) -> Result<()> {
        self.blocking(move |inner| {
            inner.stop(id)?;
            inner.archive.delete_source(id)?;
            Ok(())
        })
        .await
    }

    /// Tries a delivery now, whether it waits or was given up; how it stands.
    ///
    /// # Errors
    /// `NotFound` where there is no such delivery, `Conflict` where it came to a good end already.
    pub async fn retry_delivery(&self, object: ObjectId) -> Result<Delivery> {
        self.blocking(move |inner| inner.outbox.retry(&object)).await
    }

    /// Deliveries of a video's job, with the times at which they are really tried next.
    pub async fn deliveries(&self, id: VideoId, query: DeliveryQuery) -> Result<Page<Delivery>> {
        self.blocking(move |inner| {
            inner.video(id)?;
            inner.outbox.deliveries(id, &query)
        })
        .await
    }

    /// Tries all deliveries of a video that were given up; how many there are.
    pub async fn retry_deliveries(&self, id: VideoId) -> Result<u64> {
        self.blocking(move |inner| inner.outbox.retry_failed(id)).await
    }

    /// A record with the figures of its running job and of its deliveries laid over it.
    pub fn live(&self, mut record: VideoRecord) -> Result<VideoRecord> {
        // A record that says how its job ended is right, even while the worker is still tidying up.
        if record.status.is_active()
            && let Some(run) = self.0.running.lock().get(&record.id)
        {
            run.live.write_to(&mut record);
        }
        if let Some(statistic) = &mut record.statistic {
            statistic.set_deliveries(self.0.archive.tally(record.id)?.unwrap_or_default());
        }
        Ok(record)
    }

    /// A JPEG of the video. Without wishes it is taken from the archive where it was made before, unless `retake`.
    pub async fn screenshot(&self, id: VideoId, query: ScreenshotQuery, retake: bool) -> Result<Vec<u8>> {
        self.blocking(move |inner| {
            let video = inner.video(id)?;
            let cached = inner.archive.screenshot_path(id);
            let plain = query == ScreenshotQuery::default();
            if plain
                && !retake
                && let Ok(bytes) = std::fs::read(&cached)
            {
                return Ok(bytes);
            }
            let input = job::input(&inner.archive, &video, &inner.config.network)?;
            let bytes = screenshot::take(&input, &video.stream_settings, &query).map_err(|e| Error::not_found("Screenshot").because(e))?;
            if plain {
                inner.archive.save_screenshot(id, &bytes)?;
            }
            Ok(bytes)
        })
        .await
    }

    /// The objects that look most like what `picture` shows: JPEG, PNG, or whatever else FFmpeg reads a frame of.
    pub async fn search(&self, picture: Vec<u8>, query: SearchQuery) -> Result<Search> {
        self.blocking(move |inner| {
            if let Some(video) = query.video {
                inner.video(video)?;
            }
            let look = {
                // One picture at a time is in memory as pixels; the detectors take one at a time anyway.
                let _turn = inner.looking.lock();
                search::look(&inner.detectors, &inner.embedders, picture.into(), &query)?
            };
            look.find(&inner.archive, &inner.embedders, &query)
        })
        .await
    }

    /// Lets go of what was not used for a minute, and gives it back.
    pub fn tidy(&self) {
        self.0.make_room(&[]);
        (self.0.config.give_back)();
    }

    pub fn health(&self) -> Health {
        Health {
            version: env!("CARGO_PKG_VERSION"),
            detectors: self.0.detectors.report(),
            embedders: self.0.embedders.report(),
            plugins: self.0.plugins.list(),
            decoding: DecodingReport {
                choice: self.0.config.decoding.to_string(),
                devices: self.0.config.decoding.bring_up().unwrap_or_default().into_iter().map(Hardware::name).collect(),
            },
            jobs: Running { running: self.0.running.lock().len(), most: self.0.config.jobs.max(1) },
            deliveries: self.0.outbox.figures(),
        }
    }

    /// Where `url` and `router_url` may lead.
    pub fn network(&self) -> &NetworkPolicy {
        &self.0.config.network
    }

    /// What is installed.
    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    /// Interrupts running jobs and waits for them; the next start takes them up.
    pub async fn shutdown(&self) {
        let ended = self
            .blocking(|inner| {
                inner.shutting_down.store(true, Ordering::SeqCst);
                {
                    let _queue = inner.queue.lock();
                    inner.queued.notify_all();
                }
                for run in inner.running.lock().values() {
                    run.interrupt.raise();
                }
                for worker in inner.workers.lock().drain(..) {
                    if worker.join().is_err() {
                        error!("a worker panicked");
                    }
                }
                inner.outbox.shutdown();
                inner.archive.flush()?;
                Ok(())
            })
            .await;
        if let Err(error) = ended {
            error!(%error, "shutting down: {error}");
        }
    }

    async fn blocking<R: Send + 'static>(&self, f: impl FnOnce(&Arc<Inner>) -> Result<R> + Send + 'static) -> Result<R> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || f(&inner)).await.map_err(Error::internal)?
    }
}

impl Inner {
    fn video(&self, id: VideoId) -> Result<VideoRecord> {
        self.archive.video(id)?.ok_or_else(|| Error::not_found("VideoArchive"))
    }

    /// For a job that wants these types: networks that nobody uses go.
    fn make_room(&self, wanted: &[ObjectType]) -> bool {
        let detectors = self.detectors.make_room(wanted);
        self.embedders.make_room(wanted) || detectors
    }

    fn process(&self, id: VideoId) -> Result<()> {
        let queue = self.queue.lock();
        let video = self.video(id)?;
        if video.status.is_enabled() {
            return Ok(());
        }
        if !video.has_source() {
            self.archive.update(id, |v| {
                v.status = VideoStatus::NoSource;
                Ok(())
            })?;
            return Ok(());
        }
        let plan = serde_json::to_value(Plan::of(&video)).map_err(Error::internal)?;
        self.outbox.withdraw(id);
        if let Err(error) = self.archive.start_job(id, &plan) {
            self.outbox.take_up(id);
            return Err(error.into());
        }
        self.queued.notify_one();
        drop(queue);
        self.outbox.wait_withdrawn(id);
        Ok(())
    }

    fn stop(&self, id: VideoId) -> Result<()> {
        {
            let _queue = self.queue.lock();
            self.archive.update(id, |v| {
                if v.status.is_queued() {
                    v.status = VideoStatus::Disabled;
                }
                Ok(())
            })?;
        }
        let mut running = self.running.lock();
        if let Some(run) = running.get(&id).cloned() {
            run.interrupt.raise();
            // Another job of the same video may have begun by the time that we look.
            while running.get(&id).is_some_and(|r| Arc::ptr_eq(r, &run)) {
                self.ended.wait(&mut running);
            }
        }
        Ok(())
    }

    /// A worker's life.
    fn work(&self) {
        while let Some((video, run)) = self.next() {
            let id = video.id;
            if let Err(error) = self.run(video, &run) {
                error!(video = %id, %error, "video {id}: {error}");
            }
            self.running.lock().remove(&id);
            self.ended.notify_all();
        }
    }

    /// Waits for the next video in the queue and takes it; `None` at the end of the server.
    fn next(&self) -> Option<(VideoRecord, Arc<Run>)> {
        let mut queue = self.queue.lock();
        loop {
            if self.shutting_down.load(Ordering::SeqCst) {
                return None;
            }
            match self.take() {
                Ok(Some(taken)) => return Some(taken),
                Ok(None) => self.queued.wait(&mut queue),
                Err(error) => {
                    error!(%error, "the queue cannot be read: {error}");
                    // Nothing tells when a disk is well again.
                    self.queued.wait_for(&mut queue, Duration::from_secs(5));
                }
            }
        }
    }

    fn take(&self) -> Result<Option<(VideoRecord, Arc<Run>)>> {
        let Some(id) = self.archive.next_queued()? else { return Ok(None) };
        let now = self.clock.now();
        let (video, job_starts) = self.archive.update(id, |v| {
            v.status = VideoStatus::Starting;
            v.processing_start_date.get_or_insert(now);
            let statistic = v.statistic.get_or_insert_default();
            statistic.job_starts += 1;
            Ok(statistic.job_starts)
        })?;
        let run = Arc::new(Run { interrupt: Interrupt::new(), live: Arc::new(Live::new(job_starts)) });
        self.running.lock().insert(id, Arc::clone(&run));
        Ok(Some((video, run)))
    }

    fn run(&self, mut video: VideoRecord, run: &Run) -> Result<()> {
        let id = video.id;
        info!(video = %id, job = video.job, "video {id}: processing");
        let recording = Recording::begin(&self.archive, &video);
        let outcome = self.run_job(&video, run, recording.as_ref().ok().and_then(Option::as_ref));
        if self.shutting_down.load(Ordering::SeqCst) && matches!(outcome, Ok(Ended::Interrupted)) {
            info!(video = %id, "video {id}: left to go on with later");
            return Ok(());
        }
        let kept = recording.and_then(|r| r.map_or_else(|| Ok(Kept::default()), |r| r.keep(&self.archive))).unwrap_or_else(|error| {
            warn!(video = %id, %error, "video {id}: the recording is lost: {error}");
            Kept { problem: Some("The stream could not be recorded.".into()), ..Kept::default() }
        });
        if let Some(record) = kept.record {
            video = record;
        }
        let (status, finished, problem) = match outcome {
            Ok(Ended::EndOfSource) => (VideoStatus::Completed, true, kept.problem),
            Ok(Ended::Interrupted) => (VideoStatus::Disabled, false, None),
            Err(Failure { error, kind }) => {
                warn!(video = %id, %error, "video {id}: {error}");
                let status = match kind {
                    FailureKind::NotStarted => VideoStatus::NotStarted,
                    FailureKind::Interrupted => VideoStatus::Interrupted,
                    FailureKind::Misconfigured => VideoStatus::Misconfigured,
                };
                (status, true, Some(error.public().to_owned()))
            }
        };
        // What the job itself took is in already.
        let mut laps = CpuLaps::start(run.live.cpu());
        if status == VideoStatus::Completed
            && let Err(error) = job::input(&self.archive, &video, &self.config.network)
                .and_then(|input| screenshot::take(&input, &video.stream_settings, &ScreenshotQuery::default()))
                .and_then(|jpeg| Ok(self.archive.save_screenshot(id, &jpeg)?))
        {
            warn!(video = %id, %error, "video {id}: no screenshot: {error}");
        }
        laps.lap(Stage::Pictures);
        let clusters = if finished { self.clusters(id) } else { BTreeMap::new() };
        laps.lap(Stage::Other);
        let (video, ()) = self.archive.update(id, |v| {
            run.live.write_to(v);
            v.clusters.clone_from(&clusters);
            v.source_len = kept.length.or(v.source_len);
            (v.status, v.finished, v.error) = (status, finished, problem);
            Ok(())
        })?;
        info!(video = %id, ?status, objects = ?video.counts, "video {id}: {status:?}");
        Ok(())
    }

    /// Finds the individuals among a finished job's objects; how many there are of each type.
    fn clusters(&self, id: VideoId) -> BTreeMap<ObjectType, u64> {
        let found = self.archive.stored_job(id).map_err(Error::from).and_then(|stored| {
            let clusters = identity::clusters(&stored, &self.embedders)?;
            if let Some(job) = self.archive.job(stored.id())? {
                job.save_clusters(&clusters)?;
            }
            Ok(clusters)
        });
        let mut counts = BTreeMap::new();
        match found {
            Ok(clusters) => clusters.into_iter().for_each(|c| *counts.entry(c.id.object_type).or_default() += 1),
            Err(error) => error!(video = %id, %error, "video {id}: its individuals cannot be told apart: {error}"),
        }
        counts
    }

    fn run_job(&self, video: &VideoRecord, run: &Run, recording: Option<&Recording>) -> Result<Ended, Failure> {
        let not_started = |error: Error| Failure { error, kind: FailureKind::NotStarted };
        let job_id = ocellus_core::JobId { video: video.id, number: video.job };
        let job = self
            .archive
            .job(job_id)
            .map_err(Error::from)
            .and_then(|j| j.ok_or_else(|| Error::internal(format!("job {job_id} has no folder"))))
            .map_err(not_started)?;
        let input = job::input(&self.archive, video, &self.config.network).map_err(not_started)?;
        let input = Input { decoding: self.config.decoding, ..input };

        if let Some(url) = &video.router_url {
            self.check_router(url).map_err(|error| Failure { error, kind: FailureKind::Misconfigured })?;
        }

        if !self.detectors.wait_unless(|| run.interrupt.is_raised()) {
            return Ok(Ended::Interrupted);
        }
        let wanted: Vec<ObjectType> = video.stream_settings.active().map(|(t, _)| t.clone()).collect();
        if self.make_room(&wanted) {
            (self.config.give_back)();
        }

        let context = Context {
            job: &job,
            video,
            input,
            detectors: &self.detectors,
            embedders: &self.embedders,
            plugins: &self.plugins,
            clock: &*self.clock,
            interrupt: &run.interrupt,
            live: &run.live,
            recording,
            outbox: video.router_url.is_some().then_some(&self.outbox),
        };
        // A panic would be a fault of ours; it must not take the worker with it.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job::run(&context, || self.shutting_down.load(Ordering::SeqCst))))
            .unwrap_or_else(|_| Err(Failure { error: Error::internal("the job panicked"), kind: FailureKind::Interrupted }))
    }

    /// A router that may not be talked to is told before the job begins; one that cannot be found yet is not.
    fn check_router(&self, url: &str) -> Result<()> {
        let check = ocellus_media::check_target(&self.config.network, url);
        match self.tasks.block_on(async { tokio::time::timeout(RESOLVE, check).await }) {
            Ok(Err(refused)) => Err(Error::bad_param("router_url", refused.to_string())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}
