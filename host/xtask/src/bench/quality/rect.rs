//! Boxes in pixels: functions on the trackers' type that only the comparison with labels needs.

pub(super) use ocellus_tracking::Rect;

/// From left, top, right, bottom.
pub(super) fn rect([left, top, right, bottom]: [f32; 4]) -> Rect {
    Rect { left, top, right, bottom }
}

pub(super) fn is_valid(rect: &Rect) -> bool {
    let Rect { left, top, right, bottom } = *rect;
    [left, top, right, bottom].iter().all(|side| side.is_finite()) && rect.width() > 0.0 && rect.height() > 0.0
}

pub(super) fn shorter_side(rect: &Rect) -> f32 {
    rect.width().min(rect.height())
}

/// Area of the intersection.
pub(super) fn common(a: &Rect, b: &Rect) -> f32 {
    rect([a.left.max(b.left), a.top.max(b.top), a.right.min(b.right), a.bottom.min(b.bottom)]).area()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_overlap_by_area() {
        let a = rect([0.0, 0.0, 10.0, 20.0]);
        assert_eq!((shorter_side(&a), common(&a, &rect([5.0, 0.0, 15.0, 20.0]))), (10.0, 100.0));
        assert_eq!(common(&a, &rect([10.0, 0.0, 15.0, 20.0])), 0.0);
        assert!(!is_valid(&rect([0.0, 0.0, 0.0, 1.0])));
        assert!(!is_valid(&rect([0.0, 0.0, f32::NAN, 1.0])));
    }
}
