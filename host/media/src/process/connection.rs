//! A child, as the server sees it: how it is started, asked, given up and taken away.

use std::{
    fs,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
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
    web_server::WebServer,
};
use crate::{Decoding, Interrupt, MediaError, Result, fallback, rtsp::Relay};

/// So long a child that was interrupted may take to say so.
const GRACE: Duration = Duration::from_millis(700);
/// So long a child that closed its sockets may take to end.
const ENDING: Duration = Duration::from_secs(1);
/// How much of what it says before it dies is read, in bytes.
const SAID: u64 = 4 << 10;

/// Which of the two channels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// For the thread that decodes: ends when the interrupt is raised.
    Decoding,
    /// The same, and what has to be brought to its end all the same.
    Finishing,
    /// For parts of frames: goes on all the same.
    Pictures,
}

pub(super) struct Connection {
    child: Mutex<Option<Child>>,
    control: Socket,
    stderr: OwnedFd,
    decoding: Mutex<Channel>,
    pictures: Mutex<Channel>,
    interrupt: Interrupt,
    /// The child knows of the interrupt.
    is_stopped: AtomicBool,
    /// Frames that nobody has any more; the next request says so.
    released: Mutex<Vec<u64>>,
    /// That came out.
    pub frames: AtomicU64,
    supply: Supply,
    patience: Duration,
    end: OnceLock<End>,
}

/// Children that died.
static CRASHES: AtomicU64 = AtomicU64::new(0);

/// How many processes that decode have died since the server's start: they crashed, took too much
/// memory or stood still.
pub fn decoder_crashes() -> u64 {
    CRASHES.load(Ordering::Relaxed)
}

/// What the server does for a child, as long as that is there.
pub(super) enum Supply {
    /// It has all in a file.
    Nothing,
    /// Fetches bytes of a URL.
    Web(WebServer),
    /// Passes on what comes from a camera.
    Rtsp(Relay),
}

impl Supply {
    /// The child waits for what is to be given to it.
    fn is_waited_for(&self) -> bool {
        matches!(self, Self::Web(web) if web.is_asked())
    }

    /// How much longer than others the child may do nothing.
    fn patience(&self) -> Duration {
        match self {
            Self::Rtsp(relay) => relay.patience(),
            Self::Nothing | Self::Web(_) => Duration::ZERO,
        }
    }
}

/// How a child died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Crashed,
    NoMemory,
    StoodStill,
}

impl Connection {
    /// Starts a child and gives it its task; the answer to it comes as that to any request.
    /// `source` is the descriptor of its bytes.
    pub(super) fn start(
        program: &DecoderProgram,
        task: &Task,
        source: Option<BorrowedFd<'_>>,
        supply: Supply,
        interrupt: &Interrupt,
    ) -> Result<Arc<Self>> {
        let start = || -> io::Result<Self> {
            let (control, theirs) = Socket::pair()?;
            let (decoding, child_decoding) = Channel::new()?;
            let (pictures, child_pictures) = Channel::new()?;
            let (stderr, their_stderr) = quiet_pipe()?;
            let child = spawn(program, theirs.into(), their_stderr)?;
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

    /// Hands over the task, with all that belongs to it.
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

    /// Asks for something; `take` sees the answer and the memory that belongs to it.
    ///
    /// # Errors
    /// What the child answers, or how it died.
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
            return Err(self.bury(None));
        }
        let answer = self.wait(&mut channel, over)?;
        take(answer, &channel.memory)
    }

    /// Lets the child's decoder go; frames stay. Waits for nothing.
    pub(super) fn close(&self) {
        // One that is gone has none.
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
                Heard::Broken => return Err(self.bury(None)),
                Heard::Nothing => {}
            }
            if over == Over::Decoding && self.interrupt.is_raised() {
                self.stop();
                if interrupted.get_or_insert_with(Instant::now).elapsed() > GRACE {
                    // What it answers is passed over when it comes.
                    return Err(MediaError::Interrupted);
                }
            }
            let now = channel.memory.steps().load(Ordering::Relaxed);
            if now != steps || self.supply.is_waited_for() {
                (steps, moved) = (now, Instant::now());
            }
            if moved.elapsed() > self.patience {
                return Err(self.bury(Some(End::StoodStill)));
            }
        }
    }

    /// Lets the child know of the interrupt.
    fn stop(&self) {
        if !self.is_stopped.swap(true, Ordering::Relaxed) {
            // One that is gone has stopped.
            let _ = self.control.send(&Control::Stop);
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }

    /// How the child died, if it did.
    pub(super) fn check(&self) -> Result<()> {
        self.end.get().map_or(Ok(()), |end| Err(self.error(*end)))
    }

    pub(super) fn release(&self, frame: u64) {
        self.released.lock().push(frame);
    }

    /// A child that says what makes no sense.
    pub(super) fn broken(&self) -> MediaError {
        self.bury(Some(End::Crashed))
    }

    /// Takes the child away and says how it died: for a reason that is known, or for one that its
    /// end tells.
    fn bury(&self, known: Option<End>) -> MediaError {
        let mut child = self.child.lock();
        if let Some(mut child) = child.take() {
            let status = if known.is_some() { None } else { wait_for(&mut child) };
            if status.is_none() {
                take_away(&mut child);
            }
            let said = self.said();
            let end = known.unwrap_or_else(|| judge(status, &said));
            let frames = self.frames.load(Ordering::Relaxed);
            tracing::warn!(?status, said = said.trim(), frames, "a decoder's process ended: {end:?}");
            CRASHES.fetch_add(1, Ordering::Relaxed);
            // It is set nowhere else.
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

    /// Its last words.
    fn said(&self) -> String {
        let mut said = Vec::new();
        if let Ok(pipe) = self.stderr.try_clone() {
            // What there is; nobody writes any more.
            let _ = fs::File::from(pipe).take(SAID).read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(child) = self.child.lock().as_mut() {
            take_away(child);
        }
    }
}

fn take_away(child: &mut Child) {
    // One that is gone already is as good.
    let _ = child.kill();
    let _ = child.wait();
}

/// Its end, where it comes by itself.
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

fn judge(status: Option<ExitStatus>, said: &str) -> End {
    // The system's way to say that there is no memory.
    let was_killed = status.is_some_and(|status| status.signal() == Some(rustix::process::Signal::KILL.as_raw()));
    if was_killed || said.contains("memory allocation of") { End::NoMemory } else { End::Crashed }
}

/// A pipe that loses what nobody reads, instead of keeping a child waiting.
fn quiet_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, pipe_with};
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

/// Starts a child. It is to die with this process, and the system takes the thread that started it
/// for the process: so one thread starts them all, and does not end.
fn spawn(program: &DecoderProgram, control: OwnedFd, stderr: OwnedFd) -> io::Result<Child> {
    type Start = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: LazyLock<Option<mpsc::Sender<Start>>> = LazyLock::new(|| {
        let (sender, starts) = mpsc::channel::<Start>();
        let start = move || {
            for (mut command, answer) in starts {
                // Whoever asked waits.
                let _ = answer.send(command.spawn());
            }
        };
        thread::Builder::new().name("start-decoders".into()).spawn(start).ok().map(|_| sender)
    });
    let mut command = Command::new(&program.path);
    command.arg0("ocellus").args(&program.arguments);
    command.arg("--parent").arg(std::process::id().to_string());
    command.arg("--memory-bytes").arg(program.limits.memory_bytes.to_string());
    command.env_clear().envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)));
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    // Ctrl-C is for the server, which then decides.
    command.process_group(0).current_dir("/");
    command.stdin(Stdio::from(control)).stdout(Stdio::null()).stderr(Stdio::from(stderr));
    let (sender, started) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts decoders is gone");
    STARTER.as_ref().ok_or_else(gone)?.send((command, sender)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// Starts a child that says what it may do.
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
        Ok(_) => Err(MediaError::internal("the decoder's process does not say what it may do")),
        Err(error) => Err(MediaError::internal(format!("{error} {}", connection.said()))),
    }
}
