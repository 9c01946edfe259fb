//! Outbox: delivery of objects to the routers of their jobs.
//!
//! Owns: the network, the timeouts, the retries, the state of each delivery, and separate threads
//! for all of it, so that requests that wait for deliveries cannot block them. Guarantees:
//!
//! * A delivery is durable before its first attempt: it is its object, in the archive. Deliveries
//!   that are pending when the server ends, even by a crash, continue after its next start.
//! * An object is always sent under the same `Idempotency-Key`, its id, and not again once its
//!   acceptance was recorded. After a crash between the two it is sent again, under the same key.
//! * Objects of a track are sent in order; see [`schedule`].
//! * Jobs never wait for a router. A router that does not respond does not delay others; see
//!   [`schedule`].
//! * The log has one warning when a router goes down, with the number of objects that wait, and one
//!   line when it responds again.
//!
//! Ends with [`Outbox::shutdown`].

mod attempt;
mod body;
mod config;
mod delivery;
mod open_jobs;
mod post_pictures;
mod routers;
mod schedule;
mod signature;
mod state;
mod wait;

use std::{sync::Arc, time::Duration};

use ocellus_core::{Clock, Error, ErrorKind, JobId, NetworkPolicy, ObjectId, Result, VideoId};
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, Delivery, DeliveryQuery, DeliveryState, Page};
use parking_lot::{Condvar, Mutex};
use tokio::{runtime::Runtime, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

pub use self::{
    config::{OutboxConfig, RouterToken},
    post_pictures::PictureUrls,
    schedule::Deliveries,
    signature::SigningSecret,
    state::Attempts,
};
use self::{
    routers::Routers,
    state::{Clients, Inner, Results},
};

/// Time for attempts in flight to finish when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Threads that carry connections; disk and plugins have others.
const THREADS: usize = 2;
/// Failed deliveries read at a time.
const PAGE: usize = 1000;

/// Outbox of the server. Ends with [`Outbox::shutdown`]; dropped, it abandons the attempts in
/// flight.
pub(crate) struct Outbox {
    inner: Arc<Inner>,
    /// `None` after the shutdown.
    runtime: Mutex<Option<Runtime>>,
}

impl Outbox {
    /// Begins to deliver, first the objects that an earlier run of the server left undelivered.
    pub(crate) fn start(
        archive: Archive,
        plugins: Plugins,
        clock: Arc<dyn Clock>,
        config: OutboxConfig,
        network: NetworkPolicy,
    ) -> Result<Self> {
        let client = |verify: bool| {
            let builder = reqwest::Client::builder().danger_accept_invalid_certs(!verify);
            ocellus_media::guard_client(builder, &network).build().map_err(Error::internal)
        };
        let clients = Clients { verifying: client(true)?, trusting: client(false)? };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            runtime.worker_threads(THREADS).thread_name("outbox").enable_all().build().map_err(Error::internal)?;
        let inner = Arc::new(Inner {
            archive,
            clock,
            config,
            network,
            clients,
            routers: Routers::new(plugins),
            jobs: Mutex::default(),
            unwritten: Mutex::default(),
            reopening: Mutex::default(),
            schedule: Mutex::default(),
            changed: Notify::new(),
            settled: Condvar::new(),
            closing: CancellationToken::new(),
            aborting: CancellationToken::new(),
            tasks: TaskTracker::new(),
            results: Results::default(),
        });
        let resuming = Arc::clone(&inner);
        let resumed = inner.tasks.spawn_blocking_on(move || resuming.resume(None), runtime.handle());
        let dispatching = Arc::clone(&inner);
        let begin = async move {
            // Objects that jobs add meanwhile come after these.
            let _ = resumed.await;
            dispatching.dispatch().await;
        };
        inner.tasks.spawn_on(begin, runtime.handle());
        Ok(Self { inner, runtime: Mutex::new(Some(runtime)) })
    }

    /// Schedules a new object. `number`: its index among the job's objects.
    pub(crate) fn add(&self, object: &ObjectId, number: u32) {
        let inner = &self.inner;
        match inner.job(object.job) {
            Ok(Some(job)) => inner.add(object.clone(), number, &job.destination, inner.clock.now()),
            Ok(None) => {}
            // It is in the archive; the next start delivers it.
            Err(error) => error!(%object, %error, "object {object} cannot be delivered for now: {error}"),
        }
    }

    /// Unschedules the deliveries of all jobs of a video, and cancels their attempts in flight.
    /// Does not wait for these.
    pub(crate) fn withdraw(&self, video: VideoId) {
        self.inner.schedule.lock().withdraw(video);
        self.inner.jobs.lock().withdraw(video);
        self.inner.unwritten.lock().retain(|object, _| object.job.video != video);
    }

    /// Blocks until the cancelled attempts of a video have ended. The caller must hold no lock.
    pub(crate) fn wait_withdrawn(&self, video: VideoId) {
        let mut schedule = self.inner.schedule.lock();
        while schedule.is_ending(video) {
            self.inner.settled.wait(&mut schedule);
        }
    }

    /// Schedules the undelivered objects of a video again, after the change for which they were
    /// withdrawn failed.
    pub(crate) fn resume(&self, video: VideoId) {
        self.inner.resume(Some(video));
    }

    /// Deliveries of a video's job, with the times of their next attempts by the schedule.
    pub(crate) fn deliveries(&self, video: VideoId, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        let Page { items, next, prev } = self.inner.archive.deliveries(video, query)?;
        let items = items.into_iter().map(|delivery| self.inner.scheduled(delivery)).collect::<Result<_>>()?;
        Ok(Page { items, next, prev })
    }

    /// Schedules a delivery for now, pending or given up.
    pub(crate) fn retry(&self, object: &ObjectId) -> Result<Delivery> {
        let inner = &self.inner;
        let delivery = inner.archive.delivery(object)?.ok_or_else(|| Error::not_found("Delivery"))?;
        if delivery.state == DeliveryState::Posted {
            return Err(Error::new(ErrorKind::Conflict, format!("Object {object} was delivered already.")));
        }
        inner.reroute(object.job)?;
        inner.scheduled(inner.reopen(delivery)?)
    }

    /// Schedules all failed deliveries of a video for now; returns their number.
    pub(crate) fn retry_failed(&self, video: VideoId) -> Result<u64> {
        let inner = &self.inner;
        let number = inner.archive.video(video)?.ok_or_else(|| Error::not_found("VideoArchive"))?.job;
        inner.reroute(JobId { video, number })?;
        let mut query = DeliveryQuery { states: vec![DeliveryState::Failed], limit: PAGE, cursor: None };
        let mut reopened = 0;
        loop {
            let page = inner.archive.deliveries(video, &query)?;
            for delivery in page.items {
                inner.reopen(delivery)?;
                reopened += 1;
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(reopened);
            }
        }
    }

    pub(crate) fn counts(&self) -> Deliveries {
        self.inner.schedule.lock().counts()
    }

    pub(crate) fn attempts(&self) -> Attempts {
        self.inner.results.get()
    }

    /// Begins no more attempts and gives those in flight [`GRACE`] to end. Must not be called
    /// within a task of a runtime.
    pub(crate) fn shutdown(&self) {
        let inner = &self.inner;
        inner.closing.cancel();
        inner.tasks.close();
        let Some(runtime) = self.runtime.lock().take() else { return };
        runtime.block_on(async {
            if tokio::time::timeout(GRACE, inner.tasks.wait()).await.is_err() {
                inner.aborting.cancel();
                inner.tasks.wait().await;
            }
        });
        runtime.shutdown_background();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.inner.closing.cancel();
        // A task of an async runtime may drop it, where blocking is not allowed.
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}
