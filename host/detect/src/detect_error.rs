//! Error of a call to a detector or an embedder.

use ocellus_core::{Error, ErrorKind};

/// Failure of a detector or an embedder on a picture: it was made for another input, or the network
/// failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detector}: {reason}")]
pub struct DetectError {
    detector: String,
    reason: String,
}

impl DetectError {
    pub(crate) fn new(network: &str, reason: impl ToString) -> Self {
        Self { detector: network.to_owned(), reason: reason.to_string() }
    }

    /// Name of the detector or embedder.
    pub fn detector(&self) -> &str {
        &self.detector
    }
}

impl From<DetectError> for Error {
    fn from(error: DetectError) -> Self {
        Self::new(ErrorKind::Internal, format!("The detector {} failed.", error.detector)).because(error)
    }
}
