//! Connection to a decoder process: task, requests, watchdog and end.

use std::{
    fs,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::{Child, ExitStatus},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ocellus_core::VideoTransform;
use parking_lot::Mutex;

use super::{
    channel::{Channel, Heard},
    isolation::Isolation,
    program::DecoderProgram,
    protocol::{Answer, Control, Given, Place, Purpose, Task, Wanted},
    shared_memory::SharedMemory,
    socket::Socket,
    starter::{self, Started},
    web_server::WebServer,
};
use crate::{Decoding, Interrupt, MediaError, Result, fallback, rtsp::Relay};

/// Time for an interrupted child to answer.
const GRACE: Duration = Duration::from_millis(700);
/// Time for a child to exit after it closed its sockets.
const ENDING: Duration = Duration::from_secs(1);
/// Limit of a child's standard error that is read, in bytes.
const MAX_STDERR: u64 = 4 << 10;

/// The channel of a request, and its behaviour on an interrupt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// `decoding`; aborted by the interrupt.
    Decoding,
    /// `decoding`, for requests that must complete; not aborted.
    Finishing,
    /// `pictures`; not aborted.
    Pictures,
}

pub(super) struct Connection {
    child: Mutex<Option<Child>>,
    control: Socket,
    stderr: OwnedFd,
    decoding: Mutex<Channel>,
    pictures: Mutex<Channel>,
    interrupt: Interrupt,
    /// The child was told of the interrupt.
    is_stopped: AtomicBool,
    /// Dropped frames, which the next request reports.
    released: Mutex<Vec<u64>>,
    /// Frames returned.
    pub frames: AtomicU64,
    supply: Supply,
    patience: Duration,
    end: OnceLock<End>,
}

/// Number of children that died.
static CRASHES: AtomicU64 = AtomicU64::new(0);

/// Number of decoder processes that have died since the server's start: they crashed, exceeded
/// their memory or hung.
pub fn decoder_crashes() -> u64 {
    CRASHES.load(Ordering::Relaxed)
}

/// The server's part in supplying a child with bytes, for the life of the child.
pub(super) enum Supply {
    /// None: the child has a file.
    Nothing,
    /// Fetches bytes of a URL.
    Web(WebServer),
    /// Relays the stream of a camera.
    Rtsp(Relay),
}

impl Supply {
    /// Whether the child waits for the server.
    fn is_waited_for(&self) -> bool {
        matches!(self, Self::Web(web) if web.is_asked())
    }

    /// Extra time before the child counts as hung.
    fn patience(&self) -> Duration {
        match self {
            Self::Rtsp(relay) => relay.patience(),
            Self::Nothing | Self::Web(_) => Duration::ZERO,
        }
    }
}

/// Cause of a child's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Crashed,
    NoMemory,
    StoodStill,
}

impl Connection {
    /// Starts a child and sends its task, whose answer comes as that to a request. `source`:
    /// descriptor of its bytes.
    pub(super) fn start(
        program: &DecoderProgram,
        task: &Task,
        source: Option<BorrowedFd<'_>>,
        supply: Supply,
        interrupt: &Interrupt,
    ) -> Result<Arc<Self>> {
        let start = || -> io::Result<Self> {
            let Started { child, control, stderr } = starter::start(program)?;
            let (decoding, child_decoding) = Channel::new()?;
            let (pictures, child_pictures) = Channel::new()?;
            let connection = Self {
                child: Mutex::new(Some(child)),
                control,
                stderr,
                decoding: Mutex::new(decoding),
                pictures: Mutex::new(pictures),
                interrupt: interrupt.clone(),
                is_stopped: AtomicBool::new(false),
                released: Mutex::default(),
                frames: AtomicU64::new(0),
                patience: program.limits.patience + supply.patience(),
                supply,
                end: OnceLock::new(),
            };
            connection.give(task, &child_decoding, &child_pictures, source)?;
            Ok(connection)
        };
        start().map(Arc::new).map_err(MediaError::internal)
    }

    /// Sends the task with its descriptors.
    fn give(
        &self,
        task: &Task,
        decoding: &Socket,
        pictures: &Socket,
        source: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let (ours, their_pictures) = (self.decoding.lock(), self.pictures.lock());
        let mut descriptors =
            vec![decoding.as_fd(), ours.memory.as_fd(), pictures.as_fd(), their_pictures.memory.as_fd()];
        descriptors.extend(source);
        self.control.send_with(task, &[], &descriptors)
    }

    /// The answer to the task.
    pub(super) fn begin(&self) -> Result<Given> {
        let mut channel = self.decoding.lock();
        self.wait(&mut channel, Over::Decoding)?.given
    }

    /// Sends a request; `take` gets the answer and the shared memory of the channel.
    ///
    /// # Errors
    /// Those of the child's answer, or of its death.
    pub(super) fn ask<T>(
        &self,
        over: Over,
        wanted: Wanted,
        descriptor: Option<BorrowedFd<'_>>,
        take: impl FnOnce(Answer, &SharedMemory) -> Result<T>,
    ) -> Result<T> {
        let channel = if over == Over::Pictures { &self.pictures } else { &self.decoding };
        let mut channel = channel.lock();
        self.check()?;
        let released = std::mem::take(&mut *self.released.lock());
        if channel.request(wanted, released, descriptor).is_err() {
            return Err(self.reap(None));
        }
        let answer = self.wait(&mut channel, over)?;
        take(answer, &channel.memory)
    }

    /// Closes the child's decoder, without waiting; frames stay.
    pub(super) fn close(&self) {
        // Fails where the child is gone, and its decoder with it.
        let _ = self.decoding.lock().request(Wanted::Close, Vec::new(), None);
    }

    fn wait(&self, channel: &mut Channel, over: Over) -> Result<Answer> {
        let mut steps = channel.memory.steps().load(Ordering::Relaxed);
        let (mut moved, mut interrupted) = (Instant::now(), None);
        loop {
            match channel.listen() {
                Heard::Answer(mut answer) => {
                    answer.fallbacks.drain(..).for_each(fallback::log_once);
                    return Ok(*answer);
                }
                Heard::Broken => return Err(self.reap(None)),
                Heard::Nothing => {}
            }
            if over == Over::Decoding && self.interrupt.is_raised() {
                self.stop();
                if interrupted.get_or_insert_with(Instant::now).elapsed() > GRACE {
                    // A late answer is dropped when it comes.
                    return Err(MediaError::Interrupted);
                }
            }
            let now = channel.memory.steps().load(Ordering::Relaxed);
            if now != steps || self.supply.is_waited_for() {
                (steps, moved) = (now, Instant::now());
            }
            if moved.elapsed() > self.patience {
                return Err(self.reap(Some(End::StoodStill)));
            }
        }
    }

    /// Tells the child of the interrupt.
    fn stop(&self) {
        if !self.is_stopped.swap(true, Ordering::Relaxed) {
            // Fails where the child is gone.
            let _ = self.control.send(&Control::Stop);
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }

    /// The error of the child's death, if it died.
    pub(super) fn check(&self) -> Result<()> {
        self.end.get().map_or(Ok(()), |end| Err(self.error(*end)))
    }

    pub(super) fn release(&self, frame: u64) {
        self.released.lock().push(frame);
    }

    /// Kills a child that sent an invalid message, and returns its error.
    pub(super) fn broken(&self) -> MediaError {
        self.reap(Some(End::Crashed))
    }

    /// Reaps the child, killed where necessary, and returns the error of its death: with the known
    /// cause, or one told from its exit status and output.
    fn reap(&self, known: Option<End>) -> MediaError {
        let mut child = self.child.lock();
        if let Some(mut child) = child.take() {
            let status = if known.is_some() { None } else { wait_for(&mut child) };
            if status.is_none() {
                kill(&mut child);
            }
            let said = self.stderr_output();
            let end = known.unwrap_or_else(|| cause_of(status, &said));
            let frames = self.frames.load(Ordering::Relaxed);
            tracing::warn!(?status, said = said.trim(), frames, "a decoder process died: {end:?}");
            CRASHES.fetch_add(1, Ordering::Relaxed);
            // Set here only, and once, since the child was taken.
            let _ = self.end.set(end);
        }
        let end = self.end.get().copied().unwrap_or(End::Crashed);
        self.error(end)
    }

    fn error(&self, end: End) -> MediaError {
        let frames = self.frames.load(Ordering::Relaxed);
        match end {
            End::Crashed => MediaError::Crashed { frames },
            End::NoMemory => MediaError::NoMemory { frames },
            End::StoodStill => MediaError::StoodStill { frames },
        }
    }

    /// The child's standard error so far.
    fn stderr_output(&self) -> String {
        let mut said = Vec::new();
        if let Ok(pipe) = self.stderr.try_clone() {
            // Non-blocking: reads what was written.
            let _ = fs::File::from(pipe).take(MAX_STDERR).read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(child) = self.child.lock().as_mut() {
            kill(child);
        }
        starter::keep_ready();
    }
}

fn kill(child: &mut Child) {
    // Fails where it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// The exit status, where the child exits by itself in time.
fn wait_for(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < ENDING {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            ended => return ended.ok().flatten(),
        }
    }
    None
}

fn cause_of(status: Option<ExitStatus>, said: &str) -> End {
    // SIGKILL comes from the kernel's OOM killer.
    let was_killed = status.is_some_and(|status| status.signal() == Some(rustix::process::Signal::KILL.as_raw()));
    if was_killed || said.contains("memory allocation of") { End::NoMemory } else { End::Crashed }
}

/// Starts a child that reports its isolation.
pub(super) fn report(program: &DecoderProgram) -> Result<Isolation> {
    let task = Task {
        purpose: Purpose::Report,
        place: Place::Nowhere,
        format: None,
        options: Vec::new(),
        transform: VideoTransform::None,
        threads: 1,
        decoding: Decoding::Software,
        fault: None,
    };
    let connection = Connection::start(program, &task, None, Supply::Nothing, &Interrupt::new())?;
    match connection.begin() {
        Ok(Given::Report(isolation)) => Ok(isolation),
        Ok(_) => Err(MediaError::internal("the decoder process does not report its isolation")),
        Err(error) => Err(MediaError::internal(format!("{error} {}", connection.stderr_output()))),
    }
}
