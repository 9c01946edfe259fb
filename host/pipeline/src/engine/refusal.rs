//! Refusals of requests while the server is stopping or overloaded.

use ocellus_core::{Error, ErrorKind};

/// The error while the server is stopping.
pub(super) fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "The server is stopping.")
}

/// The error when too many requests wait for the threads of a pool.
pub(super) fn busy(pool: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "The server has too many requests of this kind: try again later.")
        .because(format!("pool {pool}"))
}
