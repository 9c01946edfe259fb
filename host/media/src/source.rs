//! An opened container: its packets, and what its header says.

use std::fs::File;

use ffmpeg_next::format::context;
use ffmpeg_next::{Error, Packet, Stream, decoder, media, packet};

use crate::av::{self, Container, Format, Reader};
use crate::error::Cause;
use crate::interrupt::Watch;
use crate::options::{self, Reach, START, check_option, check_url, format_is_allowed};
use crate::orientation::Orientation;
use crate::{Input, Interrupt, Location, MediaError, MediaInfo, Result};

/// Seconds in a unit of FFmpeg's `AV_TIME_BASE`.
const MICROSECOND: f64 = 1e-6;

pub(crate) struct Source {
    container: context::Input,
    watch: Watch,
    stream: usize,
    /// Seconds in a unit of the stream's time stamps.
    tick: f64,
    /// The time stamp that is second 0.
    origin: i64,
    pub(crate) info: MediaInfo,
    pub(crate) orientation: Orientation,
    /// Where to begin, in seconds: the option `ss`.
    pub(crate) start: Option<f64>,
    /// Packets carry times, so that a place can be looked up by them.
    pub(crate) is_timed: bool,
}

impl Source {
    pub(crate) fn open(input: &Input, interrupt: &Interrupt) -> Result<Self> {
        for (key, value) in &input.options {
            check_option(key, value).map_err(|reason| MediaError::refused(format!("The option {key:?} {reason}.")))?;
        }
        let forced = input.format.as_deref().filter(|name| !name.is_empty());
        let forced = forced.map(|name| options::check_format(name).map(|()| av::find_format(name))).transpose()?.flatten();
        let start = input.options.iter().find(|(key, _)| key == START).and_then(|(_, value)| options::parse_time(value));
        let options: Vec<_> = input.options.iter().filter(|(key, _)| key != START).cloned().collect();
        if interrupt.is_raised() {
            return Err(MediaError::Interrupted);
        }
        let (container, watch) = match &input.location {
            Location::File(path) => {
                let file = File::open(path)
                    .and_then(|file| if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) });
                let watch = Watch::file(interrupt);
                let container = open_file(file.map_err(|e| MediaError::NotFound(e.into()))?, forced, &options, &watch);
                (container, watch)
            }
            Location::Url(url) => {
                check_url(url)?;
                let watch = Watch::network(interrupt);
                (av::open_url(url, forced, &options, watch.clone()).map_err(|e| url_error(e, &watch, !options.is_empty())), watch)
            }
        };
        let container = container.map_err(|error| if watch.is_interrupted() { MediaError::Interrupted } else { error })?;
        Self::new(container, watch, input, start)
    }

    fn new(container: context::Input, watch: Watch, input: &Input, start: Option<f64>) -> Result<Self> {
        let stream = container.streams().best(media::Type::Video).ok_or(MediaError::NoVideoStream)?;
        let parameters = stream.parameters();
        let codec = av::codec_name(parameters.id());
        let stored = av::stored_size(&stream);
        if stored.width == 0 || stored.height == 0 {
            // A stream whose first picture never came, or whose codec nobody here can read.
            return Err(if decoder::find(parameters.id()).is_none() {
                MediaError::UnsupportedCodec { codec, cause: Error::DecoderNotFound.into() }
            } else {
                MediaError::BrokenOff { frames: 0, cause: "no picture size".into() }
            });
        }
        let orientation = container_rotation(&stream).then(input.transform.into());
        let tick = f64::from(stream.time_base());
        let positive = |ticks: i64| (ticks > 0).then_some(ticks as f64);
        let duration = positive(stream.duration()).map(|d| d * tick);
        let duration = duration.or_else(|| container.known_duration().map(|d| d as f64 * MICROSECOND));
        let rate = [stream.avg_frame_rate(), stream.rate()].into_iter().find(|r| r.numerator() > 0 && r.denominator() > 0);
        let demuxer = container.demuxer();
        let info = MediaInfo {
            duration,
            size: orientation.size(stored),
            frame_rate: rate.map(f64::from),
            has_audio: container.streams().best(media::Type::Audio).is_some(),
            codec,
            container: demuxer.name().split(',').next().unwrap_or_default().to_owned(),
        };
        let origin = stream.start_time();
        let origin = if origin == ffmpeg_next::ffi::AV_NOPTS_VALUE { 0 } else { origin };
        let stream = stream.index();
        Ok(Self { container, watch, stream, tick, origin, info, orientation, start, is_timed: !demuxer.is_untimed() })
    }

    pub(crate) fn decoder(&self, threads: usize) -> Result<decoder::Video> {
        let unsupported = |cause: Cause| MediaError::UnsupportedCodec { codec: self.info.codec.clone(), cause };
        let stream = self.container.stream(self.stream).ok_or(MediaError::NoVideoStream)?;
        av::open_decoder(&stream, threads).map_err(|error| unsupported(error.into()))
    }

    /// The next packet of any stream.
    pub(crate) fn read(&mut self, packet: &mut Packet) -> Result<(), Error> {
        self.watch.rearm();
        self.container.read(packet)
    }

    pub(crate) fn is_video(&self, packet: &Packet) -> bool {
        packet.stream() == self.stream
    }

    /// The user's or our own reason to have given up reading, if there is one.
    pub(crate) fn stopped(&self) -> Option<MediaError> {
        if self.watch.is_interrupted() { Some(MediaError::Interrupted) } else { self.watch.is_overdue().then_some(MediaError::Stalled) }
    }

    /// Seconds of a time stamp of the video stream.
    pub(crate) fn seconds(&self, timestamp: i64) -> f64 {
        timestamp.saturating_sub(self.origin) as f64 * self.tick
    }

    /// When a packet's content ends, in seconds from the container's beginning.
    pub(crate) fn end_of(&self, packet: &Packet) -> Option<f64> {
        let tick = f64::from(self.container.stream(packet.stream())?.time_base());
        let start = packet.pts().or(packet.dts())?;
        Some(start.saturating_add(packet.duration()) as f64 * tick - self.container.earliest() as f64 * MICROSECOND)
    }

    /// How long the container claims to be, in seconds.
    pub(crate) fn claimed_end(&self) -> Option<f64> {
        self.container.known_duration().map(|d| d as f64 * MICROSECOND)
    }

    /// Goes to the last key frame at or before `seconds`.
    pub(crate) fn seek(&mut self, seconds: f64) -> Result<(), Error> {
        self.watch.rearm();
        let target = ((seconds + self.origin as f64 * self.tick) / MICROSECOND).floor() as i64;
        // FFmpeg takes the end of the range as part of it.
        self.container.seek(target, ..target)
    }
}

fn open_file(file: File, forced: Option<Format>, options: &[(String, String)], watch: &Watch) -> Result<context::Input> {
    let mut reader = Reader::new(file, watch.clone()).map_err(MediaError::internal)?;
    let format = match forced {
        Some(format) => format,
        None => reader.probe().map_err(|error| MediaError::NotAVideo(error.into()))?,
    };
    let name = format.name();
    if !format_is_allowed(&name, format.own_io(), Reach::File) {
        return Err(MediaError::NotAVideo(format!("{name} is not read from files").into()));
    }
    reader.open(format, options).map_err(|error| match error {
        Error::Other { errno: ffmpeg_next::error::EINVAL } if !options.is_empty() => bad_value(),
        error => MediaError::BrokenOff { frames: 0, cause: error.into() },
    })
}

fn bad_value() -> MediaError {
    MediaError::refused("An option in ffmpeg_params has a value that cannot be used.")
}

fn url_error(error: Error, watch: &Watch, has_options: bool) -> MediaError {
    match error {
        Error::Exit if watch.is_overdue() => MediaError::Stalled,
        Error::InvalidData => MediaError::NotAVideo(error.into()),
        // What the format and protocol lists answer.
        Error::Other { errno: ffmpeg_next::error::EINVAL } if has_options => bad_value(),
        Error::Other { errno: ffmpeg_next::error::EINVAL } => MediaError::NotAVideo(error.into()),
        error => MediaError::Unreachable(error.into()),
    }
}

/// How the container wants its picture turned.
fn container_rotation(stream: &Stream<'_>) -> Orientation {
    let matrix = stream.side_data().find(|data| data.kind() == packet::side_data::Type::DisplayMatrix).and_then(|data| {
        let mut matrix = [0i32; 9];
        let words = data.data().chunks_exact(4).filter_map(|word| word.try_into().ok().map(i32::from_ne_bytes));
        let filled = matrix.iter_mut().zip(words).map(|(to, word)| *to = word).count();
        (filled == 9).then_some(matrix)
    });
    matrix.map(Orientation::from_display_matrix).unwrap_or_default()
}
