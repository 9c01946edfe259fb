//! Opening and reading containers.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ptr;

use ffmpeg_next::format::context::{self, StreamIo};
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, Error, Packet, ffi};

use ocellus_core::Size;

use crate::interrupt::Watch;
use crate::options::{self, Reach, format_is_allowed};

/// Bytes of a file that are read at once.
const BUFFER: usize = 64 * 1024;

/// A demuxer.
#[derive(Clone, Copy)]
pub(crate) struct Format(*const ffi::AVInputFormat);

impl Format {
    /// All names that it goes by, separated by commas.
    pub(crate) fn name(self) -> String {
        // SAFETY: a `Format` is only made of a demuxer that FFmpeg gave; those are static, and so are their names.
        unsafe { CStr::from_ptr((*self.0).name) }.to_string_lossy().into_owned()
    }

    fn flags(self) -> i32 {
        // SAFETY: as in `name`.
        unsafe { (*self.0).flags }
    }

    /// It opens its input by itself instead of reading what it is given.
    pub(crate) fn own_io(self) -> bool {
        self.flags() & ffi::AVFMT_NOFILE != 0
    }

    /// Its packets carry no time stamps.
    pub(crate) fn is_untimed(self) -> bool {
        self.flags() & ffi::AVFMT_NOTIMESTAMPS != 0
    }
}

pub(crate) fn find_format(name: &str) -> Option<Format> {
    super::init();
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a C string that lives through the call; the answer is null or static.
    let format = unsafe { ffi::av_find_input_format(name.as_ptr()) };
    (!format.is_null()).then_some(Format(format))
}

/// The demuxers that a URL may lead to, for FFmpeg's `format_whitelist`.
fn network_formats() -> String {
    let mut names = Vec::new();
    let mut cursor = ptr::null_mut();
    loop {
        // SAFETY: `cursor` starts as null and is only passed back, as the iteration asks for.
        let format = unsafe { ffi::av_demuxer_iterate(&raw mut cursor) };
        if format.is_null() {
            return names.join(",");
        }
        let format = Format(format);
        let name = format.name();
        if format_is_allowed(&name, format.own_io(), Reach::Network) {
            names.push(name);
        }
    }
}

/// A file that gives up reading when told to.
struct Watched {
    file: File,
    watch: Watch,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_interrupted() { Err(io::ErrorKind::ConnectionAborted.into()) } else { self.file.read(buffer) }
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A file before its demuxer is chosen.
pub(crate) struct Reader {
    io: StreamIo,
    watch: Watch,
}

impl Reader {
    pub(crate) fn new(file: File, watch: Watch) -> Result<Self, Error> {
        super::init();
        let io = StreamIo::from_read_seek_with_capacity(Watched { file, watch: watch.clone() }, BUFFER)?;
        Ok(Self { io, watch })
    }

    /// Which demuxer takes it, by its first bytes (at most 1 MiB).
    pub(crate) fn probe(&mut self) -> Result<Format, Error> {
        let mut format = ptr::null();
        // SAFETY: the AVIOContext is alive and ours alone; the name is a C string; a null log context is allowed.
        let score = unsafe { ffi::av_probe_input_buffer2(self.io.as_mut_ptr(), &raw mut format, c"".as_ptr(), ptr::null_mut(), 0, 0) };
        if score < 0 {
            return Err(score.into());
        }
        if format.is_null() { Err(Error::InvalidData) } else { Ok(Format(format)) }
    }

    /// Reads the header. What the file refers to cannot be opened: no protocol is on its list.
    pub(crate) fn open(self, format: Format, options: &[(String, String)]) -> Result<context::Input, Error> {
        let mut options: Dictionary<'_> = options.iter().collect();
        options.set("protocol_whitelist", "none");
        open(c"", Some(self.io), Some(format), options, self.watch)
    }
}

/// Opens a URL that passed [`options::check_url`].
pub(crate) fn open_url(url: &str, format: Option<Format>, options: &[(String, String)], watch: Watch) -> Result<context::Input, Error> {
    super::init();
    let url = CString::new(url).map_err(|_| Error::InvalidData)?;
    let mut options: Dictionary<'_> = options.iter().collect();
    options.set("protocol_whitelist", options::PROTOCOLS);
    options.set("format_whitelist", &network_formats());
    open(&url, None, format, options, watch)
}

fn open(url: &CStr, io: Option<StreamIo>, format: Option<Format>, options: Dictionary<'_>, watch: Watch) -> Result<context::Input, Error> {
    let mut io = io;
    let callback = interrupt::new(Box::new(move || watch.is_interrupted() || watch.is_overdue()));
    let format = format.map_or(ptr::null(), |f| f.0);
    // SAFETY: the context is fresh and checked for null. The callback's state lives in the guard, the AVIOContext in
    // `io`; both go into the value that closes the context, or, where opening failed and FFmpeg has freed the context,
    // are dropped after it. `url` and `options` live through the call, and what is left of the options is taken back.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        (*context).interrupt_callback = callback.interrupt;
        if let Some(io) = &mut io {
            (*context).pb = io.as_mut_ptr();
            (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        }
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, url.as_ptr(), format, &raw mut options);
        drop(Dictionary::own(options));
        if opened < 0 {
            return Err(opened.into());
        }
        let input = match io {
            Some(io) => context::Input::wrap_with_custom_io_and_interrupt(context, io, callback.guard),
            None => context::Input::wrap_with_interrupt(context, callback.guard),
        };
        let found = ffi::avformat_find_stream_info(context, ptr::null_mut());
        if found < 0 { Err(found.into()) } else { Ok(input) }
    }
}

/// What ffmpeg-next does not say of a container.
pub(crate) trait Container {
    fn demuxer(&self) -> Format;
    /// Microseconds; `None` where FFmpeg could only guess from the bit rate.
    fn known_duration(&self) -> Option<i64>;
    /// Of the earliest stream, in microseconds.
    fn earliest(&self) -> i64;
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

    fn earliest(&self) -> i64 {
        // SAFETY: a plain field of an open context.
        let start = unsafe { (*self.as_ptr()).start_time };
        if start == ffi::AV_NOPTS_VALUE { 0 } else { start }
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
