//! Violations of the server's guarantees, collected from all threads of a run.

use std::fmt;

use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViolationKind {
    /// Something acknowledged is not there, or is not what was acknowledged; something deleted is
    /// back.
    Lost,
    /// An id was given a second time.
    IdAgain,
    /// One object was posted under two keys, or two bodies under one key.
    DuplicateKey,
    /// The server did not start, or not in time.
    NoStart,
    /// A response that the server must not give, or none at all.
    Answer,
    /// `ocellus check` reports a finding.
    Check,
}

impl fmt::Display for ViolationKind {
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
pub(crate) struct Violation {
    pub(crate) kind: ViolationKind,
    /// Sentence that names the video or object.
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.what)
    }
}

/// List of violations, shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Violations(Mutex<Vec<Violation>>);

impl Violations {
    pub(crate) fn add(&self, kind: ViolationKind, what: impl Into<String>) {
        // A panic during `push` leaves the list as it was.
        self.0.lock().push(Violation { kind, what: what.into() });
    }

    /// Takes those that were added since the last call.
    pub(crate) fn take(&self) -> Vec<Violation> {
        std::mem::take(&mut *self.0.lock())
    }
}
