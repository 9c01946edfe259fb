//! Source: an opened container, its packets, and the properties of its header.

use std::{io::Seek, sync::Arc};

use ffmpeg_next::{Error, Packet, Stream, decoder, format::context, frame, media};
use ocellus_core::Size;

use crate::{
    Input, Interrupt, MediaError, MediaInfo, Result,
    av::{self, Coded, Container, Format, Reader},
    error::{Cause, UrlError},
    interrupt::Watch,
    options::{self, PIXEL_ASPECT, Reach, START, check_option, format_is_allowed},
    orientation::Orientation,
    origin::{self, Bytes, Find, Origin},
    picture_size::{check_size, too_large_picture},
    presentation::{PixelAspect, Presentation},
    rtsp::{Relay, RelayTarget},
    streams::{PLAYLISTS, container_rotation, is_moving, named, origin_of, start_of, video_stream},
    structure,
    web::Web,
};

/// Seconds in a unit of FFmpeg's `AV_TIME_BASE`.
const MICROSECOND: f64 = 1e-6;

pub(crate) struct Source {
    container: context::Input,
    /// Held while FFmpeg is connected to a camera through it.
    _relay: Option<Relay>,
    watch: Watch,
    /// HTTP session of a URL.
    session: Option<Arc<dyn Web>>,
    stream: usize,
    /// Seconds per unit of the stream's time stamps.
    tick: f64,
    /// Time stamp of second 0.
    origin: i64,
    /// Second 0 in the container's own time, in seconds.
    begin: f64,
    pub(crate) info: MediaInfo,
    display: DisplayProperties,
    /// The source was copied completely, so that it cannot be truncated.
    is_complete_copy: bool,
    /// Time stamps may jump, as those of transport streams do.
    pub(crate) may_jump: bool,
    /// Start time in seconds: the option `ss`.
    pub(crate) start: Option<f64>,
    /// Packets carry time stamps, so that seeking is possible.
    pub(crate) is_timed: bool,
    /// Without a declared duration it goes on until it breaks off.
    pub(crate) endless: bool,
    /// Reopening does not repeat it.
    pub(crate) is_live: bool,
}

/// Orientation and aspect ratio, for pictures without their own.
struct DisplayProperties {
    orientation: Orientation,
    /// The user's transform, applied after that.
    transform: Orientation,
    aspect: Option<PixelAspect>,
    /// The user's, which overrides the stream and its pictures.
    configured_aspect: Option<PixelAspect>,
}

/// Formats whose declared duration is the time stamp of the end, even where the first is not 0.
const DURATION_IS_END: [&str; 3] = ["matroska", "asf", "flv"];

/// Share of its declared duration by which a source may end early and be complete: headers round.
const SLACK: f64 = 0.02;

impl Source {
    /// `find` finds its bytes; the location of `input` only tells the kind of source.
    pub(crate) fn open(input: &Input, find: &Find, interrupt: &Interrupt) -> Result<Self> {
        check_options(input)?;
        let forced = input.format.as_deref().filter(|name| !name.is_empty());
        let forced =
            forced.map(|name| options::check_format(name).map(|()| av::find_format(name))).transpose()?.flatten();
        let start =
            input.options.iter().find(|(key, _)| key == START).and_then(|(_, value)| options::parse_time(value));
        let ours = [START, PIXEL_ASPECT];
        let options: Vec<_> = input.options.iter().filter(|(key, _)| !ours.contains(&key.as_str())).cloned().collect();
        if interrupt.is_raised() {
            return Err(MediaError::Interrupted);
        }
        // Whether the size is known, as of a file.
        let mut is_file = true;
        let mut is_complete_copy = false;
        let watch = origin::watch(input, interrupt);
        let found = find(&watch).map_err(|error| stopped(&watch, None).unwrap_or(error))?;
        let (mut session, mut relay) = (None, None);
        let container = match found {
            Origin::File(bytes) => {
                let reader = Reader::local(bytes, watch.clone()).map_err(MediaError::internal)?;
                open_bytes(reader, forced, &options, Reach::File)
            }
            Origin::Copy(mut bytes) => {
                is_complete_copy = structure::is_complete(&mut bytes);
                bytes.rewind().map_err(MediaError::internal)?;
                let reader = Reader::local(bytes, watch.clone()).map_err(MediaError::internal)?;
                open_bytes(reader, forced, &options, Reach::Network)
            }
            Origin::Web(web, body) => {
                is_file = body.size().is_some();
                let reader = Reader::web(&web, body, watch.clone()).map_err(MediaError::internal)?;
                session = Some(web);
                open_bytes(reader, forced, &options, Reach::Network)
            }
            Origin::Rtsp(target) => {
                is_file = false;
                let opened = open_rtsp(&target, &options, &watch);
                relay = target.relay;
                opened
            }
        };
        let endless = input.location.is_rtsp();
        // FFmpeg reports a refusal as a failed read, or takes the bytes so far for all.
        container
            .and_then(|container| Self::new(container, watch.clone(), session.clone(), input, start))
            .map(|source| {
                let is_listed = PLAYLISTS.contains(&source.info.container.as_str());
                let is_live = source.info.duration.is_none() && (!is_file || is_listed);
                Self { endless, is_live, is_complete_copy, _relay: relay, ..source }
            })
            .map_err(|error| {
                stopped(&watch, session.as_deref())
                    .or_else(|| too_large_picture(origin::file(input, find, &watch)?))
                    .unwrap_or_else(|| of_kind(origin::file(input, find, &watch), error))
            })
    }

    fn new(
        container: context::Input,
        watch: Watch,
        session: Option<Arc<dyn Web>>,
        input: &Input,
        start: Option<f64>,
    ) -> Result<Self> {
        let demuxer = container.demuxer();
        let format = demuxer.name().split(',').next().unwrap_or_default().to_owned();
        let stream = video_stream(&container, &format).ok_or(MediaError::NoVideoStream)?;
        let parameters = stream.parameters();
        let codec = av::codec_name(parameters.id());
        let stored = av::stored_size(&stream);
        if stored.width == 0 || stored.height == 0 {
            // The first picture never came, or there is no decoder for the codec.
            return Err(if decoder::find(parameters.id()).is_none() {
                MediaError::UnsupportedCodec { codec, cause: Error::DecoderNotFound.into() }
            } else {
                MediaError::BrokenOff { frames: 0, cause: "no picture size".into() }
            });
        }
        check_size(stored)?;
        let (of_container, of_codec) = av::pixel_aspect(&stream);
        let configured_aspect = input.options.iter().rev().find(|(key, _)| key == PIXEL_ASPECT);
        let display = DisplayProperties {
            orientation: container_rotation(&stream),
            transform: input.transform.into(),
            aspect: of_container,
            configured_aspect: configured_aspect.and_then(|(_, value)| PixelAspect::parse(value)),
        };
        let aspect = display.configured_aspect.or(of_container).or(of_codec).unwrap_or(PixelAspect::SQUARE);
        let shown = Presentation::new(display.orientation.then(display.transform), stored, aspect).shown();
        let tick = f64::from(stream.time_base());
        let origin = origin_of(&container, &stream, input.location.is_rtsp());
        let begin = origin as f64 * tick;
        let started = start_of(&stream).map_or(0, |start| start.saturating_sub(origin));
        let claimed = container.known_duration().map(|d| d as f64 * MICROSECOND);
        // Some formats declare the end, others the duration.
        let claimed = claimed.map(|claimed| {
            let says_when = DURATION_IS_END.contains(&format.as_str()) && claimed > begin && begin > 0.0;
            if says_when { claimed - begin } else { claimed }
        });
        let own = (stream.duration() > 0 && !DURATION_IS_END.contains(&format.as_str()))
            .then(|| stream.duration().saturating_add(started) as f64 * tick);
        let rate =
            [stream.avg_frame_rate(), stream.rate()].into_iter().find(|r| r.numerator() > 0 && r.denominator() > 0);
        let others = container.streams().filter(|other| {
            other.index() != stream.index() && is_moving(other) && !PLAYLISTS.contains(&format.as_str())
        });
        let info = MediaInfo {
            duration: own.or(claimed),
            size: shown,
            frame_rate: rate.map(f64::from),
            has_audio: container.streams().best(media::Type::Audio).is_some(),
            other_video: others.map(|other| named(&other)).collect(),
            codec,
            container: format,
        };
        let stream = stream.index();
        let (is_timed, may_jump) = (!demuxer.is_untimed(), demuxer.may_jump());
        Ok(Self {
            container,
            _relay: None,
            watch,
            session,
            stream,
            tick,
            origin,
            begin,
            info,
            display,
            is_complete_copy: false,
            may_jump,
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

    /// Codec parameters of the video stream.
    pub(crate) fn coded(&self) -> Result<Coded> {
        self.container.stream(self.stream).map(|stream| Coded::of(&stream)).ok_or(MediaError::NoVideoStream)
    }

    pub(crate) fn unsupported(&self, cause: Cause) -> MediaError {
        if cause.downcast_ref().is_some_and(|error| av::is_out_of_memory(*error)) {
            return MediaError::NoMemory { frames: 0 };
        }
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

    /// The reason of this process for having stopped reading, if there is one.
    pub(crate) fn stopped(&self) -> Option<MediaError> {
        stopped(&self.watch, self.session.as_deref())
    }

    /// Time in seconds of a time stamp of the video stream.
    pub(crate) fn seconds(&self, timestamp: i64) -> f64 {
        timestamp.saturating_sub(self.origin) as f64 * self.tick
    }

    /// End of a packet's content, in seconds.
    pub(crate) fn end_of(&self, packet: &Packet) -> Option<f64> {
        let tick = f64::from(self.container.stream(packet.stream())?.time_base());
        let start = packet.pts().or(packet.dts())?;
        Some(start.saturating_add(packet.duration()) as f64 * tick - self.begin)
    }

    /// Presentation of a picture.
    pub(crate) fn presentation(&self, picture: &frame::Video) -> Presentation {
        let orientation = av::own_orientation(picture).unwrap_or(self.display.orientation).then(self.display.transform);
        let aspect = self.display.configured_aspect.or(self.display.aspect).or_else(|| av::own_aspect(picture));
        let size = Size { width: picture.width(), height: picture.height() };
        Presentation::new(orientation, size, aspect.unwrap_or(PixelAspect::SQUARE))
    }

    /// Wall-clock time of second 0, where the sender reports it (RTCP sender reports); microseconds
    /// since the Unix epoch.
    pub(crate) fn realtime_start(&self) -> Option<i64> {
        self.container.realtime_start()
    }

    /// Whether the declared duration exceeds `end`, where the content was found to end, by more
    /// than
    /// `slack` seconds, and is credible.
    pub(crate) fn claims_more(&self, end: f64, slack: f64) -> bool {
        let Some(claimed) = self.claimed().filter(|_| !self.is_complete_copy && !self.is_fragmented()) else {
            return false;
        };
        // The declared duration may count from second 0, or from the container's time 0.
        end.max(end + self.begin) + slack.max(claimed * SLACK) < claimed
    }

    /// Duration in seconds. The last frame begins at `last` and, where its duration is not known,
    /// ends at `end`.
    pub(crate) fn length(&self, last: f64, end: f64) -> f64 {
        let Some(claimed) = self.claimed().filter(|_| !self.is_fragmented()) else { return end };
        let apart = |claim: &f64| (claim - end).abs();
        let claims = [claimed, claimed - self.begin].into_iter();
        claims.min_by(|a, b| apart(a).total_cmp(&apart(b))).filter(|claim| *claim > last).unwrap_or(end)
    }

    /// Duration declared in the header, in seconds.
    fn claimed(&self) -> Option<f64> {
        self.container.known_duration().map(|d| d as f64 * MICROSECOND)
    }

    /// Whether its header was written before its content.
    fn is_fragmented(&self) -> bool {
        self.info.container == "mov" && self.container.stream(self.stream).is_some_and(|s| s.frames() == 0)
    }

    /// Whether it is a still picture or a sequence of pictures, each with its own orientation.
    pub(crate) fn is_picture(&self) -> bool {
        self.info.codec == "mjpeg" || self.info.container.ends_with("_pipe")
    }

    /// Whether it goes on until it breaks off.
    pub(crate) fn has_no_end(&self) -> bool {
        self.endless && self.claimed().is_none()
    }

    /// Seeks to the last key frame at or before `seconds`.
    pub(crate) fn seek(&mut self, seconds: f64) -> Result<(), Error> {
        self.watch.rearm();
        let target = ((seconds + self.begin) / MICROSECOND).floor() as i64;
        // FFmpeg treats the end of the range as inclusive.
        self.container.seek(target, ..target)
    }
}

/// Refuses an input with a forbidden option.
pub(crate) fn check_options(input: &Input) -> Result<()> {
    for (key, value) in &input.options {
        check_option(key, value).map_err(|reason| MediaError::refused(format!("The option {key:?} {reason}.")))?;
    }
    Ok(())
}

/// Names the kind of file in the error of a source without frames, where FFmpeg does not know it.
pub(crate) fn of_kind(file: Option<Box<dyn Bytes>>, error: MediaError) -> MediaError {
    match (file.and_then(|mut file| structure::rare_kind(&mut file)), error) {
        (Some(kind), MediaError::BrokenOff { frames: 0, cause } | MediaError::UnsupportedCodec { cause, .. }) => {
            MediaError::UnsupportedCodec { codec: kind.to_owned(), cause }
        }
        (Some(kind), error @ (MediaError::NotAVideo(_) | MediaError::NoVideoStream)) => {
            MediaError::UnsupportedCodec { codec: kind.to_owned(), cause: error.into() }
        }
        (_, error) => error,
    }
}

/// The reason of this process for having stopped, if there is one.
pub(crate) fn stopped(watch: &Watch, session: Option<&dyn Web>) -> Option<MediaError> {
    if watch.is_interrupted() {
        return Some(MediaError::Interrupted);
    }
    session.and_then(Web::refusal).or_else(|| watch.is_overdue().then_some(MediaError::Stalled))
}

/// Detects the format of bytes, and reads their header.
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
        return Err(MediaError::NotAVideo(format!("the format {name} is not allowed here").into()));
    }
    reader.open(format, options).map_err(|error| match error {
        Error::Other { errno: ffmpeg_next::error::EINVAL } if !options.is_empty() => bad_value(),
        error if av::is_out_of_memory(error) => MediaError::NoMemory { frames: 0 },
        error => MediaError::BrokenOff { frames: 0, cause: error.into() },
    })
}

fn bad_value() -> MediaError {
    MediaError::refused("An option in ffmpeg_params has a value that cannot be used.")
}

/// Opens a relay's URL in FFmpeg.
fn open_rtsp(target: &RelayTarget, options: &[(String, String)], watch: &Watch) -> Result<context::Input> {
    av::open_rtsp(&target.url, options, watch.clone(), Arc::clone(&target.connected)).map_err(|error| match error {
        Error::InvalidData => MediaError::NotAVideo(error.into()),
        Error::Other { errno: ffmpeg_next::error::EINVAL } if !options.is_empty() => bad_value(),
        error if av::is_out_of_memory(error) => MediaError::NoMemory { frames: 0 },
        error => MediaError::Unreachable(rtsp_failure(error)),
    })
}

fn rtsp_failure(error: Error) -> UrlError {
    use ffmpeg_next::error::{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT};
    match error {
        Error::HttpBadRequest => UrlError::Status(400),
        Error::HttpUnauthorized => UrlError::Status(401),
        Error::HttpForbidden => UrlError::Status(403),
        Error::HttpNotFound => UrlError::Status(404),
        Error::HttpServerError => UrlError::Status(500),
        Error::Other { errno: ETIMEDOUT } => UrlError::TimedOut(error.into()),
        Error::Other { errno: ECONNREFUSED | EHOSTUNREACH | ENETUNREACH } => UrlError::NotConnected(error.into()),
        error => UrlError::Other(error.into()),
    }
}
