//! Calls into sessions as values, and sessions of trackers and filters that execute them.
//!
//! A call as a value can be kept, sent to a canary, written to a trace and replayed.

use std::sync::Arc;

use ocellus_core::Detection;
use serde::{Deserialize, Serialize};

use crate::{
    Candidate, Filter, FrameInfo, Meters, Object, Pixels, PluginError, StreamInfo, Tracker, TrackerState, Update,
    Verdict, plugin::Plugin,
};

/// A call of the contract into a session, apart from `open` and `restore`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// [`Tracker::update`].
    Update {
        /// The frame.
        frame: FrameInfo,
        /// The detections that no filter rejected.
        detections: Vec<Detection>,
    },
    /// [`Tracker::snapshot`].
    Snapshot,
    /// [`Tracker::finish`].
    Finish,
    /// [`Filter::detections`].
    Detections {
        /// The frame.
        frame: FrameInfo,
        /// The items.
        detections: Vec<Detection>,
    },
    /// [`Filter::shots`].
    Shots {
        /// The frame.
        frame: FrameInfo,
        /// The items.
        candidates: Vec<Candidate>,
    },
    /// [`Filter::objects`].
    Objects {
        /// The items.
        objects: Vec<Object>,
    },
}

impl Call {
    /// Approximate memory in bytes.
    pub(crate) fn size(&self) -> usize {
        let one = |d: &Detection| size_of::<Detection>() + d.appearance.len() * size_of::<f32>();
        let items: usize = match self {
            Self::Snapshot | Self::Finish => 0,
            Self::Update { detections, .. } | Self::Detections { detections, .. } => detections.iter().map(one).sum(),
            Self::Shots { candidates, .. } => candidates.iter().map(|c| one(&c.detection)).sum(),
            Self::Objects { objects } => {
                objects.iter().flat_map(|o| [&o.first, &o.last, &o.best]).map(|m| one(&m.detection)).sum()
            }
        };
        size_of::<Self>() + items
    }

    /// The index of its frame; for objects, the last frame of the last one.
    pub(crate) fn frame(&self) -> Option<u64> {
        match self {
            Self::Update { frame, .. } | Self::Detections { frame, .. } | Self::Shots { frame, .. } => {
                Some(frame.index)
            }
            Self::Objects { objects } => objects.last().map(|o| o.last.frame),
            Self::Snapshot | Self::Finish => None,
        }
    }

    /// Executes a call of a filter; a tracker's call has no items.
    pub(crate) fn ask(&self, filter: &mut Filter) -> Result<Vec<Verdict>, PluginError> {
        match self {
            Self::Detections { frame, detections } => filter.detections(frame, detections),
            Self::Shots { frame, candidates } => filter.shots(frame, candidates),
            Self::Objects { objects } => filter.objects(objects),
            Self::Update { .. } | Self::Snapshot | Self::Finish => Ok(Vec::new()),
        }
    }
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Update(Update),
    Verdicts(Vec<Verdict>),
    /// The answer of a call that is not compared.
    Done,
}

/// A session of a tracker or a filter.
pub(crate) enum Session {
    Tracker(Tracker),
    Filter(Filter),
}

impl Session {
    /// `None` for a router.
    pub(crate) fn open(
        plugin: &Plugin,
        settings: &serde_json::Value,
        stream: &StreamInfo,
    ) -> Result<Option<Self>, PluginError> {
        if let Some(tracker) = Tracker::open(plugin, settings, stream)? {
            return Ok(Some(Self::Tracker(tracker)));
        }
        Ok(Filter::open(plugin, settings, stream)?.map(Self::Filter))
    }

    /// Executes a call; one of the other kind has no effect.
    pub(crate) fn make(&mut self, call: &Call) -> Result<Answer, PluginError> {
        match (self, call) {
            (Self::Tracker(tracker), Call::Update { frame, detections }) => {
                tracker.update(frame, detections).map(Answer::Update)
            }
            (Self::Tracker(tracker), Call::Snapshot) => tracker.snapshot().map(|_| Answer::Done),
            (Self::Tracker(tracker), Call::Finish) => tracker.finish().map(|_| Answer::Done),
            (Self::Filter(filter), call) => call.ask(filter).map(Answer::Verdicts),
            (Self::Tracker(_), _) => Ok(Answer::Done),
        }
    }

    /// Restores a state; only directly after opening. No effect without one.
    pub(crate) fn restore(&mut self, state: Option<&TrackerState>) -> Result<(), PluginError> {
        match (self, state) {
            (Self::Tracker(tracker), Some(state)) => tracker.restore(state),
            _ => Ok(()),
        }
    }

    /// [`Filter::set_pixels`].
    pub(crate) fn set_pixels(&mut self, pixels: Option<Arc<dyn Pixels>>) {
        if let Self::Filter(filter) = self {
            filter.set_pixels(pixels);
        }
    }

    pub(crate) fn meters(&self) -> Meters {
        match self {
            Self::Tracker(tracker) => tracker.meters(),
            Self::Filter(filter) => filter.meters(),
        }
    }
}
