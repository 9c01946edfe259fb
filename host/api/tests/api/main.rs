//! Covers: the HTTP surface, by HTTP. Every test starts a server of its own on a free port, over a fresh archive and an
//! engine without detectors and plugins.

mod access;
mod changing;
mod filtering;
mod hostile;
mod objects;
mod openapi;
mod paging;
mod processing;
mod server;
mod uploads;
mod videos;
