//! Errors between a source and its pictures. `Display` is the sentence for the user and
//! names neither paths nor FFmpeg; what FFmpeg said is the `source`, for the log.

use std::error::Error as StdError;

use ocellus_core::ErrorKind;

pub type Result<T, E = MediaError> = std::result::Result<T, E>;

/// The cause inside, for the log.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// There is no such file, or it may not be read.
    #[error("The source file cannot be opened.")]
    NotFound(#[source] Cause),
    /// The host of a URL refuses, does not answer, or has no such stream.
    #[error("The source URL cannot be opened.")]
    Unreachable(#[source] Cause),
    /// A URL that delivered nothing for a long time.
    #[error("The source URL stopped delivering.")]
    Stalled,
    /// No demuxer takes it.
    #[error("The source is not a video: its format is not known.")]
    NotAVideo(#[source] Cause),
    #[error("The source has no video stream.")]
    NoVideoStream,
    #[error("The video codec {codec} is not supported.")]
    UnsupportedCodec {
        codec: String,
        #[source]
        cause: Cause,
    },
    /// The source ended before its own header said it would, or cannot be read on. `frames` came
    /// out before that.
    #[error("The video is damaged or cut off: {}.", broken_off(*frames))]
    BrokenOff {
        frames: u64,
        #[source]
        cause: Cause,
    },
    /// Its [`Interrupt`](crate::Interrupt) was raised.
    #[error("Reading the video was stopped.")]
    Interrupted,
    /// The settings or the source ask for what is not allowed: an option, a protocol, a kind of
    /// container.
    #[error("{what}")]
    Refused { what: String },
    /// What a URL streams was to be kept, and was not, or not all of it.
    #[error("The stream could not be recorded: {what}.")]
    NotRecorded {
        what: String,
        #[source]
        cause: Cause,
    },
    /// A picture was asked for of a place where the frame has none.
    #[error("The region lies outside the frame.")]
    OutsideFrame,
    #[error("The video could not be processed.")]
    Internal(#[source] Cause),
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
            | MediaError::UnsupportedCodec { .. }
            | MediaError::NotRecorded { .. }
            | MediaError::BrokenOff { .. } => ErrorKind::Conflict,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}
