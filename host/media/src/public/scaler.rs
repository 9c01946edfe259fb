//! Public scaler: repeated conversions of frames, in this process or in a decoder process.

use ocellus_core::{InputImage, InputSpec, Rect, Region, Size};

use super::frame::{Frame, Place};
use crate::{MediaError, Result, frame::looked_at, scaler::LocalScaler};

/// Keeps swscale's contexts and target pictures between frames. Use one per thread. Frames of a
/// decoder process are scaled there, by a scaler of that process.
#[derive(Default)]
pub struct Scaler(LocalScaler);

impl Scaler {
    /// An empty scaler.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a network's input of a frame, directly from the decoded format: scaled to fit
    /// ([`InputSpec::fit`]), in the top left corner, the rest filled.
    ///
    /// With a `region`, only its part within the frame is shown, see [`Frame::clip`]:
    /// [`InputImage::frame`] is the size of that part, and boxes found in it have to be moved by
    /// its
    /// `x` and `y`.
    ///
    /// # Errors
    /// [`MediaError::OutsideFrame`], when the region has no pixel of the frame;
    /// [`MediaError::Internal`], when swscale does not take the pixel format.
    pub fn input(&mut self, frame: &Frame, spec: &InputSpec, region: Option<Region>) -> Result<InputImage> {
        if spec.width == 0 || spec.height == 0 {
            return Err(MediaError::internal("an input without area"));
        }
        let shown = looked_at(frame.size(), region)?.size();
        let (_, scale) = spec.fit(shown);
        let data = match frame.place() {
            Place::Here(frame) => {
                let mut data = vec![0; spec.width as usize * spec.height as usize * 3];
                self.0.input(frame, spec, region, &mut data)?;
                data
            }
            Place::Process(frame) => frame.input(spec, region)?,
        };
        Ok(InputImage { spec: *spec, data, scale, frame: shown })
    }

    /// [`Frame::jpeg`], faster for many parts of the same size.
    ///
    /// # Errors
    /// As [`Frame::jpeg`].
    pub fn jpeg(&mut self, frame: &Frame, region: Option<Rect>, max_side: Option<u32>, quality: u8) -> Result<Vec<u8>> {
        match frame.place() {
            Place::Here(frame) => self.0.jpeg(frame, region, max_side, quality),
            Place::Process(frame) => frame.jpeg(region, max_side, quality),
        }
    }

    /// The brightness of a small picture of a region: as [`Frame::luma`], but each pixel is the
    /// mean of its area, and the content of `luma` is replaced, so that nothing is allocated per
    /// frame.
    ///
    /// # Errors
    /// As [`Frame::luma`].
    pub fn brightness(&mut self, frame: &Frame, region: Rect, out: Size, luma: &mut Vec<u8>) -> Result<()> {
        match frame.place() {
            Place::Here(frame) => self.0.brightness(frame, region, out, luma),
            Place::Process(frame) => frame.brightness(region, out, luma),
        }
    }
}
