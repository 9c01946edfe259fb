//! Boxes in pixels.

/// A box: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect(pub [f32; 4]);

impl Rect {
    pub(super) fn new(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self([left, top, right, bottom])
    }

    pub(super) fn is_valid(&self) -> bool {
        let (width, height) = self.sides();
        self.0.iter().all(|side| side.is_finite()) && width > 0.0 && height > 0.0
    }

    fn sides(&self) -> (f32, f32) {
        let Self([left, top, right, bottom]) = self;
        (right - left, bottom - top)
    }

    pub(super) fn shorter_side(&self) -> f32 {
        let (width, height) = self.sides();
        width.min(height)
    }

    pub(super) fn area(&self) -> f32 {
        let (width, height) = self.sides();
        width.max(0.0) * height.max(0.0)
    }

    /// Area of what both have in common.
    pub(super) fn common(&self, other: &Self) -> f32 {
        let (Self([l, t, r, b]), Self([left, top, right, bottom])) = (self, other);
        Self([l.max(*left), t.max(*top), r.min(*right), b.min(*bottom)]).area()
    }

    /// Intersection over union.
    pub(super) fn iou(&self, other: &Self) -> f32 {
        let common = self.common(other);
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_overlap_by_area() {
        let a = Rect::new(0.0, 0.0, 10.0, 20.0);
        assert_eq!((a.shorter_side(), a.area(), a.iou(&a)), (10.0, 200.0, 1.0));
        assert_eq!(a.iou(&Rect::new(5.0, 0.0, 15.0, 20.0)), 1.0 / 3.0);
        assert_eq!(a.iou(&Rect::new(10.0, 0.0, 15.0, 20.0)), 0.0);
        assert!(!Rect::new(0.0, 0.0, 0.0, 1.0).is_valid());
        assert!(!Rect::new(0.0, 0.0, f32::NAN, 1.0).is_valid());
    }
}
