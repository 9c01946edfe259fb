//! Graph runner: walks an ONNX graph with burn tensors.
//!
//! `kernel` turns each operator into a closure, `fusion` finds chains of operators that run as one
//! step, `plan` orders the steps and decides where each `value` lives. An operator or a setting
//! that no kernel implements is an error of planning, never approximated.

mod buffers;
mod error;
mod fusion;
mod kernel;
mod plan;
mod value;

pub(crate) use buffers::Buffers;
pub(crate) use plan::Plan;
