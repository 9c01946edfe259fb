//! Commands that are clients of a running server: `add`, `jobs`, `show`.

pub(crate) mod add;
mod body;
pub(crate) mod jobs;
mod requests;
pub(crate) mod show;
mod trust;
