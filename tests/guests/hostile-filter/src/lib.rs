//! A filter that misbehaves as its setting says.

use ocellus_plugin::{Attribute, Candidate, Filter, FrameInfo, Manifest, Rejection, Stages, StreamInfo, Verdict};
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Misdeed {
    MillionVerdicts,
    FewerVerdicts,
    LongReason,
    ManyNotes,
}

#[derive(Debug, Deserialize)]
struct Settings {
    misdeed: Misdeed,
}

struct Hostile(Misdeed);

impl Filter for Hostile {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "hostile_filter",
        version: "0.1.0",
        description: "Misbehaves.",
        settings_schema: r#"{"type": "object"}"#,
        ..Manifest::DEFAULT
    };
    const STAGES: Stages = Stages::SHOTS;

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self(settings.misdeed))
    }

    fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let note = || Attribute { key: "k".into(), value: "v".into() };
        let verdict = match self.0 {
            Misdeed::MillionVerdicts => return vec![Verdict::Keep; 1_000_000],
            Misdeed::FewerVerdicts => return vec![],
            Misdeed::LongReason => Verdict::Reject(Rejection { rule: "r".repeat(1000), value: String::new() }),
            Misdeed::ManyNotes => Verdict::Annotate((0..17).map(|_| note()).collect()),
        };
        vec![verdict; candidates.len()]
    }
}

ocellus_plugin::register!(Hostile: Filter);
