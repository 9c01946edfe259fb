//! Disk space of a file system.

use std::path::Path;

/// Disk space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total: u64,
    /// Space that this user may still write.
    pub free: u64,
}

impl Space {
    /// The space of the file system that `path` is on; `None` where the system does not report it.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(path).ok()?;
        let of = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { total: of(found.f_blocks), free: of(found.f_bavail) })
    }

    /// The space of the file system that `path` is on; `None` where the system does not report it.
    #[cfg(not(unix))]
    pub fn of(_: &Path) -> Option<Self> {
        None
    }
}
