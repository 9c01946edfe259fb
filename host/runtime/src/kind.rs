//! Kinds of plugin: the worlds of the contract.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kind of a component: the world of `wit/v0.1` that it implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Drops and annotates detections, shots and objects.
    Filter,
    /// Associates detections to tracks.
    Tracker,
    /// Encodes objects as requests and interprets the responses.
    Router,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::Tracker => "tracker",
            Self::Router => "router",
        })
    }
}
