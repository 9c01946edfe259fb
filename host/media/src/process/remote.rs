//! Handles of a decoder and its frames in a decoder process.

use std::{
    fs::File,
    io::Write,
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering},
};

use ocellus_core::{InputSpec, Rect, Region, RgbImage, Size};
use parking_lot::Mutex;

use super::{
    connection::{Connection, Over, Supply},
    program::DecoderProgram,
    protocol::{Answer, FrameHead, Given, Look, Made, Opened, Place, Purpose, Status, Task, Wanted},
    shared_memory::{ON_DEMAND, SLOT, SharedMemory, sealed},
    socket::Socket,
    web_server::{WebServer, found},
};
use crate::{
    Input, Interrupt, Location, MediaError, MediaInfo, Patch, Recording, Result,
    http::Session,
    options::check_url,
    origin,
    picture_size::check_size,
    rtsp::Relay,
    source,
    threads::Share,
    web::{self, Found},
};

/// Limit of the inputs of a frame that are made ahead: one for each detector, and for motion.
const MOST_LOOKS: usize = 32;

/// Limit of the patches of a request, for its message.
const MOST_PATCHES: usize = 256;

/// A decoder in a child. Its methods are documented at [`Decoder`](crate::Decoder).
pub(crate) struct RemoteDecoder {
    connection: Arc<Connection>,
    opened: Opened,
    status: Status,
    /// Seconds that are added to the times of frames.
    shift: f64,
    /// The end or an error was returned; only a seek continues.
    is_over: bool,
    is_recording: bool,
    /// Inputs of the last frame.
    looks: Arc<Mutex<Looks>>,
    /// Held for the life of the child's threads.
    _share: Share,
}

/// Inputs with their bytes.
type MadeLooks = Vec<(Look, Vec<u8>)>;

/// Inputs of one frame.
#[derive(Default)]
struct Looks {
    /// Received with the frame.
    made: MadeLooks,
    /// Requested by the caller.
    taken: Vec<Look>,
}

/// Properties of a source, determined in a child.
pub(crate) fn probe(program: &DecoderProgram, input: &Input, interrupt: &Interrupt) -> Result<MediaInfo> {
    let connection = connect(program, input, interrupt, Purpose::Probe, 1)?;
    opened(&connection).map(|opened| opened.info)
}

/// Starts a child with its source.
fn connect(
    program: &DecoderProgram,
    input: &Input,
    interrupt: &Interrupt,
    purpose: Purpose,
    threads: usize,
) -> Result<Arc<Connection>> {
    source::check_options(input)?;
    if interrupt.is_raised() {
        return Err(MediaError::Interrupted);
    }
    let task = |place| Task {
        purpose,
        place,
        format: input.format.clone(),
        options: input.options.clone(),
        transform: input.transform,
        threads,
        decoding: input.decoding,
        fault: program.fault,
    };
    let of_file =
        |task: Task, file: &File| Connection::start(program, &task, Some(file.as_fd()), Supply::Nothing, interrupt);
    match &input.location {
        Location::File(path) => of_file(task(Place::File), &origin::open(path)?),
        Location::Memory(bytes) => {
            let file = sealed("ocellus-source", |file| file.write_all(bytes), true).map_err(MediaError::internal)?;
            of_file(task(Place::File), &file)
        }
        Location::Url(url) => {
            let url = check_url(url)?;
            // Also raised when the child ends.
            let stop = interrupt.narrower();
            let watch = origin::watch(input, &stop);
            if input.location.is_rtsp() {
                let relay = Relay::open(&input.network, &input.options, url, &watch)?;
                let place = Place::Rtsp { url: relay.url().to_owned(), port: relay.port() };
                return Connection::start(program, &task(place), None, Supply::Rtsp(relay), interrupt);
            }
            let session = Session::new(&input.network, &input.options, &watch)?;
            let body = match web::find(&session, url.as_str(), input.spool.as_deref(), &watch) {
                Ok(Found::Copy(file)) => return of_file(task(Place::Copy(url.into())), &file),
                Ok(Found::Body(body)) => body,
                Err(error) => return Err(source::stopped(&watch, None).unwrap_or(error)),
            };
            let (ours, theirs) = Socket::pair().map_err(MediaError::internal)?;
            let task = task(Place::Web { url: url.into(), first: found(0, &*body) });
            let web = WebServer::start(ours, session, body, watch, stop)?;
            Connection::start(program, &task, Some(theirs.as_fd()), Supply::Web(web), interrupt)
        }
    }
}

/// The child's answer about the source that it opened.
fn opened(connection: &Connection) -> Result<Opened> {
    match connection.begin()? {
        Given::Opened(mut opened) if is_possible(opened.info.size) => {
            let info = &mut opened.info;
            info.duration = info.duration.filter(|seconds| seconds.is_finite());
            info.frame_rate = info.frame_rate.filter(|rate| rate.is_finite() && *rate > 0.0);
            Ok(opened)
        }
        _ => Err(connection.broken()),
    }
}

/// Whether a picture may have this size.
fn is_possible(size: Size) -> bool {
    size.width > 0 && size.height > 0 && check_size(size).is_ok()
}

impl RemoteDecoder {
    pub(crate) fn open(program: &DecoderProgram, input: &Input, interrupt: &Interrupt) -> Result<Self> {
        let share = Share::take(input.threads);
        let connection = connect(program, input, interrupt, Purpose::Decode, share.count())?;
        let opened = opened(&connection)?;
        let (status, looks) = (Status::default(), Arc::default());
        Ok(Self { connection, opened, status, shift: 0.0, is_over: false, is_recording: false, looks, _share: share })
    }

    pub(crate) fn info(&self) -> &MediaInfo {
        &self.opened.info
    }

    pub(crate) fn is_live(&self) -> bool {
        self.opened.is_live
    }

    pub(crate) fn taken_us(&self, time: f64) -> Option<i64> {
        Some(self.status.zero_us?.saturating_add(((time - self.shift) * 1e6).round() as i64))
    }

    pub(crate) fn soft_errors(&self) -> u64 {
        self.status.soft_errors
    }

    pub(crate) fn jumps(&self) -> u64 {
        self.status.jumps
    }

    pub(crate) fn length(&self) -> Option<f64> {
        self.status.length
    }

    pub(crate) fn record(&mut self, file: &File, audio: bool) {
        self.is_recording = true;
        // A dead child is reported by `finish_recording`.
        let _ = self.connection.ask(Over::Finishing, Wanted::Record { audio }, Some(file.as_fd()), done);
    }

    pub(crate) fn finish_recording(&mut self) -> Option<Recording> {
        if !std::mem::take(&mut self.is_recording) {
            return None;
        }
        let finished =
            self.connection.ask(Over::Finishing, Wanted::FinishRecording, None, |answer, _| match answer.given? {
                Given::Recording(recording) => Ok(recording),
                _ => Err(MediaError::internal("an answer of the wrong kind")),
            });
        finished.unwrap_or_else(|error| {
            let what = "its decoder ended before it was complete".into();
            let problem = Some(MediaError::NotRecorded { what, cause: error.into() });
            Some(Recording { packets: 0, problem })
        })
    }

    pub(crate) fn next_frame(&mut self) -> Result<Option<RemoteFrame>> {
        if self.is_over {
            return Ok(None);
        }
        let next = self.next();
        self.is_over = !matches!(next, Ok(Some(_)));
        next
    }

    fn next(&mut self) -> Result<Option<RemoteFrame>> {
        if self.connection.is_interrupted() {
            return Err(MediaError::Interrupted);
        }
        let last = std::mem::take(&mut *self.looks.lock());
        let (answer, made) = self.connection.ask(Over::Decoding, Wanted::Next { looks: last.taken }, None, copied)?;
        self.status = answer.status.unwrap_or(self.status);
        match answer.given? {
            Given::Frame(None, _) => Ok(None),
            Given::Frame(Some(head), _) if is_possible(head.size) && head.time.is_finite() => {
                self.connection.frames.store(head.index.saturating_add(1), Ordering::Relaxed);
                self.looks = Arc::new(Mutex::new(Looks { made, taken: Vec::new() }));
                let (connection, looks) = (Arc::clone(&self.connection), Arc::clone(&self.looks));
                Ok(Some(RemoteFrame(Arc::new(Held { connection, head, looks }))))
            }
            _ => Err(self.connection.broken()),
        }
    }

    fn ask(&self, wanted: Wanted) -> Result<Answer> {
        self.connection.ask(Over::Decoding, wanted, None, |answer, _| Ok(answer))
    }

    pub(crate) fn seek(&mut self, seconds: f64) -> Result<()> {
        let sought = self.ask(Wanted::Seek(seconds)).and_then(|answer| {
            self.status = answer.status.unwrap_or(self.status);
            answer.given
        });
        self.is_over = false;
        sought.map(drop)
    }

    pub(crate) fn go_on(&mut self, next: u64, shift: f64) {
        self.shift = shift;
        // A dead child is reported by the next frame.
        let _ = self.connection.ask(Over::Decoding, Wanted::GoOn { next, shift }, None, done);
    }
}

impl Drop for RemoteDecoder {
    fn drop(&mut self) {
        // Frames may still be held, and the child with them.
        if Arc::strong_count(&self.connection) > 1 {
            self.connection.close();
        }
    }
}

/// Copies the inputs that came with a frame.
fn copied(answer: Answer, memory: &SharedMemory) -> Result<(Answer, MadeLooks)> {
    let mut looks = Vec::new();
    if let Ok(Given::Frame(_, made)) = &answer.given {
        for Made { look, at } in made.iter().take(MOST_LOOKS) {
            let mut bytes = Vec::new();
            let place = usize::try_from(*at).ok().zip(usize::try_from(look.count()).ok());
            // An invalid offset counts as not made.
            if place.is_some_and(|(at, count)| count <= SLOT && memory.copy_to(at, count, &mut bytes)) {
                looks.push((*look, bytes));
            }
        }
    }
    Ok((answer, looks))
}

fn done(answer: Answer, _: &SharedMemory) -> Result<()> {
    answer.given.map(drop)
}

/// A frame in a child. Its methods are documented at [`Frame`](crate::Frame).
#[derive(Clone)]
pub(crate) struct RemoteFrame(Arc<Held>);

struct Held {
    connection: Arc<Connection>,
    head: FrameHead,
    looks: Arc<Mutex<Looks>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connection.release(self.head.id);
    }
}

impl RemoteFrame {
    pub(crate) fn index(&self) -> u64 {
        self.0.head.index
    }

    pub(crate) fn time(&self) -> f64 {
        self.0.head.time
    }

    pub(crate) fn size(&self) -> Size {
        self.0.head.size
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.0.connection.check()
    }

    /// `size`: of the returned picture.
    pub(crate) fn crop(&self, region: Option<Rect>, max_side: Option<u32>, size: Size) -> Result<RgbImage> {
        let wanted = Wanted::Crop { frame: self.id(), region, max_side };
        let count = u64::from(size.width) * u64::from(size.height) * 3;
        let mut data = Vec::new();
        self.bytes(Over::Pictures, wanted, Some(count), &mut data)?;
        Ok(RgbImage { width: size.width, height: size.height, data })
    }

    pub(crate) fn jpeg(&self, region: Option<Rect>, max_side: Option<u32>, quality: u8) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        self.bytes(Over::Pictures, Wanted::Jpeg { frame: self.id(), region, max_side, quality }, None, &mut file)?;
        Ok(file)
    }

    pub(crate) fn patches(&self, patches: &[Patch]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut made = Vec::with_capacity(patches.len());
        let mut rest = patches;
        while let Some((first, others)) = rest.split_first() {
            let mut room = (SLOT as u64).saturating_sub(first.count());
            let more = others.iter().take(MOST_PATCHES - 1).take_while(|patch| {
                let left = room.checked_sub(patch.count());
                room = left.unwrap_or(room);
                left.is_some()
            });
            let (asked, later) = rest.split_at(1 + more.count());
            made.extend(self.ask_patches(asked)?);
            rest = later;
        }
        Ok(made)
    }

    /// Patches that fit into one answer.
    fn ask_patches(&self, patches: &[Patch]) -> Result<Vec<Option<Vec<u8>>>> {
        let connection = &self.0.connection;
        let wanted = Wanted::Patches { frame: self.id(), patches: patches.to_vec() };
        let made = connection.ask(Over::Pictures, wanted, None, |answer, memory| match answer.given? {
            Given::Patches(within) if within.len() == patches.len() => Ok(copied_patches(patches, &within, memory)),
            _ => Ok(None),
        })?;
        made.ok_or_else(|| connection.broken())
    }

    pub(crate) fn input(&self, spec: &InputSpec, region: Option<Region>) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        self.look(Look::Input { spec: (*spec).into(), region: region.map(Into::into) }, &mut data)?;
        Ok(data)
    }

    pub(crate) fn brightness(&self, region: Rect, out: Size, luma: &mut Vec<u8>) -> Result<()> {
        self.look(Look::Brightness { region, out }, luma)
    }

    /// An input of the frame: the one that came with it, or a new one.
    fn look(&self, look: Look, to: &mut Vec<u8>) -> Result<()> {
        let made = {
            let mut looks = self.0.looks.lock();
            if looks.taken.len() < MOST_LOOKS {
                looks.taken.push(look);
            }
            looks.made.iter().position(|(made, _)| *made == look).map(|place| looks.made.swap_remove(place).1)
        };
        match made {
            Some(made) => *to = made,
            None => self.bytes(Over::Decoding, Wanted::Look { frame: self.id(), look }, Some(look.count()), to)?,
        }
        Ok(())
    }

    fn id(&self) -> u64 {
        self.0.head.id
    }

    /// Requests bytes into `to`: `expected` of them, or any number.
    fn bytes(&self, over: Over, wanted: Wanted, expected: Option<u64>, to: &mut Vec<u8>) -> Result<()> {
        let connection = &self.0.connection;
        let given = connection.ask(over, wanted, None, |answer, memory| match answer.given? {
            Given::Bytes(count) if expected.is_none_or(|expected| count == expected) => {
                Ok(usize::try_from(count).is_ok_and(|count| memory.copy_to(ON_DEMAND, count, to)))
            }
            _ => Ok(false),
        })?;
        if given { Ok(()) } else { Err(connection.broken()) }
    }
}

/// `None` for patches that would lie outside the memory.
fn copied_patches(patches: &[Patch], within: &[bool], memory: &SharedMemory) -> Option<Vec<Option<Vec<u8>>>> {
    let mut at = ON_DEMAND;
    let copied = |(patch, is_within): (&Patch, &bool)| {
        if !is_within {
            return Some(None);
        }
        let count = usize::try_from(patch.count()).ok()?;
        let mut bytes = Vec::new();
        memory.copy_to(at, count, &mut bytes).then_some(())?;
        at += count;
        Some(Some(bytes))
    };
    patches.iter().zip(within).map(copied).collect()
}
