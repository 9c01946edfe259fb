//! `{name}`: a filter that drops shots that are too wide for their height.
//!
//! Start here: declare the settings in `MANIFEST` and the stages in `STAGES`, and return a verdict
//! for each item. A rejection needs a rule and a value, so that a user can find out why an object
//! is missing.

use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Stages, StreamInfo, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Greatest ratio of width to height.
    max_ratio: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_ratio: 2.0 }
    }
}

pub struct {type}(Settings);

impl Filter for {type} {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "{name}",
        version: env!("CARGO_PKG_VERSION"),
        description: "Drops shots that are too wide for their height.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "max_ratio": {"type": "number", "minimum": 0, "default": 2, "description": "Greatest ratio of width to height."}
            }
        }"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::SHOTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let ratio = |c: &Candidate| c.detection.rect.width() / c.detection.rect.height();
        candidates.iter().map(|c| Verdict::reject_if(ratio(c) > self.0.max_ratio, "max_ratio", || format!("{:.2}", ratio(c)))).collect()
    }
}

ocellus_plugin::register!({type}: Filter);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Detection, Rect, Size};

    use super::*;

    #[test]
    fn a_shot_that_is_too_wide_is_dropped() {
        let mut filter = {type}(Settings::default());
        let frame = FrameInfo { index: 0, time: 0.0, size: Size { width: 640, height: 480 }, cut: false };
        let shot = |right| {
            let rect = Rect { left: 0.0, top: 0.0, right, bottom: 10.0 };
            Candidate { track: 1, detection: Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None } }
        };
        let verdicts = filter.shots(frame, vec![shot(10.0), shot(30.0)]);
        assert_eq!(verdicts[0], Verdict::Keep);
        assert!(matches!(&verdicts[1], Verdict::Reject(r) if r.value == "3.00"));
    }
}
