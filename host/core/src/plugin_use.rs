//! Usage of a plugin: its cost, its faults, its candidate.

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
    /// Lines for the log that came too fast to be taken.
    pub log_lines_dropped: u64,
    pub faults: u64,
    /// What the last fault was, or why a newer component was not taken.
    pub last_fault: Option<String>,
    /// What it takes to make the last fault happen again: a file in the folder of traces.
    pub last_trace: Option<String>,
    /// It failed too often and is asked no more.
    pub evicted: bool,
    /// How often a newer component took over while a job ran.
    pub swaps: u64,
    /// Milliseconds by which the longest of these held a job up.
    pub longest_swap_ms: f64,
    /// Which components did the work, in order; of one job only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentUse>,
    /// What a candidate beside it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowUse>,
}

/// What a candidate answered, beside the plugin that serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShadowUse {
    /// SHA-256 of its file, in hex.
    pub digest: String,
    pub calls: u64,
    /// Detections, candidates and objects that both were asked about.
    pub items: u64,
    /// Those about which they differ.
    pub different: u64,
    /// The first of them.
    pub first_difference: Option<String>,
    /// Milliseconds in calls, all together.
    pub time_ms: f64,
    /// Milliseconds of the longest call.
    pub longest_call_ms: f64,
    /// The most linear memory that one session had.
    pub memory_bytes: u64,
    /// Why it is asked no more.
    pub ended: Option<String>,
}

impl ShadowUse {
    /// Adds what another session has to say; of another candidate it takes the place.
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

    /// What came after `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        // One that was taken out and put back counts anew.
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

    /// What came after `earlier`, without what is of one job only.
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
