//! Job engine: what the API asks of jobs.
//!
//! Owns: which video is processed now, and the change from one status to the next
//! (`VideoStatus::may_move_to`). A status changes in the archive before anyone is told, but for the
//! end of a job that cannot be written down ([`ending`]). Nothing waits under the queue's lock
//! ([`jobs`]); what blocks for long has threads of its own ([`pool`]). Ends with
//! [`Engine::shutdown`], which leaves running jobs where the next start takes them up.

mod changes;
mod contained;
mod ending;
mod health;
mod jobs;
mod look;
mod pool;
mod queue;
mod run;
mod workers;

use std::{sync::Arc, thread, time::Duration};

use futures_util::future::join_all;
use ocellus_core::{
    Clock, Error, ErrorKind, NetworkPolicy, ObjectId, ObjectType, Result, SettingsSchema, VideoId, VideoRecord,
};
use ocellus_detect::{Detectors, Embedders};
use ocellus_media::Decoding;
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, Delivery, DeliveryQuery, Page};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use self::health::{DecodingReport, Health, Running};
use self::{
    ending::Endings,
    jobs::{Claim, Jobs},
    pool::Pool,
    queue::Wish,
};
use crate::{
    job,
    outbox::{Outbox, OutboxConfig},
};

/// Requests that change the queue, at once: each writes a few small files.
const CHANGES: u32 = 8;
/// Removals at once, of thousands of files each.
const REMOVALS: u32 = 4;
/// Screenshots at once: each decodes, and a URL may be silent for half a minute.
const SCREENSHOTS: u32 = 4;
const WAITING_SCREENSHOTS: usize = 64;
/// One compares while the other looks at its picture.
const SEARCHES: u32 = 2;
/// Each has its picture in memory.
const WAITING_SEARCHES: usize = 16;
/// Each keeps a core busy, for a minute where the log is of a day.
const REPLAYS: u32 = 2;
const WAITING_REPLAYS: usize = 64;
/// For the work of requests, once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);

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
    jobs: Arc<Jobs>,
    endings: Arc<Endings>,
    changes: Pool,
    removals: Pool,
    screenshots: Pool,
    searches: Pool,
    replays: Pool,
    /// Requests that wait are refused, and nothing is begun.
    closing: CancellationToken,
    threads: Mutex<Threads>,
    schema: Mutex<Option<(Installed, Arc<SettingsSchema>)>>,
}

#[derive(Default)]
struct Threads {
    workers: Vec<thread::JoinHandle<()>>,
    /// Tries to write down what could not be.
    endings: Option<thread::JoinHandle<()>>,
}

/// What a schema of settings was made for: the generation of the plugins, and whether the detectors
/// are loaded.
type Installed = (u64, bool);

impl Engine {
    /// Takes up what an earlier server left undone, and starts the workers; what is damaged is
    /// named in the log. Must be called within a tokio runtime.
    pub fn start(
        config: EngineConfig,
        archive: Archive,
        detectors: Detectors,
        embedders: Embedders,
        plugins: Plugins,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let tasks = tokio::runtime::Handle::current();
        let outbox = Outbox::start(
            archive.clone(),
            plugins.clone(),
            Arc::clone(&clock),
            config.outbox.clone(),
            config.network.clone(),
        )?;
        let closing = CancellationToken::new();
        let pool = |name, threads, waiting| Pool::new(name, threads, waiting, closing.clone());
        let inner = Arc::new(Inner {
            detectors,
            embedders,
            looking: Mutex::new(()),
            plugins,
            config,
            outbox,
            tasks,
            jobs: Jobs::new(Arc::clone(&clock)),
            endings: Endings::new(archive.clone(), Arc::clone(&clock)),
            // These wait without a limit but that of connections: none takes long.
            changes: pool("changes", CHANGES, usize::MAX),
            removals: pool("removals", REMOVALS, usize::MAX),
            screenshots: pool("screenshots", SCREENSHOTS, WAITING_SCREENSHOTS),
            searches: pool("searches", SEARCHES, WAITING_SEARCHES),
            replays: pool("replays", REPLAYS, WAITING_REPLAYS),
            closing,
            threads: Mutex::default(),
            schema: Mutex::default(),
            archive,
            clock,
        });
        inner.take_up();
        let workers = workers::spawn(inner.config.jobs.max(1), &inner.jobs, &inner).map_err(Error::internal)?;
        let endings = Arc::clone(&inner.endings);
        let trying = thread::Builder::new()
            .name("endings".into())
            .spawn(move || endings.keep_trying())
            .map_err(Error::internal)?;
        *inner.threads.lock() = Threads { workers, endings: Some(trying) };
        Ok(Self(inner))
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

    /// Queues a video, clearing what an earlier job made. A video without a source gets the status
    /// for that; one that is queued or running is left alone.
    pub async fn process(&self, id: VideoId) -> Result<()> {
        let Some(claim) = self.0.jobs.claim(id, Wish::Begin).await? else { return Ok(()) };
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.queue(claim)).await
    }

    /// Ends the job of a video, if there is one; what it found so far is kept.
    pub async fn stop(&self, id: VideoId) -> Result<()> {
        let claim = self.end(id).await?;
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.let_rest(claim)).await
    }

    /// Ends the job of a video and removes all that there is of it.
    pub async fn delete(&self, id: VideoId) -> Result<()> {
        let claim = self.end(id).await?;
        let inner = Arc::clone(&self.0);
        self.0.removals.run(move || inner.delete(claim)).await
    }

    /// Ends the job of a video and removes its source file; its objects stay.
    pub async fn delete_file(&self, id: VideoId) -> Result<()> {
        let claim = self.end(id).await?;
        let inner = Arc::clone(&self.0);
        self.0.removals.run(move || inner.delete_file(claim)).await
    }

    /// Holds a video that neither waits nor runs from then on.
    async fn end(&self, id: VideoId) -> Result<Claim> {
        self.0
            .jobs
            .claim(id, Wish::End)
            .await?
            .ok_or_else(|| Error::internal(format!("video {id} was not to be queued")))
    }

    /// Tries a delivery now, whether it waits or was given up; how it stands.
    ///
    /// # Errors
    /// `NotFound` where there is no such delivery, `Conflict` where it came to a good end already.
    pub async fn retry_delivery(&self, object: ObjectId) -> Result<Delivery> {
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.outbox.retry(&object)).await
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
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.outbox.retry_failed(id)).await
    }

    /// A record with the figures of its job and of its deliveries laid over it, and how the job
    /// ended where that could not be written down yet. Reads the disk.
    pub fn live(&self, mut record: VideoRecord) -> Result<VideoRecord> {
        let inner = &self.0;
        // A record that says how its job ended is right, even while the worker is still tidying up.
        if record.status.is_active()
            && !inner.endings.lay_over(&mut record)
            && let Some(run) = inner.jobs.run(record.id)
        {
            run.progress.write_to(&mut record);
        }
        if let Some(statistic) = &mut record.statistic {
            statistic.objects = inner.archive.tally(record.id)?.unwrap_or_default();
        }
        Ok(record)
    }

    /// The record of a video once it says how its last job ended. Blocks.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` where the end of its job cannot be written down now.
    pub fn settled(&self, id: VideoId) -> Result<VideoRecord> {
        self.0.endings.settle(id)?;
        self.0.video(id)
    }

    /// Lets go of what was not used for a minute, and gives it back.
    pub fn tidy(&self) {
        self.0.make_room(&[]);
        (self.0.config.give_back)();
    }

    /// Where `url` and `router_url` may lead.
    pub fn network(&self) -> &NetworkPolicy {
        &self.0.config.network
    }

    /// What is installed.
    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    /// Interrupts running jobs, and refuses requests that wait or come from now on. Returns at
    /// once.
    pub fn close(&self) {
        self.0.closing.cancel();
        self.0.jobs.close();
    }

    /// Ends jobs, requests and deliveries and waits for their ends; the next start takes up what is
    /// left undone.
    pub async fn shutdown(&self) {
        self.close();
        let inner = Arc::clone(&self.0);
        let (done, ended) = oneshot::channel();
        // The runtime's own threads may be at work for whatever requests there are.
        let end = move || {
            inner.end();
            // The archive closes with the last who has it: not this thread.
            drop(inner);
            let _ = done.send(());
        };
        let ending = thread::Builder::new().name("shutdown".into()).spawn(end);
        let pools = [&self.0.changes, &self.0.removals, &self.0.screenshots, &self.0.searches, &self.0.replays];
        if tokio::time::timeout(GRACE, join_all(pools.map(Pool::drained))).await.is_err() {
            warn!("requests that are still at work after {} s are dropped", GRACE.as_secs());
        }
        match ending {
            Ok(_) => {
                if ended.await.is_err() {
                    error!("shutting down: a thread panicked");
                }
            }
            Err(error) => error!(%error, "shutting down: {error}"),
        }
    }

    async fn blocking<R: Send + 'static>(&self, f: impl FnOnce(&Inner) -> Result<R> + Send + 'static) -> Result<R> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || f(&inner)).await.map_err(Error::internal)?
    }
}

/// What requests are told that the server can do no more for.
fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "The server is stopping.")
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

    /// The end of the server.
    fn end(&self) {
        let Threads { workers, endings } = std::mem::take(&mut *self.threads.lock());
        let join = |thread: thread::JoinHandle<()>| {
            if thread.join().is_err() {
                error!("a thread of the engine panicked");
            }
        };
        workers.into_iter().for_each(join);
        self.endings.close();
        endings.into_iter().for_each(join);
        self.outbox.shutdown();
        if let Err(error) = self.archive.flush() {
            error!(%error, "shutting down: {error}");
        }
    }
}
