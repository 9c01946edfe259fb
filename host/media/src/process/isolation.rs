//! Isolation of a decoder process, as the process reports it.

use serde::{Deserialize, Serialize};

/// Isolation of decoders from the rest of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Decoders are separate processes with a memory limit.
    pub process: bool,
    /// System calls that decoding does not need are denied.
    pub seccomp: bool,
    /// They can open no files; hardware decoders only the devices and libraries that they need.
    pub landlock: bool,
    /// They cannot make connections; that of an RTSP stream makes one, to the server's relay.
    pub network: bool,
}
