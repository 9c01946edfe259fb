//! Scaler in this process: repeated conversions of frames. Detector inputs are scaled once for each
//! network's input size, and full frames.

use ffmpeg_next::format::Pixel;
use ocellus_core::{ChannelOrder, InputSpec, Rect, Region, Size};

use crate::{
    MediaError, Result,
    av::Quality,
    frame::{LocalFrame, looked_at},
    render::Contexts,
};

/// A scaler of frames in this process. Its methods are documented at [`Scaler`](crate::Scaler).
#[derive(Default)]
pub(crate) struct LocalScaler(Contexts);

impl LocalScaler {
    /// Fills `data`, whose length is that of the input.
    pub(crate) fn input(
        &mut self,
        frame: &LocalFrame,
        spec: &InputSpec,
        region: Option<Region>,
        data: &mut [u8],
    ) -> Result<()> {
        if spec.width == 0 || spec.height == 0 {
            return Err(MediaError::internal("an input without area"));
        }
        let part = looked_at(frame.size(), region)?;
        let (fit, _) = spec.fit(part.size());
        let format = match spec.order {
            ChannelOrder::Rgb => Pixel::RGB24,
            ChannelOrder::Bgr => Pixel::BGR24,
        };
        let presentation = frame.presentation();
        let orientation = presentation.orientation();
        let stored = orientation.size(fit);
        let packed = self.0.render(frame.picture(), presentation.to_decoded(part), stored, format, Quality::Fast)?;
        let stride = spec.width as usize * 3;
        fill_around(data, stride, fit, spec.fill);
        orientation.place::<3>(packed.data(0), packed.stride(0), stored, data, stride);
        Ok(())
    }

    pub(crate) fn jpeg(
        &mut self,
        frame: &LocalFrame,
        region: Option<Rect>,
        max_side: Option<u32>,
        quality: u8,
    ) -> Result<Vec<u8>> {
        frame.jpeg_by(&mut self.0, region, max_side, quality)
    }

    pub(crate) fn brightness(&mut self, frame: &LocalFrame, region: Rect, out: Size, luma: &mut Vec<u8>) -> Result<()> {
        frame.luma_into(&mut self.0, region, out, Quality::Mean, luma)
    }
}

/// Fills the area right of and below a picture.
fn fill_around(data: &mut [u8], stride: usize, picture: Size, value: u8) {
    for (y, row) in data.chunks_mut(stride.max(1)).enumerate() {
        let from = if y < picture.height as usize { picture.width as usize * 3 } else { 0 };
        row.iter_mut().skip(from).for_each(|sample| *sample = value);
    }
}
