//! The isolation in force.

use parking_lot::Mutex;

use super::{
    connection,
    isolation::Isolation,
    program::{self, DecoderProgram},
    starter,
};
use crate::Result;

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
    program::put_in_force(program);
    starter::keep_ready();
    Ok(in_force)
}

/// The isolation in force; none before [`isolate`].
pub fn isolation() -> Isolation {
    *IN_FORCE.lock()
}
