//! Worker threads that run jobs.
//!
//! Guarantees: a panic in a job ends that job and nothing else; a request that waits for the end of
//! a run is woken, however the run ended; a worker continues until the queue is closed.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use ocellus_core::Error;

use super::{
    contained::panicked,
    jobs::{Jobs, Taken},
};

/// Work of a worker on a video.
pub(super) trait Work: Send + Sync + 'static {
    /// Runs the job of a video to its end.
    fn run(&self, taken: &Taken) -> Done;

    /// Ends the job after `run` panicked.
    fn give_up(&self, taken: &Taken, error: Error) -> Done;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
/// Result of a worker's turn with a video.
pub(super) enum Done {
    /// The job has ended, or was suspended.
    Finished,
    /// It could not begin and waits again.
    Postponed,
}

pub(super) fn spawn(count: usize, jobs: &Arc<Jobs>, work: &Arc<impl Work>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |n| {
        let (jobs, work) = (Arc::clone(jobs), Arc::clone(work));
        thread::Builder::new().name(format!("job-{n}")).spawn(move || {
            while let Some(taken) = jobs.next() {
                carry_out(&jobs, &*work, taken);
            }
        })
    };
    (0..count).map(spawn).collect()
}

fn carry_out(jobs: &Jobs, work: &impl Work, taken: Taken) {
    let mut held = Held { jobs, taken, done: Done::Finished };
    let done = catch_unwind(AssertUnwindSafe(|| work.run(&held.taken))).or_else(|panic| {
        let error = panicked("the job", &*panic);
        catch_unwind(AssertUnwindSafe(|| work.give_up(&held.taken, error)))
    });
    if let Ok(done) = done {
        held.done = done;
    }
}

/// A taken video, which is released when this is dropped.
struct Held<'a> {
    jobs: &'a Jobs,
    taken: Taken,
    done: Done,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        match self.done {
            Done::Finished => self.jobs.finish(self.taken.id, self.taken.run),
            Done::Postponed => self.jobs.postpone(self.taken.id, self.taken.run),
        }
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{SystemClock, Timestamp, VideoId};
    use parking_lot::Mutex;

    use super::*;
    use crate::engine::queue::Purpose;

    /// Panics in the jobs of even videos, and in giving up those of multiples of four.
    #[derive(Default)]
    struct Clumsy {
        ran: Mutex<Vec<u64>>,
        given_up: Mutex<Vec<String>>,
    }

    impl Work for Clumsy {
        fn run(&self, taken: &Taken) -> Done {
            self.ran.lock().push(taken.id.0);
            assert!(taken.id.0 % 2 == 1, "video {} is even", taken.id);
            Done::Finished
        }

        fn give_up(&self, taken: &Taken, error: Error) -> Done {
            assert!(!taken.id.0.is_multiple_of(4), "video {} is a multiple of four", taken.id);
            self.given_up.lock().push(error.to_string());
            Done::Finished
        }
    }

    #[tokio::test]
    async fn a_worker_goes_on_after_a_panic() {
        let (jobs, work) = (Jobs::new(Arc::new(SystemClock)), Arc::new(Clumsy::default()));
        (1..=5).for_each(|n| jobs.enqueue(VideoId(n), Timestamp::from_second(n as i64).unwrap()));
        let workers = spawn(1, &jobs, &work).unwrap();
        // A claim is granted once the video's run has ended.
        while !work.ran.lock().contains(&5) {
            tokio::task::yield_now().await;
        }
        for n in 1..=5 {
            jobs.claim(VideoId(n), Purpose::End).await.unwrap().unwrap().release();
        }
        assert_eq!(*work.ran.lock(), [1, 2, 3, 4, 5]);
        assert_eq!(*work.given_up.lock(), ["Internal server error.: the job panicked: video 2 is even"]);
        jobs.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }

    struct Unready(Mutex<u32>);

    impl Work for Unready {
        fn run(&self, taken: &Taken) -> Done {
            let mut left = self.0.lock();
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Done::Finished;
            }
            assert_eq!(taken.failures, 2 - *left);
            Done::Postponed
        }

        fn give_up(&self, _: &Taken, error: Error) -> Done {
            panic!("{error}")
        }
    }

    #[tokio::test]
    async fn a_video_that_cannot_begin_is_retried_when_the_queue_is_woken() {
        let (jobs, work) = (Jobs::new(Arc::new(SystemClock)), Arc::new(Unready(Mutex::new(3))));
        jobs.enqueue(VideoId(1), Timestamp::UNIX_EPOCH);
        let workers = spawn(1, &jobs, &work).unwrap();
        while *work.0.lock() > 0 {
            jobs.wake();
            tokio::task::yield_now().await;
        }
        jobs.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }
}
