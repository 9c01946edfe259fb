//! CPU time of the threads of a job, by stage.
//!
//! Each thread reads its own CPU clock between pieces of work; the sums belong to the job. Time in
//! which a thread waits is not counted. Neither are threads of libraries: FFmpeg's decoding
//! threads, those of ONNX Runtime and burn beyond the one that runs a network, and a GPU driver's.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Stage of a job under which CPU time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Opening and reading the source, and motion detection.
    Decode,
    /// Making detector inputs.
    Scale,
    /// Running the detectors' networks, and reading boxes from their outputs.
    Detect,
    /// Comparing a frame with the one before, for cuts, and measuring its detections: sharpness,
    /// colours, landmarks.
    Measure,
    /// Calls of trackers and filters.
    Plugins,
    /// Making the pictures of objects.
    Pictures,
    /// Running the embedders' networks.
    Embed,
    /// Everything between these: queues, the detection log, the archive.
    Other,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Decode,
        Self::Scale,
        Self::Detect,
        Self::Measure,
        Self::Plugins,
        Self::Pictures,
        Self::Embed,
        Self::Other,
    ];
}

/// CPU time of one job, to which all of its threads add.
#[derive(Debug, Default)]
pub struct CpuMeter {
    /// Nanoseconds, in the order of [`Stage::ALL`].
    spent: [AtomicU64; Stage::ALL.len()],
}

impl CpuMeter {
    /// Adds time that a thread spent on a stage.
    pub fn add(&self, stage: Stage, time: Duration) {
        if let Some(sum) = self.spent.get(stage as usize) {
            sum.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// Seconds for each stage, including those that are zero.
    pub fn seconds(&self) -> BTreeMap<Stage, f64> {
        let seconds = |sum: &AtomicU64| Duration::from_nanos(sum.load(Relaxed)).as_secs_f64();
        Stage::ALL.into_iter().zip(self.spent.iter().map(seconds)).collect()
    }
}

/// CPU time of the calling thread; stays zero on systems that do not report it.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(Duration);

impl CpuClock {
    /// Starts now. The value is valid on the calling thread only.
    pub fn start() -> Self {
        Self(thread_time())
    }

    /// CPU time of this thread since the last lap, or since the start.
    pub fn lap(&mut self) -> Duration {
        let now = thread_time();
        now.saturating_sub(std::mem::replace(&mut self.0, now))
    }
}

/// A [`CpuClock`] whose laps go to a meter.
#[derive(Debug)]
pub struct CpuLaps<'a> {
    meter: &'a CpuMeter,
    clock: CpuClock,
}

impl<'a> CpuLaps<'a> {
    /// Starts now, for the calling thread.
    pub fn start(meter: &'a CpuMeter) -> Self {
        Self { meter, clock: CpuClock::start() }
    }

    /// Counts this thread's time since the last lap under `stage`.
    pub fn lap(&mut self, stage: Stage) {
        self.meter.add(stage, self.clock.lap());
    }
}

#[cfg(unix)]
fn thread_time() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(not(unix))]
fn thread_time() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, thread};

    use super::*;

    fn work() {
        let clock = CpuClock::start();
        while clock.clone().lap() < Duration::from_millis(2) {
            black_box((0..1000_u64).fold(0, |sum, n| sum ^ black_box(n)));
        }
    }

    #[test]
    fn stages_are_counted_separately_and_waiting_is_not_counted() {
        let meter = CpuMeter::default();
        thread::scope(|scope| {
            for stage in [Stage::Detect, Stage::Embed] {
                let meter = &meter;
                scope.spawn(move || {
                    work();
                    let mut laps = CpuLaps::start(meter);
                    work();
                    laps.lap(stage);
                    thread::park_timeout(Duration::from_millis(50));
                    laps.lap(Stage::Other);
                });
            }
        });
        let seconds = meter.seconds();
        assert_eq!(seconds.keys().copied().collect::<Vec<_>>(), Stage::ALL);
        for (stage, seconds) in seconds {
            match stage {
                Stage::Detect | Stage::Embed => assert!(seconds >= 0.002, "{stage:?} {seconds}"),
                Stage::Other => assert!(seconds < 0.05, "{seconds} of 100 ms of waiting"),
                _ => assert_eq!(seconds, 0.0, "{stage:?}"),
            }
        }
    }

    #[test]
    fn stages_are_named_as_the_api_names_them() {
        let meter = CpuMeter::default();
        meter.add(Stage::Pictures, Duration::from_millis(1500));
        assert_eq!(
            serde_json::to_string(&meter.seconds()).unwrap(),
            r#"{"decode":0.0,"scale":0.0,"detect":0.0,"measure":0.0,"plugins":0.0,"pictures":1.5,"embed":0.0,"other":0.0}"#
        );
    }
}
