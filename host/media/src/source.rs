//! An opened container: its packets, and what its header says.

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
    /// As long as FFmpeg speaks to a camera by it.
    _relay: Option<Relay>,
    watch: Watch,
    /// For URLs.
    session: Option<Arc<dyn Web>>,
    stream: usize,
    /// Seconds in a unit of the stream's time stamps.
    tick: f64,
    /// The time stamp that is second 0.
    origin: i64,
    /// Second 0 in the container's own time, in seconds.
    begin: f64,
    pub(crate) info: MediaInfo,
    looks: Looks,
    /// Nothing is cut off of a copy that was made of it.
    is_complete_copy: bool,
    /// Time stamps may jump, as those of transport streams do.
    pub(crate) may_jump: bool,
    /// Where to begin, in seconds: the option `ss`.
    pub(crate) start: Option<f64>,
    /// Packets carry times, so that a place can be looked up by them.
    pub(crate) is_timed: bool,
    /// A stream that does not say how long it is goes on until it is broken off.
    pub(crate) endless: bool,
    /// Opened again, it shows what is filmed then, and not what was seen before.
    pub(crate) is_live: bool,
}

/// How pictures are shown, where they do not say so themselves.
struct Looks {
    orientation: Orientation,
    /// What the user asked for, after that.
    transform: Orientation,
    aspect: Option<PixelAspect>,
    /// Whatever the stream and its pictures say.
    aspect_asked_for: Option<PixelAspect>,
}

/// Formats whose header says when the last frame ends, whenever the first begins.
const CLAIM_AN_END: [&str; 3] = ["matroska", "asf", "flv"];

/// A source may end before its claimed end by this share and be whole: headers round.
const SLACK: f64 = 0.02;

impl Source {
    /// `find` finds its bytes; of the input, its location says no more than what kind they are.
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
        // Bytes of which the server knows how many there are.
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
        // FFmpeg only says that something could not be had, or takes what it had until then for all
        // there is.
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
            // A stream whose first picture never came, or whose codec nobody here can read.
            return Err(if decoder::find(parameters.id()).is_none() {
                MediaError::UnsupportedCodec { codec, cause: Error::DecoderNotFound.into() }
            } else {
                MediaError::BrokenOff { frames: 0, cause: "no picture size".into() }
            });
        }
        check_size(stored)?;
        let (of_container, of_codec) = av::pixel_aspect(&stream);
        let aspect_asked_for = input.options.iter().rev().find(|(key, _)| key == PIXEL_ASPECT);
        let looks = Looks {
            orientation: container_rotation(&stream),
            transform: input.transform.into(),
            aspect: of_container,
            aspect_asked_for: aspect_asked_for.and_then(|(_, value)| PixelAspect::parse(value)),
        };
        let aspect = looks.aspect_asked_for.or(of_container).or(of_codec).unwrap_or(PixelAspect::SQUARE);
        let shown = Presentation::new(looks.orientation.then(looks.transform), stored, aspect).shown();
        let tick = f64::from(stream.time_base());
        let origin = origin_of(&container, &stream, input.location.is_rtsp());
        let begin = origin as f64 * tick;
        let started = start_of(&stream).map_or(0, |start| start.saturating_sub(origin));
        let claimed = container.known_duration().map(|d| d as f64 * MICROSECOND);
        // Some say when they end, others how long they are.
        let claimed = claimed.map(|claimed| {
            let says_when = CLAIM_AN_END.contains(&format.as_str()) && claimed > begin && begin > 0.0;
            if says_when { claimed - begin } else { claimed }
        });
        let own = (stream.duration() > 0 && !CLAIM_AN_END.contains(&format.as_str()))
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
            looks,
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

    /// What a decoder has to know of the video stream.
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

    /// The user's or our own reason to have given up reading, if there is one.
    pub(crate) fn stopped(&self) -> Option<MediaError> {
        stopped(&self.watch, self.session.as_deref())
    }

    /// Seconds of a time stamp of the video stream.
    pub(crate) fn seconds(&self, timestamp: i64) -> f64 {
        timestamp.saturating_sub(self.origin) as f64 * self.tick
    }

    /// When a packet's content ends, in seconds.
    pub(crate) fn end_of(&self, packet: &Packet) -> Option<f64> {
        let tick = f64::from(self.container.stream(packet.stream())?.time_base());
        let start = packet.pts().or(packet.dts())?;
        Some(start.saturating_add(packet.duration()) as f64 * tick - self.begin)
    }

    /// How a picture is shown.
    pub(crate) fn presentation(&self, picture: &frame::Video) -> Presentation {
        let orientation = av::own_orientation(picture).unwrap_or(self.looks.orientation).then(self.looks.transform);
        let aspect = self.looks.aspect_asked_for.or(self.looks.aspect).or_else(|| av::own_aspect(picture));
        let size = Size { width: picture.width(), height: picture.height() };
        Presentation::new(orientation, size, aspect.unwrap_or(PixelAspect::SQUARE))
    }

    /// When second 0 was, where the sender says so (RTCP sender reports); microseconds since the
    /// Unix epoch.
    pub(crate) fn realtime_start(&self) -> Option<i64> {
        self.container.realtime_start()
    }

    /// The header claims more than `slack` seconds after `end`, where the content was found to end,
    /// and is believed.
    pub(crate) fn claims_more(&self, end: f64, slack: f64) -> bool {
        let Some(claimed) = self.claimed().filter(|_| !self.is_complete_copy && !self.is_fragmented()) else {
            return false;
        };
        // A claim may count from second 0, or from the container's own beginning of time.
        end.max(end + self.begin) + slack.max(claimed * SLACK) < claimed
    }

    /// Seconds that the whole is long. Its last frame begins at `last` and, where nobody says how
    /// long it is shown, ends at `end`.
    pub(crate) fn length(&self, last: f64, end: f64) -> f64 {
        let Some(claimed) = self.claimed().filter(|_| !self.is_fragmented()) else { return end };
        let apart = |claim: &f64| (claim - end).abs();
        let claims = [claimed, claimed - self.begin].into_iter();
        claims.min_by(|a, b| apart(a).total_cmp(&apart(b))).filter(|claim| *claim > last).unwrap_or(end)
    }

    /// What the header says of its duration, in seconds.
    fn claimed(&self) -> Option<f64> {
        self.container.known_duration().map(|d| d as f64 * MICROSECOND)
    }

    /// Its header was written before its content.
    fn is_fragmented(&self) -> bool {
        self.info.container == "mov" && self.container.stream(self.stream).is_some_and(|s| s.frames() == 0)
    }

    /// A still picture, or pictures one after the other, which may each say how they are turned.
    pub(crate) fn is_picture(&self) -> bool {
        self.info.codec == "mjpeg" || self.info.container.ends_with("_pipe")
    }

    /// It goes on until it breaks off.
    pub(crate) fn has_no_end(&self) -> bool {
        self.endless && self.claimed().is_none()
    }

    /// Goes to the last key frame at or before `seconds`.
    pub(crate) fn seek(&mut self, seconds: f64) -> Result<(), Error> {
        self.watch.rearm();
        let target = ((seconds + self.begin) / MICROSECOND).floor() as i64;
        // FFmpeg takes the end of the range as part of it.
        self.container.seek(target, ..target)
    }
}

/// Refuses an input with an option that must not be.
pub(crate) fn check_options(input: &Input) -> Result<()> {
    for (key, value) in &input.options {
        check_option(key, value).map_err(|reason| MediaError::refused(format!("The option {key:?} {reason}.")))?;
    }
    Ok(())
}

/// Where nothing of a source could be shown, because of what its file is.
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

/// The user's or our own reason to have given up, if there is one.
pub(crate) fn stopped(watch: &Watch, session: Option<&dyn Web>) -> Option<MediaError> {
    if watch.is_interrupted() {
        return Some(MediaError::Interrupted);
    }
    session.and_then(Web::refusal).or_else(|| watch.is_overdue().then_some(MediaError::Stalled))
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
        error if av::is_out_of_memory(error) => MediaError::NoMemory { frames: 0 },
        error => MediaError::BrokenOff { frames: 0, cause: error.into() },
    })
}

fn bad_value() -> MediaError {
    MediaError::refused("An option in ffmpeg_params has a value that cannot be used.")
}

/// Has FFmpeg connect to a relay.
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
