//! A canary of `quality` that keeps what `quality` rejects, and the other way round. With some
//! settings it faults instead.

use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Stages, StreamInfo, Verdict};
use serde::Deserialize;

/// Values of the setting `min` with which it traps or loops forever.
const TRAPS: f32 = 0.5;
const SPINS: f32 = 0.25;

#[derive(Debug, Deserialize)]
struct Settings {
    min: f32,
}

struct Contrary(Settings);

impl Filter for Contrary {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "quality",
        version: "0.2.0",
        description: "Rejects what is good.",
        settings_schema: r#"{"type": "object"}"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::SHOTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let min = self.0.min;
        assert!(min != TRAPS);
        while min == SPINS {
            std::hint::black_box(());
        }
        candidates
            .iter()
            .map(|c| Verdict::reject_if(c.detection.quality >= min, "max", || format!("{:.1}", c.detection.quality)))
            .collect()
    }
}

ocellus_plugin::register!(Contrary: Filter);
