//! Parts of decoded pictures, addressed without copying.

use std::marker::PhantomData;

use ffmpeg_next::{color, ffi, frame};
use ocellus_core::Size;

use crate::{
    orientation::{Orientation, PixelRect},
    presentation::PixelAspect,
    tone::Transfer,
};

/// A part of a picture, as swscale takes it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) planes: [*const u8; 4],
    pub(super) strides: [i32; 4],
    pub(super) format: ffi::AVPixelFormat,
    pub(super) size: Size,
    /// `None` for pictures that are not YUV.
    pub(super) colour: Option<Colour>,
    picture: PhantomData<&'a frame::Video>,
}

/// Matrix and range of YUV samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    /// One of `SWS_CS_*`.
    pub(super) matrix: i32,
    /// 0..=255 instead of 16..=235.
    pub(super) full: bool,
}

/// Pictures from this height on are taken as BT.709 where the stream does not say, below as BT.601,
/// as players do.
const HD_HEIGHT: u32 = 720;

fn descriptor(picture: &frame::Video) -> Option<(ffi::AVPixelFormat, &'static ffi::AVPixFmtDescriptor)> {
    let format = picture.format().into();
    // SAFETY: takes any format; the answer is null or static.
    let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() }?;
    (descriptor.flags & ffi::AV_PIX_FMT_FLAG_HWACCEL as u64 == 0).then_some((format, descriptor))
}

fn has(descriptor: &ffi::AVPixFmtDescriptor, flag: i32) -> bool {
    descriptor.flags & flag as u64 != 0
}

fn colour(picture: &frame::Video, format: ffi::AVPixelFormat, descriptor: &ffi::AVPixFmtDescriptor) -> Option<Colour> {
    use ffi::AVPixelFormat as P;
    if has(descriptor, ffi::AV_PIX_FMT_FLAG_RGB)
        || has(descriptor, ffi::AV_PIX_FMT_FLAG_PAL)
        || has(descriptor, ffi::AV_PIX_FMT_FLAG_BAYER)
    {
        return None;
    }
    let matrix = match picture.color_space() {
        color::Space::BT709 => ffi::SWS_CS_ITU709,
        color::Space::FCC => ffi::SWS_CS_FCC,
        color::Space::BT470BG | color::Space::SMPTE170M => ffi::SWS_CS_ITU601,
        color::Space::SMPTE240M => ffi::SWS_CS_SMPTE240M,
        color::Space::BT2020NCL | color::Space::BT2020CL => ffi::SWS_CS_BT2020,
        _ if picture.height() >= HD_HEIGHT => ffi::SWS_CS_ITU709,
        _ => ffi::SWS_CS_ITU601,
    };
    let grey = descriptor.nb_components <= 2;
    let full = match picture.color_range() {
        color::Range::JPEG => true,
        color::Range::MPEG => false,
        // The "J" formats have full range by name; grey without a range is a still camera's, which
        // is full range.
        color::Range::Unspecified => {
            grey || matches!(
                format,
                P::AV_PIX_FMT_YUVJ420P
                    | P::AV_PIX_FMT_YUVJ422P
                    | P::AV_PIX_FMT_YUVJ444P
                    | P::AV_PIX_FMT_YUVJ440P
                    | P::AV_PIX_FMT_YUVJ411P
            )
        }
    };
    Some(Colour { matrix, full })
}

/// The transfer function of a picture with a high dynamic range.
pub(crate) fn transfer(picture: &frame::Video) -> Option<Transfer> {
    // SAFETY: a plain field of a frame that is alive. It is read as the number that it is in C,
    // since a stream may have any number there.
    let transfer = unsafe { (&raw const (*picture.as_ptr()).color_trc).cast::<std::ffi::c_uint>().read() };
    match transfer {
        t if t == ffi::AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084 as u32 => Some(Transfer::Pq),
        t if t == ffi::AVColorTransferCharacteristic::AVCOL_TRC_ARIB_STD_B67 as u32 => Some(Transfer::Hlg),
        _ => None,
    }
}

/// The orientation in the picture's own metadata: a display matrix (from SEI messages of HEVC and
/// H.264, or EXIF of JPEG), or EXIF that FFmpeg gives as text.
pub(crate) fn own_orientation(picture: &frame::Video) -> Option<Orientation> {
    if let Some(matrix) = picture.side_data(frame::side_data::Type::DisplayMatrix) {
        return display_matrix(matrix.data());
    }
    Orientation::from_exif(picture.metadata().get("Orientation")?.trim().parse().ok()?)
}

/// The orientation of the nine numbers of a display matrix.
pub(crate) fn display_matrix(data: &[u8]) -> Option<Orientation> {
    let mut matrix = [0_i32; 9];
    let words = data.chunks_exact(4).filter_map(|word| word.try_into().ok().map(i32::from_ne_bytes));
    let filled = matrix.iter_mut().zip(words).map(|(to, word)| *to = word).count();
    (filled == matrix.len()).then(|| Orientation::from_display_matrix(matrix))
}

/// The pixel aspect ratio that the codec states.
pub(crate) fn own_aspect(picture: &frame::Video) -> Option<PixelAspect> {
    let ratio = picture.aspect_ratio();
    PixelAspect::new(ratio.numerator(), ratio.denominator())
}

/// Differences of luma from which on a line counts as displaced against its neighbours.
const COMB: i32 = 12;
/// Side in pixels of the squares in which pictures are examined, in every fourth column.
const SQUARE: usize = 32;
const COLUMNS: usize = 4;
/// Displaced samples in a square, of 256, from which on its two fields show different moments.
const COMBED: usize = 24;

/// Whether a picture interleaves two fields of different moments, so that moving edges look like
/// combs. Always false for pictures that are not flagged as interlaced.
pub(crate) fn is_combed(picture: &frame::Video) -> bool {
    if !picture.is_interlaced() || picture.height() < 4 {
        return false;
    }
    let eight_bits =
        descriptor(picture).and_then(|(_, d)| grey_format(d)) == Some(ffi::AVPixelFormat::AV_PIX_FMT_GRAY8);
    let stride = picture.stride(0);
    // SAFETY: a plain field of a frame that is alive.
    let from_top = unsafe { (*picture.as_ptr()).linesize[0] } > 0;
    if !eight_bits || !from_top {
        // Its rows cannot be compared here, so that its flag is believed.
        return true;
    }
    let (luma, width) = (picture.data(0), picture.width() as usize);
    let mut rows = luma.chunks_exact(stride).take(picture.height() as usize);
    let (Some(mut above), Some(mut row)) = (rows.next(), rows.next()) else { return false };
    let mut squares = vec![0; width.div_ceil(SQUARE)];
    for (n, below) in rows.enumerate() {
        if n % SQUARE == 0 {
            squares.fill(0);
        }
        let samples = above.iter().zip(row).zip(below).take(width).enumerate().step_by(COLUMNS);
        for (x, ((above, here), below)) in samples {
            let [above, here, below] = [above, here, below].map(|sample| i32::from(*sample));
            let (up, down) = (here - above, here - below);
            let least = up.abs().min(down.abs());
            let displaced = up.signum() * down.signum() > 0 && least > COMB && (above - below).abs() * 2 < least;
            if displaced && let Some(square) = squares.get_mut(x / SQUARE) {
                *square += 1;
                if *square >= COMBED {
                    return true;
                }
            }
        }
        (above, row) = (row, below);
    }
    false
}

/// The earlier field of a picture: the same samples, every second line of them.
pub(crate) fn earlier_field(picture: &frame::Video) -> Option<frame::Video> {
    let (_, descriptor) = descriptor(picture)?;
    if picture.height() < 4 || descriptor.log2_chroma_h > 1 {
        return None;
    }
    let lower_first = !picture.is_top_first();
    // SAFETY: the new frame has its own references to the buffers of the picture, and its fields
    // are plain. Each plane has at least two lines, since the picture has at least four and chroma
    // at least half as many; so its second line lies in it, and so does every second line from
    // there.
    unsafe {
        let field = ffi::av_frame_clone(picture.as_ptr());
        let raw = field.as_mut()?;
        for (data, stride) in raw.data.iter_mut().zip(&mut raw.linesize) {
            // A palette has no lines.
            if !data.is_null() && *stride != 0 {
                if lower_first {
                    *data = data.offset(*stride as isize);
                }
                *stride *= 2;
            }
        }
        raw.height /= 2;
        Some(frame::Video::wrap(field))
    }
}

/// Whether luma has the limited range, 16 to 235.
pub(crate) fn colour_is_limited(picture: &frame::Video) -> bool {
    descriptor(picture).and_then(|(format, d)| colour(picture, format, d)).is_some_and(|c| !c.full)
}

/// Whether [`Quality::Fast`](super::Quality::Fast), unscaled, gives each 2x2 block of pixels the
/// chroma sample that they share. In other layouts of 4:2:0 swscale interpolates.
pub(crate) fn repeats_chroma(picture: &frame::Video) -> bool {
    use ffi::AVPixelFormat as P;
    matches!(picture.format().into(), P::AV_PIX_FMT_YUV420P | P::AV_PIX_FMT_YUVJ420P)
}

/// Chroma samples beyond its edge that a pixel's colour is interpolated from.
const TAPS: u32 = 2;

/// Start and end of the pixels to convert, so that the `length` pixels from `start` on get the
/// values that they have in the whole picture: from the first to the last chroma sample that they
/// depend on.
fn around(start: u32, length: u32, shift: u8, end: u32) -> (u32, u32) {
    let margin = TAPS << shift;
    // Half a chroma sample at the end would make swscale stretch the chroma of the whole view.
    let last = (start + length).saturating_add(margin).next_multiple_of(1 << shift);
    (start.saturating_sub(margin) >> shift << shift, last.min(end))
}

impl<'a> View<'a> {
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// A view that covers `part`: exactly where chroma allows that, otherwise with a margin. The
    /// second value is the position of `part` within the view. `None` for a picture that is not in
    /// main memory or does not contain `part`.
    ///
    /// With `exact` false the view is `part` wherever it can be addressed, and its chroma may be
    /// shifted by less than one chroma sample, which does not matter to detectors.
    pub(crate) fn of(picture: &'a frame::Video, part: PixelRect, exact: bool) -> Option<(Self, (u32, u32))> {
        let (format, descriptor) = descriptor(picture)?;
        let planar = has(descriptor, ffi::AV_PIX_FMT_FLAG_PLANAR);
        let subsampled = descriptor.log2_chroma_w > 0 || descriptor.log2_chroma_h > 0;
        // Where pixels share bytes, a row can only be read from its start.
        let whole = has(descriptor, ffi::AV_PIX_FMT_FLAG_BITSTREAM)
            || has(descriptor, ffi::AV_PIX_FMT_FLAG_BAYER)
            || (subsampled && !planar);
        let ((x, right), (y, bottom)) = if whole {
            ((0, picture.width()), (0, picture.height()))
        } else if exact && subsampled {
            (
                around(part.x, part.width, descriptor.log2_chroma_w, picture.width()),
                around(part.y, part.height, descriptor.log2_chroma_h, picture.height()),
            )
        } else {
            ((part.x, part.x + part.width), (part.y, part.y + part.height))
        };
        let mut steps = [0i32; 4];
        for component in descriptor.comp.iter().take(usize::from(descriptor.nb_components)) {
            let step = steps.get_mut(usize::try_from(component.plane).ok()?)?;
            *step = (*step).max(component.step);
        }
        if has(descriptor, ffi::AV_PIX_FMT_FLAG_PAL) {
            // The second plane is the palette.
            steps = [1, 0, 0, 0];
        }
        let view = Self::within(
            picture,
            PixelRect { x, y, width: right.checked_sub(x)?, height: bottom.checked_sub(y)? },
            |plane| {
                let chroma = (plane == 1 || plane == 2) && descriptor.nb_components >= 3;
                let (shift_x, shift_y) =
                    if chroma { (descriptor.log2_chroma_w, descriptor.log2_chroma_h) } else { (0, 0) };
                let step = steps.get(plane).copied().unwrap_or(0);
                let row = if step == 0 { 0 } else { y >> shift_y };
                ((x >> shift_x) as isize * step as isize, row as isize)
            },
        )?;
        Some((
            Self { format, colour: colour(picture, format, descriptor), ..view },
            (part.x.checked_sub(x)?, part.y.checked_sub(y)?),
        ))
    }

    /// `offset` gives for each plane the bytes to go right and the rows to go down.
    fn within(picture: &'a frame::Video, part: PixelRect, offset: impl Fn(usize) -> (isize, isize)) -> Option<Self> {
        let inside =
            part.x.checked_add(part.width)? <= picture.width() && part.y.checked_add(part.height)? <= picture.height();
        if !inside || part.width == 0 || part.height == 0 {
            return None;
        }
        let mut planes = [std::ptr::null(); 4];
        let mut strides = [0; 4];
        // SAFETY: plain fields of a frame that lives as long as the view.
        let (data, linesize) = unsafe { ((*picture.as_ptr()).data, (*picture.as_ptr()).linesize) };
        for (plane, ((from, stride), (to, to_stride))) in
            data.iter().zip(linesize).zip(planes.iter_mut().zip(&mut strides)).enumerate()
        {
            if from.is_null() {
                continue;
            }
            let (bytes, rows) = offset(plane);
            // SAFETY: `part` lies in the picture, so its first pixel lies in each plane that the
            // picture has. Strides may be negative.
            *to = unsafe { from.offset(rows * stride as isize + bytes) };
            *to_stride = stride;
        }
        (!planes.first()?.is_null()).then_some(Self {
            planes,
            strides,
            format: ffi::AVPixelFormat::AV_PIX_FMT_GRAY8,
            size: part.size(),
            colour: None,
            picture: PhantomData,
        })
    }
}

/// The grey format of a luma component that has its own plane.
fn grey_format(descriptor: &ffi::AVPixFmtDescriptor) -> Option<ffi::AVPixelFormat> {
    use ffi::AVPixelFormat as P;
    let luma = descriptor.comp.first()?;
    let odd = has(descriptor, ffi::AV_PIX_FMT_FLAG_BITSTREAM) || has(descriptor, ffi::AV_PIX_FMT_FLAG_BE);
    if odd || luma.offset != 0 {
        return None;
    }
    match (luma.step, luma.depth, luma.shift) {
        (1, 8, 0) => Some(P::AV_PIX_FMT_GRAY8),
        (2, 9, 0) => Some(P::AV_PIX_FMT_GRAY9LE),
        (2, 10, 0) => Some(P::AV_PIX_FMT_GRAY10LE),
        (2, 12, 0) => Some(P::AV_PIX_FMT_GRAY12LE),
        (2, 14, 0) => Some(P::AV_PIX_FMT_GRAY14LE),
        // In the upper bits, as in P010.
        (2, depth, shift) if depth + shift == 16 => Some(P::AV_PIX_FMT_GRAY16LE),
        _ => None,
    }
}

/// The luma of a part, as a grey picture; `None` where the format has no plane of luma, or the
/// picture has a high dynamic range.
pub(crate) fn luma_view(picture: &frame::Video, part: PixelRect) -> Option<View<'_>> {
    let (format, descriptor) = descriptor(picture)?;
    colour(picture, format, descriptor)?;
    if transfer(picture).is_some() {
        return None;
    }
    let format = grey_format(descriptor)?;
    let step = descriptor.comp.first()?.step as isize;
    let view =
        View::within(
            picture,
            part,
            |plane| if plane == 0 { (part.x as isize * step, part.y as isize) } else { (0, 0) },
        )?;
    let ([plane, ..], [stride, ..]) = (view.planes, view.strides);
    let null = std::ptr::null();
    Some(View { planes: [plane, null, null, null], strides: [stride, 0, 0, 0], format, ..view })
}
