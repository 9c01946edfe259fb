//! Child processes that end with the command.
//!
//! Owns the list of those that run. A signal to the command alone, as of `timeout`, would leave
//! them running; it is passed on to them.

use std::process::{Child, Command, Output, Stdio};

use anyhow::{Result, bail};
use parking_lot::Mutex;

/// Exit status of a command that a signal ends, as shells have it for SIGTERM.
const ENDED_BY_SIGNAL: i32 = 128 + 15;

static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Membership of a child process in the list. To be dropped once the process was waited for.
pub(crate) struct Listed(u32);

impl Listed {
    pub(crate) fn new(child: &Child) -> Self {
        RUNNING.lock().push(child.id());
        Self(child.id())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        RUNNING.lock().retain(|id| *id != self.0);
    }
}

/// Makes Ctrl-C and SIGTERM end the children and the command. At most once in a process, and not
/// beside [`Stop`](crate::stop::Stop).
pub(crate) fn end_by_signal() -> Result<()> {
    ctrlc::set_handler(|| {
        for id in RUNNING.lock().iter() {
            // Fails for a process that has just ended, which is fine.
            let _ = ask_to_end(*id);
        }
        std::process::exit(ENDED_BY_SIGNAL);
    })?;
    Ok(())
}

/// Runs a program to its end and returns its output.
///
/// # Errors
/// Where it cannot be run.
pub(crate) fn output(command: &mut Command) -> std::io::Result<Output> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let _listed = Listed::new(&child);
    child.wait_with_output()
}

/// Sends SIGTERM through the shell: its builtin `kill` is always there, the program may not be.
pub(crate) fn ask_to_end(id: u32) -> Result<()> {
    let status =
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id.to_string()]).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("cannot send SIGTERM to process {id}");
    }
    Ok(())
}
