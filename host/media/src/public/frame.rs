//! Public frame: in this process, or in a decoder process.

use ocellus_core::{Rect, Region, RgbImage, Size};

use crate::{
    MediaError, Result,
    frame::{LocalFrame, fitted, looked_at},
    patch::{Patch, PatchKind},
    process::RemoteFrame,
};

/// One decoded picture with its stream time. Clones share the pixels, which stay in the decoded
/// format until a part is requested.
#[derive(Clone)]
pub struct Frame(Place);

#[derive(Clone)]
pub(super) enum Place {
    Here(LocalFrame),
    Process(RemoteFrame),
}

impl Frame {
    pub(super) fn here(frame: LocalFrame) -> Self {
        Self(Place::Here(frame))
    }

    pub(super) fn of_process(frame: RemoteFrame) -> Self {
        Self(Place::Process(frame))
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }

    /// Counts from 0 at the beginning of the source, or at the last seek, or from where
    /// [`Decoder::go_on`](crate::Decoder::go_on) says.
    pub fn index(&self) -> u64 {
        match &self.0 {
            Place::Here(frame) => frame.index(),
            Place::Process(frame) => frame.index(),
        }
    }

    /// Seconds from the beginning of the source, plus the shift of
    /// [`Decoder::go_on`](crate::Decoder::go_on).
    pub fn time(&self) -> f64 {
        match &self.0 {
            Place::Here(frame) => frame.time(),
            Place::Process(frame) => frame.time(),
        }
    }

    /// Size as shown: rotated, in square pixels.
    pub fn size(&self) -> Size {
        match &self.0 {
            Place::Here(frame) => frame.size(),
            Place::Process(frame) => frame.size(),
        }
    }

    /// Checks that its pixels are still available.
    ///
    /// # Errors
    /// That of the decoder process, if it died.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Place::Here(_) => Ok(()),
            Place::Process(frame) => frame.check(),
        }
    }

    /// The part of a region within this frame, as [`Scaler::input`](crate::Scaler::input) shows it.
    /// `None` where they do not intersect.
    pub fn clip(&self, region: Region) -> Option<Region> {
        let part = looked_at(self.size(), Some(region)).ok()?;
        Some(Region {
            width: part.width,
            height: part.height,
            x: i32::try_from(part.x).ok()?,
            y: i32::try_from(part.y).ok()?,
        })
    }

    /// A part of the frame (`None`: all of it), clipped to the frame, in its own resolution, or
    /// smaller so that no side is over `max_side`.
    ///
    /// # Errors
    /// [`MediaError::OutsideFrame`](crate::MediaError::OutsideFrame), when the region has no pixel
    /// of the frame; those of a process that died, here and with all other pictures.
    pub fn crop(&self, region: Option<Rect>, max_side: Option<u32>) -> Result<RgbImage> {
        match &self.0 {
            Place::Here(frame) => frame.crop(region, max_side),
            Place::Process(frame) => {
                let (_, size) = fitted(frame.size(), region, max_side)?;
                frame.crop(region, max_side, size)
            }
        }
    }

    /// [`Frame::crop`] as a JPEG; `quality` as in [`encode_jpeg`](crate::encode_jpeg). Where a
    /// stream in planar 4:2:0 needs neither rotation nor stretching, a part in its own resolution
    /// with edges between chroma samples, at even columns and rows, becomes a 4:2:0 JPEG of the
    /// same samples: half the work without loss.
    ///
    /// # Errors
    /// As [`Frame::crop`] and [`encode_jpeg`](crate::encode_jpeg).
    pub fn jpeg(&self, region: Option<Rect>, max_side: Option<u32>, quality: u8) -> Result<Vec<u8>> {
        match &self.0 {
            Place::Here(frame) => frame.jpeg(region, max_side, quality),
            Place::Process(frame) => frame.jpeg(region, max_side, quality),
        }
    }

    /// The part of `region` that lies within the frame, stretched to `out`.
    ///
    /// # Errors
    /// [`MediaError::OutsideFrame`](crate::MediaError::OutsideFrame), when the region has no pixel
    /// of the frame or `out` has no area.
    pub fn rgb(&self, region: Rect, out: Size) -> Result<RgbImage> {
        self.image(PatchKind::Rgb, region, out)
    }

    /// As [`Frame::rgb`], several times as fast, for measuring colours: bilinear, and chroma may be
    /// shifted by up to one of its samples.
    ///
    /// # Errors
    /// As [`Frame::rgb`].
    pub fn colours(&self, region: Rect, out: Size) -> Result<RgbImage> {
        self.image(PatchKind::Colours, region, out)
    }

    /// As [`Frame::rgb`], in grey: luma from 0 (black) to 255 (white) for every range of the
    /// stream, one byte per pixel. Taken from the luma plane where there is one, without other
    /// conversions.
    ///
    /// # Errors
    /// As [`Frame::rgb`].
    pub fn luma(&self, region: Rect, out: Size) -> Result<Vec<u8>> {
        self.patch(Patch { kind: PatchKind::Luma, region, out })
    }

    /// The bytes of several patches; `None` for those of which [`Frame::rgb`] would say that they
    /// lie outside the frame. With a decoder process, many patches take hardly longer than one.
    ///
    /// # Errors
    /// That of the decoder process, if it died.
    pub fn patches(&self, patches: &[Patch]) -> Result<Vec<Option<Vec<u8>>>> {
        match &self.0 {
            Place::Here(frame) => patches.iter().map(|patch| frame.patch(patch)).collect(),
            Place::Process(frame) => frame.patches(patches),
        }
    }

    fn image(&self, kind: PatchKind, region: Rect, out: Size) -> Result<RgbImage> {
        let data = self.patch(Patch { kind, region, out })?;
        Ok(RgbImage { width: out.width, height: out.height, data })
    }

    fn patch(&self, patch: Patch) -> Result<Vec<u8>> {
        self.patches(&[patch])?.pop().flatten().ok_or(MediaError::OutsideFrame)
    }
}
