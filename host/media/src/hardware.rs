//! Interfaces to decoders in hardware, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An interface to decoders in hardware, by FFmpeg's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hardware {
    /// NVIDIA's, by its driver.
    Cuda,
    /// Intel's and AMD's, on Linux.
    Vaapi,
    /// Apple's.
    VideoToolbox,
    /// Windows'.
    D3d11va,
}

impl Hardware {
    /// In the order in which [`Decoding::Auto`] tries them.
    pub const ALL: [Self; 4] = [Self::Cuda, Self::Vaapi, Self::VideoToolbox, Self::D3d11va];

    /// FFmpeg's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vaapi => "vaapi",
            Self::VideoToolbox => "videotoolbox",
            Self::D3d11va => "d3d11va",
        }
    }
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
