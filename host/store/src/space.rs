//! Room on a file system.

use std::path::Path;

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What this user may still write.
    pub free: u64,
}

impl Space {
    /// The room of the file system that `path` is on; `None` where the system does not tell.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(path).ok()?;
        let of = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { total: of(found.f_blocks), free: of(found.f_bavail) })
    }

    /// The room of the file system that `path` is on; `None` where the system does not tell.
    #[cfg(not(unix))]
    pub fn of(_: &Path) -> Option<Self> {
        None
    }
}
