//! Quality of a detection as a picture of its object, from 0 to 1.
//!
//! Quality is a product of terms, each 1 where a picture is good enough in that respect and falling
//! to a floor where it is useless: one bad property spoils a picture, and no number of good ones
//! makes up for it. All terms are ramps between two values that were set by inspecting pictures;
//! `docs/analysis.md` of this crate has results.
//!
//! | term | from | face | body, car, others |
//! |---|---|---|---|
//! | confidence | detector score | .50 to .80 | .30 to .65 |
//! | size | shorter side of the box, pixels | 20 to 64 | 24 to 80 |
//! | sharpness | variance of the Laplacian ([`ocellus_media::sharpness`]) | 3 to 16 | 40 to 250 |
//! | whole | share of the box that lies within the frame | .60 to .95 | .60 to .98 |
//! | pose | landmarks: turned, tilted or nodding head | see [`pose`] | - |

use ocellus_core::{Landmarks, ObjectType, Rect, Size};
use ocellus_detect::RawDetection;
use ocellus_media::{Frame, SHARPNESS_SIZE};

/// A ramp from (`low`, `floor`) to (`high`, 1).
struct Ramp {
    low: f32,
    high: f32,
    floor: f32,
}

impl Ramp {
    const fn new(low: f32, high: f32, floor: f32) -> Self {
        Self { low, high, floor }
    }

    fn at(&self, value: f32) -> f32 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.floor + (1.0 - self.floor) * share
    }
}

/// Ramps of the terms for one kind of object.
struct Scale {
    confidence: Ramp,
    size: Ramp,
    sharpness: Ramp,
    whole: Ramp,
}

const FACE: Scale = Scale {
    confidence: Ramp::new(0.50, 0.80, 0.55),
    size: Ramp::new(20.0, 64.0, 0.30),
    sharpness: Ramp::new(3.0, 16.0, 0.25),
    whole: Ramp::new(0.60, 0.95, 0.20),
};

const OTHER: Scale = Scale {
    confidence: Ramp::new(0.30, 0.65, 0.45),
    size: Ramp::new(24.0, 80.0, 0.35),
    sharpness: Ramp::new(40.0, 250.0, 0.40),
    whole: Ramp::new(0.60, 0.98, 0.30),
};

/// The quality of a detection.
///
/// `score` is the detector's, 0..=1; `sharpness` as [`ocellus_media::sharpness`] measures it;
/// `landmarks` count for faces only. Never NaN; 0 for a box that is none.
pub fn quality(
    object_type: &ObjectType,
    rect: &Rect,
    score: f32,
    sharpness: f32,
    landmarks: Option<&Landmarks>,
    frame: Size,
) -> f32 {
    if !rect.is_valid() || !score.is_finite() || !sharpness.is_finite() {
        return 0.0;
    }
    let face = *object_type == ObjectType::face();
    let scale = if face { FACE } else { OTHER };
    let pose = if face { landmarks.map_or(1.0, pose) } else { 1.0 };
    scale.confidence.at(score)
        * scale.size.at(rect.width().min(rect.height()))
        * scale.sharpness.at(sharpness)
        * scale.whole.at(rect.share_within(frame))
        * pose
}

/// The quality of what a detector saw in a frame.
pub(crate) fn quality_in(frame: &Frame, seen: &RawDetection) -> f32 {
    let RawDetection { object_type, rect, score, landmarks } = seen;
    let sharpness =
        frame.luma(*rect, SHARPNESS_SIZE).map_or(0.0, |grey| ocellus_media::sharpness(&grey, SHARPNESS_SIZE));
    quality(object_type, rect, *score, sharpness, landmarks.as_ref(), frame.size())
}

/// How frontal a face is: 1 looking at the camera, falling to 0.1 in profile, upside down or face
/// down.
///
/// Turn: how far the nose lies from the middle between the eyes, along the line of the eyes, in eye
/// distances: 0 frontal, about 0.5 in profile. Nod: where the nose lies on the way from the eyes to
/// the mouth: about 0.6 level. Tilt: the angle of the line of the eyes; only beyond 30 degrees does
/// it count.
fn pose(landmarks: &Landmarks) -> f32 {
    const TURN: Ramp = Ramp::new(-0.50, -0.18, 0.1);
    const NOD: Ramp = Ramp::new(-0.45, -0.22, 0.2);
    const TILT: Ramp = Ramp::new(0.0, 0.87, 0.1);

    let [left_eye, right_eye, nose, left_mouth, right_mouth] = *landmarks;
    let (dx, dy) = (right_eye.x - left_eye.x, right_eye.y - left_eye.y);
    let distance = dx.hypot(dy);
    let middle = |a: ocellus_core::Point, b: ocellus_core::Point| ((a.x + b.x) / 2.0, (a.y + b.y) / 2.0);
    let (eyes, mouth) = (middle(left_eye, right_eye), middle(left_mouth, right_mouth));
    // Along the eyes, and down from them.
    let (ux, uy) = (dx / distance, dy / distance);
    let along = (nose.x - eyes.0) * ux + (nose.y - eyes.1) * uy;
    let down = |x: f32, y: f32| (y - eyes.1) * ux - (x - eyes.0) * uy;
    let (nose_down, mouth_down) = (down(nose.x, nose.y), down(mouth.0, mouth.1));

    let pose = TURN.at(-(along / distance).abs()) * NOD.at(-(nose_down / mouth_down - 0.58).abs()) * TILT.at(ux);
    if pose.is_finite() { pose } else { 0.1 }
}

#[cfg(test)]
mod tests {
    use ocellus_core::Point;

    use super::*;

    const FRAME: Size = Size { width: 1280, height: 720 };
    const SHARP: f32 = 400.0;

    fn square(side: f32) -> Rect {
        Rect::new(200.0, 200.0, 200.0 + side, 200.0 + side)
    }

    /// Landmarks of a face of 100 pixels, the nose moved sideways by `turn` eye distances.
    fn turned(turn: f32) -> Landmarks {
        let p = |x: f32, y: f32| Point { x: 200.0 + x, y: 200.0 + y };
        [p(30.0, 40.0), p(70.0, 40.0), p(50.0 + 40.0 * turn, 63.0), p(35.0, 80.0), p(65.0, 80.0)]
    }

    #[test]
    fn a_clear_frontal_face_of_100_pixels_is_above_point_eight() {
        assert!(quality(&ObjectType::face(), &square(100.0), 0.8, SHARP, Some(&turned(0.0)), FRAME) > 0.8);
    }

    #[test]
    fn a_blurred_or_a_profile_face_is_below_the_default_threshold() {
        assert!(quality(&ObjectType::face(), &square(100.0), 0.8, 3.0, Some(&turned(0.0)), FRAME) < 0.4);
        assert!(quality(&ObjectType::face(), &square(100.0), 0.8, SHARP, Some(&turned(0.5)), FRAME) < 0.4);
    }

    #[test]
    fn a_car_that_leaves_the_frame_is_below_the_default_threshold() {
        let half_out = Rect::new(1180.0, 200.0, 1380.0, 320.0);
        assert!(quality(&ObjectType::car(), &half_out, 0.9, SHARP, None, FRAME) < 0.65);
        assert!(quality(&ObjectType::car(), &square(120.0), 0.9, SHARP, None, FRAME) > 0.65);
    }

    #[test]
    fn an_upside_down_face_is_bad() {
        let mut landmarks = turned(0.0);
        for p in &mut landmarks {
            (p.x, p.y) = (500.0 - p.x, 500.0 - p.y);
        }
        assert!(pose(&landmarks) < 0.2);
    }

    #[test]
    fn nonsense_has_a_quality_too() {
        let nan = f32::NAN;
        assert_eq!(quality(&ObjectType::face(), &Rect::new(nan, 0.0, 1.0, 1.0), 0.9, SHARP, None, FRAME), 0.0);
        let one_point = [Point { x: 1.0, y: 1.0 }; 5];
        let q = quality(&ObjectType::face(), &square(50.0), 0.9, SHARP, Some(&one_point), FRAME);
        assert!((0.0..=1.0).contains(&q));
    }
}
