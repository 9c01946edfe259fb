//! Boxes and regions, in pixels of the frame as the user sees it (after `video_transform`), origin
//! top left.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// The rectangle that covers a frame of this size.
    pub fn to_rect(self) -> Rect {
        Rect::new(0.0, 0.0, self.width as f32, self.height as f32)
    }
}

/// A point in the frame, in fractional pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// From the left edge.
    pub x: f32,
    /// From the top edge.
    pub y: f32,
}

/// A box: `left <= right`, `top <= bottom`, in fractional pixels. May reach over the frame's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Smallest x.
    pub left: f32,
    /// Smallest y.
    pub top: f32,
    /// Largest x, exclusive.
    pub right: f32,
    /// Largest y, exclusive.
    pub bottom: f32,
}

impl Rect {
    /// The edges are not checked: see [`Rect::is_valid`].
    pub fn new(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self { left, top, right, bottom }
    }

    /// Negative where the edges are out of order.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// Negative where the edges are out of order.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Square pixels; 0 where the edges are out of order.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The point in the middle.
    pub fn center(&self) -> Point {
        Point { x: (self.left + self.right) / 2.0, y: (self.top + self.bottom) / 2.0 }
    }

    /// The overlap of both; of zero size where they do not meet.
    #[must_use]
    pub fn intersection(&self, other: &Rect) -> Rect {
        let (left, top) = (self.left.max(other.left), self.top.max(other.top));
        Rect { left, top, right: self.right.min(other.right).max(left), bottom: self.bottom.min(other.bottom).max(top) }
    }

    /// Intersection over union, 0..=1.
    pub fn iou(&self, other: &Rect) -> f32 {
        let shared = self.intersection(other).area();
        let all = self.area() + other.area() - shared;
        if all > 0.0 { shared / all } else { 0.0 }
    }

    /// The share of this box that lies within a frame of `size`, 0..=1.
    pub fn share_within(&self, size: Size) -> f32 {
        let frame = size.to_rect();
        let area = self.area();
        if area > 0.0 { self.intersection(&frame).area() / area } else { 0.0 }
    }

    /// The box grown by `share` of its own width and height on every side.
    #[must_use]
    pub fn padded(&self, share: f32) -> Rect {
        let (dx, dy) = (self.width() * share, self.height() * share);
        Rect::new(self.left - dx, self.top - dy, self.right + dx, self.bottom + dy)
    }

    /// Whether the edges are finite and in order, and the box is not empty.
    pub fn is_valid(&self) -> bool {
        [self.left, self.top, self.right, self.bottom].iter().all(|v| v.is_finite())
            && self.right > self.left
            && self.bottom > self.top
    }

    /// The form that the API prints: `[left, top, right, bottom]` rounded to whole pixels and
    /// clipped to the frame.
    pub fn to_pixels(&self, frame: Size) -> [i32; 4] {
        let x = |v: f32| v.round().clamp(0.0, frame.width as f32) as i32;
        let y = |v: f32| v.round().clamp(0.0, frame.height as f32) as i32;
        [x(self.left), y(self.top), x(self.right), y(self.bottom)]
    }
}

/// A rectangle of whole pixels, written `WxH+X+Y`: `roi` and `rot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Pixels, at least 1 where it was parsed.
    pub width: u32,
    /// Pixels, at least 1 where it was parsed.
    pub height: u32,
    /// Left edge; may lie outside the frame.
    pub x: i32,
    /// Top edge; may lie outside the frame.
    pub y: i32,
}

impl Region {
    /// The same area as a box.
    pub fn to_rect(self) -> Rect {
        let (x, y) = (self.x as f32, self.y as f32);
        Rect::new(x, y, x + self.width as f32, y + self.height as f32)
    }

    /// Left and top edge belong to the region, right and bottom edge do not.
    pub fn contains(self, p: Point) -> bool {
        let r = self.to_rect();
        p.x >= r.left && p.x < r.right && p.y >= r.top && p.y < r.bottom
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}+{}+{}", self.width, self.height, self.x, self.y)
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let parsed = (|| {
            let (size, position) = s.split_once('+')?;
            let (width, height) = size.split_once('x')?;
            let (x, y) = position.split_once('+')?;
            let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            let signed = |s: &str| digits(s.strip_prefix('-').unwrap_or(s));
            if !(digits(width) && digits(height) && signed(x) && signed(y)) {
                return None;
            }
            let region = Region {
                width: width.parse().ok()?,
                height: height.parse().ok()?,
                x: x.parse().ok()?,
                y: y.parse().ok()?,
            };
            (region.width > 0 && region.height > 0).then_some(region)
        })();
        parsed.ok_or_else(|| format!("{s:?} is no rectangle: expected WxH+X+Y in pixels, for example 640x480+0+0"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_regions_are_refused() {
        for bad in [
            "",
            "string",
            "0x10+0+0",
            "10x0+0+0",
            "10x10",
            "10x10+1",
            "10x10+1+",
            "-1x10+0+0",
            "10x10+0+0+0",
            " 10x10+0+0",
            "10X10+0+0",
            "99999999999x1+0+0",
        ] {
            assert!(bad.parse::<Region>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_region_holds_its_left_edge_and_not_its_right() {
        let region: Region = "10x10+5+5".parse().unwrap();
        assert!(region.contains(Point { x: 5.0, y: 5.0 }));
        assert!(!region.contains(Point { x: 15.0, y: 5.0 }));
    }

    fn rects() -> impl Strategy<Value = Rect> {
        (-50f32..50.0, -50f32..50.0, 0.5f32..50.0, 0.5f32..50.0).prop_map(|(x, y, w, h)| Rect::new(x, y, x + w, y + h))
    }

    proptest! {
        #[test]
        fn a_region_survives_print_and_parse(width in 1u32.., height in 1u32.., x in 0i32.., y in 0i32..) {
            let region = Region { width, height, x, y };
            prop_assert_eq!(region.to_string().parse::<Region>().unwrap(), region);
        }

        #[test]
        fn iou_is_symmetric_and_from_0_to_1(a in rects(), b in rects()) {
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert!((iou - b.iou(&a)).abs() < 1e-5);
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-4);
        }
    }
}
