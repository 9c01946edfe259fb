//! `nested`: a filter that drops boxes within a larger one of the same type, before tracking.
//!
//! Detectors also report the torso of a person or the bonnet of a car; the overlap of two such
//! boxes (intersection over union) is too small for non-maximum suppression. For
//! `stream_data_filter`.

use ocellus_plugin::{Detection, Filter, FrameInfo, Manifest, Rect, Stages, StreamInfo, Verdict};
use serde::Deserialize;

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The share of a box that must lie within the larger one, 0 to 1.
    pub share: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { share: 0.9 }
    }
}

/// A session.
#[derive(Debug)]
pub struct Nested(Settings);

fn area(r: &Rect) -> f32 {
    r.width() * r.height()
}

/// The share of `inner` that lies within `outer`.
fn share(inner: &Rect, outer: &Rect) -> f32 {
    let width = inner.right.min(outer.right) - inner.left.max(outer.left);
    let height = inner.bottom.min(outer.bottom) - inner.top.max(outer.top);
    width.max(0.0) * height.max(0.0) / area(inner)
}

impl Filter for Nested {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "nested",
        version: env!("CARGO_PKG_VERSION"),
        description: "Drops detections that lie within a larger one of the same type.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "share": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.9,
                    "description": "Share of a box that must lie within the larger one."}
            }
        }"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::DETECTIONS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn detections(&mut self, _: FrameInfo, detections: Vec<Detection>) -> Vec<Verdict> {
        let judge = |d: &Detection| {
            let larger = detections.iter().filter(|o| area(&o.rect) > area(&d.rect));
            let most = larger.map(|o| share(&d.rect, &o.rect)).fold(0.0, f32::max);
            Verdict::reject_if(most > 0.0 && most >= self.0.share, "share", || format!("{most:.2}"))
        };
        detections.iter().map(judge).collect()
    }
}

ocellus_plugin::register!(Nested: Filter);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Rejection, Size};

    use super::*;

    fn judged(boxes: &[[f32; 4]]) -> Vec<Verdict> {
        let size = Size { width: 640, height: 480 };
        let mut filter =
            Nested::open(Settings::default(), StreamInfo { object_type: "body".into(), size, frame_rate: None })
                .unwrap();
        let detection = |[left, top, right, bottom]: &[f32; 4]| {
            let rect = Rect { left: *left, top: *top, right: *right, bottom: *bottom };
            Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None }
        };
        filter.detections(FrameInfo { index: 0, time: 0.0, size, cut: false }, boxes.iter().map(detection).collect())
    }

    #[test]
    fn a_torso_within_a_person_is_dropped() {
        let verdicts = judged(&[[0.0, 0.0, 100.0, 200.0], [10.0, 100.0, 90.0, 200.0]]);
        assert_eq!(
            verdicts,
            [Verdict::Keep, Verdict::Reject(Rejection { rule: "share".into(), value: "1.00".into() })]
        );
    }

    #[test]
    fn neighbours_and_equal_boxes_stay() {
        assert_eq!(judged(&[[0.0, 0.0, 100.0, 200.0], [50.0, 0.0, 140.0, 200.0]]), [Verdict::Keep, Verdict::Keep]);
        assert_eq!(judged(&[[0.0, 0.0, 50.0, 50.0], [0.0, 0.0, 50.0, 50.0]]), [Verdict::Keep, Verdict::Keep]);
    }
}
