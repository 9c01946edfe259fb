//! Errors between a source and its pictures. `Display` is the sentence for the user and
//! names neither paths nor FFmpeg; what FFmpeg said is the `source`, for the log.

use std::{borrow::Cow, error::Error as StdError};

use ocellus_core::{ErrorKind, Size};
use serde::{Deserialize, Serialize};

use crate::presentation::MAX_PIXELS;

/// What this crate's functions return.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

/// The cause inside, for the log.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// A cause as its text, which is all that another process gets of it.
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

/// Why a source gives no frames or no more of them, or a frame no picture.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum MediaError {
    /// There is no such file, or it may not be read.
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
    /// No demuxer takes it.
    #[error("The source is not a video: its format is not known.")]
    NotAVideo(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// Sound alone, a cover of a song included.
    #[error("The source has no video stream.")]
    NoVideoStream,
    /// A larger picture than any is decoded.
    #[error("The picture is too large: it has {} x {} pixels, and at most {} million are processed.",
        size.width, size.height, MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// As the header says.
        size: Size,
    },
    /// Nothing of it can be shown without a key.
    #[error("The video is encrypted: only a file without copy protection can be processed.")]
    Encrypted,
    /// The FFmpeg that this program is linked with cannot decode it.
    #[error("The video codec {codec} is not supported.")]
    UnsupportedCodec {
        /// FFmpeg's name for it, or that of the kind of file.
        codec: String,
        /// What FFmpeg said.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// The source ended before its own header said it would, or cannot be read on. `frames` came
    /// out before that.
    #[error("The video is damaged or cut off: {}.", broken_off(*frames))]
    BrokenOff {
        /// How many frames came out.
        frames: u64,
        /// What FFmpeg said, or what is missing.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// Its [`Interrupt`](crate::Interrupt) was raised.
    #[error("Reading the video was stopped.")]
    Interrupted,
    /// The settings or the source ask for what is not allowed: an option, a protocol, a kind of
    /// container.
    #[error("{what}")]
    Refused {
        /// A sentence for the user.
        what: String,
    },
    /// What a URL streams was to be kept, and was not, or not all of it.
    #[error("The stream could not be recorded: {what}.")]
    NotRecorded {
        /// The reason, for the user.
        what: String,
        /// The same, as the system or FFmpeg has it.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// The process that decodes died. `frames` came out before that, and their pictures are gone.
    #[error("The decoder crashed on this video {}.", after(*frames))]
    Crashed {
        /// How many frames came out.
        frames: u64,
    },
    /// The process that decodes may have so much memory, and wanted more.
    #[error("The decoder needed more memory than it is given, {}.", after(*frames))]
    NoMemory {
        /// How many frames came out.
        frames: u64,
    },
    /// The process that decodes did nothing for a long time, and was ended.
    #[error("The decoder stood still on this video {}.", after(*frames))]
    StoodStill {
        /// How many frames came out.
        frames: u64,
    },
    /// A picture was asked for of a place where the frame has none.
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

/// Why a URL cannot be read. `Display` is the end of a sentence, and names neither host nor path.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum UrlError {
    /// It cannot be taken apart.
    #[error("it is not a URL")]
    Malformed(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// No name server knows its host.
    #[error("the name of its host is not known")]
    UnknownHost(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// No connection comes about, or it breaks.
    #[error("no connection to its server comes about")]
    NotConnected(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// A server that is there and says nothing.
    #[error("its server does not answer in time")]
    TimedOut(
        #[source]
        #[serde(with = "text")]
        Cause,
    ),
    /// No secure connection comes about.
    #[error("the secure connection fails: {what}")]
    Tls {
        /// What is wrong, for the user.
        what: String,
        /// The same, as rustls has it.
        #[source]
        #[serde(with = "text")]
        cause: Cause,
    },
    /// The answer of an HTTP or RTSP server.
    #[error("its server answers {}", status(*.0))]
    Status(u16),
    /// Redirects that lead to where they began, or are too many.
    #[error("its redirects lead in a circle, or are more than {most}")]
    Redirects {
        /// So many are followed.
        most: usize,
    },
    /// The server does not keep to HTTP, or what it sends changes while it is read.
    #[error("{0}")]
    BadAnswer(Cow<'static, str>),
    /// FFmpeg does not say more.
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
        416 => "that it sends no parts of it",
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

    /// A URL whose server does not keep to what it should.
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
            // A sound request, about a source that cannot serve it: what a request itself asks of
            // the source was checked when it came.
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
