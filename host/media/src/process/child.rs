//! The decoder process: decodes a source, keeps the frames, and makes pictures of them on request.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
};

use ocellus_core::Size;
use parking_lot::Mutex;

use super::{
    isolation::Isolation,
    painter::{Frames, Painter, paint},
    protocol::{
        Answer, Control, DecoderFault, FaultKind, FrameHead, Given, Look, Made, Opened, Place, Purpose, Request,
        Status, Task, Wanted,
    },
    sandbox::{self, Needs},
    shared_memory::SharedMemory,
    socket::Socket,
    web_client::{RemoteResource, WebClient},
};
use crate::{
    Decoding, Input, Interrupt, Location, MediaError, Result, av,
    decoder::LocalDecoder,
    fallback::{self, Fallback},
    frame::LocalFrame,
    origin::{Find, Origin, Positioned},
    rtsp::RelayTarget,
    source::Source,
    steps::Steps,
    web::Web,
};

/// Runs a decoder process for `parent`, which sends the task over standard input, within a limit of
/// memory. To be called on the process's first thread, before there are others.
#[expect(clippy::print_stderr, reason = "the parent reads the reason of a failure there")]
pub fn serve_decoder(parent: u32, memory_bytes: u64) -> ExitCode {
    match sandbox::limit(parent, memory_bytes).and_then(|()| serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    av::init();
    let mut control = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut descriptors = Vec::new();
    let Some((task, _)) = control.receive_with::<Task>(Some(&mut descriptors))? else { return Ok(()) };
    let isolation = enter(&task)?;
    // A panic of any thread ends the process, so that the parent notices it.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::abort();
    }));
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or(io::ErrorKind::UnexpectedEof);
    let (decoding, decoding_memory) = (Socket::from(next()?), SharedMemory::open(next()?)?);
    let (pictures, pictures_memory) = (Socket::from(next()?), SharedMemory::open(next()?)?);
    if task.purpose == Purpose::Report {
        let given = Ok(Given::Report(tried(isolation)));
        decoding.send(&Answer { number: 0, status: None, fallbacks: Vec::new(), given })?;
        return Ok(());
    }
    let interrupt = Interrupt::new();
    let (input, find) = source(&task, next().ok(), isolation, &interrupt)?;
    let frames = Frames::default();
    let painter = Painter::new(frames.clone(), pictures_memory);
    thread_named("pictures")?.spawn(move || paint(pictures, painter))?;
    let painter = Painter::new(frames, decoding_memory);
    let stop = interrupt.clone();
    thread_named("decoding")?.spawn(move || decode(decoding, painter, &task, &input, find, &stop))?;
    while let Some((Control::Stop, _)) = control.receive()? {
        interrupt.raise();
    }
    Ok(())
}

/// Enters the sandbox, with the exceptions that the task needs, before any untrusted byte is read.
fn enter(task: &Task) -> io::Result<Isolation> {
    let relay = match (&task.place, &task.purpose) {
        (Place::Rtsp { port, .. }, _) => Some(*port),
        // The largest exception that any child gets.
        (_, Purpose::Report) => Some(REPORTED),
        _ => None,
    };
    let devices = task.purpose == Purpose::Decode && task.decoding != Decoding::Software;
    if devices {
        // The server logs for it.
        fallback::collect();
        let found = task.decoding.bring_up().unwrap_or_default();
        if found.is_empty() {
            fallback::log_once(Fallback::of_all(task.decoding, "cannot be opened in the decoder process"));
        }
    }
    sandbox::enter(Needs { relay, devices })
}

/// An arbitrary port, for [`Purpose::Report`].
const REPORTED: u16 = 554;

/// Tests the isolation after the one connection that a child may make.
fn tried(isolation: Isolation) -> Isolation {
    sandbox::close_network();
    // Another port: with Landlock alone that of the relay stays reachable.
    Isolation { network: sandbox::is_refused(REPORTED + 1), ..isolation }
}

fn thread_named(name: &str) -> io::Result<thread::Builder> {
    Ok(thread::Builder::new().name(name.into()))
}

/// The input of a task, and access to its bytes.
fn source(
    task: &Task,
    descriptor: Option<OwnedFd>,
    isolation: Isolation,
    interrupt: &Interrupt,
) -> io::Result<(Input, Find)> {
    let descriptor = || descriptor.ok_or(io::ErrorKind::UnexpectedEof);
    let (location, find): (_, Find) = match &task.place {
        Place::Nowhere => return Err(io::ErrorKind::InvalidInput.into()),
        Place::Rtsp { url, .. } => {
            // Without seccomp there is no filter to add, and the isolation reports that.
            let connected = Arc::new(move || sandbox::close_network() || !isolation.seccomp);
            let own = url.clone();
            let find = move |_: &_| {
                let (url, connected) = (own.clone(), Arc::clone(&connected) as _);
                Ok(Origin::Rtsp(RelayTarget { url, connected, relay: None }))
            };
            (Location::Url(url.clone()), Arc::new(find))
        }
        Place::File => {
            let file = Positioned::new(File::from(descriptor()?));
            (Location::File(PathBuf::new()), Arc::new(move |_| Ok(Origin::File(Box::new(file.clone())))))
        }
        Place::Copy(url) => {
            let file = Positioned::new(File::from(descriptor()?));
            (Location::Url(url.clone()), Arc::new(move |_| Ok(Origin::Copy(Box::new(file.clone())))))
        }
        Place::Web { url, first } => {
            let web = Arc::new(WebClient::new(Socket::from(descriptor()?), interrupt.clone()));
            // The parent has it open for the first reader; later ones request it again.
            let first = Mutex::new(Some(RemoteResource::new(Arc::clone(&web), first.clone(), 0)));
            let again = url.clone();
            let find = move |_: &_| {
                let web: Arc<dyn Web> = Arc::new(Arc::clone(&web));
                let found = match first.lock().take() {
                    Some(found) => Box::new(found),
                    None => web.open(&again, None)?,
                };
                Ok(Origin::Web(web, found))
            };
            (Location::Url(url.clone()), Arc::new(find))
        }
    };
    let (format, options) = (task.format.clone(), task.options.clone());
    let (transform, threads, decoding) = (task.transform, task.threads, task.decoding);
    Ok((Input { format, options, transform, threads, decoding, ..Input::new(location) }, find))
}

fn decode(mut socket: Socket, mut painter: Painter, task: &Task, input: &Input, find: Find, interrupt: &Interrupt) {
    let progress = painter.memory.as_fd().try_clone_to_owned().and_then(SharedMemory::open);
    let steps = progress.map_or_else(|_| Steps::default(), |memory| Steps::new(move || memory.count_step()));
    let opened = match task.purpose {
        Purpose::Decode => LocalDecoder::open(input, find, interrupt, steps).map(|decoder| {
            let opened = Opened { info: decoder.info().clone(), is_live: decoder.is_live() };
            (opened, Some(decoder))
        }),
        Purpose::Probe | Purpose::Report => Source::open(input, &find, interrupt)
            .map(|source| (Opened { info: source.info, is_live: source.is_live }, None)),
    };
    let (given, decoder) = match opened {
        Ok((opened, decoder)) => (Ok(Given::Opened(opened)), decoder),
        Err(error) => (Err(error), None),
    };
    if socket.send(&Answer { number: 0, status: None, fallbacks: fallback::collected(), given }).is_err() {
        return;
    }
    let Some(decoder) = decoder else { return };
    // A network source may block.
    let looks_ahead = !matches!(task.place, Place::Web { .. } | Place::Rtsp { .. });
    let mut decoding = Some(DecoderState {
        decoder,
        looks: Vec::new(),
        made: None,
        row: 0,
        next_id: 0,
        frames: 0,
        soft_errors: 0,
        fault: task.fault,
    });
    let mut descriptors = Vec::new();
    while let Ok(Some((request, _))) = socket.receive_with::<Request>(Some(&mut descriptors)) {
        let Request { number, released, wanted } = request;
        painter.frames.release(&released);
        let (status, given) = match (wanted, &mut decoding) {
            (Wanted::Close, _) => {
                decoding = None;
                (None, Ok(Given::Done))
            }
            (wanted, _) if wanted.is_of_frame() => (None, painter.paint(&wanted)),
            (wanted, Some(decoding)) => {
                let given = decoding.answer(wanted, &mut painter, descriptors.pop());
                (Some(decoding.status()), given)
            }
            (_, None) => (None, Err(MediaError::internal("the decoder is closed"))),
        };
        descriptors.clear();
        if socket.send(&Answer { number, status, fallbacks: fallback::collected(), given }).is_err() {
            return;
        }
        if let Some(decoding) = decoding.as_mut().filter(|_| looks_ahead) {
            decoding.look_ahead(&mut painter);
        }
    }
}

struct DecoderState {
    decoder: LocalDecoder,
    /// Inputs that the parent uses of each frame.
    looks: Vec<Look>,
    /// Inputs made of the next frame, where it was decoded ahead.
    made: Option<Vec<Made>>,
    /// Consecutive requests for the next frame.
    row: u32,
    next_id: u64,
    /// Frames returned so far, for [`MediaError::NoMemory`].
    frames: u64,
    /// Count at the last request for a frame.
    soft_errors: u64,
    fault: Option<DecoderFault>,
}

/// Upper bound of a codec's bytes per pixel of a picture.
const PICTURE_BYTES: usize = 4;

/// Consecutive requests from which on the next frame is decoded ahead.
const MIN_IN_A_ROW: u32 = 2;

impl DecoderState {
    fn answer(&mut self, wanted: Wanted, painter: &mut Painter, descriptor: Option<OwnedFd>) -> Result<Given> {
        let is_next = matches!(wanted, Wanted::Next { .. });
        self.row = if is_next { self.row + 1 } else { 0 };
        match wanted {
            Wanted::Next { looks } => {
                self.looks = looks;
                let made = self.made.take();
                let next = self.decoder.next_frame();
                self.check_memory(&next)?;
                let Some(frame) = next? else { return Ok(Given::Frame(None, Vec::new())) };
                let made = made.unwrap_or_else(|| painter.look_all(&frame, &self.looks));
                Ok(Given::Frame(Some(self.keep(frame, &painter.frames)), made))
            }
            Wanted::Seek(seconds) => {
                self.made = None;
                self.decoder.seek(seconds).map(|()| Given::Done)
            }
            Wanted::GoOn { next, shift } => {
                self.decoder.go_on(next, shift);
                Ok(Given::Done)
            }
            Wanted::Record { audio } => match descriptor.map(|file| (File::from(file), sandbox::allow_writing())) {
                Some((file, Ok(()))) => {
                    self.decoder.record(file, audio);
                    Ok(Given::Done)
                }
                _ => Err(MediaError::internal("no file to record to")),
            },
            Wanted::FinishRecording => Ok(Given::Recording(self.decoder.finish_recording())),
            _ => Err(MediaError::internal("not a request to a decoder")),
        }
    }

    /// Tells lack of memory from damage: codecs report both alike.
    fn check_memory(&mut self, next: &Result<Option<LocalFrame>>) -> Result<()> {
        let errors = self.decoder.soft_errors();
        let is_sound = errors == self.soft_errors && next.is_ok();
        self.soft_errors = errors;
        let Size { width, height } = self.decoder.info().size;
        let picture = width as usize * height as usize * PICTURE_BYTES;
        if is_sound
            || matches!(next, Err(MediaError::Interrupted))
            || Vec::<u8>::new().try_reserve_exact(picture).is_ok()
        {
            return Ok(());
        }
        Err(MediaError::NoMemory { frames: self.frames })
    }

    fn keep(&mut self, frame: LocalFrame, frames: &Frames) -> FrameHead {
        let head = FrameHead { id: self.next_id, index: frame.index(), time: frame.time(), size: frame.size() };
        self.next_id += 1;
        self.frames = head.index.saturating_add(1);
        if let Some(fault) = self.fault.filter(|fault| fault.frame == head.index)
            && fault.width.is_none_or(|width| width == head.size.width)
        {
            fail(fault.kind);
        }
        frames.keep(head.id, frame);
        head
    }

    /// Decodes the next frame and makes its inputs, while the parent works on the last one.
    fn look_ahead(&mut self, painter: &mut Painter) {
        if self.row < MIN_IN_A_ROW || self.made.is_some() {
            return;
        }
        if let Some(frame) = self.decoder.look_ahead() {
            self.made = Some(painter.look_all(&frame, &self.looks));
        }
    }

    fn status(&self) -> Status {
        Status {
            soft_errors: self.decoder.soft_errors(),
            jumps: self.decoder.jumps(),
            length: self.decoder.length(),
            zero_us: self.decoder.zero_us(),
        }
    }
}

/// Carries out a fault.
fn fail(kind: FaultKind) {
    match kind {
        FaultKind::Abort => std::process::abort(),
        FaultKind::Memory => {
            let mut taken = Vec::new();
            loop {
                taken.push(std::hint::black_box(vec![1_u8; 64 << 20]));
            }
        }
        FaultKind::StandStill => loop {
            thread::park();
        },
        FaultKind::Connect => {
            if !sandbox::is_refused(REPORTED) {
                std::process::abort();
            }
        }
    }
}
