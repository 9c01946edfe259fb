//! Plugin calls of a type's pipeline, as traits.
//!
//! In a job, [`TrackerSlot`] and [`FilterSlot`] answer them, by inherent methods of the same names;
//! tests use fakes without a sandbox. Calls are dispatched statically.

use std::sync::Arc;

use ocellus_core::{Detection, TrackId};
use ocellus_runtime::{
    Candidate, FilterSlot, FrameInfo, Object, Pixels, PluginError, Stage, TrackerSlot, Update, Verdict,
};

/// The tracker of one object type.
pub(super) trait TrackerCalls {
    fn name(&self) -> &str;
    fn update(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Update, PluginError>;
    fn finish(&mut self) -> Result<Vec<TrackId>, PluginError>;
}

/// A filter of one object type.
pub(super) trait FilterCalls {
    fn name(&self) -> &str;
    fn wants(&self, stage: Stage) -> bool;
    fn begin_frame(&mut self, frame: &FrameInfo, pixels: Option<Arc<dyn Pixels>>);
    fn detections(&mut self, frame: &FrameInfo, detections: Vec<Detection>) -> Result<Vec<Verdict>, PluginError>;
    fn shots(&mut self, frame: &FrameInfo, candidates: Vec<Candidate>) -> Result<Vec<Verdict>, PluginError>;
    fn objects(&mut self, objects: Vec<Object>) -> Result<Vec<Verdict>, PluginError>;
}

impl TrackerCalls for TrackerSlot {
    fn name(&self) -> &str {
        TrackerSlot::name(self)
    }

    fn update(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Update, PluginError> {
        TrackerSlot::update(self, frame, detections)
    }

    fn finish(&mut self) -> Result<Vec<TrackId>, PluginError> {
        TrackerSlot::finish(self)
    }
}

impl FilterCalls for FilterSlot {
    fn name(&self) -> &str {
        FilterSlot::name(self)
    }

    fn wants(&self, stage: Stage) -> bool {
        FilterSlot::wants(self, stage)
    }

    fn begin_frame(&mut self, frame: &FrameInfo, pixels: Option<Arc<dyn Pixels>>) {
        FilterSlot::begin_frame(self, frame, pixels);
    }

    fn detections(&mut self, frame: &FrameInfo, detections: Vec<Detection>) -> Result<Vec<Verdict>, PluginError> {
        FilterSlot::detections(self, frame, detections)
    }

    fn shots(&mut self, frame: &FrameInfo, candidates: Vec<Candidate>) -> Result<Vec<Verdict>, PluginError> {
        FilterSlot::shots(self, frame, candidates)
    }

    fn objects(&mut self, objects: Vec<Object>) -> Result<Vec<Verdict>, PluginError> {
        FilterSlot::objects(self, objects)
    }
}
