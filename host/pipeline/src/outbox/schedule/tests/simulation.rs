//! Covers: destinations of every behaviour beside one that responds, and any sequence of additions,
//! withdrawals and responses.

use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::outbox::schedule::attempts::{OVERDUE, PATIENCE, RESPONDING, RESPONDING_PATIENCE, SLOT_TIME};

/// Behaviour of a destination.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Refuses,
    /// Receives the request and never responds.
    Hangs,
    /// Does not even receive the body.
    Blocks,
    AnswersOnceThenHangs,
    /// Asks for a pause of two seconds.
    Busy,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop::sample::select(vec![
        Behaviour::Refuses,
        Behaviour::Hangs,
        Behaviour::Blocks,
        Behaviour::AnswersOnceThenHangs,
        Behaviour::Busy,
    ])
}

/// Milliseconds until a destination that responds in 50 ms has received ten objects, beside
/// destinations of these behaviours with nine each. An attempt that hangs ends only when the
/// schedule abandons it.
fn served_after(behaviours: &[Behaviour]) -> u64 {
    const STEP: u64 = 50;
    let mut schedule = Schedule::default();
    for (n, _) in behaviours.iter().enumerate() {
        add_tracks(&mut schedule, n as u64, &named(&n.to_string()), 0..9);
    }
    let healthy = named("healthy");
    add_tracks(&mut schedule, 1_000_000, &healthy, 0..10);
    let (mut open, mut served, mut responded): (Vec<(Ticket, u64)>, _, _) =
        (Vec::new(), HashSet::new(), HashSet::new());
    for now in (0..).step_by(STEP as usize) {
        let (tickets, _) = schedule.take(at_ms(now));
        for ticket in &tickets {
            let n: Option<usize> = ticket.destination.parse().ok();
            let blocks = n.is_some_and(|n| matches!(behaviours[n], Behaviour::Blocks));
            schedule.set_body(ticket.attempt, if blocks { 1 << 20 } else { 0 });
        }
        open.extend(tickets.into_iter().map(|ticket| (ticket, now)));
        let mut in_flight = Vec::new();
        for (ticket, begun) in open {
            let behaviour = ticket.destination.parse::<usize>().ok().map(|n| behaviours[n]);
            let once = matches!(behaviour, Some(Behaviour::AnswersOnceThenHangs))
                && responded.insert(ticket.destination.clone());
            let (next_try, signal) = match behaviour {
                None if now > begun => {
                    assert!(served.insert(ticket.id.clone()), "delivered twice: {}", ticket.id);
                    (None, HealthSignal::Responded)
                }
                Some(_) if once => (None, HealthSignal::Responded),
                Some(Behaviour::Refuses) => (Some(at_ms(now + 250)), HealthSignal::NoResponse),
                Some(Behaviour::Busy) if now > begun => {
                    (Some(at_ms(now + 2000)), HealthSignal::Busy(at_ms(now + 2000)))
                }
                _ if ticket.abandoned.is_cancelled() => (Some(at_ms(now + 250)), HealthSignal::NoResponse),
                _ => {
                    in_flight.push((ticket, begun));
                    continue;
                }
            };
            schedule.settle(&ticket, next_try, signal, at_ms(now));
        }
        open = in_flight;
        assert!(open.len() <= RESPONDING + PROBES + OVERDUE);
        if served.len() == 10 {
            return now;
        }
        assert!(now < 600_000, "not served after ten minutes");
    }
    unreachable!("the loop ends with a result")
}

#[test]
fn one_responding_destination_among_a_thousand_unknown_ones_is_found_within_seconds() {
    let rounds = |one_round: usize, of: Duration| (1000_u64.div_ceil(one_round as u64)) * of.as_millis() as u64;
    let (slots, patience) = (rounds(PROBES, SLOT_TIME), rounds(OVERDUE, PATIENCE));
    for behaviour in [Behaviour::Refuses, Behaviour::Hangs, Behaviour::Blocks] {
        let took = served_after(&[behaviour; 1000]);
        // One megabyte each: bodies that were not sent are bounded more tightly than attempts.
        let most = if matches!(behaviour, Behaviour::Blocks) { slots + 2 * patience } else { slots.max(patience) };
        assert!(took <= most, "{behaviour:?}: {took} ms of {most} ms");
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
    /// Ends an attempt: accepted, to be tried again, without a response, or refused as busy.
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
    /// For any results of the attempts, all objects are delivered, each once, in order within their
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
                let (next_try, signal) = match luck.next().unwrap() {
                    0 => (Some(at(now + 3)), HealthSignal::NoResponse),
                    1 => (Some(at(now + 2)), HealthSignal::Responded),
                    2 => (Some(at(now + 1)), HealthSignal::Busy(at(now + 7))),
                    _ => (None, HealthSignal::Responded),
                };
                if next_try.is_none() {
                    let before = latest.insert((ticket.id.job.video, ticket.id.track), ticket.number);
                    prop_assert!(before < Some(ticket.number));
                    prop_assert!(delivered.insert(ticket.id.clone()));
                }
                schedule.settle(&ticket, next_try, signal, at(now));
            }
            now += 1;
            // With bad luck only, it never ends.
            if now > 20_000 { return Ok(()); }
        }
        let unreachable_routers = schedule.counts().unreachable_routers;
        prop_assert_eq!(schedule.counts(), Deliveries { unreachable_routers, ..Deliveries::default() });
    }

    /// For any sequence of additions, withdrawals, redirections and responses: of a track one
    /// object is in flight, in order; no attempt of a withdrawn job begins; no accepted object is
    /// sent again; and in the end nothing is left.
    #[test]
    fn jobs_come_and_go_without_affecting_each_other(steps in prop::collection::vec(step(), 1..200)) {
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
                    let (next_try, signal) = match how {
                        _ if ticket.cancelled.is_cancelled() => (Some(at_ms(now)), HealthSignal::NotSent),
                        0 => (Some(at_ms(now + 300)), HealthSignal::NoResponse),
                        1 => (Some(at_ms(now + 300)), HealthSignal::Responded),
                        2 => (Some(at_ms(now + 300)), HealthSignal::Busy(at_ms(now + 700))),
                        _ => (None, HealthSignal::Responded),
                    };
                    if next_try.is_none() {
                        prop_assert!(wanted.remove(&ticket.id), "{} is not wanted", ticket.id);
                        prop_assert!(accepted.insert(ticket.id.clone()));
                    }
                    schedule.settle(&ticket, next_try, signal, at_ms(now));
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

    /// For any behaviours of up to 400 destinations, one that responds is served in a time bounded
    /// by their number.
    #[test]
    fn a_responding_destination_is_served_whatever_others_do(behaviours in prop::collection::vec(behaviour(), 34..400)) {
        let took = served_after(&behaviours);
        // All of them may respond once and then hang with everything that they get.
        let rounds = (behaviours.len() * MAX_IN_FLIGHT).div_ceil(OVERDUE) as u64;
        let most = rounds * RESPONDING_PATIENCE.as_millis() as u64;
        prop_assert!(took <= most, "{took} ms of {most} ms");
    }
}
