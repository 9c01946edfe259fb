//! Events of the analysis: what comes out of it, frame by frame.

use ocellus_core::{ObjectRecord, ObjectType, TrackId};

use super::decision::Decision;

/// A track, among all of a job.
pub(crate) type TrackKey = (ObjectType, TrackId);

/// What a frame is kept for, until its track is over or another frame takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It holds the best shot so far.
    Best,
    /// It holds the best shot so far of the present realtime window.
    Window,
    First,
    Last,
}

pub(crate) enum Event {
    /// The frame just given is to be kept.
    Keep(TrackKey, Role),
    /// This is reported: of a track that is over, or, as a realtime shot, of one that goes on.
    Object(Box<ObjectRecord>),
    /// The track is over and nothing is reported.
    Dropped(TrackKey),
    /// Something went no further here; only where that is asked for.
    Decision(Decision),
}
