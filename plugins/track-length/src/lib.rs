//! `track-length`: a filter that drops objects whose track is too short.
//!
//! The length is the number of frames from the first detection to the last; frames without a
//! detection count unless `count_gaps` is off.

use ocellus_plugin::{Filter, Manifest, Object, Stages, StreamInfo, Verdict};
use serde::Deserialize;

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Least length in frames.
    pub min: u64,
    /// Whether frames without a detection count.
    pub count_gaps: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { min: 0, count_gaps: true }
    }
}

/// A session.
#[derive(Debug)]
pub struct TrackLength(Settings);

impl Filter for TrackLength {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "track-length",
        version: env!("CARGO_PKG_VERSION"),
        description: "Drops tracks that were seen for too few frames.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "min": {"type": "integer", "minimum": 0, "default": 0, "description": "Least length of a track in frames."},
                "count_gaps": {"type": "boolean", "default": true, "description": "Frames in which nothing was seen of the track count."}
            }
        }"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::OBJECTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn objects(&mut self, objects: Vec<Object>) -> Vec<Verdict> {
        let length = |o: &Object| if self.0.count_gaps { o.frames() } else { o.detections };
        objects.iter().map(|o| Verdict::reject_if(length(o) < self.0.min, "min", || length(o).to_string())).collect()
    }
}

ocellus_plugin::register!(TrackLength: Filter);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Detection, Moment, Rect, Rejection};

    use super::*;

    #[test]
    fn gaps_count_unless_count_gaps_is_off() {
        let filter = |settings| TrackLength(serde_json::from_str(settings).unwrap());
        let moment = |frame| {
            let rect = Rect { left: 0.0, top: 0.0, right: 9.0, bottom: 9.0 };
            Moment {
                frame,
                time: 0.0,
                detection: Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None },
            }
        };
        let object = |first, last| Object {
            track: 1,
            first: moment(first),
            last: moment(last),
            best: moment(first),
            detections: 2,
            end_of_track: true,
        };
        let verdicts = filter(r#"{"min": 5}"#).objects(vec![object(10, 14), object(10, 13)]);
        assert_eq!(verdicts, [Verdict::Keep, Verdict::Reject(Rejection { rule: "min".into(), value: "4".into() })]);
        let verdicts = filter(r#"{"min": 5, "count_gaps": false}"#).objects(vec![object(10, 14)]);
        assert_eq!(verdicts, [Verdict::Reject(Rejection { rule: "min".into(), value: "2".into() })]);
    }
}
