//! Filter sessions: the calls of the filter's world, and the rules for its answers.
//!
//! Guarantees: as many verdicts as items, texts within their bounds; a stage that the filter does
//! not name costs no call. Ends with its first fault.

use std::sync::Arc;

use ocellus_core::{Detection, Rect, TrackId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::{Store, component::ResourceAny};

use crate::{
    Digest, FrameInfo, Meters, Pixels, PluginError, StreamInfo,
    bindings::{
        filter as wit,
        filter::exports::ocellus::plugin::filtering,
        types::{self, Stages},
    },
    convert,
    imports::CropAccess,
    plugin::{Plugin, World},
    sandbox::Sandbox,
    store::StoreData,
};

/// When a filter is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before tracking: which detections exist at all.
    Detections,
    /// After tracking: which detections may represent their tracks.
    Shots,
    /// Before posting: which objects are reported.
    Objects,
}

/// Why something was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Named as in the plugin's settings; at most 64 bytes.
    pub rule: String,
    /// What was measured; at most 256 bytes.
    pub value: String,
}

/// A filter's answer for one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The item stays.
    Keep,
    /// The item is dropped.
    Reject(Rejection),
    /// The item stays, with these facts: at most 16 keys of 1 to 64 bytes, with values of at most
    /// 1024.
    Annotate(Vec<(String, String)>),
}

/// A shot candidate: a detection that could represent its track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// As the tracker numbered it.
    pub track: TrackId,
    /// In the frame of the call.
    pub detection: Detection,
}

/// A moment of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The frame's index.
    pub frame: u64,
    /// Stream time in seconds.
    pub time: f64,
    /// Of the track in that frame.
    pub detection: Detection,
}

/// A track about to be posted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// As the tracker numbered it.
    pub track: TrackId,
    /// The first detection of it.
    pub first: Moment,
    /// The latest detection of it.
    pub last: Moment,
    /// The shot that represents it.
    pub best: Moment,
    /// How many frames hold a detection of it.
    pub detections: u64,
    /// False for a realtime shot of a track that goes on.
    pub end_of_track: bool,
}

/// A filter at work on one object type of one job. After an error it is over.
pub struct Filter {
    sandbox: Sandbox,
    bindings: wit::Filter,
    session: ResourceAny,
    stages: Stages,
    reads_crops: bool,
    pixels: Option<Arc<dyn Pixels>>,
}

impl Filter {
    pub(crate) fn open(plugin: &Plugin, settings: &Value, stream: &StreamInfo) -> Result<Option<Self>, PluginError> {
        let World::Filter(pre) = &plugin.world else { return Ok(None) };
        let settings = plugin.settings(settings)?;
        let mut sandbox = plugin.sandbox();
        let (bindings, session) = sandbox.call("open", |store| {
            let bindings = pre.instantiate(&mut *store)?;
            let session =
                bindings.ocellus_plugin_filtering().session().call_open(store, &settings, &convert::stream(stream))?;
            Ok((bindings, session))
        })?;
        let session = sandbox.accepted("open", session)?;
        let reads_crops = !plugin.capabilities.is_empty();
        Ok(Some(Self { sandbox, bindings, session, stages: plugin.stages, reads_crops, pixels: None }))
    }

    /// Whether the filter was granted pictures of the items that it judges.
    pub fn reads_crops(&self) -> bool {
        self.reads_crops
    }

    /// The pixels of the frame that the next calls are about; without effect where it was not
    /// granted them.
    pub fn set_pixels(&mut self, pixels: Option<Arc<dyn Pixels>>) {
        self.pixels = pixels.filter(|_| self.reads_crops);
    }

    /// Whether the filter names a stage. A call in another stage costs nothing and keeps all.
    pub fn wants(&self, stage: Stage) -> bool {
        self.stages.contains(match stage {
            Stage::Detections => Stages::DETECTIONS,
            Stage::Shots => Stages::SHOTS,
            Stage::Objects => Stages::OBJECTS,
        })
    }

    /// One verdict for each detection, in the same order. Once a frame, before tracking.
    ///
    /// # Errors
    /// Whatever ended the session; the caller decides by the fault policy how the job goes on.
    pub fn detections(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Vec<Verdict>, PluginError> {
        let session = self.session;
        self.run(
            Stage::Detections,
            "detections",
            detections,
            |d| d.rect,
            convert::detection,
            |filter, store, detections| filter.call_detections(store, session, convert::frame(frame), detections),
        )
    }

    /// One verdict for each candidate, in the same order. Once a frame, after tracking.
    ///
    /// # Errors
    /// As for [`Filter::detections`].
    pub fn shots(&mut self, frame: &FrameInfo, candidates: &[Candidate]) -> Result<Vec<Verdict>, PluginError> {
        let session = self.session;
        let candidate =
            |c: &Candidate| filtering::Candidate { track: c.track.0, detection: convert::detection(&c.detection) };
        self.run(
            Stage::Shots,
            "shots",
            candidates,
            |c| c.detection.rect,
            candidate,
            |filter, store, candidates| filter.call_shots(store, session, convert::frame(frame), candidates),
        )
    }

    /// One verdict for each object, in the same order.
    ///
    /// # Errors
    /// As for [`Filter::detections`].
    pub fn objects(&mut self, objects: &[Object]) -> Result<Vec<Verdict>, PluginError> {
        let session = self.session;
        let moment = |m: &Moment| filtering::Moment {
            frame: m.frame,
            time: m.time,
            detection: convert::detection(&m.detection),
        };
        let object = |o: &Object| filtering::Object {
            track: o.track.0,
            first: moment(&o.first),
            last: moment(&o.last),
            best: moment(&o.best),
            detections: o.detections,
            end_of_track: o.end_of_track,
        };
        self.run(
            Stage::Objects,
            "objects",
            objects,
            |o| o.best.detection.rect,
            object,
            |filter, store, objects| filter.call_objects(store, session, objects),
        )
    }

    /// Of the component that does the work.
    pub fn digest(&self) -> Digest {
        self.sandbox.digest()
    }

    /// What the session has used so far.
    pub fn meters(&self) -> Meters {
        self.sandbox.meters()
    }

    fn run<T, W>(
        &mut self,
        stage: Stage,
        call: &'static str,
        items: &[T],
        rect: impl Fn(&T) -> Rect,
        convert: impl Fn(&T) -> W,
        ask: impl FnOnce(
            &filtering::GuestSession<'_>,
            &mut Store<StoreData>,
            &[W],
        ) -> wasmtime::Result<Vec<filtering::Verdict>>,
    ) -> Result<Vec<Verdict>, PluginError> {
        if items.is_empty() || !self.wants(stage) {
            return Ok(vec![Verdict::Keep; items.len()]);
        }
        let given: Vec<W> = items.iter().map(convert).collect();
        // An object is of many frames, whose pixels are gone.
        let pixels = self.pixels.clone().filter(|_| stage != Stage::Objects);
        self.sandbox.set_crops(pixels.map(|pixels| CropAccess { pixels, boxes: items.iter().map(rect).collect() }));
        let bindings = &self.bindings;
        let answer =
            self.sandbox.call(call, |store| ask(&bindings.ocellus_plugin_filtering().session(), store, &given))?;
        let verdicts = self.sandbox.checked(call, verdicts(answer, items.len()))?;
        self.sandbox.count_rejected(verdicts.iter().filter(|v| matches!(v, Verdict::Reject(_))).count());
        Ok(verdicts)
    }
}

fn verdicts(answer: Vec<filtering::Verdict>, items: usize) -> Result<Vec<Verdict>, String> {
    if answer.len() != items {
        return Err(format!("{} verdicts for {items} items", answer.len()));
    }
    answer.into_iter().map(verdict).collect()
}

fn verdict(verdict: filtering::Verdict) -> Result<Verdict, String> {
    match verdict {
        filtering::Verdict::Keep => Ok(Verdict::Keep),
        filtering::Verdict::Reject(filtering::Rejection { rule, value }) => {
            if rule.len() > 64 || value.len() > 256 {
                return Err("a rejection has a rule of more than 64 bytes or a value of more than 256".into());
            }
            Ok(Verdict::Reject(Rejection { rule, value }))
        }
        filtering::Verdict::Annotate(attributes) => {
            let sound = |a: &types::Attribute| (1..=64).contains(&a.key.len()) && a.value.len() <= 1024;
            if attributes.len() > 16 || !attributes.iter().all(sound) {
                return Err(
                    "more than 16 attributes, or one with a key not of 1 to 64 bytes or a value of more than 1024"
                        .into(),
                );
            }
            Ok(Verdict::Annotate(attributes.into_iter().map(|a| (a.key, a.value)).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(key: &str, value: &str) -> filtering::Verdict {
        filtering::Verdict::Annotate(vec![types::Attribute { key: key.into(), value: value.into() }])
    }

    #[test]
    fn verdicts_that_break_the_rules() {
        let reject = |rule: usize, value: usize| {
            filtering::Verdict::Reject(filtering::Rejection { rule: "r".repeat(rule), value: "v".repeat(value) })
        };
        let many = filtering::Verdict::Annotate(vec![types::Attribute { key: "k".into(), value: String::new() }; 17]);
        for bad in [
            reject(65, 0),
            reject(1, 257),
            note("", "x"),
            note(&"k".repeat(65), ""),
            note("k", &"v".repeat(1025)),
            many,
        ] {
            assert!(verdict(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(verdicts(vec![filtering::Verdict::Keep], 2).is_err());
        assert_eq!(verdict(note("k", "v")), Ok(Verdict::Annotate(vec![("k".into(), "v".into())])));
    }
}
