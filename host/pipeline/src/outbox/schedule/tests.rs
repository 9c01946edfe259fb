//! Covers: tracks in order, pauses, the health of destinations, withdrawal, redirection, and the
//! bounds of attempts.

mod simulation;

use std::collections::BTreeSet;

use super::{
    attempts::{OVERDUE_BYTES, PROBES},
    destination::MAX_IN_FLIGHT,
    *,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn at_ms(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(ms as i64).unwrap()
}

fn id(video: u64, track: u64, shot: u32) -> ObjectId {
    of_job(video, 1, track, shot)
}

fn of_job(video: u64, job: u32, track: u64, shot: u32) -> ObjectId {
    format!("{video}-{job}-face-{track}-{shot}").parse().unwrap()
}

fn names(tickets: &[Ticket]) -> Vec<String> {
    tickets.iter().map(|t| t.id.to_string()).collect()
}

fn named(name: &str) -> Destination {
    Destination::from(name)
}

fn settle_all(
    schedule: &mut Schedule,
    tickets: &[Ticket],
    next_try: Option<Timestamp>,
    signal: HealthSignal,
    now: Timestamp,
) {
    for ticket in tickets {
        schedule.settle(ticket, next_try, signal, now);
    }
}

/// Adds one object in each of these tracks.
fn add_tracks(schedule: &mut Schedule, video: u64, destination: &Destination, tracks: std::ops::Range<u64>) {
    tracks.for_each(|track| schedule.add(id(video, track, 0), track as u32, destination, at(0)));
}

/// A schedule whose destination `a` has responded once, at the first second.
fn responding(a: &Destination) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.add(id(999, 1, 0), 0, a, at(0));
    let (tickets, _) = schedule.take(at(0));
    schedule.settle(&tickets[0], None, HealthSignal::Responded, at(0));
    schedule
}

#[test]
fn a_track_waits_for_its_first_object_and_others_do_not() {
    let a = named("a");
    let mut schedule = responding(&a);
    schedule.add(id(1, 1, 1), 0, &a, at(0));
    schedule.add(id(1, 1, 0), 1, &a, at(0));
    schedule.add(id(1, 2, 0), 2, &a, at(0));
    let (tickets, _) = schedule.take(at(0));
    assert_eq!(names(&tickets), ["1-1-face-1-1", "1-1-face-2-0"]);
    assert!(schedule.take(at(9)).0.is_empty());
    schedule.settle(&tickets[0], Some(at(5)), HealthSignal::Responded, at(0));
    let (none, next) = schedule.take(at(4));
    assert!(none.is_empty());
    assert_eq!(next, Some(at(5)));
    let (again, _) = schedule.take(at(5));
    assert_eq!(names(&again), ["1-1-face-1-1"]);
    schedule.settle(&again[0], None, HealthSignal::Responded, at(5));
    assert_eq!(names(&schedule.take(at(5)).0), ["1-1-face-1-0"]);
}

#[test]
fn an_object_added_again_while_in_flight_is_attempted_once_more() {
    let a = named("a");
    let mut schedule = responding(&a);
    schedule.add(id(1, 1, 0), 0, &a, at(0));
    let (tickets, _) = schedule.take(at(0));
    schedule.add(id(1, 1, 0), 0, &a, at(7));
    assert!(schedule.take(at(8)).0.is_empty(), "it is in flight");
    schedule.settle(&tickets[0], None, HealthSignal::Responded, at(8));
    let (again, _) = schedule.take(at(8));
    assert_eq!(names(&again), ["1-1-face-1-0"]);
    schedule.settle(&again[0], None, HealthSignal::Responded, at(8));
    assert_eq!(schedule.counts(), Deliveries::default());
}

#[test]
fn a_pause_that_a_destination_asked_for_lasts_although_other_attempts_succeed() {
    let a = named("a");
    let mut schedule = responding(&a);
    add_tracks(&mut schedule, 1, &a, 0..9);
    let (tickets, _) = schedule.take(at(0));
    schedule.settle(&tickets[0], Some(at(60)), HealthSignal::Busy(at(60)), at(1));
    schedule.settle(&tickets[1], None, HealthSignal::Responded, at(2));
    schedule.settle(&tickets[2], Some(at(3)), HealthSignal::Busy(at(4)), at(2));
    assert_eq!(schedule.take(at(10)).1, Some(at(60)));
    assert!(!schedule.take(at(60)).0.is_empty());
}

#[test]
fn a_destination_that_does_not_respond_is_probed_with_one_object_at_a_time() {
    let (mut schedule, a) = (Schedule::default(), named("a"));
    add_tracks(&mut schedule, 1, &a, 0..20);
    let (first, _) = schedule.take(at(0));
    assert_eq!(first.len(), 1);
    schedule.settle(&first[0], None, HealthSignal::Responded, at(0));
    let (more, _) = schedule.take(at(0));
    assert_eq!(more.len(), MAX_IN_FLIGHT);
    settle_all(&mut schedule, &more, Some(at(1)), HealthSignal::NoResponse, at(1));
    assert_eq!(schedule.counts().unreachable_routers, 1);
    let (probe, _) = schedule.take(at(100));
    assert_eq!(probe.len(), 1);
    schedule.settle(&probe[0], None, HealthSignal::Responded, at(100));
    assert_eq!(schedule.take(at(100)).0.len(), MAX_IN_FLIGHT);
    assert_eq!(schedule.counts().unreachable_routers, 0);
}

#[test]
fn a_destination_that_goes_down_and_comes_back_is_reported_once_each() {
    let a = named("a");
    let mut schedule = responding(&a);
    add_tracks(&mut schedule, 1, &a, 0..9);
    let mut reported = Vec::new();
    for round in 0..5 {
        let now = at(100 * (round + 1));
        for ticket in schedule.take(now).0 {
            reported.extend(
                schedule.settle(&ticket, Some(now), HealthSignal::NoResponse, now).map(|change| (round, change)),
            );
        }
    }
    assert_eq!(reported, [(0, Change::Down { waiting: 9 })], "four attempts failed in the first round");
    let (probe, _) = schedule.take(at(1000));
    let change = schedule.settle(&probe[0], None, HealthSignal::Responded, at(1000));
    assert_eq!(change, Some(Change::Recovered { downtime: Duration::from_secs(900), waiting: 8 }));
    let (more, _) = schedule.take(at(1000));
    assert_eq!(schedule.settle(&more[0], None, HealthSignal::Responded, at(1000)), None);
    assert_eq!(
        schedule.settle(&more[1], Some(at(2000)), HealthSignal::NoResponse, at(1001)),
        None,
        "one broken connection is not an outage"
    );
    assert_eq!(schedule.settle(&more[2], None, HealthSignal::Responded, at(1001)), None);
}

#[test]
fn one_request_that_hangs_does_not_make_a_responding_destination_unresponsive() {
    let a = named("a");
    let mut schedule = responding(&a);
    add_tracks(&mut schedule, 1, &a, 0..9);
    let (tickets, _) = schedule.take(at(1));
    schedule.settle(&tickets[0], None, HealthSignal::Responded, at(5));
    schedule.settle(&tickets[1], Some(at(99)), HealthSignal::NoResponse, at(16));
    assert_eq!(schedule.counts().unreachable_routers, 0);
    assert_eq!(schedule.take(at(16)).0.len(), 2, "two of four are still in flight");
}

#[test]
fn a_busy_destination_is_paused_as_long_as_it_asks() {
    let a = named("a");
    let mut schedule = responding(&a);
    add_tracks(&mut schedule, 1, &a, 0..2);
    let (tickets, _) = schedule.take(at(0));
    settle_all(&mut schedule, &tickets, Some(at(1)), HealthSignal::Busy(at(30)), at(0));
    assert!(schedule.take(at(29)).0.is_empty());
    assert_eq!(schedule.take(at(30)).0.len(), 2);
}

#[test]
fn the_next_try_accounts_for_pauses_and_other_objects() {
    let a = named("a");
    let mut schedule = responding(&a);
    schedule.add(id(1, 1, 1), 0, &a, at(0));
    schedule.add(id(1, 1, 0), 1, &a, at(0));
    schedule.add(id(1, 2, 0), 2, &a, at(0));
    let next = |schedule: &Schedule, id, number, now| schedule.next_try(&id, number, Some(at(3)), now);
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(1)), None, "it is due: only a slot is missing");
    let (tickets, _) = schedule.take(at(1));
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(1)), None, "it is in flight");
    assert_eq!(next(&schedule, id(1, 1, 0), 1, at(1)), None, "it waits for another of its track");
    schedule.settle(&tickets[0], Some(at(20)), HealthSignal::Busy(at(30)), at(1));
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(1)), Some(at(30)), "the destination is paused for longer");
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(30)), None);
    schedule.settle(&tickets[1], Some(at(50)), HealthSignal::Responded, at(1));
    assert_eq!(next(&schedule, id(1, 2, 0), 2, at(1)), Some(at(50)));
    assert_eq!(next(&schedule, id(7, 1, 0), 0, at(1)), Some(at(3)), "one that is not scheduled has the known time");
    assert_eq!(next(&schedule, id(7, 1, 0), 0, at(4)), None);
}

#[test]
fn withdrawn_objects_are_not_tried_and_attempts_in_flight_are_cancelled() {
    let a = named("a");
    let mut schedule = responding(&a);
    add_tracks(&mut schedule, 1, &a, 0..6);
    let (tickets, _) = schedule.take(at(0));
    schedule.withdraw(VideoId(1));
    assert!(schedule.is_ending(VideoId(1)));
    assert!(tickets.iter().all(|t| t.cancelled.is_cancelled()));
    assert!(schedule.take(at(9)).0.is_empty());
    settle_all(&mut schedule, &tickets, Some(at(1)), HealthSignal::NotSent, at(0));
    assert!(!schedule.is_ending(VideoId(1)));
    assert_eq!(schedule.counts(), Deliveries::default());
    assert!(schedule.take(at(9)).0.is_empty() && schedule.jobs.is_empty());
}

#[test]
fn a_new_job_is_delivered_while_the_old_one_is_still_ending() {
    let a = named("a");
    let mut schedule = responding(&a);
    (0..3).for_each(|track| schedule.add(of_job(1, 1, track, 0), track as u32, &a, at(0)));
    let (old, _) = schedule.take(at(0));
    schedule.withdraw(VideoId(1));
    (0..2).for_each(|track| schedule.add(of_job(1, 2, track, 0), track as u32, &a, at(0)));
    let (new, _) = schedule.take(at(0));
    assert_eq!(names(&new), ["1-2-face-0-0"], "three of the old job hold the destination");
    settle_all(&mut schedule, &old, Some(at(0)), HealthSignal::NotSent, at(0));
    assert!(!schedule.is_ending(VideoId(1)), "the attempt in flight belongs to the new job");
    assert!(!new[0].cancelled.is_cancelled());
    let (more, _) = schedule.take(at(0));
    assert_eq!(names(&more), ["1-2-face-1-0"]);
    schedule.settle(&new[0], None, HealthSignal::Responded, at(0));
    schedule.settle(&more[0], None, HealthSignal::Responded, at(0));
    assert_eq!(schedule.counts(), Deliveries::default());
}

#[test]
fn a_redirected_job_goes_to_its_new_destination_as_a_whole() {
    let (a, b) = (named("a"), named("b"));
    let mut schedule = responding(&a);
    add_tracks(&mut schedule, 1, &a, 0..6);
    let (tickets, _) = schedule.take(at(0));
    schedule.settle(&tickets[0], Some(at(50)), HealthSignal::Responded, at(0));
    schedule.redirect(JobId { video: VideoId(1), number: 1 }, &b);
    assert!(tickets.iter().all(|t| t.cancelled.is_cancelled()));
    let (probe, _) = schedule.take(at(0));
    assert_eq!((probe.len(), &*probe[0].destination), (1, "b"));
    settle_all(&mut schedule, &tickets[1..], Some(at(0)), HealthSignal::NotSent, at(0));
    schedule.settle(&probe[0], None, HealthSignal::Responded, at(0));
    let mut sent = vec![probe[0].id.clone()];
    for now in [0, 0, 60] {
        let (tickets, _) = schedule.take(at(now));
        assert!(tickets.iter().all(|t| *t.destination == *b && !t.cancelled.is_cancelled()));
        settle_all(&mut schedule, &tickets, None, HealthSignal::Responded, at(now));
        sent.extend(tickets.into_iter().map(|t| t.id));
    }
    sent.sort();
    assert_eq!(sent, (0..6).map(|track| id(1, track, 0)).collect::<Vec<_>>());
}

#[test]
fn destinations_take_turns() {
    let mut schedule = Schedule::default();
    let many: Vec<_> = (0..2 * PROBES as u64).map(|n| named(&n.to_string())).collect();
    for (n, destination) in many.iter().enumerate() {
        add_tracks(&mut schedule, n as u64, destination, 0..3);
    }
    let mut tried = BTreeSet::new();
    for now in [0, 100] {
        let (tickets, _) = schedule.take(at(now));
        assert_eq!(tickets.len(), PROBES);
        for ticket in tickets {
            tried.insert(ticket.destination.clone());
            schedule.settle(&ticket, Some(at(now)), HealthSignal::NoResponse, at(now));
        }
    }
    assert_eq!(tried.len(), many.len(), "those that were tried come after those that were not");
}

#[test]
fn overdue_attempts_hold_no_slot_and_bodies_that_were_not_sent_are_bounded() {
    let mut schedule = Schedule::default();
    let body = OVERDUE_BYTES / 10;
    for n in 0..1000 {
        add_tracks(&mut schedule, n, &named(&n.to_string()), 0..1);
    }
    let mut open = Vec::new();
    for step in 0..20 {
        let (tickets, _) = schedule.take(at_ms(step * 250));
        tickets.iter().for_each(|t| schedule.set_body(t.attempt, body));
        open.extend(tickets);
    }
    assert_eq!(open.len(), PROBES + 10, "ten bodies fit among the overdue, the others hold their slots");
    assert!(!open.iter().any(|t| t.abandoned.is_cancelled()));
    open.iter().for_each(|t| schedule.set_body(t.attempt, 0));
    let (more, _) = schedule.take(at_ms(5000));
    assert_eq!(more.len(), PROBES, "a body that was sent takes no memory");
}
