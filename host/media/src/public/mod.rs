//! Public decoder, frame, scaler and probe: in this process, or in a decoder process where
//! [`isolate`](crate::isolate) was called and the source can be read there.
//!
//! Guarantees: both give the same results, apart from the errors of a decoder process that died.

mod decoder;
mod frame;
mod scaler;

pub use decoder::{Decoder, probe};
pub use frame::Frame;
pub use scaler::Scaler;
