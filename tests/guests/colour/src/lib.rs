//! A filter that reads pictures and annotates items with their mean colour. Its manifest asks for
//! low limits.

use std::time::Duration;

use ocellus_plugin::{
    Attribute, Candidate, Capability, Filter, FrameInfo, Limits, Manifest, Object, OnFault, Size, Stages, StreamInfo,
    Verdict, crop,
};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Settings {
    /// Side of the pictures; pixels.
    #[serde(default = "side")]
    side: u32,
}

fn side() -> u32 {
    8
}

struct Colour(Settings);

impl Colour {
    fn of(&self, item: usize) -> String {
        let size = Size { width: self.0.side, height: self.0.side };
        match crop(item, 0.0, size) {
            Ok(crop) => {
                let mean = |channel: usize| {
                    let all = crop.rgb.iter().skip(channel).step_by(3);
                    all.clone().map(|v| u64::from(*v)).sum::<u64>() / all.count() as u64
                };
                format!("{} {} {}", mean(0), mean(1), mean(2))
            }
            Err(reason) => reason.name().into(),
        }
    }

    fn notes(&self, items: usize, key: &str) -> Vec<Verdict> {
        (0..items).map(|item| Verdict::Annotate(vec![Attribute { key: key.into(), value: self.of(item) }])).collect()
    }
}

impl Filter for Colour {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "colour",
        version: "0.1.0",
        description: "Notes the mean colour of shots.",
        settings_schema: r#"{"type": "object", "properties": {"side": {"type": "integer", "default": 8}}, "additionalProperties": false}"#,
        capabilities: &[Capability::Crops],
        limits: Limits {
            deadline: Some(Duration::from_millis(100)),
            memory_bytes: Some(8 << 20),
            output_bytes: Some(u64::MAX),
        },
        on_fault: Some(OnFault::Skip),
    };
    const STAGES: Stages = Stages::SHOTS.union(Stages::OBJECTS);

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        self.notes(candidates.len(), "colour")
    }

    fn objects(&mut self, objects: Vec<Object>) -> Vec<Verdict> {
        self.notes(objects.len(), "colour_of_object")
    }
}

ocellus_plugin::register!(Colour: Filter);
