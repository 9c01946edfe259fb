//! What a plugin may use, and what follows where it does not keep to it.

use std::time::Duration;

use crate::FaultPolicy;

/// Limits of each session (and of `describe` at load). All of them are enforced by the host, whatever the plugin does.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall-clock time of one call. A call is stopped within 10 ms after it.
    pub deadline: Duration,
    /// Linear memory of a session in bytes, all its memories together.
    pub memory_bytes: usize,
    /// Elements of all tables of a session.
    pub table_elements: usize,
    /// Core instances within a session; a component made by `wit-component` has up to four.
    pub instances: usize,
    /// Bytes that one call may hand to the host.
    pub output_bytes: usize,
    /// Size of a component's file.
    pub component_bytes: u64,
    pub faults: FaultPolicy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(250),
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            instances: 32,
            output_bytes: 8 << 20,
            component_bytes: 64 << 20,
            faults: FaultPolicy::default(),
        }
    }
}
