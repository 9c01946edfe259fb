//! Scalers: the same conversion of frame after frame. Detector inputs are scaled once for each
//! network's input, and full frames.

use ffmpeg_next::format::Pixel;
use ocellus_core::{ChannelOrder, InputImage, InputSpec, Rect, Region, Size};

use crate::av::Quality;
use crate::orientation::PixelRect;
use crate::render::Contexts;
use crate::{Frame, MediaError, Result};

/// Keeps swscale's tables, and the pictures that it writes to, between frames. One for each thread
/// that needs one; ends with it.
#[derive(Default)]
pub struct Scaler(Contexts);

impl Scaler {
    /// One that keeps nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frame as a network wants to see it, straight from the decoded format: scaled to fit
    /// ([`InputSpec::fit`]), in the top left corner, the rest filled.
    ///
    /// With a `region`, only what [`Frame::clip`] leaves of it is shown: [`InputImage::frame`] is
    /// the size of that part, and boxes found in it have to be moved by its `x` and `y`.
    ///
    /// # Errors
    /// [`MediaError::OutsideFrame`], when the region has no pixel of the frame;
    /// [`MediaError::Internal`], when swscale does not take the pixel format.
    pub fn input(&mut self, frame: &Frame, spec: &InputSpec, region: Option<Region>) -> Result<InputImage> {
        if spec.width == 0 || spec.height == 0 {
            return Err(MediaError::internal("an input without area"));
        }
        let part = match region {
            None => PixelRect::all(frame.size()),
            Some(region) => {
                let Region { width, height, x, y } = frame.clip(region).ok_or(MediaError::OutsideFrame)?;
                PixelRect { x: x.unsigned_abs(), y: y.unsigned_abs(), width, height }
            }
        };
        let shown: Size = part.size();
        let (fit, scale) = spec.fit(shown);
        let format = match spec.order {
            ChannelOrder::Rgb => Pixel::RGB24,
            ChannelOrder::Bgr => Pixel::BGR24,
        };
        let presentation = frame.presentation();
        let orientation = presentation.orientation();
        let stored = orientation.size(fit);
        let packed = self.0.render(frame.picture(), presentation.to_decoded(part), stored, format, Quality::Fast)?;
        let stride = spec.width as usize * 3;
        let mut data = vec![spec.fill; stride * spec.height as usize];
        orientation.place::<3>(packed.data(0), packed.stride(0), stored, &mut data, stride);
        Ok(InputImage { spec: *spec, data, scale, frame: shown })
    }

    /// [`Frame::jpeg`], for parts of the same size again and again.
    ///
    /// # Errors
    /// As [`Frame::jpeg`].
    pub fn jpeg(&mut self, frame: &Frame, region: Option<Rect>, max_side: Option<u32>, quality: u8) -> Result<Vec<u8>> {
        frame.jpeg_by(&mut self.0, region, max_side, quality)
    }

    /// The brightness of a small picture of a region: as [`Frame::luma`], but each pixel is the
    /// mean of what it covers, and `luma` is filled anew, so that nothing is made for a single
    /// frame.
    ///
    /// # Errors
    /// As [`Frame::luma`].
    pub fn brightness(&mut self, frame: &Frame, region: Rect, out: Size, luma: &mut Vec<u8>) -> Result<()> {
        frame.luma_into(&mut self.0, region, out, Quality::Mean, luma)
    }
}
