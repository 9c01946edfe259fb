//! Compiler process: both ends of a process that compiles one component.
//!
//! The program is called with `--memory-bytes N --cpu-seconds N --parent PID` and, to keep the
//! code,
//! `--into DIR`; the component is its standard input. It answers by its exit status: 0, [`REFUSED`]
//! or [`NO_MEMORY`], with the reason on standard error.
//!
//! Guarantees: [`run`] returns at the deadline at the latest, and at once when [`Stop`] is raised;
//! the process is dead by then. A crash or an endless loop of the compiler only affects that
//! process. The child has none of the server's environment and a lower priority, and dies with the
//! thread that waits for it.

use std::{
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, Signal, setrlimit},
};
use wasmtime::component::Component;

use crate::{Limits, Refusal, engine};

/// Exit status: the component cannot be compiled.
const REFUSED: u8 = 10;
/// Exit status: the memory limit was reached.
const NO_MEMORY: u8 = 11;
/// Exit status of a Rust program that panics.
const PANICKED: u8 = 101;
/// Limit of a child's standard error that is kept, in bytes.
const MAX_STDERR: usize = 4 << 10;
/// Niceness added to the server's: jobs and requests go first.
const NICE: i32 = 5;

/// The program that compiles components, as [`compile`] does it.
#[derive(Clone, Debug)]
pub struct CompilerProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments, before those that the runtime adds.
    pub arguments: Vec<String>,
    /// Names and values of its environment, beside `LD_LIBRARY_PATH`, which is inherited.
    pub environment: Vec<(String, String)>,
}

/// Stop flag: ends the running compilation, and prevents further ones.
#[derive(Default)]
pub(crate) struct Stop(Mutex<Stopping>);

#[derive(Default)]
struct Stopping {
    stopped: bool,
    waiting: Option<mpsc::Sender<Event>>,
}

enum Event {
    Ended,
    Stop,
}

impl Stop {
    pub(crate) fn raise(&self) {
        let mut stopping = self.0.lock();
        stopping.stopped = true;
        if let Some(waiting) = stopping.waiting.take() {
            // Fails where the compilation has ended.
            let _ = waiting.send(Event::Stop);
        }
    }

    /// Sends [`Event::Stop`] once the stop is raised, or now.
    fn notify(&self, waiting: mpsc::Sender<Event>) {
        let mut stopping = self.0.lock();
        if stopping.stopped {
            let _ = waiting.send(Event::Stop);
        } else {
            stopping.waiting = Some(waiting);
        }
    }
}

/// Compiles a component in a child process; the code is written below `into`, where given, in the
/// layout of wasmtime's cache.
pub(crate) fn run(
    program: &CompilerProgram,
    limits: &Limits,
    into: Option<&Path>,
    bytes: &[u8],
    stop: &Stop,
) -> Result<(), Refusal> {
    let broken = |error: io::Error| Refusal::NoCompiler(error.to_string());
    let (time, memory) = (limits.compile.time, limits.compile.memory_bytes);
    let mut command = Command::new(&program.path);
    command.arg0("ocellus").args(&program.arguments);
    command.arg("--memory-bytes").arg(memory.to_string()).arg("--cpu-seconds").arg(cpu_seconds(time).to_string());
    command.arg("--parent").arg(std::process::id().to_string());
    if let Some(into) = into {
        command.arg("--into").arg(into);
    }
    command.env_clear().envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)));
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(broken)?;

    let (sender, events) = mpsc::channel();
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let (event, status, reason) = thread::scope(|scope| {
        let feed = move || {
            // Fails where the child has ended.
            let _ = stdin.map(|mut pipe| pipe.write_all(bytes));
        };
        let listen = {
            let sender = sender.clone();
            move || {
                let reason = stderr.map(read_stderr).unwrap_or_default();
                let _ = sender.send(Event::Ended);
                reason
            }
        };
        let named = |name: &str| thread::Builder::new().name(name.into());
        let threads = named("feed-compiler")
            .spawn_scoped(scope, feed)
            .and_then(|_| named("read-compiler").spawn_scoped(scope, listen));
        stop.notify(sender);
        let event = if threads.is_ok() { events.recv_timeout(time).ok() } else { Some(Event::Stop) };
        if !matches!(event, Some(Event::Ended)) {
            // Fails where it has ended by itself.
            let _ = child.kill();
        }
        let status = child.wait();
        (event, status, threads.map(|thread| thread.join().unwrap_or_default()))
    });
    let (status, reason) = (status.map_err(broken)?, reason.map_err(broken)?);
    match event {
        Some(Event::Ended) => outcome(status, reason.trim(), limits),
        Some(Event::Stop) => Err(Refusal::Stopping),
        None => Err(Refusal::CompileTime(time)),
    }
}

/// The standard error of a child until it ends; only the beginning is kept.
fn read_stderr(mut pipe: ChildStderr) -> String {
    let (mut reason, mut piece) = (Vec::new(), [0; 1 << 10]);
    while let Ok(length @ 1..) = pipe.read(&mut piece) {
        let room = MAX_STDERR.saturating_sub(reason.len());
        reason.extend(piece.iter().take(length.min(room)));
    }
    String::from_utf8_lossy(&reason).into_owned()
}

fn outcome(status: ExitStatus, reason: &str, limits: &Limits) -> Result<(), Refusal> {
    let (time, memory) = (limits.compile.time, limits.compile.memory_bytes);
    match (
        status.code().map(|code| u8::try_from(code).unwrap_or(u8::MAX)),
        status.signal().and_then(Signal::from_named_raw),
    ) {
        (Some(0), _) => Ok(()),
        (Some(REFUSED), _) => Err(Refusal::Compile(reason.to_owned())),
        (Some(NO_MEMORY), _) => Err(Refusal::CompileMemory(memory)),
        (None, Some(Signal::XCPU)) => Err(Refusal::CompileTime(time)),
        // Sent to the whole process group: Ctrl-C, or the end of the service.
        (None, Some(Signal::INT | Signal::TERM | Signal::HUP)) => Err(Refusal::Stopping),
        // SIGKILL comes from the kernel's OOM killer.
        (None, Some(Signal::KILL)) => Err(Refusal::CompileMemory(memory)),
        (None, _) if reason.contains("memory allocation of") => Err(Refusal::CompileMemory(memory)),
        (None | Some(PANICKED), _) => {
            tracing::warn!(%status, said = reason, "the compiler failed on a component: {status}");
            Err(Refusal::CompilerFailed)
        }
        (Some(_), _) => Err(Refusal::NoCompiler(format!("{status}: {reason}"))),
    }
}

/// CPU time of all threads of a child until its deadline: a limit that also holds where the server
/// has died.
fn cpu_seconds(time: Duration) -> u64 {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    (time.as_secs() + 1).saturating_mul(threads)
}

/// Runs the child: compiles the component on standard input, within limits of its address space in
/// bytes and of its CPU time in seconds. The exit status tells the result, standard error the
/// reason of a failure.
///
/// `into`: folder for the code; `parent`: id of the parent process, with which it ends. To be
/// called on the process's first thread, before there are others.
#[expect(clippy::print_stderr, reason = "the parent reads it")]
pub fn compile(into: Option<&Path>, parent: u32, memory_bytes: u64, cpu_seconds: u64) -> ExitCode {
    let mut bytes = Vec::new();
    let begun = restrict(parent, memory_bytes, cpu_seconds).and_then(|()| io::stdin().lock().read_to_end(&mut bytes));
    let engine = begun.map_err(|e| e.to_string()).and_then(|_| engine::compiler(into).map_err(|e| e.to_string()));
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match Component::new(&engine, &bytes) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            eprintln!("{error}");
            let no_memory =
                [Errno::NOMEM.to_string().as_str(), "out of memory"].iter().any(|sign| error.contains(sign));
            ExitCode::from(if no_memory { NO_MEMORY } else { REFUSED })
        }
    }
}

fn restrict(parent: u32, memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the line above.
    if rustix::process::getppid().is_none_or(|now| now.as_raw_nonzero().get().cast_unsigned() != parent) {
        return Err(io::Error::other("the server has ended"));
    }
    let limit = |resource, soft, hard| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    limit(Resource::As, memory_bytes, memory_bytes)?;
    limit(Resource::Cpu, cpu_seconds, cpu_seconds + 1)?;
    limit(Resource::Core, 0, 0)?;
    rustix::process::nice(NICE)?;
    Ok(())
}
