//! Presentation of a decoded picture: the conversion of its pixels into upright, square ones, as
//! shown to users and detectors.
//!
//! Full-size pictures are neither rotated nor stretched. A region in shown pixels is mapped back
//! onto the decoded picture, and the small picture cut out there is scaled and rotated.

use ocellus_core::Size;

use crate::orientation::{Orientation, PixelRect};

/// Larger pictures are not decoded: 64 Mpx, twice 8K. A header of a few bytes may claim far more.
pub(crate) const MAX_PIXELS: i64 = 1 << 26;

/// Width of a pixel divided by its height, as two numbers above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelAspect {
    width: u32,
    height: u32,
}

/// Ratios beyond this are taken for a damaged header.
const MAX_RATIO: u32 = 16;

impl PixelAspect {
    pub(crate) const SQUARE: Self = Self { width: 1, height: 1 };

    /// `None` for an invalid ratio, and for one that no recording has.
    pub(crate) fn new(width: i32, height: i32) -> Option<Self> {
        let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        let sane = |a: u32, b: u32| a > 0 && a <= b.saturating_mul(MAX_RATIO);
        (sane(width, height) && sane(height, width)).then_some(Self { width, height })
    }

    /// `2:1`, `10/11`, or a number: `1.333`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once([':', '/']) {
            Some((width, height)) => Self::new(width.trim().parse().ok()?, height.trim().parse().ok()?),
            None => {
                let ratio = text.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1e3).contains(ratio))?;
                Self::new((ratio * 1e4).round() as i32, 10_000)
            }
        }
    }

    /// The size of a picture in square pixels. One side grows and none shrinks, so that no detail
    /// is lost.
    fn square(self, stored: Size) -> Size {
        let scaled = |side: u32, by: u32, of: u32| {
            let scaled = (u64::from(side) * u64::from(by) + u64::from(of) / 2) / u64::from(of);
            u32::try_from(scaled).unwrap_or(u32::MAX)
        };
        let size = if self.width >= self.height {
            Size { width: scaled(stored.width, self.width, self.height), ..stored }
        } else {
            Size { height: scaled(stored.height, self.height, self.width), ..stored }
        };
        let pixels = i64::from(size.width).saturating_mul(i64::from(size.height));
        if pixels > MAX_PIXELS { stored } else { size }
    }
}

/// Conversion of a decoded picture: stretched to square pixels, then rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presentation {
    orientation: Orientation,
    /// Size of the decoded picture.
    decoded: Size,
    /// Size in square pixels, before rotation.
    square: Size,
}

impl Presentation {
    pub(crate) fn new(orientation: Orientation, decoded: Size, aspect: PixelAspect) -> Self {
        Self { orientation, decoded, square: aspect.square(decoded) }
    }

    /// The same for a picture with fewer lines: one field.
    pub(crate) fn of_lines(self, height: u32) -> Self {
        Self { decoded: Size { height, ..self.decoded }, ..self }
    }

    /// Size as shown.
    pub(crate) fn shown(self) -> Size {
        self.orientation.size(self.square)
    }

    pub(crate) fn orientation(self) -> Orientation {
        self.orientation
    }

    /// Whether the shown picture equals the decoded one.
    pub(crate) fn is_plain(self) -> bool {
        self.orientation == Orientation::default() && self.decoded == self.square
    }

    /// The pixels of the decoded picture that a part of the shown one touches.
    pub(crate) fn to_decoded(self, part: PixelRect) -> PixelRect {
        let part = self.orientation.to_decoded(part, self.shown());
        let along = |start: u32, length: u32, from: u32, to: u32| {
            if from == to {
                return (start, length);
            }
            let (from, to) = (u64::from(from.max(1)), u64::from(to));
            let low = (u64::from(start) * to / from).min(to.saturating_sub(1));
            let high = ((u64::from(start) + u64::from(length)) * to).div_ceil(from).clamp(low + 1, to.max(1));
            (low as u32, (high - low) as u32)
        };
        let (x, width) = along(part.x, part.width, self.square.width, self.decoded.width);
        let (y, height) = along(part.y, part.height, self.square.height, self.decoded.height);
        PixelRect { x, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::VideoTransform;
    use proptest::prelude::*;

    use super::*;

    fn aspect(width: i32, height: i32) -> PixelAspect {
        PixelAspect::new(width, height).unwrap()
    }

    #[test]
    fn oblong_pixels_make_one_side_longer() {
        let shown = |width, height, by| {
            let Size { width, height } = Presentation::new(Orientation::default(), Size { width, height }, by).shown();
            (width, height)
        };
        assert_eq!(shown(320, 480, aspect(2, 1)), (640, 480));
        assert_eq!(shown(640, 240, aspect(1, 2)), (640, 480));
        assert_eq!(shown(720, 576, aspect(16, 15)), (768, 576));
        assert_eq!(shown(720, 480, aspect(10, 11)), (720, 528));
        assert_eq!(shown(640, 480, PixelAspect::SQUARE), (640, 480));
        assert_eq!(shown(8192, 8192, aspect(16, 1)), (8192, 8192), "no picture is made too large");
    }

    #[test]
    fn ratios_as_text() {
        assert_eq!(PixelAspect::parse("2:1"), Some(aspect(2, 1)));
        assert_eq!(PixelAspect::parse("10/11"), Some(aspect(10, 11)));
        assert_eq!(PixelAspect::parse("0.5"), Some(aspect(5000, 10_000)));
        for bad in ["", "0:1", "1:0", "-1:1", "100:1", "x", "1:2:3", "nan", "inf"] {
            assert_eq!(PixelAspect::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_part_maps_into_the_decoded_picture(
            (width, height) in (1_u32..400, 1_u32..400),
            (across, down) in (1_i32..16, 1_i32..16),
            transform in prop::sample::select(vec![VideoTransform::None, VideoTransform::Rotate90,
                VideoTransform::Rotate180, VideoTransform::Transverse, VideoTransform::FlipHorizontal]),
            lines in prop::bool::ANY,
            at in (0.0_f64..1.0, 0.0_f64..1.0, 0.0_f64..1.0, 0.0_f64..1.0),
        ) {
            let decoded = Size { width, height };
            let whole = Presentation::new(transform.into(), decoded, aspect(across, down));
            let part = if lines { whole.of_lines((height / 2).max(1)) } else { whole };
            let shown = part.shown();
            prop_assert_eq!(shown, whole.shown());
            let x = ((f64::from(shown.width) * at.0) as u32).min(shown.width - 1);
            let y = ((f64::from(shown.height) * at.1) as u32).min(shown.height - 1);
            let wide = 1 + (f64::from(shown.width - x - 1) * at.2) as u32;
            let high = 1 + (f64::from(shown.height - y - 1) * at.3) as u32;
            let found = part.to_decoded(PixelRect { x, y, width: wide, height: high });
            prop_assert!(found.width > 0 && found.height > 0);
            prop_assert!(found.x + found.width <= part.decoded.width);
            prop_assert!(found.y + found.height <= part.decoded.height);
            let all = part.to_decoded(PixelRect::all(shown));
            prop_assert_eq!(all, PixelRect::all(part.decoded), "all of it is all of it");
        }
    }
}
