//! Scaling and conversion to packed samples, by swscale.

use std::ptr::{self, NonNull};

use ffmpeg_next::{ffi, format::Pixel, frame};
use ocellus_core::Size;

use super::picture::{Colour, View};
use crate::{MediaError, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// For detectors: bilinear.
    Fast,
    /// For measurements on small pictures: bilinear, chroma at full resolution.
    Even,
    /// For brightness: the mean of the area that each pixel covers.
    Mean,
    /// For pictures that people see: bicubic, chroma at full resolution.
    Fine,
}

impl Quality {
    fn flags(self) -> i32 {
        match self {
            Self::Fast => ffi::SWS_BILINEAR,
            Self::Even => ffi::SWS_BILINEAR | ffi::SWS_FULL_CHR_H_INT | ffi::SWS_ACCURATE_RND,
            Self::Mean => ffi::SWS_AREA,
            Self::Fine => ffi::SWS_BICUBIC | ffi::SWS_FULL_CHR_H_INT | ffi::SWS_ACCURATE_RND,
        }
    }
}

/// Parameters of a context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    source: Size,
    format: ffi::AVPixelFormat,
    colour: Option<Colour>,
    target: Size,
    target_format: Pixel,
    quality: Quality,
}

impl Geometry {
    pub(crate) fn new(view: &View<'_>, target: Size, target_format: Pixel, quality: Quality) -> Self {
        Self { source: view.size, format: view.format, colour: view.colour, target, target_format, quality }
    }
}

/// A swscale context with its target picture, which is aligned and padded as swscale's vector code
/// needs it, and reused from run to run.
pub(crate) struct Swscale {
    context: NonNull<ffi::SwsContext>,
    geometry: Geometry,
    target: frame::Video,
}

// SAFETY: a context has no ties to the thread that made it; `run` takes `&mut self`.
unsafe impl Send for Swscale {}

impl Swscale {
    pub(crate) fn new(geometry: Geometry) -> Result<Self> {
        let Geometry { source, format, colour, target, target_format, quality } = geometry;
        let side = |n: u32| i32::try_from(n).map_err(MediaError::internal);
        let sizes = (side(source.width)?, side(source.height)?, side(target.width)?, side(target.height)?);
        // SAFETY: swscale checks sizes and formats and answers null; null filters and parameters
        // are its defaults.
        let context = unsafe {
            let none = ptr::null_mut();
            ffi::sws_getContext(
                sizes.0,
                sizes.1,
                format,
                sizes.2,
                sizes.3,
                target_format.into(),
                quality.flags(),
                none,
                none,
                ptr::null(),
            )
        };
        let context =
            NonNull::new(context).ok_or_else(|| MediaError::internal(format!("swscale takes no {format:?}")))?;
        if let Some(colour) = colour {
            // SAFETY: the context is alive; the tables are static.
            unsafe {
                let (from, to) =
                    (ffi::sws_getCoefficients(colour.matrix), ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT));
                // A result below 0 means that the conversion has no such details: grey to grey.
                ffi::sws_setColorspaceDetails(context.as_ptr(), from, colour.full.into(), to, 1, 0, 1 << 16, 1 << 16);
            }
        }
        let target = frame::Video::new(target_format, target.width, target.height);
        // SAFETY: only reads whether the buffer could be allocated.
        if unsafe { target.is_empty() } {
            return Err(MediaError::internal("no memory for a picture"));
        }
        Ok(Self { context, geometry, target })
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// `None` where the view does not match the context's geometry, or swscale failed.
    pub(crate) fn run(&mut self, view: &View<'_>) -> Option<&frame::Video> {
        if Geometry::new(view, self.geometry.target, self.geometry.target_format, self.geometry.quality)
            != self.geometry
        {
            return None;
        }
        // SAFETY: the view's planes hold a picture of the size and format that the context was made
        // for (checked above), and stay alive while the view does; the target has the context's
        // target size and format.
        let rows = unsafe {
            let target = self.target.as_mut_ptr();
            let height = i32::try_from(view.size.height).ok()?;
            ffi::sws_scale(
                self.context.as_ptr(),
                view.planes.as_ptr(),
                view.strides.as_ptr(),
                0,
                height,
                (*target).data.as_ptr(),
                (*target).linesize.as_ptr(),
            )
        };
        (rows > 0).then_some(&self.target)
    }
}

impl Drop for Swscale {
    fn drop(&mut self) {
        // SAFETY: the only owner of the context, which is not used after this.
        unsafe { ffi::sws_freeContext(self.context.as_ptr()) };
    }
}
