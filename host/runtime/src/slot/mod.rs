//! Plugin slots: a plugin in a running job, across the sessions of its components.
//!
//! Guarantees: a newer component takes over between two frames, with the state of the old one, or
//! not at all: it is opened in the background, given the state and the next frame; if any of that
//! fails the old one continues without a gap. Track ids stay unique across sessions. A fault ends a
//! session and is handled by the [`FaultPolicy`](crate::FaultPolicy). A slot ends with its job.
//!
//! | file | owns |
//! |---|---|
//! | `supervisor` | shared by both: opening sessions, successors, faults, canaries, usage |
//! | `tracker`, `filter` | the sessions of one plugin in one job |

mod filter;
mod supervisor;
mod tracker;

use serde_json::Value;

pub use self::{filter::FilterSlot, tracker::TrackerSlot};
use crate::{PluginError, Plugins, StreamInfo};

impl Plugins {
    /// Opens a tracker in a job: a session, and its successors.
    ///
    /// # Errors
    /// As for [`Plugins::tracker`].
    pub fn tracker_slot(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<TrackerSlot, PluginError> {
        TrackerSlot::open(self, name, settings, stream)
    }

    /// Opens a filter in a job.
    ///
    /// # Errors
    /// As for [`Plugins::filter`].
    pub fn filter_slot(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<FilterSlot, PluginError> {
        FilterSlot::open(self, name, settings, stream)
    }
}
