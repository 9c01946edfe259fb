//! RTSP: the relay between FFmpeg, which speaks it, and the camera that a URL names.
//!
//! FFmpeg connects to the [`Relay`] and to nothing else, wherever it runs. The relay has resolved
//! the camera's name and compared its address with the policy, connected to it, by TLS where the
//! URL says so, and shows it the user name and password of the URL, which FFmpeg does not get. A
//! camera sees its own URL in each request; all that it sends passes as it is.
//!
//! Guarantees: one connection each way; only who knows the relay's URL is served, and only requests
//! that read a stream pass. A session at the camera is torn down when FFmpeg does not do so itself.
//! Ends with either connection, or when the handle is dropped.

mod connect;
mod dialogue;
mod message;
mod relay;

use std::sync::Arc;

pub(crate) use relay::Relay;

/// What FFmpeg is to connect to.
pub(crate) struct RelayTarget {
    /// The relay's.
    pub url: String,
    /// Called once FFmpeg has connected, before it reads anything; `false`: it must not.
    pub connected: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Of this process, to be kept until FFmpeg is through.
    pub relay: Option<Relay>,
}
