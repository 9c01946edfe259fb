//! Input: location of a source and the settings for reading it; properties of a source.

use std::{path::PathBuf, sync::Arc};

use ocellus_core::{NetworkPolicy, Size, VideoTransform};
use serde::{Deserialize, Serialize};

use crate::Decoding;

/// The location of a source's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An uploaded file. Its references to other files are not followed.
    File(PathBuf),
    /// The content of a file in memory.
    Memory(Arc<[u8]>),
    /// http, https, rtsp or rtsps. A playlist may refer to http and https, never to files.
    Url(String),
}

impl Location {
    /// Whether it is a camera or another RTSP server, which seeks inexactly and ends without
    /// notice.
    pub fn is_rtsp(&self) -> bool {
        matches!(self, Self::Url(url) if url.to_ascii_lowercase().starts_with("rtsp"))
    }
}

/// A source and how to read it. Plain data: it can be sent to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The location of its bytes.
    pub location: Location,
    /// FFmpeg's name of the container format; `None` to detect it.
    pub format: Option<String>,
    /// FFmpeg options, from [`parse_options`](crate::parse_options).
    pub options: Vec<(String, String)>,
    /// Addresses that a URL and its references may reach.
    pub network: NetworkPolicy,
    /// Folder for temporary copies of downloads that have to be read out of order; `None` for the
    /// system's folder for temporary files.
    pub spool: Option<PathBuf>,
    /// Applied after the container's own rotation.
    pub transform: VideoTransform,
    /// Decoding threads; 0 for one per core, or fewer beside other decoders.
    pub threads: usize,
    /// The device that decodes.
    pub decoding: Decoding,
}

impl Input {
    /// `location` with default settings.
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

/// Properties of a source, from its header and its first packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Seconds; `None` where the source does not declare it (live streams, some Matroska files).
    pub duration: Option<f64>,
    /// Size as shown: in square pixels, with the container's rotation and the transform. The size
    /// of a stream may change; [`Frame::size`](crate::Frame::size) has that of each frame.
    pub size: Size,
    /// Frames a second, on average where it varies.
    pub frame_rate: Option<f64>,
    /// Whether there is an audio stream.
    pub has_audio: bool,
    /// Video streams that are not processed, each by its number, codec and size.
    pub other_video: Vec<String>,
    /// FFmpeg's name of the codec: `h264`.
    pub codec: String,
    /// FFmpeg's name of the container, the first of several: `mov`.
    pub container: String,
}
