//! Connection limits: how many there may be and how long one may be idle; the numbers that an
//! operator may change.

use std::time::Duration;

/// How long a connection that was asked to close may stay idle.
const DRAIN: Duration = Duration::from_secs(5);

/// Limits of connections; docs/decisions.md has them as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at a time, 2 at least. Each costs a file descriptor.
    pub connections: usize,
    /// From accepting a connection to the end of the head of its first request.
    pub first_request: Duration,
    /// From the end of a response to the end of the head of the next request.
    pub idle: Duration,
    /// For how long a client may read nothing of a response that is ready.
    pub send: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            first_request: Duration::from_secs(30),
            // Proxies mostly keep connections for 60 s: the server must not be the first to close.
            idle: Duration::from_secs(75),
            send: Duration::from_secs(60),
        }
    }
}

impl ConnectionLimits {
    /// Leaves half of the files that the process may open to the archive, to jobs and to
    /// deliveries.
    #[must_use]
    pub fn within(self, open_files: u64) -> Self {
        let half = usize::try_from(open_files / 2).unwrap_or(usize::MAX);
        Self { connections: self.connections.min(half).max(2), ..self }
    }

    /// How many of them may be unauthenticated.
    pub(super) fn max_unauthenticated(&self) -> usize {
        (self.connections / 2).max(1)
    }

    /// Limits of a connection that was asked to close: it finishes its requests in progress and
    /// waits no longer than [`DRAIN`] for a further one.
    pub(super) fn draining(self) -> Self {
        Self { first_request: self.first_request.min(DRAIN), idle: self.idle.min(DRAIN), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_half_of_the_open_files() {
        let limits = ConnectionLimits::default();
        assert_eq!(limits.within(1 << 20), limits);
        assert_eq!((limits.within(1024).connections, limits.within(1024).max_unauthenticated()), (512, 256));
        assert_eq!((limits.within(0).connections, limits.within(0).max_unauthenticated()), (2, 1));
    }
}
