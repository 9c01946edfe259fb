//! Black-box tests: a real server process, real media, real HTTP.
//!
//! One file per behaviour. [`server`] runs the program, [`receiver`] is a destination of posts,
//! [`media`] makes recordings, [`rtsp`] is a camera, [`web`] an HTTP host of recordings, [`tls`] a
//! listener with a self-signed certificate. Everything listens on loopback and ends with its test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod media;
mod receiver;
mod rtsp;
mod server;
mod tls;
mod web;

mod attributes;
mod authoring;
mod backup;
mod browser;
mod canary;
mod clients;
mod commands;
mod compiling;
mod connections;
mod crash;
mod defaults;
mod devices;
mod events;
mod hostile;
mod https;
mod identities;
mod import;
mod isolation;
mod job;
mod job_spec;
mod languages;
mod lifecycle;
mod live_sources;
mod messages;
mod metrics;
mod outbox;
mod plugins;
mod process;
mod queue;
mod replay;
mod resumable;
mod retention;
mod routers;
mod settings;
mod sources;
mod tokens;
mod tracks;
mod unwritable_log;
mod upgrade;
mod url_sources;
mod webhooks;
