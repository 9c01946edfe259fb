//! Plugin projects: creation ([`begin`]) and build ([`build`]).
//!
//! The program that links this crate embeds the SDK, the crates of `sdk/` and the contract of
//! `wit/`, so that authors need no checkout. It runs no tool except cargo.

#![warn(missing_docs)]

mod begin;
mod build;
mod toolchain;

pub use begin::{Kind, begin};
pub use build::build;
pub use toolchain::{TRIPLE, Toolchain};
