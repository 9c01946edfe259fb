//! Rendering of a part of a decoded picture to packed samples: scaled, and tone-mapped where the
//! dynamic range is high; shared by frames and scalers.

use ffmpeg_next::{format::Pixel, frame};
use ocellus_core::Size;

use crate::{
    MediaError, Result,
    av::{self, Geometry, Quality, Swscale, View},
    orientation::PixelRect,
    tone,
};

/// Limit of the contexts that are kept: for a few detectors, and a source that sometimes changes
/// its size.
const KEPT: usize = 8;

/// Cache of swscale contexts by geometry, the last used at the end. Bounded.
#[derive(Default)]
pub(crate) struct Contexts {
    contexts: Vec<Swscale>,
    /// Reused buffer for tone-mapped pictures.
    mapped: Option<frame::Video>,
}

impl Contexts {
    /// A whole view as packed samples of `size`.
    pub(crate) fn scale(
        &mut self,
        view: &View<'_>,
        size: Size,
        format: Pixel,
        quality: Quality,
    ) -> Result<&frame::Video> {
        let wanted = Geometry::new(view, size, format, quality);
        let context = match self.contexts.iter().position(|context| *context.geometry() == wanted) {
            Some(place) => self.contexts.remove(place),
            None => {
                if self.contexts.len() >= KEPT {
                    self.contexts.remove(0);
                }
                Swscale::new(wanted)?
            }
        };
        self.contexts.push(context);
        let picture = self.contexts.last_mut().and_then(|context| context.run(view));
        picture.ok_or_else(|| MediaError::internal("swscale failed"))
    }

    /// `part` of a decoded picture as packed RGB or BGR of `size`, not turned yet.
    pub(crate) fn render(
        &mut self,
        picture: &frame::Video,
        part: PixelRect,
        size: Size,
        format: Pixel,
        quality: Quality,
    ) -> Result<&frame::Video> {
        let Some(transfer) = av::transfer(picture) else { return self.convert(picture, part, size, format, quality) };
        let mut mapped = match self.mapped.take() {
            Some(kept) if (kept.width(), kept.height(), kept.format()) == (size.width, size.height, format) => kept,
            _ => frame::Video::new(format, size.width, size.height),
        };
        let wide = self.convert(picture, part, size, Pixel::RGB48LE, quality)?;
        let stride = mapped.stride(0);
        let (width, height) = (size.width as usize, size.height as usize);
        let to = (mapped.data_mut(0), stride);
        tone::map_rows((wide.data(0), wide.stride(0)), to, width, height, transfer, format == Pixel::BGR24);
        Ok(self.mapped.insert(mapped))
    }

    /// `part` of a decoded picture as packed `format` of `size`, samples as they are.
    ///
    /// Only the part is converted. Where chroma is subsampled, the part is converted with a margin,
    /// unscaled, and cropped, so that colours stay in place and the edges look as they do in the
    /// whole frame.
    fn convert(
        &mut self,
        picture: &frame::Video,
        part: PixelRect,
        size: Size,
        format: Pixel,
        quality: Quality,
    ) -> Result<&frame::Video> {
        let outside = || MediaError::OutsideFrame;
        let (view, (x, y)) = View::of(picture, part, quality == Quality::Fine).ok_or_else(outside)?;
        if view.size() == part.size() {
            return self.scale(&view, size, format, quality);
        }
        // Cloned, since the second step needs the cache, too.
        let converted = self.scale(&view, view.size(), format, quality)?.clone();
        let (cut, _) = View::of(&converted, PixelRect { x, y, ..part }, true).ok_or_else(outside)?;
        self.scale(&cut, size, format, quality)
    }
}
