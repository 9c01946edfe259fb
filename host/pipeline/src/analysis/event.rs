//! Events of the analysis: its results, frame by frame.

use ocellus_core::{ObjectRecord, ObjectType, TrackId};

use super::decision::Decision;

/// A track, among all of a job.
pub(crate) type TrackKey = (ObjectType, TrackId);

/// Embedding of one picture of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Quality of the picture: [`ocellus_core::Detection::quality`].
    pub(crate) quality: f32,
    pub(crate) vector: Vec<f32>,
}

/// Purpose for which a frame is retained, until its track ends or another frame replaces it.
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

/// Removes the boxes of tracks from the results of a frame, and returns them.
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
    /// Samples of the object that is reported next, the final one of its track.
    Samples(TrackKey, Vec<Sample>),
    /// An object is reported: of a track that ended or, as a realtime shot, of one that continues.
    Object(Box<ObjectRecord>),
    /// The box of a track in this frame: left, top, right, bottom in pixels; only with
    /// `report_boxes`.
    Box(TrackKey, [i32; 4]),
    /// The track ended and nothing is reported.
    Dropped(TrackKey),
    /// A detection or track was dropped; only if decisions are recorded.
    Decision(Decision),
}
