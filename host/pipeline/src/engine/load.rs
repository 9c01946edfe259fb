//! Load of the server: jobs, deliveries and disk usage.

use serde::Serialize;

use super::disk_use::DiskUse;
use crate::outbox::Deliveries;

/// Running jobs, their limit, and queued videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Jobs that run now.
    pub running: usize,
    /// Videos in the queue.
    pub queued: usize,
    /// Jobs that may run at the same time.
    pub most: usize,
}

/// Load of the server: jobs, deliveries and disk usage.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// Running jobs.
    pub jobs: Running,
    /// Deliveries to routers.
    pub deliveries: Deliveries,
    /// Usage of the archive's disk; absent where the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskUse>,
}
