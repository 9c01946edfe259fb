//! Limit of open files and sockets of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Raises the limit to the highest that the system allows the process, and returns the limit then
/// in effect. Systems start programs with 1024 because `select(2)` cannot handle more.
pub(crate) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(e) => {
            let current = current.unwrap_or(u64::MAX);
            warn!(files = current, error = %e, "the limit of open files stays at {current}: it cannot be raised");
            current
        }
    }
}
