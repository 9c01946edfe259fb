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
mod schedule;
mod signature;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use ocellus_core::{Clock, Error, ErrorKind, JobId, NetworkPolicy, ObjectId, Result, VideoId};
use ocellus_runtime::{PluginError, Plugins, Router};
use ocellus_store::{Archive, Delivery, DeliveryQuery, DeliveryState, Job, Page};
use parking_lot::{Condvar, Mutex};
use reqwest::header::HeaderValue;
use tokio::{runtime::Runtime, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

pub use schedule::Deliveries;
use schedule::{Change, Contact, Destination, Schedule, Ticket};
pub use signature::SigningSecret;

use self::attempt::{Outcome, attempt};
use crate::plan::Plan;

/// Wait before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait after an answer; and the most that `Retry-After` is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The longest wait after no answer: nobody knows how soon the destination is back.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How long attempts that are under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Jobs that are kept open for their next object.
const OPEN_JOBS: usize = 16;
/// Sessions of router plugins that are kept for the next object.
const IDLE_ROUTERS: usize = 16;
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

/// A job whose objects are delivered.
struct JobContext {
    job: Job,
    plan: Plan,
    url: String,
    destination: Destination,
    /// Somebody was told that an object of it could not be delivered; the API has the others.
    warned: AtomicBool,
}

/// Jobs that are kept open, the last used first.
#[derive(Default)]
struct OpenJobs {
    open: VecDeque<Arc<JobContext>>,
    /// How often one was sent somewhere else.
    readdressed: u64,
}

impl OpenJobs {
    fn get(&mut self, id: JobId) -> Option<Arc<JobContext>> {
        let place = self.open.iter().position(|open| open.job.id() == id)?;
        let open = self.open.remove(place)?;
        self.open.push_front(Arc::clone(&open));
        Some(open)
    }

    fn put(&mut self, open: &Arc<JobContext>) {
        if self.get(open.job.id()).is_none() {
            self.open.truncate(OPEN_JOBS - 1);
            self.open.push_front(Arc::clone(open));
        }
    }

    fn readdress(&mut self, id: JobId) {
        self.open.retain(|open| open.job.id() != id);
        self.readdressed += 1;
    }
}

/// Sessions of router plugins that nobody uses now, the last used first.
#[derive(Default)]
struct Routers {
    generation: u64,
    /// With the plugin's name and its settings.
    idle: VecDeque<(String, String, Router)>,
}

/// An attempt under way. Its ticket goes back whatever becomes of the task.
struct UnderWay {
    outbox: Arc<Inner>,
    ticket: Ticket,
    result: Concluded,
}

/// What follows from an attempt.
struct Concluded {
    /// When to try again; `None` at the end.
    again: Option<Timestamp>,
    contact: Contact,
    reason: Option<String>,
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
        let runtime = runtime.worker_threads(THREADS).thread_name("outbox").enable_all().build().map_err(Error::internal)?;
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
        self.inner.jobs.lock().open.retain(|open| open.job.id().video != video);
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

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Concluded { again, contact, reason } = &self.result;
        let (outbox, router) = (&self.outbox, &self.ticket.destination);
        let change = outbox.schedule.lock().settle(&self.ticket, *again, *contact, outbox.clock.now());
        outbox.settled.notify_all();
        outbox.changed.notify_one();
        match change {
            Some(Change::Down { waiting }) => {
                let reason = reason.as_deref().unwrap_or_default();
                warn!(%router, waiting, reason, "router {router} does not answer ({reason}); {waiting} objects wait for it and are tried again");
            }
            Some(Change::Back { away, waiting }) => {
                let away_ms = away.as_millis() as u64;
                info!(%router, waiting, away_ms, "router {router} answers again, after {} s; {waiting} objects wait for it", away.as_secs());
            }
            None => {}
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
                    let plan = stored.map(|s| s.plan()).transpose()?.flatten().map(Plan::parse).transpose()?;
                    job = Some((object.job, plan.and_then(|p| destination(&p))));
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

    /// Deliveries that a user takes up again go to where the video says now, and with them all
    /// others of its job.
    fn readdress(&self, id: JobId) -> Result<()> {
        let wanted = self.archive.video(id.video)?.and_then(|v| v.router_url);
        let (Some(wanted), Some(open)) = (wanted, self.job(id)?) else { return Ok(()) };
        if wanted != open.url {
            open.job.set_router(&wanted)?;
            self.jobs.lock().readdress(id);
            if let Some(open) = self.job(id)? {
                self.schedule.lock().redirect(id, &open.destination);
                self.changed.notify_one();
            }
        }
        Ok(())
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

    /// The job of an object, open; `None` where it is its video's no more, or has no router.
    fn job(&self, id: JobId) -> Result<Option<Arc<JobContext>>> {
        let readdressed = {
            let mut jobs = self.jobs.lock();
            if let Some(open) = jobs.get(id) {
                return Ok(Some(open));
            }
            jobs.readdressed
        };
        // Reads the job's logs: nobody else has to wait for that.
        let Some(job) = self.archive.job(id)? else { return Ok(None) };
        let written = match job.plan() {
            // Removed meanwhile.
            Err(_) if !self.archive.is_current(id)? => return Ok(None),
            written => written?,
        };
        let plan = Plan::parse(written)?;
        let (Some(url), Some(destination)) = (plan.router_url.clone(), destination(&plan)) else { return Ok(None) };
        let open = Arc::new(JobContext { job, plan, url, destination, warned: AtomicBool::new(false) });
        let mut jobs = self.jobs.lock();
        // The next one who asks reads where it goes by now.
        if jobs.readdressed == readdressed {
            jobs.put(&open);
        }
        Ok(Some(open))
    }

    /// Begins what is due, until the server stops.
    async fn dispatch(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let (tickets, next) = self.schedule.lock().take(now);
            for ticket in tickets {
                self.tasks.spawn(Arc::clone(&self).deliver(ticket));
            }
            let wait = next.map_or(LONGEST_SILENCE, |n| until(now, n).min(LONGEST_SILENCE));
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One attempt, and what follows from it.
    async fn deliver(self: Arc<Self>, ticket: Ticket) {
        let now = self.clock.now();
        let unfinished = Concluded { again: Some(backoff(now, 6, LONGEST_SILENCE)), contact: Contact::None, reason: None };
        let mut under_way = UnderWay { outbox: Arc::clone(&self), ticket, result: unfinished };
        let ticket = &under_way.ticket;
        let outcome = tokio::select! {
            outcome = attempt(&self, ticket) => outcome,
            () = ticket.cancelled.cancelled() => Outcome::Interrupted,
            () = self.halted.cancelled() => Outcome::Interrupted,
        };
        if matches!(outcome, Outcome::Interrupted) {
            under_way.result.again = Some(now);
            return;
        }
        let id = ticket.id.clone();
        // The plugin's judgement and the disk are for threads that may wait.
        match tokio::task::spawn_blocking(move || self.conclude(&id, outcome)).await {
            Ok(result) => under_way.result = result,
            Err(error) => error!(object = %under_way.ticket.id, %error, "delivering object {} broke off: {error}", under_way.ticket.id),
        }
    }

    /// Writes down what came of an attempt.
    fn conclude(&self, id: &ObjectId, outcome: Outcome) -> Concluded {
        let now = self.clock.now();
        let over = Concluded { again: None, contact: Contact::None, reason: None };
        let (open, delivery, contact) = match outcome {
            Outcome::Gone | Outcome::Interrupted => return over,
            Outcome::Booked(again) => return Concluded { again, ..over },
            // It will not be another time either, before somebody mends it.
            Outcome::Unread(error) if error.kind() == ErrorKind::Conflict => {
                error!(object = %id, %error, "object {id} is not delivered: {error}");
                return over;
            }
            Outcome::Unread(error) => {
                warn!(object = %id, %error, "object {id} cannot be delivered yet: {error}");
                return Concluded { again: Some(backoff(now, 6, LONGEST_SILENCE)), ..over };
            }
            Outcome::Tried { open, before, reply } => {
                let answer = attempt::understand(self, &open, reply);
                let (delivery, contact) = attempt::judge(before, answer, now, self.config.give_up_after);
                (open, delivery, contact)
            }
        };
        let reason = delivery.reason.as_deref().unwrap_or_default();
        match delivery.state {
            DeliveryState::Failed if !open.warned.swap(true, Ordering::Relaxed) => {
                warn!(object = %id, attempts = delivery.attempts, reason, "object {id} could not be delivered: {reason}; others of its video that fail are not logged")
            }
            DeliveryState::Posted => debug!(object = %id, attempts = delivery.attempts, "object {id} was delivered"),
            _ => debug!(object = %id, attempts = delivery.attempts, reason, "delivering object {id} failed ({reason}), trying again later"),
        }
        if let Err(error) = open.job.record_delivery(&delivery) {
            error!(object = %id, %error, "how the delivery of object {id} stands cannot be written down yet: {error}");
            let reason = delivery.reason.clone();
            self.unwritten.lock().insert(id.clone(), delivery);
            return Concluded { again: Some(backoff(now, 6, LONGEST_SILENCE)), contact, reason };
        }
        Concluded { again: delivery.next_try, contact, reason: delivery.reason }
    }

    /// Has a session of the job's router do something. One that failed is not used again, nor one
    /// of a plugin that has changed.
    fn with_router<R>(&self, plan: &Plan, f: impl FnOnce(&mut Router) -> Result<R, PluginError>) -> Result<R, PluginError> {
        let generation = self.plugins.generation();
        let name = &plan.stream_settings.router;
        let settings = plan.stream_settings.plugins.get(name).cloned().unwrap_or_else(|| serde_json::json!({}));
        let key = settings.to_string();
        let idle = {
            let mut routers = self.routers.lock();
            if routers.generation != generation {
                *routers = Routers { generation, idle: VecDeque::new() };
            }
            let place = routers.idle.iter().position(|(n, k, _)| n == name && *k == key);
            place.and_then(|place| routers.idle.remove(place)).map(|(.., router)| router)
        };
        let mut router = match idle {
            Some(router) => router,
            None => self.plugins.router(name, &settings)?,
        };
        let result = f(&mut router)?;
        let mut routers = self.routers.lock();
        if routers.generation == generation {
            routers.idle.truncate(IDLE_ROUTERS - 1);
            routers.idle.push_front((name.clone(), key, router));
        }
        Ok(result)
    }
}

/// Scheme, host and port of the router, and whether it has to prove who it is: one job may reach
/// what another may not.
fn destination(plan: &Plan) -> Option<Destination> {
    let origin = reqwest::Url::parse(plan.router_url.as_ref()?).ok()?.origin().ascii_serialization();
    let trusted = if plan.stream_settings.router_verify_ssl { "" } else { " (certificate not verified)" };
    Some(format!("{origin}{trusted}").into())
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
