//! Covers: the shipped plugins in the real runtime; hostile guests; refusals at load; changes of
//! the plugins folder; users' plugins over shipped ones; the cache of compiled components; pictures
//! for filters; canaries; traces of faults. One program, since each would link wasmtime again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "these are tests; clippy.toml reaches test functions only, not what they share"
)]

mod canaries;
mod common;
mod compiled;
mod crops;
mod deep_sort;
mod filters;
mod folder;
mod hostile;
mod http_router;
mod json_router;
mod origins;
mod refusals;
mod simple_iou;
mod slots;
mod traces;
