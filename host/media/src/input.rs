//! Input: a source to read, and its properties.

use std::{path::PathBuf, sync::Arc};

use ocellus_core::{NetworkPolicy, Size, VideoTransform};
use serde::{Deserialize, Serialize};

use crate::Decoding;

/// Where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An uploaded file. It is read alone: whatever it refers to is not opened.
    File(PathBuf),
    /// The bytes of a file, read as a file is.
    Memory(Arc<[u8]>),
    /// http, https, rtsp or rtsps. A playlist may refer to more of http and https, never to files.
    Url(String),
}

impl Location {
    /// A camera, or another server of RTSP: it seeks to where it likes and ends without notice.
    pub fn is_rtsp(&self) -> bool {
        matches!(self, Self::Url(url) if url.to_ascii_lowercase().starts_with("rtsp"))
    }
}

/// A source and how to read it. Plain data: it can be sent to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where the bytes are.
    pub location: Location,
    /// The container's format as FFmpeg names it, where it is not to be found out.
    pub format: Option<String>,
    /// As [`parse_options`](crate::parse_options) gives them.
    pub options: Vec<(String, String)>,
    /// Where a URL, and what it refers to, may lead.
    pub network: NetworkPolicy,
    /// A folder for a copy of what can only be read as a file; without one, the system's for
    /// temporary files.
    pub spool: Option<PathBuf>,
    /// Applied after the container's own rotation.
    pub transform: VideoTransform,
    /// For decoding; 0 is one for each core, or fewer beside other decoders.
    pub threads: usize,
    /// The device that decodes.
    pub decoding: Decoding,
}

impl Input {
    /// `location` with nothing special about it.
    pub fn new(location: Location) -> Self {
        Self {
            location,
            format: None,
            options: Vec::new(),
            network: NetworkPolicy::default(),
            spool: None,
            transform: VideoTransform::None,
            threads: 0,
            decoding: Decoding::Software,
        }
    }
}

/// What the header of a source says, and what FFmpeg found in its first packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Seconds; `None` where the source does not know (live streams, some Matroska files).
    pub duration: Option<f64>,
    /// As the user sees it: in square pixels, turned by the container's rotation and the transform.
    /// A stream may change its size; each frame knows its own.
    pub size: Size,
    /// Frames a second, on average where it varies.
    pub frame_rate: Option<f64>,
    /// There is an audio stream, too.
    pub has_audio: bool,
    /// Video streams that are not processed, each by its number, codec and size.
    pub other_video: Vec<String>,
    /// FFmpeg's name of the codec: `h264`.
    pub codec: String,
    /// FFmpeg's name of the container, of several the first: `mov`.
    pub container: String,
}
