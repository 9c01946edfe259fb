//! Outbox: every object of a job with a router, on its way there.
//!
//! Owns: the network, the timeouts, the retries, the record of how each delivery stands, and
//! threads of its own for all of it, so that requests that wait for it can't hold up what they wait
//! for. Guarantees:
//!
//! * A delivery is durable before it is first tried: it is its object, in the archive. What is
//!   undelivered when the server ends, however it ends, is taken up by the next one.
//! * An object is always sent under the same `Idempotency-Key`, its id, and not again once a router
//!   accepted it and that was written down. In between lies a moment in which a crash makes it be
//!   sent twice: under that same key.
//! * Objects of a track go out in order; see [`schedule`].
//! * Jobs never wait for a router. A router that answers waits for none that does not; see
//!   [`schedule`].
//! * A router that goes down is one warning, with the number of objects that wait; its return is
//!   one line.
//!
//! Ends with [`Outbox::shutdown`].

mod attempt;
mod body;
mod config;
mod delivery;
mod open_jobs;
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
    schedule::Deliveries,
    signature::SigningSecret,
};
use self::{
    routers::Routers,
    state::{Clients, Inner},
};

/// How long attempts that are under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Threads that carry connections; disk and plugins have others.
const THREADS: usize = 2;
/// Failed deliveries that are read at once.
const PAGE: usize = 1000;

/// Ends with [`Outbox::shutdown`], or where it is when it is dropped.
pub(crate) struct Outbox {
    inner: Arc<Inner>,
    /// `None` after the end.
    runtime: Mutex<Option<Runtime>>,
}

impl Outbox {
    /// Begins to deliver, with what an earlier server left undone.
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
            reviving: Mutex::default(),
            schedule: Mutex::default(),
            changed: Notify::new(),
            settled: Condvar::new(),
            closing: CancellationToken::new(),
            halted: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let taking_up = Arc::clone(&inner);
        let taken_up = inner.tasks.spawn_blocking_on(move || taking_up.take_up(None), runtime.handle());
        let dispatching = Arc::clone(&inner);
        let begin = async move {
            // What a job adds meanwhile may come behind these.
            let _ = taken_up.await;
            dispatching.dispatch().await;
        };
        inner.tasks.spawn_on(begin, runtime.handle());
        Ok(Self { inner, runtime: Mutex::new(Some(runtime)) })
    }

    /// Takes a new object over.
    pub(crate) fn add(&self, object: &ObjectId, number: u32) {
        let inner = &self.inner;
        match inner.job(object.job) {
            Ok(Some(job)) => inner.add(object.clone(), number, &job.destination, inner.clock.now()),
            Ok(None) => {}
            // It is in the archive; the next start takes it up.
            Err(error) => error!(%object, %error, "object {object} cannot be delivered for now: {error}"),
        }
    }

    /// Begins nothing more of the jobs that a video has had so far, and tells what is under way of
    /// them to end. Never waits.
    pub(crate) fn withdraw(&self, video: VideoId) {
        self.inner.schedule.lock().withdraw(video);
        self.inner.jobs.lock().withdraw(video);
        self.inner.unwritten.lock().retain(|object, _| object.job.video != video);
    }

    /// Waits until nothing is under way any more of what was withdrawn of a video. To be called
    /// without locks.
    pub(crate) fn wait_withdrawn(&self, video: VideoId) {
        let mut schedule = self.inner.schedule.lock();
        while schedule.is_ending(video) {
            self.inner.settled.wait(&mut schedule);
        }
    }

    /// Delivers what the archive holds undelivered of a video: after a withdrawal that nothing came
    /// of.
    pub(crate) fn take_up(&self, video: VideoId) {
        self.inner.take_up(Some(video));
    }

    /// Deliveries of a video's job, with the times at which they are really tried next.
    pub(crate) fn deliveries(&self, video: VideoId, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        let Page { items, next, prev } = self.inner.archive.deliveries(video, query)?;
        let items = items.into_iter().map(|delivery| self.inner.scheduled(delivery)).collect::<Result<_>>()?;
        Ok(Page { items, next, prev })
    }

    /// Tries a delivery now, whether it waits or was given up.
    pub(crate) fn retry(&self, object: &ObjectId) -> Result<Delivery> {
        let inner = &self.inner;
        let delivery = inner.archive.delivery(object)?.ok_or_else(|| Error::not_found("Delivery"))?;
        if delivery.state == DeliveryState::Posted {
            return Err(Error::new(ErrorKind::Conflict, format!("Object {object} was delivered already.")));
        }
        inner.readdress(object.job)?;
        inner.scheduled(inner.revive(delivery)?)
    }

    /// Tries all deliveries of a video that were given up; how many there are.
    pub(crate) fn retry_failed(&self, video: VideoId) -> Result<u64> {
        let inner = &self.inner;
        let number = inner.archive.video(video)?.ok_or_else(|| Error::not_found("VideoArchive"))?.job;
        inner.readdress(JobId { video, number })?;
        let mut query = DeliveryQuery { states: vec![DeliveryState::Failed], limit: PAGE, cursor: None };
        let mut revived = 0;
        loop {
            let page = inner.archive.deliveries(video, &query)?;
            for delivery in page.items {
                inner.revive(delivery)?;
                revived += 1;
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(revived);
            }
        }
    }

    pub(crate) fn figures(&self) -> Deliveries {
        self.inner.schedule.lock().figures()
    }

    /// Begins nothing more and gives what is under way a moment. Must not be called within a task
    /// of a runtime.
    pub(crate) fn shutdown(&self) {
        let inner = &self.inner;
        inner.closing.cancel();
        inner.tasks.close();
        let Some(runtime) = self.runtime.lock().take() else { return };
        runtime.block_on(async {
            if tokio::time::timeout(GRACE, inner.tasks.wait()).await.is_err() {
                inner.halted.cancel();
                inner.tasks.wait().await;
            }
        });
        runtime.shutdown_background();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.inner.closing.cancel();
        // It may be dropped by a task, where nothing may wait.
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}
