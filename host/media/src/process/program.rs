//! The program whose children decode, and what they may do.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{connection, protocol::DecoderFault};
use crate::Result;

/// The program that decodes, as [`serve_decoder`](crate::serve_decoder) does it.
#[derive(Clone, Debug)]
pub struct DecoderProgram {
    /// Where it is.
    pub path: PathBuf,
    /// Before those that are added: `--parent PID --memory-bytes N`.
    pub arguments: Vec<String>,
    /// All that it has beside the path of the system's libraries.
    pub environment: Vec<(String, String)>,
    /// What a child may take.
    pub limits: DecoderLimits,
    /// For tests.
    #[doc(hidden)]
    pub fault: Option<DecoderFault>,
}

/// What a child may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Memory of its own, with all frames that are kept; shared memory for pictures comes on top.
    pub memory_bytes: u64,
    /// So long it may do nothing, while it does not wait for bytes of a URL; half a minute longer
    /// where it waits for a camera, which it says by itself.
    pub patience: Duration,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, patience: Duration::from_secs(30) }
    }
}

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

static PROGRAM: OnceLock<DecoderProgram> = OnceLock::new();
static IN_FORCE: Mutex<Isolation> =
    Mutex::new(Isolation { process: false, seccomp: false, landlock: false, network: false });

/// Has all that is opened from now on decoded by children of `program`, and says what keeps them
/// from the rest of the system here. Once in a process; without it, this process decodes.
///
/// # Errors
/// [`MediaError::Internal`](crate::MediaError::Internal), where a child cannot be started; this
/// process decodes then.
pub fn isolate(program: DecoderProgram) -> Result<Isolation> {
    let in_force = connection::report(&program)?;
    *IN_FORCE.lock() = in_force;
    // Whoever was first has said where.
    let _ = PROGRAM.set(program);
    Ok(in_force)
}

/// What keeps decoders from the rest of the system; nothing before [`isolate`].
pub fn isolation() -> Isolation {
    *IN_FORCE.lock()
}

/// The program whose children decode, where there is one.
pub(crate) fn program() -> Option<&'static DecoderProgram> {
    PROGRAM.get()
}
