//! The outbox: every object of a job with a router, on its way there.
//!
//! Owns: the network, the timeouts, the retries, and the record of how each delivery stands. Guarantees:
//!
//! * A delivery is durable before it is first tried: it is its object, in the archive. What is undelivered when the
//!   server ends, however it ends, is taken up by the next one.
//! * An object is always sent under the same `Idempotency-Key`, its id, and not again once a router accepted it and that
//!   was written down. In between lies a moment in which a crash makes it be sent twice: under that same key.
//! * Objects of a track go out in order; see [`schedule`].
//! * Jobs never wait for a router, and one router never waits for another.
//!
//! Ends with [`Outbox::shutdown`].

mod attempt;
mod body;
mod schedule;
mod signature;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use ocellus_core::{Clock, Error, ErrorKind, JobId, NetworkPolicy, ObjectId, Result, VideoId};
use ocellus_runtime::{PluginError, Plugins, Router};
use ocellus_store::{Archive, Delivery, DeliveryQuery, DeliveryState, Job};
use parking_lot::{Condvar, Mutex};
use reqwest::header::HeaderValue;
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

pub use schedule::Deliveries;
use schedule::{Contact, Destination, Schedule, Ticket};
pub use signature::SigningSecret;

use self::attempt::{Outcome, attempt};
use crate::plan::Plan;

/// The router that ships.
const ROUTER: &str = "http";
/// Wait before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait after an answer; and the most that `Retry-After` is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The longest wait after no answer: nobody knows how soon the destination is back.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How long attempts that are under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Jobs that are kept open for their next object.
const DESKS: usize = 16;
/// Failed deliveries that are read at once.
const PAGE: usize = 1000;

/// What the operator chooses.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// Sent to routers as `Authorization: Token …`.
    pub token: Option<String>,
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

/// Cheap to clone; all clones are one outbox.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Inner>);

struct Inner {
    archive: Archive,
    plugins: Plugins,
    clock: Arc<dyn Clock>,
    config: OutboxConfig,
    network: NetworkPolicy,
    authorization: Option<HeaderValue>,
    clients: Clients,
    routers: Mutex<Routers>,
    desks: Mutex<VecDeque<Arc<Desk>>>,
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
    handle: Handle,
}

/// One with and one without the proof that a TLS server is who it says.
struct Clients {
    verifying: reqwest::Client,
    trusting: reqwest::Client,
}

/// A job that objects are delivered of.
struct Desk {
    job: Job,
    plan: Plan,
    url: String,
    destination: Destination,
    /// Somebody was told that an object of it could not be delivered; the API has the others.
    warned: AtomicBool,
}

/// Router sessions that nobody uses now.
#[derive(Default)]
struct Routers {
    generation: u64,
    /// By their settings.
    idle: HashMap<String, Vec<Router>>,
}

impl Outbox {
    /// Begins to deliver, with what an earlier server left undone.
    pub(crate) fn start(
        archive: Archive,
        plugins: Plugins,
        clock: Arc<dyn Clock>,
        config: OutboxConfig,
        network: NetworkPolicy,
        handle: Handle,
    ) -> Result<Self> {
        let client = |verify: bool| {
            let builder = reqwest::Client::builder().danger_accept_invalid_certs(!verify);
            ocellus_media::guard_client(builder, &network).build().map_err(Error::internal)
        };
        let clients = Clients { verifying: client(true)?, trusting: client(false)? };
        let authorization = config.token.as_deref().and_then(|t| HeaderValue::from_str(&format!("Token {t}")).ok());
        let outbox = Self(Arc::new(Inner {
            archive,
            plugins,
            clock,
            config,
            network,
            authorization,
            clients,
            routers: Mutex::default(),
            desks: Mutex::default(),
            schedule: Mutex::default(),
            changed: Notify::new(),
            settled: Condvar::new(),
            closing: CancellationToken::new(),
            halted: CancellationToken::new(),
            tasks: TaskTracker::new(),
            handle: handle.clone(),
        }));
        let (inner, loading) = (Arc::clone(&outbox.0), Arc::clone(&outbox.0));
        outbox.0.tasks.spawn_on(inner.dispatch(), &handle);
        outbox.0.tasks.spawn_blocking_on(move || loading.take_up(None), &handle);
        Ok(outbox)
    }

    /// Takes a new object over.
    pub(crate) fn add(&self, object: &ObjectId, number: u32) {
        let inner = &self.0;
        match inner.desk(object.job) {
            Ok(Some(desk)) => inner.add(object.clone(), number, &desk.destination, inner.clock.now()),
            Ok(None) => {}
            // It is in the archive; the next start takes it up.
            Err(error) => error!(%object, %error, "object {object} cannot be delivered for now: {error}"),
        }
    }

    /// Forgets what is to be delivered of a video's present job, and tells what is under way to end. Returns at once.
    pub(crate) fn withdraw(&self, video: VideoId) {
        self.0.schedule.lock().withdraw(video);
    }

    /// Blocks until nothing of a video is under way; what is to be delivered of it is forgotten.
    pub(crate) fn wait_withdrawn(&self, video: VideoId) {
        self.0.withdraw(video);
    }

    /// Delivers what the archive holds undelivered of a video: after a withdrawal that nothing came of.
    pub(crate) fn take_up(&self, video: VideoId) {
        self.0.take_up(Some(video));
    }

    /// Tries a delivery now, whether it waits or was given up.
    pub(crate) fn retry(&self, object: &ObjectId) -> Result<Delivery> {
        let inner = &self.0;
        let delivery = inner.archive.delivery(object)?.ok_or_else(|| Error::not_found("Delivery"))?;
        if delivery.state == DeliveryState::Posted {
            return Err(Error::new(ErrorKind::Conflict, format!("Object {object} was delivered already.")));
        }
        inner.readdress(object.job)?;
        inner.revive(delivery)
    }

    /// Tries all deliveries of a video that were given up; how many there are.
    pub(crate) fn retry_failed(&self, video: VideoId) -> Result<u64> {
        let inner = &self.0;
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
        self.0.schedule.lock().figures()
    }

    /// Begins nothing more and gives what is under way a moment. Must not be called within a task of the runtime.
    pub(crate) fn shutdown(&self) {
        let inner = &self.0;
        inner.closing.cancel();
        inner.tasks.close();
        inner.handle.block_on(async {
            if tokio::time::timeout(GRACE, inner.tasks.wait()).await.is_err() {
                inner.halted.cancel();
                inner.tasks.wait().await;
            }
        });
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
        for item in self.archive.undelivered(video) {
            if self.closing.is_cancelled() {
                return;
            }
            let taken = item.map_err(Error::from).and_then(|(object, number)| {
                if job.as_ref().is_none_or(|(id, _)| *id != object.job) {
                    // Only read: what there is to deliver may be of a hundred thousand videos.
                    let stored = Some(self.archive.stored_job(object.job.video)?).filter(|s| s.id() == object.job);
                    let plan = stored.map(|s| s.plan()).transpose()?.flatten().map(plan).transpose()?;
                    job = Some((object.job, plan.and_then(|p| destination(&p))));
                }
                let due = self.archive.delivery(&object)?.and_then(|d| d.next_try);
                if let Some((_, Some(destination))) = &job {
                    self.add(object, number, destination, due.unwrap_or_else(|| self.clock.now()));
                }
                Ok(())
            });
            if let Err(error) = taken {
                error!(%error, "a delivery cannot be taken up: {error}");
            }
        }
    }

    fn withdraw(&self, video: VideoId) {
        let mut schedule = self.schedule.lock();
        while !schedule.withdraw(video) {
            self.settled.wait(&mut schedule);
        }
        drop(schedule);
        self.desks.lock().retain(|desk| desk.job.id().video != video);
    }

    /// Deliveries that a user takes up again go to where the video says now.
    fn readdress(&self, id: JobId) -> Result<()> {
        let wanted = self.archive.video(id.video)?.and_then(|v| v.router_url);
        let (Some(wanted), Some(desk)) = (wanted, self.desk(id)?) else { return Ok(()) };
        if wanted != desk.url {
            self.withdraw(id.video);
            desk.job.set_router(&wanted)?;
            self.take_up(Some(id.video));
        }
        Ok(())
    }

    fn revive(&self, before: Delivery) -> Result<Delivery> {
        let now = self.clock.now();
        let (Some(desk), Some(number)) = (self.desk(before.object.job)?, self.archive.number(&before.object)?) else {
            return Err(Error::not_found("Delivery"));
        };
        if before.state != DeliveryState::Failed {
            self.add(before.object.clone(), number, &desk.destination, now);
            return Ok(Delivery { next_try: Some(now), ..before });
        }
        let delivery = Delivery { state: DeliveryState::Retrying, next_try: Some(now), since: Some(now), ..before };
        desk.job.book(&delivery)?;
        self.add(delivery.object.clone(), number, &desk.destination, now);
        Ok(delivery)
    }

    /// The job of an object, open; `None` where it is its video's no more, or has no router.
    fn desk(&self, id: JobId) -> Result<Option<Arc<Desk>>> {
        let mut desks = self.desks.lock();
        if let Some(desk) = desks.iter().find(|d| d.job.id() == id) {
            return Ok(Some(Arc::clone(desk)));
        }
        let Some(job) = self.archive.job(id)? else { return Ok(None) };
        let plan = plan(job.plan()?)?;
        let (Some(url), Some(destination)) = (plan.router_url.clone(), destination(&plan)) else { return Ok(None) };
        let desk = Arc::new(Desk { job, plan, url, destination, warned: AtomicBool::new(false) });
        desks.truncate(DESKS - 1);
        desks.push_front(Arc::clone(&desk));
        Ok(Some(desk))
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
        let outcome = tokio::select! {
            outcome = attempt(&self, &ticket.id) => outcome,
            () = ticket.withdrawn.cancelled() => Outcome::Gone,
            () = self.halted.cancelled() => Outcome::Gone,
        };
        let booking = tokio::task::spawn_blocking(move || {
            let (again, contact) = self.conclude(&ticket.id, outcome);
            self.schedule.lock().settle(&ticket, again, contact, self.clock.now());
            self.settled.notify_all();
            self.changed.notify_one();
        });
        // It ends with the runtime at the latest; then nobody waits for it any more.
        let _ = booking.await;
    }

    /// Writes down what came of an attempt. When to try again; `None` at the end.
    fn conclude(&self, id: &ObjectId, outcome: Outcome) -> (Option<Timestamp>, Contact) {
        let now = self.clock.now();
        let (desk, delivery, contact) = match outcome {
            Outcome::Gone => return (None, Contact::None),
            Outcome::Unread(error) => {
                warn!(object = %id, %error, "object {id} cannot be read: {error}");
                return (Some(backoff(now, 6, LONGEST_SILENCE)), Contact::None);
            }
            Outcome::Tried { desk, before, answer } => {
                let (delivery, contact) = attempt::judge(before, answer, now, self.config.give_up_after);
                (desk, delivery, contact)
            }
        };
        let reason = delivery.reason.as_deref().unwrap_or_default();
        match delivery.state {
            DeliveryState::Failed if !desk.warned.swap(true, Ordering::Relaxed) => {
                warn!(object = %id, attempts = delivery.attempts, "object {id} could not be delivered: {reason}; others of its video that fail are not logged")
            }
            DeliveryState::Posted => debug!(object = %id, attempts = delivery.attempts, "object {id} was delivered"),
            _ => debug!(object = %id, attempts = delivery.attempts, "delivering object {id} failed ({reason}), trying again later"),
        }
        if let Err(error) = desk.job.book(&delivery) {
            error!(object = %id, %error, "how the delivery of object {id} stands could not be written down: {error}");
            // Sent again, it has the same key.
            return (Some(backoff(now, delivery.attempts, LONGEST_SILENCE)), contact);
        }
        (delivery.next_try, contact)
    }

    /// Has a router session do something. One that failed is not used again, nor one of a plugin that has changed.
    fn with_router<R>(&self, plan: &Plan, f: impl FnOnce(&mut Router) -> Result<R, PluginError>) -> Result<R, PluginError> {
        let generation = self.plugins.generation();
        let settings = plan.stream_settings.plugins.get(ROUTER).cloned().unwrap_or_else(|| serde_json::json!({}));
        let key = settings.to_string();
        let idle = {
            let mut routers = self.routers.lock();
            if routers.generation != generation {
                *routers = Routers { generation, idle: HashMap::new() };
            }
            routers.idle.get_mut(&key).and_then(Vec::pop)
        };
        let mut router = match idle {
            Some(router) => router,
            None => self.plugins.router(ROUTER, &settings)?,
        };
        let result = f(&mut router)?;
        let mut routers = self.routers.lock();
        if routers.generation == generation {
            routers.idle.entry(key).or_default().push(router);
        }
        Ok(result)
    }
}

fn plan(written: serde_json::Value) -> Result<Plan> {
    serde_json::from_value(written).map_err(Error::internal)
}

/// Scheme, host and port of the router, and whether it has to prove who it is: one job may reach what another may not.
fn destination(plan: &Plan) -> Option<Destination> {
    let origin = reqwest::Url::parse(plan.router_url.as_ref()?).ok()?.origin().ascii_serialization();
    let trusted = if plan.stream_settings.router_verify_ssl { "" } else { " unverified" };
    Some(format!("{origin}{trusted}").into())
}

/// How long until then; no time at all for what is past.
fn until(now: Timestamp, then: Timestamp) -> Duration {
    then.duration_since(now).try_into().unwrap_or_default()
}

/// When to try again after so many attempts in vain: twice as long each time, by up to half less so that those that
/// failed together do not come together again.
fn backoff(now: Timestamp, attempts: u32, longest: Duration) -> Timestamp {
    let wait = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(longest);
    now.checked_add(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).unwrap_or(now)
}
