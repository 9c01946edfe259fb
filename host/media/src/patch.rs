//! Patches: parts of a frame, stretched to a size, for networks and measurements.

use ocellus_core::{Rect, Size};
use serde::{Deserialize, Serialize};

/// The part of `region` that lies within a frame, stretched to `out`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// What its bytes are.
    pub kind: PatchKind,
    /// In pixels of the frame; it may reach beyond its edges.
    pub region: Rect,
    /// Size of the result, in pixels.
    pub out: Size,
}

/// Samples of a patch, row by row without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchKind {
    /// As [`Frame::rgb`](crate::Frame::rgb): three bytes per pixel.
    Rgb,
    /// As [`Frame::colours`](crate::Frame::colours): three bytes per pixel.
    Colours,
    /// As [`Frame::luma`](crate::Frame::luma): one byte per pixel.
    Luma,
}

impl Patch {
    /// Size in bytes.
    pub(crate) fn count(&self) -> u64 {
        let area = u64::from(self.out.width) * u64::from(self.out.height);
        match self.kind {
            PatchKind::Rgb | PatchKind::Colours => area.saturating_mul(3),
            PatchKind::Luma => area,
        }
    }
}
