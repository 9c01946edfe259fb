//! A decoded frame, and the pictures that can be made of it.

use std::sync::Arc;

use ffmpeg_next::{format::Pixel, frame};
use ocellus_core::{Rect, Region, RgbImage, Size};

use crate::av::{self, Quality};
use crate::encode::{Chroma, encode_jpeg, encode_rows};
use crate::orientation::PixelRect;
use crate::presentation::Presentation;
use crate::render::Contexts;
use crate::{MediaError, Result};

/// One decoded picture with its stream time. Cloning shares the pixels, which stay as the codec
/// left them (any format) until a part is asked for.
#[derive(Clone)]
pub struct Frame(Arc<Inner>);

struct Inner {
    picture: frame::Video,
    index: u64,
    time: f64,
    presentation: Presentation,
    size: Size,
}

impl Frame {
    pub(crate) fn new(picture: frame::Video, index: u64, time: f64, presentation: Presentation) -> Self {
        let size = presentation.shown();
        Self(Arc::new(Inner { picture, index, time, presentation, size }))
    }

    /// Gives it another number, and a time that many seconds later, as long as nobody else has it.
    pub(crate) fn renumber(&mut self, index: u64, later: f64) {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            (inner.index, inner.time) = (index, inner.time + later);
        }
    }

    /// Counts from 0 at the beginning of the source, or at the last seek, or from where
    /// [`Decoder::go_on`](crate::Decoder::go_on) says.
    pub fn index(&self) -> u64 {
        self.0.index
    }

    /// Seconds from the beginning of the source, and what [`Decoder::go_on`](crate::Decoder::go_on)
    /// adds to them.
    pub fn time(&self) -> f64 {
        self.0.time
    }

    /// As the user sees it: turned, in square pixels.
    pub fn size(&self) -> Size {
        self.0.size
    }

    pub(crate) fn picture(&self) -> &frame::Video {
        &self.0.picture
    }

    pub(crate) fn presentation(&self) -> Presentation {
        self.0.presentation
    }

    /// The part of a region that this frame has: what [`Scaler::input`](crate::Scaler::input) shows
    /// of it. `None` where they do not meet.
    pub fn clip(&self, region: Region) -> Option<Region> {
        let part = self.pixels(region).ok()?;
        Some(Region {
            width: part.width,
            height: part.height,
            x: i32::try_from(part.x).ok()?,
            y: i32::try_from(part.y).ok()?,
        })
    }

    /// The whole pixels that `rect` touches, clipped to the frame.
    fn pixels(&self, rect: impl Into<Edges>) -> Result<PixelRect> {
        let Edges([left, top, right, bottom]) = rect.into();
        let side = |low: f64, high: f64, max: u32| {
            // Casts of floats saturate, and take a NaN as 0.
            let low = low.floor().max(0.0) as u32;
            let high = (high.ceil().max(0.0) as u32).min(max);
            (low < high).then_some((low, high - low))
        };
        let (x, width) = side(left, right, self.0.size.width).ok_or(MediaError::OutsideFrame)?;
        let (y, height) = side(top, bottom, self.0.size.height).ok_or(MediaError::OutsideFrame)?;
        Ok(PixelRect { x, y, width, height })
    }

    /// `part` of the frame as packed RGB of `size`, not turned yet, for `work`, which gets its rows
    /// and how many bytes lie from one to the next.
    fn packed<T>(
        &self,
        contexts: &mut Contexts,
        part: PixelRect,
        size: Size,
        quality: Quality,
        work: impl FnOnce(&[u8], usize) -> T,
    ) -> Result<T> {
        if size.width == 0 || size.height == 0 {
            return Err(MediaError::OutsideFrame);
        }
        let presentation = self.0.presentation;
        let part = presentation.to_decoded(part);
        let stored = presentation.orientation().size(size);
        let packed = contexts.render(&self.0.picture, part, stored, Pixel::RGB24, quality)?;
        Ok(work(packed.data(0), packed.stride(0)))
    }

    /// `part` of the frame as shown, as packed RGB of `size`.
    fn render(&self, contexts: &mut Contexts, part: PixelRect, size: Size, quality: Quality) -> Result<RgbImage> {
        let orientation = self.0.presentation.orientation();
        let data = self.packed(contexts, part, size, quality, |rows, from_stride| {
            let stride = size.width as usize * 3;
            let mut data = vec![0; stride * size.height as usize];
            orientation.place::<3>(rows, from_stride, orientation.size(size), &mut data, stride);
            data
        })?;
        Ok(RgbImage { width: size.width, height: size.height, data })
    }

    /// A part of the frame (`None`: all of it), clipped to the frame, in its own resolution, or
    /// smaller so that no side is over `max_side`.
    ///
    /// # Errors
    /// [`MediaError::OutsideFrame`], when the region has no pixel of the frame.
    pub fn crop(&self, region: Option<Rect>, max_side: Option<u32>) -> Result<RgbImage> {
        let (part, size) = self.fitted(region, max_side)?;
        self.render(&mut Contexts::default(), part, size, Quality::Fine)
    }

    /// The part of a region, and its size where no side is over `max_side`.
    fn fitted(&self, region: Option<Rect>, max_side: Option<u32>) -> Result<(PixelRect, Size)> {
        let part = self.part(region)?;
        let longer = part.width.max(part.height);
        let size = match max_side {
            Some(max) if max < longer => {
                let side = |n: u32| (f64::from(n) * f64::from(max) / f64::from(longer)).round().max(1.0) as u32;
                Size { width: side(part.width), height: side(part.height) }
            }
            _ => part.size(),
        };
        Ok((part, size))
    }

    /// [`Frame::crop`] as a JPEG; `quality` as in [`encode_jpeg`]. Of a stream in planar 4:2:0 that
    /// need be neither turned nor stretched, a part in its own resolution whose edges lie between
    /// chroma samples, at even columns and rows, is a 4:2:0 JPEG of the same samples: half the
    /// work, and nothing is lost.
    ///
    /// # Errors
    /// As [`Frame::crop`] and [`encode_jpeg`].
    pub fn jpeg(&self, region: Option<Rect>, max_side: Option<u32>, quality: u8) -> Result<Vec<u8>> {
        self.jpeg_by(&mut Contexts::default(), region, max_side, quality)
    }

    pub(crate) fn jpeg_by(
        &self,
        contexts: &mut Contexts,
        region: Option<Rect>,
        max_side: Option<u32>,
        quality: u8,
    ) -> Result<Vec<u8>> {
        let (part, size) = self.fitted(region, max_side)?;
        if !self.0.presentation.is_plain() {
            return encode_jpeg(&self.render(contexts, part, size, Quality::Fine)?, quality);
        }
        let even = [part.x, part.y, part.width, part.height].iter().all(|n| n.is_multiple_of(2));
        // The encoder's average of two by two pixels finds their chroma sample again.
        let as_coded = even && size == part.size() && av::repeats_chroma(&self.0.picture);
        let (scaling, chroma) = if as_coded { (Quality::Fast, Chroma::Halved) } else { (Quality::Fine, Chroma::Full) };
        self.packed(contexts, part, size, scaling, |rows, stride| encode_rows(rows, stride, size, quality, chroma))?
    }

    fn part(&self, region: Option<Rect>) -> Result<PixelRect> {
        region.map_or(Ok(PixelRect::all(self.0.size)), |rect| self.pixels(rect))
    }

    /// The part of `region` that lies within the frame, stretched to `out`.
    ///
    /// # Errors
    /// [`MediaError::OutsideFrame`], when the region has no pixel of the frame or `out` has no
    /// area.
    pub fn rgb(&self, region: Rect, out: Size) -> Result<RgbImage> {
        self.render(&mut Contexts::default(), self.pixels(region)?, out, Quality::Fine)
    }

    /// As [`Frame::rgb`], several times as fast, for what only measures colours: bilinear, and the
    /// chroma of the part may lie up to one of its samples aside.
    ///
    /// # Errors
    /// As [`Frame::rgb`].
    pub fn colours(&self, region: Rect, out: Size) -> Result<RgbImage> {
        self.render(&mut Contexts::default(), self.pixels(region)?, out, Quality::Even)
    }

    /// As [`Frame::rgb`], in grey: luma from 0 (black) to 255 (white), whatever range the stream
    /// uses, one byte a pixel. Taken from the luma plane where there is one, without converting
    /// anything else.
    ///
    /// # Errors
    /// As [`Frame::rgb`].
    pub fn luma(&self, region: Rect, out: Size) -> Result<Vec<u8>> {
        let mut luma = Vec::new();
        self.luma_into(&mut Contexts::default(), region, out, Quality::Fast, &mut luma)?;
        Ok(luma)
    }

    /// `luma` is filled anew.
    pub(crate) fn luma_into(
        &self,
        contexts: &mut Contexts,
        region: Rect,
        out: Size,
        quality: Quality,
        luma: &mut Vec<u8>,
    ) -> Result<()> {
        let part = self.pixels(region)?;
        let decoded = self.0.presentation.to_decoded(part);
        let Some(view) = av::luma_view(&self.0.picture, decoded) else {
            *luma = grey(&self.render(contexts, part, out, Quality::Fine)?);
            return Ok(());
        };
        if out.width == 0 || out.height == 0 {
            return Err(MediaError::OutsideFrame);
        }
        let orientation = self.0.presentation.orientation();
        let stored = orientation.size(out);
        let packed = contexts.scale(&view, stored, Pixel::GRAY8, quality)?;
        luma.clear();
        luma.resize(out.width as usize * out.height as usize, 0);
        orientation.place::<1>(packed.data(0), packed.stride(0), stored, luma, out.width as usize);
        if av::colour_is_limited(&self.0.picture) {
            for sample in luma {
                *sample = ((u32::from(*sample).saturating_sub(16) * 255 + 109) / 219).min(255) as u8;
            }
        }
        Ok(())
    }
}

/// BT.601 luma.
fn grey(image: &RgbImage) -> Vec<u8> {
    let luma = |rgb: &[u8]| match rgb {
        &[r, g, b] => ((u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29 + 128) >> 8) as u8,
        _ => 0,
    };
    image.data.chunks_exact(3).map(luma).collect()
}

/// Left, top, right, bottom.
struct Edges([f64; 4]);

impl From<Rect> for Edges {
    fn from(rect: Rect) -> Self {
        Self([rect.left, rect.top, rect.right, rect.bottom].map(f64::from))
    }
}

impl From<Region> for Edges {
    fn from(region: Region) -> Self {
        let (x, y) = (f64::from(region.x), f64::from(region.y));
        Self([x, y, x + f64::from(region.width), y + f64::from(region.height)])
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ocellus_core::{ChannelOrder, InputSpec};

    use super::*;
    use crate::orientation::Orientation;
    use crate::presentation::PixelAspect;
    use crate::{Decoder, Input, Interrupt, Location, Scaler};

    /// The first frame of what `ffmpeg` makes of a test picture.
    fn first(format: &str) -> Frame {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("picture.mkv");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=5:d=0.2", "-pix_fmt", format])
            .args(["-colorspace", "bt709", "-color_range", "tv", "-c:v", "ffv1"])
            .arg(&file)
            .status();
        assert!(
            made.expect("these tests make their media with the ffmpeg program: install the package ffmpeg").success()
        );
        decode(Location::File(file))
    }

    fn decode(location: Location) -> Frame {
        let input = Input { threads: 1, ..Input::new(location) };
        Decoder::open(&input, &Interrupt::new()).unwrap().next_frame().unwrap().unwrap()
    }

    /// As devices hand pictures over: both kinds of chroma in one plane, 10 bits at the upper end
    /// of 16.
    fn semi_planar(frame: &Frame, format: Pixel, bytes: usize) -> Frame {
        let from = frame.picture();
        let mut to = frame::Video::new(format, from.width(), from.height());
        to.set_color_space(from.color_space());
        to.set_color_range(from.color_range());
        let rows = |plane: usize| {
            let width = from.plane_width(plane) as usize * bytes;
            from.data(plane)
                .chunks(from.stride(plane))
                .take(from.plane_height(plane) as usize)
                .map(move |row| &row[..width])
        };
        let moved = |sample: &[u8]| -> Vec<u8> {
            match sample {
                &[low, high] => (u16::from_le_bytes([low, high]) << 6).to_le_bytes().to_vec(),
                one => one.to_vec(),
            }
        };
        let stride = to.stride(0);
        for (to, from) in to.data_mut(0).chunks_mut(stride).zip(rows(0)) {
            to.iter_mut().zip(from.chunks(bytes).flat_map(moved)).for_each(|(to, from)| *to = from);
        }
        let stride = to.stride(1);
        for (to, (u, v)) in to.data_mut(1).chunks_mut(stride).zip(rows(1).zip(rows(2))) {
            let pairs = u.chunks(bytes).zip(v.chunks(bytes)).flat_map(|(u, v)| [moved(u), moved(v)].concat());
            to.iter_mut().zip(pairs).for_each(|(to, from)| *to = from);
        }
        let size = Size { width: to.width(), height: to.height() };
        Frame::new(to, 0, 0.0, Presentation::new(Orientation::default(), size, PixelAspect::SQUARE))
    }

    #[test]
    fn pictures_of_devices_look_like_those_of_software() {
        for (planar, format, bytes) in [("yuv420p", Pixel::NV12, 1), ("yuv420p10le", Pixel::P010LE, 2)] {
            let a = first(planar);
            let b = semi_planar(&a, format, bytes);
            let same = |what: &str, a: &[u8], b: &[u8], tolerance: f64| {
                assert_eq!(a.len(), b.len());
                let apart = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64;
                assert!(apart <= tolerance, "{format:?}, {what}: {apart}");
            };
            let (whole, part) = (a.size().to_rect(), Rect::new(33.0, 17.0, 94.0, 80.0));
            let small = Size { width: 40, height: 30 };
            same("whole", &a.crop(None, None).unwrap().data, &b.crop(None, None).unwrap().data, 0.1);
            same("part", &a.crop(Some(part), None).unwrap().data, &b.crop(Some(part), None).unwrap().data, 0.1);
            same("scaled", &a.rgb(part, small).unwrap().data, &b.rgb(part, small).unwrap().data, 0.5);
            same("colours", &a.colours(part, small).unwrap().data, &b.colours(part, small).unwrap().data, 0.5);
            same("luma", &a.luma(part, small).unwrap(), &b.luma(part, small).unwrap(), 0.1);
            let (mut bright_a, mut bright_b) = (Vec::new(), Vec::new());
            let mut scaler = Scaler::new();
            scaler.brightness(&a, whole, small, &mut bright_a).unwrap();
            scaler.brightness(&b, whole, small, &mut bright_b).unwrap();
            same("brightness", &bright_a, &bright_b, 0.1);
            let spec = InputSpec { width: 64, height: 48, order: ChannelOrder::Bgr, fill: 0 };
            same(
                "input",
                &scaler.input(&a, &spec, None).unwrap().data,
                &scaler.input(&b, &spec, None).unwrap().data,
                1.0,
            );
            let shown = |jpeg: Vec<u8>| decode(Location::Memory(jpeg.into())).crop(None, None).unwrap().data;
            let [jpeg_a, jpeg_b] = [&a, &b].map(|frame| shown(frame.jpeg(None, None, 95).unwrap()));
            same("jpeg", &jpeg_a, &jpeg_b, 5.0);
            let [jpeg_a, jpeg_b] = [&a, &b].map(|frame| shown(frame.jpeg(Some(part), None, 95).unwrap()));
            same("jpeg of a part", &jpeg_a, &jpeg_b, 0.5);
        }
    }
}
