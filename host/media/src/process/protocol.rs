//! Messages between the server and a decoder process, in postcard, which keeps floats bit by bit.

use std::str::FromStr;

use ocellus_core::{ChannelOrder, InputSpec, Rect, Region, Size, VideoTransform};
use serde::{Deserialize, Serialize};

use super::isolation::Isolation;
use crate::{Decoding, MediaError, MediaInfo, Patch, Recording, fallback::Fallback};

/// The first message to a child, over `control`, with the descriptors of `decoding` and its memory,
/// of `pictures` and its memory, and of the file or of the socket for bytes of a URL.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub purpose: Purpose,
    pub place: Place,
    pub format: Option<String>,
    pub options: Vec<(String, String)>,
    pub transform: VideoTransform,
    pub threads: usize,
    pub decoding: Decoding,
    pub fault: Option<DecoderFault>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// Report the isolation.
    Report,
    Probe,
    Decode,
}

/// Location of the bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Place {
    Nowhere,
    File,
    /// A file with the download of this URL.
    Copy(String),
    /// The parent fetches them.
    Web {
        url: String,
        first: FoundResource,
    },
    /// The parent's relay serves this URL.
    Rtsp {
        url: String,
        port: u16,
    },
}

/// A resource that the parent opened for the child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FoundResource {
    pub number: u32,
    /// URL after redirects.
    pub url: String,
    pub size: Option<u64>,
    pub can_seek: bool,
}

/// Message to the child, over `control`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Control {
    /// Raises the interrupt.
    Stop,
}

/// Message to the child, over `decoding` and `pictures`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Repeated in the answer.
    pub number: u64,
    /// Frames whose handles were dropped.
    pub released: Vec<u64>,
    pub wanted: Wanted,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Wanted {
    // Requests over `decoding` only.
    /// The next frame, with the inputs that the parent used of the last one: the child makes the
    /// same of the next ones, ahead.
    Next {
        looks: Vec<Look>,
    },
    Seek(f64),
    GoOn {
        next: u64,
        shift: f64,
    },
    /// The file's descriptor is attached.
    Record {
        audio: bool,
    },
    FinishRecording,
    /// Closes the decoder; frames stay.
    Close,
    // Requests for pictures of a frame. The answer comes once the bytes are in the channel's
    // memory.
    Look {
        frame: u64,
        look: Look,
    },
    Crop {
        frame: u64,
        region: Option<Rect>,
        max_side: Option<u32>,
    },
    Jpeg {
        frame: u64,
        region: Option<Rect>,
        max_side: Option<u32>,
        quality: u8,
    },
    Patches {
        frame: u64,
        patches: Vec<Patch>,
    },
}

/// A small picture that is made of every frame: the input of a detector, or of motion detection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Look {
    Input { spec: Spec, region: Option<Area> },
    Brightness { region: Rect, out: Size },
}

impl Look {
    /// Size in bytes.
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Input { spec, .. } => u64::from(spec.width) * u64::from(spec.height) * 3,
            Self::Brightness { out, .. } => u64::from(out.width) * u64::from(out.height),
        }
    }
}

/// A [`Look`] that is in the shared memory when its frame is returned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Made {
    pub look: Look,
    /// Offset of its bytes.
    pub at: u64,
}

/// Message from the child. The answer to the task, number 0, comes over `decoding`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub number: u64,
    /// State of the decoder, in answers over `decoding` from an open decoder.
    pub status: Option<Status>,
    /// Fallbacks since the last answer.
    pub fallbacks: Vec<Fallback>,
    pub given: Result<Given, MediaError>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Given {
    Done,
    Report(Isolation),
    Opened(Opened),
    Frame(Option<FrameHead>, Vec<Made>),
    Recording(Option<Recording>),
    /// The number of bytes at [`ON_DEMAND`](super::shared_memory::ON_DEMAND).
    Bytes(u64),
    /// Which patches lie within the frame; the bytes of these follow each other from
    /// [`ON_DEMAND`](super::shared_memory::ON_DEMAND) on.
    Patches(Vec<bool>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    pub info: MediaInfo,
    pub is_live: bool,
}

/// A frame that the child keeps.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct FrameHead {
    pub id: u64,
    pub index: u64,
    pub time: f64,
    pub size: Size,
}

/// State of a decoder.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Status {
    pub soft_errors: u64,
    pub jumps: u64,
    pub length: Option<f64>,
    /// Wall-clock time of second 0, in microseconds since the Unix epoch.
    pub zero_us: Option<i64>,
}

/// Message from the child, for bytes of a URL.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Open {
        url: String,
        part: Option<(u64, Option<u64>)>,
    },
    /// `most` bytes or fewer from `at` on.
    Read {
        resource: u32,
        at: u64,
        most: u32,
    },
    Close {
        resource: u32,
    },
}

/// Answer to [`Ask`], followed by the bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Fetched {
    Found(FoundResource),
    Bytes,
}

/// [`InputSpec`] in messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spec {
    width: u32,
    height: u32,
    is_bgr: bool,
    fill: u8,
}

impl From<InputSpec> for Spec {
    fn from(InputSpec { width, height, order, fill }: InputSpec) -> Self {
        Self { width, height, is_bgr: order == ChannelOrder::Bgr, fill }
    }
}

impl From<Spec> for InputSpec {
    fn from(Spec { width, height, is_bgr, fill }: Spec) -> Self {
        Self { width, height, order: if is_bgr { ChannelOrder::Bgr } else { ChannelOrder::Rgb }, fill }
    }
}

/// [`Region`] in messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Area {
    width: u32,
    height: u32,
    x: i32,
    y: i32,
}

impl From<Region> for Area {
    fn from(Region { width, height, x, y }: Region) -> Self {
        Self { width, height, x, y }
    }
}

impl From<Area> for Region {
    fn from(Area { width, height, x, y }: Area) -> Self {
        Self { width, height, x, y }
    }
}

/// For tests: a fault of a decoder process and its frame; in videos of one width, or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderFault {
    pub(super) kind: FaultKind,
    pub(super) frame: u64,
    pub(super) width: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FaultKind {
    Abort,
    Memory,
    StandStill,
    /// Tries to connect; aborts where it can.
    Connect,
}

impl FromStr for DecoderFault {
    type Err = String;

    /// Parses `abort:20`, `memory:20`, `still:20`, `connect:20`, and the same with a width:
    /// `abort:20:320`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let kind = match parts.next() {
            Some("abort") => FaultKind::Abort,
            Some("memory") => FaultKind::Memory,
            Some("still") => FaultKind::StandStill,
            Some("connect") => FaultKind::Connect,
            _ => return Err(format!("{text:?} is no fault")),
        };
        let number = |part: Option<&str>| part.map(str::parse).transpose().map_err(|_| format!("{text:?} is no fault"));
        let frame = number(parts.next())?.unwrap_or(0);
        let width = number(parts.next())?.and_then(|width| u32::try_from(width).ok());
        Ok(Self { kind, frame, width })
    }
}
