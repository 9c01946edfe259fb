//! Pictures as they pass between decoding and detection: packed 8-bit samples, rows without
//! padding.

use crate::Size;

/// A picture in RGB, `data.len() == width * height * 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Samples by row, column and channel.
    pub data: Vec<u8>,
}

/// Order of the channels of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
}

/// Input of a network, letterboxed: the frame is scaled by one factor to fit, put in the top left
/// corner, and the rest is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputSpec {
    /// Pixels, including the filled ones.
    pub width: u32,
    /// As `width`.
    pub height: u32,
    /// The order with which the network was trained.
    pub order: ChannelOrder,
    /// Value of all channels outside the frame's picture.
    pub fill: u8,
}

impl InputSpec {
    /// The size of the frame's picture within the input, at least 1x1, and the factor from frame
    /// pixels to input pixels.
    pub fn fit(&self, frame: Size) -> (Size, f32) {
        let scale = (self.width as f32 / frame.width as f32).min(self.height as f32 / frame.height as f32);
        let side = |n: u32, max: u32| ((n as f32 * scale).round() as u32).clamp(1, max);
        (Size { width: side(frame.width, self.width), height: side(frame.height, self.height) }, scale)
    }
}

/// A frame as the input of a network.
#[derive(Clone, Debug)]
pub struct InputImage {
    /// The form of the input.
    pub spec: InputSpec,
    /// `spec.width * spec.height * 3` samples, by row, column and channel.
    pub data: Vec<u8>,
    /// Factor from frame pixels to input pixels.
    pub scale: f32,
    /// Size of the original frame.
    pub frame: Size,
}
