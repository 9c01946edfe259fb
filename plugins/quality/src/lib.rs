//! `quality`: a filter that drops shots whose quality is below a minimum. They still extend their
//! tracks.

use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Stages, StreamInfo, Verdict};
use serde::Deserialize;

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least quality of a shot, 0 to 1.
    pub min: f32,
}

/// A session.
#[derive(Debug)]
pub struct Quality(Settings);

impl Filter for Quality {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "quality",
        version: env!("CARGO_PKG_VERSION"),
        description: "Drops shots whose quality is below a minimum.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "min": {"type": "number", "minimum": 0, "maximum": 1, "default": 0, "description": "Least quality of a shot."}
            }
        }"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::SHOTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let quality = |c: &Candidate| c.detection.quality;
        candidates
            .iter()
            .map(|c| Verdict::reject_if(quality(c) < self.0.min, "min", || format!("{:.3}", quality(c))))
            .collect()
    }
}

ocellus_plugin::register!(Quality: Filter);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Detection, Rect, Rejection, Size};

    use super::*;

    #[test]
    fn the_minimum_is_inclusive() {
        let size = Size { width: 640, height: 480 };
        let settings = serde_json::from_str(r#"{"min": 0.5}"#).unwrap();
        let mut filter =
            Quality::open(settings, StreamInfo { object_type: "face".into(), size, frame_rate: None }).unwrap();
        let candidate = |quality| {
            let rect = Rect { left: 0.0, top: 0.0, right: 9.0, bottom: 9.0 };
            Candidate {
                track: 1,
                detection: Detection { rect, score: 1.0, quality, landmarks: None, appearance: None },
            }
        };
        let verdicts =
            filter.shots(FrameInfo { index: 0, time: 0.0, size, cut: false }, vec![candidate(0.5), candidate(0.25)]);
        assert_eq!(verdicts, [Verdict::Keep, Verdict::Reject(Rejection { rule: "min".into(), value: "0.250".into() })]);
    }
}
