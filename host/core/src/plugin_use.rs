//! What a plugin cost, and what became of it.

use serde::{Deserialize, Serialize};

/// In one job, or since the server's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginUse {
    pub calls: u64,
    /// Milliseconds in calls, all together.
    pub time_ms: f64,
    /// Milliseconds of the longest call.
    pub longest_call_ms: f64,
    /// The most linear memory that one session had.
    pub memory_bytes: u64,
    /// Items that a filter rejected.
    pub rejected: u64,
    pub faults: u64,
    /// What the last fault was, or why a newer component was not taken.
    pub last_fault: Option<String>,
    /// It failed too often and is asked no more.
    pub evicted: bool,
    /// How often a newer component took over while a job ran.
    pub swaps: u64,
    /// Milliseconds by which the longest of these held a job up.
    pub longest_swap_ms: f64,
    /// Which components did the work, in order; of one job only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentUse>,
}

/// From which frame on a component did the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentUse {
    /// SHA-256 of its file, in hex.
    pub digest: String,
    pub from_frame: u64,
}

impl PluginUse {
    /// Adds what another session, or another object type's, has to say.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.time_ms += other.time_ms;
        self.longest_call_ms = self.longest_call_ms.max(other.longest_call_ms);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.rejected += other.rejected;
        self.faults += other.faults;
        if other.last_fault.is_some() {
            self.last_fault.clone_from(&other.last_fault);
        }
        self.evicted |= other.evicted;
        self.swaps += other.swaps;
        self.longest_swap_ms = self.longest_swap_ms.max(other.longest_swap_ms);
        for component in &other.components {
            if !self.components.contains(component) {
                self.components.push(component.clone());
            }
        }
    }
}
