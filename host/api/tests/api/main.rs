//! Covers: the HTTP API, over HTTP. Every test starts a server of its own on a free port, over a
//! fresh archive and an engine without detectors and plugins.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed assumption fails the test"
)]

mod access;
mod alike;
mod browser;
mod changing;
mod clusters;
mod conformance;
mod deliveries;
mod events;
mod filtering;
mod hostile;
mod loading;
mod log;
mod metrics;
mod objects;
mod openapi;
mod paging;
mod processing;
mod refused_settings;
mod searching;
mod server;
mod stream;
mod tokens;
mod tracks;
mod transfer;
mod ui;
mod uploads;
mod vendor_paths;
mod videos;
