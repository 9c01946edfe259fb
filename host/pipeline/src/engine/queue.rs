//! Queue of videos, with their holders: a state machine without threads, disk or clock.
//!
//! A video is idle, waits, runs on a worker, or is claimed by a request that queues it, stops it or
//! removes it. Guarantees:
//!
//! * A video has one holder at a time. A video that was taken out of the queue does not begin.
//! * Queued videos begin in the order of their dates; at equal dates, the lower id first.
//! * A video that could not begin is paused, longer each time, and delays no other.
//! * A claim that has to wait gets a token, which is cancelled once the holder has released the
//!   video.
//!
//! The archive decides whether a video may wait at all: the holder of a claim writes there before
//! releasing it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use ocellus_core::VideoId;
use tokio_util::sync::CancellationToken;

/// Pause of a video after it could not begin; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// `R` is the handle of a run, by which others interrupt it or read its progress.
pub(super) struct Queue<R> {
    /// Videos that are not idle.
    videos: HashMap<VideoId, State<R>>,
    /// Videos that may begin, with the dates at which they were queued.
    ready: BTreeSet<(Timestamp, VideoId)>,
    /// Paused videos, with the dates at which their pauses end.
    paused: BTreeSet<(Timestamp, VideoId)>,
    runs: u64,
    closed: bool,
}

enum State<R> {
    Waiting(QueueEntry),
    /// `ends`: whether it was interrupted, or has ended while its worker still writes its final
    /// state.
    Running {
        run: RunId,
        handle: R,
        entry: QueueEntry,
        ends: bool,
        ended: CancellationToken,
    },
    Claimed {
        before: Option<QueueEntry>,
        released: CancellationToken,
    },
}

#[derive(Clone, Copy, Debug)]
struct QueueEntry {
    /// When the video was queued, which orders the queue.
    since: Timestamp,
    /// How often its job could not begin.
    failures: u32,
    paused_until: Option<Timestamp>,
}

/// Distinguishes the runs of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunId(u64);

/// Purpose of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To queue it.
    Begin,
    /// To take it out of the queue, end its run, or remove it.
    End,
}

pub(super) enum Answer<R> {
    /// The caller holds the video until [`Queue::release`].
    Granted,
    /// It is queued or running already, as the caller wants.
    UnderWay,
    /// It is held: claim it again once `free` is cancelled. `interrupt` is the run that has to end
    /// first.
    Later { free: CancellationToken, interrupt: Option<R> },
    /// No more claims are granted.
    Closed,
}

/// State of a video after its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    AsBefore,
    Idle,
    /// It is queued, at that date.
    Waits(Timestamp),
}

pub(super) enum Take<R> {
    Job(Taken<R>),
    /// None may begin now. `until`: when the first pause ends.
    None {
        until: Option<Timestamp>,
    },
    Closed,
}

/// A video that a worker holds until [`Queue::finish`] or [`Queue::postpone`].
pub(super) struct Taken<R> {
    pub id: VideoId,
    pub run: RunId,
    pub handle: R,
    /// How often it could not begin.
    pub failures: u32,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self { videos: HashMap::new(), ready: BTreeSet::new(), paused: BTreeSet::new(), runs: 0, closed: false }
    }
}

impl<R: Clone> Queue<R> {
    /// Queues an idle video.
    pub(super) fn enqueue(&mut self, id: VideoId, since: Timestamp) {
        if !self.videos.contains_key(&id) {
            self.wait(id, QueueEntry { since, failures: 0, paused_until: None });
        }
    }

    pub(super) fn claim(&mut self, id: VideoId, purpose: Purpose) -> Answer<R> {
        if self.closed {
            return Answer::Closed;
        }
        let before = match self.videos.get_mut(&id) {
            None => None,
            Some(State::Claimed { released, .. }) => return Answer::Later { free: released.clone(), interrupt: None },
            Some(State::Waiting(_) | State::Running { ends: false, .. }) if purpose == Purpose::Begin => {
                return Answer::UnderWay;
            }
            Some(State::Running { handle, ends, ended, .. }) => {
                *ends = true;
                return Answer::Later { free: ended.clone(), interrupt: Some(handle.clone()) };
            }
            Some(State::Waiting(entry)) => Some(*entry),
        };
        if let Some(entry) = before {
            self.ready.remove(&(entry.since, id));
            if let Some(until) = entry.paused_until {
                self.paused.remove(&(until, id));
            }
        }
        self.videos.insert(id, State::Claimed { before, released: CancellationToken::new() });
        Answer::Granted
    }

    /// Ends a claim.
    pub(super) fn release(&mut self, id: VideoId, next: Next) {
        let Some(State::Claimed { before, released }) = self.videos.get(&id) else { return };
        let (before, released) = (*before, released.clone());
        self.videos.remove(&id);
        let entry = match next {
            Next::AsBefore => before,
            Next::Idle => None,
            Next::Waits(since) => Some(QueueEntry { since, failures: 0, paused_until: None }),
        };
        if let Some(entry) = entry {
            self.wait(id, entry);
        }
        released.cancel();
    }

    /// Takes the video that was queued first, for a worker.
    pub(super) fn take(&mut self, now: Timestamp, handle: impl FnOnce() -> R) -> Take<R> {
        if self.closed {
            return Take::Closed;
        }
        while self.paused.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, id)) = self.paused.pop_first()
        {
            self.unpause(id);
        }
        let Some((_, id)) = self.ready.pop_first() else {
            return Take::None { until: self.paused.first().map(|(until, _)| *until) };
        };
        let Some(State::Waiting(entry)) = self.videos.get(&id) else { return Take::None { until: Some(now) } };
        let (entry, run, handle) = (*entry, RunId(self.runs), handle());
        self.runs += 1;
        let running =
            State::Running { run, handle: handle.clone(), entry, ends: false, ended: CancellationToken::new() };
        self.videos.insert(id, running);
        Take::Job(Taken { id, run, handle, failures: entry.failures })
    }

    /// Marks a run as ended while its worker is still writing its final state: a claim to begin the
    /// video then waits for the worker, instead of finding the video running.
    pub(super) fn is_over(&mut self, id: VideoId, run: RunId) {
        if let Some(State::Running { run: of, ends, .. }) = self.videos.get_mut(&id)
            && *of == run
        {
            *ends = true;
        }
    }

    /// Ends this run, but no other one of its video.
    pub(super) fn finish(&mut self, id: VideoId, run: RunId) {
        if let Some(State::Running { ended, .. }) = self.running(id, run) {
            ended.cancel();
            self.videos.remove(&id);
        }
    }

    /// Ends a run that could not begin: its video is queued again after a pause.
    pub(super) fn postpone(&mut self, id: VideoId, run: RunId, now: Timestamp) {
        if let Some(State::Running { entry, ended, .. }) = self.running(id, run) {
            ended.cancel();
            let pause = FIRST_PAUSE.saturating_mul(1 << entry.failures.min(10)).min(MAX_PAUSE);
            let paused_until = now.checked_add(pause).ok();
            let entry = QueueEntry { failures: entry.failures + 1, paused_until, ..*entry };
            self.wait(id, entry);
        }
    }

    /// Ends all pauses: the reason for them may be gone.
    pub(super) fn wake(&mut self) {
        while let Some((_, id)) = self.paused.pop_first() {
            self.unpause(id);
        }
    }

    /// Grants nothing from now on; returns the runs to interrupt.
    pub(super) fn close(&mut self) -> Vec<R> {
        self.closed = true;
        self.handles().cloned().collect()
    }

    /// Whether a run is left for the next start to resume: it ends because of the shutdown, and not
    /// by a request.
    pub(super) fn is_suspended(&self, id: VideoId, run: RunId) -> bool {
        self.closed && matches!(self.running(id, run), Some(State::Running { ends: false, .. }))
    }

    /// The run of a video.
    pub(super) fn handle(&self, id: VideoId) -> Option<&R> {
        match self.videos.get(&id) {
            Some(State::Running { handle, .. }) => Some(handle),
            _ => None,
        }
    }

    /// The number of queued videos, including paused ones.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.paused.len()
    }

    /// All runs.
    pub(super) fn handles(&self) -> impl Iterator<Item = &R> {
        self.videos.values().filter_map(|state| match state {
            State::Running { handle, .. } => Some(handle),
            _ => None,
        })
    }

    fn running(&self, id: VideoId, run: RunId) -> Option<&State<R>> {
        self.videos.get(&id).filter(|state| matches!(state, State::Running { run: of, .. } if *of == run))
    }

    fn wait(&mut self, id: VideoId, entry: QueueEntry) {
        match entry.paused_until {
            Some(until) => self.paused.insert((until, id)),
            None => self.ready.insert((entry.since, id)),
        };
        self.videos.insert(id, State::Waiting(entry));
    }

    /// Makes a video ready that was removed from `paused`.
    fn unpause(&mut self, id: VideoId) {
        if let Some(State::Waiting(entry)) = self.videos.get_mut(&id) {
            entry.paused_until = None;
            self.ready.insert((entry.since, id));
        }
    }
}

#[cfg(test)]
mod tests;
