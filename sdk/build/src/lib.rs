//! Plugin projects: beginning one ([`begin`]), compiling it ([`build`]).
//!
//! What plugins are written with, the crates of `sdk/` and the contract of `wit/`, is within the
//! program that this is linked to, so that nobody needs a checkout. No tool is run but cargo.

mod begin;
mod build;
mod toolchain;

pub use begin::{Kind, begin};
pub use build::build;
pub use toolchain::{TRIPLE, Toolchain};
