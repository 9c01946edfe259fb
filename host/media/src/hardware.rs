//! Hardware decoding interfaces, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A hardware decoding interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hardware {
    /// NVIDIA.
    Cuda,
    /// Intel and AMD, on Linux.
    Vaapi,
    /// Apple.
    VideoToolbox,
    /// Windows.
    D3d11va,
}

impl Hardware {
    /// In the order in which [`Decoding::Auto`] tries them.
    pub const ALL: [Self; 4] = [Self::Cuda, Self::Vaapi, Self::VideoToolbox, Self::D3d11va];

    /// FFmpeg's name.
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
