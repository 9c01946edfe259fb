//! Rendering of a part of a decoded picture to packed samples, scaled; shared by frames and
//! scalers.

use ffmpeg_next::{format::Pixel, frame};
use ocellus_core::Size;

use crate::av::{Geometry, Quality, Swscale, View};
use crate::orientation::PixelRect;
use crate::{MediaError, Result};

/// Contexts that are kept: a few detectors, and a source that changes its size once in a while.
const KEPT: usize = 8;

/// Swscale contexts by what they were made for, the last used at the end. Bounded.
#[derive(Default)]
pub(crate) struct Contexts(Vec<Swscale>);

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
        let context = match self.0.iter().position(|context| *context.geometry() == wanted) {
            Some(place) => self.0.remove(place),
            None => {
                if self.0.len() >= KEPT {
                    self.0.remove(0);
                }
                Swscale::new(wanted)?
            }
        };
        self.0.push(context);
        let picture = self.0.last_mut().and_then(|context| context.run(view));
        picture.ok_or_else(|| MediaError::internal("swscale failed"))
    }

    /// `part` of a decoded picture as packed `format` of `size`, not turned yet.
    ///
    /// Only the part is converted. Where chroma has fewer samples than luma, a little more than the
    /// part is converted, unscaled, and cut, so that colours stay at their place and the edges look
    /// as they do in the whole frame.
    pub(crate) fn render(
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
        // Taken out of the cache's keeping, as the second step needs the cache too.
        let converted = self.scale(&view, view.size(), format, quality)?.clone();
        let (cut, _) = View::of(&converted, PixelRect { x, y, ..part }, true).ok_or_else(outside)?;
        self.scale(&cut, size, format, quality)
    }
}
