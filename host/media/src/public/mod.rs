//! Decoder, frame, scaler and probe as the rest of the code sees them: in this process, or in one
//! of their own where [`isolate`](crate::isolate) was called and the source can be read there.
//!
//! Guarantees: which of the two it is makes no difference to what comes out, but for the errors of
//! a process that died.

mod decoder;
mod frame;
mod scaler;

pub use decoder::{Decoder, probe};
pub use frame::Frame;
pub use scaler::Scaler;
