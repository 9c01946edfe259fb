use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::prelude::*;

use super::{
    attempts::{ANSWERING, ANSWERING_PATIENCE, OVERDUE, OVERDUE_BYTES, PATIENCE, PROBES, SLOT_TIME},
    destination::AT_ONCE,
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

fn settle_all(schedule: &mut Schedule, tickets: &[Ticket], again: Option<Timestamp>, contact: Contact, now: Timestamp) {
    for ticket in tickets {
        schedule.settle(ticket, again, contact, now);
    }
}

/// Adds one object in each of so many tracks.
fn add_tracks(schedule: &mut Schedule, video: u64, destination: &Destination, tracks: std::ops::Range<u64>) {
    tracks.for_each(|track| schedule.add(id(video, track, 0), track as u32, destination, at(0)));
}

/// A schedule whose destination `a` has answered once, at the first second.
fn answering(a: &Destination) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.add(id(999, 1, 0), 0, a, at(0));
    let (tickets, _) = schedule.take(at(0));
    schedule.settle(&tickets[0], None, Contact::Answered, at(0));
    schedule
}

#[test]
fn a_track_waits_for_its_first_object_and_others_do_not() {
    let a = named("a");
    let mut schedule = answering(&a);
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
fn one_that_is_wanted_while_it_is_under_way_is_tried_once_more() {
    let a = named("a");
    let mut schedule = answering(&a);
    schedule.add(id(1, 1, 0), 0, &a, at(0));
    let (tickets, _) = schedule.take(at(0));
    schedule.add(id(1, 1, 0), 0, &a, at(7));
    assert!(schedule.take(at(8)).0.is_empty(), "it is under way");
    schedule.settle(&tickets[0], None, Contact::Answered, at(8));
    let (again, _) = schedule.take(at(8));
    assert_eq!(names(&again), ["1-1-face-1-0"]);
    schedule.settle(&again[0], None, Contact::Answered, at(8));
    assert_eq!(schedule.counts(), Deliveries::default());
}

#[test]
fn the_pause_that_a_destination_asked_for_holds_whatever_others_are_answered() {
    let a = named("a");
    let mut schedule = answering(&a);
    add_tracks(&mut schedule, 1, &a, 0..9);
    let (tickets, _) = schedule.take(at(0));
    schedule.settle(&tickets[0], Some(at(60)), Contact::Busy(at(60)), at(1));
    schedule.settle(&tickets[1], None, Contact::Answered, at(2));
    schedule.settle(&tickets[2], Some(at(3)), Contact::Busy(at(4)), at(2));
    assert_eq!(schedule.take(at(10)).1, Some(at(60)));
    assert!(!schedule.take(at(60)).0.is_empty());
}

#[test]
fn a_destination_is_tried_with_one_object_until_it_answers_and_again_once_it_is_silent() {
    let (mut schedule, a) = (Schedule::default(), named("a"));
    add_tracks(&mut schedule, 1, &a, 0..20);
    let (first, _) = schedule.take(at(0));
    assert_eq!(first.len(), 1);
    schedule.settle(&first[0], None, Contact::Answered, at(0));
    let (more, _) = schedule.take(at(0));
    assert_eq!(more.len(), AT_ONCE);
    settle_all(&mut schedule, &more, Some(at(1)), Contact::Unanswered, at(1));
    assert_eq!(schedule.counts().unreachable_routers, 1);
    let (probe, _) = schedule.take(at(100));
    assert_eq!(probe.len(), 1);
    schedule.settle(&probe[0], None, Contact::Answered, at(100));
    assert_eq!(schedule.take(at(100)).0.len(), AT_ONCE);
    assert_eq!(schedule.counts().unreachable_routers, 0);
}

#[test]
fn a_destination_that_goes_down_and_comes_back_is_told_once_each() {
    let a = named("a");
    let mut schedule = answering(&a);
    add_tracks(&mut schedule, 1, &a, 0..9);
    let mut reported = Vec::new();
    for round in 0..5 {
        let now = at(100 * (round + 1));
        for ticket in schedule.take(now).0 {
            reported
                .extend(schedule.settle(&ticket, Some(now), Contact::Unanswered, now).map(|change| (round, change)));
        }
    }
    assert_eq!(reported, [(0, Change::Down { waiting: 9 })], "four attempts failed in the first round");
    let (probe, _) = schedule.take(at(1000));
    let change = schedule.settle(&probe[0], None, Contact::Answered, at(1000));
    assert_eq!(change, Some(Change::Back { away: Duration::from_secs(900), waiting: 8 }));
    let (more, _) = schedule.take(at(1000));
    assert_eq!(schedule.settle(&more[0], None, Contact::Answered, at(1000)), None);
    assert_eq!(
        schedule.settle(&more[1], Some(at(2000)), Contact::Unanswered, at(1001)),
        None,
        "one connection that broke is no news"
    );
    assert_eq!(schedule.settle(&more[2], None, Contact::Answered, at(1001)), None);
}

#[test]
fn one_request_that_hangs_does_not_make_a_destination_silent_that_answers_others() {
    let a = named("a");
    let mut schedule = answering(&a);
    add_tracks(&mut schedule, 1, &a, 0..9);
    let (tickets, _) = schedule.take(at(1));
    schedule.settle(&tickets[0], None, Contact::Answered, at(5));
    schedule.settle(&tickets[1], Some(at(99)), Contact::Unanswered, at(16));
    assert_eq!(schedule.counts().unreachable_routers, 0);
    assert_eq!(schedule.take(at(16)).0.len(), 2, "two of four are still under way");
}

#[test]
fn a_busy_destination_is_left_alone_as_long_as_it_asks() {
    let a = named("a");
    let mut schedule = answering(&a);
    add_tracks(&mut schedule, 1, &a, 0..2);
    let (tickets, _) = schedule.take(at(0));
    settle_all(&mut schedule, &tickets, Some(at(1)), Contact::Busy(at(30)), at(0));
    assert!(schedule.take(at(29)).0.is_empty());
    assert_eq!(schedule.take(at(30)).0.len(), 2);
}

#[test]
fn the_next_try_is_the_true_one() {
    let a = named("a");
    let mut schedule = answering(&a);
    schedule.add(id(1, 1, 1), 0, &a, at(0));
    schedule.add(id(1, 1, 0), 1, &a, at(0));
    schedule.add(id(1, 2, 0), 2, &a, at(0));
    let next = |schedule: &Schedule, id, number, now| schedule.next_try(&id, number, Some(at(3)), now);
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(1)), None, "it is due: only a slot is missing");
    let (tickets, _) = schedule.take(at(1));
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(1)), None, "it is under way");
    assert_eq!(next(&schedule, id(1, 1, 0), 1, at(1)), None, "it waits for another of its track");
    schedule.settle(&tickets[0], Some(at(20)), Contact::Busy(at(30)), at(1));
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(1)), Some(at(30)), "the destination is left alone longer than it");
    assert_eq!(next(&schedule, id(1, 1, 1), 0, at(30)), None);
    schedule.settle(&tickets[1], Some(at(50)), Contact::Answered, at(1));
    assert_eq!(next(&schedule, id(1, 2, 0), 2, at(1)), Some(at(50)));
    assert_eq!(next(&schedule, id(7, 1, 0), 0, at(1)), Some(at(3)), "of what does not wait here, what was known");
    assert_eq!(next(&schedule, id(7, 1, 0), 0, at(4)), None);
}

#[test]
fn what_was_withdrawn_is_not_tried_and_what_is_under_way_is_told() {
    let a = named("a");
    let mut schedule = answering(&a);
    add_tracks(&mut schedule, 1, &a, 0..6);
    let (tickets, _) = schedule.take(at(0));
    schedule.withdraw(VideoId(1));
    assert!(schedule.is_ending(VideoId(1)));
    assert!(tickets.iter().all(|t| t.cancelled.is_cancelled()));
    assert!(schedule.take(at(9)).0.is_empty());
    settle_all(&mut schedule, &tickets, Some(at(1)), Contact::None, at(0));
    assert!(!schedule.is_ending(VideoId(1)));
    assert_eq!(schedule.counts(), Deliveries::default());
    assert!(schedule.take(at(9)).0.is_empty() && schedule.jobs.is_empty());
}

#[test]
fn a_new_job_is_delivered_while_the_old_one_is_still_ending() {
    let a = named("a");
    let mut schedule = answering(&a);
    (0..3).for_each(|track| schedule.add(of_job(1, 1, track, 0), track as u32, &a, at(0)));
    let (old, _) = schedule.take(at(0));
    schedule.withdraw(VideoId(1));
    (0..2).for_each(|track| schedule.add(of_job(1, 2, track, 0), track as u32, &a, at(0)));
    let (new, _) = schedule.take(at(0));
    assert_eq!(names(&new), ["1-2-face-0-0"], "three of the old job hold the destination");
    settle_all(&mut schedule, &old, Some(at(0)), Contact::None, at(0));
    assert!(!schedule.is_ending(VideoId(1)), "the new job's attempt is none of the old's");
    assert!(!new[0].cancelled.is_cancelled());
    let (more, _) = schedule.take(at(0));
    assert_eq!(names(&more), ["1-2-face-1-0"]);
    schedule.settle(&new[0], None, Contact::Answered, at(0));
    schedule.settle(&more[0], None, Contact::Answered, at(0));
    assert_eq!(schedule.counts(), Deliveries::default());
}

#[test]
fn a_job_that_is_sent_elsewhere_goes_there_whole() {
    let (a, b) = (named("a"), named("b"));
    let mut schedule = answering(&a);
    add_tracks(&mut schedule, 1, &a, 0..6);
    let (tickets, _) = schedule.take(at(0));
    schedule.settle(&tickets[0], Some(at(50)), Contact::Answered, at(0));
    schedule.redirect(JobId { video: VideoId(1), number: 1 }, &b);
    assert!(tickets.iter().all(|t| t.cancelled.is_cancelled()));
    let (probe, _) = schedule.take(at(0));
    assert_eq!((probe.len(), &*probe[0].destination), (1, "b"));
    settle_all(&mut schedule, &tickets[1..], Some(at(0)), Contact::None, at(0));
    schedule.settle(&probe[0], None, Contact::Answered, at(0));
    let mut sent = vec![probe[0].id.clone()];
    for now in [0, 0, 60] {
        let (tickets, _) = schedule.take(at(now));
        assert!(tickets.iter().all(|t| *t.destination == *b && !t.cancelled.is_cancelled()));
        settle_all(&mut schedule, &tickets, None, Contact::Answered, at(now));
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
            schedule.settle(&ticket, Some(at(now)), Contact::Unanswered, at(now));
        }
    }
    assert_eq!(tried.len(), many.len(), "those that were tried stand behind those that were not");
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
    assert_eq!(more.len(), PROBES, "what was sent holds no memory");
}

/// How a destination treats what it is sent.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Refuses,
    /// Takes it and never answers.
    Hangs,
    /// Does not even take it.
    Blocks,
    AnswersOnceThenHangs,
    /// Asks to be left alone for two seconds.
    Busy,
}

fn manner() -> impl Strategy<Value = Manner> {
    prop::sample::select(vec![
        Manner::Refuses,
        Manner::Hangs,
        Manner::Blocks,
        Manner::AnswersOnceThenHangs,
        Manner::Busy,
    ])
}

/// Milliseconds until a destination that answers in 50 ms has got ten objects, beside destinations
/// of these manners with nine each. Of an attempt that hangs only the schedule makes an end.
fn served_after(manners: &[Manner]) -> u64 {
    const STEP: u64 = 50;
    let mut schedule = Schedule::default();
    for (n, _) in manners.iter().enumerate() {
        add_tracks(&mut schedule, n as u64, &named(&n.to_string()), 0..9);
    }
    let healthy = named("healthy");
    add_tracks(&mut schedule, 1_000_000, &healthy, 0..10);
    let (mut open, mut served, mut answered): (Vec<(Ticket, u64)>, _, _) = (Vec::new(), HashSet::new(), HashSet::new());
    for now in (0..).step_by(STEP as usize) {
        let (tickets, _) = schedule.take(at_ms(now));
        for ticket in &tickets {
            let n: Option<usize> = ticket.destination.parse().ok();
            let blocks = n.is_some_and(|n| matches!(manners[n], Manner::Blocks));
            schedule.set_body(ticket.attempt, if blocks { 1 << 20 } else { 0 });
        }
        open.extend(tickets.into_iter().map(|ticket| (ticket, now)));
        let mut still = Vec::new();
        for (ticket, begun) in open {
            let manner = ticket.destination.parse::<usize>().ok().map(|n| manners[n]);
            let once =
                matches!(manner, Some(Manner::AnswersOnceThenHangs)) && answered.insert(ticket.destination.clone());
            let (again, contact) = match manner {
                None if now > begun => {
                    assert!(served.insert(ticket.id.clone()), "delivered twice: {}", ticket.id);
                    (None, Contact::Answered)
                }
                Some(_) if once => (None, Contact::Answered),
                Some(Manner::Refuses) => (Some(at_ms(now + 250)), Contact::Unanswered),
                Some(Manner::Busy) if now > begun => (Some(at_ms(now + 2000)), Contact::Busy(at_ms(now + 2000))),
                _ if ticket.abandoned.is_cancelled() => (Some(at_ms(now + 250)), Contact::Unanswered),
                _ => {
                    still.push((ticket, begun));
                    continue;
                }
            };
            schedule.settle(&ticket, again, contact, at_ms(now));
        }
        open = still;
        assert!(open.len() <= ANSWERING + PROBES + OVERDUE);
        if served.len() == 10 {
            return now;
        }
        assert!(now < 600_000, "not served after ten minutes");
    }
    unreachable!("the loop ends with a result")
}

#[test]
fn among_a_thousand_that_were_never_heard_of_one_that_answers_is_found_within_seconds() {
    let rounds = |one_round: usize, of: Duration| (1000_u64.div_ceil(one_round as u64)) * of.as_millis() as u64;
    let (slots, patience) = (rounds(PROBES, SLOT_TIME), rounds(OVERDUE, PATIENCE));
    for manner in [Manner::Refuses, Manner::Hangs, Manner::Blocks] {
        let took = served_after(&[manner; 1000]);
        // One megabyte each: bodies that were not sent are bounded more tightly than attempts.
        let most = if matches!(manner, Manner::Blocks) { slots + 2 * patience } else { slots.max(patience) };
        assert!(took <= most, "{manner:?}: {took} ms of {most} ms");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        video: u64,
        track: u64,
    },
    Withdraw {
        video: u64,
    },
    Redirect {
        video: u64,
        to: usize,
    },
    /// Ends one of those under way: accepted, tried again, without an answer, refused for being
    /// busy.
    End {
        which: usize,
        how: u8,
    },
    Wait {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..4, 0_u64..4).prop_map(|(video, track)| Step::Add { video, track }),
        1 => (0_u64..4).prop_map(|video| Step::Withdraw { video }),
        1 => (0_u64..4, 0_usize..3).prop_map(|(video, to)| Step::Redirect { video, to }),
        6 => (0_usize..100, 0_u8..8).prop_map(|(which, how)| Step::End { which, how }),
        2 => (0_u64..3000).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    /// Whatever happens to the attempts, all are delivered, each once, in order within their
    /// tracks.
    #[test]
    fn everything_is_delivered_in_order(
        objects in prop::collection::vec((1_u64..4, 0_u64..5), 1..60),
        luck in prop::collection::vec(0_u8..5, 1..80),
    ) {
        let destinations = [named("a"), named("b")];
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
        let unreachable_routers = schedule.counts().unreachable_routers;
        prop_assert_eq!(schedule.counts(), Deliveries { unreachable_routers, ..Deliveries::default() });
    }

    /// Whatever is added, withdrawn, sent elsewhere and answered: of a track one is under way, in
    /// order; nothing of a withdrawn job is begun; nothing that was accepted is begun again; and in
    /// the end nothing is left.
    #[test]
    fn jobs_come_and_go_without_touching_each_other(steps in prop::collection::vec(step(), 1..200)) {
        let places = ["a", "b", "c"].map(named);
        let mut schedule = Schedule::default();
        let (mut now, mut number) = (0, 0_u32);
        let (mut job, mut to) = ([1_u32; 4], [0_usize; 4]);
        let (mut open, mut accepted, mut wanted) = (Vec::<Ticket>::new(), HashSet::new(), HashSet::new());
        let end = [Step::Wait { ms: 100_000 }, Step::End { which: 0, how: 7 }];
        let settling = std::iter::repeat_n(end, 800).flatten();
        for step in steps.into_iter().chain(settling) {
            match step {
                Step::Add { video, track } => {
                    number += 1;
                    let object = of_job(video, job[video as usize], track, number);
                    wanted.insert(object.clone());
                    schedule.add(object, number, &places[to[video as usize]], at_ms(now));
                }
                Step::Withdraw { video } => {
                    let gone = |id: &ObjectId| id.job.video == VideoId(video);
                    schedule.withdraw(VideoId(video));
                    job[video as usize] += 1;
                    wanted.retain(|id| !gone(id));
                    prop_assert!(open.iter().filter(|t| gone(&t.id)).all(|t| t.cancelled.is_cancelled()));
                    prop_assert_eq!(schedule.is_ending(VideoId(video)), open.iter().any(|t| gone(&t.id)));
                }
                Step::Redirect { video, to: place } => {
                    to[video as usize] = place;
                    schedule.redirect(JobId { video: VideoId(video), number: job[video as usize] }, &places[place]);
                }
                Step::Wait { ms } => now += ms,
                Step::End { which, how } if !open.is_empty() => {
                    let ticket = open.swap_remove(which % open.len());
                    let (again, contact) = match how {
                        _ if ticket.cancelled.is_cancelled() => (Some(at_ms(now)), Contact::None),
                        0 => (Some(at_ms(now + 300)), Contact::Unanswered),
                        1 => (Some(at_ms(now + 300)), Contact::Answered),
                        2 => (Some(at_ms(now + 300)), Contact::Busy(at_ms(now + 700))),
                        _ => (None, Contact::Answered),
                    };
                    if again.is_none() {
                        prop_assert!(wanted.remove(&ticket.id), "{} is not wanted", ticket.id);
                        prop_assert!(accepted.insert(ticket.id.clone()));
                    }
                    schedule.settle(&ticket, again, contact, at_ms(now));
                }
                Step::End { .. } => {}
            }
            for ticket in schedule.take(at_ms(now)).0 {
                let id = &ticket.id;
                let video = id.job.video.0 as usize;
                prop_assert!(!accepted.contains(id), "{id} was accepted already");
                prop_assert_eq!((id.job.number, &*ticket.destination), (job[video], &*places[to[video]]));
                prop_assert!(!open.iter().any(|o| o.id.job == id.job && o.id.track == id.track), "two of one track");
                let first = wanted.iter().filter(|w| w.job == id.job && w.track == id.track).map(|w| w.shot).min();
                prop_assert_eq!(first, Some(id.shot), "not in order");
                open.push(ticket);
            }
        }
        prop_assert!(wanted.is_empty() && open.is_empty(), "{} wanted, {} open", wanted.len(), open.len());
        prop_assert!(schedule.jobs.is_empty() && schedule.ending.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever up to 400 destinations do, one that answers is served in a time that their number
    /// bounds.
    #[test]
    fn who_answers_is_served_whatever_others_do(manners in prop::collection::vec(manner(), 34..400)) {
        let took = served_after(&manners);
        // All of them could answer once and hang with all that they are given then.
        let rounds = (manners.len() * AT_ONCE).div_ceil(OVERDUE) as u64;
        let most = rounds * ANSWERING_PATIENCE.as_millis() as u64;
        prop_assert!(took <= most, "{took} ms of {most} ms");
    }
}
