//! Refusals of requests that the server has no room or no time for.

use ocellus_core::{Error, ErrorKind};

/// The server does nothing more for requests.
pub(super) fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "The server is stopping.")
}

/// Too many requests wait for the threads of this pool.
pub(super) fn busy(pool: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "The server has too many requests of this kind: try again later.")
        .because(format!("pool {pool}"))
}
