//! Errors of loading and running a network, and the containment of panics in libraries.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::array::InputShape;

/// Failure to load or run a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The file cannot be read, or its content has changed since it was first loaded.
    #[error("{file}: {reason}")]
    Read {
        /// Path, or the name that the caller gave the network.
        file: String,
        /// Cause, as the system or the checksum comparison words it.
        reason: String,
    },
    /// The file is not an ONNX network, or one that the parser cannot follow.
    #[error("{file}: not a network that can be read: {reason}")]
    Malformed {
        /// Path, or the name that the caller gave the network.
        file: String,
        /// Cause, as the parser words it.
        reason: String,
    },
    /// The network has operators, or settings of operators, that no kernel implements.
    #[error("{file}: operators that cannot be run: {}", .operators.join("; "))]
    Unsupported {
        /// Path, or the name that the caller gave the network.
        file: String,
        /// One entry for each operator and reason, with the names of the nodes that use it.
        operators: Vec<String>,
    },
    /// The input of a run has another shape than the network was loaded for, or too few values.
    #[error("the network wants an input of {wanted}, not {given:?}")]
    Input {
        /// The shape that the network was loaded with.
        wanted: InputShape,
        /// Dimensions of the array that was passed.
        given: Vec<usize>,
    },
    /// A run failed.
    #[error("running {node}: {reason}")]
    Run {
        /// Node and operator at which it failed; `the network` where the engine does not report
        /// one.
        node: String,
        /// Cause, as the operator or the engine words it.
        reason: String,
    },
}

/// Calls into a library that may panic on untrusted input; `Err` is the panic's first line. The
/// process's panic hook, which belongs to the program, still prints the panic.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // State that a panic leaves inconsistent is dropped with the closure.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panic_text(panic.as_ref()))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the library gave up without a reason").lines().next().unwrap_or_default().to_owned()
}
