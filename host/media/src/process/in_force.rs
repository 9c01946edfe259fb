//! Process-wide choice of the decoder program, and the isolation in force.

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::{connection, isolation::Isolation, program::DecoderProgram};
use crate::Result;

static PROGRAM: OnceLock<DecoderProgram> = OnceLock::new();
static IN_FORCE: Mutex<Isolation> =
    Mutex::new(Isolation { process: false, seccomp: false, landlock: false, network: false });

/// Makes all sources that are opened from now on be decoded in children of `program`, and returns
/// the isolation in force. Called once in a process; without it, this process decodes.
///
/// # Errors
/// [`MediaError::Internal`](crate::MediaError::Internal), where a child cannot be started: this
/// process then decodes.
pub fn isolate(program: DecoderProgram) -> Result<Isolation> {
    let in_force = connection::report(&program)?;
    *IN_FORCE.lock() = in_force;
    // Only the first call has an effect.
    let _ = PROGRAM.set(program);
    Ok(in_force)
}

/// The isolation in force; none before [`isolate`].
pub fn isolation() -> Isolation {
    *IN_FORCE.lock()
}

/// The decoder program, where [`isolate`] set one.
pub(crate) fn program() -> Option<&'static DecoderProgram> {
    PROGRAM.get()
}
