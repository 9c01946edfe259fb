//! Events of the analysis: what comes out of it, frame by frame.

use ocellus_core::{ObjectRecord, ObjectType, TrackId};

use super::decision::Decision;

/// A track, among all of a job.
pub(crate) type TrackKey = (ObjectType, TrackId);

/// Embedding of one picture of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Of the picture: [`ocellus_core::Detection::quality`].
    pub(crate) quality: f32,
    pub(crate) vector: Vec<f32>,
}

/// What a frame is retained for, until its track ends or another frame replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The best shot so far.
    Best,
    /// The best shot so far of the current realtime window.
    Window,
    /// The first detection.
    First,
    /// The last detection so far.
    Last,
}

/// Takes the boxes of tracks out of the results of a frame.
pub(crate) fn take_boxes(events: &mut Vec<Event>) -> Vec<(ObjectType, TrackId, [i32; 4])> {
    let boxes = events.extract_if(.., |event| matches!(event, Event::Box(..)));
    boxes
        .filter_map(|event| if let Event::Box((t, track), bbox) = event { Some((t, track, bbox)) } else { None })
        .collect()
}

/// One result of a frame, or of the end of the stream.
pub(crate) enum Event {
    /// The frame just processed is to be retained.
    Keep(TrackKey, Role),
    /// Samples of the object that is reported next, which its track ends with.
    Samples(TrackKey, Vec<Sample>),
    /// An object is reported: of a track that ended, or, as a realtime shot, of one that goes on.
    Object(Box<ObjectRecord>),
    /// Where a track is in this frame: left, top, right, bottom in pixels; only where boxes are
    /// asked for.
    Box(TrackKey, [i32; 4]),
    /// The track ended and nothing is reported.
    Dropped(TrackKey),
    /// A detection or track was dropped; only where decisions are asked for.
    Decision(Decision),
}
