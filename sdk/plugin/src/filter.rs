//! Filters: the trait, and its export as a component.

use std::{cell::RefCell, marker::PhantomData};

use serde::de::DeserializeOwned;

pub use crate::bindings::filter::exports::ocellus::plugin::filtering::{Candidate, Moment, Object, Rejection, Verdict};
use crate::{
    Detection, FrameInfo, Manifest, Stages, StreamInfo,
    bindings::{filter::exports::ocellus::plugin::filtering, types},
};

/// One session of a filter: one object type of one job.
///
/// Implement the functions of the stages in [`Filter::STAGES`]; the others are never called. Each
/// returns one verdict for each item, in the same order; otherwise the host ends the session.
pub trait Filter: Sized + 'static {
    /// Deserialized from JSON that fits the manifest's schema; give absent keys their defaults with
    /// `#[serde(default)]`.
    type Settings: DeserializeOwned;
    /// The description of the plugin, which the host reads before it opens a session.
    const MANIFEST: Manifest;
    /// Stages at which the filter is called, at least one.
    const STAGES: Stages;

    /// Opens a session for one object type of one job.
    ///
    /// # Errors
    /// The text is shown to the user and fails the job.
    fn open(settings: Self::Settings, source: StreamInfo) -> Result<Self, String>;

    /// Before tracking: drops detections.
    fn detections(&mut self, frame: FrameInfo, detections: Vec<Detection>) -> Vec<Verdict> {
        let _ = frame;
        vec![Verdict::Keep; detections.len()]
    }

    /// After tracking: drops shot candidates, the detections that may represent their tracks.
    fn shots(&mut self, frame: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        let _ = frame;
        vec![Verdict::Keep; candidates.len()]
    }

    /// Before posting: drops objects.
    fn objects(&mut self, objects: Vec<Object>) -> Vec<Verdict> {
        vec![Verdict::Keep; objects.len()]
    }
}

impl Verdict {
    /// Rejects by `rule` if `broken`, otherwise keeps. `value` returns the measured value; it is
    /// only called for a rejection.
    pub fn reject_if(broken: bool, rule: &str, value: impl FnOnce() -> String) -> Self {
        if broken { Self::Reject(Rejection { rule: rule.into(), value: value() }) } else { Self::Keep }
    }
}

impl Object {
    /// Frames from the first detection to the last, including the gaps.
    pub fn frames(&self) -> u64 {
        self.last.frame.saturating_sub(self.first.frame) + 1
    }
}

#[doc(hidden)]
pub struct Exports<T>(PhantomData<T>);

#[doc(hidden)]
pub struct Session<T>(RefCell<T>);

impl<T: Filter> filtering::Guest for Exports<T> {
    type Session = Session<T>;

    fn describe() -> types::Manifest {
        T::MANIFEST.with_stages(T::STAGES)
    }
}

impl<T: Filter> filtering::GuestSession for Session<T> {
    fn open(settings: String, source: StreamInfo) -> Result<filtering::Session, String> {
        let filter = T::open(crate::settings(&settings)?, source)?;
        Ok(filtering::Session::new(Self(RefCell::new(filter))))
    }

    fn detections(&self, frame: FrameInfo, detections: Vec<Detection>) -> Vec<Verdict> {
        self.0.borrow_mut().detections(frame, detections)
    }

    fn shots(&self, frame: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
        self.0.borrow_mut().shots(frame, candidates)
    }

    fn objects(&self, objects: Vec<Object>) -> Vec<Verdict> {
        self.0.borrow_mut().objects(objects)
    }
}
