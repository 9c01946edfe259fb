//! Limits of sessions and compilations of plugins.

use std::{path::PathBuf, time::Duration};

use serde::{Serialize, Serializer};

use crate::{FaultPolicy, bindings::types};

/// Limits of each session (and of `describe` at load). All of them are enforced by the host.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// Wall-clock time of one call. A call is stopped within 10 ms after it.
    #[serde(rename = "deadline_ms", serialize_with = "milliseconds")]
    pub deadline: Duration,
    /// Linear memory of a session in bytes, all its memories together.
    pub memory_bytes: usize,
    /// Elements of all tables of a session.
    pub table_elements: usize,
    /// Core instances, memories and tables within a session, each: a component of Rust has some
    /// four instances, one with an interpreter and its adapters inside has dozens.
    pub instances: usize,
    /// Bytes that one call may return to the host.
    pub output_bytes: usize,
    /// Size of a component's file in bytes.
    pub component_bytes: u64,
    /// Lines that a session may write into the log in a burst.
    pub log_lines: u32,
    /// Further lines per second.
    pub log_lines_per_second: u32,
    /// Limits of compilation.
    #[serde(skip)]
    pub compile: CompileLimits,
    /// Handling of faults.
    #[serde(skip)]
    pub faults: FaultPolicy,
    /// Folder for the traces of faults; `None` for no traces.
    #[serde(skip)]
    pub traces: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(250),
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            instances: 128,
            output_bytes: 8 << 20,
            component_bytes: 64 << 20,
            log_lines: 50,
            log_lines_per_second: 10,
            compile: CompileLimits::default(),
            faults: FaultPolicy::default(),
            traces: None,
        }
    }
}

/// Limits of compiling a component to native code. The first two are enforced by a compiler program
/// ([`Setup::compiler`](crate::Setup)), the others before anything is compiled, over the whole
/// component with its nested parts.
#[derive(Clone, Debug)]
pub struct CompileLimits {
    /// Wall-clock time.
    pub time: Duration,
    /// Address space in bytes of the process that compiles, its own code included.
    pub memory_bytes: u64,
    /// Functions with a body.
    pub functions: u64,
    /// Length of one function's body in bytes.
    pub function_bytes: u64,
    /// Types of functions, interfaces and values.
    pub types: u64,
    /// Modules, components and instances of either.
    pub parts: u64,
    /// Nesting depth of modules and components.
    pub depth: u64,
}

// Python's interpreter has some 25,000 functions, the longest of 200 kB. Each of these limits is a
// few times as much.
impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            memory_bytes: 2 << 30,
            functions: 100_000,
            function_bytes: 1 << 20,
            types: 50_000,
            parts: 2_000,
            depth: 8,
        }
    }
}

impl Limits {
    /// The lower of these and the plugin's requested limits.
    pub(crate) fn lowered(&self, asked: &types::Limits) -> Self {
        let least = |limit: usize, asked: Option<u64>| {
            asked.map_or(limit, |a| limit.min(usize::try_from(a).unwrap_or(usize::MAX)))
        };
        Self {
            deadline: asked.deadline_ms.map_or(self.deadline, |ms| self.deadline.min(Duration::from_millis(ms.into()))),
            memory_bytes: least(self.memory_bytes, asked.memory_bytes),
            output_bytes: least(self.output_bytes, asked.output_bytes),
            ..self.clone()
        }
    }
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_can_lower_limits_but_not_raise_them() {
        let operator = Limits::default();
        let low =
            operator.lowered(&types::Limits { deadline_ms: Some(5), memory_bytes: Some(1 << 20), output_bytes: None });
        assert_eq!(
            (low.deadline, low.memory_bytes, low.output_bytes),
            (Duration::from_millis(5), 1 << 20, operator.output_bytes)
        );
        let high = operator.lowered(&types::Limits {
            deadline_ms: Some(u32::MAX),
            memory_bytes: Some(u64::MAX),
            output_bytes: Some(u64::MAX),
        });
        assert_eq!(
            (high.deadline, high.memory_bytes, high.output_bytes),
            (operator.deadline, operator.memory_bytes, operator.output_bytes)
        );
    }
}
