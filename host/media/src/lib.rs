//! Decoding of video, and pictures of its frames: everything of Ocellus that touches FFmpeg.
//!
//! Owns: opening a source under the allow-lists ([`Input`], [`parse_options`]), its properties
//! ([`probe`]), decoding ([`Decoder`] yields [`Frame`]s), pictures of parts of a frame
//! ([`Frame::jpeg`], [`Frame::rgb`], [`Frame::luma`]), inputs of detectors ([`Scaler`]), statistics
//! of pixels ([`Luminance`]), and encoding ([`encode_jpeg`], [`encode_png`]).
//! Guarantees: a source that is no video ends in a [`MediaError`] with a sentence for the user,
//! never in a panic or an endless wait; an uploaded file makes FFmpeg open nothing but itself; a
//! raised [`Interrupt`] ends any call within a second, also one that waits for the network. All
//! coordinates are those of the frame as shown, in square pixels: after the rotation of the picture
//! or its container, and the user's [`VideoTransform`](ocellus_core::VideoTransform).
//! No FFmpeg type is public. A [`Decoder`] takes only plain data, and decodes in a child process
//! once [`isolate`] was called. `unsafe` is limited to `av`, and to the parts of `process` that
//! share memory and close inherited descriptors.
//!
//! # Example
//! A thumbnail of each second of a recording:
//! ```no_run
//! use ocellus_media::{Decoder, Input, Interrupt, Location};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let input = Input::new(Location::File("recording.mp4".into()));
//!     let mut decoder = Decoder::open(&input, &Interrupt::new())?;
//!     let mut second = 0.0;
//!     while let Some(frame) = decoder.next_frame()? {
//!         if frame.time() >= second {
//!             std::fs::write(format!("{second}.jpg"), frame.jpeg(None, Some(320), 85)?)?;
//!             second += 1.0;
//!         }
//!     }
//!     Ok(())
//! }
//! ```

#![warn(missing_docs)]

mod av;
mod clock;
mod credentials;
mod decoder;
mod decoding;
mod encode;
mod error;
mod fallback;
mod frame;
mod hardware;
mod http;
mod input;
mod interrupt;
mod luminance;
mod network;
mod options;
mod orientation;
mod origin;
mod patch;
mod picture_size;
mod presentation;
mod process;
mod public;
mod recorder;
mod render;
mod rtsp;
mod scaler;
mod source;
mod spool;
mod steps;
mod streams;
mod structure;
mod threads;
mod tone;
mod web;

pub use decoding::{Decoding, NoDevice};
pub use encode::{encode_jpeg, encode_png};
pub use error::{MediaError, Result, UrlError};
pub use hardware::Hardware;
pub use input::{Input, Location, MediaInfo};
pub use interrupt::Interrupt;
pub use luminance::Luminance;
pub use network::{check_target, guard_client};
pub use options::{BadOption, check_format, parse_options};
pub use patch::{Patch, PatchKind};
pub use process::{
    DecoderFault, DecoderLimits, DecoderProgram, Isolation, decoder_crashes, isolate, isolation, serve_decoder,
};
pub use public::{Decoder, Frame, Scaler, probe};
pub use recorder::Recording;
