//! Alignment of faces for recognition networks: upright, with eyes, nose and mouth at fixed points.
//!
//! Done by the similarity transform (turn, scale, move; no mirroring) that brings the five
//! landmarks closest to the given points, by least squares (Umeyama 1991, in the plane). In complex
//! numbers it is `point = a * landmark + b`, and with both sides centred the best `a` is a quotient
//! of two sums.

use ocellus_core::{Landmarks, Point, Rect, RgbImage, Size};
use ocellus_media::Frame;

/// Size of the aligned pictures in deliveries.
pub(crate) const SIZE: Size = Size { width: 112, height: 112 };

/// ArcFace's template for 112 x 112: left eye, right eye, nose, left and right corner of the mouth
/// (Deng et al. 2019).
pub(crate) const PLACES: Landmarks = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];

/// From the frame to the aligned picture: `(x, y)` goes to `(re*x - im*y + dx, im*x + re*y + dy)`.
#[derive(Clone, Copy, Debug)]
struct Similarity {
    re: f32,
    im: f32,
    dx: f32,
    dy: f32,
}

impl Similarity {
    /// `None` for landmarks that lie in one point.
    fn between(from: &Landmarks, to: &Landmarks) -> Option<Self> {
        let n = from.len() as f32;
        let mean = |points: &mut dyn Iterator<Item = (f32, f32)>| {
            let (x, y) = points.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
            (x / n, y / n)
        };
        let (fx, fy) = mean(&mut from.iter().map(|p| (p.x, p.y)));
        let (tx, ty) = mean(&mut to.iter().map(|p| (p.x, p.y)));
        let (mut re, mut im, mut size) = (0.0, 0.0, 0.0);
        for (Point { x, y }, Point { x: u, y: v }) in from.iter().zip(to) {
            let (x, y, u, v) = (x - fx, y - fy, u - tx, v - ty);
            re += x * u + y * v;
            im += x * v - y * u;
            size += x * x + y * y;
        }
        let (re, im) = (re / size, im / size);
        let found = Self { re, im, dx: tx - (re * fx - im * fy), dy: ty - (im * fx + re * fy) };
        (re.hypot(im) > 1e-4 && re.is_finite() && im.is_finite()).then_some(found)
    }

    fn scale(self) -> f32 {
        self.re.hypot(self.im)
    }

    /// The point of the frame that a point of the aligned picture comes from.
    fn source(self, u: f32, v: f32) -> (f32, f32) {
        let (u, v) = (u - self.dx, v - self.dy);
        let square = self.re * self.re + self.im * self.im;
        ((self.re * u + self.im * v) / square, (self.re * v - self.im * u) / square)
    }
}

/// The face with its landmarks at `places`, in pixels of a picture of size `out`; black beyond the
/// frame's edge. `None` where the landmarks coincide, or lie outside the frame.
pub(crate) fn aligned(frame: &Frame, landmarks: &Landmarks, places: &Landmarks, out: Size) -> Option<RgbImage> {
    let map = Similarity::between(landmarks, places)?;
    let (across, down) = (out.width as f32, out.height as f32);
    let corners = [(0.0, 0.0), (across, 0.0), (0.0, down), (across, down)].map(|(u, v)| map.source(u, v));
    let bound = |pick: fn(&(f32, f32)) -> f32, size: u32| {
        let low = corners.iter().map(pick).fold(f32::INFINITY, f32::min).floor().clamp(0.0, size as f32);
        let high = corners.iter().map(pick).fold(f32::NEG_INFINITY, f32::max).ceil().clamp(0.0, size as f32);
        (low < high).then_some((low, high))
    };
    let Size { width, height } = frame.size();
    let ((left, right), (top, bottom)) = (bound(|c| c.0, width)?, bound(|c| c.1, height)?);
    // A large face is scaled down before it is rotated, by swscale, which averages all pixels.
    let scale = map.scale().min(1.0);
    let size = |length: f32| (length * scale).ceil().max(1.0) as u32;
    let part = frame
        .rgb(Rect::new(left, top, right, bottom), Size { width: size(right - left), height: size(bottom - top) })
        .ok()?;
    let (sx, sy) = (part.width as f32 / (right - left), part.height as f32 / (bottom - top));

    let mut data = Vec::with_capacity((out.width * out.height * 3) as usize);
    for v in 0..out.height {
        for u in 0..out.width {
            let (x, y) = map.source(u as f32 + 0.5, v as f32 + 0.5);
            data.extend(sample(&part, (x - left) * sx - 0.5, (y - top) * sy - 0.5));
        }
    }
    Some(RgbImage { width: out.width, height: out.height, data })
}

/// Bilinear sample.
fn sample(image: &RgbImage, x: f32, y: f32) -> [u8; 3] {
    let (width, height) = (image.width as f32, image.height as f32);
    if x < -0.5 || y < -0.5 || x > width - 0.5 || y > height - 0.5 {
        return [0; 3];
    }
    let (x, y) = (x.clamp(0.0, width - 1.0), y.clamp(0.0, height - 1.0));
    let (fx, fy) = (x.fract(), y.fract());
    let at = |x: f32, y: f32, channel: usize| {
        let (x, y) = (x.min(width - 1.0) as usize, y.min(height - 1.0) as usize);
        f32::from(image.data.get((y * image.width as usize + x) * 3 + channel).copied().unwrap_or(0))
    };
    [0, 1, 2].map(|c| {
        let upper = at(x, y, c) * (1.0 - fx) + at(x + 1.0, y, c) * fx;
        let lower = at(x, y + 1.0, c) * (1.0 - fx) + at(x + 1.0, y + 1.0, c) * fx;
        (upper * (1.0 - fy) + lower * fy).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A face that was rotated, scaled and moved comes back to the template.
        #[test]
        fn landmarks_land_on_their_places(
            angle in -3.1_f32..3.1,
            scale in 0.2_f32..8.0,
            dx in -500.0_f32..500.0,
            dy in -500.0_f32..500.0,
        ) {
            let (sin, cos) = angle.sin_cos();
            let moved = |Point { x: u, y: v }: Point| Point {
                x: scale * (cos * u - sin * v) + dx,
                y: scale * (sin * u + cos * v) + dy,
            };
            let landmarks = PLACES.map(moved);
            let map = Similarity::between(&landmarks, &PLACES).unwrap();
            prop_assert!((map.scale() * scale - 1.0).abs() < 1e-2);
            for (p, Point { x: u, y: v }) in landmarks.iter().zip(PLACES) {
                let (x, y) = map.source(u, v);
                let near = 0.1 * scale.max(1.0);
                prop_assert!((x - p.x).abs() < near && (y - p.y).abs() < near, "{x},{y} is not {p:?}");
            }
        }
    }

    #[test]
    fn landmarks_in_one_point_have_no_transform() {
        assert!(Similarity::between(&[Point { x: 3.0, y: 3.0 }; 5], &PLACES).is_none());
    }
}
