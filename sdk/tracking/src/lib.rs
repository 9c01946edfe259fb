//! The mathematics of tracking boxes: overlap, assignment, and motion.
//!
//! `no_std` with `alloc`, deterministic (no hashing, no clock, no randomness), the same results on
//! every target: a plugin's replay depends on it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod assignment;
mod kalman;
mod lifetime;
mod rect;

pub use assignment::{Pair, assign};
pub use kalman::{GATE, Kalman};
pub use lifetime::{Lifetime, Span};
pub use rect::Rect;
