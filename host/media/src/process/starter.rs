//! Start of decoder processes, one of which is kept ready.
//!
//! Owns the thread that starts them, and the one that waits for its task. Linking FFmpeg's
//! libraries takes a start some 50 ms, which a job, a screenshot or a search need not wait for:
//! once a decoder process has ended, the next one is started ahead. It runs before any task, so
//! that nothing of a source can be left in it. Both end with this process.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread,
};

use parking_lot::Mutex;

use super::{
    program::{self, DecoderProgram},
    socket::Socket,
};

/// A decoder process that waits for its task.
pub(super) struct Started {
    pub child: Child,
    pub control: Socket,
    pub stderr: OwnedFd,
}

type Start = Box<dyn FnOnce() + Send>;

/// The kernel takes the thread that started a child for its parent (`PR_SET_PDEATHSIG`), so that
/// one thread, which never ends, starts them all.
static STARTER: LazyLock<Option<mpsc::Sender<Start>>> = LazyLock::new(|| {
    let (sender, starts) = mpsc::channel::<Start>();
    let run = move || starts.into_iter().for_each(|start| start());
    thread::Builder::new().name("start-decoders".into()).spawn(run).ok().map(|_| sender)
});

/// Of the program in force.
static READY: Ready = Ready(Mutex::new(None));

/// A child that was started ahead, if there is one.
struct Ready(Mutex<Option<Started>>);

impl Ready {
    fn keep(&self, program: &DecoderProgram) {
        let mut ready = self.0.lock();
        if ready.is_none() {
            // The next start tries again, and reports the failure.
            *ready = spawn(program).ok();
        }
    }

    fn take(&self) -> Option<Started> {
        let mut ready = self.0.lock().take()?;
        // It may have been killed meanwhile, such as for lack of memory.
        matches!(ready.child.try_wait(), Ok(None)).then_some(ready)
    }
}

/// A child that dies with this process: the one that is ready, or a new one.
pub(super) fn start(program: &DecoderProgram) -> io::Result<Started> {
    let is_in_force = program::in_force().is_some_and(|in_force| std::ptr::eq(in_force, program));
    if let Some(ready) = is_in_force.then(|| READY.take()).flatten() {
        return Ok(ready);
    }
    let (sender, started) = mpsc::channel();
    let program = program.clone();
    // The receiver waits for the answer.
    send(Box::new(move || drop(sender.send(spawn(&program)))))?;
    started.recv().map_err(|_| gone())?
}

/// Starts a child of the program in force to be kept ready, if there is none, without waiting.
pub(super) fn keep_ready() {
    if let Some(program) = program::in_force() {
        // Without the thread, the next start reports that it is gone.
        let _ = send(Box::new(|| READY.keep(program)));
    }
}

fn send(start: Start) -> io::Result<()> {
    STARTER.as_ref().ok_or_else(gone)?.send(start).map_err(|_| gone())
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts decoders is gone")
}

fn spawn(program: &DecoderProgram) -> io::Result<Started> {
    let (control, theirs) = Socket::pair()?;
    let (stderr, their_stderr) = nonblocking_pipe()?;
    let mut command = Command::new(&program.path);
    command.arg0("ocellus").args(&program.arguments);
    command.arg("--parent").arg(std::process::id().to_string());
    command.arg("--memory-bytes").arg(program.limits.memory_bytes.to_string());
    command.env_clear().envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)));
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    // Its own process group, so that Ctrl-C reaches only the server.
    command.process_group(0).current_dir("/");
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(their_stderr);
    Ok(Started { child: command.spawn()?, control, stderr })
}

/// A non-blocking pipe, which drops output when it is full instead of blocking the child.
fn nonblocking_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, pipe_with};
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::process::DecoderLimits;

    #[test]
    fn a_child_is_kept_until_it_is_taken_or_dies() {
        // It waits for its standard input, as a decoder does.
        let program = DecoderProgram {
            path: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), "read task".into()],
            environment: Vec::new(),
            limits: DecoderLimits::default(),
            fault: None,
        };
        let ready = Ready(Mutex::new(None));
        assert!(ready.take().is_none());
        ready.keep(&program);
        let kept = ready.0.lock().as_ref().map(|started| started.child.id());
        ready.keep(&program);
        let mut taken = ready.take().unwrap();
        assert_eq!(Some(taken.child.id()), kept, "one is kept");
        assert!(ready.take().is_none());
        // Its task never comes.
        drop(taken.control);
        taken.child.wait().unwrap();

        ready.keep(&program);
        let mut started = ready.0.lock();
        let child = &mut started.as_mut().unwrap().child;
        child.kill().unwrap();
        child.wait().unwrap();
        drop(started);
        assert!(ready.take().is_none(), "it died");
    }
}
