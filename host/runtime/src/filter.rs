//! Filter sessions: calls of a filter plugin, and validation of its verdicts.
//!
//! Guarantees: as many verdicts as items, strings within their limits; no call in a stage that the
//! filter does not declare. Ends with its first fault.

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

/// Stage at which a filter is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before tracking: drops detections.
    Detections,
    /// After tracking: drops shot candidates.
    Shots,
    /// Before posting: drops objects.
    Objects,
}

/// Reason of a rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Key of the plugin's setting that caused it; at most 64 bytes.
    pub rule: String,
    /// The measured value; at most 256 bytes.
    pub value: String,
}

/// A filter's decision on one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The item stays.
    Keep,
    /// The item is dropped.
    Reject(Rejection),
    /// The item stays, with these attributes: at most 16 keys of 1 to 64 bytes, with values of at
    /// most 1024.
    Annotate(Vec<(String, String)>),
}

/// A shot candidate: a detection that could represent its track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Id given by the tracker.
    pub track: TrackId,
    /// Its detection in the frame of the call.
    pub detection: Detection,
}

/// A detection of a track, with its frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The frame's index.
    pub frame: u64,
    /// Stream time in seconds.
    pub time: f64,
    /// The track's detection in that frame.
    pub detection: Detection,
}

/// A track that is about to be posted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Id given by the tracker.
    pub track: TrackId,
    /// Its first detection.
    pub first: Moment,
    /// Its latest detection.
    pub last: Moment,
    /// Its best shot.
    pub best: Moment,
    /// Number of frames with a detection of it.
    pub detections: u64,
    /// False for a realtime shot of an open track.
    pub end_of_track: bool,
}

/// Session of a filter for one object type of one job. Unusable after an error.
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

    /// Whether the filter was granted crops of its items.
    pub fn reads_crops(&self) -> bool {
        self.reads_crops
    }

    /// Sets the pixels of the frame of the next calls; no effect where the filter was not granted
    /// crops.
    pub fn set_pixels(&mut self, pixels: Option<Arc<dyn Pixels>>) {
        self.pixels = pixels.filter(|_| self.reads_crops);
    }

    /// Whether the filter declares a stage. In others it is not called, and all items are kept.
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
    /// Any fault, which ends the session; the caller applies the fault policy.
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

    /// Digest of the component.
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
        call_guest: impl FnOnce(
            &filtering::GuestSession<'_>,
            &mut Store<StoreData>,
            &[W],
        ) -> wasmtime::Result<Vec<filtering::Verdict>>,
    ) -> Result<Vec<Verdict>, PluginError> {
        if items.is_empty() || !self.wants(stage) {
            return Ok(vec![Verdict::Keep; items.len()]);
        }
        let converted: Vec<W> = items.iter().map(convert).collect();
        // The frames of an object are not in memory any more.
        let pixels = self.pixels.clone().filter(|_| stage != Stage::Objects);
        self.sandbox.set_crops(pixels.map(|pixels| CropAccess { pixels, boxes: items.iter().map(rect).collect() }));
        let bindings = &self.bindings;
        let returned = self
            .sandbox
            .call(call, |store| call_guest(&bindings.ocellus_plugin_filtering().session(), store, &converted))?;
        let verdicts = self.sandbox.checked(call, verdicts(returned, items.len()))?;
        self.sandbox.count_rejected(verdicts.iter().filter(|v| matches!(v, Verdict::Reject(_))).count());
        Ok(verdicts)
    }
}

fn verdicts(returned: Vec<filtering::Verdict>, items: usize) -> Result<Vec<Verdict>, String> {
    if returned.len() != items {
        return Err(format!("{} verdicts for {items} items", returned.len()));
    }
    returned.into_iter().map(verdict).collect()
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
            let within_limits = |a: &types::Attribute| (1..=64).contains(&a.key.len()) && a.value.len() <= 1024;
            if attributes.len() > 16 || !attributes.iter().all(within_limits) {
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

    fn annotate(key: &str, value: &str) -> filtering::Verdict {
        filtering::Verdict::Annotate(vec![types::Attribute { key: key.into(), value: value.into() }])
    }

    #[test]
    fn verdicts_outside_the_limits_are_errors() {
        let reject = |rule: usize, value: usize| {
            filtering::Verdict::Reject(filtering::Rejection { rule: "r".repeat(rule), value: "v".repeat(value) })
        };
        let many = filtering::Verdict::Annotate(vec![types::Attribute { key: "k".into(), value: String::new() }; 17]);
        for bad in [
            reject(65, 0),
            reject(1, 257),
            annotate("", "x"),
            annotate(&"k".repeat(65), ""),
            annotate("k", &"v".repeat(1025)),
            many,
        ] {
            assert!(verdict(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(verdicts(vec![filtering::Verdict::Keep], 2).is_err());
        assert_eq!(verdict(annotate("k", "v")), Ok(Verdict::Annotate(vec![("k".into(), "v".into())])));
    }
}
