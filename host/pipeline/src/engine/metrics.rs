//! Counters and gauges of the engine, for monitoring.
//!
//! Owns the sums of the jobs that have ended since the server's start. Guarantees that no sum ever
//! falls: a job that is resumed or begun anew counts what it did since then, and one that ends is
//! counted as running or as ended, never as both or neither.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use ocellus_core::{PluginUse, Result, Stage, VideoStatus};
use ocellus_runtime::{Kind, PluginInfo, Role, State};
use ocellus_store::VideoFilter;
use parking_lot::Mutex;

use super::{
    housekeeping::DiskUse,
    jobs::{Jobs, Run},
    state::Engine,
};
use crate::{
    outbox::{Attempts, Deliveries},
    progress::Work,
};

/// The numbers that monitoring asks for, at one moment. Counters count from the server's start.
#[derive(Clone, Debug)]
pub struct EngineMetrics {
    /// Videos in the archive.
    pub videos: u64,
    /// Videos in the queue.
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that may run at the same time.
    pub most: usize,
    /// Frames per second of all running jobs together.
    pub fps: f64,
    /// Jobs that ended, by their status.
    pub ended: Vec<(VideoStatus, u64)>,
    /// What jobs did, ended ones and running ones.
    pub work: Work,
    /// CPU time of jobs in seconds.
    pub cpu_seconds: BTreeMap<Stage, f64>,
    /// Deliveries that wait.
    pub deliveries: Deliveries,
    /// Attempts to deliver, by their result.
    pub attempts: Attempts,
    /// Plugins that jobs use.
    pub plugins: Vec<PluginMetrics>,
    /// Use of the archive's disk; `None` where the system does not tell.
    pub disk: Option<DiskUse>,
    /// Processes that decode and ended by a fault of theirs.
    pub decoder_crashes: u64,
}

/// Use of a plugin.
#[derive(Clone, Debug)]
pub struct PluginMetrics {
    /// Its name.
    pub name: String,
    /// Filter, tracker or router.
    pub kind: Kind,
    /// Since the server's start.
    pub used: PluginUse,
}

/// Sums over jobs that have ended.
#[derive(Default)]
pub(super) struct Totals(Mutex<Sums>);

#[derive(Clone, Default)]
struct Sums {
    ended: Vec<(VideoStatus, u64)>,
    work: Work,
    cpu_seconds: BTreeMap<Stage, f64>,
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
    fn with_running(&self, jobs: &Jobs) -> Sums {
        let running = jobs.runs();
        let ended = self.0.lock();
        let mut sums = ended.clone();
        running.iter().filter(|run| !run.counted.load(Relaxed)).for_each(|run| sums.add(run));
        sums
    }
}

impl Engine {
    /// The numbers of now. Reads the index.
    ///
    /// # Errors
    /// The archive's.
    pub fn metrics(&self) -> Result<EngineMetrics> {
        let inner = &self.0;
        let Sums { ended, work, cpu_seconds } = inner.totals.with_running(&inner.jobs);
        let plugin = |info: PluginInfo| {
            let in_use = info.role == Role::Active && info.state == State::Ready;
            let (name, kind) = (info.name.filter(|_| in_use)?, info.kind?);
            Some(PluginMetrics { name, kind, used: info.used.unwrap_or_default() })
        };
        Ok(EngineMetrics {
            videos: inner.archive.count(&VideoFilter::default())?,
            queued: inner.archive.waiting()?.len(),
            running: inner.jobs.running(),
            most: inner.config.jobs.max(1),
            fps: inner.jobs.runs().iter().fold(0.0, |sum, run| sum + run.progress.fps()),
            ended,
            work,
            cpu_seconds,
            deliveries: inner.outbox.counts(),
            attempts: inner.outbox.attempts(),
            plugins: inner.plugins.list().into_iter().filter_map(plugin).collect(),
            disk: self.disk_use(),
            decoder_crashes: ocellus_media::decoder_crashes(),
        })
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
