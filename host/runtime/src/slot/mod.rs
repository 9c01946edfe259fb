//! Plugin slots: a place in a job that a plugin fills, while sessions come and go in it.
//!
//! Guarantees: a newer component takes over between two frames, with the state of the one before,
//! or does not at all: it is opened beside the job, given the state, and shown the next frame; if
//! any of that fails the one before goes on, and has missed nothing. Track ids go on whatever
//! happens. A fault ends a session and is answered by the [`FaultPolicy`](crate::FaultPolicy). A
//! slot ends with its job.
//!
//! | file | owns |
//! |---|---|
//! | `supervisor` | what both kinds share: opening sessions, successors, faults, canaries, usage |
//! | `tracker`, `filter` | the sessions of one plugin in one job |

mod filter;
mod supervisor;
mod tracker;

use serde_json::Value;

pub use self::{filter::FilterSlot, tracker::TrackerSlot};
use crate::{PluginError, Plugins, StreamInfo};

impl Plugins {
    /// A tracker's place in a job: a session, and those that follow it.
    ///
    /// # Errors
    /// As for [`Plugins::tracker`].
    pub fn tracker_slot(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<TrackerSlot, PluginError> {
        TrackerSlot::open(self, name, settings, stream)
    }

    /// A filter's place in a job.
    ///
    /// # Errors
    /// As for [`Plugins::filter`].
    pub fn filter_slot(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<FilterSlot, PluginError> {
        FilterSlot::open(self, name, settings, stream)
    }
}
