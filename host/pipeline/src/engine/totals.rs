//! Sums over the jobs that have ended since the server's start.
//!
//! Guarantees that no sum ever decreases: a job that is resumed or restarted counts its work since
//! then, and one that ends is counted as running or as ended, never as both or neither.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use ocellus_core::{Stage, VideoStatus};
use parking_lot::Mutex;

use super::jobs::{Jobs, Run};
use crate::progress::Work;

/// Sums over jobs that have ended.
#[derive(Default)]
pub(super) struct Totals(Mutex<Sums>);

/// Work of jobs.
#[derive(Clone, Default)]
pub(super) struct Sums {
    pub(super) ended: Vec<(VideoStatus, u64)>,
    pub(super) work: Work,
    pub(super) cpu_seconds: BTreeMap<Stage, f64>,
}

impl Sums {
    fn add(&mut self, run: &Run) {
        self.work.add(&run.progress.work());
        for (stage, seconds) in run.progress.cpu().seconds() {
            *self.cpu_seconds.entry(stage).or_default() += seconds;
        }
    }
}

impl Totals {
    /// Counts a run that has ended; from now on it is not counted as running.
    pub(super) fn add(&self, run: &Arc<Run>, status: VideoStatus) {
        let mut sums = self.0.lock();
        if run.counted.swap(true, Relaxed) {
            return;
        }
        sums.add(run);
        match sums.ended.iter_mut().find(|(of, _)| *of == status) {
            Some((_, count)) => *count += 1,
            None => sums.ended.push((status, 1)),
        }
    }

    /// The sums, with those of runs that have not ended.
    pub(super) fn with_running(&self, jobs: &Jobs) -> Sums {
        let running = jobs.runs();
        let ended = self.0.lock();
        let mut sums = ended.clone();
        running.iter().filter(|run| !run.counted.load(Relaxed)).for_each(|run| sums.add(run));
        sums
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{FrameRecord, Size, SystemClock, Timestamp, VideoId};

    use super::*;

    fn frame(run: &Run, index: u64) {
        let record = FrameRecord {
            index,
            time: index as f64,
            wall_us: 0,
            cut: false,
            is_static: false,
            detections: Vec::new(),
            tracklets: Vec::new(),
        };
        run.progress.frame(&record, Size { width: 4, height: 4 });
    }

    #[test]
    fn sums_never_fall_when_a_job_restarts_or_ends() {
        let (totals, jobs) = (Totals::default(), Jobs::new(Arc::new(SystemClock)));
        jobs.enqueue(VideoId(1), Timestamp::UNIX_EPOCH);
        let taken = jobs.next().unwrap();
        let run = &taken.handle;
        let frames = || totals.with_running(&jobs).work.processed;
        frame(run, 0);
        frame(run, 1);
        assert_eq!(frames(), 2);
        run.progress.reset();
        frame(run, 0);
        assert_eq!(frames(), 3);
        totals.add(run, VideoStatus::Completed);
        totals.add(run, VideoStatus::Completed);
        assert_eq!(frames(), 3, "while it still is among the running ones");
        jobs.finish(taken.id, taken.run);
        let sums = totals.with_running(&jobs);
        assert_eq!((sums.work.processed, sums.ended), (3, vec![(VideoStatus::Completed, 1)]));
    }
}
