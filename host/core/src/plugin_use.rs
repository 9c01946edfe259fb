//! Usage of a plugin: cost of its calls, faults, and its candidate.

use serde::{Deserialize, Serialize};

/// Usage of a plugin in one job, or since the server's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginUse {
    /// Calls of its functions, by all of its sessions.
    pub calls: u64,
    /// Milliseconds in calls, all together.
    pub time_ms: f64,
    /// Milliseconds of the longest call.
    pub longest_call_ms: f64,
    /// Highest linear memory of one session.
    pub memory_bytes: u64,
    /// Items that a filter rejected.
    pub rejected: u64,
    /// Log lines that exceeded the rate limit and were dropped.
    pub log_lines_dropped: u64,
    /// Sessions that ended with a trap, at a limit, or by violating the contract.
    pub faults: u64,
    /// The last fault, or why a newer component was refused; `None` before the first.
    pub last_fault: Option<String>,
    /// File in the folder of traces that reproduces the last fault.
    pub last_trace: Option<String>,
    /// Whether it reached `max_faults` and is no longer called.
    pub evicted: bool,
    /// Hot swaps: how often a newer component took over while a job ran.
    pub swaps: u64,
    /// Milliseconds for which the longest of these paused a job.
    pub longest_swap_ms: f64,
    /// The components that served, in order; of one job only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentUse>,
    /// Usage of its candidate; `None` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowUse>,
}

/// Usage of a candidate (canary), and its answers compared with those of the active plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShadowUse {
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// Calls of its functions.
    pub calls: u64,
    /// Detections, shots and objects that both were given.
    pub items: u64,
    /// Those of `items` that they answered differently.
    pub different: u64,
    /// Description of the first difference.
    pub first_difference: Option<String>,
    /// Milliseconds in calls, all together.
    pub time_ms: f64,
    /// Milliseconds of the longest call.
    pub longest_call_ms: f64,
    /// Highest linear memory of one session.
    pub memory_bytes: u64,
    /// Why it is no longer called; `None` while it is.
    pub ended: Option<String>,
}

impl ShadowUse {
    /// Adds the usage of another session. The usage of another candidate replaces this.
    fn add(&mut self, other: &Self) {
        if self.digest != other.digest {
            self.clone_from(other);
            return;
        }
        self.calls += other.calls;
        self.items += other.items;
        self.different += other.different;
        self.time_ms += other.time_ms;
        self.longest_call_ms = self.longest_call_ms.max(other.longest_call_ms);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        for (mine, theirs) in [(&mut self.first_difference, &other.first_difference), (&mut self.ended, &other.ended)] {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
    }

    /// The usage after `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        // The counters of a candidate that was removed and added again begin at 0.
        if self.digest != earlier.digest || self.calls < earlier.calls {
            return self.clone();
        }
        Self {
            calls: self.calls - earlier.calls,
            items: self.items - earlier.items,
            different: self.different - earlier.different,
            time_ms: self.time_ms - earlier.time_ms,
            ..self.clone()
        }
    }
}

/// A component that served a job, and from when on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentUse {
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// The first frame that it was given.
    pub from_frame: u64,
}

impl PluginUse {
    /// Adds the usage of another session, or for another object type.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.time_ms += other.time_ms;
        self.longest_call_ms = self.longest_call_ms.max(other.longest_call_ms);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.rejected += other.rejected;
        self.log_lines_dropped += other.log_lines_dropped;
        self.faults += other.faults;
        if other.last_fault.is_some() {
            self.last_fault.clone_from(&other.last_fault);
            self.last_trace.clone_from(&other.last_trace);
        }
        self.evicted |= other.evicted;
        self.swaps += other.swaps;
        self.longest_swap_ms = self.longest_swap_ms.max(other.longest_swap_ms);
        for component in &other.components {
            if !self.components.contains(component) {
                self.components.push(component.clone());
            }
        }
        if let Some(other) = &other.shadow {
            self.shadow.get_or_insert_default().add(other);
        }
    }

    /// The usage after `earlier`, without the fields that belong to one job.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            calls: self.calls - earlier.calls,
            time_ms: self.time_ms - earlier.time_ms,
            rejected: self.rejected - earlier.rejected,
            log_lines_dropped: self.log_lines_dropped - earlier.log_lines_dropped,
            faults: self.faults - earlier.faults,
            swaps: self.swaps - earlier.swaps,
            components: Vec::new(),
            last_fault: self.last_fault.clone().filter(|f| earlier.last_fault.as_ref() != Some(f)),
            evicted: false,
            shadow: self
                .shadow
                .as_ref()
                .map(|s| earlier.shadow.as_ref().map_or_else(|| s.clone(), |earlier| s.since(earlier))),
            ..self.clone()
        }
    }
}
