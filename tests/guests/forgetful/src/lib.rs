//! A canary of `simple_iou` that begins a new track with every detection.

use ocellus_plugin::{Detection, FrameInfo, Manifest, State, StreamInfo, Tracker, Update};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Settings {}

struct Forgetful(u64);

impl Tracker for Forgetful {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "simple_iou",
        version: "0.2.0",
        description: "Remembers nothing.",
        settings_schema: r#"{"type": "object"}"#,
        ..Manifest::DEFAULT
    };

    fn open(_: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(0))
    }

    fn update(&mut self, _: FrameInfo, detections: Vec<Detection>) -> Result<Update, String> {
        let new: Vec<u64> = (self.0 + 1..).take(detections.len()).collect();
        self.0 += new.len() as u64;
        Ok(Update { ids: new.iter().copied().map(Some).collect(), closed: new })
    }

    fn finish(&mut self) -> Vec<u64> {
        Vec::new()
    }

    fn snapshot(&self) -> State {
        State { schema_tag: "forgetful/1".into(), bytes: self.0.to_le_bytes().into() }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        self.0 = u64::from_le_bytes(state.bytes.try_into().map_err(|_| "no state of mine")?);
        Ok(())
    }
}

ocellus_plugin::register!(Forgetful: Tracker);
