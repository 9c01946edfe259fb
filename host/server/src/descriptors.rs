//! Limit of open files and sockets of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Raises the limit to the highest that the system allows the process; what holds then. Systems
/// start programs with 1024 for the sake of some that cannot count further.
pub(crate) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(e) => {
            let current = current.unwrap_or(u64::MAX);
            warn!("the process may have {current} files open; raising that failed: {e}");
            current
        }
    }
}
