//! Isolation of a decoder: what a child says that keeps it from the rest of the system.

use serde::{Deserialize, Serialize};

/// What keeps a decoder from the rest of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// It has a process of its own, with a limit of its memory.
    pub process: bool,
    /// System calls that decoding does not need are refused.
    pub seccomp: bool,
    /// It can open no files; one that decodes by hardware only the devices and libraries for that.
    pub landlock: bool,
    /// It can connect to nobody: that of an RTSP stream has one connection, to the server's relay.
    pub network: bool,
}
