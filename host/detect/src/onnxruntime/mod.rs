//! ONNX Runtime engine: runs networks on the CPU through a shared library that is loaded at run
//! time.
//!
//! `library` loads it once in a process, `session` runs a network, and all sessions' runs share the
//! memory of `scratch`. The library stays loaded until the process ends.

mod library;
mod scratch;
mod session;

pub(crate) use library::OnnxRuntime;
pub(crate) use session::LoadedSession;
