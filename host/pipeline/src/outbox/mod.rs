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
mod delivery;
mod open_jobs;
mod schedule;
mod signature;

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc, time::Duration};

use jiff::Timestamp;
use ocellus_core::{Clock, Error, ErrorKind, JobId, NetworkPolicy, ObjectId, Result, VideoId};
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, Delivery, DeliveryQuery, DeliveryState, Page};
use parking_lot::{Condvar, Mutex};
use reqwest::header::HeaderValue;
use tokio::{runtime::Runtime, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

pub use schedule::Deliveries;
use schedule::{Destination, Schedule};
pub use signature::SigningSecret;

use self::{
    delivery::Routers,
    open_jobs::{OpenJobs, destination},
};
use crate::job_spec::JobSpec;

/// Wait before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait after an answer; and the most that `Retry-After` is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The longest wait after no answer: nobody knows how soon the destination is back.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How long attempts that are under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Threads that carry connections; disk and plugins have others.
const THREADS: usize = 2;
/// Failed deliveries that are read at once.
const PAGE: usize = 1000;

/// What the operator chooses.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// Sent to routers as `Authorization: Token …`.
    pub token: Option<RouterToken>,
    /// Posts are signed with it, as Standard Webhooks has it.
    pub signing_secret: Option<SigningSecret>,
    /// How long after its first attempt a delivery is given up.
    pub give_up_after: Duration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { token: None, signing_secret: None, give_up_after: Duration::from_secs(24 * 3600) }
    }
}

/// What routers know this server by. Never printed.
#[derive(Clone)]
pub struct RouterToken(HeaderValue);

impl FromStr for RouterToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        let value = HeaderValue::from_str(&format!("Token {text}"));
        let mut value = value.map_err(|_| "a header can hold visible ASCII characters, spaces and tabs only")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for RouterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouterToken(…)")
    }
}

/// Ends with [`Outbox::shutdown`], or where it is when it is dropped.
pub(crate) struct Outbox {
    inner: Arc<Inner>,
    /// `None` after the end.
    runtime: Mutex<Option<Runtime>>,
}

struct Inner {
    archive: Archive,
    plugins: Plugins,
    clock: Arc<dyn Clock>,
    config: OutboxConfig,
    network: NetworkPolicy,
    clients: Clients,
    routers: Mutex<Routers>,
    jobs: Mutex<OpenJobs>,
    /// What came of attempts that could not be written down yet: they are not made again for that.
    unwritten: Mutex<HashMap<ObjectId, Delivery>>,
    /// Held by who takes failed deliveries up again.
    reviving: Mutex<()>,
    schedule: Mutex<Schedule>,
    /// Something came that may be due now.
    changed: Notify,
    /// An attempt ended.
    settled: Condvar,
    /// Nothing more is begun.
    closing: CancellationToken,
    /// What is under way ends where it is.
    halted: CancellationToken,
    tasks: TaskTracker,
}

/// One with and one without the proof that a TLS server is who it says.
struct Clients {
    verifying: reqwest::Client,
    trusting: reqwest::Client,
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
            plugins,
            clock,
            config,
            network,
            clients,
            routers: Mutex::default(),
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

impl Inner {
    fn add(&self, object: ObjectId, number: u32, destination: &Destination, due: Timestamp) {
        self.schedule.lock().add(object, number, destination, due);
        self.changed.notify_one();
    }

    /// Puts what the archive holds undelivered into the schedule, of one video or of all.
    fn take_up(&self, video: Option<VideoId>) {
        let mut job: Option<(JobId, Option<Destination>)> = None;
        let undelivered = self.archive.undelivered(video).unwrap_or_else(|error| {
            error!(%error, "which deliveries are to be taken up cannot be read: {error}");
            Vec::new()
        });
        for (object, number) in undelivered {
            if self.closing.is_cancelled() {
                return;
            }
            let taken = (|| -> Result<()> {
                if job.as_ref().is_none_or(|(id, _)| *id != object.job) {
                    // Said once where it cannot be read.
                    job = Some((object.job, None));
                    // Only read: what there is to deliver may be of a hundred thousand videos.
                    let stored = Some(self.archive.stored_job(object.job.video)?).filter(|s| s.id() == object.job);
                    let spec = stored.map(|s| s.spec()).transpose()?.flatten().map(JobSpec::parse).transpose()?;
                    job = Some((object.job, spec.and_then(|p| destination(&p))));
                }
                let due = self.archive.delivery(&object)?.and_then(|d| d.next_try);
                if let Some((_, Some(destination))) = &job {
                    self.add(object, number, destination, due.unwrap_or_else(|| self.clock.now()));
                }
                Ok(())
            })();
            if let Err(error) = taken {
                error!(%error, "a delivery cannot be taken up: {error}");
            }
        }
    }

    /// A delivery with the time at which it is really tried next.
    fn scheduled(&self, delivery: Delivery) -> Result<Delivery> {
        if delivery.state.is_final() {
            return Ok(Delivery { next_try: None, ..delivery });
        }
        let Some(number) = self.archive.number(&delivery.object)? else { return Ok(delivery) };
        let next_try = self.schedule.lock().next_try(&delivery.object, number, delivery.next_try, self.clock.now());
        Ok(Delivery { next_try, ..delivery })
    }

    fn revive(&self, before: Delivery) -> Result<Delivery> {
        let now = self.clock.now();
        let _turn = self.reviving.lock();
        // Another request may have been faster.
        let before = self.archive.delivery(&before.object)?.unwrap_or(before);
        if before.state == DeliveryState::Posted {
            return Ok(before);
        }
        let (Some(open), Some(number)) = (self.job(before.object.job)?, self.archive.number(&before.object)?) else {
            return Err(Error::not_found("Delivery"));
        };
        if before.state != DeliveryState::Failed {
            self.add(before.object.clone(), number, &open.destination, now);
            return Ok(Delivery { next_try: Some(now), ..before });
        }
        let delivery = Delivery { state: DeliveryState::Retrying, next_try: Some(now), since: Some(now), ..before };
        open.job.record_delivery(&delivery)?;
        self.add(delivery.object.clone(), number, &open.destination, now);
        Ok(delivery)
    }
}

/// How long until then; no time at all for what is past.
fn until(now: Timestamp, then: Timestamp) -> Duration {
    then.duration_since(now).try_into().unwrap_or_default()
}

/// When to try again after so many failed attempts: twice as long each time, by up to half less so
/// that those that failed together do not come together again.
fn backoff(now: Timestamp, attempts: u32, longest: Duration) -> Timestamp {
    let wait = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(longest);
    now.checked_add(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).unwrap_or(now)
}
