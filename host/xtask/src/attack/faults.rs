//! Faults: what the server did that it must not do.

use std::{fmt, sync::Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Something acknowledged is not there, or is not what was acknowledged; something deleted is
    /// back.
    Lost,
    /// An id was given a second time.
    IdAgain,
    /// One object under two keys, or a key with two bodies.
    DuplicateKey,
    /// The server did not start, or not in time.
    NoStart,
    /// An answer that it must not give, or none at all.
    Answer,
    /// `ocellus check` finds something.
    Check,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::IdAgain => "id again",
            Self::DuplicateKey => "duplicate key",
            Self::NoStart => "no start",
            Self::Answer => "answer",
            Self::Check => "check",
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// What, and of which video or object.
    pub(crate) what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.what)
    }
}

/// Where those who see a fault write it down.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, kind: FaultKind, what: impl Into<String>) {
        // A thread that panicked in here left a whole list.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Fault { kind, what: what.into() });
    }

    /// Those that were added since the last call.
    pub(crate) fn take(&self) -> Vec<Fault> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
