//! Counters and gauges of the engine, for monitoring.

use std::collections::BTreeMap;

use ocellus_core::{PluginUse, Result, Stage, VideoStatus};
use ocellus_runtime::{Kind, PluginInfo, Role, State};
use ocellus_store::VideoFilter;

use super::{disk_use::DiskUse, state::Engine, totals::Sums};
use crate::{
    outbox::{Attempts, Deliveries},
    progress::Work,
};

/// Metrics of the engine at one moment. Counters count from the server's start.
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
    /// Work of jobs, ended and running ones.
    pub work: Work,
    /// CPU time of jobs in seconds.
    pub cpu_seconds: BTreeMap<Stage, f64>,
    /// Pending deliveries.
    pub deliveries: Deliveries,
    /// Attempts to deliver, by their result.
    pub attempts: Attempts,
    /// Plugins that jobs use.
    pub plugins: Vec<PluginMetrics>,
    /// Usage of the archive's disk; `None` where the system does not report it.
    pub disk: Option<DiskUse>,
    /// Decoder processes that crashed.
    pub decoder_crashes: u64,
}

/// Usage of a plugin.
#[derive(Clone, Debug)]
pub struct PluginMetrics {
    /// Its name.
    pub name: String,
    /// Filter, tracker or router.
    pub kind: Kind,
    /// Usage since the server's start.
    pub used: PluginUse,
}

impl Engine {
    /// The current metrics. Reads the index.
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
