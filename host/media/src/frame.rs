//! Decoded frame in this process, and pictures of its parts.

use std::sync::Arc;

use ffmpeg_next::{format::Pixel, frame};
use ocellus_core::{Rect, Region, RgbImage, Size};

use crate::{
    MediaError, Result,
    av::{self, Quality},
    encode::{Chroma, encode_jpeg, encode_rows},
    orientation::PixelRect,
    patch::{Patch, PatchKind},
    presentation::Presentation,
    render::Contexts,
};

/// A frame in this process. Its methods are documented at [`Frame`](crate::Frame).
#[derive(Clone)]
pub(crate) struct LocalFrame(Arc<Inner>);

struct Inner {
    picture: frame::Video,
    index: u64,
    time: f64,
    presentation: Presentation,
    size: Size,
}

impl LocalFrame {
    pub(crate) fn new(picture: frame::Video, index: u64, time: f64, presentation: Presentation) -> Self {
        let size = presentation.shown();
        Self(Arc::new(Inner { picture, index, time, presentation, size }))
    }

    /// Changes the number, and adds `later` seconds to the time, while there is no other clone.
    pub(crate) fn renumber(&mut self, index: u64, later: f64) {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            (inner.index, inner.time) = (index, inner.time + later);
        }
    }

    pub(crate) fn index(&self) -> u64 {
        self.0.index
    }

    pub(crate) fn time(&self) -> f64 {
        self.0.time
    }

    pub(crate) fn size(&self) -> Size {
        self.0.size
    }

    pub(crate) fn picture(&self) -> &frame::Video {
        &self.0.picture
    }

    pub(crate) fn presentation(&self) -> Presentation {
        self.0.presentation
    }

    /// Renders `part` of the frame as packed RGB of `size`, without rotation, and gives `work` the
    /// rows and their stride in bytes.
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

    pub(crate) fn crop(&self, region: Option<Rect>, max_side: Option<u32>) -> Result<RgbImage> {
        let (part, size) = self.fitted(region, max_side)?;
        self.render(&mut Contexts::default(), part, size, Quality::Fine)
    }

    /// [`fitted`], in this frame.
    fn fitted(&self, region: Option<Rect>, max_side: Option<u32>) -> Result<(PixelRect, Size)> {
        fitted(self.0.size, region, max_side)
    }

    pub(crate) fn jpeg(&self, region: Option<Rect>, max_side: Option<u32>, quality: u8) -> Result<Vec<u8>> {
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
        // The encoder averages 2x2 pixels, which restores their common chroma sample.
        let as_coded = even && size == part.size() && av::repeats_chroma(&self.0.picture);
        let (scaling, chroma) = if as_coded { (Quality::Fast, Chroma::Halved) } else { (Quality::Fine, Chroma::Full) };
        self.packed(contexts, part, size, scaling, |rows, stride| encode_rows(rows, stride, size, quality, chroma))?
    }

    /// `None` where it lies outside the frame.
    pub(crate) fn patch(&self, &Patch { kind, region, out }: &Patch) -> Result<Option<Vec<u8>>> {
        let contexts = &mut Contexts::default();
        let rgb = |contexts, quality| {
            self.render(contexts, pixels(self.0.size, region)?, out, quality).map(|image| image.data)
        };
        let made = match kind {
            PatchKind::Rgb => rgb(contexts, Quality::Fine),
            PatchKind::Colours => rgb(contexts, Quality::Even),
            PatchKind::Luma => {
                let mut luma = Vec::new();
                self.luma_into(contexts, region, out, Quality::Fast, &mut luma).map(|()| luma)
            }
        };
        match made {
            Err(MediaError::OutsideFrame) => Ok(None),
            made => made.map(Some),
        }
    }

    /// Replaces the content of `luma`.
    pub(crate) fn luma_into(
        &self,
        contexts: &mut Contexts,
        region: Rect,
        out: Size,
        quality: Quality,
        luma: &mut Vec<u8>,
    ) -> Result<()> {
        let part = pixels(self.0.size, region)?;
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

/// The whole pixels that `rect` touches, clipped to a frame of a size.
pub(crate) fn pixels(frame: Size, rect: impl Into<Edges>) -> Result<PixelRect> {
    let Edges([left, top, right, bottom]) = rect.into();
    let side = |low: f64, high: f64, max: u32| {
        // Casts of floats saturate, and take a NaN as 0.
        let low = low.floor().max(0.0) as u32;
        let high = (high.ceil().max(0.0) as u32).min(max);
        (low < high).then_some((low, high - low))
    };
    let (x, width) = side(left, right, frame.width).ok_or(MediaError::OutsideFrame)?;
    let (y, height) = side(top, bottom, frame.height).ok_or(MediaError::OutsideFrame)?;
    Ok(PixelRect { x, y, width, height })
}

/// The pixels of a region, and its size reduced so that no side is over `max_side`.
pub(crate) fn fitted(frame: Size, region: Option<Rect>, max_side: Option<u32>) -> Result<(PixelRect, Size)> {
    let part = region.map_or(Ok(PixelRect::all(frame)), |rect| pixels(frame, rect))?;
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

/// The pixels that an input covers: those of a region, or the whole frame.
pub(crate) fn looked_at(frame: Size, region: Option<Region>) -> Result<PixelRect> {
    region.map_or(Ok(PixelRect::all(frame)), |region| pixels(frame, region))
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
pub(crate) struct Edges([f64; 4]);

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
    use crate::{
        Input, Interrupt, Location, decoder::LocalDecoder, orientation::Orientation, origin, presentation::PixelAspect,
        scaler::LocalScaler, steps::Steps,
    };

    /// The first frame of a test pattern encoded by `ffmpeg`.
    fn first(format: &str) -> LocalFrame {
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

    fn decode(location: Location) -> LocalFrame {
        let input = Input { threads: 1, ..Input::new(location) };
        LocalDecoder::open(&input, origin::of(&input), &Interrupt::new(), Steps::default())
            .unwrap()
            .next_frame()
            .unwrap()
            .unwrap()
    }

    /// A picture in the layout of hardware decoders: both chroma components in one plane, 10 bits
    /// at the upper end of 16.
    fn semi_planar(frame: &LocalFrame, format: Pixel, bytes: usize) -> LocalFrame {
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
        LocalFrame::new(to, 0, 0.0, Presentation::new(Orientation::default(), size, PixelAspect::SQUARE))
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
            let patch = |frame: &LocalFrame, kind: PatchKind| {
                frame.patch(&Patch { kind, region: part, out: small }).unwrap().unwrap()
            };
            same("whole", &a.crop(None, None).unwrap().data, &b.crop(None, None).unwrap().data, 0.1);
            same("part", &a.crop(Some(part), None).unwrap().data, &b.crop(Some(part), None).unwrap().data, 0.1);
            same("scaled", &patch(&a, PatchKind::Rgb), &patch(&b, PatchKind::Rgb), 0.5);
            same("colours", &patch(&a, PatchKind::Colours), &patch(&b, PatchKind::Colours), 0.5);
            same("luma", &patch(&a, PatchKind::Luma), &patch(&b, PatchKind::Luma), 0.1);
            let (mut bright_a, mut bright_b) = (Vec::new(), Vec::new());
            let mut scaler = LocalScaler::default();
            scaler.brightness(&a, whole, small, &mut bright_a).unwrap();
            scaler.brightness(&b, whole, small, &mut bright_b).unwrap();
            same("brightness", &bright_a, &bright_b, 0.1);
            let spec = InputSpec { width: 64, height: 48, order: ChannelOrder::Bgr, fill: 0 };
            let [input_a, input_b] = [&a, &b].map(|frame| {
                let mut data = vec![0; 64 * 48 * 3];
                scaler.input(frame, &spec, None, &mut data).unwrap();
                data
            });
            same("input", &input_a, &input_b, 1.0);
            let shown = |jpeg: Vec<u8>| decode(Location::Memory(jpeg.into())).crop(None, None).unwrap().data;
            let [jpeg_a, jpeg_b] = [&a, &b].map(|frame| shown(frame.jpeg(None, None, 95).unwrap()));
            same("jpeg", &jpeg_a, &jpeg_b, 5.0);
            let [jpeg_a, jpeg_b] = [&a, &b].map(|frame| shown(frame.jpeg(Some(part), None, 95).unwrap()));
            same("jpeg of a part", &jpeg_a, &jpeg_b, 0.5);
        }
    }
}
