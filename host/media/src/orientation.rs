//! Orientation: the eight rotations and mirrorings of EXIF, as the operations that turn a decoded
//! picture into the shown one.

use ocellus_core::{Size, VideoTransform};

/// Transpose (mirror at the main diagonal) first, then mirror left-right, then top-bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    transpose: bool,
    flip_x: bool,
    flip_y: bool,
}

/// A part of a picture, in whole pixels, within its bounds and not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelRect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl PixelRect {
    pub(crate) fn all(size: Size) -> Self {
        Self { x: 0, y: 0, width: size.width, height: size.height }
    }

    pub(crate) fn size(self) -> Size {
        Size { width: self.width, height: self.height }
    }
}

impl From<VideoTransform> for Orientation {
    fn from(transform: VideoTransform) -> Self {
        let (transpose, flip_x, flip_y) = match transform {
            VideoTransform::None => (false, false, false),
            VideoTransform::FlipHorizontal => (false, true, false),
            VideoTransform::Rotate180 => (false, true, true),
            VideoTransform::FlipVertical => (false, false, true),
            VideoTransform::Transpose => (true, false, false),
            VideoTransform::Rotate90 => (true, true, false),
            VideoTransform::Transverse => (true, true, true),
            VideoTransform::Rotate270 => (true, false, true),
        };
        Self { transpose, flip_x, flip_y }
    }
}

impl Orientation {
    /// From a container's display matrix: `[a, b, u, c, d, v, x, y, w]` takes (p, q) to (a p + c q,
    /// b p + d q). Only quarter turns and mirrorings exist here; a matrix for any other angle shows
    /// the picture as it is.
    pub(crate) fn from_display_matrix(matrix: [i32; 9]) -> Self {
        let [a, b, _, c, d, ..] = matrix;
        match (a != 0 && d != 0, b != 0 && c != 0) {
            (true, false) => Self { transpose: false, flip_x: a < 0, flip_y: d < 0 },
            (false, true) => Self { transpose: true, flip_x: c < 0, flip_y: b < 0 },
            _ => Self::default(),
        }
    }

    /// From an EXIF orientation, 1 to 8.
    pub(crate) fn from_exif(number: u32) -> Option<Self> {
        let transform = match number {
            1 => VideoTransform::None,
            2 => VideoTransform::FlipHorizontal,
            3 => VideoTransform::Rotate180,
            4 => VideoTransform::FlipVertical,
            5 => VideoTransform::Transpose,
            6 => VideoTransform::Rotate90,
            7 => VideoTransform::Transverse,
            8 => VideoTransform::Rotate270,
            _ => return None,
        };
        Some(transform.into())
    }

    /// This one first, then `next`.
    pub(crate) fn then(self, next: Self) -> Self {
        let (x, y) = if next.transpose { (self.flip_y, self.flip_x) } else { (self.flip_x, self.flip_y) };
        Self { transpose: self.transpose != next.transpose, flip_x: x != next.flip_x, flip_y: y != next.flip_y }
    }

    /// The size after rotation; also, as swapping twice restores the sides, the size before.
    pub(crate) fn size(self, size: Size) -> Size {
        if self.transpose { Size { width: size.height, height: size.width } } else { size }
    }

    /// The part of the decoded picture that shows as `part` of the picture of size `shown`.
    pub(crate) fn to_decoded(self, part: PixelRect, shown: Size) -> PixelRect {
        let x = if self.flip_x { shown.width - part.x - part.width } else { part.x };
        let y = if self.flip_y { shown.height - part.y - part.height } else { part.y };
        if self.transpose {
            PixelRect { x: y, y: x, width: part.height, height: part.width }
        } else {
            PixelRect { x, y, width: part.width, height: part.height }
        }
    }

    /// Copies a picture of `size` with `N` bytes per pixel, rotated, to the top left of `target`.
    /// Strides are in bytes. Pixels outside `target` are dropped.
    ///
    /// What does not fit into `target` is left out.
    pub(crate) fn place<const N: usize>(
        self,
        source: &[u8],
        source_stride: usize,
        size: Size,
        target: &mut [u8],
        target_stride: usize,
    ) {
        let shown = self.size(size);
        let (width, height) = (shown.width as usize, shown.height as usize);
        for (y, row) in target.chunks_mut(target_stride.max(1)).take(height).enumerate() {
            let y = if self.flip_y { height - 1 - y } else { y };
            if !self.transpose && !self.flip_x {
                let start = y * source_stride;
                if let (Some(from), Some(to)) = (source.get(start..start + width * N), row.get_mut(..width * N)) {
                    to.copy_from_slice(from);
                }
                continue;
            }
            for (x, pixel) in row.chunks_exact_mut(N).take(width).enumerate() {
                let x = if self.flip_x { width - 1 - x } else { x };
                let start = if self.transpose { x * source_stride + y * N } else { y * source_stride + x * N };
                if let Some(from) = source.get(start..start + N) {
                    pixel.copy_from_slice(from);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIF: [VideoTransform; 8] = [
        VideoTransform::None,
        VideoTransform::FlipHorizontal,
        VideoTransform::Rotate180,
        VideoTransform::FlipVertical,
        VideoTransform::Transpose,
        VideoTransform::Rotate90,
        VideoTransform::Transverse,
        VideoTransform::Rotate270,
    ];

    /// The picture
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// ```
    fn turned(orientation: Orientation) -> (Size, Vec<u8>) {
        let size = Size { width: 3, height: 2 };
        let shown = orientation.size(size);
        let mut out = vec![0; 6];
        orientation.place::<1>(&[1, 2, 3, 0, 4, 5, 6, 0], 4, size, &mut out, shown.width as usize);
        (shown, out)
    }

    #[test]
    fn the_eight_of_exif() {
        let pictures = EXIF.map(|t| turned(t.into()).1);
        assert_eq!(pictures[0], [1, 2, 3, 4, 5, 6]);
        assert_eq!(pictures[1], [3, 2, 1, 6, 5, 4]);
        assert_eq!(pictures[2], [6, 5, 4, 3, 2, 1]);
        assert_eq!(pictures[3], [4, 5, 6, 1, 2, 3]);
        assert_eq!(pictures[4], [1, 4, 2, 5, 3, 6]);
        assert_eq!(pictures[5], [4, 1, 5, 2, 6, 3]);
        assert_eq!(pictures[6], [6, 3, 5, 2, 4, 1]);
        assert_eq!(pictures[7], [3, 6, 2, 5, 1, 4]);
    }

    #[test]
    fn applying_two_is_applying_their_composition() {
        for first in EXIF {
            for second in EXIF {
                let (size, once) = turned(first.into());
                let second = Orientation::from(second);
                let mut twice = vec![0; 6];
                second.place::<1>(&once, size.width as usize, size, &mut twice, second.size(size).width as usize);
                assert_eq!(turned(Orientation::from(first).then(second)).1, twice, "{first:?} then {second:?}");
            }
        }
    }

    #[test]
    fn a_shown_part_maps_back_to_its_pixels() {
        for transform in EXIF {
            let orientation = Orientation::from(transform);
            let (shown, picture) = turned(orientation);
            for y in 0..shown.height {
                for x in 0..shown.width {
                    let at = orientation.to_decoded(PixelRect { x, y, width: 1, height: 1 }, shown);
                    assert_eq!(picture[(y * shown.width + x) as usize] as u32, at.y * 3 + at.x + 1, "{transform:?}");
                }
            }
        }
    }

    #[test]
    fn display_matrices_of_telephones() {
        let one = 1 << 16;
        assert_eq!(
            Orientation::from_display_matrix([0, one, 0, -one, 0, 0, 0, 0, 1 << 30]),
            VideoTransform::Rotate90.into()
        );
        assert_eq!(
            Orientation::from_display_matrix([0, -one, 0, one, 0, 0, 0, 0, 1 << 30]),
            VideoTransform::Rotate270.into()
        );
        assert_eq!(
            Orientation::from_display_matrix([-one, 0, 0, 0, -one, 0, 0, 0, 1 << 30]),
            VideoTransform::Rotate180.into()
        );
        assert_eq!(
            Orientation::from_display_matrix([one, 0, 0, 0, one, 0, 0, 0, 1 << 30]),
            VideoTransform::None.into()
        );
        assert_eq!(
            Orientation::from_display_matrix([one, one, 0, -one, one, 0, 0, 0, 1 << 30]),
            VideoTransform::None.into()
        );
    }
}
