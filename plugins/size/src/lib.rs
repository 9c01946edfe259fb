//! `size`: a filter that drops shots that are too small or too large. They still extend their
//! tracks.
//!
//! The minimum applies to the shorter side of the box and the maximum to the longer one, so that
//! both sides of an accepted box lie between the two.

use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Rect, Stages, StreamInfo, Verdict};
use serde::Deserialize;

/// The settings of `MANIFEST.settings_schema`: in pixels, 0 for no limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least length of the shorter side.
    pub min: u32,
    /// Greatest length of the longer side.
    pub max: u32,
}

/// A session.
#[derive(Debug)]
pub struct Size(Settings);

impl Size {
    /// `within`: size of the frame, to which the box is clipped.
    fn judge(&self, rect: &Rect, within: ocellus_plugin::Size) -> Verdict {
        let (width, height) = (within.width as f32, within.height as f32);
        let rect = Rect {
            left: rect.left.clamp(0.0, width),
            top: rect.top.clamp(0.0, height),
            right: rect.right.clamp(0.0, width),
            bottom: rect.bottom.clamp(0.0, height),
        };
        let (shorter, longer) = (rect.width().min(rect.height()), rect.width().max(rect.height()));
        let Settings { min, max } = self.0;
        if min > 0 && shorter < min as f32 {
            Verdict::reject_if(true, "min", || format!("{shorter:.1}"))
        } else {
            Verdict::reject_if(max > 0 && longer > max as f32, "max", || format!("{longer:.1}"))
        }
    }
}

impl Filter for Size {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "size",
        version: env!("CARGO_PKG_VERSION"),
        description: "Drops shots that are too small or too large.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "min": {"type": "integer", "minimum": 0, "maximum": 100000, "default": 0,
                    "description": "Least length of the box's shorter side in pixels; 0 is no limit."},
                "max": {"type": "integer", "minimum": 0, "maximum": 100000, "default": 0,
                    "description": "Greatest length of the box's longer side in pixels; 0 is no limit."}
            }
        }"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::SHOTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn shots(&mut self, frame: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        candidates.iter().map(|c| self.judge(&c.detection.rect, frame.size)).collect()
    }
}

ocellus_plugin::register!(Size: Filter);

#[cfg(test)]
mod tests {
    use ocellus_plugin::Rejection;

    use super::*;

    const FRAME: ocellus_plugin::Size = ocellus_plugin::Size { width: 20_000, height: 20_000 };

    fn rule(settings: &str, width: f32, height: f32) -> Option<String> {
        let filter = Size(serde_json::from_str(settings).unwrap());
        match filter.judge(&Rect { left: 5.0, top: 5.0, right: 5.0 + width, bottom: 5.0 + height }, FRAME) {
            Verdict::Reject(Rejection { rule, .. }) => Some(rule),
            _ => None,
        }
    }

    #[test]
    fn the_minimum_applies_to_the_shorter_side_and_the_maximum_to_the_longer() {
        let both = r#"{"min": 60, "max": 100}"#;
        assert_eq!(rule(both, 60.0, 100.0), None);
        assert_eq!(rule(both, 59.0, 100.0).as_deref(), Some("min"));
        assert_eq!(rule(both, 101.0, 60.0).as_deref(), Some("max"));
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(rule("{}", 0.5, 5000.0), None);
    }
}
