//! State of a type's pipeline between frames.

use std::collections::BTreeMap;

use ocellus_core::{JobId, ObjectType, ScoreThresholds, TrackId};
use ocellus_runtime::{FilterSlot, TrackerSlot};

use crate::analysis::{
    decision_recorder::DecisionRecorder,
    track::{Reporting, ShotRule, Track},
};

/// Pipeline of one object type, over a tracker `T` and filters `F`.
pub(in crate::analysis) struct TypePipeline<T = TrackerSlot, F = FilterSlot> {
    pub(super) job: JobId,
    pub(in crate::analysis) tracker: T,
    pub(in crate::analysis) filters: Vec<F>,
    pub(super) scores: ScoreThresholds,
    /// Whether the tracker gets weak detections.
    pub(super) shows_weak: bool,
    /// Stream time of the previous frame of the same scene, in seconds.
    pub(super) frame_before: Option<f64>,
    pub(super) reporting: Reporting,
    pub(super) tracks: BTreeMap<TrackId, Track>,
    pub(in crate::analysis) shot_rule: ShotRule,
    pub(in crate::analysis) recorder: DecisionRecorder,
    pub(in crate::analysis) reports_boxes: bool,
    /// Offset of the tracker's numbers, so that those from before the last gap are not reused, and
    /// split tracks get new ones.
    pub(in crate::analysis) base: TrackId,
    /// The job's numbers of the tracker's open tracks, by the tracker's.
    pub(super) numbers: BTreeMap<TrackId, TrackId>,
    /// The greatest track number so far.
    pub(in crate::analysis) last: TrackId,
}

impl<T, F> TypePipeline<T, F> {
    pub(super) fn new(job: JobId, object_type: ObjectType, reporting: Reporting, tracker: T, filters: Vec<F>) -> Self {
        let recorder = DecisionRecorder { object_type, is_enabled: false };
        let (tracks, shot_rule, none) = (BTreeMap::new(), ShotRule::default(), TrackId(0));
        Self {
            job,
            tracker,
            filters,
            scores: ScoreThresholds::default(),
            shows_weak: false,
            frame_before: None,
            reporting,
            tracks,
            shot_rule,
            recorder,
            reports_boxes: false,
            base: none,
            numbers: BTreeMap::new(),
            last: none,
        }
    }

    /// The job's number of a track, by the tracker's.
    pub(super) fn number(&mut self, own: TrackId) -> TrackId {
        let base = self.base;
        let id = *self.numbers.entry(own).or_insert_with(|| TrackId(base.0.saturating_add(own.0)));
        self.last = self.last.max(id);
        id
    }
}
