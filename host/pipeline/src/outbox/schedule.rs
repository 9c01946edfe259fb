//! Which delivery is tried next, and when.
//!
//! Guarantees: of a track, one object is under way at a time, in the order in which they were made; the next one only
//! once the one before has come to its end. A destination (scheme, host and port) that does not answer is left alone for a
//! while and then tried with one object at a time; others are not held up by it. Pure: no clock, no I/O.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use ocellus_core::{JobId, ObjectId, ObjectType, TrackId, VideoId};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::backoff;

/// Posts under way at once, to one destination.
const AT_ONCE: usize = 4;
/// Posts under way at once, to all of them: each holds its pictures in memory.
const IN_ALL: usize = 32;
/// The longest that a destination without an answer is left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(crate) type Destination = Arc<str>;
type TrackKey = (ObjectType, TrackId);

/// Everything that waits, and how its destinations are. Some hundred bytes for each object that waits.
#[derive(Default)]
pub(crate) struct Schedule {
    videos: HashMap<VideoId, Queue>,
    destinations: HashMap<Destination, Courier>,
    in_flight: usize,
}

/// What waits of one job.
struct Queue {
    job: JobId,
    destination: Destination,
    tracks: HashMap<TrackKey, BTreeMap<u32, Waiting>>,
    in_flight: usize,
    withdrawn: CancellationToken,
}

struct Waiting {
    id: ObjectId,
    due: Timestamp,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind another of its track.
    Behind,
    /// In its courier's list.
    Listed,
    InFlight,
}

#[derive(Default)]
struct Courier {
    due: BTreeMap<(Timestamp, VideoId, u32), ObjectId>,
    in_flight: usize,
    /// Attempts without an answer since the last one with.
    unanswered: u32,
    paused_until: Option<Timestamp>,
}

/// A delivery to be tried now.
pub(crate) struct Ticket {
    pub id: ObjectId,
    pub number: u32,
    pub destination: Destination,
    /// Its video is deleted or processed anew.
    pub withdrawn: CancellationToken,
}

/// What an attempt showed of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// The request never left.
    None,
    Unanswered,
    Answered,
    /// It asks to be left alone until then.
    Busy(Timestamp),
}

/// Objects on their way to routers, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    pub waiting: usize,
    pub in_flight: usize,
    /// Routers that did not answer when they were last tried.
    pub unreachable_routers: usize,
}

impl Schedule {
    /// Puts an object in its place; one that waits already is due at the sooner time.
    pub(crate) fn add(&mut self, id: ObjectId, number: u32, destination: &Destination, due: Timestamp) {
        let (job, video) = (id.job, id.job.video);
        let queue = self.videos.entry(video).or_insert_with(|| Queue {
            job,
            destination: Arc::clone(destination),
            tracks: HashMap::new(),
            in_flight: 0,
            withdrawn: CancellationToken::new(),
        });
        if queue.job != job || queue.withdrawn.is_cancelled() {
            // Of a job that is cleared away.
            return;
        }
        let key = (id.object_type.clone(), id.track);
        let track = queue.tracks.entry(key.clone()).or_default();
        match track.get_mut(&number) {
            None => {
                track.insert(number, Waiting { id, due, place: Place::Behind });
            }
            Some(waiting) if waiting.place == Place::Behind => waiting.due = waiting.due.min(due),
            Some(waiting) if waiting.place == Place::Listed && due < waiting.due => {
                if let Some(courier) = self.destinations.get_mut(&queue.destination) {
                    courier.due.remove(&(waiting.due, video, number));
                    courier.due.insert((due, video, number), waiting.id.clone());
                }
                waiting.due = due;
            }
            Some(_) => {}
        }
        self.list_head(video, &key);
    }

    /// Lists the first of a track, unless one of it is listed or under way.
    fn list_head(&mut self, video: VideoId, key: &TrackKey) {
        let Some(queue) = self.videos.get_mut(&video) else { return };
        let Some(track) = queue.tracks.get_mut(key) else { return };
        if track.values().any(|w| w.place != Place::Behind) {
            return;
        }
        match track.iter_mut().next() {
            Some((number, waiting)) => {
                waiting.place = Place::Listed;
                let courier = self.destinations.entry(Arc::clone(&queue.destination)).or_default();
                courier.due.insert((waiting.due, video, *number), waiting.id.clone());
            }
            None => {
                queue.tracks.remove(key);
                if queue.tracks.is_empty() && queue.in_flight == 0 {
                    self.videos.remove(&video);
                }
            }
        }
    }

    /// What is to be tried now; and when to ask again, if there is anything to wait for.
    pub(crate) fn take(&mut self, now: Timestamp) -> (Vec<Ticket>, Option<Timestamp>) {
        let (mut tickets, mut next) = (Vec::new(), None::<Timestamp>);
        for (destination, courier) in &mut self.destinations {
            let at_once = if courier.unanswered > 0 { 1 } else { AT_ONCE };
            while courier.in_flight < at_once
                && self.in_flight < IN_ALL
                && let Some((&(due, video, number), _)) = courier.due.first_key_value()
            {
                let start = courier.paused_until.map_or(due, |p| p.max(due));
                if start > now {
                    next = Some(next.map_or(start, |n| n.min(start)));
                    break;
                }
                let Some(id) = courier.due.remove(&(due, video, number)) else { break };
                let Some(queue) = self.videos.get_mut(&video) else { continue };
                let track = queue.tracks.get_mut(&(id.object_type.clone(), id.track));
                if let Some(waiting) = track.and_then(|t| t.get_mut(&number)) {
                    waiting.place = Place::InFlight;
                }
                queue.in_flight += 1;
                courier.in_flight += 1;
                self.in_flight += 1;
                let (destination, withdrawn) = (Arc::clone(destination), queue.withdrawn.clone());
                tickets.push(Ticket { id, number, destination, withdrawn });
            }
        }
        (tickets, next)
    }

    /// Takes a ticket back. `again`: when its delivery is to be tried again; `None` where it has come to its end.
    pub(crate) fn settle(&mut self, ticket: &Ticket, again: Option<Timestamp>, contact: Contact, now: Timestamp) {
        self.in_flight -= 1;
        if let Some(courier) = self.destinations.get_mut(&ticket.destination) {
            courier.in_flight -= 1;
            match contact {
                Contact::None => {}
                Contact::Unanswered => {
                    courier.unanswered += 1;
                    courier.paused_until = Some(backoff(now, courier.unanswered, LONGEST_PAUSE));
                }
                Contact::Answered => (courier.unanswered, courier.paused_until) = (0, None),
                Contact::Busy(until) => (courier.unanswered, courier.paused_until) = (0, Some(until)),
            }
        }
        let video = ticket.id.job.video;
        if let Some(queue) = self.videos.get_mut(&video).filter(|q| q.job == ticket.id.job) {
            queue.in_flight -= 1;
            let key = (ticket.id.object_type.clone(), ticket.id.track);
            if let Some(track) = queue.tracks.get_mut(&key) {
                match (again, track.get_mut(&ticket.number)) {
                    (Some(due), Some(waiting)) => (waiting.due, waiting.place) = (due, Place::Behind),
                    _ => {
                        track.remove(&ticket.number);
                    }
                }
            }
            if queue.withdrawn.is_cancelled() && queue.in_flight == 0 {
                self.videos.remove(&video);
            } else {
                self.list_head(video, &key);
            }
        }
        // A destination of which there is nothing to say is forgotten.
        self.destinations.retain(|_, c| !c.due.is_empty() || c.in_flight > 0 || c.paused_until.is_some_and(|p| p > now));
    }

    /// Forgets what waits of a video. True once nothing of it is under way; its tickets are told to end.
    pub(crate) fn withdraw(&mut self, video: VideoId) -> bool {
        let Some(queue) = self.videos.get_mut(&video) else { return true };
        queue.withdrawn.cancel();
        queue.tracks.clear();
        if let Some(courier) = self.destinations.get_mut(&queue.destination) {
            courier.due.retain(|(_, v, _), _| *v != video);
        }
        let gone = queue.in_flight == 0;
        if gone {
            self.videos.remove(&video);
        }
        gone
    }

    pub(crate) fn figures(&self) -> Deliveries {
        let waiting = self.videos.values().flat_map(|q| q.tracks.values()).map(BTreeMap::len).sum();
        let unreachable_routers = self.destinations.values().filter(|c| c.unanswered > 0 && !c.due.is_empty()).count();
        Deliveries { waiting, in_flight: self.in_flight, unreachable_routers }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn id(video: u64, track: u64, shot: u32) -> ObjectId {
        format!("{video}-1-face-{track}-{shot}").parse().unwrap()
    }

    fn names(tickets: &[Ticket]) -> Vec<String> {
        tickets.iter().map(|t| t.id.to_string()).collect()
    }

    #[test]
    fn a_track_waits_for_its_first_object_and_others_do_not() {
        let (mut schedule, a) = (Schedule::default(), Destination::from("a"));
        schedule.add(id(1, 1, 1), 0, &a, at(0));
        schedule.add(id(1, 1, 0), 1, &a, at(0));
        schedule.add(id(1, 2, 0), 2, &a, at(0));
        let (tickets, _) = schedule.take(at(0));
        assert_eq!(names(&tickets), ["1-1-face-1-1", "1-1-face-2-0"]);
        assert!(schedule.take(at(9)).0.is_empty());
        schedule.settle(&tickets[0], Some(at(5)), Contact::Answered, at(0));
        let (none, next) = schedule.take(at(4));
        assert!(none.is_empty());
        assert_eq!(next, Some(at(5)));
        let (again, _) = schedule.take(at(5));
        assert_eq!(names(&again), ["1-1-face-1-1"]);
        schedule.settle(&again[0], None, Contact::Answered, at(5));
        assert_eq!(names(&schedule.take(at(5)).0), ["1-1-face-1-0"]);
    }

    #[test]
    fn who_does_not_answer_is_asked_by_one_at_a_time_and_holds_up_nobody_else() {
        let (mut schedule, a, b) = (Schedule::default(), Destination::from("a"), Destination::from("b"));
        for track in 0..10 {
            schedule.add(id(1, track, 0), track as u32, &a, at(0));
            schedule.add(id(2, track, 0), track as u32, &b, at(0));
        }
        let (tickets, _) = schedule.take(at(0));
        assert_eq!(tickets.len(), 2 * AT_ONCE);
        for ticket in &tickets {
            let (again, contact) = if *ticket.destination == *a { (Some(at(1)), Contact::Unanswered) } else { (None, Contact::Answered) };
            schedule.settle(ticket, again, contact, at(0));
        }
        assert_eq!(schedule.figures().unreachable_routers, 1);
        let (later, _) = schedule.take(at(100));
        let count = |d: &Destination| later.iter().filter(|t| t.destination == *d).count();
        assert_eq!((count(&a), count(&b)), (1, AT_ONCE));
        let probe = later.iter().find(|t| t.destination == a).unwrap();
        schedule.settle(probe, None, Contact::Answered, at(100));
        assert_eq!(schedule.take(at(100)).0.iter().filter(|t| t.destination == a).count(), AT_ONCE);
    }

    #[test]
    fn a_busy_destination_is_left_alone_as_long_as_it_asks() {
        let (mut schedule, a) = (Schedule::default(), Destination::from("a"));
        schedule.add(id(1, 1, 0), 0, &a, at(0));
        schedule.add(id(1, 2, 0), 1, &a, at(0));
        let (tickets, _) = schedule.take(at(0));
        tickets.iter().for_each(|t| schedule.settle(t, Some(at(1)), Contact::Busy(at(30)), at(0)));
        assert!(schedule.take(at(29)).0.is_empty());
        assert_eq!(schedule.take(at(30)).0.len(), 2);
    }

    #[test]
    fn what_was_withdrawn_is_not_tried_and_what_is_under_way_is_told() {
        let (mut schedule, a) = (Schedule::default(), Destination::from("a"));
        (0..6).for_each(|track| schedule.add(id(1, track, 0), track as u32, &a, at(0)));
        let (tickets, _) = schedule.take(at(0));
        assert!(!schedule.withdraw(VideoId(1)));
        assert!(tickets.iter().all(|t| t.withdrawn.is_cancelled()));
        assert!(schedule.take(at(9)).0.is_empty());
        tickets.iter().for_each(|t| schedule.settle(t, Some(at(1)), Contact::None, at(0)));
        assert!(schedule.withdraw(VideoId(1)));
        assert_eq!(schedule.figures(), Deliveries::default());
        assert!(schedule.destinations.is_empty());
    }

    proptest! {
        /// Whatever happens to the attempts, all are delivered, each once, in order within their tracks.
        #[test]
        fn everything_is_delivered_in_order(
            objects in prop::collection::vec((1_u64..4, 0_u64..5), 1..60),
            luck in prop::collection::vec(0_u8..5, 1..80),
        ) {
            let destinations = [Destination::from("a"), Destination::from("b")];
            let mut schedule = Schedule::default();
            for (number, (video, track)) in objects.iter().enumerate() {
                schedule.add(id(*video, *track, number as u32), number as u32, &destinations[*video as usize % 2], at(0));
            }
            let (mut now, mut luck) = (0, luck.into_iter().cycle());
            let (mut delivered, mut latest) = (BTreeSet::new(), HashMap::new());
            while delivered.len() < objects.len() {
                let (tickets, next) = schedule.take(at(now));
                prop_assert!(!tickets.is_empty() || next.is_some_and(|n| n > at(now)), "stuck at {now}");
                let tracks: HashSet<_> = tickets.iter().map(|t| (t.id.job.video, t.id.track)).collect();
                prop_assert_eq!(tracks.len(), tickets.len());
                for ticket in tickets {
                    let (again, contact) = match luck.next().unwrap() {
                        0 => (Some(at(now + 3)), Contact::Unanswered),
                        1 => (Some(at(now + 2)), Contact::Answered),
                        2 => (Some(at(now + 1)), Contact::Busy(at(now + 7))),
                        _ => (None, Contact::Answered),
                    };
                    if again.is_none() {
                        let before = latest.insert((ticket.id.job.video, ticket.id.track), ticket.number);
                        prop_assert!(before < Some(ticket.number));
                        prop_assert!(delivered.insert(ticket.id.clone()));
                    }
                    schedule.settle(&ticket, again, contact, at(now));
                }
                now += 1;
                // With bad luck only, it takes for ever.
                if now > 20_000 { return Ok(()); }
            }
            prop_assert_eq!(schedule.figures(), Deliveries { unreachable_routers: schedule.figures().unreachable_routers, ..Deliveries::default() });
        }
    }
}
