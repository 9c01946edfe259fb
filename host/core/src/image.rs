//! Pictures as they pass between decoding and detection: packed 8-bit samples, rows without
//! padding.

use crate::Size;

/// A picture in RGB, `data.len() == width * height * 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    pub width: u32,
    pub height: u32,
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelOrder {
    Rgb,
    Bgr,
}

/// What a network wants to see: a picture of this size, the frame scaled by one factor to fit, put
/// in the top left corner, the rest filled with `fill` in every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputSpec {
    pub width: u32,
    pub height: u32,
    pub order: ChannelOrder,
    pub fill: u8,
}

impl InputSpec {
    /// The size of the frame's picture within the input, and the factor from frame pixels to input
    /// pixels.
    pub fn fit(&self, frame: Size) -> (Size, f32) {
        let scale = (self.width as f32 / frame.width as f32).min(self.height as f32 / frame.height as f32);
        let side = |n: u32, max: u32| ((n as f32 * scale).round() as u32).clamp(1, max);
        (Size { width: side(frame.width, self.width), height: side(frame.height, self.height) }, scale)
    }
}

/// A frame as a network wants to see it: `data` is packed (row, column, channel), `spec.width *
/// spec.height * 3` bytes.
#[derive(Clone, Debug)]
pub struct InputImage {
    pub spec: InputSpec,
    pub data: Vec<u8>,
    /// Frame pixels times `scale` are input pixels.
    pub scale: f32,
    /// The frame that this shows.
    pub frame: Size,
}
