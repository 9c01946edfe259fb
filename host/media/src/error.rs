//! Errors of reading, decoding and encoding. `Display` is the sentence for the user and names
//! neither paths nor FFmpeg; FFmpeg's own error is the `source`, for the log.

use std::{borrow::Cow, error::Error as StdError};

use ocellus_core::{ErrorKind, Size};
use serde::{Deserialize, Serialize};

use crate::presentation::MAX_PIXELS;

/// Result of this crate's functions.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

/// The internal cause, for the log.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// Serialization of a cause as its text, which is all that another process gets of it.
mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Cause;

    pub(super) fn serialize<S: Serializer>(cause: &Cause, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = cause.to_string();
        let mut next = cause.source();
        while let Some(error) = next {
            text = format!("{text}: {error}");
            next = error.source();
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cause, D::Error> {
        String::deserialize(deserializer).map(Cause::from)
    }
}

/// Failure to open or decode a source, or to make a picture of a frame.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum MediaError {
    /// The file does not exist or may not be read.
    #[error("The source file cannot be opened.")]
    NotFound(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// The host of a URL refuses, does not answer, or has no such stream.
    #[error("The source URL cannot be opened: {0}.")]
    Unreachable(#[source] UrlError),
    /// A URL that delivered nothing for a long time.
    #[error("The source URL stopped delivering.")]
    Stalled,
    /// No demuxer recognizes it.
    #[error("The source is not a video: its format is not known.")]
    NotAVideo(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// It has only audio, perhaps with cover art.
    #[error("The source has no video stream.")]
    NoVideoStream,
    /// The picture exceeds the size limit.
    #[error("The picture is too large: it has {} x {} pixels, and at most {} million are processed.",
        size.width, size.height, MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Size in the header.
        size: Size,
    },
    /// Its frames are encrypted.
    #[error("The video is encrypted: only a file without copy protection can be processed.")]
    Encrypted,
    /// The linked FFmpeg cannot decode the codec.
    #[error("The video codec {codec} is not supported.")]
    UnsupportedCodec {
        /// FFmpeg's name of the codec, or the name of the file's kind.
        codec: String,
        /// FFmpeg's error.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// The source ended before its declared end, or cannot be read further, after `frames` frames.
    #[error("The video is damaged or cut off: {}.", broken_off(*frames))]
    BrokenOff {
        /// Frames decoded before that.
        frames: u64,
        /// FFmpeg's error, or the missing part.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// Its [`Interrupt`](crate::Interrupt) was raised.
    #[error("Reading the video was stopped.")]
    Interrupted,
    /// The settings or the source use an option, a protocol or a kind of container that is not
    /// allowed.
    #[error("{what}")]
    Refused {
        /// A sentence for the user.
        what: String,
    },
    /// A stream could not be recorded, or not completely.
    #[error("The stream could not be recorded: {what}.")]
    NotRecorded {
        /// The reason, for the user.
        what: String,
        /// The error of the system or of FFmpeg.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// The decoder process crashed after `frames` frames; their pictures are lost.
    #[error("The decoder crashed on this video {}.", after(*frames))]
    Crashed {
        /// Frames decoded before that.
        frames: u64,
    },
    /// The decoder process exceeded its memory limit.
    #[error("The decoder needed more memory than it is given, {}.", after(*frames))]
    NoMemory {
        /// Frames decoded before that.
        frames: u64,
    },
    /// The decoder process made no progress for too long, and was killed.
    #[error("The decoder stood still on this video {}.", after(*frames))]
    StoodStill {
        /// Frames decoded before that.
        frames: u64,
    },
    /// The region of a picture has no pixel of the frame.
    #[error("The region lies outside the frame.")]
    OutsideFrame,
    /// A fault of this program or of the system.
    #[error("The video could not be processed.")]
    Internal(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
}

/// Failure to read a URL. `Display` is the end of a sentence, and names neither host nor path.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum UrlError {
    /// It cannot be parsed.
    #[error("it is not a URL")]
    Malformed(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// Its host name does not resolve.
    #[error("the name of its host is not known")]
    UnknownHost(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// The connection fails or breaks.
    #[error("no connection to its server can be made")]
    NotConnected(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// The server does not answer.
    #[error("its server does not answer in time")]
    TimedOut(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// The TLS handshake fails.
    #[error("the secure connection fails: {what}")]
    Tls {
        /// The reason, for the user.
        what: String,
        /// The error of rustls.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// Status code of an HTTP or RTSP server.
    #[error("its server answers {}", status(*.0))]
    Status(u16),
    /// A redirect loop, or too many redirects.
    #[error("its redirects lead in a circle, or are more than {most}")]
    Redirects {
        /// The limit.
        most: usize,
    },
    /// The server violates HTTP, or the content changes while it is read.
    #[error("{0}")]
    BadAnswer(Cow<'static, str>),
    /// FFmpeg gives no further reason.
    #[error("it cannot be read")]
    Other(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
}

fn status(status: u16) -> String {
    let meaning = match status {
        400 => "that the request is bad",
        401 => "that a user name and password are needed, or that they are wrong",
        403 => "that it may not be read",
        404 => "that there is nothing there",
        410 => "that there is nothing there any more",
        416 => "that the requested range is not available",
        429 => "that it gets too many requests",
        500.. => "that it fails",
        _ => "something else than a video",
    };
    format!("{status}, {meaning}")
}

fn after(frames: u64) -> String {
    if frames == 0 { "before its first frame".into() } else { format!("after frame {frames}") }
}

fn broken_off(frames: u64) -> String {
    match frames {
        0 => "it holds no frame that can be read".into(),
        1 => "it ends after 1 frame".into(),
        n => format!("it ends after {n} frames"),
    }
}

impl MediaError {
    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::Refused { what: what.into() }
    }

    /// A [`UrlError::BadAnswer`].
    pub(crate) fn bad_answer(what: &'static str) -> Self {
        Self::Unreachable(UrlError::BadAnswer(what.into()))
    }

    pub(crate) fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<ocellus_core::NotAllowed> for MediaError {
    fn from(refused: ocellus_core::NotAllowed) -> Self {
        Self::refused(refused.to_string())
    }
}

impl From<MediaError> for ocellus_core::Error {
    fn from(error: MediaError) -> Self {
        let kind = match &error {
            MediaError::Internal(_) => ErrorKind::Internal,
            MediaError::Interrupted => ErrorKind::Unavailable,
            // The request is valid, but the source cannot serve it: the request's own parameters
            // were checked when it came.
            MediaError::Refused { .. }
            | MediaError::OutsideFrame
            | MediaError::NotFound(_)
            | MediaError::Unreachable(_)
            | MediaError::Stalled
            | MediaError::NotAVideo(_)
            | MediaError::NoVideoStream
            | MediaError::TooLarge { .. }
            | MediaError::Encrypted
            | MediaError::UnsupportedCodec { .. }
            | MediaError::NotRecorded { .. }
            | MediaError::Crashed { .. }
            | MediaError::NoMemory { .. }
            | MediaError::StoodStill { .. }
            | MediaError::BrokenOff { .. } => ErrorKind::Conflict,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}
