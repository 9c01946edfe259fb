//! Job engine: the requests of the API that concern jobs.
//!
//! Owns: which videos are processed now, and the transitions between statuses
//! (`VideoStatus::may_move_to`). A status changes in the archive before requests see it, except for
//! the final state of a job that cannot be written ([`ending`]). Nothing waits under the queue's
//! lock ([`jobs`]); long blocking work runs in thread pools ([`pool`]). Ends with
//! [`Engine::shutdown`], after which the next start resumes the jobs that ran.

mod changes;
mod config;
mod contained;
mod disk_use;
mod ending;
mod feed;
mod feed_thread;
mod health;
mod housekeeping;
mod jobs;
mod load;
mod metrics;
mod pool;
mod queries;
mod queue;
mod refusal;
mod run;
mod state;
mod totals;
mod workers;

use std::{sync::Arc, thread, time::Duration};

use futures_util::future::join_all;
use ocellus_core::{
    Clock, Counts, Error, NetworkPolicy, ObjectId, ObjectType, Result, SettingsSchema, VideoId, VideoRecord,
};
use ocellus_detect::{AttributeClassifiers, Detectors, Embedders};
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, Delivery, DeliveryQuery, Page};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use self::{
    config::EngineConfig,
    disk_use::DiskUse,
    feed::{Batch, EngineEvent, Entry, Subscription},
    health::{DecodingReport, Health},
    load::{Load, Running},
    metrics::{EngineMetrics, PluginMetrics},
    state::Engine,
};
use self::{
    disk_use::SourceUse,
    ending::Endings,
    feed::Feed,
    jobs::{Claim, Jobs},
    pool::Pool,
    queue::Purpose,
    state::{Inner, Threads},
    totals::Totals,
};
use crate::{kept_detections::KeptDetections, outbox::Outbox, settings};

/// Concurrent requests that change the queue: each writes a few small files.
const CHANGES: u32 = 8;
/// Concurrent removals, of thousands of files each.
const REMOVALS: u32 = 4;
/// Concurrent screenshots: each decodes, and a URL may be silent for half a minute.
const SCREENSHOTS: u32 = 4;
const WAITING_SCREENSHOTS: usize = 64;
/// Concurrent searches: one compares while the other embeds its picture.
const SEARCHES: u32 = 2;
/// Searches that may wait: each has its picture in memory.
const WAITING_SEARCHES: usize = 16;
/// Concurrent replays: each keeps a core busy, for a minute if the log covers a day.
const REPLAYS: u32 = 2;
const WAITING_REPLAYS: usize = 64;
/// Grace period for running requests at shutdown.
const GRACE: Duration = Duration::from_secs(10);

impl Engine {
    /// Queues jobs that an earlier server left unfinished, and starts the workers; damage is
    /// logged. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Internal` where threads or HTTP clients cannot be created.
    pub fn start(
        config: EngineConfig,
        archive: Archive,
        detectors: Detectors,
        embedders: Embedders,
        classifiers: AttributeClassifiers,
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
            classifiers,
            embedding: Mutex::new(()),
            making_tracks: Mutex::new(()),
            plugins,
            config,
            outbox,
            tasks,
            jobs: Jobs::new(Arc::clone(&clock)),
            endings: Endings::new(archive.clone(), Arc::clone(&clock)),
            // Limited by the number of connections only: none takes long.
            changes: pool("changes", CHANGES, usize::MAX),
            removals: pool("removals", REMOVALS, usize::MAX),
            screenshots: pool("screenshots", SCREENSHOTS, WAITING_SCREENSHOTS),
            kept_detections: KeptDetections::default(),
            searches: pool("searches", SEARCHES, WAITING_SEARCHES),
            replays: pool("replays", REPLAYS, WAITING_REPLAYS),
            closing,
            threads: Mutex::default(),
            totals: Totals::default(),
            feed: Feed::new(clock.now().as_microsecond().unsigned_abs()),
            source_use: SourceUse::default(),
            schema: Mutex::default(),
            archive,
            clock,
        });
        let feed = Arc::clone(&inner.feed);
        inner.archive.observe(move |written| feed.note(written));
        inner.requeue();
        let workers = workers::spawn(inner.config.jobs.max(1), &inner.jobs, &inner).map_err(Error::internal)?;
        let endings = Arc::clone(&inner.endings);
        let trying = thread::Builder::new()
            .name("endings".into())
            .spawn(move || endings.keep_trying())
            .map_err(Error::internal)?;
        let engine = Self(inner);
        let feed = engine.publish_feed()?;
        *engine.0.threads.lock() = Threads { workers, endings: Some(trying), feed: Some(feed) };
        Ok(engine)
    }

    /// The archive that jobs read and write.
    pub fn archive(&self) -> &Archive {
        &self.0.archive
    }

    /// The schema of settings, for the networks and plugins that are installed now, with the
    /// operator's defaults.
    ///
    /// # Errors
    /// `BadParam` where the operator's defaults do not fit what is installed, `Internal` where the
    /// schema does not compile.
    pub fn settings_schema(&self) -> Result<Arc<SettingsSchema>> {
        let Inner { plugins, detectors, classifiers, .. } = &*self.0;
        let installed = (plugins.generation(), detectors.are_loaded(), classifiers.are_loaded());
        let mut cached = self.0.schema.lock();
        if let Some((made_for, schema)) = &*cached
            && *made_for == installed
        {
            return Ok(Arc::clone(schema));
        }
        let schema = settings::settings_schema(&detectors.types(), classifiers.has_liveness(), plugins)?;
        let schema = Arc::new(match &self.0.config.defaults {
            Some(defaults) => schema.with_preset(defaults)?,
            None => schema,
        });
        *cached = Some((installed, Arc::clone(&schema)));
        Ok(schema)
    }

    /// Queues a video, removing the objects of an earlier job. A video without a source becomes
    /// NO_SOURCE; one that is queued or running is left unchanged.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` once the server stops.
    pub async fn process(&self, id: VideoId) -> Result<()> {
        let Some(claim) = self.0.jobs.claim(id, Purpose::Begin).await? else { return Ok(()) };
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.queue(claim)).await
    }

    /// Ends the job of a video, if there is one; its objects so far are kept.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` once the server stops.
    pub async fn stop(&self, id: VideoId) -> Result<()> {
        let claim = self.end(id).await?;
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.stop(claim)).await
    }

    /// Ends the job of a video and removes the video with all its files.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` once the server stops.
    pub async fn delete(&self, id: VideoId) -> Result<()> {
        let claim = self.end(id).await?;
        let inner = Arc::clone(&self.0);
        self.0.removals.run(move || inner.delete(claim)).await
    }

    /// Ends the job of a video and removes its source file; its objects stay.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` once the server stops, or where the final state of the video's job
    /// cannot be written now.
    pub async fn delete_file(&self, id: VideoId) -> Result<()> {
        let claim = self.end(id).await?;
        let inner = Arc::clone(&self.0);
        self.0.removals.run(move || inner.delete_file(claim)).await
    }

    /// Claims a video, which is neither queued nor running from then on.
    async fn end(&self, id: VideoId) -> Result<Claim> {
        self.0
            .jobs
            .claim(id, Purpose::End)
            .await?
            .ok_or_else(|| Error::internal(format!("the claim of video {id} was not granted")))
    }

    /// Schedules a delivery for now, pending or given up; returns its state.
    ///
    /// # Errors
    /// `NotFound` where there is no such delivery, `Conflict` where it was delivered already.
    pub async fn retry_delivery(&self, object: ObjectId) -> Result<Delivery> {
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.outbox.retry(&object)).await
    }

    /// Deliveries of a video's job, with the times of their next attempts by the schedule.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn deliveries(&self, id: VideoId, query: DeliveryQuery) -> Result<Page<Delivery>> {
        self.blocking(move |inner| {
            inner.video(id)?;
            inner.outbox.deliveries(id, &query)
        })
        .await
    }

    /// Schedules all failed deliveries of a video for now; returns their number.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn retry_deliveries(&self, id: VideoId) -> Result<u64> {
        let inner = Arc::clone(&self.0);
        self.0.changes.run(move || inner.outbox.retry_failed(id)).await
    }

    /// A record with the progress of its job and the counts of its deliveries, and with the final
    /// state of the job if that could not be written yet. Reads the disk.
    pub fn live(&self, mut record: VideoRecord) -> Result<VideoRecord> {
        let inner = &self.0;
        // A record with a final state is correct, even while the worker has not finished yet.
        if record.status.is_active()
            && !inner.endings.overlay(&mut record)
            && let Some(run) = inner.jobs.run(record.id)
        {
            run.progress.write_to(&mut record);
        }
        if let Some(statistic) = &mut record.statistic {
            // Without a router, objects in the archive count as posted.
            let kept = |(t, n): (&ObjectType, &u64)| (t.clone(), Counts { posted: *n, ..Counts::default() });
            let delivered = inner.archive.tally(record.id)?;
            let objects = delivered.unwrap_or_else(|| record.counts.iter().map(kept).collect());
            statistic.objects = record.stream_settings.active().map(|(t, _)| (t.clone(), Counts::default())).collect();
            statistic.objects.extend(objects);
        }
        Ok(record)
    }

    /// The record of a video, after writing the final state of its last job. Blocks.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` where the final state cannot be written now.
    pub fn settled(&self, id: VideoId) -> Result<VideoRecord> {
        self.0.endings.settle(id)?;
        self.0.video(id)
    }

    /// Unloads networks that were not used for a minute, and returns their memory to the operating
    /// system.
    pub fn tidy(&self) {
        self.0.make_room(&[]);
        (self.0.config.give_back)();
    }

    /// Policy for the addresses of `url` and `router_url`.
    pub fn network(&self) -> &NetworkPolicy {
        &self.0.config.network
    }

    /// The installed plugins.
    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    /// Interrupts running jobs, ends subscriptions, and refuses requests that wait or arrive from
    /// now on. Returns at once.
    pub fn close(&self) {
        self.0.closing.cancel();
        self.0.feed.close();
        self.0.jobs.close();
    }

    /// Ends jobs, requests and deliveries and waits until they have ended; the next start continues
    /// unfinished ones.
    pub async fn shutdown(&self) {
        self.close();
        let inner = Arc::clone(&self.0);
        let (done, ended) = oneshot::channel();
        // Not on a thread of the runtime, all of which may be busy with requests.
        let end = move || {
            inner.end();
            // The archive closes with its last owner, which is not this thread.
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
}
