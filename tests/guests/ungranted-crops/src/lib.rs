//! A filter that reads pictures without the capability in its manifest.

use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Size, Stages, StreamInfo, Verdict, crop};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Settings {}

struct CropReader;

impl Filter for CropReader {
    type Settings = Settings;
    const MANIFEST: Manifest =
        Manifest { name: "curious", version: "0.1.0", description: "Looks anyway.", ..Manifest::DEFAULT };
    const STAGES: Stages = Stages::SHOTS;

    fn open(_: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self)
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let seen = crop(0, 0.0, Size { width: 1, height: 1 }).is_ok();
        candidates.iter().map(|_| Verdict::reject_if(seen, "seen", String::new)).collect()
    }
}

ocellus_plugin::register!(CropReader: Filter);
