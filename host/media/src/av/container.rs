//! Demuxing: opening and reading of containers.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    io::{self, Read, Seek, SeekFrom},
    ptr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicPtr, AtomicUsize, Ordering},
    },
};

use ffmpeg_next::{
    Dictionary, Error, Packet, ffi,
    format::context::{self, StreamIo},
    util::interrupt,
};
use ocellus_core::Size;
use parking_lot::Mutex;

use super::library;
use crate::{
    MediaError,
    interrupt::Watch,
    presentation::{MAX_PIXELS, PixelAspect},
    web::{Resource, Web},
};

/// Read buffer of a file, in bytes.
const BUFFER: usize = 64 * 1024;

/// Limit of the playlist references that are opened before the header is read: FFmpeg follows
/// nested playlists, and one that refers to itself without end.
const REFERENCES: usize = 1000;

/// A demuxer.
#[derive(Clone, Copy)]
pub(crate) struct Format(*const ffi::AVInputFormat);

impl Format {
    /// All its names, separated by commas.
    pub(crate) fn name(self) -> String {
        // SAFETY: a `Format` is only made of a demuxer that FFmpeg gave; those are static, and so
        // are their names.
        unsafe { CStr::from_ptr((*self.0).name) }.to_string_lossy().into_owned()
    }

    fn flags(self) -> i32 {
        // SAFETY: as in `name`.
        unsafe { (*self.0).flags }
    }

    /// Whether it opens its input itself, instead of reading the given bytes.
    pub(crate) fn own_io(self) -> bool {
        self.flags() & ffi::AVFMT_NOFILE != 0
    }

    /// Whether its time stamps may jump, as in broadcasts.
    pub(crate) fn may_jump(self) -> bool {
        self.flags() & ffi::AVFMT_TS_DISCONT != 0
    }

    /// Whether its packets carry no time stamps.
    pub(crate) fn is_untimed(self) -> bool {
        self.flags() & ffi::AVFMT_NOTIMESTAMPS != 0
    }
}

pub(crate) fn find_format(name: &str) -> Option<Format> {
    library::init();
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a C string that lives through the call; the answer is null or static.
    let format = unsafe { ffi::av_find_input_format(name.as_ptr()) };
    (!format.is_null()).then_some(Format(format))
}

/// A file, or the bytes of one, whose reads fail once the watch is interrupted.
struct Watched<T> {
    file: T,
    watch: Watch,
}

impl<T: Read> Read for Watched<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_interrupted() { Err(io::ErrorKind::ConnectionAborted.into()) } else { self.file.read(buffer) }
    }
}

impl<T: Seek> Seek for Watched<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A byte stream whose demuxer is not chosen yet.
pub(crate) struct Reader {
    io: StreamIo,
    watch: Watch,
    /// Opens the references of a playlist.
    opener: Option<Arc<Opener>>,
    /// Base URL of its references.
    url: CString,
}

impl Reader {
    pub(crate) fn local(file: impl Read + Seek + Send + 'static, watch: Watch) -> Result<Self, Error> {
        library::init();
        let io = StreamIo::from_read_seek_with_capacity(Watched { file, watch: watch.clone() }, BUFFER)?;
        Ok(Self { io, watch, opener: None, url: CString::default() })
    }

    pub(crate) fn web(web: &Arc<dyn Web>, body: Box<dyn Resource>, watch: Watch) -> Result<Self, Error> {
        library::init();
        let url = CString::new(body.url()).map_err(|_| Error::InvalidData)?;
        let opener =
            Arc::new(Opener { web: Arc::clone(web), open: Mutex::default(), left: AtomicUsize::new(REFERENCES) });
        Ok(Self { io: body_io(body)?, watch, opener: Some(opener), url })
    }

    /// Detects the demuxer by the first bytes (at most 1 MiB).
    pub(crate) fn probe(&mut self) -> Result<Format, Error> {
        let mut format = ptr::null();
        // SAFETY: the AVIOContext is alive and ours alone; the name is a C string; a null log
        // context is allowed.
        let score = unsafe {
            ffi::av_probe_input_buffer2(self.io.as_mut_ptr(), &raw mut format, c"".as_ptr(), ptr::null_mut(), 0, 0)
        };
        if score < 0 {
            return Err(score.into());
        }
        if format.is_null() { Err(Error::InvalidData) } else { Ok(Format(format)) }
    }

    /// Reads the header. FFmpeg's protocol whitelist matches nothing: a file can open nothing else,
    /// and references of a playlist are opened by the [`Opener`].
    pub(crate) fn open(self, format: Format, options: &[(String, String)]) -> Result<context::Input, Error> {
        let Self { io, watch, opener, url } = self;
        let mut options: Dictionary<'_> = options.iter().collect();
        options.set("protocol_whitelist", "none");
        // Otherwise the playlist demuxer would expect FFmpeg's HTTP connection within our I/O
        // context.
        options.set("http_persistent", "0");
        options.set("http_multiple", "0");
        open(&url, Some((io, opener)), Some(format), options, move |_| watch.is_interrupted() || watch.is_overdue())
    }
}

/// Opens the RTSP URL of a relay. FFmpeg may make one connection, so that it cannot follow a
/// redirect. `connected` is called after it has connected and before it reads; `false` aborts.
pub(crate) fn open_rtsp(
    url: &str,
    options: &[(String, String)],
    watch: Watch,
    connected: Arc<dyn Fn() -> bool + Send + Sync>,
) -> Result<context::Input, Error> {
    library::init();
    let url = CString::new(url).map_err(|_| Error::InvalidData)?;
    let mut options: Dictionary<'_> = options.iter().collect();
    // RTP within the one connection: with other transports the server chooses where packets go.
    options.set("rtsp_transport", "tcp");
    options.set("protocol_whitelist", "tcp");
    options.set("format_whitelist", "rtsp,asf");
    let may_read = OnceLock::new();
    open(&url, None, find_format("rtsp"), options, move |context| {
        // FFmpeg first calls this while it connects, after it has checked the protocol whitelist,
        // which it checks for each connection. SAFETY: FFmpeg calls back in the thread that uses
        // the context, which lives as long as this closure. The whitelist is null or a C string of
        // FFmpeg's that begins with `tcp` or has been cut before.
        unsafe {
            if !context.is_null() && !(*context).protocol_whitelist.is_null() {
                *(*context).protocol_whitelist = b'-' as c_char;
                *(*context).protocol_whitelist.add(1) = 0;
            }
        }
        !*may_read.get_or_init(|| connected()) || watch.is_interrupted() || watch.is_overdue()
    })
}

fn body_io(body: Box<dyn Resource>) -> Result<StreamIo, Error> {
    if body.can_seek() {
        StreamIo::from_read_seek_with_capacity(body, BUFFER)
    } else {
        StreamIo::from_read_with_capacity(body, BUFFER)
    }
}

/// Opens the references of a playlist for its demuxer. Lives as long as the callback's state, until
/// the context is closed.
pub(crate) struct Opener {
    web: Arc<dyn Web>,
    /// Open references, until FFmpeg closes them.
    open: Mutex<Vec<StreamIo>>,
    /// References that may be opened before the header is read.
    left: AtomicUsize,
}

impl Opener {
    fn open(&self, url: &str, part: Option<(u64, Option<u64>)>) -> Result<*mut ffi::AVIOContext, c_int> {
        let refused = |error: MediaError| {
            self.web.note_refusal(&error);
            ffi::AVERROR(ffi::EIO)
        };
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            let what = format!("The playlist refers to more than {REFERENCES} others, or to itself.");
            return Err(refused(MediaError::refused(what)));
        }
        let body = self.web.open(url, part).map_err(refused)?;
        let mut io = body_io(body).map_err(c_int::from)?;
        // FFmpeg gives the pointer back to `close` before the context ends; `io` stays in `open`
        // until then.
        let pointer = io.as_mut_ptr();
        self.open.lock().push(io);
        Ok(pointer)
    }

    /// Lifts the limit of [`REFERENCES`].
    fn header_is_read(&self) {
        self.left.store(usize::MAX, Ordering::Relaxed);
    }

    fn close(&self, pointer: *mut ffi::AVIOContext) {
        let mut open = self.open.lock();
        if let Some(place) = open.iter_mut().position(|io| io.as_mut_ptr() == pointer) {
            open.swap_remove(place);
        }
    }
}

unsafe extern "C" fn open_reference(
    context: *mut ffi::AVFormatContext,
    io: *mut *mut ffi::AVIOContext,
    url: *const c_char,
    flags: c_int,
    options: *mut *mut ffi::AVDictionary,
) -> c_int {
    // SAFETY: FFmpeg gives a context whose `opaque` `open` has set, a C string, a place for the
    // answer, and null or a dictionary.
    let (opener, url, options) = unsafe {
        let opener = (*context).opaque.cast::<Opener>().as_ref();
        (opener, CStr::from_ptr(url), options.as_ref().map_or(ptr::null_mut(), |o| *o))
    };
    let number = |key: &CStr| {
        // SAFETY: `options` is null or a dictionary, `key` a C string; the answer is null or an
        // entry with a C string.
        let value = unsafe {
            ffi::av_dict_get(options, key.as_ptr(), ptr::null(), 0).as_ref().map(|e| CStr::from_ptr(e.value))
        };
        value.and_then(|v| v.to_str().ok()?.parse::<u64>().ok())
    };
    let (Some(opener), Ok(url)) = (opener, url.to_str()) else { return ffi::AVERROR(ffi::EINVAL) };
    if flags & ffi::AVIO_FLAG_WRITE != 0 {
        return ffi::AVERROR(ffi::EACCES);
    }
    let part = number(c"offset").map(|start| (start, number(c"end_offset").filter(|end| *end > 0)));
    match opener.open(url, part) {
        // SAFETY: the place for the answer is FFmpeg's.
        Ok(opened) => unsafe {
            *io = opened;
            0
        },
        Err(code) => code,
    }
}

unsafe extern "C" fn close_reference(context: *mut ffi::AVFormatContext, io: *mut ffi::AVIOContext) -> c_int {
    // SAFETY: as in `open_reference`.
    if let Some(opener) = unsafe { (*context).opaque.cast::<Opener>().as_ref() } {
        opener.close(io);
    }
    0
}

/// `stop` is FFmpeg's interrupt callback, polled while FFmpeg waits. It gets the context, or null
/// before there is one.
fn open(
    url: &CStr,
    io: Option<(StreamIo, Option<Arc<Opener>>)>,
    format: Option<Format>,
    options: Dictionary<'_>,
    stop: impl Fn(*mut ffi::AVFormatContext) -> bool + Send + 'static,
) -> Result<context::Input, Error> {
    let (mut io, opener) = io.map_or((None, None), |(io, opener)| (Some(io), opener));
    let address = Arc::new(AtomicPtr::new(ptr::null_mut()));
    let callback = interrupt::new(Box::new({
        // The opener ends with the callback's state.
        let (address, _opener) = (Arc::clone(&address), opener.clone());
        move || {
            let _ = &_opener;
            stop(address.load(Ordering::Relaxed))
        }
    }));
    let format = format.map_or(ptr::null(), |f| f.0);
    // SAFETY: the context is fresh and checked for null. The callback's state, with it the opener,
    // lives in the guard, the AVIOContext in `io`; both go into the value that closes the context,
    // or, where opening failed and FFmpeg has freed the context, are dropped after it. `url` and
    // `options` live through the call, and what is left of the options is taken back.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        address.store(context, Ordering::Relaxed);
        (*context).interrupt_callback = callback.interrupt;
        if let Some(io) = &mut io {
            (*context).pb = io.as_mut_ptr();
            (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        }
        if let Some(opener) = &opener {
            (*context).opaque = Arc::as_ptr(opener).cast_mut().cast();
            (*context).io_open = Some(open_reference);
            (*context).io_close2 = Some(close_reference);
        }
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, url.as_ptr(), format, &raw mut options);
        drop(Dictionary::own(options));
        if opened < 0 {
            return Err(opened.into());
        }
        opener.iter().for_each(|opener| opener.header_is_read());
        let input = match io {
            Some(io) => context::Input::wrap_with_custom_io_and_interrupt(context, io, callback.guard),
            None => context::Input::wrap_with_interrupt(context, callback.guard),
        };
        find_stream_info(context)?;
        Ok(input)
    }
}

/// Determines the streams' parameters, for which FFmpeg decodes some of them, within limits.
///
/// # Safety
/// `context` is open.
unsafe fn find_stream_info(context: *mut ffi::AVFormatContext) -> Result<(), Error> {
    let limit = CString::new(MAX_PIXELS.to_string()).unwrap_or_default();
    // SAFETY: the context is open, so it has as many streams as it says. FFmpeg takes as many
    // dictionaries as there are streams when it is called, and puts others in their place, which
    // are freed here.
    unsafe {
        let parameters = |n: usize| (**(*context).streams.add(n)).codecpar;
        let size = |n: usize| ((*parameters(n)).width, (*parameters(n)).height);
        let claimed: Vec<_> = (0..(*context).nb_streams as usize).map(size).collect();
        let mut options: Vec<*mut ffi::AVDictionary> = vec![ptr::null_mut(); claimed.len()];
        for options in &mut options {
            ffi::av_dict_set(options, c"max_pixels".as_ptr(), limit.as_ptr(), 0);
        }
        let found = ffi::avformat_find_stream_info(context, options.as_mut_ptr());
        for options in &mut options {
            ffi::av_dict_free(options);
        }
        // FFmpeg resets the size of a picture that it does not decode because of its size.
        for (n, claimed) in claimed.into_iter().enumerate().filter(|(n, _)| size(*n) == (0, 0)) {
            ((*parameters(n)).width, (*parameters(n)).height) = claimed;
        }
        if found < 0 { Err(found.into()) } else { Ok(()) }
    }
}

/// Properties of a container that ffmpeg-next does not have.
pub(crate) trait Container {
    fn demuxer(&self) -> Format;
    /// Microseconds; `None` where FFmpeg could only guess from the bit rate.
    fn known_duration(&self) -> Option<i64>;
    /// Wall-clock time of second 0, where the sender reports it; microseconds since the Unix epoch.
    fn realtime_start(&self) -> Option<i64>;
    fn read(&mut self, packet: &mut Packet) -> Result<(), Error>;
}

impl Container for context::Input {
    fn demuxer(&self) -> Format {
        // SAFETY: an open input always has its demuxer.
        Format(unsafe { (*self.as_ptr()).iformat })
    }

    fn known_duration(&self) -> Option<i64> {
        // SAFETY: plain fields of an open context.
        let (duration, method) = unsafe { ((*self.as_ptr()).duration, (*self.as_ptr()).duration_estimation_method) };
        (duration > 0 && method != ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE).then_some(duration)
    }

    fn realtime_start(&self) -> Option<i64> {
        // SAFETY: a plain field of an open context.
        let start = unsafe { (*self.as_ptr()).start_time_realtime };
        (start != ffi::AV_NOPTS_VALUE && start > 0).then_some(start)
    }

    fn read(&mut self, packet: &mut Packet) -> Result<(), Error> {
        packet.read(self)
    }
}

/// The picture's size as the stream's header has it; the sides are 0 where it has none.
pub(crate) fn stored_size(stream: &ffmpeg_next::Stream<'_>) -> Size {
    // SAFETY: every stream has its parameters; the fields are plain.
    let (width, height) = unsafe { ((*stream.parameters().as_ptr()).width, (*stream.parameters().as_ptr()).height) };
    let side = |n: i32| u32::try_from(n).unwrap_or(0);
    Size { width: side(width), height: side(height) }
}

/// The pixel aspect ratio of a stream: the container's and the codec's.
pub(crate) fn pixel_aspect(stream: &ffmpeg_next::Stream<'_>) -> (Option<PixelAspect>, Option<PixelAspect>) {
    // SAFETY: a stream is alive and has its parameters; the fields are plain.
    let ratios =
        unsafe { [(*stream.as_ptr()).sample_aspect_ratio, (*stream.parameters().as_ptr()).sample_aspect_ratio] };
    let [of_container, of_codec] = ratios.map(|ratio| PixelAspect::new(ratio.num, ratio.den));
    (of_container, of_codec)
}
