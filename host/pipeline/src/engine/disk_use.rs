//! Disk usage: figures for monitoring, and the size of all sources as of the last housekeeping.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

/// Usage of the disk that the archive is on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DiskUse {
    /// Size of the disk.
    pub total_bytes: u64,
    /// Free space on it.
    pub free_bytes: u64,
    /// Size of all sources, as of the last housekeeping; absent where the operator set no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_bytes: Option<u64>,
}

/// Size of all sources, as of the last housekeeping.
#[derive(Default)]
pub(super) struct SourceUse(Mutex<Option<(Instant, u64)>>);

impl SourceUse {
    /// `None` before the first housekeeping.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.0.lock().map(|(_, bytes)| bytes)
    }

    /// Time since the last housekeeping.
    pub(super) fn age(&self) -> Option<Duration> {
        self.0.lock().map(|(at, _)| at.elapsed())
    }

    pub(super) fn set(&self, bytes: u64) {
        *self.0.lock() = Some((Instant::now(), bytes));
    }
}
