//! Motion gate: frames without motion skip the detectors.
//!
//! Intensity is the mean absolute difference of luma, as a share of white, between a frame and the
//! last one that passed, both scaled to a small picture. Comparing with the last one that *passed*
//! means that slow motion adds up until it passes. Sensor noise is averaged away by the scaling
//! and stays near .002; a person who walks through a hall makes .01 to .03; a pan of the camera .1
//! and more.

use ocellus_core::{Rect, Size};
use ocellus_media::{Frame, Scaler};

/// Size at which frames are compared.
const COMPARED_SIZE: Size = Size { width: 64, height: 36 };

pub(crate) struct MotionGate {
    /// 0..=1; 0 lets everything through.
    threshold: f64,
    scaler: Scaler,
    before: Option<Vec<u8>>,
    /// Buffer for the next measurement.
    spare: Vec<u8>,
}

impl MotionGate {
    pub(crate) fn new(threshold: f64) -> Self {
        Self { threshold, scaler: Scaler::new(), before: None, spare: Vec::new() }
    }

    /// Whether nothing moved within `region` since the last frame for which this was false. False
    /// for the first frame.
    pub(crate) fn is_static(&mut self, frame: &Frame, region: Rect) -> bool {
        if self.threshold <= 0.0 {
            return false;
        }
        // A frame that cannot be measured passes.
        let mut now = std::mem::take(&mut self.spare);
        let measured = self.scaler.brightness(frame, region, COMPARED_SIZE, &mut now);
        measured.is_ok() && self.compare(now)
    }

    /// Drops the last frame that passed: the next one is not compared with it.
    pub(crate) fn forget(&mut self) {
        self.before = None;
    }

    fn compare(&mut self, now: Vec<u8>) -> bool {
        if self.before.as_ref().is_some_and(|before| intensity(before, &now) < self.threshold) {
            self.spare = now;
            return true;
        }
        self.spare = self.before.replace(now).unwrap_or_default();
        false
    }
}

/// Mean absolute difference of luma, 0..=1.
fn intensity(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / (a.len().max(1) as f64 * 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(threshold: f64) -> MotionGate {
        MotionGate::new(threshold)
    }

    #[test]
    fn noise_is_not_motion_and_a_moving_object_is() {
        let mut gate = gate(0.005);
        let empty = vec![100; 64 * 36];
        assert!(!gate.compare(empty.clone()), "there is nothing to compare the first with");
        assert!(gate.compare(empty.iter().map(|v| v + 1).collect()));
        let mut moved = empty;
        moved.iter_mut().take(64 * 2).for_each(|v| *v = 200);
        assert!(!gate.compare(moved));
    }

    #[test]
    fn motion_is_not_measured_from_a_dropped_frame() {
        let mut gate = gate(0.02);
        let frame = vec![100; 64 * 36];
        assert!(!gate.compare(frame.clone()) && gate.compare(frame.clone()));
        gate.forget();
        assert!(!gate.compare(frame));
    }

    #[test]
    fn slow_motion_adds_up() {
        let mut gate = gate(0.02);
        let fade = |level: u8| vec![level; 64 * 36];
        let is_static: Vec<bool> = (100..112).map(|level| gate.compare(fade(level))).collect();
        assert_eq!(is_static.iter().filter(|is_static| !**is_static).count(), 2, "{is_static:?}");
    }
}
