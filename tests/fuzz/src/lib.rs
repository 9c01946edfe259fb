//! Fuzz targets: code that reads untrusted bytes, each as a function of bytes.
//!
//! A target panics where the code breaks a guarantee; an error is a valid result. Each accepts any
//! bytes and is deterministic, so that an input that was found once is a regression test:
//! `corpus/<target>` holds inputs that reach different code, and `cargo test` runs each of them.
//! `cargo xtask fuzz` searches for new ones, guided by coverage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target fails by panicking"
)]

mod archive;
mod log;
mod media;
mod network;
mod playlist;
mod request;
mod text;

/// A function that reads untrusted bytes, and its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its folder in `corpus`, too.
    pub name: &'static str,
    /// Tries an input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "archive", run: archive::run },
    Target { name: "cursor", run: text::cursor },
    Target { name: "log", run: log::run },
    Target { name: "media", run: media::run },
    Target { name: "network", run: network::run },
    Target { name: "options", run: text::options },
    Target { name: "playlist", run: playlist::run },
    Target { name: "request", run: request::run },
    Target { name: "settings", run: text::settings },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
