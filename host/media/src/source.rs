//! An opened container: its packets, and what its header says.

use std::fs::File;
use std::io::Cursor;
use std::net::IpAddr;
use std::sync::Arc;

use ffmpeg_next::format::context;
use ffmpeg_next::{Error, Packet, Stream, decoder, media, packet};
use url::Url;

use crate::av::{self, Coded, Container, Format, Reader};
use crate::error::Cause;
use crate::http::Session;
use crate::interrupt::Watch;
use crate::options::{self, Reach, START, check_option, check_url, format_is_allowed};
use crate::orientation::Orientation;
use crate::{Input, Interrupt, Location, MediaError, MediaInfo, Result};

/// Seconds in a unit of FFmpeg's `AV_TIME_BASE`.
const MICROSECOND: f64 = 1e-6;

pub(crate) struct Source {
    container: context::Input,
    watch: Watch,
    /// For URLs.
    session: Option<Arc<Session>>,
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
    /// A stream that does not say how long it is goes on until it is broken off.
    pub(crate) endless: bool,
    /// Opened again, it shows what is filmed then, and not what was seen before.
    pub(crate) is_live: bool,
}

/// Formats whose files list others, so that the length of such a file says nothing.
const PLAYLISTS: [&str; 2] = ["hls", "dash"];

impl Source {
    pub(crate) fn open(input: &Input, interrupt: &Interrupt) -> Result<Self> {
        for (key, value) in &input.options {
            check_option(key, value).map_err(|reason| MediaError::refused(format!("The option {key:?} {reason}.")))?;
        }
        let forced = input.format.as_deref().filter(|name| !name.is_empty());
        let forced =
            forced.map(|name| options::check_format(name).map(|()| av::find_format(name))).transpose()?.flatten();
        let start =
            input.options.iter().find(|(key, _)| key == START).and_then(|(_, value)| options::parse_time(value));
        let options: Vec<_> = input.options.iter().filter(|(key, _)| key != START).cloned().collect();
        if interrupt.is_raised() {
            return Err(MediaError::Interrupted);
        }
        // Bytes of which the server knows how many there are.
        let mut is_file = true;
        let (container, watch, session) = match &input.location {
            Location::File(path) => {
                let file = File::open(path).and_then(|file| {
                    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
                });
                let watch = Watch::file(interrupt);
                let file = file.map_err(|e| MediaError::NotFound(e.into()))?;
                let reader = Reader::local(file, watch.clone()).map_err(MediaError::internal)?;
                (open_bytes(reader, forced, &options, Reach::File), watch, None)
            }
            Location::Memory(bytes) => {
                let watch = Watch::file(interrupt);
                let reader =
                    Reader::local(Cursor::new(Arc::clone(bytes)), watch.clone()).map_err(MediaError::internal)?;
                (open_bytes(reader, forced, &options, Reach::File), watch, None)
            }
            Location::Url(url) => {
                let url = check_url(url)?;
                let watch = Watch::network(interrupt);
                let session = Session::new(&input.network, &options, &watch)?;
                let opened = if matches!(url.scheme(), "http" | "https") {
                    let body = session.open(url.as_str(), None);
                    is_file = body.as_ref().is_ok_and(|body| body.size().is_some());
                    body.and_then(|body| Reader::web(&session, body, watch.clone()).map_err(MediaError::internal))
                        .and_then(|reader| open_bytes(reader, forced, &options, Reach::Network))
                } else {
                    is_file = false;
                    open_rtsp(&session, &url, &options, &watch)
                };
                (opened, watch, Some(session))
            }
        };
        let endless = matches!(&input.location, Location::Url(url) if url.to_ascii_lowercase().starts_with("rtsp"));
        // FFmpeg only says that something could not be had, or takes what it had until then for all
        // there is.
        container
            .and_then(|container| Self::new(container, watch.clone(), session.clone(), input, start))
            .map(|source| {
                let is_listed = PLAYLISTS.contains(&source.info.container.as_str());
                let is_live = source.info.duration.is_none() && (!is_file || is_listed);
                Self { endless, is_live, ..source }
            })
            .map_err(|error| stopped(&watch, session.as_deref()).unwrap_or(error))
    }

    fn new(
        container: context::Input,
        watch: Watch,
        session: Option<Arc<Session>>,
        input: &Input,
        start: Option<f64>,
    ) -> Result<Self> {
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
        let rate =
            [stream.avg_frame_rate(), stream.rate()].into_iter().find(|r| r.numerator() > 0 && r.denominator() > 0);
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
        let is_timed = !demuxer.is_untimed();
        Ok(Self {
            container,
            watch,
            session,
            stream,
            tick,
            origin,
            info,
            orientation,
            start,
            is_timed,
            endless: false,
            is_live: false,
        })
    }

    /// The video stream, and the best of the audio streams.
    pub(crate) fn streams(&self) -> (Option<Stream<'_>>, Option<Stream<'_>>) {
        (self.container.stream(self.stream), self.container.streams().best(media::Type::Audio))
    }

    /// What a decoder has to know of the video stream.
    pub(crate) fn coded(&self) -> Result<Coded> {
        self.container.stream(self.stream).map(|stream| Coded::of(&stream)).ok_or(MediaError::NoVideoStream)
    }

    pub(crate) fn unsupported(&self, cause: Cause) -> MediaError {
        MediaError::UnsupportedCodec { codec: self.info.codec.clone(), cause }
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
        stopped(&self.watch, self.session.as_deref())
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

    /// When second 0 was, where the sender says so (RTCP sender reports); microseconds since the
    /// Unix epoch.
    pub(crate) fn realtime_start(&self) -> Option<i64> {
        self.container.realtime_start()
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

fn stopped(watch: &Watch, session: Option<&Session>) -> Option<MediaError> {
    if watch.is_interrupted() {
        return Some(MediaError::Interrupted);
    }
    session.and_then(Session::refusal).or_else(|| watch.is_overdue().then_some(MediaError::Stalled))
}

/// Finds out what bytes are, and reads their header.
fn open_bytes(
    mut reader: Reader,
    forced: Option<Format>,
    options: &[(String, String)],
    reach: Reach,
) -> Result<context::Input> {
    let format = match forced {
        Some(format) => format,
        None => reader.probe().map_err(|error| MediaError::NotAVideo(error.into()))?,
    };
    let name = format.name();
    if format.own_io() || !format_is_allowed(&name, false, reach) {
        return Err(MediaError::NotAVideo(format!("{name} is not read from here").into()));
    }
    reader.open(format, options).map_err(|error| match error {
        Error::Other { errno: ffmpeg_next::error::EINVAL } if !options.is_empty() => bad_value(),
        error => MediaError::BrokenOff { frames: 0, cause: error.into() },
    })
}

fn bad_value() -> MediaError {
    MediaError::refused("An option in ffmpeg_params has a value that cannot be used.")
}

/// Puts each checked address of the host into the URL, until one can be connected to.
fn open_rtsp(session: &Session, url: &Url, options: &[(String, String)], watch: &Watch) -> Result<context::Input> {
    let mut failure = MediaError::Unreachable("no address".into());
    for address in session.resolve(url)? {
        let mut target = url.clone();
        target.set_host(Some(&host_text(address.ip()))).map_err(|e| MediaError::Unreachable(e.into()))?;
        failure = match av::open_rtsp(target.as_str(), options, watch.clone()) {
            Ok(container) => return Ok(container),
            Err(Error::InvalidData) => return Err(MediaError::NotAVideo(Error::InvalidData.into())),
            Err(error @ Error::Other { errno: ffmpeg_next::error::EINVAL }) if options.is_empty() => {
                MediaError::Unreachable(error.into())
            }
            Err(Error::Other { errno: ffmpeg_next::error::EINVAL }) => return Err(bad_value()),
            Err(error) => MediaError::Unreachable(error.into()),
        };
    }
    Err(failure)
}

fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// How the container wants its picture turned.
fn container_rotation(stream: &Stream<'_>) -> Orientation {
    let matrix =
        stream.side_data().find(|data| data.kind() == packet::side_data::Type::DisplayMatrix).and_then(|data| {
            let mut matrix = [0i32; 9];
            let words = data.data().chunks_exact(4).filter_map(|word| word.try_into().ok().map(i32::from_ne_bytes));
            let filled = matrix.iter_mut().zip(words).map(|(to, word)| *to = word).count();
            (filled == 9).then_some(matrix)
        });
    matrix.map(Orientation::from_display_matrix).unwrap_or_default()
}
