//! The program whose children decode for this process, chosen once, and the isolation in force.

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::{connection, isolation::Isolation, program::DecoderProgram};
use crate::Result;

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
