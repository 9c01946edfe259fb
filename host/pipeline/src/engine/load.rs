//! What the server has to do, and room for it.

use serde::Serialize;

use super::disk_use::DiskUse;
use crate::outbox::Deliveries;

/// Running jobs, how many there may be, and how many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Jobs that run now.
    pub running: usize,
    /// Videos that wait for their turn.
    pub queued: usize,
    /// Jobs that may run at the same time.
    pub most: usize,
}

/// What the server has to do, and room for it.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// Running jobs.
    pub jobs: Running,
    /// Objects on their way to routers.
    pub deliveries: Deliveries,
    /// Use of the archive's disk; absent where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskUse>,
}
