use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn taken(queue: &mut Queue<u32>, now: i64) -> Option<Taken<u32>> {
    match queue.take(at(now), || 0) {
        Take::Job(taken) => Some(taken),
        Take::None { .. } | Take::Closed => None,
    }
}

fn granted(queue: &mut Queue<u32>, id: u64, purpose: Purpose) -> bool {
    matches!(queue.claim(VideoId(id), purpose), Answer::Granted)
}

#[test]
fn queued_videos_begin_in_the_order_of_their_dates() {
    let mut queue = Queue::default();
    for (id, since) in [(1, 5), (2, 3), (4, 5), (3, 5)] {
        queue.enqueue(VideoId(id), at(since));
    }
    let order: Vec<_> = std::iter::from_fn(|| taken(&mut queue, 9)).map(|t| t.id.0).collect();
    assert_eq!(order, [2, 1, 3, 4]);
}

#[test]
fn a_video_that_cannot_begin_delays_no_other_and_is_paused_longer_each_time() {
    let mut queue = Queue::default();
    queue.enqueue(VideoId(1), at(0));
    queue.enqueue(VideoId(2), at(1));
    let first = taken(&mut queue, 10).unwrap();
    queue.postpone(first.id, first.run, at(10));
    assert_eq!(taken(&mut queue, 10).unwrap().id, VideoId(2));
    assert!(matches!(queue.take(at(10), || 0), Take::None { until: Some(until) } if until == at(11)));
    let again = taken(&mut queue, 11).unwrap();
    assert_eq!((again.id, again.failures), (VideoId(1), 1));
    queue.postpone(again.id, again.run, at(11));
    assert!(taken(&mut queue, 12).is_none());
    queue.wake();
    assert_eq!(taken(&mut queue, 12).unwrap().failures, 2);
}

#[test]
fn a_stopped_video_does_not_begin_and_one_that_could_not_be_stopped_keeps_its_place() {
    let mut queue = Queue::default();
    queue.enqueue(VideoId(1), at(0));
    queue.enqueue(VideoId(2), at(1));
    assert!(granted(&mut queue, 1, Purpose::End));
    assert_eq!(taken(&mut queue, 9).unwrap().id, VideoId(2));
    assert!(taken(&mut queue, 9).is_none());
    queue.release(VideoId(1), Next::AsBefore);
    assert!(granted(&mut queue, 1, Purpose::End));
    queue.release(VideoId(1), Next::Idle);
    assert!(taken(&mut queue, 9).is_none());
}

#[test]
fn a_video_may_begin_again_after_its_run_was_ended() {
    let mut queue = Queue::default();
    queue.enqueue(VideoId(1), at(0));
    let run = taken(&mut queue, 0).unwrap();
    assert!(matches!(queue.claim(VideoId(1), Purpose::Begin), Answer::UnderWay));
    let Answer::Later { free, interrupt: Some(_) } = queue.claim(VideoId(1), Purpose::End) else {
        panic!("there is a run to end")
    };
    let Answer::Later { free: also, .. } = queue.claim(VideoId(1), Purpose::Begin) else {
        panic!("the run has to end first")
    };
    assert!(!free.is_cancelled());
    queue.finish(run.id, run.run);
    assert!(free.is_cancelled() && also.is_cancelled());
    assert!(granted(&mut queue, 1, Purpose::Begin));
}

#[test]
fn a_video_may_begin_again_once_its_worker_has_written_the_final_state() {
    let mut queue = Queue::default();
    queue.enqueue(VideoId(1), at(0));
    let run = taken(&mut queue, 0).unwrap();
    queue.is_over(run.id, run.run);
    let Answer::Later { free, .. } = queue.claim(VideoId(1), Purpose::Begin) else { panic!("this run is over") };
    queue.finish(run.id, run.run);
    assert!(free.is_cancelled());
    assert!(granted(&mut queue, 1, Purpose::Begin));
}

#[test]
fn a_worker_ends_its_own_run_only() {
    let mut queue = Queue::default();
    queue.enqueue(VideoId(1), at(0));
    let old = taken(&mut queue, 0).unwrap();
    queue.finish(old.id, old.run);
    queue.enqueue(VideoId(1), at(1));
    let new = taken(&mut queue, 1).unwrap();
    queue.finish(old.id, old.run);
    assert!(queue.handle(new.id).is_some());
    queue.finish(new.id, new.run);
    assert!(queue.handle(new.id).is_none());
}

#[test]
fn a_shutdown_suspends_runs_that_no_user_ends() {
    let mut queue = Queue::default();
    queue.enqueue(VideoId(1), at(0));
    queue.enqueue(VideoId(2), at(1));
    queue.enqueue(VideoId(3), at(2));
    let (stopped, cut) = (taken(&mut queue, 9).unwrap(), taken(&mut queue, 9).unwrap());
    queue.claim(stopped.id, Purpose::End);
    assert!(!queue.is_suspended(cut.id, cut.run));
    assert_eq!(queue.close().len(), 2);
    assert!(!queue.is_suspended(stopped.id, stopped.run));
    assert!(queue.is_suspended(cut.id, cut.run));
    assert!(matches!(queue.take(at(9), || 0), Take::Closed));
    assert!(matches!(queue.claim(VideoId(9), Purpose::Begin), Answer::Closed));
}

#[derive(Clone, Debug)]
enum Event {
    Claim(u64, Purpose),
    /// Releases the claim at this index of those held.
    Release(usize, Then),
    Take,
    Finish(usize),
    Postpone(usize),
    Wake,
    Tick(i64),
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    AsBefore,
    Idle,
    Waits,
}

fn event() -> impl Strategy<Value = Event> {
    let purpose = prop_oneof![Just(Purpose::Begin), Just(Purpose::End)];
    let then = prop_oneof![1 => Just(Then::AsBefore), 1 => Just(Then::Idle), 3 => Just(Then::Waits)];
    prop_oneof![
        60 => (0_u64..5, purpose).prop_map(|(id, purpose)| Event::Claim(id, purpose)),
        60 => (0_usize..5, then).prop_map(|(n, then)| Event::Release(n, then)),
        50 => Just(Event::Take),
        25 => (0_usize..5).prop_map(Event::Finish),
        20 => (0_usize..5).prop_map(Event::Postpone),
        4 => Just(Event::Wake),
        20 => (0_i64..90).prop_map(Event::Tick),
        1 => Just(Event::Close),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Waits {
    since: Timestamp,
    paused_until: Option<Timestamp>,
}

/// Model that the queue is compared with: plain lists, searched linearly.
#[derive(Default)]
struct Expected {
    now: i64,
    waiting: Vec<(VideoId, Waits)>,
    claims: Vec<(VideoId, Option<Waits>)>,
    runs: Vec<Run>,
    /// Tokens that claims wait for, by the video whose holder cancels them.
    asked: Vec<(VideoId, CancellationToken)>,
    closed: bool,
}

struct Run {
    taken: Taken<u32>,
    waits: Waits,
    ends: bool,
}

impl Expected {
    fn now(&self) -> Timestamp {
        at(self.now)
    }

    /// Checks that the claims that waited for the holder of a video were woken, and no others.
    fn check_woken(&mut self, id: VideoId) {
        assert!(self.asked.iter().all(|(of, token)| token.is_cancelled() == (*of == id)));
        self.asked.retain(|(of, _)| *of != id);
    }

    /// The video that is to begin next.
    fn next(&self) -> Option<VideoId> {
        let may = self.waiting.iter().filter(|(_, w)| w.paused_until.is_none_or(|until| until <= self.now()));
        may.min_by_key(|(id, w)| (w.since, *id)).map(|(id, _)| *id)
    }

    fn apply(&mut self, queue: &mut Queue<u32>, event: &Event) {
        match *event {
            Event::Claim(id, purpose) => self.claim(queue, VideoId(id), purpose),
            Event::Release(n, then) if n < self.claims.len() => self.release(queue, n, then),
            Event::Take => self.take(queue),
            Event::Finish(n) if n < self.runs.len() => {
                let run = self.runs.remove(n);
                queue.finish(run.taken.id, run.taken.run);
                self.check_woken(run.taken.id);
            }
            Event::Postpone(n) if n < self.runs.len() => {
                let run = self.runs.remove(n);
                queue.postpone(run.taken.id, run.taken.run, self.now());
                let pause = (1 << run.taken.failures.min(10)).min(60);
                self.waiting.push((run.taken.id, Waits { paused_until: Some(at(self.now + pause)), ..run.waits }));
                self.check_woken(run.taken.id);
            }
            Event::Wake => {
                queue.wake();
                self.waiting.iter_mut().for_each(|(_, w)| w.paused_until = None);
            }
            Event::Tick(seconds) => self.now += seconds,
            Event::Close => {
                assert_eq!(queue.close().len(), self.runs.len());
                self.closed = true;
            }
            Event::Release(..) | Event::Finish(_) | Event::Postpone(_) => {}
        }
        assert!(self.asked.iter().all(|(_, token)| !token.is_cancelled()), "notified although it is still held");
    }

    fn claim(&mut self, queue: &mut Queue<u32>, id: VideoId, purpose: Purpose) {
        let answer = queue.claim(id, purpose);
        if self.closed {
            assert!(matches!(answer, Answer::Closed));
        } else if self.claims.iter().any(|(of, _)| *of == id) {
            let Answer::Later { free, interrupt: None } = answer else { panic!("{id} is claimed") };
            self.asked.push((id, free));
        } else if let Some(run) = self.runs.iter_mut().find(|r| r.taken.id == id) {
            if purpose == Purpose::Begin && !run.ends {
                assert!(matches!(answer, Answer::UnderWay));
            } else {
                run.ends = true;
                let Answer::Later { free, interrupt: Some(_) } = answer else { panic!("{id} runs") };
                self.asked.push((id, free));
            }
        } else if let Some(n) = self.waiting.iter().position(|(of, _)| *of == id) {
            if purpose == Purpose::Begin {
                assert!(matches!(answer, Answer::UnderWay));
            } else {
                assert!(matches!(answer, Answer::Granted));
                let (_, waits) = self.waiting.remove(n);
                self.claims.push((id, Some(waits)));
            }
        } else {
            assert!(matches!(answer, Answer::Granted));
            self.claims.push((id, None));
        }
    }

    fn release(&mut self, queue: &mut Queue<u32>, n: usize, then: Then) {
        let (id, before) = self.claims.remove(n);
        let (next, waits) = match then {
            Then::AsBefore => (Next::AsBefore, before),
            Then::Idle => (Next::Idle, None),
            Then::Waits => (Next::Waits(self.now()), Some(Waits { since: self.now(), paused_until: None })),
        };
        queue.release(id, next);
        self.waiting.extend(waits.map(|w| (id, w)));
        self.check_woken(id);
    }

    fn take(&mut self, queue: &mut Queue<u32>) {
        let next = self.next();
        match queue.take(self.now(), || 0) {
            Take::Closed => assert!(self.closed),
            Take::None { until } => {
                assert!(!self.closed);
                assert_eq!(next, None);
                assert_eq!(until, self.waiting.iter().filter_map(|(_, w)| w.paused_until).min());
            }
            Take::Job(taken) => {
                assert!(!self.closed);
                assert_eq!(Some(taken.id), next);
                assert!(self.runs.iter().all(|r| r.taken.id != taken.id), "two workers have {}", taken.id);
                assert!(self.claims.iter().all(|(id, _)| *id != taken.id), "{} is claimed", taken.id);
                let n = self.waiting.iter().position(|(id, _)| *id == taken.id).unwrap();
                let (_, waits) = self.waiting.remove(n);
                self.runs.push(Run { taken, waits: Waits { paused_until: None, ..waits }, ends: false });
            }
        }
    }
}

proptest! {
    /// For any sequence of events, the queue behaves as the model, and in the end nothing waits.
    #[test]
    fn nothing_is_held_twice_begins_out_of_order_or_waits_for_ever(events in prop::collection::vec(event(), 1..200)) {
        let (mut queue, mut expected) = (Queue::default(), Expected::default());
        for event in &events {
            expected.apply(&mut queue, event);
        }
        while !expected.claims.is_empty() {
            expected.apply(&mut queue, &Event::Release(0, Then::AsBefore));
        }
        while !expected.runs.is_empty() {
            expected.apply(&mut queue, &Event::Finish(0));
        }
        prop_assert!(expected.asked.is_empty());
        if expected.closed {
            return Ok(());
        }
        for _ in 0..expected.waiting.len() {
            expected.apply(&mut queue, &Event::Tick(60));
            expected.apply(&mut queue, &Event::Take);
            prop_assert_eq!(expected.runs.len(), 1);
            expected.apply(&mut queue, &Event::Finish(0));
        }
        prop_assert!(expected.waiting.is_empty() && queue.videos.is_empty());
        prop_assert!(queue.ready.is_empty() && queue.paused.is_empty());
    }
}
