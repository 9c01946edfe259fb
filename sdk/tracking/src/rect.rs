//! Boxes and their overlap.

/// A box in pixels, x to the right and y down; empty unless `left < right` and `top < bottom`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// The least x.
    pub left: f32,
    /// The least y.
    pub top: f32,
    /// The greatest x.
    pub right: f32,
    /// The greatest y.
    pub bottom: f32,
}

impl Rect {
    /// In pixels; not above 0 for an empty box.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// In pixels; not above 0 for an empty box.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// In square pixels; 0 for an empty box.
    pub fn area(&self) -> f32 {
        greater(self.width(), 0.0) * greater(self.height(), 0.0)
    }

    /// This box with `share` of its width and height added on each side.
    pub fn buffered(&self, share: f32) -> Self {
        let (x, y) = (share * self.width(), share * self.height());
        Self { left: self.left - x, top: self.top - y, right: self.right + x, bottom: self.bottom + y }
    }

    /// Intersection over union (the Jaccard index), 0 to 1; 0 where either is empty or not finite.
    pub fn iou(&self, other: &Self) -> f32 {
        let width = lesser(self.right, other.right) - greater(self.left, other.left);
        let height = lesser(self.bottom, other.bottom) - greater(self.top, other.top);
        // Most pairs of a frame end here.
        if !(width > 0.0 && height > 0.0) {
            return 0.0;
        }
        let shared = width * height;
        let iou = shared / (self.area() + other.area() - shared);
        // NaN for infinite boxes.
        if iou.is_finite() { iou.clamp(0.0, 1.0) } else { 0.0 }
    }
}

// `f32::max` and `f32::min` treat NaN differently from WebAssembly's instructions, and become calls
// there.
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rects() -> impl Strategy<Value = Rect> {
        (-50f32..50.0, -50f32..50.0, 0.5f32..50.0, 0.5f32..50.0).prop_map(|(left, top, w, h)| Rect {
            left,
            top,
            right: left + w,
            bottom: top + h,
        })
    }

    #[test]
    fn two_boxes_that_share_a_third_of_their_union() {
        let a = Rect { left: 0.0, top: 0.0, right: 2.0, bottom: 1.0 };
        let b = Rect { left: 1.0, top: 0.0, right: 3.0, bottom: 1.0 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_buffer_is_a_share_of_each_side() {
        let a = Rect { left: 10.0, top: 20.0, right: 20.0, bottom: 40.0 };
        assert_eq!(a.buffered(0.5), Rect { left: 5.0, top: 10.0, right: 25.0, bottom: 50.0 });
        assert_eq!(a.buffered(0.0), a);
    }

    #[test]
    fn invalid_boxes_overlap_nothing() {
        let sound = Rect { left: 0.0, top: 0.0, right: 2.0, bottom: 1.0 };
        for odd in [
            Rect::default(),
            Rect { left: 2.0, top: 1.0, right: 0.0, bottom: 0.0 },
            Rect { left: f32::NAN, top: 0.0, right: f32::NAN, bottom: 1.0 },
            Rect { left: f32::NEG_INFINITY, top: 0.0, right: f32::INFINITY, bottom: 1.0 },
        ] {
            assert_eq!(sound.iou(&odd), 0.0, "{odd:?}");
            assert_eq!(odd.iou(&odd), 0.0, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_a_share(a in rects(), b in rects()) {
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert_eq!(iou, b.iou(&a));
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-4);
        }
    }
}
