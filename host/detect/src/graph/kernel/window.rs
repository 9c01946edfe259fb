//! Sliding windows of convolutions and pooling, with the padding as ONNX defines it.

use onnx_ir::node::padding::{AutoPad, PaddingConfig2d};

/// Geometry of a sliding window; each pair is rows, columns.
#[derive(Clone)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: PaddingConfig2d,
    pub(super) auto_pad: AutoPad,
}

impl Window {
    /// Padding as (before, after) in pixels, of the rows and of the columns of an input of this
    /// size.
    pub(super) fn padding(&self, height: usize, width: usize) -> [(usize, usize); 2] {
        let (top, left, bottom, right) = self.padding.as_tuple();
        match self.auto_pad {
            AutoPad::NotSet => [(top, bottom), (left, right)],
            AutoPad::Valid => [(0, 0), (0, 0)],
            AutoPad::SameUpper | AutoPad::SameLower => {
                let axis = |size, kernel, stride, dilation| {
                    let (small, large) = same_padding(size, kernel, stride, dilation);
                    if self.auto_pad == AutoPad::SameUpper { (small, large) } else { (large, small) }
                };
                let ([kh, kw], [sh, sw], [dh, dw]) = (self.kernel, self.stride, self.dilation);
                [axis(height, kh, sh, dh), axis(width, kw, sw, dw)]
            }
        }
    }
}

/// Padding that gives ceil(size / stride) windows (ONNX's `SAME_UPPER` and `SAME_LOWER`), as its
/// smaller and its larger half.
fn same_padding(size: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let stride = stride.max(1);
    let covered = (size.div_ceil(stride).saturating_sub(1)) * stride + kernel.saturating_sub(1) * dilation + 1;
    let total = covered.saturating_sub(size);
    (total / 2, total - total / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_gives_one_window_per_stride() {
        assert_eq!(same_padding(5, 3, 1, 1), (1, 1));
        assert_eq!(same_padding(5, 3, 2, 1), (1, 1));
        assert_eq!(same_padding(6, 3, 2, 1), (0, 1));
        assert_eq!(same_padding(6, 1, 2, 1), (0, 0));
        assert_eq!(same_padding(7, 3, 1, 2), (2, 2));
    }

    #[test]
    fn the_odd_pixel_goes_to_the_end_for_upper_and_to_the_start_for_lower() {
        let window = |auto_pad| Window {
            kernel: [3, 3],
            stride: [2, 2],
            dilation: [1, 1],
            padding: PaddingConfig2d::Valid,
            auto_pad,
        };
        assert_eq!(window(AutoPad::SameUpper).padding(6, 5), [(0, 1), (1, 1)]);
        assert_eq!(window(AutoPad::SameLower).padding(6, 5), [(1, 0), (1, 1)]);
        assert_eq!(window(AutoPad::Valid).padding(6, 5), [(0, 0), (0, 0)]);
    }
}
