//! Quality of a detection as a picture of its object, above 0 and below 1.
//!
//! The odds of the quality are a product of parts, each above 0 and at most 1, and each raised to a
//! weight: one bad property spoils a picture, and no number of good ones makes up for it. No part
//! saturates, so that the better of two pictures has the higher quality. The size is not included:
//! there is a separate filter.
//!
//! | part | from |
//! |---|---|
//! | score | the detector's confidence |
//! | sharpness | detail over contrast, [`Luminance::sharpness`] (Pech-Pacheco et al., ICPR 2000) |
//! | exposure | contrast; distance of the mean from black and white (ISO/IEC 29794-5) |
//! | whole | share within the frame; distance to its edges |
//! | clear | share not covered by nearer boxes; the lower box is nearer (Hoiem et al., CVPR 2006) |
//! | pose | landmarks of a face: turned, nodding or tilted (ISO/IEC 29794-5) |
//!
//! Weights and scales were fitted to crops that a person had labelled useful or useless;
//! `docs/quality.md` of this crate has the result.

use ocellus_core::{Landmarks, ObjectType, Point, Rect, Size};
use ocellus_detect::RawDetection;
use ocellus_media::{Frame, Luminance, Patch, PatchKind};

/// Parameters of the quality of one kind of object.
struct Scale {
    /// Odds if every part is 1.
    best: f64,
    /// Sharpness at which the part is one half.
    half_sharpness: f64,
    weights: Weights,
}

/// Exponents of the parts.
struct Weights {
    score: f64,
    sharpness: f64,
    exposure: f64,
    whole: f64,
    clear: f64,
    pose: f64,
}

const FACE: Scale = Scale {
    best: 65.0,
    half_sharpness: 0.05,
    weights: Weights { score: 6.0, sharpness: 2.4, exposure: 3.0, whole: 1.8, clear: 1.8, pose: 3.0 },
};

const WEIGHTS: Weights = Weights { score: 3.0, sharpness: 1.0, exposure: 0.6, whole: 0.6, clear: 0.6, pose: 0.0 };

const BODY: Scale = Scale { best: 81.0, half_sharpness: 0.3, weights: WEIGHTS };

const OTHER: Scale = Scale { best: 135.0, half_sharpness: 0.3, weights: WEIGHTS };

/// The quality of a detection, given all detections in its frame. Never NaN; 0 for an invalid box.
pub fn quality_in(frame: &Frame, detection: &RawDetection, seen: &[RawDetection]) -> f32 {
    let patch = patch(&detection.rect, frame.size());
    let luma = frame.luma(patch.region, patch.out).ok();
    quality_by(luma.as_deref(), patch.out, detection, seen, frame.size())
}

/// The patch of a box that its quality is measured from.
pub(crate) fn patch(rect: &Rect, frame: Size) -> Patch {
    Patch { kind: PatchKind::Luma, region: *rect, out: Luminance::measured_size(rect, frame) }
}

/// [`quality_in`], from the bytes of the [`patch`] and its size; `None` where it lies outside the
/// frame.
pub(crate) fn quality_by(
    luma: Option<&[u8]>,
    size: Size,
    detection: &RawDetection,
    seen: &[RawDetection],
    frame: Size,
) -> f32 {
    let luminance = luma.map_or_else(Luminance::default, |luma| Luminance::of(luma, size));
    quality(detection, &luminance, clear(detection, seen), frame)
}

/// Preference of a picture as the best shot: the odds of its quality, lowered by the detail that is
/// lost where the object is small. Of two pictures of equal quality a person takes the larger.
pub(crate) fn preference(quality: f32, rect: &Rect) -> f64 {
    /// Pixels of the shorter side at which half of the detail is lost.
    const HALF: f64 = 48.0;
    let (quality, side) = (f64::from(quality), f64::from(rect.width().min(rect.height())).max(0.0));
    quality / (1.0 - quality).max(1e-9) * side / (side + HALF)
}

fn quality(detection: &RawDetection, luminance: &Luminance, clear: f64, frame: Size) -> f32 {
    let RawDetection { object_type, rect, score, landmarks } = detection;
    if !rect.is_valid() || !score.is_finite() {
        return 0.0;
    }
    let scale = scale(object_type);
    let Weights { score: by_score, sharpness, exposure: by_exposure, whole: by_whole, clear: by_clear, pose: by_pose } =
        scale.weights;
    let odds = scale.best
        * f64::from(score.clamp(0.0, 1.0)).powf(by_score)
        * rising(f64::from(luminance.sharpness), scale.half_sharpness).powf(sharpness)
        * exposure(luminance).powf(by_exposure)
        * whole(rect, frame).powf(by_whole)
        * clear.powf(by_clear)
        * landmarks.as_ref().map_or(UNKNOWN_POSE, pose).powf(by_pose);
    (odds / (1.0 + odds)) as f32
}

fn scale(object_type: &ObjectType) -> &'static Scale {
    match object_type.as_str() {
        "face" => &FACE,
        "body" => &BODY,
        _ => &OTHER,
    }
}

/// Rises from 0 towards 1; one half at `half`.
fn rising(value: f64, half: f64) -> f64 {
    let value = value.max(0.0);
    value / (value + half)
}

/// Grows with the contrast, and with the nearness of the mean to mid-grey.
fn exposure(luminance: &Luminance) -> f64 {
    let mean = f64::from(luminance.brightness) / 255.0;
    rising(f64::from(luminance.contrast), 12.0) * (4.0 * mean * (1.0 - mean)).max(0.02).sqrt()
}

/// The share of the box within the frame, lowered by each edge of the frame that is within a
/// fiftieth of the box, since detectors draw the box of a cut-off object along the edge.
fn whole(rect: &Rect, frame: Size) -> f64 {
    const NEAR: f64 = 0.02;
    const SIDE: f64 = 0.7;
    /// A person without feet is still a person.
    const BOTTOM: f64 = 0.5;
    let (width, height) = (f64::from(rect.width()), f64::from(rect.height()));
    let (right, bottom) =
        (f64::from(frame.width) - f64::from(rect.right), f64::from(frame.height) - f64::from(rect.bottom));
    let edges = [
        (f64::from(rect.left) / width, SIDE),
        (f64::from(rect.top) / height, SIDE),
        (right / width, SIDE),
        (bottom / height, BOTTOM),
    ];
    let uncut: f64 =
        edges.iter().map(|(distance, cost)| 1.0 - cost / (1.0 + (distance.max(0.0) / NEAR).powi(2))).product();
    uncut * f64::from(rect.share_within(frame)).powi(2)
}

/// The share of a box that nearer boxes leave uncovered, as if they covered it independently of
/// each other and each with the probability of its score.
///
/// Of two boxes on the ground, the lower one is nearer; of two faces, the larger one. Faces do not
/// cover bodies, and bodies do not cover faces.
fn clear(detection: &RawDetection, seen: &[RawDetection]) -> f64 {
    let is_face = |d: &RawDetection| d.object_type == ObjectType::face();
    let nearness = |d: &RawDetection| if is_face(d) { d.rect.width() * d.rect.height() } else { d.rect.bottom };
    let nearer =
        seen.iter().filter(|other| is_face(other) == is_face(detection) && nearness(other) > nearness(detection));
    nearer
        .map(|other| 1.0 - 0.9 * f64::from(other.score.clamp(0.0, 1.0)) * covered(&detection.rect, &other.rect))
        .product()
}

/// The share of `rect` that `by` covers.
fn covered(rect: &Rect, by: &Rect) -> f64 {
    let share = f64::from(rect.intersection(by).area()) / f64::from(rect.area());
    if share.is_finite() { share.min(1.0) } else { 0.0 }
}

/// Pose of a face whose detector has no landmarks.
const UNKNOWN_POSE: f64 = 0.8;
/// Pose of landmarks that lie in one point or on one line.
const WORST_POSE: f64 = 0.01;

/// How frontal a face is: 1 looking at the camera; .33 in profile, less upside down or face down.
///
/// Turn: how far the nose lies from the middle between the eyes, along the line of the eyes, in eye
/// distances: 0 frontal, about .5 in profile. Nod: where the nose lies on the way from the eyes to
/// the mouth: about .58 level. Tilt: the angle of the line of the eyes, which an alignment undoes
/// as long as it is small.
fn pose(landmarks: &Landmarks) -> f64 {
    let at = |p: &Point| (f64::from(p.x), f64::from(p.y));
    let middle = |(ax, ay): (f64, f64), (bx, by): (f64, f64)| ((ax + bx) / 2.0, (ay + by) / 2.0);
    let [left_eye, right_eye, nose, left_mouth, right_mouth] = landmarks.each_ref().map(at);
    let (dx, dy) = (right_eye.0 - left_eye.0, right_eye.1 - left_eye.1);
    let distance = dx.hypot(dy);
    let (eyes, mouth) = (middle(left_eye, right_eye), middle(left_mouth, right_mouth));
    // Along the eyes, and down from them.
    let (ux, uy) = (dx / distance, dy / distance);
    let along = (nose.0 - eyes.0) * ux + (nose.1 - eyes.1) * uy;
    let down = |(x, y): (f64, f64)| (y - eyes.1) * ux - (x - eyes.0) * uy;

    let falling = |value: f64, half: f64, power: i32| 1.0 / (1.0 + (value / half).abs().powi(power));
    let turn = falling(along / distance, 0.35, 2);
    let nod = falling(down(nose) / down(mouth) - 0.58, 0.35, 2);
    let tilt = falling(dy.atan2(dx).to_degrees(), 45.0, 4);
    let pose = turn * nod * tilt;
    if pose.is_finite() { pose } else { WORST_POSE }
}

#[cfg(test)]
mod tests;
