//! Box tracking: overlap, optimal assignment in rounds, motion, and lifetime of tracks.
//!
//! `no_std` with `alloc`, deterministic (no hashing, no clock, no randomness), with the same
//! results on every target: replays of plugins depend on it.
//!
//! ```
//! use ocellus_tracking::{Kalman, Pair, Rect, assign};
//!
//! // A box that moves four pixels a frame to the right, 25 frames a second.
//! let at = |left: f32| Rect { left, top: 0.0, right: left + 40.0, bottom: 80.0 };
//! let mut motion = Kalman::new(&at(0.0));
//! for frame in 1..20 {
//!     motion.predict(0.04);
//!     motion.update(&at(4.0 * frame as f32));
//! }
//! motion.predict(0.04);
//!
//! // Of two detections, the one that continues it.
//! let detections = [at(300.0), at(80.0)];
//! let weights = detections.iter().map(|rect| rect.iou(&motion.rect()));
//! let pairs: Vec<Pair> =
//!     weights.enumerate().map(|(row, weight)| Pair { row, column: 0, weight }).collect();
//! assert_eq!(assign(detections.len(), 1, &pairs), [None, Some(0)]);
//! ```
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

extern crate alloc;

mod assignment;
mod kalman;
mod lifetime;
mod matching;
mod rect;

pub use assignment::{Pair, assign};
pub use kalman::{GATE, Kalman};
pub use lifetime::{Lifetime, Span};
pub use matching::{Matching, doubtful_overlap, nearness, recency};
pub use rect::Rect;
