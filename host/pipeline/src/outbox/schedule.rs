//! Bounded delivery scheduler: which object is tried next, to which destination, and when.
//!
//! Owns: the waiting objects by job and destination, the health of each destination, and the
//! attempts in flight. Guarantees:
//!
//! * Objects of one track are sent in order, one at a time: the next one once the one before was
//!   accepted or given up.
//! * Destinations take turns, the one with the oldest last attempt first. One that is not known to
//!   respond is tried with one object at a time, in slots separate from those of responding ones;
//!   see [`attempts`].
//! * A destination that does not respond is paused, twice as long each time.
//! * No attempt begins for a withdrawn job. Attempts in flight are cancelled, and counted
//!   separately from those of a later job of the same video.
//!
//! Pure: no clock, no I/O. The caller passes the time, and makes the attempts that are returned.

mod attempts;
mod destination;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use ocellus_core::{JobId, ObjectId, ObjectType, TrackId, VideoId};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub(crate) use self::destination::{Destination, HealthSignal};
use self::{
    attempts::{Attempts, Slot},
    destination::{DestinationQueue, Health, HealthChange},
};

type TrackKey = (ObjectType, TrackId);

/// Schedule of all deliveries. Takes some hundred bytes for each waiting object.
#[derive(Default)]
pub(crate) struct Schedule {
    jobs: BTreeMap<JobId, JobQueue>,
    destinations: HashMap<Destination, DestinationQueue>,
    attempts: Attempts,
    /// Attempts of withdrawn jobs that have not ended yet, by video.
    ending: HashMap<VideoId, usize>,
    /// The last number given to an attempt or to the queue of a job.
    numbers: u64,
}

/// Waiting objects of one job.
struct JobQueue {
    /// Distinguishes this queue from an earlier one of the same job, which was withdrawn.
    number: u64,
    destination: Destination,
    tracks: HashMap<TrackKey, BTreeMap<u32, Waiting>>,
    in_flight: usize,
    cancelled: CancellationToken,
}

struct Waiting {
    id: ObjectId,
    due: Timestamp,
    position: Position,
    /// Due time of a further attempt that was requested while this one was in flight.
    readded: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Behind another object of its track.
    Behind,
    /// In the queue of its destination.
    Queued,
    InFlight,
}

/// A delivery to be attempted now.
pub(crate) struct Ticket {
    pub id: ObjectId,
    pub number: u32,
    pub destination: Destination,
    /// Cancelled once its job is withdrawn, or redirected to another destination.
    pub cancelled: CancellationToken,
    /// Cancelled once the attempt takes longer than [`attempts`] allows while other destinations
    /// need its slot.
    pub abandoned: CancellationToken,
    /// Number of the attempt.
    pub attempt: u64,
    queue: u64,
}

/// Change of a destination to be logged, with the number of objects that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Down { waiting: usize },
    Recovered { downtime: Duration, waiting: usize },
}

/// Numbers of deliveries to routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    /// Objects that were not delivered yet, including those in flight.
    pub waiting: usize,
    /// Attempts in flight.
    pub in_flight: usize,
    /// Routers that did not respond to the last attempt.
    pub unreachable_routers: usize,
}

impl Schedule {
    /// Adds an object; for one that is waiting already, the earlier due time counts. A scheduled
    /// job keeps its destination.
    pub(crate) fn add(&mut self, id: ObjectId, number: u32, destination: &Destination, due: Timestamp) {
        let job = id.job;
        let queue = self.jobs.entry(job).or_insert_with(|| {
            self.numbers += 1;
            JobQueue {
                number: self.numbers,
                destination: Arc::clone(destination),
                tracks: HashMap::new(),
                in_flight: 0,
                cancelled: CancellationToken::new(),
            }
        });
        let key = (id.object_type.clone(), id.track);
        let track = queue.tracks.entry(key.clone()).or_default();
        match track.get_mut(&number) {
            None => {
                track.insert(number, Waiting { id, due, position: Position::Behind, readded: None });
            }
            Some(waiting) if waiting.position == Position::Behind => waiting.due = waiting.due.min(due),
            Some(waiting) if waiting.position == Position::Queued && due < waiting.due => {
                if let Some(destination) = self.destinations.get_mut(&queue.destination) {
                    destination.due.remove(&(waiting.due, job, number));
                    destination.due.insert((due, job, number), waiting.id.clone());
                }
                waiting.due = due;
            }
            Some(waiting) if waiting.position == Position::InFlight => waiting.readded = Some(due),
            Some(_) => {}
        }
        self.queue_head(job, &key);
    }

    /// Queues the first object of a track, unless one of it is queued or in flight.
    fn queue_head(&mut self, job: JobId, key: &TrackKey) {
        let Some(queue) = self.jobs.get_mut(&job) else { return };
        let Some(track) = queue.tracks.get_mut(key) else { return };
        if track.values().any(|w| w.position != Position::Behind) {
            return;
        }
        match track.iter_mut().next() {
            Some((number, waiting)) => {
                waiting.position = Position::Queued;
                let destination = self.destinations.entry(Arc::clone(&queue.destination)).or_default();
                destination.due.insert((waiting.due, job, *number), waiting.id.clone());
            }
            None => {
                queue.tracks.remove(key);
                if queue.tracks.is_empty() && queue.in_flight == 0 {
                    self.jobs.remove(&job);
                }
            }
        }
    }

    /// Takes the deliveries to be attempted now. Also returns when to call again; `None` if only
    /// the end of an attempt can make another one due.
    pub(crate) fn take(&mut self, now: Timestamp) -> (Vec<Ticket>, Option<Timestamp>) {
        self.attempts.free_slots(now);
        let (mut tickets, mut next, mut without_slot) = (Vec::new(), None::<Timestamp>, 0);
        let mut turns = BTreeSet::new();
        for (name, destination) in &self.destinations {
            match destination.next_start() {
                Some(start) if start <= now => drop(turns.insert((destination.last_attempt, Arc::clone(name)))),
                start => next = next.into_iter().chain(start).min(),
            }
        }
        while let Some((_, name)) = turns.pop_first() {
            let Some(destination) = self.destinations.get(&name) else { continue };
            if !self.attempts.has_room(slot(destination)) {
                without_slot += 1;
                continue;
            }
            let Some(ticket) = self.begin(&name, now) else { continue };
            match self.destinations.get(&name).and_then(DestinationQueue::next_start) {
                Some(start) if start <= now => drop(turns.insert((ticket.attempt, name))),
                start => next = next.into_iter().chain(start).min(),
            }
            tickets.push(ticket);
        }
        if without_slot > 0 {
            next = self.attempts.make_room(without_slot, now).into_iter().chain(next).min();
        }
        (tickets, next)
    }

    /// Begins the first object that is due to a destination.
    fn begin(&mut self, name: &Destination, now: Timestamp) -> Option<Ticket> {
        let destination = self.destinations.get_mut(name)?;
        let ((_, job, number), id) = destination.due.pop_first()?;
        let queue = self.jobs.get_mut(&job)?;
        let track = queue.tracks.get_mut(&(id.object_type.clone(), id.track));
        track.and_then(|t| t.get_mut(&number))?.position = Position::InFlight;
        self.numbers += 1;
        destination.last_attempt = self.numbers;
        destination.in_flight += 1;
        queue.in_flight += 1;
        let abandoned = self.attempts.begin(self.numbers, Arc::clone(name), slot(destination), now);
        Some(Ticket {
            id,
            number,
            destination: Arc::clone(name),
            cancelled: queue.cancelled.clone(),
            abandoned,
            attempt: self.numbers,
            queue: queue.number,
        })
    }

    /// Sets the bytes of an attempt's request body in memory: all once it was made, 0 once it was
    /// sent.
    pub(crate) fn set_body(&mut self, attempt: u64, bytes: u64) {
        self.attempts.set_body(attempt, bytes);
    }

    /// Settles a ticket. `next_try`: when its delivery is to be attempted again; `None` where it
    /// has ended.
    pub(crate) fn settle(
        &mut self,
        ticket: &Ticket,
        next_try: Option<Timestamp>,
        signal: HealthSignal,
        now: Timestamp,
    ) -> Option<Change> {
        let begun = self.attempts.end(ticket.attempt).unwrap_or(now);
        let mut change = None;
        if let Some(destination) = self.destinations.get_mut(&ticket.destination) {
            destination.in_flight -= 1;
            change = destination.record(signal, begun, now);
            if matches!(destination.health, Health::Unresponsive { .. }) {
                self.attempts.reduce_patience(&ticket.destination);
            }
        }
        let job = ticket.id.job;
        match self.jobs.get_mut(&job).filter(|queue| queue.number == ticket.queue) {
            Some(queue) => {
                queue.in_flight -= 1;
                let key = (ticket.id.object_type.clone(), ticket.id.track);
                if let Some(track) = queue.tracks.get_mut(&key) {
                    let readded = track.get_mut(&ticket.number).and_then(|waiting| waiting.readded.take());
                    match (next_try.or(readded), track.get_mut(&ticket.number)) {
                        (Some(due), Some(waiting)) => (waiting.due, waiting.position) = (due, Position::Behind),
                        _ => {
                            track.remove(&ticket.number);
                        }
                    }
                }
                self.queue_head(job, &key);
            }
            None => {
                if let Some(count) = self.ending.get_mut(&job.video) {
                    *count -= 1;
                    if *count == 0 {
                        self.ending.remove(&job.video);
                    }
                }
            }
        }
        self.destinations.retain(|_, d| !d.can_be_forgotten(now));
        let waiting = || self.jobs.values().filter(|q| q.destination == ticket.destination).map(JobQueue::len).sum();
        change.map(|change| match change {
            HealthChange::Down => Change::Down { waiting: waiting() },
            HealthChange::Recovered { downtime } => Change::Recovered { downtime, waiting: waiting() },
        })
    }

    /// Removes the waiting objects of all jobs of a video so far, and cancels their attempts in
    /// flight. A job that is added later is not affected.
    pub(crate) fn withdraw(&mut self, video: VideoId) {
        let jobs: Vec<JobId> = self.jobs.range(all_of(video)).map(|(id, _)| *id).collect();
        for id in jobs {
            let Some(queue) = self.jobs.remove(&id) else { continue };
            queue.cancelled.cancel();
            if let Some(destination) = self.destinations.get_mut(&queue.destination) {
                queue.queued().for_each(|(due, number)| {
                    destination.due.remove(&(due, id, number));
                });
            }
            if queue.in_flight > 0 {
                *self.ending.entry(video).or_default() += queue.in_flight;
            }
        }
    }

    /// Whether attempts of a withdrawn job of the video have not ended yet.
    pub(crate) fn is_ending(&self, video: VideoId) -> bool {
        self.ending.contains_key(&video)
    }

    /// Sends a job's objects to another destination from now on. Attempts in flight are cancelled,
    /// to be repeated there.
    pub(crate) fn redirect(&mut self, job: JobId, destination: &Destination) {
        let Some(queue) = self.jobs.get_mut(&job) else { return };
        std::mem::take(&mut queue.cancelled).cancel();
        let before = std::mem::replace(&mut queue.destination, Arc::clone(destination));
        for (due, number) in queue.queued() {
            let removed = self.destinations.get_mut(&before).and_then(|d| d.due.remove(&(due, job, number)));
            if let Some(id) = removed {
                self.destinations.entry(Arc::clone(destination)).or_default().due.insert((due, job, number), id);
            }
        }
    }

    /// When a waiting object is attempted next; `None` for one that is in flight, or that waits for
    /// another one. Never before `now`. `stored`: the result for an object that is not scheduled.
    pub(crate) fn next_try(
        &self,
        id: &ObjectId,
        number: u32,
        stored: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let scheduled = self.jobs.get(&id.job).and_then(|queue| {
            let waiting = queue.tracks.get(&(id.object_type.clone(), id.track))?.get(&number)?;
            Some((waiting, self.destinations.get(&queue.destination)))
        });
        let next = match scheduled {
            None => stored,
            Some((waiting, destination)) if waiting.position == Position::Queued => {
                destination.and_then(|d| d.paused_until).max(Some(waiting.due))
            }
            Some(_) => None,
        };
        next.filter(|next| *next > now)
    }

    pub(crate) fn counts(&self) -> Deliveries {
        let waiting = self.jobs.values().map(JobQueue::len).sum();
        let unreachable = |d: &&DestinationQueue| {
            matches!(d.health, Health::Unresponsive { .. }) && !(d.due.is_empty() && d.in_flight == 0)
        };
        let unreachable_routers = self.destinations.values().filter(unreachable).count();
        Deliveries { waiting, in_flight: self.attempts.len(), unreachable_routers }
    }
}

impl JobQueue {
    fn len(&self) -> usize {
        self.tracks.values().map(BTreeMap::len).sum()
    }

    /// Due times and numbers of the objects that are in the queue of the destination.
    fn queued(&self) -> impl Iterator<Item = (Timestamp, u32)> {
        let all = self.tracks.values().flatten();
        all.filter(|(_, waiting)| waiting.position == Position::Queued).map(|(number, waiting)| (waiting.due, *number))
    }
}

/// The ids of all possible jobs of a video.
fn all_of(video: VideoId) -> std::ops::RangeInclusive<JobId> {
    JobId { video, number: 0 }..=JobId { video, number: u32::MAX }
}

/// The kind of slot of an attempt to this destination.
fn slot(destination: &DestinationQueue) -> Slot {
    if matches!(destination.health, Health::Responding) { Slot::Responding } else { Slot::Probe }
}
