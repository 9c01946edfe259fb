//! RTSP proxy between FFmpeg's RTSP client and the camera that a URL names.
//!
//! FFmpeg connects to the [`Relay`] and to nothing else, in this process or in a decoder process.
//! The relay resolves the camera's name, checks its address against the network policy, connects to
//! it, with TLS where the URL says so, and authenticates with the credentials of the URL, which
//! FFmpeg does not get. A camera sees its own URL in each request. All that it sends passes
//! unchanged, apart from the sequence numbers and the challenges in responses.
//!
//! Guarantees: one connection each way; only clients that know the relay's URL are served, and
//! only requests that read a stream pass. A session at the camera is torn down when FFmpeg does not
//! do so itself. Ends with either connection, or when the handle is dropped.

mod connect;
mod dialogue;
mod message;
mod relay;

use std::sync::Arc;

pub(crate) use relay::Relay;

/// The relay to which FFmpeg connects.
pub(crate) struct RelayTarget {
    /// The relay's URL.
    pub url: String,
    /// Called once FFmpeg has connected, before it reads anything; `false` aborts opening.
    pub connected: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The relay, where it runs in this process; kept until FFmpeg is done.
    pub relay: Option<Relay>,
}
