//! Shared queue of requests and workers.
//!
//! Owns the queue's lock, under which nothing waits and nothing touches the disk. Requests wait for
//! each other and for runs to end as tasks, without a thread; workers are threads. Closed by
//! [`Jobs::close`].

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use ocellus_core::{Clock, JobId, Result, Timestamp, VideoId};
use ocellus_media::Interrupt;
use parking_lot::{Condvar, Mutex};

use super::{
    queue::{Answer, Next, Purpose, Queue, RunId, Take},
    refusal::stopping,
};
use crate::progress::Progress;

/// Handle of a running job.
pub(super) struct Run {
    pub interrupt: Interrupt,
    pub progress: Progress,
    /// Id of the job, once its video's record has it as begun; changes if the job has to restart.
    pub job: Mutex<Option<JobId>>,
    /// Whether it is counted among the ended jobs.
    pub counted: AtomicBool,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            interrupt: Interrupt::new(),
            progress: Progress::new(),
            job: Mutex::default(),
            counted: AtomicBool::new(false),
        }
    }
}

/// A video that a worker has taken.
pub(super) type Taken = super::queue::Taken<Arc<Run>>;

pub(super) struct Jobs {
    queue: Mutex<Queue<Arc<Run>>>,
    /// Signals that a job may begin, or that the queue was closed.
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

impl Jobs {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), changed: Condvar::new(), clock })
    }

    /// Queues a video that is not claimed.
    pub(super) fn enqueue(&self, id: VideoId, since: Timestamp) {
        self.queue.lock().enqueue(id, since);
        self.changed.notify_one();
    }

    /// Claims a video, once the claim or run that holds it has ended; with [`Purpose::End`] its run
    /// is interrupted. `None` with [`Purpose::Begin`] where the video is queued or running already.
    ///
    /// # Errors
    /// `Unavailable` once the server stops.
    pub(super) async fn claim(self: &Arc<Self>, id: VideoId, purpose: Purpose) -> Result<Option<Claim>> {
        loop {
            let answer = self.queue.lock().claim(id, purpose);
            match answer {
                Answer::Granted => return Ok(Some(Claim { jobs: Arc::clone(self), id, next: Next::AsBefore })),
                Answer::UnderWay => return Ok(None),
                Answer::Closed => return Err(stopping()),
                Answer::Later { free, interrupt } => {
                    if let Some(run) = interrupt {
                        run.interrupt.raise();
                    }
                    free.cancelled().await;
                }
            }
        }
    }

    /// Waits for the next video and takes it; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<Taken> {
        let mut queue = self.queue.lock();
        loop {
            let now = self.clock.now();
            match queue.take(now, || Arc::new(Run::new())) {
                Take::Job(taken) => return Some(taken),
                Take::Closed => return None,
                Take::None { until: None } => self.changed.wait(&mut queue),
                Take::None { until: Some(until) } => {
                    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                    self.changed.wait_for(&mut queue, wait);
                }
            }
        }
    }

    pub(super) fn is_over(&self, id: VideoId, run: RunId) {
        self.queue.lock().is_over(id, run);
    }

    pub(super) fn finish(&self, id: VideoId, run: RunId) {
        self.queue.lock().finish(id, run);
    }

    pub(super) fn postpone(&self, id: VideoId, run: RunId) {
        self.queue.lock().postpone(id, run, self.clock.now());
        self.changed.notify_one();
    }

    /// Ends the pauses of videos that could not begin.
    pub(super) fn wake(&self) {
        self.queue.lock().wake();
        self.changed.notify_all();
    }

    /// Prevents further jobs from beginning, and interrupts the running ones.
    pub(super) fn close(&self) {
        let running = self.queue.lock().close();
        running.iter().for_each(|run| run.interrupt.raise());
        self.changed.notify_all();
    }

    pub(super) fn is_suspended(&self, id: VideoId, run: RunId) -> bool {
        self.queue.lock().is_suspended(id, run)
    }

    pub(super) fn run(&self, id: VideoId) -> Option<Arc<Run>> {
        self.queue.lock().handle(id).cloned()
    }

    /// The runs that have not finished.
    pub(super) fn runs(&self) -> Vec<Arc<Run>> {
        self.queue.lock().handles().cloned().collect()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().waiting()
    }

    pub(super) fn running(&self) -> usize {
        self.queue.lock().handles().count()
    }
}

/// Exclusive claim of a video. Dropped, it leaves the video where it was in the queue.
pub(super) struct Claim {
    jobs: Arc<Jobs>,
    id: VideoId,
    next: Next,
}

impl Claim {
    pub(super) fn id(&self) -> VideoId {
        self.id
    }

    /// Releases the video, which is neither queued nor running.
    pub(super) fn release(mut self) {
        self.next = Next::Idle;
    }

    /// Releases the video, which is queued.
    pub(super) fn release_waiting(mut self, since: Timestamp) {
        self.next = Next::Waits(since);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.jobs.queue.lock().release(self.id, self.next);
        self.jobs.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{ErrorKind, SystemClock};

    use super::*;

    fn jobs() -> Arc<Jobs> {
        Jobs::new(Arc::new(SystemClock))
    }

    const ID: VideoId = VideoId(7);

    #[tokio::test]
    async fn stopping_a_job_waits_for_its_end_without_a_thread() {
        let jobs = jobs();
        jobs.enqueue(ID, Timestamp::UNIX_EPOCH);
        let taken = jobs.next().unwrap();
        // All on the only thread of the runtime.
        let stops: Vec<_> = (0..1000)
            .map(|_| {
                let jobs = Arc::clone(&jobs);
                tokio::spawn(async move { jobs.claim(ID, Purpose::End).await.map(|claim| claim.unwrap().release()) })
            })
            .collect();
        while !taken.handle.interrupt.is_raised() {
            tokio::task::yield_now().await;
        }
        assert!(stops.iter().all(|stop| !stop.is_finished()));
        jobs.finish(taken.id, taken.run);
        for stop in stops {
            stop.await.unwrap().unwrap();
        }
        assert_eq!(jobs.running(), 0);
    }

    #[tokio::test]
    async fn a_client_that_disconnects_leaves_the_video_to_the_next() {
        let jobs = jobs();
        let held = jobs.claim(ID, Purpose::End).await.unwrap().unwrap();
        let waiting = tokio::spawn({
            let jobs = Arc::clone(&jobs);
            async move { jobs.claim(ID, Purpose::End).await.is_ok() }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        drop(held);
        assert!(jobs.claim(ID, Purpose::Begin).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn no_claim_waits_beyond_the_end_of_the_server() {
        let jobs = jobs();
        jobs.enqueue(ID, Timestamp::UNIX_EPOCH);
        let taken = jobs.next().unwrap();
        let stop = tokio::spawn({
            let jobs = Arc::clone(&jobs);
            async move { jobs.claim(ID, Purpose::End).await.err().map(|e| e.kind()) }
        });
        let idle = std::thread::spawn({
            let jobs = Arc::clone(&jobs);
            move || jobs.next().is_none()
        });
        while !taken.handle.interrupt.is_raised() {
            tokio::task::yield_now().await;
        }
        jobs.close();
        jobs.finish(taken.id, taken.run);
        assert_eq!(stop.await.unwrap(), Some(ErrorKind::Unavailable));
        assert!(idle.join().unwrap());
    }
}
