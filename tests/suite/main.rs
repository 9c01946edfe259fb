//! Black-box suites: a real server process, real media, real HTTP.
//!
//! One file per behaviour; [`server`] starts and ends the program, [`receiver`] is a router of its
//! own, [`media`] makes recordings. Everything listens on loopback and ends with its test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is wrong"
)]

mod media;
mod receiver;
mod rtsp;
mod server;
mod tls;
mod web;

mod authoring;
mod candidates;
mod compiling;
mod connections;
mod crash;
mod devices;
mod hostile;
mod identities;
mod job;
mod job_spec;
mod languages;
mod lifecycle;
mod live_sources;
mod outbox;
mod plugins;
mod process;
mod queue;
mod replay;
mod routers;
mod settings;
mod sources;
mod unwritable_log;
mod upgrade;
mod url_sources;
